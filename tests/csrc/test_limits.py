"""Numbers at their limits: long packets, much output, many groups and identifiers, no memory, a clock going back."""

from __future__ import annotations

from itertools import product

from mosq.core import ffi, lib
from tests.csrc.peer import Client, World
from tests.harness.packets import v5, v311

VARINT_MAX = 268_435_455
ALIAS_1 = b"\x23\x00\x01"


def consume(client: Client) -> int:
    """Take all output as written, without looking at it."""
    total = 0
    data = ffi.new("const uint8_t **")
    while n := lib.mq_conn_output(client.conn, data):
        total += n
        lib.mq_conn_consumed(client.conn, n)
    return total


def test_output_may_be_more_than_four_gigabytes() -> None:
    """A payload is held once, however many packets borrow it."""
    world = World(max_queued_messages=0)
    client = world.client(receive_max=0)
    levels = 11
    for topic_filter in product("a+", repeat=levels):
        client.subscribe("/".join(topic_filter))
    payload = b"x" * 2_200_000
    world.publish("/".join("a" * levels), payload)
    each = 1 + 4 + 2 + 2 * levels - 1 + len(payload)
    assert world.core.stats.out_bytes == each << levels > 1 << 32
    assert consume(client) == each << levels
    assert world.core.stats.out_bytes == 0


def test_packet_longer_than_any_may_be_is_not_sent() -> None:
    """It was not on the way in: topic aliases and properties add to it."""
    world = World()
    client = world.client()
    client.subscribe("t", 1)
    payload = ffi.new("uint8_t[]", VARINT_MAX)
    assert lib.mq_publish(world.core.c, ffi.NULL, b"t", 1, payload, VARINT_MAX, 1, 0, ffi.NULL, 0, 0) == lib.MQ_OK
    assert client.sent() == b""
    assert world.notices() == [lib.MQ_NOTICE_TOO_LARGE]
    assert world.core.stats.stored == 0


def test_window_leaves_some_identifiers_free() -> None:
    """Among nearly 65535 in flight every new message would look long for the one that is left."""
    world = World()
    client = world.client(version=5, receive_max=65535)
    client.subscribe("t", 1)
    for _ in range(65535):
        world.publish("t", b"", qos=1)
        client.sent()
    assert world.core.stats.publish_sent == 65535 - 4096
    client.feed(v5.puback(7))
    assert client.sent() == v5.publish("t", b"", qos=1, mid=65535 - 4095)


def test_groups_of_one_filter_are_served_in_the_order_of_their_making() -> None:
    world = World()
    client = world.client(version=5)
    world.turn()
    before = world.core.stats.heap
    for i in range(1, 101):
        assert client.subscribe(f"$share/g{i}/t", 0, i) == lib.MQ_OK
        assert client.subscribe(f"$share/g{i}/t", 0, i) == lib.MQ_EXISTS
    gone = {*range(1, 101, 3), 100}
    for i in gone:
        assert client.unsubscribe(f"$share/g{i}/t") == lib.MQ_OK
        assert client.unsubscribe(f"$share/g{i}/t") == lib.MQ_NONE
    client.subscribe("$share/g1/t", 0, 101)
    world.publish("t", b"x")
    left = [i for i in range(1, 101) if i not in gone] + [101]
    assert client.sent() == b"".join(v5.publish("t", b"x", properties=bytes((0x0B, i))) for i in left)
    for i in [*left[:-1], 1]:
        client.unsubscribe(f"$share/g{i}/t")
    assert world.core.stats.shared_subscriptions == 0
    assert world.core.stats.heap - before < 3000


def test_session_with_many_groups_ends_quickly() -> None:
    """Each group is found, and leaves, at once: 100000 of them would take minutes otherwise."""
    world = World()
    client = world.client()
    for i in range(100_000):
        client.subscribe(f"$share/{i}/t")
    assert world.core.stats.shared_subscriptions == 100_000
    client.close(durable=False)
    lib.mq_session_free(client.session)
    assert world.core.stats.shared_subscriptions == 0


