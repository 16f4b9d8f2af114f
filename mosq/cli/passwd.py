"""mosquitto_passwd: add, change and remove the users of a password file.

A file is read as a whole, changed in memory and then replaced as a whole: there is no moment at which it is half
written, and whatever is wrong with it or with the request leaves it as it was. Comments and blank lines stay. The path
may lead through symbolic links; what is replaced is the file at their end, with its owner and permissions.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence

from mosq.auth import hashes
from mosq.auth.password_file import fields
from mosq.cli.command_line import leading_number
from mosq.cli.replace import ReplaceError, replace
from mosq.restricted import open_restricted

LONGEST = 65535
"""Bytes of a user name or a password: what MQTT can carry."""
_LONGEST_ENTRY = 65499
"""Bytes of a password typed at the prompt."""
_UNSUPPORTED = 10
_DIFFERENT = 2

USAGE = """mosquitto_passwd manages the password files of an MQTT broker.

Usage: mosquitto_passwd [-H argon2id | -H sha512-pbkdf2] [-c | -D] passwordfile username
       mosquitto_passwd [-H argon2id | -H sha512-pbkdf2] [-c] -b passwordfile username password
       mosquitto_passwd [-H argon2id | -H sha512-pbkdf2] -U passwordfile
 -b : take the password from the command line instead of asking for it.
 -c : make a new password file, in place of one that is there already.
 -D : remove the user instead of adding it or changing its password.
 -H : how to hash passwords: sha512-pbkdf2, which is the default, argon2id,
      which costs attackers most and needs the Python package argon2-cffi, or
      sha512, for the oldest brokers.
 -I : the number of iterations for sha512-pbkdf2, 1000 by default.
 -U : hash the passwords of a file that has them as plain text.

See https://mosquitto.org/ for more information.

"""


class _CommandError(Exception):
    """The end: a line for stderr ("": the usage text for stdout) and the exit code."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class _Command:
    """The command line. `mode` has the letters of the options given among b, c, D and U."""

    __slots__ = ("mode", "hash", "iterations", "arguments")

    def __init__(self) -> None:
        self.mode: set[str] = set()
        self.hash = "sha512-pbkdf2"
        self.iterations = hashes.ITERATIONS
        self.arguments: list[str] = []


def entry() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))


def main(words: Sequence[str]) -> int:
    """Do what the arguments say. Returns the exit code."""
    os.umask(0o077)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: sys.exit(0))
    try:
        _run(_parse(words))
    except _CommandError as error:
        if error.text:
            _tell(error.text)
        else:
            sys.stdout.write(USAGE)
        return error.code
    except MemoryError:
        _tell("Error: Out of memory.")
        return 1
    return 0


# ---- the command line


def _parse(words: Sequence[str]) -> _Command:
    """Options come first; the first word that is none ends them."""
    command = _Command()
    rest = list(words)
    while rest and rest[0] in _OPTIONS:
        option = rest.pop(0)
        take = _OPTIONS[option]
        if take is None:
            command.mode.add(option[1])
        elif not rest:
            raise _CommandError(f"Error: {option} argument given but not enough other arguments.")
        else:
            take(command, rest.pop(0))
    for one, other in ("cD", "cU", "DU", "bD"):
        if {one, other} <= command.mode:
            raise _CommandError(f"Error: -{one} and -{other} cannot be used together.")
    command.arguments = rest
    _check_count(command)
    _check_values(command)
    return command


def _set_hash(command: _Command, value: str) -> None:
    if value not in _HASHES:
        raise _CommandError(f"Error: Unknown hash type '{value}'")
    command.hash = value


def _set_iterations(command: _Command, value: str) -> None:
    command.iterations = leading_number(value)
    if not 1 <= command.iterations <= hashes.ITERATIONS_MAX:
        raise _CommandError("Error: Number of iterations must be > 0.")


_OPTIONS: dict[str, Callable[[_Command, str], None] | None] = {
    "-b": None,
    "-c": None,
    "-D": None,
    "-H": _set_hash,
    "-I": _set_iterations,
    "-U": None,
}
"""Those with a value have a function that takes it."""


