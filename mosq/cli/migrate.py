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
from mosq.config.lexer import NulByteError, first_word, items
from mosq.config.options import find
from mosq.persistence import format as db

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FILE = "mosquitto.sqlite3"
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
        configuration = _Configuration(arguments.conf, arguments.persist_sqlite_lib) if arguments.conf else None
        if arguments.dump_tool:
            print("Note: the database is read directly, --dump-tool is not needed.", file=sys.stderr)
        database = _convert(arguments.persistence_db)
        if configuration is not None:
            try:
                configuration.write()
            except _CommandError:
                _remove(database)  # it would be in the way of the next run
                raise
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
        f" is kept with the suffix {_BACKUP}, which must not be there yet",
    )
    parser.add_argument("--persist-sqlite-lib", metavar="FILE", help="how the configuration is to name the plugin")
    return parser


# ---- the database ---------------------------------------------------------------------------------------------------


def _convert(path: str) -> str:
    """Returns where the new database is."""
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
    return target


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


class _Configuration:
    """A configuration file, and what it is to become. Making one changes nothing, and raises _CommandError for whatever
    can be known to be in the way."""

    def __init__(self, path: str, plugin: str) -> None:
        self._path = os.path.realpath(path)
        self._backup = os.path.splitext(self._path)[0] + _BACKUP
        try:
            with open(self._path, "rb") as file:
                self._before = file.read()
            self._after = _with_plugin(self._before, os.fsencode(plugin))
        except OSError as error:
            raise _unchanged(error) from None
        except NulByteError as error:
            raise _unchanged(f"{path}:{error.line}: Invalid NUL byte in configuration.") from None
        if self._after == self._before:
            raise _unchanged(f"nothing in {path} switches persistence on")
        if os.path.lexists(self._backup):
            raise _unchanged(f"{self._backup} is there already")

    def write(self) -> None:
        """Keep the file as it was, and replace it. Raises _CommandError, with all as before if that is possible."""
        try:
            fd = os.open(self._path, os.O_WRONLY)
            try:
                self._back_up(os.fstat(fd))
                self._replace(fd)
            finally:
                os.close(fd)
        except (OSError, ReplaceError) as error:
            raise _unchanged(error) from None

    def _back_up(self, like: os.stat_result) -> None:
        """A whole copy on disk, with the owner and mode of the file; for this account alone if it cannot give it that
        owner. Raises OSError, also if somebody else was quicker."""
        fd = os.open(self._backup, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with open(fd, "wb") as file:
                file.write(self._before)
                file.flush()
                _liken(fd, like)
                os.fsync(fd)
            _sync(os.path.dirname(self._backup))
        except OSError:
            os.unlink(self._backup)
            raise

    def _replace(self, fd: int) -> None:
        try:
            replace(self._path, self._after, fd)
        except ReplaceError as error:
            if error.remains is None:  # otherwise the file may be damaged, and the copy is what is left of it
                os.unlink(self._backup)
            raise


def _unchanged(reason: object) -> _CommandError:
    return _CommandError(f"Error: Cannot migrate mosquitto.conf file. Reason: {reason}")


def _liken(fd: int, like: os.stat_result) -> None:
    try:
        os.fchown(fd, like.st_uid, like.st_gid)
    except PermissionError:
        return
    os.fchmod(fd, like.st_mode & 0o7777)


def _with_plugin(content: bytes, path: bytes) -> bytes:
    """A configuration with the plugin in place of each line that switches persistence on.

    With per_listener_settings, only `global_plugin` is for all listeners, and must come after that line: what is to be
    replaced before it goes there. Raises NulByteError.
    """
    lines = content.split(b"\n")
    switches = [index for index, name in _switched_on(content) if name == "persistence"]
    modes = [index for index, name in _switched_on(content) if name == "per_listener_settings"]
    line = (b"global_plugin " if modes else b"plugin ") + path
    early = [index for index in switches if modes and index < modes[0]]
    for index in switches:
        lines[index] = line + _end(lines[index])
    if early:
        lines[modes[0]] += b"\n" + line + _end(lines[modes[0]])
    return b"\n".join(one for index, one in enumerate(lines) if index not in early)


def _switched_on(content: bytes) -> Iterator[tuple[int, str]]:
    """The lines that make an option true, as the broker reads them: (index, name of the option)."""
    for name, rest, number in items(content):
        option = find(name.decode("utf-8", "replace"))
        if option is not None and first_word(rest)[0] in (b"true", b"1"):
            yield number - 1, option.name


def _end(line: bytes) -> bytes:
    return b"\r" * line.endswith(b"\r")