def test_filter_longer_than_a_string_may_be_is_refused() -> None:
    """A mount point makes it so long."""
    client = World().client()
    for topic_filter in ("x" * 65536, "$share/g/" + "x" * 65536):
        assert client.subscribe(topic_filter) == lib.MQ_BAD_FILTER
        assert client.unsubscribe(topic_filter) == lib.MQ_BAD_FILTER


def test_alias_counts_once_its_packet_is_on_its_way() -> None:
    world = World()
    client = world.client(version=5, alias_max_out=2)
    client.subscribe("#")
    world.core.options.memory_limit = world.core.stats.heap + 6000
    world.publish("t", b"x" * 7000)
    assert client.sent() == b""
    world.core.options.memory_limit = 0
    world.publish("t", b"x")
    assert client.sent() == v5.publish("t", b"x", properties=ALIAS_1)


def test_alias_that_could_not_be_remembered_is_given_again() -> None:
    world = World()
    client = world.client(version=5, alias_max_out=2)
    warm = world.client()
    warm.subscribe("warm")
    world.publish("warm", b"x")
    warm.sent()
    client.subscribe("t/#")
    world.core.options.memory_limit = world.core.stats.heap
    world.publish("t/1", b"x")
    assert client.sent() == v5.publish("t/1", b"x", properties=ALIAS_1)
    world.core.options.memory_limit = 0
    world.publish("t/2", b"x")
    assert client.sent() == v5.publish("t/2", b"x", properties=ALIAS_1)


def test_memory_of_a_long_queue_comes_back() -> None:
    world = World(max_queued_messages=0)
    client = world.client()
    client.subscribe("t", 1)
    client.close()
    before = world.core.stats.heap
    for _ in range(200_000):
        world.publish("t", b"", qos=1)
    lib.mq_session_free(client.session)
    world.turn()
    assert world.core.stats.heap - before < 3_000_000


def test_large_packet_in_pieces_takes_no_more_than_its_length() -> None:
    world = World(max_packet_size=0)
    client = world.client()
    before = world.core.stats.heap
    stream = v311.publish("t", b"x" * 5_000_000)
    for at in range(0, len(stream), 16384):
        assert client.feed(stream[at : at + 16384]) == lib.MQ_OK
        have = at + 16384
        assert world.core.stats.heap - before <= min(2 * have, len(stream)) + 10_000
    assert world.core.stats.publish_received == 1
    assert world.core.stats.heap - before < 1000


def test_clock_that_goes_back_does_not_wrap_the_expiry() -> None:
    world = World()
    client = world.client(version=5)
    client.subscribe("t", 1)
    client.close()
    world.publish("t", b"x", qos=1, expiry=0xFFFFFFFE)
    world.wall -= 3600
    world.tick(0)
    client.connect()
    assert client.resume() == v5.publish("t", b"x", qos=1, mid=1, properties=b"\x02\xff\xff\xff\xfe")


def test_duplicates_for_a_client_of_mqtt5_that_is_away() -> None:
    world = World(allow_duplicate_messages=0)
    old, new = world.client(version=4), world.client(version=5)
    for client in (old, new):
        client.subscribe("a/#", 1)
        client.subscribe("a/b", 1)
        client.close()
    world.publish("a/b", b"x", qos=1)
    for client, copies in ((old, 1), (new, 2)):
        client.connect()
        assert client.resume() == b"".join(client.packets.publish("a/b", b"x", qos=1, mid=i + 1) for i in range(copies))


def test_decisions_on_long_topics_are_not_remembered() -> None:
    """A subscriber would hold every topic that anybody publishes to."""
    world = World()
    client = world.client()
    lib.mq_session_access(client.session, lib.MQ_ACCESS_CACHED)
    client.subscribe("#")
    before = world.core.stats.heap
    for i in range(200):
        world.publish(f"{i}" + "x" * 60_000, b"")
        consume(client)
    assert len(world.said) == 200
    assert world.core.stats.heap - before < 1_000_000
    for _ in range(10):
        world.publish("x" * 256, b"")
    assert len(world.said) == 201
