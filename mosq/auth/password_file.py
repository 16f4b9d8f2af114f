"""A password file: users and the hashes of their passwords (option password_file).

A line is NAME:HASH, and anything after a second ':' is not looked at. Lines that begin with '#' or have no ':' are
comments; anything else has to be right, or the file is refused as a whole: half a list of users is nobody's intention.

As a link of the chain (mosq.auth.chain) it has no opinion about anonymous clients and decides about all others. For a
user that is not in the file a password is compared too, with the hash of somebody who is: the time an answer takes
does not tell who is a user. Costly hashes are computed aside. No password has a NUL byte (mosq.auth.hashes).
"""

from __future__ import annotations

from mosq.auth import hashes
from mosq.auth.chain import ASIDE, IGNORE, Verdict, allow, deny
from mosq.auth.files import INVALID, LONGEST_NAME, UNREADABLE, FileError, LongLineError, read_lines

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.auth.chain import Request
    from mosq.auth.worker import Worker
    from mosq.restricted import Report

SERVER_BUSY = 0x89

_WHITE = b" \t\n\v\f\r"


class PasswordFile:
    """The users of a file. Hashes stay texts until they are needed: there may be very many."""

    __slots__ = ("hashes", "_names", "_worker")

    def __init__(self, hashes: dict[str, bytes], worker: Worker) -> None:
        self.hashes = hashes
        self._names = list(hashes)
        self._worker = worker

    def authenticate(self, request: Request) -> Verdict:
        """ALLOW or a refusal for a client with a user name, IGNORE for one without."""
        if request.username is None:
            return IGNORE
        if request.password is None or b"\0" in request.password or not self.hashes:
            return deny()
        text = self.hashes.get(request.username)
        if text is not None and request.proof == text:
            return allow(text)
        return self._compare(request, request.password, text)

    def _compare(self, request: Request, password: bytes, text: bytes | None) -> Verdict:
        """`text` is None for a user that does not exist: the work is the same."""
        stored = hashes.parse(text if text is not None else self._decoy(request.username))

        def verdict(matches: bool) -> Verdict:
            return allow(text) if matches and text is not None else deny()

        if not stored.costly:
            return verdict(stored.matches(password))

        def done(matches: bool) -> None:
            if request.resolve is not None:
                request.resolve(verdict(matches))

        # There are as many to be asked again as there are clients, and none may be lost for want of patience.
        line = "" if request.again else request.address
        accepted = self._worker.submit(line, lambda: stored.matches(password), done, bounded=not request.again)
        return ASIDE if accepted else deny(SERVER_BUSY)

    def _decoy(self, username: str | None) -> bytes:
        """The hash of some user, always the same one for one name, which nobody outside can foretell."""
        return self.hashes[self._names[hash(username) % len(self._names)]]


def load(path: str, worker: Worker, report: Report) -> PasswordFile:
    """Read a password file. `report` gets (level, text) of what is worth saying. Raises FileError."""
    users: dict[str, bytes] = {}
    number = 0
    try:
        for number, line in read_lines(path, report):  # noqa: B007 - used when something is wrong
            user = _user(path, line)
            if user is None:
                continue
            name, text = user
            if name in users:
                raise _LineError(f"Duplicate user '{name}' in password file '{path}'.")
            users[name] = text
    except OSError:
        raise FileError(UNREADABLE, f'password-file: Error: Unable to open pwfile "{path}".') from None
    except LongLineError as exc:
        raise _refusal(path, exc.line, f"Invalid line in password file '{path}', password too long.") from None
    except _LineError as exc:
        raise _refusal(path, number, *exc.args) from None
    return PasswordFile(users, worker)


class _LineError(Exception):
    """What is wrong with a line, and perhaps a second sentence about it."""


def _refusal(path: str, line: int, text: str, *more: str) -> FileError:
    return FileError(INVALID, f"password-file: Error: {text}", *more, f"Error found at {path}:{line}.")


def _user(path: str, line: bytes) -> tuple[str, bytes] | None:
    """The name and the hash of a line, None if it has none. `line` is without its LF."""
    if line.startswith(b"#") or not line.strip(b":") or b":" not in line or b"\0" in line:
        return None
    before, first, after = fields(line)
    name = first.strip(_WHITE)
    if len(name) > LONGEST_NAME:
        raise _LineError(f"Invalid line in password file '{path}', username too long.")
    if not name:
        raise _LineError(f"Empty username in password file '{path}'.")
    if after is None:
        raise _LineError(f"Invalid line in password file '{path}': {before.decode('utf-8', 'replace')}")
    text = after.strip(_WHITE)
    if len(text) > LONGEST_NAME:
        raise _LineError(f"Invalid line in password file '{path}', password too long.")
    try:
        hashes.parse(text)
    except hashes.UnavailableError as exc:
        raise _LineError(f"Unable to decode line in password file '{path}'.", f"Error: {exc}.") from None
    except ValueError:
        raise _LineError(f"Unable to decode line in password file '{path}'.") from None
    return name.decode("utf-8", "surrogateescape"), text


def fields(line: bytes) -> tuple[bytes, bytes, bytes | None]:
    """The line (without its LF) up to the end of its first field, that field, and the second one, if there is one.

    Several ':' are as one, but at the end of a line an empty field follows them.
    """
    start = len(line) - len(line.lstrip(b":"))
    first, colon, rest = line[start:].partition(b":")
    if not colon:
        return line, first, None
    return line[: start + len(first)], first, rest.lstrip(b":").partition(b":")[0]
