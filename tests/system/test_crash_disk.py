"""A disk that fails under the durable store: an error in the log, nothing acknowledged, nobody harmed; and when it
works again so does the broker, with all that it ever acknowledged."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.client import ConnectionEndedError, RawClient
from tests.harness.packets import PUBLISH, Level, v5, v311

from .crash.disk import DISK_FULL, READ_ONLY, SYNC_FAILS, FailingDisk
from .crash.run import DURABLE, Plan, Run

QUOTA_EXCEEDED, SERVER_UNAVAILABLE = 0x97, 0x88
FOREVER = props.session_expiry(0xFFFFFFFF)


class Faulty:
    """A broker on a disk that can be told to fail."""

    def __init__(self, directory: Path) -> None:
        self.disk = FailingDisk(directory)
        self.fail, self.work = self.disk.fail, self.disk.work
        (directory / "data").mkdir()
        config = DURABLE.replace("{dir}", "{dir}/data")
        self.broker = Broker(directory, config, environment=self.disk.environment)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Faulty]:
    disk = Faulty(tmp_path)
    yield disk
    disk.broker.check_log()
    if disk.broker.running:
        disk.broker.kill()


def subscriber(broker: Broker, *, present: bool) -> RawClient:
    return broker.connected(v5, "subscriber", clean=False, session_present=present, properties=FOREVER)


def offline_subscriber(broker: Broker) -> None:
    """A session for which all messages under "d" wait."""
    client = subscriber(broker, present=False)
    client.subscribe("d/#", qos=2)
    client.disconnect()


def waiting(broker: Broker) -> list[bytes]:
    """The payloads that the session of `offline_subscriber` gets now."""
    client = subscriber(broker, present=True)
    payloads = []
    client.send(b"\xc0\x00")
    pinged = True
    while True:
        packet = client.read_packet()
        if packet[0] >> 4 == PUBLISH:
            body = packet[2 if packet[1] < 0x80 else 3 :]
            mid_at = 2 + int.from_bytes(body[:2], "big")
            payloads.append(body[mid_at + 3 :])  # after packet identifier and no properties
            answer = v5.pubrec if packet[0] & 4 else v5.puback
            client.send(answer(int.from_bytes(body[mid_at : mid_at + 2], "big")))
        elif packet[0] >> 4 == 6:
            client.send(v5.pubcomp(int.from_bytes(packet[2:4], "big")))
        elif packet[0] == 0xD0 and pinged:
            client.send(b"\xc0\x00")  # what the window held back comes after the first answers
            pinged = False
        else:
            client.disconnect()
            return payloads


def acknowledged(client: RawClient, payload: bytes, qos: int = 1) -> bool:
    """Publish; whether the broker took it."""
    level = client.level
    assert level is not None
    client.send(level.publish("d/t", payload, qos=qos, mid=9))
    if not _agreed(client):
        return False
    client.send(level.pubrel(9) if qos == 2 else b"")
    return qos == 1 or _agreed(client)


def _agreed(client: RawClient) -> bool:
    """Whether the next packet acknowledges; the end of the connection does not."""
    try:
        answer = client.read_packet()
    except ConnectionEndedError:
        return False
    reason = answer[2] if answer[0] == 0xE0 else answer[4] if len(answer) > 4 else 0
    assert reason in (0, QUOTA_EXCEEDED), answer.hex(" ")
    if answer[0] == 0xE0:
        client.expect_closed()
    return not reason


def restarted(broker: Broker) -> None:
    broker.kill()
    broker.start()


@pytest.mark.parametrize(
    ("level", "how", "words"),
    [
        (v311, SYNC_FAILS, "disk I/O error"),
        (v5, SYNC_FAILS, "disk I/O error"),
        (v5, DISK_FULL, "database or disk is full"),
        (v311, READ_ONLY, "disk I/O error"),
    ],
)
def test_nothing_is_promised_while_the_disk_fails(disk: Faulty, level: Level, how: str, words: str) -> None:
    broker = disk.broker
    offline_subscriber(broker)
    publisher = broker.connected(level, "publisher")
    assert acknowledged(publisher, b"1") and acknowledged(publisher, b"2", qos=2)

    disk.fail(how)
    assert not acknowledged(publisher, b"doubtful")
    broker.wait_for_log(f"Error: Sqlite persistence: Unable to write to .*: .*{words}")
    for qos in (1, 2):
        with_another = broker.connected(level, f"other{qos}")
        assert not acknowledged(with_another, b"refused", qos)
    keeps = broker.client(level)
    keeps.send(level.connect("keeps", clean=False, properties=FOREVER))
    assert keeps.read_packet()[3] == (SERVER_UNAVAILABLE if level.is_v5 else 3)
    live = broker.connected(level, "live")
    live.subscribe("live")
    live.send(level.publish("live", b"goes on"))
    live.expect(level.publish("live", b"goes on"))
    assert broker.running

    disk.work()
    broker.wait_for_log("works again")
    publisher = broker.connected(level, "publisher")
    assert acknowledged(publisher, b"3") and acknowledged(publisher, b"4", qos=2)
    restarted(broker)
    assert [payload for payload in waiting(broker) if payload != b"doubtful"] == [b"1", b"2", b"3", b"4"]
    broker.stop()


@pytest.mark.parametrize("how", [SYNC_FAILS, DISK_FULL])
def test_a_broker_that_dies_while_the_disk_fails_has_what_it_acknowledged(disk: Faulty, how: str) -> None:
    broker = disk.broker
    offline_subscriber(broker)
    publisher = broker.connected(v5, "publisher")
    assert acknowledged(publisher, b"1") and acknowledged(publisher, b"2", qos=2)
    disk.fail(how)
    assert not acknowledged(publisher, b"doubtful", qos=2)
    broker.kill()
    disk.work()
    broker.start()
    assert [payload for payload in waiting(broker) if payload != b"doubtful"] == [b"1", b"2"]


def test_a_broker_that_stops_while_the_disk_fails_says_so(disk: Faulty) -> None:
    broker = disk.broker
    offline_subscriber(broker)
    publisher = broker.connected(v5, "publisher")
    assert acknowledged(publisher, b"1")
    disk.fail(SYNC_FAILS)
    assert not acknowledged(publisher, b"doubtful")
    broker.stop(expected=1)
    assert broker.logged("Sqlite persistence: Closing final transaction disk I/O error")
    disk.work()
    broker.start()
    assert waiting(broker)[0] == b"1"


def test_nothing_is_lost_under_load(tmp_path: Path) -> None:
    plan = Plan(random.randrange(10**6), kills=2, life=0.2, window=1)
    run = Run(tmp_path, plan, FailingDisk(tmp_path))
    faults = run.go()
    assert not faults, "\n".join([run.report(), *faults, *run.log[-30:]])
    assert any("Unable to write" in line for line in run.log)


# ---- real file systems ----------------------------------------------------------------------------------------------

Mount = Callable[[str], None]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mount a tmpfs at `tmp_path`/data with these options, or mount it again with others."""
    path = tmp_path / "data"
    path.mkdir()

    def mount(options: str) -> None:
        remount = "remount," if os.path.ismount(path) else ""
        command = ["mount", "-t", "tmpfs", "-o", remount + options, "tmpfs", path]
        if subprocess.run(command, capture_output=True, timeout=30).returncode:
            pytest.skip("nothing can be mounted here")

    yield mount
    if os.path.ismount(path):
        subprocess.run(["umount", "--lazy", path], check=True, timeout=30)


