"""mosquitto.db through the core: a file's bytes go in with load(), a core's contents come out with save().

The caller of the reader here does the least that a broker does: it makes a session for each client, and subscribes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from mosq.core import ffi, lib
from mosq.persistence.format import Client, Content, Subscription, decode
from tests.csrc.peer import Client as Peer
from tests.csrc.peer import World


class CorruptError(Exception):
    """The reader refused: why (MQ_BAD_...), where, the value found there and the one that was wanted."""

    def __init__(self, found: Any) -> None:
        super().__init__(found.why, found.offset, found.value, found.wanted)
        self.why, self.offset, self.value, self.wanted = self.args
        self.chunk = found.chunk


class Database:
    """What was read: the sessions made for it and what else was said."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clients: dict[bytes, Client] = {}
        self.sessions: dict[bytes, Any] = {}
        self.owners: list[bytes] = []
        self.subscriptions: list[Subscription] = []
        self.odd: list[tuple[int, int]] = []
        self.version = self.last_id = 0
        self.counts: tuple[int, ...] = ()
        self.skipped: tuple[int, ...] = ()  # orphans of clients, orphans of messages, expired messages

    def client(self, found: Any) -> Any:
        client_id = text(found.client_id, found.client_id_n)
        username = text(found.username, found.username_n)
        self.clients[client_id] = Client(client_id, username, found.last_mid, found.port, found.expires, found.interval)
        session = self.sessions[client_id] = lib.mq_session_new(self.world.core.c, client_id, len(client_id))
        lib.mq_session_durable(session, 1)
        lib.mq_session_set_last_mid(session, found.last_mid)
        return session

    def subscribe(self, found: Any) -> None:
        client_id, topic = text(found.client_id, found.client_id_n), text(found.filter, found.filter_n)
        qos, options = found.options & 3, found.options & ~3
        self.subscriptions.append(Subscription(client_id, topic, qos, options, found.id))
        session = self.sessions.get(client_id)
        if session:
            status = lib.mq_subscribe(session, topic, len(topic), found.options, found.id)
            assert status in (lib.MQ_OK, lib.MQ_EXISTS)


def text(pointer: Any, n: int) -> bytes:
    return bytes(ffi.buffer(pointer, n)) if n else b""


def load(world: World, data: bytes, piece: int = 1 << 20) -> Database:
    """Read a file into an empty core, `piece` bytes at a time. Raises CorruptError."""
    into = Database(world)
    reader = lib.mq_reader_new(world.core.c)
    found = ffi.new("mq_found *")
    try:
        for part in pieces(data, piece):
            lib.mq_reader_feed(reader, part, len(part))
            while (what := lib.mq_reader_next(reader, found)) not in (lib.MQ_FOUND_MORE, lib.MQ_FOUND_END):
                handle(into, reader, what, found)
        assert what == lib.MQ_FOUND_END
        assert lib.mq_reader_next(reader, found) == lib.MQ_FOUND_END
        counts = lib.mq_reader_counts(reader)
        into.counts = tuple(
            getattr(counts, name) for name in ("messages", "retained", "clients", "subscriptions", "client_messages")
        )
        into.skipped = counts.orphans_of_clients, counts.orphans_of_messages, counts.expired
        into.version = lib.mq_reader_version(reader)
        return into
    finally:
        lib.mq_reader_free(reader)


def pieces(data: bytes, n: int) -> Iterator[Any]:
    """Each piece in memory of its own, so that a sanitizer sees a step beyond it; the last one is empty."""
    for at in range(0, len(data), n):
        part = data[at : at + n]
        room = ffi.new("uint8_t[]", len(part))
        ffi.memmove(room, part, len(part))
        yield room
    yield ffi.new("uint8_t[]", 0)


def handle(into: Database, reader: Any, what: int, found: Any) -> None:
    if what == lib.MQ_FOUND_BAD:
        again = ffi.new("mq_found *")
        assert lib.mq_reader_next(reader, again) == lib.MQ_FOUND_BAD
        assert bytes(ffi.buffer(again)) == bytes(ffi.buffer(found))
        raise CorruptError(found)
    if what == lib.MQ_FOUND_CFG:
        into.last_id = found.value
    elif what == lib.MQ_FOUND_CLIENT:
        lib.mq_reader_session(reader, into.client(found))
    elif what == lib.MQ_FOUND_OWNER:
        client_id = text(found.client_id, found.client_id_n)
        into.owners.append(client_id)
        if client_id in into.sessions:
            lib.mq_reader_session(reader, into.sessions[client_id])
    elif what == lib.MQ_FOUND_SUB:
        into.subscribe(found)
    else:
        assert what == lib.MQ_FOUND_ODD
        into.odd.append((found.why, found.chunk))


def save(world: World, clients: dict[Any, Client], *, shutdown: bool = False) -> bytes:
    """The file of a core. `clients` says of each session what the core does not know, in the order of the file."""
    fd = os.memfd_create("mosquitto.db")
    length = ffi.new("uint64_t *")
    try:
        writer = lib.mq_writer_new(world.core.c, fd, shutdown)
        lib.mq_writer_messages(writer)
        for session, client in clients.items():
            name = ffi.from_buffer(client.username) if client.username else ffi.NULL
            fields = (client.expires, client.interval, name, len(client.username), client.port)
            lib.mq_writer_client(writer, session, ffi.new("mq_client *", fields))
        lib.mq_writer_subscriptions(writer)
        lib.mq_writer_retained(writer)
        assert lib.mq_writer_finish(writer, length) == 0
        assert length[0] == os.fstat(fd).st_size
        return os.pread(fd, length[0], 0)
    finally:
        os.close(fd)


def resumed(world: World, session: Any, version: int = 4) -> bytes:
    """What a client gets that takes up a session."""
    client = object.__new__(Peer)
    client.world, client.owner, client.version, client.session = world, 1, version, session
    client.connect()
    return client.resume()


def contents(data: bytes) -> list[Content]:
    return [chunk.content for chunk in decode(data)]
