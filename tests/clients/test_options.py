"""Options of mosquitto_pub, mosquitto_sub and mosquitto_rr: what they set, and what is said about mistakes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mosq.cli.client import options
from mosq.cli.client.help import TEXTS
from mosq.cli.client.numbers import atof, atoi, strtol
from mosq.cli.client.settings import NEVER, PUB, RR, SUB, Ending, Tool
from tests.clients.command_lines import TOOLS, Word, encoded, ending, mistake, settings

TOPIC = {"P": ("-t", "t", "-n"), "S": ("-t", "t"), "R": ("-t", "t", "-e", "r", "-n")}


@pytest.fixture(autouse=True)
def no_options_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which the tests put theirs."""
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".config").mkdir()
    return tmp_path / ".config"


# ---- the table


def test_no_name_stands_for_two_options() -> None:
    names = [name for option in options.TABLE for name in option.names.split()]
    assert len(names) == len(set(names))


def test_every_option_is_explained() -> None:
    assert {option.names.split()[0] for option in options.TABLE} == set(TEXTS)


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_help_has_every_option_of_the_tool_and_the_shape_that_scripts_expect(tool: Tool) -> None:
    code, out, err = ending(tool, "--help")
    assert (code, err) == (1, b"")
    lines = out.decode().split("\n")
    assert lines[0].startswith(f"{tool.name} ")
    version = next(i for i, line in enumerate(lines) if line.startswith(f"{tool.name} version "))
    assert lines[version + 1] == ""
    assert lines[version + 2].startswith(f"Usage: {tool.name} {{")
    end = lines.index(f"       {tool.name} --help")
    assert lines[end + 1] == ""
    explained = [line.split(" : ")[0].strip() for line in lines[end + 2 :] if line.startswith(" -")]
    assert len(explained) == len(options.of(tool))
    for option, name in zip(options.of(tool), explained, strict=True):
        assert name in option.names.split()
        if name not in ("--help", "--version"):
            assert re.search(rf"{name}[] |}}]", " ".join(lines[version:end]))
    assert lines[-4:] == ["", "See https://mosquitto.org/ for more information.", "", ""]


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_version_is_one_line(tool: Tool) -> None:
    code, out, err = ending(tool, "--version")
    assert (code, err) == (1, b"")
    assert out.decode().startswith(f"{tool.name} version ")
    assert out.count(b"\n") == 1


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_an_option_of_another_tool_is_unknown(tool: Tool) -> None:
    for option in options.TABLE:
        if tool.letter not in option.tools:
            for name in option.names.split():
                assert mistake(tool, name) == f"Error: Unknown option '{name}'."


# ---- values


@pytest.mark.parametrize(
    ("words", "attribute", "value"),
    [
        (["-A", "10.0.0.1"], "bind_address", "10.0.0.1"),
        (["-c", "-i", "x"], "clean", False),
        (["--disable-clean-session", "-i", "x"], "clean", False),
        (["-d"], "debug", True),
        (["-h", "a", "--host", "b"], "host", "b"),
        (["-i", "x"], "id", b"x"),
        (["-k", "65535"], "keepalive", 65535),
        (["-M", "7"], "max_inflight", 7),
        (["-M", "65536"], "max_inflight", 20),
        (["-p", " 12x"], "port", 12),
        (["-p", "abc"], "port", 0),
        (["-P", "-u"], "password", b"-u"),
        (["-q", "x"], "qos", 0),
        (["-q", "2"], "qos", 2),
        (["--unix", "/a"], "host", "/a"),
        (["--unix", "/a"], "port", 0),
        (["-V", "mqttv31"], "version", 3),
        (["-V", "311"], "version", 4),
        (["-V", "5"], "version", 5),
        (["-x", "7", "-V", "311"], "version", 4),
        (["-x", "7"], "version", 5),
        (["-x", "010"], "session_expiry", 8),
        (["-x", "0xff"], "session_expiry", 255),
        (["-x", "-1", "-i", "x"], "session_expiry", NEVER),
        (["-x", "∞", "-i", "x"], "session_expiry", NEVER),
        (["-V", "5", "-c", "-i", "x"], "session_expiry", NEVER),
        (["--will-topic", "w", "--will-qos", "1", "--will-retain"], "will_qos", 1),
        ([], "port", 1883),
        (["--cafile", "x"], "port", 8883),
        (["--capath", "x", "--no-tls"], "port", 8883),
        (["--psk", "x", "--psk-identity", "y"], "port", 8883),
        (["--tls-use-os-certs"], "port", 1883),
        ([], "tls", False),
        (["-p", "8883"], "os_certs", True),
        (["-p", "8883"], "tls", True),
        (["-p", "8883", "--cafile", "x"], "os_certs", False),
        (["--tls-use-os-certs"], "tls", True),
        (["--tls-use-os-certs", "--no-tls"], "tls", False),
        (["--insecure", "--tls-version", "tlsv1.2"], "tls", False),
    ],
)
@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_values(tool: Tool, words: list[str], attribute: str, value: object) -> None:
    assert getattr(settings(tool, *TOPIC[tool.letter], *words), attribute) == value


