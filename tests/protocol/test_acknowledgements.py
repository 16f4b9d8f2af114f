"""PUBACK, PUBREC, PUBREL and PUBCOMP from a client; MQTT 3.4 to 3.7."""

from __future__ import annotations

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.client import RawClient
from tests.harness.packets import LEVELS, PUBACK, PUBCOMP, PUBREC, PUBREL, Level, packet, u16, v5, v311

KINDS = {"PUBACK": PUBACK, "PUBREC": PUBREC, "PUBREL": PUBREL, "PUBCOMP": PUBCOMP}
ACCEPTED = {
    PUBACK: {0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
    PUBREC: {0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
    PUBREL: {0, 0x92},
    PUBCOMP: {0, 0x92},
}


def ending(level: Level, code: int) -> list[bytes]:
    return [v5.disconnect(code)] if level.is_v5 else []


def first_byte(kind: int) -> int:
    return kind << 4 | (2 if kind == PUBREL else 0)


def with_message(broker: Broker, name: str, level: Level, qos: int) -> RawClient:
    """A client with one message, packet id 1, in flight to it."""
    client = broker.connected(level, name)
    client.subscribe(name, qos=2)
    broker.connected(v311, f"{name}p").publish(name, b"x", qos=qos)
    client.expect(level.publish(name, b"x", qos=qos, mid=1))
    return client


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_packet_id_0_is_a_protocol_error(broker: Broker, name: str, level: Level, kind: int) -> None:
    """[MQTT-2.2.1-3]"""
    client = broker.connected(level, name)
    client.send(packet(first_byte(kind), u16(0)))
    client.expect_refused(*ending(level, 0x82))


@pytest.mark.parametrize("body", [b"", b"\0"], ids=["empty", "half_an_id"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_v5_truncated_acknowledgement_is_malformed(broker: Broker, name: str, kind: int, body: bytes) -> None:
    client = broker.connected(v5, name)
    client.send(packet(first_byte(kind), body))
    client.expect_refused(v5.disconnect(0x81))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    "code", [0x01, 0x10, 0x80, 0x82, 0x87, 0x91, 0x92, 0x97, 0x99, 0x9E, 0xFF], ids=lambda c: f"{c:02x}"
)
def test_v5_reason_codes_that_belong_there_are_accepted(broker: Broker, name: str, kind: int, code: int) -> None:
    """MQTT 5.0 tables 3.4.2.1, 3.5.2.1, 3.6.2.1, 3.7.2.1"""
    client = broker.connected(v5, name)
    client.send(v5.acknowledgement(kind, 9, code))
    if code not in ACCEPTED[kind]:
        client.expect_refused(v5.disconnect(0x82))
        return
    if kind == PUBREC and code < 0x80:
        client.expect(v5.pubrel(9))
    if kind == PUBREL:
        client.expect(v5.pubcomp(9))
    client.expect_silence()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_v5_acknowledgement_may_carry_reason_string_and_user_properties(broker: Broker, name: str, kind: int) -> None:
    client = broker.connected(v5, name)
    client.send(v5.acknowledgement(kind, 9, 0, props.reason_string("why") + props.user_property("a", "b") * 2))
    if kind in (PUBREC, PUBREL):
        client.expect(v5.pubrel(9) if kind == PUBREC else v5.pubcomp(9))
    client.expect_silence()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    "properties, code",
    [
        (props.content_type("x"), 0x82),
        (props.session_expiry(1), 0x82),
        (props.reason_string("a") * 2, 0x82),
        (b"\x7f", 0x81),
        (b"\x1f\x00\x05a", 0x81),
    ],
    ids=["content_type", "session_expiry", "duplicate", "unknown", "truncated"],
)
def test_v5_bad_property_ends_the_connection(
    broker: Broker, name: str, kind: int, properties: bytes, code: int
) -> None:
    """[MQTT-2.2.2-2]"""
    client = broker.connected(v5, name)
    client.send(v5.acknowledgement(kind, 9, 0, properties))
    client.expect_refused(v5.disconnect(code))


@pytest.mark.differs("it ignores them")
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_v5_bytes_behind_the_properties_are_malformed(broker: Broker, name: str, kind: int) -> None:
    client = broker.connected(v5, name)
    client.send(packet(first_byte(kind), u16(9) + b"\0\0!"))
    client.expect_refused(v5.disconnect(0x81))


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("kind", [PUBACK, PUBCOMP], ids=["PUBACK", "PUBCOMP"])
def test_acknowledgement_of_nothing_is_ignored(broker: Broker, name: str, level: Level, kind: int) -> None:
    client = broker.connected(level, name)
    client.send(level.acknowledgement(kind, 999))
    client.expect_silence()


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_pubrec_for_an_unknown_id_is_released(broker: Broker, name: str, level: Level) -> None:
    client = broker.connected(level, name)
    client.send(level.pubrec(999))
    client.expect(level.pubrel(999))
    broker.wait_for_log(rf"Warning: Received PUBREC from {name} for an unknown packet identifier 999\.")


def test_v5_error_pubrec_for_an_unknown_id_is_ignored(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    client.send(v5.pubrec(999, 0x91))
    client.expect_silence()


WRONG_KIND = [
    pytest.param(2, [PUBACK], r"Mismatched QoS \(2:1\) when deleting outgoing message\.", id="puback_for_qos2"),
    pytest.param(1, [PUBREC], r"Mismatched QoS \(1:2\) when updating outgoing message\.", id="pubrec_for_qos1"),
    pytest.param(1, [PUBCOMP], r"Mismatched QoS \(1:2\) when deleting outgoing message\.", id="pubcomp_for_qos1"),
    pytest.param(
        2, [PUBCOMP], r"Mismatched state \(5:9\) when deleting outgoing message\.", id="pubcomp_before_pubrec"
    ),
]


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("qos, kinds, line", WRONG_KIND)
def test_acknowledgement_of_the_wrong_kind_is_a_protocol_error(
    broker: Broker, name: str, level: Level, qos: int, kinds: list[int], line: str
) -> None:
    """[MQTT-4.3.2 4.3.3] the exchange of each QoS has its own packets."""
    client = with_message(broker, name, level, qos)
    client.send(*[level.acknowledgement(kind, 1) for kind in kinds])
    client.expect_refused(*ending(level, 0x82))


@pytest.mark.differs("no such lines")
@pytest.mark.parametrize("qos, kinds, line", WRONG_KIND)
def test_acknowledgement_of_the_wrong_kind_is_logged(
    broker: Broker, name: str, qos: int, kinds: list[int], line: str
) -> None:
    client = with_message(broker, name, v5, qos)
    client.send(*[v5.acknowledgement(kind, 1) for kind in kinds])
    client.expect_refused(v5.disconnect(0x82))
    broker.wait_for_log(rf"Protocol error from {name}: {line}")


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_repeated_pubrec_is_released_again(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-4.3.3-4]"""
    client = with_message(broker, name, level, 2)
    client.send(level.pubrec(1), level.pubrec(1))
    client.expect(level.pubrel(1), level.pubrel(1))
    client.send(level.pubcomp(1))
    client.expect_silence()


def test_v5_error_pubrec_ends_the_exchange(broker: Broker, name: str) -> None:
    """[MQTT-4.3.3-4] no PUBREL after an error; the packet id is free."""
    client = with_message(broker, name, v5, 2)
    client.send(v5.pubrec(1, 0x97))
    client.expect_silence()


def test_v5_error_pubrec_after_a_positive_one_is_a_protocol_error(broker: Broker, name: str) -> None:
    client = with_message(broker, name, v5, 2)
    client.send(v5.pubrec(1))
    client.expect(v5.pubrel(1))
    client.send(v5.pubrec(1, 0x97))
    client.expect_refused(v5.disconnect(0x82))


@pytest.mark.differs("the slot stays occupied")
def test_v5_error_pubrec_frees_the_window_slot(broker: Broker, name: str) -> None:
    """[MQTT-4.9.0-2] the send quota grows with a PUBREC of 0x80 or more."""
    client = broker.connected(v5, name, properties=props.receive_maximum(1))
    client.subscribe(name, qos=2)
    sender = broker.connected(v311, f"{name}p")
    sender.publish(name, b"1", qos=2)
    sender.publish(name, b"2", qos=2)
    client.expect(v5.publish(name, b"1", qos=2, mid=1))
    client.expect_silence()
    client.send(v5.pubrec(1, 0x97))
    client.expect(v5.publish(name, b"2", qos=2, mid=2))


def test_v5_error_puback_is_an_acknowledgement(broker: Broker, name: str) -> None:
    """[MQTT-4.4.0-2] not delivered again"""
    keep = props.session_expiry(60)
    client = broker.connected(v5, name, properties=keep)
    client.subscribe(name, qos=1)
    broker.connected(v311, f"{name}p").publish(name, b"x", qos=1)
    client.expect(v5.publish(name, b"x", qos=1, mid=1))
    client.send(v5.puback(1, 0x87))
    client.expect_silence()
    again = broker.connected(v5, name, clean=False, properties=keep, session_present=True)
    again.expect_silence()
