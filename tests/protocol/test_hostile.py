"""Bytes nobody should send: the sender loses its connection, nobody else notices, and memory stays bounded."""

from __future__ import annotations

import random
import socket

import pytest

from tests.harness import props
from tests.harness.broker import MEMORY_IS_CHECKED, Broker
from tests.harness.brokers import StartBroker
from tests.harness.client import RawClient
from tests.harness.deadline import wait_until
from tests.harness.packets import LEVELS, Level, Subscription, Will, field, packet, u16, v5, v311, varint

MIB = 1024 * 1024


@pytest.fixture
def victim(broker: Broker, name: str) -> RawClient:
    """A well-behaved client that must not notice anything."""
    client = broker.connected(v5, f"{name}v")
    client.subscribe(f"{name}/victim", qos=1)
    return client


def drop(client: RawClient) -> None:
    """Stop sending and wait for the broker to close; whatever it answers does not matter."""
    try:
        client.sock.shutdown(socket.SHUT_WR)
        while client.sock.recv(65536):
            pass
    except OSError:
        pass
    client.close()


@pytest.mark.parametrize("seed", range(10))
def test_random_bytes_from_strangers(broker: Broker, victim: RawClient, seed: int) -> None:
    source = random.Random(seed)
    for _ in range(40):
        client = broker.client()
        client.send(source.randbytes(source.randrange(1, 200)))
        drop(client)
    victim.expect_silence()


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_random_bytes_from_clients(broker: Broker, name: str, victim: RawClient, level: Level, seed: int) -> None:
    source = random.Random(seed)
    for i in range(30):
        client = broker.connected(level, f"{name}{i}")
        first = source.choice(range(2, 16)) << 4 | source.choice([0, 0, 2, source.randrange(16)])
        client.send(packet(first, source.randbytes(source.randrange(0, 100))), source.randbytes(20))
        drop(client)
    victim.expect_silence()


