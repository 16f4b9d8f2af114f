"""AUTH (MQTT 5.0, section 3.15)."""

from __future__ import annotations

import pytest

from mosq.packets.auth import Auth, encode, parse
from mosq.packets.error import ProtocolError
from tests.packets.build import block, field
from tests.packets.expect import error_of, lines

METHOD = b"\x15" + field("SCRAM")
BEFORE = {"active": False, "exchanging": True}
ACTIVE = {"active": True, "exchanging": False}
AGAIN = {"active": True, "exchanging": True}


def read(
    body: bytes,
    *,
    version: int = 5,
    first: int = 0xF0,
    method: str | None = "SCRAM",
    active: bool = False,
    exchanging: bool = True,
) -> Auth:
    return parse(version, first, body, "id", method=method, active=active, exchanging=exchanging)


def fault(body: bytes, **rest: object) -> ProtocolError:
    return error_of(lambda: read(body, **rest))  # type: ignore[arg-type]


def body(reason: int, properties: bytes = METHOD) -> bytes:
    return bytes((reason,)) + block(properties)


def test_step_of_an_exchange() -> None:
    """[MQTT-4.12.0-3]"""
    packet = read(body(0x18, METHOD + b"\x16" + field(b"\xff")))
    assert (packet.reason, packet.data) == (0x18, b"\xff")


@pytest.mark.parametrize("state", [BEFORE, AGAIN])
def test_empty_packet_continues_without_data(state: dict[str, bool]) -> None:
    packet = read(b"", **state)  # type: ignore[arg-type]
    assert (packet.reason, packet.data) == (0x18, None)


def test_authentication_can_be_repeated() -> None:
    """[MQTT-4.12.1-1]"""
    assert read(body(0x19), **ACTIVE).reason == 0x19  # type: ignore[arg-type]


@pytest.mark.parametrize("version", [3, 4])
def test_no_such_packet_before_mqtt_5(version: int) -> None:
    error = fault(body(0x18), version=version)
    assert error.code == 0x82
    assert lines(error) == ["I Protocol error from id: AUTH packet when session not MQTT v5.0."]


def test_no_method_in_connect() -> None:
    """[MQTT-4.12.0-7]"""
    error = fault(body(0x18), method=None)
    assert error.code == 0x82
    assert lines(error) == ["I Protocol error from id: AUTH packet without existing auth-method."]


def test_reserved_flags() -> None:
    """[MQTT-3.15.1-1]"""
    assert fault(body(0x18), first=0xF1).code == 0x81


@pytest.mark.parametrize("reason", [0, 0x17, 0x1A, 0x80])
def test_reason_of_a_server(reason: int) -> None:
    """[MQTT-3.15.2-1]"""
    error = fault(body(reason))
    assert error.code == 0x82
    assert lines(error) == [f"I Protocol error from id: AUTH packet with reason-code = {reason}."]


@pytest.mark.parametrize(
    ("reason", "state"), [(0x18, ACTIVE), (0x19, BEFORE), (0x19, AGAIN), (0x18, {"active": False, "exchanging": False})]
)
def test_step_at_the_wrong_time(reason: int, state: dict[str, bool]) -> None:
    """MQTT 5.0, section 4.12"""
    error = fault(body(reason), **state)
    assert error.code == 0x82
    assert lines(error) == [
        "I Protocol error from id: AUTH reauthentication packet before session is active,",
        "I      or attempted to continue authentication when no authentication in progress.",
    ]


def test_empty_packet_while_nothing_is_going_on() -> None:
    """MQTT 5.0, section 4.12"""
    assert fault(b"", **ACTIVE).code == 0x82


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x18", "malformed packet."),
        (b"\x18\1\x99", "malformed packet."),
        (b"\x18\2\x17\0", "protocol error."),
    ],
)
def test_wrong_properties(data: bytes, text: str) -> None:
    """MQTT 5.0, section 3.15.2.2"""
    error = fault(data)
    assert (error.code, error.text) == (0x80, text)


def test_method_is_required() -> None:
    """[MQTT-4.12.0-5]"""
    error = fault(body(0x18, b""))
    assert error.code == 0x80
    assert lines(error) == ["I Protocol error from id: AUTH packet without auth-method property."]


def test_method_cannot_change() -> None:
    """[MQTT-4.12.0-5]"""
    error = fault(body(0x18, b"\x15" + field("OTHER")))
    assert error.code == 0x82
    assert lines(error) == [
        "I Protocol error from id: AUTH packet with non-matching auth-method property (SCRAM:(null))."
    ]


def test_bytes_left_over_are_ignored() -> None:
    assert read(body(0x18) + b"xyz").reason == 0x18


def test_auth_of_the_broker() -> None:
    """[MQTT-4.12.0-2], [MQTT-4.12.0-5]"""
    assert encode(0x18, "m", b"\1") == b"\xf0\x0a\x18\x08\x15\0\1m\x16\0\1\1"
    assert encode(0x00, "m") == b"\xf0\6\0\4\x15\0\1m"
