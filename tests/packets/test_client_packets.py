"""Packets of the other direction: what a client writes, the broker reads; what a server writes, the client reads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosq.core import Property
from mosq.packets import connack, connect, disconnect, suback, subscribe, unsuback, unsubscribe
from mosq.packets import properties as prop
from mosq.packets.connect import Rules, Will
from mosq.packets.error import ProtocolError
from tests.harness import props
from tests.harness.packets import LEVELS, Level, Subscription, v5, v31, v311
from tests.harness.packets import Will as SentWill

EXAMPLES = settings(max_examples=200, deadline=None, derandomize=True)
USER: list[Property] = [(prop.USER_PROPERTY, (b"a", b"b"))]


def body(packet: bytes) -> bytes:
    """What follows the remaining length, for packets of less than 128 bytes."""
    assert packet[1] == len(packet) - 2
    return packet[2:]


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_connect(level: Level) -> None:
    will = Will(b"w", b"gone", 2, True, prop.encode(USER), expiry=8, delay=9)
    packet = connect.encode(
        level.number,
        b"me",
        clean_start=False,
        keepalive=258,
        will=will,
        username=b"u",
        password=b"",
        properties=USER,
    )
    sent = props.user_property("a", "b") + props.will_delay(9) + props.message_expiry(8)
    assert packet == level.connect(
        "me",
        clean=False,
        keepalive=258,
        will=SentWill("w", b"gone", 2, True, sent),
        username="u",
        password=b"",
        properties=props.user_property("a", "b"),
    )
    read = connect.parse(packet[0], body(packet), "peer", Rules())
    assert (read.version, read.client_id, read.keepalive, read.clean_start) == (level.number, "me", 258, False)


def test_connect_of_a_bridge() -> None:
    packet = connect.encode(4, b"b", clean_start=True, keepalive=60, bridge=True)
    assert packet == v311.connect("b", level=0x84)
    assert connect.parse(packet[0], body(packet), "peer", Rules()).bridge


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_subscribe_unsubscribe_and_disconnect(level: Level) -> None:
    number, user = level.number, props.user_property("a", "b")
    wanted = level.subscribe(7, Subscription("a", 1), Subscription("b/#", 2), properties=user)
    assert subscribe.encode(number, 7, [(b"a", 1), (b"b/#", 2)], USER) == wanted
    assert unsubscribe.encode(number, 8, [b"a", b"b/#"], USER) == level.unsubscribe(8, "a", "b/#", properties=user)
    assert disconnect.encode(0) == b"\xe0\x00"
    assert disconnect.encode(4) == v5.disconnect(4)
    assert disconnect.encode(0, USER) == v5.disconnect(0, user)


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_what_the_broker_answers_is_read(level: Level) -> None:
    number = level.number
    packet = connack.accept(number, True, maximum_packet_size=9, receive_maximum=3)
    flags, code, stated = connack.parse(number, packet[0], body(packet))
    assert (flags, code) == (0 if level is v31 else 1, 0)
    assert list(stated) == [(prop.MAXIMUM_PACKET_SIZE, 9), (prop.RECEIVE_MAXIMUM, 3)] * level.is_v5
    packet = suback.encode(number, 258, (0, 1, 128))
    assert suback.parse(number, packet[0], body(packet)) == (258, b"\0\1\x80", ())
    packet = unsuback.encode(number, 258, (0, 17))
    assert unsuback.parse(number, packet[0], body(packet)) == (258, b"\0\x11" if level.is_v5 else b"", ())


Parse = Callable[[int, int, bytes], object]


@pytest.mark.parametrize(("parse", "first"), [(connack.parse, 0x20), (suback.parse, 0x90), (unsuback.parse, 0xB0)])
@EXAMPLES
@given(version=st.sampled_from((3, 4, 5)), flags=st.integers(0, 15), data=st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(parse: Parse, first: int, version: int, flags: int, data: bytes) -> None:
    for head in (first, first | flags):
        try:
            parse(version, head, data)
        except ProtocolError as error:
            assert error.code in (None, 0x81, 0x82)
        else:
            assert head == first
