"""CONNECT, the payload: client identifier, will, user name, password (MQTT 5.0, section 3.1.3).

The tests stand in the order in which the rules are applied. "of 3.1.1" marks statements of that version.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosq.packets.connect import Rules, Will, generate_id, parse
from mosq.packets.error import ProtocolError
from tests.packets.build import (
    CLEAN,
    PASSWORD,
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

FROM = f"I Protocol error from {PEER}: "

# ---- client identifier


@pytest.mark.parametrize("payload", [b"", b"\0", b"\0\5abc"])
@pytest.mark.parametrize("version", VERSIONS)
def test_missing_client_id(version: int, payload: bytes) -> None:
    """[MQTT-3.1.3-3]"""
    error = refused(head(version) + payload)
    assert (error.connack, error.text, error.log) == (SILENT, "protocol error.", ())


@pytest.mark.parametrize(("version", "code"), [(3, None), (4, None), (5, 0x85)])
def test_client_id_must_be_text(version: int, code: int | None) -> None:
    """[MQTT-3.1.3-4]"""
    error = refused(head(version) + field(b"a\xff"))
    assert (error.connack, error.text) == (connack(version, code), "client identifier not valid.")


@pytest.mark.parametrize("version", VERSIONS)
def test_client_id_may_be_long_and_hold_any_character(version: int) -> None:
    """[MQTT-3.1.3-5]"""
    client_id = "a/+#$é " + "x" * 1000
    assert accepted(head(version) + field(client_id)).client_id == client_id


def test_empty_client_id_is_refused_in_mqtt_31() -> None:
    error = refused(head(3) + field(""))
    assert (error.connack, error.text) == (connack(3, 2), "protocol error.")
    assert lines(error) == [FROM + "v3.1 CONNECT with zero length clientid."]


def test_empty_client_id_needs_a_clean_session_in_mqtt_311() -> None:
    """[MQTT-3.1.3-7], [MQTT-3.1.3-8] of 3.1.1"""
    error = refused(head(4, 0) + field(""))
    assert error.connack == connack(4, 2)
    assert lines(error) == [FROM + "CONNECT with zero length clientid when forbidden."]


@pytest.mark.parametrize(("version", "code"), [(4, 2), (5, 0x80)])
def test_empty_client_id_can_be_forbidden(version: int, code: int) -> None:
    """[MQTT-3.1.3-8]; allow_zero_length_clientid"""
    error = refused(head(version) + field(""), allow_zero_length_clientid=False)
    assert error.connack == connack(version, code)
    assert lines(error) == [FROM + "CONNECT with zero length clientid when forbidden."]


@pytest.mark.parametrize(("version", "flags"), [(4, CLEAN), (5, CLEAN), (5, 0)])
def test_empty_client_id_is_replaced(version: int, flags: int) -> None:
    """[MQTT-3.1.3-6], [MQTT-3.1.3-7]; auto_id_prefix"""
    packet = accepted(head(version, flags) + field(""), auto_id_prefix="x-")
    assert packet.generated
    assert re.fullmatch(r"x-[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", packet.client_id)


def test_generated_ids_differ() -> None:
    """[MQTT-3.1.3-6]"""
    assert len({generate_id("") for _ in range(100)}) == 100


@pytest.mark.parametrize(("version", "code"), [(3, 5), (4, 5), (5, 0x87)])
def test_client_id_must_have_the_prefix(version: int, code: int) -> None:
    """clientid_prefixes"""
    assert accepted(head(version) + field("ab-1"), clientid_prefixes="ab-").client_id == "ab-1"
    error = refused(head(version) + field("b-1"), clientid_prefixes="ab-")
    assert (error.connack, error.text) == (connack(version, code), "not authorised.")


def test_generated_client_id_must_have_the_prefix_too() -> None:
    """clientid_prefixes"""
    assert refused(head(4) + field(""), clientid_prefixes="ab-").connack == connack(4, 5)
    assert accepted(head(4) + field(""), clientid_prefixes="au").generated


# ---- will


@pytest.mark.parametrize(
    ("flags", "qos", "retain"), [(0, 0, False), (WILL_QOS_1, 1, False), (WILL_QOS_2 | WILL_RETAIN, 2, True)]
)
@pytest.mark.parametrize("version", VERSIONS)
def test_will_is_read(version: int, flags: int, qos: int, retain: bool) -> None:
    """[MQTT-3.1.2-9], [MQTT-3.1.3-1]"""
    packet = accepted(head(version, CLEAN | WILL | flags) + field("id") + will(version, "a/b", b"\xff\0"))
    assert packet.will == Will(b"a/b", b"\xff\0", qos, retain)


def test_will_properties_are_kept_as_they_will_be_forwarded() -> None:
    """MQTT 5.0, section 3.1.3.2"""
    kept = [
        b"\x26" + field("a") + field("1"),
        b"\x01\1",
        b"\x08" + field("r"),
        b"\x09" + field(b"\0"),
        b"\x26" + field("a") + field("2"),
    ]
    properties = b"\x18\0\0\0\5" + kept[0] + b"\x02\0\0\0\7" + b"".join(kept[1:])
    packet = accepted(head(5, CLEAN | WILL) + field("id") + will(5, properties=properties))
    assert packet.will
    assert packet.will.properties == b"".join(kept)
    assert (packet.will.delay, packet.will.expiry) == (5, 7)


@pytest.mark.parametrize("expiry", [0, 0xFFFFFFFF])
def test_will_that_never_expires(expiry: int) -> None:
    """MQTT 5.0, section 3.1.3.2.4"""
    properties = b"\x02" + expiry.to_bytes(4, "big")
    packet = accepted(head(5, CLEAN | WILL) + field("id") + will(5, properties=properties))
    assert packet.will
    assert (packet.will.expiry, packet.will.properties) == (0, b"")


@pytest.mark.parametrize(
    ("properties", "code", "text"),
    [
        pytest.param(b"\x99", 0x81, "malformed packet.", id="unknown"),
        pytest.param(b"\x02\0", 0x81, "malformed packet.", id="truncated"),
        pytest.param(b"\x11\0\0\0\0", 0x82, "protocol error.", id="of another packet"),
        pytest.param(b"\x01\2", 0x82, "protocol error.", id="payload format 2"),
        pytest.param(b"\x08\0\1#", 0x82, "protocol error.", id="response topic with wildcard"),
        pytest.param(
            b"\x01\0\x01\0", 0x82, "bad socket read/write: Duplicate property in property list", id="duplicate"
        ),
        pytest.param(b"\x03\0\1\xff", None, "bad socket read/write: Malformed UTF-8", id="invalid text"),
    ],
)
def test_wrong_will_properties(properties: bytes, code: int | None, text: str) -> None:
    """MQTT 5.0, sections 3.1.3.2 and 4.13"""
    error = refused(head(5, CLEAN | WILL) + field("id") + will(5, properties=properties))
    assert (error.connack, error.text) == (connack(5, code), text)


def test_reason_string_in_a_will_has_a_line_of_its_own() -> None:
    error = refused(head(5, CLEAN | WILL) + field("id") + will(5, properties=b"\x1f" + field("x")))
    assert error.connack == connack(5, 0x82)
    assert lines(error) == ["I Protocol error from (null): CONNECT packet invalid property (31)."]


@pytest.mark.parametrize("version", VERSIONS)
def test_will_topic_must_be_text(version: int) -> None:
    """[MQTT-3.1.3-11]"""
    error = refused(head(version, CLEAN | WILL) + field("id") + will(version, b"\xff"))
    assert (error.connack, error.text) == (SILENT, "bad socket read/write: Malformed UTF-8")


@pytest.mark.parametrize("n", range(8))
@pytest.mark.parametrize(("version", "code"), [(3, None), (4, None), (5, 0x81)])
def test_truncated_will(version: int, code: int | None, n: int) -> None:
    """[MQTT-3.1.2-9]"""
    part = will(version, "t", b"pay!")[: n + (version == 5)]
    error = refused(head(version, CLEAN | WILL) + field("id") + part)
    assert (error.connack, error.text) == (connack(version, code), "malformed packet.")


@pytest.mark.parametrize(("version", "code"), [(3, None), (4, None), (5, 0x82)])
def test_will_topic_must_not_be_empty(version: int, code: int | None) -> None:
    """[MQTT-4.7.3-1]"""
    error = refused(head(version, CLEAN | WILL) + field("id") + will(version, ""), mount_point=b"m/")
    assert (error.connack, error.text) == (connack(version, code), "protocol error.")
    assert lines(error) == ["I Protocol error from (null): Will with empty topic."]


def test_mount_point_goes_before_the_will_topic() -> None:
    """mount_point"""
    packet = accepted(head(4, CLEAN | WILL) + field("id") + will(4, "$CONTROL/x"), mount_point=b"m/")
    assert packet.will
    assert packet.will.topic == b"m/$CONTROL/x"


@pytest.mark.parametrize("version", VERSIONS)
def test_will_to_a_control_topic_is_denied(version: int) -> None:
    error = refused(head(version, CLEAN | WILL) + field("id") + will(version, "$CONTROL/dynamic-security/v1"))
    assert (error.connack, error.text) == (SILENT, "bad socket read/write: Access denied by ACL")


@pytest.mark.parametrize("topic", ["+", "a/#", "/" * 201])
@pytest.mark.parametrize("version", VERSIONS)
def test_will_topic_must_be_one_to_publish_to(version: int, topic: str) -> None:
    """[MQTT-4.7.1-1]"""
    error = refused(head(version, CLEAN | WILL) + field("id") + will(version, topic))
    assert (error.connack, error.text) == (SILENT, "bad socket read/write: Invalid input")


def test_levels_of_the_will_topic_count_with_the_mount_point() -> None:
    """mount_point"""
    body = head(4, CLEAN | WILL) + field("id") + will(4, "/" * 200)
    assert accepted(body).will
    assert refused(body, mount_point=b"m/").text == "bad socket read/write: Invalid input"


@pytest.mark.parametrize(("version", "code"), [(3, 5), (4, 5), (5, 0x95)])
def test_will_payload_has_a_size_limit(version: int, code: int) -> None:
    """message_size_limit"""
    body = head(version, CLEAN | WILL) + field("id") + will(version, payload=b"12345")
    assert accepted(body, message_size_limit=5).will
    error = refused(body, message_size_limit=4)
    assert (error.connack, error.text) == (connack(version, code), "oversize payload.")
    assert lines(error) == ["D Client id connected with too large Will payload"]


# ---- user name and password


@pytest.mark.parametrize("version", VERSIONS)
def test_user_name_and_password_are_read(version: int) -> None:
    """[MQTT-3.1.2-17], [MQTT-3.1.2-19], [MQTT-3.1.3-12]"""
    packet = accepted(head(version, CLEAN | USER_NAME | PASSWORD) + field("id") + field("Ünal") + field(b"\xff\0"))
    assert (packet.username, packet.password) == ("Ünal", b"\xff\0")


@pytest.mark.parametrize("version", VERSIONS)
def test_empty_user_name_and_password_are_none(version: int) -> None:
    packet = accepted(head(version, CLEAN | USER_NAME | PASSWORD) + field("id") + field("") + field(""))
    assert (packet.username, packet.password) == (None, None)


@pytest.mark.parametrize("payload", [b"", b"\0", b"\0\3ab", b"\0\1\xff"])
@pytest.mark.parametrize("version", [4, 5])
def test_user_name_must_be_there_and_be_text(version: int, payload: bytes) -> None:
    """[MQTT-3.1.2-17], [MQTT-3.1.3-12]"""
    error = refused(head(version, CLEAN | USER_NAME) + field("id") + payload)
    assert (error.connack, error.text) == (SILENT, "protocol error.")
    assert lines(error) == ["I Protocol error from id: CONNECT with username flag but no username."]


@pytest.mark.parametrize("payload", [b"", b"\0\1\xff"])
def test_user_name_that_is_not_there_is_forgiven_in_mqtt_31(payload: bytes) -> None:
    assert accepted(head(3, CLEAN | USER_NAME) + field("id") + payload).username is None


@pytest.mark.parametrize("version", [3, 4])
def test_password_needs_a_user_name_before_mqtt_5(version: int) -> None:
    """[MQTT-3.1.2-22] of 3.1.1"""
    error = refused(head(version, CLEAN | PASSWORD) + field("id") + field("p"))
    assert error.connack == SILENT
    assert lines(error) == ["E Protocol error from id: password without username, closing connection."]


def test_password_alone_is_allowed_in_mqtt_5() -> None:
    """MQTT 5.0, section 3.1.2.9"""
    packet = accepted(head(5, CLEAN | PASSWORD) + field("id") + field("p"))
    assert (packet.username, packet.password) == (None, b"p")


@pytest.mark.parametrize("payload", [b"", b"\0", b"\0\3ab"])
@pytest.mark.parametrize("version", [4, 5])
def test_password_must_be_there(version: int, payload: bytes) -> None:
    """[MQTT-3.1.2-19]"""
    error = refused(head(version, CLEAN | USER_NAME | PASSWORD) + field("id") + field("u") + payload)
    assert error.connack == SILENT
    assert lines(error) == ["I Protocol error from id: CONNECT with password flag but no password."]


def test_password_that_is_not_there_is_forgiven_in_mqtt_31() -> None:
    packet = accepted(head(3, CLEAN | USER_NAME | PASSWORD) + field("id") + field("u"))
    assert (packet.username, packet.password) == ("u", None)


@pytest.mark.parametrize(("version", "code"), [(3, None), (4, None), (5, 0x81)])
def test_bytes_left_over(version: int, code: int | None) -> None:
    """[MQTT-3.1.3-1]"""
    body = head(version) + field("id")
    error = refused(body + b"xyz")
    n = len(body)
    assert (error.connack, error.text) == (connack(version, code), "protocol error.")
    assert lines(error) == [
        f"I Protocol error from (null): CONNECT packet with overlong remaining length ({n}:{n + 3})."
    ]


def test_half_a_user_name_is_left_over_in_mqtt_31() -> None:
    assert "overlong" in lines(refused(head(3, CLEAN | USER_NAME) + field("id") + b"\0\5abc"))[0]


# ---- anything at all


@given(st.sampled_from(VERSIONS), st.binary(max_size=60), st.booleans())
def test_any_bytes_are_accepted_or_refused(version: int, tail: bytes, whole: bool) -> None:
    """Nothing but ProtocolError comes out, with a CONNACK or without."""
    body = tail if whole else head(version)[:7] + tail
    try:
        packet = parse(0x10, body, PEER, Rules())
    except ProtocolError as error:
        assert error.connack == SILENT or error.connack[0] == 0x20
        assert all(fmt % args for _, fmt, args in error.log)
    else:
        assert packet.client_id
