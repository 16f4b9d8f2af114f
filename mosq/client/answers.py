"""Packets from the server that Python handles: one function for each, called with the client, first byte and body.

They raise ProtocolError for what cannot be read and ClientError for what may not be said now; `Client.guarded` makes
the end of the connection of it.
"""

from __future__ import annotations

from mosq.client import errors, lines
from mosq.client.errors import ClientError
from mosq.client.handler import Connack, Refusal
from mosq.core import lib
from mosq.packets import connack, connect, disconnect, suback, unsuback
from mosq.packets.error import malformed
from mosq.packets.properties import ASSIGNED_CLIENT_ID, REASON_STRING, read
from mosq.packets.reader import Reader

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mosq.client.engine import Client
    from mosq.core import Property

_SUBACK, _UNSUBACK, _PINGRESP, _AUTH = 9, 11, 13, 15
_UNSUPPORTED_VERSION = 132


def on_connack(client: Client, first: int, body: bytes) -> None:
    """CONNACK (MQTT 5.0, section 3.2), for a client that waits for it or has had it."""
    if client.is_up:
        client.show(lines.duplicate_connack(client.name))
        raise ClientError(errors.PROTOCOL)
    version = client.version
    flags, code, stated = connack.parse(version, first, body)
    if version > 3 and flags & 0xFE:
        client.show(lines.connack_flags(client.name, flags))
        raise ClientError(errors.PROTOCOL)
    old_style = version == 5 and len(body) == 2
    if old_style and code == 1:
        code = _UNSUPPORTED_VERSION
    if version == 5 and not code:
        _learn(client, stated)
    client.show(lines.connack(client.name, code))
    answer = Connack(version, code, bool(flags & 1) and version > 3, stated)
    if code:
        client.refused(answer, old_style=old_style)
    elif answer.session_present and client.settings.clean_start:
        client.show(lines.session_present(client.name))
        raise ClientError(errors.PROTOCOL)
    else:
        client.accepted(answer)


def _learn(client: Client, stated: Sequence[Property]) -> None:
    """What the server says of itself, and the identifier that it assigns."""
    client.limits.learn(stated)
    for identifier, value in stated:
        if identifier == ASSIGNED_CLIENT_ID and isinstance(value, bytes):
            if client.client_id:
                raise ClientError(errors.PROTOCOL)
            client.client_id = value


def on_suback(client: Client, first: int, body: bytes) -> None:
    """SUBACK (section 3.9)."""
    mid, codes, stated = suback.parse(client.version, first, body)
    client.debug(lines.packet, False, _SUBACK)
    client.handler.suback(mid, codes, stated)


def on_unsuback(client: Client, first: int, body: bytes) -> None:
    """UNSUBACK (section 3.11)."""
    mid, codes, stated = unsuback.parse(client.version, first, body)
    client.debug(lines.packet, False, _UNSUBACK)
    client.handler.unsuback(mid, codes, stated)


def on_pingresp(client: Client, first: int, body: bytes) -> None:
    """PINGRESP (section 3.13)."""
    client.debug(lines.packet, False, _PINGRESP)
    client.ping_answered()


def on_disconnect(client: Client, first: int, body: bytes) -> None:
    """DISCONNECT (section 3.14). Before MQTT 5.0 only clients send it."""
    if client.version < 5:
        raise ClientError(errors.PROTOCOL)
    reason = disconnect.parse(5, first, body, "", connect.NEVER).reason
    client.show(lines.disconnect(reason))
    client.fail(ClientError(errors.NO_CONNECTION if reason else errors.SUCCESS, reason=reason))


def on_auth(client: Client, first: int, body: bytes) -> None:
    """AUTH (section 3.15): there is no extended authentication here."""
    client.debug(lines.packet, False, _AUTH)
    if client.version < 5:
        raise ClientError(errors.PROTOCOL)
    if first != 0xF0:
        raise malformed()
    if len(body) > 1:
        reader = Reader(body, 1)
        read(reader, lib.MQ_IN_AUTH)
        if reader.left:
            raise malformed()
    raise ClientError(errors.NOT_AUTHORISED)


def on_refusal(client: Client, first: int, body: bytes) -> None:
    """PUBACK, PUBREC or PUBCOMP that refuses. The core has handled it, so it is well-formed."""
    said = b""
    if len(body) > 3:
        for identifier, value in read(Reader(body, 3), lib.MQ_IN_ACK):
            if identifier == REASON_STRING and isinstance(value, bytes):
                said = value
    client.handler.refused(Refusal(body[0] << 8 | body[1], first >> 4, body[2], said))


ANSWERS: dict[int, Callable[[Client, int, bytes], None]] = {
    2: on_connack,
    4: on_refusal,
    5: on_refusal,
    7: on_refusal,
    9: on_suback,
    11: on_unsuback,
    13: on_pingresp,
    14: on_disconnect,
    15: on_auth,
}
"""By packet type."""
BEFORE_UP = frozenset({2, 14, 15})
"""What a server may send before it has accepted."""
