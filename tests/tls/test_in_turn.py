"""Encrypted connections in a broker of this process, on a clock that the test moves."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from mosq import transport
from mosq.transport.tls import RECORDS, TLSConnection
from tests.control.world import Peer, World
from tests.harness.packets import PINGREQ_BYTES, PINGRESP_BYTES, v5, v311
from tests.tls.client import client_context
from tests.tls.conftest import Pki


class Secure:
    """A client's TLS over a Peer, without a thread: the handshake goes on with each turn."""

    def __init__(self, world: World, pki: Pki, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = client_context(pki.ca, most=version)
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.world = world
        self.peer: Peer = world.peer(v5)

    @property
    def connection(self) -> TLSConnection:
        assert isinstance(self.peer.connection, TLSConnection)
        return self.peer.connection

    def handshake(self) -> Secure:
        for _ in range(5):
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flow()
                continue
            self.flow()
            return self
        raise AssertionError("the handshake does not end")

    def flow(self) -> None:
        """What was written goes to the broker, which has its turn, and what it answered comes back."""
        self.incoming.write(self.peer.send(self.outgoing.read()))

    def read(self) -> bytes:
        out = b""
        try:
            while data := self.tls.read(65536):
                out += data
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return out

    def send(self, data: bytes) -> bytes:
        """Send, and return what came back in that turn."""
        if data:
            self.tls.write(data)
        self.flow()
        return self.read()

    def connect(self, client_id: str) -> Secure:
        answer = self.handshake().send(v5.connect(client_id))
        assert answer == v5.connack(), answer.hex(" ")
        return self


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, pki: Pki) -> Iterator[World]:
    pair = {"certfile": str(pki.server.certificate), "keyfile": str(pki.server.key)}
    world = World(monkeypatch, pair, {"max_queued_messages": 100})
    transport.secure([world.listener], world.log, world.broker.security.keys_of)
    yield world.start()
    world.close()


def gone(world: World, peer: Peer) -> str:
    lines = [line for line in world.log.texts("N") if f":{peer.port}] disconnected" in line]
    assert len(lines) == 1, lines
    return lines[0].partition("disconnected")[2]


def test_silence_is_ended_after_thirty_seconds(world: World) -> None:
    peer = world.peer()
    world.advance(29)
    assert not peer.closed
    world.advance(2)
    assert gone(world, peer) == ": exceeded timeout."
    assert peer.read() == b""


def test_a_slow_handshake_does_not_gain_time(world: World, pki: Pki) -> None:
    slow, fast = Secure(world, pki), Secure(world, pki)
    with pytest.raises(ssl.SSLWantReadError):
        slow.tls.do_handshake()
    hello = slow.outgoing.read()
    for i in range(28):
        slow.peer.sock.sendall(hello[i : i + 1])
        world.advance(1)
    fast.connect("fast")
    world.advance(3)
    assert gone(world, slow.peer) == ": exceeded timeout."
    assert fast.send(PINGREQ_BYTES) == PINGRESP_BYTES


def test_a_handshake_without_connect_is_ended(world: World, pki: Pki) -> None:
    secure = Secure(world, pki).handshake()
    world.advance(31)
    assert gone(world, secure.peer) == ": exceeded timeout."


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_reason_for_the_end_is_sent(world: World, pki: Pki, version: ssl.TLSVersion) -> None:
    secure = Secure(world, pki, version).connect("a")
    again = Secure(world, pki, version).connect("a")
    secure.incoming.write(secure.peer.read())
    assert secure.read() == b"\xe0\x01\x8e"  # taken over
    assert again.send(PINGREQ_BYTES) == PINGRESP_BYTES


def test_a_turn_reads_so_many_records(world: World, pki: Pki) -> None:
    secure = Secure(world, pki).connect("a")
    for _ in range(RECORDS + 3):
        secure.tls.write(PINGREQ_BYTES)
    secure.flow()
    assert secure.read() == PINGRESP_BYTES * RECORDS
    assert secure.send(b"") == PINGRESP_BYTES * 3


def test_a_turn_reads_so_many_bytes(world: World, pki: Pki) -> None:
    secure = Secure(world, pki).connect("a")
    secure.peer.sock.setsockopt(1, 7, 1 << 20)
    secure.tls.write(PINGREQ_BYTES * 50_000)
    secure.flow()
    answered = len(secure.read())
    assert 0 < answered < 2 * 50_000
    for _ in range(10):
        answered += len(secure.send(b""))
    assert answered == 2 * 50_000


def test_a_peer_that_does_not_read_meets_the_limits(world: World, pki: Pki) -> None:
    reader, writer = Secure(world, pki).connect("reader"), Secure(world, pki).connect("writer")
    assert reader.send(v5.subscribe(1, "t", qos=0)) == v5.suback(1, 0)
    for _ in range(400):
        writer.send(v5.publish("t", b"x" * 10_000))
    assert reader.connection.blocked
    assert world.broker.core.stats.out_bytes < 101 * 10_100
    assert writer.send(PINGREQ_BYTES) == PINGRESP_BYTES
    got = b""
    for _ in range(200):
        reader.incoming.write(reader.peer.read())
        got += reader.read()
        world.turn()
    assert got.count(b"x" * 10_000) >= 100
    assert world.broker.core.stats.out_bytes == 0
    assert reader.send(PINGREQ_BYTES) == PINGRESP_BYTES


def test_a_peer_that_asks_and_does_not_read_is_paused(world: World, pki: Pki) -> None:
    secure = Secure(world, pki).connect("a")
    for _ in range(60):
        secure.tls.write(PINGREQ_BYTES * 30_000)
    out, sent = secure.outgoing.read(), 0
    while sent < len(out):
        try:
            sent += secure.peer.sock.send(out[sent:])
        except BlockingIOError:
            before = world.broker.core.stats.out_bytes
            world.turn()
            if world.broker.core.stats.out_bytes == before and secure.connection.blocked:
                break
    assert sent < len(out)
    assert world.broker.core.stats.out_bytes < 1 << 20


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_garbage_in_the_middle(world: World, pki: Pki, version: ssl.TLSVersion) -> None:
    secure, other = Secure(world, pki, version).connect("a"), Secure(world, pki).connect("b")
    secure.peer.sock.sendall(b"\x17\x03\x03\x00\x40" + b"g" * 64)
    world.turn()
    assert gone(world, secure.peer) == ": Protocol error."
    assert any(
        line.startswith("OpenSSL Error while trying to get the error[0]: error:") for line in world.log.texts("E")
    )
    assert other.send(PINGREQ_BYTES) == PINGRESP_BYTES


def test_everything_is_given_back(world: World, pki: Pki) -> None:
    for _ in range(3):
        secure = Secure(world, pki).connect("a")
        connection = secure.connection
        secure.peer.drop()
        assert connection.ssl is None
    world.turn()
    assert len(world.broker.connections) == 0


def test_no_error_of_one_is_taken_for_one_of_another(world: World, pki: Pki) -> None:
    """OpenSSL has one queue for all of a thread's errors."""
    good, bad = Secure(world, pki).connect("good"), world.peer()
    for _ in range(3):
        good.tls.write(PINGREQ_BYTES)
        good.peer.sock.sendall(good.outgoing.read())
        bad.sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        world.turn()
        good.incoming.write(good.peer.read())
        assert good.read() == PINGRESP_BYTES
        bad = world.peer()


def test_plain_connections_are_the_plain_class(world: World) -> None:
    world.listener.secure = None
    assert type(world.peer().connection).__name__ == "Connection"
    assert world.peer().send(v311.connect("p")) == v311.connack()
