"""mosquitto_pub: what it sends, when it ends and with which code."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.running import Running, run
from tests.clients.server import Peer, Server
from tests.harness import props
from tests.harness.broker import Broker, free_port
from tests.harness.brokers import StartBroker
from tests.harness.client import RawClient
from tests.harness.deadline import wait_until
from tests.harness.packets import PUBLISH, Will, packet, u16, v5, v31, v311

LOST = "Error: The connection was lost\n"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(v311) as made:
        yield made


@pytest.fixture
def server5() -> Iterator[Server]:
    with Server(v5) as made:
        yield made


def pub(server: Server, *words: str | bytes, stdin: int | None = None) -> Running:
    version = {3: "31", 4: "311", 5: "5"}[server.level.number]
    return Running("pub", "-p", str(server.port), "-t", "t", "-V", version, *words, stdin=stdin)


def say_goodbye(peer: Peer) -> None:
    """The tool sends DISCONNECT and the end of the stream; only then the server closes."""
    assert peer.level is not None
    peer.expect(peer.level.disconnect())
    peer.expect_closed()
    peer.close()


# ---- payloads


def test_a_message(server: Server) -> None:
    with pub(server, "-m", "hello") as tool:
        peer = server.peer()
        assert peer.accept() == v311.connect("")
        peer.expect(v311.publish("t", b"hello"))
        say_goodbye(peer)
        assert tool.result() == (0, b"", "")


@pytest.mark.parametrize(
    ("words", "stdin", "payload"),
    [
        (["-m", ""], b"", b""),
        (["-n"], b"", b""),
        (["-m", b"\xff\xfe"], b"", b"\xff\xfe"),
        (["-s"], b"a\0b\nc\n", b"a\0b\nc\n"),
        (["-f", "{file}"], b"", b"\0\1\2\n\n\xff"),
        (["-f", "{empty}"], b"", b""),
    ],
)
def test_payloads(
    broker: Broker, name: str, tmp_path: Path, words: list[str | bytes], stdin: bytes, payload: bytes
) -> None:
    (tmp_path / "file").write_bytes(b"\0\1\2\n\n\xff")
    (tmp_path / "empty").write_bytes(b"")
    places = {"{file}": str(tmp_path / "file"), "{empty}": str(tmp_path / "empty")}
    filled = [places.get(word, word) if isinstance(word, str) else word for word in words]
    reader = broker.connected(v311, f"{name}r")
    reader.subscribe(name)
    assert run("pub", "-p", str(broker.port), "-t", name, *filled, stdin=stdin) == (0, b"", "")
    reader.expect(v311.publish(name, payload))


def test_ten_megabytes_to_a_slow_server(server: Server, tmp_path: Path) -> None:
    payload = os.urandom(1 << 10) * 10240
    (tmp_path / "large").write_bytes(payload)
    with pub(server, "-f", str(tmp_path / "large"), "-q", "1") as tool:
        peer = server.peer()
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        peer.accept()
        peer.expect(v311.publish("t", payload, qos=1, mid=1))
        peer.send(v311.puback(1))
        say_goodbye(peer)
        assert tool.result().code == 0


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["-s"], "Error: Zero length input.\nError loading input from stdin.\n"),
        (
            ["-f", "/nonexistent"],
            'Error: Unable to read file "/nonexistent": No such file or directory.\n'
            'Error loading input file "/nonexistent".\n',
        ),
        (
            ["-f", "/"],
            'Error: / is not a file.Error: Unable to read file "/": Is a directory.\nError loading input file "/".\n',
        ),
        (
            ["-f", "/dev/null"],
            'Error: /dev/null is not a file.Error: Unable to read file "/dev/null": Invalid argument.\n'
            'Error loading input file "/dev/null".\n',
        ),
    ],
)
def test_payloads_that_cannot_be_read(words: list[str], error: str) -> None:
    assert run("pub", "-t", "t", *words) == (1, b"", error)
    assert run("pub", "-t", "t", "--quiet", *words) == (1, b"", "")


def test_files_that_are_too_large(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(268435456)
    error = f'Error: File must be less than 268435455 bytes.\n\nError loading input file "{large}".\n'
    assert run("pub", "-t", "t", "-f", str(large)) == (1, b"", error)


def test_without_topic_or_payload_the_usage_is_shown() -> None:
    for words in (["-t", "t"], ["-m", "m"], []):
        code, out, err = run("pub", *words)
        assert (code, err) == (1, "Error: Both topic and message must be supplied.\n")
        assert b"Usage: mosquitto_pub" in out


# ---- CONNECT


def test_version_31_makes_up_an_id() -> None:
    with Server(v31) as server, pub(server, "-m", "m") as tool:
        peer = server.peer()
        connect = peer.accept()
        assert re.fullmatch(rb"\x10.\x00\x06MQIsdp\x03\x02\x00<\x00\x17mosq-[a-zA-Z0-9]{18}", connect, re.DOTALL)
        peer.expect(v31.publish("t", b"m"))
        say_goodbye(peer)
        assert tool.result().code == 0


def test_everything_a_connect_can_have(server5: Server) -> None:
    words = (
        "-i me -c -x 9 -k 7 -u user -P word --will-topic w --will-payload bye --will-qos 1 --will-retain"
        " -D connect user-property a b -D connect topic-alias-maximum 3"
        " -D will will-delay-interval 4 -D will content-type x"
    )
    with pub(server5, "-n", *words.split()) as tool:
        peer = server5.peer()
        will = Will("w", b"bye", 1, True, props.will_delay(4) + props.content_type("x"))
        properties = (
            props.user_property("a", "b")
            + props.topic_alias_maximum(3)
            + props.session_expiry(9)
            + props.receive_maximum(20)
        )
        assert peer.accept() == v5.connect(
            "me", clean=False, keepalive=7, username="user", password="word", will=will, properties=properties
        )
        peer.expect(v5.publish("t"))
        say_goodbye(peer)
        assert tool.result().code == 0


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("-i,", "Error: Invalid id.\n"),
        ("-c,-x,5", "Error: Invalid id.\n"),
        ("-P,x", "Error: Problem setting username and/or password.\n"),
        ("--will-topic,w,-D,will,payload-format-indicator,2", "Error: Problem setting will.\n"),
        ("--will-topic,w,-D,will,content-type,a,-V,311", "Error: Problem setting will.\n"),
        ("-D,connect,receive-maximum,0", "Unable to connect ({protocol}).\n"),
        ("-D,connect,request-problem-information,2", "Unable to connect ({protocol}).\n"),
        ("-D,connect,session-expiry-interval,1,-x,1", "Unable to connect (Duplicate property in property list).\n"),
        ("-D,connect,user-property,a,b,-V,31", "Unable to connect (This feature is not supported).\n"),
        (
            "-D,disconnect,session-expiry-interval,1,-V,311",
            "Error in DISCONNECT properties: This feature is not supported.\n",
        ),
        ("-h,", "Unable to connect (Lookup error).\n"),
        ("-h,nowhere.invalid", "Unable to connect (Lookup error).\n"),
        ("-A,nowhere.invalid", "Unable to connect (Lookup error).\n"),
        ("-L,mqtt://127.0.0.1:99999/t", "Unable to connect (Invalid input).\n"),
        (f"--unix,{'x' * 108}", "Unable to connect (Invalid input).\n"),
        ("--unix,/nonexistent", "Error: No such file or directory\n"),
        ("-p,1", "Error: Connection refused\n"),
    ],
)
def test_what_ends_before_anything_is_sent(words: str, error: str) -> None:
    error = error.format(protocol="A network protocol error occurred when communicating with the broker")
    assert run("pub", "-t", "t", "-n", "-p", "1", *words.split(",")) == (1, b"", error)


def test_an_id_that_is_not_utf8_ends_without_a_word() -> None:
    assert run("pub", "-t", "t", "-n", "-i", b"\xff") == (1, b"", "")


@pytest.mark.parametrize(
    ("server_level", "code", "error"),
    [
        (v311, 1, "Connection Refused: unacceptable protocol version"),
        (v311, 2, "Connection Refused: identifier rejected"),
        (v311, 3, "Connection Refused: broker unavailable"),
        (v311, 4, "Connection Refused: bad user name or password"),
        (v311, 5, "Connection Refused: not authorised"),
        (v311, 6, "Connection Refused: unknown reason"),
        (v5, 135, "Not authorized"),
        (v5, 132, "Unsupported Protocol Version. Try connecting to an MQTT v5 broker, or use MQTT v3.x mode."),
    ],
)
def test_connections_that_are_refused(server_level: object, code: int, error: str) -> None:
    broken = "A network protocol error occurred when communicating with the broker"
    second = "The connection was refused" if code <= 5 else broken
    expected = f"Connection error: {error}\nError: {second}\n"
    for quiet in (False, True):
        with Server(server_level) as server, pub(server, "-n", *["--quiet"] * quiet) as tool:  # type: ignore[arg-type]
            peer = server.peer()
            peer.read_packet()
            peer.send(server.level.connack(code))
            if server.level is v5:
                peer.expect(v5.disconnect(0x82))
            peer.expect_closed()
            assert tool.result() == (code, b"", "" if quiet else expected)


# ---- the end of the connection


def test_a_server_that_closes_at_once(server: Server) -> None:
    with pub(server, "-n") as tool:
        server.peer().close()
        assert tool.result() == (7, b"", LOST)


def test_a_server_that_closes_before_the_acknowledgement(server: Server) -> None:
    with pub(server, "-n", "-q", "1") as tool:
        peer = server.peer()
        peer.accept()
        peer.expect(v311.publish("t", qos=1, mid=1))
        peer.close()
        assert tool.result() == (7, b"", LOST)


@pytest.mark.parametrize(
    ("reason", "code", "error"), [(0, 0, ""), (0x8B, 4, "Error: The client is not currently connected\n")]
)
def test_a_server_that_says_goodbye(server5: Server, reason: int, code: int, error: str) -> None:
    with pub(server5, "-n", "-q", "1") as tool:
        peer = server5.peer()
        peer.accept()
        peer.expect(v5.publish("t", qos=1, mid=1))
        peer.send(v5.disconnect(reason))
        peer.expect_closed()
        assert tool.result() == (code, b"", error)


@pytest.mark.parametrize(
    ("sent", "code", "answer", "error"),
    [
        (v5.connack(), 2, 0x82, "A network protocol error occurred when communicating with the broker"),
        (packet(0x40, b"\0"), 21, 0x81, "Malformed packet"),
        (v5.puback(1, 0x10 + 1), 2, 0x82, "A network protocol error occurred when communicating with the broker"),
    ],
)
def test_servers_that_break_the_rules(server5: Server, sent: bytes, code: int, answer: int, error: str) -> None:
    with pub(server5, "-n", "-q", "1") as tool:
        peer = server5.peer()
        peer.accept()
        peer.expect(v5.publish("t", qos=1, mid=1))
        peer.send(sent)
        peer.expect(v5.disconnect(answer))
        peer.expect_closed()
        assert tool.result() == (code, b"", f"Error: {error}\n")


# ---- publishing


@pytest.mark.parametrize("server_level", [v31, v311, v5], ids=str)
def test_qos_2_ends_once_the_message_is_complete(server_level: object) -> None:
    with Server(server_level) as server, pub(server, "-m", "m", "-q", "2", "-r") as tool:  # type: ignore[arg-type]
        peer, level = server.peer(), server.level
        peer.accept()
        peer.expect(level.publish("t", b"m", qos=2, mid=1, retain=True))
        peer.send(level.pubrec(1))
        peer.expect(level.pubrel(1))
        peer.send(level.pubcomp(1))
        say_goodbye(peer)
        assert tool.result() == (0, b"", "")


def test_repetitions_of_qos_0_follow_each_other(server: Server) -> None:
    with pub(server, "-m", "m", "--repeat", "3") as tool:
        peer = server.peer()
        peer.accept()
        peer.expect(*[v311.publish("t", b"m")] * 3)
        say_goodbye(peer)
        assert tool.result() == (0, b"", "")


def test_a_message_is_repeated_once_it_is_acknowledged(server: Server) -> None:
    with pub(server, "-m", "m", "-q", "1", "--repeat", "3", "--repeat-delay", "0.01") as tool:
        peer = server.peer()
        peer.accept()
        for mid in (1, 2, 3):
            peer.expect(v311.publish("t", b"m", qos=1, mid=mid))
            peer.send(v311.puback(mid))
        say_goodbye(peer)
        assert tool.result().code == 0


@pytest.mark.parametrize(
    ("reason", "properties", "error"),
    [
        (0x10, None, ""),
        (0x87, None, "Warning: Publish 1 failed: Not authorized.\n"),
        (0x97, props.reason_string("too much"), "Warning: Publish 1 failed: Quota exceeded.\ntoo much\n"),
    ],
)
def test_refused_messages_are_a_warning(server5: Server, reason: int, properties: bytes | None, error: str) -> None:
    for quiet in (False, True):
        with pub(server5, "-n", "-q", "1", *["--quiet"] * quiet) as tool:
            peer = server5.peer()
            peer.accept()
            peer.expect(v5.publish("t", qos=1, mid=1))
            peer.send(v5.puback(1, reason, properties))
            say_goodbye(peer)
            assert tool.result() == (0, b"", "" if quiet else error)


def test_the_reason_string_of_a_pubrec_is_not_shown(server5: Server) -> None:
    with pub(server5, "-n", "-q", "2") as tool:
        peer = server5.peer()
        peer.accept()
        peer.expect(v5.publish("t", qos=2, mid=1))
        peer.send(v5.pubrec(1, 0x87, props.reason_string("why")))
        say_goodbye(peer)
        assert tool.result() == (0, b"", "Warning: Publish 1 failed: Not authorized.\n")


@pytest.mark.parametrize(
    ("words", "connack", "error"),
    [
        (["-q", "1"], props.maximum_qos(0), "Error: Message QoS not supported on broker, try a lower QoS.\n"),
        ([], props.maximum_packet_size(5), ""),
        (
            ["-D", "publish", "payload-format-indicator", "2"],
            b"",
            "Error: Protocol error when communicating with broker.\n",
        ),
        (["-D", "publish", "topic-alias", "1", "-D", "publish", "topic-alias", "1"], b"", ""),
    ],
)
def test_messages_that_cannot_be_published(server5: Server, words: list[str], connack: bytes, error: str) -> None:
    with pub(server5, "-m", "message", *words) as tool:
        peer = server5.peer()
        peer.accept(properties=connack)
        say_goodbye(peer)
        assert tool.result() == (7, b"", error + LOST)


def test_publish_properties_with_version_3(server: Server) -> None:
    with pub(server, "-n", "-D", "publish", "content-type", "x", "-V", "311") as tool:
        peer = server.peer()
        peer.accept()
        say_goodbye(peer)
        assert tool.result() == (7, b"", LOST)


def test_properties_of_publish_and_disconnect(server5: Server) -> None:
    words = "-D publish user-property a b -D publish content-type c -D publish user-property a c"
    with pub(server5, "-n", *words.split(), "-D", "disconnect", "reason-string", "bye") as tool:
        peer = server5.peer()
        peer.accept()
        properties = props.user_property("a", "b") + props.content_type("c") + props.user_property("a", "c")
        peer.expect(v5.publish("t", properties=properties))
        peer.expect(v5.disconnect(0, props.reason_string("bye")))
        peer.close()
        assert tool.result().code == 0


def test_retain_is_left_away_where_the_server_has_none(server5: Server) -> None:
    with pub(server5, "-n", "-r") as tool:
        peer = server5.peer()
        peer.accept(properties=props.retain_available(0))
        peer.expect(v5.publish("t"))
        say_goodbye(peer)
        assert tool.result().code == 0


def test_a_topic_alias_stands_for_the_topic_from_the_second_message_on(server5: Server) -> None:
    with pub(server5, "-l", "-D", "publish", "topic-alias", "7", stdin=subprocess.PIPE) as tool:
        tool.write(b"1\n2\n")
        peer = server5.peer()
        peer.accept(properties=props.topic_alias_maximum(10))
        peer.expect(v5.publish("t", b"1", properties=props.topic_alias(7)))
        peer.expect(v5.publish("", b"2", properties=props.topic_alias(7)))
        tool.end_of_input()
        say_goodbye(peer)
        assert tool.process.wait() == 0


def test_what_debug_shows(server: Server) -> None:
    with pub(server, "-m", "hello", "-q", "1", "-d", "-i", "me") as tool:
        peer = server.peer()
        peer.accept()
        peer.expect(v311.publish("t", b"hello", qos=1, mid=1))
        peer.send(v311.puback(1))
        say_goodbye(peer)
        assert tool.result().out.decode().split("\n") == [
            "Client me sending CONNECT",
            "Client me received CONNACK (0)",
            "Client me sending PUBLISH (d0, q1, r0, m1, 't', ... (5 bytes))",
            "Client me received PUBACK (Mid: 1, RC:0)",
            "Client me sending DISCONNECT",
            "",
        ]


def test_closed_streams_are_no_hindrance(server: Server) -> None:
    script = f"exec {sys_executable()} -c 'from mosq.cli.pub import entry; entry()' \"$@\" <&- >&- 2>&-"
    for words in (["-m", "x", "-d"], ["-l", "-d"]):
        command = ["/bin/sh", "-c", script, "sh", "-p", str(server.port), "-t", "t", *words]
        process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
        peer = server.peer()
        peer.accept()
        if words[0] == "-m":
            peer.expect(v311.publish("t", b"x"))
        say_goodbye(peer)
        assert process.wait() == 0


def sys_executable() -> str:
    import sys

    return sys.executable


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_kill(server: Server, number: signal.Signals) -> None:
    with pub(server, "-n", "-q", "1") as tool:
        peer = server.peer()
        peer.accept()
        peer.read_packet()
        tool.process.send_signal(number)
        assert tool.result() == (-number, b"", "")


# ---- lines


def lines(peer: Peer, count: int) -> list[bytes]:
    """The payloads of so many QoS 0 messages."""
    return [peer.read_packet()[-1:] for _ in range(count)]


def test_lines(server: Server) -> None:
    with pub(server, "-l", stdin=subprocess.PIPE) as tool:
        tool.write(b"one\n\r\n\n\0two\0\nthr")
        peer = server.peer()
        peer.accept()
        for payload in (b"one", b"\r", b"", b"\0two\0"):
            peer.expect(v311.publish("t", payload))
        tool.write(b"ee\n")
        peer.expect(v311.publish("t", b"three"))
        tool.write(b"last")
        tool.end_of_input()
        peer.expect(v311.publish("t", b"last"))
        say_goodbye(peer)
        assert tool.process.wait() == 0


def test_no_lines_at_all(server: Server) -> None:
    with pub(server, "-l", "-q", "1") as tool:
        peer = server.peer()
        peer.accept()
        say_goodbye(peer)
        assert tool.result() == (0, b"", "")


def test_a_line_of_three_megabytes_from_a_file(server: Server, tmp_path: Path) -> None:
    text = b"x" * 3_000_000
    (tmp_path / "lines").write_bytes(b"a\n" + text + b"\nb\n")
    with (tmp_path / "lines").open("rb") as file, pub(server, "-l", "-q", "1", stdin=file.fileno()) as tool:
        peer = server.peer()
        peer.accept()
        for mid, payload in enumerate((b"a", text, b"b"), 1):
            peer.expect(v311.publish("t", payload, qos=1, mid=mid))
            peer.send(v311.puback(mid))
        say_goodbye(peer)
        assert tool.result() == (0, b"", "")


def test_the_tail_is_not_lost_however_late_the_acknowledgements(server: Server) -> None:
    count = 5000
    with pub(server, "-l", "-q", "1", "-M", "1000", stdin=subprocess.PIPE) as tool:
        peer = server.peer()
        peer.accept()
        feed = threading.Thread(target=tool.result, args=(b"".join(b"%d\n" % i for i in range(count)),))
        feed.start()
        waiting: list[bytes] = []
        for number in range(count):
            mid = u16(number % 65535 + 1)
            assert peer.read_packet()[-2 - len(b"%d" % number) :] == mid + b"%d" % number
            waiting.append(v311.puback(number % 65535 + 1))
            if len(waiting) == 1000 or number == count - 1:
                peer.send(*waiting)
                waiting.clear()
        say_goodbye(peer)
        feed.join()
        assert tool.process.returncode == 0


def test_a_slow_server_slows_the_input_down(server: Server) -> None:
    """The tool reads no more than it may keep: a pipe that nobody empties is full after a while."""
    with pub(server, "-l", "-q", "0", stdin=subprocess.PIPE) as tool:
        peer = server.peer()
        peer.accept()
        assert tool.process.stdin is not None
        fd = tool.process.stdin.fileno()
        os.set_blocking(fd, False)
        line = b"x" * 1023 + b"\n"
        written = 0

        def is_full() -> bool:
            nonlocal written
            try:
                while written < 200 << 20:
                    written += os.write(fd, line * 64)
            except BlockingIOError:
                pass
            before = peer.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            return stalled(fd, before)

        def stalled(fd: int, _: int) -> bool:
            import select

            return not select.select([], [fd], [], 0.2)[1]

        wait_until(is_full, "a full pipe")
        assert written < 100 << 20
        os.set_blocking(fd, True)
        tool.end_of_input()
        total = 0
        while True:
            got = peer.read_packet()
            if got[0] >> 4 != PUBLISH:
                break
            total += len(got) - 6
        peer.close()
        assert total == written - written // 1024
        assert tool.process.wait() == 0


def test_lines_survive_a_restart_of_the_broker(own_broker: StartBroker) -> None:
    broker = own_broker("listener {port} 127.0.0.1\nallow_anonymous true\n")
    words = ["-p", str(broker.port), "-t", "t", "-l", "-q", "1", "-i", "me", "-c", "-r"]
    with Running("pub", *words, stdin=subprocess.PIPE) as tool:
        before = subscriber(broker)
        tool.write(b"1\n2\n")
        assert [got[-1:] for got in (before.read_packet(), before.read_packet())] == [b"1", b"2"]
        broker.stop()
        tool.write(b"3\n4\n")
        broker.start()
        after = subscriber(broker)
        tool.write(b"5\n")
        seen: list[bytes] = []
        while not seen or seen[-1] != b"5":
            seen.append(after.read_packet()[-1:])
        tool.end_of_input()
        assert tool.process.wait() == 0
        assert seen[-1:] == [b"5"]
        assert set(seen) <= {b"2", b"3", b"4", b"5"}


def subscriber(broker: Broker) -> RawClient:
    client = broker.connected(v311, "reader")
    client.subscribe("t")
    return client


def test_unacknowledged_lines_are_sent_again(server: Server) -> None:
    with pub(server, "-l", "-q", "1", stdin=subprocess.PIPE) as tool:
        first = server.peer()
        first.accept()
        tool.write(b"1\n2\n")
        first.expect(v311.publish("t", b"1", qos=1, mid=1), v311.publish("t", b"2", qos=1, mid=2))
        first.send(v311.puback(1))
        first.close()
        second = server.peer()
        assert second.read_packet() == v311.connect("")
        tool.write(b"3\n")
        tool.wait_until_read()
        tool.end_of_input()
        second.send(v311.connack())
        second.expect(v311.publish("t", b"2", qos=1, mid=2, dup=True), v311.publish("t", b"3", qos=1, mid=3))
        second.send(v311.puback(2), v311.puback(3))
        say_goodbye(second)
        assert tool.process.wait() == 0


def test_lines_of_qos_0_are_lost_while_there_is_no_connection(server: Server) -> None:
    with pub(server, "-l", stdin=subprocess.PIPE) as tool:
        peer = server.peer()
        peer.accept()
        tool.write(b"1\n")
        peer.expect(v311.publish("t", b"1"))
        peer.close()
        again = server.peer()
        again.read_packet()
        tool.write(b"2\n")
        tool.wait_until_read()
        again.send(v311.connack())
        tool.write(b"3\n")
        again.expect(v311.publish("t", b"3"))
        tool.end_of_input()
        say_goodbye(again)
        assert tool.process.wait() == 0


def test_a_refusal_when_lines_are_to_be_sent(server: Server) -> None:
    error = "Connection error: Connection Refused: not authorised\nError: The connection was refused\n"
    with pub(server, "-l", stdin=subprocess.PIPE) as tool:
        peer = server.peer()
        peer.read_packet()
        peer.send(v311.connack(5))
        peer.expect_closed()
        assert tool.result() == (5, b"", error)


def test_a_refusal_when_the_connection_is_made_again(server: Server) -> None:
    error = "Connection error: Connection Refused: broker unavailable\nError: The connection was refused\n"
    with pub(server, "-l", stdin=subprocess.PIPE) as tool:
        peer = server.peer()
        peer.accept()
        peer.close()
        again = server.peer()
        again.read_packet()
        again.send(v311.connack(3))
        assert tool.process.wait(10) == 3
        assert tool.result().err == error


@pytest.mark.parametrize(
    ("words", "connack", "code", "error"),
    [
        (["-q", "1"], props.maximum_qos(0), 24, "Requested QoS not supported on server"),
        (["-q", "1"], props.maximum_packet_size(5), 25, "Packet larger than supported by the server"),
        (
            ["-D", "publish", "topic-alias", "0"],
            b"",
            2,
            "A network protocol error occurred when communicating with the broker",
        ),
        (
            ["-D", "publish", "content-type", "a", "-D", "publish", "content-type", "b"],
            b"",
            22,
            "Duplicate property in property list",
        ),
    ],
)
def test_lines_that_cannot_be_published(
    server5: Server, words: list[str], connack: bytes, code: int, error: str
) -> None:
    with pub(server5, "-l", *words, stdin=subprocess.PIPE) as tool:
        tool.write(b"line\n")
        peer = server5.peer()
        peer.accept(properties=connack)
        say_goodbye(peer)
        assert tool.process.wait() == code
        assert tool.result().err == f"Error: {error}\n"


def test_the_first_connection_must_succeed() -> None:
    assert run("pub", "-p", str(free_port()), "-t", "t", "-l") == (1, b"", "Error: Connection refused\n")
