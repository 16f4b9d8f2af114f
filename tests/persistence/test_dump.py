"""mosquitto_db_dump: what it prints, byte by byte, and what it says of files that it cannot read."""

from __future__ import annotations

import base64
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from mosq.cli.db_dump import USAGE, main
from mosq.persistence.format import (
    MAGIC,
    BaseMessage,
    Client,
    ClientMessage,
    Configuration,
    Content,
    Retained,
    Subscription,
    Unknown,
    decode,
    encode,
    encode_chunk,
    encode_header,
)

DATA = Path(__file__).parent / "data"

TINY = """Mosquitto DB dump
CRC: 0
DB version: 6
DB_CHUNK_CFG:
	Length: 16
	Shutdown: 1
	DB ID size: 8
	Last DB ID: 1325814807546586
DB_CHUNK_BASE_MSG:
	Length: 44
	Store ID: 1325814807546586
	Source Port: 31884
	Source MID: 1
	Topic: a/b
	QoS: 1
	Retain: 1
	Payload Length: 2
	Expiry Time: 0
	Payload: hi
	Properties:
		Content type: t
DB_CHUNK_CLIENT:
	Length: 27
	Client ID: c1
	Username: u
	Listener port: 31884
	Last MID: 1
	Session expiry time: 0
	Session expiry interval: 4294967295
DB_CHUNK_CLIENT_MSG:
	Length: 22
	Client ID: c1
	Store ID: 1325814807546586
	MID: 1
	QoS: 1
	Retain: 1
	Direction: 1
	State: 11
	Dup: 0
	Subscription identifier: 300
DB_CHUNK_SUB:
	Length: 17
	Client ID: c1
	Topic: a/b
	QoS: 1
	Subscription ID: 300
	Options: 0x08
DB_CHUNK_RETAIN:
	Length: 8
	Store ID: 1325814807546586
"""

MANY_PROPERTIES = BaseMessage(
    2**64 - 1,
    b't\xc3\xa9"\\\n',
    b"\0\xff",
    expires=-1,
    properties=(
        (0x01, 1),
        (0x02, 60),
        (0x08, b"r/t"),
        (0x09, b"\x00\xff\x10"),
        (0x26, (b"k", b"v")),
        (0x26, (b"", b"")),
    ),
)
MANY_TEXT = b"""DB_CHUNK_BASE_MSG:
	Length: 72
	Store ID: 18446744073709551615
	Source Port: 0
	Source MID: 0
	Topic: t\xc3\xa9"\\

	QoS: 0
	Retain: 0
	Payload Length: 2
	Expiry Time: 18446744073709551615
	Properties:
		Payload format indicator: 1
		Invalid property type: 2
		Response topic: r/t
		Correlation data: 00FF10
		User property: k , v
		User property:  ,\x20
"""
MANY_JSON = b"""{
	"base-messages":	[{
			"storeid":	18446744073709551615,
			"expiry-time":	-1,
			"source-mid":	0,
			"source-port":	0,
			"qos":	0,
			"retain":	0,
			"topic":	"t\xc3\xa9\\"\\\\\\n",
			"payload":	"AP8=",
			"properties":	[{
					"identifier":	"payload-format-indicator",
					"value":	1
				}, {
					"identifier":	"response-topic",
					"value":	"r/t"
				}, {
					"identifier":	"correlation-data",
					"value":	"00FF10"
				}, {
					"identifier":	"user-property",
					"name":	"k",
					"value":	"v"
				}, {
					"identifier":	"user-property",
					"name":	"",
					"value":	""
				}]
		}],
	"clients":	[],
	"client-messages":	[{
			"clientid":	"c",
			"storeid":	7,
			"mid":	1,
			"qos":	2,
			"state":	9,
			"retain-dup":	17,
			"direction":	1,
			"subscription-identifier":	300
		}],
	"retained-messages":	[{
			"storeid":	1
		}, {
			"storeid":	2
		}],
	"subscriptions":	[]
}
"""
EMPTY_JSON = b"""{
	"base-messages":	[],
	"clients":	[],
	"client-messages":	[],
	"retained-messages":	[],
	"subscriptions":	[]
}
"""
NO_STATS = b"""DB_CHUNK_CFG:        0
DB_CHUNK_BASE_MSG:   0
DB_CHUNK_CLIENT_MSG: 0
DB_CHUNK_RETAIN:     0
DB_CHUNK_SUB:        0
DB_CHUNK_CLIENT:     0
"""


class Dump:
    """Runs the command on files of its own."""

    def __init__(self, directory: Path, capture: pytest.CaptureFixture[bytes]) -> None:
        self._path = directory / "mosquitto.db"
        self._capture = capture

    def __call__(self, data: bytes, *options: str) -> tuple[int, bytes, bytes]:
        """The exit code, stdout and stderr."""
        self._path.write_bytes(data)
        return self.run(*options, str(self._path))

    def run(self, *words: str) -> tuple[int, bytes, bytes]:
        code = main(words)
        out, err = self._capture.readouterr()
        return code, out, err


