"""Wills: in CONNECT, when they are sent, and how; MQTT 3.1.2.5 and 3.1.3.2."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.brokers import Brokers, StartBroker
from tests.harness.client import RawClient
from tests.harness.deadline import SECONDS
from tests.harness.packets import LEVELS, Level, Subscription, Will, packet, u16, v5, v31, v311

KEEP = props.session_expiry(60)


@pytest.fixture
def watcher(broker: Broker, name: str) -> RawClient:
    """A v5 client that hears the wills of the test."""
    client = broker.connected(v5, f"{name}w")
    client.subscribe(f"{name}/#", qos=2)
    return client


def connected(
    broker: Broker, level: Level, name: str, will: Will | None = None, *, keepalive: int = 60, properties: bytes = b""
) -> RawClient:
    """A client with a will, on the topic that the watcher hears."""
    will = will or Will(f"{name}/will", b"gone")
    return broker.connected(level, name, will=will, keepalive=keepalive, properties=properties)


def gone(name: str, **more: Any) -> bytes:
    return v5.publish(f"{name}/will", b"gone", **more)


BROKEN_ENDS: dict[str, Callable[[RawClient], None]] = {
    "close": RawClient.close,
    "reset": RawClient.reset,
    "malformed_packet": lambda c: c.send(packet(0x36, b"\0\1a\0\1")),
    "protocol_error": lambda c: c.send(b"\xd0\0"),
    "bad_length": lambda c: c.send(b"\x30\xff\xff\xff\xff\x01"),
    "oversize": lambda c: c.send(b"\x30\xff\xff\xff\x7f"),
}


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("end", BROKEN_ENDS)
def test_will_is_sent_when_the_connection_breaks(
    broker: Broker, name: str, watcher: RawClient, level: Level, end: str
) -> None:
    """[MQTT-3.1.2-8]"""
    BROKEN_ENDS[end](connected(broker, level, name))
    watcher.expect(gone(name))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_disconnect_discards_the_will(broker: Broker, name: str, watcher: RawClient, level: Level) -> None:
    """[MQTT-3.1.2-10 3.14.4-3]"""
    connected(broker, level, name).disconnect()
    watcher.expect_silence()


def test_disconnect_with_will_message(broker: Broker, name: str, watcher: RawClient) -> None:
    """3.14.2.1: reason 0x04 asks for the will."""
    connected(broker, v5, name).send(v5.disconnect(0x04))
    watcher.expect(gone(name))


@pytest.mark.differs("it discards the will for every reason but 0x04")
@pytest.mark.parametrize("code", [0x80, 0x82, 0x93, 0x97])
def test_disconnect_with_an_error_sends_the_will(broker: Broker, name: str, watcher: RawClient, code: int) -> None:
    """[MQTT-3.1.2-8] only reason 0x00 removes it."""
    connected(broker, v5, name).send(v5.disconnect(code))
    watcher.expect(gone(name))


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_will_is_sent_after_the_keepalive_has_passed(
    broker: Broker, name: str, watcher: RawClient, level: Level
) -> None:
    """[MQTT-3.1.2-22 / 3.1.2-24]"""
    connected(broker, level, name, keepalive=1)
    watcher.expect(gone(name), seconds=SECONDS + 3)


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_will_has_its_qos_and_payload(broker: Broker, name: str, watcher: RawClient, level: Level, qos: int) -> None:
    """[MQTT-3.1.2-9 3.1.2-12]"""
    connected(broker, level, name, Will(f"{name}/will", b"\0\xffbinary", qos)).close()
    watcher.expect(v5.publish(f"{name}/will", b"\0\xffbinary", qos=qos, mid=1))


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("retain", [False, True])
def test_will_is_retained_if_asked(broker: Broker, name: str, watcher: RawClient, level: Level, retain: bool) -> None:
    """[MQTT-3.1.2-14 3.1.2-15 / 3.1.2-16 3.1.2-17]"""
    connected(broker, level, name, Will(f"{name}/will", b"gone", 0, retain)).close()
    watcher.expect(gone(name))
    late = broker.connected(v5, f"{name}l")
    late.subscribe(f"{name}/will")
    if retain:
        late.expect(gone(name, retain=True))
    late.expect_silence()


def test_will_with_empty_payload(broker: Broker, name: str, watcher: RawClient) -> None:
    """[MQTT-3.1.3-11]"""
    connected(broker, v311, name, Will(f"{name}/will")).close()
    watcher.expect(v5.publish(f"{name}/will"))


def test_will_properties_come_in_their_order(broker: Broker, name: str, watcher: RawClient) -> None:
    """[MQTT-3.1.3-10] / 3.1.3.2"""
    given = (
        props.user_property("a", "1")
        + props.payload_format(1)
        + props.content_type("t")
        + props.response_topic("r")
        + props.correlation_data(b"c")
        + props.user_property("a", "2")
    )
    connected(broker, v5, name, Will(f"{name}/will", b"gone", properties=given)).close()
    got = watcher.read_packet()
    assert len(got) == len(gone(name, properties=given)), got.hex(" ")
    assert got == gone(name, properties=given)


def test_will_expiry_begins_when_it_is_sent(broker: Broker, name: str, watcher: RawClient) -> None:
    connected(broker, v5, name, Will(f"{name}/will", b"gone", properties=props.message_expiry(50))).close()
    assert watcher.read_packet() in [gone(name, properties=props.message_expiry(n)) for n in (50, 49)]


def test_will_obeys_no_local_of_its_own_client(broker: Broker, name: str, watcher: RawClient) -> None:
    session = broker.connected(v5, name, will=Will(f"{name}/will", b"gone", 1), properties=KEEP)
    session.subscribe(Subscription(f"{name}/will", qos=1, no_local=True))
    session.close()
    watcher.expect(gone(name, qos=1, mid=1))
    again = broker.connected(v5, name, clean=False, properties=KEEP, session_present=True)
    again.expect_silence()


def test_will_to_sys_is_dropped(broker: Broker, name: str, watcher: RawClient) -> None:
    """The rules of publishing hold when the will is sent."""
    spy = broker.connected(v5, f"{name}s")
    spy.subscribe(f"$SYS/{name}")
    connected(broker, v5, name, Will(f"$SYS/{name}", b"x")).close()
    connected(broker, v5, f"{name}2", Will(f"{name}/will", b"gone")).close()
    watcher.expect(gone(name))
    spy.expect_silence()


# Will delay


@pytest.mark.parametrize("level_properties", [b"", props.session_expiry(0)])
def test_delay_does_not_outlast_the_session(
    broker: Broker, name: str, watcher: RawClient, level_properties: bytes
) -> None:
    """[MQTT-3.1.3-9] the will is due when the session ends."""
    will = Will(f"{name}/will", b"gone", properties=props.will_delay(3600))
    connected(broker, v5, name, will, properties=level_properties).close()
    watcher.expect(gone(name))


@pytest.mark.slow
def test_delay_is_kept(broker: Broker, name: str, watcher: RawClient) -> None:
    """3.1.3.2.2: not before the delay has passed; whole seconds are counted."""
    will = Will(f"{name}/will", b"gone", properties=props.will_delay(2))
    client = connected(broker, v5, name, will, properties=KEEP)
    start = time.monotonic()
    client.close()
    watcher.expect(gone(name), seconds=SECONDS + 3)
    assert 0.9 < time.monotonic() - start < 3.5


@pytest.mark.slow
def test_session_that_ends_before_the_delay_sends_the_will(broker: Broker, name: str, watcher: RawClient) -> None:
    """[MQTT-3.1.3-9]"""
    will = Will(f"{name}/will", b"gone", properties=props.will_delay(3600))
    connected(broker, v5, name, will, properties=props.session_expiry(1)).close()
    watcher.expect(gone(name))
    broker.wait_for_log(rf"Expiring client {name} due to timeout\.|Expiring persistent client {name} due to timeout\.")


@pytest.mark.slow
@pytest.mark.differs("it orders them by length, not by when they are due")
def test_longer_delay_that_is_due_earlier_is_not_held_up(broker: Broker, name: str, watcher: RawClient) -> None:
    early = connected(
        broker, v5, f"{name}e", Will(f"{name}/early", b"x", properties=props.will_delay(3)), properties=KEEP
    )
    early.close()
    broker.wait_for_log(rf"Client {name}e .*")
    marker = connected(
        broker, v5, f"{name}m", Will(f"{name}/marker", b"x", properties=props.will_delay(2)), properties=KEEP
    )
    marker.close()
    watcher.expect(v5.publish(f"{name}/marker", b"x"), seconds=SECONDS + 3)
    late = connected(
        broker, v5, f"{name}l", Will(f"{name}/late", b"x", properties=props.will_delay(2)), properties=KEEP
    )
    late.close()
    watcher.expect(v5.publish(f"{name}/early", b"x"), v5.publish(f"{name}/late", b"x"))


def test_wills_are_sent_at_shutdown(own_broker: StartBroker) -> None:
    """Delays are ignored, and of the offline sessions too."""
    broker = own_broker()
    watcher = broker.connected(v5, "w")
    watcher.subscribe("will/#")
    broker.connected(v311, "a", will=Will("will/a", b"a"))
    will = Will("will/b", b"b", properties=props.will_delay(3600))
    broker.connected(v5, "b", will=will, properties=KEEP).close()
    broker.wait_for_log("Client b ")
    broker.signal(signal.SIGTERM)
    watcher.expect_in_any_order(v5.publish("will/a", b"a"), v5.publish("will/b", b"b"))
    watcher.expect_closed()
    broker.stop()


# CONNECT

BAD_WILLS = [
    pytest.param(Will("w", properties=props.receive_maximum(1)), [0x82], id="property_of_connect"),
    pytest.param(Will("w", properties=props.topic_alias(1)), [0x82], id="property_of_publish"),
    pytest.param(Will("w", properties=props.reason_string("a")), [0x82], id="reason_string"),
    pytest.param(Will("w", properties=props.payload_format(2)), [0x82], id="payload_format_2"),
    pytest.param(Will("w", properties=props.will_delay(1) * 2), [0x82], id="duplicate"),
    pytest.param(Will("w", properties=b"\x7f"), [0x81], id="unknown"),
    pytest.param(Will("w", properties=b"\x18\0"), [0x81], id="truncated_property"),
    pytest.param(Will("w", properties=props.content_type(b"\xff")), [], id="property_not_utf8"),
    pytest.param(Will(""), [0x82], id="empty_topic"),
    pytest.param(Will(b"\xff"), [], id="topic_not_utf8"),
    pytest.param(Will("$CONTROL/x"), [], id="control_topic"),
    pytest.param(Will("a/+"), [], id="wildcard"),
    pytest.param(Will("#"), [], id="hash"),
    pytest.param(Will("/" * 201), [], id="too_many_levels"),
]


@pytest.mark.differs("other codes for some")
@pytest.mark.parametrize("will, codes", BAD_WILLS)
def test_v5_bad_will_is_refused(broker: Broker, name: str, will: Will, codes: list[int]) -> None:
    """[MQTT-3.1.3-11 3.1.2-9]"""
    client = broker.client()
    client.send(v5.connect(name, will=will))
    client.expect_refused(*[v5.connack(code) for code in codes])


@pytest.mark.parametrize("level", [v31, v311], ids=str)
@pytest.mark.parametrize(
    "topic", [b"", b"\xff", b"$CONTROL/x", b"a/+", b"#", b"/" * 201], ids=lambda t: t.hex()[:8] or "empty"
)
def test_v3_bad_will_topic_is_refused_silently(broker: Broker, name: str, level: Level, topic: bytes) -> None:
    client = broker.client()
    client.send(level.connect(name, will=Will(topic)))
    client.expect_closed()


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize(
    "rest", [b"", b"\0", b"\0\5a", b"\0\1w", b"\0\1w\0", b"\0\1w\0\5a"], ids=lambda r: r.hex() or "none"
)
def test_truncated_will_is_refused(broker: Broker, name: str, level: Level, rest: bytes) -> None:
    header = {3: b"\0\6MQIsdp", 4: b"\0\4MQTT", 5: b"\0\4MQTT"}[level.number] + bytes([level.number, 0x06])
    body = header + u16(60) + level.properties(b"") + u16(1) + b"c" + level.properties(b"") + rest
    client = broker.client()
    client.send(packet(0x10, body))
    client.expect_refused(*([v5.connack(0x81)] if level.is_v5 else []))


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("max_qos", [0, 1])
def test_will_qos_above_the_maximum_is_refused(brokers: Brokers, name: str, level: Level, max_qos: int) -> None:
    """[MQTT-3.2.2-12]"""
    client = brokers(listener=f"max_qos {max_qos}").client()
    client.send(level.connect(name, will=Will("w", b"", max_qos + 1)))
    client.expect_refused(*([v5.connack(0x9B, properties=props.maximum_qos(max_qos))] if level.is_v5 else []))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_retained_will_where_retain_is_not_available_is_refused(brokers: Brokers, name: str, level: Level) -> None:
    """[MQTT-3.2.2-13]"""
    client = brokers("retain_available false").client()
    client.send(level.connect(name, will=Will("w", b"", 0, True)))
    client.expect_refused(*([v5.connack(0x9A)] if level.is_v5 else []))


@pytest.mark.differs("it closes silently for v3")
@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_will_above_the_size_limit_is_refused(brokers: Brokers, name: str, level: Level) -> None:
    client = brokers("message_size_limit 100").client()
    client.send(level.connect(name, will=Will("w", b"x" * 101)))
    client.expect_refused(level.connack(0x95 if level.is_v5 else 5))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_will_of_a_refused_client_is_not_sent(brokers: Brokers, name: str, level: Level) -> None:
    """[MQTT-3.1.2-8] there was no session."""
    broker = brokers("allow_anonymous false\nallow_zero_length_clientid true\nsys_interval 0")
    client = broker.client()
    client.send(level.connect(name, will=Will("w", b"x")))
    client.expect_refused(level.connack(0x87 if level.is_v5 else 5))
