"""The client engine from CONNECT to the end, against a server that says what the test wants."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from mosq.client import BACKING_OFF, ENDED, ClientError, Will, errors
from mosq.client.transport.tcp import Tcp, Unix
from mosq.core import Property
from mosq.packets import properties as prop
from tests.client.scripted import Running
from tests.clients.server import Peer
from tests.harness import props
from tests.harness.packets import LEVELS, Level, Subscription, default_connack_properties, v5, v31, v311
from tests.harness.packets import Will as SentWill

AGAIN = 0.01


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_connect_says_what_the_settings_say(level: Level) -> None:
    will = Will(b"w", b"gone", 1, True, b"\x03\x00\x01t" if level.is_v5 else b"")
    stated: list[Property] = [(prop.RECEIVE_MAXIMUM, 7), (prop.USER_PROPERTY, (b"a", b"b"))] if level.is_v5 else []
    with Running(
        level, clean_start=False, keepalive=9, will=will, username=b"u", password=b"p", properties=stated
    ) as it:
        assert it.start().read_packet() == level.connect(
            "me",
            clean=False,
            keepalive=9,
            will=SentWill("w", b"gone", 1, True, props.content_type("t")),
            username="u",
            password="p",
            properties=props.receive_maximum(7) + props.user_property("a", "b"),
        )


def test_a_password_needs_no_user_name() -> None:
    with Running(v5, password=b"p") as it:
        assert it.start().read_packet() == v5.connect("me", password="p")


def test_mqtt_31_makes_up_an_identifier() -> None:
    with Running(v31, client_id=b"") as it:
        name = it.start().read_packet()[16:]
        assert name.startswith(b"mosq-") and name[5:].isalnum() and len(name) == 23


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_packet_identifiers_are_shared_by_all_and_go_on_after_a_reconnection(level: Level) -> None:
    with Running(level) as it:
        it.handler.again = AGAIN
        peer = it.up()
        assert it.do(it.client.subscribe, [(b"a", 1), (b"b/#", 2)]) == 1
        assert it.do(it.client.publish, b"t", b"0") == 2
        assert it.do(it.client.unsubscribe, [b"a"]) == 3
        assert it.do(it.client.publish, b"t", b"1", 1) == 4
        peer.expect(
            level.subscribe(1, Subscription("a", 1), Subscription("b/#", 2)),
            level.publish("t", b"0"),
            level.unsubscribe(3, "a"),
            level.publish("t", b"1", qos=1, mid=4),
        )
        peer.send(level.suback(1, 1, 2), level.unsuback(3, 0), level.puback(4))
        it.until(lambda: it.handler.unsubacks and it.handler.completed, "the acknowledgements")
        assert it.handler.subacks == [(1, b"\1\2")]
        assert it.handler.unsubacks == [(3, b"\0" if level.is_v5 else b"")]
        peer.close()
        peer = it.welcome(it.server.peer())
        assert it.do(it.client.publish, b"t", b"5", 2) == 5


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_what_was_not_acknowledged_is_sent_again_and_what_was_never_sent_is_not_a_duplicate(level: Level) -> None:
    with Running(level, window=3, clean_start=True) as it:
        it.handler.again = AGAIN
        peer = it.up(b"")
        for qos, payload in ((1, b"one"), (2, b"two"), (2, b"released"), (1, b"queued")):
            it.do(it.client.publish, b"t", payload, qos)
        for _ in range(3):
            peer.read_packet()
        peer.send(level.pubrec(3))
        peer.expect(level.pubrel(3))
        peer.close()
        it.ended()
        assert it.do(it.client.publish, b"t", b"offline", 1) == 5
        peer = it.welcome(it.server.peer(), b"")
        peer.expect(
            level.publish("t", b"one", qos=1, mid=1, dup=True),
            level.publish("t", b"two", qos=2, mid=2, dup=True),
            level.pubrel(3),
        )
        peer.send(level.puback(1), level.pubrec(2), level.pubcomp(3))
        peer.expect_in_any_order(
            level.pubrel(2),
            level.publish("t", b"queued", qos=1, mid=4),
            level.publish("t", b"offline", qos=1, mid=5),
        )
        assert not it.handler.completed
        peer.send(level.pubcomp(2), level.puback(4), level.puback(5))
        it.until(lambda: it.handler.completed == 1, "completion")


def test_a_server_that_takes_less_after_a_reconnection_gets_less_at_a_time() -> None:
    with Running(v5) as it:
        it.handler.again = AGAIN
        peer = it.up(props.receive_maximum(3))
        for payload in (b"1", b"2", b"3"):
            it.do(it.client.publish, b"t", payload, 2)
        peer.received_messages(3)
        peer.send(v5.pubrec(2))
        peer.expect(v5.pubrel(2))
        peer.close()
        peer = it.welcome(it.server.peer(), props.receive_maximum(2))
        peer.expect(v5.publish("t", b"1", qos=2, mid=1, dup=True), v5.pubrel(2))
        peer.send(v5.pubcomp(2))
        peer.expect(v5.publish("t", b"3", qos=2, mid=3, dup=True))


def test_qos_0_without_a_connection_is_an_error_and_lines_are_lost() -> None:
    with Running(v311) as it:
        it.handler.again = AGAIN
        peer = it.up()
        it.handler.again = 60
        peer.close()
        it.ended()
        assert it.client.state == BACKING_OFF
        with pytest.raises(ClientError) as caught:
            it.do(it.client.publish, b"t", b"")
        assert caught.value.code == errors.NO_CONNECTION
        assert it.do(it.client.publish_lines, b"a\nb\nc", b"t") == (4, 2)
        assert it.client.pending == 0


def test_a_window_replaced_by_the_server_may_be_larger() -> None:
    with Running(v5, window=2) as it:
        peer = it.up(props.receive_maximum(4))
        for _ in range(6):
            it.do(it.client.publish, b"t", b"", 1)
        assert len(peer.received_messages(4)) == 4
        assert it.client.pending == 6
        peer.send(v5.puback(2))
        peer.expect(v5.publish("t", qos=1, mid=5))


def test_limits_of_the_server_refuse_what_is_published() -> None:
    stated = props.maximum_qos(1) + props.maximum_packet_size(30) + props.retain_available(0)
    with Running(v5, debug=True) as it:
        peer = it.up(stated)

        def refused(*args: object) -> int:
            with pytest.raises(ClientError) as caught:
                it.do(it.client.publish, *args)
            return caught.value.code

        assert refused(b"t", b"", 2) == errors.QOS_NOT_SUPPORTED
        assert refused(b"t", bytes(30), 1) == errors.PACKET_TOO_LARGE
        assert it.handler.lines[-1] == "Dropping too large outgoing PUBLISH (36 bytes)"
        assert refused(b"t/#", b"") == errors.INVALID
        assert refused(b"", b"") == errors.INVALID
        it.do(it.client.publish, b"t", bytes(22), 1, True)
        peer.expect(v5.publish("t", bytes(22), qos=1, mid=1))


def test_properties_that_may_not_be_sent_are_refused() -> None:
    def code(it: Running, properties: list[Property]) -> int:
        with pytest.raises(ClientError) as caught:
            it.do(it.client.publish, b"t", b"", 0, False, properties)
        return caught.value.code

    with Running(v5) as it:
        it.up()
        assert code(it, [(prop.PAYLOAD_FORMAT, 2)]) == errors.PROTOCOL
        assert code(it, [(prop.RESPONSE_TOPIC, b"a/+")]) == errors.PROTOCOL
        assert code(it, [(prop.CONTENT_TYPE, b"a"), (prop.CONTENT_TYPE, b"b")]) == errors.DUPLICATE_PROPERTY
        assert code(it, [(prop.USER_PROPERTY, (b"a", b"\xff"))]) == errors.MALFORMED_UTF8
        assert code(it, [(prop.CONTENT_TYPE, bytes(65536))]) == errors.INVALID
        assert code(it, [(prop.MESSAGE_EXPIRY, 1 << 32)]) == errors.INVALID
        with pytest.raises(ClientError):
            it.do(it.client.disconnect, 0, [(prop.RECEIVE_MAXIMUM, 1)])
        assert not it.handler.ends
    with Running(v311) as it:
        it.up()
        assert code(it, [(prop.PAYLOAD_FORMAT, 1)]) == errors.NOT_SUPPORTED
    with pytest.raises(ClientError) as caught, Running(v5, properties=[(prop.RECEIVE_MAXIMUM, 0)]):
        pass
    assert caught.value.code == errors.PROTOCOL


def test_a_chosen_alias_is_introduced_on_each_connection_and_dropped_beyond_the_limit() -> None:
    alias: list[Property] = [(prop.TOPIC_ALIAS, 3), (prop.USER_PROPERTY, (b"a", b"b"))]
    user = props.user_property("a", "b")
    with Running(v5, debug=True) as it:
        it.handler.again = AGAIN
        peer = it.up(props.topic_alias_maximum(5))
        for topic in (b"t", b"t", b"u", b"t"):
            it.do(it.client.publish, topic, b"x", 0, False, alias)
        sent = user + props.topic_alias(3)
        peer.expect(*(v5.publish(topic, b"x", properties=sent) for topic in ("t", "", "u", "t")))
        assert it.handler.lines[-3:] == [
            "Client me sending PUBLISH (d0, q0, r0, m2, '(null)', ... (1 bytes))",
            "Client me sending PUBLISH (d0, q0, r0, m3, 'u', ... (1 bytes))",
            "Client me sending PUBLISH (d0, q0, r0, m4, 't', ... (1 bytes))",
        ]
        peer.close()
        peer = it.welcome(it.server.peer(), props.topic_alias_maximum(5))
        it.do(it.client.publish, b"t", b"x", 0, False, alias)
        peer.expect(v5.publish("t", b"x", properties=sent))
        peer.close()
        peer = it.welcome(it.server.peer(), props.topic_alias_maximum(2))
        it.do(it.client.publish, b"t", b"x", 0, False, alias)
        peer.expect(v5.publish("t", b"x", properties=user))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_lines_are_published_in_order_and_the_rest_is_left(level: Level) -> None:
    with Running(level) as it:
        peer = it.up()
        assert it.do(it.client.publish_lines, b"one\r\n\n\0\xff\nrest", b"t", 1) == (9, 3)
        assert it.do(it.client.publish_lines, b"rest", b"t", 1, last=True) == (4, 1)
        payloads = (b"one\r", b"", b"\0\xff", b"rest")
        peer.expect(*(level.publish("t", p, qos=1, mid=n) for n, p in enumerate(payloads, 1)))


def test_lines_are_bounded_while_the_server_does_not_answer() -> None:
    with Running(v311) as it:
        peer = it.up()
        data, done = b"x\n" * 30000, 0
        while it.do(lambda: it.client.room):
            done += it.do(it.client.publish_lines, data[done:], b"t", 1)[0]
        waiting = it.client.pending
        assert 20 < waiting < 15000 and done == 2 * waiting
        peer.received_messages(20)
        peer.send(*(v311.puback(mid) for mid in range(1, 21)))
        it.until(lambda: it.client.room > 0, "room")


def test_large_lines_are_bounded_by_their_bytes() -> None:
    with Running(v311) as it:
        it.handler.again = 60
        it.up().close()
        it.ended()
        data, done = b"x" * 1_000_000 + b"\n", 0
        while it.do(lambda: it.client.room):
            done += it.do(it.client.publish_lines, data, b"t", 1)[1]
        assert done == 34


def test_completion_is_told_once_and_refusals_with_their_reason() -> None:
    with Running(v5) as it:
        peer = it.up()
        for qos in (1, 2, 2, 1):
            it.do(it.client.publish, b"t", b"", qos)
        peer.received_messages(4)
        peer.send(v5.puback(1, 0x87, props.reason_string("no")), v5.pubrec(2, 0x97), v5.pubrec(3))
        peer.expect(v5.pubrel(3))
        peer.send(v5.pubcomp(3, 0x92), v5.puback(4, 0x10))
        it.until(lambda: it.handler.completed, "completion")
        assert it.handler.completed == 1
        found = [(r.mid, r.packet, r.reason, r.reason_string, r.text) for r in it.handler.refusals]
        assert found == [
            (1, 4, 0x87, b"no", "Not authorized"),
            (2, 5, 0x97, b"", "Quota exceeded"),
            (3, 7, 0x92, b"", "Packet Identifier not found"),
        ]


# ---- the end


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_disconnect_follows_what_was_published_and_waits_for_the_server(level: Level) -> None:
    with Running(level) as it:
        peer = it.up()

        def last() -> None:
            it.client.publish(b"t", b"last")
            it.client.disconnect(4)

        it.do(last)
        peer.expect(level.publish("t", b"last"), level.disconnect(4))
        peer.send(level.publish("t", b"late", qos=1, mid=1))
        peer.expect_closed()
        assert not it.handler.ends, "it waits until the server closes"
        peer.close()
        assert it.ended().code == errors.SUCCESS
        assert it.client.state == ENDED and not it.handler.received


def test_a_server_that_does_not_close_is_left() -> None:
    with Running(v5, clean_end=0.05) as it:
        peer = it.up()
        it.do(it.client.disconnect, 0, [(prop.REASON_STRING, b"bye")])
        peer.expect(v5.disconnect(0, props.reason_string("bye")))
        assert it.ended().code == errors.SUCCESS


def test_a_large_message_before_disconnect_arrives_whole() -> None:
    with Running(v311) as it:
        peer = it.up()
        payload = os.urandom(10_000_000)

        def last() -> None:
            it.client.publish(b"t", payload)
            it.client.disconnect()

        it.do(last)
        peer.expect(v311.publish("t", payload), v311.disconnect())


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_disconnect_without_a_connection_is_over_at_once(level: Level) -> None:
    with Running(level) as it:
        it.handler.again = 60
        peer = it.up()
        peer.close()
        it.ended()
        it.do(it.client.disconnect)
        assert it.ended(2).code == errors.SUCCESS
        assert it.client.state == ENDED


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_disconnect_may_be_said_before_connack(level: Level) -> None:
    with Running(level) as it:
        peer = it.start()
        peer.read_packet()
        it.do(it.client.disconnect)
        peer.expect(level.disconnect())


def test_a_message_that_ends_the_client_is_the_last_one_acknowledged() -> None:
    with Running(v311, clean_start=False) as it:
        peer = it.up()
        it.do(it.client.batch, 2)
        it.handler.on_messages = it.client.disconnect
        peer.send(*(v311.publish("t", b"", qos=1, mid=mid) for mid in range(1, 6)))
        peer.expect(v311.puback(1), v311.puback(2), v311.disconnect())
        peer.close()
        it.ended()
        assert len(it.handler.received) == 2


# ---- attempts


def test_a_refused_connection_has_the_error_of_the_system() -> None:
    with Running(v311) as it:
        it.server.__exit__(None, None, None)
        it.do(it.client.start)
        error = it.ended()
        assert (error.code, str(error), it.handler.reached) == (errors.ERRNO, "Connection refused", 0)


@pytest.mark.parametrize(
    ("dial", "code"),
    [
        (lambda: Tcp("127.0.0.1", 0), errors.INVALID),
        (lambda: Tcp("127.0.0.1", 65536), errors.INVALID),
        (lambda: Tcp("", 1883), errors.LOOKUP),
        (lambda: Tcp("a..b", 1883), errors.LOOKUP),
        (lambda: Unix("/" + 107 * "x"), errors.INVALID),
        (lambda: Unix(""), errors.INVALID),
        (lambda: Unix("/nowhere/at/all"), errors.ERRNO),
    ],
)
def test_what_cannot_be_reached(dial: object, code: int) -> None:
    with Running(v311, dial=dial) as it:
        it.do(it.client.start)
        assert it.ended().code == code


def test_the_next_address_is_tried() -> None:
    def addresses(host: str, port: int) -> list[tuple[int, object]]:
        port = it.server.port
        return [
            (socket.AF_INET, ("127.0.0.1", 1)),
            (socket.AF_INET6, ("::1", 1)),
            (socket.AF_INET, ("127.0.0.1", port)),
        ]

    with Running(v311, dial=lambda: Tcp("x", 1, resolver=addresses)) as it:
        it.up()
        assert it.handler.reached == 1


def test_the_local_address_may_be_chosen() -> None:
    with Running(v311, dial=lambda: Tcp("127.0.0.1", it.server.port, bind="127.0.0.7", nodelay=True)) as it:
        assert it.up().sock.getpeername()[0] == "127.0.0.7"


def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with Running(v5, dial=lambda: Unix(path)) as it:
            it.do(it.client.start)
            peer = it.welcome(Peer(listener.accept()[0], v5))
            it.do(it.client.disconnect)
            peer.expect_refused(v5.disconnect())
            peer.close()
            assert it.ended().code == errors.SUCCESS


def test_attempts_are_counted_until_one_is_accepted() -> None:
    with Running(v311) as it:
        it.handler.again = AGAIN
        it.start().close()
        it.ended(1)
        it.server.peer().close()
        assert it.ended(2).code == errors.LOST
        peer = it.server.peer()
        assert it.client.attempts == 3
        it.welcome(peer)
        assert it.client.attempts == 0


def test_an_exception_of_the_handler_ends_the_connection() -> None:
    with Running(v311) as it:

        def fail() -> None:
            raise RuntimeError("unforeseen")

        it.handler.on_connack = fail
        peer = it.start()
        peer.read_packet()
        peer.send(v311.connack())
        assert it.ended().code == errors.UNKNOWN
        assert [str(error) for error in it.reported] == ["unforeseen"]
        it.reported.clear()


def test_keepalive_asks_and_gives_up() -> None:
    with Running(v5, keepalive=60, debug=True) as it:
        peer = it.up(props.server_keep_alive(1))
        peer.expect(b"\xc0\x00", seconds=4)
        peer.send(b"\xd0\x00")
        peer.expect(b"\xc0\x00", seconds=4)
        assert it.handler.lines.count("Client me received PINGRESP") == 1
        it.until(lambda: it.handler.ends, "the end", 5)
        assert it.handler.ends[0].code == errors.KEEPALIVE


def test_keepalive_counts_before_connack_too() -> None:
    with Running(v311, keepalive=1) as it:
        it.start().read_packet()
        it.until(lambda: it.handler.ends, "the end", 5)
        assert it.handler.ends[0].code == errors.KEEPALIVE


def test_the_server_s_values_hold_for_later_attempts() -> None:
    stated = props.server_keep_alive(33) + props.assigned_client_id("given")
    with Running(v5, client_id=b"", debug=True) as it:
        it.handler.again = AGAIN
        peer = it.start()
        assert peer.read_packet() == v5.connect("", keepalive=60)
        peer.send(v5.connack(properties=stated))
        it.until(lambda: it.handler.connacks, "CONNACK")
        assert it.handler.lines == ["Client null sending CONNECT", "Client given received CONNACK (0)"]
        assert it.client.client_id == b"given"
        peer.close()
        assert it.server.peer().read_packet() == v5.connect("given", keepalive=33)


def test_defaults_return_with_a_server_that_says_less() -> None:
    with Running(v5) as it:
        it.handler.again = AGAIN
        peer = it.up(default_connack_properties() + props.maximum_qos(0))
        peer.close()
        peer = it.welcome(it.server.peer(), b"")
        it.do(it.client.publish, b"t", b"", 2)
        peer.expect(v5.publish("t", qos=2, mid=1))


def test_a_subscribe_that_the_server_does_not_take_is_refused_here() -> None:
    with Running(v5) as it:
        peer = it.up(props.maximum_packet_size(20))
        with pytest.raises(ClientError) as caught:
            it.do(it.client.subscribe, [(20 * b"a", 0)])
        assert caught.value.code == errors.PACKET_TOO_LARGE
        it.do(it.client.disconnect)
        peer.expect(v5.disconnect())


@pytest.mark.parametrize(
    "settings", [{"keepalive": 65536}, {"username": bytes(65536)}, {"client_id": bytes(65536)}, {"keepalive": -1}]
)
def test_what_connect_cannot_say_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ClientError) as caught, Running(v311, **settings):
        pass
    assert caught.value.code == errors.INVALID
