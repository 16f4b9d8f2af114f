"""MQTT packets as bytes, for tests that need exact control of what is sent and expected.

`v31`, `v311` and `v5` encode the packets of one protocol level each; `properties` are encoded property bytes (see
`props`) and are ignored by the levels that have none. Nothing is validated: a test may ask for nonsense.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)

PINGREQ_BYTES = b"\xc0\x00"
PINGRESP_BYTES = b"\xd0\x00"

MAX_PACKET_SIZE = 2_000_000
RECEIVE_MAXIMUM = 20
TOPIC_ALIAS_MAXIMUM = 10


def varint(value: int) -> bytes:
    """A variable byte integer (MQTT 1.5.5)."""
    out = bytearray()
    while True:
        value, digit = divmod(value, 128)
        out.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(out)


def u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def field(value: str | bytes) -> bytes:
    """A string or binary field with its two-byte length."""
    raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    return u16(len(raw)) + raw


def packet(first: int, body: bytes = b"") -> bytes:
    """A whole packet from its first byte and the bytes after the remaining length."""
    return bytes([first]) + varint(len(body)) + body


@dataclass(frozen=True)
class Will:
    """The will of a CONNECT packet; `properties` are encoded bytes."""

    topic: str | bytes
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    properties: bytes = b""


class ConnectOptions(TypedDict, total=False):
    """The optional arguments of `Level.connect`."""

    clean: bool
    keepalive: int
    will: Will | None
    username: str | bytes | None
    password: str | bytes | None
    properties: bytes


@dataclass(frozen=True)
class Subscription:
    """One filter of a SUBSCRIBE packet with its options byte taken apart."""

    topic_filter: str | bytes
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0

    @property
    def options(self) -> int:
        return self.qos | self.no_local << 2 | self.retain_as_published << 3 | self.retain_handling << 4


@dataclass(frozen=True)
class Level:
    """The packets of one protocol level: 3 (MQTT 3.1), 4 (3.1.1) or 5 (5.0)."""

    number: int

    def __str__(self) -> str:
        return {3: "v3.1", 4: "v3.1.1", 5: "v5"}[self.number]

    @property
    def is_v5(self) -> bool:
        return self.number == 5

    def properties(self, encoded: bytes) -> bytes:
        """The property block with its length, or nothing where the level has no properties."""
        return varint(len(encoded)) + encoded if self.is_v5 else b""

    def connect(
        self,
        client_id: str | bytes,
        *,
        clean: bool = True,
        keepalive: int = 60,
        will: Will | None = None,
        username: str | bytes | None = None,
        password: str | bytes | None = None,
        properties: bytes = b"",
        protocol: bytes | None = None,
        level: int | None = None,
        flags: int | None = None,
    ) -> bytes:
        """CONNECT; `protocol`, `level` and `flags` replace the bytes that follow from the other arguments."""
        flag_bits = clean << 1
        payload = field(client_id)
        if will is not None:
            flag_bits |= 0x04 | will.qos << 3 | will.retain << 5
            payload += self.properties(will.properties) + field(will.topic) + field(will.payload)
        if username is not None:
            flag_bits |= 0x80
            payload += field(username)
        if password is not None:
            flag_bits |= 0x40
            payload += field(password)
        name = protocol if protocol is not None else (b"MQIsdp" if self.number == 3 else b"MQTT")
        header = field(name) + bytes([self.number if level is None else level, flag_bits if flags is None else flags])
        return packet(0x10, header + u16(keepalive) + self.properties(properties) + payload)

    def connack(self, code: int = 0, *, session_present: bool = False, properties: bytes | None = None) -> bytes:
        """CONNACK; a successful v5 one carries the properties of a broker with default options unless given."""
        if properties is None:
            properties = default_connack_properties() if code == 0 else b""
        return packet(0x20, bytes([session_present, code]) + self.properties(properties))

    def publish(
        self,
        topic: str | bytes,
        payload: bytes = b"",
        *,
        qos: int = 0,
        mid: int = 0,
        dup: bool = False,
        retain: bool = False,
        properties: bytes = b"",
    ) -> bytes:
        body = field(topic) + (u16(mid) if qos else b"") + self.properties(properties) + payload
        return packet(0x30 | dup << 3 | qos << 1 | retain, body)

    def acknowledgement(self, kind: int, mid: int, code: int = 0, properties: bytes | None = None) -> bytes:
        """PUBACK, PUBREC, PUBREL or PUBCOMP in the shortest form that holds what is given."""
        body = u16(mid)
        if self.is_v5 and (code or properties is not None):
            body += bytes([code]) + (b"" if properties is None else self.properties(properties))
        return packet(kind << 4 | (2 if kind == PUBREL else 0), body)

    def puback(self, mid: int, code: int = 0, properties: bytes | None = None) -> bytes:
        return self.acknowledgement(PUBACK, mid, code, properties)

    def pubrec(self, mid: int, code: int = 0, properties: bytes | None = None) -> bytes:
        return self.acknowledgement(PUBREC, mid, code, properties)

    def pubrel(self, mid: int, code: int = 0, properties: bytes | None = None) -> bytes:
        return self.acknowledgement(PUBREL, mid, code, properties)

    def pubcomp(self, mid: int, code: int = 0, properties: bytes | None = None) -> bytes:
        return self.acknowledgement(PUBCOMP, mid, code, properties)

    def subscribe(self, mid: int, *subscriptions: Subscription | str, qos: int = 0, properties: bytes = b"") -> bytes:
        """SUBSCRIBE; a plain string is that filter with `qos`."""
        body = u16(mid) + self.properties(properties)
        for item in subscriptions:
            subscription = item if isinstance(item, Subscription) else Subscription(item, qos)
            body += field(subscription.topic_filter) + bytes([subscription.options])
        return packet(0x82, body)

    def suback(self, mid: int, *codes: int) -> bytes:
        return packet(0x90, u16(mid) + self.properties(b"") + bytes(codes))

    def unsubscribe(self, mid: int, *filters: str | bytes, properties: bytes = b"") -> bytes:
        return packet(0xA2, u16(mid) + self.properties(properties) + b"".join(field(f) for f in filters))

    def unsuback(self, mid: int, *codes: int) -> bytes:
        """UNSUBACK; the codes exist in v5 only."""
        return packet(0xB0, u16(mid) + (self.properties(b"") + bytes(codes) if self.is_v5 else b""))

    def disconnect(self, code: int = 0, properties: bytes | None = None) -> bytes:
        """DISCONNECT in the shortest form that holds what is given."""
        if not self.is_v5 or (not code and properties is None):
            return packet(0xE0)
        return packet(0xE0, bytes([code]) + (b"" if properties is None else self.properties(properties)))

    def auth(self, code: int, properties: bytes = b"") -> bytes:
        return packet(0xF0, bytes([code]) + self.properties(properties))


v31, v311, v5 = Level(3), Level(4), Level(5)
LEVELS = (v31, v311, v5)


def default_connack_properties(
    *, assigned_id: str | None = None, receive_maximum: int = RECEIVE_MAXIMUM, packet_size: int = MAX_PACKET_SIZE
) -> bytes:
    """The properties, in their order, that a broker with default options puts in a successful v5 CONNACK."""
    assigned = b"" if assigned_id is None else b"\x12" + field(assigned_id)
    alias_maximum = b"\x22" + u16(TOPIC_ALIAS_MAXIMUM)
    return alias_maximum + assigned + b"\x27" + u32(packet_size) + b"\x21" + u16(receive_maximum)
