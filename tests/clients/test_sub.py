"""mosquitto_sub: what it prints, what it sends, when it ends and with which code."""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.clients.running import Running, command, kept, run
from tests.clients.server import Peer, Server
from tests.harness import props
from tests.harness.broker import ROOT, free_port
from tests.harness.brokers import StartBroker
from tests.harness.client import RawClient
from tests.harness.deadline import SECONDS, wait_until
from tests.harness.packets import Level, Subscription, v5, v31, v311

WITH_WILL = 4


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(v311) as made:
        yield made


@pytest.fixture
def server5() -> Iterator[Server]:
    with Server(v5) as made:
        yield made


def sub(server: Server, *words: str | bytes) -> Running:
    version = {3: "31", 4: "311", 5: "5"}[server.level.number]
    return Running("sub", "-p", str(server.port), "-t", "t/#", "-V", version, *words)


def subscribed(server: Server, *, qos: int = 0, code: int | None = None, options: int = 0) -> Peer:
    """The tool has connected and subscribed."""
    peer = server.peer()
    peer.accept()
    level = server.level
    subscription = Subscription("t/#", qos, bool(options & 4), bool(options & 8), options >> 4)
    peer.expect(level.subscribe(1, subscription))
    peer.send(level.suback(1, qos if code is None else code))
    return peer


def say_goodbye(peer: Peer, reason: int = 0) -> None:
    """The tool sends DISCONNECT and the end of the stream; only then the server closes."""
    assert peer.level is not None
    peer.expect(peer.level.disconnect(reason) if peer.level.is_v5 else peer.level.disconnect())
    peer.expect_closed()
    peer.close()


def printed(tool: Running, n: int) -> bytes:
    """What has been printed, up to n bytes, while the tool goes on."""
    assert tool.process.stdout is not None
    fd, out = tool.process.stdout.fileno(), b""
    while len(out) < n:
        out += os.read(fd, n - len(out))
    return out


# ---- what is sent


def test_filters_and_what_to_unsubscribe_from(server5: Server) -> None:
    words = "-t b -U x -U y -q 1 --retain-as-published --retain-handling new -D subscribe subscription-identifier 7"
    more = "-D subscribe user-property a b -D unsubscribe user-property c d -x 60 -C 3"
    with sub(server5, *words.split(), *more.split()) as tool:
        peer = server5.peer()
        stated = props.session_expiry(60) + props.receive_maximum(3)
        assert peer.accept() == v5.connect("", properties=stated)
        options = {"qos": 1, "retain_as_published": True, "retain_handling": 1}
        filters = (Subscription("t/#", **options), Subscription("b", **options))  # type: ignore[arg-type]
        peer.expect(
            v5.subscribe(1, *filters, properties=props.subscription_id(7) + props.user_property("a", "b")),
            v5.unsubscribe(2, "x", properties=props.user_property("c", "d")),
            v5.unsubscribe(3, "y", properties=props.user_property("c", "d")),
        )
        peer.send(v5.suback(1, 1, 1), v5.unsuback(2, 0), v5.unsuback(3, 17))
        peer.send(*[v5.publish("b", b"m")] * 3)
        say_goodbye(peer)
        assert tool.result() == (0, b"m\nm\nm\n", "")


def test_unsubscribing_alone_is_enough_to_do() -> None:
    with Server(v311) as server, Running("sub", "-p", str(server.port), "-U", "x") as tool:
        peer = server.peer()
        peer.accept()
        peer.expect(v311.unsubscribe(1, "x"))
        peer.send(v311.unsuback(1))
        tool.process.send_signal(signal.SIGTERM)
        say_goodbye(peer)
        assert tool.result() == (0, b"", "")


@pytest.mark.parametrize(
    ("words", "options"), [("-R", 32), ("--retain-handling new -R", 32), ("--retain-handling new", 16)]
)
def test_retain_handling(server5: Server, words: str, options: int) -> None:
    with sub(server5, *words.split(), "-E") as tool:
        say_goodbye(subscribed(server5, options=options))
        assert tool.result() == (0, b"", "")


def test_properties_that_cannot_be_sent_are_told_at_the_start() -> None:
    words = "-p 1 -t t -D disconnect session-expiry-interval 1 -D disconnect session-expiry-interval 2"
    result = run("sub", *words.split())
    assert result == (1, b"", "Error in DISCONNECT properties: Duplicate property in property list.\n")


# ---- what is printed


