"""The log lines of a client's life, with all types of messages on."""

from __future__ import annotations

import re

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.brokers import Brokers
from tests.harness.packets import LEVELS, Level, Will, v5, v311

pytestmark = pytest.mark.differs("the lines of a later release")


@pytest.fixture
def broker(brokers: Brokers) -> Broker:
    broker: Broker = brokers("log_type all")
    return broker


def lines_about(broker: Broker, start: int, last: str, *words: str) -> list[str]:
    """The lines from `start` on up to one that matches `last`, those with one of the words."""
    broker.wait_for_log(last, start=start)
    return [line for line in broker.log.lines[start:] if any(word in line for word in words)]


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_connect_and_disconnect(broker: Broker, name: str, level: Level) -> None:
    start = broker.log_position()
    client = broker.connected(
        level, name, clean=True, keepalive=33, username="me", will=Will(f"{name}/w", b"abc", 1, True)
    )
    client.disconnect()
    assert lines_about(broker, start, rf"Client {name} .*disconnected", name, client.address, "Will message") == [
        f"New connection from {client.address} on port {broker.port}.",
        f"New client connected from {client.address} as {name} (p{level.number}, c1, k33, u'me').",
        "Will message specified (3 bytes) (r1, q1).",
        f"\t{name}/w",
        f"Sending CONNACK to {name} (0, 0)",
        f"Received DISCONNECT from {name}",
        f"Client {name} [{client.address}] disconnected.",
    ]


def test_connect_without_will(broker: Broker, name: str) -> None:
    start = broker.log_position()
    client = broker.connected(v311, name, clean=False, keepalive=0)
    found = lines_about(broker, start, rf"Sending CONNACK to {name}", name, "will")
    assert found == [
        f"New client connected from {client.address} as {name} (p4, c0, k0).",
        "No will message specified.",
        f"Sending CONNACK to {name} (0, 0)",
    ]


