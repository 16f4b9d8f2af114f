"""Saving while the broker goes on: a forked child has the state of the moment, and writes it.

Theory of operation. After fork(2) the child sees what the broker had at that instant, for as long as it needs, and the
broker sees nothing of it but a few pages that have to be copied before they change. The child closes all descriptors
(a connection that the broker closes must not stay open in the child), writes, and says through a pipe what went wrong:
one line of the log per line; nothing, if all is well. The end of the pipe is the end of the child.

- The child runs no code of the broker but the writer, no hooks and no cleaning up: it leaves with os._exit.
- Signals are for the broker: they are blocked in the child. When the broker is killed meanwhile, the child must not
  replace the file: the next broker may have read the old one already, and may be about to save.
- One child at a time. What is asked meanwhile is done once afterwards, with the state of then.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
from collections.abc import Callable

from mosq.persistence.snapshot_write import SaveError, discard_temporary, write
from mosq.reactor import READ

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import NoReturn

    from mosq.log import Log
    from mosq.reactor import Reactor


class Saver:
    """Writes snapshots. `dump(fd, last)` writes the state as it is, and raises SaveError; `last`: the broker ends."""

    def __init__(self, log: Log, reactor: Reactor, dump: Callable[[int, bool], None]) -> None:
        self._log = log
        self._reactor = reactor
        self._dump = dump
        self._child: _Child | None = None
        self._next: str | None = None

    def save(self, path: str) -> None:
        """Save beside what the broker does; after the save that is going on, if there is one."""
        if self._child is not None:
            self._next = path
            return
        self._announce(path)
        try:
            self._child = _fork(path, self._dump)
        except OSError as exc:
            self._log.warning("Warning: Unable to fork for saving: %s. The broker waits for it instead.", exc.strerror)
            self._tell(_attempt(path, self._dump, False))
            return
        self._reactor.register(self._child.pipe, READ, self)

    def save_last(self, path: str) -> None:
        """Save for the last time, and return when it is done."""
        self.wait()
        self._announce(path)
        self._tell(_attempt(path, self._dump, True))

    def wait(self) -> None:
        """Return when no save is going on; none that was asked for meanwhile will follow."""
        self._next = None
        while self._child is not None:
            self.on_ready(READ)

    def on_ready(self, mask: int) -> None:
        """The pipe of the child has something. (For the reactor.)"""
        child = self._child
        assert child is not None
        if child.read():
            return
        self._reactor.unregister(child.pipe)
        self._child = None
        self._tell(child.end())
        following, self._next = self._next, None
        if following is not None:
            self.save(following)

    def _announce(self, path: str) -> None:
        self._log.info("Saving in-memory database to %s.", path)

    def _tell(self, lines: list[str]) -> None:
        for line in lines:
            self._log.error("%s", line)


class _Child:
    """The broker's end of the pipe to a child that saves to `path`."""

    __slots__ = ("path", "pid", "pipe", "_said")

    def __init__(self, path: str, pid: int, pipe: int) -> None:
        self.path = path
        self.pid = pid
        self.pipe = pipe
        self._said = b""

    def read(self) -> bool:
        """Take what is in the pipe, waiting for it if need be. False: there will be nothing more."""
        data = os.read(self.pipe, 4096)
        self._said += data
        return bool(data)

    def end(self) -> list[str]:
        """Error lines, when there is nothing more to read."""
        os.close(self.pipe)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if code:
            discard_temporary(self.path)
            cause = f"signal {-code}" if code < 0 else "an internal error"
            return [f"Error: Saving in-memory database {self.path} was ended by {cause}."]
        return self._said.decode("utf-8", "surrogateescape").splitlines()


def _fork(path: str, dump: Callable[[int, bool], None]) -> _Child:
    """Start a child that saves. Raises OSError where there is no room for one."""
    reader, writer = os.pipe()
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _run(path, dump, writer, parent)
    except BaseException:
        os.close(reader)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(writer)
    return _Child(path, pid, reader)


def _run(path: str, dump: Callable[[int, bool], None], pipe: int, parent: int) -> NoReturn:
    """The life of the child."""
    code = 1
    try:
        gc.disable()  # it would write to pages for nothing
        os.closerange(3, pipe)
        os.closerange(pipe + 1, os.sysconf("SC_OPEN_MAX"))
        lines = _attempt(path, dump, False, wanted=lambda: os.getppid() == parent)
        os.write(pipe, "\n".join(lines).encode("utf-8", "surrogateescape"))
        code = 0
    finally:
        os._exit(code)


def _attempt(
    path: str, dump: Callable[[int, bool], None], last: bool, *, wanted: Callable[[], bool] = lambda: True
) -> list[str]:
    """Save, and return what there is to say about it: nothing, if it went well."""
    try:
        write(path, lambda fd: dump(fd, last), wanted=wanted)
    except SaveError as error:
        return error.lines(path)
    except MemoryError:
        return SaveError("write", errno.ENOMEM).lines(path)
    return []
