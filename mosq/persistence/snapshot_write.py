"""Writing the file of a snapshot: at any moment it is the whole of the last save or the whole of this one.

The new contents go to `PATH.new`, which takes the place of PATH only when the disk has all of it. Whatever fails on the
way, PATH is as it was, `PATH.new` is gone, and the reason is told by the step that failed: _LINES has the lines.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")

_SAVING = "Error saving in-memory database, unable to"
_LINES = {
    "remove": (f"{_SAVING} remove stale tmp file {{new}}, error {{reason}}",),
    "create": (f"{_SAVING} open {{new}} for writing, error {{reason}}",),
    "write": ("Error: {reason}.", "Error during saving in-memory database {path}: {reason}."),
    "flush": (f"{_SAVING} flush {{new}}, error {{reason}}",),
    "sync": (f"{_SAVING} sync {{new}} to disk, error {{reason}}",),
    "close": (f"{_SAVING} close {{new}} on disk, error {{reason}}",),
    "rename": (f"{_SAVING} replace {{path}} by tmp file  {{new}}, error {{reason}}",),
    "settle": (f"{_SAVING} sync the directory of {{path}} to disk, error {{reason}}",),
}


class SaveError(Exception):
    """A step of a save failed. `step` is a key of _LINES, `number` the errno."""

    def __init__(self, step: str, number: int) -> None:
        super().__init__(step, number)
        self.step = step
        self.number = number

    def lines(self, path: str) -> list[str]:
        """What to log about it."""
        reason = os.strerror(self.number)
        return [line.format(path=path, new=temporary(path), reason=reason) for line in _LINES[self.step]]


def temporary(path: str) -> str:
    """The file that is written, before it becomes `path`."""
    return path + ".new"


def write(path: str, dump: Callable[[int], None], *, wanted: Callable[[], bool] = lambda: True) -> None:
    """Make what `dump(fd)` writes the contents of `path`, readable by its owner alone. Raises SaveError.

    `dump` raises SaveError for its own steps, write and flush. When `wanted` says no after all, nothing is replaced:
    then somebody else may be writing `PATH.new` already, and it is left alone.
    """
    new = temporary(path)
    _remove_stale(new)
    # The name is new, so this can be neither a link to another file nor one that somebody reads already.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = _step("create", os.open, new, flags, 0o600)
    try:
        _fill(fd, dump)
        if not wanted():
            return
        _step("rename", os.rename, new, path)
    except BaseException:
        _discard(new)
        raise
    _sync_directory(os.path.dirname(path) or ".")


def discard_temporary(path: str) -> None:
    """Remove what a save that was cut short has left."""
    _discard(temporary(path))


def _fill(fd: int, dump: Callable[[int], None]) -> None:
    try:
        os.fchmod(fd, 0o600)  # whatever the umask of the process is
        dump(fd)
        _step("sync", os.fsync, fd)
    except BaseException:
        os.close(fd)
        raise
    _step("close", os.close, fd)


def _remove_stale(new: str) -> None:
    """It may be a link to the file itself: to be removed, not to be written to."""
    try:
        _step("remove", os.unlink, new)
    except SaveError as error:
        if error.number != errno.ENOENT:
            raise


def _sync_directory(directory: str) -> None:
    """Without this the new name may be lost with the power, though not the contents."""
    fd = _step("settle", os.open, directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _step("settle", os.fsync, fd)
    except SaveError as error:
        if error.number != errno.EINVAL:  # a file system that knows no such thing
            raise
    finally:
        os.close(fd)


def _discard(new: str) -> None:
    try:
        os.unlink(new)
    except OSError:
        pass  # the next save says what is wrong with it


def _step(name: str, fn: Callable[..., T], *args: object) -> T:
    try:
        return fn(*args)
    except OSError as exc:
        raise SaveError(name, exc.errno or 0) from None
