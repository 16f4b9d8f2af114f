"""When the database cannot be written: nothing is promised, nothing promised is lost, and it heals by itself."""

from __future__ import annotations

import resource
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.harness import props
from tests.harness.brokers import StartBroker
from tests.harness.deadline import wait_until
from tests.harness.packets import v5, v311
from tests.persistence.durable import FILE, Cradle, Durable, rows

HOUR = props.session_expiry(3600)
ERROR = "Error: Sqlite persistence: Unable to write to {}: {}"
DURABLE = (
    "persistence_location {dir}\nplugin mosquitto_persist_sqlite.so\nplugin_opt_flush_period 0\nlog_type all\n"
    "max_queued_messages 0\n"
)


class Lock:
    """Somebody else who writes to the database, for as long as it takes."""

    def __init__(self, world: Durable) -> None:
        world.store._db.execute("PRAGMA busy_timeout=0")
        self._db = sqlite3.connect(world.directory / FILE, isolation_level=None)
        self._db.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        self._db.close()


def test_promise_that_cannot_be_kept_is_not_made(cradle: Cradle) -> None:
    world = cradle.start()
    sub = world.client("sub", v5, properties=HOUR)
    sub.send(v5.subscribe(1, "t", qos=1))
    older, newer, idle = world.client("older", v311), world.client("newer", v5), world.client("idle", v5)
    world.log.lines.clear()
    lock = Lock(world)
    assert older.send(v311.publish("t", b"1", qos=1, mid=1)) == b"" and older.closed
    assert newer.send(v5.publish("t", b"2", qos=1, mid=1)) == v5.puback(1, 0x97)
    assert idle.send(b"\xc0\x00") == b"\xd0\x00"
    assert world.log.texts("E") == [ERROR.format(world.directory / FILE, "database is locked")]
    world.advance(3)
    assert len(world.log.texts("E")) == 1
    # Who did not get an acknowledgement asks again. The message it was for is there all the same.
    assert sub.read() == v5.publish("t", b"1", qos=1, mid=1)
    assert sub.send(v5.puback(1)) == b""
    lock.release()
    world.advance(1)
    assert world.log.texts("N")[-1] == f"Sqlite persistence: Writing to {world.directory / FILE} works again."
    assert newer.send(v5.publish("t", b"2", qos=1, mid=2)) == v5.puback(2)
    world = cradle.kill(world)
    answer = world.peer(v5).send(v5.connect("sub", clean=False, properties=HOUR))
    assert answer.endswith(v5.publish("t", b"2", qos=1, mid=2, dup=True))
    assert answer.count(b"\0\1t") == 1


def test_client_of_mqtt_5_hears_why_it_is_ended(cradle: Cradle) -> None:
    world = cradle.start()
    world.client("sub", v5, properties=HOUR).send(v5.subscribe(1, "t", qos=1))
    pub = world.client("pub", v5)
    lock = Lock(world)
    assert pub.send(v5.publish("t", b"1", qos=1, mid=1)) == v5.disconnect(0x97)
    assert pub.closed
    lock.release()


def test_lasting_sessions_and_subscriptions_are_refused_while_it_fails(cradle: Cradle) -> None:
    world = cradle.start()
    sub, old = world.client("sub", v5, properties=HOUR), world.client("old", v311, clean=False)
    sub.send(v5.subscribe(1, "t", qos=1))
    lock = Lock(world)
    world.client("pub", v311).send(v311.publish("t", b"1", qos=1, mid=1))
    assert sub.send(v5.subscribe(2, "u"))[-6:].endswith(v5.suback(2, 0x97))
    assert old.send(v311.subscribe(2, "u")) == v311.suback(2, 0x80)
    assert world.peer(v5).send(v5.connect("new", properties=HOUR))[3] == 0x88
    assert world.peer(v311).send(v311.connect("new", clean=False)) == v311.connack(3)
    passing = world.client("passing", v311)
    assert passing.send(v311.subscribe(1, "u")) == v311.suback(1, 0)
    lock.release()
    world.advance(1)
    world.client("new", v311, clean=False)
    assert sub.send(v5.subscribe(3, "u")) == v5.suback(3, 0)
    assert {(row[0], row[1]) for row in world.rows("subscriptions")} == {("sub", "t"), ("sub", "u")}


def test_what_happened_meanwhile_is_written_in_the_end(cradle: Cradle) -> None:
    world = cradle.start()
    sub = world.client("sub", v5, properties=HOUR)
    sub.send(v5.subscribe(1, "t", qos=1))
    pub = world.client("pub", v311)
    assert pub.send(v311.publish("t", b"1", qos=1, mid=1)) == v311.puback(1)
    lock = Lock(world)
    pub.send(v311.publish("r", b"1", qos=1, mid=2, retain=True))
    pub = world.client("pub", v311)
    pub.send(v311.publish("r", b"2", retain=True))
    sub.read()
    sub.send(v5.puback(1))
    sub.drop()
    world.advance(2)
    assert world.rows("retains") == [] and len(world.rows("client_msgs")) == 1
    lock.release()
    world.advance(1)
    assert world.rows("client_msgs") == []
    assert [row[0] for row in world.rows("retains")] == ["r"]
    assert [row[3] for row in world.rows("base_msgs")] == [b"2"]
    assert world.rows("clients", "session_expiry_time")[0][0] > 0


