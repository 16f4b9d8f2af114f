"""What starting a client tool costs: they are called in loops of scripts."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.clients.running import command
from tests.harness.broker import MEMORY_IS_CHECKED, ROOT
from tests.harness.deadline import SECONDS

HEAVY = {
    "argparse",
    "dataclasses",
    "h11",
    "inspect",
    "json",
    "logging",
    "OpenSSL",
    "pathlib",
    "ssl",
    "subprocess",
    "typing",
}


@pytest.mark.parametrize("tool", ["pub", "sub", "rr"])
def test_nothing_heavy_is_imported(tool: str) -> None:
    script = f"import sys; before = set(sys.modules); import mosq.cli.{tool}; print(*(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        timeout=SECONDS,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert not HEAVY & set(done.stdout.decode().split())


@pytest.mark.skipif(not MEMORY_IS_CHECKED, reason="a build for checks is slower")
def test_a_start_takes_less_than_80_milliseconds_of_processor_time() -> None:
    """The best of some: what the processor does for others in between counts in part."""

    def cost() -> float:
        process = subprocess.Popen(
            [*command("pub"), "-p", "1", "-t", "t", "-m", "m"],
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        )
        usage = os.wait4(process.pid, 0)[2]
        process.returncode = 1
        return usage.ru_utime + usage.ru_stime

    assert min(cost() for _ in range(5)) < 0.08