def test_publish_and_acknowledgements(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    client.subscribe(name, qos=2)
    start = broker.log_position()
    client.send(v5.publish(name, b"abc", qos=1, mid=5))
    client.expect_in_any_order(v5.publish(name, b"abc", qos=1, mid=1), v5.puback(5))
    client.send(v5.puback(1), v5.publish(name, b"abcd", qos=2, mid=6, retain=False))
    client.expect(v5.pubrec(6))
    client.send(v5.pubrel(6))
    client.expect_in_any_order(v5.publish(name, b"abcd", qos=2, mid=2), v5.pubcomp(6))
    client.send(v5.pubrec(2))
    client.expect(v5.pubrel(2))
    client.send(v5.pubcomp(2), b"\xc0\0")
    client.expect(b"\xd0\0")
    assert set(lines_about(broker, start, f"Sending PINGRESP to {name}", name)) == {
        f"Received PUBLISH from {name} (d0, q1, r0, m5, '{name}', ... (3 bytes))",
        f"Sending PUBLISH to {name} (d0, q1, r0, m1, '{name}', ... (3 bytes))",
        f"Sending PUBACK to {name} (m5, rc0)",
        f"Received PUBACK from {name} (Mid: 1, RC:0)",
        f"Received PUBLISH from {name} (d0, q2, r0, m6, '{name}', ... (4 bytes))",
        f"Sending PUBREC to {name} (m6, rc0)",
        f"Received PUBREL from {name} (Mid: 6)",
        f"Sending PUBLISH to {name} (d0, q2, r0, m2, '{name}', ... (4 bytes))",
        f"Sending PUBCOMP to {name} (m6)",
        f"Received PUBREC from {name} (Mid: 2)",
        f"Sending PUBREL to {name} (m2)",
        f"Received PUBCOMP from {name} (Mid: 2, RC:0)",
        f"Received PINGREQ from {name}",
        f"Sending PINGRESP to {name}",
    }


def test_denied_publish(broker: Broker, name: str) -> None:
    client = broker.connected(v311, name)
    client.publish("$SYS/x", b"12", qos=1, mid=9)
    broker.wait_for_log(rf"Denied PUBLISH from {name} \(d0, q1, r0, m9, '\$SYS/x', \.\.\. \(2 bytes\)\)")
    broker.wait_for_log(rf"Sending PUBACK to {name} \(m9, rc135\)")


def test_subscribe_and_unsubscribe(broker: Broker, name: str) -> None:
    start = broker.log_position()
    client = broker.connected(v311, name)
    client.send(v311.subscribe(1, f"{name}/a", qos=1), v311.unsubscribe(2, f"{name}/a", f"{name}/none"))
    client.expect(v311.suback(1, 1), v311.unsuback(2))
    found = lines_about(broker, start, f"Sending UNSUBACK to {name}", name)
    assert found[2:] == [
        f"Received SUBSCRIBE from {name}",
        f"\t{name}/a (QoS 1)",
        f"{name} 1 {name}/a",
        f"Sending SUBACK to {name}",
        f"Received UNSUBSCRIBE from {name}",
        f"\t{name}/a",
        f"{name} {name}/a",
        f"\t{name}/none",
        f"{name} {name}/none",
        f"Sending UNSUBACK to {name}",
    ]


def test_unknown_property(broker: Broker, name: str) -> None:
    start = broker.log_position()
    client = broker.connected(v5, name)
    client.send(v5.publish(name, properties=b"\x7f\0"))
    client.expect_refused(v5.disconnect(0x81))
    broker.wait_for_log(r"Unsupported property type: 127", start=start)


@pytest.mark.parametrize("qos, line", [(1, "Sending PUBACK to {} (m7, rc0)"), (2, "Sending PUBREC to {} (m7, rc0)")])
def test_answer_to_a_control_request(broker: Broker, name: str, qos: int, line: str) -> None:
    start = broker.log_position()
    broker.connected(v5, name).send(v5.publish("$CONTROL/none", b"x", qos=qos, mid=7))
    broker.wait_for_log(re.escape(line.format(name)), start=start)


@pytest.mark.parametrize(
    "sent, text",
    [
        (v5.publish("a", qos=3, mid=1), r"malformed packet\."),
        (b"\xd0\0", r"protocol error\."),
        (b"\x30\xff\xff\xff\x7f", r"oversize packet\."),
        (v5.publish("a", properties=props.topic_alias(99)), r"topic alias invalid\."),
        (v5.publish("a", properties=props.content_type(b"\xff")), "bad socket read/write: Malformed UTF-8"),
        (
            v5.publish("a", properties=props.content_type("a") * 2),
            "bad socket read/write: Duplicate property in property list",
        ),
    ],
    ids=["malformed", "protocol_error", "oversize", "alias", "utf8", "duplicate"],
)
def test_reason_of_the_end(broker: Broker, name: str, sent: bytes, text: str) -> None:
    client = broker.connected(v5, name)
    client.send(sent)
    broker.wait_for_log(rf"^Client {name} \[{client.address}\] disconnected: {text}$")


@pytest.mark.parametrize(
    "listener, text", [("max_qos 1", r"bad socket read/write: Requested QoS not supported on server")]
)
def test_reason_of_too_high_qos(brokers: Brokers, name: str, listener: str, text: str) -> None:
    broker = brokers(listener=listener)
    client = broker.client()
    client.send(v311.connect(name), v311.publish(name, qos=2, mid=1))
    broker.wait_for_log(rf"^Client {name} \[{client.address}\] disconnected: {text}$")
    assert broker.logged(rf"Too high QoS in PUBLISH from {name}, disconnecting\.")


def test_connection_closed_by_client(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    client.close()
    broker.wait_for_log(rf"^Client {name} \[{client.address}\] disconnected: connection closed by client\.$")


def test_connection_messages_can_be_switched_off(brokers: Brokers, name: str) -> None:
    broker = brokers("connection_messages false")
    client = broker.connected(v5, name)
    client.send(v5.publish(name, qos=3, mid=1))
    client.expect_refused(v5.disconnect(0x81))
    broker.wait_for_log(rf"Invalid QoS in PUBLISH from {name}, disconnecting\.")
    assert not broker.logged(rf"{client.address}")