def test_rr_speaks_version_5_and_the_others_4() -> None:
    assert [settings(tool, *TOPIC[tool.letter]).version for tool in (PUB, SUB, RR)] == [4, 4, 5]


def test_an_id_prefix_gets_the_process_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getpid", lambda: 123)
    assert settings(SUB, "-t", "t", "-I", "pre").id == b"pre123"


@pytest.mark.parametrize(
    ("words", "options_byte"),
    [
        ([], 0),
        (["-q", "1", "--retain-as-published"], 0x09),
        (["-R"], 0x20),
        (["-R", "--retain-handling", "new"], 0x10),
        (["--retain-handling", "new", "-R"], 0x20),
        (["--retain-handling", "always"], 0),
        (["--retain-handling", "never", "-V", "311", "-q", "2"], 2),
    ],
)
def test_the_last_word_on_retained_messages_counts(words: list[str], options_byte: int) -> None:
    assert settings(SUB, "-t", "t", "-V", "5", *words).subscription_options == options_byte


def test_latency_sets_nodelay() -> None:
    assert settings(RR, *TOPIC["R"], "--latency").nodelay


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-Z"], "Error: Unknown option '-Z'."),
        (["word"], "Error: Unknown option 'word'."),
        (["--port=1"], "Error: Unknown option '--port=1'."),
        ([b"\xff"], "Error: Unknown option '\udcff'."),
        (["--no-local"], "Error: Unknown option '--no-local'."),
        (["-S"], "Error: Unknown option '-S'."),
        (["-p", "-1"], "Error: Invalid port given: -1"),
        (["-p", "4294967297"], None),
        (["-p", "65536"], "Error: Invalid port given: 65536"),
        (["-q", "3"], "Error: Invalid QoS given: 3"),
        (["-k", "4"], "Error: Invalid keepalive given, it must be between 5 and 65535 inclusive.\n"),
        (["-k", "0"], "Error: Invalid keepalive given, it must be between 5 and 65535 inclusive.\n"),
        (["-M", "0"], "Error: Maximum inflight messages must be greater than 0.\n"),
        (["-i", "a", "-I", "b"], "Error: -i and -I argument cannot be used together.\n"),
        (["-I", "a", "-i", "b"], "Error: -i and -I argument cannot be used together.\n"),
        (["-V", "MQTTV5"], "Error: Invalid protocol version argument given.\n"),
        (["--will-qos", "3"], "Error: Invalid will QoS 3.\n"),
        (["-x", "1s"], "Error: session-expiry-interval not a number.\n"),
        (["-x", ""], "Error: session-expiry-interval not a number.\n"),
        (["-x", "4294967296"], "Error: session-expiry-interval out of range.\n"),
        (["-x", "-2"], "Error: session-expiry-interval out of range.\n"),
        (["--will-payload", ""], "Error: Will payload given, but no will topic given."),
        (["--will-retain"], "Error: Will retain given, but no will topic given."),
        (["--will-qos", "1"], None),
        (["--cert", "c"], "Error: Both certfile and keyfile must be provided if one of them is set."),
        (["--key", "k"], "Error: Both certfile and keyfile must be provided if one of them is set."),
        (["--keyform", "pem"], "Error: If keyform is set, keyfile must be also specified."),
        (
            ["--tls-engine-kpass-sha1", "x", "--tls-engine", "y"],
            "Error: when using tls-engine-kpass-sha1, both tls-engine and keyform must also be provided.",
        ),
        (["--psk", "1", "--cafile", "x"], "Error: Only one of --psk or --cafile/--capath may be used at once."),
        (["--psk", "1"], "Error: --psk-identity required if --psk used."),
        (
            ["-c", "-I", "x", "-V", "5"],
            "Error: You must provide a client id if you are using an infinite session expiry interval.",
        ),
        (["-c", "-V", "31"], "Error: You must provide a client id if you are using the -c option."),
        (["--will-topic", "+"], "Error: Invalid will topic '+', does it contain '+' or '#'?"),
        (["--will-topic", b"\xc3"], "Error: Malformed UTF-8 in --will-topic argument.\n"),
        (["-o", "a", "-o"], "Error: Duplicate -o argument given.\n"),
        (["-i", "-o"], "Error: -o argument given but no options file specified.\n"),
    ],
)
@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_mistakes(tool: Tool, words: list[Word], message: str | None) -> None:
    if message is None:
        settings(tool, *TOPIC[tool.letter], *words)
    else:
        assert mistake(tool, *TOPIC[tool.letter], *words) == message


