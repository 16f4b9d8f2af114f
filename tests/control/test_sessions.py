"""How long sessions live, and what becomes of them when somebody else connects with their identifier."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.control.world import World
from tests.harness import props
from tests.harness.packets import LEVELS, Level, v5, v31, v311

Make = Callable[..., World]


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_session_without_expiry_ends_with_its_connection(world: World, level: Level) -> None:
    world.client("a", level).drop()
    assert world.sessions() == set()


@pytest.mark.parametrize("level", [v31, v311], ids=str)
def test_session_that_is_not_clean_never_expires(world: World, level: Level) -> None:
    world.client("a", level, clean=False).drop()
    world.advance(300)
    assert world.sessions() == {"a"}


def test_session_expires_after_its_interval(world: World) -> None:
    """[MQTT-3.1.2-23]"""
    world.client("a", v5, properties=props.session_expiry(5)).drop()
    world.advance(4)
    assert world.sessions() == {"a"}
    world.advance(2)
    assert world.sessions() == set()
    assert "Expiring client a due to timeout." in world.log.texts("N")
    assert world.broker.sessions.expired == 1


def test_session_does_not_expire_while_connected(world: World) -> None:
    world.client("a", v5, properties=props.session_expiry(1), keepalive=0)
    world.advance(10)
    assert world.sessions() == {"a"}


def test_coming_back_stops_the_expiry(world: World) -> None:
    world.client("a", v5, properties=props.session_expiry(5)).drop()
    world.advance(3)
    world.client("a", v5, clean=False, properties=props.session_expiry(5), present=True, keepalive=0)
    world.advance(20)
    assert world.sessions() == {"a"}


def test_the_expiry_of_the_last_connect_counts(world: World) -> None:
    world.client("a", v311, clean=False).drop()
    world.client("a", v5, clean=False, present=True).drop()
    assert world.sessions() == set()


def test_disconnect_may_change_the_expiry(world: World) -> None:
    """MQTT 5.0, section 3.14.2.2.2"""
    client = world.client("a", v5, properties=props.session_expiry(100))
    client.send(v5.disconnect(0, props.session_expiry(2)))
    world.advance(3)
    assert world.sessions() == set()


def test_disconnect_may_not_give_a_session_an_expiry(world: World) -> None:
    """MQTT 5.0, section 3.14.2.2.2: from 0 to anything else is a protocol error."""
    client = world.client("a", v5)
    assert client.send(v5.disconnect(0, props.session_expiry(2))) == v5.disconnect(0x82)
    line = "Protocol error from a: DISCONNECT packet with mismatched session-expiry-interval (0:2)."
    assert line in world.log.texts("I")


def test_disconnect_with_expiry_zero_ends_the_session(world: World) -> None:
    world.client("a", v5, properties=props.session_expiry(100)).send(v5.disconnect(0, props.session_expiry(0)))
    assert world.sessions() == set()


@pytest.mark.parametrize("asked", [100, 0xFFFFFFFF])
def test_persistent_client_expiration_shortens_the_expiry(make_world: Make, asked: int) -> None:
    world = make_world(persistent_client_expiration=3)
    world.client("a", v5, properties=props.session_expiry(asked)).drop()
    world.advance(4)
    assert world.sessions() == set()


def test_persistent_client_expiration_does_not_lengthen_the_expiry(make_world: Make) -> None:
    world = make_world(persistent_client_expiration=300)
    world.client("a", v5, properties=props.session_expiry(2)).drop()
    world.advance(3)
    assert world.sessions() == set()


def test_persistent_client_expiration_holds_for_v3(make_world: Make) -> None:
    world = make_world(persistent_client_expiration=3)
    world.client("a", v311, clean=False).drop()
    world.advance(4)
    assert world.sessions() == set()


def test_resumed_session_keeps_its_subscriptions(world: World) -> None:
    client = world.client("a", v311, clean=False)
    client.send(v311.subscribe(1, "t", qos=1))
    client.drop()
    world.client("b").send(v311.publish("t", b"x", qos=1, mid=1))
    again = world.peer(v311)
    answer = again.send(v311.connect("a", clean=False))
    assert answer == v311.connack(session_present=True) + v311.publish("t", b"x", qos=1, mid=1)


def test_v31_resumes_without_being_told(world: World) -> None:
    client = world.client("a", v31, clean=False)
    client.send(v31.subscribe(1, "t", qos=1))
    client.drop()
    world.client("a", v31, clean=False, present=False)
    assert world.client("b").send(v311.publish("t", b"x")) == b""
    assert world.peers[1].read() == v31.publish("t", b"x")


def test_clean_start_discards_the_session(world: World) -> None:
    """[MQTT-3.1.2-4]"""
    client = world.client("a", v311, clean=False)
    client.send(v311.subscribe(1, "t"))
    client.drop()
    world.client("a", v311, clean=True, present=False)
    world.client("b").send(v311.publish("t", b"x"))
    assert world.peers[1].read() == b""


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_take_over_closes_the_old_connection(world: World, level: Level) -> None:
    """[MQTT-3.1.4-3]"""
    old = world.client("a", level)
    world.client("a", level)
    assert old.read() == (v5.disconnect(0x8E) if level.is_v5 else b"")
    assert old.closed
    assert len(world.broker.connections) == 1
    assert f"Client a [192.0.2.1:{old.port}] disconnected: session taken over." in world.log.texts("N")


def test_take_over_is_logged_between_connection_and_client(world: World) -> None:
    world.client("a")
    world.log.lines.clear()
    world.client("a")
    assert [text.split(" 192")[0] for text in world.log.texts("N")] == [
        "New connection from",
        "Client a [192.0.2.1:40000] disconnected: session taken over.",
        "New client connected from",
    ]


def test_take_over_resumes_the_session(world: World) -> None:
    old = world.client("a", v5, properties=props.session_expiry(100))
    old.send(v5.subscribe(1, "t"))
    new = world.client("a", v5, clean=False, present=True, properties=props.session_expiry(100))
    world.client("b", v5).send(v5.publish("t", b"x"))
    assert new.read() == v5.publish("t", b"x")


def test_subscription_pipelined_with_a_take_over_holds(world: World) -> None:
    old = world.client("a", v311)
    old.send(v311.subscribe(1, "t"))
    new = world.peer(v311)
    new.send(v311.connect("a", clean=False) + v311.subscribe(2, "t"))
    world.client("b").send(v311.publish("t", b"x"))
    assert new.read() == v311.publish("t", b"x")


def test_taking_over_from_an_offline_session_is_logged(world: World) -> None:
    world.client("a", v311, clean=False).drop()
    world.log.lines.clear()
    world.client("a", v311, clean=False, present=True)
    assert "Client a [192.0.2.1:40000] disconnected: session taken over." in world.log.texts("N")


def test_timers_do_not_gather(world: World) -> None:
    for _ in range(50):
        peer = world.client("a", v5, properties=props.session_expiry(1000))
        peer.drop()
    assert sum(timer.active for _, _, timer in world.reactor._timers) == 2  # the tick and one session


def test_owner_ids_are_used_again(world: World) -> None:
    for _ in range(10):
        world.client("a").drop()
    assert len(world.broker.connections.items) == 1
    assert world.listener.count == 0
