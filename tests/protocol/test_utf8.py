"""Well-formed and allowed characters wherever a packet carries a string; MQTT 1.5.4 (3.1.1: 1.5.3)."""

from __future__ import annotations

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.packets import LEVELS, Level, Subscription, v5

BAD = {
    "nul": b"\x00",
    "u+0001": b"\x01",
    "u+001f": b"\x1f",
    "u+007f": b"\x7f",
    "u+0080": b"\xc2\x80",
    "u+009f": b"\xc2\x9f",
    "surrogate_d800": b"\xed\xa0\x80",
    "surrogate_dfff": b"\xed\xbf\xbf",
    "u+fdd0": b"\xef\xb7\x90",
    "u+fdef": b"\xef\xb7\xaf",
    "u+fffe": b"\xef\xbf\xbe",
    "u+ffff": b"\xef\xbf\xbf",
    "u+1fffe": b"\xf0\x9f\xbf\xbe",
    "u+10ffff": b"\xf4\x8f\xbf\xbf",
    "overlong_2": b"\xc0\xaf",
    "overlong_2_high": b"\xc1\xbf",
    "overlong_3": b"\xe0\x80\xaf",
    "overlong_4": b"\xf0\x80\x80\xaf",
    "above_u+10ffff": b"\xf4\x90\x80\x80",
    "f5": b"\xf5\x80\x80\x80",
    "fe": b"\xfe",
    "truncated_2": b"\xc3",
    "truncated_3": b"\xe2\x82",
    "truncated_4": b"\xf0\x9f\x98",
    "stray_continuation": b"\x80",
    "bad_continuation": b"\xc3\x28",
}
GOOD = {
    "u+0020": b" ",
    "u+007e": b"~",
    "u+00a0": b"\xc2\xa0",
    "u+07ff": b"\xdf\xbf",
    "u+0800": b"\xe0\xa0\x80",
    "u+d7ff": b"\xed\x9f\xbf",
    "u+e000": b"\xee\x80\x80",
    "u+fdcf": b"\xef\xb7\x8f",
    "u+fdf0": b"\xef\xb7\xb0",
    "u+feff": b"\xef\xbb\xbf",
    "u+fffd": b"\xef\xbf\xbd",
    "u+10000": b"\xf0\x90\x80\x80",
    "u+10fffd": b"\xf4\x8f\xbf\xbd",
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("level", [LEVELS[1], v5], ids=str)
def test_bad_characters_in_a_topic_name(broker: Broker, name: str, level: Level, bad: bytes) -> None:
    """[MQTT-1.5.4-1 1.5.4-2 3.3.2-1]"""
    client = broker.connected(level, name)
    client.send(level.publish(name.encode() + bad, b"x"))
    client.expect_refused(*([v5.disconnect(0x81)] if level.is_v5 else []))


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_bad_characters_in_a_topic_filter(broker: Broker, name: str, bad: bytes) -> None:
    """[MQTT-3.8.3-1]"""
    client = broker.connected(v5, name)
    client.send(v5.subscribe(1, Subscription(name.encode() + bad)))
    client.expect_refused(v5.disconnect(0x81))


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_bad_characters_in_a_client_id(broker: Broker, level: Level, bad: bytes) -> None:
    """[MQTT-3.1.3-4]"""
    client = broker.client()
    client.send(level.connect(b"a" + bad))
    client.expect_refused(*([v5.connack(0x85)] if level.is_v5 else []))


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("level", [LEVELS[1], v5], ids=str)
def test_bad_characters_in_a_user_name(broker: Broker, name: str, level: Level, bad: bytes) -> None:
    """[MQTT-3.1.3-11 / 3.1.3-12]"""
    client = broker.client()
    client.send(level.connect(name, username=b"a" + bad))
    client.expect_closed()


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_bad_characters_in_a_property(broker: Broker, name: str, bad: bytes) -> None:
    """[MQTT-1.5.4-1 1.5.7-1]"""
    client = broker.connected(v5, name)
    client.send(v5.publish(name, properties=props.user_property("a", b"v" + bad)))
    client.expect_closed()


@pytest.mark.parametrize("good", GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_good_characters_everywhere(broker: Broker, name: str, level: Level, good: bytes) -> None:
    """[MQTT-1.5.4-3] U+FEFF is kept, as every other character."""
    text = name.encode() + good
    client = broker.connected(level, text, username=text, password=b"\0\xff")
    properties = props.user_property(good, good) + props.content_type(good)
    client.send(level.subscribe(1, Subscription(text)), level.publish(text, b"x", properties=properties))
    client.expect(level.suback(1, 0), level.publish(text, b"x", properties=properties))