@pytest.mark.parametrize(
    ("tool", "words", "message"),
    [
        (PUB, ["-m", "a", "-n"], "Error: Only one type of message can be sent at once.\n"),
        (PUB, ["-l", "-l"], "Error: Only one type of message can be sent at once.\n"),
        (RR, ["-s", "-f", "x"], "Error: Only one type of message can be sent at once.\n"),
        (PUB, ["--repeat", "0"], "Error: --repeat argument must be >0.\n"),
        (PUB, ["--repeat-delay", "-0.1"], "Error: --repeat-delay argument must be >=0.0.\n"),
        (PUB, ["-t", "a/#"], "Error: Invalid publish topic 'a/#', does it contain '+' or '#'?"),
        (PUB, ["-t", ""], "Error: Invalid publish topic '', does it contain '+' or '#'?"),
        (PUB, ["-t", "a\u0001"], "Error: Malformed UTF-8 in -t argument.\n"),
        (PUB, ["-L", "mqtt://h/"], "Error: Invalid publish topic '', does it contain '+' or '#'?"),
        (PUB, ["-L", b"mqtt://h/\xff"], "Error: Malformed UTF-8 in -L topic argument.\n"),
        (SUB, ["-t", "a#"], "Error: Invalid subscription topic 'a#', are all '+' and '#' wildcards correct?"),
        (
            SUB,
            ["-t", "/" * 201],
            f"Error: Invalid subscription topic '{'/' * 201}', are all '+' and '#' wildcards correct?",
        ),
        (SUB, ["-T", "+a"], "Error: Invalid filter topic '+a', are all '+' and '#' wildcards correct?"),
        (SUB, ["-T", b"\xff"], "Error: Malformed UTF-8 in -T argument.\n"),
        (SUB, ["-U", "+a"], "Error: Invalid unsubscribe topic '+a', are all '+' and '#' wildcards correct?"),
        (SUB, ["-U", b"\xff"], "Error: Malformed UTF-8 in -U argument.\n"),
        (SUB, ["-C", "0"], 'Error: Invalid message count "0".\n'),
        (SUB, ["-W", "-1"], 'Error: Invalid timeout "-1".\n'),
        (SUB, ["--random-filter", "0.09"], "Error: --random-filter chance must be between 0.1-100.0\n"),
        (SUB, ["--random-filter", "100.1"], "Error: --random-filter chance must be between 0.1-100.0\n"),
        (SUB, ["--random-filter", "nan"], "Error: --random-filter chance must be between 0.1-100.0\n"),
        (SUB, ["--retain-handling", "New"], "Error: Unknown value 'New' for --retain-handling.\n"),
        (SUB, ["-q", "1"], "Error: You must specify a topic to subscribe to (-t) or unsubscribe from (-U)."),
        (RR, ["-e", "+"], "Error: Invalid response topic '+', does it contain '+' or '#'?"),
        (RR, ["-e", b"\xff"], "Error: Malformed UTF-8 in -e argument.\n"),
    ],
)
def test_mistakes_of_one_tool(tool: Tool, words: list[Word], message: str) -> None:
    assert mistake(tool, *words) == message


