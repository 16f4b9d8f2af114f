"""What keeps sessions and messages beyond the process: the interface between the broker and its store.

A broker has one `Store` or none (`Broker.store`); without one nothing is paid. Messages reach the store by themselves:
from the core's journal (csrc/durable.h) or by a walk through memory. Sessions, subscriptions and wills are Python's,
and each change of them is told here at the moment when it happens. Who tells: `mosq.session.Sessions` everything about
sessions and wills, `mosq.handlers` subscriptions and answers, `mosq.broker.Broker` the rest.

A session is told of only while it is *kept* (`Session.kept`): from the CONNECT that gives it an expiry interval that is
not 0, or from its restoration, until it ends or a later CONNECT or DISCONNECT makes the interval 0.
"""

from __future__ import annotations

from mosq.config.features import PERSIST_SQLITE, built_in, is_misplaced

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Protocol

    from mosq.broker import Broker
    from mosq.config import Config
    from mosq.connection import Connection
    from mosq.session import Session
else:
    Protocol = object


TWO_STORES = ("E", "Error: `persistence true` cannot be used with a persistence plugin.")
CLOSED = ("I", "Sqlite persistence: Closed DB")
REFUSED = "Error: Plugin returned %d when initialising."


class StoreError(Exception):
    """The store cannot be used, and the broker cannot start. `lines`: (level, text) for the log; `code`: exit code."""

    def __init__(self, lines: list[tuple[str, str]], code: int) -> None:
        super().__init__(lines, code)
        self.lines = lines
        self.code = code


class Store(Protocol):
    """See the top of this file. In the order of a broker's life."""

    failing: bool
    """Nothing can be kept now: what would have to be kept is refused. Always False where that cannot happen."""

    def restore(self) -> None:
        """Fill the broker, before anything is accepted: sessions with `Sessions.restore`, the rest in the core.

        The core's clock is set and the options are in force. When this has returned, the broker introduces the sessions
        to the core and lets those end whose time has come. Raises StoreError; then no other method is called, and
        whatever was opened has been closed again.
        """

    def client(self, session: Session) -> None:
        """A kept session began, was resumed, or went offline: all that is known of it may have changed, but its will.

        `session.ends` is 0 while it is connected; it is set, unless the session never expires, when it goes offline and
        when the broker stops.
        """

    def client_gone(self, session: Session) -> None:
        """A kept session ended, or is not to outlive its connection any more. Its subscriptions go with it."""

    def subscribed(self, session: Session, full: bytes, options: int, identifier: int) -> None:
        """A kept session subscribed, anew or again. `full`: with mount point, shared ones with `$share` and group.

        `options`: the byte of MQTT 5.0 section 3.8.3.1, with the QoS that was granted; `identifier` 0: none.
        """

    def unsubscribed(self, session: Session, full: bytes) -> None:
        """A kept session gave a subscription up."""

    def will(self, session: Session) -> None:
        """`session.will` changed: it was set, or is None since it was published, discarded or cleared.

        Told of every session, kept or not, but never of a session that has no will and had none.
        """

    def answered(self, connection: Connection, counts: bool) -> None:
        """CONNECT was accepted, SUBSCRIBE or UNSUBSCRIBE was processed; the answer waits for the end of the turn.

        `counts`: the packet counts as a change (autosave_on_changes), which a CONNECT for a clean start does not.
        """

    def turn(self) -> None:
        """The turn ends: after this call the core flushes what it does not hold."""

    def settle(self) -> None:
        """In the middle of a turn: make safe what was said so far, if that can be done.

        It is asked for a connection whose held output has to leave now or never.
        """

    def reload(self, config: Config) -> None:
        """A new configuration is in force."""

    def save(self) -> None:
        """SIGUSR1."""

    def close(self) -> bool:
        """The end of a broker that had begun to accept.

        The wills were published, and the sessions that were connected got their end; no connection is closed yet.
        Returns False if something that was promised could not be kept.
        """


def open_store(broker: Broker) -> Store | None:
    """The store that a plugin line of the broker's configuration asks for. Raises StoreError."""
    plugin = built_in(broker.config, PERSIST_SQLITE)
    if plugin is None:
        if is_misplaced(broker.config, PERSIST_SQLITE):
            broker.log.warning("Warning: %s is loaded for a listener, where it keeps nothing.", PERSIST_SQLITE)
        return None
    if broker.config.persistence:
        lines = [TWO_STORES, ("E", "Sqlite persistence: Unable to register plugin (3)"), CLOSED, ("E", REFUSED % 3)]
        raise StoreError(lines, 3)
    from mosq.persistence.sqlite import activate  # sqlite3 takes a megabyte

    return activate(broker, plugin)


def open_snapshot(broker: Broker, config: Config) -> Store | None:
    """The store that `persistence true` asks for."""
    if not config.persistence:
        return None
    from mosq.persistence.snapshot import Snapshot

    return Snapshot(broker)
