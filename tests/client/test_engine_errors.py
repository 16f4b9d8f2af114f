"""What the server does wrong: how the client ends, what it tells the server, and what it shows."""

from __future__ import annotations

import pytest

from mosq.client import errors
from mosq.core import Property
from mosq.packets import properties as prop
from tests.client.scripted import Running
from tests.harness import props
from tests.harness.packets import LEVELS, Level, packet, v5, v31, v311

EIGHT: list[Property] = [(prop.TOPIC_ALIAS_MAXIMUM, 2), (prop.RECEIVE_MAXIMUM, 2), (prop.MAXIMUM_PACKET_SIZE, 100)]


def test_a_refused_connack_of_mqtt_3_is_the_end() -> None:
    with Running(v311, debug=True) as it:
        peer = it.start()
        peer.read_packet()
        peer.send(v311.connack(5))
        error = it.ended()
        assert (error.code, error.reason) == (errors.REFUSED, 5)
        assert it.handler.connacks[0].text == "Connection Refused: not authorised"
        peer.expect_closed()
        assert it.handler.lines[-1] == "Client me received CONNACK (5)"


def test_an_unknown_return_code_is_a_protocol_error() -> None:
    with Running(v311) as it:
        peer = it.start()
        peer.read_packet()
        peer.send(v311.connack(9))
        assert (it.ended().code, it.handler.connacks[0].text) == (errors.PROTOCOL, "Connection Refused: unknown reason")


def test_a_refused_connack_of_mqtt_5_is_answered() -> None:
    with Running(v5) as it:
        peer = it.start()
        peer.read_packet()
        peer.send(v5.connack(0x87, properties=props.reason_string("no")))
        error = it.ended()
        assert (error.code, error.reason, it.handler.connacks[0].text) == (errors.PROTOCOL, 0x87, "Not authorized")
        peer.expect_refused(v5.disconnect(0x82))


def test_the_handler_may_answer_a_refusal_itself() -> None:
    with Running(v5) as it:
        it.handler.on_connack = it.client.disconnect
        peer = it.start()
        peer.read_packet()
        peer.send(v5.connack(0x87))
        assert it.ended().code == errors.PROTOCOL
        peer.expect_refused(v5.disconnect())


def test_a_server_that_does_not_know_mqtt_5_says_so_in_the_old_way() -> None:
    with Running(v5) as it:
        peer = it.start()
        peer.read_packet()
        peer.send(b"\x20\x02\x00\x01")
        assert it.ended().reason == 132
        assert it.handler.connacks[0].text == "Unsupported Protocol Version"
        peer.expect_closed()


@pytest.mark.parametrize("level", [v311, v5], ids=str)
@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (2, "Client me received CONNACK with invalid connect flags (2)"),
        (1, "Client me received CONNACK with session present when clean start was set"),
    ],
)
def test_wrong_connack_flags(level: Level, flags: int, line: str) -> None:
    with Running(level, debug=True) as it:
        peer = it.start()
        peer.read_packet()
        peer.send(packet(0x20, bytes((flags, 0)) + level.properties(b"")))
        assert it.ended().code == errors.PROTOCOL
        assert line in it.handler.lines
        peer.expect_refused(*[v5.disconnect(0x82)] * level.is_v5)


def test_mqtt_31_has_no_connack_flags() -> None:
    with Running(v31) as it:
        peer = it.start()
        peer.read_packet()
        peer.send(b"\x20\x02\xff\x00")
        it.until(lambda: it.handler.connacks, "CONNACK")
        assert not it.handler.connacks[0].session_present


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_a_second_connack_is_a_protocol_error(level: Level) -> None:
    with Running(level, debug=True) as it:
        peer = it.up()
        peer.send(level.connack())
        assert it.ended().code == errors.PROTOCOL
        assert "Client me received duplicate CONNACK" in it.handler.lines


