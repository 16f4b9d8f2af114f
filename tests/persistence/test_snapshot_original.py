"""Files go back and forth between mosq and the original: both load what the other wrote, and write the same again."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from mosq.persistence.format import Content, encode
from tests.harness.broker import Broker

from .databases import as_2_0_keeps_it, databases, what_it_says

pytestmark = pytest.mark.original

DATA = Path(__file__).parent / "data"
CONFIG = """persistence true
persistence_location {dir}
queue_qos0_messages true
sys_interval 0
allow_duplicate_messages true
max_inflight_messages 40
"""

Pass = Callable[[str, bytes], bytes]


@pytest.fixture(scope="module")
def passed(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pass]:
    """Call with a kind of broker and a file: that broker starts from it and stops; returns what it has written."""
    numbers = itertools.count()

    def run(kind: str, data: bytes) -> bytes:
        directory = tmp_path_factory.mktemp(f"{kind}{next(numbers)}")
        path = directory / "mosquitto.db"
        path.write_bytes(data)
        path.chmod(0o600)
        with Broker(directory, CONFIG, kind=kind) as broker:
            broker.stop()
        out = path.read_bytes()
        shutil.rmtree(directory)
        return out

    yield run


def assert_goes_both_ways(passed: Pass, data: bytes) -> None:
    now = int(time.time())
    wanted = what_it_says(data, now)
    kept = as_2_0_keeps_it(wanted)
    ours, theirs = passed("mosq", data), passed("original", data)
    assert what_it_says(ours) == wanted
    assert as_2_0_keeps_it(what_it_says(theirs, now)) == kept
    assert as_2_0_keeps_it(what_it_says(passed("original", ours))) == kept
    assert as_2_0_keeps_it(what_it_says(passed("mosq", theirs))) == kept


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # each example starts four brokers
    suppress_health_check=list(HealthCheck),
)
@given(databases())
def test_generated_databases_go_both_ways(passed: Pass, contents: list[Content]) -> None:
    assert_goes_both_ways(passed, encode(contents))


@pytest.mark.parametrize("name", ["v6-tiny", "v6-mixed", "v6-live", "v5-handmade"])
def test_sample_files_go_both_ways(passed: Pass, name: str) -> None:
    assert_goes_both_ways(passed, (DATA / f"{name}.db").read_bytes())


@pytest.mark.parametrize("name", ["v4-handmade", "v3-handmade", "v2-handmade"])
def test_old_files_become_new_ones(passed: Pass, name: str) -> None:
    """2.0.11 forgets their sessions, which never expire: only what is retained can be compared."""
    data = (DATA / f"{name}.db").read_bytes()
    ours, theirs = passed("mosq", data), passed("original", data)
    assert what_it_says(ours) == what_it_says(data)
    assert what_it_says(theirs)["retained"] == what_it_says(data)["retained"]
    assert as_2_0_keeps_it(what_it_says(passed("original", ours))) == as_2_0_keeps_it(what_it_says(data))
