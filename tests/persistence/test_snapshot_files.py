"""The file of the snapshot: how it is opened, what is refused, how it is replaced, and what must not touch it."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosq.persistence import StoreError
from mosq.persistence.snapshot import Snapshot
from mosq.persistence.snapshot_write import SaveError, write
from tests.control.world import World
from tests.harness.broker import Broker, StartError, command_of
from tests.harness.brokers import StartBroker
from tests.harness.deadline import wait_until
from tests.harness.packets import v311

CONFIG = "persistence true\npersistence_location {dir}\nautosave_interval 0\n"
HEADER = b"\x00\xb5\x00mosquitto db" + bytes(4) + b"\0\0\0\6"
CFG = b"\0\0\0\1\0\0\0\x10" + bytes(8) + b"\1\x08" + bytes(6)
RESTORED_NOTHING = [
    "Restored 0 base messages",
    "Restored 0 retained messages",
    "Restored 0 clients",
    "Restored 0 subscriptions",
    "Restored 0 client messages",
]
LAST = "Error: Couldn't open database."


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the broker of `own_broker` will run."""
    path = tmp_path / "data"
    path.mkdir()
    path.chmod(0o777)
    return path


def config(directory: Path) -> str:
    return CONFIG.replace("{dir}", str(directory))


def written(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


def retained(broker: Broker, topic: str = "kept", payload: bytes = b"value") -> None:
    client = broker.connected(v311, "publisher")
    client.publish(topic, payload, qos=1, retain=True)
    client.disconnect()


def assert_retains(broker: Broker, topic: str = "kept", payload: bytes = b"value") -> None:
    client = broker.connected(v311, "reader")
    client.subscribe(topic)
    client.expect(v311.publish(topic, payload, retain=True))
    client.disconnect()


def said(broker: Broker) -> list[str]:
    """The log lines without those about the user the broker runs as, which come before all others."""
    return [line for line in broker.log.lines if not line.endswith(("as user: root.", "root/administrator."))]


def refused(start: StartBroker, text: str, **options: object) -> list[str]:
    """The log lines of a broker that does not start, without those of its start and end."""
    broker = start(text, wait=False, **options)
    assert broker.wait_exit() == 1, broker.log.lines
    assert broker.log.lines[-1].endswith("terminating")
    return said(broker)[:-1]


# Opening


def test_without_a_file_the_broker_starts_empty_and_writes_one(own_broker: StartBroker, directory: Path) -> None:
    broker = own_broker(config(directory))
    assert "Restored" not in "".join(broker.log.lines)
    broker.stop()
    path = directory / "mosquitto.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes()[:23] == HEADER
    assert f"Saving in-memory database to {path}." in broker.log.lines


def test_the_five_lines_come_before_anything_else(own_broker: StartBroker, directory: Path) -> None:
    written(directory / "mosquitto.db", HEADER + CFG)
    broker = own_broker(config(directory) + f"log_dest file {directory}/log\n", wait=False)
    wait_until(lambda: len(said(broker)) >= 5, "the lines")
    assert said(broker)[:5] == RESTORED_NOTHING
    wait_until(lambda: "running" in (directory / "log").read_text(), "the broker")
    assert "Restored" not in (directory / "log").read_text()


def test_what_was_retained_is_there_again(own_broker: StartBroker, directory: Path) -> None:
    broker = own_broker(config(directory))
    retained(broker)
    broker.stop()
    broker.start()
    assert said(broker)[:3] == ["Restored 1 base messages", "Restored 1 retained messages", "Restored 0 clients"]
    assert_retains(broker)


def test_an_empty_file_is_worth_a_warning(own_broker: StartBroker, directory: Path) -> None:
    written(directory / "mosquitto.db", b"")
    broker = own_broker(config(directory))
    assert said(broker)[0] == "Warning: Persistence file is empty."
    assert not broker.logged("Restored")


def test_the_location_is_the_current_directory_and_the_name_may_have_steps(own_broker: StartBroker) -> None:
    broker = own_broker("persistence 1\npersistence_file sub/x.db\n")
    (broker.directory / "sub").mkdir()
    broker.stop()
    assert "Saving in-memory database to sub/x.db." in broker.log.lines
    assert (broker.directory / "sub/x.db").read_bytes().startswith(HEADER)


def test_a_slash_always_comes_between_location_and_name(own_broker: StartBroker, directory: Path) -> None:
    broker = own_broker(f"retained_persistence true\npersistence_location {directory}/\n")
    broker.stop()
    assert f"Saving in-memory database to {directory}//mosquitto.db." in broker.log.lines


def test_the_environment_has_the_last_word_about_the_location(own_broker: StartBroker, directory: Path) -> None:
    environment = {"MOSQUITTO_PERSISTENCE_LOCATION": str(directory)}
    broker = own_broker("persistence true\npersistence_location /nowhere\n", environment=environment)
    broker.signal(signal.SIGHUP)
    broker.wait_for_log("^Reloading config.$")
    broker.stop()
    assert (directory / "mosquitto.db").exists()


def test_loose_permissions_are_told_without_a_timestamp(own_broker: StartBroker, directory: Path) -> None:
    path = written(directory / "mosquitto.db", HEADER, 0o644)
    broker = own_broker(config(directory) + "log_timestamp true\n")
    refusal = "Future versions will refuse to load this file."
    assert said(broker)[:2] == [
        f"Warning: File {path} has world readable permissions. {refusal}",
        f"To fix this, use `chmod 0700 {path}`.",
    ]
    broker.stop()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_foreign_owners_are_told(own_broker: StartBroker, directory: Path) -> None:
    path = written(directory / "mosquitto.db", HEADER)
    os.chown(path, 65534, 65534)
    broker = own_broker(config(directory))
    assert said(broker)[0] == (
        f"Warning: File {path} owner is not root. Future versions will refuse to load this file."
        f"To fix this, use `chown root {path}`."
    )
    assert said(broker)[1] == (
        f"Warning: File {path} group is not root. Future versions will refuse to load this file."
    )


@pytest.mark.skipif(os.getuid() != 0, reason="needs to drop privileges")
def test_a_file_that_cannot_be_read_is_not_replaced(own_broker: StartBroker, directory: Path) -> None:
    path = written(directory / "mosquitto.db", HEADER + CFG)
    lines = refused(own_broker, config(directory), environment={"PUID": "65534", "PGID": "65534"})
    assert lines[-2:] == [f"Error: Unable to open persistence file {path}: Permission denied.", LAST]
    assert path.read_bytes() == HEADER + CFG


def test_a_symbolic_link_is_followed_only_if_the_environment_permits(own_broker: StartBroker, directory: Path) -> None:
    target = written(directory / "target", HEADER + CFG)
    link = directory / "mosquitto.db"
    link.symlink_to(target)
    lines = refused(own_broker, config(directory))
    assert lines == [f"Error: Unable to open persistence file {link}: Too many levels of symbolic links.", LAST]
    assert link.is_symlink()
    broker = own_broker(config(directory), environment={"MOSQUITTO_UNSAFE_ALLOW_SYMLINKS": "0"})
    assert said(broker)[:5] == RESTORED_NOTHING
    retained(broker)
    broker.stop()
    assert not link.is_symlink()
    assert target.read_bytes() == HEADER + CFG


def test_a_directory_in_its_place_stays(own_broker: StartBroker, directory: Path) -> None:
    path = directory / "mosquitto.db"
    path.mkdir()
    broker = own_broker(config(directory))
    assert said(broker)[0] == f"Error: {path} is not a file."
    broker.stop()
    assert (
        f"Error saving in-memory database, unable to replace {path} by tmp file  {path}.new, error Is a directory"
        in broker.log.lines
    )
    assert os.listdir(directory) == ["mosquitto.db"]


def test_a_fifo_does_not_stop_the_start(own_broker: StartBroker, directory: Path) -> None:
    os.mkfifo(directory / "mosquitto.db")
    broker = own_broker(config(directory))
    assert said(broker)[0].endswith("is not a file.")


# Files that are refused


def chunk(kind: int, body: bytes) -> bytes:
    return kind.to_bytes(4, "big") + len(body).to_bytes(4, "big") + body


BASE = (1).to_bytes(8, "little") + bytes(8) + b"\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\0" + b"thi"
CORRUPT = {
    "magic": (b"not a database at all, but long enough", 0, "this is no persistence file"),
    "cut magic": (HEADER[:9], 0, "in the header of the file: the file ends after 9 of 23 bytes"),
    "version": (HEADER[:19] + b"\0\0\0\7" + CFG, 19, "format version 7, where 6 is the newest one known"),
    "version 1": (HEADER[:19] + b"\0\0\0\1" + CFG, 19, "format version 1, where 6"),
    "id size": (HEADER + CFG[:17] + b"\4" + CFG[18:], 40, "store ids of 4 bytes instead of 8"),
    "cut header": (HEADER + CFG + chunk(2, BASE)[:5], 47, "in the header of a chunk: the file ends after 5 of 8 bytes"),
    "cut": (HEADER + CFG + chunk(2, BASE)[:-1], 55, "in a BASE_MSG chunk: the file ends after 34 of 35 bytes"),
    "cut unknown": (HEADER + CFG + chunk(0, b"new")[:-1], 57, "in a chunk of type 0: the file ends after 0 of 1 bytes"),
    "payload": (HEADER + CFG + chunk(2, BASE[:16] + b"\x7f" + BASE[17:]), 71, "a payload of 2130706434 bytes"),
    "topic": (HEADER + CFG + chunk(2, BASE[:26] + b"\0\0" + BASE[28:32] + b"hi"), 55, "no valid topic"),
    "twice": (HEADER + CFG + chunk(2, BASE) + chunk(2, BASE), 98, "store id 1 is zero or was there before"),
    "properties": (HEADER + CFG + chunk(2, BASE + b"\2\x23\0"), 90, "property 0x23 may not be there, or not so"),
    "parts": (HEADER + CFG + chunk(2, BASE[:-1]), 51, "length 34, where 35 bytes belong"),
    "share": (
        HEADER + CFG + chunk(6, bytes(8) + b"\xff\xff\xff\xff\0\0\0\1" + bytes(8) + b"c")
        + chunk(5, b"\0\0\0\0\0\1\0\x07\0\0\0\0c$share/"),
        80,
        "a shared subscription without group or topic filter",
    ),
    "utf8": (
        HEADER + CFG + chunk(6, bytes(8) + b"\xff\xff\xff\xff\0\0\0\1" + bytes(8) + b"\xff"),
        47,
        "a client id that is not UTF-8",
    ),
}  # fmt: skip
FIRST_LINES = {
    "magic": ["Error: Unable to restore persistent database. Unrecognised file format.", *RESTORED_NOTHING],
    "cut unknown": ['Warning: Unsupported chunk "0" in persistent database file. Ignoring.'],
    "version": ["Error: Unsupported persistent database format version 7 (need version 6)."],
    "version 1": ["Error: Unsupported persistent database format version 1 (need version 6)."],
    "id size": ["Error: Incompatible database configuration (dbid size is 4 bytes, expected 8)"],
}


@pytest.mark.parametrize("case", CORRUPT)
def test_a_corrupt_file_is_refused_and_left_alone(own_broker: StartBroker, directory: Path, case: str) -> None:
    data, offset, found = CORRUPT[case]
    path = written(directory / "mosquitto.db", data)
    lines = refused(own_broker, config(directory))
    assert lines[:-2] == FIRST_LINES.get(case, [])
    assert lines[-2].startswith(f"Error: Persistence file {path} refused at offset {offset}, in ")
    assert found in lines[-2]
    assert lines[-1] == LAST
    assert path.read_bytes() == data
    assert os.listdir(directory) == ["mosquitto.db"]


def test_a_file_that_needs_too_much_memory_is_refused(own_broker: StartBroker, directory: Path) -> None:
    big = (1).to_bytes(8, "little") + bytes(8) + b"\0\x0f\0\0" + BASE[20:32] + b"t" + bytes(0xF0000)
    path = written(directory / "mosquitto.db", HEADER + CFG + chunk(2, big))
    lines = refused(own_broker, config(directory) + "memory_limit 500000\n")
    assert lines == ["Error: Out of memory.", LAST]
    assert path.stat().st_size > 0xF0000


def test_what_can_be_skipped_is_told(own_broker: StartBroker, directory: Path) -> None:
    client = bytes(8) + b"\xff\xff\xff\xff\0\0\0\1" + bytes(8) + b"c"
    nobody = bytes(8) + b"\xff\xff\xff\xff\0\0\0\0" + bytes(8)
    garbage = bytes(8) + b"\xff\xff\xff\xff\0\0\0\1\0\0\0\4" + bytes(4) + b"dbob\0"
    bad_filter = b"\0\0\0\0\0\1\0\5\1\0\0\0ca/#/b"
    parts = [
        chunk(99, b"future"),
        chunk(6, client),
        chunk(6, nobody),
        chunk(6, garbage),
        chunk(3, bytes(13) + b"\x0b\0\1"),
        chunk(5, b"\0\0\0\0\0\0\0\1\0\0\0\0f"),
        chunk(5, b"\0\0\0\0\0\1\0\0\0\0\0\0c"),
        chunk(5, bad_filter),
        chunk(4, bytes(7) + b"\1"),
    ]
    path = written(directory / "mosquitto.db", HEADER + CFG + b"".join(parts))
    broker = own_broker(config(directory))
    assert said(broker)[:13] == [
        'Warning: Unsupported chunk "99" in persistent database file. Ignoring.',
        "Warning: Empty client entry found in persistence database, it may be corrupt.",
        "Warning: Persistence found an invalid user name of client d, ignoring it.",
        "Warning: Persistence file contains client message with no matching client. File may be corrupt.",
        "Warning: Persistence found a subscription with no client id, ignoring.",
        "Warning: Persistence found a subscription with no topic filter, ignoring.",
        "Warning: Persistence found a subscription to 'a/#/b', no topic filter, ignoring.",
        f"Warning: Persistence file {path}: 1 entries of messages that are not in it were skipped.",
        "Restored 0 base messages",
        "Restored 0 retained messages",
        "Restored 2 clients",
        "Restored 3 subscriptions",
        "Restored 1 client messages",
    ]


def in_flight(client_id: bytes, store_id: int, mid: int = 1) -> bytes:
    """A message of QoS 1 that waits for its PUBACK."""
    fixed = store_id.to_bytes(8, "little") + mid.to_bytes(2, "big") + len(client_id).to_bytes(2, "big")
    return chunk(3, fixed + b"\1\3\0\1" + client_id)


CLIENT = chunk(6, bytes(8) + b"\xff\xff\xff\xff\0\0\0\1" + bytes(8) + b"c")
SUB_OF_X = chunk(5, b"\0\0\0\0\0\1\0\1\1\0\0\0xt")
LOST = chunk(4, (9).to_bytes(8, "little"))
EXPIRED = BASE[:8] + (1).to_bytes(8, "little") + BASE[16:]
NO_CLIENT = "Warning: Persistence file {path}: %d entries of clients that are not in it were skipped."
NO_MESSAGE = "Warning: Persistence file {path}: %d entries of messages that are not in it were skipped."
ORPHANS = {
    # name: (chunks, warnings, the five counts)
    "none": ([chunk(2, BASE), CLIENT, in_flight(b"c", 1)], [], (1, 0, 1, 0, 1)),
    "clients": (
        [chunk(2, BASE), in_flight(b"x", 1), in_flight(b"x", 1, 2), SUB_OF_X],
        [NO_CLIENT % 3],
        (1, 0, 0, 1, 2),
    ),
    "subscriptions": ([SUB_OF_X], [NO_CLIENT % 1], (0, 0, 0, 1, 0)),
    "messages": ([CLIENT, in_flight(b"c", 1), LOST], [NO_MESSAGE % 2], (0, 0, 1, 0, 1)),
    "both": ([CLIENT, in_flight(b"c", 1), in_flight(b"x", 1)], [NO_CLIENT % 1, NO_MESSAGE % 1], (0, 0, 1, 0, 2)),
    "expired": ([chunk(2, EXPIRED), CLIENT, in_flight(b"c", 1), LOST], [], (0, 0, 1, 0, 1)),
    "expired, clients": ([chunk(2, EXPIRED), SUB_OF_X, LOST], [NO_CLIENT % 1], (0, 0, 0, 1, 0)),
}


@pytest.mark.parametrize("case", ORPHANS)
def test_entries_that_refer_to_nothing_are_skipped_and_told(
    own_broker: StartBroker, directory: Path, case: str
) -> None:
    chunks, warnings, counts = ORPHANS[case]
    path = written(directory / "mosquitto.db", HEADER + CFG + b"".join(chunks))
    broker = own_broker(config(directory))
    restored = [line.replace("0", str(n)) for line, n in zip(RESTORED_NOTHING, counts, strict=True)]
    expected = [line.format(path=path) for line in warnings] + restored
    assert said(broker)[: len(expected)] == expected


def test_in_the_background_the_log_has_the_reason(own_broker: StartBroker, directory: Path) -> None:
    """Nobody reads stderr there."""
    written(directory / "mosquitto.db", b"nonsense")
    log = directory / "log"
    broker = own_broker(config(directory) + f"log_dest file {log}\n", arguments=("-d",), wait=False)
    assert broker.wait_exit() == 0
    wait_until(lambda: log.exists() and "terminating" in log.read_text(), "the end of the daemon")
    assert LAST in log.read_text()


# Saving


def limited_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_a_disk_that_is_full_leaves_the_old_file(own_broker: StartBroker, directory: Path) -> None:
    broker = own_broker(config(directory) + "log_dest none\n", wait=False, preexec=limited_files)
    wait_until(lambda: broker.running and _answers(broker), "the broker")
    path = directory / "mosquitto.db"
    retained(broker, payload=b"small")
    broker.signal(signal.SIGUSR1)
    wait_until(path.exists, "the file")
    before = path.read_bytes()
    retained(broker, payload=bytes(30_000))
    broker.signal(signal.SIGUSR1)
    retained(broker, topic="other", payload=bytes(30_000))
    broker.stop()
    assert path.read_bytes() == before
    assert os.listdir(directory) == ["mosquitto.db"]


def _answers(broker: Broker) -> bool:
    try:
        broker.connected(v311, "x").disconnect()
    except (AssertionError, OSError):
        return False
    return True


WRITING = ["Error: File too large.", "Error during saving in-memory database {path}: File too large."]
FLUSHING = ["Error saving in-memory database, unable to flush {path}.new, error File too large"]


@pytest.mark.parametrize(("size", "lines"), [(30_000, FLUSHING), (600_000, WRITING)])
def test_a_full_disk_is_told_in_the_background_and_at_the_end(
    own_broker: StartBroker, directory: Path, size: int, lines: list[str]
) -> None:
    """A small file is written in one piece, at the end; a large one meets the limit on the way."""
    broker = own_broker(config(directory), preexec=limited_files)
    path = directory / "mosquitto.db"
    expected = [f"Saving in-memory database to {path}.", *(line.format(path=path) for line in lines)]
    retained(broker, payload=bytes(size))
    broker.signal(signal.SIGUSR1)
    broker.wait_for_log("^Error.* saving in-memory")
    assert broker.log.lines[-len(expected) :] == expected
    assert os.listdir(directory) == []
    assert_retains(broker, payload=bytes(size))
    broker.stop()
    assert broker.log.lines[-len(expected) :] == expected
    assert os.listdir(directory) == []


@pytest.mark.parametrize(
    ("step", "line"),
    [
        ("fsync", "Error saving in-memory database, unable to sync {path}.new to disk, error Input/output error"),
        ("close", "Error saving in-memory database, unable to close {path}.new on disk, error Input/output error"),
    ],
)
def test_a_disk_that_fails_late_leaves_the_old_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str, line: str
) -> None:
    path = str(written(tmp_path / "mosquitto.db", b"old"))
    real = getattr(os, step)

    def fail(fd: int) -> None:
        if step == "close":
            real(fd)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(f"mosq.persistence.snapshot_write.os.{step}", fail)
    with pytest.raises(SaveError) as caught:
        write(path, lambda fd: None)
    assert caught.value.lines(path) == [line.format(path=path)]
    assert Path(path).read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["mosquitto.db"]


