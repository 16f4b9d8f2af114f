"""MQTT over every stack of transports, through the engine: to a broker and back, and how connections end."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from mosq.client import UP, Batch, Client, ClientError, Connack, Handler, Message, Settings, Standalone
from mosq.client.errors import LOST, PROTOCOL, SUCCESS
from mosq.client.transport.proxy import Proxy
from mosq.client.transport.route import Route
from mosq.client.transport.tls_options import Options
from mosq.core import Property
from mosq.reactor import Reactor
from tests.client.world import World
from tests.harness.deadline import SECONDS, wait_until
from tests.harness.packets import v311
from tests.harness.relay import Relay
from tests.harness.socks import IPV4, NAME, SocksProxy
from tests.harness.websocket import BINARY, CLOSE, PING, PONG, TEXT, WebSocketServer, frame


class Talk(Handler):
    """One client on a reactor of its own, driven by the test."""

    def __init__(self, route: Route, *, retry: float | None = None, **settings: object) -> None:
        self.reactor = Reactor()
        self.host = Standalone(self.reactor)
        self.received: list[Message] = []
        self.subscribed = False
        self.done = False
        self.errors: list[ClientError] = []
        self._retry = retry
        self.client = Client(Settings(route.dial(), clean_end=SECONDS, **settings), self, self.host)  # type: ignore[arg-type]
        self.client.start()

    def until(self, condition: Callable[[], object]) -> None:
        """Turn until the condition holds; AssertionError when time is up."""
        end = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < end, self.errors
            self.reactor.turn(0.1)

    def end(self) -> None:
        before = len(self.errors)
        self.client.disconnect()
        self.until(lambda: len(self.errors) > before)
        assert self.errors[-1].code == SUCCESS

    def close(self) -> None:
        self.client.abort()
        self.host.close()
        self.reactor.close()

    def connack(self, connack: Connack) -> None:
        assert not connack.code

    def messages(self, batch: Batch) -> None:
        self.received += batch

    def suback(self, mid: int, codes: bytes, properties: Sequence[Property]) -> None:
        self.subscribed = True

    def complete(self) -> None:
        self.done = True

    def closed(self, error: ClientError) -> float | None:
        self.errors.append(error)
        return self._retry


Start = Callable[..., Talk]


@pytest.fixture
def talk() -> Iterator[Start]:
    made: list[Talk] = []

    def start(*arguments: object, **settings: object) -> Talk:
        made.append(Talk(*arguments, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for one in made:
        one.close()


STACKS: dict[str, Callable[[World], Route]] = {
    "tcp": lambda w: Route("localhost", w.port("port")),
    "tls": lambda w: Route("localhost", w.port("port2"), tls=w.tls),
    "psk": lambda w: Route("127.0.0.1", w.port("port3"), tls=Options(psk="c0ffee", psk_identity="alice")),
    "unix": lambda w: Route(str(w.broker.directory / "plain.sock"), 0),
    "unix+tls": lambda w: Route(str(w.broker.directory / "tls.sock"), 0, tls=w.tls),
    "socks": lambda w: Route("broker.invalid", 1, proxy=w.proxy()),
    "socks+tls": lambda w: Route("localhost", w.port("port2"), proxy=w.proxy(), tls=w.tls),
    "websocket": lambda w: Route("localhost", w.websocket(), websocket=True),
    "websocket in small pieces": lambda w: Route("localhost", w.websocket(size=3000, pings=True), websocket=True),
    "tls+websocket": lambda w: Route("localhost", w.secure_websocket(), tls=w.tls, websocket=True),
    "socks+websocket": lambda w: Route("localhost", w.websocket(), proxy=w.proxy(), websocket=True),
    "socks+tls+websocket": lambda w: Route(
        "localhost", w.secure_websocket(), proxy=w.proxy(), tls=w.tls, websocket=True
    ),
}


@pytest.mark.parametrize("stack", STACKS)
def test_everything_goes_both_ways(world: World, talk: Start, name: str, stack: str) -> None:
    one = talk(STACKS[stack](world), version=5, client_id=name.encode())
    one.until(lambda: one.client.state == UP)
    one.client.subscribe([(name.encode(), 2)])
    one.until(lambda: one.subscribed)
    payloads = [bytes(i * 7 % 256 for i in range(n)) for n in (0, 1, 300, 20_000)] + [b"\xc0\0" * 600_000]
    for i, payload in enumerate(payloads):
        one.client.publish(name.encode(), payload, qos=(i + 1) % 3)
    one.until(lambda: one.done and len(one.received) == len(payloads))
    assert sorted(len(m.payload) for m in one.received) == sorted(map(len, payloads))
    assert {m.payload for m in one.received} == set(payloads)
    one.end()
    world.broker.wait_for_log(rf"Client {name} (\[.*\] )?disconnected\.$")


@pytest.mark.parametrize("stack", ["tls", "tls+websocket"])
def test_more_than_a_socket_takes_at_once(world: World, talk: Start, name: str, stack: str) -> None:
    one = talk(STACKS[stack](world), client_id=name.encode())
    one.until(lambda: one.client.state == UP)
    one.client.publish(name.encode(), bytes(9_000_000), qos=1)
    one.client.publish(name.encode(), b"end", qos=1)
    one.until(lambda: one.done)
    one.end()


class Note(Relay):
    """Reads once, and closes."""

    def serve(self, client: socket.socket) -> None:
        self.seen.append(client.recv(1000))


def connect_packet(talk: Start, route: Route) -> None:
    stated = ((0x11, 99), (0x26, (b"name", b"value")), (0x21, 7))
    one = talk(route, version=5, client_id=b"me", properties=stated)
    one.until(lambda: one.errors)
    assert one.errors[0].code == LOST


def test_server_sees_the_same_connect_on_every_way(world: World, talk: Start) -> None:
    note = Note()
    world.relay(note)
    gateway = world.relay(WebSocketServer(("127.0.0.1", note.port)))
    proxy = Proxy("127.0.0.1", world.relay(SocksProxy()))
    for through in (None, proxy):
        connect_packet(talk, Route("127.0.0.1", note.port, proxy=through))
        connect_packet(talk, Route("127.0.0.1", gateway, proxy=through, websocket=True))
    assert len(note.seen) == 4 and len(set(note.seen)) == 1
    assert b"\4name\0\5value" in note.seen[0]  # type: ignore[operator]


def test_proxy_is_told_the_name_and_not_an_address(world: World, talk: Start) -> None:
    proxy, port = SocksProxy(resolve={b"broker.invalid": world.port("port")}), world.port("port")
    world.relay(proxy)
    by_name = talk(Route("broker.invalid", 5, proxy=Proxy("localhost", proxy.port)))
    by_name.until(lambda: by_name.client.state == UP)
    by_address = talk(Route("127.0.0.1", port, proxy=Proxy("localhost", proxy.port)))
    by_address.until(lambda: by_address.client.state == UP)
    assert proxy.seen == [(b"\0", None, NAME, b"broker.invalid", 5), (b"\0", None, IPV4, b"\x7f\0\0\1", port)]


@pytest.mark.parametrize("answer", [None, b"HTTP/1.1 101 Switch", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: web"])
def test_each_attempt_begins_with_a_request(world: World, talk: Start, answer: bytes | None) -> None:
    server = WebSocketServer(answer=answer)
    world.relay(server)
    one = talk(Route("127.0.0.1", server.port, websocket=True), retry=0.01)
    one.until(lambda: len(server.seen) >= 3)
    assert {error.code for error in one.errors} == {LOST}
    assert all(request.startswith(b"GET /mqtt HTTP/1.1\r\n") for request in server.seen)  # type: ignore[attr-defined]


@pytest.mark.parametrize("stack", ["tls", "socks+tls+websocket"])
def test_lost_connections_are_made_again(world: World, talk: Start, name: str, stack: str) -> None:
    one = talk(STACKS[stack](world), retry=0.01, client_id=name.encode(), clean_start=False)
    one.until(lambda: one.client.state == UP)
    for _ in range(2):
        lost = len(one.errors)
        other = world.broker.client(v311)
        other.send(v311.connect(name, clean=False))
        one.until(lambda lost=lost: len(one.errors) > lost and one.client.state == UP)
    assert {error.code for error in one.errors} == {LOST}
    one.end()


# Frames that are no packets


def scripted(world: World, talk: Start, *frames: bytes, behind: bool = False) -> tuple[Talk, WebSocketServer]:
    script = b"".join(frames)
    server = WebSocketServer(behind=script) if behind else WebSocketServer(script=script)
    world.relay(server)
    return talk(Route("127.0.0.1", server.port, websocket=True)), server


@pytest.mark.parametrize("behind", [True, False])
def test_pings_are_answered(world: World, talk: Start, behind: bool) -> None:
    one, server = scripted(world, talk, frame(PING, b"are you there?"), behind=behind)
    one.until(lambda: (PONG, b"are you there?") in server.seen)
    assert server.seen[1][0] == BINARY or server.seen[2][0] == BINARY  # type: ignore[index]


@pytest.mark.parametrize("behind", [True, False])
def test_close_of_the_server_loses_the_connection(world: World, talk: Start, behind: bool) -> None:
    one, server = scripted(world, talk, frame(CLOSE, b"\x03\xe9"), behind=behind)
    one.until(lambda: one.errors)
    assert one.errors[0].code == LOST
    wait_until(lambda: (CLOSE, b"\x03\xe9") in server.seen, "the answer to Close")


@pytest.mark.parametrize("behind", [True, False])
@pytest.mark.parametrize(
    "bad", [frame(TEXT, b"\x20\2\0\0"), frame(BINARY, b"\x20\2\0\0", masked=True), b"\xff\xff\xff"]
)
def test_what_is_no_frame_for_mqtt_is_an_error(world: World, talk: Start, bad: bytes, behind: bool) -> None:
    one, server = scripted(world, talk, bad, behind=behind)
    one.until(lambda: one.errors)
    assert one.errors[0].code == PROTOCOL and one.errors[0].fatal
    wait_until(lambda: any(seen[0] == CLOSE for seen in server.seen[1:]), "a Close")  # type: ignore[index]
