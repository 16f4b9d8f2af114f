"""Opening files that hold secrets, or that nobody should be able to redirect: logs, passwords, keys, access rules.

Such a file is created for its owner alone, is never reached through a symbolic link as its last step (unless the
environment permits it), and is a regular file. Loose ownership or permissions of an existing one earn a warning.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

Report = Callable[[str, str], object]
"""Receives (level, text) of a line for the log."""

ALLOW_SYMLINKS = "MOSQUITTO_UNSAFE_ALLOW_SYMLINKS"
"""Set to anything in the environment: symbolic links are followed."""


def open_restricted(path: str, flags: int, report: Report) -> int:
    """Open `path` with the O_ flags given and return its descriptor; what is created has mode 0600.

    Raises OSError: as open(2), ELOOP for a symbolic link, EINVAL for what is not a regular file (after a report).
    """
    if ALLOW_SYMLINKS not in os.environ:
        flags |= os.O_NOFOLLOW
    # Without O_NONBLOCK, opening a FIFO would wait for its other end. It means nothing for regular files.
    fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK, 0o600)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        report("E", f"Error: {path} is not a file.")
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    for warning in _warnings(path, status):
        report("I", warning)
    return fd


def _warnings(path: str, status: os.stat_result) -> list[str]:
    found: list[str] = []
    refusal = "Future versions will refuse to load this file."
    if status.st_mode & stat.S_IRWXO:
        found.append(
            f"Warning: File {path} has world readable permissions. {refusal}\nTo fix this, use `chmod 0700 {path}`."
        )
    if status.st_uid != os.getuid():
        owner = user_name(os.getuid())
        found.append(f"Warning: File {path} owner is not {owner}. {refusal}To fix this, use `chown {owner} {path}`.")
    if status.st_gid != os.getgid():
        group = _group_name(os.getgid())
        if group is not None:  # there is nobody to name
            found.append(f"Warning: File {path} group is not {group}. {refusal}")
    return found


def user_name(uid: int) -> str:
    """The name of a user, or the number where there is none."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str | None:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return None
