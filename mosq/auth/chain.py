"""The ordered chain of checkers that CONNECT is put before, and that clients are put before again after a reload.

Each checker looks at the `Request` and allows it, denies it, says that its answer comes later, or has none: IGNORE when
the request is not its business, DEFER when it is, but others shall decide. The first decision counts. When there is
none, the anonymous rule of the listener decides (`allow_anonymous`, `listener_allow_anonymous`): after IGNORE alone it
holds for clients with a user name as well, since nobody was there to judge it; after any DEFER for anonymous ones only.

`checkers` are asked for every listener, in their order. The password file comes last: that of the broker, or with
per_listener_settings that of the listener.
"""

from __future__ import annotations

from collections.abc import Callable

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Protocol

    from mosq.auth.password_file import PasswordFile
    from mosq.auth.worker import Worker
    from mosq.config import Config, ListenerConfig
    from mosq.log import Log

    class Checker(Protocol):
        """One link of the chain."""

        def authenticate(self, request: Request) -> Verdict: ...


class Verdict:
    """An answer: `code` is 0 for yes, a reason code of MQTT 5.0 (CONNACK) for no, negative for none (yet).

    `proof` goes with a yes: whatever the checker needs to give the same answer again without work (`Request.proof`).
    """

    __slots__ = ("code", "proof")

    def __init__(self, code: int, proof: object = None) -> None:
        self.code = code
        self.proof = proof


ALLOW = Verdict(0)
DEFER = Verdict(-1)
IGNORE = Verdict(-2)
LATER = Verdict(-3)
"""The answer comes through `Request.resolve`, in a later turn; the connection reads nothing until then. Nobody else can
connect with the same client identifier meanwhile: it may be all that the answer will be known by."""
ASIDE = Verdict(-4)
"""As LATER, but others may wait with the same client identifier."""
FAILED = Verdict(-5)
"""The checker did not work. The connection is closed without an answer."""


def allow(proof: object) -> Verdict:
    """A yes that can be had again with `proof`."""
    return Verdict(0, proof)


def deny(code: int = 0x87) -> Verdict:
    """A refusal with a reason code of MQTT 5.0, table 3-1."""
    return Verdict(code)


class Request:
    """Who asks to be let in. `username` is None for an anonymous client.

    `again`: a reload asks for a client that is in already; `proof` is that of the yes it got.
    """

    __slots__ = ("client_id", "username", "password", "address", "listener", "version", "again", "proof", "resolve")

    def __init__(
        self,
        client_id: str,
        username: str | None,
        password: bytes | None,
        address: str,
        listener: ListenerConfig,
        version: int,
        again: bool = False,
        proof: object = None,
    ) -> None:
        self.client_id = client_id
        self.username = username
        self.password = password
        self.address = address
        self.listener = listener
        self.version = version
        self.again = again
        self.proof = proof
        self.resolve: Callable[[Verdict], None] | None = None


class Chain:
    """The checkers in the order they are asked, and the rule for when none of them knows."""

    __slots__ = ("checkers", "_call_threadsafe", "_config", "_files", "_log", "_worker")

    def __init__(self, config: Config, log: Log, call_threadsafe: Callable[..., object]) -> None:
        self.checkers: list[Checker] = []
        self._config = config
        self._log = log
        self._call_threadsafe = call_threadsafe
        self._files: dict[str, PasswordFile] = {}
        self._worker: Worker | None = None

    def configure(self, config: Config) -> None:
        """Read the password files of `config`, and judge by it from now on.

        Raises FileError, and then everything is as before.
        """
        paths = [config.security_of(listener).password_file for listener in config.listeners]
        self._files = {path: self._load(path) for path in dict.fromkeys(paths) if path is not None}
        self._config = config

    def stop(self) -> None:
        """Compute nothing any more."""
        if self._worker is not None:
            self._worker.stop()

    def authenticate(self, request: Request) -> Verdict:
        """The verdict about `request`: never IGNORE or DEFER."""
        deferred = False
        for checker in self._checkers(request.listener):
            verdict = checker.authenticate(request)
            if verdict is DEFER:
                deferred = True
            elif verdict is not IGNORE:
                return verdict
        if deferred and request.username is not None:
            return deny()
        return ALLOW if self._config.allows_anonymous(request.listener) else deny()

    def _checkers(self, listener: ListenerConfig) -> list[Checker]:
        path = self._config.security_of(listener).password_file
        if path is None:
            return self.checkers
        # A listener that is gone from the configuration keeps its options, but its file was not read.
        return [*self.checkers, self._files.get(path, _NOBODY)]

    def _load(self, path: str) -> PasswordFile:
        from mosq.auth.password_file import load  # most of the memory is OpenSSL, for the hashes
        from mosq.auth.worker import Worker

        if self._worker is None:
            self._worker = Worker(self._call_threadsafe)
        file = load(path, self._worker, self._log.write)
        self._log.info("Plugin builtin-security has registered to receive 'basic-auth' events.")
        return file


class _Nobody:
    """Lets nobody in who has a user name."""

    __slots__ = ()

    def authenticate(self, request: Request) -> Verdict:
        return IGNORE if request.username is None else deny()


_NOBODY = _Nobody()
