"""CONNECT and CONNACK properties; MQTT 5.0 sections 3.1.2.11, 3.1.3 and 3.2."""

from __future__ import annotations

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.brokers import Brokers
from tests.harness.packets import Will, default_connack_properties, field, packet, u16, v5

ERROR, MALFORMED = 0x82, 0x81


def with_property_block(block: bytes) -> bytes:
    """A CONNECT with these bytes where the property length and the properties belong."""
    return packet(0x10, field("MQTT") + b"\x05\x02" + u16(60) + block + field("x"))


@pytest.mark.parametrize(
    "properties",
    [
        props.session_expiry(100),
        props.receive_maximum(5),
        props.maximum_packet_size(1000),
        props.topic_alias_maximum(3),
        props.topic_alias_maximum(0),
        props.request_problem_info(0) + props.request_response_info(1),
        props.user_property("a", "b") + props.user_property("a", "b"),
        props.user_property("", ""),
    ],
    ids=lambda p: p.hex(),
)
def test_every_connect_property_is_accepted(broker: Broker, name: str, properties: bytes) -> None:
    """MQTT 5.0 3.1.2.11"""
    client = broker.client()
    client.send(v5.connect(name, properties=properties))
    client.expect(v5.connack())


@pytest.mark.parametrize(
    "properties, code",
    [
        (props.receive_maximum(0), ERROR),
        (props.maximum_packet_size(0), ERROR),
        (props.request_problem_info(2), ERROR),
        (props.request_response_info(2), ERROR),
        (props.session_expiry(1) * 2, ERROR),
        (props.receive_maximum(1) * 2, ERROR),
        (props.maximum_packet_size(99) + props.user_property("a", "b") + props.maximum_packet_size(99), ERROR),
        (props.topic_alias_maximum(1) * 2, ERROR),
        (props.request_problem_info(1) * 2, ERROR),
        (props.request_response_info(1) * 2, ERROR),
        (props.auth_method("a") * 2, ERROR),
        (props.auth_data(b"data without method"), ERROR),
        (props.payload_format(1), ERROR),
        (props.message_expiry(1), ERROR),
        (props.content_type("t"), ERROR),
        (props.response_topic("t"), ERROR),
        (props.correlation_data(b"t"), ERROR),
        (props.subscription_id(1), ERROR),
        (props.assigned_client_id("t"), ERROR),
        (props.server_keep_alive(1), ERROR),
        (props.will_delay(1), ERROR),
        (props.response_info("t"), ERROR),
        (props.server_reference("t"), ERROR),
        (props.topic_alias(1), ERROR),
        (props.maximum_qos(1), ERROR),
        (props.retain_available(1), ERROR),
        (props.wildcard_available(1), ERROR),
        (props.subscription_id_available(1), ERROR),
        (props.shared_available(1), ERROR),
        (b"\x00\x00", MALFORMED),
        (b"\x04\x00", MALFORMED),
        (b"\x7f\x00", MALFORMED),
        (b"\x11\x00\x00", MALFORMED),
        (b"\x21\x00", MALFORMED),
        (b"\x17", MALFORMED),
        (b"\x15\x00\x05ab", MALFORMED),
        (b"\x26\x00\x01a", MALFORMED),
        (b"\x26\x00\x01a\x00\x05b", MALFORMED),
    ],
    ids=lambda p: p.hex() if isinstance(p, bytes) else hex(p),
)
def test_bad_connect_property_is_refused(broker: Broker, properties: bytes, code: int) -> None:
    """[MQTT-2.2.2-2 3.1.2-24 3.1.2-28 3.1.2-29] and the rest of 3.1.2.11: CONNACK with the reason, then the close."""
    client = broker.client()
    client.send(v5.connect("bad", properties=properties))
    client.expect_refused(v5.connack(code))


@pytest.mark.differs("it lets reason strings pass")
def test_reason_string_does_not_belong_in_connect(broker: Broker) -> None:
    client = broker.client()
    client.send(v5.connect("bad", properties=props.reason_string("t")))
    client.expect_refused(v5.connack(ERROR))


@pytest.mark.parametrize(
    "block",
    [b"\x80\x00", b"\x80\x80\x80\x80\x01", b"\xff\xff\xff\x7f", b"\x7f"],
    ids=["overlong", "five_bytes", "beyond_packet_4", "beyond_packet_1"],
)
def test_bad_property_length_is_malformed(broker: Broker, block: bytes) -> None:
    """[MQTT-1.5.5-1 2.2.2-1]"""
    client = broker.client()
    client.send(with_property_block(block))
    client.expect_refused(v5.connack(MALFORMED))


def test_missing_property_length_is_malformed(broker: Broker) -> None:
    client = broker.client()
    client.send(packet(0x10, field("MQTT") + b"\x05\x02" + u16(60)))
    client.expect_refused(v5.connack(MALFORMED))


@pytest.mark.parametrize(
    "properties",
    [props.user_property(b"\xff", "a"), props.user_property("a", b"\xc0\x80"), props.auth_method(b"\xed\xa0\x80")],
)
def test_invalid_utf8_in_connect_property_closes_silently(broker: Broker, properties: bytes) -> None:
    """[MQTT-1.5.4-1]"""
    client = broker.client()
    client.send(v5.connect("bad", properties=properties))
    client.expect_closed()
    broker.wait_for_log(rf"\[{client.address}\] disconnected: bad socket read/write: Malformed UTF-8$")


