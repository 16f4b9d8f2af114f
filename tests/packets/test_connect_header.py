"""CONNECT, up to the payload: protocol, flags, keep alive, properties (MQTT 5.0, sections 3.1.1 and 3.1.2).

The tests stand in the order in which the rules are applied. "of 3.1.1" marks statements of that version.
"""

from __future__ import annotations

import pytest

from mosq.packets.connect import NEVER
from tests.packets.build import (
    CLEAN,
    PEER,
    USER_NAME,
    VERSIONS,
    WILL,
    WILL_QOS_1,
    WILL_QOS_2,
    WILL_RETAIN,
    accepted,
    field,
    head,
    will,
)
from tests.packets.expect import SILENT, connack, lines, refused

FROM = f"I Protocol error from {PEER}: CONNECT with "


# ---- protocol name and version


def test_tls_on_a_plain_listener_is_recognised() -> None:
    error = refused(b"\x01\x00\x05", first=0x16)
    assert error.connack == SILENT
    assert lines(error) == [f"N Client from {PEER} appears to be using TLS to connect to a non-TLS listener."]


def test_first_byte_of_tls_on_a_tls_listener_is_a_flags_error() -> None:
    """[MQTT-2.1.3-1]"""
    error = refused(head(4) + field("id"), first=0x16, tls=True)
    assert lines(error) == [FROM + "non-zero reserved flags (16)."]


@pytest.mark.parametrize("body", [b"", b"\0"])
def test_missing_name_length(body: bytes) -> None:
    """[MQTT-3.1.2-1]"""
    error = refused(body)
    assert (error.connack, error.code, error.text) == (SILENT, None, "protocol error.")
    assert lines(error) == [FROM + "missing protocol string length."]


@pytest.mark.parametrize("n", [0, 3, 5, 7, 65535])
def test_name_of_another_length(n: int) -> None:
    """[MQTT-3.1.2-1]"""
    error = refused(n.to_bytes(2, "big") + bytes(20))
    assert error.connack == SILENT
    assert lines(error) == [FROM + f"incorrect protocol string length ({n})."]


@pytest.mark.parametrize("body", [b"\0\4MQT", b"\0\6MQIsd", b"\0\4"])
def test_truncated_name(body: bytes) -> None:
    """[MQTT-3.1.2-1]"""
    error = refused(body)
    assert error.connack == SILENT
    assert lines(error) == [FROM + "missing protocol string."]


def test_missing_version() -> None:
    """MQTT 5.0, section 3.1.2.2"""
    error = refused(b"\0\4MQTT")
    assert error.connack == SILENT
    assert lines(error) == [FROM + "missing protocol version."]


@pytest.mark.parametrize(("level", "accepts"), [(3, {4, 5}), (4, {3, 5})])
def test_excluded_old_version_gets_return_code_1(level: int, accepts: set[int]) -> None:
    """[MQTT-3.1.2-2] of 3.1.1; accept_protocol_versions"""
    error = refused(head(level) + field("id"), versions=frozenset(accepts))
    assert error.connack == connack(3, 1)
    assert error.text.startswith("used disallowed feature")
    assert not error.log


@pytest.mark.parametrize("level", [0, 1, 2, 6, 127, 0x80, 0x86])
def test_unknown_version_gets_unsupported_protocol_version(level: int) -> None:
    """[MQTT-3.1.2-2]"""
    error = refused(field("MQTT") + bytes((level, 2, 0, 60)) + field("id"))
    assert error.connack == connack(5, 0x84)
    assert error.text.startswith("used disallowed feature")


@pytest.mark.parametrize("level", [5, 0x84, 0x83])
def test_excluded_version_in_any_other_form_gets_unsupported_protocol_version(level: int) -> None:
    """[MQTT-3.1.2-2]; accept_protocol_versions"""
    assert refused(field("MQTT") + bytes((level, 2, 0, 60)), versions=frozenset()).connack == connack(5, 0x84)


def test_version_is_judged_before_the_name() -> None:
    """[MQTT-3.1.2-2]"""
    assert refused(field("HTTP") + b"\x31").connack == connack(5, 0x84)


def test_refusal_states_the_maximum_qos() -> None:
    """[MQTT-3.2.2-9]; max_qos"""
    assert refused(field("MQTT") + b"\x06", max_qos=1).connack == connack(5, 0x84, b"\x24\x01")


@pytest.mark.parametrize(
    ("name", "level"), [("MQIsdp", 4), ("MQIsdp", 5), ("MQIsdp", 0x84), ("MQTT", 3), ("MQTT", 0x83)]
)
def test_name_of_another_version_gets_return_code_1(name: str, level: int) -> None:
    """[MQTT-3.1.2-2] of 3.1.1"""
    body = field(name) + bytes((level, 2, 0, 60))
    error = refused(body)
    assert (error.connack, error.text) == (connack(3, 1), "protocol error.")
    assert lines(error) == [FROM + f"invalid protocol version ({level})."]
    assert not refused(body, connection_messages=False).log


