"""A received message made of what a test says of it, and rendering of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mosq.cli.output import renderer
from mosq.core import Property


@dataclass
class Received:
    payload: bytes = b"hello"
    topic: bytes = b"a/topic"
    qos: int = 0
    retain: bool = False
    mid: int = 0
    properties: Sequence[Property] = ()


def show(form: str | bytes, message: Received | None = None, *, pretty: bool = False) -> bytes:
    """What a format makes of a message, without the end of line; complaints are not expected."""
    out, complaints = show_all(form, message, pretty=pretty)
    assert not complaints
    return out


def show_all(form: str | bytes, message: Received | None = None, *, pretty: bool = False) -> tuple[bytes, bytes]:
    """What a format makes of a message, and what it complains of."""
    complaints: list[bytes] = []
    raw = form.encode() if isinstance(form, str) else form
    render = renderer(raw, newline=False, pretty=pretty, complain=complaints.append)
    return render([message or Received()]), b"".join(complaints)
