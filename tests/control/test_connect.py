"""What CONNECT comes to once it is known to be well formed."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from mosq.auth.chain import ALLOW, DEFER, LATER, Request, Verdict, deny
from tests.control.world import World
from tests.harness import props
from tests.harness.packets import LEVELS, Level, Will, default_connack_properties, v5, v31, v311

Make = Callable[..., World]
REFUSED = {3: b"\x20\x02\x00\x05", 4: b"\x20\x02\x00\x05", 5: v5.connack(0x87)}


class Answers:
    """A checker that gives these answers."""

    def __init__(self, *answers: Verdict) -> None:
        self.answers = list(answers)
        self.asked: list[Request] = []

    def authenticate(self, request: Request) -> Verdict:
        self.asked.append(request)
        return self.answers.pop(0)


def test_connack_of_a_default_broker(world: World) -> None:
    assert world.peer(v5).send(v5.connect("a")) == bytes.fromhex("200e 0000 0b 22000a 27001e8480 210014")


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_anonymous_is_refused_where_not_allowed(make_world: Make, level: Level) -> None:
    world = make_world({"listener_allow_anonymous": False})
    peer = world.peer(level)
    assert peer.send(level.connect("a")) == REFUSED[level.number]
    assert peer.closed
    assert world.sessions() == set()
    assert f"Client a [192.0.2.1:{peer.port}] disconnected: not authorised." in world.log.texts("N")


def test_user_name_needs_no_judge_where_anonymous_is_allowed(world: World) -> None:
    world.client("a", username="u", password="p")
    line = "New client connected from 192.0.2.1:40000 as a (p4, c1, k60, u'u')."
    assert line in world.log.texts("N")


def test_first_answer_of_the_chain_counts(world: World) -> None:
    asked_first, asked_second, not_asked = Answers(DEFER), Answers(deny()), Answers()
    world.broker.auth.checkers[:] = [asked_first, asked_second, not_asked]
    assert world.peer(v311).send(v311.connect("a", username="u", password="p")) == REFUSED[4]
    request = asked_second.asked[0]
    assert (request.client_id, request.username, request.password) == ("a", "u", b"p")


@pytest.mark.parametrize("code", [0x80, 0x83, 0x85, 0x86, 0x88, 0x89, 0x8A, 0x8C, 0x9F])
def test_checker_may_say_why(world: World, code: int) -> None:
    world.broker.auth.checkers[:] = [Answers(deny(code), deny(code))]
    assert world.peer(v5).send(v5.connect("a")) == v5.connack(code)
    assert world.peer(v311).send(v311.connect("a")) == REFUSED[4]


def test_answer_that_comes_later_lets_in(world: World) -> None:
    checker = Answers(LATER)
    world.broker.auth.checkers[:] = [checker]
    peer = world.peer(v311)
    assert peer.send(v311.connect("a") + v311.subscribe(1, "t")) == b""
    assert peer.send(v311.subscribe(2, "u")) == b""
    resolve = checker.asked[0].resolve
    assert resolve is not None
    resolve(ALLOW)
    world.turn()
    assert peer.read() == v311.connack() + v311.suback(1, 0) + v311.suback(2, 0)


def test_answer_that_comes_later_refuses(world: World) -> None:
    checker = Answers(LATER)
    world.broker.auth.checkers[:] = [checker]
    peer = world.peer(v311)
    peer.send(v311.connect("a", will=Will("w")))
    resolve = checker.asked[0].resolve
    assert resolve is not None
    resolve(deny())
    world.turn()
    assert peer.read() == REFUSED[4]
    assert peer.closed
    assert world.sessions() == set()


def test_identifier_that_waits_for_an_answer_is_taken(world: World) -> None:
    world.broker.auth.checkers[:] = [Answers(LATER)]
    world.peer(v311).send(v311.connect("a"))
    second = world.peer(v311)
    assert second.send(v311.connect("a")) == b""
    assert second.closed


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_global_max_clients_counts_offline_sessions(make_world: Make, level: Level) -> None:
    world = make_world(global_max_clients=1)
    world.client("a", v311, clean=False).drop()
    peer = world.peer(level)
    assert peer.send(level.connect("b")) == (v5.connack(0x89) if level.is_v5 else b"")
    assert peer.closed
    assert world.sessions() == {"a"}
    assert not [line for line in world.log.texts("N") if "connected from" in line and " as b " in line]


def test_global_max_clients_lets_known_clients_back(make_world: Make) -> None:
    world = make_world(global_max_clients=1)
    world.client("a", v311, clean=False).drop()
    world.client("a", v311, clean=False, present=True)
    world.client("a", v311, clean=True)


@pytest.mark.parametrize("keepalive", [0, 61])
def test_max_keepalive_is_told_to_v5_clients(make_world: Make, keepalive: int) -> None:
    """[MQTT-3.1.2-21]"""
    world = make_world(max_keepalive=60)
    expected = props.server_keep_alive(60) + default_connack_properties()
    answer = world.peer(v5).send(v5.connect("a", keepalive=keepalive))
    assert answer == v5.connack(properties=expected)
    assert f"k{keepalive})" in world.log.texts("N")[-1]


def test_max_keepalive_acts(make_world: Make) -> None:
    world = make_world(max_keepalive=4)
    peer = world.client("a", v5, keepalive=0)
    world.advance(7)
    assert peer.closed


@pytest.mark.parametrize("level", [v31, v311], ids=str)
def test_max_keepalive_refuses_v3_clients_before_anything_happens(make_world: Make, level: Level) -> None:
    world = make_world(max_keepalive=60)
    old = world.client("a", level, clean=False, keepalive=60)
    watcher = world.watcher("w")
    peer = world.peer(level)
    assert peer.send(level.connect("a", clean=False, keepalive=61, will=Will("w"))) == b"\x20\x02\x00\x02"
    assert peer.closed
    assert not old.closed
    assert watcher.read() == b""
    assert len([line for line in world.log.texts("N") if "New client connected" in line]) == 2


def test_keepalive_within_max_keepalive_is_left_alone(make_world: Make) -> None:
    world = make_world(max_keepalive=60)
    assert world.peer(v5).send(v5.connect("a", keepalive=60)) == v5.connack()


def test_connection_without_connect_is_closed_after_thirty_seconds(make_world: Make) -> None:
    world = make_world(max_keepalive=10)
    peer = world.peer()
    world.advance(29)
    assert not peer.closed
    world.advance(2)
    assert peer.closed
    assert f"Client 192.0.2.1 [192.0.2.1:{peer.port}] disconnected: exceeded timeout." in world.log.texts("N")


def test_generated_identifier(world: World) -> None:
    answer = world.peer(v5).send(v5.connect(""))
    (client_id,) = world.sessions()
    assert re.fullmatch(r"auto-[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", client_id)
    assert answer == v5.connack(properties=default_connack_properties(assigned_id=client_id))


def test_generated_identifier_with_the_prefix_of_the_listener(make_world: Make) -> None:
    world = make_world({"listener_auto_id_prefix": "mine-"})
    world.client("")
    assert next(iter(world.sessions())).startswith("mine-")


def test_generated_identifier_keeps_its_prefix_after_a_reload(world: World) -> None:
    world.broker.reload(world.config.copy())
    world.client("")
    assert next(iter(world.sessions())).startswith("auto-")


def test_user_name_as_client_identifier(make_world: Make) -> None:
    world = make_world({"use_username_as_clientid": True})
    world.client("a", username="u")
    assert world.sessions() == {"u"}
    peer = world.peer(v5)
    assert peer.send(v5.connect("a")) == v5.connack(0x87)
    assert peer.closed


def test_connack_too_large_for_the_client_is_not_sent(world: World) -> None:
    peer = world.peer(v5)
    assert peer.send(v5.connect("a", properties=props.maximum_packet_size(10))) == b""
    assert peer.closed
    assert f"Client a [192.0.2.1:{peer.port}] disconnected: oversize packet." in world.log.texts("N")


def test_lines_of_a_connection_in_their_order(world: World) -> None:
    world.client("a", will=Will("w", b"12345", 1, True)).send(v311.disconnect())
    assert world.log.lines == [
        ("N", "New connection from 192.0.2.1:40000 on port 1883."),
        ("N", "New client connected from 192.0.2.1:40000 as a (p4, c1, k60)."),
        ("D", "Will message specified (5 bytes) (r1, q1)."),
        ("D", "\tw"),
        ("D", "Sending CONNACK to a (0, 0)"),
        ("D", "Received DISCONNECT from a"),
        ("N", "Client a [192.0.2.1:40000] disconnected."),
    ]


def test_connection_messages_can_be_switched_off(make_world: Make) -> None:
    world = make_world(connection_messages=False)
    world.client("a")
    world.client("a").send(v311.disconnect())
    assert world.log.texts("N") == []
    assert "No will message specified." not in world.log.texts("D")
    assert "Sending CONNACK to a (0, 0)" in world.log.texts("D")


def test_bridge_is_named_so(world: World) -> None:
    world.peer().send(v311.connect("b", level=0x84))
    assert "New bridge connected from 192.0.2.1:40000 as b (p4, c1, k60)." in world.log.texts("N")


def test_bridge_subscribes_with_no_local_and_retain_as_published(world: World) -> None:
    bridge = world.peer()
    bridge.send(v311.connect("b", level=0x84))
    bridge.send(v311.subscribe(1, "t"))
    assert bridge.send(v311.publish("t", b"own")) == b""
    world.client("a").send(v311.publish("t", b"x", retain=True))
    assert bridge.read() == v311.publish("t", b"x", retain=True)


def test_bridge_may_share_a_subscription(world: World) -> None:
    bridge = world.peer()
    bridge.send(v311.connect("b", level=0x84))
    assert bridge.send(v311.subscribe(1, "$share/g/t")) == v311.suback(1, 0)
