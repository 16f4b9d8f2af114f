"""A broker with the durable store that is killed under load loses nothing: the short form of `make crash`."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from .crash.disk import Disk, ForgetfulDisk
from .crash.run import DURABLE, RELAXED, Plan, Run

SEED = int(os.environ.get("MOSQ_CRASH_SEED", random.randrange(10**6)))
LOSSES = {
    "a session is lost",
    "a subscription is lost",
    "a gap or out of order",
    "acknowledged and never delivered",
    "a retained message is not the last one",
}


@pytest.mark.parametrize("disk", [Disk, ForgetfulDisk])
def test_nothing_is_lost(tmp_path: Path, disk: type[Disk]) -> None:
    run = Run(tmp_path, Plan(SEED, kills=3, life=0.3), disk(tmp_path))
    faults = run.go()
    assert not faults, "\n".join([run.report(), *faults, *run.log[-30:]])
    assert run.kills >= 3, run.report()
    assert run.ledger.deliveries > 100, run.report()


@pytest.mark.parametrize(
    ("config", "disk"), [(RELAXED, Disk), (DURABLE.replace("sync full", "sync normal"), ForgetfulDisk)]
)
def test_a_store_that_acknowledges_too_early_is_found_out(tmp_path: Path, config: str, disk: type[Disk]) -> None:
    faults = Run(tmp_path, Plan(SEED, kills=3, life=0.2, patience=0.3, config=config), disk(tmp_path)).go()
    assert LOSSES & {line.split(":")[0] for line in faults}, faults
