"""SOCKS5 (RFC 1928, RFC 1929): a TCP connection through a proxy, which also resolves the server's name.

The conversation is a generator without I/O, `conversation`: it yields what to send and how many bytes of answer it
needs, which are never more than the proxy owes. So nothing of what follows is read by mistake, and once the proxy
has agreed the socket is as good as one to the server.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from socket import AF_INET

from mosq.client.errors import INVALID, LOST, NO_CONNECTION, NOT_AUTHORISED, PROTOCOL, PROXY, ClientError
from mosq.client.transport import READ, WRITE, Transport, lost
from mosq.client.transport.stacked import Stacked
from mosq.client.transport.tcp import literal

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.client.transport.proxy import Proxy

_VERSION = 5
_PASSWORD_VERSION = 1
_NO_AUTHENTICATION, _PASSWORD, _NONE_ACCEPTABLE = 0, 2, 0xFF
_CONNECT = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_NAME_MAX = 255

_FAILURES = {
    1: PROXY,  # general failure
    2: NOT_AUTHORISED,  # not allowed by the rules
    3: NO_CONNECTION,  # network unreachable
    4: NO_CONNECTION,  # host unreachable
    5: NO_CONNECTION,  # connection refused
    6: PROXY,  # TTL expired
    7: PROXY,  # command not supported
    8: PROXY,  # address type not supported
}
"""Replies of RFC 1928, section 6, as errors of the client."""

Conversation = Generator[tuple[bytes, int], bytes, None]
"""Yields bytes to send and the number of bytes to answer with."""


def conversation(host: str, port: int, username: bytes | None, password: bytes) -> Conversation:
    """What is said to a proxy until it has connected to `host` and `port`. Raises ClientError."""
    destination = _destination(host) + port.to_bytes(2, "big")
    methods = bytes((_NO_AUTHENTICATION,) if username is None else (_NO_AUTHENTICATION, _PASSWORD))
    version, method = yield bytes((_VERSION, len(methods))) + methods, 2
    if version != _VERSION:
        raise ClientError(PROXY)
    if method == _NONE_ACCEPTABLE:
        raise ClientError(NOT_AUTHORISED)
    if method not in methods:
        raise ClientError(PROXY)
    if method == _PASSWORD and username is not None:
        yield from _authenticate(username, password)
    version, reply, _, kind = yield bytes((_VERSION, _CONNECT, 0)) + destination, 4
    if version != _VERSION:
        raise ClientError(PROXY)
    _check(reply)
    yield from _skip_address(kind)


def _authenticate(username: bytes, password: bytes) -> Conversation:
    name, secret = (bytes((len(text),)) + text for text in (username, password))
    version, status = yield bytes((_PASSWORD_VERSION,)) + name + secret, 2
    if version != _PASSWORD_VERSION:
        raise ClientError(PROXY)
    _check(status)


def _check(reply: int) -> None:
    if reply:
        raise ClientError(_FAILURES.get(reply, INVALID))


def _skip_address(kind: int) -> Conversation:
    """The address that the proxy has on the other side, which is of no use here."""
    sizes = {_IPV4: 4, _IPV6: 16}
    if kind == _NAME:
        sizes[_NAME] = (yield b"", 1)[0]
    if kind not in sizes:
        raise ClientError(PROTOCOL)
    yield b"", sizes[kind] + 2


def _destination(host: str) -> bytes:
    if address := literal(host):
        family, packed = address
        return bytes((_IPV4 if family == AF_INET else _IPV6,)) + packed
    name = os.fsencode(host)
    if not 0 < len(name) <= _NAME_MAX:
        raise ClientError(INVALID)
    return bytes((_NAME, len(name))) + name


class Socks(Stacked):
    """A connection to `host` and `port` through a proxy, over a socket that connects to the proxy."""

    def __init__(self, lower: Transport, proxy: Proxy, host: str, port: int) -> None:
        """Raises ClientError for a host or port that cannot be asked for."""
        super().__init__(lower)
        if not 0 < port < 65536:
            raise ClientError(INVALID)
        self.direct = lower.direct
        self._conversation = conversation(host, port, proxy.username, proxy.password)
        self._to_send, self._missing = next(self._conversation)
        self._answer = b""
        self._agreed = False

    def handshake(self) -> int:
        try:
            return self._converse()
        except ClientError as error:
            if error.code == LOST:
                raise ClientError(PROXY) from None
            raise

    def _converse(self) -> int:
        while not self._agreed:
            if self._to_send:
                self._to_send = self._to_send[self.lower.write(self._to_send) :]
                if self._to_send:
                    return WRITE
            if self._missing and not self._receive():
                return READ
            self._go_on()
        return 0

    def _receive(self) -> bool:
        """Straight from the socket, as `read` would take all there is. True: the answer is whole."""
        while self._missing:
            try:
                data = os.read(self.fd, self._missing)
            except BlockingIOError:
                return False
            except OSError as error:
                raise lost(error) from None
            if not data:
                raise ClientError(LOST)
            self._answer += data
            self._missing -= len(data)
        return True

    def _go_on(self) -> None:
        answer, self._answer = self._answer, b""
        try:
            self._to_send, self._missing = self._conversation.send(answer)
        except StopIteration:
            self._agreed = True
