"""What a broker that was killed knows when it is back: everything it has acknowledged."""

from __future__ import annotations

import pytest

from tests.control.world import START
from tests.harness import props
from tests.harness.packets import Subscription, Will, v5, v311
from tests.persistence.durable import Cradle

HOUR = props.session_expiry(3600)
NEVER = props.session_expiry(0xFFFFFFFF)


def test_queue_of_an_offline_session_survives(cradle: Cradle) -> None:
    world = cradle.start()
    world.client("sub", v311, clean=False).send(v311.subscribe(1, "t/#", qos=1) + v311.disconnect())
    pub = world.client("pub", v311)
    for n in range(3):
        assert pub.send(v311.publish(f"t/{n}", b"x", qos=1, mid=n + 1)) == v311.puback(n + 1)
    world = cradle.kill(world)
    answer = world.peer(v311).send(v311.connect("sub", clean=False))
    assert answer == v311.connack(session_present=True) + b"".join(
        v311.publish(f"t/{n}", b"x", qos=1, mid=n + 1) for n in range(3)
    )


def test_message_that_was_not_acknowledged_comes_again_with_dup(cradle: Cradle) -> None:
    world = cradle.start()
    sub = world.client("sub", v5, properties=HOUR)
    sub.send(v5.subscribe(1, "t", qos=2))
    pub = world.client("pub", v5)
    pub.send(v5.publish("t", b"1", qos=1, mid=1))
    world.turn()
    assert sub.read() == v5.publish("t", b"1", qos=1, mid=1)
    world = cradle.kill(world)
    answer = world.peer(v5).send(v5.connect("sub", clean=False, properties=HOUR))
    assert answer.endswith(v5.publish("t", b"1", qos=1, mid=1, dup=True))


def test_acknowledged_message_does_not_come_again(cradle: Cradle) -> None:
    world = cradle.start()
    sub = world.client("sub", v311, clean=False)
    sub.send(v311.subscribe(1, "t", qos=1))
    world.client("pub", v311).send(v311.publish("t", b"1", qos=1, mid=1))
    world.turn()
    assert sub.read() == v311.publish("t", b"1", qos=1, mid=1)
    sub.send(v311.puback(1))
    assert world.rows("client_msgs") == world.rows("base_msgs") == []
    world = cradle.kill(world)
    assert world.peer(v311).send(v311.connect("sub", clean=False)) == v311.connack(session_present=True)


def test_qos_2_is_exactly_once_for_the_publisher(cradle: Cradle) -> None:
    world = cradle.start()
    world.client("sub", v311, clean=False).send(v311.subscribe(1, "t", qos=2) + v311.disconnect())
    pub = world.client("pub", v311, clean=False)
    assert pub.send(v311.publish("t", b"1", qos=2, mid=7)) == v311.pubrec(7)
    world = cradle.kill(world)
    pub = world.client("pub", v311, clean=False, present=True)
    assert pub.send(v311.publish("t", b"1", qos=2, mid=7, dup=True)) == v311.pubrec(7)
    assert pub.send(v311.pubrel(7)) == v311.pubcomp(7)
    world = cradle.kill(world)
    pub = world.client("pub", v311, clean=False, present=True)
    assert pub.send(v311.pubrel(7)) == v311.pubcomp(7)
    answer = world.peer(v311).send(v311.connect("sub", clean=False))
    assert answer == v311.connack(session_present=True) + v311.publish("t", b"1", qos=2, mid=1)


def test_qos_2_is_exactly_once_for_the_subscriber(cradle: Cradle) -> None:
    world = cradle.start()
    sub = world.client("sub", v311, clean=False)
    sub.send(v311.subscribe(1, "t", qos=2))
    pub = world.client("pub", v311)
    for n in (1, 2):
        pub.send(v311.publish("t", b"%d" % n, qos=2, mid=n) + v311.pubrel(n))
    world.turn()
    assert sub.read() == v311.publish("t", b"1", qos=2, mid=1) + v311.publish("t", b"2", qos=2, mid=2)
    assert sub.send(v311.pubrec(1)) == v311.pubrel(1)
    world = cradle.kill(world)
    answer = world.peer(v311).send(v311.connect("sub", clean=False))
    assert answer == (
        v311.connack(session_present=True) + v311.pubrel(1) + v311.publish("t", b"2", qos=2, mid=2, dup=True)
    )


def test_subscriptions_survive_with_options_and_identifier(cradle: Cradle) -> None:
    world = cradle.start()
    sub = world.client("sub", v5, properties=HOUR)
    sub.send(v5.subscribe(1, Subscription("a", qos=1, retain_as_published=True), properties=props.subscription_id(300)))
    sub.send(v5.subscribe(2, "$share/g/s", "gone", qos=2))
    sub.send(v5.unsubscribe(3, "gone"))
    world = cradle.kill(world)
    sub = world.client("sub", v5, clean=False, properties=HOUR, present=True)
    pub = world.client("pub", v5)
    pub.send(v5.publish("gone", b"x") + v5.publish("a", b"x", qos=2, retain=True, mid=1) + v5.pubrel(1))
    pub.send(v5.publish("s", b"y"))
    world.turn()
    assert sub.read() == (
        v5.publish("a", b"x", qos=1, mid=1, retain=True, properties=props.subscription_id(300)) + v5.publish("s", b"y")
    )


