"""PUBLISH properties and topic aliases in both directions; MQTT 5.0 3.3.2.3."""

from __future__ import annotations

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.brokers import Brokers
from tests.harness.packets import v5, v311

FORWARDED = [
    props.payload_format(0),
    props.payload_format(1),
    props.content_type("text/plain"),
    props.content_type(""),
    props.response_topic("re/ply"),
    props.correlation_data(b"\0\xff"),
    props.correlation_data(b""),
    props.user_property("k", "v") + props.user_property("k", "w") + props.user_property("", ""),
    props.payload_format(1)
    + props.content_type("c")
    + props.response_topic("r")
    + props.correlation_data(b"d")
    + props.user_property("k", "v"),
]


@pytest.mark.parametrize("properties", FORWARDED, ids=lambda p: p.hex())
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_properties_reach_v5_subscribers_unaltered(broker: Broker, name: str, properties: bytes, qos: int) -> None:
    """[MQTT-3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-18 3.3.2-20]"""
    receiver = broker.connected(v5, f"{name}r")
    receiver.subscribe(name, qos=qos)
    broker.connected(v5, name).publish(name, b"x", qos=qos, properties=properties)
    receiver.expect(v5.publish(name, b"x", qos=qos, mid=1, properties=properties))


def test_properties_are_not_sent_to_v3_subscribers(broker: Broker, name: str) -> None:
    receiver = broker.connected(v311, f"{name}r")
    receiver.subscribe(name)
    broker.connected(v5, name).publish(name, b"x", properties=FORWARDED[-1] + props.message_expiry(60))
    receiver.expect(v311.publish(name, b"x"))


def test_forwarded_properties_come_in_a_fixed_order(broker: Broker, name: str) -> None:
    """What the publisher gave in its order, then expiry, then the subscription identifier."""
    receiver = broker.connected(v5, f"{name}r")
    receiver.subscribe(name, properties=props.subscription_id(300))
    given = (
        props.user_property("b", "1"),
        props.payload_format(1),
        props.user_property("a", "2"),
        props.content_type("c"),
    )
    broker.connected(v5, name).publish(name, b"x", properties=props.message_expiry(3600) + b"".join(given))
    got = receiver.read_packet()
    kept = (
        props.payload_format(1),
        props.user_property("b", "1"),
        props.user_property("a", "2"),
        props.content_type("c"),
    )
    variants = [
        v5.publish(name, b"x", properties=b"".join(order) + props.message_expiry(left) + props.subscription_id(300))
        for left in (3600, 3599)
        for order in (given, (given[1], given[3], given[0], given[2]), kept)
    ]
    assert got in variants, got.hex(" ")


@pytest.mark.parametrize("expiry", [0, 0xFFFFFFFF])
def test_expiry_that_never_comes_is_not_forwarded(broker: Broker, name: str, expiry: int) -> None:
    client = broker.connected(v5, name)
    client.subscribe(name)
    client.send(v5.publish(name, b"x", properties=props.message_expiry(expiry)))
    client.expect(v5.publish(name, b"x"))


@pytest.mark.parametrize(
    "properties, code",
    [
        (props.payload_format(2), 0x82),
        (props.payload_format(1) * 2, 0x82),
        (props.message_expiry(5) * 2, 0x82),
        (props.content_type("a") * 2, 0x82),
        (props.response_topic("a") * 2, 0x82),
        (props.correlation_data(b"a") * 2, 0x82),
        (props.topic_alias(1) * 2, 0x82),
        (props.topic_alias(0), 0x82),
        (props.subscription_id(1), 0x82),
        (props.session_expiry(1), 0x82),
        (props.reason_string("a"), 0x82),
        (props.will_delay(1), 0x82),
        (props.receive_maximum(1), 0x82),
        (props.maximum_qos(1), 0x82),
        (props.auth_method("m"), 0x82),
        (b"\x7f\x00", 0x81),
        (b"\x00", 0x81),
        (b"\x02\x00\x00", 0x81),
        (b"\x03\x00\x05a", 0x81),
        (b"\x26\x00\x01a", 0x81),
        (b"\x01", 0x81),
        (b"\x0b\x80\x80\x80\x80\x01", 0x81),
    ],
    ids=lambda p: p.hex() if isinstance(p, bytes) else hex(p),
)
@pytest.mark.parametrize("qos", [0, 1])
def test_bad_property_ends_the_connection(broker: Broker, name: str, properties: bytes, code: int, qos: int) -> None:
    """[MQTT-2.2.2-2 3.3.4-6 4.13.1-1]"""
    client = broker.connected(v5, name)
    client.send(v5.publish(name, b"x", qos=qos, mid=1, properties=properties))
    client.expect_refused(v5.disconnect(code))


