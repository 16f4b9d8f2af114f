"""Sessions: what outlives a connection, and for how long. MQTT 5.0, sections 3.1.2.11.2 and 4.1.

A `Session` pairs the core's session (subscriptions, queues, windows) with what the broker decides about it. All rules
about its life are in `Sessions`, which is the only place where sessions begin and end:

- `expiry` 0 lives as long as its connection; NEVER until somebody removes it; anything between that many seconds after
  the connection ended, but no longer than `persistent_client_expiration`.
- While a session has a connection, it has no timer. Without one it has a timer if its will or its end is still to come:
  one timer for whichever is first. `ends` says when that end is by the calendar, for who writes it down.
- A will is published or discarded exactly once: afterwards `will` is None.
- A session whose expiry is not 0 is kept by the store, if there is one (mosq.persistence), which hears of each change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mosq.core import lib
from mosq.packets.connect import NEVER

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any, Protocol

    from mosq.config import ListenerConfig
    from mosq.connection import Connection
    from mosq.core import Core
    from mosq.log import Log
    from mosq.packets.connect import Will
    from mosq.persistence import Store
    from mosq.reactor import Timer

    class Clock(Protocol):
        """The part of the reactor that sessions need."""

        now: float
        wall: float

        def call_at(self, when: float, fn: Callable[..., object], *args: Any) -> Timer: ...


class Session:
    """One client identifier's state. `c` is the core's part. `address` and `port` are those of the last connection.

    `password` is kept since a reload may ask for it again; `proof` says why the client was let in (mosq.auth.chain).
    `ends`: the Unix second at which it expires, 0 while it is connected or if it never does. `max_packet`: the Maximum
    Packet Size of the last CONNECT, 0 = none. `kept`: the store has it. `address` None: nobody has connected to it yet.
    """

    __slots__ = (
        "c",
        "client_id",
        "connection",
        "listener",
        "username",
        "password",
        "proof",
        "bridge",
        "expiry",
        "will",
        "timer",
        "address",
        "port",
        "ends",
        "max_packet",
        "kept",
    )

    def __init__(self, c: Any, client_id: str) -> None:
        self.c = c
        self.client_id = client_id
        self.connection: Connection | None = None
        self.listener: ListenerConfig | None = None
        self.username: str | None = None
        self.password: bytes | None = None
        self.proof: object = None
        self.bridge = False
        self.expiry = 0
        self.will: Will | None = None
        self.timer: Timer | None = None
        self.address: str | None = None
        self.port = 0
        self.ends = 0
        self.max_packet = 0
        self.kept = False


class Sessions:
    """All sessions, by client identifier. `expired` counts those that ended by their expiry ($SYS)."""

    __slots__ = ("by_id", "expired", "longest", "store", "_core", "_clock", "_publish_will", "_log")

    def __init__(self, core: Core, clock: Clock, publish_will: Callable[[Session], None], log: Log) -> None:
        self.by_id: dict[str, Session] = {}
        self.expired = 0
        self.longest: int | None = None
        """persistent_client_expiration in seconds, None: no limit."""
        self.store: Store | None = None
        self._core = core
        self._clock = clock
        self._publish_will = publish_will
        self._log = log

    def __len__(self) -> int:
        return len(self.by_id)

    def __iter__(self) -> Iterator[Session]:
        return iter(self.by_id.values())

    def create(self, client_id: str) -> Session:
        """A new session under an identifier that nobody has. Raises MemoryError."""
        name = client_id.encode()
        c = lib.mq_session_new(self._core.c, name, len(name))
        if not c:
            raise MemoryError("no memory for a session")
        session = Session(c, client_id)
        self.by_id[client_id] = session
        return session

    def claim(self, session: Session, clean: bool) -> bool:
        """A new connection claims the identifier of `session`, whose own connection is gone from it already.

        True: the session goes on with the new connection. False: it ended. The will of the connection before is
        published unless the session goes on within the will's delay (MQTT-3.1.3-9).
        """
        session.connection = None
        session.ends = 0
        self._disarm(session)
        if clean or session.expiry == 0:
            self.end(session)
            return False
        if session.will is not None and session.will.delay == 0:
            self._send_will(session)
        self.set_will(session, None)
        return True

    def set_expiry(self, session: Session, expiry: int) -> None:
        """The session expiry interval (seconds) from CONNECT or DISCONNECT."""
        session.expiry = expiry
        lib.mq_session_durable(session.c, expiry != 0)
        if expiry == 0:
            self._keep_no_more(session)

    def set_will(self, session: Session, will: Will | None) -> None:
        """The will from CONNECT; None: it is discarded."""
        if will is not None or session.will is not None:
            session.will = will
            if self.store is not None:
                self.store.will(session)

    def keep(self, session: Session) -> None:
        """Tell the store about a session that is new, was resumed or changed, if it is to outlive its connection."""
        if self.store is not None and session.expiry != 0:
            session.kept = True
            self.store.client(session)

    def _keep_no_more(self, session: Session) -> None:
        if session.kept:
            session.kept = False
            if self.store is not None:
                self.store.client_gone(session)

    def offline(self, session: Session, *, publish_will: bool) -> None:
        """The connection of `session` ended: publish, delay or discard its will, and let it end in its time."""
        session.connection = None
        if not publish_will:
            self.set_will(session, None)
        if session.expiry == 0:
            self.end(session)
            return
        if session.will is not None and session.will.delay == 0:
            self._send_will(session)
        lifetime = self._lifetime(session)
        self._count_down(session, lifetime)
        self._arm(session, None if lifetime is None else self._clock.now + lifetime)

    def end(self, session: Session) -> None:
        """Remove a session without a connection, with all it has. Its will, if pending, is published."""
        self._disarm(session)
        self._send_will(session)
        self._keep_no_more(session)
        del self.by_id[session.client_id]
        lib.mq_session_free(session.c)

    def shut_down(self) -> None:
        """The broker stops: publish every will there is, delayed or not; sessions expire as if they went offline."""
        for session in list(self.by_id.values()):
            self._send_will(session)
        for session in self.by_id.values():
            if session.connection is not None and session.expiry != 0:
                self._count_down(session, self._lifetime(session))

    # Coming back from a store

    def restore(
        self,
        client_id: str,
        *,
        expiry: int,
        ends: int = 0,
        username: str | None = None,
        listener: ListenerConfig | None = None,
        last_mid: int = 0,
    ) -> Session:
        """An offline session from a store, the one there is if it came before. Raises MemoryError.

        `expiry`: its expiry interval (seconds); with 0 it cannot be resumed. `ends`: the Unix second at which it
        expires, 0 if it was connected or never does. `listener`: the one it used last, if it is still there.
        `last_mid`: the packet identifier used last towards the client. Nothing is told to the store, and no timer runs
        until `begin`.
        """
        session = self.by_id.get(client_id)
        if session is None:
            session = self.create(client_id)
            session.username = username
        session.expiry = expiry
        session.ends = ends
        session.listener = listener
        session.kept = True
        lib.mq_session_durable(session.c, 1)
        lib.mq_session_set_last_mid(session.c, last_mid)
        return session

    def begin(self) -> None:
        """All sessions are restored: end those whose time has passed, set the timers of the others.

        The time of a session that was connected when the broker ended begins now.
        """
        for session in list(self.by_id.values()):
            lifetime = self._lifetime(session)
            if lifetime is None:  # a time that is stored all the same counts for nothing
                self._arm(session, None)
                continue
            if session.ends == 0:
                self._count_down(session, lifetime)
            if session.ends < int(self._clock.wall):
                self._expire(session)
            else:
                self._arm(session, self._clock.now + max(0.0, session.ends - self._clock.wall))

    # Wills and ends

    def _send_will(self, session: Session) -> None:
        if session.will is not None:
            self._publish_will(session)
            self.set_will(session, None)

    def _lifetime(self, session: Session) -> int | None:
        """How many seconds a session that goes offline now will live, None: for ever."""
        expiry = session.expiry
        if self.longest is not None and expiry > self.longest:
            expiry = self.longest
        return None if expiry == NEVER else expiry

    def _count_down(self, session: Session, lifetime: int | None) -> None:
        session.ends = 0 if lifetime is None else int(self._clock.wall) + lifetime
        self.keep(session)

    def _arm(self, session: Session, end: float | None) -> None:
        when = end
        if session.will is not None:
            due = self._clock.now + session.will.delay
            when = due if end is None else min(due, end)
        if when is not None:
            session.timer = self._clock.call_at(when, self._on_due, session, end)

    def _disarm(self, session: Session) -> None:
        if session.timer is not None:
            session.timer.cancel()
            session.timer = None

    def _on_due(self, session: Session, end: float | None) -> None:
        session.timer = None
        if end is not None and self._clock.now >= end:
            self._expire(session)
            return
        self._send_will(session)
        self._arm(session, end)

    def _expire(self, session: Session) -> None:
        self._log.notice("Expiring client %s due to timeout.", session.client_id)
        self.expired += 1
        self.end(session)
