"""The journal, the holding of promises, and the way back (csrc/durable.h), against a store made of dictionaries."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosq.core import ffi, lib
from tests.csrc.peer import Client, World
from tests.harness.packets import v5, v311

QUEUED, PUBACK, PUBREC, PUBREL, PUBCOMP = 11, 3, 5, 7, 9


def text(pointer: Any, n: int) -> bytes:
    return bytes(ffi.buffer(pointer, n)) if n else b""


class Paper:
    """What a durable store would hold."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.messages: dict[int, dict[str, Any]] = {}
        self.deliveries: dict[int, dict[str, Any]] = {}
        self.retained: dict[bytes, int] = {}
        self.written = 0
        lib.mq_core_journal(world.core.c, 1)

    def commit(self) -> None:
        out = ffi.new("mq_drain *")
        while True:
            status = lib.mq_journal_drain(self.world.core.c, out)
            self._apply(out)
            if status == lib.MQ_OK:
                break
            assert status == lib.MQ_BLOCKED
        assert lib.mq_journal_pending(self.world.core.c) == 0
        lib.mq_core_committed(self.world.core.c)

    def _apply(self, out: Any) -> None:
        for i in range(out.messages_n):
            m = out.messages[i]
            assert m.id not in self.messages
            self.messages[m.id] = {
                "topic": text(m.topic, m.topic_n), "payload": text(m.payload, m.payload_n), "qos": m.qos,
                "retain": m.retain, "expires": m.expires, "properties": text(m.properties, m.properties_n),
                "client": text(m.client_id, m.client_id_n), "mid": m.mid, "port": m.port,
                "user": None if m.username == ffi.NULL else text(m.username, m.username_n),
            }  # fmt: skip
        for i in range(out.deliveries_n):
            d = out.deliveries[i]
            assert d.row not in self.deliveries and d.message in self.messages
            self.deliveries[d.row] = {
                "client": text(d.client_id, d.client_id_n), "message": d.message, "id": d.id, "mid": d.mid,
                "qos": d.qos, "retain": d.retain, "dup": d.dup, "stage": d.stage, "incoming": d.incoming,
            }  # fmt: skip
        for i in range(out.changed_n):
            d = out.changed[i]
            self.deliveries[d.row].update(mid=d.mid, qos=d.qos, dup=d.dup, stage=d.stage)
        for i in range(out.retained_n):
            k = out.retained[i]
            self.retained.pop(text(k.topic, k.topic_n), None)
            if k.id:
                self.retained[text(k.topic, k.topic_n)] = k.id
        for i in range(out.gone_n):
            del self.deliveries[out.gone[i]]
        for i in range(out.gone_messages_n):
            del self.messages[out.gone_messages[i]]
        self.written += out.messages_n + out.deliveries_n + out.changed_n + out.retained_n
        self.written += out.gone_n + out.gone_messages_n

    def restore(self, other: Paper, sessions: dict[bytes, Any]) -> None:
        """Into another core that keeps a journal, and the books with it."""
        world = other.world
        other.messages, other.deliveries, other.retained = (
            dict(self.messages),
            dict(self.deliveries),
            dict(self.retained),
        )
        keep = []
        for number, m in self.messages.items():
            buffers = {name: ffi.from_buffer(m[name]) for name in ("topic", "payload", "properties", "client")}
            user = ffi.NULL if m["user"] is None else ffi.from_buffer(m["user"])
            keep.append((buffers, user))
            record = ffi.new("mq_record *", {
                "id": number, "expires": m["expires"], "topic": buffers["topic"], "topic_n": len(m["topic"]),
                "payload": buffers["payload"], "payload_n": len(m["payload"]), "properties": buffers["properties"],
                "properties_n": len(m["properties"]), "client_id": buffers["client"], "client_id_n": len(m["client"]),
                "username": user, "username_n": len(m["user"] or b""), "port": m["port"], "mid": m["mid"],
                "qos": m["qos"], "retain": m["retain"],
            })  # fmt: skip
            assert lib.mq_restore_message(world.core.c, record) == lib.MQ_OK
        for number in self.retained.values():
            assert lib.mq_restore_retained(world.core.c, number) == lib.MQ_OK
        for row, d in sorted(self.deliveries.items()):
            fields = {name: d[name] for name in d if name != "client"} | {"row": row}
            delivery = ffi.new("mq_delivery *", fields)
            assert lib.mq_restore_delivery(sessions[d["client"]], delivery) == lib.MQ_OK
        lib.mq_restore_done(world.core.c, 0)


