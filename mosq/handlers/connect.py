"""CONNECT: from the packet to a session on the connection, or to a refusal. MQTT 5.0, sections 3.1.4 and 4.12.

In this order: the packet is read (mosq.packets.connect); the client is authenticated; limits are tested; only then is
anything disturbed: an old connection is closed, its session goes on or ends, the new one begins, CONNACK is sent, and
what waits for the session follows. A refused client leaves nothing behind: no session, no will, no connect line.
"""

from __future__ import annotations

from mosq import faults
from mosq.auth import methods
from mosq.auth.chain import ALLOW, ASIDE, LATER, Request, Verdict
from mosq.connection import ACTIVE, EXCHANGING, NEW, WAITING
from mosq.core import lib
from mosq.packets import auth, connack, connect
from mosq.packets.error import ProtocolError
from mosq.packets.reasons import (
    BAD_AUTHENTICATION_METHOD,
    CONTINUE_AUTHENTICATION,
    NOT_AUTHORIZED,
    V3_BAD_USER_NAME_OR_PASSWORD,
    V3_IDENTIFIER_REJECTED,
    V3_NOT_AUTHORIZED,
    V3_SERVER_UNAVAILABLE,
)

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.auth.methods import Exchange, Step
    from mosq.connection import Connection
    from mosq.faults import Fault
    from mosq.packets.connect import Connect
    from mosq.session import Session


def handle(connection: Connection, first: int, body: bytes) -> None:
    if connection.state != NEW:
        connection.end(faults.SECOND_CONNECT)
        return
    broker = connection.broker
    broker.counters.connects += 1
    listener = connection.listener
    packet = connect.parse(first, body, connection.peer, broker.rules[listener])
    connection.version = packet.version
    options = listener.config
    proven = listener.secure is not None and (options.use_identity_as_username or options.use_subject_as_username)
    if proven and not _take_identity(connection, packet):
        return
    if options.use_username_as_clientid and not _take_username(connection, packet):
        return
    if packet.client_id in broker.waiting:
        connection.end(faults.UNKNOWN, name=packet.client_id)
        return
    request = Request(
        packet.client_id, packet.username, packet.password, connection.address, listener.config, packet.version
    )
    if packet.auth_method is not None:
        _start_exchange(connection, packet, packet.auth_method, request)
        return
    verdict = ALLOW if proven else broker.auth.authenticate(request)
    if verdict is LATER or verdict is ASIDE:
        _wait(connection, packet, request, alone=verdict is LATER)
    else:
        _decide(connection, packet, verdict)


# ---- who is it


def _take_identity(connection: Connection, packet: Connect) -> bool:
    """use_identity_as_username, use_subject_as_username: what CONNECT says about the user counts for nothing.

    False: refused, since the client has not proved to be anybody.
    """
    packet.username = connection.identity()
    packet.password = None
    if packet.username is None:
        refuse(connection, packet, faults.NO_IDENTITY, V3_BAD_USER_NAME_OR_PASSWORD)
    return packet.username is not None


def _take_username(connection: Connection, packet: Connect) -> bool:
    """use_username_as_clientid. False: refused, since there is no user name."""
    if packet.username is None:
        refuse(connection, packet, faults.of_reason(NOT_AUTHORIZED), V3_NOT_AUTHORIZED)
        return False
    packet.client_id = packet.username
    return True


def _decide(connection: Connection, packet: Connect, verdict: Verdict) -> None:
    if verdict.code == 0:
        establish(connection, packet, verdict.proof)
    elif verdict.code < 0:
        connection.end(faults.UNKNOWN, name=packet.client_id)
    else:
        refuse(connection, packet, faults.of_reason(verdict.code), V3_NOT_AUTHORIZED)


def _wait(connection: Connection, packet: Connect, request: Request, *, alone: bool) -> None:
    """A checker answers later. Until then nothing is read, so the client can do nothing but leave.

    `alone`: no other client may wait under the same identifier.
    """
    broker = connection.broker
    connection.state = WAITING
    connection.watch(0)
    if alone:
        broker.waiting.add(packet.client_id)

    def resolve(verdict: Verdict) -> None:
        if alone:
            broker.waiting.discard(packet.client_id)
        if connection.state != WAITING:
            return
        connection.state = NEW
        broker.guard(connection, _decide, connection, packet, verdict)
        connection.read_held()

    request.resolve = resolve


