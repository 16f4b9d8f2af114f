"""The broker's command, run to its end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mosq import __version__
from tests.harness.broker import ROOT
from tests.harness.deadline import SECONDS

TERMINATING = f"mosquitto version {__version__} terminating"


class Result(NamedTuple):
    code: int
    out: str
    err: list[str]
    """The lines of stderr, without the timestamps before them."""


def run(
    *arguments: str | Path,
    environment: dict[str, str] | None = None,
    preexec: Callable[[], None] | None = None,
    directory: Path | None = None,
) -> Result:
    """Run the broker with arguments that make it end by itself."""
    done = subprocess.run(
        [sys.executable, "-m", "mosq", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=4 * SECONDS,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        preexec_fn=preexec,
        cwd=directory,
    )
    lines = [_without_timestamp(line) for line in done.stderr.decode().splitlines()]
    return Result(done.returncode, done.stdout.decode(), lines)


def _without_timestamp(line: str) -> str:
    stamp, colon, text = line.partition(": ")
    return text if colon and stamp.isdecimal() else line
