"""Bodies of packets for the tests of mosq/packets: bytes that may break any rule."""

from __future__ import annotations

import struct

from mosq.packets.connect import Connect, Rules, parse

PEER = "192.0.2.1:50000"
CLEAN, WILL, WILL_QOS_1, WILL_QOS_2, WILL_RETAIN, PASSWORD, USER_NAME = 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80
NAMES = {3: b"MQIsdp", 4: b"MQTT", 5: b"MQTT"}
VERSIONS = (3, 4, 5)


def field(value: bytes | str) -> bytes:
    """A string or binary with its length."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(raw)) + raw


def block(encoded: bytes) -> bytes:
    """Properties with their length, which is below 128 here."""
    assert len(encoded) < 128
    return bytes((len(encoded),)) + encoded


def head(version: int, flags: int = CLEAN, keepalive: int = 60, properties: bytes = b"") -> bytes:
    """A CONNECT up to the payload."""
    start = field(NAMES[version & 0x7F]) + struct.pack("!BBH", version, flags, keepalive)
    return start + block(properties) if version == 5 else start


def will(version: int, topic: bytes | str = "gone", payload: bytes = b"bye", properties: bytes = b"") -> bytes:
    """The will of a CONNECT's payload."""
    start = block(properties) if version == 5 else b""
    return start + field(topic) + field(payload)


def accepted(body: bytes, first: int = 0x10, **rules: object) -> Connect:
    """What a CONNECT says that has to be accepted."""
    return parse(first, body, PEER, Rules(**rules))  # type: ignore[arg-type]