def _start_exchange(connection: Connection, packet: Connect, name: str, request: Request) -> None:
    method = connection.broker.methods.get(name)
    if method is None:
        refuse(connection, packet, faults.NO_SUCH_METHOD)
        return
    exchange = methods.Exchange(name, method, request, packet)
    connection.exchange = exchange
    settle(connection, exchange, packet, method.start(exchange, packet.auth_data))


def settle(connection: Connection, exchange: Exchange, packet: Connect, step: Step) -> None:
    """Act upon an answer of the method during the first authentication."""
    if step.code == methods.SUCCESS:
        exchange.running = False
        exchange.packet = None
        establish(connection, packet, methods.PROVEN, auth_data=step.data)
    elif step.code == methods.CONTINUE:
        if connection.state == NEW:
            connection.state = EXCHANGING
            lib.mq_conn_begin(connection.c, packet.version)
        send_auth(connection, CONTINUE_AUTHENTICATION, exchange, step)
    elif step.code is None:
        connection.end(faults.UNKNOWN)
    elif step.code == BAD_AUTHENTICATION_METHOD:
        refuse(connection, packet, faults.NO_SUCH_METHOD)
    else:
        refuse(connection, packet, faults.of_reason(step.code))


def send_auth(connection: Connection, code: int, exchange: Exchange, step: Step) -> None:
    """An AUTH packet with what the method has to say, unless it is larger than the client can take."""
    packet = auth.encode(code, exchange.name, step.data)
    if 0 < exchange.largest < len(packet):
        connection.end(faults.OVERSIZE)
        return
    connection.broker.log.debug("Sending AUTH to %s (rc%d, %s)", connection.name, code, exchange.name)
    connection.send(packet)


# ---- may it be here


def refuse(connection: Connection, packet: Connect, fault: Fault, v3_code: int | None = None) -> None:
    """End with a CONNACK that says why: the fault's code for MQTT 5.0, `v3_code` before that (None: none)."""
    code = fault.code if packet.version == 5 else v3_code
    answer = b""
    if code is not None:
        answer = connack.refuse(packet.version, code, code, max_qos=connection.listener.config.max_qos)
    connection.refuse(ProtocolError(None, fault.text, connack=answer), packet.client_id)


def _keepalive(connection: Connection, packet: Connect) -> int | None:
    """The keep alive that counts, in seconds (max_keepalive), or None after refusing who cannot be told another."""
    most = connection.broker.config.max_keepalive
    if not most or 0 < packet.keepalive <= most:
        return packet.keepalive
    if packet.version == 5:
        return most
    refuse(connection, packet, faults.KEEPALIVE_TOO_LONG, V3_IDENTIFIER_REJECTED)
    return None


def establish(connection: Connection, packet: Connect, proof: object, auth_data: bytes | None = None) -> None:
    """The client is who it says it is, by `proof` (Session.proof): test the limits, and give it its session."""
    broker = connection.broker
    sessions, limit = broker.sessions, broker.config.global_max_clients
    old = sessions.by_id.get(packet.client_id)
    if old is None and 0 < limit <= len(sessions):
        refuse(connection, packet, faults.LIMIT_REACHED)
        return
    keepalive = _keepalive(connection, packet)
    if keepalive is None:
        return
    store = broker.store
    if store is not None and store.failing and (packet.session_expiry != 0 or (old is not None and old.kept)):
        refuse(connection, packet, faults.STORE_FAILS, V3_SERVER_UNAVAILABLE)
        return
    resumed = old is not None and _claim(connection, old, packet.clean_start)
    session = old if old is not None and resumed else sessions.create(packet.client_id)
    _fill(connection, session, packet, proof)
    if broker.config.connection_messages:
        _log_connect(connection, packet)
    encryption = connection.encryption()
    if encryption is not None:
        broker.log.notice("Client %s negotiated %s cipher %s", packet.client_id, *encryption)
    _accept(connection, session, packet, keepalive)
    answer = _connack(connection, packet, resumed, keepalive, auth_data)
    if packet.maximum_packet_size and len(answer) > packet.maximum_packet_size:
        connection.end(faults.OVERSIZE)
        return
    broker.log.debug("Sending CONNACK to %s (%d, 0)", packet.client_id, resumed and packet.version > 3)
    connection.send(answer)
    if store is not None:
        store.answered(connection, not packet.clean_start)
    if resumed:
        lib.mq_conn_resume(connection.c)


