"""The scripts that both brokers run."""

from __future__ import annotations

from collections.abc import Iterator

from tests.harness import props
from tests.harness.packets import LEVELS, Level, Subscription, Will, field, packet, u16, v5, v31, v311, varint
from tests.protocol.test_connect import REFUSALS

from .script import Script, one

PROPERTIES = {
    "payload_format": props.payload_format(1),
    "payload_format_2": props.payload_format(2),
    "message_expiry": props.message_expiry(0),
    "content_type": props.content_type("c"),
    "response_topic": props.response_topic("r"),
    "response_topic_wildcard": props.response_topic("r/#"),
    "correlation_data": props.correlation_data(b"c"),
    "subscription_id": props.subscription_id(1),
    "session_expiry": props.session_expiry(0),
    "assigned_client_id": props.assigned_client_id("a"),
    "server_keep_alive": props.server_keep_alive(1),
    "auth_method": props.auth_method("m"),
    "auth_data": props.auth_data(b"d"),
    "request_problem_info": props.request_problem_info(1),
    "will_delay": props.will_delay(1),
    "request_response_info": props.request_response_info(1),
    "response_info": props.response_info("r"),
    "server_reference": props.server_reference("s"),
    "reason_string": props.reason_string("r"),
    "receive_maximum": props.receive_maximum(5),
    "receive_maximum_0": props.receive_maximum(0),
    "topic_alias_maximum": props.topic_alias_maximum(5),
    "topic_alias": props.topic_alias(5),
    "topic_alias_0": props.topic_alias(0),
    "maximum_qos": props.maximum_qos(1),
    "retain_available": props.retain_available(1),
    "user_property": props.user_property("a", "b"),
    "user_property_twice": props.user_property("a", "b") * 2,
    "user_property_bad_utf8": props.user_property(b"\xff", "b"),
    "maximum_packet_size": props.maximum_packet_size(1000),
    "maximum_packet_size_0": props.maximum_packet_size(0),
    "wildcard_available": props.wildcard_available(1),
    "unknown": b"\x7f\x00",
    "truncated": b"\x26\x00\x05a",
}


def property_scripts() -> Iterator[Script]:
    """Each property in each packet a client sends."""
    for title, encoded in PROPERTIES.items():
        connect = v5.connect(f"prop_{title}")
        yield one(f"property_{title}_connect", v5.connect("p", properties=encoded))
        yield one(f"property_{title}_will", v5.connect("p", will=Will("w", properties=encoded)))
        packets = {
            "publish": v5.publish("diff/p", b"x", qos=1, mid=1, properties=encoded),
            "subscribe": v5.subscribe(1, "diff/none", properties=encoded),
            "unsubscribe": v5.unsubscribe(1, "diff/none", properties=encoded),
            "puback": v5.puback(9, 0, encoded),
            "pubrec": v5.pubrec(9, 0x80, encoded),
            "pubrel": v5.pubrel(9, 0, encoded),
            "pubcomp": v5.pubcomp(9, 0, encoded),
            "disconnect": v5.disconnect(0, encoded),
        }
        for kind, data in packets.items():
            yield one(f"property_{title}_{kind}", connect, data)


def first_byte_scripts() -> Iterator[Script]:
    """Every first byte with a plausible body behind it."""
    for level in LEVELS:
        for first in range(0x20, 0x100):
            body = {
                3: field("diff/f") + u16(1) + level.properties(b""),
                8: u16(1) + level.properties(b"") + field("f") + b"\0",
            }
            body |= {10: u16(1) + level.properties(b"") + field("f"), 12: b"", 13: b"", 14: b""}
            if first >> 4 == 1:
                continue
            yield one(
                f"first_byte_{first:02x}_{level}",
                level.connect(f"first{first}"),
                packet(first, body.get(first >> 4, u16(1))),
            )


def reason_code_scripts() -> Iterator[Script]:
    """Every reason code in the packets that carry one."""
    for code in (0x00, 0x01, 0x04, 0x10, 0x11, 0x18, 0x19, *range(0x80, 0xA3), 0xFF):
        for kind, title in ((4, "puback"), (5, "pubrec"), (6, "pubrel"), (7, "pubcomp")):
            yield one(f"reason_{code:02x}_{title}", v5.connect("r"), v5.acknowledgement(kind, 9, code))
        yield one(f"reason_{code:02x}_disconnect", v5.connect("r"), v5.disconnect(code, b""))


