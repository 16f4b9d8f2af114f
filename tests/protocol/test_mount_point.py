"""Listeners with a mount point: the prefix is added on the way in and cut on the way out."""

from __future__ import annotations

import pytest

from tests.harness.broker import Broker
from tests.harness.brokers import Brokers
from tests.harness.packets import LEVELS, Level, Will, v5, v311

TWO_LISTENERS = """
allow_anonymous true
listener {port} 127.0.0.1
listener {port2} 127.0.0.1
mount_point mnt/
"""


@pytest.fixture
def mounted(brokers: Brokers) -> Broker:
    """`port` is plain, `port2` has the mount point "mnt/"."""
    broker: Broker = brokers(TWO_LISTENERS)
    return broker


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_prefix_is_added_and_cut(mounted: Broker, name: str, level: Level) -> None:
    outside = mounted.connected(v311, f"{name}o")
    outside.subscribe(f"mnt/{name}/#")
    inside = mounted.connected(level, name, port="port2")
    inside.subscribe(f"{name}/#")
    inside.send(level.publish(f"{name}/in", b"1"))
    for client, packets, prefix in ((outside, v311, "mnt/"), (inside, level, "")):
        client.expect(packets.publish(f"{prefix}{name}/in", b"1"))
    outside.send(v311.publish(f"mnt/{name}/out", b"2"))
    for client, packets, prefix in ((outside, v311, "mnt/"), (inside, level, "")):
        client.expect(packets.publish(f"{prefix}{name}/out", b"2"))


def test_mounted_clients_do_not_see_outside(mounted: Broker, name: str) -> None:
    inside = mounted.connected(v311, name, port="port2")
    inside.subscribe(f"{name}/#", f"+/{name}")
    mounted.connected(v311, f"{name}o").publish(f"{name}/x", b"1", qos=1)
    inside.expect_silence()


def test_will_is_mounted(mounted: Broker, name: str) -> None:
    outside = mounted.connected(v311, f"{name}o")
    outside.subscribe(f"mnt/{name}")
    mounted.connected(v311, name, port="port2", will=Will(name, b"gone")).close()
    outside.expect(v311.publish(f"mnt/{name}", b"gone"))


def test_retained_messages_are_cut(mounted: Broker, name: str) -> None:
    mounted.connected(v311, f"{name}o").publish(f"mnt/{name}", b"x", retain=True)
    inside = mounted.connected(v311, name, port="port2")
    inside.subscribe(name)
    inside.expect(v311.publish(name, b"x", retain=True))


def test_dollar_topics_lose_their_meaning(mounted: Broker, name: str) -> None:
    outside = mounted.connected(v311, f"{name}o")
    outside.subscribe("mnt/$SYS/#")
    inside = mounted.connected(v5, name, port="port2")
    inside.send(v5.publish(f"$SYS/{name}", b"x", qos=1, mid=1))
    inside.expect(v5.puback(1))
    outside.expect(v311.publish(f"mnt/$SYS/{name}", b"x"))


@pytest.mark.differs("it does not apply the mount point here")
@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_unsubscribe_is_mounted(mounted: Broker, name: str, level: Level) -> None:
    inside = mounted.connected(level, name, port="port2")
    inside.subscribe(name)
    inside.send(level.unsubscribe(2, name))
    inside.expect(level.unsuback(2, 0))
    inside.publish(name, b"x")
    inside.expect_silence()


@pytest.mark.differs("it mounts the whole filter")
def test_shared_filters_are_mounted_inside(mounted: Broker, name: str) -> None:
    inside = [mounted.connected(v311, f"{name}{i}", port="port2") for i in range(2)]
    for client in inside:
        client.subscribe(f"$share/g/{name}")
    outside = mounted.connected(v311, f"{name}o")
    outside.publish(f"mnt/{name}", b"1")
    outside.publish(f"mnt/{name}", b"2")
    inside[0].expect(v311.publish(name, b"1"))
    inside[1].expect(v311.publish(name, b"2"))


@pytest.mark.differs("it cuts blindly")
def test_session_from_another_listener_gets_only_what_is_mounted(mounted: Broker, name: str) -> None:
    """What the client asked for elsewhere cannot be shown to it here."""
    mounted.connected(v311, name, clean=False).subscribe(f"{name}/#", "mnt/#", qos=1)
    mounted.close_clients()
    sender = mounted.connected(v311, f"{name}s")
    inside = mounted.connected(v311, name, clean=False, port="port2", session_present=True)
    for topic in (f"{name}/long/enough", f"mnt/{name}"):
        sender.publish(topic, b"x", qos=1)
    got = inside.read_packet()
    assert got[4:-3].decode() == name, got
    inside.expect_silence()


def test_levels_are_counted_without_the_mount_point(mounted: Broker, name: str) -> None:
    client = mounted.connected(v311, name, port="port2")
    topic = f"{name}{'/' * 200}"
    client.subscribe(topic)
    client.send(v311.publish(topic, b"x"))
    client.expect(v311.publish(topic, b"x"))
