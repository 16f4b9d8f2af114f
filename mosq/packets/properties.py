"""Properties of MQTT 5.0 packets (section 2.2.2): lists of (identifier, value), read and written.

The rules (types, permitted places, ranges, duplicates) stand in the core, csrc/wire.c; here a status of the core
becomes a `ProtocolError`, and values become bytes. Sections cited below are those of MQTT 5.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from mosq.core import Property, lib, walk_properties
from mosq.packets.error import (
    DUPLICATE_PROPERTY,
    MALFORMED_PACKET,
    MALFORMED_UTF8,
    PROTOCOL_ERROR,
    LogLine,
    ProtocolError,
)
from mosq.packets.reader import Reader, TruncatedError

PAYLOAD_FORMAT = 0x01
MESSAGE_EXPIRY = 0x02
CONTENT_TYPE = 0x03
RESPONSE_TOPIC = 0x08
CORRELATION_DATA = 0x09
SUBSCRIPTION_ID = 0x0B
SESSION_EXPIRY = 0x11
ASSIGNED_CLIENT_ID = 0x12
SERVER_KEEP_ALIVE = 0x13
AUTH_METHOD = 0x15
AUTH_DATA = 0x16
REQUEST_PROBLEM = 0x17
WILL_DELAY = 0x18
REQUEST_RESPONSE = 0x19
RESPONSE_INFORMATION = 0x1A
SERVER_REFERENCE = 0x1C
REASON_STRING = 0x1F
RECEIVE_MAXIMUM = 0x21
TOPIC_ALIAS_MAXIMUM = 0x22
TOPIC_ALIAS = 0x23
MAXIMUM_QOS = 0x24
RETAIN_AVAILABLE = 0x25
USER_PROPERTY = 0x26
MAXIMUM_PACKET_SIZE = 0x27
WILDCARD_AVAILABLE = 0x28
SUBSCRIPTION_ID_AVAILABLE = 0x29
SHARED_AVAILABLE = 0x2A

_BYTE = frozenset({0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A})
_TWO_BYTE = frozenset({0x13, 0x21, 0x22, 0x23})
_FOUR_BYTE = frozenset({0x02, 0x11, 0x18, 0x27})

_STRINGS = frozenset({0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x26})
_KNOWN = _BYTE | _TWO_BYTE | _FOUR_BYTE | _STRINGS | {SUBSCRIPTION_ID}

_FAULTS: dict[int, tuple[int | None, str]] = {
    lib.MQ_MALFORMED: (0x81, MALFORMED_PACKET),
    lib.MQ_PROTOCOL: (0x82, PROTOCOL_ERROR),
    lib.MQ_DUPLICATE_PROPERTY: (0x82, DUPLICATE_PROPERTY),
    lib.MQ_BAD_UTF8: (None, MALFORMED_UTF8),
}
_UNREADABLE = 0xFFFFFFFF


class PropertyError(ProtocolError):
    """A property list that breaks a rule. `status` is the core's, `identifier` that of the property at fault, which may
    be one that MQTT does not have."""

    __slots__ = ("status", "identifier")

    def __init__(self, status: int, identifier: int) -> None:
        code, text = _FAULTS[status]
        super().__init__(code, text, *_unsupported(status, identifier))
        self.status = status
        self.identifier = identifier

    @property
    def misplaced(self) -> bool:
        """Whether the property is known but may not stand here, or not with this value."""
        return self.status == int(lib.MQ_PROTOCOL)


def _unsupported(status: int, identifier: int) -> tuple[LogLine, ...]:
    if status != lib.MQ_MALFORMED or identifier in _KNOWN or identifier == _UNREADABLE:
        return ()
    return (("D", "Unsupported property type: %d", (identifier,)),)


def read(reader: Reader, place: int) -> Sequence[Property]:
    """The property length and the properties at the reader's position. `place` is one of the core's MQ_IN_...

    Raises PropertyError.
    """
    try:
        n = reader.variable()
    except TruncatedError:
        raise PropertyError(lib.MQ_MALFORMED, _UNREADABLE) from None
    if n == 0:
        return ()
    if n > reader.left:
        raise PropertyError(lib.MQ_MALFORMED, _UNREADABLE)
    start = reader.pos
    reader.pos = start + n
    status, found, identifier = walk_properties(place, reader.data[start : start + n])
    if status != lib.MQ_OK:
        raise PropertyError(status, identifier)
    return found


def variable(value: int) -> bytes:
    """A variable byte integer, 0 to 268,435,455 (section 1.5.5). Raises ValueError."""
    if not 0 <= value <= 0xFFFFFFF:
        raise ValueError(f"{value} does not fit a variable byte integer")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def string(value: bytes) -> bytes:
    """A string or binary with its length in front (section 1.5.4). Raises struct.error beyond 65,535 bytes."""
    return struct.pack("!H", len(value)) + value


def encode(properties: Iterable[Property]) -> bytes:
    """The properties in the order given, without the property length."""
    return b"".join(_encode_one(identifier, value) for identifier, value in properties)


def _encode_one(identifier: int, value: int | bytes | tuple[bytes, bytes]) -> bytes:
    if isinstance(value, tuple):
        name, text = value
        return bytes((identifier,)) + string(name) + string(text)
    if isinstance(value, bytes):
        return bytes((identifier,)) + string(value)
    if identifier in _BYTE:
        return bytes((identifier, value))
    if identifier in _TWO_BYTE:
        return struct.pack("!BH", identifier, value)
    if identifier in _FOUR_BYTE:
        return struct.pack("!BI", identifier, value)
    return bytes((identifier,)) + variable(value)


def block(properties: Iterable[Property]) -> bytes:
    """The properties with the property length in front, as a packet holds them."""
    encoded = encode(properties)
    return variable(len(encoded)) + encoded
