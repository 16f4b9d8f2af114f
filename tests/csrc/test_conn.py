"""A connection: framing, output, backlog, keepalive, aliases and mount points, byte by byte and socket by socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from mosq.core import ffi, lib
from tests.csrc.peer import Client, World, topics
from tests.harness.packets import packet, v5, v311


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64])
def test_packets_may_be_cut_anywhere(step: int) -> None:
    world = World()
    client = world.client()
    client.subscribe("t/#", 0)
    stream = b"".join(v311.publish(f"t/{i}", b"x" * (i * 7 % 300)) for i in range(50)) + b"\xc0\x00"
    for at in range(0, len(stream), step):
        assert client.feed(stream[at : at + step]) == lib.MQ_OK
    out = client.sent()
    assert out.endswith(b"\xd0\x00")
    assert len(out) == len(stream)
    assert world.core.stats.messages_received == 51


def test_first_packet_has_to_be_connect() -> None:
    world = World()
    conn = lib.mq_conn_new(world.core.c, -1, 9)
    assert lib.mq_conn_feed(conn, b"\xc0", 1) == lib.MQ_NOT_CONNECT


@pytest.mark.parametrize(
    ("data", "version", "status"),
    [
        (b"\x00", 4, "MQ_RESERVED"),
        (b"\x30\xff\xff\xff\xff\x01", 4, "MQ_LENGTH"),
        (b"\xc0\x01", 5, "MQ_LENGTH"),
        (b"\x40\x03", 4, "MQ_LENGTH"),
        (b"\x40\x91\x4e", 5, "MQ_OVERSIZE_FIXED"),
        (b"\x82\x9e\x8d\x06", 5, "MQ_OVERSIZE_FIXED"),
        (b"\x30\x80\x89\x7a", 4, "MQ_OVERSIZE"),
        (b"\x20\x02\x00\x00", 4, "MQ_NOT_FROM_CLIENT"),
        (b"\xc1\x00", 4, "MQ_MALFORMED"),
        (b"\x41\x02\x00\x01", 4, "MQ_MALFORMED"),
        (b"\x60\x02\x00\x01", 4, "MQ_PUBREL_FLAGS"),
        (b"\x40\x02\x00\x00", 4, "MQ_MID_ZERO"),
        (b"\x40\x03\x00\x01\x55", 5, "MQ_REASON_CODE"),
        (b"\x38\x03\x00\x01t", 4, "MQ_PUBLISH_DUP_QOS0"),
        (b"\x36\x05\x00\x01t\x00\x01", 4, "MQ_PUBLISH_QOS3"),
        (b"\x30\x02\x00\x05", 4, "MQ_MALFORMED"),
        (b"\x30\x03\x00\x01+", 4, "MQ_MALFORMED"),
        (b"\x30\x03\x00\x01\xff", 4, "MQ_MALFORMED"),
        (b"\x30\x02\x00\x00", 4, "MQ_MALFORMED"),
        (b"\x30\x06\x00\x00\x03\x23\x00\x0b", 5, "MQ_PUBLISH_ALIAS_MAX"),
        (b"\x30\x06\x00\x00\x03\x23\x00\x02", 5, "MQ_PUBLISH_ALIAS"),
        (b"\x30\x05\x00\x01t\x02\x01", 5, "MQ_MALFORMED"),
    ],
)
def test_each_fault_has_its_status(data: bytes, version: int, status: str) -> None:
    assert World().client(version=version).feed(data) == getattr(lib, status)


def test_topic_alias_from_the_client_stands_for_its_topic() -> None:
    world = World()
    client = world.client()
    client.subscribe("#")
    sender = world.client(version=5)
    for topic in ("one", "", "two", ""):
        assert sender.publish(topic, b"x", properties=b"\x23\x00\x03") == lib.MQ_OK
    assert topics(client.sent()) == ["one", "one", "two", "two"]


def test_topic_aliases_to_the_client_are_given_first_come_first_served() -> None:
    world = World()
    client = world.client(version=5, alias_max_out=2)
    client.subscribe("#")
    for topic in ("a", "b", "a", "c", "b"):
        world.publish(topic, b"x")
    one, two = b"\x23\x00\x01", b"\x23\x00\x02"
    assert client.sent() == b"".join(
        v5.publish(topic, b"x", properties=alias)
        for topic, alias in (("a", one), ("b", two), ("", one), ("c", b""), ("", two))
    )


def test_mount_point_is_put_before_and_taken_off() -> None:
    world = World()
    inside, outside = world.client(), world.client()
    lib.mq_conn_mount(inside.conn, b"home/", 5)
    inside.subscribe("home/#")
    outside.subscribe("#")
    inside.publish("t", b"x")
    assert topics(outside.sent()) == ["home/t"]
    assert topics(inside.sent()) == ["t"]


def test_topic_outside_the_mount_point_is_not_delivered() -> None:
    world = World()
    client = world.client(receive_max=1)
    lib.mq_conn_mount(client.conn, b"home/", 5)
    client.subscribe("#", 1)
    world.publish("elsewhere", b"x", qos=1)
    world.publish("home/", b"x", qos=1)
    world.publish("home/t", b"x", qos=1)
    assert topics(client.sent()) == ["t"]


def test_keepalive_runs_out_one_and_a_half_times_later() -> None:
    world = World()
    client = world.client(keepalive=10)
    world.client(keepalive=0)
    world.tick(15)
    assert world.core.timeouts() == []
    world.tick(1)
    assert world.core.timeouts() == [client.owner]
    assert world.core.timeouts() == []


def test_long_keepalive_goes_round_the_wheel() -> None:
    world = World()
    client = world.client(keepalive=1000)
    fired = []
    for _ in range(1700):
        world.tick(1)
        if world.core.timeouts():
            fired.append(world.mono - 100)
            client.close()
    assert fired == [1501]


def test_packets_restart_the_keepalive() -> None:
    world = World()
    client = world.client(keepalive=2)
    for _ in range(20):
        world.tick(2)
        client.feed(b"\xc0\x00")
        assert world.core.timeouts() == []
    world.tick(4)
    assert world.core.timeouts() == [client.owner]


def test_connection_without_connect_has_thirty_seconds() -> None:
    world = World()
    lib.mq_conn_new(world.core.c, -1, 77)
    world.tick(30)
    assert world.core.timeouts() == []
    world.tick(1)
    assert world.core.timeouts() == [77]


def test_owner_may_hold_back_the_rest_of_the_input() -> None:
    world = World()
    client = world.client()
    world.hold = True
    assert client.feed(v311.subscribe(1, "a") + b"\xc0\x00") == lib.MQ_STOPPED
    assert client.sent() == b""
    assert client.feed(b"") == lib.MQ_OK
    assert client.sent() == b"\xd0\x00"


def test_large_payload_is_shared_not_copied() -> None:
    world = World()
    clients = [world.client(f"c{i}") for i in range(20)]
    for client in clients:
        client.subscribe("t")
    world.publish("t", b"x" * 1_000_000)
    assert world.core.stats.heap < 3_000_000
    for client in clients:
        assert len(client.sent()) == 1_000_000 + 7
    assert world.core.stats.stored == 0


def test_shared_frames_differ_in_the_packet_identifier_alone() -> None:
    world = World()
    clients = [world.client(f"c{i}", version=4 + i % 2) for i in range(6)]
    for i, client in enumerate(clients):
        for _ in range(i):
            world.publish("spin", b"")
        client.subscribe("t", i % 3)
    world.publish("t", b"payload", qos=2, retain=True)
    for i, client in enumerate(clients):
        assert client.sent() == client.packets.publish("t", b"payload", qos=i % 3, mid=1)


@pytest.fixture
def pair() -> Iterator[tuple[World, Client, socket.socket]]:
    """A client of the core on one end of a socket pair with small buffers."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    world = World()
    yield world, world.client(fd=ours.fileno()), theirs
    world.core.close()
    ours.close()
    theirs.close()


