"""The whole file as one JSON document.

The layout is that of Mosquitto, which tools may compare: a tab between key and value, objects indented by tabs, the
objects of an array side by side. Strings are the bytes of the file, with only quotation marks, backslashes and control
characters escaped: what is no UTF-8 there is none here. Numbers are never rounded.
"""

from __future__ import annotations

from mosq.cli.output.json_writer import string
from mosq.persistence import format as db
from mosq.persistence.properties import objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from mosq.core import Property

    Members = list[tuple[str, "int | bytes | list[Members]"]]
    """An object: its members in order."""

_ARRAYS: dict[type, tuple[str, tuple[tuple[str, Callable[..., int | bytes | list[Members] | None]], ...]]] = {
    db.BaseMessage: (
        "base-messages",
        (
            ("storeid", lambda it: it.store_id),
            ("expiry-time", lambda it: it.expires),
            ("source-mid", lambda it: it.mid),
            ("source-port", lambda it: it.port),
            ("qos", lambda it: it.qos),
            ("retain", lambda it: it.retain),
            ("topic", lambda it: it.topic or None),
            ("clientid", lambda it: it.client_id or None),
            ("username", lambda it: it.username or None),
            ("payload", lambda it: _base64(it.payload) or None),
            ("properties", lambda it: _properties(it.properties) or None),
        ),
    ),
    db.Client: (
        "clients",
        (
            ("clientid", lambda it: it.client_id),
            ("username", lambda it: it.username or None),
            ("session-expiry-time", lambda it: it.expires),
            ("session-expiry-interval", lambda it: it.interval),
            ("last-mid", lambda it: it.mid),
            ("listener-port", lambda it: it.port),
        ),
    ),
    db.ClientMessage: (
        "client-messages",
        (
            ("clientid", lambda it: it.client_id),
            ("storeid", lambda it: it.store_id),
            ("mid", lambda it: it.mid),
            ("qos", lambda it: it.qos),
            ("state", lambda it: it.state),
            ("retain-dup", lambda it: (it.retain << 4 | it.dup) & 0xFF),
            ("direction", lambda it: it.direction),
            ("subscription-identifier", lambda it: it.identifier),
        ),
    ),
    db.Retained: ("retained-messages", (("storeid", lambda it: it.store_id),)),
    db.Subscription: (
        "subscriptions",
        (
            ("clientid", lambda it: it.client_id),
            ("topic", lambda it: it.topic),
            ("qos", lambda it: it.qos),
            ("options", lambda it: it.options),
            ("identifier", lambda it: it.identifier),
        ),
    ),
}
"""The arrays in their order, and the members of their elements; None: no such member."""


class Document:
    """See mosq.cli.dump.View. The elements are kept as the bytes they will be."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._elements: dict[type, list[bytes]] = {kind: [] for kind in _ARRAYS}

    def magic(self) -> None:
        """Nothing of that is in the document."""

    def header(self, header: db.Header) -> None:
        """Nothing of that is in the document."""

    def chunk(self, chunk: db.Chunk) -> None:
        content = chunk.content
        if type(content) not in _ARRAYS:
            return
        _, fields = _ARRAYS[type(content)]
        members = [(key, found) for key, value in fields if (found := value(content)) is not None]
        self._elements[type(content)].append(_object(members, 3))

    def end(self) -> None:
        write = self._out.write
        for i, (kind, (key, _)) in enumerate(_ARRAYS.items()):
            write(b'%s\t"%s":\t' % (b",\n" if i else b"{\n", key.encode()))
            for j, element in enumerate(self._elements[kind]):
                write((b", " if j else b"[") + element)
            write(b"]" if self._elements[kind] else b"[]")
        write(b"\n}\n")


def _base64(data: bytes) -> bytes:
    from binascii import b2a_base64

    return b2a_base64(data, newline=False)


def _properties(properties: tuple[Property, ...]) -> list[Members]:
    return [
        [(key, value if isinstance(value, int) else value.encode()) for key, value in item.items()]
        for item in objects(properties)
    ]


def _object(members: Members, depth: int) -> bytes:
    """An object whose members are indented by `depth` tabs."""
    indent = b"\t" * depth
    lines = [b'%s"%s":\t%s' % (indent, key.encode(), _value(value, depth)) for key, value in members]
    return b"{\n" + b",\n".join(lines) + b"\n%s}" % indent[1:]


def _value(value: int | bytes | list[Members], depth: int) -> bytes:
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, bytes):
        return string(value)
    return b"[" + b", ".join(_object(item, depth + 2) for item in value) + b"]"
