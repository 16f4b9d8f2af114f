"""The durable store: an SQLite database that is kept up to date, so that a broker that was killed goes on where it was.

Its name, options, messages and schema are those of Mosquitto's persist-sqlite plugin. What it promises depends on
`plugin_opt_flush_period`:

- 0: nothing that acknowledges something leaves before what it acknowledges is committed. The core holds such output
  (csrc/durable.h) until this module says so. A turn need not commit at once: as long as the oldest change has waited
  for less time than the commit would take, it pays to wait, since subscribers acknowledge meanwhile and many rows never
  have to be written (`_may_wait`).
- otherwise: nothing waits; a commit every so many seconds, or earlier when a lot has gathered.

`plugin_opt_sync` says whether a commit survives the end of the process only, or that of the machine, too.

A commit that fails leaves all as it was: what the journal gave out and what Python said stays here, in order, and
is tried again every second. Until that succeeds nothing more is taken from the journal, which goes on collecting net
changes, and what would have to be kept is refused. Held output is thrown away with its connections: it must not leave.
"""

from __future__ import annotations

import os
import sqlite3
from time import monotonic

from mosq import faults
from mosq.core import ffi, lib
from mosq.persistence import CLOSED, REFUSED, TWO_STORES, StoreError, sqlite_options, sqlite_schema
from mosq.persistence.sqlite_restore import Restoration, RestoreError
from mosq.persistence.sqlite_rows import Batch, Pending, drain

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.broker import Broker
    from mosq.config import Config
    from mosq.config.model import PluginConfig
    from mosq.connection import Connection
    from mosq.reactor import Timer
    from mosq.session import Session

_NO_FILE = "Warning: Sqlite persistence plugin has no plugin_opt_db_file defined. The plugin will not be activated."
_CANNOT_OPEN, _UNKNOWN_VERSION = 13, 3
"""Exit codes."""

_RETRY = 1.0
"""Seconds between two tries to commit while that fails."""
_LONGEST_WAIT = 0.005
_WORTH_WAITING = 0.0001
"""Seconds: how long acknowledgements may wait for a commit that is put off, and what its rows have to cost at least."""
_SLEEP = 0.001
"""Seconds: the shortest time that the reactor can wait. In less, it turns without waiting, and lets others run."""
_GATHERED = 4096
"""Rows that are committed before the flush period is over: so many cost some hundredths of a second."""
_GATHERED_BYTES = 16 << 20
"""The same for payloads: a commit copies them."""
_ROW_COST = 8e-6
"""Seconds per row, as a first guess."""
_LAST_PATIENCE = 10_000
"""Milliseconds to wait at the end for somebody who has locked the database."""
_QUOTA = 0x97


def activate(broker: Broker, plugin: PluginConfig) -> SqliteStore | None:
    """The store that a plugin line asks for, None after a warning if it does not say where. Raises StoreError."""
    options = sqlite_options.read(broker.config, plugin)
    if options is None:
        broker.log.warning(_NO_FILE)
        return None
    return SqliteStore(broker, options)


