"""Wills in the database: there until they are published, discarded or replaced, and then no more."""

from __future__ import annotations

import sqlite3

import pytest

from tests.control.world import START
from tests.harness import props
from tests.harness.packets import Will, v5, v311
from tests.persistence.durable import FILE, Cradle, Durable

HOUR = props.session_expiry(3600)
WILL = Will("w", b"bye", qos=1)


def late(seconds: int) -> Will:
    return Will("w", b"bye", qos=1, properties=props.will_delay(seconds))


def with_watcher(cradle: Cradle) -> Durable:
    """A broker with an offline session that gets every will."""
    world = cradle.start()
    world.client("watcher", v311, clean=False).send(v311.subscribe(1, "w", qos=1) + v311.disconnect())
    return world


def seen(world: Durable) -> int:
    """How many wills the watcher got."""
    world.turn()
    peer = world.peer(v311)
    answer = peer.send(v311.connect("watcher", clean=False))
    peer.send(v311.disconnect())
    assert answer.startswith(v311.connack(session_present=True))
    return answer.count(b"\0\1w")


def test_will_is_written_with_all_it_has(cradle: Cradle) -> None:
    world = cradle.start()
    properties = (
        props.will_delay(60) + props.content_type("t") + props.user_property("k", "v") + props.message_expiry(9)
    )
    world.client("a", v5, properties=HOUR, will=Will("w", b"bye", qos=2, retain=True, properties=properties))
    text = '[{"identifier":"content-type","value":"t"},{"identifier":"user-property","name":"k","value":"v"}]'
    assert world.rows("wills") == [("a", b"bye", "w", 3, 2, 1, text)]
    assert world.rows("clients", "will_delay_time,will_delay_interval") == [(0, 60)]
    world.peers[0].drop()
    assert world.rows("clients", "will_delay_time,will_delay_interval") == [(START + 60, 60)]


@pytest.mark.parametrize("how", ["connection", "lasting", "kept for ever"])
def test_will_of_a_client_that_was_connected_is_published_at_the_start(cradle: Cradle, how: str) -> None:
    world = with_watcher(cradle)
    properties = {"connection": b"", "lasting": HOUR, "kept for ever": props.session_expiry(0xFFFFFFFF)}[how]
    world.client("a", v5, properties=properties, will=WILL)
    assert len(world.rows("wills")) == 1
    world = cradle.kill(world)
    world.turn()
    assert world.rows("wills") == []
    world = cradle.kill(world)
    assert seen(world) == 1


@pytest.mark.parametrize("lasts", [False, True])
def test_discarded_will_is_gone(cradle: Cradle, lasts: bool) -> None:
    world = with_watcher(cradle)
    world.client("a", v311, clean=not lasts, will=WILL).send(v311.disconnect())
    assert world.rows("wills") == []
    assert seen(cradle.kill(world)) == 0


def test_will_is_replaced_with_the_connection(cradle: Cradle) -> None:
    world = cradle.start()
    world.client("a", v5, properties=HOUR, will=late(60)).drop()
    world.client("a", v5, clean=False, present=True, properties=HOUR, will=Will("v", b"new"))
    assert [row[2] for row in world.rows("wills")] == ["v"]
    world.client("a", v5, clean=False, present=True, properties=HOUR)
    assert world.rows("wills") == []


def test_end_of_the_broker_publishes_and_removes_all_wills(cradle: Cradle) -> None:
    world = with_watcher(cradle)
    world.client("a", v5, will=WILL)
    world.client("b", v5, properties=HOUR, will=WILL)
    world.client("c", v5, properties=HOUR, will=late(60)).drop()
    cradle.stop(world)
    assert world.rows("wills") == []
    world = cradle.start(world.directory)
    assert seen(world) == 3


def test_delay_goes_on_where_it_was(cradle: Cradle) -> None:
    world = with_watcher(cradle)
    world.client("a", v5, properties=HOUR, will=late(60)).drop()
    world = cradle.kill(world, later=40)
    world.advance(19)
    assert len(world.rows("wills")) == 1
    world.advance(1)
    assert world.rows("wills") == []
    assert seen(world) == 1


def test_delay_of_a_client_that_was_connected_begins_with_the_start(cradle: Cradle) -> None:
    world = with_watcher(cradle)
    world.client("a", v5, properties=HOUR, will=late(60))
    world = cradle.kill(world, later=100)
    world.advance(59)
    assert len(world.rows("wills")) == 1
    world = cradle.kill(world, later=10)
    world.turn()
    assert world.rows("wills") == []
    assert seen(world) == 1


@pytest.mark.parametrize(("clean", "published"), [(False, 0), (True, 1)])
def test_delayed_will_when_the_client_comes_back(cradle: Cradle, clean: bool, published: int) -> None:
    world = with_watcher(cradle)
    world.client("a", v5, properties=HOUR, will=late(60)).drop()
    world = cradle.kill(world)
    world.client("a", v5, clean=clean, present=not clean, properties=HOUR)
    assert world.rows("wills") == []
    assert seen(world) == published


def test_delayed_will_is_published_when_its_session_expires(cradle: Cradle) -> None:
    world = with_watcher(cradle)
    world.client("a", v5, properties=props.session_expiry(30), will=late(60)).drop()
    world = cradle.kill(world, later=31)
    assert "a" not in world.sessions()
    assert seen(world) == 1
    assert world.rows("wills") == []


def test_stale_will_of_the_original_waits_for_the_end_of_its_session(cradle: Cradle) -> None:
    """It leaves those of sessions that it had ended in good order."""
    world = with_watcher(cradle)
    world.client("a", v5, properties=HOUR).drop()
    cradle.stop(world)
    db = sqlite3.connect(world.directory / FILE)
    db.execute("INSERT INTO wills VALUES ('a',?,'w',3,1,0,NULL)", (b"bye",))
    db.commit()
    db.close()
    world = cradle.start(world.directory)
    world.advance(10)
    world.client("a", v5, clean=False, present=True, properties=HOUR)
    assert world.rows("wills") == []
    assert seen(world) == 0
