"""A client of the engine, told what to do by a test, against a server that says what the test wants.

The client's reactor turns on a thread of its own; `do` calls into it. The test's own thread plays the server.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, TypeVar

from mosq.client import Client, ClientError, Connack, Handler, Message, Refusal, Settings, Standalone
from mosq.client.messages import Batch
from mosq.client.transport.tcp import Tcp
from mosq.core import Property
from mosq.reactor import Reactor
from tests.clients.server import Peer, Server
from tests.harness.deadline import SECONDS, wait_until
from tests.harness.packets import Level, default_connack_properties

T = TypeVar("T")


class Recorder(Handler):
    """Remembers what it was told. `again`: seconds until the next attempt, None: none."""

    def __init__(self) -> None:
        self.connacks: list[Connack] = []
        self.batches: list[list[Message]] = []
        self.subacks: list[tuple[int, bytes]] = []
        self.unsubacks: list[tuple[int, bytes]] = []
        self.refusals: list[Refusal] = []
        self.ends: list[ClientError] = []
        self.lines: list[str] = []
        self.completed = 0
        self.reached = 0
        self.again: float | None = None
        self.on_connack: Callable[[], object] = lambda: None
        self.on_messages: Callable[[], object] = lambda: None

    @property
    def received(self) -> list[Message]:
        return [message for batch in self.batches for message in batch]

    def connected(self) -> None:
        self.reached += 1

    def connack(self, connack: Connack) -> None:
        self.connacks.append(connack)
        self.on_connack()

    def messages(self, batch: Batch) -> None:
        self.batches.append(list(batch))
        self.on_messages()

    def suback(self, mid: int, codes: bytes, properties: Sequence[Property]) -> None:
        self.subacks.append((mid, codes))

    def unsuback(self, mid: int, codes: bytes, properties: Sequence[Property]) -> None:
        self.unsubacks.append((mid, codes))

    def refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)

    def complete(self) -> None:
        self.completed += 1

    def closed(self, error: ClientError) -> float | None:
        self.ends.append(error)
        return self.again

    def debug(self, line: str) -> None:
        self.lines.append(line)


class Running:
    """A client, and the server it connects to."""

    def __init__(self, level: Level, **settings: Any) -> None:
        self.level = level
        self.server = Server(level)
        self.handler = Recorder()
        self.reported: list[BaseException] = []
        self._reactor = Reactor(self.reported.append)
        settings.setdefault("client_id", b"me")
        settings.setdefault("dial", lambda: Tcp("127.0.0.1", self.server.port))
        self.host = Standalone(self._reactor)
        self.client = Client(Settings(version=level.number, **settings), self.handler, self.host)
        self._thread = threading.Thread(target=self._reactor.run)
        self._thread.start()

    def start(self) -> Peer:
        """Start the client; the server's side of its connection."""
        self.do(self.client.start)
        return self.server.peer()

    def up(self, properties: bytes | None = None, *, session_present: bool = False) -> Peer:
        """As `start`, with CONNECT and CONNACK exchanged."""
        return self.welcome(self.start(), properties, session_present=session_present)

    def welcome(self, peer: Peer, properties: bytes | None = None, *, session_present: bool = False) -> Peer:
        """Take CONNECT and accept it."""
        before = len(self.handler.connacks)
        peer.read_packet()
        stated = default_connack_properties() if properties is None else properties
        peer.send(self.level.connack(session_present=session_present, properties=stated))
        self.until(lambda: len(self.handler.connacks) > before, "CONNACK")
        return peer

    def do(self, fn: Callable[..., T], *args: Any, **named: Any) -> T:
        """Call `fn` where the client lives. What it raises is raised here."""
        answer: SimpleQueue[tuple[bool, Any]] = SimpleQueue()

        def call() -> None:
            try:
                answer.put((True, fn(*args, **named)))
            except BaseException as error:
                answer.put((False, error))

        self._reactor.call_threadsafe(call)
        good, value = answer.get(timeout=SECONDS)
        if not good:
            raise value
        return value  # type: ignore[no-any-return]

    def until(self, condition: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
        wait_until(condition, what, seconds)
        self.do(lambda: None)  # the turn in which it happened is over

    def ended(self, count: int = 1) -> ClientError:
        """Wait until the connection has ended so many times; why it did last."""
        self.until(lambda: len(self.handler.ends) >= count, "the end of a connection")
        return self.handler.ends[-1]

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *error: object) -> None:
        self.do(self.client.abort)
        self._reactor.call_threadsafe(self._reactor.stop)
        self._thread.join(SECONDS)
        self.host.close()
        self._reactor.close()
        self.server.__exit__(None, None, None)
        assert not self.reported, self.reported