# ---- the session


def _claim(connection: Connection, old: Session, clean: bool) -> bool:
    """Take the identifier from its session, and its connection if there is one. True: the session goes on.

    Of a session that comes from a store, and that nobody has connected to since, nothing is taken over.
    """
    broker = connection.broker
    if broker.config.connection_messages and old.address is not None:
        fault = faults.TAKEN_OVER
        broker.log.notice("Client %s [%s:%d] disconnected: %s", old.client_id, old.address, old.port, fault.text)
    if old.connection is not None:
        old.connection.taken_over()
    return broker.sessions.claim(old, clean)


def _fill(connection: Connection, session: Session, packet: Connect, proof: object) -> None:
    """What CONNECT says about the session."""
    connection.session = session
    session.connection = connection
    session.listener = connection.listener.config
    session.username = packet.username
    session.password = packet.password
    session.proof = proof
    session.bridge = packet.bridge
    session.address = connection.address
    session.port = connection.port
    session.max_packet = packet.maximum_packet_size
    sessions = connection.broker.sessions
    sessions.set_expiry(session, packet.session_expiry)
    sessions.set_will(session, packet.will)
    sessions.keep(session)
    connection.broker.introduce(session)


def _accept(connection: Connection, session: Session, packet: Connect, keepalive: int) -> None:
    """Tell the core the terms of the connection; from here on packets flow."""
    broker, listener = connection.broker, connection.listener.config
    terms = broker.terms
    terms.version = packet.version
    terms.max_qos = listener.max_qos
    terms.bridge = packet.bridge
    terms.keepalive = keepalive
    terms.alias_max_in = listener.max_topic_alias
    terms.alias_max_out = min(packet.topic_alias_maximum, listener.max_topic_alias_broker)
    terms.receive_max = packet.receive_maximum or broker.config.max_inflight_messages
    terms.max_packet_out = packet.maximum_packet_size
    lib.mq_conn_accept(connection.c, session.c, terms)
    connection.state = ACTIVE


# ---- what is said


def _connack(connection: Connection, packet: Connect, resumed: bool, keepalive: int, auth_data: bytes | None) -> bytes:
    if packet.version < 5:
        return connack.accept(packet.version, resumed, maximum_packet_size=0, receive_maximum=0)
    config, listener = connection.broker.config, connection.listener.config
    return connack.accept(
        5,
        resumed,
        maximum_packet_size=config.max_packet_size,
        receive_maximum=config.max_inflight_messages,
        topic_alias_maximum=listener.max_topic_alias,
        server_keep_alive=keepalive if keepalive != packet.keepalive else None,
        assigned_client_id=packet.client_id if packet.generated else None,
        auth_method=packet.auth_method,
        auth_data=auth_data,
        retain_available=config.retain_available,
        max_qos=listener.max_qos,
    )


def _log_connect(connection: Connection, packet: Connect) -> None:
    log = connection.broker.log
    log.notice(
        "New %s connected from %s:%d as %s (p%d, c%d, k%d%s).",
        "bridge" if packet.bridge else "client",
        connection.address,
        connection.port,
        packet.client_id,
        packet.version,
        packet.clean_start,
        packet.keepalive,
        "" if packet.username is None else f", u'{packet.username}'",
    )
    if not log.debugging:
        return
    will = packet.will
    if will is None:
        log.debug("No will message specified.")
    else:
        log.debug("Will message specified (%d bytes) (r%d, q%d).", len(will.payload), will.retain, will.qos)
        log.debug("\t%s", will.topic.decode())
