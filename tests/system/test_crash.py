"""A broker with the durable store that is killed under load loses nothing: the short form of `make crash`."""

from __future__ import annotations

import os
import random
from pathlib import Path

from .crash.run import RELAXED, Plan, Run

SEED = int(os.environ.get("MOSQ_CRASH_SEED", random.randrange(10**6)))


LOSSES = {
    "a session is lost",
    "a subscription is lost",
    "a gap or out of order",
    "acknowledged and never delivered",
    "a retained message is not the last one",
}


def test_nothing_is_lost(tmp_path: Path) -> None:
    run = Run(tmp_path, Plan(SEED, kills=4, life=0.3))
    faults = run.go()
    assert not faults, "\n".join([run.report(), *faults, *run.log[-30:]])
    assert run.kills >= 4, run.report()
    assert run.ledger.deliveries > 100, run.report()


def test_a_store_that_acknowledges_too_early_is_found_out(tmp_path: Path) -> None:
    faults = Run(tmp_path, Plan(SEED, kills=3, life=0.3, patience=0.5, config=RELAXED)).go()
    assert LOSSES & {line.split(":")[0] for line in faults}, faults
