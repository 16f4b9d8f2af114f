"""DISCONNECT (MQTT 5.0, section 3.14)."""

from __future__ import annotations

import pytest

from mosq.packets.disconnect import Disconnect, encode, parse
from mosq.packets.error import ProtocolError
from tests.packets.build import block, field
from tests.packets.expect import error_of, lines


def read(version: int, body: bytes = b"", first: int = 0xE0, session_expiry: int = 60) -> Disconnect:
    return parse(version, first, body, "id", session_expiry)


def fault(body: bytes, **rest: int) -> ProtocolError:
    return error_of(lambda: read(5, body, **rest))


@pytest.mark.parametrize("version", [4, 5])
def test_reserved_flags(version: int) -> None:
    """[MQTT-3.14.1-1]"""
    error = error_of(lambda: read(version, first=0xE1))
    assert (error.code, error.text) == (0x82, "protocol error.")
    assert lines(error) == ["I Protocol error from id: DISCONNECT packet with incorrect flags <E1>."]


def test_reserved_flags_do_not_count_in_mqtt_31() -> None:
    assert read(3, first=0xEF).reason == 0


@pytest.mark.parametrize("version", [3, 4, 5])
def test_empty_packet_is_a_normal_disconnection(version: int) -> None:
    """MQTT 5.0, section 3.14.2.1"""
    packet = read(version)
    assert (packet.reason, packet.session_expiry) == (0, None)


@pytest.mark.parametrize("reason", [0, 4, 0x80, 0xFF])
def test_reason_alone(reason: int) -> None:
    """[MQTT-3.14.2-1]"""
    assert read(5, bytes((reason,))).reason == reason


def test_properties() -> None:
    """MQTT 5.0, section 3.14.2.2"""
    properties = b"\x11\0\0\0\x0a" + b"\x1f" + field("bye") + b"\x1c" + field("x") + b"\x26" + field("a") + field("b")
    packet = read(5, b"\0" + block(properties))
    assert packet.session_expiry == 10
    assert len(packet.properties) == 4


def test_session_expiry_can_end_now() -> None:
    """MQTT 5.0, section 3.14.2.2.2"""
    assert read(5, b"\0\5\x11\0\0\0\0").session_expiry == 0
    assert read(5, b"\0\5\x11\0\0\0\0", session_expiry=0).session_expiry == 0


def test_session_expiry_cannot_begin_at_the_end() -> None:
    """MQTT 5.0, section 3.14.2.2.2"""
    error = fault(b"\0\5\x11\0\0\0\x0a", session_expiry=0)
    assert (error.code, error.text) == (0x82, "protocol error.")
    line = "I Protocol error from id: DISCONNECT packet with mismatched session-expiry-interval (0:10)."
    assert lines(error) == [line]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"\0\2\x17\0", 0x82, id="of another packet"),
        pytest.param(b"\0\x0a\x11\0\0\0\1\x11\0\0\0\1", 0x82, id="duplicate"),
        pytest.param(b"\0\1\x99", 0x81, id="unknown"),
        pytest.param(b"\0\4", 0x81, id="truncated"),
        pytest.param(b"\0\4\x1f\0\1\xff", None, id="invalid text"),
    ],
)
def test_wrong_properties(body: bytes, code: int | None) -> None:
    """MQTT 5.0, sections 3.14.2.2 and 4.13"""
    assert fault(body).code == code


def test_bytes_left_over() -> None:
    error = fault(b"\0\0xy")
    assert error.code == 0x82
    assert lines(error) == ["I Protocol error from id: DISCONNECT packet with overlong remaining length (2:4)."]


def test_disconnect_of_the_broker() -> None:
    """MQTT 5.0, section 3.14"""
    assert encode(0x8E) == b"\xe0\1\x8e"
    assert encode(0) == b"\xe0\0"