def lasting(world: World, client_id: str = "", *, version: int = 4, **terms: int) -> Client:
    client = world.client(client_id, version=version, **terms)
    lib.mq_session_durable(client.session, 1)
    return client


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def paper(world: World) -> Paper:
    return Paper(world)


def stages(paper: Paper) -> list[int]:
    return [d["stage"] for _, d in sorted(paper.deliveries.items())]


# ---- what the journal says


def test_queued_message_and_its_end_reach_the_store(world: World, paper: Paper) -> None:
    client = lasting(world)
    client.subscribe("t", 1, 7)
    client.close()
    world.publish("t", b"x", qos=1)
    paper.commit()
    (delivery,), (message,) = paper.deliveries.values(), paper.messages.values()
    assert delivery["stage"] == QUEUED and delivery["id"] == 7 and delivery["client"] == b"c0" and not delivery["dup"]
    assert message["topic"] == b"t" and message["payload"] == b"x" and message["qos"] == 1
    client.connect()
    client.resume()
    paper.commit()
    assert [(d["stage"], d["dup"]) for d in paper.deliveries.values()] == [(PUBACK, 1)]
    client.feed(v311.puback(delivery["mid"]))
    paper.commit()
    assert not paper.deliveries and not paper.messages


def test_message_acknowledged_before_the_commit_costs_nothing(world: World, paper: Paper) -> None:
    client = lasting(world)
    client.subscribe("t", 1)
    for i in range(10_000):
        world.publish("t", b"x", qos=1)
        client.sent()
        client.feed(v311.puback(i % 65535 + 1))
    assert lib.mq_journal_pending(world.core.c) == 0
    paper.commit()
    assert paper.written == 0


def test_session_that_ends_with_its_connection_is_not_journalled(world: World, paper: Paper) -> None:
    client = world.client()
    client.subscribe("t", 1)
    world.publish("t", b"x", qos=1)
    client.publish("u", qos=2, mid=1)
    assert lib.mq_journal_pending(world.core.c) == 0


def test_session_that_stops_lasting_leaves_the_store(world: World, paper: Paper) -> None:
    client = lasting(world)
    client.subscribe("t", 1)
    world.publish("t", b"x", qos=1)
    paper.commit()
    lib.mq_session_durable(client.session, 0)
    paper.commit()
    assert not paper.deliveries
    client.feed(v311.puback(1))
    paper.commit()
    assert not paper.messages


def test_every_stage_of_qos_2_is_told(world: World, paper: Paper) -> None:
    client = lasting(world)
    client.subscribe("t", 2)
    client.publish("t", qos=2, mid=9)
    paper.commit()
    assert stages(paper) == [PUBREL]
    client.feed(v311.pubrel(9))
    paper.commit()
    assert stages(paper) == [PUBREC]
    client.feed(v311.pubrec(1))
    paper.commit()
    assert stages(paper) == [PUBCOMP]
    client.feed(v311.pubcomp(1))
    paper.commit()
    assert not paper.deliveries and not paper.messages


def test_retained_messages_are_told_as_they_are_in_the_end(world: World, paper: Paper) -> None:
    for i in range(20_000):
        world.publish("t", b"%d" % i, retain=True)
        world.publish("$SYS/t", b"%d" % i, retain=True)
    world.publish("$other", b"x", retain=True)
    world.publish("gone", b"x", retain=True)
    world.publish("gone", b"", retain=True)
    paper.commit()
    assert {topic: paper.messages[i]["payload"] for topic, i in paper.retained.items()} == {
        b"t": b"19999",
        b"$other": b"x",
    }
    assert len(paper.messages) == 2
    assert paper.written < 10
    world.publish("t", b"new", retain=True)
    paper.commit()
    assert [m["payload"] for m in paper.messages.values()] == [b"x", b"new"]
    world.publish("t", b"", retain=True)
    world.publish("$other", b"", retain=True)
    paper.commit()
    assert not paper.retained and not paper.messages


def test_retained_message_that_expires_leaves_the_store(world: World, paper: Paper) -> None:
    world.publish("t", b"x", retain=True, expiry=5)
    paper.commit()
    world.tick(10)
    while lib.mq_retained_expire(world.core.c, 100):
        pass
    paper.commit()
    assert not paper.retained and not paper.messages


