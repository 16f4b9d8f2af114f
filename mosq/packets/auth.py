"""AUTH (MQTT 5.0, section 3.15), in both directions: one step of an extended authentication."""

from __future__ import annotations

from collections.abc import Sequence

from mosq.core import Property, lib
from mosq.packets.error import PROTOCOL_ERROR, LogLine, ProtocolError, malformed, violation
from mosq.packets.properties import AUTH_DATA, AUTH_METHOD, PropertyError, block, read, variable
from mosq.packets.reader import Reader
from mosq.packets.reasons import CONTINUE_AUTHENTICATION, REAUTHENTICATE, UNSPECIFIED
from mosq.record import Record


class Auth(Record):
    """A client's AUTH. `reason` is 0x18 (continue) or 0x19 (authenticate again)."""

    reason: int
    data: bytes | None = None
    properties: Sequence[Property] = ()


def parse(
    version: int, first: int, body: bytes, client_id: str, *, method: str | None, active: bool, exchanging: bool
) -> Auth:
    """An AUTH from a client that named `method` in CONNECT (None: it named none).

    `active`: the client has its CONNACK. `exchanging`: an authentication, first or repeated, waits for the client.
    An empty AUTH continues an exchange without data. Raises ProtocolError.
    """
    if version != 5:
        raise violation(_line(client_id, "AUTH packet when session not MQTT v5.0."))
    if method is None:
        raise violation(_line(client_id, "AUTH packet without existing auth-method."))
    if first != 0xF0:
        raise malformed()  # [MQTT-3.15.1-1]
    reader = Reader(body)
    reason = reader.byte() if body else CONTINUE_AUTHENTICATION
    if reason not in (CONTINUE_AUTHENTICATION, REAUTHENTICATE):
        raise violation(_line(client_id, "AUTH packet with reason-code = %d.", reason))
    if not (exchanging if reason == CONTINUE_AUTHENTICATION else active and not exchanging):
        raise violation(
            _line(client_id, "AUTH reauthentication packet before session is active,"),
            ("I", "     or attempted to continue authentication when no authentication in progress.", ()),
        )
    packet = Auth(reason)
    if body:
        _read_properties(packet, reader, client_id, method)
    return packet


def _read_properties(packet: Auth, reader: Reader, client_id: str, method: str) -> None:
    try:
        packet.properties = read(reader, lib.MQ_IN_AUTH)
    except PropertyError as error:
        raise ProtocolError(UNSPECIFIED, error.text, *error.log) from None
    named: bytes | None = None
    for identifier, value in packet.properties:
        if isinstance(value, bytes):
            if identifier == AUTH_METHOD:
                named = value
            elif identifier == AUTH_DATA:
                packet.data = value
    if named is None:
        line = _line(client_id, "AUTH packet without auth-method property.")
        raise ProtocolError(UNSPECIFIED, PROTOCOL_ERROR, line)
    if named != method.encode():  # [MQTT-4.12.0-5]
        raise violation(_line(client_id, "AUTH packet with non-matching auth-method property (%s:(null)).", method))


def _line(client_id: str, fmt: str, *args: object) -> LogLine:
    return ("I", "Protocol error from %s: " + fmt, (client_id, *args))


def encode(reason: int, method: str, data: bytes | None = None) -> bytes:
    """An AUTH of the broker: 0x00 success, 0x18 continue."""
    stated: list[Property] = [(AUTH_METHOD, method.encode())]
    if data is not None:
        stated.append((AUTH_DATA, data))
    body = bytes((reason,)) + block(stated)
    return b"\xf0" + variable(len(body)) + body
