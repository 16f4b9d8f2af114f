"""mosquitto_rr: a request, the first message that comes, and the end."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from mosq.cli.rr import duration
from tests.clients.running import Running, run
from tests.clients.server import Peer, Server
from tests.harness import props
from tests.harness.packets import Level, Subscription, v5, v31, v311

LOST = "Error: The connection was lost\n"
REQUEST = ("-t", "request", "-e", "response", "-m", "question")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(v5) as made:
        yield made


def rr(server: Server, *words: str) -> Running:
    version = {3: ["-V", "31"], 4: ["-V", "311"], 5: []}[server.level.number]
    return Running("rr", "-p", str(server.port), *REQUEST, *version, *words)


def expect_request(peer: Peer, *, qos: int = 0, before: bytes = b"") -> None:
    """SUBSCRIBE, which is granted, and then the request."""
    level = peer.level
    assert level is not None
    peer.expect(level.subscribe(1, Subscription("response", qos)))
    peer.send(level.suback(1, qos))
    properties = before + props.response_topic("response")
    peer.expect(level.publish("request", b"question", qos=qos, mid=2 * (qos > 0), properties=properties))


def expect_goodbye(peer: Peer, reason: int = 0) -> None:
    assert peer.level is not None
    peer.expect(peer.level.disconnect(reason))
    peer.expect_closed()
    peer.close()


@pytest.mark.parametrize("level", [v31, v311, v5], ids=str)
def test_the_first_message_is_the_response(level: Level) -> None:
    with Server(level) as server, rr(server) as tool:
        peer = server.peer()
        peer.accept()
        expect_request(peer)
        peer.send(level.publish("another/topic", b"answer"), level.publish("response", b"late"))
        expect_goodbye(peer)
        assert tool.result() == (0, b"answer\n", "")


def test_what_is_sent_with_version_5(server: Server) -> None:
    words = "-q 1 -D publish correlation-data 77 -D publish user-property a b -c -x 3 -i me"
    with rr(server, *words.split()) as tool:
        peer = server.peer()
        properties = props.session_expiry(3) + props.receive_maximum(1)
        assert peer.accept() == v5.connect("me", clean=False, properties=properties)
        expect_request(peer, qos=1, before=props.correlation_data(b"77") + props.user_property("a", "b"))
        peer.send(v5.publish("response", b"answer", qos=1, mid=9))
        peer.expect(v5.puback(9))
        expect_goodbye(peer)
        assert tool.result() == (0, b"answer\n", "")


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["-v"], b"response answer\n"),
        (["-N"], b"answer"),
        (["-F", "%t|%q|%C|%p"], b"response|0|text|answer\n"),
        (["-v", "-F", "%l"], b"6\n"),
    ],
)
def test_formats(server: Server, words: list[str], out: bytes) -> None:
    with rr(server, *words) as tool:
        peer = server.peer()
        peer.accept()
        expect_request(peer)
        peer.send(v5.publish("response", b"answer", properties=props.content_type("text")))
        expect_goodbye(peer)
        assert tool.result() == (0, out, "")


def test_an_empty_response_prints_nothing(server: Server) -> None:
    with rr(server) as tool:
        peer = server.peer()
        peer.accept()
        expect_request(peer)
        peer.send(v5.publish("response"))
        expect_goodbye(peer)
        assert tool.result() == (0, b"", "")


def test_a_retained_message_is_no_response_when_the_user_says_so(server: Server) -> None:
    with rr(server, "-R", "--retain-as-published") as tool:
        peer = server.peer()
        peer.accept()
        peer.expect(v5.subscribe(1, Subscription("response", retain_as_published=True, retain_handling=2)))
        peer.send(v5.suback(1, 0), v5.publish("response", b"old", retain=True), v5.publish("response", b"new"))
        peer.read_packet()
        expect_goodbye(peer)
        assert tool.result() == (0, b"new\n", "")


def test_a_retained_message_counts_otherwise(server: Server) -> None:
    with rr(server) as tool:
        peer = server.peer()
        peer.accept()
        peer.read_packet()
        peer.send(v5.publish("response", b"old", retain=True))
        expect_goodbye(peer)
        assert tool.result() == (0, b"old\n", "")


@pytest.mark.parametrize(
    ("level", "code", "error"),
    [
        (v5, 0x87, "Not authorized\n"),
        (v311, 0x80, "Unspecified error\n"),
        (v5, 0x9E, "Shared Subscriptions not supported\n"),
    ],
)
def test_a_denied_subscription(level: Level, code: int, error: str) -> None:
    with Server(level) as server, rr(server) as tool:
        peer = server.peer()
        peer.accept()
        peer.read_packet()
        peer.send(level.suback(1, code))
        expect_goodbye(peer)
        assert tool.result() == (0, b"", error)


def test_the_time_is_up(server: Server) -> None:
    with rr(server, "-W", "1") as tool:
        peer = server.peer()
        peer.accept()
        expect_request(peer)
        expect_goodbye(peer, 4)
        assert tool.result() == (27, b"", "Timed out\n")


def test_the_time_is_up_before_the_server_has_answered(server: Server) -> None:
    with rr(server, "-W", "1", "--quiet") as tool:
        peer = server.peer()
        peer.read_packet()
        expect_goodbye(peer, 4)
        assert tool.result() == (27, b"", "")


def test_latency(server: Server) -> None:
    with rr(server, "--latency") as tool:
        peer = server.peer()
        peer.accept()
        expect_request(peer)
        peer.send(v5.publish("response", b"answer"))
        expect_goodbye(peer)
        code, out, err = tool.result()
        assert (code, err) == (0, "")
        assert re.fullmatch(r"answer\nLatency: (\d+\.\d{6}(µs|ms)|\d+\.\d{9})\n", out.decode())


def test_no_response_has_no_latency(server: Server) -> None:
    with rr(server, "--latency") as tool:
        peer = server.peer()
        peer.accept()
        expect_request(peer)
        peer.close()
        assert tool.result() == (7, b"", LOST)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0ns"),
        (999, "999ns"),
        (1000, "1.000000µs"),
        (87_629, "87.629000µs"),
        (999_999, "999.999000µs"),
        (1_649_751, "1.649751ms"),
        (1_000_000_000, "1.000000000"),
        (62_000_000_005, "62.000000005"),
    ],
)
def test_durations(ns: int, text: str) -> None:
    assert duration(ns) == text


@pytest.mark.parametrize(
    ("level", "code", "error"),
    [
        (v311, 4, "Connection Refused: bad user name or password"),
        (v311, 5, "Connection Refused: not authorised"),
        (v5, 135, "Not authorized"),
        (v5, 132, "Unsupported Protocol Version"),
    ],
)
def test_connections_that_are_refused(level: Level, code: int, error: str) -> None:
    with Server(level) as server, rr(server) as tool:
        peer = server.peer()
        peer.read_packet()
        peer.send(level.connack(code))
        peer.expect(level.disconnect())
        peer.expect_closed()
        assert tool.result() == (code, b"", f"Connection error: {error}\n")


def test_a_server_that_says_goodbye(server: Server) -> None:
    with rr(server) as tool:
        peer = server.peer()
        peer.accept()
        expect_request(peer)
        peer.send(v5.disconnect(0x8B))
        assert tool.result() == (0, b"", "")


def test_a_server_that_closes(server: Server) -> None:
    with rr(server) as tool:
        server.peer().close()
        assert tool.result() == (7, b"", LOST)


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (
            ["-t", "t", "-m", "m"],
            1,
            "Error: All of topic, message, and response topic must be supplied.\n"
            "\nUse 'mosquitto_rr --help' to see usage.\n",
        ),
        ([*REQUEST, "-i", ""], 1, "Error: Invalid id and/or clean_session.\n"),
        ([*REQUEST, "-p", "1"], 1, "Error: Connection refused\n"),
        (
            [*REQUEST, "-D", "publish", "response-topic", "x"],
            1,
            "Error in PUBLISH properties: Duplicate response topic.\n",
        ),
        (
            [*REQUEST, "-D", "publish", "payload-format-indicator", "2"],
            1,
            "Error in PUBLISH properties: Duplicate response topic.\n",
        ),
        (
            [*REQUEST, "-D", "subscribe", "subscription-identifier", "0"],
            1,
            "Error in SUBSCRIBE properties: A network protocol error occurred when communicating with the broker.\n",
        ),
        (
            ["-t", "t", "-e", "r", "-f", "/nonexistent"],
            1,
            'Error: Unable to read file "/nonexistent": No such file or directory.\n'
            'Error loading input file "/nonexistent".\n',
        ),
    ],
)
def test_what_ends_before_anything_is_sent(words: list[str], code: int, error: str) -> None:
    assert run("rr", *words) == (code, b"", error)
