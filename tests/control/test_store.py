"""What a store is told, when, and how sessions come back from one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mosq.core import lib
from mosq.packets.connect import NEVER
from tests.control.ledger import Ledger
from tests.control.world import START, World
from tests.harness import props
from tests.harness.packets import Will, v5, v31, v311

Make = Callable[..., World]
NOW = int(START)


def restored(
    monkeypatch: pytest.MonkeyPatch, fill: Callable[[World], object], **options: object
) -> tuple[World, Ledger]:
    """A broker whose store is filled into it by `fill` at its start."""
    world = World(monkeypatch, {}, options)
    ledger = Ledger(world.broker, lambda: fill(world))
    return world.start(), ledger


# ---- what is told


def test_persistent_session_is_told_of_from_begin_to_end(world: World) -> None:
    ledger = Ledger(world.broker)
    expiry = props.session_expiry(100)
    client = world.client("a", v5, properties=expiry)
    assert ledger.take() == [("client", "a", 0), ("answered", "a", False)]
    client.send(v5.subscribe(1, "t", qos=1))
    assert ledger.take() == [("subscribed", "a", b"t", 1, 0), ("answered", "a", True)]
    client.send(v5.unsubscribe(2, "t", "u"))
    assert ledger.take() == [("unsubscribed", "a", b"t"), ("answered", "a", True)]
    client.drop()
    assert ledger.take() == [("client", "a", NOW + 100)]
    world.client("a", v5, clean=False, properties=expiry, present=True).drop()
    assert ledger.take() == [("client", "a", 0), ("answered", "a", True), ("client", "a", NOW + 100)]
    world.advance(101)
    assert ledger.take() == [("gone", "a")]


def test_clean_start_ends_the_session_before_the_new_one_is_told_of(world: World) -> None:
    ledger = Ledger(world.broker)
    expiry = props.session_expiry(100)
    world.client("a", v5, properties=expiry)
    ledger.take()
    world.client("a", v5, properties=expiry)
    assert ledger.take() == [("gone", "a"), ("client", "a", 0), ("answered", "a", False)]


def test_session_of_a_connection_is_not_told_of(world: World) -> None:
    ledger = Ledger(world.broker)
    client = world.client("a", v311)
    client.send(v311.subscribe(1, "t") + v311.unsubscribe(2, "t"))
    client.drop()
    assert ledger.take() == [("answered", "a", False), ("answered", "a", True), ("answered", "a", True)]


@pytest.mark.parametrize("how", ["connect", "disconnect"])
def test_session_that_shall_not_last_any_more_is_gone(world: World, how: str) -> None:
    ledger = Ledger(world.broker)
    client = world.client("a", v5, properties=props.session_expiry(100))
    ledger.take()
    if how == "disconnect":
        client.send(v5.disconnect(0, props.session_expiry(0)))
        assert ledger.take() == [("gone", "a")]
    else:
        world.client("a", v5, clean=False, present=True)
        assert ledger.take() == [("gone", "a"), ("answered", "a", True)]


def test_expiry_changed_by_disconnect_is_told(world: World) -> None:
    ledger = Ledger(world.broker)
    client = world.client("a", v5, properties=props.session_expiry(100))
    ledger.take()
    client.send(v5.disconnect(0, props.session_expiry(50)))
    assert ledger.take() == [("client", "a", NOW + 50)]
    assert world.broker.sessions.by_id["a"].expiry == 50


def test_will_is_told_of_when_it_is_set_discarded_and_published(world: World) -> None:
    ledger = Ledger(world.broker)
    will = Will("w", b"x")
    client = world.client("a", v311, will=will)
    assert ledger.take() == [("will", "a", b"w"), ("answered", "a", False)]
    client.send(v311.disconnect())
    assert ledger.take() == [("will", "a", None)]
    world.client("a", v311, will=will).drop()
    assert ledger.take()[-1] == ("will", "a", None)


def test_end_of_the_broker_gives_connected_sessions_their_time(world: World) -> None:
    ledger = Ledger(world.broker)
    world.client("a", v5, properties=props.session_expiry(100), will=Will("w", b"x"))
    world.client("b", v311, clean=False)
    ledger.take()
    world.broker.shut_down()
    world.broker.stop()
    assert ledger.take() == [("will", "a", None), ("client", "a", NOW + 100), ("client", "b", 0), ("close",)]


def test_reload_and_save_are_passed_on(world: World) -> None:
    ledger = Ledger(world.broker)
    world.broker.reload(world.config)
    world.broker.save()
    assert ledger.take() == [("reload",), ("save",)]


# ---- a store that fails


def test_failing_store_refuses_what_it_would_have_to_keep(world: World) -> None:
    ledger = Ledger(world.broker)
    client = world.client("a", v5, properties=props.session_expiry(100))
    client.send(v5.subscribe(1, "t"))
    older = world.client("b", v311, clean=False)
    oldest = world.client("c", v31, clean=False)
    ledger.failing = True
    assert client.send(v5.subscribe(2, "u")) == v5.suback(2, 0x97)
    assert client.send(v5.unsubscribe(3, "t")) == v5.unsuback(3, 0x80)
    assert older.send(v311.subscribe(2, "u")) == v311.suback(2, 0x80)
    assert older.send(v311.unsubscribe(3, "u")) == b"" and older.closed
    assert oldest.send(v31.subscribe(2, "u")) == b"" and oldest.closed
    for level, clean, refusal in ((v5, True, 0x88), (v311, True, 3), (v311, False, 3)):
        answer = world.peer(level).send(level.connect("a", clean=clean))
        assert answer[0] == 0x20 and answer[3] == refusal
    assert world.client("d", v5).send(v5.subscribe(1, "t")) == v5.suback(1, 0)
    ledger.failing = False
    assert client.send(v5.subscribe(2, "u")) == v5.suback(2, 0)


# ---- coming back


def test_restored_session_is_resumed_without_a_word_about_another(monkeypatch: pytest.MonkeyPatch) -> None:
    world, ledger = restored(monkeypatch, lambda world: world.broker.sessions.restore("a", expiry=NEVER, last_mid=41))
    try:
        assert ledger.take() == []
        session = world.broker.sessions.by_id["a"]
        assert lib.mq_session_last_mid(session.c) == 41
        world.log.lines.clear()
        world.client("a", v311, clean=False, present=True)
        assert ledger.take() == [("client", "a", 0), ("answered", "a", True)]
        assert not [text for text in world.log.texts("N") if "disconnected" in text]
    finally:
        world.close()


@pytest.mark.parametrize(
    ("expiry", "ends", "longest", "lives"),
    [
        (100, NOW + 50, 0, 50),  # as stored
        (100, 0, 0, 100),  # connected when the broker ended: counts from now
        (100, 0, 30, 30),
        (NEVER, 0, 30, 30),
        (100, NOW + 50, 30, 50),
        (NEVER, 0, 0, None),
        (NEVER, NOW - 50, 0, None),  # a stored time that counts for nothing
        (100, NOW, 0, 0),
        (0, 0, 0, 0),
    ],
)
def test_restored_session_ends_in_its_time(
    monkeypatch: pytest.MonkeyPatch, expiry: int, ends: int, longest: int, lives: int | None
) -> None:
    world, _ = restored(
        monkeypatch,
        lambda world: world.broker.sessions.restore("a", expiry=expiry, ends=ends),
        persistent_client_expiration=longest,
    )
    try:
        world.advance(lives - 1 if lives else 0)
        assert world.sessions() == {"a"}
        world.advance(1 if lives is not None else 1000)
        assert world.sessions() == ({"a"} if lives is None else set())
    finally:
        world.close()


def test_time_of_a_session_that_was_connected_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    world, ledger = restored(monkeypatch, lambda world: world.broker.sessions.restore("a", expiry=100))
    try:
        assert ledger.take() == [("client", "a", NOW + 100)]
    finally:
        world.close()


def test_session_that_expired_while_the_broker_was_down_ends_before_anybody_connects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, ledger = restored(monkeypatch, lambda world: world.broker.sessions.restore("a", expiry=100, ends=NOW - 1))
    try:
        assert ledger.take() == [("gone", "a")]
        assert world.sessions() == set()
        assert world.log.texts("N") == ["Expiring client a due to timeout."]
    finally:
        world.close()


def test_session_restored_with_interval_0_is_not_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    world, ledger = restored(monkeypatch, lambda world: world.broker.sessions.restore("a", expiry=0, ends=NOW + 100))
    try:
        world.client("a", v311, clean=False, present=False)
        assert ledger.take() == [("gone", "a"), ("client", "a", 0), ("answered", "a", True)]
    finally:
        world.close()


def test_restored_session_obeys_the_rules_about_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    introduced: list[str] = []

    def fill(world: World) -> None:
        world.broker.sessions.restore("a", expiry=NEVER, username="u")
        introduce = world.broker.introduce
        monkeypatch.setattr(world.broker, "introduce", lambda s: (introduced.append(s.username), introduce(s)))

    world, _ = restored(monkeypatch, fill)
    try:
        assert introduced == ["u"]
    finally:
        world.close()
