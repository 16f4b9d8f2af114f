"""mosquitto_db_dump: what is in a mosquitto.db.

The file is read once, chunk by chunk, and each chunk goes to a view (mosq/cli/dump). What cannot be read ends the
command with exit code 1.
"""

from __future__ import annotations

import os
import signal
import sys
from mmap import ACCESS_READ, mmap

from mosq.persistence import format as db

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mosq.cli.dump import View

USAGE = "Usage: db_dump [--stats | --client-stats | --json] <mosquitto db filename>\n"
VERSIONS = range(2, db.NEWEST + 1)
ASSUMED = 3
"""As which version a file is read that says it is none of those."""
_VIEWS = {
    None: ("text", "Text"),
    "--stats": ("counts", "Stats"),
    "--client-stats": ("counts", "ClientStats"),
    "--json": ("document", "Document"),
}
"""The option, and the module and class of its view."""


class _CommandError(Exception):
    """The end, with exit code 1: what goes to stderr."""


def entry() -> None:
    """The console script. Who reads its output may stop doing so."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main(sys.argv[1:]))


def main(words: Sequence[str]) -> int:
    """Do what the arguments say. Returns the exit code, 1 also if the output cannot be written."""
    try:
        return _run(words)
    except OSError as error:
        _abandon_output()
        print(f"Error: {error.strerror}", file=sys.stderr)
        return 1


def _run(words: Sequence[str]) -> int:
    """Raises OSError if the output cannot be written."""
    option = words[0] if len(words) == 2 else None
    if len(words) not in (1, 2) or option not in _VIEWS:
        _tell(USAGE)
        return 1
    try:
        _show(_contents(words[-1]), _view(option))
    except _CommandError as error:
        _tell(str(error))
        return 1
    except MemoryError:
        _tell("Error: Out of memory.\n")
        return 1
    sys.stdout.flush()
    return 0


def _abandon_output() -> None:
    """What cannot be written is still in the buffer, and the interpreter would try, and complain, once more."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _view(option: str | None) -> View:
    from importlib import import_module

    module, name = _VIEWS[option]
    view: View = getattr(import_module(f"mosq.cli.dump.{module}"), name)(sys.stdout.buffer)
    return view


def _contents(path: str) -> db.Data:
    """The file, mapped if it can be. It is replaced as a whole by who writes it, and never grows or shrinks."""
    try:
        with open(path, "rb") as file:
            try:
                return mmap(file.fileno(), 0, access=ACCESS_READ)
            except (OSError, ValueError):  # a pipe, or nothing to map
                return file.read()
    except (OSError, ValueError):
        raise _CommandError(f"Error: Unable to open {path}\n") from None


def _show(data: db.Data, view: View) -> None:
    try:
        if data[: len(db.MAGIC)] == db.MAGIC:
            view.magic()
        header = db.read_header(data)
        view.header(header)
        _show_chunks(data, header.version, view)
    except db.ShortHeaderError:
        raise _CommandError("") from None
    except db.MagicError:
        view.end()
        raise _CommandError("Error: Unrecognised file format.\n") from None
    except db.IdSizeError as error:
        raise _CommandError(
            f"Error: Incompatible database configuration (dbid size is {error.size} bytes, expected {db.ID_SIZE})"
        ) from None
    except db.FormatError:
        raise _CommandError("Error: Corrupt persistent database.\n") from None
    view.end()


def _show_chunks(data: db.Data, version: int, view: View) -> None:
    read_as = version if version in VERSIONS else ASSUMED
    for chunk in db.chunks(data, read_as):
        content = chunk.content
        if isinstance(content, db.Unknown):
            start = chunk.offset + (6 if read_as < 5 else 8)
            _tell(
                f'Warning: Unsupported chunk "{content.kind}" of length {chunk.length} in persistent database file'
                f" at position {start}. Ignoring.\n"
            )
            continue
        if isinstance(content, db.Client):
            if not content.client_id:
                raise db.FormatError(chunk.offset, "a client without an id")
            if read_as < 5:
                content.interval = 0  # how the file has it: it says nothing
        view.chunk(chunk)


def _tell(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.buffer.write(os.fsencode(text))
    sys.stderr.flush()
