"""UNSUBACK (MQTT 5.0, section 3.11): one code for each filter of an UNSUBSCRIBE; none at all before MQTT 5.0."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mosq.core import Property, lib
from mosq.packets import properties as prop
from mosq.packets.error import malformed
from mosq.packets.properties import variable
from mosq.packets.reader import identified


def encode(version: int, mid: int, codes: Iterable[int]) -> bytes:
    """An UNSUBACK for packet identifier `mid`."""
    if version < 5:
        return bytes((0xB0, 2, mid >> 8, mid & 0xFF))
    body = bytes((mid >> 8, mid & 0xFF, 0, *codes))
    return b"\xb0" + variable(len(body)) + body


def parse(version: int, first: int, body: bytes) -> tuple[int, bytes, Sequence[Property]]:
    """An UNSUBACK as (packet identifier, codes, properties); no codes before MQTT 5.0. Raises ProtocolError."""
    reader, mid = identified(first, 0xB0, body)
    if version < 5:
        if reader.left:
            raise malformed()
        return mid, b"", ()
    stated = prop.read(reader, lib.MQ_IN_ACK)
    return mid, body[reader.pos :], stated