def drain(theirs: socket.socket) -> bytes:
    out = b""
    try:
        while data := theirs.recv(65536):
            out += data
    except BlockingIOError:
        pass
    return out


def test_slow_reader_is_limited_to_the_queue_and_told_once(pair: tuple[World, Client, socket.socket]) -> None:
    world, client, theirs = pair
    world.core.options.max_queued_messages = 10
    client.subscribe("t")
    for _ in range(1000):
        world.publish("t", b"x" * 1000)
        world.turn()
    assert world.core.stats.publish_dropped > 900
    assert world.notices() == [0]
    assert world.said.count(("output", client.owner, 0)) == 1
    assert world.core.stats.out_packets <= 12
    got = drain(theirs)
    while lib.mq_conn_writable(client.conn) == lib.MQ_BLOCKED:
        got += drain(theirs)
    got += drain(theirs)
    sent = 1000 - world.core.stats.publish_dropped
    assert got == v311.publish("t", b"x" * 1000) * sent
    assert world.core.stats.messages_sent == sent


def test_client_that_reads_no_answers_is_read_no_more(pair: tuple[World, Client, socket.socket]) -> None:
    world, client, theirs = pair
    pings = b"\xc0\x00" * 2000
    status = lib.MQ_OK
    for _ in range(10_000):
        try:
            theirs.send(pings)
        except BlockingIOError:
            pass
        status = lib.mq_conn_readable(client.conn)
        world.turn()
        if status != lib.MQ_OK:
            break
    assert status == lib.MQ_PAUSED
    assert world.core.stats.out_bytes < 200_000


