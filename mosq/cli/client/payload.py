"""What to send, where it does not stand on the command line: a file (-f) or all of the standard input (-s)."""

from __future__ import annotations

import errno
import os
import stat

from mosq.cli.client.options import LONGEST_PAYLOAD
from mosq.cli.client.settings import Ending, Settings

_PIECE = 1 << 20


def load(settings: Settings) -> None:
    """Put it into `settings.payload`. Raises Ending."""
    if settings.mode == "f":
        _load_file(settings)
    elif settings.mode == "s":
        _load_stdin(settings)


def _load_file(settings: Settings) -> None:
    name = settings.file
    try:
        # Opening a FIFO would wait for its other end; it is refused below.
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise _unreadable(settings, error) from None
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            number = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
            raise _unreadable(settings, OSError(number, os.strerror(number)), f"Error: {name} is not a file.")
        too_long = f"Error: File must be less than {LONGEST_PAYLOAD} bytes.\n\n"
        if status.st_size > LONGEST_PAYLOAD:
            raise _failed(settings, too_long + _not_loaded(name))
        try:
            settings.payload = file.read(LONGEST_PAYLOAD + 1)
        except OSError as error:
            raise _unreadable(settings, error) from None
    if len(settings.payload) > LONGEST_PAYLOAD:
        raise _failed(settings, too_long + _not_loaded(name))


def _load_stdin(settings: Settings) -> None:
    pieces = []
    left = LONGEST_PAYLOAD
    while piece := _read_stdin():
        pieces.append(piece)
        left -= len(piece)
        if left < 0:
            text = f"Error: Message length must be less than {LONGEST_PAYLOAD} bytes.\n\n"
            raise _failed(settings, text + "Error loading input from stdin.\n")
    if not pieces:
        raise _failed(settings, "Error: Zero length input.\nError loading input from stdin.\n")
    settings.payload = b"".join(pieces)


def _read_stdin() -> bytes:
    while True:
        try:
            return os.read(0, _PIECE)
        except BlockingIOError:
            from select import POLLIN, poll

            waiting = poll()
            waiting.register(0, POLLIN)
            waiting.poll()
        except OSError:
            return b""


def _unreadable(settings: Settings, error: OSError | ValueError, before: str = "") -> Ending:
    reason = error.strerror if isinstance(error, OSError) else os.strerror(errno.EINVAL)
    return _failed(
        settings, f'{before}Error: Unable to read file "{settings.file}": {reason}.\n' + _not_loaded(settings.file)
    )


def _not_loaded(name: str) -> str:
    return f'Error loading input file "{name}".\n'


def _failed(settings: Settings, text: str) -> Ending:
    return Ending(err=b"" if settings.quiet else text.encode("utf-8", "surrogateescape"))