def test_retained_messages_neither_and_only_make_no_sense() -> None:
    error = b"\nError: Combining '-R' and '--retained-only' makes no sense.\n"
    assert ending(SUB, "-t", "t", "-R", "--retained-only") == (1, b"", error)


def test_the_first_of_several_mistakes_is_told() -> None:
    assert mistake(PUB, "-p", "-1", "--help", "-Z") == "Error: Invalid port given: -1"
    assert ending(PUB, "--help", "-p", "-1")[1] != b""


@given(
    st.sampled_from([PUB, SUB, RR]), st.lists(st.binary(max_size=9).filter(lambda word: b"\0" not in word), max_size=6)
)
@example(PUB, [b"-L", b"mqtt://[::1/a"])
def test_arbitrary_words_end_or_make_settings(tool: Tool, words: list[bytes]) -> None:
    try:
        options.read(tool, words)
    except Ending as end:
        assert end.code == 1


@given(
    st.sampled_from([PUB, SUB, RR]),
    st.lists(
        st.sampled_from([name.encode() for option in options.TABLE for name in option.names.split()])
        | st.sampled_from(
            [b"connect", b"publish", b"user-property", b"topic-alias", b"1", b"-1", b"\xff", b"mqtt://h/t"]
        ),
        max_size=12,
    ).filter(lambda words: b"-o" not in words),
)
def test_arbitrary_options_end_or_make_settings(tool: Tool, words: list[bytes]) -> None:
    try:
        options.read(tool, words)
    except Ending as end:
        assert end.code == 1


# ---- numbers


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), (" \t+7x", 7), ("-3", -3), ("x", 0), ("", 0), ("--1", 0), ("0x10", 0), ("99999999999999999999", -1)],
)
def test_numbers_are_read_as_atoi_does(text: str, number: int) -> None:
    assert atoi(text.encode()) == number


@pytest.mark.parametrize(
    ("text", "number", "rest"),
    [
        ("0x1fz", 31, "z"),
        ("0xz", 0, "xz"),
        ("017", 15, ""),
        ("08", 0, "8"),
        ("-0x8", -8, ""),
        ("9", 9, ""),
        ("q", 0, "q"),
    ],
)
def test_numbers_may_have_a_base_in_front(text: str, number: int, rest: str) -> None:
    assert strtol(text.encode(), 0) == (number, rest.encode())


@pytest.mark.parametrize(
    ("text", "number"),
    [("1.5x", 1.5), (".5", 0.5), ("5.", 5.0), ("1e3", 1000.0), ("1e", 1.0), (" -2", -2.0), ("0x1p4", 16.0), ("", 0.0)],
)
def test_numbers_are_read_as_atof_does(text: str, number: float) -> None:
    assert atof(text.encode()) == number


# ---- URLs


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://h/t", ("h", 1883, None, None, b"t", False, False)),
        ("MQTTS://h/t", ("h", 8883, None, None, b"t", True, False)),
        ("ws://h/t", ("h", 1883, None, None, b"t", False, True)),
        ("wss://h:9/t", ("h", 9, None, None, b"t", True, True)),
        ("mqtt://u@h/a/b", ("h", 1883, b"u", None, b"a/b", False, False)),
        ("mqtt://u:p:q@h//a", ("h", 1883, b"u", b"p:q", b"/a", False, False)),
        ("mqtt://:p@h/a", ("h", 1883, b"", b"p", b"a", False, False)),
        ("mqtt://u%40:p@h/%41", ("h", 1883, b"u%40", b"p", b"%41", False, False)),
        ("mqtt://h:/t", ("h", 0, None, None, b"t", False, False)),
        ("mqtt://h:x/t", ("h", 0, None, None, b"t", False, False)),
        ("mqtt://h:99999/t", ("h", 99999, None, None, b"t", False, False)),
        ("mqtt:///t", ("", 1883, None, None, b"t", False, False)),
        ("mqtt://[::1]/t", ("::1", 1883, None, None, b"t", False, False)),
        ("mqtt://u@[::1]:7/t", ("::1", 7, b"u", None, b"t", False, False)),
    ],
)
def test_urls(url: str, expected: tuple[object, ...]) -> None:
    found = settings(PUB, "-n", "-L", url)
    assert expected == (
        found.host, found.port, found.username, found.password, found.topic, found.tls, found.websockets,
    )  # fmt: skip