def test_an_identifier_assigned_to_a_client_that_has_one() -> None:
    with Running(v5) as it:
        peer = it.start()
        peer.read_packet()
        peer.send(v5.connack(properties=props.assigned_client_id("x")))
        assert it.ended().code == errors.PROTOCOL
        peer.expect_refused(v5.disconnect(0x82))


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x20\x03\0\0\0", errors.MALFORMED),
        (b"\x20\x01\0", errors.MALFORMED),
        (b"\x21\x02\0\0", errors.MALFORMED),
        (v311.publish("t"), errors.PROTOCOL),
        (v311.suback(1, 0), errors.PROTOCOL),
        (b"\x40\xff\xff\xff\xff\xff", errors.MALFORMED),
    ],
)
def test_what_is_no_connack_where_one_is_due(sent: bytes, code: int) -> None:
    with Running(v311) as it:
        peer = it.start()
        peer.read_packet()
        peer.send(sent)
        assert it.ended().code == code
        peer.expect_closed()


# Each with the error, and the reason code that an MQTT 5.0 server is told.
WRONG = {
    "qos 3": (packet(0x36, b"\0\1t\0\1\0"), errors.MALFORMED, 0x81),
    "dup with qos 0": (packet(0x38, b"\0\1t\0"), errors.MALFORMED, 0x81),
    "topic beyond the packet": (packet(0x30, b"\0\x09t"), errors.MALFORMED, 0x81),
    "wildcard in a topic": (v5.publish("a/#"), errors.MALFORMED, 0x81),
    "no identifier": (v5.publish("t", qos=1, mid=0), errors.PROTOCOL, 0x82),
    "no topic": (v5.publish(""), errors.MALFORMED, 0x81),
    "alias never given": (v5.publish("", properties=props.topic_alias(1)), errors.PROTOCOL, 0x82),
    "alias beyond the limit": (v5.publish("t", properties=props.topic_alias(3)), errors.PROTOCOL, 0x94),
    "property that has no place": (v5.publish("t", properties=props.session_expiry(1)), errors.PROTOCOL, 0x82),
    "property twice": (v5.publish("t", properties=2 * props.content_type("a")), errors.DUPLICATE_PROPERTY, 0x82),
    "unknown property": (v5.publish("t", properties=b"\x7e"), errors.MALFORMED, 0x81),
    "property that is no text": (v5.publish("t", properties=b"\x03\0\1\xff"), errors.MALFORMED_UTF8, 0x81),
    "larger than was asked for": (v5.publish("t", bytes(100)), errors.PACKET_TOO_LARGE, 0x95),
    "flags of an acknowledgement": (b"\x41\x02\0\1", errors.MALFORMED, 0x81),
    "reason code of another packet": (v5.puback(1, 0x92), errors.PROTOCOL, 0x82),
    "something after the properties": (packet(0x40, b"\0\1\0\0\0"), errors.MALFORMED, 0x81),
    "suback without codes": (packet(0x90, b"\0\1\0"), errors.MALFORMED, 0x81),
    "suback without identifier": (v5.suback(0, 0), errors.MALFORMED, 0x81),
    "suback with flags": (packet(0x92, b"\0\1\0\0"), errors.MALFORMED, 0x81),
    "unsuback of nothing": (packet(0xB0, b"\0"), errors.MALFORMED, 0x81),
    "pingresp with a body": (b"\xd0\x01\0", errors.MALFORMED, 0x81),
    "auth": (v5.auth(0x18, props.auth_method("m")), errors.NOT_AUTHORISED, None),
    "malformed auth": (packet(0xF0, b"\x18\x05"), errors.MALFORMED, 0x81),
    "disconnect with a property of others": (v5.disconnect(0, props.receive_maximum(1)), errors.PROTOCOL, 0x82),
    "five bytes of length": (b"\x30\xff\xff\xff\xff\xff", errors.MALFORMED, 0x81),
    "packet type 0": (b"\0\0", errors.PROTOCOL, 0x82),
    "a client's packet": (v5.subscribe(1, "a"), errors.PROTOCOL, 0x82),
    "a client's ping": (b"\xc0\0", errors.PROTOCOL, 0x82),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_packets_of_an_mqtt_5_server(what: str) -> None:
    sent, code, reason = WRONG[what]
    with Running(v5, properties=EIGHT, debug=True) as it:
        peer = it.up()
        peer.send(sent)
        error = it.ended()
        assert error.code == code
        if reason is not None:
            assert it.handler.lines[-1] == "Client me sending DISCONNECT"
            peer.expect(v5.disconnect(reason))
        peer.expect_closed()


def test_the_server_hears_why_even_if_it_has_said_more_than_was_read() -> None:
    with Running(v5) as it:
        peer = it.up()
        peer.send(packet(0x36, b"\0\1t\0\1\0"), *[v5.publish("t", bytes(60000))] * 4)
        peer.expect_refused(v5.disconnect(0x81))


@pytest.mark.parametrize(("first", "shown"), [(0x82, 128), (0xA2, 160), (0xC0, 192), (0x10, 16), (0x00, 0)])
def test_a_packet_that_no_server_sends_is_named(first: int, shown: int) -> None:
    with Running(v311, debug=True) as it:
        peer = it.up()
        peer.send(bytes((first, 0)))
        assert it.ended().code == errors.PROTOCOL
        assert it.handler.lines[-1] == f"Error: Unrecognised command {shown}\n"


def test_more_than_receive_maximum_is_an_error() -> None:
    with Running(v5, properties=EIGHT) as it:
        peer = it.up()
        peer.send(*(v5.publish("t", qos=2, mid=mid) for mid in (1, 2, 3)))
        assert it.ended().code == errors.PROTOCOL
        peer.expect(v5.pubrec(1), v5.pubrec(2), v5.disconnect(0x93))


def test_receive_maximum_does_not_count_what_an_earlier_session_left() -> None:
    with Running(v5, properties=EIGHT) as it:
        it.handler.again = 0.01
        peer = it.up()
        peer.send(*(v5.publish("t", b"old", qos=2, mid=mid) for mid in (1, 2)))
        peer.expect(v5.pubrec(1), v5.pubrec(2))
        peer.close()
        peer = it.welcome(it.server.peer())
        peer.send(*(v5.publish("t", b"new", qos=2, mid=mid) for mid in (1, 2)), v5.pubrel(1), v5.pubrel(2))
        peer.expect(v5.pubrec(1), v5.pubrec(2), v5.pubcomp(1), v5.pubcomp(2))
        it.until(lambda: len(it.handler.received) == 2, "the messages")
        assert [message.payload for message in it.handler.received] == [b"new", b"new"]


@pytest.mark.parametrize(("reason", "code"), [(0x8E, errors.NO_CONNECTION), (0, errors.SUCCESS)])
def test_disconnect_of_the_server(reason: int, code: int) -> None:
    with Running(v5, debug=True) as it:
        peer = it.up()
        peer.send(v5.disconnect(reason))
        error = it.ended()
        assert (error.code, error.reason, it.handler.lines[-1]) == (code, reason, f"Received DISCONNECT ({reason})")
        peer.expect_closed()


@pytest.mark.parametrize("sent", [b"\xe0\0", b"\xf0\0"])
def test_mqtt_3_servers_send_neither_disconnect_nor_auth(sent: bytes) -> None:
    with Running(v311) as it:
        peer = it.up()
        peer.send(sent)
        assert it.ended().code == errors.PROTOCOL


def test_texts_and_what_is_fatal() -> None:
    assert str(errors.ClientError(errors.LOST)) == "The connection was lost"
    assert errors.text_of(131) == "Implementaion specific error" and errors.reason_text(131) != errors.text_of(131)
    assert errors.text_of(99) == "Unknown error" and errors.reason_text(99) == "Unknown reason"
    fatal = {code for code in range(40) if errors.ClientError(code).fatal}
    assert fatal == {1, 2, 3, 8, 9, 10, 11, 12, 13, 15, 16}
