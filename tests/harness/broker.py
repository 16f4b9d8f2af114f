"""A broker process under test: started on ports of the kernel's choice, watched through its output, always stopped.

The configuration is text in which `{port}`, `{port2}`, ... become free TCP ports and `{dir}` the broker's own
directory. Text without `{port}` gets one listener on 127.0.0.1 appended. A free port can be taken by somebody else
between finding and binding it, so a start that fails on a used address is repeated with other ports.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Unpack

from .client import RawClient
from .deadline import SECONDS
from .packets import MAX_PACKET_SIZE, ConnectOptions, Level

ROOT = Path(__file__).resolve().parents[2]
ORIGINAL = Path("/usr/sbin/mosquitto")
MEMORY_IS_CHECKED = os.environ.get("MOSQ_TEST_MEMORY", "1") != "0"
START_ATTEMPTS = 5

PRELOADED: dict[str, dict[str, str]] = {"mosq": {}, "original": {"LD_PRELOAD": ""}}
"""The sanitizers are for the tested code: Mosquitto 2.0.11 would not survive them."""

QUIET_ROOT = "user root\nlog_timestamp false\nlog_dest stderr\n" + os.environ.get("MOSQ_TEST_CONFIG", "") + "\n"
"""Tests may run as root; the files they make belong to them and the dropped account could not read those."""


def command_of(kind: str) -> list[str]:
    """The command, before its arguments, of "mosq" or "original"."""
    if kind == "original":
        return [str(ORIGINAL)]
    return shlex.split(os.environ.get("MOSQ_TEST_COMMAND", "")) or [sys.executable, "-m", "mosq"]


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port nobody listens on at this moment."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class Output:
    """The lines of one output stream, from the file it goes to: what was written before a packet left is there to read
    when the packet arrives. (Through a pipe and a thread it would be there some time later, and a position in the log
    would mean nothing.)"""

    def __init__(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        self._file = path.open("rb")
        self._process = process
        self._lines: list[str] = []
        self._rest = b""

    @property
    def lines(self) -> list[str]:
        """All lines so far."""
        if self._file.closed:
            return self._lines
        *whole, self._rest = (self._rest + self._file.read()).split(b"\n")
        self._lines += [raw.decode("utf-8", "replace") for raw in whole]
        return self._lines

    def wait_for(self, pattern: str, seconds: float, start: int = 0) -> re.Match[str]:
        """The first match from line `start` on. AssertionError when the process has ended or time is up."""
        wanted, end = re.compile(pattern), time.monotonic() + seconds
        while True:
            ended = self._process.poll() is not None
            for line in self.lines[start:]:
                if match := wanted.search(line):
                    return match
            if ended or time.monotonic() > end:
                tail = "\n  ".join(self.lines[start:][-40:])
                raise AssertionError(f"no line matches {pattern!r} in {'all' if ended else 'time'}:\n  {tail}")
            time.sleep(0.005)

    def finish(self) -> None:
        """Close the file, once the process has ended; a last line without end counts."""
        lines = self.lines
        if not self._file.closed:
            self._file.close()
            lines += [self._rest.decode("utf-8", "replace")] if self._rest else []


class StartError(AssertionError):
    """The broker ended before it was ready."""


class Broker:
    """A running broker; use as a context manager, or call `stop`."""

    def __init__(
        self,
        directory: Path,
        config: str = "",
        *,
        listener: str = "",
        kind: str = "mosq",
        arguments: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
        preexec: Callable[[], None] | None = None,
        wait: bool = True,
    ) -> None:
        """Start in `directory`; `listener` is text for the listener that is added to a `config` without `{port}`."""
        if kind == "original" and "max_packet_size" not in config:
            config = f"max_packet_size {MAX_PACKET_SIZE}\n{config}"  # the default of later releases
        self.directory, self.kind, self._template = directory, kind, complete(config, listener)
        self._arguments, self._environment, self._preexec, self._wait = arguments, environment, preexec, wait
        self.clients: list[RawClient] = []
        self.ports: dict[str, int] = {}
        self.start()

    def start(self) -> None:
        """Start, or start again on the same ports after a `stop`."""
        for attempt in range(START_ATTEMPTS):
            self.launch()
            if not self._wait:
                return
            try:
                self.log.wait_for(r"mosquitto version \S+ running", 2 * SECONDS)
                return
            except AssertionError as error:
                self.kill()
                if attempt + 1 == START_ATTEMPTS or not any("Address already in use" in x for x in self.log.lines):
                    raise StartError(str(error)) from None
                self.ports.clear()

    def launch(self) -> None:
        """Start on the ports there are, and do not wait."""
        self.config_file = self.directory / "mosquitto.conf"
        self.config_file.write_text(self.fill(self._template))
        paths = self.directory / "stdout", self.directory / "stderr"
        with paths[0].open("wb") as stdout, paths[1].open("wb") as stderr:
            self.process = subprocess.Popen(
                [*command_of(self.kind), "-c", str(self.config_file), *self._arguments],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env={**os.environ, "PYTHONPATH": str(ROOT), **PRELOADED[self.kind], **(self._environment or {})},
                preexec_fn=self._preexec,
            )
        self.stdout, self.log = (Output(path, self.process) for path in paths)

    def fill(self, template: str) -> str:
        """The template with its ports and directory."""
        for name in sorted(set(re.findall(r"\{(port\d*)\}", template))):
            self.ports.setdefault(name, free_port())
            template = template.replace("{" + name + "}", str(self.ports[name]))
        return template.replace("{dir}", str(self.directory))

    def rewrite_config(self, config: str, *, listener: str = "") -> None:
        """Replace the configuration file, keeping the ports; SIGHUP makes the broker read it."""
        self._template = complete(config, listener)
        self.config_file.write_text(self.fill(self._template))

    @property
    def port(self) -> int:
        return self.ports["port"]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def client(self, level: Level | None = None, *, port: str = "port", path: str | None = None) -> RawClient:
        """A new connection that has sent nothing; closed when the test ends."""
        client = RawClient(path or ("127.0.0.1", self.ports[port]), level)
        self.clients.append(client)
        return client

    def connected(
        self,
        level: Level,
        client_id: str | bytes,
        *,
        port: str = "port",
        session_present: bool | None = False,
        **options: Unpack[ConnectOptions],
    ) -> RawClient:
        """A client whose CONNECT was accepted; `session_present` None leaves that flag unchecked."""
        client = self.client(level, port=port)
        client.send(level.connect(client_id, **options))
        answer = client.read_packet()
        assert answer[0] == 0x20 and answer[3] == 0, f"refused: {answer.hex(' ')}"
        assert session_present is None or answer[2] == session_present, f"session present is {answer[2]}"
        return client

    def close_clients(self) -> None:
        for client in self.clients:
            client.close()
        self.clients.clear()

    def wait_for_log(self, pattern: str, seconds: float = SECONDS, start: int = 0) -> re.Match[str]:
        """The first match of a regular expression in the log from line `start` on."""
        return self.log.wait_for(pattern, seconds, start)

    def log_position(self) -> int:
        """To be given to `wait_for_log` as `start`: only what is logged from now on counts."""
        return len(self.log.lines)

    def logged(self, pattern: str, start: int = 0) -> list[str]:
        """The lines so far that match; for "was not logged", first wait for something that comes later."""
        return [line for line in self.log.lines[start:] if re.search(pattern, line)]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def memory(self) -> int:
        """Resident memory in bytes."""
        return self._status("VmRSS") * 1024

    def _status(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
        assert found, name
        return int(found[1])

    def descriptors(self) -> int:
        """Open file descriptors of the process."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def wait_exit(self, seconds: float = 2 * SECONDS) -> int:
        """The exit code, once the process has ended by itself."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the broker did not end in time") from None
        self.stdout.finish()
        self.log.finish()
        return code

    def stop(self, expected: int = 0) -> None:
        """Stop with SIGTERM; checks the exit code and that nothing went wrong inside."""
        self.close_clients()
        if self.running:
            self.signal(signal.SIGTERM)
        code = self.wait_exit()
        self.check_log()
        assert code == expected, f"exit code {code}; log ends with {self.log.lines[-5:]}"

    def check_log(self) -> None:
        """No traceback and no sanitizer report were printed."""
        bad = r"Traceback \(most recent|ERROR: AddressSanitizer|runtime error:|LeakSanitizer"
        found = next((i for i, line in enumerate(self.log.lines) if re.search(bad, line)), None)
        assert found is None, "\n".join(self.log.lines[found : found + 40])

    def kill(self) -> None:
        """End the process at once, whatever its state."""
        self.close_clients()
        if self.running:
            self.process.kill()
        self.wait_exit()

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.kill()


def complete(config: str, listener: str = "") -> str:
    """The whole configuration text, ports still to be filled in."""
    if "{port}" in config:
        return QUIET_ROOT + config
    anonymous = "" if "allow_anonymous" in config + listener else "allow_anonymous true\n"
    return f"{QUIET_ROOT}{anonymous}{config}\nlistener {{port}} 127.0.0.1\n{listener}\n"