def test_retained_messages_that_were_superseded_take_little_memory(world: World, paper: Paper) -> None:
    for _ in range(200):
        world.publish("t", b"x" * 1_000_000, retain=True)
    assert world.core.stats.stored_bytes < 40_000_000
    paper.commit()
    assert world.core.stats.stored == len(paper.messages) == 1


def test_retained_messages_that_come_and_go_are_not_gathered(world: World, paper: Paper) -> None:
    world.publish("t", b"0", retain=True)
    paper.commit()
    for _ in range(20_000):
        world.publish("t", b"", retain=True)
        world.publish("t", b"1", retain=True)
    assert lib.mq_journal_pending(world.core.c) < 10_000
    world.publish("t", b"", retain=True)
    paper.commit()
    assert paper.retained == {} and paper.messages == {}


def test_publisher_is_told(world: World, paper: Paper) -> None:
    publisher = world.client("pub", version=5)
    assert lib.mq_session_source(publisher.session, b"me", 2, 1, 1883) == lib.MQ_OK
    publisher.publish("t", b"x", qos=1, mid=77, retain=True)
    paper.commit()
    (message,) = paper.messages.values()
    assert (message["client"], message["user"], message["port"], message["mid"]) == (b"pub", b"me", 1883, 77)


def test_end_of_a_session_takes_its_deliveries_along(world: World, paper: Paper) -> None:
    client = lasting(world, receive_max=2)
    client.subscribe("t", 2)
    for _ in range(5):
        world.publish("t", b"x", qos=2)
    client.publish("u", qos=2, mid=1)
    paper.commit()
    assert len(paper.deliveries) == 6
    lib.mq_session_free(client.session)
    paper.commit()
    assert not paper.deliveries and not paper.messages


def test_large_journal_is_drained_in_pieces(world: World, paper: Paper) -> None:
    world.core.options.max_queued_messages = 0
    client = lasting(world)
    client.subscribe("t", 1)
    client.close()
    for i in range(20_000):
        world.publish("t", b"%d" % i, qos=1)
        world.publish(f"r/{i}", b"x", retain=True)
    out = ffi.new("mq_drain *")
    assert lib.mq_journal_drain(world.core.c, out) == lib.MQ_BLOCKED
    assert 0 < out.deliveries_n <= 10_000 and 0 < out.retained_n <= 10_000
    paper._apply(out)
    paper.commit()
    assert len(paper.deliveries) == 20_000 and len(paper.retained) == 20_000
    payloads = [int(paper.messages[d["message"]]["payload"]) for _, d in sorted(paper.deliveries.items())]
    assert payloads == list(range(20_000))


def test_drain_without_memory_loses_nothing(world: World, paper: Paper) -> None:
    client = lasting(world)
    client.subscribe("t", 1)
    client.close()
    world.publish("t", b"x", qos=1)
    world.core.options.memory_limit = 1
    out = ffi.new("mq_drain *")
    assert lib.mq_journal_drain(world.core.c, out) == lib.MQ_NOMEM
    world.core.options.memory_limit = 0
    paper.commit()
    assert len(paper.deliveries) == 1


# ---- promises


@pytest.fixture
def sockets(world: World) -> Iterator[tuple[Client, Client, socket.socket, socket.socket]]:
    """A publisher and a subscriber that lasts, each with a socket."""
    a, b = socket.socketpair(), socket.socketpair()
    publisher = world.client("pub", version=5, fd=a[1].fileno())
    subscriber = lasting(world, "sub", fd=b[1].fileno())
    for s in (*a, *b):
        s.setblocking(False)
    lib.mq_core_hold(world.core.c, 1)
    yield publisher, subscriber, a[0], b[0]
    for s in (*a, *b):
        s.close()


def received(s: socket.socket) -> bytes:
    try:
        return s.recv(65536)
    except BlockingIOError:
        return b""


Pair = tuple[Client, Client, socket.socket, socket.socket]


