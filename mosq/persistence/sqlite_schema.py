"""The database file: its tables, in schema version 1.1.0, and how a file of an earlier version becomes one of this.

The schema is that of Mosquitto's persist-sqlite plugin, so that each of the two opens what the other left. One thing is
different in files made here: columns of text are declared TEXT. The plugin says STRING, which SQLite takes for numeric,
so that a topic 007 comes back as 7; its files are rewritten once, when they are opened for the first time.

Opening has two steps, for nothing may be changed in a file that turns out to be unusable: everything is read through a
connection that cannot write (`open_to_read`), and only then is the file opened for writing and brought up to date
(`open_to_write`).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from urllib.parse import quote

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.persistence.sqlite_options import Options

COMPONENT = "database_schema"
VERSION = (1, 1, 0)
_BUSY_SECONDS = 0.2
"""Another process may be opening the file just now, or looking into it."""

TABLES: dict[str, tuple[tuple[str, str], ...]] = {
    "base_msgs": (
        ("store_id", "INT64 PRIMARY KEY"),
        ("expiry_time", "INT64"),
        ("topic", "TEXT NOT NULL"),
        ("payload", "BLOB"),
        ("source_id", "TEXT"),
        ("source_username", "TEXT"),
        ("payloadlen", "INTEGER"),
        ("source_mid", "INTEGER"),
        ("source_port", "INTEGER"),
        ("qos", "INTEGER"),
        ("retain", "INTEGER"),
        ("properties", "TEXT"),
    ),
    "retains": (("topic", "TEXT PRIMARY KEY"), ("store_id", "INT64")),
    "clients": (
        ("client_id", "TEXT PRIMARY KEY"),
        ("username", "TEXT"),
        ("connection_time", "INT64"),
        ("will_delay_time", "INT64"),
        ("session_expiry_time", "INT64"),
        ("listener_port", "INT"),
        ("max_packet_size", "INT"),
        ("max_qos", "INT"),
        ("retain_available", "INT"),
        ("session_expiry_interval", "INT"),
        ("will_delay_interval", "INT"),
    ),
    "subscriptions": (
        ("client_id", "TEXT NOT NULL"),
        ("topic", "TEXT NOT NULL"),
        ("subscription_options", "INTEGER"),
        ("subscription_identifier", "INTEGER"),
        ("PRIMARY KEY", "(client_id,topic)"),
    ),
    "client_msgs": (
        ("client_id", "TEXT NOT NULL"),
        ("cmsg_id", "INT64"),
        ("store_id", "INT64"),
        ("dup", "INTEGER"),
        ("direction", "INTEGER"),
        ("mid", "INTEGER"),
        ("qos", "INTEGER"),
        ("retain", "INTEGER"),
        ("state", "INTEGER"),
        ("subscription_identifier", "INTEGER"),
    ),
    "wills": (
        ("client_id", "TEXT PRIMARY KEY"),
        ("payload", "BLOB"),
        ("topic", "TEXT NOT NULL"),
        ("payloadlen", "INTEGER"),
        ("qos", "INTEGER"),
        ("retain", "INTEGER"),
        ("properties", "TEXT"),
    ),
    "version_info": (
        ("component", "TEXT NOT NULL"),
        ("major", "INTEGER NOT NULL"),
        ("minor", "INTEGER NOT NULL"),
        ("patch", "INTEGER NOT NULL"),
    ),
}
"""By table its columns and their declarations."""

INDEXES = (
    "CREATE INDEX IF NOT EXISTS client_msgs_client_id ON client_msgs(client_id)",
    "CREATE INDEX IF NOT EXISTS client_msgs_store_id ON client_msgs(store_id,client_id)",
    "CREATE INDEX IF NOT EXISTS retains_storeid ON retains(store_id)",
)


class VersionError(Exception):
    """The schema is newer than this, or nothing that could be one. `version`: the three numbers."""

    def __init__(self, version: tuple[int, int, int]) -> None:
        super().__init__(version)
        self.version = version


def open_to_read(path: str) -> sqlite3.Connection:
    """The database for reading, text as bytes; an empty one if there is no file. Raises sqlite3.Error, VersionError."""
    name = f"file:{quote(os.path.abspath(path))}?mode=ro" if os.path.exists(path) else ":memory:"
    db = sqlite3.connect(name, timeout=_BUSY_SECONDS, uri=True)
    db.text_factory = bytes
    try:
        _check_version(db)
    except (sqlite3.Error, VersionError):
        db.close()
        raise
    return db


def open_to_write(path: str, options: Options) -> sqlite3.Connection:
    """The database for writing, made if need be, as far as its settings go. No transaction is open.

    Raises sqlite3.Error.
    """
    db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        db.execute(f"PRAGMA page_size={options.page_size}")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA foreign_keys=ON")
        db.execute(f"PRAGMA synchronous={options.sync}")
    except sqlite3.Error:
        db.close()
        raise
    return db


def claim(path: str) -> int:
    """Keep other brokers away from the database, for as long as the descriptor that is returned stays open.

    It must not be closed before the connections to the database: that would take their locks from them (POSIX says so
    about any descriptor of a file). Raises OSError: BlockingIOError if another broker has it.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        if isinstance(exc, BlockingIOError):
            os.close(fd)
            raise
    return fd  # file systems that know no such locks have to do without


