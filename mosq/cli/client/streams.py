"""The standard streams of a client tool."""

from __future__ import annotations

import os
from collections.abc import Callable
from select import POLLIN, POLLOUT, poll

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.reactor import Reactor

READ, WRITE = POLLIN, POLLOUT
_FULL = 1 << 16
_PIECE = 1 << 18


def open_all() -> None:
    """See that descriptors 0, 1 and 2 are in use, so that no socket becomes one of them by chance: a stream that was
    closed reads as empty and cannot be written to."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # the lowest number that is free


def write_all(fd: int, data: bytes | bytearray) -> None:
    """Write everything. Raises OSError."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            wait(fd, WRITE)  # somebody has made the stream non-blocking for all who share it


def wait(fd: int, events: int) -> None:
    """Until the descriptor is ready for READ or WRITE."""
    waiting = poll()
    waiting.register(fd, events)
    waiting.poll()


def complain(text: str | bytes) -> None:
    """Write to stderr; nobody is told when it cannot be."""
    try:
        write_all(2, text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text)
    except OSError:
        pass


class Output:
    """stdout: lines wait until there are many or `flush` is called, except on a terminal."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._terminal = os.isatty(1)

    def line(self, text: str) -> None:
        """A line without its end. What cannot be written is lost."""
        self._waiting += text.encode("utf-8", "surrogateescape") + b"\n"
        if self._terminal or len(self._waiting) >= _FULL:
            try:
                self.flush()
            except OSError:
                pass

    def write(self, data: bytes) -> None:
        """Write, behind the lines that wait. Raises OSError."""
        self._waiting += data
        self.flush()

    def flush(self) -> None:
        """Raises OSError; what was waiting is then lost."""
        waiting, self._waiting = self._waiting, bytearray()
        if waiting:
            write_all(1, waiting)


class Input:
    """stdin in the reactor: `take` gets each piece that is read, and b"" once at the end."""

    def __init__(self, reactor: Reactor, take: Callable[[bytes], None]) -> None:
        self._reactor = reactor
        self._take = take
        self._on = False
        self._pollable = True
        self._scheduled = False

    def read(self, on: bool) -> None:
        """Read, or pause."""
        if on == self._on:
            return
        self._on = on
        if not on:
            if self._pollable:
                self._reactor.unregister(0)
            return
        try:
            if self._pollable:
                self._reactor.register(0, 1, self)
        except OSError:
            self._pollable = False
        if not self._pollable:
            self._schedule()

    def _schedule(self) -> None:
        """Files never keep anybody waiting and therefore cannot be polled: they are read a piece in each turn."""
        if not self._scheduled:
            self._scheduled = True
            self._reactor.call_soon(self._read_file)

    def _read_file(self) -> None:
        self._scheduled = False
        if self._on:
            self.on_ready(1)
        if self._on:
            self._schedule()

    def on_ready(self, mask: int) -> None:
        """There is something, or the end."""
        try:
            piece = os.read(0, _PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self.read(False)
        self._take(piece)
