"""CONNACK (MQTT 5.0, section 3.2): what a server says to a CONNECT."""

from __future__ import annotations

from collections.abc import Sequence

from mosq.core import Property, lib
from mosq.packets import properties as prop
from mosq.packets.error import malformed
from mosq.packets.reader import Reader

_V3_HEADER = b"\x20\x02"


def accept(
    version: int,
    session_present: bool,
    *,
    maximum_packet_size: int,
    receive_maximum: int,
    topic_alias_maximum: int = 0,
    server_keep_alive: int | None = None,
    assigned_client_id: str | None = None,
    auth_method: str | None = None,
    auth_data: bytes | None = None,
    retain_available: bool = True,
    max_qos: int = 2,
) -> bytes:
    """A CONNACK that accepts, for protocol level `version` (3, 4 or 5).

    MQTT 3.1 has no session present flag. For MQTT 5.0: sizes in bytes, `receive_maximum` in messages (0: not
    stated), `server_keep_alive` in seconds, where it replaces the client's value. A property that would state its
    default is left out.
    """
    if version < 5:
        return _V3_HEADER + (b"\x01\x00" if session_present and version == 4 else b"\x00\x00")
    stated: list[Property] = []
    if server_keep_alive is not None:
        stated.append((prop.SERVER_KEEP_ALIVE, server_keep_alive))
    if topic_alias_maximum:
        stated.append((prop.TOPIC_ALIAS_MAXIMUM, topic_alias_maximum))
    if assigned_client_id is not None:
        stated.append((prop.ASSIGNED_CLIENT_ID, assigned_client_id.encode()))
    if auth_method is not None:
        stated.append((prop.AUTH_METHOD, auth_method.encode()))
        if auth_data is not None:
            stated.append((prop.AUTH_DATA, auth_data))
    if not retain_available:
        stated.append((prop.RETAIN_AVAILABLE, 0))
    stated.append((prop.MAXIMUM_PACKET_SIZE, maximum_packet_size))
    if receive_maximum:
        stated.append((prop.RECEIVE_MAXIMUM, receive_maximum))
    if max_qos < 2:
        stated.append((prop.MAXIMUM_QOS, max_qos))
    return _encode(session_present, 0, stated)


def refuse(version: int, v3_code: int, v5_code: int, *, max_qos: int = 2) -> bytes:
    """A CONNACK that refuses, with the return code or the reason code that the version knows.

    `max_qos` is the listener's: MQTT 5.0 clients are told when it is below 2.
    """
    if version < 5:
        return _V3_HEADER + bytes((0, v3_code))
    return _encode(False, v5_code, [(prop.MAXIMUM_QOS, max_qos)] if max_qos < 2 else [])


def _encode(session_present: bool, code: int, stated: list[Property]) -> bytes:
    block = prop.block(stated)
    return b"\x20" + prop.variable(2 + len(block)) + bytes((session_present, code)) + block


def parse(version: int, first: int, body: bytes) -> tuple[int, int, Sequence[Property]]:
    """A CONNACK as (acknowledge flags, return or reason code, properties). Raises ProtocolError.

    A server that does not know MQTT 5.0 answers in the form of MQTT 3, without properties; so may any, then.
    """
    if first != 0x20 or len(body) < 2 or (version < 5 and len(body) > 2):
        raise malformed()
    reader = Reader(body, 2)
    stated = prop.read(reader, lib.MQ_IN_CONNACK) if reader.left else ()
    if reader.left:
        raise malformed()
    return body[0], body[1], stated
