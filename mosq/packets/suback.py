"""SUBACK (MQTT 5.0, section 3.9): one code for each filter of a SUBSCRIBE, in its order."""

from __future__ import annotations

from collections.abc import Iterable

from mosq.packets.properties import variable


def encode(version: int, mid: int, codes: Iterable[int]) -> bytes:
    """A SUBACK for packet identifier `mid`; MQTT 5.0 gets an empty property list."""
    body = bytes((mid >> 8, mid & 0xFF, 0)) if version == 5 else bytes((mid >> 8, mid & 0xFF))
    body += bytes(codes)
    return b"\x90" + variable(len(body)) + body