@pytest.mark.differs("it checks less of the response topic")
@pytest.mark.parametrize("topic", ["a/+", "#", ""])
def test_response_topic_must_be_a_topic_name(broker: Broker, name: str, topic: str) -> None:
    """[MQTT-3.3.2-14]"""
    client = broker.connected(v5, name)
    client.send(v5.publish(name, properties=props.response_topic(topic)))
    client.expect_refused(v5.disconnect(0x82))


@pytest.mark.parametrize(
    "properties",
    [props.content_type(b"\xff"), props.response_topic(b"\xc0\x80"), props.user_property(b"\0", "a")],
    ids=lambda p: p.hex(),
)
def test_invalid_utf8_in_a_property_closes_silently(broker: Broker, name: str, properties: bytes) -> None:
    """[MQTT-1.5.4-1 3.3.2-13 3.3.2-19]"""
    client = broker.connected(v5, name)
    client.send(v5.publish(name, properties=properties))
    client.expect_closed()


@pytest.mark.parametrize(
    "block", [b"\x80\x00", b"\xff\x7f", b"\x05", b"\x80\x80\x80\x80\x00", b"\x80"], ids=lambda b: b.hex()
)
def test_bad_property_length_is_malformed(broker: Broker, name: str, block: bytes) -> None:
    client = broker.connected(v5, name)
    body = len(name).to_bytes(2, "big") + name.encode() + block
    client.send(b"\x30" + bytes([len(body)]) + body)
    client.expect_refused(v5.disconnect(0x81))


# Topic aliases, client to broker


def test_alias_stands_for_its_topic(broker: Broker, name: str) -> None:
    """[MQTT-3.3.2-12] / 3.3.2.3.4"""
    client = broker.connected(v5, name)
    client.subscribe(name)
    client.send(
        v5.publish(name, b"1", properties=props.topic_alias(10)), v5.publish("", b"2", properties=props.topic_alias(10))
    )
    client.expect(v5.publish(name, b"1"), v5.publish(name, b"2"))


