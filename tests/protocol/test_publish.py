"""PUBLISH from a client: validation and delivery; MQTT 3.3."""

from __future__ import annotations

import pytest

from tests.harness.broker import Broker
from tests.harness.brokers import Brokers
from tests.harness.packets import LEVELS, Level, field, packet, u16, v5, v311


def ending(level: Level, code: int) -> list[bytes]:
    """What a client of this level hears before the close."""
    return [v5.disconnect(code)] if level.is_v5 else []


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("dup_byte", [0x38, 0x39])
def test_qos_0_with_dup_is_malformed(broker: Broker, name: str, level: Level, dup_byte: int) -> None:
    """[MQTT-3.3.1-2]"""
    client = broker.connected(level, name)
    client.send(packet(dup_byte, field(name) + level.properties(b"")))
    client.expect_refused(*ending(level, 0x81))


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("first", [0x36, 0x37, 0x3E, 0x3F])
def test_qos_3_is_malformed(broker: Broker, name: str, level: Level, first: int) -> None:
    """[MQTT-3.3.1-4]"""
    client = broker.connected(level, name)
    client.send(packet(first, field(name) + u16(1) + level.properties(b"")))
    client.expect_refused(*ending(level, 0x81))


@pytest.mark.differs("other words")
@pytest.mark.parametrize(
    "first, line",
    [
        (0x38, r"Invalid PUBLISH \(QoS=0 and DUP=1\) from {}, disconnecting\."),
        (0x36, r"Invalid QoS in PUBLISH from {}, disconnecting\."),
    ],
)
def test_malformed_publish_is_logged(broker: Broker, name: str, first: int, line: str) -> None:
    client = broker.connected(v311, name)
    client.send(packet(first, field(name) + u16(1)))
    client.expect_closed()
    broker.wait_for_log(line.format(name))
    broker.wait_for_log(rf"Client {name} \[{client.address}\] disconnected: malformed packet\.")


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("max_qos", [0, 1])
def test_qos_above_the_maximum_is_refused(brokers: Brokers, name: str, level: Level, max_qos: int) -> None:
    """[MQTT-3.2.2-11 3.2.2-12]"""
    broker = brokers(listener=f"max_qos {max_qos}")
    client = broker.client(level)
    client.send(level.connect(name))
    assert client.read_packet()[3] == 0
    if max_qos == 1:
        client.publish(name, qos=1)
    client.send(level.publish(name, qos=max_qos + 1, mid=2))
    client.expect_refused(*ending(level, 0x9B))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_retain_where_not_available_is_refused(brokers: Brokers, name: str, level: Level) -> None:
    """[MQTT-3.2.2-13 3.2.2-14]"""
    client = brokers("retain_available false").client(level)
    client.send(level.connect(name))
    assert client.read_packet()[3] == 0
    client.send(level.publish(name, b"x", retain=True))
    client.expect_refused(*ending(level, 0x9A))


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize(
    "topic",
    [b"a/+", b"+", b"#", b"a/#", b"a#b", b"a+b", b"", b"a\0b", b"\xff", b"\xed\xa0\x80", b"a\x01", b"/" * 201],
    ids=lambda t: t.hex()[:8],
)
def test_invalid_topic_name_is_malformed(broker: Broker, name: str, level: Level, qos: int, topic: bytes) -> None:
    """[MQTT-1.5.4-1 1.5.4-2 3.3.2-1 3.3.2-2 4.7.0-1 4.7.1-1 4.7.3-1 4.7.3-2]"""
    client = broker.connected(level, name)
    client.send(level.publish(topic, b"x", qos=qos, mid=1))
    client.expect_refused(*ending(level, 0x81))


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("body", [b"", b"\0", b"\0\x05ab"], ids=["nothing", "half_length", "short"])
def test_truncated_topic_is_malformed(broker: Broker, name: str, level: Level, body: bytes) -> None:
    client = broker.connected(level, name)
    client.send(packet(0x30, body))
    client.expect_refused(*ending(level, 0x81))


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("rest", [b"", b"\0"], ids=["none", "half"])
def test_missing_packet_id_is_malformed(broker: Broker, name: str, level: Level, qos: int, rest: bytes) -> None:
    client = broker.connected(level, name)
    client.send(packet(0x30 | qos << 1, field(name) + rest))
    client.expect_refused(*ending(level, 0x81))


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("qos", [1, 2])
def test_packet_id_0_is_a_protocol_error(broker: Broker, name: str, level: Level, qos: int) -> None:
    """[MQTT-2.2.1-3 / 2.3.1-1]"""
    client = broker.connected(level, name)
    client.send(level.publish(name, qos=qos, mid=0))
    client.expect_refused(*ending(level, 0x82))


