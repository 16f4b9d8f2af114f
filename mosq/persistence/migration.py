"""The contents of a mosquitto.db as rows of the durable store's database.

Rows go in as chunks come, in the order of the file, which is the order in which a session's messages wait. What a
broker would skip when it reads the file is skipped here: what belongs to no session or to no message. The packet
identifier used last has no column: a broker goes on from that of the last message it finds.
"""

from __future__ import annotations

import sqlite3

from mosq.packets import properties as wire
from mosq.persistence import format as db
from mosq.persistence.properties import to_text
from mosq.persistence.sqlite_schema import TABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_QOS = 2
_RETAIN_AVAILABLE = 1
"""What a session is taken to know of its listener until it connects again."""


def migrate(chunks: Iterable[db.Chunk], database: sqlite3.Connection) -> None:
    """Fill the empty tables of `database`, within the caller's transaction.

    Raises FormatError for what no broker would read, and sqlite3.Error.
    """
    migration = _Migration(database)
    for chunk in chunks:
        try:
            migration.add(chunk.content)
        except UnicodeDecodeError:
            raise db.FormatError(chunk.offset, "text that is not UTF-8") from None
        except sqlite3.IntegrityError:
            raise db.FormatError(chunk.offset, "what is there already") from None


def _signed(value: int, bits: int) -> int:
    """An unsigned number as the columns hold it."""
    return value - (1 << bits) if value >> (bits - 1) else value


class _Migration:
    """What later chunks refer to."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._messages: dict[int, str | None] = {}  # store id: topic, if it can be retained
        self._clients: dict[bytes, str | None] = {}  # id: user name
        self._rows = 0

    def add(self, content: db.Content) -> None:
        if isinstance(content, db.BaseMessage):
            self._add_message(content)
        elif isinstance(content, db.ClientMessage):
            self._add_client_message(content)
        elif isinstance(content, db.Retained):
            self._add_retained(content)
        elif isinstance(content, db.Client):
            self._add_client(content)
        elif isinstance(content, db.Subscription):
            self._add_subscription(content)

    def _insert(self, table: str, *values: int | str | bytes | None, verb: str = "INSERT") -> None:
        columns = ",".join(name for name, _ in TABLES[table] if name != "PRIMARY KEY")
        self._database.execute(f"{verb} INTO {table} ({columns}) VALUES ({','.join('?' * len(values))})", values)

    def _add_message(self, it: db.BaseMessage) -> None:
        topic = it.topic.decode()
        self._messages[it.store_id] = topic if it.payload else None
        self._insert(
            "base_msgs", _signed(it.store_id, 64), it.expires, topic, it.payload or None, it.client_id.decode(),
            it.username.decode() or None, len(it.payload), it.mid, it.port, it.qos, it.retain,
            to_text(wire.encode(it.properties)),
        )  # fmt: skip

    def _add_client_message(self, it: db.ClientMessage) -> None:
        if it.client_id not in self._clients or it.store_id not in self._messages:
            return
        self._rows += 1
        self._insert(
            "client_msgs", it.client_id.decode(), self._rows, _signed(it.store_id, 64), it.dup, it.direction, it.mid,
            it.qos, it.retain, it.state, it.identifier,
        )  # fmt: skip

    def _add_retained(self, it: db.Retained) -> None:
        topic = self._messages.get(it.store_id)
        if topic is not None:
            self._insert("retains", topic, _signed(it.store_id, 64), verb="INSERT OR REPLACE")

    def _add_client(self, it: db.Client) -> None:
        """A second one of the same id has the last word about its end, the first one about its user."""
        if not it.client_id:
            return
        username = self._clients.setdefault(it.client_id, it.username.decode() or None)
        self._insert(
            "clients", it.client_id.decode(), username, 0, 0, it.expires, it.port, 0, _MAX_QOS, _RETAIN_AVAILABLE,
            _signed(it.interval, 32), 0,
            verb="INSERT OR REPLACE",
        )  # fmt: skip

    def _add_subscription(self, it: db.Subscription) -> None:
        if it.client_id in self._clients and it.topic:
            self._insert(
                "subscriptions", it.client_id.decode(), it.topic.decode(), it.qos & 3 | it.options & 0xFC,
                it.identifier,
                verb="INSERT OR REPLACE",
            )  # fmt: skip
