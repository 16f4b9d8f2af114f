"""A SOCKS5 proxy (RFC 1928, RFC 1929) for tests, which can also be told to answer wrongly."""

from __future__ import annotations

import socket

from .relay import Relay, take

IPV4, NAME, IPV6 = 1, 3, 4


class SocksProxy(Relay):
    """`seen`: (methods, user name and password or None, address type, address, port) for each connection.

    - user: name and password, which are asked for
    - resolve: TCP ports by the name they are asked for; others go where the client says
    - script: what to answer instead, one piece after each message of the client, and then close
    """

    def __init__(
        self,
        *,
        user: tuple[bytes, bytes] | None = None,
        resolve: dict[bytes, int] | None = None,
        script: tuple[bytes, ...] | None = None,
    ) -> None:
        super().__init__()
        self._user = user
        self._resolve = resolve or {}
        self._script = script

    def serve(self, client: socket.socket) -> None:
        if self._script is not None:
            for piece in self._script:
                self.seen.append(client.recv(1024))
                client.sendall(piece)
            return
        methods = take(client, take(client, 2)[1])
        client.sendall(bytes((5, 2 if self._user else 0)))
        given = self._credentials(client) if self._user else None
        if self._user and given != self._user:
            client.sendall(b"\1\1")
            return
        if self._user:
            client.sendall(b"\1\0")
        kind = take(client, 4)[3]
        address = take(client, {IPV4: 4, IPV6: 16}.get(kind) or take(client, 1)[0])
        port = int.from_bytes(take(client, 2), "big")
        self.seen.append((methods, given, kind, address, port))
        if kind == NAME:
            target = "127.0.0.1", self._resolve.get(address, port)
        else:
            target = socket.inet_ntop(socket.AF_INET if kind == IPV4 else socket.AF_INET6, address), port
        server = self.connect(target)
        client.sendall(b"\5\0\0\1\x7f\0\0\1" + port.to_bytes(2, "big"))
        self.pass_on(client, server)

    def _credentials(self, client: socket.socket) -> tuple[bytes, bytes]:
        name = take(client, take(client, 2)[1])
        return name, take(client, take(client, 1)[0])