def bring_up_to_date(db: sqlite3.Connection) -> None:
    """Make what is missing, and of an earlier file one of this version, in one transaction. Raises sqlite3.Error."""
    db.execute("BEGIN IMMEDIATE")
    try:
        for table, columns in TABLES.items():
            db.execute(_create(table, columns))
            _complete(db, table, columns)
        for index in INDEXES:
            db.execute(index)
        _mark(db)
        db.execute("COMMIT")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _mark(db: sqlite3.Connection) -> None:
    """Say which version this is, unless it is said already."""
    found = db.execute("SELECT major,minor FROM version_info WHERE component=?", (COMPONENT,)).fetchone()
    if found != VERSION[:2]:
        db.execute("DELETE FROM version_info WHERE component=?", (COMPONENT,))
        db.execute("INSERT INTO version_info VALUES (?,?,?,?)", (COMPONENT, *VERSION))


def columns_of(db: sqlite3.Connection, table: str) -> dict[str, str]:
    """The columns that a table really has, and their declared types; empty: there is no such table."""
    rows = db.execute("SELECT CAST(name AS BLOB), CAST(type AS BLOB) FROM pragma_table_info(?)", (table,))
    return {name.decode("utf-8", "replace"): kind.decode("utf-8", "replace") for name, kind in rows}


def _check_version(db: sqlite3.Connection) -> None:
    """A file without tables, or without a row about its version, is of the first one."""
    if not columns_of(db, "version_info"):
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # is it a database at all?
        return
    row = db.execute("SELECT major,minor,patch FROM version_info WHERE component=?", (COMPONENT,)).fetchone()
    if row is None:
        return
    version = tuple(number if isinstance(number, int) else -1 for number in row)
    if version[0] != VERSION[0] or not 0 <= version[1] <= VERSION[1]:
        raise VersionError((version[0], version[1], version[2]))


def _create(table: str, columns: tuple[tuple[str, str], ...]) -> str:
    body = ",".join(f"{name} {kind}" for name, kind in columns)
    return f"CREATE TABLE IF NOT EXISTS {table} ({body})"


def _complete(db: sqlite3.Connection, table: str, columns: tuple[tuple[str, str], ...]) -> None:
    """Add the columns that came with later versions, and make text of what is declared STRING."""
    there = columns_of(db, table)
    for name, kind in columns:
        if name not in there and name != "PRIMARY KEY":
            db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
    if "STRING" not in {kind.upper() for kind in there.values()}:
        return
    names = ",".join(name for name, _ in columns)
    values = ",".join(f"CAST({name} AS TEXT)" if kind.startswith("TEXT") else name for name, kind in columns)
    db.execute(f"ALTER TABLE {table} RENAME TO {table}_before")
    db.execute(_create(table, columns))
    db.execute(f"INSERT OR IGNORE INTO {table} (rowid,{names}) SELECT rowid,{values} FROM {table}_before")
    db.execute(f"DROP TABLE {table}_before")
