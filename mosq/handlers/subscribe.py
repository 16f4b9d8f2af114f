"""SUBSCRIBE: subscribe, answer, and send what is retained. MQTT 5.0, section 3.8.4.

Each filter takes effect before the next is read. The retained messages follow the SUBACK.
"""

from __future__ import annotations

from mosq import faults
from mosq.auth.access import SUBSCRIBE
from mosq.core import lib
from mosq.handlers import active, is_shared, mounted
from mosq.packets import suback, subscribe
from mosq.packets.reasons import NOT_AUTHORIZED, QUOTA_EXCEEDED, V3_SUBACK_FAILURE

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.connection import Connection
    from mosq.session import Session

_QOS, _NO_LOCAL, _AS_PUBLISHED = 0x03, 0x04, 0x08
_RETAIN_HANDLING_SHIFT = 4
_GRANTED = (lib.MQ_OK, lib.MQ_EXISTS)


def handle(connection: Connection, first: int, body: bytes) -> None:
    session = active(connection, first)
    if session is None:
        return
    log = connection.broker.log
    if first == subscribe.FIRST_BYTE:
        log.debug("Received SUBSCRIBE from %s", session.client_id)
    packet = subscribe.parse(connection.version, first, body, session.client_id, connection.address)
    codes = bytearray()
    retained: list[tuple[bytes, int]] = []
    for topic_filter, options in packet.filters():
        full = mounted(connection, topic_filter)
        options = _terms(session, full, options)
        code, wanted = _subscribe(connection, session, full, options, packet.subscription_id)
        if code is None:
            return
        codes.append(code)
        if wanted:
            retained.append((full, code))
    log.debug("Sending SUBACK to %s", session.client_id)
    connection.send(suback.encode(connection.version, packet.mid, codes))
    if connection.broker.store is not None:
        connection.broker.store.answered(connection, counts=True)
    for full, qos in retained:
        if lib.mq_retained_send(session.c, full, len(full), qos, packet.subscription_id) == lib.MQ_NOMEM:
            raise MemoryError("no memory for retained messages")


def _terms(session: Session, full: bytes, options: int) -> int:
    """The options as they count: no higher QoS than the listener had at CONNECT, and what a bridge always gets."""
    assert session.listener is not None
    qos = min(options & _QOS, session.listener.max_qos)
    if session.bridge:
        options |= _AS_PUBLISHED if is_shared(full) else _AS_PUBLISHED | _NO_LOCAL
    return options & ~_QOS | qos


def _subscribe(
    connection: Connection, session: Session, full: bytes, options: int, identifier: int
) -> tuple[int | None, bool]:
    """The SUBACK code for one filter, and whether retained messages follow. None: it ended the connection."""
    broker, qos, text = connection.broker, options & _QOS, full.decode()
    log = broker.log
    if not broker.access.may(session, SUBSCRIBE, full):
        if connection.version == 3:  # has no code for a refusal (MQTT 3.1, section 3.9)
            log.debug("\t%s (QoS %d)", text, qos)
            return qos, False
        log.debug("\t%s (denied)", text)
        return NOT_AUTHORIZED if connection.version == 5 else V3_SUBACK_FAILURE, False
    store = broker.store if session.kept else None
    if store is not None and store.failing:
        return _refuse(connection), False
    status = lib.mq_subscribe(session.c, full, len(full), options, identifier)
    if status not in _GRANTED:
        connection.end(faults.of_status(status, (0, 0, 0)))
        return None, False
    if store is not None:
        store.subscribed(session, full, options, identifier)
    log.debug("\t%s (QoS %d)", text, qos)
    log.subscribe("%s %d %s", session.client_id, qos, text)
    return qos, not is_shared(full) and _wants_retained(options, status == lib.MQ_OK)


def _refuse(connection: Connection) -> int | None:
    """The code when the subscription cannot be kept. MQTT 3.1 has none: its connection ends."""
    if connection.version == 5:
        return QUOTA_EXCEEDED
    if connection.version == 4:
        return V3_SUBACK_FAILURE
    connection.end(faults.FAULTS[lib.MQ_STORE])
    return None


def _wants_retained(options: int, new: bool) -> bool:
    """Retain handling (MQTT 5.0, section 3.8.3.1); clients before that have 0 there."""
    handling = options >> _RETAIN_HANDLING_SHIFT
    return handling == 0 or (handling == 1 and new)