def _check_count(command: _Command) -> None:
    count, mode = len(command.arguments), command.mode
    if "c" in mode and "b" in mode:
        if count < 3:
            raise _CommandError("Error: -c argument given but password file, username, or password missing.")
    elif "c" in mode or "D" in mode:
        if count < 2:
            option = "c" if "c" in mode else "D"
            raise _CommandError(f"Error: -{option} argument given but password file or username missing.")
    elif "U" in mode:
        if count != 1:
            raise _CommandError("Error: -U argument given but password file missing.")
    elif count != (3 if "b" in mode else 2):
        raise _CommandError("")


def _check_values(command: _Command) -> None:
    if "U" in command.mode:
        return
    name = os.fsencode(command.arguments[1])
    if len(name) > LONGEST:
        raise _CommandError("Error: Username must be less than 65536 characters long.")
    if any(byte < 0x20 or byte == 0x7F for byte in name):
        raise _CommandError("Error: Username must not contain control characters.")
    if b":" in name:
        raise _CommandError("Error: Username must not contain the ':' character.")
    if not name.strip():
        raise _CommandError("Error: Username must not be empty.")
    if name.startswith(b"#"):
        raise _CommandError("Error: Username must not begin with the '#' character.")
    if "b" in command.mode and len(os.fsencode(command.arguments[2])) > LONGEST:
        raise _CommandError("Error: Password must be less than 65536 characters long.")


# ---- what is done


def _run(command: _Command) -> None:
    path = command.arguments[0]
    if "c" in command.mode:
        _create(command, path)
        return
    real, fd = _open(path, os.O_RDWR)
    with open(fd, "rb") as file:
        content = file.read()
        lines = content.removesuffix(b"\n").split(b"\n") if content else []
        doing = ""
        if "D" in command.mode:
            after = _without(lines, os.fsencode(command.arguments[1]))
        elif "U" in command.mode:
            after = _hashed(lines, command)
        else:
            after, doing = _with(lines, command)
        try:
            replace(real, b"".join(line + b"\n" for line in after), fd)
        except ReplaceError as exc:
            raise _not_replaced(exc, f"Error: Unable to open temporary file. {exc.reason}.") from None
    if doing:
        _say(f"{doing} password for user {command.arguments[1]}")


def _create(command: _Command, path: str) -> None:
    """A file with one user; `-` stands for stdout."""
    name = os.fsencode(command.arguments[1])
    content = _line(name, _hash(command, _password(command))) + b"\n"
    if path == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
        return
    real = _resolve(path)
    fd = None
    try:
        if os.path.lexists(real):
            fd = open_restricted(real, os.O_WRONLY, _report)
        replace(real, content, fd)
    except OSError as exc:
        raise _CommandError(f"Error: Unable to open file {real} for writing. {exc.strerror}.") from None
    except ReplaceError as exc:
        raise _not_replaced(exc, f"Error: Unable to open file {real} for writing. {exc.reason}.") from None
    finally:
        if fd is not None:
            os.close(fd)
    _say(f"Adding password for user {command.arguments[1]}")


def _with(lines: list[bytes], command: _Command) -> tuple[list[bytes], str]:
    """The lines with the user in them, in its old place or at the end; and the word for which it was."""
    name = os.fsencode(command.arguments[1])
    password = _password(command)
    names = [found and found[0] for found in _users(lines)]
    place = names.index(name.strip()) if name.strip() in names else len(lines)
    after = [*lines[:place], _line(name, _hash(command, password)), *lines[place + 1 :]]
    return after, "Updating" if place < len(lines) else "Adding"


def _without(lines: list[bytes], name: bytes) -> list[bytes]:
    """The lines without those of a user."""
    users = zip(lines, _users(lines), strict=True)
    kept = [line for line, user in users if user is None or user[0] != name.strip()]
    if len(kept) == len(lines):
        raise _CommandError(f"Warning: User {os.fsdecode(name)} not found in password file.")
    return kept


