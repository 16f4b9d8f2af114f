"""mosquitto.db as the core writes it: what is selected, in which order, and that it can be read again."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosq.core import ffi, lib
from mosq.persistence.format import (
    BaseMessage,
    Client,
    ClientMessage,
    Configuration,
    Content,
    Retained,
    Subscription,
    encode,
)
from mosq.record import Record
from tests.csrc.database import contents, load, save
from tests.csrc.peer import Client as Peer
from tests.csrc.peer import World


def kept(core: World, client_id: str, **terms: int) -> Peer:
    """A connected client whose session outlives the connection."""
    peer = core.client(client_id, **terms)
    lib.mq_session_durable(peer.session, 1)
    return peer


def written(core: World, *peers: Peer) -> list[Content]:
    """The chunks after CFG."""
    return contents(save(core, {peer.session: Client(b"") for peer in peers}))[1:]


def of(kind: type[Record], chunks: list[Content]) -> list[Any]:
    return [content for content in chunks if isinstance(content, kind)]


# ---- what is selected, and the order -------------------------------------------------------------------------------


def test_an_empty_core_is_a_header_and_a_configuration() -> None:
    data = save(World(), {}, shutdown=True)
    assert len(data) == 47
    assert contents(data) == [Configuration(0, 1)]


def test_a_client_is_written_with_what_the_broker_says_of_it() -> None:
    core = World()
    peer = kept(core, "a")
    client = Client(b"a", b"carol", 0, 1884, 12345, 600)
    assert contents(save(core, {peer.session: client}))[1:] == [client]


def test_only_sessions_that_outlive_their_connection_are_written() -> None:
    core = World()
    passing, lasting, nameless = core.client("passing"), kept(core, "lasting"), kept(core, "lasting")
    nameless.session = lib.mq_session_new(core.core.c, b"", 0)
    lib.mq_session_durable(nameless.session, 1)
    for peer in (passing, lasting, nameless):
        peer.subscribe("t", 1)
    chunks = written(core, passing, lasting, nameless)
    assert [client.client_id for client in of(Client, chunks)] == [b"lasting"]
    assert of(Subscription, chunks) == [Subscription(b"lasting", b"t", 1)]


def test_a_message_is_written_once_however_many_wait_for_it() -> None:
    core = World()
    peers = [kept(core, client_id) for client_id in "ab"]
    for peer in peers:
        peer.subscribe("t", 1)
    core.publish("t", b"x", qos=1, retain=True)
    (message,) = of(BaseMessage, written(core, *peers))
    assert (message.topic, message.payload, message.qos, message.retain) == (b"t", b"x", 1, 1)


def test_messages_are_in_the_order_of_their_creation() -> None:
    """The retained tree has another one: depth first, and a message that is set again keeps the place of its topic."""
    core = World()
    for topic in ("b/1", "a", "b/2", "$foo/x", "a/1", "c", "b/1"):
        core.publish(topic, b"x", retain=True)
    chunks = written(core)
    messages = of(BaseMessage, chunks)
    assert [message.topic for message in messages] == [b"a", b"b/2", b"$foo/x", b"a/1", b"c", b"b/1"]
    topic = {message.store_id: message.topic for message in messages}
    retained = [topic[content.store_id] for content in of(Retained, chunks)]
    assert retained == [b"b/1", b"b/2", b"a", b"a/1", b"c", b"$foo/x"]


def test_the_chunks_are_in_the_order_of_the_format() -> None:
    core = World()
    peers = [kept(core, client_id) for client_id in "ab"]
    for peer in peers:
        peer.subscribe("t", 1)
    core.publish("t", b"x", qos=1, retain=True)
    order = [BaseMessage, Client, ClientMessage, Client, ClientMessage, Subscription, Subscription, Retained]
    assert [type(content) for content in written(core, *peers)] == order


def test_what_the_broker_says_of_itself_is_not_kept() -> None:
    core = World()
    core.publish("$SYS/broker/uptime", b"1", retain=True)
    core.publish("$other", b"1", retain=True)
    assert [type(content) for content in written(core)] == [BaseMessage, Retained]


def test_what_the_broker_said_to_a_client_is_kept_for_it() -> None:
    """Also when it is no longer the value of its topic, and only one client waits for it."""
    core = World()
    peer = kept(core, "a")
    peer.subscribe("$SYS/#", 1)
    for n in (b"1", b"2"):
        core.publish("$SYS/broker/uptime", n, qos=1, retain=True)
    chunks = written(core, peer)
    assert [(message.payload, message.retain) for message in of(BaseMessage, chunks)] == [(b"1", 0), (b"2", 0)]
    assert len(of(ClientMessage, chunks)) == 2
    assert of(Retained, chunks) == []


def test_messages_of_a_session_are_written_in_their_states() -> None:
    core = World()
    peer = kept(core, "a", receive_max=3)
    peer.subscribe("t", 2)
    peer.publish("in", b"in", qos=2, mid=5, retain=True)
    for qos in (1, 2, 2, 1, 2):
        core.publish("t", b"x", qos=qos)
    peer.feed(peer.packets.pubrec(2))
    peer.close()
    core.publish("t", b"x", qos=1)
    found = [
        (message.direction, message.mid, message.qos, message.state, message.dup, message.retain)
        for message in of(ClientMessage, written(core, peer))
    ]
    assert found == [
        (0, 5, 2, 7, 0, 1),
        (1, 1, 1, 3, 1, 0),
        (1, 2, 2, 9, 1, 0),
        (1, 3, 2, 5, 1, 0),
        (1, 4, 1, 11, 0, 0),
        (1, 5, 2, 11, 0, 0),
        (1, 6, 1, 11, 0, 0),
    ]


def test_a_message_says_who_published_it() -> None:
    core = World()
    peer = core.client("p", version=5)
    assert lib.mq_session_source(peer.session, b"carol", 5, 1, 1884) == lib.MQ_OK
    properties = b"\x01\x01\x02\0\0\0\x09\x03\0\1t\x26\0\1k\0\1v"
    peer.publish("t", b"x", qos=1, mid=77, retain=True, properties=properties)
    (message,) = of(BaseMessage, written(core))
    assert message == BaseMessage(
        message.store_id,
        b"t",
        b"x",
        1,
        1,
        core.wall + 9,
        b"p",
        b"carol",
        77,
        1884,
        ((0x01, 1), (0x03, b"t"), (0x26, (b"k", b"v"))),
    )


# ---- subscriptions -------------------------------------------------------------------------------------------------


def test_subscriptions_are_written_level_by_level_and_in_the_order_of_subscribing() -> None:
    core = World()
    a, b = kept(core, "a"), kept(core, "b")
    b.subscribe("x/y", 1)
    for topic_filter in ("$SYS/#", "z", "x/+", "x", "#", "x/y", "/", "//+", "+/#"):
        a.subscribe(topic_filter, 0)
    b.subscribe("x")
    found = [
        content.topic.decode() if content.client_id == b"a" else f"b {content.topic.decode()}"
        for content in of(Subscription, written(core, a, b))
    ]
    assert found == ["x", "b x", "b x/y", "x/y", "x/+", "z", "#", "/", "//+", "+/#", "$SYS/#"]


@pytest.mark.parametrize("options", [0x00, 0x05, 0x0A, 0x11, 0x2E])
def test_a_subscription_keeps_its_options_and_its_identifier(options: int) -> None:
    core = World()
    peer = kept(core, "a")
    peer.subscribe("t", options, 268435455)
    assert of(Subscription, written(core, peer)) == [Subscription(b"a", b"t", options & 3, options & ~3, 268435455)]


def test_a_shared_subscription_is_written_in_full() -> None:
    core = World()
    a, b = kept(core, "a"), kept(core, "b")
    for peer, topic_filter in ((a, "$share/g/t/#"), (b, "$share/h/t/#"), (b, "$share/g/t/#"), (a, "t/#")):
        peer.subscribe(topic_filter, 1)
    assert of(Subscription, written(core, a, b)) == [
        Subscription(b"a", b"t/#", 1),
        Subscription(b"a", b"$share/g/t/#", 1),
        Subscription(b"b", b"$share/g/t/#", 1),
        Subscription(b"b", b"$share/h/t/#", 1),
    ]


def test_ended_subscriptions_are_not_written() -> None:
    core = World()
    peers = [kept(core, f"c{n}") for n in range(9)]
    for peer in peers:
        peer.subscribe("t", 1)
        peer.subscribe("$share/g/t", 1)
    for peer in peers[1::2]:
        peer.unsubscribe("t")
        peer.unsubscribe("$share/g/t")
    left = of(Subscription, written(core, *peers))
    assert [content.client_id for content in left] == [b"c0", b"c2", b"c4", b"c6", b"c8"] * 2


# ---- back again ----------------------------------------------------------------------------------------------------

names = st.lists(st.sampled_from(["", "a", "b", "$s", "é"]), min_size=1, max_size=4).map("/".join).filter(bool)
ids = st.sampled_from([b"a", b"b", b"\xff\0", b"client"])
filters = st.one_of(names, st.sampled_from(["#", "+", "a/#", "$share/g/a/#", "$share/h/+", "$share/g/+/b"]))


@st.composite
def databases(draw: st.DrawFn) -> bytes:
    """A file in the order in which the core writes it, so that it has to come out as it is."""
    messages = [
        BaseMessage(
            store_id,
            draw(names).encode(),
            draw(st.binary(min_size=1, max_size=9)),
            draw(st.integers(0, 2)),
            draw(st.integers(0, 1)),
            draw(st.sampled_from([0, 2_000_000])),
            draw(st.sampled_from([b"", b"p"])),
            draw(st.sampled_from([b"", b"carol"])),
            draw(st.integers(0, 65535)),
            draw(st.sampled_from([0, 1883])),
            draw(st.sampled_from([(), ((0x01, 1),), ((0x26, (b"k", b"v")), (0x09, b"\xff"))])),
        )
        for store_id in sorted(draw(st.sets(st.integers(1, 2**53), max_size=6)))
    ]
    used: set[int] = set()
    sessions: list[Content] = []
    for client_id in draw(st.lists(ids, unique=True)):
        client = Client(client_id, draw(st.sampled_from([b"", b"u"])), draw(st.integers(1, 65535)), 1883, 0, 60)
        sessions.append(client)
        waiting = draw(st.lists(st.sampled_from(messages), max_size=5)) if messages else []
        used |= {message.store_id for message in waiting}
        sessions += deliveries(draw, client_id, [message.store_id for message in waiting])
    subscriptions = [Subscription(client.client_id, b"t", 1) for client in sessions if isinstance(client, Client)]
    retained: dict[bytes, int] = {}
    for message in messages:
        if message.store_id not in used:
            retained[message.topic] = message.store_id
    last = max((message.store_id for message in messages), default=0)
    chunks = [message for message in messages if message.store_id in used | set(retained.values())]
    tops = [Retained(store_id) for store_id in retained.values()]
    return encode((Configuration(last), *chunks, *sessions, *subscriptions, *tops))


def deliveries(draw: st.DrawFn, client_id: bytes, store_ids: list[int]) -> list[Content]:
    """What a session waits for: first from the client, then in flight, then queued."""
    kinds = sorted(draw(st.sampled_from("ifq")) for _ in store_ids)
    out: list[Content] = []
    for mid, (kind, store_id) in enumerate(zip(sorted(kinds, key="ifq".index), store_ids, strict=True), 1):
        identifier = draw(st.sampled_from([0, 1, 268435455]))
        retain = draw(st.integers(0, 1))
        if kind == "i":
            out.append(ClientMessage(client_id, store_id, mid, 2, retain, 0, 0, 7))
            continue
        qos = draw(st.integers(1, 2))
        state = 11 if kind == "q" else 3 if qos == 1 else draw(st.sampled_from([5, 9]))
        out.append(ClientMessage(client_id, store_id, mid, qos, retain, int(kind == "f"), 1, state, identifier))
    return out


def again(data: bytes) -> bytes:
    core = World()
    read = load(core, data)
    return save(core, {read.sessions[key]: client for key, client in read.clients.items()})


@settings(max_examples=150, deadline=None)
@given(databases())
def test_what_was_read_is_written_again(data: bytes) -> None:
    """The same chunks; retained messages and subscriptions go by the tree, whose order is kept from then on."""
    first = again(data)
    assert sorted(map(repr, contents(first))) == sorted(map(repr, contents(data)))
    assert again(first) == first


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(ids, filters, st.integers(0, 2)), max_size=12))
def test_subscriptions_come_back_in_the_same_order(subscribed: list[tuple[bytes, str, int]]) -> None:
    clients = [Client(client_id) for client_id in dict.fromkeys(item[0] for item in subscribed)]
    wanted = {(client_id, name): qos for client_id, name, qos in subscribed}
    subscriptions = [Subscription(client_id, name.encode(), qos) for (client_id, name), qos in wanted.items()]
    first = again(encode((Configuration(0), *clients, *subscriptions)))
    assert sorted(map(repr, of(Subscription, contents(first)))) == sorted(map(repr, subscriptions))
    assert again(first) == first


def test_a_topic_of_the_greatest_length_and_depth_comes_back() -> None:
    """Deeper than a client may publish to: a mount point stands in front."""
    deep = "/".join(["x"] * 400)
    long = "y" * 65535
    messages = [BaseMessage(n, topic.encode(), b"x") for n, topic in enumerate((deep, long), 1)]
    data = encode((Configuration(2), *messages, Retained(1), Retained(2)))
    assert again(data) == data


@pytest.mark.parametrize("n", [262143, 262144, 262145, 3_000_000])
def test_a_payload_may_be_larger_than_the_buffer(n: int) -> None:
    messages = [BaseMessage(i, b"t%d" % i, bytes([i]) * n) for i in (1, 2)]
    data = encode((Configuration(2), *messages, Retained(1), Retained(2)))
    assert again(data) == data


# ---- what goes wrong -----------------------------------------------------------------------------------------------


def finish(core: World, fd: int) -> int:
    writer = lib.mq_writer_new(core.core.c, fd, 0)
    lib.mq_writer_messages(writer)
    lib.mq_writer_subscriptions(writer)
    lib.mq_writer_retained(writer)
    error: int = lib.mq_writer_finish(writer, ffi.NULL)
    return error


def test_a_full_disk_is_said_at_the_end() -> None:
    core = World()
    for n in range(100):
        core.publish(f"t/{n}", bytes(10_000), retain=True)
    with open("/dev/full", "wb", buffering=0) as full:
        assert finish(core, full.fileno()) == errno.ENOSPC


def test_a_descriptor_that_cannot_be_written_to_is_said() -> None:
    with open(os.devnull, "rb") as unwritable:
        assert finish(World(), unwritable.fileno()) == errno.EBADF


def test_a_full_heap_can_still_be_saved() -> None:
    core = World()
    core.publish("t", bytes(5000), retain=True)
    core.core.options.memory_limit = core.core.stats.heap
    assert len(of(BaseMessage, written(core))) == 1


def test_saving_changes_nothing() -> None:
    core = World()
    peer = kept(core, "a")
    peer.subscribe("t", 1)
    core.publish("t", b"x", qos=1, retain=True)
    before = bytes(ffi.buffer(lib.mq_core_stats(core.core.c)))
    assert written(core, peer) == written(core, peer)
    assert bytes(ffi.buffer(lib.mq_core_stats(core.core.c))) == before
