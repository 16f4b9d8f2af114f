"""UNSUBSCRIBE and UNSUBACK (MQTT 5.0, sections 3.10 and 3.11)."""

from __future__ import annotations

import pytest

from mosq.packets import unsuback
from mosq.packets.error import ProtocolError
from mosq.packets.unsubscribe import Unsubscribe, parse
from tests.packets.build import VERSIONS, block, field
from tests.packets.expect import error_of, lines


def body(version: int, *filters: bytes, mid: int = 7, properties: bytes = b"") -> bytes:
    return mid.to_bytes(2, "big") + (block(properties) if version == 5 else b"") + b"".join(filters)


def read(version: int, data: bytes, first: int = 0xA2) -> Unsubscribe:
    return parse(version, first, data, "id")


def fault(version: int, *filters: bytes, first: int = 0xA2, properties: bytes = b"", mid: int = 7) -> ProtocolError:
    data = body(version, *filters, properties=properties, mid=mid)
    return error_of(lambda: list(read(version, data, first).filters()))


@pytest.mark.parametrize("version", VERSIONS)
def test_filters_come_in_order(version: int) -> None:
    """[MQTT-3.11.3-1]"""
    packet = read(version, body(version, field("a/+"), field("#")))
    assert packet.mid == 7
    assert list(packet.filters()) == [b"a/+", b"#"]


@pytest.mark.parametrize("first", [0xA0, 0xAA, 0xA3])
@pytest.mark.parametrize("version", VERSIONS)
def test_reserved_flags(version: int, first: int) -> None:
    """[MQTT-3.10.1-1]"""
    assert fault(version, field("a"), first=first).code == 0x81


@pytest.mark.parametrize("version", VERSIONS)
def test_packet_id_0(version: int) -> None:
    """[MQTT-2.2.1-3]"""
    assert fault(version, field("a"), mid=0).code == 0x81


@pytest.mark.parametrize("data", [b"", b"\0"])
def test_missing_packet_id(data: bytes) -> None:
    """[MQTT-2.2.1-3]"""
    assert error_of(lambda: read(4, data)).code == 0x81


def test_user_properties() -> None:
    """MQTT 5.0, section 3.10.2.1.2"""
    packet = read(5, body(5, field("a"), properties=b"\x26" + field("a") + field("b")))
    assert packet.properties == [(0x26, (b"a", b"b"))]


def test_property_of_another_packet_is_malformed() -> None:
    error = fault(5, field("a"), properties=b"\x0b\1")
    assert (error.code, error.text) == (0x81, "malformed packet.")
    assert lines(error) == ["I Protocol error from id: UNSUBSCRIBE packet with invalid properties."]


@pytest.mark.parametrize("version", [4, 5])
def test_no_filter(version: int) -> None:
    """[MQTT-3.10.3-2]"""
    assert fault(version).code == 0x81


def test_no_filter_is_nothing_to_do_in_mqtt_31() -> None:
    assert list(read(3, body(3)).filters()) == []


@pytest.mark.parametrize("data", [b"\0", b"\0\2a", field(b"\xff")])
@pytest.mark.parametrize("version", VERSIONS)
def test_filter_that_cannot_be_read(version: int, data: bytes) -> None:
    """[MQTT-3.10.3-1]"""
    error = fault(version, data)
    assert (error.code, error.log) == (0x81, ())


@pytest.mark.parametrize("version", VERSIONS)
def test_empty_filter(version: int) -> None:
    """[MQTT-4.7.3-1]"""
    error = fault(version, field(""))
    assert error.code == 0x81
    assert lines(error) == ["I Empty unsubscription string from id, disconnecting."]


@pytest.mark.parametrize("topic_filter", ["a#", "a/#/b", "a+/b", "/" * 201])
@pytest.mark.parametrize("version", VERSIONS)
def test_filter_that_is_not_one(version: int, topic_filter: str) -> None:
    """[MQTT-4.7.1-1], [MQTT-4.7.1-2]"""
    error = fault(version, field(topic_filter))
    assert error.code == 0x81
    assert lines(error) == ["I Invalid unsubscription string from id, disconnecting."]


def test_filters_before_a_bad_one_are_given() -> None:
    filters = read(4, body(4, field("a"), field("a#"))).filters()
    assert next(filters) == b"a"
    assert error_of(lambda: next(filters)).code == 0x81


def test_unsuback() -> None:
    """[MQTT-3.10.4-4], [MQTT-3.11.3-1]; before MQTT 5.0 it has no codes."""
    assert unsuback.encode(4, 0x1234, [0, 0x11]) == b"\xb0\2\x12\x34"
    assert unsuback.encode(5, 0x1234, [0, 0x11]) == b"\xb0\5\x12\x34\0\0\x11"
