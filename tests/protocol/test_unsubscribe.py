"""UNSUBSCRIBE; MQTT 3.10 and 3.11."""

from __future__ import annotations

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.packets import LEVELS, Level, field, packet, u16, v5, v31, v311


def ending(level: Level, code: int) -> list[bytes]:
    return [v5.disconnect(code)] if level.is_v5 else []


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_unsubscribed_filter_brings_no_more_messages(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.10.4-1 3.10.4-2 3.10.4-4 (3.1.1: 3.10.4-2 3.10.4-4)]"""
    client = broker.connected(level, name)
    client.subscribe(f"{name}/a", f"{name}/b")
    client.send(level.unsubscribe(513, f"{name}/a"))
    client.expect(level.unsuback(513, 0))
    client.send(level.publish(f"{name}/a"), level.publish(f"{name}/b"))
    client.expect(level.publish(f"{name}/b"))
    client.expect_silence()


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_filters_are_compared_as_they_are_written(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.10.4-1] character by character, wildcards are not expanded"""
    client = broker.connected(level, name)
    client.subscribe(f"{name}/a")
    client.send(level.unsubscribe(1, f"{name}/+", f"{name}/#", f"{name}/A"))
    client.expect(level.unsuback(1, 0x11, 0x11, 0x11))
    client.send(level.publish(f"{name}/a"))
    client.expect(level.publish(f"{name}/a"))


def test_v5_unsuback_has_a_code_for_each_filter(broker: Broker, name: str) -> None:
    """[MQTT-3.10.4-5 3.10.4-6 3.11.3-1 3.11.3-2]"""
    client = broker.connected(v5, name)
    client.subscribe(f"{name}/a", f"$share/g/{name}", f"{name}/#")
    filters = [f"{name}/a", f"{name}/none", f"$share/g/{name}", f"$share/h/{name}", f"{name}/a", f"{name}/#"]
    client.send(v5.unsubscribe(1, *filters))
    client.expect(v5.unsuback(1, 0, 0x11, 0, 0x11, 0x11, 0))


@pytest.mark.differs("it repeats the code before, or 0")
def test_v5_unknown_dollar_filter_is_unknown(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    client.subscribe(f"{name}/a")
    client.send(v5.unsubscribe(1, f"${name}/x", f"{name}/a", f"${name}/y"))
    client.expect(v5.unsuback(1, 0x11, 0, 0x11))


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("body", [b"", b"\0", b"\0\0"], ids=["missing", "half", "zero"])
@pytest.mark.differs("other code")
def test_bad_packet_id_is_malformed(broker: Broker, name: str, level: Level, body: bytes) -> None:
    """[MQTT-2.2.1-3]"""
    rest = level.properties(b"") + field(name) if len(body) == 2 else b""
    client = broker.connected(level, name)
    client.send(packet(0xA2, body + rest))
    client.expect_refused(*ending(level, 0x81))


@pytest.mark.parametrize("level", [v311, v5], ids=str)
def test_no_filter_is_malformed(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.10.3-2]"""
    client = broker.connected(level, name)
    client.send(packet(0xA2, u16(1) + level.properties(b"")))
    client.expect_refused(*ending(level, 0x81))


def test_v31_no_filter_is_acknowledged(broker: Broker, name: str) -> None:
    client = broker.connected(v31, name)
    client.send(packet(0xA2, u16(1)))
    client.expect(v31.unsuback(1))


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize(
    "topic_filter", [b"", b"a#", b"a/#/b", b"+a", b"/" * 201, b"\xff", b"a\0"], ids=lambda f: f.hex()[:8] or "empty"
)
def test_invalid_filter_is_malformed(broker: Broker, name: str, level: Level, topic_filter: bytes) -> None:
    """[MQTT-3.10.3-1 4.7.1-1 4.7.3-1]"""
    client = broker.connected(level, name)
    client.send(level.unsubscribe(1, topic_filter))
    client.expect_refused(*ending(level, 0x81))


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("rest", [b"\0", b"\0\x05a"], ids=["half_length", "short"])
def test_truncated_filter_is_malformed(broker: Broker, name: str, level: Level, rest: bytes) -> None:
    client = broker.connected(level, name)
    client.send(packet(0xA2, u16(1) + level.properties(b"") + rest))
    client.expect_refused(*ending(level, 0x81))


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("topic_filter", ["$share", "$share/", "$share/g", "$share/g/", "$share/+/x", "$share/#"])
@pytest.mark.differs("it checks nothing here")
def test_bad_share_is_a_protocol_error(broker: Broker, name: str, level: Level, topic_filter: str) -> None:
    client = broker.connected(level, name)
    client.send(level.unsubscribe(1, topic_filter))
    client.expect_refused(*ending(level, 0x82))


@pytest.mark.parametrize(
    "properties",
    [props.content_type("a"), props.subscription_id(1), props.reason_string("a"), b"\x7f"],
    ids=["content_type", "subscription_id", "reason_string", "unknown"],
)
@pytest.mark.differs("other code")
def test_bad_property_is_malformed(broker: Broker, name: str, properties: bytes) -> None:
    """[MQTT-2.2.2-2]"""
    client = broker.connected(v5, name)
    client.send(v5.unsubscribe(1, name, properties=properties))
    client.expect_refused(v5.disconnect(0x81))


def test_user_properties_are_accepted(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    client.send(v5.unsubscribe(1, name, properties=props.user_property("a", "b") * 3))
    client.expect(v5.unsuback(1, 0x11))


def test_messages_already_in_flight_are_completed(broker: Broker, name: str) -> None:
    """[MQTT-3.10.4-3]"""
    client = broker.connected(v5, name, properties=props.receive_maximum(1))
    client.subscribe(name, qos=1)
    sender = broker.connected(v311, f"{name}s")
    sender.publish(name, b"1", qos=1)
    sender.publish(name, b"2", qos=1)
    client.expect(v5.publish(name, b"1", qos=1, mid=1))
    client.send(v5.unsubscribe(1, name))
    client.expect(v5.unsuback(1, 0))
    client.send(v5.puback(1))
    client.expect(v5.publish(name, b"2", qos=1, mid=2))


@pytest.mark.differs("other words")
@pytest.mark.parametrize(
    "rest, line",
    [
        (field(""), r"Empty unsubscription string from {}, disconnecting\."),
        (field("a#"), r"Invalid unsubscription string from {}, disconnecting\."),
    ],
)
def test_refused_unsubscription_is_logged(broker: Broker, name: str, rest: bytes, line: str) -> None:
    client = broker.connected(v311, name)
    client.send(packet(0xA2, u16(1) + rest))
    client.expect_closed()
    broker.wait_for_log(line.format(name))