def test_acknowledgement_waits_for_the_commit_and_the_delivery_does_not(
    world: World, paper: Paper, sockets: Pair
) -> None:
    publisher, subscriber, acks, messages = sockets
    subscriber.subscribe("t", 1)
    publisher.publish("t", b"x", qos=1, mid=5)
    world.turn()
    assert received(messages) == v311.publish("t", b"x", qos=1, mid=1)
    assert received(acks) == b"" and lib.mq_conn_held(publisher.conn)
    world.turn()
    assert received(acks) == b""
    paper.commit()
    world.turn()
    assert received(acks) == v5.puback(5)
    assert not lib.mq_conn_held(publisher.conn)


@pytest.mark.parametrize("retain", [False, True])
def test_nothing_to_keep_nothing_to_wait_for(world: World, paper: Paper, sockets: Pair, retain: bool) -> None:
    publisher, _, acks, _ = sockets
    publisher.publish("u", b"x", qos=1, mid=5, retain=retain)
    world.turn()
    assert received(acks) == (b"" if retain else v5.puback(5, 0x10))


def test_qos_2_publish_waits_for_the_commit(world: World, paper: Paper, sockets: Pair) -> None:
    _, subscriber, _, messages = sockets
    subscriber.subscribe("t", 2)
    world.publish("t", b"x", qos=2)
    world.turn()
    assert received(messages) == b""
    paper.commit()
    world.turn()
    assert received(messages) == v311.publish("t", b"x", qos=2, mid=1)
    subscriber.feed(v311.pubrec(1))
    world.turn()
    assert received(messages) == b""
    paper.commit()
    world.turn()
    assert received(messages) == v311.pubrel(1)


def test_large_qos_2_publish_does_not_leave_early(world: World, paper: Paper, sockets: Pair) -> None:
    _, subscriber, _, messages = sockets
    subscriber.subscribe("t", 2)
    world.publish("t", b"x" * 200_000, qos=2)
    assert received(messages) == b""
    paper.commit()
    world.turn()
    assert received(messages) != b""


def test_pubcomp_waits_until_the_end_of_the_message_is_safe(world: World, paper: Paper, sockets: Pair) -> None:
    _, subscriber, _, messages = sockets
    subscriber.publish("u", qos=2, mid=3)
    paper.commit()
    world.turn()
    assert received(messages) == v311.pubrec(3)
    subscriber.feed(v311.pubrel(3))
    world.turn()
    assert received(messages) == b""
    paper.commit()
    world.turn()
    assert received(messages) == v311.pubcomp(3)


def test_answer_of_the_owner_is_held_when_it_says_so(world: World, paper: Paper, sockets: Pair) -> None:
    publisher, _, acks, _ = sockets
    lib.mq_conn_send(publisher.conn, b"\x90\x03\x00\x01\x00", 5)
    lib.mq_conn_promise(publisher.conn)
    world.turn()
    owners = ffi.new("uint32_t[4]")
    assert received(acks) == b""
    assert lib.mq_core_held(world.core.c, owners, 4) == 1 and owners[0] == publisher.owner
    lib.mq_conn_final(publisher.conn)
    assert lib.mq_conn_writable(publisher.conn) == lib.MQ_BLOCKED
    assert received(acks) == b""
    lib.mq_core_committed(world.core.c)
    world.turn()
    assert received(acks) == b"\x90\x03\x00\x01\x00"


def test_discarded_promise_never_leaves(world: World, paper: Paper, sockets: Pair) -> None:
    publisher, _, acks, _ = sockets
    publisher.publish("u", b"x", qos=1, mid=5, retain=True)
    lib.mq_conn_discard(publisher.conn)
    lib.mq_conn_send(publisher.conn, b"\xe0\x01\x97", 3)
    world.turn()
    assert received(acks) == b"\xe0\x01\x97"


def test_nothing_follows_a_packet_that_was_cut(world: World, paper: Paper) -> None:
    """Its bytes would be taken for the rest of that packet."""
    lib.mq_core_hold(world.core.c, 1)
    client = world.client("tls", version=5)
    client.subscribe("#")
    world.publish("t", b"x" * 1000)
    lib.mq_conn_consumed(client.conn, 10)
    client.publish("u", qos=1, mid=5, retain=True)
    lib.mq_conn_discard(client.conn)
    assert lib.mq_conn_send(client.conn, b"\xe0\x01\x97", 3) == lib.MQ_STOPPED
    assert client.sent() == b""