class SqliteStore:
    """See the top of this file; the methods are those of `mosq.persistence.Store`."""

    def __init__(self, broker: Broker, options: sqlite_options.Options) -> None:
        self.failing = False
        self._broker = broker
        self._core = broker.core.c
        self._stats = broker.core.stats
        self._stored = 0
        self._options = options
        self._holds = options.flush_period == 0
        self._db: sqlite3.Connection
        self._claim: int
        self._pending = Pending()
        self._batches: list[Batch] = []
        self._since: float | None = None
        self._row_cost = _ROW_COST
        self._timer: Timer | None = None
        self._held = ffi.new("uint32_t[64]")
        lib.mq_core_journal(self._core, 1)

    # Life

    def restore(self) -> None:
        for table, row in self._read():
            self._pending.garbage(table, row)
        self._open()
        self._stored = self._stats.stored_bytes
        lib.mq_core_hold(self._core, self._holds)
        if not self._holds:
            self._tick()

    def _read(self) -> list[tuple[str, int]]:
        """Fill the broker. Returns the rows that mean nothing."""
        try:
            db = sqlite_schema.open_to_read(self._options.path)
        except sqlite_schema.VersionError as exc:
            version = ".".join(map(str, exc.version))
            raise _plugin_error(f"Unknown database_schema version {version}", _UNKNOWN_VERSION) from exc
        except sqlite3.Error as exc:
            raise self._unusable(exc) from exc
        restoration = Restoration(self._broker, db)
        try:
            restoration.run()
        except RestoreError as exc:
            text = f"sqlite: Error restoring {exc.what}: {exc.text}"
            raise StoreError([("E", text), *_closed(_CANNOT_OPEN)], _CANNOT_OPEN) from exc
        finally:
            db.close()
        return restoration.garbage

    def _tables_error(self, exc: sqlite3.Error) -> StoreError:
        """The message has the name of the code and the text of the error, which mostly are the same."""
        code = _code_of(exc)
        if code == sqlite3.SQLITE_BUSY:
            return self._unusable(exc)
        name = "SQL logic error" if code == sqlite3.SQLITE_ERROR else str(exc)
        return _plugin_error(f"Error creating tables: {name} {exc}", code)

    def _unusable(self, exc: sqlite3.Error) -> StoreError:
        if _code_of(exc) == sqlite3.SQLITE_CANTOPEN:
            return _plugin_error(f"Error opening {self._options.path}: {exc}", _CANNOT_OPEN)
        return _plugin_error(f"Error opening database: {exc}", _CANNOT_OPEN)

    def _open(self) -> None:
        path = self._options.path
        try:
            self._db = sqlite_schema.open_to_write(path, self._options)
        except sqlite3.Error as exc:
            raise self._unusable(exc) from exc
        try:
            self._claim = sqlite_schema.claim(path)
        except OSError as exc:
            self._db.close()
            raise _plugin_error("Error opening database: database is locked by another broker", _CANNOT_OPEN) from exc
        try:
            sqlite_schema.bring_up_to_date(self._db)
        except sqlite3.Error as exc:
            self._db.close()
            os.close(self._claim)
            raise self._tables_error(exc) from exc

    def reload(self, config: Config) -> None:
        if config.persistence:  # everything else is settled at the start
            self._broker.log.error(TWO_STORES[1])

    def save(self) -> None:
        pass  # it is up to date

    def close(self) -> bool:
        log = self._broker.log
        if self._timer is not None:
            self._timer.cancel()
        kept = True
        try:
            self._db.execute(f"PRAGMA busy_timeout={_LAST_PATIENCE}")  # nobody waits for the broker any more
            self._write()
        except (sqlite3.Error, MemoryError) as exc:
            self._roll_back()
            self._end_held()
            kept = False
            log.error("Error: Sqlite persistence: Closing final transaction %s", exc)
        else:
            lib.mq_core_committed(self._core)
        try:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as exc:
            log.warning("Warning: Sqlite persistence: Final  wal_checkpoint  %s", exc)
        try:
            self._db.close()
        except sqlite3.Error as exc:
            log.warning("Warning: Sqlite persistence: Error closing database: %s", exc)
        os.close(self._claim)
        log.info(CLOSED[1])
        return kept

    # What happens in the broker

    def client(self, session: Session) -> None:
        now = int(self._broker.reactor.wall)
        if session.connection is not None:
            self._pending.client(session, now, self._broker.config.retain_available)
        else:
            self._pending.offline(session, now)

    def client_gone(self, session: Session) -> None:
        self._pending.client_gone(session.client_id)

    def subscribed(self, session: Session, full: bytes, options: int, identifier: int) -> None:
        self._pending.subscribed(session.client_id, full.decode(), options, identifier)

    def unsubscribed(self, session: Session, full: bytes) -> None:
        self._pending.unsubscribed(session.client_id, full.decode())

    def will(self, session: Session) -> None:
        self._pending.will(session.client_id, session.will)

    def answered(self, connection: Connection, counts: bool) -> None:
        if self._pending and not self.failing:
            lib.mq_conn_promise(connection.c)

    # When to commit

    def turn(self) -> None:
        if self.failing:
            self._end_held()
            return
        rows = lib.mq_journal_pending(self._core) + len(self._pending)
        if not self._holds:
            if rows >= _GATHERED or self._stats.stored_bytes - self._stored >= _GATHERED_BYTES:
                self._commit()
        elif rows == 0:
            self._since = None
            lib.mq_core_committed(self._core)
        elif not self._may_wait(rows):
            self._commit()

    def settle(self) -> None:
        if self._holds and not self.failing:
            self._commit()

    def _may_wait(self, rows: int) -> bool:
        cost = rows * self._row_cost
        if cost < _WORTH_WAITING:
            return False
        now = monotonic()
        if self._since is None:
            self._since = now
        left = min(cost, _LONGEST_WAIT) - (now - self._since)
        if left <= 0:
            return False
        if left < _SLEEP:
            self._broker.reactor.call_soon(os.sched_yield)
        elif self._timer is None or not self._timer.active:
            self._timer = self._broker.reactor.call_later(_SLEEP, _nothing)
        return True

    def _tick(self) -> None:
        """flush_period is over."""
        self._timer = self._broker.reactor.call_later(self._options.flush_period, self._tick)
        if not self.failing:
            self._commit()

    # Committing

    def _commit(self) -> None:
        start = monotonic()
        try:
            rows = self._write()
        except (sqlite3.Error, MemoryError) as exc:
            self._roll_back()
            self._fail(exc)
            return
        self._since = None
        if rows > 100:  # of fewer, most of the time is that of the commit itself
            self._row_cost += ((monotonic() - start) / rows - self._row_cost) / 8
        lib.mq_core_committed(self._core)

    def _write(self) -> int:
        """Everything there is; first by itself what could not be written the last time. Returns how many rows.

        Raises sqlite3.Error, MemoryError.
        """
        rows = self._transaction() if self._batches else 0
        more = True
        while more:
            batch, more = drain(self._core)
            if batch.n:
                self._batches.append(batch)
        return rows + self._transaction()

    def _transaction(self) -> int:
        rows = len(self._pending) + sum(batch.n for batch in self._batches)
        if rows == 0:
            return 0
        self._db.execute("BEGIN IMMEDIATE")
        self._pending.write(self._db)  # first: a new message may have got the number of a row that goes
        for batch in self._batches:
            batch.write(self._db)
        self._db.execute("COMMIT")
        self._batches.clear()
        self._pending.clear()
        self._stored = self._stats.stored_bytes
        return rows

    def _roll_back(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # the error that led here is told

    # Failing

    def _fail(self, exc: sqlite3.Error | MemoryError) -> None:
        """The first commit that fails, or the first after one that did not."""
        self.failing = True
        self._since = None
        self._broker.log.error("Error: Sqlite persistence: Unable to write to %s: %s", self._options.path, exc)
        lib.mq_core_refuse(self._core, _QUOTA)
        self._end_held()
        self._broker.reactor.call_later(_RETRY, self._try_again)

    def _try_again(self) -> None:
        try:
            self._write()
        except (sqlite3.Error, MemoryError):
            self._roll_back()
            self._broker.reactor.call_later(_RETRY, self._try_again)
            return
        self.failing = False
        self._broker.log.notice("Sqlite persistence: Writing to %s works again.", self._options.path)
        lib.mq_core_refuse(self._core, 0)
        lib.mq_core_committed(self._core)

    def _end_held(self) -> None:
        """Throw away what was promised, and end its connections: their clients will ask again."""
        while n := lib.mq_core_held(self._core, self._held, len(self._held)):
            for owner in ffi.unpack(self._held, n):
                connection = self._broker.connections[owner]
                lib.mq_conn_discard(connection.c)
                connection.end(faults.FAULTS[lib.MQ_STORE])


def _nothing() -> None:
    """Only to end the wait of the reactor."""


def _code_of(exc: sqlite3.Error) -> int:
    """The primary result code of SQLite."""
    return int(getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def _closed(code: int) -> list[tuple[str, str]]:
    return [("E", REFUSED % code), CLOSED]


def _plugin_error(text: str, code: int) -> StoreError:
    return StoreError([("E", f"Sqlite persistence: {text}"), *_closed(code)], code)
