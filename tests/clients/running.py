"""Client tools as processes: started, fed, and run to their end."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import termios
from array import array
from collections.abc import Mapping
from typing import IO, NamedTuple

from tests.clients.command_lines import Word, encoded
from tests.harness.broker import ROOT
from tests.harness.deadline import SECONDS, wait_until


class Result(NamedTuple):
    code: int
    out: bytes
    err: str


def command(tool: str) -> list[str]:
    """What starts `pub`, `sub` or `rr`, before its arguments."""
    return [sys.executable, "-c", f"from mosq.cli.{tool} import entry; entry()"]


def kept() -> dict[str, str]:
    """Of the environment what finds programs, and what the sanitizers need (make sanitize)."""
    names = ("PATH", "LD_PRELOAD", "ASAN_OPTIONS", "UBSAN_OPTIONS")
    return {name: os.environ[name] for name in names if name in os.environ}


class Running:
    """A tool at work; use as a context manager. `stdin` None: an empty one. `variables`: more of the environment."""

    def __init__(
        self,
        tool: str,
        *words: Word,
        stdin: IO[bytes] | int | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            [*command(tool), *encoded(words)],
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PYTHONPATH": str(ROOT), "HOME": "/nonexistent", "TZ": "UTC", **kept(), **(variables or {})},
        )

    def result(self, stdin: bytes | None = None, seconds: float = 2 * SECONDS) -> Result:
        """Wait for the end."""
        out, err = self.process.communicate(stdin, timeout=seconds)
        return Result(self.process.returncode, out, err.decode("utf-8", "surrogateescape"))

    def write(self, data: bytes) -> None:
        """Feed the standard input, which is a pipe."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def wait_until_read(self) -> None:
        """Until the tool has taken all that was written."""
        assert self.process.stdin is not None
        fd, waiting = self.process.stdin.fileno(), array("i", [0])

        def is_empty() -> bool:
            fcntl.ioctl(fd, termios.FIONREAD, waiting)
            return waiting[0] == 0

        wait_until(is_empty, "an empty pipe")

    def end_of_input(self) -> None:
        """Close the pipe."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.stdin = None

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def run(tool: str, *words: Word, stdin: bytes = b"", variables: Mapping[str, str] | None = None) -> Result:
    """A tool from its start to its end."""
    with Running(tool, *words, stdin=subprocess.PIPE, variables=variables) as running:
        return running.result(stdin)
