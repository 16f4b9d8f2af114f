"""UNSUBSCRIBE: each filter takes effect before the next is read. MQTT 5.0, section 3.10.4."""

from __future__ import annotations

from mosq import faults
from mosq.auth.access import UNSUBSCRIBE
from mosq.core import lib
from mosq.handlers import active, mounted
from mosq.packets import unsuback, unsubscribe
from mosq.packets.reasons import NO_SUBSCRIPTION_EXISTED, NOT_AUTHORIZED, SUCCESS, UNSPECIFIED

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.connection import Connection
    from mosq.session import Session

_CODES = {lib.MQ_OK: SUCCESS, lib.MQ_NONE: NO_SUBSCRIPTION_EXISTED}


def handle(connection: Connection, first: int, body: bytes) -> None:
    session = active(connection, first)
    if session is None:
        return
    log = connection.broker.log
    if first == unsubscribe.FIRST_BYTE:
        log.debug("Received UNSUBSCRIBE from %s", session.client_id)
    packet = unsubscribe.parse(connection.version, first, body, session.client_id)
    codes = bytearray()
    for topic_filter in packet.filters():
        code = _unsubscribe(connection, session, mounted(connection, topic_filter))
        if code is None:
            return
        codes.append(code)
    log.debug("Sending UNSUBACK to %s", session.client_id)
    connection.send(unsuback.encode(connection.version, packet.mid, codes))
    if connection.broker.store is not None:
        connection.broker.store.answered(connection, counts=True)


def _unsubscribe(connection: Connection, session: Session, full: bytes) -> int | None:
    """The UNSUBACK code for one filter. None: it ended the connection."""
    broker = connection.broker
    store = broker.store if session.kept else None
    if store is not None and store.failing:
        return _refuse(connection)
    text = full.decode()
    allowed = broker.access.may(session, UNSUBSCRIBE, full)
    status = lib.mq_unsubscribe(session.c, full, len(full)) if allowed else lib.MQ_NONE
    code = _CODES.get(status)
    if code is None:
        connection.end(faults.of_status(status, (0, 0, 0)))
        return None
    if store is not None and status == lib.MQ_OK:
        store.unsubscribed(session, full)
    broker.log.debug("\t%s", text)
    broker.log.unsubscribe("%s %s", session.client_id, text)
    return code if allowed else NOT_AUTHORIZED


def _refuse(connection: Connection) -> int | None:
    """The code when the end of the subscription cannot be kept. Before MQTT 5.0 there is none: the connection ends."""
    if connection.version == 5:
        return UNSPECIFIED
    connection.end(faults.FAULTS[lib.MQ_STORE])
    return None