@pytest.mark.parametrize("publisher", LEVELS, ids=lambda v: f"from_{v}")
@pytest.mark.parametrize("subscriber", LEVELS, ids=lambda v: f"to_{v}")
@pytest.mark.parametrize("sub_qos", [0, 1, 2])
@pytest.mark.parametrize("pub_qos", [0, 1, 2])
def test_delivery_at_the_lower_qos(
    broker: Broker, name: str, publisher: Level, subscriber: Level, pub_qos: int, sub_qos: int
) -> None:
    """[MQTT-3.8.4-8] (3.1.1: 3.8.4-6) between every pair of protocol levels"""
    receiver = broker.connected(subscriber, f"{name}r")
    receiver.subscribe(name, qos=sub_qos)
    broker.connected(publisher, name).publish(name, b"payload", qos=pub_qos)
    qos = min(pub_qos, sub_qos)
    receiver.expect(subscriber.publish(name, b"payload", qos=qos, mid=1))
    if qos == 1:
        receiver.send(subscriber.puback(1))
    if qos == 2:
        receiver.send(subscriber.pubrec(1))
        receiver.expect(subscriber.pubrel(1))
        receiver.send(subscriber.pubcomp(1))
    receiver.expect_silence()


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("size", [0, 1, 100, 127, 128, 16000, 16384, 65536, 1_000_000])
def test_payload_of_any_size_arrives_unchanged(broker: Broker, name: str, level: Level, size: int) -> None:
    client = broker.connected(level, name)
    client.subscribe(name)
    payload = (bytes(range(256)) * (size // 256 + 1))[:size]
    client.send(level.publish(name, payload))
    client.expect(level.publish(name, payload))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_live_delivery_clears_retain_and_dup(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.3.1-3] DUP is the broker's own; [MQTT-3.3.1-9 / 3.3.1-12] RETAIN 0 for established subscriptions"""
    receiver = broker.connected(level, f"{name}r")
    receiver.subscribe(name, qos=1)
    sender = broker.connected(level, name)
    sender.send(level.publish(name, b"x", qos=1, mid=5, dup=True, retain=True))
    receiver.expect(level.publish(name, b"x", qos=1, mid=1))
    sender.read_packet()
    sender.publish(name, b"", retain=True)


def test_messages_of_one_publisher_keep_their_order(broker: Broker, name: str) -> None:
    """[MQTT-4.6.0-5 4.6.0-6] for each QoS"""
    receiver = broker.connected(v311, f"{name}r")
    receiver.subscribe(name, qos=0)
    sender = broker.connected(v5, name)
    payloads = [str(i).encode() for i in range(200)]
    sender.send(*[v5.publish(name, p, qos=i % 2, mid=i + 1) for i, p in enumerate(payloads)])
    receiver.expect(*[v311.publish(name, p) for p in payloads])


@pytest.mark.parametrize(
    "level, qos, answer",
    [
        (LEVELS[0], 1, v311.puback(1)),
        (LEVELS[1], 1, v311.puback(1)),
        (LEVELS[2], 1, v5.puback(1, 0x95)),
        (LEVELS[1], 2, v311.pubrec(1)),
        (LEVELS[2], 2, v5.pubrec(1, 0x95)),
        (LEVELS[1], 0, None),
    ],
    ids=["v3.1-1", "v3.1.1-1", "v5-1", "v3.1.1-2", "v5-2", "v3.1.1-0"],
)
def test_payload_above_the_size_limit_is_acknowledged_and_dropped(
    brokers: Brokers, name: str, level: Level, qos: int, answer: bytes | None
) -> None:
    broker = brokers("message_size_limit 100")
    receiver = broker.connected(v311, f"{name}r")
    receiver.subscribe(name, qos=2)
    sender = broker.connected(level, name)
    sender.send(level.publish(name, b"x" * 101, qos=qos, mid=1))
    if answer is not None:
        sender.expect(answer)
    sender.expect_silence()
    sender.send(level.publish(name, b"x" * 100))
    receiver.expect(v311.publish(name, b"x" * 100))


def test_v3_refused_qos_2_is_completed(brokers: Brokers, name: str) -> None:
    """A PUBREL behind a refused message is answered and delivers nothing."""
    broker = brokers("message_size_limit 100")
    client = broker.connected(v311, name)
    client.subscribe(name, qos=2)
    client.send(v311.publish(name, b"x" * 101, qos=2, mid=1), v311.pubrel(1))
    client.expect(v311.pubrec(1), v311.pubcomp(1))
    client.expect_silence()


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_topic_of_65535_bytes_is_delivered(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-4.7.3-3] the longest a string can be"""
    topic = name + "x" * (65535 - len(name))
    client = broker.connected(level, name)
    client.subscribe(topic)
    client.send(level.publish(topic, b"x"))
    client.expect(level.publish(topic, b"x"))


def test_payload_is_not_checked_against_the_payload_format(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    client.subscribe(name)
    client.send(v5.publish(name, b"\xff\xfe", properties=b"\x01\x01"))
    client.expect(v5.publish(name, b"\xff\xfe", properties=b"\x01\x01"))
