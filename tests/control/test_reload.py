"""A reload changes the broker and leaves its clients alone, but for those that may not be here any more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.control.world import World
from tests.harness import props
from tests.harness.packets import Will, v5, v311

Make = Callable[..., World]


def reload(world: World, listener: dict[str, object] | None = None, **options: object) -> None:
    listeners = [world.listener.config.copy(**(listener or {}))]
    world.broker.reload(world.config.copy(listeners=listeners, **options))
    world.turn()


def test_clients_stay(world: World) -> None:
    client = world.client("a")
    reload(world)
    assert client.send(b"\xc0\x00") == b"\xd0\x00"


@pytest.mark.parametrize("username", [None, "u"])
def test_clients_that_are_no_longer_allowed_go_without_their_will(world: World, username: str | None) -> None:
    client = world.client("a", v5, will=Will("w", b"gone"), username=username, properties=props.session_expiry(100))
    waiting = world.peer()
    reload(world, {"listener_allow_anonymous": False})
    assert client.read() == b""
    assert client.closed
    assert world.log.texts("N")[-1] == f"Client a [192.0.2.1:{client.port}] disconnected."
    assert world.sessions() == {"a"}
    assert world.broker.sessions.by_id["a"].will is None
    assert not waiting.closed


def test_offline_sessions_stay_without_a_line(world: World) -> None:
    world.client("a", v311, clean=False).drop()
    world.log.lines.clear()
    reload(world, {"listener_allow_anonymous": False})
    assert world.sessions() == {"a"}
    assert world.log.texts("N") == []


def test_alias_maximum_acts_at_once(world: World) -> None:
    client = world.client("a", v5)
    reload(world, {"max_topic_alias": 1})
    assert client.send(v5.publish("t", b"", properties=props.topic_alias(2))) == v5.disconnect(0x94)


def test_mount_point_acts_at_once(world: World) -> None:
    client, watcher = world.client("a"), world.client("b", v5)
    watcher.send(v5.subscribe(1, "m/t"))
    reload(world, {"mount_point": "m/"})
    client.send(v311.publish("t", b"x"))
    assert watcher.read() == v5.publish("t", b"x")


def test_max_qos_counts_for_new_connections(world: World) -> None:
    old = world.client("a", v5)
    reload(world, {"max_qos": 0})
    assert old.send(v5.subscribe(1, "t", qos=2)) == v5.suback(1, 2)
    peer = world.peer(v5)
    assert b"\x24\x00" in peer.send(v5.connect("b"))
    assert peer.send(v5.subscribe(1, "t", qos=2)) == v5.suback(1, 0)


def test_limits_are_applied(world: World) -> None:
    client = world.client("a", v5)
    reload(world, max_packet_size=100, global_max_clients=1, message_size_limit=10)
    assert client.send(v5.publish("t", b"x" * 11, qos=1, mid=1)) == v5.puback(1, 0x95)
    assert client.send(v5.publish("t", b"x" * 100)) == v5.disconnect(0x95)
    world.client("b")
    assert world.peer(v5).send(v5.connect("c")) == v5.connack(0x89)


def test_listener_that_is_gone_from_the_file_keeps_its_options(make_world: Make) -> None:
    world = make_world({"max_topic_alias": 3})
    world.broker.reload(world.config.copy(listeners=[]))
    assert b"\x22\x00\x03" in world.peer(v5).send(v5.connect("a"))


def test_expiry_limit_counts_for_those_who_leave_later(world: World) -> None:
    client = world.client("a", v311, clean=False)
    reload(world, persistent_client_expiration=2)
    client.drop()
    world.advance(3)
    assert world.sessions() == set()
