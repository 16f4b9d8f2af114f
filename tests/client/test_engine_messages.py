"""Messages that the client receives: when they are acknowledged, when and how they are handed up."""

from __future__ import annotations

import pytest

from mosq.client import Batch, errors
from mosq.core import Property, ffi, lib
from mosq.packets import properties as prop
from tests.client.scripted import Running
from tests.harness import props
from tests.harness.packets import LEVELS, Level, v5, v311


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_each_quality_of_service_is_handed_up_when_its_turn_has_come(level: Level) -> None:
    with Running(level) as it:
        peer = it.up()
        peer.send(
            level.publish("a/0", b"zero", retain=True),
            level.publish("a/1", b"one", qos=1, mid=7),
            level.publish("a/2", b"two", qos=2, mid=8),
            level.publish("a/0", b"after"),
        )
        peer.expect(level.puback(7), level.pubrec(8))
        it.until(lambda: len(it.handler.received) == 3, "three messages")
        peer.send(level.publish("a/2", b"two", qos=2, mid=8, dup=True), level.pubrel(8), level.pubrel(9))
        peer.expect(level.pubrec(8), level.pubcomp(8), level.pubcomp(9))
        it.until(lambda: len(it.handler.received) == 4, "the message of QoS 2")
        assert [(m.topic, m.payload, m.qos, m.mid, m.retain) for m in it.handler.received] == [
            (b"a/0", b"zero", 0, 0, True),
            (b"a/1", b"one", 1, 7, False),
            (b"a/0", b"after", 0, 0, False),
            (b"a/2", b"two", 2, 8, False),
        ]


def test_a_message_is_acknowledged_before_it_is_handed_up() -> None:
    with Running(v311) as it:
        peer = it.up()
        it.handler.on_messages = lambda: peer.expect(v311.puback(1))  # the handler waits for what the server gets
        peer.send(v311.publish("t", b"x", qos=1, mid=1))
        it.until(lambda: it.handler.received, "the message")


def test_a_message_of_qos_2_survives_the_connection_but_not_the_session() -> None:
    with Running(v311, clean_start=False) as it:
        it.handler.again = 0.01
        peer = it.up()
        peer.send(v311.publish("t", b"held", qos=2, mid=1))
        peer.expect(v311.pubrec(1))
        peer.close()
        peer = it.welcome(it.server.peer(), session_present=True)
        peer.send(v311.pubrel(1))
        peer.expect(v311.pubcomp(1))
        it.until(lambda: it.handler.received, "the message")
        assert [message.payload for message in it.handler.received] == [b"held"]
        peer.send(v311.publish("t", b"lost", qos=2, mid=2))
        peer.expect(v311.pubrec(2))
        peer.close()
        peer = it.welcome(it.server.peer())
        peer.send(v311.pubrel(2))
        peer.expect(v311.pubcomp(2))
        it.do(lambda: None)
        assert len(it.handler.received) == 1


def test_properties_are_handed_up_whole_and_in_order() -> None:
    stated = (
        props.user_property("a", "1")
        + props.subscription_id(5)
        + props.message_expiry(9)
        + props.subscription_id(300)
        + props.user_property("b", "")
        + props.correlation_data(b"\0\1")
        + props.content_type("t")
    )
    found: list[Property] = [
        (prop.USER_PROPERTY, (b"a", b"1")),
        (prop.SUBSCRIPTION_ID, 5),
        (prop.MESSAGE_EXPIRY, 9),
        (prop.SUBSCRIPTION_ID, 300),
        (prop.USER_PROPERTY, (b"b", b"")),
        (prop.CORRELATION_DATA, b"\0\1"),
        (prop.CONTENT_TYPE, b"t"),
    ]
    with Running(v5) as it:
        peer = it.up()
        peer.send(v5.publish("t", b"x", properties=stated), v5.publish("t", b"", qos=2, mid=1, properties=stated))
        peer.send(v5.pubrel(1), v5.publish("t", b"none"))
        it.until(lambda: len(it.handler.received) == 3, "the messages")
        assert [m.properties for m in it.handler.received] == [found, found, []]


def test_aliases_of_the_server_stand_for_topics() -> None:
    one = props.topic_alias(1)
    with Running(v5, properties=[(prop.TOPIC_ALIAS_MAXIMUM, 1)]) as it:
        peer = it.up()
        peer.send(
            v5.publish("first", b"", properties=one),
            v5.publish("", b"", properties=one),
            v5.publish("second", b"", properties=one),
            v5.publish("", b"", qos=1, mid=1, properties=one),
        )
        it.until(lambda: len(it.handler.received) == 4, "the messages")
        assert [m.topic for m in it.handler.received] == [b"first", b"first", b"second", b"second"]
        assert it.handler.received[1].properties == [(prop.TOPIC_ALIAS, 1)]


def test_what_comes_at_once_is_one_batch_in_the_order_of_all_packets() -> None:
    with Running(v311) as it:
        peer = it.up()
        peer.send(*(v311.publish("t", b"%d" % n) for n in range(500)), v311.suback(1, 0), v311.publish("t", b"last"))
        it.until(lambda: len(it.handler.received) == 501, "the messages")
        assert [m.payload for m in it.handler.received] == [b"%d" % n for n in range(500)] + [b"last"]
        assert len(it.handler.batches) < 10 and it.handler.subacks