def test_store_in_trouble_refuses_promises_and_nothing_else(world: World, paper: Paper, sockets: Pair) -> None:
    publisher, subscriber, acks, messages = sockets
    subscriber.subscribe("t", 2)
    lib.mq_core_refuse(world.core.c, 0x97)
    assert publisher.publish("t", b"x", qos=1, mid=5) == lib.MQ_OK
    assert publisher.publish("t", b"x", qos=2, mid=6) == lib.MQ_OK
    assert publisher.publish("t", b"now") == lib.MQ_OK
    assert subscriber.publish("t", b"x", qos=1, mid=1) == lib.MQ_STORE
    world.turn()
    assert received(acks) == v5.puback(5, 0x97) + v5.pubrec(6, 0x97)
    assert received(messages) == v311.publish("t", b"now")
    lib.mq_core_refuse(world.core.c, 0)
    publisher.publish("t", b"x", qos=1, mid=7)
    paper.commit()
    world.turn()
    assert received(acks) == v5.puback(7)


def test_connection_whose_bytes_the_owner_moves_is_held_too(world: World, paper: Paper) -> None:
    lib.mq_core_hold(world.core.c, 1)
    client = world.client("tls", version=5)
    client.publish("u", b"x", qos=1, mid=5, retain=True)
    world.turn()
    assert client.pending() == b"" and not [event for event in world.said if event[0] == "output"]
    paper.commit()
    world.turn()
    assert [event for event in world.said if event[0] == "output"] == [("output", client.owner, 0)]
    assert client.sent() == v5.puback(5, 0x10)


# ---- the way back


def test_expired_message_is_not_taken_back_and_leaves_the_store(world: World, paper: Paper) -> None:
    world.publish("t", b"x", retain=True, expiry=5)
    world.publish("u", b"x", retain=True, expiry=5000)
    paper.commit()
    later = World()
    later.tick(10)
    again = Paper(later)
    again.messages, again.deliveries, again.retained = dict(paper.messages), {}, {}
    for number, m in paper.messages.items():
        record = ffi.new("mq_record *", {"id": number, "expires": m["expires"], "topic_n": 1})
        topic = ffi.from_buffer(m["topic"])
        record.topic = topic
        assert lib.mq_restore_message(later.core.c, record) == (lib.MQ_NONE if m["topic"] == b"t" else lib.MQ_OK)
    lib.mq_restore_done(later.core.c, 0)
    again.commit()
    assert not again.messages  # u: nobody referred to it


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"id": 1, "topic": b""}, "MQ_BAD_FILTER"),
        ({"id": 1, "topic": b"a/#"}, "MQ_BAD_FILTER"),
        ({"id": 1, "topic": b"\xff"}, "MQ_BAD_FILTER"),
        ({"id": 5, "topic": b"t"}, "MQ_EXISTS"),
    ],
)
def test_bad_records_are_refused(world: World, fields: dict[str, Any], status: str) -> None:
    def restore(number: int, topic: bytes) -> int:
        held = ffi.from_buffer(topic)
        record = ffi.new("mq_record *", {"id": number, "topic": held, "topic_n": len(topic)})
        result: int = lib.mq_restore_message(world.core.c, record)
        return result

    assert restore(5, b"t") == lib.MQ_OK
    assert restore(fields["id"], fields["topic"]) == getattr(lib, status)
    lib.mq_restore_done(world.core.c, 0)


def test_new_numbers_are_greater_than_all_that_were_seen(world: World, paper: Paper) -> None:
    lib.mq_restore_done(world.core.c, (1 << 64) - 1)  # of another node
    lib.mq_restore_done(world.core.c, (1 << 53) + 5)
    world.publish("t", b"x", retain=True)
    paper.commit()
    assert list(paper.messages) == [(1 << 53) + 6]


def test_second_message_with_a_packet_identifier_waits_in_the_queue(world: World) -> None:
    client = lasting(world)
    lib.mq_conn_close(client.conn)
    topic = ffi.from_buffer(b"t")
    record = ffi.new("mq_record *", {"id": 5, "topic": topic, "topic_n": 1, "qos": 1})
    assert lib.mq_restore_message(world.core.c, record) == lib.MQ_OK
    for _ in range(2):
        delivery = ffi.new("mq_delivery *", {"message": 5, "mid": 3, "qos": 1, "stage": PUBACK, "dup": 1})
        assert lib.mq_restore_delivery(client.session, delivery) == lib.MQ_OK
    missing = ffi.new("mq_delivery *", {"message": 6, "mid": 3, "qos": 1, "stage": PUBACK})
    assert lib.mq_restore_delivery(client.session, missing) == lib.MQ_NONE
    lib.mq_restore_done(world.core.c, 0)
    client.connect()
    assert client.resume() == v311.publish("t", b"", qos=1, mid=3, dup=True) + v311.publish(
        "t", b"", qos=1, mid=1, dup=True
    )