def test_messages_are_printed_when_they_come(server: Server) -> None:
    with sub(server, "-v") as tool:
        peer = server.peer()
        peer.accept()
        peer.read_packet()
        peer.send(v311.publish("early", b"1"))
        assert printed(tool, 8) == b"early 1\n"
        peer.send(v311.suback(1, 0), v311.publish("t/a", b"2"))
        assert printed(tool, 6) == b"t/a 2\n"
        tool.process.send_signal(signal.SIGINT)
        say_goodbye(peer)
        assert tool.result() == (0, b"", "")


def test_qos_1_is_acknowledged_and_qos_2_printed_once_it_is_released(server: Server) -> None:
    with sub(server, "-q", "2", "-C", "3") as tool:
        peer = subscribed(server, qos=2)
        peer.send(v311.publish("t/2", b"two", qos=2, mid=2), v311.publish("t/1", b"one", qos=1, mid=1))
        peer.expect(v311.pubrec(2), v311.puback(1))
        assert printed(tool, 4) == b"one\n"
        peer.send(v311.publish("t/2", b"two", qos=2, mid=2, dup=True))
        peer.expect(v311.pubrec(2))
        peer.send(v311.pubrel(2))
        peer.expect(v311.pubcomp(2))
        assert printed(tool, 4) == b"two\n"
        peer.send(v311.publish("t/0", b"zero"))
        say_goodbye(peer)
        assert tool.result() == (0, b"zero\n", "")


def test_no_more_messages_are_acknowledged_than_printed(server: Server) -> None:
    with sub(server, "-q", "1", "-C", "2") as tool:
        peer = subscribed(server, qos=1)
        peer.send(*[v311.publish("t/1", b"m%d" % mid, qos=1, mid=mid) for mid in range(1, 6)])
        peer.expect(v311.puback(1), v311.puback(2))
        say_goodbye(peer)
        assert tool.result() == (0, b"m1\nm2\n", "")


MESSAGES = [
    ("a", b"A", True),
    ("b", b"", True),
    ("c", b"C", True),
    ("a", b"1", False),
    ("c", b"", False),
    ("b", b"2", False),
]

CHOICES = {
    "-C 6": b"A\nC\n1\n2\n",
    "-C 2": b"A\n",
    "-C 4 -v": b"t/a A\nt/b (null)\nt/c C\nt/a 1\n",
    "-C 6 -N": b"AC12",
    "-C 6 -N -v": b"t/a At/c Ct/a 1t/b 2",
    "-C 6 -F [%p]": b"[A]\n[]\n[C]\n[1]\n[]\n[2]\n",
    "-C 2 -F %t": b"t/a\nt/b\n",
    "-C 3 -R -F %p%r": b"10\n0\n20\n",
    "-C 3 -R -v": b"t/a 1\nt/c (null)\nt/b 2\n",
    "-C 4 -T t/a -F %t": b"t/b\nt/c\nt/c\nt/b\n",
    "-C 2 -T +/a -T t/b/# -F %t": b"t/c\nt/c\n",
    "-C 2 -R -T t/b -F %p": b"1\n\n",
    "--retained-only -v": b"t/a A\nt/b (null)\nt/c C\n",
    "--retained-only -T t/c -v": b"t/a A\nt/b (null)\n",
    "--retained-only -C 1 -v": b"t/a A\n",
    "-C 6 --random-filter 100": b"A\nC\n1\n2\n",
}


@pytest.mark.parametrize("words", CHOICES)
def test_which_messages_are_printed(server: Server, words: str) -> None:
    with sub(server, *words.split()) as tool:
        peer = subscribed(server, options=32 if "-R" in words and server.level.is_v5 else 0)
        peer.send(*[v311.publish(f"t/{name}", payload, retain=retain) for name, payload, retain in MESSAGES])
        say_goodbye(peer)
        assert tool.result() == (0, CHOICES[words], "")


def test_the_random_filter_drops_and_counts(server: Server) -> None:
    with sub(server, "-C", "2000", "--random-filter", "50") as tool:
        peer = subscribed(server)
        peer.send(v311.publish("t/a", b"m") * 2000)
        say_goodbye(peer)
        code, out, err = tool.result()
        assert (code, err) == (0, "")
        assert 700 < out.count(b"m\n") < 1300  # 13 standard deviations