def test_retained_messages_are_the_last_acknowledged_ones(cradle: Cradle) -> None:
    world = cradle.start()
    pub = world.client("pub", v5)
    user = props.user_property("k", "v") + props.content_type("t")
    pub.send(v5.publish("a", b"1", qos=1, mid=1, retain=True) + v5.publish("b", b"1", qos=1, mid=2, retain=True))
    pub.send(v5.publish("a", b"2", qos=1, mid=3, retain=True, properties=user))
    pub.send(v5.publish("b", b"", qos=1, mid=4, retain=True) + v5.publish("007", b"bond", qos=1, mid=5, retain=True))
    world = cradle.kill(world)
    sub = world.client("sub", v5)
    assert sub.send(v5.subscribe(1, "a", "b", "007", qos=1)) == v5.suback(1, 1, 1, 1) + (
        v5.publish("a", b"2", qos=1, mid=1, retain=True, properties=user)
        + v5.publish("007", b"bond", qos=1, mid=2, retain=True)
    )
    assert [row[0] for row in world.rows("retains")] == ["a", "007"]
    assert len(world.rows("base_msgs")) == 2


def test_expiry_interval_counts_while_the_broker_is_down(cradle: Cradle) -> None:
    world = cradle.start()
    world.client("a", v5, properties=props.session_expiry(100)).drop()
    world.client("b", v5, properties=props.session_expiry(100))  # connected: its time begins with the restart
    world.client("c", v5, properties=NEVER).drop()
    world = cradle.kill(world, later=101)
    assert world.sessions() == {"b", "c"}
    assert [row[0] for row in world.rows("clients")] == ["a", "b", "c"]
    world.turn()
    assert [(row[0], row[4]) for row in world.rows("clients")] == [("b", START + 201), ("c", 0)]
    world = cradle.kill(world, later=101)
    assert world.sessions() == {"c"}


def test_session_is_written_again_when_it_is_resumed(cradle: Cradle) -> None:
    """One that expired by its old time while it was connected would be lost otherwise."""
    world = cradle.start()
    world.client("a", v5, properties=props.session_expiry(10)).drop()
    columns = "client_id,username,session_expiry_time,session_expiry_interval,max_packet_size"
    assert world.rows("clients", columns) == [("a", None, START + 10, 10, 0)]
    properties = props.session_expiry(3_000_000_000) + props.maximum_packet_size(5000)
    world.client("a", v5, clean=False, present=True, username="u", properties=properties)
    assert world.rows("clients", columns) == [("a", "u", 0, 3_000_000_000 - 2**32, 5000)]
    world = cradle.kill(world, later=1000)
    assert world.sessions() == {"a"}
    assert world.broker.sessions.by_id["a"].username == "u"
    assert world.broker.sessions.by_id["a"].expiry == 3_000_000_000


def test_session_that_ended_leaves_nothing(cradle: Cradle) -> None:
    world = cradle.start()
    sub = world.client("a", v5, properties=HOUR, will=Will("w", b"x", properties=props.will_delay(100)))
    sub.send(v5.subscribe(1, "t", qos=1))
    sub.drop()
    world.client("pub", v5).send(v5.publish("t", b"x", qos=1, mid=1))
    assert [len(world.rows(t)) for t in ("clients", "subscriptions", "client_msgs", "base_msgs", "wills")] == [1] * 5
    world.client("a", v5).send(v5.disconnect())
    assert [len(world.rows(t)) for t in ("clients", "subscriptions", "client_msgs", "base_msgs", "wills")] == [0] * 5


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_message_queued_twice_is_told_apart(cradle: Cradle, end: str) -> None:
    world = cradle.start(allow_duplicate_messages=True)
    sub = world.client("sub", v311, clean=False)
    sub.send(v311.subscribe(1, "t", qos=1) + v311.subscribe(2, "+", qos=1))
    world.client("pub", v311).send(v311.publish("t", b"x", qos=1, mid=1))
    world.turn()
    assert len(world.rows("client_msgs")) == 2
    sub.send(v311.puback(1))
    assert [row[5] for row in world.rows("client_msgs")] == [2]
    if end == "stop":
        cradle.stop(world)
        world = cradle.start(world.directory)
    else:
        world = cradle.kill(world)
    answer = world.peer(v311).send(v311.connect("sub", clean=False))
    assert answer == v311.connack(session_present=True) + v311.publish("t", b"x", qos=1, mid=2, dup=True)


def test_packet_identifiers_go_on(cradle: Cradle) -> None:
    world = cradle.start()
    sub = world.client("sub", v311, clean=False)
    sub.send(v311.subscribe(1, "t", qos=1))
    pub = world.client("pub", v311)
    for n in range(1, 4):
        pub.send(v311.publish("t", b"x", qos=1, mid=n))
    sub.send(v311.puback(1) + v311.puback(2))
    world = cradle.kill(world)
    sub = world.client("sub", v311, clean=False, present=True)
    world.client("pub", v311).send(v311.publish("t", b"y", qos=1, mid=1))
    world.turn()
    assert sub.read().endswith(v311.publish("t", b"y", qos=1, mid=4))
