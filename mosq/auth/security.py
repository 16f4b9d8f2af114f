"""What the security options of a configuration ask for, in one hand: who may connect, and what clients may do.

Files are read in the order of the attributes, at the start before any listener opens, and again at each reload.
"""

from __future__ import annotations

from collections.abc import Callable

from mosq.auth.access import Access
from mosq.auth.chain import Chain

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.config import Config
    from mosq.log import Log


class Security:
    """`auth` judges who connects (password_file), `access` what clients do (acl_file)."""

    __slots__ = ("auth", "access")

    def __init__(self, config: Config, log: Log, call_threadsafe: Callable[..., object]) -> None:
        """Raises FileError. `call_threadsafe` is the reactor's."""
        self.auth = Chain(config, log, call_threadsafe)
        self.access = Access(log)
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Read the files of `config`. Raises FileError at the first that will not do; what it would have told stays as
        it was."""
        self.auth.configure(config)
        self.access.configure(config)

    def stop(self) -> None:
        """Decide nothing any more."""
        self.auth.stop()
