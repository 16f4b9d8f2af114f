"""What the security options of a configuration ask for, in one hand: who may connect, and what clients may do.

Files are read in the order of the attributes, at the start before any listener opens, and again at each reload.
"""

from __future__ import annotations

from collections.abc import Callable

from mosq.auth.access import Access
from mosq.auth.chain import Chain

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.auth.psk_file import Keys
    from mosq.config import Config, ListenerConfig
    from mosq.log import Log


class Security:
    """`auth` judges who connects (password_file), `access` what clients do (acl_file)."""

    __slots__ = ("auth", "access", "_config", "_keys", "_log")

    def __init__(self, config: Config, log: Log, call_threadsafe: Callable[..., object]) -> None:
        """`call_threadsafe` is the reactor's. Nothing is read, and nothing to be decided, before `configure`."""
        self.auth = Chain(config, log, call_threadsafe)
        self.access = Access(log)
        self._log = log
        self._keys: dict[str, Keys] = {}
        self._config = config

    def configure(self, config: Config) -> None:
        """Read the files of `config`. Raises FileError at the first that will not do; what it would have told stays as
        it was."""
        self.auth.configure(config)
        self.access.configure(config)
        self._keys = self._load_keys(config)
        self._config = config

    def keys_of(self, listener: ListenerConfig) -> Keys | None:
        """The pre-shared keys that count for a listener (psk_file), None where no file is named."""
        path = self._config.security_of(listener).psk_file
        return None if path is None else self._keys.get(path, {})

    def _load_keys(self, config: Config) -> dict[str, Keys]:
        paths = dict.fromkeys(config.security_of(listener).psk_file for listener in config.listeners)
        if not any(paths):
            return {}
        from mosq.auth import psk_file

        return {path: psk_file.load(path, self._log.write) for path in paths if path is not None}

    def stop(self) -> None:
        """Decide nothing any more."""
        self.auth.stop()
