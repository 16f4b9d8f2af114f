"""The same command lines here and by Debian's tools: those that end before a connection is made.

Debian's are of an earlier release. What the later one says otherwise is in `LATER`, what it has anew in `NEW`. Command
lines that each judges in its own way are not made: topics with more than 200 slashes, -x without -V (it is now enough
to switch to version 5), strings of 65536 bytes, wills with properties out of range.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mosq.cli import pub, rr, sub
from mosq.cli.client import options
from mosq.cli.client.property_option import _COMMANDS, _PROPERTIES
from mosq.cli.client.settings import PUB, RR, SUB, Tool
from tests.clients.command_lines import TOOLS, Word, debian, encoded

pytestmark = [
    pytest.mark.original,
    pytest.mark.skipif(shutil.which("mosquitto_rr") is None, reason="Debian's mosquitto-clients is not installed"),
]

MAIN = {PUB.name: pub.main, SUB.name: sub.main, RR.name: rr.main}

NEW = {
    *("-o", "--latency", "--message-rate", "--no-tls", "--retain-handling", "--tls-keylog", "--version", "--ws"),
    *("--random-filter", "-w", "--watch"),
}
"""Options that Debian's tools do not have, or not all of them."""

LATER = [
    (r"Invalid command given", "Invalid command {command} given"),
    (r"Invalid property name given", "Invalid property name {name} given"),
    (r"subscribe to\.", "subscribe to (-t) or unsubscribe from (-U)."),
    (r"unsupported URL scheme", "Unsupported URL scheme"),
    (r"Invalid function arguments provided\.", "Invalid input"),
    (r"Lookup error\.", "Lookup error"),
    (r"Error: Unable to open file (\".*\")\.", r"Error: Unable to read file \1: No such file or directory."),
    (r"Error in CONNECT properties: (.*?)\.?\n\nUse .*\n", r"Unable to connect (\1).\n"),
]

Line = tuple[Tool, Sequence[Word]]


def in_the_words_of_the_later_release(text: str) -> str:
    for earlier, later in LATER:
        text = re.sub(earlier, later, text)
    return text