def test_payloads_of_any_kind_and_size(server: Server) -> None:
    large = bytes(range(256)) * 40_000
    with sub(server, "-C", "4", "-N") as tool:
        peer = subscribed(server)
        peer.sock.settimeout(4 * SECONDS)
        peer.send(v311.publish("t/a", b"\0"), v311.publish("t/a", large), v311.publish("t/a", b"\xff\n"))
        peer.send(v311.publish("t/a", b"."))
        assert printed(tool, len(large) + 4) == b"\0" + large + b"\xff\n."
        say_goodbye(peer)
        assert tool.result()[0] == 0


def test_several_subscription_identifiers_are_no_error(server5: Server) -> None:
    with sub(server5, "-F", "%S %p", "-C", "1") as tool:
        peer = subscribed(server5)
        stated = props.subscription_id(3) + props.subscription_id(4)
        peer.send(v5.publish("t/a", b"m", properties=stated))
        say_goodbye(peer)
        assert tool.result() == (0, b"3 m\n", "")


def test_payloads_that_are_no_json(server: Server) -> None:
    complaint = "Error: Message payload is not valid JSON on topic t/a.\n"
    for words, err in (([], complaint), (["--quiet"], "")):
        with sub(server, "-F", "<%J>", "-C", "1", *words) as tool:
            peer = subscribed(server)
            peer.send(v311.publish("t/a", b"{"))
            say_goodbye(peer)
            assert tool.result() == (0, b"<>\n", err)


def test_watching(server: Server) -> None:
    with sub(server, "--watch", "-v", "-C", "3") as tool:
        peer = subscribed(server)
        peer.send(v311.publish("t/a", b"1"), v311.publish("t/b", b"2"), v311.publish("t/a", b"3"))
        say_goodbye(peer)
        assert tool.result() == (
            0,
            b"\x1b[2J\x1b[1;1HBroker: localhost\n"
            b"\x1b[2;1Ht/a 1\n\x1b[2;1H\n\x1b[3;1Ht/b 2\n\x1b[3;1H\n\x1b[2;1Ht/a 3\n\x1b[3;1H\n",
            "",
        )


def test_what_debug_shows(server: Server) -> None:
    lines = [
        "Client me sending CONNECT",
        "Client me received CONNACK (0)",
        "Client me sending SUBSCRIBE (Mid: 1, Topic: t/#, QoS: 1, Options: 0x00)",
        "Client me sending UNSUBSCRIBE (Mid: 2, Topic: x)",
        "Client me received SUBACK",
        "Subscribed (mid: 1): 1",
        "Client me received PUBLISH (d0, q1, r0, m1, 't/a', ... (5 bytes))",
        "Client me sending PUBACK (m1, rc0)",
        "hello",
        "Client me received PUBLISH (d0, q0, r0, m0, 't/b', ... (2 bytes))",
        "hi",
        "Client me sending DISCONNECT",
        "",
    ]
    with sub(server, "-q", "1", "-d", "-i", "me", "-C", "2", "-U", "x") as tool:
        peer = subscribed(server, qos=1)
        peer.expect(v311.unsubscribe(2, "x"))
        peer.send(v311.publish("t/a", b"hello", qos=1, mid=1), v311.publish("t/b", b"hi"))
        peer.expect(v311.puback(1))
        say_goodbye(peer)
        assert tool.result().out.decode().split("\n") == lines


# ---- removing retained messages


@pytest.mark.parametrize(
    ("words", "out"),
    [("--retained-only", b"A\nC\n"), ("-C 2", b"A\nC\n"), ("-R -C 1", b"1\n"), ("-T t/c -C 2", b"A\n1\n")],
)
def test_removing_ends_once_all_is_removed(server: Server, words: str, out: bytes) -> None:
    with sub(server, "--remove-retained", *words.split()) as tool:
        peer = subscribed(server)
        peer.send(v311.publish("t/a", b"A", retain=True), v311.publish("t/c", b"C", retain=True))
        peer.send(v311.publish("t/a", b"1"))
        topics = ["t/a"] if "-T" in words else ["t/a", "t/c"]
        peer.expect(*[v311.publish(topic, b"", qos=1, mid=mid, retain=True) for mid, topic in enumerate(topics, 2)])
        peer.send(v311.puback(2))
        if len(topics) > 1:
            peer.send(v311.puback(3))
        say_goodbye(peer)
        assert tool.result() == (0, out, "")


def test_removing_from_a_broker(own_broker: StartBroker) -> None:
    broker = own_broker()
    port = str(broker.port)
    client = broker.connected(v311, "publisher")
    client.send(*[v311.publish(f"r/{n}", b"x", retain=True) for n in range(50)])
    client.expect_silence()
    words = ("sub", "-p", port, "-t", "r/#", "--remove-retained", "-C", "50")
    assert run(*words) == (0, b"x\n" * 50, "")
    client.send(v311.subscribe(1, "r/#"))
    client.expect(v311.suback(1, 0))
    client.expect_silence()