def test_a_directory_that_cannot_be_synced_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path, real = str(tmp_path / "mosquitto.db"), os.fsync

    def fail(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(fd)

    monkeypatch.setattr("mosq.persistence.snapshot_write.os.fsync", fail)
    with pytest.raises(SaveError) as caught:
        write(path, lambda fd: None)
    line = f"Error saving in-memory database, unable to sync the directory of {path} to disk, error Input/output error"
    assert caught.value.lines(path) == [line]
    assert Path(path).exists()


def test_a_missing_directory_is_told_and_not_made(own_broker: StartBroker, tmp_path: Path) -> None:
    broker = own_broker(config(tmp_path / "missing"))
    broker.stop()
    path = tmp_path / "missing/mosquitto.db"
    assert broker.log.lines[-1] == (
        f"Error saving in-memory database, unable to open {path}.new for writing, error No such file or directory"
    )
    assert not path.parent.exists()


def test_a_stale_temporary_file_is_removed_and_not_written_to(own_broker: StartBroker, directory: Path) -> None:
    path = directory / "mosquitto.db"
    broker = own_broker(config(directory))
    treasure = written(directory / "treasure", b"gold")
    (directory / "mosquitto.db.new").hardlink_to(treasure)
    broker.stop()
    assert treasure.read_bytes() == b"gold"
    assert path.exists() and sorted(os.listdir(directory)) == ["mosquitto.db", "treasure"]


def test_a_temporary_file_that_cannot_be_removed_is_told(own_broker: StartBroker, directory: Path) -> None:
    broker = own_broker(config(directory))
    (directory / "mosquitto.db.new").mkdir()
    broker.stop()
    assert broker.log.lines[-1] == (
        f"Error saving in-memory database, unable to remove stale tmp file {directory}/mosquitto.db.new, "
        "error Is a directory"
    )


def test_the_umask_does_not_count(own_broker: StartBroker, directory: Path) -> None:
    broker = own_broker(config(directory), environment={"UMASK_SET": "0777"})
    broker.stop()
    assert stat.S_IMODE((directory / "mosquitto.db").stat().st_mode) == 0o600


# Ends that must not touch the file


@pytest.fixture
def kept(directory: Path) -> tuple[Path, bytes]:
    """A file, and its contents, with something in it."""
    data = HEADER + CFG + chunk(2, BASE) + chunk(4, (1).to_bytes(8, "little"))
    return written(directory / "mosquitto.db", data), data


def run(directory: Path, text: str, *arguments: str) -> int:
    file = directory.parent / "mosquitto.conf"
    file.write_text(f"user root\n{config(directory)}{text}\n")
    command = [*command_of("mosq"), "-c", str(file), *arguments]
    return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode


@pytest.mark.parametrize("arguments", [("--test-config",), ("--help",), ("--version",), ("--nonsense",), ("-p", "x")])
def test_command_lines_that_start_nothing(kept: tuple[Path, bytes], directory: Path, arguments: tuple[str]) -> None:
    run(directory, "listener 0 127.0.0.1", *arguments)
    assert kept[0].read_bytes() == kept[1]


@pytest.mark.parametrize(
    "text",
    [
        "listener 1 127.0.0.1\ncertfile x",
        "pid_file /nowhere/pid\nlistener {port} 127.0.0.1",
        "password_file /nowhere/passwords",
        "listener {port} 127.0.0.1\nlistener {port} 127.0.0.1",
        "user nobody_of_that_name",
    ],
)
def test_starts_that_fail(kept: tuple[Path, bytes], own_broker: StartBroker, directory: Path, text: str) -> None:
    with pytest.raises(StartError):
        own_broker(config(directory) + text)
    assert kept[0].read_bytes() == kept[1]


# Hostile files


def test_any_bytes_are_restored_or_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Damaged files raise StoreError and nothing else, whatever is damaged."""
    samples = [path.read_bytes() for path in sorted((Path(__file__).parent / "data").glob("*.db"))]
    path = written(tmp_path / "mosquitto.db", b"")

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(st.sampled_from(samples), st.data())
    def restore(sample: bytes, data: st.DataObject) -> None:
        start = data.draw(st.integers(0, len(sample) - 1))
        patch = data.draw(st.one_of(st.binary(max_size=8), st.just(sample[start // 2 : start // 2 + 100])))
        end = start + data.draw(st.sampled_from([0, len(patch), 1, len(sample)]))
        path.write_bytes(sample[:start] + patch + sample[end:])
        world = World(monkeypatch, {}, {"persistence": True, "persistence_location": str(tmp_path)})
        try:
            world.broker.attach(Snapshot(world.broker))
        except StoreError as error:
            assert error.code == 1
            assert error.lines[-1] == ("E", LAST)
            world.broker.core.close()
        else:
            world.start()
            world.turn()
            world.broker.shut_down()
        world.close()

    restore()
