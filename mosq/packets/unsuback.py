"""UNSUBACK (MQTT 5.0, section 3.11): one code for each filter of an UNSUBSCRIBE; none at all before MQTT 5.0."""

from __future__ import annotations

from collections.abc import Iterable

from mosq.packets.properties import variable


def encode(version: int, mid: int, codes: Iterable[int]) -> bytes:
    """An UNSUBACK for packet identifier `mid`."""
    if version < 5:
        return bytes((0xB0, 2, mid >> 8, mid & 0xFF))
    body = bytes((mid >> 8, mid & 0xFF, 0, *codes))
    return b"\xb0" + variable(len(body)) + body