def topic_scripts() -> Iterator[Script]:
    """Good and bad topics where a packet has one."""
    topics = [
        b"",
        b"a",
        b"/",
        b"a/+",
        b"#",
        b"a#",
        b"a+",
        b"+/+",
        b"a/#/b",
        b"$SYS/x",
        b"$SYSx",
        b"$share/g/x",
        b"$share",
        b"$share/g",
    ]
    topics += [
        b"$share//x",
        b"$x/y",
        b"\xff",
        b"a\0b",
        b"\xef\xbb\xbf",
        b"a\x7f",
        b"\xed\xa0\x80",
        b"x/" * 100,
        b"x/" * 199,
        b"x/" * 201,
    ]
    for level in LEVELS:
        for number, topic in enumerate(topics):
            connect = level.connect(f"topic{number}")
            title = f"{number}_{level}"
            yield one(f"topic_publish_{title}", connect, level.publish(topic, b"x"))
            yield one(f"topic_publish_qos1_{title}", connect, level.publish(topic, b"x", qos=1, mid=1))
            yield one(f"topic_publish_qos2_{title}", connect, level.publish(topic, b"x", qos=2, mid=1), level.pubrel(1))
            yield one(
                f"topic_subscribe_{title}", connect, level.subscribe(1, Subscription(topic)), level.publish("diff/none")
            )
            yield one(f"topic_unsubscribe_{title}", connect, level.unsubscribe(1, topic))
            yield one(f"topic_will_{title}", level.connect(f"w{number}", will=Will(topic, b"x")))


