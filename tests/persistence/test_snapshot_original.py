"""Files go back and forth between mosq and the original: both load what the other wrote, and write the same again."""

from __future__ import annotations

import itertools
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from mosq.persistence.format import Content, encode
from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.client import RawClient
from tests.harness.packets import LEVELS, PINGREQ_BYTES, PINGRESP_BYTES, Subscription, v5

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


# What clients find


def leave_behind(broker: Broker) -> None:
    """Sessions in every state, by clients of every protocol level."""
    publisher = broker.connected(v5, "publisher", username="carol", password="x")
    for level in LEVELS:
        lasting = props.session_expiry(100_000) if level.is_v5 else b""
        sub = broker.connected(level, f"sub{level}", clean=False, username="alice", password="x", properties=lasting)
        options = Subscription(f"{level}/#", 2, retain_as_published=True) if level.is_v5 else f"{level}/#"
        sub.subscribe(options, qos=2, properties=IDENTIFIER)
        for mid, qos in enumerate((1, 2, 2, 1, 0), 1):
            publisher.publish(f"{level}/{mid}", b"%d" % mid, qos=qos, mid=mid)
        assert len(sub.received_messages(5)) == 5
        sub.send(level.puback(1), level.pubrec(3))
        sub.expect(level.pubrel(3))
        sub.disconnect()
        for mid, qos in enumerate((1, 2, 0), 10):
            publisher.publish(f"{level}/{mid}", b"%d" % mid, qos=qos, mid=mid, properties=PROPERTIES)
        half = broker.connected(level, f"in{level}", clean=False, username="bob", password="x", properties=lasting)
        half.send(level.publish(f"half/{level}", b"way", qos=2, mid=9, retain=True))
        half.expect(level.pubrec(9))
        half.disconnect()
    publisher.publish("kept/1", b"retained", qos=1, retain=True, properties=PROPERTIES)
    publisher.publish("kept/2", b"retained", qos=2, retain=True, mid=2)


IDENTIFIER = props.subscription_id(300)
PROPERTIES = (
    props.message_expiry(100_000)
    + props.payload_format(1)
    + props.content_type("text/plain")
    + props.response_topic("answer")
    + props.correlation_data(b"\0\xff")
    + props.user_property("k", "1")
    + props.user_property("k", "2")
)


def find(broker: Broker) -> list[str]:
    """What the clients of `leave_behind` hear when they come back."""
    heard: list[str] = []
    for level in LEVELS:
        lasting = props.session_expiry(100_000) if level.is_v5 else b""
        sub = broker.client(level)
        sub.send(level.connect(f"sub{level}", clean=False, username="alice", password="x", properties=lasting))
        present = sub.read_packet()[2]
        publisher = broker.connected(level, "publisher")
        publisher.publish(f"{level}/new", b"new", qos=2)
        half = broker.client(level)
        half.send(level.connect(f"in{level}", clean=False, username="bob", password="x", properties=lasting))
        half.read_packet()
        half.send(level.publish(f"half/{level}", b"way", qos=2, mid=9, retain=True, dup=True), level.pubrel(9))
        half.expect(level.pubrec(9), level.pubcomp(9))
        heard.append(f"{level} {present} {all_of(sub)}")
    reader = broker.connected(v5, "reader")
    reader.subscribe("kept/#", "half/#", qos=2)
    return [*heard, f"retained {sorted(all_of(reader))}"]


def all_of(client: RawClient) -> list[str]:
    """The packets that have come, but for the place of the subscription identifier and the seconds left to live."""
    client.send(PINGREQ_BYTES)
    packets = []
    while (packet := client.read_packet()) != PINGRESP_BYTES:
        without = packet.replace(IDENTIFIER, b"", 1)
        lasting = re.sub(rb"\x02\x00\x01[\x80-\x8a].", b"(expiry)", without, flags=re.DOTALL)
        packets.append(f"{lasting.hex(' ')} {IDENTIFIER in packet}")
    return packets


def test_clients_find_the_same_whoever_wrote_and_whoever_reads(original: Path, tmp_path: Path) -> None:
    files = {}
    for writer in ("mosq", "original"):
        directory = tmp_path / writer
        directory.mkdir()
        with Broker(directory, CONFIG, kind=writer) as broker:
            leave_behind(broker)
            broker.stop()
        files[writer] = (directory / "mosquitto.db").read_bytes()
    found = {}
    for writer, data in files.items():
        for reader in ("mosq", "original"):
            directory = tmp_path / f"{writer}-{reader}"
            directory.mkdir()
            (directory / "mosquitto.db").write_bytes(data)
            with Broker(directory, CONFIG, kind=reader) as broker:
                found[writer, reader] = find(broker)
    wanted = found.pop(("original", "original"))
    assert len(wanted) == 4
    for what in found.values():
        assert what == wanted
