"""mosquitto_pub, mosquitto_sub and mosquitto_rr beside Debian's 2.0.11, on one broker: same output, same messages.

Each theme is a list of command lines. `W` in a word stands for a text that is the tool's own, so that the two do not
meet; what is different in every run (such texts, times, assigned client identifiers) is blanked before comparing.
What later releases of Mosquitto print in another way is in the table REWRITES: Debian's output is rewritten by it.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.clients.forks import Job, Result, both, run, run_debian
from tests.harness.broker import Broker
from tests.harness.brokers import Brokers
from tests.harness.deadline import SECONDS, wait_until

pytestmark = pytest.mark.original

CONFIG = """
per_listener_settings true
listener {port} 127.0.0.1
allow_anonymous true
listener {port2} 127.0.0.1
allow_anonymous false
listener {port3} 127.0.0.1
allow_anonymous true
max_qos 0
"""


class Rewrite(NamedTuple):
    """What Debian's tools print, what later releases do, and why that is so."""

    old: bytes
    new: bytes | Callable[[re.Match[bytes]], bytes]
    reason: str


def _array(found: re.Match[bytes]) -> bytes:
    pairs = re.findall(rb'"(?:[^"\\]|\\.)*":"(?:[^"\\]|\\.)*"', found[1])
    return b'"user-properties":[%b]' % b",".join(b"{%b}" % pair for pair in pairs)


REWRITES = (
    Rewrite(rb"Client \(null\) (?!received CONNACK)", b"Client null ", "one word for a client id that is not known"),
    Rewrite(rb'"retain":(\t?)0', rb'"retain":\1false', "retain is a boolean"),
    Rewrite(rb'"retain":(\t?)1', rb'"retain":\1true', "retain is a boolean"),
    Rewrite(rb'"user-properties":\{([^}]*)\}', _array, "a name may stand there several times"),
    Rewrite(rb"topic to subscribe to\.", b"topic to subscribe to (-t) or unsubscribe from (-U).", "-U will do"),
    Rewrite(rb"\((This feature is not supported|Lookup error)\.\)", rb"(\1)", "one full stop"),
    Rewrite(
        rb"(Connection Refused: [a-z ]+|Error: The connection was refused|Error: A network protocol error[a-z ]+)\.\n",
        rb"\1\n",
        "no full stop",
    ),
    Rewrite(
        rb"(received CONNACK \(1\d\d\)\n)\Z",
        rb"\1Client null sending DISCONNECT\n",
        "a refusal of MQTT 5.0 is answered by mosquitto_pub, too",
    ),
    Rewrite(rb"unsupported URL", b"Unsupported URL", "a capital letter"),
    Rewrite(
        rb"Error in CONNECT properties: ([^.\n]*)\.?\n\nUse '.*\n",
        rb"Unable to connect (\1).\n",
        "properties of CONNECT are looked at when it is sent",
    ),
    Rewrite(
        rb'Unable to open file "(/none)"\.',
        rb'Unable to read file "\1": No such file or directory.',
        "the reason is told",
    ),
    Rewrite(rb"(mosquitto_\w+) is a simple(.*\n)+", rb"\1 HELP\n", "the help is in our own words"),
    Rewrite(rb"(mosquitto_\w+) version .*\n", rb"\1 VERSION\n", "another program"),
)

BLANKS = (
    (rb"W[md](\d\d\d)", rb"W\1"),
    (rb"(pre)\d+", rb"\1PID"),
    (rb"auto-[0-9A-F-]{36}", b"auto-ID"),
    (rb"mosq-[A-Za-z0-9]{18}", b"mosq-ID"),
    (rb'"tst":\t?"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z?\+0000"', b'"tst":""'),
    (rb"mosquitto_\w+ sends(.*\n)+", b"mosquitto_pub HELP\n"),
    (rb"(mosquitto_\w+) version .*\n", rb"\1 VERSION\n"),
)
"""What differs from run to run, and the texts of --help and --version, which have tests of their own."""

# What a subscriber of m/# finds retained, and how it was published.
RETAINED = (
    ("m/a", b"hello", "-q 1"),
    ("m/b", b'{"x": [1, 2.50, {"y": null, "y": "z"}], "\\u00e9": 1e3}', "-q 2"),
    ("m/c", b"\x01\xff bin\r\n", ""),
    ("m/d", b"12", "-D publish content-type text/plain -D publish user-property k v -D publish user-property l w"),
    ("m/e", b"x" * 300, "-D publish response-topic r/t -D publish correlation-data c -q 1"),
    ("m/f/g", '"caf\u00e9 \\" \\/"'.encode(), "-D publish payload-format-indicator 1"),
)
ALL = f"-t m/# -C {len(RETAINED)}"