@pytest.mark.parametrize("url", ["http://h/t", "mqtt:/h/t", "h/t", "", "://h/t"])
def test_urls_of_other_schemes(url: str) -> None:
    assert mistake(PUB, "-L", url) == "Error: Unsupported URL scheme.\n"


def test_urls_without_topic() -> None:
    assert mistake(PUB, "-L", "mqtt://h") == "Error: Invalid URL for -L argument specified - topic missing."


def test_the_last_word_on_the_server_counts() -> None:
    first = settings(PUB, "-n", "-h", "a", "-p", "1", "-u", "x", "-L", "mqtt://u:p@h/t")
    assert (first.host, first.port, first.username) == ("h", 1883, b"u")
    last = settings(PUB, "-n", "-L", "mqtt://u:p@h:9/t", "-h", "a", "-p", "1", "-P", "z")
    assert (last.host, last.port, last.username, last.password) == ("a", 1, b"u", b"z")


def test_a_url_adds_to_the_filters() -> None:
    assert settings(SUB, "-t", "a", "-L", "mqtt://h/b/#", "-t", "a").filters == [b"a", b"b/#", b"a"]


# ---- properties


def test_properties_keep_their_order_and_are_encoded_by_type() -> None:
    words = (
        "-D connect session-expiry-interval 5 -D CONNECT Receive-Maximum 7 -D publish correlation-data abc"
        " -D publish user-property a b -D publish payload-format-indicator 1 -D will will-delay-interval 4294967295"
    )
    found = settings(PUB, *TOPIC["P"], *words.split()).properties
    assert found["connect"] == [(0x11, 5), (0x21, 7)]
    assert found["publish"] == [(0x09, b"abc"), (0x26, (b"a", b"b")), (0x01, 1)]
    assert found["will"] == [(0x18, 4294967295)]


def test_a_property_must_be_utf8() -> None:
    for words in (["content-type", b"\xff"], ["user-property", b"\xff", "v"], ["user-property", "n", b"\xff"]):
        kind = 7 if len(words) == 3 else 6
        assert mistake(PUB, "-D", "publish", *words) == f"Error adding property {words[0]!s} {kind}"


@pytest.mark.parametrize("command", ["suback", "unsuback", "auth", "puback"])
def test_packets_of_the_server_have_no_properties_to_give(command: str) -> None:
    error = f"Error: reason-string property not supported for {command} in --property argument.\n"
    assert mistake(PUB, "-D", command, "reason-string", "x") == error
    assert mistake(PUB, "-D", "connack", "reason-string", "x") == ""


# ---- proxies


def test_a_proxy() -> None:
    found = settings(PUB, *TOPIC["P"], "--proxy", "socks5h://u%40:p@h:7").proxy
    assert found is not None
    assert (found.host, found.port, found.username, found.password) == ("h", 7, b"u@", b"p")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://h", "Error: Unsupported proxy protocol: http://h"),
        ("SOCKS5H://h", "Error: Unsupported proxy protocol: SOCKS5H://h"),
        ("socks5h://a:b:c@h", "Error: Username cannot contain ':'."),
        ("socks5h://", "Error: Invalid proxy."),
        ("socks5h://[::1][::1]", "Error: Duplicate IPv6 address."),
        ("socks5h://h:65536", "Error: Invalid proxy port 65536"),
        ("socks5h://:p@h", ""),
        ("socks5h://u%41@h", ""),
    ],
)
def test_mistakes_in_proxy_urls(url: str, message: str) -> None:
    assert mistake(PUB, "--proxy", url, "--quiet") == message
    assert mistake(PUB, "--quiet", "--proxy", url) == ""