TOPICS = ("a", "b", "c")
operation = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from(TOPICS), st.integers(0, 2), st.booleans(), st.booleans()),
    st.tuples(st.just("inbound"), st.integers(0, 1), st.integers(1, 3), st.sampled_from(TOPICS)),
    st.tuples(st.just("release"), st.integers(0, 1), st.integers(1, 3)),
    st.tuples(st.just("ack"), st.integers(0, 1), st.sampled_from(["puback", "pubrec", "pubcomp"]), st.integers(1, 6)),
    st.tuples(st.just("drop"), st.integers(0, 1)),
    st.tuples(st.just("back"), st.integers(0, 1)),
    st.tuples(st.just("commit")),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(operation, max_size=60))
def test_restored_core_goes_on_where_the_first_one_was(operations: list[tuple[Any, ...]]) -> None:
    """Whatever happens, and whenever commits come: both cores send the same bytes when the clients come back."""
    world = World()
    paper = Paper(world)
    clients = [lasting(world, f"c{i}", receive_max=2) for i in range(2)]
    online = [True, True]
    for client in clients:
        for topic in TOPICS[:2]:
            client.subscribe(topic, 2)
    for n, (name, *how) in enumerate(operations):
        if name == "publish":
            topic, qos, retain, empty = how
            world.publish(topic, b"" if empty else b"%d" % n, qos=qos, retain=retain)
        elif name == "commit":
            paper.commit()
        elif name == "drop" and online[how[0]]:
            online[how[0]] = False
            clients[how[0]].close()
        elif name == "back" and not online[how[0]]:
            online[how[0]] = True
            clients[how[0]].connect(receive_max=2)
            clients[how[0]].resume()
        elif name in ("inbound", "release", "ack") and online[how[0]]:
            client = clients[how[0]]
            if name == "inbound":
                data = v311.publish(how[2], b"%d" % n, qos=2, mid=how[1])
            elif name == "release":
                data = v311.pubrel(how[1])
            else:
                data = getattr(v311, how[1])(how[2])
            if client.feed(data) > lib.MQ_STOPPED:
                online[how[0]] = False
                client.close()
        for i, client in enumerate(clients):
            if online[i]:
                client.sent()
    for i, client in enumerate(clients):
        if online[i]:
            client.close()
    paper.commit()

    second = World()
    paper_again = Paper(second)
    restored = [lasting(second, f"c{i}") for i in range(2)]
    for client, before in zip(restored, clients, strict=True):
        lib.mq_conn_close(client.conn)
        lib.mq_session_set_last_mid(client.session, lib.mq_session_last_mid(before.session))
        for topic in TOPICS[:2]:
            client.subscribe(topic, 2)
    paper.restore(paper_again, {b"c0": restored[0].session, b"c1": restored[1].session})
    assert lib.mq_journal_pending(second.core.c) == 0
    for before, after in zip(clients, restored, strict=True):
        assert inbound(before) == inbound(after)
        before.connect()
        after.connect()
        assert before.resume() == after.resume()
    for side, books in ((world, paper), (second, paper_again)):
        books.commit()
        reader = side.client("reader")
        side.said.append(split(reader.retained("#")))
        lib.mq_session_free(reader.session)
    assert world.said[-1] == second.said[-1]


def split(stream: bytes) -> list[bytes]:
    """The packets in a stream of short ones, sorted: a store does not know which topic was there first."""
    packets = []
    while stream:
        packets.append(stream[: 2 + stream[1]])
        stream = stream[2 + stream[1] :]
    return sorted(packets)


def inbound(client: Client) -> list[int]:
    """The packet identifiers that wait for PUBREL, found by sending it."""
    client.connect()
    answers = []
    for mid in (1, 2, 3):
        before = client.world.core.stats.stored
        client.feed(v311.pubrel(mid))
        answers.append(int(client.world.core.stats.stored != before))
    client.sent()
    client.close()
    return answers
