"""The snapshot: everything in one file, read at start, and written whole at intervals, on SIGUSR1 and at the end.

`Snapshot` is a store (mosq.persistence.Store) that keeps no account of single changes; it counts them where
`autosave_on_changes` asks for that. Here is decided when something is written, and what; `snapshot_read` reads
the file, `snapshot_child` has it written while the broker goes on, and `snapshot_write` puts it in its place.

- A save has the state of one moment, however long the writing takes.
- Options count as they are when something is due. Switched off by a reload, nothing is written any more, at the end
  neither; switched on, the broker's state is written, and nothing is read.
"""

from __future__ import annotations

import errno
from time import monotonic

from mosq.core import ffi, lib
from mosq.packets.connect import NEVER
from mosq.persistence import snapshot_read
from mosq.persistence.snapshot_child import Saver
from mosq.persistence.snapshot_write import SaveError

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any

    from mosq.broker import Broker
    from mosq.config import Config
    from mosq.connection import Connection
    from mosq.reactor import Timer
    from mosq.session import Session


class Snapshot:
    """See the top of this file."""

    failing = False

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._reactor = broker.reactor
        self._core = broker.core
        self._config = broker.config
        self._saver = Saver(broker.log, broker.reactor, self._dump)
        self._packets = 0
        """What counts as a change without being one to the core."""
        self._changes_saved = 0
        self._saved_at = int(broker.reactor.now)
        """Second of the monotonic clock at which the interval began."""
        self._timer: Timer | None = None
        self._limit = 0
        """Changes after which to save, 0: however many there are."""

    def restore(self) -> None:
        snapshot_read.restore(path_of(self._config), self._broker)
        self._saved_at = int(monotonic())
        self._await()

    def reload(self, config: Config) -> None:
        self._config = config
        self._await()

    def save(self) -> None:
        if self._config.persistence:
            self._saver.save(path_of(self._config))

    def close(self) -> bool:
        if self._timer is not None:
            self._timer.cancel()
        self._saver.wait()
        if self._config.persistence:
            self._saver.save_last(path_of(self._config))
        return True  # what could not be saved is told, and as in Mosquitto no reason for another exit code

    # What counts

    def answered(self, connection: Connection, counts: bool) -> None:
        self._packets += counts

    def turn(self) -> None:
        if self._limit and self._changes() - self._changes_saved >= self._limit:
            self._changes_saved = self._changes()
            self.save()

    def _changes(self) -> int:
        return int(self._core.stats.changes) + self._packets

    def _await(self) -> None:
        """Let come what autosave_interval and autosave_on_changes ask for now."""
        config = self._config
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        interval = config.autosave_interval if config.persistence else 0
        self._limit = interval if config.autosave_on_changes else 0
        if interval and not self._limit:
            # More than the interval, in whole seconds: as administrators know it.
            self._timer = self._reactor.call_at(self._saved_at + interval + 1, self._save_in_time)

    def _save_in_time(self) -> None:
        self._saved_at = int(self._reactor.now)
        self._await()
        self.save()

    # What is written

    def _dump(self, fd: int, last: bool) -> None:
        """Write all there is to `fd`, saying whether the broker ends. Raises SaveError. (Also runs in the child.)"""
        writer = lib.mq_writer_new(self._core.c, fd, last)
        if not writer:
            raise SaveError("write", errno.ENOMEM)
        step = "write"
        try:
            lib.mq_writer_messages(writer)
            self._dump_sessions(writer)
            lib.mq_writer_subscriptions(writer)
            lib.mq_writer_retained(writer)
            if not lib.mq_writer_error(writer):
                step = "flush"
        finally:
            number = lib.mq_writer_finish(writer, ffi.NULL)
        if number:
            raise SaveError(step, number)

    def _dump_sessions(self, writer: Any) -> None:
        client = ffi.new("mq_client *")
        now = int(self._reactor.wall)
        for session in self._broker.sessions:
            if session.expiry == 0:
                continue
            name = (session.username or "").encode()
            text = ffi.from_buffer("uint8_t[]", name)
            client.expires = _end_of(session, now)
            client.interval = session.expiry
            client.username = text if session.username is not None else ffi.NULL
            client.username_n = len(name)
            client.port = session.listener.port if session.listener is not None else 0
            lib.mq_writer_client(writer, session.c, client)

    # What a snapshot finds by itself when it is due

    def client(self, session: Session) -> None:
        pass

    def client_gone(self, session: Session) -> None:
        pass

    def subscribed(self, session: Session, full: bytes, options: int, identifier: int) -> None:
        pass

    def unsubscribed(self, session: Session, full: bytes) -> None:
        pass

    def will(self, session: Session) -> None:
        pass

    def settle(self) -> None:
        pass


def path_of(config: Config) -> str:
    """Where the file is: options persistence_location and persistence_file."""
    name = config.persistence_file
    return name if config.persistence_location is None else f"{config.persistence_location}/{name}"


def _end_of(session: Session, now: int) -> int:
    """The Unix second at which a session ends if its client does not come back, 0: never."""
    if session.ends or session.expiry == NEVER:
        return session.ends
    return now + session.expiry