def _hashed(lines: list[bytes], command: _Command) -> list[bytes]:
    """The lines with the hashes of what stands in the place of passwords."""
    command.iterations = hashes.ITERATIONS
    users = zip(lines, _users(lines), strict=True)
    return [line if user is None else _line(user[0], _hash(command, user[1])) for line, user in users]


def _users(lines: list[bytes]) -> list[tuple[bytes, bytes] | None]:
    """For each line its user name and what stands for the password, None for a comment or a blank line."""
    found: list[tuple[bytes, bytes] | None] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith(b"#"):
            found.append(None)
            continue
        _, name, password = fields(line)
        name, password = name.strip(), (password or b"").strip()
        if not name or not password or b"\0" in line:
            raise _CommandError(f"Error: Corrupt password file at line {number}.")
        found.append((name, password))
    return found


def _line(name: bytes, text: str) -> bytes:
    return name + b":" + text.encode()


# ---- passwords


def _hash(command: _Command, password: bytes) -> str:
    try:
        return _HASHES[command.hash](password, command.iterations)
    except hashes.UnavailableError:
        raise _CommandError("Error: Unable to hash password.", _UNSUPPORTED) from None


_HASHES: dict[str, Callable[[bytes, int], str]] = {
    "argon2id": lambda password, _: hashes.argon2id(password),
    "sha512-pbkdf2": hashes.pbkdf2,
    "sha512": lambda password, _: hashes.sha512(password),
}


def _password(command: _Command) -> bytes:
    """The password of the command line, or the one that is typed."""
    if "b" in command.mode:
        return os.fsencode(command.arguments[2])
    first = _ask("Password: ")
    if not first:
        raise _CommandError("Error: Empty password.")
    if _ask("Reenter password: ") != first:
        raise _CommandError("Error: Passwords do not match.", _DIFFERENT)
    return first


def _ask(prompt: str) -> bytes:
    """A line from stdin; a terminal does not show it."""
    sys.stdout.write(prompt)
    sys.stdout.flush()
    restore = _hide()
    try:
        line = sys.stdin.buffer.readline(_LONGEST_ENTRY + 2)
    finally:
        restore()
        sys.stdout.write("\n")
        sys.stdout.flush()
    typed = line.rstrip(b"\r\n")
    if len(typed) > _LONGEST_ENTRY:
        raise _CommandError("Error: Password must be less than 65536 characters long.")
    return typed


def _hide() -> Callable[[], None]:
    """Switch the terminal's echo off, if stdin is one. Returns what switches it on again."""
    import termios

    try:
        before = termios.tcgetattr(0)
    except termios.error:
        return lambda: None
    silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(0, termios.TCSAFLUSH, silent)
    return lambda: termios.tcsetattr(0, termios.TCSAFLUSH, before)


# ---- files


def _resolve(path: str) -> str:
    """The file that a path leads to, through all links; it need not exist."""
    try:
        return os.path.realpath(path, strict=True)
    except FileNotFoundError:
        return os.path.realpath(path)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise _CommandError(f"Error reading password file: {reason}") from None


def _open(path: str, flags: int) -> tuple[str, int]:
    """The path of an existing file, resolved, and a descriptor for it."""
    real = _resolve(path)
    shown = real if os.path.exists(real) else path
    try:
        return real, open_restricted(real, flags, _report)
    except OSError as exc:
        raise _CommandError(f"Error: Unable to open password file {shown}. {exc.strerror}.") from None


def _not_replaced(exc: ReplaceError, untouched: str) -> _CommandError:
    """What to say; `untouched` if the file is as it was."""
    if exc.remains is None:
        return _CommandError(untouched)
    _tell("Error occurred updating password file.")
    return _CommandError(f"Password file may be corrupt, check the backup file: {exc.remains}.")


def _report(level: str, text: str) -> None:
    _tell(text)


def _say(text: str) -> None:
    sys.stdout.buffer.write(os.fsencode(text) + b"\n")
    sys.stdout.flush()


def _tell(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.buffer.write(os.fsencode(text) + b"\n")
    sys.stderr.flush()