def test_bridge_flag_of_version_5_is_refused() -> None:
    """[MQTT-3.1.2-2]; the flag is known for MQTT 3.1 and 3.1.1 alone."""
    error = refused(field("MQTT") + bytes((0x85, 2, 0, 60, 0)) + field("id"))
    assert (error.connack, error.text) == (connack(5, 0x84), "protocol error.")
    assert lines(error) == [FROM + "invalid protocol version (133)."]


def test_another_name_is_not_answered() -> None:
    """[MQTT-3.1.2-1]"""
    body = field("HTTP") + bytes((4, 2, 0, 60))
    error = refused(body)
    assert (error.connack, error.text) == (SILENT, "protocol error.")
    assert lines(error) == [FROM + 'invalid protocol "HTTP".']
    assert not refused(body, connection_messages=False).log


def test_name_that_is_not_text_can_be_logged() -> None:
    assert lines(refused(field(b"\xff\xfe\x80\x81") + b"\x04")) == [FROM + 'invalid protocol "' + "\ufffd" * 4 + '".']


@pytest.mark.parametrize(("level", "bridge"), [(3, False), (4, False), (5, False), (0x83, True), (0x84, True)])
def test_bit_7_of_the_version_tells_a_bridge(level: int, bridge: bool) -> None:
    packet = accepted(head(level) + field("id"))
    assert (packet.version, packet.bridge) == (level & 0x7F, bridge)


@pytest.mark.parametrize("version", [4, 5])
def test_reserved_flags_of_the_fixed_header_must_be_0(version: int) -> None:
    """[MQTT-2.1.3-1]"""
    error = refused(head(version) + field("id"), first=0x12)
    assert error.connack == SILENT
    assert lines(error) == [FROM + "non-zero reserved flags (12)."]


def test_flags_of_the_fixed_header_do_not_count_in_mqtt_31() -> None:
    assert accepted(head(3) + field("id"), first=0x1B).client_id == "id"


# ---- variable header


@pytest.mark.parametrize("version", VERSIONS)
def test_missing_connect_flags(version: int) -> None:
    error = refused(head(version)[: 7 if version > 3 else 9])
    assert error.connack == SILENT
    assert lines(error) == [FROM + "missing connect flags."]


@pytest.mark.parametrize("version", [4, 5])
def test_reserved_connect_flag_must_be_0(version: int) -> None:
    """[MQTT-3.1.2-3]"""
    error = refused(head(version, CLEAN | 1) + field("id"))
    assert error.connack == SILENT
    assert lines(error) == [FROM + "non-zero connect reserved flag (03)."]


def test_reserved_connect_flag_does_not_count_in_mqtt_31() -> None:
    assert accepted(head(3, CLEAN | 1) + field("id")).client_id == "id"


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("version", [3, 4])
def test_missing_keep_alive(version: int, missing: int) -> None:
    error = refused(head(version)[:-missing])
    assert error.connack == SILENT
    assert lines(error) == ["I (null) sent CONNECT with missing keepalive."]


@pytest.mark.parametrize("version", VERSIONS)
def test_keep_alive_is_in_seconds(version: int) -> None:
    """MQTT 5.0, section 3.1.2.10"""
    assert accepted(head(version, keepalive=65535) + field("id")).keepalive == 65535


@pytest.mark.parametrize(("version", "flags", "expiry"), [(3, 0, NEVER), (4, 0, NEVER), (5, 0, 0), (4, CLEAN, 0)])
def test_session_expiry_follows_from_the_version(version: int, flags: int, expiry: int) -> None:
    """[MQTT-3.1.2-4], [MQTT-3.1.2-6] of 3.1.1"""
    packet = accepted(head(version, flags) + field("id"))
    assert (packet.session_expiry, packet.clean_start) == (expiry, bool(flags & CLEAN))


# ---- properties


def test_properties_are_read() -> None:
    """MQTT 5.0, section 3.1.2.11"""
    properties = b"\x11\0\0\x0e\x10\x21\0\x0a\x27\0\0\4\0\x22\0\5\x17\0\x19\1\x26\0\1a\0\1b\x15\0\1m\x16\0\1\xff"
    packet = accepted(head(5, properties=properties) + field("id"))
    assert packet.session_expiry == 3600
    assert packet.receive_maximum == 10
    assert packet.maximum_packet_size == 1024
    assert packet.topic_alias_maximum == 5
    assert (packet.auth_method, packet.auth_data) == ("m", b"\xff")
    assert (0x26, (b"a", b"b")) in packet.properties


