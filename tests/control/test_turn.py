"""Owner ids, the end of a turn, the sweep, slow readers, packet lines."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from mosq.core import lib
from mosq.slots import Slots
from tests.control.ledger import Ledger
from tests.control.world import World
from tests.harness import props
from tests.harness.packets import v5, v311

Make = Callable[..., World]


def test_slots_reuse_indices() -> None:
    slots = Slots()
    items: list[Any] = [SimpleNamespace(n=n) for n in range(4)]
    assert [slots.add(item) for item in items[:3]] == [0, 1, 2]
    slots.remove(1)
    assert list(slots) == [items[0], items[2]]
    assert len(slots) == 2
    assert slots.add(items[3]) == 1
    assert slots[1] is items[3]
    slots.remove(0)
    with pytest.raises(KeyError):
        slots[0]
    with pytest.raises(KeyError):
        slots.remove(0)


def test_commit_comes_before_the_answer(world: World) -> None:
    client = world.client("a")
    seen: list[bytes] = []
    store = Ledger(world.broker)
    store.at_turn = lambda: seen.append(client.read())
    answer = client.send(v311.publish("t", b"x", qos=1, mid=1))
    assert seen == [b""]
    assert answer == v311.puback(1)


def test_sweep_removes_expired_retained_messages(make_world: Make) -> None:
    world = make_world(retain_expiry_interval=1)
    client = world.client("a", v5, keepalive=0)
    for n in range(10):
        client.send(v5.publish(f"t/{n}", b"x", retain=True, properties=props.message_expiry(30)))
    client.send(v5.publish("t/stays", b"x", retain=True))
    assert world.broker.core.stats.retained == 11
    world.advance(59)
    assert world.broker.core.stats.retained == 11
    world.advance(3)
    assert world.broker.core.stats.retained == 1


def test_sweep_can_be_switched_off_by_a_reload(make_world: Make) -> None:
    world = make_world(retain_expiry_interval=1)
    client = world.client("a", v5, keepalive=0)
    client.send(v5.publish("t", b"x", retain=True, properties=props.message_expiry(1)))
    world.broker.reload(world.config.copy(retain_expiry_interval=None))
    world.advance(70)
    assert world.broker.core.stats.retained == 1


def test_slow_reader_gets_everything_in_the_end(world: World) -> None:
    reader = world.client("a")
    reader.send(v311.subscribe(1, "t"))
    packet = v311.publish("t", b"x" * 10_000)
    writer = world.client("b")
    for _ in range(100):
        writer.send(packet)
    received = b""
    for _ in range(200):
        received += reader.read()
        world.turn()
    assert received == packet * 100


def test_peer_that_does_not_read_its_answers_is_not_read(world: World) -> None:
    peer = world.client("a")
    pings = b"\xc0\x00" * 30_000
    sent = 0
    for _ in range(300):
        try:
            sent += peer.sock.send(pings[sent % 2 :])
        except BlockingIOError:
            break
        world.turn()
    else:
        pytest.fail("the broker takes everything")
    answered = 0
    for _ in range(2000):
        answered += len(peer.read())
        world.turn()
        if answered >= sent - sent % 2:
            break
    assert answered == sent - sent % 2


def test_lines_of_packets_that_the_core_handles(world: World) -> None:
    client = world.client("a", v5)
    client.send(v5.subscribe(1, "t", qos=2))
    world.log.lines.clear()
    client.send(v5.publish("t", b"12345", qos=2, mid=3))
    client.send(v5.pubrel(3) + v5.pubrec(1))
    client.send(v5.pubcomp(1) + b"\xc0\x00")
    assert world.log.texts() == [
        "Received PUBLISH from a (d0, q2, r0, m3, 't', ... (5 bytes))",
        "Sending PUBREC to a (m3, rc0)",
        "Received PUBREL from a (Mid: 3)",
        "Sending PUBLISH to a (d0, q2, r0, m1, 't', ... (5 bytes))",
        "Sending PUBCOMP to a (m3)",
        "Received PUBREC from a (Mid: 1)",
        "Sending PUBREL to a (m1)",
        "Received PUBCOMP from a (Mid: 1, RC:0)",
        "Received PINGREQ from a",
        "Sending PINGRESP to a",
    ]


def test_refused_publish_is_named_so(make_world: Make) -> None:
    world = make_world(message_size_limit=5)
    client = world.client("a", v5)
    world.log.lines.clear()
    client.send(v5.publish("t", b"123456", qos=1, mid=1))
    client.send(v5.publish("$SYS/t", b"1"))
    assert world.log.texts() == [
        "Dropped too large PUBLISH from a (d0, q1, r0, m1, 't', ... (6 bytes))",
        "Sending PUBACK to a (m1, rc149)",
        "Denied PUBLISH from a (d0, q0, r0, m0, '$SYS/t', ... (1 bytes))",
    ]


def test_notices_of_the_core(world: World) -> None:
    client = world.client("a", v5, properties=props.maximum_packet_size(100))
    client.send(v5.subscribe(1, "t", qos=2))
    world.client("b", v5).send(v5.publish("t", b"x" * 200))
    assert "Dropping too large outgoing PUBLISH for a (204 bytes)" in world.log.texts("N")
    client.send(v5.pubrec(9))
    line = "Warning: Received PUBREC from a for an unknown packet identifier 9."
    assert line in world.log.texts("W")
    client.send(v5.publish("u", b"1", qos=2, mid=1))
    client.send(v5.publish("u", b"2", qos=2, mid=1))
    assert "Reused message ID 1 from a detected. Clearing from storage." in world.log.texts("W")


def test_stop_closes_everything_without_a_word(world: World) -> None:
    client, waiting = world.client("a", v5), world.peer()
    world.log.lines.clear()
    world.broker.stop()
    assert client.read() == b""
    assert client.closed
    assert waiting.closed
    assert world.log.lines == []
    assert world.listener.count == 0


def test_commit_comes_before_last_words(world: World) -> None:
    client = world.client("a", v5)
    seen: list[bytes] = []
    store = Ledger(world.broker)
    lib.mq_core_journal(world.broker.core.c, 1)
    lib.mq_core_hold(world.broker.core.c, 1)

    def settle() -> None:
        seen.append(client.read())
        lib.mq_core_committed(world.broker.core.c)

    store.at_settle = store.at_turn = settle
    answer = client.send(v5.publish("t", b"x", qos=1, mid=1, retain=True) + b"\xc1\x00")
    assert seen[0] == b""
    assert b"".join(seen) + answer == v5.puback(1, 0x10) + v5.disconnect(0x81)


def test_connection_that_cannot_be_watched_is_forgotten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def register(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(world.reactor, "register", register)
    with pytest.raises(OSError):
        world.broker.accepted(world.listener, 1_000_000, "192.0.2.1", 1)
    world.turn()
    assert len(world.broker.connections) == 0
