"""What mosquitto.db costs with many retained messages: mosq beside Mosquitto, on the same file, in turn.

For each broker: the time until it runs, the memory it has then, and how long a client that sends PINGREQ without pause
waits for an answer while the broker saves. With --busy it also replaces a retained message with each PINGREQ.

    .venv/bin/python -m bench.snapshot [--messages 1000000] [--runs 3] [--directory DIR] [--busy] [--core N]
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.run import ROOT

CONFIG = """user root
persistence true
persistence_location {directory}
autosave_interval 0
listener {port} 127.0.0.1
allow_anonymous true
"""
COMMANDS = {"mosq": [sys.executable, "-m", "mosq"], "mosquitto": ["/usr/sbin/mosquitto"]}
CONNECT = b"\x10\x10\0\4MQTT\4\2\0\0\0\4ping"
SAVES = 3


def topic(number: int) -> bytes:
    return b"site/%d/device/%d/temperature" % (number // 1000, number)


def database(messages: int) -> Iterator[bytes]:
    """A file of version 6 with so many retained messages."""
    yield b"\0\xb5\0mosquitto db" + bytes(4) + struct.pack(">III", 6, 1, 16)
    yield struct.pack("=Q", messages) + b"\0\x08" + bytes(6)
    for number in range(1, messages + 1):
        name, payload = topic(number), b'{"value": %d.%d}' % (number % 100, number % 10)
        yield struct.pack(">II", 2, 35 + len(name) + len(payload)) + struct.pack("=Qq", number, 0)
        yield struct.pack(">IHHHHHBB", len(payload), 0, 3, 0, len(name), 1883, 1, 1) + b"pub" + name + payload
    for number in range(1, messages + 1):
        yield struct.pack(">II", 4, 8) + struct.pack("=Q", number)


@dataclass(frozen=True, slots=True)
class Started:
    """A broker with all its messages in memory; `seconds` is how long that took."""

    process: subprocess.Popen[bytes]
    port: int
    seconds: float

    def memory(self) -> float:
        """Resident memory in MB."""
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0

    def processor(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def started(kind: str, directory: Path) -> Iterator[Started]:
    """Start a broker whose file is in `directory`; it is ended without a last save."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config, log = directory / "mosquitto.conf", directory / "log"
    config.write_text(CONFIG.format(directory=directory, port=port))
    begin = time.monotonic()
    with log.open("wb") as stderr:
        process = subprocess.Popen([*COMMANDS[kind], "-c", str(config)], cwd=ROOT, stderr=stderr)
    try:
        while not re.search(rb"mosquitto version \S+ running", log.read_bytes()):
            if process.poll() is not None:
                sys.exit(log.read_text())
            time.sleep(0.005)
        yield Started(process, port, time.monotonic() - begin)
    finally:
        process.kill()
        process.wait()


def longest_waits(broker: Started, path: Path, busy: bool) -> list[float]:
    """The longest time between PINGREQ and PINGRESP during each of some saves, in milliseconds."""
    numbers = itertools.count(1)
    waits = []
    with socket.create_connection(("127.0.0.1", broker.port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(CONNECT)
        client.recv(4)

        def wait() -> float:
            name = topic(next(numbers))
            begin = time.monotonic()
            client.sendall(b"\xc0\0" + (b"\x31%c\0%c%b20.0" % (len(name) + 6, len(name), name) if busy else b""))
            client.recv(2)
            return time.monotonic() - begin

        for _ in range(SAVES):
            before, longest = path.stat().st_ino, 0.0
            broker.process.send_signal(signal.SIGUSR1)
            while path.stat().st_ino == before:
                longest = max(longest, wait())
            waits.append(1000 * longest)
    return waits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--directory", help="where the files are, a temporary directory otherwise")
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--core", type=int, help="one core for everything")
    asked = parser.parse_args()
    if asked.core is not None:
        os.sched_setaffinity(0, {asked.core})
    with tempfile.TemporaryDirectory(dir=asked.directory) as name:
        directory = Path(name)
        path = directory / "mosquitto.db"
        with path.open("wb") as file:
            file.writelines(database(asked.messages))
        path.chmod(0o600)
        print(f"{asked.messages} retained messages, {path.stat().st_size} bytes")
        for kind in ["mosquitto", "mosq"] * asked.runs:
            with started(kind, directory) as broker:
                start = f"{broker.seconds:.2f} s, processor {broker.processor():.2f} s, {broker.memory():.0f} MB"
                waits = ", ".join(f"{wait:.1f} ms" for wait in longest_waits(broker, path, asked.busy))
            print(f"{kind:9}  start {start}; longest wait during saves {waits}", flush=True)


if __name__ == "__main__":
    main()
