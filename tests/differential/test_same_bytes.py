"""The same byte scripts against mosq and the original from Debian: the same answers, but for the known differences."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.harness.broker import Broker

from .differences import DIFFERENCES, reason_for
from .script import Script, run
from .scripts import all_scripts

# 2.0.11 has neither limit by default, and Debian's build still suppresses duplicates
CONFIG = "max_packet_size 2000000\nallow_duplicate_messages true\nsys_interval 0\n"

pytestmark = pytest.mark.original

Pair = tuple[Broker, Broker]


@pytest.fixture(scope="module")
def pair(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    directories = (tmp_path_factory.mktemp(kind) for kind in ("mosq", "original"))
    with Broker(next(directories), CONFIG) as mosq, Broker(next(directories), CONFIG, kind="original") as theirs:
        yield mosq, theirs
        mosq.stop()


def first_difference(ours: list[str], theirs: list[str]) -> tuple[str, str] | None:
    """The first lines that differ, without their place; who spoke later only has "nothing" to say here."""
    for mine, other in zip_longest(ours, theirs):
        if mine != other:
            (my_step, my_line), (other_step, other_line) = taken_apart(mine), taken_apart(other)
            return (my_line if my_step <= other_step else "nothing", other_line if other_step <= my_step else "nothing")
    return None


def taken_apart(line: str | None) -> tuple[int, str]:
    """The step and what was heard; the end of a transcript comes after every step."""
    if line is None:
        return sys.maxsize, "nothing"
    place, heard = line.split(": ", 1)
    return int(place.split()[0]), heard


@pytest.mark.parametrize("script", all_scripts(), ids=str)
def test_answers_are_those_of_the_original(pair: Pair, script: Script) -> None:
    ours, theirs = (run(script, broker) for broker in pair)
    difference = first_difference(ours, theirs)
    if difference is None:
        return
    mine, other = difference
    listing = "\n".join(["mosq:", *ours, "original:", *theirs])
    assert reason_for(script.name, mine, other), f"{script.name}: {mine!r} and not {other!r}\n{listing}"


def test_every_known_difference_has_a_reason_and_a_script() -> None:
    names = [script.name for script in all_scripts()]
    for difference in DIFFERENCES:
        assert difference.reason
        assert any(re.fullmatch(difference.script, name) for name in names), difference.script
