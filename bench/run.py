"""Run mosq and Mosquitto in turn under the same load, and say how they compare.

Each broker runs alone, pinned to one core, with the load generator on another; a fresh process for each measurement,
the brokers taking turns so that a slow minute of the machine hits both; the median of the runs counts. Both get the
same configuration file, whose only point is that neither is made to drop or to log.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import report
from bench.rows import ROWS, Row

ROOT = Path(__file__).resolve().parent.parent
ORIGINAL = "original"
MOSQ = "mosq"
BESIDE = "mosq with the scenario beside"
START_SECONDS = 10.0
"""Longest that a broker may take until it accepts connections."""
SETTLE_SECONDS = 1.0
"""After that, before its memory at start is read."""

CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous true
# Unlimited: what is queued is bounded by the windows of the load.
max_queued_messages 0
log_type error
"""

Result = dict[str, float]


class BenchError(Exception):
    """A broker that does not start, or a load that did not run to its end."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What stays the same for all measurements."""

    commands: dict[str, list[str]]
    """Broker's name to its command line, without the configuration."""
    load: Path
    secs: float
    runs: int
    directory: Path
    cores: tuple[int, int]
    """For the broker, for the load."""
    listener: str = ""
    """Further lines of the configuration."""


@dataclass(slots=True)
class Measured:
    """The results of one row, one for each run, by broker; failures instead of results where a run did not work."""

    results: dict[str, list[Result]] = field(default_factory=lambda: {ORIGINAL: [], MOSQ: [], BESIDE: []})
    failures: list[str] = field(default_factory=list)

    def median(self, broker: str, name: str) -> float | None:
        """Of a field of the load generator's result; None where no run has it."""
        values = [result[name] for result in self.results[broker] if name in result]
        return statistics.median(values) if values else None


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def resident_kib(pid: int) -> int:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise BenchError(f"process {pid} has ended")


def wait_for_port(process: subprocess.Popen[bytes], port: int) -> None:
    """Return when the broker accepts connections. Raises BenchError when it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchError(f"the broker ended with code {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise BenchError(f"the broker did not listen within {START_SECONDS:.0f} seconds")


@contextmanager
def running(bench: Bench, broker: str) -> Iterator[tuple[int, int]]:
    """A broker for as long as the block lasts; gives its process id and port."""
    port = free_port()
    configuration = bench.directory / "bench.conf"
    configuration.write_text(CONFIGURATION.format(port=port) + bench.listener)
    command = ["taskset", "-c", str(bench.cores[0]), *bench.commands[broker], "-c", str(configuration)]
    with (bench.directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        try:
            wait_for_port(process, port)
        except BenchError as error:
            raise BenchError(f"{error}: {(bench.directory / 'log').read_text().partition(chr(10))[0]}") from None
        yield process.pid, port
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def measure(bench: Bench, broker: str, scenario: str) -> Result:
    """One scenario against a fresh broker. Raises BenchError."""
    with running(bench, broker) as (pid, port):
        if not scenario:
            time.sleep(SETTLE_SECONDS)
            return {"broker_rss_kb": resident_kib(pid)}
        command = ["taskset", "-c", str(bench.cores[1]), str(bench.load), *shlex.split(scenario)]
        command += ["--port", str(port), "--pid", str(pid), "--secs", str(bench.secs)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise BenchError(f"{broker}: {done.stderr.strip() or done.stdout.strip()} (exit {done.returncode})")
        result: Result = json.loads(done.stdout)
        return result


def measure_scenario(bench: Bench, scenario: str, beside: str | None = None) -> Measured:
    """Both brokers in turn, and mosq with the scenario `beside` it, as often as asked.

    What is compared is measured side by side: a machine's speed changes within minutes."""
    measured = Measured()
    turns = [(ORIGINAL, ORIGINAL, scenario), (MOSQ, MOSQ, scenario)]
    turns += [] if beside is None else [(BESIDE, MOSQ, beside)]
    for _ in range(bench.runs):
        for name, broker, wanted in turns:
            try:
                measured.results[name].append(measure(bench, broker, wanted))
            except (BenchError, subprocess.TimeoutExpired) as error:
                measured.failures.append(str(error))
    return measured


