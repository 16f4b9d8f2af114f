"""TCP and unix sockets: the lowest of every stack of transports.

Addresses are tried in the order of the resolver, each without blocking. The name is resolved when the attempt begins; a
caller who must not wait for the resolver gives its own.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable

from mosq.client.errors import ERRNO, INVALID, LOOKUP, ClientError
from mosq.client.transport import PIECE, WRITE, Transport, lost

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any

Address = tuple[int, "Any"]
"""Family and socket address."""
Resolve = Callable[[str, int], "list[Address]"]

UNIX_PATH_MAX = 107
"""Bytes that a socket address of the family AF_UNIX has room for, but for its end."""


def resolve(host: str, port: int) -> list[Address]:
    """The addresses of a host, in the system's order. Raises ClientError (LOOKUP)."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ClientError(LOOKUP) from None
    return [(family, address) for family, _, _, _, address in found]


def literal(host: str) -> tuple[int, bytes] | None:
    """The family and the bytes of an IP address; None: a name. What follows `%`, an interface, does not count."""
    address = host.partition("%")[0]
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return family, socket.inet_pton(family, address)
        except (OSError, ValueError):
            continue
    return None


class Socket(Transport):
    """A stream socket. Subclasses say where it goes."""

    direct = True

    def __init__(self) -> None:
        self._sock: socket.socket | None = None
        self._left: list[Address] | None = None
        self._failed = 0

    def addresses(self) -> list[Address]:
        """Where to connect to, in the order of the attempts. Raises ClientError."""
        raise NotImplementedError

    def prepare(self, sock: socket.socket, family: int) -> None:
        """Bind the new socket, set options. Raises OSError: the next address is tried."""

    def advance(self) -> int:
        if self.connected:
            return 0
        if self._left is None:
            self._left = self.addresses()
        elif self._sock is not None:
            error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if self._settled(error):
                return 0
        while self._left:
            if self._settled(self._begin(*self._left.pop(0))):
                return 0
            if self._sock is not None:
                return WRITE
        raise ClientError(ERRNO, errno=self._failed or errno.EADDRNOTAVAIL)

    def _begin(self, family: int, address: Any) -> int:
        """Begin to connect; an errno, 0: connected."""
        try:
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        except OSError as error:
            return error.errno or errno.EIO
        try:
            self.prepare(sock, family)
            result = sock.connect_ex(address)
        except OSError as error:
            sock.close()
            return error.errno or errno.EIO
        self._sock = sock
        self.fd = sock.fileno()
        return result

    def _settled(self, error: int) -> bool:
        """Whether the socket is connected. One that failed is closed, one that is under way stays."""
        if error in (errno.EINPROGRESS, errno.EINTR):
            return False
        if error:
            self._failed = error
            self._drop()
            return False
        self.connected = self._sock is not None
        return self.connected

    def _drop(self) -> None:
        if self._sock is not None:
            self._sock.close()
        self._sock = None
        self.fd = -1

    def read(self) -> bytes | None:
        assert self._sock is not None
        try:
            return self._sock.recv(PIECE)
        except BlockingIOError:
            return None
        except OSError as error:
            raise lost(error) from None

    def write(self, data: Any) -> int:
        assert self._sock is not None
        try:
            return self._sock.send(data, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise lost(error) from None

    def finish(self) -> None:
        if self._sock is not None:
            try:
                self._sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the server was quicker

    def close(self) -> None:
        self._drop()
        self.connected = False


class Tcp(Socket):
    """TCP to a host. `bind`: a local address or host name. `nodelay`: as TCP_NODELAY."""

    def __init__(
        self, host: str, port: int, *, bind: str | None = None, nodelay: bool = False, resolver: Resolve = resolve
    ) -> None:
        super().__init__()
        self.host = host
        self.port = port
        self._bind = bind
        self._nodelay = nodelay
        self._resolve = resolver
        self._local: list[Address] = []

    def addresses(self) -> list[Address]:
        if not 0 < self.port < 65536:
            raise ClientError(INVALID)
        if not self.host:
            raise ClientError(LOOKUP)
        if self._bind is not None:
            self._local = self._resolve(self._bind, 0)
        return self._resolve(self.host, self.port)

    def prepare(self, sock: socket.socket, family: int) -> None:
        if self._nodelay:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._bind is None:
            return
        failed = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        for local_family, address in self._local:
            if local_family != family:
                continue
            try:
                sock.bind(address)
                return
            except OSError as error:
                failed = error
        raise failed


class Unix(Socket):
    """A unix socket. `path`: 1 to UNIX_PATH_MAX bytes."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def addresses(self) -> list[Address]:
        if not 0 < len(os.fsencode(self.path)) <= UNIX_PATH_MAX:
            raise ClientError(INVALID)
        return [(socket.AF_UNIX, self.path)]
