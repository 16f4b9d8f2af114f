"""$SYS: which values, when."""

from __future__ import annotations

from collections.abc import Callable
from math import exp

import pytest

from mosq import __version__
from mosq.sys_tree import INTEGERS, LOADS
from tests.control.world import World
from tests.harness.packets import Level, v5, v311

Make = Callable[..., World]


def messages(stream: bytes) -> dict[str, str]:
    """Topic and payload of the MQTT 3.1.1 PUBLISH packets with QoS 0 in a stream."""
    found = {}
    while stream:
        assert stream[0] & 0xF6 == 0x30, stream[:20].hex(" ")
        body, stream = stream[2 : 2 + stream[1]], stream[2 + stream[1] :]
        n = int.from_bytes(body[:2], "big")
        found[body[2 : 2 + n].decode().removeprefix("$SYS/broker/")] = body[2 + n :].decode()
    return found


def tree(world: World) -> dict[str, str]:
    """What a new client sees of $SYS."""
    client = world.client(f"tree{len(world.peers)}")
    suback = v311.suback(1, 0)
    answer = client.send(v311.subscribe(1, "$SYS/#"))
    client.send(v311.disconnect())
    assert answer.startswith(suback)
    return messages(answer[len(suback) :])


def test_everything_is_published_at_the_start(make_world: Make) -> None:
    found = tree(make_world(sys_interval=10))
    loads = {f"{topic}/{period}" for topic in LOADS for period in ("1min", "5min", "15min")}
    assert set(found) == {"version", "uptime", *INTEGERS, *loads}
    assert len(loads) == 27
    assert {found[topic] for topic in loads} == {"0.00"}
    assert found["version"] == f"mosquitto version {__version__}"
    assert found["uptime"] == "0 seconds"


def test_nothing_is_published_when_switched_off(make_world: Make) -> None:
    world = make_world(sys_interval=0)
    world.advance(30)
    assert tree(world) == {}


@pytest.mark.parametrize("offset", [0, 3])
def test_published_when_the_clock_is_a_multiple_of_the_interval(make_world: Make, offset: int) -> None:
    world = make_world(sys_interval=10)
    client = world.client("a")
    client.send(v311.subscribe(1, "$SYS/broker/uptime"))
    seen = []
    for second in range(1, 31):
        world.advance(1)
        if found := messages(client.read()):
            seen.append((second, found["uptime"]))
    assert seen == [(10, "10 seconds"), (20, "20 seconds"), (30, "30 seconds")]


def test_only_changed_integers_are_published(make_world: Make) -> None:
    world = make_world(sys_interval=10)
    client = world.client("a")
    client.send(v311.subscribe(1, "$SYS/broker/clients/+"))
    world.advance(10)
    assert set(messages(client.read())) == {f"clients/{name}" for name in ("total", "maximum", "connected", "active")}
    world.advance(10)
    assert messages(client.read()) == {}


def test_numbers_of_clients(make_world: Make) -> None:
    world = make_world(sys_interval=10)
    world.client("a", v311, clean=False).drop()
    for name in "bc":
        world.client(name)
    world.peer()
    world.client("gone", v5, properties=b"\x11\0\0\0\1").drop()
    world.advance(10)
    found = tree(world)
    clients = {name: found[f"clients/{name}"] for name in ("total", "maximum", "connected", "disconnected", "expired")}
    assert clients == {"total": "3", "maximum": "3", "connected": "3", "disconnected": "0", "expired": "1"}
    assert (found["clients/active"], found["clients/inactive"]) == ("3", "0")
    assert found["connections/socket/count"] == "5"


def test_disconnected_clients_are_never_fewer_than_none(make_world: Make) -> None:
    world = make_world(sys_interval=10)
    for _ in range(3):
        world.peer()
    world.advance(10)
    assert tree(world)["clients/disconnected"] == "0"


def test_numbers_of_messages(make_world: Make) -> None:
    world = make_world(sys_interval=10)
    client = world.client("a", v5)
    client.send(v5.subscribe(1, "t", "$share/g/t"))
    client.send(v5.publish("t", b"12345", retain=True))
    world.advance(10)
    found = tree(world)
    assert found["messages/received"] == "3"
    assert found["publish/messages/received"] == "1"
    assert found["publish/bytes/received"] == "5"
    assert found["publish/messages/sent"] == "2"
    assert found["publish/bytes/sent"] == "10"
    assert found["messages/sent"] == "4"
    assert found["subscriptions/count"] == "1"
    assert found["shared_subscriptions/count"] == "1"
    assert found["messages/stored"] == found["store/messages/count"]
    assert int(found["retained messages/count"]) > 50


def test_load_is_an_average_over_each_period(make_world: Make) -> None:
    world = make_world(sys_interval=10)
    client = world.client("a")
    for _ in range(5):
        client.send(v311.publish("t", b"x"))
    world.advance(10)
    rate = 5 * 60 / 10
    found = tree(world)
    for period, seconds in (("1min", 60), ("5min", 300), ("15min", 900)):
        assert found[f"load/publish/received/{period}"] == f"{rate - exp(-10 / seconds) * rate:.2f}"
    assert found["load/connections/1min"] == f"{6 - exp(-10 / 60) * 6:.2f}"


@pytest.mark.parametrize("level", [v311, v5], ids=str)
def test_messages_are_retained_with_qos_2(make_world: Make, level: Level) -> None:
    client = make_world(sys_interval=10).client("a", level)
    answer = client.send(level.subscribe(1, "$SYS/broker/uptime", qos=2))
    assert answer == level.suback(1, 2) + level.publish("$SYS/broker/uptime", b"0 seconds", qos=2, mid=1, retain=True)


def test_messages_are_not_retained_where_that_is_not_available(make_world: Make) -> None:
    world = make_world(sys_interval=10, retain_available=False)
    assert tree(world) == {}
    client = world.client("a")
    client.send(v311.subscribe(1, "$SYS/broker/uptime"))
    world.advance(10)
    assert client.read() == v311.publish("$SYS/broker/uptime", b"10 seconds")


def test_reload_may_switch_it_on(make_world: Make) -> None:
    world = make_world(sys_interval=0)
    world.advance(5)
    world.broker.reload(world.config.copy(sys_interval=2))
    found = tree(world)
    assert found["version"] and found["load/sockets/1min"] == "0.00"
    assert found["uptime"] == "5 seconds"


def test_reload_may_switch_it_off(make_world: Make) -> None:
    world = make_world(sys_interval=2)
    client = world.client("a")
    client.send(v311.subscribe(1, "$SYS/broker/uptime"))
    world.broker.reload(world.config.copy(sys_interval=0))
    client.read()
    world.advance(10)
    assert client.read() == b""
