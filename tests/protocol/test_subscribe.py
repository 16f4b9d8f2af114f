"""SUBSCRIBE: refusals, granted QoS, options; MQTT 3.8 and 3.9."""

from __future__ import annotations

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.brokers import Brokers
from tests.harness.packets import LEVELS, ConnectOptions, Level, Subscription, field, packet, u16, v5, v31, v311


def ending(level: Level, code: int) -> list[bytes]:
    return [v5.disconnect(code)] if level.is_v5 else []


def subscribe(level: Level, rest: bytes) -> bytes:
    """SUBSCRIBE 1 without properties and with these bytes for its payload."""
    return packet(0x82, u16(1) + level.properties(b"") + rest)


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_suback_has_a_code_for_each_filter(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.8.4-1 3.8.4-2 3.8.4-5 3.8.4-6 3.9.3-1] in the order of the filters"""
    client = broker.connected(level, name)
    wanted = [Subscription(f"{name}/{i}", qos=i % 3) for i in range(7)]
    client.send(level.subscribe(4660, *wanted))
    client.expect(level.suback(4660, *[s.qos for s in wanted]))


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("max_qos", [0, 1])
def test_granted_qos_is_at_most_the_maximum(brokers: Brokers, name: str, level: Level, max_qos: int) -> None:
    """[MQTT-3.2.2-10] any QoS may be asked for."""
    client = brokers(listener=f"max_qos {max_qos}").client(level)
    client.send(level.connect(name), level.subscribe(1, name, qos=2))
    client.read_packet()
    client.expect(level.suback(1, max_qos))


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("body", [b"", b"\0", b"\0\0"], ids=["missing", "half", "zero"])
def test_bad_packet_id_is_malformed(broker: Broker, name: str, level: Level, body: bytes) -> None:
    """[MQTT-2.2.1-3]"""
    rest = level.properties(b"") + field(name) + b"\0" if len(body) == 2 else b""
    client = broker.connected(level, name)
    client.send(packet(0x82, body + rest))
    client.expect_refused(*ending(level, 0x81))


@pytest.mark.parametrize("level", [v311, v5], ids=str)
def test_no_filter_is_malformed(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.8.3-2 / 3.8.3-3]"""
    client = broker.connected(level, name)
    client.send(subscribe(level, b""))
    client.expect_refused(*ending(level, 0x81))


def test_v31_no_filter_is_acknowledged(broker: Broker, name: str) -> None:
    client = broker.connected(v31, name)
    client.send(subscribe(v31, b""))
    client.expect(v31.suback(1))


BAD_FILTERS = [
    b"a#",
    b"a/#/b",
    b"a+/b",
    b"+a",
    b"#/a",
    b"a/b+",
    b"##",
    b"++",
    b"",
    b"/" * 201,
    b"a\0",
    b"\xff",
    b"a\x1f",
    b"\xed\xa0\x80",
]


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("topic_filter", BAD_FILTERS, ids=lambda f: f.hex()[:8] or "empty")
def test_invalid_filter_is_malformed(broker: Broker, name: str, level: Level, topic_filter: bytes) -> None:
    """[MQTT-3.8.3-1 4.7.1-1 4.7.1-2 (3.1.1: 4.7.1-2 4.7.1-3) 4.7.3-1 4.7.3-2]"""
    client = broker.connected(level, name)
    client.send(level.subscribe(1, Subscription(topic_filter)))
    client.expect_refused(*ending(level, 0x81))


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("rest", [b"\0", b"\0\x05a", b"\0\x01a"], ids=["half_length", "short", "no_options"])
def test_truncated_filter_is_malformed(broker: Broker, name: str, level: Level, rest: bytes) -> None:
    client = broker.connected(level, name)
    client.send(subscribe(level, rest))
    client.expect_refused(*ending(level, 0x81))


@pytest.mark.parametrize(
    "level, options",
    [(level, o) for level in (v31, v311) for o in (3, 4, 8, 16, 0x80, 0xFF)]
    + [(v5, o) for o in (0x03, 0x07, 0x30, 0x31, 0x40, 0x80, 0xC0)],
    ids=lambda v: f"{v:x}" if isinstance(v, int) else str(v),
)
def test_bad_options_byte_is_malformed(broker: Broker, name: str, level: Level, options: int) -> None:
    """[MQTT-3.8.3-4 3.8.3-5 (3.1.1: 3.8.3-4)]"""
    client = broker.connected(level, name)
    client.send(subscribe(level, field(name) + bytes([options])))
    client.expect_refused(*ending(level, 0x81))


