"""Servers between a client under test and a broker: they listen, talk as their kind does, and then pass bytes on.

Each runs on threads of its own until `close`. What a client did is kept in `seen`, one entry for each connection.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable

from .deadline import SECONDS


class Relay:
    """Accepts TCP connections, optionally with TLS, and hands each to `serve` on a thread.

    `target`: the (host, port) that bytes go to where nothing else says so.
    """

    def __init__(self, target: tuple[str, int] | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.target = target
        self.seen: list[object] = []
        self._tls = tls
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        """Talk to a client; the socket is closed afterwards."""
        self.pass_on(client, self.connect(self.target))

    def connect(self, target: tuple[str, int] | None) -> socket.socket:
        assert target is not None
        server = socket.create_connection(target, timeout=SECONDS)
        self._sockets.append(server)
        return server

    def pass_on(
        self,
        client: socket.socket,
        server: socket.socket,
        inward: Callable[[bytes], bytes] = bytes,
        outward: Callable[[bytes], bytes] = bytes,
    ) -> None:
        """Pass bytes both ways until one side ends, changed by two functions."""
        for sock in (client, server):
            sock.settimeout(None)
        ways = {client: (server, inward), server: (client, outward)}
        while ways:
            for source in [sock for sock in ways if _holds_bytes(sock)] or select.select([*ways], [], [])[0]:
                sink, change = ways[source]
                if data := source.recv(65536):
                    sink.sendall(change(data))
                else:
                    del ways[source]
                    socket.socket.shutdown(sink, socket.SHUT_WR)

    def close(self) -> None:
        """Listen no more, and end all connections."""
        _end(self._listener)
        self._listener.close()
        for sock in self._sockets:
            _end(sock)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(SECONDS)
        try:
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
                self._sockets.append(client)
            self.serve(client)
        except (OSError, EOFError):
            pass  # the client had enough, or the test has ended
        finally:
            client.close()


def take(sock: socket.socket, n: int) -> bytes:
    """Exactly n bytes. Raises EOFError."""
    data = b""
    while len(data) < n:
        piece = sock.recv(n - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def _holds_bytes(sock: socket.socket) -> bool:
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0


def _end(sock: socket.socket) -> None:
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # the socket's own: that of `ssl` would go on in plain text
    except OSError:
        pass
