"""How bytes travel between a socket and the core when it is not the core that moves them.

`tls` is a connection whose bytes are encrypted, `context` what a listener needs for that (certificates, ciphers,
pre-shared keys), `openssl` everything that is below pyOpenSSL's public interface. They are imported when a listener of
the configuration has TLS, and not before: the library costs several megabytes.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mosq.config import Config, ListenerConfig
    from mosq.listeners import Listener
    from mosq.log import Log


class SecurityError(Exception):
    """A listener cannot have the TLS it is configured for. The log has the reason."""


def has_tls(options: ListenerConfig) -> bool:
    """Do these options switch TLS on?"""
    return bool(options.certfile and options.keyfile) or options.psk_hint is not None


def proves_identity(options: ListenerConfig) -> bool:
    """Is the user name of the listener's clients what TLS has proved, and not what CONNECT says?"""
    return has_tls(options) and (options.use_identity_as_username or options.use_subject_as_username)


_NEED_LISTENER = (
    "capath", "certfile", "ciphers", "ciphers_tls1.3", "crlfile", "keyfile", "psk_hint", "require_certificate",
    "tls_engine", "tls_engine_kpass_sha1", "tls_keyform", "use_identity_as_username", "use_subject_as_username",
)  # fmt: skip


def is_placed(config: Config, log: Log) -> bool:
    """Whether the TLS options have a listener to belong to. If not, the log has the first that has none.

    Without one the broker listens to its own machine alone, which is not what somebody can mean who asks for TLS.
    """
    for listener in config.listeners if config.local_only else ():
        for name in _NEED_LISTENER:
            if name in listener.given:
                log.error("Error: The '%s' option requires a listener to be defined first.", name)
                return False
    return True


def secure(
    listeners: Sequence[Listener],
    log: Log,
    keys_of: Callable[[ListenerConfig], Mapping[bytes, bytes] | None],
    key_log: str | None = None,
) -> None:
    """Prepare the listeners that have TLS. `keys_of` knows the pre-shared keys of a listener, `key_log` is a path.

    Raises SecurityError.
    """
    wanted = [listener for listener in listeners if has_tls(listener.config)]
    if not wanted:
        return
    from mosq.transport.context import ContextError, KeyLog
    from mosq.transport.tls import SecureListener

    log_of_keys = KeyLog(key_log, log) if key_log is not None else None
    for listener in wanted:
        options = listener.config
        try:
            listener.secure = SecureListener(listener, options, keys_of(options), log, log_of_keys)
        except ContextError as exc:
            for text in exc.texts:
                log.error("%s", text)
            raise SecurityError from exc
