"""Property lists (MQTT 5.0, section 2.2.2): the table of what may stand where, values, and the codec."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosq.core import Property, lib
from mosq.packets import properties as prop
from mosq.packets.properties import PropertyError, read
from mosq.packets.reader import Reader, TruncatedError
from tests.packets.build import field
from tests.packets.expect import error_of, lines

CONNECT, WILL, PUBLISH, ACK = lib.MQ_IN_CONNECT, lib.MQ_IN_WILL, lib.MQ_IN_PUBLISH, lib.MQ_IN_ACK
SUBSCRIBE, UNSUBSCRIBE = lib.MQ_IN_SUBSCRIBE, lib.MQ_IN_UNSUBSCRIBE
DISCONNECT, AUTH = lib.MQ_IN_DISCONNECT, lib.MQ_IN_AUTH

SAMPLES: dict[int, Property] = {
    item[0]: item
    for item in (
        (prop.PAYLOAD_FORMAT, 1),
        (prop.MESSAGE_EXPIRY, 30),
        (prop.CONTENT_TYPE, b"text/plain"),
        (prop.RESPONSE_TOPIC, b"answers/here"),
        (prop.CORRELATION_DATA, b"\x00\xff"),
        (prop.SUBSCRIPTION_ID, 300),
        (prop.SESSION_EXPIRY, 3600),
        (prop.ASSIGNED_CLIENT_ID, b"id"),
        (prop.SERVER_KEEP_ALIVE, 60),
        (prop.AUTH_METHOD, b"SCRAM"),
        (prop.AUTH_DATA, b"\x01\x02"),
        (prop.REQUEST_PROBLEM, 0),
        (prop.WILL_DELAY, 5),
        (prop.REQUEST_RESPONSE, 1),
        (prop.RESPONSE_INFORMATION, b"x"),
        (prop.SERVER_REFERENCE, b"other:1883"),
        (prop.REASON_STRING, b"why"),
        (prop.RECEIVE_MAXIMUM, 10),
        (prop.TOPIC_ALIAS_MAXIMUM, 0),
        (prop.TOPIC_ALIAS, 1),
        (prop.MAXIMUM_QOS, 1),
        (prop.RETAIN_AVAILABLE, 0),
        (prop.USER_PROPERTY, (b"name", b"")),
        (prop.MAXIMUM_PACKET_SIZE, 100),
        (prop.WILDCARD_AVAILABLE, 1),
        (prop.SUBSCRIPTION_ID_AVAILABLE, 1),
        (prop.SHARED_AVAILABLE, 1),
    )
}
ALLOWED = {
    CONNECT: {0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27},
    WILL: {0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26},
    PUBLISH: {0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26},
    ACK: {0x1F, 0x26},
    SUBSCRIBE: {0x0B, 0x26},
    UNSUBSCRIBE: {0x26},
    DISCONNECT: {0x11, 0x1C, 0x1F, 0x26},
    AUTH: {0x15, 0x16, 0x1F, 0x26},
}


def parse(place: int, encoded: bytes) -> list[Property]:
    return list(read(Reader(prop.variable(len(encoded)) + encoded), place))


def fault(place: int, encoded: bytes) -> PropertyError:
    error = error_of(lambda: parse(place, encoded))
    assert isinstance(error, PropertyError)
    return error


@pytest.mark.parametrize("place", ALLOWED)
def test_property_is_taken_only_where_it_may_stand(place: int) -> None:
    """MQTT 5.0, table 2-4"""
    taken = set()
    for identifier, sample in SAMPLES.items():
        try:
            assert parse(place, prop.encode([sample])) == [sample]
            taken.add(identifier)
        except PropertyError as error:
            assert (error.code, error.misplaced, error.identifier) == (0x82, True, identifier)
    assert taken == ALLOWED[place]


@pytest.mark.parametrize("identifier", set(range(256)) - set(SAMPLES))
def test_unknown_property_is_malformed(identifier: int) -> None:
    """MQTT 5.0, section 2.2.2.2"""
    error = fault(CONNECT, prop.variable(identifier) + bytes(20))
    assert (error.code, error.text) == (0x81, "malformed packet.")
    assert lines(error) == [f"D Unsupported property type: {identifier}"]


@pytest.mark.parametrize("place", ALLOWED)
def test_truncated_list_is_malformed_at_every_byte(place: int) -> None:
    """[MQTT-2.2.2-1]"""
    for identifier in ALLOWED[place]:
        encoded = prop.encode([SAMPLES[identifier]])
        for n in range(1, len(encoded)):
            error = fault(place, encoded[:n])
            assert (error.code, error.log) == (0x81, ())


def test_list_longer_than_the_packet_is_malformed() -> None:
    """[MQTT-2.2.2-1]"""
    assert error_of(lambda: read(Reader(b"\x05\x21\x00\x01"), CONNECT)).code == 0x81


def test_missing_length_is_malformed() -> None:
    """[MQTT-2.2.2-1]"""
    assert error_of(lambda: read(Reader(b""), CONNECT)).code == 0x81


@pytest.mark.parametrize("place", ALLOWED)
def test_only_the_user_property_may_come_twice(place: int) -> None:
    """MQTT 5.0, section 2.2.2.2"""
    for identifier in ALLOWED[place]:
        twice = prop.encode([SAMPLES[identifier], (0x26, (b"a", b"b")), SAMPLES[identifier]])
        if identifier == prop.USER_PROPERTY:
            assert len(parse(place, twice)) == 3
            continue
        error = fault(place, twice)
        assert (error.code, error.identifier) == (0x82, identifier)
        assert error.text == "bad socket read/write: Duplicate property in property list"


@pytest.mark.parametrize(
    ("place", "encoded"),
    [
        pytest.param(PUBLISH, b"\x01\x02", id="payload format"),
        pytest.param(CONNECT, b"\x17\x02", id="request problem information"),
        pytest.param(CONNECT, b"\x19\xff", id="request response information"),
        pytest.param(CONNECT, b"\x21\0\0", id="receive maximum"),
        pytest.param(CONNECT, b"\x27\0\0\0\0", id="maximum packet size"),
        pytest.param(PUBLISH, b"\x23\0\0", id="topic alias"),
        pytest.param(SUBSCRIBE, b"\x0b\0", id="subscription identifier"),
        pytest.param(PUBLISH, b"\x08" + field(""), id="empty response topic"),
        pytest.param(PUBLISH, b"\x08" + field("a/#"), id="response topic with wildcard"),
        pytest.param(WILL, b"\x08" + field("/" * 201), id="response topic of 202 levels"),
    ],
)
def test_value_out_of_range_is_a_protocol_error(place: int, encoded: bytes) -> None:
    """[MQTT-3.3.2-14] and the sections of the properties"""
    error = fault(place, encoded)
    assert (error.code, error.text, error.misplaced) == (0x82, "protocol error.", True)


@pytest.mark.parametrize(
    ("place", "encoded"),
    [
        (PUBLISH, b"\x03" + field(b"\xff")),
        (PUBLISH, b"\x08" + field(b"a\0b")),
        (CONNECT, b"\x15" + field(b"\xc3")),
        (CONNECT, b"\x26" + field(b"\xff") + field(b"ok")),
        (CONNECT, b"\x26" + field(b"ok") + field(b"\xff")),
    ],
)
def test_invalid_text_closes_without_a_word(place: int, encoded: bytes) -> None:
    """[MQTT-1.5.4-1], [MQTT-1.5.7-1]"""
    error = fault(place, encoded)
    assert (error.code, error.text) == (None, "bad socket read/write: Malformed UTF-8")


def test_binary_data_may_be_any_bytes() -> None:
    """MQTT 5.0, section 1.5.6"""
    assert parse(CONNECT, b"\x16" + field(b"\xff\0")) == [(prop.AUTH_DATA, b"\xff\0")]


@pytest.mark.parametrize("encoded", [b"\x0b\x80\x00", b"\x0b\xff\xff\xff\xff\x01", b"\xa6\x00" + field("") + field("")])
def test_integer_in_too_many_bytes_is_malformed(encoded: bytes) -> None:
    """[MQTT-1.5.5-1]"""
    assert fault(SUBSCRIBE, encoded).code == 0x81


def test_first_wrong_property_decides() -> None:
    """Value, place, duplicate: in the order of the packet."""
    assert fault(CONNECT, b"\x21\0\0" + b"\x99").code == 0x82
    assert fault(CONNECT, b"\x99" + b"\x21\0\0").code == 0x81


@given(st.integers(0, 0xFFFFFFF))
def test_variable_byte_integer_survives_the_round_trip(value: int) -> None:
    """[MQTT-1.5.5-1]"""
    encoded = prop.variable(value)
    assert len(encoded) == 1 + (value >= 128) + (value >= 16384) + (value >= 2097152)
    assert Reader(encoded).variable() == value


@given(st.binary(min_size=1, max_size=5))
def test_variable_byte_integer_has_one_form(data: bytes) -> None:
    """[MQTT-1.5.5-1]"""
    reader = Reader(data)
    try:
        value = reader.variable()
    except TruncatedError:
        return
    assert prop.variable(value) == data[: reader.pos]


@pytest.mark.parametrize("value", [-1, 0x10000000])
def test_variable_byte_integer_out_of_range_is_an_error_of_ours(value: int) -> None:
    """MQTT 5.0, section 1.5.5"""
    with pytest.raises(ValueError):
        prop.variable(value)


@given(st.permutations(sorted(ALLOWED[WILL])), st.lists(st.tuples(st.text("ab€"), st.text("ab€"))))
def test_properties_survive_the_round_trip(order: list[int], users: list[tuple[str, str]]) -> None:
    """MQTT 5.0, section 2.2.2"""
    properties: list[Property] = [SAMPLES[identifier] for identifier in order]
    properties += [(prop.USER_PROPERTY, (a.encode(), b.encode())) for a, b in users]
    encoded = prop.encode(properties)
    assert parse(WILL, encoded) == properties
    assert prop.block(properties) == prop.variable(len(encoded)) + encoded


def test_more_properties_than_usual_are_all_read() -> None:
    """Nothing limits their number but the packet."""
    many = [(prop.USER_PROPERTY, (b"n%d" % i, b"v")) for i in range(1000)]
    assert parse(CONNECT, prop.encode(many)) == many


def test_string_of_more_than_65535_bytes_is_an_error_of_ours() -> None:
    """MQTT 5.0, section 1.5.4"""
    with pytest.raises(struct.error):
        prop.string(bytes(65536))