# ---- the end


@pytest.mark.parametrize(
    ("level", "codes", "words", "out"),
    [
        (v311, (128, 128), "-d", "Subscribed (mid: 1): 128, 128"),
        (v5, (135, 143), "", ""),
        (v5, (143, 143), "-E", ""),
    ],
)
def test_denied_subscriptions(level: Level, codes: tuple[int, int], words: str, out: str) -> None:
    with Server(level) as server, sub(server, "-t", "b", *words.split()) as tool:
        peer = server.peer()
        peer.accept()
        peer.expect(level.subscribe(1, "t/#", "b"))
        peer.send(level.suback(1, *codes))
        say_goodbye(peer)
        result = tool.result()
        assert (result.code, result.err) == (0, "All subscription requests were denied.\n")
        assert out.encode() in result.out


def test_one_granted_subscription_is_enough(server: Server) -> None:
    with sub(server, "-t", "b", "-C", "1") as tool:
        peer = server.peer()
        peer.accept()
        peer.read_packet()
        peer.send(v311.suback(1, 128, 0), v311.publish("b", b"m"))
        say_goodbye(peer)
        assert tool.result() == (0, b"m\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("level", [v31, v311, v5], ids=str)
def test_signals(level: Level, number: signal.Signals) -> None:
    with Server(level) as server, sub(server) as tool:
        peer = subscribed(server)
        peer.send(level.publish("t/a", b"m"))
        printed(tool, 2)
        tool.process.send_signal(number)
        say_goodbye(peer, WITH_WILL)
        assert tool.result() == (0, b"", "")


def test_signals_before_the_server_has_answered(server: Server) -> None:
    with sub(server) as tool:
        peer = server.peer()
        peer.read_packet()
        tool.process.send_signal(signal.SIGTERM)
        peer.expect_closed()
        assert tool.result() == (255, b"", "")


def test_a_second_signal_does_not_wait_for_the_server(server: Server) -> None:
    with sub(server) as tool:
        peer = subscribed(server)
        tool.process.send_signal(signal.SIGINT)
        peer.expect(v311.disconnect())
        tool.process.send_signal(signal.SIGINT)
        assert tool.result() == (0, b"", "")


def test_the_time_is_up() -> None:
    """All at once, since each of them takes a second."""
    with Server(v5) as accepting, Server(v5) as silent, Server(v311) as counting, Server(v311) as gone:
        tools = [sub(accepting, "-W", "1"), sub(silent, "-W", "1"), sub(counting, "-W", "1", "--message-rate")]
        tools += [sub(gone, "-W", "1"), sub(gone, "-W", "1", "--quiet")]
        accepted, counted = subscribed(accepting), subscribed(counting)
        silent.peer().read_packet()
        for _ in range(2):
            subscribed(gone).close()
        counted.send(v311.publish("t/a", b"m") * 77)
        say_goodbye(accepted, WITH_WILL)
        say_goodbye(counted)
        results = [tool.result() for tool in tools]
        for tool in tools:
            tool.__exit__()
        assert results[0] == (27, b"", "Timed out\n")
        assert results[1] == (255, b"", "")
        assert results[2] in ((27, b"", "Timed out\n"), (27, b"77 msgs/s\n", "Timed out\n"))
        assert results[3] == (27, b"", "Timed out\n")
        assert results[4] == (27, b"", "")


def test_the_rate_of_messages(server: Server) -> None:
    with sub(server, "--message-rate", "-C", "1") as tool:
        peer = subscribed(server)
        peer.send(v311.publish("t/a", b"m") * 5)
        assert printed(tool, 9) in (b"5 msgs/s\n", b"0 msgs/s\n")  # whether they came within the first second
        tool.process.send_signal(signal.SIGTERM)
        say_goodbye(peer)
        assert tool.result()[0] == 0


REFUSED = {
    (v311, 1): "Connection Refused: unacceptable protocol version",
    (v311, 5): "Connection Refused: not authorised",
    (v311, 9): "Connection Refused: unknown reason",
    (v5, 134): "Bad User Name or Password",
    (v5, 132): "Unsupported Protocol Version. Try connecting to an MQTT v5 broker, or use MQTT v3.x mode.",
}


@pytest.mark.parametrize(("level", "code"), REFUSED, ids=str)
def test_refused_connections(level: Level, code: int) -> None:
    for words, err in ((["--message-rate"], f"Connection error: {REFUSED[level, code]}\n"), (["--quiet"], "")):
        with Server(level) as server, sub(server, *words) as tool:
            peer = server.peer()
            peer.read_packet()
            peer.send(level.connack(code))
            assert tool.result() == (code, b"", err)


def test_the_first_connection_must_succeed() -> None:
    result = run("sub", "-p", str(free_port()), "-t", "t")
    assert result == (1, b"", "Error: Connection refused\n")


def test_a_server_that_breaks_the_rules(server5: Server) -> None:
    with sub(server5) as tool:
        peer = subscribed(server5)
        peer.send(b"\xc0\x00")
        peer.expect(v5.disconnect(0x82))
        text = "Error: A network protocol error occurred when communicating with the broker\n"
        assert tool.result() == (2, b"", text)


def test_lost_connections_are_made_again(server5: Server) -> None:
    """After a DISCONNECT whatever its reason code."""
    with sub(server5, "-C", "3", "-q", "1", "-c", "-i", "me") as tool:
        for number, farewell in enumerate((v5.disconnect(0), v5.disconnect(0x8B), b"")):
            peer = server5.peer()
            assert peer.accept() == v5.connect(
                "me", clean=False, properties=props.session_expiry(0xFFFFFFFF) + props.receive_maximum(3)
            )
            peer.expect(v5.subscribe(number + 1, "t/#", qos=1))
            peer.send(v5.suback(number + 1, 1), v5.publish("t/a", b"%d" % number))
            printed(tool, 2)
            if number < 2:
                peer.send(farewell)
                peer.close()
            else:
                say_goodbye(peer)
        assert tool.result() == (0, b"", "")


def test_a_signal_between_two_attempts(server: Server) -> None:
    with sub(server) as tool:
        peer = subscribed(server)
        peer.send(v311.publish("t/a", b"m"))
        printed(tool, 2)
        server.__exit__(None, None, None)
        peer.close()
        wait_until(lambda: len(os.listdir(f"/proc/{tool.process.pid}/fd")) <= 8, "the end of the connection")
        tool.process.send_signal(signal.SIGINT)
        assert tool.result() == (0, b"", "")


def test_output_that_nobody_reads(server: Server) -> None:
    for words in ([], ["-F", "%p"]):
        with sub(server, *words) as tool:
            peer = subscribed(server)
            peer.send(v311.publish("t/a", b"first"))
            assert printed(tool, 6) == b"first\n"
            assert tool.process.stdout is not None
            tool.process.stdout.close()
            peer.send(v311.publish("t/a", b"second"))
            say_goodbye(peer)
            assert tool.process.wait() == 0
            assert tool.process.stderr is not None
            assert tool.process.stderr.read() == b""
            tool.process.stdout = None


def test_a_restart_of_the_broker(own_broker: StartBroker) -> None:
    broker = own_broker()
    with Running("sub", "-p", str(broker.port), "-t", "t") as tool:
        publish_until_printed(tool, broker.connected(v311, "publisher"), b"before")
        broker.stop()
        broker.start()
        publish_until_printed(tool, broker.connected(v311, "publisher"), b"after")
        tool.process.send_signal(signal.SIGTERM)
        assert tool.result()[::2] == (0, "")


def publish_until_printed(tool: Running, client: RawClient, text: bytes) -> None:
    """A subscription that is only being made hears nothing yet: publish again until the message is printed."""
    assert tool.process.stdout is not None
    fd, out = tool.process.stdout.fileno(), b""

    def is_printed() -> bool:
        nonlocal out
        client.send(v311.publish("t", text))
        if select.select([fd], [], [], 0.05)[0]:
            out += os.read(fd, 65536)
        return text in out

    wait_until(is_printed, text.decode())


def test_a_pipe_to_head(server: Server) -> None:
    """As the shell does it, which ends when both have ended."""
    pipe = shlex.join([*command("sub"), "-p", str(server.port), "-t", "t/#"]) + " | head -1"
    environment = {"PYTHONPATH": str(ROOT), **kept()}
    with subprocess.Popen(pipe, shell=True, stdout=subprocess.PIPE, env=environment) as shell:
        peer = subscribed(server)
        peer.send(v311.publish("t/a", b"one"))
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"one\n"
        peer.send(v311.publish("t/a", b"two") * 2)
        say_goodbye(peer)
        assert shell.wait(SECONDS) == 0
