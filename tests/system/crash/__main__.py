"""The long form of the crash test: see the package."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from .disk import Disk, FailingDisk, ForgetfulDisk
from .run import DURABLE, RELAXED, Plan, Run

DISKS: tuple[type[Disk], ...] = (FailingDisk, ForgetfulDisk, Disk, ForgetfulDisk)
"""One after the other."""


def main() -> int:
    """Run as the arguments say. The exit code: 1 if something was lost."""
    parser = argparse.ArgumentParser(prog="make crash ARGS=...", description="kill a broker again and again under load")
    parser.add_argument("--kills", type=int, default=120, help="how many in all (default 120)")
    parser.add_argument("--each", type=int, default=10, help="after how many all is counted, and a new run begins")
    parser.add_argument("--seed", type=int, help="of the first run; the next has the next one")
    parser.add_argument("--relaxed", action="store_true", help="with a store that does not wait: must find losses")
    arguments = parser.parse_args()
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    bad = done = 0
    while done < arguments.kills:
        plan = Plan(seed, kills=min(arguments.each, arguments.kills - done), life=1.5)
        plan.config = RELAXED if arguments.relaxed else DURABLE
        faults, kills = _run(plan, DISKS[seed % len(DISKS)])
        bad += bool(faults)
        done += kills
        seed += 1
    print(f"{done} kills: " + (f"{bad} runs with faults" if bad else "nothing lost"))
    return 1 if bad else 0


def _run(plan: Plan, disk: type[Disk]) -> tuple[list[str], int]:
    """One run, told. What is wrong, and how often it killed."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        if disk is FailingDisk:
            plan.window = 1
        run = Run(Path(directory), plan, disk(Path(directory)))
        faults = run.go()
    lines = [f"{disk.__name__}, {run.report()}, {time.monotonic() - started:.0f} s", *faults]
    print("\n    ".join(lines), flush=True)
    return faults, run.kills


if __name__ == "__main__":
    sys.exit(main())
