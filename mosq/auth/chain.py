"""The ordered chain of checkers that CONNECT is put before.

Each checker looks at the `Request` and allows, denies, defers to the next, or says that its answer comes later. The
first answer other than `DEFER` counts. When all defer, the anonymous rule of the listener decides (`allow_anonymous`,
`listener_allow_anonymous`): it holds for clients with a user name as well, since nobody was there to judge it.
"""

from __future__ import annotations

from collections.abc import Callable

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Protocol

    from mosq.config import Config, ListenerConfig

    class Checker(Protocol):
        """One link of the chain."""

        def authenticate(self, request: Request) -> Verdict: ...


class Verdict:
    """An answer: `code` is 0 for yes, a reason code of MQTT 5.0 (CONNACK) for no, negative for no answer yet."""

    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        self.code = code


ALLOW = Verdict(0)
DEFER = Verdict(-1)
LATER = Verdict(-2)
"""The answer comes through `Request.resolve`, in a later turn; the connection reads nothing until then."""


def deny(code: int = 0x87) -> Verdict:
    """A refusal with a reason code of MQTT 5.0, table 3-1."""
    return Verdict(code)


class Request:
    """Who asks to be let in. `username` is None for an anonymous client."""

    __slots__ = ("client_id", "username", "password", "address", "listener", "version", "resolve")

    def __init__(
        self,
        client_id: str,
        username: str | None,
        password: bytes | None,
        address: str,
        listener: ListenerConfig,
        version: int,
    ) -> None:
        self.client_id = client_id
        self.username = username
        self.password = password
        self.address = address
        self.listener = listener
        self.version = version
        self.resolve: Callable[[Verdict], None] | None = None


class Chain:
    """The checkers in the order they are asked, and the rule for when none of them knows."""

    __slots__ = ("checkers", "_config")

    def __init__(self, config: Config) -> None:
        self.checkers: list[Checker] = []
        self._config = config

    def configure(self, config: Config) -> None:
        """A reload: the anonymous rule comes from `config` from now on."""
        self._config = config

    def authenticate(self, request: Request) -> Verdict:
        """The verdict about `request`: ALLOW, LATER, or a refusal."""
        for checker in self.checkers:
            verdict = checker.authenticate(request)
            if verdict is not DEFER:
                return verdict
        return ALLOW if self._config.allows_anonymous(request.listener) else deny()

    def still_allowed(self, listener: ListenerConfig, username: str | None) -> bool:
        """Would a connected client be let in now? Asked after a reload of every connected client.

        Only the anonymous rule can be asked without a password; it judges nobody else as long as checkers exist."""
        if self.checkers and username is not None:
            return True
        return self._config.allows_anonymous(listener)
