"""Many command lines of the client tools at once: mosq's in one process that forks for each, so that the imports are
paid for once, and Debian's.

`main` is that process: it reads a pickled list of jobs from stdin and writes a pickled list of results to stdout.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.clients.running import kept
from tests.harness import deadline
from tests.harness.broker import ROOT

AT_ONCE = 3
"""Jobs that run side by side."""
SECONDS = int(2 * deadline.SECONDS)
"""After this many a tool is killed by SIGALRM."""


class Job(NamedTuple):
    """A command line: "pub", "sub" or "rr", its words, what is on its standard input."""

    tool: str
    words: tuple[bytes, ...]
    stdin: bytes = b""


class Result(NamedTuple):
    """What came of it; a negative code is the signal that ended the tool."""

    code: int
    out: bytes
    err: bytes


def both(mosq: Sequence[Job], debian: Sequence[Job], home: Path) -> tuple[list[Result], list[Result]]:
    """Run jobs of mosq's tools beside jobs of Debian's; options files are looked for in `home`."""
    with ThreadPoolExecutor(AT_ONCE + 1) as pool:
        ours = pool.submit(run, mosq, home)
        theirs = list(pool.map(lambda job: run_debian(job, home), debian))
        return ours.result(), theirs


def run_debian(job: Job, home: Path) -> Result:
    """A tool of Debian's."""
    command = [f"/usr/bin/mosquitto_{job.tool}", *job.words]
    environment = {"HOME": str(home), "TZ": "UTC"}
    try:
        done = subprocess.run(
            command, input=job.stdin, capture_output=True, env=environment, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as expired:
        return Result(-signal.SIGKILL, expired.stdout or b"", expired.stderr or b"")
    return Result(done.returncode, done.stdout, done.stderr)


def run(jobs: Sequence[Job], home: Path) -> list[Result]:
    """mosq's tools."""
    done = subprocess.run(
        [sys.executable, "-c", "from tests.clients.forks import main; main()"],
        input=pickle.dumps(list(jobs)),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={"HOME": str(home), "PYTHONPATH": str(ROOT), "TZ": "UTC", **kept()},
        timeout=4 * SECONDS,
        check=True,
    )
    results: list[Result] = pickle.loads(done.stdout)
    return results


def main() -> None:
    for module in ("pub", "sub", "rr", "output.message_json", "output.conversions"):
        importlib.import_module(f"mosq.cli.{module}")

    jobs: list[Job] = pickle.load(sys.stdin.buffer)
    results: dict[int, Result] = {}
    running: dict[int, int] = {}
    gc.freeze()
    with tempfile.TemporaryDirectory() as name:
        for number, job in enumerate(jobs):
            if len(running) == AT_ONCE:
                reap(running, results, Path(name))
            pid = os.fork()
            if not pid:
                child(job, Path(name) / str(number))
            running[pid] = number
        while running:
            reap(running, results, Path(name))
    sys.stdout.buffer.write(pickle.dumps([results[number] for number in range(len(jobs))]))


def child(job: Job, place: Path) -> None:
    """Become the tool."""
    code = 99
    try:
        place.with_suffix(".in").write_bytes(job.stdin)
        for fd, suffix, flags in ((0, ".in", os.O_RDONLY), (1, ".out", os.O_CREAT | os.O_WRONLY), (2, ".err", 0o101)):
            os.dup2(os.open(place.with_suffix(suffix), flags, 0o600), fd)
        signal.alarm(SECONDS)
        tool = sys.modules[f"mosq.cli.{job.tool}"]
        code = tool.main([os.fsdecode(word) for word in job.words])
    except BaseException:
        import traceback

        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code & 0xFF)


def reap(running: dict[int, int], results: dict[int, Result], place: Path) -> None:
    """Wait for one that is running."""
    pid, status = os.wait()
    number = running.pop(pid)
    files = (place / f"{number}{suffix}" for suffix in (".out", ".err"))
    results[number] = Result(os.waitstatus_to_exitcode(status), *(file.read_bytes() for file in files))