def test_connack_of_the_default_broker(broker: Broker, name: str) -> None:
    client = broker.client()
    client.send(v5.connect(name))
    client.expect(bytes.fromhex("20 0e 00 00 0b 22 00 0a 27 00 1e 84 80 21 00 14"))


CONNACKS = {
    "": default_connack_properties(),
    "max_inflight_messages 0": props.topic_alias_maximum(10) + props.maximum_packet_size(2_000_000),
    "max_inflight_messages 65535": props.topic_alias_maximum(10) + props.maximum_packet_size(2_000_000),
    "max_inflight_messages 3": default_connack_properties(receive_maximum=3),
    "max_packet_size 5000": default_connack_properties(packet_size=5000),
    "retain_available false": props.topic_alias_maximum(10)
    + props.retain_available(0)
    + props.maximum_packet_size(2_000_000)
    + props.receive_maximum(20),
    "max_keepalive 30": props.server_keep_alive(30) + default_connack_properties(),
}


@pytest.mark.parametrize("config", CONNACKS, ids=lambda c: c or "default")
def test_connack_announces_the_limits_of_the_broker(brokers: Brokers, name: str, config: str) -> None:
    """MQTT 5.0 3.2.2.3, in the broker's own order"""
    client = brokers(config).client()
    client.send(v5.connect(name))
    client.expect(v5.connack(properties=CONNACKS[config]))


@pytest.mark.parametrize(
    "listener, expected",
    [
        ("max_topic_alias 0", props.maximum_packet_size(2_000_000) + props.receive_maximum(20)),
        (
            "max_topic_alias 500",
            props.topic_alias_maximum(500) + props.maximum_packet_size(2_000_000) + props.receive_maximum(20),
        ),
        ("max_qos 1", default_connack_properties() + props.maximum_qos(1)),
        ("max_qos 0", default_connack_properties() + props.maximum_qos(0)),
    ],
)
def test_connack_announces_the_limits_of_the_listener(
    brokers: Brokers, name: str, listener: str, expected: bytes
) -> None:
    """[MQTT-3.2.2-9 3.2.2-10 3.2.2-18]"""
    client = brokers(listener=listener).client()
    client.send(v5.connect(name))
    client.expect(v5.connack(properties=expected))


def test_refusal_announces_maximum_qos(brokers: Brokers) -> None:
    client = brokers(listener="max_qos 1").client()
    client.send(v5.connect("bad", properties=props.receive_maximum(0)))
    client.expect_refused(v5.connack(ERROR, properties=props.maximum_qos(1)))


@pytest.mark.parametrize("asked, granted", [(0, 30), (31, 30), (65535, 30), (30, None), (10, None)])
def test_server_keep_alive_is_sent_where_the_clients_is_too_long(
    brokers: Brokers, name: str, asked: int, granted: int | None
) -> None:
    """[MQTT-3.1.2-21 3.2.2-21 3.2.2-22]"""
    client = brokers("max_keepalive 30").client()
    client.send(v5.connect(name, keepalive=asked))
    keep_alive = b"" if granted is None else props.server_keep_alive(granted)
    client.expect(v5.connack(properties=keep_alive + default_connack_properties()))


def test_connack_too_large_for_the_client_ends_the_connection(broker: Broker, name: str) -> None:
    """[MQTT-3.1.2-24] nothing larger than the client's Maximum Packet Size is sent."""
    client = broker.client()
    client.send(v5.connect(name, properties=props.maximum_packet_size(15)))
    client.expect_closed()
    broker.connected(v5, f"{name}a", properties=props.maximum_packet_size(16))


def test_connack_too_large_still_publishes_the_will(broker: Broker, name: str) -> None:
    watcher = broker.connected(v5, f"{name}w")
    watcher.subscribe(name)
    client = broker.client()
    client.send(v5.connect(name, properties=props.maximum_packet_size(10), will=Will(name, b"x")))
    client.expect_closed()
    watcher.expect(v5.publish(name, b"x"))


@pytest.mark.parametrize("value, refused", [(0, False), (1, False), (2, True), (255, True)])
def test_request_information_flags_are_0_or_1(broker: Broker, name: str, value: int, refused: bool) -> None:
    """MQTT 5.0 3.1.2.11.6 and .7"""
    client = broker.client()
    client.send(v5.connect(name, properties=props.request_problem_info(value)))
    client.expect(v5.connack(ERROR if refused else 0))


def test_no_response_information_is_given(broker: Broker, name: str) -> None:
    """3.1.2.11.6: the server may choose not to, and this one has none."""
    client = broker.client()
    client.send(v5.connect(name, properties=props.request_response_info(1)))
    client.expect(v5.connack())


def test_connack_session_present_is_0_on_refusal(broker: Broker, name: str) -> None:
    """[MQTT-3.2.2-6]"""
    keep = props.session_expiry(60)
    broker.connected(v5, name, properties=keep).disconnect()
    client = broker.client()
    client.send(v5.connect(name, clean=False, properties=keep + props.receive_maximum(0)))
    client.expect_refused(v5.connack(ERROR))
    broker.connected(v5, name, clean=False, properties=keep, session_present=True)
