"""migrate_to_persist_sqlite: go over from mosquitto.db to the durable store.

The new database, mosquitto.sqlite3, comes to lie beside the old one, where a broker with the same persistence_location
looks for it, and belongs to the same account. It is written under another name and takes its own when it is whole; one
that is there already is never touched. The configuration follows last, so that whatever goes wrong leaves a broker that
starts as before.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from mmap import ACCESS_READ, mmap

from mosq.cli.replace import ReplaceError, replace
from mosq.persistence import format as db

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FILE = "mosquitto.sqlite3"
_PERSISTENCE = b"persistence true"
_BACKUP = ".conf.old.persistence"


class _CommandError(Exception):
    """The end, with exit code 1: a line for stderr."""


def entry() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))


def main(words: Sequence[str]) -> int:
    """Do what the arguments say. Returns the exit code: 0, or 1 after an error; wrong arguments raise SystemExit(2)."""
    arguments = _parser().parse_args(words)
    try:
        if arguments.conf and not arguments.persist_sqlite_lib:
            raise _CommandError(
                "Error: Cannot migrate mosquitto.conf file. Reason: --persist-sqlite-lib argument is missing"
            )
        configuration = _configuration(arguments.conf, arguments.persist_sqlite_lib) if arguments.conf else None
        if arguments.dump_tool:
            print("Note: the database is read directly, --dump-tool is not needed.", file=sys.stderr)
        _convert(arguments.persistence_db)
        if configuration is not None:
            _replace_configuration(arguments.conf, *configuration)
    except _CommandError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="migrate_to_persist_sqlite",
        description=f"Convert a mosquitto.db into {FILE}, in the same directory, for mosquitto_persist_sqlite.",
        allow_abbrev=False,
    )
    parser.add_argument("--persistence-db", metavar="FILE", required=True, help="the mosquitto.db to convert")
    parser.add_argument("--dump-tool", metavar="FILE", help="accepted for compatibility; no other program is needed")
    parser.add_argument(
        "--conf",
        metavar="FILE",
        help="also put the plugin in place of each `persistence true` in this configuration file; the file as it was"
        f" is kept with the suffix {_BACKUP}",
    )
    parser.add_argument("--persist-sqlite-lib", metavar="FILE", help="how the configuration is to name the plugin")
    return parser


# ---- the database ---------------------------------------------------------------------------------------------------


def _convert(path: str) -> None:
    target = os.path.join(os.path.dirname(path), FILE)
    temporary = f"{target}.new"
    chunks = db.decode(_contents(path))
    if os.path.lexists(target):
        raise _CommandError(f"Error during SQLite3 DB creation. Reason: {target} is there already")
    try:
        _write(chunks, temporary)
        _give(temporary, path)
        os.link(temporary, target)  # unlike a rename, this fails if somebody else was quicker
        _sync(os.path.dirname(target) or ".")
    except db.FormatError as error:
        raise _CommandError(f"Error: Unable to read {path}: {error}") from None
    except (sqlite3.Error, OSError) as error:
        raise _CommandError(f"Error during SQLite3 DB creation. Reason: {error}") from None
    finally:
        _remove(temporary)


def _contents(path: str) -> db.Data:
    try:
        with open(path, "rb") as file:
            return mmap(file.fileno(), 0, access=ACCESS_READ) if os.fstat(file.fileno()).st_size else b""
    except OSError as error:
        raise _CommandError(f"Error: Unable to open {path}: {error.strerror}") from None


def _write(chunks: Iterator[db.Chunk], path: str) -> None:
    """A whole new file, on disk when this returns. Raises FormatError, OSError and sqlite3.Error."""
    from mosq.persistence.migration import migrate
    from mosq.persistence.sqlite_schema import bring_up_to_date

    _remove(path)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.execute("PRAGMA synchronous=FULL")
        bring_up_to_date(database)
        database.execute("BEGIN")
        migrate(chunks, database)
        database.execute("COMMIT")
    finally:
        database.close()


def _give(path: str, like: str) -> None:
    """To the owner of another file, if that can be done: the broker is to write to it."""
    status = os.stat(like)
    try:
        os.chown(path, status.st_uid, status.st_gid)
    except PermissionError:
        pass


def _remove(path: str) -> None:
    for name in (path, f"{path}-journal"):
        try:
            os.unlink(name)
        except FileNotFoundError:
            pass


def _sync(directory: str) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# ---- the configuration ----------------------------------------------------------------------------------------------


def _configuration(path: str, plugin: str) -> tuple[bytes, bytes]:
    """The file as it is, and as it is to be."""
    try:
        with open(path, "rb") as file:
            before = file.read()
    except OSError as error:
        raise _CommandError(f"Error: Cannot migrate mosquitto.conf file. Reason: {error}") from None
    line = b"plugin " + os.fsencode(plugin)
    lines = before.split(b"\n")
    after = [line + b"\r" * one.endswith(b"\r") if one.startswith(_PERSISTENCE) else one for one in lines]
    if after == lines:
        print(f"Warning: no line of {path} begins with `{_PERSISTENCE.decode()}`.", file=sys.stderr)
    return before, b"\n".join(after)


def _replace_configuration(path: str, before: bytes, after: bytes) -> None:
    real = os.path.realpath(path)
    try:
        replace(os.path.splitext(real)[0] + _BACKUP, before, None)
        fd = os.open(real, os.O_WRONLY)
        try:
            replace(real, after, fd)
        finally:
            os.close(fd)
    except (OSError, ReplaceError) as error:
        raise _CommandError(f"Error: Cannot migrate mosquitto.conf file. Reason: {error}") from None
