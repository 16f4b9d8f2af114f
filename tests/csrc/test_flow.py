"""Windows, queues, packet identifiers and acknowledgements of a session (MQTT 5.0, sections 4.3, 4.4, 4.9)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosq.core import lib
from tests.csrc.peer import Client, World
from tests.harness.packets import v5, v311


def subscriber(world: World, qos: int = 1, **terms: int) -> Client:
    client = world.client(**terms)
    client.subscribe("t", qos)
    return client


def fill(world: World, count: int, qos: int = 1) -> None:
    for i in range(count):
        world.publish("t", b"%d" % i, qos=qos)


def expected(payload: int, mid: int, *, qos: int = 1, dup: bool = False) -> bytes:
    return v311.publish("t", b"%d" % payload, qos=qos, mid=mid, dup=dup)


def test_window_holds_back_what_is_beyond_it() -> None:
    world = World()
    client = subscriber(world, receive_max=2)
    fill(world, 4)
    assert client.sent() == expected(0, 1) + expected(1, 2)
    assert client.feed(v311.puback(1)) == lib.MQ_OK
    assert client.sent() == expected(2, 3)


def test_queue_takes_a_window_more_than_its_maximum_then_drops_the_newest() -> None:
    world = World(max_queued_messages=3)
    client = subscriber(world, receive_max=2)
    fill(world, 9)
    assert world.core.stats.publish_dropped == 2
    assert world.notices() == [0]
    client.sent()
    for mid in range(1, 8):
        client.feed(v311.puback(mid))
    assert b"6" in client.sent()


def test_offline_durable_session_queues_up_to_the_maximum() -> None:
    world = World(max_queued_messages=3)
    client = subscriber(world)
    client.close()
    fill(world, 5)
    client.connect()
    assert client.resume() == expected(0, 1) + expected(1, 2) + expected(2, 3)


def test_offline_session_that_is_not_durable_gets_nothing() -> None:
    world = World()
    client = subscriber(world)
    client.close(durable=False)
    fill(world, 2)
    assert world.core.stats.stored == 0
    assert world.core.stats.publish_dropped == 0


def test_qos0_is_queued_offline_only_when_asked_and_counts() -> None:
    world = World(queue_qos0_messages=1, max_queued_messages=2)
    client = subscriber(world)
    client.close()
    fill(world, 3, qos=0)
    client.connect()
    assert client.resume() == v311.publish("t", b"0") + v311.publish("t", b"1")


def test_resumed_session_repeats_in_order_with_dup() -> None:
    """MQTT-4.4.0-1, MQTT-3.3.1-1."""
    world = World()
    client = subscriber(world, qos=2, receive_max=3)
    fill(world, 2, qos=1)
    fill(world, 1, qos=2)
    fill(world, 1, qos=1)
    client.sent()
    client.feed(v311.pubrec(3))
    client.close()
    client.connect(receive_max=3)
    assert client.resume() == expected(0, 1, dup=True) + expected(1, 2, dup=True) + v311.pubrel(3)
    client.feed(v311.puback(1))
    assert client.sent() == expected(0, 4)


def test_qos2_goes_through_its_four_packets() -> None:
    world = World()
    client = subscriber(world, qos=2)
    fill(world, 1, qos=2)
    client.sent()
    client.feed(v311.pubrec(1))
    assert client.sent() == v311.pubrel(1)
    client.feed(v311.pubrec(1))
    assert client.sent() == v311.pubrel(1)
    client.feed(v311.pubcomp(1))
    assert world.core.stats.stored == 0


def test_error_pubrec_ends_the_message_and_frees_its_slot() -> None:
    """MQTT-4.3.3: a PUBREC of 0x80 or more is the end of the exchange."""
    world = World()
    client = world.client(version=5, receive_max=1)
    client.subscribe("t", 2)
    fill(world, 2, qos=2)
    client.sent()
    client.feed(v5.pubrec(1, 0x97))
    assert client.sent() == v5.publish("t", b"1", qos=2, mid=2)


@pytest.mark.parametrize(
    ("packet", "status", "fault"),
    [
        (v311.puback(2), "MQ_ACK_QOS", (2, 1, 0)),
        (v311.pubrec(1), "MQ_ACK_QOS", (1, 2, 1)),
        (v311.pubcomp(1), "MQ_ACK_QOS", (1, 2, 0)),
        (v311.pubcomp(2), "MQ_ACK_STATE", (5, 9, 0)),
    ],
)
def test_acknowledgement_of_the_wrong_kind_is_an_error(packet: bytes, status: str, fault: tuple[int, int, int]) -> None:
    world = World()
    client = subscriber(world, qos=2)
    fill(world, 1, qos=1)
    fill(world, 1, qos=2)
    assert client.feed(packet) == getattr(lib, status)
    assert client.fault() == fault


def test_error_pubrec_after_a_good_one_is_an_error() -> None:
    world = World()
    client = world.client(version=5)
    client.subscribe("t", 2)
    fill(world, 1, qos=2)
    client.feed(v5.pubrec(1))
    assert client.feed(v5.pubrec(1, 0x80)) == lib.MQ_ACK_STATE
    assert client.fault() == (9, 5, 0)


def test_unknown_identifiers_are_answered_where_the_protocol_wants_it() -> None:
    client = World().client()
    client.feed(v311.puback(9) + v311.pubcomp(9))
    assert client.sent() == b""
    client.feed(v311.pubrec(9))
    assert client.sent() == v311.pubrel(9)
    client.feed(v311.pubrel(9))
    assert client.sent() == v311.pubcomp(9)


def test_packet_identifier_in_use_is_passed_over() -> None:
    """MQTT-2.2.1-3: also after the counter has wrapped."""
    world = World()
    client = subscriber(world, receive_max=0)
    fill(world, 1)
    client.sent()
    for mid in range(2, 65536):
        world.publish("t", b"", qos=1)
        client.sent()
        client.feed(v311.puback(mid))
    fill(world, 1)
    assert client.sent() == expected(0, 2)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 80), st.randoms(use_true_random=False))
def test_acknowledgements_in_any_order_settle_everything(count: int, random: object) -> None:
    world = World()
    client = subscriber(world, receive_max=0)
    fill(world, count)
    client.sent()
    mids = list(range(1, count + 1))
    random.shuffle(mids)  # type: ignore[attr-defined]
    for i, mid in enumerate(mids):
        assert client.feed(v311.puback(mid)) == lib.MQ_OK
        assert world.core.stats.stored == count - i - 1


def test_message_that_expired_in_the_queue_is_not_sent_and_frees_its_slot() -> None:
    world = World()
    client = world.client(version=5, receive_max=1)
    client.subscribe("t", 1)
    world.publish("t", b"a", qos=1)
    world.publish("t", b"b", qos=1, expiry=5)
    world.publish("t", b"c", qos=1)
    client.sent()
    world.tick(6)
    client.feed(v5.puback(1))
    assert client.sent() == v5.publish("t", b"c", qos=1, mid=3)


def test_expiry_is_forwarded_as_what_remains() -> None:
    """MQTT-3.3.2-6."""
    world = World()
    client = world.client(version=5)
    client.subscribe("t", 1)
    client.close()
    world.publish("t", b"a", qos=1, expiry=60)
    world.tick(18)
    client.connect()
    assert client.resume() == v5.publish("t", b"a", qos=1, mid=1, properties=b"\x02\x00\x00\x00\x2a")


def test_too_large_message_is_dropped_and_frees_its_slot() -> None:
    """MQTT-3.1.2-25."""
    world = World()
    client = world.client(version=5, receive_max=1, max_packet_out=30, alias_max_out=5)
    client.subscribe("t", 1)
    world.publish("t", b"x" * 40, qos=1)
    world.publish("t", b"ok", qos=1)
    assert client.sent() == v5.publish("t", b"ok", qos=1, mid=2, properties=b"\x23\x00\x01")
    assert world.notices() == [1]


def test_inbound_qos2_is_delivered_once_at_pubrel() -> None:
    """MQTT-4.3.3."""
    world = World()
    client = subscriber(world, qos=0)
    sender = world.client()
    sender.publish("t", b"x", qos=2, mid=7)
    assert sender.sent() == v311.pubrec(7)
    sender.publish("t", b"x", qos=2, mid=7, dup=True)
    assert sender.sent() == v311.pubrec(7)
    assert client.sent() == b""
    sender.feed(v311.pubrel(7) + v311.pubrel(7))
    assert sender.sent() == v311.pubcomp(7) * 2
    assert client.sent() == v311.publish("t", b"x")


def test_third_copy_of_a_qos2_message_is_an_error() -> None:
    sender = World().client()
    assert [sender.publish("t", b"x", qos=2, mid=7) for _ in range(3)] == [0, 0, lib.MQ_PUBLISH_DUP_TWICE]


def test_reused_identifier_replaces_the_held_message() -> None:
    world = World()
    client = subscriber(world, qos=0)
    sender = world.client()
    sender.publish("t", b"old", qos=2, mid=7)
    sender.publish("t", b"new", qos=2, mid=7)
    sender.feed(v311.pubrel(7))
    assert client.sent() == v311.publish("t", b"new")
    assert world.notices() == [2]


def test_full_receive_window_refuses_without_growing() -> None:
    """MQTT-3.3.4-9 counts; a refusal gives nothing back."""
    world = World(max_inflight_messages=2)
    sender = world.client(version=5)
    for mid in range(1, 6):
        sender.publish("t", b"x", qos=2, mid=mid)
    codes = b"".join(v5.pubrec(mid, 0 if mid < 3 else 0x97) for mid in range(1, 6))
    assert sender.sent() == codes
    sender.feed(v5.pubrel(1))
    sender.publish("t", b"x", qos=2, mid=9)
    assert sender.sent() == v5.pubcomp(1) + v5.pubrec(9)


def test_unlimited_receive_window_says_nothing() -> None:
    world = World(max_inflight_messages=0)
    sender = world.client(version=5)
    for mid in range(1, 200):
        sender.publish("t", b"x", qos=2, mid=mid)
    assert world.notices() == []
