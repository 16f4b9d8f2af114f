"""When something is committed: at once, after a while, at the end; and who is acknowledged meanwhile."""

from __future__ import annotations

import pytest

from mosq.config import SecurityConfig
from tests.harness import props
from tests.harness.brokers import StartBroker
from tests.harness.packets import v5, v311
from tests.persistence.durable import FILE, Cradle
from tests.tls.client import TLSClient, client_context
from tests.tls.conftest import Pki

HOUR = props.session_expiry(3600)


def test_relaxed_mode_acknowledges_at_once_and_commits_later(cradle: Cradle) -> None:
    world = cradle.start(plugin={"flush_period": "5"})
    world.client("sub", v311, clean=False).send(v311.subscribe(1, "t", qos=1) + v311.disconnect())
    pub = world.client("pub", v311, keepalive=0)
    assert pub.send(v311.publish("t", b"1", qos=1, mid=1)) == v311.puback(1)
    world.advance(4)
    assert world.rows("clients") == world.rows("client_msgs") == []
    world.advance(1)
    assert len(world.rows("clients")) == len(world.rows("client_msgs")) == 1
    assert pub.send(v311.publish("t", b"2", qos=1, mid=2)) == v311.puback(2)
    cradle.stop(world)
    assert [path.name for path in world.directory.iterdir()] == [FILE]
    assert [row[3] for row in world.rows("base_msgs")] == [b"1", b"2"]


def test_relaxed_mode_commits_earlier_when_much_has_gathered(cradle: Cradle) -> None:
    world = cradle.start(plugin={"flush_period": "3600"}, max_queued_messages=0)
    world.client("sub", v311, clean=False).send(v311.subscribe(1, "t", qos=1) + v311.disconnect())
    pub = world.client("pub", v311)
    for n in range(1, 5001):
        pub.sock.send(v311.publish("t", b"1", qos=1, mid=n))
        if n % 100 == 0:
            world.turn()
            pub.read()
    assert len(world.rows("client_msgs")) >= 4096


def test_all_that_one_turn_brings_is_one_transaction(cradle: Cradle, monkeypatch: pytest.MonkeyPatch) -> None:
    world = cradle.start()
    world.client("sub", v311, clean=False).send(v311.subscribe(1, "t", qos=1) + v311.disconnect())
    pubs = [world.client(f"pub{n}", v311) for n in range(5)]
    statements: list[str] = []
    world.store._db.set_trace_callback(statements.append)
    for pub in pubs:
        pub.sock.send(v311.publish("t", b"1", qos=1, mid=1) + v311.publish("t", b"2", qos=1, mid=2))
    world.turn()
    assert [pub.read() for pub in pubs] == [v311.puback(1) + v311.puback(2)] * 5
    assert statements.count("COMMIT") == 1


def test_what_is_settled_within_a_turn_is_never_written(cradle: Cradle) -> None:
    world = cradle.start()
    sub = world.client("sub", v311, clean=False)
    sub.send(v311.subscribe(1, "t", qos=1))
    world.store._row_cost = 1.0  # a commit is so costly that it waits as long as it may
    pub = world.client("pub", v311)
    statements: list[str] = []
    world.store._db.set_trace_callback(statements.append)
    assert pub.send(v311.publish("t", b"1", qos=1, mid=1)) == b""
    assert sub.read() == v311.publish("t", b"1", qos=1, mid=1)
    sub.send(v311.puback(1))
    world.turn()
    assert pub.read() == v311.puback(1)
    assert statements == []


def test_last_words_wait_for_the_commit(cradle: Cradle) -> None:
    """What the client did before it broke a rule is acknowledged, and kept."""
    world = cradle.start()
    world.client("sub", v5, properties=HOUR).send(v5.subscribe(1, "t", qos=1) + v5.disconnect())
    pub = world.client("pub", v5)
    answer = pub.send(v5.publish("t", b"1", qos=1, mid=1) + b"\xc1\x00")
    assert answer == v5.puback(1) + v5.disconnect(0x81)
    assert len(world.rows("client_msgs")) == 1


def test_who_published_is_known_after_a_restart(cradle: Cradle) -> None:
    """check_retain_source: rules that change while the broker is down count for what was retained before."""
    world = cradle.start()
    world.client("p", v5, username="eve").send(v5.publish("t", b"1", qos=1, mid=1, retain=True))
    assert world.rows("base_msgs", "source_id,source_username,source_mid") == [("p", "eve", 1)]
    acl = world.directory / "acl"
    for rule, answer in (("user eve\ntopic write t", b"\1t\0001"), ("", b"")):
        acl.write_text(f"topic read t\n{rule}\n")
        world = cradle.kill(world, check_retain_source=True, security=SecurityConfig(acl_file=str(acl)))
        sub = world.client("sub", v5)
        received = sub.send(v5.subscribe(1, "t"))
        assert (b"\0\1t" in received) is bool(answer), rule


def test_promises_to_clients_with_tls_wait_as_well(own_broker: StartBroker, pki: Pki) -> None:
    broker = own_broker(
        "persistence_location {dir}\nplugin mosquitto_persist_sqlite.so\nplugin_opt_flush_period 0\n",
        listener=pki.options,
    )
    sub, pub = (TLSClient(broker.port, client_context(pki.ca), v311) for _ in range(2))
    sub.send(v311.connect("sub", clean=False), v311.subscribe(1, "t", qos=2))
    sub.expect(v311.connack(), v311.suback(1, 2))
    pub.send(v311.connect("pub"))
    pub.expect(v311.connack())
    pub.send(v311.publish("t", b"1", qos=1, mid=1), v311.publish("t", b"2", qos=2, mid=2))
    pub.expect(v311.puback(1), v311.pubrec(2))
    pub.send(v311.pubrel(2))
    pub.expect(v311.pubcomp(2))
    sub.expect(v311.publish("t", b"1", qos=1, mid=1), v311.publish("t", b"2", qos=2, mid=2))
    broker.kill()
    broker.start()
    sub = TLSClient(broker.port, client_context(pki.ca), v311)
    sub.send(v311.connect("sub", clean=False))
    sub.expect(
        v311.connack(session_present=True),
        v311.publish("t", b"1", qos=1, mid=1, dup=True),
        v311.publish("t", b"2", qos=2, mid=2, dup=True),
    )