def test_alias_can_be_given_another_topic(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    client.subscribe(f"{name}/#")
    one, alias = f"{name}/1", props.topic_alias(1)
    client.send(
        v5.publish(one, properties=alias),
        v5.publish(f"{name}/2", properties=alias),
        v5.publish("", b"x", properties=alias),
    )
    client.expect(v5.publish(one), v5.publish(f"{name}/2"), v5.publish(f"{name}/2", b"x"))


@pytest.mark.parametrize("maximum, alias", [(10, 11), (10, 65535), (0, 1), (3, 4)])
def test_alias_above_the_maximum_is_invalid(brokers: Brokers, name: str, maximum: int, alias: int) -> None:
    """[MQTT-3.3.2-9 3.2.2-17 3.2.2-18]"""
    client = brokers(listener=f"max_topic_alias {maximum}").client(v5)
    client.send(v5.connect(name))
    client.read_packet()
    client.send(v5.publish(name, properties=props.topic_alias(alias)))
    client.expect_refused(v5.disconnect(0x94))


def test_unknown_alias_is_a_protocol_error(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    client.send(v5.publish("", properties=props.topic_alias(2)))
    client.expect_refused(v5.disconnect(0x82))
    broker.wait_for_log(rf"Protocol error from {name}: PUBLISH invalid topic alias|Client {name} ")


def test_aliases_end_with_the_connection(broker: Broker, name: str) -> None:
    """[MQTT-3.3.2-7] mappings do not outlive the network connection."""
    keep = props.session_expiry(60)
    first = broker.connected(v5, name, properties=keep)
    first.publish(name, properties=props.topic_alias(1))
    second = broker.connected(v5, name, clean=False, properties=keep, session_present=True)
    second.send(v5.publish("", properties=props.topic_alias(1)))
    second.expect_refused(v5.disconnect(0x82))


def test_alias_is_set_by_a_refused_message_too(brokers: Brokers, name: str) -> None:
    client = brokers().connected(v5, name)
    client.send(v5.publish("$SYS/not/allowed", qos=1, mid=1, properties=props.topic_alias(1)))
    client.expect(v5.puback(1, 0x87))
    client.send(v5.publish("", qos=1, mid=2, properties=props.topic_alias(1)))
    client.expect(v5.puback(2, 0x87))


# Topic aliases, broker to client


@pytest.mark.differs("it sends no aliases to clients")
def test_broker_uses_as_many_aliases_as_the_client_takes(broker: Broker, name: str) -> None:
    """[MQTT-3.1.2-26 3.1.2-27 3.3.2-11] first come, first served"""
    receiver = broker.connected(v5, f"{name}r", properties=props.topic_alias_maximum(2))
    receiver.subscribe(f"{name}/#")
    sender = broker.connected(v311, name)
    for topic in "abcabc":
        sender.publish(f"{name}/{topic}", topic.encode())
    receiver.expect(
        v5.publish(f"{name}/a", b"a", properties=props.topic_alias(1)),
        v5.publish(f"{name}/b", b"b", properties=props.topic_alias(2)),
        v5.publish(f"{name}/c", b"c"),
        v5.publish("", b"a", properties=props.topic_alias(1)),
        v5.publish("", b"b", properties=props.topic_alias(2)),
        v5.publish(f"{name}/c", b"c"),
    )


@pytest.mark.differs("it sends no aliases to clients")
@pytest.mark.parametrize("listener, used", [("", 10), ("max_topic_alias_broker 3", 3), ("max_topic_alias_broker 0", 0)])
def test_broker_limits_its_own_aliases(brokers: Brokers, name: str, listener: str, used: int) -> None:
    broker = brokers(listener=listener)
    receiver = broker.connected(v5, f"{name}r", properties=props.topic_alias_maximum(100))
    receiver.subscribe(f"{name}/#")
    sender = broker.connected(v311, name)
    for i in range(12):
        sender.publish(f"{name}/{i}")
    receiver.expect(
        *[v5.publish(f"{name}/{i}", properties=props.topic_alias(i + 1) if i < used else b"") for i in range(12)]
    )


def test_no_alias_is_sent_to_a_client_that_takes_none(broker: Broker, name: str) -> None:
    """[MQTT-3.1.2-27]"""
    client = broker.connected(v5, name)
    client.subscribe(name)
    client.send(v5.publish(name), v5.publish(name))
    client.expect(v5.publish(name), v5.publish(name))


@pytest.mark.differs("it sends no aliases to clients")
def test_alias_comes_between_expiry_and_subscription_identifier(broker: Broker, name: str) -> None:
    receiver = broker.connected(v5, f"{name}r", properties=props.topic_alias_maximum(1))
    receiver.subscribe(name, properties=props.subscription_id(5))
    broker.connected(v5, name).publish(name, b"x", properties=props.content_type("c") + props.message_expiry(3600))
    got = receiver.read_packet()
    assert got in [
        v5.publish(
            name,
            b"x",
            properties=props.content_type("c")
            + props.message_expiry(left)
            + props.topic_alias(1)
            + props.subscription_id(5),
        )
        for left in (3600, 3599)
    ], got.hex(" ")


# Maximum packet size of the client


def test_message_too_large_for_the_client_is_dropped(broker: Broker, name: str) -> None:
    """[MQTT-3.1.2-24 3.1.2-25] as if it had been sent"""
    receiver = broker.connected(v5, f"{name}r", properties=props.maximum_packet_size(100))
    receiver.subscribe(name)
    sender = broker.connected(v5, name)
    fits = b"x" * (100 - len(v5.publish(name)))
    sender.publish(name, fits + b"y")
    sender.publish(name, fits)
    receiver.expect(v5.publish(name, fits))
    broker.wait_for_log(rf"Dropping too large outgoing PUBLISH for {name}r \(99 bytes\)")


@pytest.mark.differs("the window slot is lost")
@pytest.mark.parametrize("qos", [1, 2])
def test_message_too_large_frees_its_window_slot(broker: Broker, name: str, qos: int) -> None:
    receiver = broker.connected(v5, f"{name}r", properties=props.maximum_packet_size(100) + props.receive_maximum(1))
    receiver.subscribe(name, qos=qos)
    sender = broker.connected(v5, name)
    sender.publish(name, b"x" * 200, qos=qos)
    sender.publish(name, b"fits", qos=qos)
    receiver.expect(v5.publish(name, b"fits", qos=qos, mid=2))


@pytest.mark.differs("it sends no aliases to clients")
def test_dropped_message_introduces_no_alias(broker: Broker, name: str) -> None:
    receiver = broker.connected(
        v5, f"{name}r", properties=props.maximum_packet_size(100) + props.topic_alias_maximum(1)
    )
    receiver.subscribe(name)
    sender = broker.connected(v5, name)
    sender.publish(name, b"x" * 200)
    sender.publish(name, b"fits")
    receiver.expect(v5.publish(name, b"fits", properties=props.topic_alias(1)))
