"""Replacing the contents of a file so that it is never seen, nor left, half written.

The new contents go into another file in the same directory, which then takes the place of the first one, with that
one's owner, permissions and extended attributes. Where it cannot (a file that is mounted by itself, an owner that only
root could give it), the contents are copied into the first file, and the other one is removed once that has succeeded:
whatever happens meanwhile, there is a whole copy.
"""

from __future__ import annotations

import os
import tempfile


class ReplaceError(Exception):
    """The file was not replaced. `remains`: a file with the new contents, if the first one may be damaged."""

    def __init__(self, reason: str, remains: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remains = remains


def replace(path: str, content: bytes, fd: int | None) -> None:
    """Make `content` the contents of `path`, a resolved path. `fd` is a descriptor for writing to it, None if there is
    no such file yet: then it gets mode 0600. Raises ReplaceError."""
    temporary = _write_beside(path, content)
    try:
        moved = _move(temporary, path, fd)
    except BaseException:
        os.unlink(temporary)
        raise
    if moved or fd is None:
        return
    try:
        os.lseek(fd, 0, os.SEEK_SET)
        _write(fd, content)
        os.ftruncate(fd, len(content))
        os.fsync(fd)
    except OSError as exc:
        raise ReplaceError(exc.strerror or str(exc), temporary) from None
    os.unlink(temporary)


def _write_beside(path: str, content: bytes) -> str:
    """Write a file with an unforeseeable name in the directory of `path`, and return its path."""
    directory, name = os.path.split(path)
    try:
        fd, temporary = tempfile.mkstemp(prefix=f"{name}.backup.", dir=directory)
    except OSError as exc:
        raise ReplaceError(exc.strerror or str(exc)) from None
    try:
        _write(fd, content)
        os.fsync(fd)
    except BaseException as exc:
        os.unlink(temporary)
        if isinstance(exc, OSError):
            raise ReplaceError(exc.strerror or str(exc)) from None
        raise
    finally:
        os.close(fd)
    return temporary


def _move(temporary: str, path: str, fd: int | None) -> bool:
    """Have `temporary` take the place of `path`. False: that cannot be done with all that `path` has."""
    try:
        if fd is not None:
            _liken(temporary, fd)
        os.rename(temporary, path)
    except OSError as exc:
        if fd is None:
            raise ReplaceError(exc.strerror or str(exc)) from None
        return False
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    except OSError:
        pass  # some file systems know no such thing
    finally:
        os.close(directory)
    return True


def _liken(temporary: str, fd: int) -> None:
    """Give `temporary` the owner, permissions and extended attributes (access control lists among them) of `fd`."""
    status = os.fstat(fd)
    os.chown(temporary, status.st_uid, status.st_gid)
    os.chmod(temporary, status.st_mode & 0o7777)
    try:
        names = os.listxattr(fd)
    except OSError:
        return  # a file system without
    for name in names:
        os.setxattr(temporary, name, os.getxattr(fd, name))


def _write(fd: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
