"""What to send, where it does not stand on the command line: a file (-f) or all of the standard input (-s)."""

from __future__ import annotations

import errno
import os
import stat

from mosq.cli.client.options import LONGEST_PAYLOAD
from mosq.cli.client.settings import Ending, Settings
from mosq.cli.client.streams import READ, wait

_PIECE = 1 << 20


def load(settings: Settings) -> None:
    """Put it into `settings.payload`. Raises Ending."""
    if settings.mode == "f":
        _load_file(settings)
    elif settings.mode == "s":
        _load_stdin(settings)


def _load_file(settings: Settings) -> None:
    try:
        # Opening a FIFO would wait for its other end; it is refused below.
        fd = os.open(settings.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise _unreadable(settings, error) from None
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
            odd = OSError(number, os.strerror(number))
            raise _unreadable(settings, odd, f"Error: {settings.file} is not a file.")
        payload = _read_all(fd)
    except OSError as error:
        raise _unreadable(settings, error) from None
    finally:
        os.close(fd)
    if payload is None:
        text = f"Error: File must be less than {LONGEST_PAYLOAD} bytes.\n\n"
        raise _failed(settings, text + _not_loaded(settings.file))
    settings.payload = payload


def _load_stdin(settings: Settings) -> None:
    try:
        payload = _read_all(0)
    except OSError:
        payload = b""
    if payload:
        settings.payload = payload
        return
    text = "Error: Zero length input.\n"
    if payload is None:
        text = f"Error: Message length must be less than {LONGEST_PAYLOAD} bytes.\n\n"
    raise _failed(settings, text + "Error loading input from stdin.\n")


def _read_all(fd: int) -> bytes | None:
    """All there is; None when that is more than a message can be. Raises OSError."""
    pieces = []
    left = LONGEST_PAYLOAD
    while piece := _read(fd):
        pieces.append(piece)
        left -= len(piece)
        if left < 0:
            return None
    return b"".join(pieces)


def _read(fd: int) -> bytes:
    while True:
        try:
            return os.read(fd, _PIECE)
        except BlockingIOError:  # somebody has made the stream non-blocking for all who share it
            wait(fd, READ)


def _unreadable(settings: Settings, error: OSError | ValueError, before: str = "") -> Ending:
    reason = error.strerror if isinstance(error, OSError) else os.strerror(errno.EINVAL)
    return _failed(
        settings, f'{before}Error: Unable to read file "{settings.file}": {reason}.\n' + _not_loaded(settings.file)
    )


def _not_loaded(name: str) -> str:
    return f'Error loading input file "{name}".\n'


def _failed(settings: Settings, text: str) -> Ending:
    return Ending(err=b"" if settings.quiet else text.encode("utf-8", "surrogateescape"))
