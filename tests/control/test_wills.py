"""When a will is published, and when not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mosq.auth.access import ALLOW, CACHED, DENY, WRITE, Question
from tests.control.world import World
from tests.harness import props
from tests.harness.packets import LEVELS, Level, Will, v5, v31, v311

Make = Callable[..., World]
WILL = Will("w", b"gone")
GONE = v5.publish("w", b"gone")


def delayed(seconds: int, payload: bytes = b"gone") -> Will:
    return Will("w", payload, properties=props.will_delay(seconds))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_lost_connection_publishes_the_will(world: World, level: Level) -> None:
    """[MQTT-3.1.2-8]"""
    watcher = world.watcher("w")
    world.client("a", level, will=WILL).drop()
    assert watcher.read() == GONE


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_disconnect_discards_the_will(world: World, level: Level) -> None:
    """[MQTT-3.14.4-3]"""
    watcher = world.watcher("w")
    world.client("a", level, will=WILL).send(level.disconnect())
    world.advance(3)
    assert watcher.read() == b""


@pytest.mark.parametrize("reason", [0x04, 0x80, 0x81, 0x93])
def test_disconnect_with_another_reason_publishes_the_will(world: World, reason: int) -> None:
    watcher = world.watcher("w")
    world.client("a", v5, will=WILL).send(v5.disconnect(reason))
    assert watcher.read() == GONE


def test_protocol_error_publishes_the_will(world: World) -> None:
    watcher = world.watcher("w")
    world.client("a", will=WILL).send(b"\xf0\x00")
    assert watcher.read() == GONE


def test_keepalive_timeout_publishes_the_will(world: World) -> None:
    watcher = world.client("watcher", v5, keepalive=0)
    watcher.send(v5.subscribe(1, "w"))
    quiet = world.client("a", v5, will=WILL, keepalive=4)
    world.advance(6)
    assert watcher.read() == b""
    world.advance(1)
    assert watcher.read() == GONE
    assert quiet.read() == b""
    assert quiet.closed
    assert f"Client a [192.0.2.1:{quiet.port}] disconnected: exceeded timeout." in world.log.texts("N")


def test_second_connect_is_a_protocol_error_of_the_established_session(world: World) -> None:
    """[MQTT-3.1.0-2]"""
    watcher = world.watcher("w")
    client = world.client("a", v5, will=WILL, properties=props.session_expiry(100))
    assert client.send(v5.connect("a")) == v5.disconnect(0x82)
    assert watcher.read() == GONE
    assert world.sessions() == {"a", "watcher0"}
    assert f"Bad client 192.0.2.1:{client.port} sending multiple CONNECT messages." in world.log.texts("N")


def test_delayed_will_waits(world: World) -> None:
    """[MQTT-3.1.3-9]"""
    watcher = world.watcher("w")
    world.client("a", v5, will=delayed(5), properties=props.session_expiry(100)).drop()
    world.advance(4)
    assert watcher.read() == b""
    world.advance(1)
    assert watcher.read() == GONE
    world.advance(100)
    assert watcher.read() == b""


def test_delayed_will_comes_with_the_end_of_the_session(world: World) -> None:
    watcher = world.watcher("w")
    world.client("a", v5, will=delayed(50), properties=props.session_expiry(3)).drop()
    world.advance(3)
    assert watcher.read() == GONE
    assert world.sessions() == {"watcher0"}


def test_will_delay_needs_a_session_that_lasts(world: World) -> None:
    watcher = world.watcher("w")
    world.client("a", v5, will=delayed(50)).drop()
    assert watcher.read() == GONE


def test_delayed_wills_come_in_the_order_they_are_due(world: World) -> None:
    watcher = world.watcher("w")
    world.client("a", v5, will=delayed(10, b"first"), properties=props.session_expiry(100)).drop()
    world.advance(7)
    world.client("b", v5, will=delayed(5, b"second"), properties=props.session_expiry(100)).drop()
    world.advance(3)
    assert watcher.read() == v5.publish("w", b"first")
    world.advance(2)
    assert watcher.read() == v5.publish("w", b"second")


def test_coming_back_in_time_discards_a_delayed_will(world: World) -> None:
    """[MQTT-3.1.3-9]"""
    watcher = world.watcher("w")
    expiry = props.session_expiry(100)
    world.client("a", v5, will=delayed(5), properties=expiry).drop()
    world.advance(2)
    world.client("a", v5, clean=False, properties=expiry, present=True)
    world.advance(10)
    assert watcher.read() == b""


def test_clean_start_publishes_a_pending_will(world: World) -> None:
    watcher = world.watcher("w")
    world.client("a", v5, will=delayed(50), properties=props.session_expiry(100)).drop()
    world.client("a", v5, clean=True)
    assert watcher.read() == GONE


@pytest.mark.parametrize("level", [v31, v311], ids=str)
@pytest.mark.parametrize("clean", [True, False])
def test_take_over_publishes_the_will_of_v3(world: World, level: Level, clean: bool) -> None:
    watcher = world.watcher("w")
    world.client("a", level, clean=False, will=WILL)
    world.client("a", level, clean=clean, present=not clean and level is v311)
    assert watcher.read() == GONE


@pytest.mark.parametrize("clean", [True, False])
def test_take_over_publishes_a_will_without_delay(world: World, clean: bool) -> None:
    watcher = world.watcher("w")
    world.client("a", v5, will=WILL, properties=props.session_expiry(100))
    world.client("a", v5, clean=clean, present=not clean)
    assert watcher.read() == GONE


def test_take_over_that_resumes_discards_a_delayed_will(world: World) -> None:
    watcher = world.watcher("w")
    world.client("a", v5, will=delayed(5), properties=props.session_expiry(100))
    world.client("a", v5, clean=False, present=True)
    world.advance(10)
    assert watcher.read() == b""


def test_take_over_that_ends_the_session_publishes_a_delayed_will(world: World) -> None:
    watcher = world.watcher("w")
    world.client("a", v5, will=delayed(5), properties=props.session_expiry(100))
    world.client("a", v5, clean=True)
    assert watcher.read() == GONE


def test_shutdown_publishes_all_wills(world: World) -> None:
    watcher = world.watcher("w")
    world.client("a", v5, will=delayed(50, b"offline"), properties=props.session_expiry(100)).drop()
    world.client("b", v5, will=Will("w", b"online"))
    world.broker.shut_down()
    world.broker.stop()
    assert watcher.read() == v5.publish("w", b"offline") + v5.publish("w", b"online")
    assert watcher.closed


def test_will_reaches_its_own_session_later(world: World) -> None:
    client = world.client("a", v311, clean=False, will=Will("w", b"gone", 1))
    client.send(v311.subscribe(1, "w", qos=1))
    client.drop()
    again = world.peer(v311)
    answer = again.send(v311.connect("a", clean=False))
    assert answer == v311.connack(session_present=True) + v311.publish("w", b"gone", qos=1, mid=1)


@pytest.mark.parametrize("topic", ["$SYS/x", "$SYSx", "$share/g/w", "$sharex"])
def test_will_to_a_reserved_topic_is_dropped(world: World, topic: str) -> None:
    watcher = world.watcher("$SYS/#", "$SYSx", "$sharex")
    world.client("a", will=Will(topic, b"gone")).drop()
    assert watcher.read() == b""


def test_will_may_tell_the_state_of_a_bridge(world: World) -> None:
    watcher = world.watcher("$SYS/broker/connection/+/state")
    world.client("a", will=Will("$SYS/broker/connection/b/state", b"0")).drop()
    assert watcher.read() == v5.publish("$SYS/broker/connection/b/state", b"0")


def test_will_is_dropped_where_its_client_may_not_write(world: World) -> None:
    class ReadOnly:
        mode = CACHED

        def check(self, question: Question) -> int:
            return DENY if question.access == WRITE else ALLOW

    watcher = world.watcher("w")
    world.broker.access.checkers.append(ReadOnly())
    world.client("a", will=WILL).drop()
    assert watcher.read() == b""


def test_refused_client_leaves_no_will(make_world: Make) -> None:
    world = make_world(global_max_clients=1)
    watcher = world.watcher("w")
    refused = world.peer(v5)
    assert refused.send(v5.connect("a", will=WILL)) == v5.connack(0x89)
    assert refused.closed
    world.advance(1)
    assert watcher.read() == b""
