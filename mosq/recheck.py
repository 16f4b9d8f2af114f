"""After a reload: may everybody who was let in before still be here?

Asked for every session, also for those without a connection, in the order of the questions in `_judge`. Who fails loses
the connection without a word, and its will is not published; the session stays as long as it may. What has to be
computed first is acted upon when it is known; until then nothing changes.
"""

from __future__ import annotations

from mosq import faults, transport
from mosq.auth import methods
from mosq.auth.chain import ASIDE, Request, Verdict

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.broker import Broker
    from mosq.config import ListenerConfig
    from mosq.session import Session


def everybody(broker: Broker) -> None:
    """Judge all sessions by the broker's present configuration."""
    for session in list(broker.sessions):
        if session.proof is methods.PROVEN:  # passwords and the anonymous rule never mattered for this one
            continue
        listener = _listener_of(broker, session)
        if listener is None:
            _fail(broker, session)
        else:
            _judge(broker, session, listener)


def _listener_of(broker: Broker, session: Session) -> ListenerConfig | None:
    """The listener that a session uses, or used last, as it is configured now."""
    if session.connection is not None:
        return session.connection.listener.config
    for listener in broker.acceptor.listeners:
        if session.listener is not None and listener.config.same_place(session.listener):
            return listener.config
    return None


def _judge(broker: Broker, session: Session, listener: ListenerConfig) -> None:
    if session.username is None and not broker.config.allows_anonymous(listener):
        _fail(broker, session)
        return
    connection = session.connection
    if transport.proves_identity(listener):
        _judge_identity(broker, session)
        return
    version = connection.version if connection is not None else 0
    address = session.address or ""
    request = Request(
        session.client_id,
        session.username,
        session.password,
        address,
        listener,
        version,
        again=True,
        proof=session.proof,
    )

    def resolve(verdict: Verdict) -> None:
        if broker.sessions.by_id.get(session.client_id) is session and session.connection is connection:
            _act(broker, session, verdict)

    verdict = broker.auth.authenticate(request)
    if verdict is ASIDE:
        request.resolve = resolve
    else:
        _act(broker, session, verdict)


def _judge_identity(broker: Broker, session: Session) -> None:
    """The name is that of the certificate or key, which may be another one now; without a connection there is none."""
    connection = session.connection
    name = connection.identity() if connection is not None else None
    if name is not None:
        session.username = name
    elif connection is not None:
        connection.end(faults.NAMELESS, publish_will=False)
    else:
        broker.sessions.set_will(session, None)


def _act(broker: Broker, session: Session, verdict: Verdict) -> None:
    if verdict.code == 0:
        session.proof = verdict.proof
    else:
        _fail(broker, session)


def _fail(broker: Broker, session: Session) -> None:
    if session.connection is not None:
        session.connection.end(faults.CLEAN, publish_will=False)
    else:
        broker.sessions.set_will(session, None)
