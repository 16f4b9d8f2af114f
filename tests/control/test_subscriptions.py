"""SUBSCRIBE and UNSUBSCRIBE: permissions, mount points, limits of the listener, log lines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mosq.auth.access import ALLOW, CACHED, DENY, SUBSCRIBE, UNSUBSCRIBE, Question
from tests.control.world import World
from tests.harness.packets import LEVELS, Level, Will, v5, v311

Make = Callable[..., World]


class NotSecret:
    """Allows everything but topics with "secret" in them."""

    mode = CACHED

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, bytes]] = []

    def check(self, question: Question) -> int:
        self.asked.append((question.client.client_id, question.access, question.topic))
        return DENY if b"secret" in question.topic else ALLOW


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_denied_filter_is_answered_as_the_version_can(world: World, level: Level) -> None:
    """[MQTT-3.9.3-1]"""
    checker = NotSecret()
    world.broker.access.checkers.append(checker)
    client = world.client("a", level)
    denied = {3: 1, 4: 0x80, 5: 0x87}[level.number]
    assert client.send(level.subscribe(1, "t", "secret", qos=1)) == level.suback(1, 1, denied)
    assert checker.asked == [("a", SUBSCRIBE, b"t"), ("a", SUBSCRIBE, b"secret")]
    world.client("b").send(v311.publish("secret", b"x"))
    assert client.read() == b""


def test_denied_unsubscribe_keeps_the_subscription(world: World) -> None:
    client = world.client("a", v5)
    client.send(v5.subscribe(1, "secret"))
    checker = NotSecret()
    world.broker.access.checkers.append(checker)
    assert client.send(v5.unsubscribe(2, "secret")) == v5.unsuback(2, 0x87)
    assert checker.asked == [("a", UNSUBSCRIBE, b"secret")]
    world.broker.access.checkers.clear()
    world.client("b").send(v311.publish("secret", b"x"))
    assert client.read() == v5.publish("secret", b"x")


def test_lines_of_subscribe_and_unsubscribe(world: World) -> None:
    client = world.client("a", v5)
    world.log.lines.clear()
    client.send(v5.subscribe(1, "t/#", qos=1) + v5.unsubscribe(2, "t/#"))
    assert world.log.lines == [
        ("D", "Received SUBSCRIBE from a"),
        ("D", "\tt/# (QoS 1)"),
        ("S", "a 1 t/#"),
        ("D", "Sending SUBACK to a"),
        ("D", "Received UNSUBSCRIBE from a"),
        ("D", "\tt/#"),
        ("U", "a t/#"),
        ("D", "Sending UNSUBACK to a"),
    ]


def test_qos_is_limited_to_the_listeners(make_world: Make) -> None:
    world = make_world({"max_qos": 1})
    assert world.client("a", v5).send(v5.subscribe(1, "t", qos=2)) == v5.suback(1, 1)


@pytest.mark.parametrize("topic_filter", ["t", "$share/g/t"])
def test_mount_point_is_put_before_the_filter(make_world: Make, topic_filter: str) -> None:
    world = make_world({"mount_point": "m/"})
    client = world.client("a", v5)
    assert client.send(v5.subscribe(1, topic_filter)) == v5.suback(1, 0)
    assert client.send(v5.publish("t", b"x")) == v5.publish("t", b"x")
    assert client.send(v5.unsubscribe(2, topic_filter)) == v5.unsuback(2, 0)
    assert client.send(v5.publish("t", b"x")) == b""


def test_mount_point_is_put_before_the_will(make_world: Make) -> None:
    world = make_world({"mount_point": "m/"})
    watcher = world.watcher("w")
    world.client("a", will=Will("w", b"gone")).drop()
    assert watcher.read() == v5.publish("w", b"gone")
    assert "\tm/w" in world.log.texts("D")


@pytest.mark.parametrize("topic_filter", ["$share", "$share/g", "$share/g/", "$share//t", "$share/+/t"])
@pytest.mark.parametrize("mount_point", [None, "m/"])
def test_bad_shared_subscription_is_a_protocol_error(
    make_world: Make, topic_filter: str, mount_point: str | None
) -> None:
    """[MQTT-4.8.2-1], [MQTT-4.8.2-2]"""
    world = make_world({"mount_point": mount_point})
    peer = world.client("a", v5)
    assert peer.send(v5.subscribe(1, topic_filter)) == v5.disconnect(0x82)
    assert peer.closed


def test_unsubscribe_from_a_level_that_never_was(world: World) -> None:
    client = world.client("a", v5)
    client.send(v5.subscribe(1, "t"))
    assert client.send(v5.unsubscribe(2, "t", "$none/x")) == v5.unsuback(2, 0, 0x11)


def test_filters_before_a_bad_one_stay_subscribed(world: World) -> None:
    client = world.client("a", v311, clean=False)
    assert client.send(v311.subscribe(1, "t", "a#")) == b""
    assert client.closed
    again = world.client("a", v311, clean=False, present=True)
    world.client("b").send(v311.publish("t", b"x"))
    assert again.read() == v311.publish("t", b"x")
