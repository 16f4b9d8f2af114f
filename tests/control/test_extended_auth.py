"""Extended authentication, with a method made for the test. MQTT 5.0, section 4.12."""

from __future__ import annotations

import pytest

from mosq.auth.methods import CONTINUE, SUCCESS, Exchange, Step
from tests.control.world import Peer, World
from tests.harness import props
from tests.harness.packets import Will, default_connack_properties, v5, v311

METHOD = props.auth_method("M")


class Script:
    """A method that gives these answers, and notes what it was asked."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.asked: list[tuple[str, bytes | None]] = []

    def start(self, exchange: Exchange, data: bytes | None) -> Step:
        self.asked.append(("start", data))
        return self.steps.pop(0)

    def proceed(self, exchange: Exchange, data: bytes | None) -> Step:
        self.asked.append(("proceed", data))
        return self.steps.pop(0)


def script(world: World, *steps: Step) -> Script:
    method = Script(*steps)
    world.broker.methods["M"] = method
    return method


def connected(world: World) -> Peer:
    """A client that was let in by the method at once."""
    return world.client("a", v5, properties=METHOD + props.session_expiry(100), will=Will("w", b"gone"))


def test_unknown_method_is_refused(world: World) -> None:
    peer = world.peer(v5)
    assert peer.send(v5.connect("a", properties=METHOD)) == v5.connack(0x8C)
    assert peer.closed
    assert world.log.texts("N")[-1].endswith(
        "disconnected: used disallowed feature (QoS too high, retain not supported, or bad AUTH method)."
    )


def test_success_at_once(world: World) -> None:
    script(world, Step(SUCCESS, b"welcome"))
    answer = world.peer(v5).send(v5.connect("a", properties=METHOD))
    alias, rest = default_connack_properties()[:3], default_connack_properties()[3:]
    assert answer == v5.connack(properties=alias + METHOD + props.auth_data(b"welcome") + rest)


def test_exchange_of_several_steps(world: World) -> None:
    method = script(world, Step(CONTINUE, b"1"), Step(CONTINUE), Step(SUCCESS))
    peer = world.peer(v5)
    connect = v5.connect("a", properties=METHOD + props.auth_data(b"0"))
    assert peer.send(connect) == v5.auth(CONTINUE, METHOD + props.auth_data(b"1"))
    assert world.sessions() == set()
    assert peer.send(v5.auth(CONTINUE, METHOD + props.auth_data(b"2"))) == v5.auth(CONTINUE, METHOD)
    assert peer.send(v5.auth(CONTINUE, METHOD))[:1] == b"\x20"
    assert method.asked == [("start", b"0"), ("proceed", b"2"), ("proceed", None)]
    assert world.sessions() == {"a"}
    assert peer.send(b"\xc0\x00") == b"\xd0\x00"


@pytest.mark.parametrize("code", [0x87, 0x8C, 0x80])
def test_failure_is_one_connack_and_no_disconnect(world: World, code: int) -> None:
    script(world, Step(CONTINUE), Step(code))
    peer = world.peer(v5)
    peer.send(v5.connect("a", properties=METHOD, will=Will("w")))
    assert peer.send(v5.auth(CONTINUE, METHOD)) == v5.connack(code)
    assert peer.closed
    assert world.sessions() == set()


def test_method_may_close_without_a_word(world: World) -> None:
    script(world, Step(None))
    peer = world.peer(v5)
    assert peer.send(v5.connect("a", properties=METHOD)) == b""
    assert peer.closed


def test_other_packets_during_the_exchange_are_a_protocol_error(world: World) -> None:
    script(world, Step(CONTINUE))
    peer = world.peer(v5)
    peer.send(v5.connect("a", properties=METHOD))
    assert peer.send(v5.subscribe(1, "t")) == v5.disconnect(0x82)
    assert "Protocol error from a: SUBSCRIBE before session is active." in world.log.texts("I")


def test_lost_connection_during_the_exchange_sends_no_will(world: World) -> None:
    watcher = world.watcher("w")
    script(world, Step(CONTINUE))
    peer = world.peer(v5)
    peer.send(v5.connect("a", properties=METHOD, will=Will("w")))
    peer.drop()
    assert watcher.read() == b""
    assert world.sessions() == {"watcher0"}


def test_disconnect_is_accepted_during_the_exchange(world: World) -> None:
    script(world, Step(CONTINUE))
    peer = world.peer(v5)
    peer.send(v5.connect("a", properties=METHOD))
    assert peer.send(v5.disconnect()) == b""
    assert world.log.texts("N")[-1] == f"Client a [192.0.2.1:{peer.port}] disconnected."


def test_reauthentication(world: World) -> None:
    method = script(world, Step(SUCCESS), Step(CONTINUE, b"?"), Step(SUCCESS, b"!"))
    peer = connected(world)
    assert peer.send(v5.auth(0x19, METHOD + props.auth_data(b"x"))) == v5.auth(CONTINUE, METHOD + props.auth_data(b"?"))
    assert peer.send(v5.auth(CONTINUE, METHOD)) == v5.auth(SUCCESS, METHOD + props.auth_data(b"!"))
    assert method.asked == [("start", None), ("start", b"x"), ("proceed", None)]


def test_traffic_goes_on_during_reauthentication(world: World) -> None:
    script(world, Step(SUCCESS), Step(CONTINUE), Step(SUCCESS))
    peer = connected(world)
    peer.send(v5.auth(0x19, METHOD))
    assert peer.send(v5.subscribe(1, "t")) == v5.suback(1, 0)
    assert peer.send(v5.publish("t", b"x")) == v5.publish("t", b"x")
    assert peer.send(v5.auth(CONTINUE, METHOD)) == v5.auth(SUCCESS, METHOD)


@pytest.mark.parametrize("code", [0x87, 0x8C, 0x80])
def test_failed_reauthentication_ends_the_connection_and_publishes_the_will(world: World, code: int) -> None:
    watcher = world.watcher("w")
    script(world, Step(SUCCESS), Step(code))
    peer = connected(world)
    assert peer.send(v5.auth(0x19, METHOD)) == v5.disconnect(code)
    assert peer.closed
    assert watcher.read() == v5.publish("w", b"gone")
    assert world.sessions() == {"a", "watcher0"}


def test_empty_auth_while_active_is_a_protocol_error(world: World) -> None:
    script(world, Step(SUCCESS))
    peer = connected(world)
    assert peer.send(b"\xf0\x00") == v5.disconnect(0x82)
    assert peer.closed


def test_auth_without_a_method_in_connect_is_a_protocol_error(world: World) -> None:
    peer = world.client("a", v5)
    assert peer.send(v5.auth(0x19, METHOD)) == v5.disconnect(0x82)
    assert "Protocol error from a: AUTH packet without existing auth-method." in world.log.texts("I")


def test_auth_of_v311_is_a_protocol_error(world: World) -> None:
    peer = world.client("a", v311)
    assert peer.send(b"\xf0\x00") == b""
    assert peer.closed
    assert "Protocol error from a: AUTH packet when session not MQTT v5.0." in world.log.texts("I")


def test_auth_too_large_for_the_client_is_not_sent(world: World) -> None:
    script(world, Step(CONTINUE, b"x" * 100))
    peer = world.peer(v5)
    assert peer.send(v5.connect("a", properties=METHOD + props.maximum_packet_size(50))) == b""
    assert peer.closed
    assert world.log.texts("N")[-1] == f"Client a [192.0.2.1:{peer.port}] disconnected: oversize packet."