@pytest.fixture(autouse=True)
def quiet_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No options file of the user, and the test keeps its own name in the list of processes."""
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("setproctitle.setproctitle", lambda title: None)
    (tmp_path / ".config").mkdir()
    return tmp_path


class Comparison:
    """Runs command lines here, in this process, and there; `different` is what differs."""

    def __init__(self, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self._home = home
        self._capfd = capfd
        self.different: list[str] = []
        self.count = 0

    def compare(self, tool: Tool, words: Sequence[Word]) -> None:
        code, out, err = debian(tool, *words, home=self._home)
        self._capfd.readouterr()
        ours = MAIN[tool.name]([word.decode("utf-8", "surrogateescape") for word in encoded(words)])
        printed, complained = self._capfd.readouterr()
        theirs = in_the_words_of_the_later_release(err.decode("utf-8", "replace"))
        if words[0] in ("-D", "--property"):
            names = dict(zip(("command", "name"), map(str, words[1:]), strict=False))
            theirs = re.sub(r"\{(command|name)\}", lambda found: names[found[1]], theirs)
        mine = complained.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        self.count += 1
        if (code, theirs, bool(out)) != (ours, mine, bool(printed)):
            self.different.append(f"{tool.name} {list(words)}\n  theirs {code} {theirs!r}\n  ours   {ours} {mine!r}")

    def check(self, at_least: int) -> None:
        assert not self.different, f"{len(self.different)} of {self.count}:\n" + "\n".join(self.different[:40])
        assert self.count >= at_least


@pytest.fixture
def comparison(quiet_process: Path, capfd: pytest.CaptureFixture[str]) -> Comparison:
    return Comparison(quiet_process, capfd)


def known(tool: Tool) -> list[options.Option]:
    return [option for option in options.of(tool) if not NEW & set(option.names.split())]


def test_missing_values_and_unknown_options(comparison: Comparison) -> None:
    for tool in TOOLS.values():
        for option in options.TABLE:
            for name in option.names.split():
                if name not in NEW and name != "--help":
                    comparison.compare(tool, [name])
    comparison.check(250)


NUMBERS = ["", "x", "-1", "0", "1", "2", "3", "4", "5", " 6", "7z", "0x8", "1.5", "65535", "65536", "4294967296"]
NUMERIC = ("-C", "-k", "-M", "-p", "-q", "-W", "-x", "--will-qos", "--repeat", "--repeat-delay", "-V")
FURTHER = [
    "99999999999999999999",
    "-99999999999999999999",
    "∞",
    "017",
    "-2",
    "4294967295",
    "mqttv5",
    "mqttv311",
    "31",
    "MQTTV5",
]


def test_numbers(comparison: Comparison) -> None:
    for tool in TOOLS.values():
        for name in NUMERIC:
            if any(name in option.names.split() for option in known(tool)):
                for value in NUMBERS if tool is not PUB else NUMBERS + FURTHER:
                    comparison.compare(tool, [name, value, "-Z"])
    comparison.check(400)


TOPICS: list[str | bytes] = [
    *("a", "/", "a/b", "+", "#", "a/+", "a/#", "a#", "+a", "#/a", "a/+b/c", "$SYS/#", "ä", "a b", "/" * 200),
    *(
        b"\xff",
        b"a\xc3",
        b"\xed\xa0\x80",
        b"\xef\xbf\xbf",
        "\u0001",
        "\u007f",
        "\u0085",
        "\ufdd0",
        "x" * 65535,
        "x" * 65536,
    ),
]


def test_topics(comparison: Comparison) -> None:
    for tool, names in ((PUB, ["-t", "--will-topic"]), (SUB, ["-t", "-T", "-U"]), (RR, ["-t", "-e"])):
        for topic in TOPICS:
            for name in names:
                comparison.compare(tool, [name, topic, "-Z"])
            comparison.compare(tool, ["-L", b"mqtt://u:p@h/" + encoded([topic])[0], "-Z"])
    comparison.check(200)


def test_urls(comparison: Comparison) -> None:
    for url in (
        "",
        "x",
        "mqtt:",
        "mqtt:/h/t",
        "mqtt://",
        "mqtt://h",
        "mqtt://u@h:1",
        "http://h/t",
        "mqttx://h/t",
        "mqtts://h/t",
    ):
        comparison.compare(PUB, ["-L", url, "-Z"])
    for url in ("mqtt://127.0.0.1:1/t", "mqtt://u:p@127.0.0.1:1//t", "MQTT://127.0.0.1:99999/t", "mqtt:///t"):
        comparison.compare(PUB, ["-n", "-L", url])
    comparison.check(14)


def property_lines() -> Iterator[list[Word]]:
    earlier = sorted(_COMMANDS - {"suback", "unsuback"})
    for command in [*earlier, "pingreq", "Publish"]:
        for name in [*_PROPERTIES, "Content-TYPE", "no-such-property"]:
            yield ["-D", command, name, "1", "-Z"] if name != "user-property" else ["-D", command, name, "n", "v", "-Z"]
    values: list[Word] = [*("", "x", "-1", "255", "256", "65535", "65536", "268435455", "268435456", "4294967295")]
    values += ["4294967296", "99999999999999999999", "ä", b"\xff", b"\xed\xa0\x80", "\u0001", "y" * 65535, "y" * 70000]
    for name, packets in ((name, places.split()) for name, (_, _, places) in _PROPERTIES.items()):
        packet = next((p for p in ("publish", "connect", "subscribe", "will") if p in packets), None)
        if packet and name not in ("user-property", "subscription-identifier"):
            for value in values:
                yield ["-D", packet, name, value, "-Z"]
    yield from (["-D", "subscribe", "subscription-identifier", value, "-Z"] for value in values)
    yield from (["-D", "publish", "user-property", value, "v", "-Z"] for value in values)
    yield from (["--property", *["publish", "user-property", "n"][:n]] for n in range(4))


def test_properties(comparison: Comparison) -> None:
    for words in property_lines():
        comparison.compare(PUB, words)
    comparison.check(600)


PARTS = [
    *("--will-payload x", "--will-retain", "--will-topic w", "--will-qos 1", "--cert c", "--key k", "--psk 1"),
    *(
        "--psk-identity i",
        "--cafile /nonexistent",
        "-c",
        "-i x",
        "-i ",
        "-I x",
        "-V 5",
        "-V 311",
        "-V 31",
        "-x 5 -V 5",
        "-x -1 -V 5",
    ),
    *(
        "-P x",
        "-u x",
        "-D connect receive-maximum 0",
        "-D connect session-expiry-interval 1",
    ),
    *("--quiet", "-d", "--capath /nonexistent", "--psk xyz", "--tls-version tlsv1.0", "-k 7", "--nodelay"),
]


def test_combinations(comparison: Comparison) -> None:
    """Some end because options do not go together, some with a refused connection."""
    choose = random.Random(1)
    needed = {"P": ["-t", "t", "-n"], "S": ["-t", "t"], "R": ["-t", "t", "-e", "r", "-n"]}
    for _ in range(150):
        parts = choose.sample(PARTS, choose.randint(1, 5))
        if earlier_differs(parts):
            continue
        words = [word for part in parts for word in part.split(" ")]
        for tool in TOOLS.values():
            comparison.compare(tool, ["-h", "127.0.0.1", "-p", "1", *needed[tool.letter], *words])
    comparison.check(200)


def earlier_differs(parts: list[str]) -> bool:
    """Properties of CONNECT are judged later now, when other things may have ended the tool before."""
    return sum("-D connect" in part for part in parts) > 0 and len(parts) > 1


def test_payload_options(comparison: Comparison, tmp_path: Path) -> None:
    modes = [["-m", "x"], ["-n"], ["-s"], ["-f", "/nonexistent"], ["-l"]]
    for first in modes:
        for second in modes:
            comparison.compare(PUB, ["-t", "t", *first, *second])
            comparison.compare(RR, ["-t", "t", "-e", "r", *first, *second])
        if first != ["-l"]:
            comparison.compare(PUB, ["-t", "t", *first, "-p", "1", "-h", "127.0.0.1"])
            comparison.compare(PUB, [*first])
    comparison.compare(PUB, ["-t", "t"])
    comparison.compare(RR, ["-t", "t"])
    comparison.check(60)


FILES = [
    *("-t", "-t \n", "-Y  x", "   -Y", " # x", "#-Y\n-Z", "-r foo", "-t\ta", "-t a\r\r\n\r\n-Y\r\n", "", "\n\n  \n-Y"),
    *(
        "-q 5",
        "-q  2\n-Y",
        "-t +",
        "--help x",
        "-t " + "0" * 2000,
        '"-t" a',
        "-m a\n-n",
        "-i a\n-I b",
        "-k 3 ",
        "-k 5\x001\n-Y",
    ),
]


def test_files(comparison: Comparison, quiet_process: Path) -> None:
    for text in FILES:
        (quiet_process / ".config/mosquitto_pub").write_text(text, newline="")
        comparison.compare(PUB, ["-Z"])
    comparison.check(20)
