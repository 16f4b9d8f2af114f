"""Where a SOCKS5 proxy is, and the URL that says so: `socks5h://[user[:password]@]host[:port]`."""

from __future__ import annotations

import os
import re

from mosq.record import Record

PORT = 1080
HOST_MAX = 256
USER_MAX = 255
"""Of user name and password each; RFC 1929 has one byte for the length."""

_SCHEME = b"socks5h://"
_ENCODED = re.compile(rb"%(25|3[Aa]|40)?")
_DECODED = {b"25": b"%", b"3A": b":", b"3a": b":", b"40": b"@"}


class Proxy(Record):
    """A SOCKS5 proxy. `username` None: none is offered; `password` counts only beside one."""

    host: str
    port: int = PORT
    username: bytes | None = None
    password: bytes = b""


class ProxyURLError(ValueError):
    """Not the URL of a proxy. `text`: a line that says why, b"" where there is none; `usage`: a hint at the tool's
    options follows."""

    def __init__(self, text: bytes = b"", usage: bool = True) -> None:
        super().__init__(text)
        self.text = text
        self.usage = usage


def parse(url: bytes) -> Proxy:
    """The proxy that a URL means. Raises ProxyURLError."""
    if not url.startswith(_SCHEME):
        raise ProxyURLError(b"Error: Unsupported proxy protocol: " + url)
    user_info, at, server = url[len(_SCHEME) :].partition(b"@")
    if not at:
        user_info, server = b"", user_info
    username, password = _user(user_info) if at else (None, b"")
    host, port = _server(server)
    if len(host) > HOST_MAX:
        raise ProxyURLError(usage=False)
    return Proxy(os.fsdecode(host), port, username, password)


def _user(info: bytes) -> tuple[bytes, bytes]:
    username, colon, password = info.partition(b":")
    if b":" in password:
        raise ProxyURLError(b"Error: Username cannot contain ':'.")
    if not username or (colon and not password):
        raise ProxyURLError
    found = _decoded(username), _decoded(password)
    if max(map(len, found)) > USER_MAX:
        raise ProxyURLError(usage=False)
    return found


def _decoded(text: bytes) -> bytes:
    """The three characters that a URL needs encoded; no others are."""

    def decode(found: re.Match[bytes]) -> bytes:
        if found[1] is None:
            raise ProxyURLError
        return _DECODED[found[1]]

    return _ENCODED.sub(decode, text)


def _server(server: bytes) -> tuple[bytes, int]:
    if not server:
        raise ProxyURLError(b"Error: Invalid proxy.")
    if b"[" in server:
        host, colon, digits = _bracketed(server)
    else:
        host, colon, digits = server.partition(b":")
        if not host:
            raise ProxyURLError
    if b":" in digits or b"@" in digits or re.search(rb"[]@]", host):
        raise ProxyURLError
    if not host or (colon and not digits):
        raise ProxyURLError(b"Error: Invalid proxy.")
    return host, _port(digits) if colon else PORT


def _bracketed(server: bytes) -> tuple[bytes, bytes, bytes]:
    """An IPv6 address stands in brackets, as its colons would be taken for the one before the port."""
    if server.count(b"[") > 1:
        raise ProxyURLError(b"Error: Duplicate IPv6 address.")
    host, closing, rest = server[1:].partition(b"]")
    if not server.startswith(b"[") or not closing or (rest and not rest.startswith(b":")):
        raise ProxyURLError
    return host, rest[:1], rest[1:]


def _port(digits: bytes) -> int:
    """What stands before the first character that is no digit counts, as everywhere on the command line."""
    found = re.match(rb"\s*[+-]?\d+", digits)
    port = int(found[0]) if found else 0
    if not 0 < port < 65536:
        raise ProxyURLError(b"Error: Invalid proxy port %d" % port)
    return port