def test_database_that_is_damaged_while_the_broker_runs(cradle: Cradle) -> None:
    """Memory is the truth: clients get what they are owed, and nothing new is promised."""
    world = cradle.start()
    sub = world.client("sub", v5, properties=HOUR)
    sub.send(v5.subscribe(1, "t", qos=1))
    pub = world.client("pub", v5)
    assert pub.send(v5.publish("t", b"1", qos=1, mid=1)) == v5.puback(1)
    other = sqlite3.connect(world.directory / FILE)
    other.execute("PRAGMA user_version=1")  # so that what is in the store's own memory counts no more
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    path = world.directory / FILE
    with path.open("r+b") as file:
        size = path.stat().st_size
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    assert pub.send(v5.publish("t", b"2", qos=1, mid=2)) == v5.disconnect(0x97)
    assert world.log.texts("E") == [ERROR.format(path, "database disk image is malformed")]
    world.advance(3)
    assert sub.read() == v5.publish("t", b"1", qos=1, mid=1) + v5.publish("t", b"2", qos=1, mid=2)
    pub = world.client("pub", v5)
    assert pub.send(v5.publish("t", b"3", qos=1, mid=3)) == v5.puback(3, 0x97)
    assert len(world.log.texts("E")) == 1


def test_end_while_it_fails_is_told(cradle: Cradle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mosq.persistence.sqlite._LAST_PATIENCE", 50)
    world = cradle.start()
    world.client("sub", v5, properties=HOUR)
    lock = Lock(world)
    world.broker.shut_down()
    assert not world.broker.stop()
    assert "Error: Sqlite persistence: Closing final transaction database is locked" in world.log.texts("E")
    assert world.log.texts("I")[-1] == "Sqlite persistence: Closed DB"
    lock.release()


def test_end_waits_for_who_has_locked_the_database(own_broker: StartBroker) -> None:
    broker = own_broker("persistence_location {dir}\nplugin mosquitto_persist_sqlite.so\nlog_type all\n")
    pub = broker.connected(v5, "pub")
    pub.send(v5.publish("$kept/too", b"x", qos=1, mid=1, retain=True))
    pub.expect(v5.puback(1, 0x10))
    path = broker.directory / FILE
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    broker.signal(signal.SIGTERM)
    broker.wait_for_log("terminating")
    other.close()
    assert broker.wait_exit() == 0
    assert [topic for topic, _ in rows(path, "retains")] == ["$kept/too"]


@pytest.mark.parametrize("limit", [20_000, 60_000, 200_000])
def test_full_disk_is_survived(own_broker: StartBroker, limit: int) -> None:
    """Not a byte more than `limit` in any file, until somebody makes room."""
    broker = own_broker(DURABLE)
    sub = broker.connected(v5, "sub", properties=HOUR)
    sub.subscribe("t", qos=1)
    sub.close()
    pub = broker.connected(v5, "pub")
    resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    acknowledged = []
    for n in range(1, 1000):
        try:
            pub.send(v5.publish("t", b"%0500d" % n, qos=1, mid=n))
            answer = pub.read_packet()
        except ConnectionError:
            break
        if answer != v5.puback(n):
            break
        acknowledged.append(b"%0500d" % n)
    else:
        pytest.fail("there was room for everything")
    assert answer == v5.disconnect(0x97)
    broker.wait_for_log(
        r"^Error: Sqlite persistence: Unable to write to .*mosquitto.sqlite3: (disk I/O|database or disk)"
    )
    pub = broker.connected(v5, "pub")
    pub.send(v5.publish("t", b"refused", qos=1, mid=1))
    pub.expect(v5.puback(1, 0x97))
    resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    broker.wait_for_log(r"^Sqlite persistence: Writing to .* works again\.$")
    pub.send(v5.publish("t", b"last", qos=1, mid=2))
    pub.expect(v5.puback(2))
    broker.kill()
    broker.start()
    sub = broker.connected(v5, "sub", clean=False, properties=HOUR, session_present=True)
    got: list[bytes] = []
    while not got or got[-1] != b"last":
        packet = sub.read_packet()
        got.append(packet[-500:] if len(packet) > 500 else packet[-4:])
        sub.send(v5.puback(len(got)))
    assert [payload for payload in got if payload in acknowledged] == acknowledged
    assert len(got) <= len(acknowledged) + 2
    assert b"refused" not in b"".join(got)


def test_directory_that_takes_no_files(own_broker: StartBroker, tmp_path: Path) -> None:
    broker = own_broker("persistence_location /proc/nowhere\nplugin mosquitto_persist_sqlite.so\n", wait=False)
    assert broker.wait_exit() == 13
    path = "/proc/nowhere/mosquitto.sqlite3"
    line = f"Sqlite persistence: Error opening {path}: unable to open database file"
    wait_until(lambda: line in broker.log.lines, "the line")
    assert "Error: Plugin returned 13 when initialising." in broker.log.lines