def matrix(*columns: str) -> list[str]:
    """Every combination of one part from each column; the parts of a column are separated by bars."""
    return [" ".join(parts) for parts in itertools.product(*(column.split("|") for column in columns))]


def formats() -> Iterator[str]:
    """Random formats of what 2.0.11 knows in the same way; the padding of absent texts and widths of %x changed."""
    chance = random.Random(5)
    flags = ["", "", "-", "0"]
    numbers = [f"%{flag}{width}{letter}" for flag in flags for width in ("", 3, 12) for letter in "AFSlm"]
    texts = [f"%{flag}{width}{cut}t" for flag in flags for width in ("", 4, 9) for cut in ("", ".2", ".", ".99")]
    payload = ["%p", *(f"%{flag}{width}p" for flag in flags for width in (1, 8, 400))]
    rest = [
        "%q",
        "%r",
        "%P",
        "%D",
        "%C",
        "%6C",
        "%.3C",
        "%-6C",
        "%R",
        "%9R",
        "%.1R",
        "%x",
        "%X",
        "%%",
        "%5q",
        "@@@%",
        r"a\tb \\",
        r"\e \a\0",
        "| é",
    ]
    for _ in range(50):
        pieces = [chance.choice(chance.choice((numbers, texts, payload, rest))) for _ in range(chance.randint(1, 6))]
        yield f"sub {ALL} -V {chance.choice(('5', '311'))} -F {shlex.quote('[' + '|'.join(pieces) + ']')}"


def bad_numbers() -> Iterator[str]:
    """Options that take a number, with what is none or too much."""
    for option, tools in (("-k", "sub pub rr"), ("-q", "pub rr"), ("-C", "sub"), ("-W", "sub rr"), ("-M", "pub")):
        for tool in tools.split():
            for value in ("-1", "0" if option != "-q" else "3", "4x" if option in "-k-q" else "x", "''"):
                yield f"{tool} -t W {option} {value} -E" if tool == "sub" else f"{tool} -t W {option} {value}"
    for option in ("--will-qos", "--repeat", "--repeat-delay", "-p", "-V", "-x"):
        for value in ("-2", "x3", "70000000000", "''"):
            if (option, value) not in (("-p", "''"), ("-p", "x3"), ("--repeat-delay", "x3"), ("--repeat-delay", "''")):
                yield f"pub -t W {option} {value} -C"


def bad_properties() -> Iterator[str]:
    """-D with everything that can be wrong with it."""
    for packet, name in itertools.product(
        ("connect", "publish", "will", "disconnect", "auth", "CONNECT", "puback"),
        ("content-type", "session-expiry-interval", "receive-maximum", "user-property", "subscription-identifier"),
    ):
        yield f"pub -t W -D {packet} {name} 4294967296"
    yield from ("pub -t W -D", "sub -t W -D connect", "rr -t W -e W -D connect user-property", "sub -t W -D connect x")
    yield from (f"pub -t W -D publish {name} \udcff x -C" for name in ("content-type", "user-property"))


PROPERTIES = (
    "-D publish content-type a/b|-D publish user-property a b -D publish user-property a ''"
    "|-D publish response-topic x/W -D publish correlation-data 0123|-D publish payload-format-indicator 1"
    "|-D publish message-expiry-interval 100000|-D publish topic-alias 1|-D connect user-property a b"
    "|-D disconnect user-property a b|-D will user-property a b --will-topic will/W"
)