def test_closed_peer_is_reported(pair: tuple[World, Client, socket.socket]) -> None:
    _, client, theirs = pair
    theirs.close()
    assert lib.mq_conn_readable(client.conn) == lib.MQ_EOF


def test_packet_larger_than_the_receive_buffer_arrives_whole(pair: tuple[World, Client, socket.socket]) -> None:
    world, client, theirs = pair
    other = world.client()
    other.subscribe("t")
    stream = v311.publish("t", bytes(range(256)) * 2000) + v311.publish("t", b"after")
    at = 0
    while at < len(stream):
        try:
            at += theirs.send(stream[at:])
        except BlockingIOError:
            pass
        assert lib.mq_conn_readable(client.conn) == lib.MQ_OK
    assert lib.mq_conn_readable(client.conn) == lib.MQ_OK
    assert other.sent() == stream


def test_claimed_length_takes_no_memory() -> None:
    world = World(max_packet_size=300_000_000)
    before = world.core.stats.heap
    client = world.client()
    client.feed(b"\x30\xff\xff\xff\x7f\x00\x01t")
    assert world.core.stats.heap - before < 2000


def test_closing_in_a_callback_stops_the_input() -> None:
    world = World()
    client = world.client()

    def on_packet(owner: int, first: int, body: bytes) -> int:
        client.close()
        return 0

    world.on_packet = on_packet  # type: ignore[method-assign]
    assert client.feed(v311.disconnect() + v311.publish("t", b"x")) == lib.MQ_STOPPED
    assert world.core.stats.publish_received == 0
    world.turn()


def test_control_topics_go_to_the_owner() -> None:
    world = World()
    client = world.client()
    client.subscribe("#")
    client.publish("$CONTROL/x", b"do", qos=1, mid=3)
    assert world.said == [("control", client.owner, 1, 3, b"$CONTROL/x", b"do")]
    assert client.sent() == b""


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        ("$SYS/x", 0x87),
        ("$SYSx", 0x87),
        ("$share/x", 0x87),
        ("$SYS/broker/connection/b/state", 0x10),
        ("$SYS/broker/connection/b/c/state", 0x87),
        ("$other", 0x10),
    ],
)
def test_reserved_topics_are_refused(topic: str, code: int) -> None:
    client = World().client(version=5)
    client.publish(topic, b"x", qos=1, mid=1)
    assert client.sent() == v5.puback(1, code)


def test_duplicates_can_be_switched_off_for_old_clients() -> None:
    world = World(allow_duplicate_messages=0)
    old, new = world.client(version=4), world.client(version=5)
    for client in (old, new):
        client.subscribe("a/#")
        client.subscribe("a/b", 2)
    world.publish("a/b", b"x", qos=2)
    assert old.sent() == v311.publish("a/b", b"x", qos=2, mid=1)
    assert len(topics(b"" if not (out := new.sent()) else out)) == 2


def test_core_survives_random_bytes_at_every_state() -> None:
    world = World()
    for seed in range(256):
        for version in (3, 4, 5):
            client = world.client(f"r{seed}", version=version)
            client.feed(packet(seed, bytes((seed * 7 + i) % 256 for i in range(seed % 40))))
            client.sent()
            client.close(durable=False)
            lib.mq_session_free(client.session)
        world.turn()
    assert world.core.c != ffi.NULL
