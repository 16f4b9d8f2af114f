"""A broker in this process, on a clock that the test moves, with clients at the other end of socket pairs.

Nothing sleeps: a turn of the reactor handles what is there, and `advance` lets seconds pass one by one.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest

from mosq.broker import Broker
from mosq.config import Config, ListenerConfig
from mosq.connection import Connection
from mosq.listeners import Listener
from mosq.log import ALL_LEVELS, Log
from mosq.reactor import Reactor
from tests.harness.packets import Level, Will, v5, v311

START = 1_700_000_000.0
"""Seconds since 1970 at the start of each test; a multiple of ten."""


class Lines(Log):
    """A log that keeps its lines as (level, text), and has the destination `topic` if asked."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []
        self.debugging = True
        self.to_topics = False

    def wants(self, level: str) -> bool:
        return level in ALL_LEVELS

    def write(self, level: str, text: str) -> None:
        self.lines.append((level, text))
        if self.to_topics and self.on_topic is not None:
            self.on_topic(level, text)

    def debug(self, fmt: str, *args: Any) -> None:
        self.write("D", fmt % args if args else fmt)

    def subscribe(self, fmt: str, *args: Any) -> None:
        self.write("S", fmt % args if args else fmt)

    def unsubscribe(self, fmt: str, *args: Any) -> None:
        self.write("U", fmt % args if args else fmt)

    def texts(self, level: str = "") -> list[str]:
        return [text for found, text in self.lines if level in ("", found)]


class Peer:
    """The client's end of a connection."""

    def __init__(self, world: World, port: int, level: Level) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self.world, self.sock, self.level, self.port = world, ours, level, port
        world.listener.count += 1
        world.broker.accepted(world.listener, theirs.detach(), "192.0.2.1", port)
        self.connection: Connection = next(c for c in world.broker.connections if c.port == port)

    def send(self, data: bytes) -> bytes:
        """Send, let the broker have a turn, and return what came back."""
        self.sock.sendall(data)
        self.world.turn()
        return self.read()

    def read(self) -> bytes:
        """All that has come; the world must have had its turn."""
        out = b""
        try:
            while data := self.sock.recv(65536):
                out += data
        except (BlockingIOError, ConnectionResetError):
            pass
        return out

    @property
    def closed(self) -> bool:
        """Has the broker closed the connection? Asks for what has come beforehand to be read."""
        try:
            return self.sock.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True

    def drop(self) -> None:
        """Lose the network connection."""
        self.sock.close()
        self.world.turn()


class World:
    """See the top of this file."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, listener: dict[str, object], options: dict[str, object]
    ) -> None:
        self.mono, self.wall = 1000.0, START
        monkeypatch.setattr("mosq.reactor.monotonic", lambda: self.mono)
        monkeypatch.setattr("mosq.reactor.time", lambda: self.wall)
        self.errors: list[BaseException] = []
        self.reactor = Reactor(self.errors.append)
        self.log = Lines()
        self.listener = Listener(ListenerConfig(**{"listener_allow_anonymous": True, **listener}))
        self.config = Config(**{"local_only": False, "sys_interval": 0, "listeners": [self.listener.config], **options})
        self.broker = Broker(self.config, self.log, self.reactor)
        self.broker.security.configure(self.config)
        self.peers: list[Peer] = []

    def start(self) -> World:
        self.broker.start([self.listener])
        return self

    def close(self) -> None:
        if self.broker.core.c is not None:
            self.broker.stop()
        for peer in self.peers:
            peer.sock.close()
        self.reactor.close()
        assert not self.errors, self.errors

    def turn(self) -> None:
        self.reactor.turn(0)

    def advance(self, seconds: int) -> None:
        """Let time pass, with a turn each second."""
        for _ in range(seconds):
            self.mono += 1
            self.wall += 1
            self.turn()

    def peer(self, level: Level = v311) -> Peer:
        """A connection that has said nothing."""
        self.peers.append(Peer(self, 40000 + len(self.peers), level))
        return self.peers[-1]

    def client(
        self,
        client_id: str,
        level: Level = v311,
        *,
        clean: bool = True,
        properties: bytes = b"",
        will: Will | None = None,
        present: bool = False,
        **options: Any,
    ) -> Peer:
        """A client whose CONNECT was accepted."""
        peer = self.peer(level)
        answer = peer.send(level.connect(client_id, clean=clean, properties=properties, will=will, **options))
        assert answer[0] == 0x20 and answer[3] == 0, answer.hex(" ")
        assert answer[2] == present
        return peer

    def watcher(self, *filters: str, level: Level = v5) -> Peer:
        """A client that sees everything published to these filters."""
        peer = self.client(f"watcher{len(self.peers)}", level)
        peer.send(level.subscribe(1, *filters, qos=2))
        return peer

    def sessions(self) -> set[str]:
        return set(self.broker.sessions.by_id)
