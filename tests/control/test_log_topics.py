"""log_dest topic: lines become messages at the end of the turn."""

from __future__ import annotations

import pytest

from tests.control.world import World
from tests.harness.packets import v5, v311


@pytest.mark.parametrize(
    "level, topic", [("E", "E"), ("W", "W"), ("N", "N"), ("I", "I"), ("S", "M/subscribe"), ("U", "M/unsubscribe")]
)
def test_topic_of_each_level(world: World, level: str, topic: str) -> None:
    client = world.client("a", v5)
    client.send(v5.subscribe(1, "$SYS/broker/log/#"))
    world.log.to_topics = True
    world.log.write(level, "a line")
    world.turn()
    assert client.read() == v5.publish(f"$SYS/broker/log/{topic}", b"a line", properties=b"\x02\0\0\0\x14")


def test_lines_are_not_retained_and_have_qos_2(world: World) -> None:
    client = world.client("a", v311)
    client.send(v311.subscribe(1, "$SYS/broker/log/N", qos=2))
    world.log.to_topics = True
    world.log.write("N", "a line")
    world.turn()
    assert client.read() == v311.publish("$SYS/broker/log/N", b"a line", qos=2, mid=1)
    world.log.to_topics = False
    assert world.client("b").send(v311.subscribe(1, "$SYS/broker/log/N")) == v311.suback(1, 0)


def test_a_subscription_is_reported_to_itself_once(world: World) -> None:
    """Publishing a line must not cause lines without end."""
    client = world.client("a", v311)
    world.log.to_topics = True
    answer = client.send(v311.subscribe(1, "$SYS/broker/log/#"))
    assert answer == v311.suback(1, 0) + v311.publish("$SYS/broker/log/M/subscribe", b"a 0 $SYS/broker/log/#")
    world.advance(3)
    assert client.read() == b""
