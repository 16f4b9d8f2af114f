"""Rows that nobody should have written: whatever they hold, the broker starts, and says how many it did not take."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mosq.core import lib, walk_properties
from mosq.packets import properties as wire
from mosq.persistence import properties
from mosq.persistence.sqlite_schema import TABLES
from tests.control.world import START
from tests.harness.packets import v5, v311
from tests.persistence.durable import FILE, Cradle, Durable

PREFIX = "Sqlite persistence: Ignoring "


def from_text(text: str | bytes | None) -> tuple[bytes, list[str]]:
    warnings: list[str] = []
    return properties.from_text(text, warnings.append), [text.removeprefix(PREFIX) for text in warnings]


# ---- properties


def test_properties_as_json_and_back() -> None:
    encoded = wire.encode(
        [
            (wire.PAYLOAD_FORMAT, 1),
            (wire.CONTENT_TYPE, "tèxt".encode()),
            (wire.RESPONSE_TOPIC, b"r/t"),
            (wire.CORRELATION_DATA, b"\0\xff\x10"),
            (wire.USER_PROPERTY, (b"k", b"v")),
            (wire.USER_PROPERTY, (b"", b'"')),
        ]
    )
    text = properties.to_text(encoded)
    assert text == (
        '[{"identifier":"payload-format-indicator","value":1},{"identifier":"content-type","value":"tèxt"},'
        '{"identifier":"response-topic","value":"r/t"},{"identifier":"correlation-data","value":"00FF10"},'
        '{"identifier":"user-property","name":"k","value":"v"},{"identifier":"user-property","name":"","value":"\\""}]'
    )
    assert from_text(text) == (encoded, [])
    assert properties.to_text(b"") is None


@pytest.mark.parametrize(
    ("element", "warning"),
    [
        ({"identifier": "content-type"}, "property whilst restoring, invalid identifier / value"),
        ({"value": "x"}, "property whilst restoring, invalid identifier / value"),
        ("x", "property whilst restoring, invalid identifier / value"),
        ({"identifier": "x", "value": "x"}, "property whilst restoring, unknown identifier"),
        (
            {"identifier": "payload-format-indicator", "value": "1"},
            "byte property whilst restoring, value is incorrect type",
        ),
        ({"identifier": "content-type", "value": 1}, "string property whilst restoring, value is incorrect type"),
        ({"identifier": "content-type", "value": "\0"}, "property whilst restoring, invalid identifier / value"),
        ({"identifier": "correlation-data", "value": "0"}, "binary property whilst restoring, value is incorrect type"),
        (
            {"identifier": "correlation-data", "value": "00" * 65536},
            "binary property whilst restoring, value is too large",
        ),
        (
            {"identifier": "user-property", "value": "x"},
            "string pair property whilst restoring, name is missing or incorrect type",
        ),
        (
            {"identifier": "user-property", "name": "x", "value": 1},
            "string pair property whilst restoring, value is incorrect type",
        ),
    ],
)
def test_property_that_cannot_be_restored_is_left_out(element: Any, warning: str) -> None:
    good = {"identifier": "response-topic", "value": "r"}
    encoded, warnings = from_text(json.dumps([element, good]))
    assert encoded == wire.encode([(wire.RESPONSE_TOPIC, b"r")])
    assert warnings == [warning]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["identifier", "value", "name", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
ELEMENT = st.fixed_dictionaries(
    {"identifier": st.sampled_from(list(properties._IDENTIFIERS)), "value": st.integers(-1, 300) | st.text(max_size=5)},
    optional={"name": st.text(max_size=3)},
)


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=40) | st.text(max_size=40) | st.builds(json.dumps, JSON | st.lists(ELEMENT | JSON, max_size=4))
)
def test_any_text_makes_properties_that_can_be_sent(text: str | bytes) -> None:
    encoded, _ = from_text(text)
    status, found, _ = walk_properties(lib.MQ_IN_PUBLISH, encoded)
    assert status == lib.MQ_OK
    again = properties.to_text(encoded)
    assert from_text(again) == (wire.encode(found), [])


def test_many_properties_are_no_trouble() -> None:
    many = wire.encode([(wire.USER_PROPERTY, (b"%d" % n, b"v")) for n in range(5000)])
    assert from_text(properties.to_text(many)) == (many, [])


def test_second_of_a_kind_is_left_out() -> None:
    twice = [{"identifier": "content-type", "value": value} for value in "ab"]
    encoded, warnings = from_text(json.dumps(twice))
    assert encoded == wire.encode([(wire.CONTENT_TYPE, b"a")])
    assert warnings == ["property whilst restoring, invalid identifier / value"]


# ---- rows

VALUE = (
    st.none()
    | st.integers(-3, 12)
    | st.sampled_from([2**31, 2**32, 2**53, 2**62, 2**63 - 1, -(2**63), 1.5, float("inf"), int(START) + 1])
    | st.sampled_from(["", "a", "b", "t", "$share/g/t", "#", "a/#/b", "\0", "x" * 70_000, '[{"identifier":1}]', "[]"])
    | st.binary(max_size=4)
)
GOOD: dict[str, list[Any]] = {
    "base_msgs": [5, 0, "t", b"x", "p", "u", 1, 1, 1883, 1, 1, "[]"],
    "retains": ["t", 5],
    "clients": ["a", "u", 0, 0, 0, 1883, 0, 2, 1, -1, 0],
    "subscriptions": ["a", "t", 1, 0],
    "client_msgs": ["a", 1, 5, 0, 1, 1, 1, 0, 11, 0],
    "wills": ["a", b"x", "t", 1, 1, 0, None],
}


@st.composite
def databases(draw: st.DrawFn) -> dict[str, list[list[Any]]]:
    """Rows that are good but for some values."""
    found: dict[str, list[list[Any]]] = {}
    for table, good in GOOD.items():
        for _ in range(draw(st.integers(0, 3))):
            row = list(good)
            for at in draw(st.lists(st.integers(0, len(row) - 1), max_size=2)):
                row[at] = draw(VALUE)
            found.setdefault(table, []).append(row)
    return found


def write(path: Path, database: dict[str, list[list[Any]]]) -> int:
    """Tables without keys or types, so that they hold anything. Returns the number of rows."""
    db = sqlite3.connect(path)
    written = 0
    for table, columns in TABLES.items():
        names = [name for name, _ in columns if name != "PRIMARY KEY"]
        db.execute(f"CREATE TABLE {table} ({','.join(names)})")
        for row in database.get(table, []):
            db.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(names))})", row)
            written += 1
    db.commit()
    db.close()
    return written


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(database=databases())
def test_any_rows_are_survived(monkeypatch: pytest.MonkeyPatch, database: dict[str, list[list[Any]]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        written = write(directory / FILE, database)
        world = Durable(monkeypatch, directory, {"flush_period": "0"}, {"queue_qos0_messages": True})
        try:
            world.start()
            lines = [text.split() for text in world.log.texts("I") if text.startswith("sqlite: Restored")]
            assert sum(int(line[2]) + int(line[-2][1:]) for line in lines) == written
            world.turn()
            pub = world.client("p", v5)
            answer = pub.send(v5.publish("x", b"1", qos=1, mid=1, retain=True))
            assert answer in (v5.puback(1), v5.puback(1, 0x10))  # a subscription may have been restored
            answer = world.peer(v311).send(v311.connect("a", clean=False))
            assert answer[:2] == b"\x20\x02" and answer[3] == 0
        finally:
            world.close()


def test_row_without_an_owner_is_removed(cradle: Cradle) -> None:
    directory = cradle.new_directory()
    database = {
        "base_msgs": [GOOD["base_msgs"]],
        "retains": [["gone", 6]],
        "client_msgs": [["nobody", 1, 5, 0, 1, 1, 1, 0, 11, 0]],
    }
    write(directory / FILE, database)
    world = cradle.start(directory)
    world.turn()
    assert [world.rows(table) for table in database] == [[], [], []]


def test_new_message_takes_the_row_of_one_that_is_removed(cradle: Cradle) -> None:
    """The will of who is gone for good, published at the start."""
    directory = cradle.new_directory()
    database = {table: [GOOD[table]] for table in ("base_msgs", "clients", "subscriptions")}
    database["client_msgs"] = [["nobody", *GOOD["client_msgs"][1:]]]
    database["wills"] = [["nobody", *GOOD["wills"][1:]]]
    write(directory / FILE, database)
    world = cradle.start(directory)
    world.turn()
    assert world.rows("client_msgs", "client_id") == [("a",)]


def test_expired_message_is_no_failure(cradle: Cradle) -> None:
    directory = cradle.new_directory()
    database = {table: [list(row)] for table, row in GOOD.items() if table != "wills"}
    database["base_msgs"][0][1] = int(START) - 1
    write(directory / FILE, database)
    world = cradle.start(directory)
    assert [text for text in world.log.texts("I") if "failed" in text and "(0 failed)" not in text] == []
    world.turn()
    assert world.rows("retains") == world.rows("client_msgs") == []


def test_qos_0_is_restored_only_where_it_is_queued(cradle: Cradle) -> None:
    message, delivery = list(GOOD["base_msgs"]), list(GOOD["client_msgs"])
    message[9] = delivery[5] = delivery[6] = 0
    for queued in (False, True):
        directory = cradle.new_directory()
        write(directory / FILE, {"base_msgs": [message], "clients": [GOOD["clients"]], "client_msgs": [delivery]})
        world = cradle.start(directory, queue_qos0_messages=queued)
        failed = "sqlite: Restored 0 client messages (1 failed)"
        assert (failed in world.log.texts("I")) is not queued
        world.turn()
        assert len(world.rows("client_msgs")) == queued