def test_a_large_message_comes_whole() -> None:
    with Running(v311) as it:
        peer = it.up()
        payload = bytes(range(256)) * 40000
        peer.send(v311.publish("t", payload, qos=2, mid=1), v311.publish("t", b"small"))
        peer.expect(v311.pubrec(1))
        peer.send(v311.pubrel(1))
        peer.expect(v311.pubcomp(1))
        it.until(lambda: len(it.handler.received) == 2, "both messages")
        assert it.handler.received[1].payload == payload


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_debug_lines_come_in_the_order_of_the_packets(level: Level) -> None:
    with Running(level, debug=True) as it:
        it.handler.on_messages = lambda: it.handler.lines.append("--")
        peer = it.up()
        it.do(it.client.subscribe, [(b"a/#", 1), (b"b", 2 | 0x28)])
        it.do(it.client.unsubscribe, [b"c"])
        it.do(it.client.publish, b"t", b"12345", 2, True)
        for _ in range(3):
            peer.read_packet()
        peer.send(
            level.suback(1, 1, 2),
            level.unsuback(2, 0),
            level.publish("a/b", b"x", qos=1, mid=4, dup=True),
            level.publish("a/c", b"", retain=True),
            level.pubrec(3),
            level.pubcomp(3),
            level.pubrec(99),
            level.publish("b", b"x", qos=2, mid=5),
            level.pubrel(5),
        )
        peer.expect(level.puback(4), level.pubrel(3), level.pubrel(99), level.pubrec(5), level.pubcomp(5))
        it.until(lambda: len(it.handler.received) == 3, "the messages")
        assert it.handler.lines == [
            "Client me sending CONNECT",
            "Client me received CONNACK (0)",
            "Client me sending SUBSCRIBE (Mid: 1, Topic: a/#, QoS: 1, Options: 0x00)",
            "Client me sending SUBSCRIBE (Mid: 1, Topic: b, QoS: 2, Options: 0x28)",
            "Client me sending UNSUBSCRIBE (Mid: 2, Topic: c)",
            "Client me sending PUBLISH (d0, q2, r1, m3, 't', ... (5 bytes))",
            "Client me received SUBACK",
            "Client me received UNSUBACK",
            "Client me received PUBLISH (d1, q1, r0, m4, 'a/b', ... (1 bytes))",
            "Client me sending PUBACK (m4, rc0)",
            "--",
            "Client me received PUBLISH (d0, q0, r1, m0, 'a/c', ... (0 bytes))",
            "--",
            "Client me received PUBREC (Mid: 3)",
            "Client me sending PUBREL (m3)",
            "Client me received PUBCOMP (Mid: 3, RC:0)",
            "Client me received PUBREC (Mid: 99)",
            "Warning: Received PUBREC from me for an unknown packet identifier 99.",
            "Client me sending PUBREL (m99)",
            "Client me received PUBLISH (d0, q2, r0, m5, 'b', ... (1 bytes))",
            "Client me sending PUBREC (m5, rc0)",
            "Client me received PUBREL (Mid: 5)",
            "Client me sending PUBCOMP (m5)",
            "--",
        ]


def test_a_bridge_routes_what_it_receives() -> None:
    """The same client, in a core that has subscribers: messages go to them, and not to the handler."""
    with Running(v5, route=True) as it:
        core = it.host.core.c
        session = lib.mq_session_new(core, b"local", 5)
        lib.mq_session_durable(session, 1)
        assert lib.mq_subscribe(session, b"in/#", 4, 1, 0) == lib.MQ_OK
        peer = it.up()
        stated = props.subscription_id(3) + props.content_type("t")
        peer.send(v5.publish("in/1", b"x", qos=1, mid=1, properties=stated), v5.publish("in/2", b"y", qos=2, mid=2))
        peer.expect(v5.puback(1), v5.pubrec(2))
        peer.send(v5.pubrel(2))
        peer.expect(v5.pubcomp(2))
        assert it.do(lib.mq_client_pending, session) == 2
        assert not it.handler.received


def test_an_exception_while_messages_are_taken_ends_the_connection() -> None:
    with Running(v5) as it:

        def fail() -> None:
            raise RuntimeError("unforeseen")

        it.handler.on_messages = fail
        peer = it.up()
        peer.send(v5.publish("t"), v5.publish("t"))
        assert it.ended().code == errors.UNKNOWN
        peer.expect_refused(v5.disconnect(0x80))
        it.reported.clear()


# ---- batches by themselves


def batch(*messages: tuple[bytes, bytes, bytes]) -> Batch:
    """Of (topic, properties, payload)."""
    words: list[int] = []
    data = b""
    for topic, stated, payload in messages:
        words += [len(data), len(topic), len(stated), len(payload), 0, 0x31]
        data += topic + stated + payload
    return Batch(data, bytes(ffi.buffer(ffi.new("uint32_t[]", words))))


def test_lines_are_those_of_the_usual_output() -> None:
    it = batch((b"a", b"", b"1"), (b"b/c", b"\x01\x01", b""), (b"d", b"\x01\x00", b"\0\n\xff"))
    assert it.lines(topics=False, newline=True) == b"1\n\0\n\xff\n"
    assert it.lines(topics=True, newline=True) == b"a 1\nb/c (null)\nd \0\n\xff\n"
    assert it.lines(topics=False, newline=False) == b"1\0\n\xff"
    assert it.lines(topics=True, newline=False) == b"a 1d \0\n\xff"
    assert it.payloads() == [b"1", b"", b"\0\n\xff"]
    assert [message.topic for message in it] == [b"a", b"b/c", b"d"] and it[1].properties == [(1, 1)]
    assert it[0].retain and len(it) == 3
    with pytest.raises(IndexError):
        it[3]