def test_a_proxy_with_too_long_a_name_ends_without_a_word() -> None:
    assert ending(PUB, "--proxy", f"socks5h://{'h' * 257}") == (1, b"", b"")


# ---- files


def lines(directory: Path, text: bytes | str, tool: Tool = PUB) -> None:
    (directory / tool.name).write_bytes(text.encode() if isinstance(text, str) else text)


def test_the_options_file_comes_before_the_command_line(no_options_file: Path) -> None:
    lines(no_options_file, "# a comment\n\n   -q 1\n-t from file \r\n-d\n-m  two  \n-p 7")
    found = settings(PUB, "-p", "8")
    assert (found.qos, found.topic, found.debug, found.payload, found.port) == (1, b"from file ", True, b" two  ", 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-r foo", "Error: Unknown option 'foo'."),
        ("-t\ta", "Error: Unknown option '-t\ta'."),
        (" # no comment", "Error: Unknown option '#'."),
        ("-t\n-d", "Error: -t argument given but no topic specified.\n"),
        ("-t \n-d", "Error: -t argument given but no topic specified.\n"),
        ('"-t" a', "Error: Unknown option '\"-t\"'."),
        ("-t " + "a" * 1020 + "b", "Error: Unknown option 'b'."),
        ("-D publish content-type", "Error: --property argument given but not enough arguments specified.\n"),
        ("-m a\n-n", "Error: Only one type of message can be sent at once.\n"),
    ],
)
def test_mistakes_in_files(no_options_file: Path, text: str, message: str) -> None:
    lines(no_options_file, text)
    assert mistake(PUB, "-Z") == message


def test_payload_options_in_file_and_command_line_exclude_each_other(no_options_file: Path) -> None:
    lines(no_options_file, "-n")
    assert mistake(PUB, "-m", "a") == "Error: Only one type of message can be sent at once.\n"


def test_properties_can_stand_in_files(no_options_file: Path) -> None:
    lines(
        no_options_file, "-t t\n-n\n-D publish content-type a b\n--property  connect  user-property  name two words\n"
    )
    found = settings(PUB)
    assert found.properties == {"publish": [(3, b"a b")], "connect": [(38, (b"name", b"two words"))]}
    assert found.version == 5


def test_another_file_replaces_the_default_one(no_options_file: Path, tmp_path: Path) -> None:
    lines(no_options_file, "-Z")
    other = tmp_path / "other"
    other.write_text("-t t\n-n\n-o nonsense\n")
    assert settings(PUB, "-o", str(other), "-q", "1").topic == b"t"
    assert settings(PUB, "-o", str(tmp_path / "missing"), "-t", "u", "-n").topic == b"u"


def test_the_xdg_directory_replaces_the_home_directory(
    no_options_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines(no_options_file, "-Z")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert settings(PUB, "-t", "t", "-n").qos == 0
    lines(tmp_path, "-q 2")
    assert settings(PUB, "-t", "t", "-n").qos == 2


def test_each_tool_has_its_own_file(no_options_file: Path) -> None:
    lines(no_options_file, "-Z", SUB)
    assert settings(PUB, "-t", "t", "-n").qos == 0


def test_help_in_a_file_is_obeyed(no_options_file: Path) -> None:
    lines(no_options_file, "--version")
    assert ending(PUB, "-Z")[1].startswith(b"mosquitto_pub version")


def test_without_home_there_is_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    assert settings(PUB, "-t", "t", "-n").qos == 0


@given(st.binary(max_size=200).filter(lambda text: b"-o" not in text))
def test_arbitrary_files_end_or_make_settings(text: bytes) -> None:
    import os
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        try:
            options.read(PUB, encoded(["-o", os.fsdecode(file.name)]))
        except Ending as end:
            assert end.code == 1


# ---- what others see of the command line


def test_passwords_in_urls_are_hidden_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("setproctitle.setproctitle", shown.append)
    settings(PUB, "-n", "-L", "mqtt://h/t@x:y")
    assert shown == []
    settings(PUB, "-n", "-L", "mqtt://u:p@h/t@x")
    assert shown == ["mosquitto_pub -n -L mqtt://h/t@x"]
