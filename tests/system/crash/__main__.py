"""The long form of the crash test: see the package."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from .disk import FailingDisk
from .run import DURABLE, RELAXED, Plan, Run


def main() -> int:
    """Run as the arguments say. The exit code: 1 if something was lost."""
    parser = argparse.ArgumentParser(prog="make crash ARGS=...", description="kill a broker again and again under load")
    parser.add_argument("--kills", type=int, default=60, help="how many in all (default 60)")
    parser.add_argument(
        "--each", type=int, default=10, help="kills of one broker directory, after which all is counted"
    )
    parser.add_argument("--seed", type=int, help="to repeat a run")
    parser.add_argument("--disk", action="store_true", help="have the disk fail, too")
    parser.add_argument("--relaxed", action="store_true", help="with a store that does not wait: must find losses")
    arguments = parser.parse_args()
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    bad = done = 0
    while done < arguments.kills:
        plan = Plan(seed, kills=min(arguments.each, arguments.kills - done), life=1.5)
        plan.config = RELAXED if arguments.relaxed else DURABLE
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as directory:
            if arguments.disk:
                plan.window = 1
            run = Run(Path(directory), plan, FailingDisk(Path(directory)) if arguments.disk else None)
            faults = run.go()
            print(f"{run.report()}, {time.monotonic() - started:.0f} s", *faults, sep="\n    ", flush=True)
        bad += bool(faults)
        done += plan.kills
        seed += 1
    print(f"{done} kills at least: " + (f"{bad} runs with faults" if bad else "nothing lost"))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
