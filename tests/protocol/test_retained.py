"""Retained messages; MQTT 3.3.1.3 and 3.8.4."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.brokers import Brokers
from tests.harness.client import RawClient
from tests.harness.deadline import wait_until
from tests.harness.packets import LEVELS, Level, Subscription, v5, v31, v311


def retained(level: Level, topic: str, payload: bytes = b"x", **more: Any) -> bytes:
    return level.publish(topic, payload, retain=True, **more)


@pytest.mark.parametrize("publisher", LEVELS, ids=lambda v: f"from_{v}")
@pytest.mark.parametrize("subscriber", LEVELS, ids=lambda v: f"to_{v}")
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_retained_message_meets_a_new_subscription(
    broker: Broker, name: str, publisher: Level, subscriber: Level, qos: int
) -> None:
    """[MQTT-3.3.1-5 3.3.1-9 / 3.3.1-6 3.3.1-8]"""
    broker.connected(publisher, name).publish(name, b"x", qos=qos, retain=True)
    client = broker.connected(subscriber, f"{name}s")
    client.subscribe(name, qos=1)
    client.expect(retained(subscriber, name, qos=min(qos, 1), mid=1))


def test_newest_message_is_the_retained_one(broker: Broker, name: str) -> None:
    """[MQTT-3.3.1-5]"""
    client = broker.connected(v5, name)
    client.publish(name, b"old", retain=True)
    client.publish(name, b"new", qos=2, retain=True)
    client.publish(name, b"not retained")
    client.subscribe(name)
    client.expect(retained(v5, name, b"new"))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_empty_payload_deletes_and_is_delivered(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.3.1-6 3.3.1-7 / 3.3.1-10 3.3.1-11]"""
    client = broker.connected(level, name)
    client.publish(name, b"x", retain=True)
    client.subscribe(name)
    client.expect(retained(level, name))
    client.send(level.publish(name, retain=True))
    client.expect(level.publish(name))
    client.subscribe(name)
    client.expect_silence()


def test_unretained_message_leaves_the_retained_one(broker: Broker, name: str) -> None:
    """[MQTT-3.3.1-8 / 3.3.1-12]"""
    client = broker.connected(v5, name)
    client.publish(name, b"x", retain=True)
    client.publish(name)
    client.subscribe(name)
    client.expect(retained(v5, name))


