"""SUBACK (MQTT 5.0, section 3.9): one code for each filter of a SUBSCRIBE, in its order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mosq.core import Property, lib
from mosq.packets import properties as prop
from mosq.packets.error import malformed
from mosq.packets.properties import variable
from mosq.packets.reader import identified


def encode(version: int, mid: int, codes: Iterable[int]) -> bytes:
    """A SUBACK for packet identifier `mid`; MQTT 5.0 gets an empty property list."""
    body = bytes((mid >> 8, mid & 0xFF, 0)) if version == 5 else bytes((mid >> 8, mid & 0xFF))
    body += bytes(codes)
    return b"\x90" + variable(len(body)) + body


def parse(version: int, first: int, body: bytes) -> tuple[int, bytes, Sequence[Property]]:
    """A SUBACK as (packet identifier, codes, properties). Raises ProtocolError."""
    reader, mid = identified(first, 0x90, body)
    stated = prop.read(reader, lib.MQ_IN_ACK) if version == 5 else ()
    if not reader.left:
        raise malformed()
    return mid, body[reader.pos :], stated
