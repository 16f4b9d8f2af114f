"""How much there is of everything: in the whole file, or of each client."""

from __future__ import annotations

from mosq.persistence import format as db

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_LINES: tuple[tuple[type, bytes], ...] = (
    (db.Configuration, b"DB_CHUNK_CFG:        %d\n"),
    (db.BaseMessage, b"DB_CHUNK_BASE_MSG:   %d\n"),
    (db.ClientMessage, b"DB_CHUNK_CLIENT_MSG: %d\n"),
    (db.Retained, b"DB_CHUNK_RETAIN:     %d\n"),
    (db.Subscription, b"DB_CHUNK_SUB:        %d\n"),
    (db.Client, b"DB_CHUNK_CLIENT:     %d\n"),
)


class _Counts:
    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def magic(self) -> None:
        """Nothing to count."""

    def header(self, header: db.Header) -> None:
        """Nothing to count."""


class Stats(_Counts):
    """The number of chunks of each kind. See mosq.cli.dump.View."""

    def __init__(self, out: BinaryIO) -> None:
        super().__init__(out)
        self._counts: dict[type, int] = dict.fromkeys((kind for kind, _ in _LINES), 0)

    def chunk(self, chunk: db.Chunk) -> None:
        self._counts[type(chunk.content)] += 1

    def end(self) -> None:
        for kind, line in _LINES:
            self._out.write(line % self._counts[kind])


class ClientStats(_Counts):
    """The number of subscriptions and of messages of each client, and their bytes in the file; a message counts with
    what all clients share of it. See mosq.cli.dump.View."""

    def __init__(self, out: BinaryIO) -> None:
        super().__init__(out)
        self._messages: dict[int, int] = {}  # store id: bytes
        self._clients: dict[bytes, list[int]] = {}
        self._in_order: list[tuple[list[int], bytes]] = []

    def chunk(self, chunk: db.Chunk) -> None:
        content = chunk.content
        if isinstance(content, db.BaseMessage):
            self._messages[content.store_id] = chunk.length
        elif isinstance(content, db.Client):
            counts = [0, 0, 0, 0]
            self._clients[content.client_id] = counts
            self._in_order.append((counts, content.client_id))
        elif isinstance(content, db.Subscription):
            self._count(content.client_id, 0, chunk.length)
        elif isinstance(content, db.ClientMessage):
            self._count(content.client_id, 2, chunk.length + self._messages.get(content.store_id, 0))

    def _count(self, client_id: bytes, column: int, size: int) -> None:
        """One more in `column`, and `size` bytes in the next one. Before its client a chunk counts nowhere."""
        counts = self._clients.get(client_id)
        if counts is not None:
            counts[column] += 1
            counts[column + 1] += size

    def end(self) -> None:
        for (subscriptions, their_size, messages, size), client_id in self._in_order:
            line = b"SC: %d SS: %d MC: %d MS: %d   %s\n"
            self._out.write(line % (subscriptions, their_size, messages, size, client_id))