def flow_scripts(level: Level) -> Iterator[Script]:
    """Whole conversations between two or three clients."""
    keep = props.session_expiry(60)
    a = level.connect(f"a_{level}")
    resume = level.connect(f"r_{level}", clean=False, properties=keep)
    b = level.connect(f"b_{level}")

    def topic(name: str) -> str:
        return f"flow/{level}/{name}"

    for qos in (0, 1, 2):
        yield Script(
            f"flow_delivery_qos{qos}_{level}",
            (
                ("a", a + level.subscribe(1, topic("d"), qos=qos)),
                ("b", b + level.publish(topic("d"), b"x", qos=qos, mid=5)),
                ("b", level.pubrel(5)),
                ("a", level.puback(1) if qos == 1 else level.pubrec(1) + level.pubcomp(1) if qos else b""),
                ("a", level.disconnect()),
            ),
        )
        yield Script(
            f"flow_offline_queue_qos{qos}_{level}",
            (
                (
                    "a",
                    level.connect(f"q{qos}_{level}", clean=False, properties=keep)
                    + level.subscribe(1, topic(f"q{qos}"), qos=qos),
                ),
                ("a", level.disconnect()),
                (
                    "b",
                    b
                    + level.publish(topic(f"q{qos}"), b"1", qos=1, mid=5)
                    + level.publish(topic(f"q{qos}"), b"2", qos=2, mid=6),
                ),
                ("b", level.pubrel(6)),
                ("a", level.connect(f"q{qos}_{level}", clean=False, properties=keep)),
                ("a", None),
                ("a", level.connect(f"q{qos}_{level}", clean=False, properties=keep)),
                ("a", None),
                ("a", level.connect(f"q{qos}_{level}", clean=True)),
            ),
        )
        yield Script(
            f"flow_retained_qos{qos}_{level}",
            (
                ("b", b + level.publish(topic(f"r{qos}"), b"1", qos=qos, mid=5, retain=True)),
                ("b", level.pubrel(5)),
                ("a", a + level.subscribe(1, topic(f"r{qos}"), qos=1)),
                ("a", level.subscribe(2, topic(f"r{qos}"), qos=0)),
                ("b", level.publish(topic(f"r{qos}"), b"", retain=True)),
                ("a", level.subscribe(2, topic(f"r{qos}"), qos=0)),
            ),
        )
    yield Script(f"flow_take_over_{level}", (("a", a), ("b", a), ("b", level.disconnect())))
    yield Script(
        f"flow_resume_{level}", (("a", resume), ("a", None), ("b", resume), ("b", level.disconnect()), ("a", resume))
    )
    yield Script(f"flow_second_connect_{level}", (("a", a), ("a", a)))
    for end, last in (("close", None), ("disconnect", level.disconnect()), ("error", b"\xd0\0")):
        yield Script(
            f"flow_will_after_{end}_{level}",
            (
                ("b", b + level.subscribe(1, topic(f"will_{end}"), qos=1)),
                ("a", level.connect(f"will_{end}_{level}", will=Will(topic(f"will_{end}"), b"gone", 1))),
                ("a", last),
                ("b", b""),
            ),
        )
    yield one(
        f"flow_overlap_{level}",
        a + level.subscribe(1, topic("o/a"), topic("o/+"), topic("o/#"), qos=1),
        level.publish(topic("o/a"), b"x", qos=1, mid=1),
        level.unsubscribe(2, topic("o/+"), topic("o/none")),
        level.publish(topic("o/a"), b"x"),
    )
    yield Script(
        f"flow_shared_{level}",
        (
            ("a", a + level.subscribe(1, f"$share/g/{topic('s')}")),
            ("b", b + level.subscribe(1, f"$share/g/{topic('s')}")),
            ("c", level.connect(f"c_{level}") + level.publish(topic("s"), b"1")),
            ("c", level.publish(topic("s"), b"2")),
            ("c", level.publish(topic("s"), b"3")),
            ("b", level.disconnect()),
            ("c", level.publish(topic("s"), b"4")),
            ("c", level.publish(topic("s"), b"5")),
        ),
    )
    yield one(
        f"flow_qos2_duplicate_{level}",
        a + level.subscribe(1, topic("dup")),
        level.publish(topic("dup"), b"x", qos=2, mid=9),
        level.publish(topic("dup"), b"x", qos=2, mid=9, dup=True),
        level.pubrel(9),
        level.pubrel(9),
    )
    yield one(
        f"flow_puback_for_qos2_{level}",
        a + level.subscribe(1, topic("w"), qos=2) + level.publish(topic("w"), b"x", qos=2, mid=1),
        level.pubrel(1),
        level.puback(1),
    )
    yield one(
        f"flow_pubrec_for_qos1_{level}",
        a + level.subscribe(1, topic("w1"), qos=2) + level.publish(topic("w1"), b"x", qos=1, mid=1),
        level.pubrec(1),
    )
    yield one(
        f"flow_pubcomp_early_{level}",
        a + level.subscribe(1, topic("w2"), qos=2) + level.publish(topic("w2"), b"x", qos=2, mid=1),
        level.pubrel(1),
        level.pubcomp(1),
    )
    yield one(f"flow_unknown_acks_{level}", a, level.puback(7), level.pubrec(7), level.pubrel(7), level.pubcomp(7))
    yield one(
        f"flow_window_{level}",
        a + level.subscribe(1, topic("n"), qos=1),
        *[level.publish(topic("n"), b"x", qos=1, mid=i) for i in range(1, 24)],
        level.puback(1),
    )