@pytest.fixture
def dump(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> Dump:
    return Dump(tmp_path, capsysbinary)


def test_text_of_the_tiny_file(dump: Dump) -> None:
    assert dump.run(str(DATA / "v6-tiny.db")) == (0, TINY.encode(), b"")


def test_text_of_properties_and_odd_values(dump: Dump) -> None:
    code, out, err = dump(encode([MANY_PROPERTIES]))
    assert (code, err) == (0, b"")
    assert out == b"Mosquitto DB dump\nCRC: 0\nDB version: 6\n" + MANY_TEXT


@pytest.mark.parametrize(
    ("payload", "shown"),
    [(b"", False), (b"x" * 255, True), (b"x" * 256, False), (b"a\nb", False), (b"\xff", False), (b"\0", False)],
)
def test_a_payload_is_shown_if_it_is_short_text(dump: Dump, payload: bytes, shown: bool) -> None:
    _, out, _ = dump(encode([BaseMessage(1, b"t", payload)]))
    assert (b"\tPayload: " + payload + b"\n" in out) == shown
    assert f"\tPayload Length: {len(payload)}\n".encode() in out


def test_what_is_absent_has_no_line_or_a_word(dump: Dump) -> None:
    _, out, _ = dump(encode([BaseMessage(1, b""), Client(b"c"), ClientMessage(b"c", 1), Subscription(b"c", b"")]))
    assert out.count(b"Topic: (null)\n") == 2
    for label in (b"Username", b"Listener port", b"Subscription identifier", b"Properties"):
        assert label not in out


def test_sessions_of_old_versions_have_no_expiry(dump: Dump) -> None:
    code, out, err = dump.run(str(DATA / "v4-handmade.db"))
    assert (code, err) == (0, b"")
    assert b"\tClient ID: v4-a\n\tLast MID: 9\n\tSession expiry time: 0\n\tSession expiry interval: 0\n" in out
    assert b"\tStore ID: 201\n\tSource Port: 31883\n\tSource MID: 7\n\tTopic: t/1\n" in out


def test_stats(dump: Dump) -> None:
    expected = """DB_CHUNK_CFG:        1
DB_CHUNK_BASE_MSG:   29
DB_CHUNK_CLIENT_MSG: 33
DB_CHUNK_RETAIN:     8
DB_CHUNK_SUB:        12
DB_CHUNK_CLIENT:     8
"""
    assert dump.run("--stats", str(DATA / "v6-mixed.db")) == (0, expected.encode(), b"")


def test_client_stats(dump: Dump) -> None:
    contents: list[Content] = [
        BaseMessage(1, b"topic", b"payload"),  # 32 + 5 + 7 bytes
        Subscription(b"one", b"too early"),
        Client(b"two"),
        ClientMessage(b"two", 1, identifier=300),  # 16 + 3 + 4
        ClientMessage(b"two", 2),  # 16 + 3; no such message
        Client(b"one"),
        Subscription(b"two", b"a/b"),  # 12 + 3 + 3
        Subscription(b"two", b"#"),  # 12 + 3 + 1
        Subscription(b"three", b"nobody's"),
    ]
    expected = f"SC: 2 SS: {18 + 16} MC: 2 MS: {23 + 44 + 19}   two\nSC: 0 SS: 0 MC: 0 MS: 0   one\n"
    assert dump(encode(contents), "--client-stats") == (0, expected.encode(), b"")


def test_layout_of_json(dump: Dump) -> None:
    contents: list[Content] = [
        Configuration(9),
        MANY_PROPERTIES,
        ClientMessage(b"c", 7, 1, 2, 1, 1, 1, 9, 300),
        Retained(1),
        Retained(2),
    ]
    assert dump(encode(contents), "--json") == (0, MANY_JSON, b"")


def test_json_says_what_the_file_says(dump: Dump) -> None:
    path = DATA / "v6-mixed.db"
    code, out, err = dump.run("--json", str(path))
    assert (code, err) == (0, b"")
    document = json.loads(out)
    assert list(document) == ["base-messages", "clients", "client-messages", "retained-messages", "subscriptions"]
    contents = [chunk.content for chunk in decode(path.read_bytes())]
    assert document["clients"] == [
        {
            "clientid": it.client_id.decode(),
            **({"username": it.username.decode()} if it.username else {}),
            "session-expiry-time": it.expires,
            "session-expiry-interval": it.interval,
            "last-mid": it.mid,
            "listener-port": it.port,
        }
        for it in contents
        if isinstance(it, Client)
    ]
    assert [
        (it["storeid"], it["topic"], base64.b64decode(it.get("payload", ""))) for it in document["base-messages"]
    ] == [(it.store_id, it.topic.decode(), it.payload) for it in contents if isinstance(it, BaseMessage)]
    assert [(it["clientid"], it["storeid"], it["mid"], it["state"]) for it in document["client-messages"]] == [
        (it.client_id.decode(), it.store_id, it.mid, it.state) for it in contents if isinstance(it, ClientMessage)
    ]
    assert [it["storeid"] for it in document["retained-messages"]] == [
        it.store_id for it in contents if isinstance(it, Retained)
    ]
    assert [(it["topic"], it["qos"], it["options"], it["identifier"]) for it in document["subscriptions"]] == [
        (it.topic.decode(), it.qos, it.options, it.identifier) for it in contents if isinstance(it, Subscription)
    ]


@pytest.mark.parametrize("words", [(), ("--stats", "a", "b"), ("--nonsense", "a"), ("a", "--stats"), ("a", "b")])
def test_wrong_arguments(dump: Dump, words: tuple[str, ...]) -> None:
    assert dump.run(*words) == (1, b"", USAGE.encode())


@pytest.mark.parametrize("word", ["--help", "--json", "/nowhere/mosquitto.db"])
def test_a_file_that_cannot_be_opened(dump: Dump, word: str) -> None:
    assert dump.run(word) == (1, b"", f"Error: Unable to open {word}\n".encode())


CORRUPT = b"Error: Corrupt persistent database.\n"
UNRECOGNISED = b"Error: Unrecognised file format.\n"
TITLE = b"Mosquitto DB dump\n"
HEADER = TITLE + b"CRC: 0\nDB version: 6\n"
RETAIN = b"DB_CHUNK_RETAIN:\n\tLength: 8\n\tStore ID: 1\n"
CUT = encode([Retained(1), Client(b"abc")])[:-1]


@pytest.mark.parametrize(
    ("data", "option", "out", "err"),
    [
        (b"", None, b"", b""),
        (MAGIC[:-1], "--json", b"", b""),
        (encode_header()[:-1], None, TITLE, b""),
        (encode_header()[:-1], "--stats", b"", b""),
        (b"SQLite format 3\0", None, b"", UNRECOGNISED),
        (b"SQLite format 3\0", "--stats", NO_STATS, UNRECOGNISED),
        (b"SQLite format 3\0", "--json", EMPTY_JSON, UNRECOGNISED),
        (CUT, None, HEADER + RETAIN, CORRUPT),
        (CUT, "--stats", b"", CORRUPT),
        (CUT, "--client-stats", b"", CORRUPT),
        (CUT, "--json", b"", CORRUPT),
        (encode([Client(b"")]), "--stats", b"", CORRUPT),
        (
            encode([Configuration(1, 0, 4)]),
            "--stats",
            b"",
            b"Error: Incompatible database configuration (dbid size is 4 bytes, expected 8)",
        ),
    ],
)
def test_files_that_cannot_be_read(dump: Dump, data: bytes, option: str | None, out: bytes, err: bytes) -> None:
    assert dump(data, *([option] if option else [])) == (1, out, err)


def test_a_cut_in_the_header_of_a_chunk_is_the_end(dump: Dump) -> None:
    assert dump(encode([Retained(1)]) + bytes(7)) == (0, HEADER + RETAIN, b"")


def test_unknown_chunks_are_skipped_with_a_warning(dump: Dump) -> None:
    warning = b'Warning: Unsupported chunk "77" of length 3 in persistent database file at position 31. Ignoring.\n'
    assert dump(encode([Unknown(77, b"abc"), Retained(1)])) == (0, HEADER + RETAIN, warning)


@pytest.mark.parametrize(("version", "warned"), [(1, False), (7, True)])
def test_unknown_versions_are_read_as_version_3(dump: Dump, version: int, warned: bool) -> None:
    data = encode_header()[:-4] + struct.pack(">I", version) + encode_chunk(Retained(1), 3)
    warning = b"Warning: mosquitto_db_dump does not support this DB version, continuing but expecting errors.\n"
    title = TITLE + b"CRC: 0\nDB version: %d\n" % version
    assert dump(data) == (0, title + (warning if warned else b"") + RETAIN, b"")


def test_a_file_can_come_through_a_pipe_and_the_reader_may_leave() -> None:
    run = [sys.executable, "-c", "from mosq.cli.db_dump import entry; entry()", "/dev/stdin"]
    data = encode([BaseMessage(i, b"t" * 100) for i in range(3000)])
    with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(data)
        process.stdin.close()
        assert process.stdout.readline() == TITLE
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize("option", [None, "--stats", "--client-stats", "--json"])
def test_output_that_cannot_be_written_is_an_error(tmp_path: Path, option: str | None) -> None:
    source = tmp_path / "mosquitto.db"
    script = "from mosq.cli.db_dump import entry; entry()"
    run = [sys.executable, "-c", script, *([option] if option else []), str(source)]
    few: list[Content] = [Client(b"c"), Unknown(77, b"abc")]
    for contents in (few, [*(Client(b"%d" % i) for i in range(2000)), *few]):  # less and more than the buffer holds
        source.write_bytes(encode(contents))
        with open("/dev/full", "wb") as full:
            ended = subprocess.run(run, stdout=full, stderr=subprocess.PIPE, timeout=10, check=False)
        lines = [line for line in ended.stderr.splitlines() if not line.startswith(b"Warning: Unsupported chunk")]
        assert (ended.returncode, lines) == (1, [b"Error: No space left on device"])
