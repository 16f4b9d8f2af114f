"""What the broker does to its own process: user, umask, background, pid file, title, standard descriptors.

Each step happens once, at start, in the order in which the functions stand here. A step that cannot be done raises
ProcessError with the line to log and the exit code; until then it has changed nothing that outlives the process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from mosq.log import Log

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any

EXIT_FAILURE = 1
EXIT_INVALID = 3
EXIT_SYSTEM = 14

DEFAULT_USER = "mosquitto"
_FALLBACK_USER = "nobody"
_ID_MAX = 2**31 - 1


class ProcessError(Exception):
    """A step failed: `text` is for the log, `code` the exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


def hold_standard_descriptors() -> None:
    """Open /dev/null in the place of a standard descriptor that is closed.

    Otherwise the next file or connection opened would get its number, and log lines with it.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one


# User


def drop_privileges(user: str, environ: Mapping[str, str], log: Log) -> None:
    """Options `user`, PUID and PGID: leave root for good, and say who we are. Only root can, so others stay."""
    if environ.get("SNAP_NAME") == "mosquitto":
        return
    was_root = os.geteuid() == 0
    if was_root:
        gid, uid = _identifier(environ, "PGID"), _identifier(environ, "PUID")
        if uid is not None or gid is not None:
            _become(uid or 0, gid or 0)
        elif user != "root":
            _become_user(user or DEFAULT_USER, log)
    _tell_user(log)
    if was_root and (os.geteuid() == 0 or os.getegid() == 0):
        log.warning("Warning: Mosquitto should not be run as root/administrator.")


def _identifier(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name)
    if text is None:
        return None
    value = _number(text, "0123456789")
    if value is None:
        raise ProcessError(f"Error: {name} not a valid ID '{text}'", EXIT_INVALID)
    if value < 0:
        raise ProcessError(f"Error: {name} must not be negative", EXIT_INVALID)
    if value > _ID_MAX:
        raise ProcessError(f"Error: {name} must not be less than {_ID_MAX}", EXIT_INVALID)
    return value


def _number(text: str, digits: str) -> int | None:
    """A number written with these digits and perhaps a sign, nothing else; None for other text."""
    unsigned = text[1:] if text[:1] in ("+", "-") else text
    if not unsigned or unsigned.strip(digits):
        return None
    value = int(unsigned, len(digits))
    return -value if text[0] == "-" else value


def _become_user(name: str, log: Log) -> None:
    import pwd

    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        if name == _FALLBACK_USER:
            raise ProcessError(f"Error: Unable to drop privileges to '{name}'.", EXIT_SYSTEM) from None
        if name != DEFAULT_USER:
            text = f"Error: Unable to drop privileges to '{name}' because this user does not exist."
            raise ProcessError(text, EXIT_INVALID) from None
        log.error(
            "Warning: Unable to drop privileges to '%s' because this user does not exist. Trying '%s' instead.",
            name,
            _FALLBACK_USER,
        )
        _become_user(_FALLBACK_USER, log)
    else:
        _step("setting groups", os.initgroups, entry.pw_name, entry.pw_gid)
        _become(entry.pw_uid, entry.pw_gid)


def _become(uid: int, gid: int) -> None:
    """Group first: afterwards we may not. 0 leaves as it is."""
    if gid > 0:
        _step("setting gid", os.setgid, gid)
    if uid > 0:
        _step("setting uid", os.setuid, uid)


def _step(what: str, call: Callable[..., None], *args: object) -> None:
    try:
        call(*args)
    except OSError as exc:
        raise ProcessError(f"Error {what} whilst dropping privileges: {exc.strerror}.", EXIT_SYSTEM) from exc


def _tell_user(log: Log) -> None:
    import pwd

    try:
        log.info("Info: running mosquitto as user: %s.", pwd.getpwuid(os.geteuid()).pw_name)
    except KeyError:
        log.info("Info: running mosquitto as user id: %d.", os.geteuid())


# Umask


def set_umask(environ: Mapping[str, str]) -> None:
    """UMASK_SET: the umask of this process, in octal."""
    text = environ.get("UMASK_SET")
    if text is None:
        return
    value = _number(text, "01234567")
    if value is None:
        raise ProcessError("Error: UMASK_SET environment variable not a valid octal number.", EXIT_INVALID)
    if not 0 <= value <= 0o777:
        raise ProcessError("Error: UMASK_SET environment variable out of range.", EXIT_INVALID)
    os.umask(value)


# Background


def daemonise() -> None:
    """Continue in a child of its own session that has no terminal; the parent ends here with code 0."""
    try:
        child = os.fork()
    except OSError as exc:
        raise ProcessError(f"Error in fork: {exc.strerror}", EXIT_FAILURE) from exc
    if child:
        os._exit(0)
    try:
        os.setsid()
    except OSError as exc:
        raise ProcessError(f"Error in setsid: {exc.strerror}", EXIT_FAILURE) from exc
    for fd, name, flags in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_WRONLY), (2, "stderr", os.O_WRONLY)):
        try:
            null = os.open(os.devnull, flags)
            os.dup2(null, fd)
            os.close(null)
        except OSError as exc:
            raise ProcessError(f"Error whilst daemonising ({name}): {exc.strerror}", EXIT_FAILURE) from exc


# pid file


class PidFile:
    """Option pid_file: the process id in decimal, without a newline."""

    __slots__ = ("_path", "_written")

    def __init__(self, path: str) -> None:
        self._path = path
        self._written: tuple[int, int] | None = None

    def write(self) -> None:
        """Write it, in the place of an older one."""
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            try:
                os.write(fd, b"%d" % os.getpid())
                status = os.fstat(fd)
            finally:
                os.close(fd)
        except OSError as exc:
            raise ProcessError("Error: Unable to write pid file.", EXIT_SYSTEM) from exc
        self._written = status.st_dev, status.st_ino

    def remove(self) -> None:
        """Remove it if `write` made it and it still is ours: another instance may have put its own there meanwhile."""
        if self._written is None:
            return
        written, self._written = self._written, None
        try:
            with open(self._path, "rb") as file:
                status = os.fstat(file.fileno())
                ours = (status.st_dev, status.st_ino) == written and file.read(32) == b"%d" % os.getpid()
            if ours:
                os.unlink(self._path)
        except OSError:
            pass  # gone, or in a directory that is not ours to write


# Title


def set_title(arguments: Sequence[str]) -> None:
    """Show as `mosquitto` with its arguments in ps, and as `mosquitto` where only a name has room (pkill, top)."""
    title = _title_module()
    if title is not None:
        title.setproctitle(" ".join(["mosquitto", *arguments]).replace("\0", ""))
        title.setthreadtitle("mosquitto")


def _title_module() -> Any:
    """The extension inside the package setproctitle; the package itself would import logging, for 1.5 MB."""
    from importlib.machinery import PathFinder

    package = PathFinder.find_spec("setproctitle")
    if package is None or not package.submodule_search_locations:
        return None
    spec = PathFinder.find_spec("_setproctitle", package.submodule_search_locations)
    if spec is None or spec.loader is None:
        return None
    module = spec.loader.create_module(spec)
    if module is not None:
        spec.loader.exec_module(module)
    return module