@pytest.mark.parametrize(
    ("properties", "code", "text"),
    [
        pytest.param(b"\x21\0\0", 0x82, "protocol error.", id="receive maximum 0"),
        pytest.param(b"\x27\0\0\0\0", 0x82, "protocol error.", id="maximum packet size 0"),
        pytest.param(b"\x17\2", 0x82, "protocol error.", id="request problem information 2"),
        pytest.param(b"\x01\0", 0x82, "protocol error.", id="of another packet"),
        pytest.param(
            b"\x17\0\x17\0", 0x82, "bad socket read/write: Duplicate property in property list", id="duplicate"
        ),
        pytest.param(b"\x99\1", 0x81, "malformed packet.", id="unknown"),
        pytest.param(b"\x11\0", 0x81, "malformed packet.", id="truncated"),
        pytest.param(b"\x15\0\1\xff", None, "bad socket read/write: Malformed UTF-8", id="invalid text"),
    ],
)
def test_wrong_properties(properties: bytes, code: int | None, text: str) -> None:
    """MQTT 5.0, sections 3.1.2.11 and 4.13"""
    error = refused(head(5, properties=properties) + field("id"))
    assert (error.connack, error.text) == (connack(5, code), text)


def test_missing_property_length() -> None:
    """[MQTT-2.2.2-1]"""
    assert refused(head(5)[:-1]).connack == connack(5, 0x81)


def test_properties_beyond_the_packet() -> None:
    """[MQTT-2.2.2-1]"""
    assert refused(head(5)[:-1] + b"\x20\x11").connack == connack(5, 0x81)


# ---- will flags


@pytest.mark.parametrize("flags", [0, WILL])
@pytest.mark.parametrize("version", VERSIONS)
def test_will_qos_3_is_refused_without_answer(version: int, flags: int) -> None:
    """[MQTT-3.1.2-12]"""
    error = refused(head(version, CLEAN | flags | WILL_QOS_1 | WILL_QOS_2) + field("id") + will(version))
    assert (error.connack, error.text) == (SILENT, "protocol error.")
    assert lines(error) == [FROM + "invalid Will QoS (3)."]


@pytest.mark.parametrize(("version", "code"), [(3, None), (4, None), (5, 0x9A)])
def test_retained_will_needs_retain_available(version: int, code: int | None) -> None:
    """[MQTT-3.2.2-13]; retain_available"""
    error = refused(head(version, CLEAN | WILL | WILL_RETAIN) + field("id") + will(version), retain_available=False)
    assert error.connack == connack(version, code)
    assert error.text.startswith("used disallowed feature")


@pytest.mark.parametrize(("version", "code"), [(3, None), (4, None), (5, 0x9B)])
def test_will_qos_above_the_maximum(version: int, code: int | None) -> None:
    """[MQTT-3.2.2-12]; max_qos"""
    body = head(version, CLEAN | WILL | WILL_QOS_2) + field("id") + will(version)
    error = refused(body, max_qos=1)
    assert error.connack == connack(version, code, b"\x24\x01")
    assert error.text.startswith("used disallowed feature")


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(
    ("flags", "words"), [(WILL_QOS_1, "QoS (1) or retain (0)"), (WILL_RETAIN, "QoS (0) or retain (1)")]
)
def test_will_bits_without_a_will(version: int, flags: int, words: str) -> None:
    """[MQTT-3.1.2-11], [MQTT-3.1.2-13]"""
    error = refused(head(version, CLEAN | flags) + field("id"))
    assert (error.connack, error.text) == (SILENT, "protocol error.")
    assert lines(error) == [f"I Protocol error from id: CONNECT without Will with non-zero {words}."]


def test_will_bits_without_a_will_do_not_count_in_mqtt_31() -> None:
    assert accepted(head(3, CLEAN | WILL_RETAIN | WILL_QOS_1) + field("id")).will is None


def test_authentication_data_needs_a_method() -> None:
    """MQTT 5.0, section 3.1.2.11.10"""
    error = refused(head(5, properties=b"\x16\0\1x") + field("id"))
    assert (error.connack, error.text) == (connack(5, 0x82), "protocol error.")
    assert lines(error) == [f"I Protocol error from {PEER} CONNECT with missing clientid string."]


def test_earlier_rule_wins() -> None:
    """A packet that breaks every rule is judged by the first."""
    body = head(5, USER_NAME | WILL | WILL_QOS_1 | WILL_QOS_2 | 1, properties=b"\x99") + b"\0"
    assert lines(refused(body)) == [FROM + "non-zero connect reserved flag (9D)."]
