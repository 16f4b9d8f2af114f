"""migrate_to_persist_sqlite: what it makes of a mosquitto.db says the same, and nothing that was there is ever lost."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from mosq.cli.migrate import main
from mosq.cli.replace import ReplaceError
from mosq.persistence.format import (
    NEVER,
    BaseMessage,
    Client,
    ClientMessage,
    Configuration,
    Content,
    Retained,
    Subscription,
    decode,
    encode,
)
from tests.harness.broker import Broker
from tests.harness.packets import PUBLISH, PUBREL, v5, v311

DATA = Path(__file__).parent / "data"
CONTENTS: list[Content] = [
    Configuration(9),
    BaseMessage(
        2**63 + 1, b"007", b"\0\xff", 2, 1, 4795217394, b"0042", b"carol", 7, 31883,
        ((0x01, 1), (0x03, b"ct"), (0x09, b"\0\xff"), (0x26, (b"k", b"v"))),
    ),
    BaseMessage(2, b"t/2"),
    Client(b"one", b"", 9, 0, 0, NEVER),
    ClientMessage(b"one", 2, 3, 2, 1, 0, 0, 7),
    ClientMessage(b"one", 2**63 + 1, 4, 2, 1, 1, 1, 9, 300),
    ClientMessage(b"one", 2, 5, 1),
    ClientMessage(b"one", 2, 6, 1),
    Client(b"two", b"alice", 0, 1883, 4795217394, 3000000000),
    Subscription(b"one", b"t/#", 2, 0x2C, 300),
    Subscription(b"two", b"$share/g/t/+", 1),
    Retained(2**63 + 1),
]  # fmt: skip


def rows(path: Path, statement: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute(statement).fetchall()


def migrate(directory: Path, data: bytes, *arguments: str) -> tuple[int, Path]:
    """The exit code, and where the new database is, if it is."""
    source = directory / "mosquitto.db"
    source.write_bytes(data)
    return main(["--persistence-db", str(source), *arguments]), directory / "mosquitto.sqlite3"


def test_everything_is_converted(tmp_path: Path) -> None:
    code, path = migrate(tmp_path, encode(CONTENTS))
    assert code == 0
    assert sorted(os.listdir(tmp_path)) == ["mosquitto.db", "mosquitto.sqlite3"]
    large = 1 - 2**63
    properties = (
        '[{"identifier":"payload-format-indicator","value":1},{"identifier":"content-type","value":"ct"},'
        '{"identifier":"correlation-data","value":"00FF"},{"identifier":"user-property","name":"k","value":"v"}]'
    )
    assert rows(path, "SELECT * FROM base_msgs ORDER BY rowid DESC") == [
        (2, 0, "t/2", None, "", None, 0, 0, 0, 0, 0, None),
        (large, 4795217394, "007", b"\0\xff", "0042", "carol", 2, 7, 31883, 2, 1, properties),
    ]
    assert rows(path, "SELECT * FROM clients") == [
        ("one", None, 0, 0, 0, 0, 0, 2, 1, -1, 0),
        ("two", "alice", 0, 0, 4795217394, 1883, 0, 2, 1, 3000000000 - 2**32, 0),
    ]
    assert rows(path, "SELECT rowid, * FROM client_msgs ORDER BY rowid") == [
        (1, "one", 1, 2, 0, 0, 3, 2, 1, 7, 0),
        (2, "one", 2, large, 1, 1, 4, 2, 1, 9, 300),
        (3, "one", 3, 2, 0, 1, 5, 1, 0, 11, 0),
        (4, "one", 4, 2, 0, 1, 6, 1, 0, 11, 0),
    ]
    assert rows(path, "SELECT * FROM subscriptions") == [("one", "t/#", 0x2E, 300), ("two", "$share/g/t/+", 1, 0)]
    assert rows(path, "SELECT * FROM retains") == [("007", large)]
    assert rows(path, "SELECT * FROM version_info") == [("database_schema", 1, 1, 0)]


@pytest.mark.parametrize("name", ["v2-handmade.db", "v5-handmade.db", "v6-mixed.db", "v6-live.db"])
def test_samples_of_all_versions(tmp_path: Path, name: str) -> None:
    data = (DATA / name).read_bytes()
    code, path = migrate(tmp_path, data)
    assert code == 0
    contents = [chunk.content for chunk in decode(data)]
    for kind, table in ((BaseMessage, "base_msgs"), (ClientMessage, "client_msgs"), (Client, "clients")):
        wanted = sum(isinstance(one, kind) for one in contents)
        assert rows(path, f"SELECT count(*) FROM {table}") == [(wanted,)], table
    assert rows(path, "SELECT client_id, session_expiry_interval & 0xFFFFFFFF, session_expiry_time FROM clients") == [
        (one.client_id.decode(), one.interval, one.expires) for one in contents if isinstance(one, Client)
    ]


def test_a_broker_goes_on_from_what_was_converted(tmp_path: Path) -> None:
    code, _ = migrate(tmp_path, (DATA / "v6-mixed.db").read_bytes())
    assert code == 0
    config = "persistence_location {dir}\nplugin mosquitto_persist_sqlite.so\n"
    with Broker(tmp_path, config) as broker:
        client = broker.connected(v311, "c311-inflight", clean=False, session_present=True)
        resumed = [client.read_packet() for _ in range(7)]
        kinds = [(packet[0] >> 4, bool(packet[0] & 8), packet[0] >> 1 & 3) for packet in resumed]
        assert kinds == [
            (PUBLISH, True, 1), (PUBLISH, True, 2), (PUBREL, False, 1), (PUBLISH, True, 2),
            *[(PUBLISH, False, 2)] * 3,
        ]  # fmt: skip
        assert resumed[2] == v311.pubrel(3)
        late = broker.connected(v5, "new")
        late.subscribe("never/#", "$foo/bar")
        assert sorted(late.read_packet()[4:].split(b"\0", 1)[0] for _ in range(3)) == [
            b"$foo/bar", b"never/will", b"never/x",
        ]  # fmt: skip
        offline = broker.connected(v5, "c5-off", clean=False, session_present=True, username="bob")
        assert b"\x0b\xac\x02" in offline.read_packet()  # subscription identifier 300
        broker.stop()


def test_what_belongs_to_nothing_is_left_out(tmp_path: Path) -> None:
    contents: list[Content] = [
        BaseMessage(1, b"t"),
        BaseMessage(2, b"u", b"x"),
        Client(b""),
        Client(b"c", b"first", expires=5, interval=60),
        Client(b"c", b"second", expires=6, interval=70),
        ClientMessage(b"c", 99),
        ClientMessage(b"nobody", 1),
        Subscription(b"nobody", b"t"),
        Subscription(b"c", b""),
        Retained(1),  # without a payload
        Retained(99),
        Retained(2),
    ]
    code, path = migrate(tmp_path, encode(contents))
    assert code == 0
    assert rows(path, "SELECT client_id, username, session_expiry_time, session_expiry_interval FROM clients") == [
        ("c", "first", 6, 70)
    ]
    assert rows(path, "SELECT (SELECT count(*) FROM client_msgs), (SELECT count(*) FROM subscriptions)") == [(0, 0)]
    assert rows(path, "SELECT topic FROM retains") == [("u",)]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "offset 0: the end of the file"),
        (b"SQLite format 3\0", "offset 0: b'SQLite"),
        (encode(CONTENTS)[:-1], "a Retained of 8 bytes"),
        (encode([BaseMessage(1, b"t"), BaseMessage(1, b"u")]), "offset 64: what is there already"),
        (encode([BaseMessage(1, b"\xff")]), "offset 23: text that is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, words: str
) -> None:
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_text("persistence true\n")
    code, _ = migrate(tmp_path, data, "--conf", str(configuration), "--persist-sqlite-lib", "x.so")
    assert code == 1
    assert sorted(os.listdir(tmp_path)) == ["mosquitto.conf", "mosquitto.db"]
    assert configuration.read_text() == "persistence true\n"
    error = capsys.readouterr().err
    assert error.startswith(f"Error: Unable to read {tmp_path}/mosquitto.db: offset ")
    assert words in error


def test_a_database_that_is_there_is_not_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mosquitto.sqlite3").write_bytes(b"precious")
    code, path = migrate(tmp_path, encode(CONTENTS))
    assert code == 1
    assert path.read_bytes() == b"precious"
    assert capsys.readouterr().err.startswith("Error during SQLite3 DB creation. Reason: ")


def test_a_leftover_of_an_interrupted_migration_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "mosquitto.sqlite3.new").write_bytes(b"half")
    code, path = migrate(tmp_path, encode(CONTENTS))
    assert code == 0
    assert rows(path, "SELECT count(*) FROM clients") == [(2,)]
    assert sorted(os.listdir(tmp_path)) == ["mosquitto.db", "mosquitto.sqlite3"]


def test_the_configuration_follows(tmp_path: Path) -> None:
    configuration = tmp_path / "broker.conf"
    before = b"listener 1883\r\npersistence true # yes\r\n# persistence true\npersistence false\npersistence true"
    configuration.write_bytes(before)
    configuration.chmod(0o640)
    code, _ = migrate(tmp_path, encode([]), "--conf", str(configuration), "--persist-sqlite-lib", "/usr/lib/p.so")
    assert code == 0
    after = b"listener 1883\r\nplugin /usr/lib/p.so\r\n# persistence true\npersistence false\nplugin /usr/lib/p.so"
    assert configuration.read_bytes() == after
    assert configuration.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "broker.conf.old.persistence").read_bytes() == before


def configured(directory: Path, before: bytes) -> tuple[int, bytes]:
    """The exit code, and what has become of a configuration."""
    configuration = directory / "mosquitto.conf"
    configuration.write_bytes(before)
    code, _ = migrate(directory, encode([]), "--conf", str(configuration), "--persist-sqlite-lib", "p.so")
    return code, configuration.read_bytes()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"persistence 1\n", b"plugin p.so\n"),
        (b"persistence   true\n", b"plugin p.so\n"),
        (b"  persistence true \r\n", b"plugin p.so\r\n"),
        (b"retained_persistence true\nretained_persistence  1", b"plugin p.so\nplugin p.so"),
        (b"persistence 0\npersistence 1\n#persistence 1\n", b"persistence 0\nplugin p.so\n#persistence 1\n"),
        (b"per_listener_settings false\npersistence 1", b"per_listener_settings false\nplugin p.so"),
        (b"per_listener_settings 1\npersistence 1", b"per_listener_settings 1\nglobal_plugin p.so"),
        (
            b"persistence 1\nper_listener_settings true\r\nlistener 1\npersistence 1\n",
            b"per_listener_settings true\r\nglobal_plugin p.so\r\nlistener 1\nglobal_plugin p.so\n",
        ),
    ],
)
def test_every_line_that_switches_persistence_on_becomes_the_plugin(
    tmp_path: Path, before: bytes, after: bytes
) -> None:
    assert configured(tmp_path, before) == (0, after)


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"# persistence true\n",
        b"persistence false\nretained_persistence 0\n",
        b"persistence\ttrue\n",  # a tab is part of the name
        b"persistence yes\n",
        b"persistence_location true\n",
    ],
)
def test_a_configuration_without_persistence_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], before: bytes
) -> None:
    assert configured(tmp_path, before) == (1, before)
    assert sorted(os.listdir(tmp_path)) == ["mosquitto.conf", "mosquitto.db"]
    assert capsys.readouterr().err == (
        "Error: Cannot migrate mosquitto.conf file. Reason: "
        f"nothing in {tmp_path}/mosquitto.conf switches persistence on\n"
    )


def test_a_backup_that_is_there_is_not_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backup = tmp_path / "mosquitto.conf.old.persistence"
    backup.write_bytes(b"precious")
    assert configured(tmp_path, b"persistence true\n") == (1, b"persistence true\n")
    assert backup.read_bytes() == b"precious"
    assert not (tmp_path / "mosquitto.sqlite3").exists()
    assert capsys.readouterr().err == (
        f"Error: Cannot migrate mosquitto.conf file. Reason: {backup} is there already\n"
    )


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_backup_belongs_to_the_same_account(tmp_path: Path, mode: int) -> None:
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_bytes(b"persistence true\n")
    configuration.chmod(mode)
    owner = (os.getuid(), os.getgid()) if os.getuid() else (1234, 1235)
    os.chown(configuration, *owner)
    code, _ = migrate(tmp_path, encode([]), "--conf", str(configuration), "--persist-sqlite-lib", "p.so")
    assert code == 0
    for path in (configuration, tmp_path / "mosquitto.conf.old.persistence"):
        status = path.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (*owner, mode), path


def test_a_configuration_that_cannot_be_replaced_leaves_all_as_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str, content: bytes, fd: int | None) -> None:
        raise ReplaceError("No space left on device")

    monkeypatch.setattr("mosq.cli.migrate.replace", fail)
    assert configured(tmp_path, b"persistence true\n") == (1, b"persistence true\n")
    assert sorted(os.listdir(tmp_path)) == ["mosquitto.conf", "mosquitto.db"]
    assert capsys.readouterr().err == ("Error: Cannot migrate mosquitto.conf file. Reason: No space left on device\n")


@pytest.mark.parametrize(
    "lines", ["per_listener_settings true\npersistence 1", "persistence 1\nper_listener_settings 1"]
)
def test_a_broker_with_settings_per_listener_keeps_what_was_converted(tmp_path: Path, lines: str) -> None:
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_text(f"persistence_location {{dir}}\n{lines}\n")
    library = "mosquitto_persist_sqlite.so"
    data = (DATA / "v6-mixed.db").read_bytes()
    code, _ = migrate(tmp_path, data, "--conf", str(configuration), "--persist-sqlite-lib", library)
    assert code == 0
    with Broker(tmp_path, configuration.read_text() + "listener {port}\nallow_anonymous true\n") as broker:
        broker.connected(v5, "c5-off", clean=False, session_present=True, username="bob")
        broker.stop()


def test_the_configuration_needs_the_plugin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, path = migrate(tmp_path, encode([]), "--conf", "/nowhere.conf")
    assert code == 1
    assert not path.exists()
    assert capsys.readouterr().err == (
        "Error: Cannot migrate mosquitto.conf file. Reason: --persist-sqlite-lib argument is missing\n"
    )


@pytest.mark.parametrize("words", [[], ["--nonsense"], ["--persistence-db"]])
def test_wrong_arguments(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: migrate_to_persist_sqlite")


def test_the_owner_is_that_of_the_old_database(tmp_path: Path) -> None:
    if os.getuid():
        pytest.skip("only root can give files away")
    source = tmp_path / "mosquitto.db"
    source.write_bytes(encode(CONTENTS))
    os.chown(source, 1234, 1235)
    assert main(["--persistence-db", str(source)]) == 0
    status = (tmp_path / "mosquitto.sqlite3").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (1234, 1235, 0o600)


def test_a_missing_database(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--persistence-db", "/nowhere/mosquitto.db"]) == 1
    assert capsys.readouterr().err == "Error: Unable to open /nowhere/mosquitto.db: No such file or directory\n"
