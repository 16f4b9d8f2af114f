"""How a database is opened: options, location, schema, other versions, and files that are refused and left alone."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mosq.config import Config, PluginConfig
from mosq.config.features import built_in, unavailable
from mosq.config.reader import apply_environment
from mosq.persistence import StoreError, sqlite_schema
from mosq.persistence.sqlite_options import Options, read
from tests.harness import props
from tests.harness.brokers import StartBroker
from tests.harness.packets import v5, v311
from tests.persistence.durable import FILE, Cradle, rows

SAMPLE = Path(__file__).parent / "data" / "sqlite-mixed.sqlite3"

ORIGINAL_TABLES = """
CREATE TABLE base_msgs (store_id INT64 PRIMARY KEY,expiry_time INT64,topic STRING NOT NULL,payload BLOB,
  source_id STRING,source_username STRING,payloadlen INTEGER,source_mid INTEGER,source_port INTEGER,qos INTEGER,
  retain INTEGER,properties STRING);
CREATE TABLE retains (topic STRING PRIMARY KEY,store_id INT64);
CREATE TABLE clients (client_id TEXT PRIMARY KEY,username TEXT,connection_time INT64,will_delay_time INT64,
  session_expiry_time INT64,listener_port INT,max_packet_size INT,max_qos INT,retain_available INT,
  session_expiry_interval INT,will_delay_interval INT);
CREATE TABLE subscriptions (client_id TEXT NOT NULL,topic TEXT NOT NULL,subscription_options INTEGER,
  subscription_identifier INTEGER,PRIMARY KEY (client_id, topic));
CREATE TABLE client_msgs (client_id TEXT NOT NULL,store_id INT64,dup INTEGER,direction INTEGER,mid INTEGER,qos INTEGER,
  retain INTEGER,state INTEGER);
CREATE TABLE version_info (component TEXT NOT NULL,major INTEGER NOT NULL,minor INTEGER NOT NULL,
  patch INTEGER NOT NULL);
