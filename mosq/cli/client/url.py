"""The option -L: `scheme://[user[:password]@]host[:port]/topic`.

Nothing is percent-decoded: a topic is what stands behind the first slash, byte for byte.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from mosq.cli.client.numbers import atoi
from mosq.cli.client.settings import Settings, UsageError

OPTIONS = (b"-L", b"--url")

_SCHEMES = {
    b"mqtt": (1883, False, False),
    b"mqtts": (8883, True, False),
    b"ws": (1883, False, True),
    b"wss": (8883, True, True),
}
"""Scheme: (port, TLS, WebSocket)."""


def take(settings: Settings, url: bytes) -> bytes:
    """Set what the URL says of the server; returns the topic. Raises UsageError."""
    scheme, _, rest = url.partition(b"://")
    known = _SCHEMES.get(scheme.lower()) if b"://" in url else None
    if known is None:
        raise UsageError("Error: Unsupported URL scheme.", spaced=True)
    port, tls, websockets = known
    authority, slash, topic = rest.partition(b"/")
    if not slash:
        raise UsageError("Error: Invalid URL for -L argument specified - topic missing.")
    user_info, at, server = authority.partition(b"@")
    if at:
        settings.username, colon, password = user_info.partition(b":")
        if colon:
            settings.password = password
    else:
        server = authority
    host, digits = _host_and_port(server)
    settings.host = os.fsdecode(host)
    settings.port_given = port if digits is None else atoi(digits)
    if tls:
        settings.use_os_certs = True
    if websockets:
        settings.websockets = True
    return topic


def _host_and_port(server: bytes) -> tuple[bytes, bytes | None]:
    """An IPv6 address stands in brackets."""
    if server.startswith(b"[") and b"]" in server:
        host, _, rest = server[1:].partition(b"]")
        return host, rest[1:] if rest.startswith(b":") else None
    host, colon, digits = server.partition(b":")
    return host, digits if colon else None


def hide(name: str, words: Sequence[bytes]) -> None:
    """Take user names and passwords in URLs out of the command line as other users see it."""
    pairs = zip((b"", *words), words, strict=False)
    shown = [_without_user(word) if option in OPTIONS else word for option, word in pairs]
    if shown == list(words):
        return
    from setproctitle import setproctitle

    setproctitle(os.fsdecode(b" ".join((name.encode(), *shown))))


def _without_user(url: bytes) -> bytes:
    scheme, separator, rest = url.partition(b"://")
    authority, slash, topic = rest.partition(b"/")
    return scheme + separator + authority.rpartition(b"@")[2] + slash + topic