def samples(level: Level) -> list[bytes]:
    """One packet of each kind a client sends, with everything in it."""
    many = props.user_property("k", "v") + props.payload_format(1)
    return [
        level.publish("hostile/t", b"payload", qos=2, mid=1, properties=many + props.content_type("t")),
        level.publish("hostile/t", b"payload", retain=False, properties=props.topic_alias(1)),
        level.subscribe(1, "hostile/a", "hostile/+/b", "$share/g/hostile", properties=props.subscription_id(300)),
        level.unsubscribe(2, "hostile/a", "hostile/#", properties=props.user_property("a", "b")),
        level.puback(1),
        level.pubrec(1),
        level.pubrel(1),
        level.disconnect(4, props.reason_string("r") + props.user_property("a", "b")),
    ]


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_packets_cut_at_each_length(broker: Broker, name: str, victim: RawClient, level: Level) -> None:
    """The remaining length tells the truth about what is left, so every parser meets every end."""
    for sample in samples(level):
        body = sample[2:]
        for length in range(len(body)):
            client = broker.connected(level, name, session_present=None)
            client.send(packet(sample[0], body[:length]))
            drop(client)
    victim.expect_silence()


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_connect_cut_at_each_length(broker: Broker, name: str, victim: RawClient, level: Level) -> None:
    will = Will("w", b"payload", 1, properties=props.will_delay(1) + props.content_type("c"))
    properties = props.session_expiry(0) + props.user_property("a", "b")
    whole = level.connect(name, will=will, username="user", password="pass", properties=properties)
    # 3.1 takes a user name or password that is cut for one that is not there
    end = whole.index(b"\0\4user") if level.number == 3 else len(whole)
    for length in range(end - 2):
        client = broker.client()
        client.send(packet(0x10, whole[2 : 2 + length]))
        client.sock.shutdown(socket.SHUT_WR)
        answer = client.sock.recv(100)
        assert len(answer) < 4 or answer[3] != 0, f"accepted at length {length}"
        client.close()
    victim.expect_silence()


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_each_bit_of_a_connect_flipped(broker: Broker, name: str, victim: RawClient, level: Level) -> None:
    whole = bytearray(
        level.connect(name, will=Will("w", b"", 1), username="u", password="p", properties=props.session_expiry(0))
    )
    for bit in range(len(whole) * 8):
        whole[bit // 8] ^= 1 << bit % 8
        client = broker.client()
        client.send(bytes(whole))
        drop(client)
        whole[bit // 8] ^= 1 << bit % 8
    victim.expect_silence()


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("first", [0x10, 0x30, 0x32, 0x82, 0xA2, 0xF0], ids=lambda n: f"{n:02x}")
def test_claim_of_256_mib_reserves_nothing(own_broker: StartBroker, level: Level, first: int) -> None:
    """The limit of the packet's kind is applied to the claim, before a byte of it is stored."""
    broker: Broker = own_broker("max_packet_size 268435455")
    broker.client()
    before = broker.memory()
    clients = []
    for i in range(20):
        client = broker.client()
        if first != 0x10:
            client.send(level.connect(f"c{i}"))
            client.read_packet()
        client.send(bytes([first]) + b"\xff\xff\xff\x7f" + b"x" * 10)
        clients.append(client)
    broker.connected(v5, "other", session_present=None) if level.is_v5 else broker.connected(v311, "other")
    if MEMORY_IS_CHECKED:
        assert broker.memory() - before < 8 * MIB


def test_publish_of_a_thousand_levels_is_malformed(broker: Broker, name: str, victim: RawClient) -> None:
    for level in LEVELS:
        client = broker.connected(level, f"{name}{level.number}")
        client.send(level.publish("/".join("a" * 1000), b"x"))
        client.expect_refused(*([v5.disconnect(0x81)] if level.is_v5 else []))
        client = broker.connected(level, f"{name}{level.number}s")
        client.send(level.subscribe(1, "/".join("+" * 1000)))
        client.expect_refused(*([v5.disconnect(0x81)] if level.is_v5 else []))
    victim.expect_silence()


def test_deep_filters_with_wildcards_do_not_take_for_ever(broker: Broker, name: str, victim: RawClient) -> None:
    """Many `+` against a deep topic: the work is bounded by the subscriptions that exist."""
    client = broker.connected(v5, name)
    filters = [name + "/" + "/".join("+" if i >> bit & 1 else "a" for bit in range(8)) for i in range(256)]
    for start in range(0, 256, 64):
        client.subscribe(*[f"{f}/+/a/+/a/#" for f in filters[start : start + 64]], mid=start + 1)
    topic = name + "/a" * 180
    client.send(*[v5.publish(topic, b"x")] * 5)
    client.received_messages(5 * 256)
    victim.expect_silence()


def test_subscriber_that_never_reads_is_bounded(own_broker: StartBroker) -> None:
    broker: Broker = own_broker("max_queued_messages 100")
    stuck = broker.connected(v311, "stuck")
    stuck.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.subscribe("t")
    reader = broker.connected(v311, "reader")
    reader.subscribe("small")
    sender = broker.connected(v5, "sender")
    before = broker.memory()
    payload = b"x" * 100_000
    for _ in range(60):
        sender.send(*[v5.publish("t", payload)] * 10)
        sender.expect_silence()
    broker.wait_for_log(r"Outgoing messages are being dropped for client stuck\.")
    sender.publish("small", b"alive")
    reader.expect(v311.publish("small", b"alive"))
    if MEMORY_IS_CHECKED:
        assert broker.memory() - before < 30 * MIB


def test_client_that_asks_and_never_reads_is_bounded(own_broker: StartBroker) -> None:
    """Requests whose answers are larger than themselves: the broker stops reading rather than hoard answers."""
    broker: Broker = own_broker()
    other = broker.connected(v311, "other")
    for i in range(100):
        other.publish(f"big/{i}", b"x" * 10_000, retain=True)
    stuck = broker.connected(v311, "stuck")
    before = broker.memory()
    stuck.sock.settimeout(0.5)
    try:
        for i in range(2000):
            stuck.sock.sendall(v311.subscribe(i + 1, "big/#"))
    except TimeoutError:
        pass
    other.expect_silence()
    if MEMORY_IS_CHECKED:
        assert broker.memory() - before < 60 * MIB


def memory_comes_back(broker: Broker, before: int) -> None:
    """What was needed for a while is given back to the system within seconds."""
    if MEMORY_IS_CHECKED:
        wait_until(lambda: broker.memory() - before < 12 * MIB, "memory to come back")


def test_memory_of_a_stuck_reader_comes_back_when_it_is_gone(own_broker: StartBroker) -> None:
    broker: Broker = own_broker()
    before = broker.memory()
    stuck = broker.connected(v311, "stuck")
    stuck.subscribe("big")
    sender = broker.connected(v311, "sender")
    for _ in range(100):
        sender.send(v311.publish("big", b"x" * 500_000))
    sender.expect_silence()
    stuck.reset()
    memory_comes_back(broker, before)


def test_memory_of_retained_messages_comes_back_when_they_are_deleted(own_broker: StartBroker) -> None:
    broker: Broker = own_broker()
    before = broker.memory()
    sender = broker.connected(v311, "sender")
    for payload in (b"x" * 500, b""):
        for start in range(0, 30_000, 1000):
            sender.send(*(v311.publish(f"many/{i}", payload, retain=True) for i in range(start, start + 1000)))
            sender.send(v311.publish(f"stays/{start}", b"among those that go", retain=True))
            sender.expect_silence()
    memory_comes_back(broker, before)


def test_acknowledgement_flood_of_a_client_that_never_reads_is_bounded(own_broker: StartBroker) -> None:
    broker: Broker = own_broker()
    other = broker.connected(v311, "other")
    stuck = broker.connected(v311, "stuck")
    before = broker.memory()
    stuck.sock.settimeout(0.5)
    pings = b"\xc0\0" * 50_000
    try:
        for _ in range(200):
            stuck.sock.sendall(pings)
    except TimeoutError:
        pass
    other.expect_silence()
    if MEMORY_IS_CHECKED:
        assert broker.memory() - before < 20 * MIB


def test_partial_packets_of_many_clients_are_bounded(own_broker: StartBroker) -> None:
    """Half-open senders keep what they sent, no more."""
    broker: Broker = own_broker()
    broker.connected(v311, "other")
    before = broker.memory()
    for i in range(300):
        client = broker.connected(v311, f"c{i}")
        client.send(b"\x30" + varint(1_900_000) + field("t") + b"x" * 1000)
    other = broker.connected(v5, "check")
    other.expect_silence()
    if MEMORY_IS_CHECKED:
        assert broker.memory() - before < 8 * MIB


def test_memory_comes_back_after_storms_of_connections(own_broker: StartBroker) -> None:
    broker: Broker = own_broker("connection_messages false")

    def storm() -> None:
        for i in range(300):
            client = broker.connected(v5, f"c{i}", session_present=None)
            client.send(v5.subscribe(1, Subscription(f"t/{i}", qos=2)), v5.publish(f"t/{i}", b"x" * 1000, qos=2, mid=1))
            client.expect(v5.suback(1, 2), v5.pubrec(1))
            client.send(packet(0x36, u16(1)) if i % 2 else b"")
            client.close()

    storm()
    before = broker.memory()
    for _ in range(5):
        storm()
    if MEMORY_IS_CHECKED:
        assert broker.memory() - before < 3 * MIB


def test_retained_topics_give_their_memory_back(own_broker: StartBroker) -> None:
    broker = own_broker()
    client = broker.connected(v311, "c")

    def store(payload: bytes) -> None:
        for start in range(0, 30_000, 1000):
            client.send(*[v311.publish(f"r/{i % 100}/{i}", payload, retain=True) for i in range(start, start + 1000)])
            client.expect_silence()

    store(b"x" * 100)
    full = broker.memory()
    for _ in range(3):
        store(b"")
        store(b"x" * 100)
    if MEMORY_IS_CHECKED:
        assert broker.memory() - full < 4 * MIB
    client.send(v311.subscribe(1, "r/7/#"))
    client.expect(v311.suback(1, 0))
    client.received_messages(300)


def test_connections_that_only_open_and_close(broker: Broker, victim: RawClient) -> None:
    for i in range(300):
        client = broker.client()
        client.reset() if i % 2 else client.close()
    victim.expect_silence()