"""
"""Schema 1.0 with the fewest columns there ever were."""


def made(path: Path, script: str) -> Path:
    db = sqlite3.connect(path)
    db.executescript(script)
    db.close()
    return path


# ---- the line in the configuration


@pytest.mark.parametrize(
    "line",
    [
        "plugin /usr/lib/mosquitto_persist_sqlite.so",
        "plugin mosquitto_persist_sqlite",
        "global_plugin /opt/x/mosquitto_persist_sqlite.py",
        "auth_plugin /usr/lib/x86_64-linux-gnu/mosquitto_persist_sqlite.so",
    ],
)
def test_line_is_known_by_its_file_name(own_broker: StartBroker, line: str) -> None:
    broker = own_broker(f"persistence_location {{dir}}\n{line}\n")
    assert broker.logged(r"^sqlite: Restored 0 will messages \(0 failed\)$")
    broker.stop()
    assert broker.log.lines[-1] == "Sqlite persistence: Closed DB"
    assert [path.name for path in broker.directory.glob("*sqlite3*")] == [FILE]


def test_line_of_one_listener_keeps_nothing(own_broker: StartBroker) -> None:
    broker = own_broker(
        "persistence_location {dir}\nper_listener_settings true\nlistener {port} 127.0.0.1\nallow_anonymous true\n"
        "plugin mosquitto_persist_sqlite.so\n"
    )
    assert not list(broker.directory.glob("*sqlite3*"))
    assert broker.logged("^Warning: .*mosquitto_persist_sqlite")


def test_other_plugins_are_still_missing() -> None:
    config = Config()
    for path in ("/x/mosquitto_persist_sqlite2.so", "/mosquitto_persist_sqlite.so/other.so"):
        config.plugins = [PluginConfig(option="plugin", path=path, everywhere=True)]
        config.plugins[0].given = {"plugin": "f:1"}
        assert built_in(config, "mosquitto_persist_sqlite") is None
        assert unavailable(config) == [("plugin", "f:1")]


def test_both_stores_are_one_too_many(own_broker: StartBroker) -> None:
    broker = own_broker(
        "persistence true\npersistence_location {dir}\nplugin mosquitto_persist_sqlite.so\n", wait=False
    )
    assert broker.wait_exit() == 3
    lines = broker.log.lines
    at = lines.index("Error: `persistence true` cannot be used with a persistence plugin.")
    assert lines[at + 1] == "Sqlite persistence: Unable to register plugin (3)"
    assert lines[at + 2] == "Sqlite persistence: Closed DB"
    assert lines[at + 3] == "Error: Plugin returned 3 when initialising."
    assert not list(broker.directory.glob("mosquitto.*[b3]"))


# ---- options


def options(location: str | None = "/tmp", environment: dict[str, str] | None = None, **values: str) -> Options | None:
    plugin = PluginConfig(option="plugin", path="x", everywhere=True)
    plugin.options = list(values.items())
    config = Config(persistence_location=location)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MOSQUITTO_PERSISTENCE_LOCATION", raising=False)
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        apply_environment(config)  # the reader's, which has done so for every configuration that it loads
    return read(config, plugin)


def test_options_and_their_defaults() -> None:
    assert options() == Options(f"/tmp/{FILE}", 1, 5, 4096)
    assert options(sync="FULL", Flush_Period="0", PAGE_SIZE="512") == Options(f"/tmp/{FILE}", 2, 0, 512)
    assert [options(sync=word).sync for word in ("extra", "off")] == [3, 0]  # type: ignore[union-attr]
    assert options(flush_period="x").flush_period == 0  # type: ignore[union-attr]
    assert options(flush_period=" 12s").flush_period == 12  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"sync": "always"}, "Sqlite persistence: Invalid plugin_opt_sync value 'always'."),
        ({"flush_period": "-1"}, "Error: Invalid 'flush_period' value -1 in configuration."),
        ({"page_size": "x"}, "Error: Invalid 'page_size' value 0 in configuration."),
        ({"page_size": "-99999999999999999999"}, "Error: Invalid 'page_size' value -2147483648 in configuration."),
    ],
)
def test_bad_options(values: dict[str, str], line: str) -> None:
    with pytest.raises(StoreError) as raised:
        options(**values)
    assert raised.value.lines == [("E", line), ("E", "Error: Plugin returned 3 when initialising.")]
    assert raised.value.code == 3


def test_location_goes_before_db_file(tmp_path: Path) -> None:
    def path(location: str | None, environment: dict[str, str], **values: str) -> str | None:
        found = options(location, environment, **values)
        return None if found is None else found.path

    assert path(None, {}) is None
    assert path(None, {}, db_file="/x/y") == "/x/y"
    assert path("/x", {}, db_file="/y") == f"/x/{FILE}"
    assert path("/x", {"MOSQUITTO_PERSISTENCE_LOCATION": "/z"}) == f"/z/{FILE}"
    before = os.umask(0o027)  # other tests leave theirs
    try:
        assert path(str(tmp_path / "new"), {}) == f"{tmp_path}/new/{FILE}"
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o750


def test_nothing_is_kept_without_a_place(own_broker: StartBroker) -> None:
    broker = own_broker("plugin mosquitto_persist_sqlite.so\n")
    assert broker.logged(
        "^Warning: Sqlite persistence plugin has no plugin_opt_db_file defined. The plugin will not be activated.$"
    )


def test_pragmas(cradle: Cradle) -> None:
    world = cradle.start(plugin={"sync": "full", "page_size": "1024"})
    for name, value in (("page_size", 1024), ("journal_mode", "wal"), ("foreign_keys", 1), ("synchronous", 2)):
        assert world.store._db.execute(f"PRAGMA {name}").fetchone() == (value,)


# ---- schema


def schema(path: Path) -> dict[str, Any]:
    db = sqlite3.connect(path)
    tables = {name: sqlite_schema.columns_of(db, name) for name in sqlite_schema.TABLES}
    version = db.execute("SELECT * FROM version_info").fetchall()
    indexes = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='index' AND sql NOT NULL")]
    db.close()
    return {"tables": tables, "version": version, "indexes": sorted(indexes)}


def test_new_file_has_the_known_schema_with_text_where_text_is(cradle: Cradle) -> None:
    world = cradle.start()
    new, sample = schema(world.directory / FILE), schema(SAMPLE)
    for columns in sample["tables"].values():
        columns.update((name, "TEXT") for name, kind in columns.items() if kind == "STRING")
    assert new == sample


@pytest.mark.parametrize("version", [None, (1, 0, 0), (1, 0, 7)])
def test_older_schema_is_brought_up_to_date(
    cradle: Cradle, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int] | None
) -> None:
    directory = cradle.new_directory()
    row = (
        ""
        if version is None
        else f"INSERT INTO version_info VALUES ('database_schema',{version[0]},{version[1]},{version[2]});"
    )
    made(
        directory / FILE,
        ORIGINAL_TABLES + row + "INSERT INTO clients VALUES ('a',NULL,0,0,0,0,0,2,1,-1,0);"
        "INSERT INTO base_msgs VALUES (5,0,'t','x','p',NULL,1,1,0,1,0,NULL);"
        "INSERT INTO client_msgs VALUES ('a',5,0,1,9,1,0,11);",
    )
    world = cradle.start(directory)
    assert schema(directory / FILE) == schema(cradle.start().directory / FILE)
    answer = world.peer(v311).send(v311.connect("a", clean=False))
    assert answer == v311.connack(session_present=True) + v311.publish("t", b"x", qos=1, mid=9)
    world.peers[-1].send(v311.puback(9))
    assert world.rows("client_msgs") == world.rows("base_msgs") == []


def test_patch_level_is_nobodys_affair(cradle: Cradle) -> None:
    directory = cradle.new_directory()
    made(directory / FILE, ORIGINAL_TABLES + "INSERT INTO version_info VALUES ('database_schema',1,1,9);")
    cradle.start(directory)
    assert rows(directory / FILE, "version_info") == [("database_schema", 1, 1, 9)]


# ---- refused


def refused(cradle: Cradle, path: Path) -> tuple[list[tuple[str, str]], int]:
    """The lines and code of the refusal; the file must be as it was, and alone."""
    before = path.read_bytes()
    with pytest.raises(StoreError) as raised:
        cradle.start(path.parent)
    assert path.read_bytes() == before
    return raised.value.lines, raised.value.code


@pytest.mark.parametrize("version", ["1,2,0", "2,0,0", "0,9,9", "'x',1,0"])
def test_newer_schema_is_refused(cradle: Cradle, version: str) -> None:
    path = made(
        cradle.new_directory() / FILE,
        "CREATE TABLE version_info (component TEXT,major INTEGER,minor INTEGER,patch INTEGER);"
        f"INSERT INTO version_info VALUES ('database_schema',{version});",
    )
    lines, code = refused(cradle, path)
    shown = version.replace("'x'", "-1").replace(",", ".")
    assert lines == [
        ("E", f"Sqlite persistence: Unknown database_schema version {shown}"),
        ("E", "Error: Plugin returned 3 when initialising."),
        ("I", "Sqlite persistence: Closed DB"),
    ]
    assert code == 3
    assert [p.name for p in path.parent.iterdir()] == [FILE]


def test_file_that_is_no_database_is_refused(cradle: Cradle) -> None:
    path = cradle.new_directory() / FILE
    path.write_bytes(b"something else " * 100)
    lines, code = refused(cradle, path)
    assert lines[0] == ("E", "Sqlite persistence: Error opening database: file is not a database")
    assert code == 13


def _cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _overwrite(path: Path) -> None:
    """The pages of the messages."""
    data = bytearray(path.read_bytes())
    at = data.index(b"v5 qos2 props") // 512 * 512
    data[at : at + 512] = b"\xa5" * 512
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [_cut, _overwrite])
def test_corrupt_database_is_refused_and_left_alone(cradle: Cradle, damage: Callable[[Path], None]) -> None:
    path = cradle.new_directory() / FILE
    shutil.copy(SAMPLE, path)
    damage(path)
    lines, code = refused(cradle, path)
    assert ("E", "Error: Plugin returned 13 when initialising.") in lines
    assert "database disk image is malformed" in lines[0][1]
    assert code == 13


def test_database_that_somebody_else_writes_to_is_refused(cradle: Cradle) -> None:
    world = cradle.start()
    cradle.stop(world)
    db = sqlite3.connect(world.directory / FILE, isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError) as raised:
        cradle.start(world.directory)
    assert raised.value.code == 13
    assert raised.value.lines[0] == ("E", "Sqlite persistence: Error opening database: database is locked")
    db.close()
    cradle.start(world.directory)


def test_tables_that_cannot_be_made(cradle: Cradle) -> None:
    directory = cradle.new_directory()
    made(directory / FILE, "CREATE VIEW wills AS SELECT 1;")
    with pytest.raises(StoreError) as raised:
        cradle.start(directory)
    assert raised.value.code == 1
    assert raised.value.lines[0][1].startswith("Sqlite persistence: Error creating tables: SQL logic error ")


def test_second_broker_is_refused(cradle: Cradle) -> None:
    world = cradle.start()
    world.client("a", v5, properties=props.session_expiry(100))
    with pytest.raises(StoreError) as raised:
        cradle.start(world.directory)
    assert raised.value.lines[0] == (
        "E",
        "Sqlite persistence: Error opening database: database is locked by another broker",
    )
    assert raised.value.code == 13
    world.client("b", v5, properties=props.session_expiry(100))
    assert len(world.rows("clients")) == 2


def test_refusal_as_seen_from_outside(own_broker: StartBroker, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"x" * 5000)
    broker = own_broker(f"persistence_location {tmp_path}\nplugin mosquitto_persist_sqlite.so\n", wait=False)
    assert broker.wait_exit() == 13
    at = broker.log.lines.index("Sqlite persistence: Error opening database: file is not a database")
    assert broker.log.lines[at + 1 : at + 3] == [
        "Error: Plugin returned 13 when initialising.",
        "Sqlite persistence: Closed DB",
    ]


# ---- what the original wrote


def test_database_of_the_original_is_taken_over(cradle: Cradle) -> None:
    directory = cradle.new_directory()
    shutil.copy(SAMPLE, directory / FILE)
    world = cradle.start(directory, queue_qos0_messages=True)
    assert [text for text in world.log.texts("I") if text.startswith("sqlite:")] == [
        "sqlite: Restored 32 base messages (0 failed)",
        "sqlite: Restored 7 retained messages (0 failed)",
        "sqlite: Restored 9 clients (0 failed)",
        "sqlite: Restored 14 subscriptions (0 failed)",
        "sqlite: Restored 39 client messages (0 failed)",
        "sqlite: Restored 1 will messages (0 failed)",
    ]
    world.turn()
    answer = world.peer(v311).send(v311.connect("c311-inflight", clean=False))
    order = [(packet[0] >> 4, mid) for packet, mid in _packets(answer)]
    assert order[:5] == [(2, 0), (3, 1), (3, 2), (6, 3), (3, 4)]
    assert {row[6] for row in world.rows("client_msgs", "*") if row[0] == "c311-inflight"} == {1, 2}
    assert world.rows("wills") == []
    # The one that was published now, once and for all.
    assert b"will payload" in [row[0] for row in world.rows("base_msgs", "payload")]


def _packets(data: bytes) -> list[tuple[bytes, int]]:
    """The packets of a version 3.1.1 conversation with their packet identifiers (0: none); all are short."""
    found = []
    while data:
        packet, data = data[: 2 + data[1]], data[2 + data[1] :]
        at = 4 + int.from_bytes(packet[2:4], "big") if packet[0] >> 4 == 3 else 2
        found.append((packet, 0 if packet[0] >> 4 == 2 else int.from_bytes(packet[at : at + 2], "big")))
    return found


def test_numbers_in_text_columns_of_the_original_are_text_again(cradle: Cradle) -> None:
    """What it had made a number of is lost; what comes after is not."""
    directory = cradle.new_directory()
    made(
        directory / FILE,
        ORIGINAL_TABLES + "INSERT INTO base_msgs VALUES (5,0,'007','x','0042','1e3',1,1,0,1,1,NULL);"
        "INSERT INTO retains VALUES ('007',5);",
    )
    world = cradle.start(directory)
    assert world.rows("base_msgs", "topic,source_id,source_username") == [("7", "42", "1000")]
    pub = world.client("0099", v5, username="1.50")
    pub.send(v5.publish("7", b"", qos=1, mid=1, retain=True))
    pub.send(v5.publish("007", b"y", qos=1, mid=2, retain=True))
    assert world.rows("base_msgs", "topic,source_id,source_username") == [("007", "0099", "1.50")]
    assert world.rows("retains", "topic") == [("007",)]
