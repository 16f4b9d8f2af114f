"""Permission per session and topic: what is asked, when, and what is remembered."""

from __future__ import annotations

import pytest

from mosq.core import ffi, lib
from tests.csrc.peer import Client, World, topics
from tests.harness.packets import v5, v311

DENIED = (b"secret", b"secret/1", b"secret/2")


def rules(client_id: bytes, access: int, topic: bytes) -> int:
    return int(lib.MQ_NONE if topic in DENIED else lib.MQ_OK)


def restricted(world: World, mode: int, client_id: str = "", version: int = 4) -> Client:
    client = world.client(client_id, version=version)
    lib.mq_session_access(client.session, mode)
    return client


def asked(world: World) -> list[bytes]:
    return [event[3] for event in world.said if event[0] == "access"]


def restricted_world() -> World:
    world = World()
    world.rules = rules
    return world


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_denied_publish_is_answered_and_goes_nowhere(qos: int) -> None:
    world = restricted_world()
    watcher = world.client()
    watcher.subscribe("#", 2)
    sender = restricted(world, lib.MQ_ACCESS_CACHED, version=5)
    assert sender.publish("secret", b"x", qos=qos, mid=5) == lib.MQ_OK
    assert watcher.sent() == b""
    assert sender.sent() == [b"", v5.puback(5, 0x87), v5.pubrec(5, 0x87)][qos]


def test_denied_delivery_counts_as_a_match() -> None:
    world = restricted_world()
    reader = restricted(world, lib.MQ_ACCESS_CACHED)
    reader.subscribe("#")
    sender = world.client(version=5)
    sender.publish("secret", b"x", qos=1, mid=1)
    assert sender.sent() == v5.puback(1)
    assert reader.sent() == b""


def test_decisions_are_remembered_by_topic_and_kind() -> None:
    world = restricted_world()
    client = restricted(world, lib.MQ_ACCESS_CACHED)
    client.subscribe("#")
    for _ in range(3):
        for topic in ("open", "secret"):
            client.publish(topic)
            world.publish(topic, b"x")
    assert [(event[2], event[3]) for event in world.said] == [
        (lib.MQ_WRITE, b"open"),
        (lib.MQ_READ, b"open"),
        (lib.MQ_WRITE, b"secret"),
        (lib.MQ_READ, b"secret"),
    ]
    assert topics(client.sent()) == ["open"] * 6


def test_asking_session_is_asked_for_every_message_with_its_payload() -> None:
    world = restricted_world()
    client = restricted(world, lib.MQ_ACCESS_ASK)
    for payload in (b"one", b"two"):
        client.publish("open", payload)
    assert [event[4] for event in world.said] == [b"one", b"two"]


def test_changed_rules_are_asked_again() -> None:
    world = restricted_world()
    client = restricted(world, lib.MQ_ACCESS_CACHED)
    client.publish("open")
    lib.mq_core_access_changed(world.core.c)
    world.rules = lambda client_id, access, topic: int(lib.MQ_NONE)
    watcher = world.client()
    watcher.subscribe("#")
    client.publish("open")
    assert asked(world) == [b"open", b"open"]
    assert watcher.sent() == b""


def test_cache_is_bounded_and_stays_right() -> None:
    world = World()
    world.rules = lambda client_id, access, topic: int(lib.MQ_NONE if topic.endswith(b"7") else lib.MQ_OK)
    client = restricted(world, lib.MQ_ACCESS_CACHED)
    watcher = world.client()
    watcher.subscribe("#")
    before = world.core.stats.heap
    for i in range(5000):
        client.publish(f"t/{i}")
        assert bool(watcher.sent()) == (i % 10 != 7)
        client.publish(f"t/{i}")
        assert bool(watcher.sent()) == (i % 10 != 7)
    assert len(asked(world)) == 5000
    assert world.core.stats.heap - before < 150_000


def test_undecided_publish_ends_the_publisher() -> None:
    world = World()
    world.rules = lambda client_id, access, topic: int(lib.MQ_NOMEM)
    client = restricted(world, lib.MQ_ACCESS_CACHED)
    assert client.publish("t") == lib.MQ_NOMEM
    assert len(asked(world)) == 1


def test_undecided_delivery_does_not_end_the_publisher() -> None:
    world = World()
    world.rules = lambda client_id, access, topic: int(lib.MQ_NOMEM)
    watcher = restricted(world, lib.MQ_ACCESS_CACHED)
    watcher.subscribe("t")
    client = world.client("open")
    assert client.publish("t") == lib.MQ_OK
    assert not watcher.sent()


def test_messages_a_client_may_no_longer_read_do_not_wait_for_it() -> None:
    world = World()
    client = restricted(world, lib.MQ_ACCESS_CACHED)
    client.subscribe("#", 1)
    world.publish("secret/1", b"x", qos=1)
    client.sent()
    client.close()
    world.publish("secret/2", b"x", qos=1)
    world.publish("open", b"x", qos=1)
    world.rules = rules
    lib.mq_core_access_changed(world.core.c)
    client.connect()
    assert topics(client.resume()) == ["open"]
    assert world.core.stats.stored == 1


def test_held_message_a_client_may_no_longer_publish_is_dropped() -> None:
    world = World()
    watcher = world.client()
    watcher.subscribe("#")
    client = restricted(world, lib.MQ_ACCESS_CACHED)
    client.publish("secret", b"x", qos=2, mid=3)
    client.close()
    world.rules = rules
    lib.mq_core_access_changed(world.core.c)
    client.connect()
    client.resume()
    client.feed(v311.pubrel(3))
    assert client.sent() == v311.pubcomp(3)
    assert watcher.sent() == b""


def test_retained_messages_are_asked_for_one_by_one() -> None:
    world = restricted_world()
    for topic in ("open", "secret", "secret/1", "secret/3"):
        world.publish(topic, b"x", retain=True)
    client = restricted(world, lib.MQ_ACCESS_CACHED)
    assert topics(client.retained("#")) == ["open", "secret/3"]


def publish_as(world: World, username: bytes | None, topic: str) -> None:
    sender = world.client("sender")
    raw = username or b""
    lib.mq_session_source(sender.session, raw or ffi.NULL, len(raw), username is not None, 1883)
    sender.publish(topic, b"x", retain=True)
    sender.close(durable=False)
    lib.mq_session_free(sender.session)
    world.turn()


@pytest.mark.parametrize("username", [None, b"", b"alice"])
def test_source_of_a_retained_message_is_asked_again_when_wanted(username: bytes | None) -> None:
    world = restricted_world()
    world.core.options.check_retain_source = 1
    publish_as(world, username, "secret")
    world.publish("own", b"x", retain=True)
    assert topics(world.client().retained("#")) == ["own"]
    assert world.said[-1] == ("source", b"sender", username, 1883, b"secret")


def test_source_is_not_asked_by_default() -> None:
    world = restricted_world()
    publish_as(world, b"alice", "secret")
    assert topics(world.client().retained("#")) == ["secret"]