def relation(ours: float | None, theirs: float | None, direction: int) -> float | None:
    """How many times better ours is; None where one of them is not known."""
    if not ours or not theirs or ours < 0 or theirs < 0:
        return None
    return ours / theirs if direction > 0 else theirs / ours


def compare(row: Row, by_scenario: dict[str, Measured]) -> report.Line:
    """The line of the table for one row."""
    measured = by_scenario[row.scenario]
    ours = measured.median(MOSQ, row.field)
    theirs = measured.median(ORIGINAL, row.field)
    ratio = relation(ours, theirs, row.direction)
    if row.beside:
        ratio = relation(ours, measured.median(BESIDE, row.field), row.direction)
    return report.Line(
        row=row,
        ours=ours,
        theirs=theirs,
        ratio=ratio,
        cpu=relation(
            measured.median(MOSQ, "broker_us_per_delivery"), measured.median(ORIGINAL, "broker_us_per_delivery"), -1
        ),
        memory=relation(measured.median(MOSQ, "broker_rss_kb"), measured.median(ORIGINAL, "broker_rss_kb"), -1),
        failure=measured.failures[0] if measured.failures else "",
    )


def chosen_rows(only: Sequence[str]) -> list[Row]:
    """The rows whose name or scenario contains one of the words; all for no words."""
    return [row for row in ROWS if not only or any(word in row.name or word in row.scenario for word in only)]


def choose_cores() -> tuple[int, int]:
    """The first core for the broker and the last for the load."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("bench: one core only: the load takes time from the broker", file=sys.stderr)
    return cores[0], cores[-1]


def build_load() -> Path:
    """The project's own load generator, compiled when it is older than its source. Raises CalledProcessError."""
    subprocess.run(["make", "--silent", "-C", str(ROOT), "build/load"], check=True)
    return ROOT / "build/load"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare mosq with Mosquitto under the same load.")
    parser.add_argument(
        "--only", action="append", default=[], metavar="WORD", help="rows with this in name or scenario"
    )
    parser.add_argument("--secs", type=float, default=3.0, help="seconds that each run is measured")
    parser.add_argument("--runs", type=int, default=3, help="runs of which the median counts")
    parser.add_argument("--load", type=Path, help="another load generator with the same options")
    parser.add_argument(
        "--mosq", default=str(Path(sys.executable).with_name("mosquitto")), help="command of the one broker"
    )
    parser.add_argument(
        "--original", default=shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin"), help="of the other"
    )
    parser.add_argument(
        "--docs", type=Path, default=ROOT / "docs", help="where bench.md and bench.svg go after all rows"
    )
    return parser.parse_args()


def raise_file_limit() -> None:
    """For ten thousand connections; the brokers inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    options = arguments()
    if not options.original:
        print("bench: Mosquitto is not installed (Debian package: mosquitto)", file=sys.stderr)
        return 1
    raise_file_limit()
    commands = {ORIGINAL: shlex.split(options.original), MOSQ: shlex.split(options.mosq)}
    rows = chosen_rows(options.only)
    by_scenario: dict[str, Measured] = {}
    lines = []
    with tempfile.TemporaryDirectory() as directory:
        load = options.load or build_load()
        bench = Bench(commands, load, options.secs, options.runs, Path(directory), choose_cores())
        print(report.heading(), flush=True)
        for row in rows:
            if row.scenario not in by_scenario:
                beside = next((other.scenario for other in ROWS if other.name == row.beside), None)
                by_scenario[row.scenario] = measure_scenario(bench, row.scenario, beside)
            lines.append(compare(row, by_scenario))
            print(report.text(lines[-1]), flush=True)
    if len(rows) == len(ROWS):
        options.docs.mkdir(exist_ok=True)
        (options.docs / "bench.md").write_text(report.markdown(lines, commands[ORIGINAL][0], options.runs))
        (options.docs / "bench.svg").write_text(report.plot(lines))
        print(f"\nwritten: {options.docs / 'bench.md'} and {options.docs / 'bench.svg'}")
    return 0 if all(line.met for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
