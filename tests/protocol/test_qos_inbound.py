"""QoS 1 and 2 from a client: acknowledgements, duplicates, the inbound window; MQTT 4.3, 4.9."""

from __future__ import annotations

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.brokers import Brokers
from tests.harness.client import RawClient
from tests.harness.packets import LEVELS, Level, v5, v31, v311

V3 = [v31, v311]


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_qos_1_is_acknowledged_with_its_packet_id(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-4.3.2-4 (3.1.1: 4.3.2-2)] and [MQTT-2.2.1-5 2.3.1-6]"""
    client = broker.connected(level, name)
    client.subscribe(name)
    client.send(level.publish(name, qos=1, mid=65535))
    client.expect_in_any_order(level.publish(name), level.puback(65535))


def test_qos_1_without_subscriber_is_told_in_v5(broker: Broker, name: str) -> None:
    """MQTT 5.0 3.4.2.1: 0x10 no matching subscribers"""
    client = broker.connected(v5, name)
    client.send(v5.publish(name, qos=1, mid=1))
    client.expect(v5.puback(1, 0x10))


@pytest.mark.parametrize("filter_", ["{}", "{}/#", "$share/g/{}"])
def test_qos_1_with_subscriber_gets_plain_success(broker: Broker, name: str, filter_: str) -> None:
    other = broker.connected(v311, f"{name}s")
    other.subscribe(filter_.format(name))
    client = broker.connected(v5, name)
    client.send(v5.publish(name, qos=1, mid=1))
    client.expect(v5.puback(1))


def test_no_local_subscription_counts_as_matching(broker: Broker, name: str) -> None:
    from tests.harness.packets import Subscription

    client = broker.connected(v5, name)
    client.subscribe(Subscription(name, no_local=True))
    client.send(v5.publish(name, qos=1, mid=1))
    client.expect(v5.puback(1))


def test_retained_message_without_subscriber_is_told_too(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    client.send(v5.publish(name, b"x", qos=1, mid=1, retain=True))
    client.expect(v5.puback(1, 0x10))
    client.publish(name, retain=True)


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_qos_1_duplicates_are_delivered_again(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-4.3.2-5] the receiver treats it as a new publication."""
    client = broker.connected(level, name)
    client.subscribe(name)
    client.send(level.publish(name, b"x", qos=1, mid=1), level.publish(name, b"x", qos=1, mid=1, dup=True))
    client.expect_in_any_order(level.publish(name, b"x"), level.puback(1), level.publish(name, b"x"), level.puback(1))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_qos_2_is_delivered_at_pubrel(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-4.3.3-8 .. 4.3.3-13 (3.1.1: 4.3.3-2)]"""
    receiver = broker.connected(v311, f"{name}r")
    receiver.subscribe(name)
    client = broker.connected(level, name)
    client.send(level.publish(name, b"x", qos=2, mid=7))
    client.expect(level.pubrec(7))
    receiver.expect_silence()
    client.send(level.pubrel(7))
    client.expect(level.pubcomp(7))
    receiver.expect(v311.publish(name, b"x"))


def test_qos_2_without_subscriber_gets_plain_success(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    client.send(v5.publish(name, qos=2, mid=1))
    client.expect(v5.pubrec(1))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_qos_2_duplicate_is_delivered_once(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-4.3.3-10] acknowledged again, not stored again"""
    client = broker.connected(level, name)
    client.subscribe(name)
    client.send(level.publish(name, b"x", qos=2, mid=7), level.publish(name, b"x", qos=2, mid=7, dup=True))
    client.expect(level.pubrec(7), level.pubrec(7))
    client.send(level.pubrel(7))
    client.expect_in_any_order(level.publish(name, b"x"), level.pubcomp(7))
    client.expect_silence()


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_second_repetition_of_a_qos_2_message_is_a_protocol_error(broker: Broker, name: str, level: Level) -> None:
    client = broker.connected(level, name)
    repeated = level.publish(name, b"x", qos=2, mid=7, dup=True)
    client.send(level.publish(name, b"x", qos=2, mid=7), repeated, repeated)
    client.expect_refused(level.pubrec(7), level.pubrec(7), *([v5.disconnect(0x82)] if level.is_v5 else []))


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("qos", [1, 2])
def test_packet_id_reused_for_another_message_replaces_the_old(
    broker: Broker, name: str, level: Level, qos: int
) -> None:
    client = broker.connected(level, name)
    client.subscribe(name)
    client.send(level.publish(name, b"old", qos=2, mid=7))
    client.expect(level.pubrec(7))
    client.send(level.publish(name, b"new", qos=qos, mid=7))
    if qos == 1:
        client.expect_in_any_order(level.publish(name, b"new"), level.puback(7))
    else:
        client.expect(level.pubrec(7))
        client.send(level.pubrel(7))
        client.expect_in_any_order(level.publish(name, b"new"), level.pubcomp(7))
    broker.wait_for_log(rf"Reused message ID 7 from {name} detected\. Clearing from storage\.")
    client.expect_silence()


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_pubrel_for_an_unknown_packet_id_is_completed(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-4.3.3-11 / 4.3.3-2]"""
    client = broker.connected(level, name)
    client.send(level.pubrel(77))
    client.expect(level.pubcomp(77))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_repeated_pubrel_is_completed_again_and_delivers_once(broker: Broker, name: str, level: Level) -> None:
    client = broker.connected(level, name)
    client.subscribe(name)
    client.send(level.publish(name, b"x", qos=2, mid=3))
    client.expect(level.pubrec(3))
    client.send(level.pubrel(3), level.pubrel(3))
    client.expect_in_any_order(level.publish(name, b"x"), level.pubcomp(3), level.pubcomp(3))
    client.expect_silence()


def test_qos_2_message_survives_reconnection(broker: Broker, name: str) -> None:
    """[MQTT-4.1.0-1 4.4.0-1] half a QoS 2 exchange is session state."""
    keep = props.session_expiry(60)
    receiver = broker.connected(v311, f"{name}r")
    receiver.subscribe(name)
    first = broker.connected(v5, name, properties=keep)
    first.send(v5.publish(name, b"x", qos=2, mid=3))
    first.expect(v5.pubrec(3))
    first.close()
    second = broker.connected(v5, name, clean=False, properties=keep, session_present=True)
    second.send(v5.publish(name, b"x", qos=2, mid=3, dup=True))
    second.expect(v5.pubrec(3))
    second.send(v5.pubrel(3))
    second.expect(v5.pubcomp(3))
    receiver.expect(v311.publish(name, b"x"))
    receiver.expect_silence()


def test_qos_2_messages_are_delivered_in_order_of_pubrel(broker: Broker, name: str) -> None:
    """[MQTT-4.6.0-3 4.6.0-4] acknowledgements in the order of the packets"""
    client = broker.connected(v5, name)
    client.send(*[v5.publish(name, b"x", qos=2, mid=m) for m in range(1, 11)])
    client.expect(*[v5.pubrec(m) for m in range(1, 11)])
    client.send(*[v5.pubrel(m) for m in range(1, 11)])
    client.expect(*[v5.pubcomp(m) for m in range(1, 11)])


# The inbound window

WINDOW_3 = "max_inflight_messages 3"


def fill(client: RawClient, level: Level, name: str, count: int = 3) -> None:
    client.send(*[level.publish(name, b"x", qos=2, mid=m) for m in range(1, count + 1)])
    client.expect(*[level.pubrec(m) for m in range(1, count + 1)])


@pytest.mark.differs("it disconnects with 0x93")
@pytest.mark.parametrize("qos", [1, 2])
def test_v5_message_beyond_receive_maximum_is_refused(brokers: Brokers, name: str, qos: int) -> None:
    """3.3.4: refused with "quota exceeded", the connection stays."""
    broker = brokers(WINDOW_3)
    client = broker.connected(v5, name)
    fill(client, v5, name)
    client.send(v5.publish(name, b"x", qos=qos, mid=9))
    client.expect(v5.acknowledgement(4 if qos == 1 else 5, 9, 0x97))
    broker.wait_for_log(
        rf"Client {name} has exceeded its receive-maximum quota\. This behaviour must be fixed on the client\."
    )
    client.expect_silence()


@pytest.mark.differs("it disconnects with 0x93")
def test_refusal_does_not_enlarge_the_window(brokers: Brokers, name: str) -> None:
    client = brokers(WINDOW_3).connected(v5, name)
    fill(client, v5, name)
    for mid in (10, 11, 12, 13):
        client.send(v5.publish(name, b"x", qos=2, mid=mid))
        client.expect(v5.pubrec(mid, 0x97))
    client.send(v5.pubrel(1))
    client.expect(v5.pubcomp(1))
    client.send(v5.publish(name, b"x", qos=2, mid=14))
    client.expect(v5.pubrec(14))
    client.send(v5.publish(name, b"x", qos=2, mid=15))
    client.expect(v5.pubrec(15, 0x97))


@pytest.mark.differs("it has no window for v3 clients")
@pytest.mark.parametrize("level", V3, ids=str)
def test_v3_message_beyond_the_window_is_lost_behind_an_acknowledgement(
    brokers: Brokers, name: str, level: Level
) -> None:
    broker = brokers(WINDOW_3)
    receiver = broker.connected(v311, f"{name}r")
    receiver.subscribe(f"{name}/lost")
    client = broker.connected(level, name)
    fill(client, level, name)
    client.send(level.publish(f"{name}/lost", b"x", qos=1, mid=9), level.publish(f"{name}/lost", b"x", qos=2, mid=10))
    client.expect(level.puback(9), level.pubrec(10))
    client.send(level.pubrel(10))
    client.expect(level.pubcomp(10))
    receiver.expect_silence()


def test_acknowledged_messages_do_not_occupy_the_window(brokers: Brokers, name: str) -> None:
    client = brokers(WINDOW_3).connected(v5, name)
    client.send(*[v5.publish(name, b"x", qos=1, mid=m) for m in range(1, 50)])
    client.expect(*[v5.puback(m, 0x10) for m in range(1, 50)])


@pytest.mark.differs("it disconnects with 0x93")
def test_inbound_window_in_bytes(brokers: Brokers, name: str) -> None:
    client = brokers("max_inflight_bytes 100").connected(v5, name)
    client.send(v5.publish(name, b"x" * 99, qos=2, mid=1), v5.publish(name, b"x" * 99, qos=2, mid=2))
    client.expect(v5.pubrec(1), v5.pubrec(2))
    client.send(v5.publish(name, b"x", qos=2, mid=3))
    client.expect(v5.pubrec(3, 0x97))


def test_unlimited_window_accepts_without_warning(brokers: Brokers, name: str) -> None:
    broker = brokers("max_inflight_messages 0")
    client = broker.client(v5)
    client.send(v5.connect(name))
    client.read_packet()
    client.send(*[v5.publish(name, b"x", qos=2, mid=m) for m in range(1, 101)])
    client.expect(*[v5.pubrec(m) for m in range(1, 101)])
    assert not broker.logged(f"{name} has exceeded")
