"""The subscription and retained trees: who gets a message, in which order, and nothing left behind."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosq.core import lib
from tests.csrc.peer import Client, World, topics

LEVELS = ("", "a", "b", "$s")
names = st.lists(st.sampled_from(LEVELS), min_size=1, max_size=4).map("/".join).filter(bool)
filters = (
    st.tuples(st.lists(st.sampled_from((*LEVELS, "+")), min_size=0, max_size=4), st.booleans())
    .map(lambda parts: "/".join(parts[0] + (["#"] if parts[1] else [])))
    .filter(bool)
)


def matches(topic_filter: str, name: str) -> bool:
    """MQTT 4.7, written as plainly as possible."""
    wanted, given_levels = topic_filter.split("/"), name.split("/")
    if name.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for i, level in enumerate(wanted):
        if level == "#":
            return True
        if i >= len(given_levels) or level not in ("+", given_levels[i]):
            return False
    return len(wanted) == len(given_levels)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), filters, st.booleans()), max_size=25),
    st.lists(names, min_size=1, max_size=5),
)
def test_tree_delivers_what_plain_matching_says(steps: list[tuple[int, str, bool]], published: list[str]) -> None:
    world = World()
    clients = [world.client() for _ in range(3)]
    model: list[set[str]] = [set(), set(), set()]
    for who, topic_filter, add in steps:
        if add:
            expected = lib.MQ_EXISTS if topic_filter in model[who] else lib.MQ_OK
            assert clients[who].subscribe(topic_filter) == expected
            model[who].add(topic_filter)
        else:
            expected = lib.MQ_OK if topic_filter in model[who] else lib.MQ_NONE
            assert clients[who].unsubscribe(topic_filter) == expected
            model[who].discard(topic_filter)
    for name in published:
        counts = [sum(matches(f, name) for f in subscribed) for subscribed in model]
        assert world.publish(name, b"x") == (lib.MQ_OK if any(counts) else lib.MQ_NONE)
        assert [len(topics(client.sent())) for client in clients] == counts
    assert world.core.stats.subscriptions == sum(map(len, model))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(names, st.booleans()), max_size=25), st.lists(filters, min_size=1, max_size=4))
def test_retained_tree_holds_the_last_of_each_topic(steps: list[tuple[str, bool]], asked: list[str]) -> None:
    world = World()
    model: set[str] = set()
    for name, keep in steps:
        world.publish(name, b"x" if keep else b"", retain=True)
        (model.add if keep else model.discard)(name)
    assert world.core.stats.retained == len(model)
    client = world.client()
    for topic_filter in asked:
        got = topics(client.retained(topic_filter))
        assert sorted(got) == sorted(name for name in model if matches(topic_filter, name))


def test_memory_comes_back_when_everything_is_gone() -> None:
    world = World()
    world.publish("warm/up", b"x")
    world.turn()
    before = world.core.stats.heap
    clients = [world.client(f"client {i}") for i in range(50)]
    for i, client in enumerate(clients):
        for k in range(50):
            client.subscribe(f"a/{i % 7}/{k}/+")
            client.subscribe(f"$share/g{k % 3}/a/{k}/#")
        world.publish(f"r/{i}", b"payload", retain=True)
    for client in clients:
        client.close(durable=False)
        lib.mq_session_free(client.session)
    for i in range(50):
        world.publish(f"r/{i}", b"", retain=True)
    world.turn()
    # Growing tables and lists keep the room they once needed: a few dozen KiB, not what 50 clients took.
    assert world.core.stats.heap - before < 64 * 1024 + 256 * 1024
    assert world.core.stats.subscriptions == world.core.stats.shared_subscriptions == world.core.stats.stored == 0


def test_subscribers_are_served_from_the_most_to_the_least_exact_filter() -> None:
    order = ["a/b/#", "a/b", "a/+/#", "a/+", "a/#", "+/b/#", "+/b", "+/+/#", "+/+", "+/#", "#"]
    world = World()
    client = world.client(version=5)
    for i, topic_filter in enumerate(reversed(order)):
        client.subscribe(topic_filter, 0, len(order) - i)
    world.publish("a/b", b"")
    # Each copy carries its subscription identifier in the last byte.
    stream = client.sent()
    size = stream[1] + 2
    assert [stream[i + size - 1] for i in range(0, len(stream), size)] == list(range(1, len(order) + 1))


def test_clients_of_one_filter_are_served_in_the_order_they_came() -> None:
    world = World()
    clients = [world.client(f"c{i}") for i in range(8)]
    for client in clients:
        client.subscribe("t", 1)
    for gone in (1, 2, 5):
        clients[gone].unsubscribe("t")
    clients[2].subscribe("t", 1)
    lib.mq_core_trace(world.core.c, 1)
    world.publish("t", b"x", qos=1)
    assert [event[2] for event in world.said if event[0] == "trace"] == [b"c0", b"c3", b"c4", b"c6", b"c7", b"c2"]


def rotation(world: World, members: list[Client], count: int) -> list[int]:
    """Which member got each of `count` messages."""
    out = []
    for _ in range(count):
        world.publish("t", b"x")
        out += [i for i, member in enumerate(members) if member.sent()]
    return out


def test_shared_group_rotates_in_order_of_subscribing() -> None:
    world = World()
    members = [world.client() for _ in range(3)]
    for member in members:
        member.subscribe("$share/g/t")
    assert rotation(world, members, 7) == [0, 1, 2, 0, 1, 2, 0]


def test_new_member_of_a_shared_group_comes_last() -> None:
    world = World()
    members = [world.client() for _ in range(4)]
    for member in members[:3]:
        member.subscribe("$share/g/t")
    assert rotation(world, members, 1) == [0]
    members[3].subscribe("$share/g/t")
    assert rotation(world, members, 5) == [1, 2, 0, 3, 1]
    members[2].unsubscribe("$share/g/t")
    assert rotation(world, members, 4) == [0, 3, 1, 0]


def test_groups_are_separate_by_name_and_filter() -> None:
    world = World()
    one, two = world.client(), world.client()
    one.subscribe("$share/g/t")
    two.subscribe("$share/h/t")
    two.subscribe("$share/g/+")
    world.publish("t", b"x")
    assert len(topics(one.sent())) == 1
    assert len(topics(two.sent())) == 2


def test_shared_subscription_never_gets_dollar_topics() -> None:
    world = World()
    client = world.client()
    client.subscribe("$share/g/$SYS/#")
    client.subscribe("$share/g/#")
    assert world.publish("$SYS/x", b"x") == lib.MQ_NONE
    assert client.sent() == b""


@pytest.mark.parametrize(
    ("topic_filter", "expected"),
    [
        ("x/#", ["x/b", "x/b/1", "x/a", "x/a/1", "x"]),
        ("#", ["x", "x/b", "x/b/1", "x/a", "x/a/1", "y/1"]),
        ("+/#", ["x/b", "x/b/1", "x/a", "x/a/1", "x", "y/1"]),
        ("+/+", ["x/b", "x/a", "y/1"]),
        ("x/a/1", ["x/a/1"]),
    ],
)
def test_retained_messages_come_in_the_order_their_levels_were_made(topic_filter: str, expected: list[str]) -> None:
    world = World()
    for name in ("x", "x/b", "x/a/1", "x/b/1", "x/a", "y/1"):
        world.publish(name, b"1", retain=True)
    world.publish("x/b", b"2", retain=True)
    assert topics(world.client().retained(topic_filter)) == expected


def test_expired_retained_messages_are_forgotten_when_met_and_by_the_sweep() -> None:
    world = World()
    for i in range(100):
        world.publish(f"soon/{i}", b"x", retain=True, expiry=10)
        world.publish(f"late/{i}", b"x", retain=True, expiry=1000)
        world.publish(f"never/{i}", b"x", retain=True)
    world.tick(10)
    client = world.client()
    assert client.retained("soon/1") == b""
    assert world.core.stats.retained == 299
    steps = 0
    while lib.mq_retained_expire(world.core.c, 16):
        steps += 1
    assert world.core.stats.retained == 200
    assert steps > 5


@pytest.mark.parametrize("bad", ["", "a/#/b", "a+", "#a", "a/+b", "/".join("x" * 403)])
def test_bad_filter_is_refused(bad: str) -> None:
    assert World().client().subscribe(bad) == lib.MQ_BAD_FILTER


@pytest.mark.parametrize("bad", ["$share", "$share/", "$share/g", "$share/g/", "$share//t", "$share/+/t"])
def test_bad_share_is_refused(bad: str) -> None:
    assert World().client().subscribe(bad) == lib.MQ_BAD_SHARE


def test_memory_limit_refuses_and_leaves_the_tree_as_it_was() -> None:
    world = World()
    client = world.client()
    world.core.options.memory_limit = world.core.stats.heap
    assert client.subscribe("a/b/c") == lib.MQ_NOMEM
    world.core.options.memory_limit = 0
    assert client.unsubscribe("a/b/c") == lib.MQ_NONE
    assert client.subscribe("a/b/c") == lib.MQ_OK
    assert world.publish("a/b/c", b"x") == lib.MQ_OK


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.booleans(), st.integers(0, 3)), max_size=30))
def test_rotation_is_a_queue_whatever_joins_and_leaves(steps: list[tuple[int, bool, int]]) -> None:
    """Who is served goes to the end, who joins comes last, who leaves is gone; MQTT 5.0, section 4.8.2."""
    world = World()
    members = [world.client() for _ in range(8)]
    queue: list[int] = []
    for who, joins, published in steps:
        if joins:
            members[who].subscribe("$share/g/t")
            queue += [] if who in queue else [who]
        else:
            members[who].unsubscribe("$share/g/t")
            queue = [other for other in queue if other != who]
        expected = []
        for _ in range(published if queue else 0):
            expected.append(queue[0])
            queue.append(queue.pop(0))
        assert rotation(world, members, len(expected)) == expected