THEMES: dict[str, list[str]] = {
    "output": [
        *matrix(f"sub {ALL}", "-V 31|-V 311|-V 5", "|-v|-N|-v -N|-d|-q 1 -d|-q 2 -d|-F %j|-F %J"),
        *matrix("sub -V 5 -C 3 -q 1 --pretty -t m/b -t m/f/g", "-t m/e|-t m/a", "-F %j|-F <%J>"),
    ],
    "formats": [*formats(), f"sub {ALL} -F '@Y-@m-@d %.10I @z %j' -V 5"],
    "choice of messages": matrix(
        "sub -t m/#",
        "--retained-only -C 3|-C 2 -T m/a|-C 1 -T m/# -T m/+/g -t m/a --quiet -E|-C 2 -t m/a -v|-C 3 -U m/a -d|-C 1"
        "|-C 1 -c -i idW -d|-C 1 -I pre -q 1|-C 1 -x 100|-C 1 -x 0|-C 1 -D connect user-property a b -d|-E -d"
        "|-C 2 -D subscribe subscription-identifier 7 -F '%S %p'|-E --quiet -d|-C 1 --will-topic will/W --will-qos 1"
        "|-C 1 -D connect receive-maximum 2 -d -q 2|-C 1 -u u -P p|-C 1 -A 127.0.0.1 --nodelay -k 10|-C 1 -M 3"
        "|-C 1 --retain-as-published -F '%r %t'|-C 1 --tls-version tlsv1.2",
    ),
    "what is denied": [
        *matrix("sub -d -V", "31|311|5", "-p {port2} -t x|-p {port2} -u u -P p -t x|-p {port2} -E -t x --quiet"),
        *matrix("pub -d -V", "31|311|5", "-p {port2} -t x -m a|-p {port2} -u u -P p -t x -n|-p {port2} -t x -l"),
        *matrix("pub -d -V", "31|311|5", "-p {port2} -t x -m a --quiet|-p {port3} -t x -m a"),
        *matrix("rr -d -V 5 -t W -e W", "-p {port2} -m a|-p {port2} -n --quiet|-p {port2} -m a -u u -P p"),
    ],
    "payloads": [
        *matrix("pub -t x/W -d -V", "31|311|5", "-q 0|-q 1|-q 2", "-m hi|-n -r|-m ''|-s|-m a --repeat 3"),
        *matrix("pub -t x/W -l -V", "31|311|5", "|-r"),  # with QoS 1 and 2 Debian's may lose the last lines
        *matrix("pub -t x/W -q 1", "-f /etc/hostname|-f /none|-f /none --quiet|-m a --repeat 2 --repeat-delay 0.05"),
    ],
    "properties": [
        *matrix("pub -t x/W -m hello -d", "-q 0|-q 2", PROPERTIES),
        *matrix("pub -t x/W -m a -V 311", "-D connect user-property a b|--will-topic will/W --will-payload bye"),
        "pub -t $SYS/W -m a -q 1 -d -V 5",
        "pub -t nobody -m a -q 2 -d -V 5",
        "pub -L mqtt://u:p@localhost:{port}/x/W -m a -d",
    ],
    "requests": [
        *matrix("rr -t W -e W", "-V 311|-V 5", "-m hi|-m hi -v -q 1|-n -v|-m hi -q 2|-m hi -F '%t %p %R'|-n"),
        "rr -t W -e W -m a -D publish correlation-data c -F '%D %R %j'",
        "rr -t W -e W -m a -N",
        "rr -t W -e m/a -n -v",
    ],
    "bad values": [*bad_numbers(), *bad_properties()],
    "mistakes": [
        *matrix("sub|pub|rr", "|-t|-F|-x 5 -q|--foo|-t x/# -m|-t x\x01 -m|-t \udcff|--will-payload x|-i a -I b"),
        *matrix("sub -t x -E", "-F|-F %|-F @|-F %5.3|-F '\\q'|-F '\\'|-F %z|-F %-|-R --retained-only|-m x|-l|-r"),
        *matrix("sub -E", "-t a/#/b|-t '#a'|-T a/+b|-U '#a'|-L http://x/y|-L mqtt://x|-t x -c|-t x -i ''|-t x -P p"),
        *matrix("pub -t x", "-m a -n|-l -s|-m a -C 1|-m|-f|-c -m a|-m a --will-retain|-m a --cert x|-m a --psk aa"),
        *matrix("pub -t x -m a", "-h nonexistent.invalid|-A nonexistent.invalid|-p 99999|--proxy x|-i ''|-P p"),
        *matrix(
            "pub -m a",
            "--keyform pem|--key x|--cafile /none|--version|--help|-t ''x/+|-t x -D connect user-property a b -V 31",
        ),
        "pub -t W",
        "rr -t W",
        "rr -e W -m x",
        "rr -t W -e o/# -m x",
        "rr -t W -e W -m a -l",
        "rr -t W -m a",
    ],
}
STDIN = b"first line\n\nthird \xff line\nlast"


@pytest.fixture
def prepared(brokers: Brokers, original: Path) -> Broker:
    """The broker, with what is retained."""
    broker = brokers(CONFIG)
    if not hasattr(broker, "has_retained"):
        for topic, payload, words in RETAINED:
            command = ["/usr/bin/mosquitto_pub", "-p", str(broker.port), "-r", "-t", topic, "-s", *words.split()]
            subprocess.run(command, input=payload, check=True, timeout=SECONDS, env={})
        broker.has_retained = True  # type: ignore[attr-defined]
    return broker