def test_dollar_topics_can_be_retained(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    client.publish(f"${name}/a", b"x", retain=True)
    client.subscribe(f"${name}/#")
    client.expect(retained(v5, f"${name}/a"))


@pytest.mark.parametrize("level", [v31, v311], ids=str)
def test_v3_resubscription_is_sent_them_again(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.8.4-3 of 3.1.1]"""
    client = broker.connected(level, name)
    client.publish(name, b"x", retain=True)
    for _ in range(2):
        client.subscribe(name)
        client.expect(retained(level, name))


@pytest.mark.parametrize("handling, first, again", [(0, True, True), (1, True, False), (2, False, False)])
def test_retain_handling(broker: Broker, name: str, handling: int, first: bool, again: bool) -> None:
    """[MQTT-3.3.1-9 3.3.1-10 3.3.1-11]"""
    client = broker.connected(v5, name)
    client.publish(name, b"x", retain=True)
    for sent in (first, again):
        client.subscribe(Subscription(name, retain_handling=handling))
        if sent:
            client.expect(retained(v5, name))
        client.expect_silence()


def test_retain_as_published_does_not_matter_for_new_subscriptions(broker: Broker, name: str) -> None:
    """[MQTT-3.3.1-8] RETAIN is 1 whatever the option."""
    client = broker.connected(v5, name)
    client.publish(name, b"x", retain=True)
    client.subscribe(Subscription(name, retain_as_published=False))
    client.expect(retained(v5, name))


def test_one_copy_for_each_matching_filter(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    client.publish(f"{name}/a", b"x", retain=True)
    client.send(v5.subscribe(1, f"{name}/a", f"{name}/+", f"{name}/#"))
    client.expect(v5.suback(1, 0, 0, 0), *[retained(v5, f"{name}/a")] * 3)
    client.expect_silence()


def test_subscription_identifier_and_properties_come_along(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    given = props.content_type("t") + props.user_property("a", "b")
    client.publish(name, b"x", retain=True, properties=given)
    client.subscribe(name, properties=props.subscription_id(9))
    client.expect(retained(v5, name, properties=given + props.subscription_id(9)))


TREE = ["a", "a/1", "a/1/x", "a/2", "b", "b/1"]
ORDERS = {
    "{}/#": ["a", "a/1", "a/1/x", "a/2", "b", "b/1", ""],
    "{}/+": ["a", "b"],
    "{}/+/1": ["a/1", "b/1"],
    "{}/a/#": ["a/1", "a/1/x", "a/2", "a"],
    "{}/a/+/x": ["a/1/x"],
    "{}/none": [],
    "{}": [""],
}


def full(name: str, topic: str) -> str:
    return f"{name}/{topic}" if topic else name


@pytest.mark.parametrize("topic_filter", ORDERS)
def test_wildcards_find_every_match(broker: Broker, name: str, topic_filter: str) -> None:
    """[MQTT-4.7.1] a filter's wildcards work on retained topics as on live ones."""
    client = broker.connected(v5, name)
    for topic in ["", *TREE]:
        client.publish(full(name, topic), topic.encode() or b"-", retain=True)
    client.subscribe(topic_filter.format(name))
    wanted = [retained(v5, full(name, t), t.encode() or b"-") for t in ORDERS[topic_filter]]
    client.expect_in_any_order(*wanted)
    client.expect_silence()


@pytest.mark.differs("its tables are in another order")
@pytest.mark.parametrize("topic_filter", ORDERS)
def test_retained_messages_come_in_the_order_of_the_tree(broker: Broker, name: str, topic_filter: str) -> None:
    """Children in the order of their making, each before its descendants; the parent of `#` last."""
    client = broker.connected(v5, name)
    for topic in ["", *TREE]:
        client.publish(full(name, topic), topic.encode() or b"-", retain=True)
    client.publish(full(name, "a/1"), b"a/1", retain=True)  # a new payload keeps its place
    client.subscribe(topic_filter.format(name))
    client.expect(*[retained(v5, full(name, t), t.encode() or b"-") for t in ORDERS[topic_filter]])


@pytest.mark.differs("its tables are in another order")
def test_topic_created_again_goes_to_the_end(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    for topic in ("a", "b", "c"):
        client.publish(f"{name}/{topic}", b"x", retain=True)
    client.publish(f"{name}/a", retain=True)
    client.publish(f"{name}/a", b"x", retain=True)
    client.subscribe(f"{name}/#")
    client.expect(*[retained(v5, f"{name}/{t}") for t in "bca"])


def test_wildcards_do_not_find_dollar_topics(broker: Broker, name: str) -> None:
    """[MQTT-4.7.2-1]"""
    client = broker.connected(v5, name)
    client.publish(f"${name}/{name}", b"x", retain=True)
    client.subscribe(f"+/{name}")
    client.expect_silence()
    client.publish(f"${name}/{name}", retain=True)


def test_retained_qos_1_messages_respect_the_window(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name, properties=props.receive_maximum(2))
    for i in range(5):
        client.publish(f"{name}/{i}", b"x", qos=1, retain=True)
    client.subscribe(f"{name}/#", qos=1)
    client.received_messages(2)
    client.expect_silence()
    client.send(v5.puback(1), v5.puback(2))
    client.received_messages(2)
    client.send(v5.puback(3), v5.puback(4))
    client.received_messages(1)


def test_expired_retained_message_is_gone(broker: Broker, name: str) -> None:
    """[MQTT-3.3.2-5 3.3.2-6] / 3.3.1.3"""
    client = broker.connected(v5, name)
    client.publish(name, b"x", retain=True, properties=props.message_expiry(1))

    def is_gone() -> bool:
        client.send(v5.subscribe(1, name), b"\xc0\0")
        client.expect(v5.suback(1, 0))
        answer = client.read_packet()
        if answer != b"\xd0\0":
            client.expect(b"\xd0\0")
        return answer == b"\xd0\0"

    wait_until(is_gone, "the retained message to expire")


def test_remaining_expiry_is_forwarded(broker: Broker, name: str) -> None:
    """[MQTT-3.3.2-6]"""
    client = broker.connected(v5, name)
    client.publish(name, b"x", retain=True, properties=props.message_expiry(1000))
    client.subscribe(name)
    got = client.read_packet()
    assert got in [retained(v5, name, properties=props.message_expiry(n)) for n in (1000, 999)], got.hex(" ")


def test_upgrade_outgoing_qos_holds_for_retained_messages(brokers: Brokers, name: str) -> None:
    client: RawClient = brokers("upgrade_outgoing_qos true").connected(v5, name)
    client.publish(name, b"x", retain=True)
    client.subscribe(name, qos=2)
    client.expect(retained(v5, name, qos=2, mid=1))


def test_retain_not_available_stores_nothing(brokers: Brokers, name: str) -> None:
    """[MQTT-3.2.2-14]"""
    broker = brokers("retain_available false")
    first = broker.client(v311)
    first.send(v311.connect(name), v311.publish(name, b"x", retain=True))
    first.expect_refused(v311.connack())
    second = broker.connected(v311, f"{name}s")
    second.subscribe(name)
    second.expect_silence()
