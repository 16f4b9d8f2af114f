"""All fields of all chunks as text, while the file is being read. Strings are printed as the bytes they are."""

from __future__ import annotations

from mosq.core import lib
from mosq.packets import properties as wire
from mosq.persistence import format as db

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

LONGEST_SHOWN = 255
"""Bytes of a payload that is printed."""
_UNKNOWN_VERSION = b"Warning: mosquitto_db_dump does not support this DB version, continuing but expecting errors.\n"


def _unsigned(value: int) -> int:
    """64 bits, as without a sign."""
    return value & 0xFFFF_FFFF_FFFF_FFFF


def _signed(value: int) -> int:
    """32 bits, as with a sign."""
    return (value ^ 0x8000_0000) - 0x8000_0000


def _shown_payload(payload: bytes) -> bytes | None:
    return payload if 0 < len(payload) <= LONGEST_SHOWN and lib.mq_utf8_valid(payload, len(payload)) else None


_CHUNKS: dict[type, tuple[str, tuple[tuple[str, Callable[..., object]], ...]]] = {
    db.Configuration: (
        "DB_CHUNK_CFG",
        (
            ("Shutdown", lambda it: it.shutdown),
            ("DB ID size", lambda it: it.id_size),
            ("Last DB ID", lambda it: it.last_id),
        ),
    ),
    db.BaseMessage: (
        "DB_CHUNK_BASE_MSG",
        (
            ("Store ID", lambda it: it.store_id),
            ("Source Port", lambda it: it.port),
            ("Source MID", lambda it: it.mid),
            ("Topic", lambda it: it.topic or "(null)"),
            ("QoS", lambda it: it.qos),
            ("Retain", lambda it: it.retain),
            ("Payload Length", lambda it: len(it.payload)),
            ("Expiry Time", lambda it: _unsigned(it.expires)),
            ("Payload", lambda it: _shown_payload(it.payload)),
        ),
    ),
    db.Client: (
        "DB_CHUNK_CLIENT",
        (
            ("Client ID", lambda it: it.client_id),
            ("Username", lambda it: it.username or None),
            ("Listener port", lambda it: it.port or None),
            ("Last MID", lambda it: it.mid),
            ("Session expiry time", lambda it: _unsigned(it.expires)),
            ("Session expiry interval", lambda it: it.interval),
        ),
    ),
    db.ClientMessage: (
        "DB_CHUNK_CLIENT_MSG",
        (
            ("Client ID", lambda it: it.client_id or "(null)"),
            ("Store ID", lambda it: it.store_id),
            ("MID", lambda it: it.mid),
            ("QoS", lambda it: it.qos),
            ("Retain", lambda it: it.retain),
            ("Direction", lambda it: it.direction),
            ("State", lambda it: it.state),
            ("Dup", lambda it: it.dup),
            ("Subscription identifier", lambda it: it.identifier or None),
        ),
    ),
    db.Subscription: (
        "DB_CHUNK_SUB",
        (
            ("Client ID", lambda it: it.client_id or "(null)"),
            ("Topic", lambda it: it.topic or "(null)"),
            ("QoS", lambda it: it.qos),
            ("Subscription ID", lambda it: _signed(it.identifier)),
            ("Options", lambda it: f"0x{it.options:02X}"),
        ),
    ),
    db.Retained: ("DB_CHUNK_RETAIN", (("Store ID", lambda it: it.store_id),)),
}
"""The title of a chunk, and its lines after the length. None: no such line."""

_PROPERTIES: dict[int, tuple[str, Callable[..., object]]] = {
    wire.PAYLOAD_FORMAT: ("Payload format indicator", lambda value: value),
    wire.CONTENT_TYPE: ("Content type", lambda value: value),
    wire.RESPONSE_TOPIC: ("Response topic", lambda value: value),
    wire.CORRELATION_DATA: ("Correlation data", lambda value: value.hex().upper()),
    wire.USER_PROPERTY: ("User property", lambda value: value[0] + b" , " + value[1]),
}


class Text:
    """See mosq.cli.dump.View."""

    def __init__(self, out: BinaryIO) -> None:
        self._write = out.write

    def magic(self) -> None:
        self._write(b"Mosquitto DB dump\n")

    def header(self, header: db.Header) -> None:
        self._write(_line("CRC", header.crc, 0) + _line("DB version", _signed(header.version), 0))
        if header.version > db.NEWEST:
            self._write(_UNKNOWN_VERSION)

    def chunk(self, chunk: db.Chunk) -> None:
        content = chunk.content
        title, fields = _CHUNKS[type(content)]
        lines = [f"{title}:\n".encode(), _line("Length", _signed(chunk.length), 1)]
        for label, value in fields:
            shown = value(content)
            if shown is not None:
                lines.append(_line(label, shown, 1))
        if isinstance(content, db.BaseMessage) and content.properties:
            lines.append(b"\tProperties:\n")
            lines += [_property_line(*item) for item in content.properties]
        self._write(b"".join(lines))

    def end(self) -> None:
        """Everything is printed already."""


def _property_line(identifier: int, value: object) -> bytes:
    if identifier not in _PROPERTIES:
        return _line("Invalid property type", identifier, 2)
    label, shown = _PROPERTIES[identifier]
    return _line(label, shown(value), 2)


def _line(label: str, value: object, depth: int) -> bytes:
    return b"%s%s: %s\n" % (b"\t" * depth, label.encode(), value if isinstance(value, bytes) else str(value).encode())