class Collector:
    """What is published, as a subscriber sees it."""

    form = "%t qos %q retain %r alias %A type %C format %F response %R correlation %D user %P payload %x"

    def __init__(self, port: int, file: Path) -> None:
        words = "-q 2 -V 5 --retain-as-published -t x/# -t collect -F"
        command = ["/usr/bin/mosquitto_sub", "-p", str(port), *words.split(), self.form]
        self.file = file
        self.port = port
        with file.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, env={})
        wait_until(lambda: self._marked(b"start"), "the collector")

    def _marked(self, text: bytes) -> bool:
        words = ["-p", str(self.port), "-q", "1", "-t", "collect", "-m", text]
        subprocess.run(["/usr/bin/mosquitto_pub", *words], check=True, timeout=SECONDS, env={})
        return text.hex().encode() in self.file.read_bytes()

    def finish(self) -> list[bytes]:
        """The messages of mosq's tools and of Debian's, which are to be the same."""
        wait_until(lambda: self._marked(b"end"), "the end of the messages")
        self.process.send_signal(signal.SIGINT)
        self.process.wait(SECONDS)
        return [line for line in self.file.read_bytes().split(b"\n") if not line.startswith(b"collect")]


@pytest.mark.parametrize("theme", THEMES)
def test_same_output(theme: str, prepared: Broker, tmp_path: Path) -> None:
    lines = THEMES[theme]
    jobs = {who: [job(line, number, who, prepared) for number, line in enumerate(lines)] for who in "md"}
    collector = Collector(prepared.port, tmp_path / "collected")
    ours, theirs = both(jobs["m"], jobs["d"], tmp_path)
    published = collector.finish()
    failures = [
        f"{line}\n    mosq:   {mine}\n    Debian: {other}"
        for line, mine, other in zip(lines, map(blanked, ours), map(rewritten, theirs), strict=True)
        if mine != other
    ]
    assert not failures, "\n".join(failures)
    sent = {who: sorted(blank(line) for line in published if b"W" + who in line) for who in (b"m", b"d")}
    assert sent[b"m"] == sent[b"d"]


FILES = {
    "mosquitto_sub": "-v\n# -N\n\n-t m/#\n-F [%t] %p \n",
    "mosquitto_pub": "-t x/W\n-m from the file \n-q 1\r\n -r\n",
    "mosquitto_rr": "-e W\n-m a  b\n-V 311\n",
}


def test_options_files(prepared: Broker, tmp_path: Path) -> None:
    lines = [f"sub {ALL[7:]}", "sub -C 1 -F %p -N", "sub -C 1 -Z", "pub -d", "pub -m x", "pub -q 0 -d", "rr -t W"]
    jobs = [[job(line, number, who, prepared) for number, line in enumerate(lines)] for who in "md"]
    homes = tmp_path / "m", tmp_path / "d"
    for home, who in zip(homes, "md", strict=True):
        (home / ".config").mkdir(parents=True)
        for name, text in FILES.items():
            (home / ".config" / name).write_text(text.replace("W", f"W{who}006"))
    ours, theirs = run(jobs[0], homes[0]), [run_debian(each, homes[1]) for each in jobs[1]]
    assert list(map(blanked, ours)) == list(map(rewritten, theirs))


def job(line: str, number: int, who: str, broker: Broker) -> Job:
    """The command line of a tool, with what is its own filled in."""
    tool, *words = shlex.split(line)
    words = [re.sub(r"\bW|(?<=id)W", f"W{who}{number:03d}", word) for word in words]
    words = [word.replace("{port}", str(broker.port)) for word in words]
    words = [re.sub(r"\{(port\d)\}", lambda found: str(broker.ports[found[1]]), word) for word in words]
    if not {"-p", "--unix", "-L"} & set(words):
        words = ["-p", str(broker.port), *words]
    return Job(tool, tuple(os.fsencode(word) for word in words), STDIN)


def blank(text: bytes) -> bytes:
    for pattern, replacement in BLANKS:
        text = re.sub(pattern, replacement, text)
    return text


def blanked(result: Result) -> Result:
    """What mosq's tool printed."""
    return Result(result.code, blank(result.out), blank(result.err))


def rewritten(result: Result) -> Result:
    """What Debian's tool printed, as later releases would."""
    texts = [result.out, result.err]
    for rewrite in REWRITES:
        texts = [re.sub(rewrite.old, rewrite.new, text) for text in texts]
    return Result(result.code, *map(blank, texts))
