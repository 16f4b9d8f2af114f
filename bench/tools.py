"""How fast the client tools are: mosq's beside Debian's, both with the same mosq broker.

The broker has one core, the tool the other. mosquitto_sub is given a stream of messages that were encoded before, so
that neither the publisher nor the broker is what it waits for; what it prints goes into a pipe. mosquitto_pub -l reads
a file; its messages have no subscriber. The tools take turns, and the median of the runs counts.

    .venv/bin/python -m bench.tools [--messages 300000] [--runs 5] [--only WORD] [--debian /usr/bin] [--mosq COMMAND]
"""

from __future__ import annotations

import argparse
import os
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import report
from bench.rows import LESS, MORE, Row
from bench.run import MOSQ, ROOT, Bench, choose_cores, relation, running

TOPIC = b"bench/tools"
PAYLOAD = b"0123456789abcdef" * 4
JSON = b'{"temperature": 21.5, "humidity": 40, "battery": 3.02, "ok": 1 }'
STARTS = 10
"""Starts of mosquitto_pub -m that are taken together, since the clock of processor time is coarse."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a measurement happens: the broker's port, which tools, on which core."""

    port: int
    debian: Path | None
    """Directory of Debian's tools; None: mosq's."""
    core: int
    messages: int
    directory: Path

    def command(self, tool: str, *words: str) -> list[str]:
        """The command line of a tool, pinned to its core."""
        if self.debian is not None:
            start = [str(self.debian / f"mosquitto_{tool}")]
        else:
            start = [sys.executable, "-c", f"from mosq.cli.{tool} import entry; entry()"]
        return ["taskset", "-c", str(self.core), *start, "-p", str(self.port), *words]

    def start(self, tool: str, *words: str, **how: int | None) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(tool, *words), env={**os.environ, "PYTHONPATH": str(ROOT)}, **how)  # type: ignore[call-overload,no-any-return]


def publisher(port: int) -> socket.socket:
    """A connection that may publish."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(b"\x10\x0e\0\x04MQTT\x04\x02\0\0\0\x02bp")
    if connection.recv(4) != b"\x20\x02\0\0":
        raise SystemExit("bench: the broker refused the publisher")
    return connection


def publish(topic: bytes, payload: bytes) -> bytes:
    """A PUBLISH with QoS 0."""
    body = len(topic).to_bytes(2, "big") + topic + payload
    if len(body) > 127:
        raise ValueError("longer than one byte of length can say")
    return bytes((0x30, len(body))) + body


def printed_per_second(place: Place, *words: str, payload: bytes = PAYLOAD) -> float:
    """Messages that mosquitto_sub prints, from the first that it prints to the last."""
    ready = publish(TOPIC, b"0")
    tool = place.start(
        "sub", "-t", TOPIC.decode(), "-C", str(place.messages), *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert tool.stdout
    with publisher(place.port) as connection, tool, tool.stdout as output:
        # Until it has subscribed nothing is printed: the first line says that the stream may begin.
        waiting = 0
        os.set_blocking(output.fileno(), False)
        while output.read(1) is None:
            connection.sendall(ready)
            waiting += 1
            time.sleep(0.02)
        os.set_blocking(output.fileno(), True)
        drain = subprocess.Popen(["cat"], stdin=output, stdout=subprocess.DEVNULL)
        began = time.monotonic()
        connection.sendall(publish(TOPIC, payload) * place.messages)
        tool.wait()
        seconds = time.monotonic() - began
        drain.wait()
    return (place.messages - waiting) / seconds


def sent_per_second(place: Place, *words: str) -> float:
    """Lines that mosquitto_pub -l publishes, from its start to its end."""
    lines = place.directory / "lines"
    if not lines.exists():
        lines.write_bytes((PAYLOAD + b"\n") * place.messages)
    with lines.open("rb") as source:
        began = time.monotonic()
        tool = place.start("pub", "-t", TOPIC.decode(), "-l", *words, stdin=source.fileno())
        if tool.wait():
            raise SystemExit(f"bench: mosquitto_pub -l ended with {tool.returncode}")
    return place.messages / (time.monotonic() - began)


def start_seconds(place: Place) -> float:
    """Processor milliseconds of one mosquitto_pub -m, from start to end."""
    before = os.times()
    for _ in range(STARTS):
        if place.start("pub", "-t", TOPIC.decode(), "-m", "hello").wait():
            raise SystemExit("bench: mosquitto_pub -m failed")
    after = os.times()
    used = after.children_user - before.children_user + after.children_system - before.children_system
    return used / STARTS * 1000


Measure = Callable[[Place], float]

ROWS: tuple[tuple[Row, Measure], ...] = (
    (Row("mosquitto_sub, messages per second", "sub", floor=1), printed_per_second),
    (Row("mosquitto_sub -v", "sub", floor=1), lambda place: printed_per_second(place, "-v")),
    (Row("mosquitto_sub -F '%t %p'", "sub", floor=1), lambda place: printed_per_second(place, "-F", "%t %p")),
    (Row("mosquitto_sub -F %j", "sub", floor=1), lambda place: printed_per_second(place, "-F", "%j")),
    (
        Row("mosquitto_sub -F %J", "sub", floor=1),
        lambda place: printed_per_second(place, "-F", "%J", payload=JSON),
    ),
    (Row("mosquitto_sub -V 5", "sub", floor=1), lambda place: printed_per_second(place, "-V", "5")),
    (Row("mosquitto_pub -l, lines per second", "pub", floor=1), sent_per_second),
    (
        Row("mosquitto_pub -m, CPU in ms", "pub", direction=LESS, limit=80, limit_text="under 80 ms"),
        start_seconds,
    ),
)


def compare(bench: Bench, row: Row, measure: Measure, debian: Path, messages: int) -> report.Line:
    """Both tools in turn, as often as asked."""
    found: dict[Path | None, list[float]] = {None: [], debian: []}
    with running(bench, MOSQ) as (_, port):
        for _ in range(bench.runs):
            for tools, values in found.items():
                values.append(measure(Place(port, tools, bench.cores[1], messages, bench.directory)))
    ours, theirs = statistics.median(found[None]), statistics.median(found[debian])
    return report.Line(row, ours, theirs, relation(ours, theirs, row.direction or MORE), None, None, "")


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare mosq's client tools with Debian's.")
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="rows with this in their name")
    parser.add_argument("--messages", type=int, default=300000, help="messages of one measurement")
    parser.add_argument("--runs", type=int, default=5, help="runs of which the median counts")
    parser.add_argument("--debian", type=Path, default=Path("/usr/bin"), help="where the other tools are")
    parser.add_argument("--mosq", default=f"{sys.executable} -m mosq", help="command of the broker")
    options = parser.parse_args()
    os.chdir(ROOT)
    print(report.heading(), flush=True)
    met = True
    with tempfile.TemporaryDirectory() as name:
        commands = {MOSQ: shlex.split(options.mosq)}
        bench = Bench(commands, Path(), 0, options.runs, Path(name), choose_cores())
        for row, measure in ROWS:
            if options.only and not any(word in row.name for word in options.only):
                continue
            line = compare(bench, row, measure, options.debian, options.messages)
            print(report.text(line), flush=True)
            met = met and line.met
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