@pytest.mark.parametrize(
    "properties, code",
    [
        (props.subscription_id(0), 0x82),
        (props.subscription_id(1) * 2, 0x82),
        (props.content_type("a"), 0x81),
        (props.reason_string("a"), 0x81),
        (props.session_expiry(1), 0x81),
        (b"\x0b\x80\x80\x80\x80\x01", 0x81),
        (b"\x0b\x80\x00", 0x81),
        (b"\x7f", 0x81),
        (b"\x0b", 0x81),
    ],
    ids=lambda p: p.hex() if isinstance(p, bytes) else hex(p),
)
@pytest.mark.differs("the codes of a later release")
def test_bad_property_ends_the_connection(broker: Broker, name: str, properties: bytes, code: int) -> None:
    """[MQTT-2.2.2-2 1.5.5-1]"""
    client = broker.connected(v5, name)
    client.send(v5.subscribe(1, name, properties=properties))
    client.expect_refused(v5.disconnect(code))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_filters_before_a_bad_one_stay_subscribed(broker: Broker, name: str, level: Level) -> None:
    """There is no SUBACK, but what was done is done."""
    session: ConnectOptions = (
        {"clean": False, "properties": props.session_expiry(60)} if level.is_v5 else {"clean": False}
    )
    first = broker.connected(level, name, **session)
    first.send(level.subscribe(1, name, "bad#"))
    first.expect_refused(*ending(level, 0x81))
    second = broker.connected(level, name, session_present=None, **session)
    second.send(level.publish(name, b"x"))
    second.expect(level.publish(name, b"x"))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_subscribing_again_replaces_the_subscription(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.8.4-3 3.8.4-4] one subscription per filter, with the new QoS"""
    client = broker.connected(level, name)
    client.subscribe(name, qos=2)
    client.subscribe(name, qos=0)
    client.send(level.publish(name, b"x", qos=1, mid=1))
    client.expect_in_any_order(level.publish(name, b"x"), level.puback(1))
    client.expect_silence()


def test_subscribing_again_removes_the_identifier(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    client.subscribe(name, properties=props.subscription_id(7))
    client.send(v5.publish(name))
    client.expect(v5.publish(name, properties=props.subscription_id(7)))
    client.subscribe(name)
    client.send(v5.publish(name))
    client.expect(v5.publish(name))


@pytest.mark.parametrize("identifier", [1, 127, 128, 16384, 268_435_455])
def test_subscription_identifier_comes_with_the_message(broker: Broker, name: str, identifier: int) -> None:
    """[MQTT-3.3.4-3]"""
    client = broker.connected(v5, name)
    client.subscribe(name, properties=props.subscription_id(identifier))
    client.send(v5.publish(name, b"x"))
    client.expect(v5.publish(name, b"x", properties=props.subscription_id(identifier)))


def test_each_overlapping_subscription_brings_its_own_copy_and_identifier(broker: Broker, name: str) -> None:
    """[MQTT-3.3.4-2 3.3.4-5] separate copies, each with the identifier of its subscription"""
    client = broker.connected(v5, name)
    client.subscribe(f"{name}/a", properties=props.subscription_id(1))
    client.subscribe(f"{name}/+", properties=props.subscription_id(2))
    client.subscribe(f"{name}/#")
    client.send(v5.publish(f"{name}/a"))
    client.expect(
        v5.publish(f"{name}/a", properties=props.subscription_id(1)),
        v5.publish(f"{name}/a", properties=props.subscription_id(2)),
        v5.publish(f"{name}/a"),
    )


def test_no_local_keeps_own_messages_away(broker: Broker, name: str) -> None:
    """[MQTT-3.8.3-3]"""
    client = broker.connected(v5, name)
    client.subscribe(Subscription(name, no_local=True))
    client.publish(name, b"mine")
    broker.connected(v5, f"{name}o").publish(name, b"theirs")
    client.expect(v5.publish(name, b"theirs"))


@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("as_published", [False, True])
def test_retain_as_published(broker: Broker, name: str, retain: bool, as_published: bool) -> None:
    """[MQTT-3.3.1-12 3.3.1-13]"""
    client = broker.connected(v5, name)
    client.subscribe(Subscription(name, retain_as_published=as_published))
    client.send(v5.publish(name, b"x", retain=retain))
    client.expect(v5.publish(name, b"x", retain=retain and as_published))
    client.send(v5.publish(name, retain=True))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_unauthorised_subscriptions_are_all_that_can_fail(broker: Broker, name: str, level: Level) -> None:
    """Without rules everything may be subscribed to."""
    client = broker.connected(level, name)
    client.send(level.subscribe(1, "$SYS/broker/none", "$CONTROL/#", f"${name}/#"))
    client.expect(level.suback(1, 0, 0, 0))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_filter_of_201_levels_is_accepted(broker: Broker, name: str, level: Level) -> None:
    client = broker.connected(level, name)
    topic = f"{name}{'/' * 200}"
    client.subscribe(topic)
    client.send(level.publish(topic, b"deep"))
    client.expect(level.publish(topic, b"deep"))


def test_suback_comes_before_the_messages_of_the_subscription(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    client.publish(f"{name}/1", b"x", retain=True)
    client.publish(f"{name}/2", b"x", retain=True)
    client.send(v5.subscribe(1, f"{name}/1", f"{name}/2"))
    client.expect(v5.suback(1, 0, 0))
    client.expect(v5.publish(f"{name}/1", b"x", retain=True), v5.publish(f"{name}/2", b"x", retain=True))


@pytest.mark.differs("other words")
@pytest.mark.parametrize(
    "rest, line",
    [
        (field("a#") + b"\0", r"Invalid subscription string from {address}, disconnecting\."),
        (field("a") + b"\3", r"Invalid QoS in subscription command from {address}, disconnecting\."),
        (field("$share/g/a") + b"\4", r"Protocol error from {name}: \$share subscription with no-local set\."),
    ],
)
def test_refused_subscription_is_logged(broker: Broker, name: str, rest: bytes, line: str) -> None:
    client = broker.connected(v5, name)
    start = broker.log_position()
    client.send(subscribe(v5, rest))
    client.read_packet()
    client.expect_closed()
    broker.wait_for_log(line.format(address=r"[0-9.:]+", name=name), start=start)