def v5_scripts() -> Iterator[Script]:
    """What only MQTT 5.0 has."""
    a = v5.connect("five_a")
    alias = props.topic_alias(3)
    yield one(
        "v5_alias",
        a + v5.subscribe(1, "five/alias"),
        v5.publish("five/alias", b"1", properties=alias),
        v5.publish("", b"2", properties=alias),
    )
    yield one("v5_alias_unknown", a, v5.publish("", b"2", properties=alias))
    yield one("v5_alias_too_large", a, v5.publish("five", b"2", properties=props.topic_alias(11)))
    yield one("v5_empty_id", v5.connect(""))
    yield one("v5_empty_id_clean_start_0", v5.connect("", clean=False))
    yield one(
        "v5_subscription_ids",
        a,
        v5.subscribe(1, "five/id", properties=props.subscription_id(268_435_455)),
        v5.publish("five/id", b"x"),
    )
    for options in range(64):
        yield one(
            f"v5_subscription_options_{options:02x}",
            v5.connect("five_o"),
            packet(0x82, u16(1) + b"\0" + field("five/o") + bytes([options])),
            v5.publish("five/o", b"x", qos=1, mid=1),
            v5.unsubscribe(1, "five/o"),
        )
        shared = packet(0x82, u16(1) + b"\0" + field("$share/g/five/o") + bytes([options]))
        yield one(f"v5_shared_options_{options:02x}", v5.connect("five_o"), shared)
    for handling in (0, 1, 2):
        subscribe = v5.subscribe(1, Subscription(f"five/h{handling}", retain_handling=handling))
        yield one(
            f"v5_retain_handling_{handling}",
            a + v5.publish(f"five/h{handling}", b"x", retain=True),
            subscribe,
            subscribe,
            v5.publish(f"five/h{handling}", retain=True),
        )
    given = (
        props.user_property("b", "1")
        + props.content_type("c")
        + props.payload_format(1)
        + props.correlation_data(b"d")
        + props.response_topic("r")
    )
    yield one(
        "v5_property_order",
        a + v5.subscribe(1, "five/order", properties=props.subscription_id(1)),
        v5.publish("five/order", b"x", properties=given),
    )
    yield one(
        "v5_packet_size",
        v5.connect("five_s", properties=props.maximum_packet_size(60)) + v5.subscribe(1, "five/s"),
        v5.publish("five/s", b"x" * 60),
        v5.publish("five/s", b"x"),
    )
    yield one("v5_packet_size_too_small", v5.connect("five_s", properties=props.maximum_packet_size(10)))
    yield one(
        "v5_no_local",
        a,
        v5.subscribe(1, Subscription("five/l", no_local=True)),
        v5.publish("five/l", b"x", qos=1, mid=1),
    )
    yield one("v5_disconnect_expiry", a, v5.disconnect(0, props.session_expiry(5)))
    yield one("v5_auth_unknown_method", v5.connect("five_m", properties=props.auth_method("m")))
    yield one("v5_auth_packet", a, v5.auth(0x18, props.auth_method("m")))
    yield one(
        "v5_receive_maximum_1",
        v5.connect("five_r", properties=props.receive_maximum(1)) + v5.subscribe(1, "five/r", qos=1),
        v5.publish("five/r", b"1", qos=1, mid=1) + v5.publish("five/r", b"2", qos=1, mid=2),
        v5.puback(1),
        v5.puback(2),
    )
    yield Script(
        "v5_will_delay_take_over",
        (
            ("b", v5.connect("five_w") + v5.subscribe(1, "five/will")),
            (
                "a",
                v5.connect(
                    "five_d",
                    properties=props.session_expiry(60),
                    will=Will("five/will", b"x", properties=props.will_delay(60)),
                ),
            ),
            ("a", None),
            ("a", v5.connect("five_d", clean=False)),
            ("b", b""),
        ),
    )
    yield Script(
        "v5_disconnect_with_will",
        (
            ("b", v5.connect("five_w") + v5.subscribe(1, "five/will4")),
            ("a", v5.connect("five_4", will=Will("five/will4", b"x"))),
            ("a", v5.disconnect(4)),
            ("b", b""),
        ),
    )


def framing_scripts() -> Iterator[Script]:
    """Lengths and ends."""
    yield one("framing_five_length_bytes", v311.connect("f1"), b"\x30\x80\x80\x80\x80\x01")
    yield one("framing_overlong_length", v311.connect("f2"), b"\xc0\x80\x00")
    yield one("framing_oversize_v3", v311.connect("f3"), b"\x30" + varint(2_000_000))
    yield one("framing_oversize_v5", v5.connect("f4"), b"\x30" + varint(2_000_000))
    yield one("framing_incomplete", v311.connect("f5"), b"\x30\x0a\0\1a")
    yield one(
        "framing_all_in_one",
        v311.connect("f6") + v311.subscribe(1, "framing") + v311.publish("framing", b"x") + b"\xc0\0",
    )
    yield one("framing_nothing", b"")
    for level in LEVELS:
        for sample in (
            level.publish("framing/cut", b"x", qos=1, mid=1),
            level.subscribe(1, "framing/cut"),
            level.unsubscribe(1, "framing/cut"),
        ):
            for length in range(len(sample) - 2):
                yield one(
                    f"framing_cut_{sample[0]:02x}_{length}_{level}",
                    level.connect("cut"),
                    packet(sample[0], sample[2 : 2 + length]),
                )


def all_scripts() -> list[Script]:
    """Every script, by unique name."""
    scripts = [one(f"connect_{case.title}", case.sent) for case in REFUSALS]
    for level in (v31, v311, v5):
        scripts += flow_scripts(level)
    for more in (property_scripts, first_byte_scripts, reason_code_scripts, topic_scripts, v5_scripts, framing_scripts):
        scripts += more()
    assert len({s.name for s in scripts}) == len(scripts)
    return scripts
