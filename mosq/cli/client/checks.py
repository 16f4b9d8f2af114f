"""What can be judged only once all options are read: which of them ask for others, and which exclude each other."""

from __future__ import annotations

from mosq.cli.client.settings import NEVER, Ending, Settings, UsageError

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from collections.abc import Callable

_CHECKS: tuple[tuple[Callable[[Settings], object], str], ...] = (
    (lambda s: s.will_payload is not None and s.will_topic is None, "Will payload given, but no will topic given."),
    (lambda s: s.will_retain and s.will_topic is None, "Will retain given, but no will topic given."),
    (
        lambda s: (s.cert is None) != (s.key is None),
        "Both certfile and keyfile must be provided if one of them is set.",
    ),
    (
        lambda s: s.keyform is not None and s.key is None,
        "If keyform is set, keyfile must be also specified.",
    ),
    (
        lambda s: s.tls_engine_kpass_sha1 is not None and (s.keyform is None or s.tls_engine is None),
        "when using tls-engine-kpass-sha1, both tls-engine and keyform must also be provided.",
    ),
    (
        lambda s: s.psk is not None and (s.cafile is not None or s.capath is not None),
        "Only one of --psk or --cafile/--capath may be used at once.",
    ),
    (lambda s: s.psk is not None and s.psk_identity is None, "--psk-identity required if --psk used."),
    (
        lambda s: s.version == 5 and s.session_expiry == NEVER and s.client_id is None,
        "You must provide a client id if you are using an infinite session expiry interval.",
    ),
    (
        lambda s: s.version < 5 and not s.clean and s.client_id is None,
        "You must provide a client id if you are using the -c option.",
    ),
    (
        lambda s: s.tool.letter == "S" and not s.filters and not s.unsubscribe,
        "You must specify a topic to subscribe to (-t) or unsubscribe from (-U).",
    ),
)
"""In the order of their making: whether something is wrong, and what."""


def check(settings: Settings) -> None:
    """Raises UsageError, or Ending."""
    for is_wrong, text in _CHECKS:
        if is_wrong(settings):
            raise UsageError(f"Error: {text}")
    if settings.no_retained and settings.retained_only:
        raise Ending(err=b"\nError: Combining '-R' and '--retained-only' makes no sense.\n")
