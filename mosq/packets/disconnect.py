"""DISCONNECT (MQTT 5.0, section 3.14), in both directions."""

from __future__ import annotations

from collections.abc import Sequence

from mosq.core import Property, lib
from mosq.packets.error import LogLine, violation
from mosq.packets.properties import SESSION_EXPIRY, block, read, variable
from mosq.packets.reader import Reader
from mosq.record import Record


class Disconnect(Record):
    """A client's DISCONNECT. `session_expiry` in seconds; None: as CONNECT said."""

    reason: int = 0
    session_expiry: int | None = None
    properties: Sequence[Property] = ()


_PLAIN = Disconnect()


def parse(version: int, first: int, body: bytes, client_id: str, session_expiry: int) -> Disconnect:
    """A DISCONNECT from a client whose session expiry is `session_expiry` seconds so far.

    Raises ProtocolError.
    """
    if first != 0xE0 and version > 3:
        raise violation(_line(client_id, "DISCONNECT packet with incorrect flags <%02X>.", first))
    if version < 5 or not body:
        return _PLAIN
    reader = Reader(body)
    packet = Disconnect(reader.byte())
    if reader.left:
        packet.properties = read(reader, lib.MQ_IN_DISCONNECT)
    for identifier, value in packet.properties:
        if identifier == SESSION_EXPIRY and isinstance(value, int):
            packet.session_expiry = value
    if packet.session_expiry and not session_expiry:
        fmt = "DISCONNECT packet with mismatched session-expiry-interval (0:%d)."
        raise violation(_line(client_id, fmt, packet.session_expiry))
    if reader.left:
        fmt = "DISCONNECT packet with overlong remaining length (%d:%d)."
        raise violation(_line(client_id, fmt, reader.pos, reader.end))
    return packet


def _line(client_id: str, fmt: str, *args: object) -> LogLine:
    return ("I", "Protocol error from %s: " + fmt, (client_id, *args))


def encode(code: int, properties: Sequence[Property] = ()) -> bytes:
    """A DISCONNECT for MQTT 5.0; with code 0 and without properties that of all versions."""
    body = bytes((code,)) if code or properties else b""
    if properties:
        body += block(properties)
    return b"\xe0" + variable(len(body)) + body
