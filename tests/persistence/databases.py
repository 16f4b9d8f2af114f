"""Databases for the tests: generated ones, and what a file says regardless of the order and the numbers it uses.

What is generated could have been written by a broker: packet identifiers and states fit together, and nothing expires
during the test.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from mosq.persistence.format import (
    BaseMessage,
    Client,
    ClientMessage,
    Configuration,
    Content,
    Retained,
    Subscription,
    decode,
)

NEVER = 0xFFFFFFFF
FAR = 4_795_217_394
"""Unix seconds, long after every test."""

TOPICS = ["a", "a/b", "a/b/c", "/lead", "trail/", "a//b", "é/ü", "$foo/bar", "deep" + "/x" * 50]
FILTERS = ["#", "a", "a/#", "a/+/c", "+", "+/+", "/+", "é/+", "$foo/#", "a/b/c", "trail/"]
NAMES = ["c", "client", "ключ", "c5", "x" * 60, "with space"]

texts = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, blacklist_categories=("Cc", "Cs")), max_size=8)
properties = st.builds(
    lambda *groups: tuple(p for group in groups for p in group),
    st.lists(st.tuples(st.just(1), st.sampled_from([0, 1])), max_size=1),
    st.lists(st.tuples(st.just(3), texts.map(str.encode)), max_size=1),
    st.lists(st.tuples(st.just(8), st.sampled_from([b"answer", b"a/b"])), max_size=1),
    st.lists(st.tuples(st.just(9), st.binary(max_size=8)), max_size=1),
    st.lists(st.tuples(st.just(0x26), st.tuples(texts.map(str.encode), texts.map(str.encode))), max_size=3),
)
payloads = st.one_of(st.binary(max_size=20), st.sampled_from([bytes(range(256)) * 20, b"x" * 70_000]))
USERS = [b"alice", "ü".encode()]
users = st.sampled_from([b"", *USERS])


@st.composite
def messages(draw: st.DrawFn) -> list[BaseMessage]:
    """Stored messages with growing numbers."""
    count = draw(st.integers(1, 12))
    numbers = sorted(draw(st.sets(st.integers(1, 2**53), min_size=count, max_size=count)))
    return [
        BaseMessage(
            number,
            draw(st.sampled_from(TOPICS)).encode(),
            draw(payloads),
            qos=draw(st.integers(0, 2)),
            retain=draw(st.integers(0, 1)),
            expires=draw(st.sampled_from([0, FAR, FAR + 5])),
            client_id=draw(st.sampled_from([b"", b"pub", "ключ".encode()])),
            username=draw(users),
            mid=draw(st.integers(0, 0xFFFF)),
            properties=draw(properties),
        )
        for number in numbers
    ]


@st.composite
def deliveries(draw: st.DrawFn, client_id: bytes, stored: list[BaseMessage]) -> list[ClientMessage]:
    """Messages of one session: incoming ones, those in flight, those in the queue."""
    out: list[ClientMessage] = []
    common = {"client_id": client_id}
    for mid in draw(st.lists(st.integers(1, 0xFFFF), max_size=3, unique=True)):
        message = draw(st.sampled_from(stored))
        out.append(ClientMessage(**common, store_id=message.store_id, mid=mid, qos=2, direction=0, state=7))
        out[-1].retain = message.retain
    mids = draw(st.lists(st.integers(1, 60_000), max_size=10, unique=True))
    in_flight = draw(st.integers(0, len(mids)))
    for place, mid in enumerate(mids):
        message = draw(st.sampled_from(stored))
        entry = ClientMessage(**common, store_id=message.store_id, mid=mid, retain=draw(st.integers(0, 1)))
        entry.identifier = draw(st.sampled_from([0, 0, 1, 300, 268_435_455]))
        if place < in_flight:
            entry.qos, entry.state = draw(st.sampled_from([(1, 3), (2, 5), (2, 9)]))
            entry.dup = 1
        else:
            entry.qos = draw(st.integers(0, 2))
            entry.mid = mid if entry.qos else 0
        out.append(entry)
    return out


@st.composite
def databases(draw: st.DrawFn) -> list[Content]:
    """The chunks of a file."""
    stored = draw(messages())
    out: list[Content] = [Configuration(2**53, 1), *stored]
    named = draw(st.booleans())  # 2.0.11 gives clients without a user name that of another one
    sessions = [name.encode() for name in draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True))]
    for client_id in sessions:
        entries = draw(deliveries(client_id, stored))
        last = max((entry.mid for entry in entries if entry.direction), default=draw(st.integers(0, 0xFFFF)))
        interval, expires = draw(st.sampled_from([(NEVER, 0), (3_000_000_000, FAR)]))
        username = draw(st.sampled_from(USERS)) if named else b""
        out += [Client(client_id, username, mid=last, expires=expires, interval=interval), *entries]
    for client_id in sessions:
        for topic_filter in draw(st.lists(st.sampled_from(FILTERS), max_size=4, unique=True)):
            options = draw(st.sampled_from([0, 4, 8, 0x10, 0x20, 0x2C]))
            identifier = draw(st.sampled_from([0, 1, 268_435_455]))
            out.append(Subscription(client_id, topic_filter.encode(), draw(st.integers(0, 2)), options, identifier))
    retained: dict[bytes, int] = {m.topic: m.store_id for m in stored if m.payload and draw(st.booleans())}
    return out + [Retained(number) for number in retained.values()]


Row = tuple[Any, ...]
Said = dict[str, list[Row]]


def what_it_says(data: bytes, now: int = 0) -> Said:
    """The contents of a file without its numbers; only the order of messages in a queue or window counts.

    What had expired at `now` (Unix seconds) is left out.
    """
    contents = [chunk.content for chunk in decode(data)]
    clients = [c for c in contents if isinstance(c, Client) and not 0 < c.expires < now]
    stored = {m.store_id: _message(m) for m in contents if isinstance(m, BaseMessage) and not 0 < m.expires < now}
    ids = {c.client_id for c in clients}
    kept = [c for c in contents if isinstance(c, ClientMessage) and c.client_id in ids and c.store_id in stored]
    subscriptions = [c for c in contents if isinstance(c, Subscription) and c.client_id in ids]
    return {
        "clients": sorted((c.client_id, c.username, c.mid, c.expires, c.interval) for c in clients),
        "messages": _queues(kept, stored),
        "subscriptions": sorted((c.client_id, c.topic, c.qos, c.options, c.identifier) for c in subscriptions),
        "retained": sorted(stored[c.store_id] for c in contents if isinstance(c, Retained) and c.store_id in stored),
    }


def as_2_0_keeps_it(said: Said) -> Said:
    """Without what Mosquitto 2.0.11 loses or garbles when it saves what it has restored."""
    return {
        # a client without a user name gets the one of another, or whatever lies there
        "clients": [(client_id, *rest) for client_id, _, *rest in said["clients"]],
        # queued values of $SYS are lost
        "messages": [row for row in said["messages"] if not row[-1][0].startswith(b"$SYS")],
        # so is Retain Handling
        "subscriptions": [(*row, options & ~0x30, number) for *row, options, number in said["subscriptions"]],
        "retained": said["retained"],
    }


def _message(message: BaseMessage) -> Row:
    return (
        message.topic, message.payload, message.qos, message.retain, message.expires, message.client_id,
        message.username, message.mid, message.properties,
    )  # fmt: skip


def _queues(entries: list[ClientMessage], stored: dict[int, Row]) -> list[Row]:
    """A stable sort: the order within a queue stays."""
    return [
        (c.client_id, c.mid, c.qos, c.retain, c.dup, c.direction, c.state, c.identifier, stored[c.store_id])
        for c in sorted(entries, key=lambda c: (c.client_id, c.direction, c.state == 11))
    ]