def test_a_disk_that_fills_up(mount: Mount, tmp_path: Path) -> None:
    mount("size=512k")
    with Broker(tmp_path, DURABLE.replace("{dir}", "{dir}/data")) as broker:
        offline_subscriber(broker)
        publisher = broker.connected(v5, "publisher")
        sent = 0
        while acknowledged(publisher, b"%d:" % sent + b"x" * 5000):
            sent += 1
            assert sent < 100
        assert sent > 1
        broker.wait_for_log("Unable to write to .*: database or disk is full")
        mount("size=4m")
        broker.wait_for_log("works again")
        publisher = broker.connected(v5, "publisher")
        assert acknowledged(publisher, b"more:")
        restarted(broker)
        numbers = [payload.split(b":")[0] for payload in waiting(broker)]
        if b"%d" % sent in numbers:  # not acknowledged
            numbers.remove(b"%d" % sent)
        assert numbers == [*(b"%d" % number for number in range(sent)), b"more"]
        broker.stop()


def test_a_directory_that_is_read_only(mount: Mount, tmp_path: Path) -> None:
    mount("size=1m")
    config = DURABLE.replace("{dir}", "{dir}/data")
    with Broker(tmp_path, config) as broker:
        offline_subscriber(broker)
        broker.stop()
        mount("ro,size=1m")
        before = (tmp_path / "data" / "mosquitto.sqlite3").read_bytes()
        broker.launch()
        assert broker.wait_exit() == 13
        broker.check_log()
        assert broker.logged("Error: Plugin returned 13 when initialising.")
        assert (tmp_path / "data" / "mosquitto.sqlite3").read_bytes() == before
        mount("rw,size=1m")
        broker.start()
        assert waiting(broker) == []
        broker.stop()
