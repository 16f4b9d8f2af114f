"""What a test expects of a packet that breaks a rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mosq.packets.connect import Rules, parse
from mosq.packets.error import ProtocolError
from tests.packets.build import PEER

SILENT = b""


def error_of(call: Callable[[], object]) -> ProtocolError:
    """The error that `call` must end with."""
    with pytest.raises(ProtocolError) as caught:
        call()
    return caught.value


def lines(error: ProtocolError) -> list[str]:
    """The log lines of an error as "<level> <text>"."""
    return [f"{level} {fmt % args}" for level, fmt, args in error.log]


def refused(body: bytes, first: int = 0x10, **rules: object) -> ProtocolError:
    """The error of a CONNECT that must not be accepted."""
    return error_of(lambda: parse(first, body, PEER, Rules(**rules)))  # type: ignore[arg-type]


def connack(version: int, code: int | None, properties: bytes = b"") -> bytes:
    """The CONNACK that refuses with a code; nothing where that is None."""
    if code is None:
        return SILENT
    if version < 5:
        return bytes((0x20, 2, 0, code))
    return bytes((0x20, 3 + len(properties), 0, code, len(properties))) + properties
