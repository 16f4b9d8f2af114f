"""A server that says what the test wants: each connection of a client tool is a `Peer`."""

from __future__ import annotations

import socket
from types import TracebackType

from tests.harness.client import RawClient
from tests.harness.deadline import SECONDS
from tests.harness.packets import Level


class Peer(RawClient):
    """A connection that a tool has made: sends and expects packets as the clients of other tests do."""

    def __init__(self, sock: socket.socket, level: Level | None) -> None:
        self.level = level
        self.sock = sock
        self.sock.settimeout(SECONDS)
        if sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pending = bytearray()
        self._ended = False

    def accept(self, *, properties: bytes = b"") -> bytes:
        """Read CONNECT, which is returned, and accept it."""
        assert self.level is not None
        connect = self.read_packet()
        self.send(self.level.connack(properties=properties))
        return connect


class Server:
    """Listens on a port of 127.0.0.1."""

    def __init__(self, level: Level) -> None:
        self.level = level
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(2 * SECONDS)
        self.port = int(self._listener.getsockname()[1])
        self._peers: list[Peer] = []

    def peer(self) -> Peer:
        """The next connection."""
        self._peers.append(Peer(self._listener.accept()[0], self.level))
        return self._peers[-1]

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for peer in self._peers:
            peer.close()
