"""What TLS costs: mosq beside Mosquitto, both with one RSA certificate of 2048 bits and TLS_AES_128_GCM_SHA256.

The load comes from the same generator as always, built with OpenSSL (`make build/load-tls`, wants libssl-dev). It
resumes no sessions, so every connection is a full handshake.

    .venv/bin/python -m bench.tls [--secs 3] [--runs 3] [--mosq COMMAND] [--original COMMAND]
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.report import Line, heading, text
from bench.rows import LESS, MORE, Row
from bench.run import MOSQ, ORIGINAL, ROOT, Bench, choose_cores, measure_scenario, raise_file_limit, relation

SUITE = "TLS_AES_128_GCM_SHA256"
PAIRS = f"pairs --pubs 50 --window 64 --tls {SUITE}"
STEADY = f"pairs --pubs 50 --rate 10000 --tls {SUITE}"
CPU = "broker_us_per_delivery"
ROWS = (
    Row("50 pairs, messages per second", PAIRS, floor=1),
    Row("50 pairs, CPU per message", PAIRS, CPU, LESS, floor=1 / 1.5),
    Row("CPU per message at 10,000/s", STEADY, CPU, LESS, floor=1 / 1.5),
    Row("handshakes per second", f"connect --conns 2000 --burst 50 --tls {SUITE}", "connects_per_s", MORE),
    Row("CPU per handshake", f"connect --conns 2000 --burst 50 --tls {SUITE}", "broker_cpu_us_per_connect", LESS),
    Row("memory per idle connection", f"idle --conns 2000 --tls {SUITE}", "bytes_per_conn", LESS),
)


def certificate(directory: Path) -> str:
    """A certificate of its own, and the listener's lines for it."""
    command = (
        f"openssl req -x509 -newkey rsa:2048 -noenc -days 2 -subj /CN=bench -keyout {directory}/k -out {directory}/c"
    )
    subprocess.run(shlex.split(command), check=True, capture_output=True)
    return f"user root\ncertfile {directory}/c\nkeyfile {directory}/k\nciphers_tls1.3 {SUITE}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare mosq with Mosquitto over TLS.")
    parser.add_argument("--secs", type=float, default=3.0, help="seconds that each run is measured")
    parser.add_argument("--runs", type=int, default=3, help="runs of which the median counts")
    parser.add_argument("--mosq", default=str(Path(sys.executable).with_name("mosquitto")), help="command")
    parser.add_argument("--original", default=shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin"))
    options = parser.parse_args()
    raise_file_limit()
    subprocess.run(["make", "--silent", "-C", str(ROOT), "build/load-tls"], check=True)
    commands = {ORIGINAL: shlex.split(options.original), MOSQ: shlex.split(options.mosq)}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        load, lines = ROOT / "build/load-tls", certificate(directory)
        bench = Bench(commands, load, options.secs, options.runs, directory, choose_cores(), lines)
        print(heading(), flush=True)
        measured = {scenario: measure_scenario(bench, scenario) for scenario in {row.scenario: None for row in ROWS}}
    for row in ROWS:
        found = measured[row.scenario]
        ours, theirs = found.median(MOSQ, row.field), found.median(ORIGINAL, row.field)
        ratio = relation(ours, theirs, row.direction)
        print(text(Line(row, ours, theirs, ratio, None, None, found.failures[0] if found.failures else "")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
