"""SUBSCRIBE and SUBACK (MQTT 5.0, sections 3.8 and 3.9)."""

from __future__ import annotations

import pytest

from mosq.packets import suback
from mosq.packets.error import ProtocolError
from mosq.packets.subscribe import Subscribe, parse
from tests.packets.build import VERSIONS, block, field
from tests.packets.expect import error_of, lines

ADDRESS = "192.0.2.1"


def body(version: int, *filters: bytes, mid: int = 7, properties: bytes = b"") -> bytes:
    return mid.to_bytes(2, "big") + (block(properties) if version == 5 else b"") + b"".join(filters)


def one(topic_filter: str | bytes, options: int = 0) -> bytes:
    return field(topic_filter) + bytes((options,))


def read(version: int, data: bytes, first: int = 0x82) -> Subscribe:
    return parse(version, first, data, "id", ADDRESS)


def fault(version: int, *filters: bytes, first: int = 0x82, properties: bytes = b"", mid: int = 7) -> ProtocolError:
    data = body(version, *filters, properties=properties, mid=mid)
    return error_of(lambda: list(read(version, data, first).filters()))


@pytest.mark.parametrize("version", VERSIONS)
def test_filters_come_in_order(version: int) -> None:
    """[MQTT-3.8.4-5]"""
    packet = read(version, body(version, one("a/+", 1), one("#", 2), one("a/+", 0)))
    assert packet.mid == 7
    assert list(packet.filters()) == [(b"a/+", 1), (b"#", 2), (b"a/+", 0)]


@pytest.mark.parametrize("first", [0x80, 0x8A, 0x83])
@pytest.mark.parametrize("version", VERSIONS)
def test_reserved_flags(version: int, first: int) -> None:
    """[MQTT-3.8.1-1]"""
    error = fault(version, one("a"), first=first)
    assert (error.code, error.text, error.log) == (0x81, "malformed packet.", ())


@pytest.mark.parametrize("version", VERSIONS)
def test_packet_id_0(version: int) -> None:
    """[MQTT-2.2.1-3]"""
    assert fault(version, one("a"), mid=0).code == 0x81


@pytest.mark.parametrize("data", [b"", b"\0"])
def test_missing_packet_id(data: bytes) -> None:
    """[MQTT-2.2.1-3]"""
    assert error_of(lambda: read(4, data)).code == 0x81


def test_subscription_identifier() -> None:
    """MQTT 5.0, section 3.8.2.1.2"""
    packet = read(5, body(5, one("a"), properties=b"\x0b\xff\xff\xff\x7f\x26" + field("a") + field("b")))
    assert packet.subscription_id == 268435455
    assert (0x26, (b"a", b"b")) in packet.properties


def test_no_subscription_identifier() -> None:
    assert read(5, body(5, one("a"))).subscription_id == 0


def test_property_of_another_packet_is_malformed() -> None:
    error = fault(5, one("a"), properties=b"\x1f" + field("x"))
    assert (error.code, error.text) == (0x81, "malformed packet.")
    assert lines(error) == ["I Protocol error from id: SUBSCRIBE packet with invalid properties."]


def test_two_subscription_identifiers() -> None:
    """MQTT 5.0, section 3.8.2.1.2"""
    assert fault(5, one("a"), properties=b"\x0b\1\x0b\2").code == 0x82


def test_subscription_identifier_0() -> None:
    """MQTT 5.0, section 3.8.2.1.2"""
    error = fault(5, one("a"), properties=b"\x0b\0")
    assert (error.code, error.text) == (0x82, "protocol error.")


@pytest.mark.parametrize("version", [4, 5])
def test_no_filter(version: int) -> None:
    """[MQTT-3.8.3-2]"""
    assert fault(version).code == 0x81


def test_no_filter_is_nothing_to_do_in_mqtt_31() -> None:
    assert list(read(3, body(3)).filters()) == []


@pytest.mark.parametrize("data", [b"\0", b"\0\2a", field("a"), field(b"\xff") + b"\0", one("")])
@pytest.mark.parametrize("version", VERSIONS)
def test_filter_that_cannot_be_read(version: int, data: bytes) -> None:
    """[MQTT-3.8.3-1], [MQTT-4.7.3-1]"""
    error = fault(version, data)
    assert (error.code, error.log) == (0x81, ())


@pytest.mark.parametrize("topic_filter", ["a#", "a/#/b", "a+/b", "$share/g+/x", "/" * 201])
@pytest.mark.parametrize("version", VERSIONS)
def test_filter_that_is_not_one(version: int, topic_filter: str) -> None:
    """[MQTT-4.7.1-1], [MQTT-4.7.1-2]"""
    error = fault(version, one(topic_filter))
    assert error.code == 0x81
    assert lines(error) == [f"I Invalid subscription string from {ADDRESS}, disconnecting."]


@pytest.mark.parametrize("version", VERSIONS)
def test_shared_subscription_with_no_local(version: int) -> None:
    """[MQTT-3.8.3-4]"""
    error = fault(version, one("$share/g/x", 4))
    assert (error.code, error.text) == (0x82, "protocol error.")
    assert lines(error) == ["I Protocol error from id: $share subscription with no-local set."]


@pytest.mark.parametrize("options", [3, 4, 0x80])
@pytest.mark.parametrize("version", [3, 4])
def test_options_are_the_qos_before_mqtt_5(version: int, options: int) -> None:
    """[MQTT-3-8.3-4] of 3.1.1"""
    error = fault(version, one("a", options))
    assert error.code == 0x81
    assert lines(error) == [f"I Invalid QoS in subscription command from {ADDRESS}, disconnecting."]


def test_options_of_mqtt_5() -> None:
    """MQTT 5.0, section 3.8.3.1"""
    assert list(read(5, body(5, one("a", 0x2E))).filters()) == [(b"a", 0x2E)]


@pytest.mark.parametrize("options", [0x30, 0x40, 0x80, 0x33])
def test_reserved_options(options: int) -> None:
    """[MQTT-3.8.3-5]"""
    error = fault(5, one("a", options))
    assert (error.code, error.log) == (0x81, ())


def test_qos_3() -> None:
    """MQTT 5.0, section 3.8.3.1"""
    error = fault(5, one("a", 3))
    assert error.code == 0x81
    assert lines(error) == [f"I Invalid QoS in subscription command from {ADDRESS}, disconnecting."]


def test_filters_before_a_bad_one_are_given() -> None:
    filters = read(4, body(4, one("a"), one("a#"))).filters()
    assert next(filters) == (b"a", 0)
    assert error_of(lambda: next(filters)).code == 0x81


def test_suback() -> None:
    """[MQTT-3.8.4-2], [MQTT-3.8.4-6]"""
    assert suback.encode(4, 0x1234, [0, 1, 0x80]) == b"\x90\5\x12\x34\0\1\x80"
    assert suback.encode(5, 0x1234, [0, 1, 0x87]) == b"\x90\6\x12\x34\0\0\1\x87"


def test_suback_for_many_filters() -> None:
    assert suback.encode(5, 1, bytes(200)) == b"\x90\xcb\x01\0\1\0" + bytes(200)
