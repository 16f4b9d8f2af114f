"""When the snapshot is written: signals, intervals, changes, reloads, the end; and what goes on meanwhile."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from mosq.persistence.snapshot import Snapshot
from tests.control.world import World
from tests.harness.broker import Broker
from tests.harness.brokers import StartBroker
from tests.harness.deadline import wait_until
from tests.harness.packets import Will, v5, v311

CONFIG = "persistence true\npersistence_location {dir}\nsys_interval 0\n"
SAVING = r"^Saving in-memory database to "
SHUTDOWN_BYTE = 39


def database(broker: Broker) -> Path:
    return broker.directory / "mosquitto.db"


def saves(broker: Broker) -> int:
    return len(broker.logged(SAVING))


def wait_saved(broker: Broker, before: int = 0) -> bytes:
    """The contents of the file once its i-node is another one than `before`."""
    path = database(broker)
    wait_until(lambda: path.exists() and path.stat().st_ino != before, "a save")
    return path.read_bytes()


def settled(broker: Broker) -> None:
    """A full turn of the broker has passed."""
    broker.client(v311).close()
    client = broker.connected(v311, "settling")
    client.disconnect()


# Signals and the end


def test_sigusr1_saves_and_the_end_saves(own_broker: StartBroker) -> None:
    broker = own_broker(CONFIG)
    broker.signal(signal.SIGUSR1)
    assert wait_saved(broker)[SHUTDOWN_BYTE] == 0
    before = database(broker).stat().st_ino
    broker.stop()
    assert wait_saved(broker, before)[SHUTDOWN_BYTE] == 1
    assert saves(broker) == 2
    assert broker.log.lines[-2:] == [
        broker.logged("terminating")[0],
        f"Saving in-memory database to {database(broker)}.",
    ]


def test_many_signals_are_as_many_saves_as_needed(own_broker: StartBroker) -> None:
    broker = own_broker(CONFIG)
    for _ in range(20):
        broker.signal(signal.SIGUSR1)
    client = broker.connected(v311, "c")
    client.publish("last", b"1", qos=1, retain=True)
    broker.signal(signal.SIGUSR1)
    wait_until(lambda: database(broker).exists() and b"last" in database(broker).read_bytes(), "the last state")
    client.expect_silence()


def test_autosave_interval_0_saves_on_signals_and_at_the_end_only(own_broker: StartBroker) -> None:
    broker = own_broker(CONFIG + "autosave_interval 0\nautosave_on_changes true\n")
    client = broker.connected(v311, "c")
    client.publish("t", b"1", qos=1, retain=True)
    assert saves(broker) == 0
    broker.signal(signal.SIGUSR1)
    wait_saved(broker)
    broker.stop()
    assert saves(broker) == 2


def test_wills_are_in_the_file_of_the_end_and_sessions_expire_from_then(own_broker: StartBroker) -> None:
    broker = own_broker(CONFIG)
    will = Will("will", b"gone", 1, True)
    client = broker.client(v5)
    client.send(v5.connect("c", clean=False, will=will, properties=b"\x11\0\0\x10\0"))
    client.read_packet()
    broker.signal(signal.SIGTERM)
    assert broker.wait_exit() == 0
    data = database(broker).read_bytes()
    assert b"willgone" in data
    place = data.index(b"\0\0\x10\0\0\0\0\1")  # interval 4096, last packet id 0, length of the id 1
    expires = int.from_bytes(data[place - 8 : place], "little")
    assert abs(expires - 4096 - int(database(broker).stat().st_mtime)) <= 2


# Intervals


def test_autosave_interval_in_seconds(own_broker: StartBroker) -> None:
    broker = own_broker(CONFIG + "autosave_interval 1\n")
    first = wait_saved(broker)
    assert first[SHUTDOWN_BYTE] == 0
    wait_saved(broker, database(broker).stat().st_ino)
    assert saves(broker) >= 2


def test_autosave_on_changes_counts_what_it_should(own_broker: StartBroker) -> None:
    broker = own_broker(CONFIG + "autosave_interval 3\nautosave_on_changes true\n")
    clean = broker.connected(v311, "clean")
    clean.publish("t", b"1", qos=1)
    clean.publish("t", b"2", qos=2, mid=2)
    kept = broker.connected(v311, "kept", clean=False)
    kept.subscribe("a", "b", "c", qos=1)
    settled(broker)
    assert saves(broker) == 0  # a CONNECT and a SUBSCRIBE
    clean.publish("r", b"", qos=1, retain=True)
    wait_saved(broker)
    kept.send(v311.unsubscribe(1, "c"))
    kept.expect(v311.unsuback(1))
    kept.disconnect()
    clean.publish("a", b"1", qos=1)
    settled(broker)
    assert saves(broker) == 1  # an UNSUBSCRIBE and a queued message
    clean.publish("b", b"1", qos=1)
    wait_until(lambda: saves(broker) == 2, "the second save")
    kept = broker.connected(v311, "kept", clean=False, session_present=True)
    messages = kept.received_messages(2)
    kept.send(*(v311.puback(int.from_bytes(m[5:7], "big")) for m in messages))
    wait_until(lambda: saves(broker) == 3, "the third save")


def test_signals_and_failures_do_not_start_the_count_anew(own_broker: StartBroker) -> None:
    broker = own_broker(CONFIG + "autosave_interval 2\nautosave_on_changes true\n")
    client = broker.connected(v311, "c")
    client.publish("a", b"1", qos=1, retain=True)
    broker.signal(signal.SIGUSR1)
    wait_until(lambda: saves(broker) == 1, "the save of the signal")
    client.publish("b", b"1", qos=1, retain=True)
    wait_until(lambda: saves(broker) == 2, "the save of the changes")
    wait_until(lambda: database(broker).exists(), "the file")
    broker.signal(signal.SIGUSR1)
    wait_until(lambda: saves(broker) == 3, "another save")


# Reload


def test_a_reload_changes_where_the_file_is(own_broker: StartBroker, tmp_path: Path) -> None:
    broker = own_broker(CONFIG)
    broker.signal(signal.SIGUSR1)
    before = wait_saved(broker)
    other = tmp_path / "other.db"
    broker.rewrite_config(f"persistence true\npersistence_location {tmp_path}\npersistence_file other.db\n")
    broker.signal(signal.SIGHUP)
    broker.wait_for_log("^Reloading config.$")
    broker.connected(v311, "c").publish("t", b"1", qos=1, retain=True)
    broker.signal(signal.SIGUSR1)
    wait_until(other.exists, "the other file")
    broker.stop()
    assert database(broker).read_bytes() == before


def test_a_reload_switches_saving_off(own_broker: StartBroker) -> None:
    broker = own_broker(CONFIG)
    broker.rewrite_config("")
    broker.signal(signal.SIGHUP)
    broker.wait_for_log("^Reloading config.$")
    broker.signal(signal.SIGUSR1)
    settled(broker)
    broker.stop()
    assert saves(broker) == 0
    assert not database(broker).exists()


def test_a_reload_switches_saving_on_and_reads_nothing(own_broker: StartBroker) -> None:
    broker = own_broker("persistence_location {dir}\nautosave_interval 1\n")
    client = broker.connected(v5, "kept", properties=b"\x11\xff\xff\xff\xff")
    client.subscribe("a")
    broker.rewrite_config(CONFIG + "autosave_interval 1\n")
    broker.signal(signal.SIGHUP)
    broker.wait_for_log("^Reloading config.$")
    broker.connected(v311, "c").publish("t", b"1", qos=1, retain=True)
    wait_saved(broker)
    broker.stop()
    assert not broker.logged("Restored")
    broker.start()
    assert broker.logged("^Restored 1 clients$") and broker.logged("^Restored 1 subscriptions$")


def test_a_reload_changes_what_the_interval_counts(own_broker: StartBroker) -> None:
    broker = own_broker(CONFIG)
    client = broker.connected(v311, "c")
    client.publish("t", b"1", qos=1, retain=True)
    broker.rewrite_config(CONFIG + "autosave_interval 2\nautosave_on_changes true\n")
    broker.signal(signal.SIGHUP)
    broker.wait_for_log("^Reloading config.$")
    client.publish("u", b"1", qos=1, retain=True)
    wait_saved(broker)


# What goes on meanwhile


class Held:
    """A save that has begun and goes on when `release` is called: its process is stopped."""

    def __init__(self, broker: Broker) -> None:
        self.client = broker.connected(v311, "big")
        self.client.publish("big", bytes(30_000_000), qos=1, retain=True)
        self.saves = 0
        while not self._hold(broker):
            assert self.saves < 20, "the saves are too fast to be stopped"

    def _hold(self, broker: Broker) -> bool:
        """Stop the process of a save. False if it was too fast: its file is gone again, as if it had never been."""
        path, before = database(broker), saves(broker)
        new = Path(f"{path}.new")
        children = Path(f"/proc/{broker.pid}/task/{broker.pid}/children")
        self.saves += 1
        broker.signal(signal.SIGUSR1)
        found: list[str] = []
        while not ((found and new.exists()) or path.exists()):
            found = children.read_text().split()
        if found:
            self.pid = int(found[0])
            os.kill(self.pid, signal.SIGSTOP)
            wait_until(lambda: self.state() in "TX", "the process to stop")
            if self.state() == "T" and not path.exists():
                return True
            self.release()
        wait_until(lambda: saves(broker) > before and path.exists() and not children.read_text(), "the end of the save")
        path.unlink()
        return False

    def state(self) -> str:
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return "X"

    def release(self) -> None:
        try:
            os.kill(self.pid, signal.SIGCONT)
        except ProcessLookupError:
            pass


@pytest.fixture
def large(own_broker: StartBroker) -> Broker:
    return own_broker(CONFIG + "max_packet_size 100000000\n")


def test_during_a_save_connections_are_served_and_closed(large: Broker) -> None:
    held = Held(large)
    held.client.send(v311.disconnect())
    held.client.expect_closed()
    large.connected(v311, "other").publish("t", b"1", qos=1)
    held.release()
    assert b"big" in wait_saved(large)


def test_what_is_asked_during_a_save_is_done_once_afterwards(large: Broker) -> None:
    held = Held(large)
    for n in range(5):
        held.client.publish(f"later/{n}", b"1", qos=1, retain=True)
        large.signal(signal.SIGUSR1)
        settled(large)
    held.release()
    wait_until(lambda: database(large).exists() and b"later/4" in database(large).read_bytes(), "the second save")
    settled(large)
    assert saves(large) == held.saves + 1


def test_a_child_that_is_killed_is_told(large: Broker) -> None:
    held = Held(large)
    os.kill(held.pid, signal.SIGKILL)
    large.wait_for_log("^Error: Saving in-memory database .* was ended by signal 9.$")
    assert not (large.directory / "mosquitto.db.new").exists()
    held.client.expect_silence()


def test_signals_to_all_processes_do_not_end_a_save(large: Broker) -> None:
    held = Held(large)
    os.kill(held.pid, signal.SIGTERM)
    os.kill(held.pid, signal.SIGINT)
    held.release()
    wait_saved(large)


def test_the_end_waits_for_a_save(large: Broker) -> None:
    held = Held(large)
    held.client.publish("later", b"1", qos=1, retain=True)
    large.signal(signal.SIGTERM)
    large.wait_for_log("terminating$")
    assert large.running
    held.release()
    assert large.wait_exit() == 0
    assert saves(large) == held.saves + 1
    assert b"later" in database(large).read_bytes()
    assert not (large.directory / "mosquitto.db.new").exists()


def test_a_child_whose_broker_is_killed_replaces_nothing(large: Broker) -> None:
    held = Held(large)
    large.process.kill()
    large.wait_exit()
    held.release()
    wait_until(lambda: held.state() in "ZX", "the child to end")
    assert not database(large).exists()


def test_without_room_for_a_child_the_broker_saves_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_room() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr("mosq.persistence.snapshot_child.os.fork", no_room)
    world = World(monkeypatch, {}, {"persistence": True, "persistence_location": str(tmp_path)})
    snapshot = Snapshot(world.broker)
    world.broker.attach(snapshot)
    world.start()
    snapshot.save()
    assert (tmp_path / "mosquitto.db").exists()
    assert (
        "W",
        "Warning: Unable to fork for saving: Resource temporarily unavailable. The broker waits for it instead.",
    ) in world.log.lines
    world.close()
