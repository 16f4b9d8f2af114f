"""From the database into the broker, table by table, in an order in which everything finds what it refers to.

Nothing in the file is believed: a value that makes no sense fails its row, is counted, and stays where it is. Rows that
are merely without an owner (a message of a session that is not there) are garbage, and named for deletion (`garbage`);
messages and rows that the core does not take are named by its journal. An error of SQLite ends it all: who starts with
a part of what was promised loses the rest.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

from mosq.core import ffi, lib
from mosq.packets.connect import NEVER, Will
from mosq.persistence import properties
from mosq.persistence.sqlite_schema import TABLES, columns_of

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any

    from mosq.broker import Broker
    from mosq.session import Session

    Row = dict[str, Any]

_LAST_ROW = 2**62
"""Row numbers grow from the last one; this is never reached otherwise."""
_TEXT_MAX = 65535


class _UselessError(Exception):
    """A value that no broker has written."""


class RestoreError(Exception):
    """SQLite cannot read the table called `what` in the log; `text` says why."""

    def __init__(self, what: str, text: str) -> None:
        super().__init__(what, text)
        self.what = what
        self.text = text


def _integer(row: Row, name: str, low: int, high: int) -> int:
    value = row[name]
    if value is None:
        value = 0
    if type(value) is not int or not low <= value <= high:
        raise _UselessError(name)
    return int(value)


def _store_id(row: Row) -> int:
    """64 bits, which the file has as a signed number."""
    return _integer(row, "store_id", -(2**63), 2**63 - 1) & (2**64 - 1)


def _text(row: Row, name: str) -> bytes | None:
    """UTF-8 of a string as MQTT knows it, or None."""
    value = row[name]
    if value is None:
        return None
    if not isinstance(value, bytes) or len(value) > _TEXT_MAX or not lib.mq_utf8_valid(value, len(value)):
        raise _UselessError(name)
    return value


def _name(row: Row, name: str) -> bytes:
    """As `_text`, and not empty."""
    value = _text(row, name)
    if not value:
        raise _UselessError(name)
    return value


def _blob(row: Row, name: str) -> bytes:
    value = row[name]
    return value if isinstance(value, bytes) else b""


class Restoration:
    """One pass over the database `db`. `garbage`: (table, row number) of rows that mean nothing any more."""

    def __init__(self, broker: Broker, db: sqlite3.Connection) -> None:
        self.garbage: list[tuple[str, int]] = []
        self._broker = broker
        self._db = db
        self._record = ffi.new("mq_record *")
        self._delivery = ffi.new("mq_delivery *")
        self._expired: set[int] = set()
        self._last_mids: dict[str, int] = {}
        self._now = int(broker.reactor.wall)

    def run(self) -> None:
        """Raises RestoreError, MemoryError."""
        for what, table, order, restore in (
            ("base messages", "base_msgs", "rowid", self._message),
            ("retained messages", "retains", "topic", self._retained),
            ("clients", "clients", "rowid", self._client),
            ("subscriptions", "subscriptions", "rowid", self._subscription),
            ("client messages", "client_msgs", "rowid", self._delivery_row),
            ("will messages", "wills", "rowid", self._will),
        ):
            self._table(what, table, order, restore)
        for client_id, mid in self._last_mids.items():
            lib.mq_session_set_last_mid(self._broker.sessions.by_id[client_id].c, mid)
        lib.mq_restore_done(self._broker.core.c, 0)

    def _table(self, what: str, table: str, order: str, restore: Callable[[Row], bool]) -> None:
        done = failed = 0
        try:
            for row in self._rows(table, order):
                try:
                    good = restore(row)
                except _UselessError:
                    good = False
                done += good
                failed += not good
        except sqlite3.Error as exc:
            raise RestoreError("messages" if table == "base_msgs" else what, str(exc)) from exc
        self._broker.log.info("sqlite: Restored %d %s (%d failed)", done, what, failed)

    def _rows(self, table: str, order: str) -> Iterator[Row]:
        """The rows as dictionaries, with "rowid". Columns that an older file does not have are NULL."""
        there = columns_of(self._db, table)
        if not there:
            return
        names = ["rowid", *(name for name, _ in TABLES[table] if name != "PRIMARY KEY")]
        columns = ["rowid"]
        for name, kind in TABLES[table]:
            if name == "PRIMARY KEY":
                continue
            if name not in there:
                columns.append("NULL")
            else:
                columns.append(f"CAST({name} AS TEXT)" if kind.startswith("TEXT") else name)
        for values in self._db.execute(f"SELECT {','.join(columns)} FROM {table} ORDER BY {order}"):
            yield dict(zip(names, values, strict=True))

    # The tables

    def _message(self, row: Row) -> bool:
        topic, payload = _name(row, "topic"), _blob(row, "payload")
        client_id, username = _text(row, "source_id") or b"", _text(row, "source_username")
        encoded = properties.from_text(row["properties"], self._warn)
        record = self._record
        keep = [ffi.from_buffer(piece) for piece in (topic, encoded, payload, client_id, username or b"")]
        record.topic, record.properties, record.payload, record.client_id, record.username = keep
        if username is None:
            record.username = ffi.NULL
        record.id = _store_id(row)
        record.expires = _integer(row, "expiry_time", -(2**63), 2**63 - 1)
        if record.expires < 0:
            record.expires = 0
        record.topic_n, record.properties_n, record.payload_n = len(topic), len(encoded), len(payload)
        record.client_id_n, record.username_n = len(client_id), len(username or b"")
        record.port = _integer(row, "source_port", 0, 65535)
        record.mid = _integer(row, "source_mid", 0, 65535)
        record.qos = _integer(row, "qos", 0, 2)
        record.retain = _integer(row, "retain", 0, 1)
        status = _sound(lib.mq_restore_message(self._broker.core.c, record))
        if status == lib.MQ_NONE:
            self._expired.add(record.id)
        return status in (lib.MQ_OK, lib.MQ_NONE)

    def _retained(self, row: Row) -> bool:
        message = _store_id(row)
        status = _sound(lib.mq_restore_retained(self._broker.core.c, message))
        if status != lib.MQ_OK:
            self.garbage.append(("retains", row["rowid"]))
        return status == lib.MQ_OK or message in self._expired

    def _client(self, row: Row) -> bool:
        client_id, username = _name(row, "client_id"), _text(row, "username")
        max_packet = _integer(row, "max_packet_size", -(2**31), 2**32 - 1) & 0xFFFFFFFF
        session = self._broker.sessions.restore(
            client_id.decode(),
            expiry=_integer(row, "session_expiry_interval", -(2**31), 2**32 - 1) & NEVER,
            ends=max(0, _integer(row, "session_expiry_time", -(2**63), 2**53)),
            username=username.decode() if username else None,
            listener=self._broker.listener_on(_integer(row, "listener_port", 0, 65535)),
        )
        session.max_packet = max_packet
        return True

    def _subscription(self, row: Row) -> bool:
        session, topic = self._session_of(row), _name(row, "topic")
        options = _integer(row, "subscription_options", 0, 0x2F)
        identifier = _integer(row, "subscription_identifier", 0, 0xFFFFFFF)
        if session is None or options & 3 == 3:
            return False
        status = _sound(lib.mq_subscribe(session.c, topic, len(topic), options, identifier))
        return status in (lib.MQ_OK, lib.MQ_EXISTS)

    def _delivery_row(self, row: Row) -> bool:
        number = row["rowid"]
        if not 0 < number < _LAST_ROW:
            return False
        session, delivery = self._session_of(row), self._delivery
        delivery.row = number
        delivery.message = _store_id(row)
        delivery.id = _integer(row, "subscription_identifier", 0, 0xFFFFFFF)
        delivery.mid = _integer(row, "mid", 0, 65535)
        delivery.qos = _integer(row, "qos", 0, 2)
        delivery.retain = _integer(row, "retain", 0, 1)
        delivery.dup = _integer(row, "dup", 0, 255) != 0
        delivery.stage = _integer(row, "state", 0, 255)
        delivery.incoming = _integer(row, "direction", 0, 1) == 0
        if session is None or not self._is_wanted(delivery):
            self.garbage.append(("client_msgs", number))
            return False
        status = _sound(lib.mq_restore_delivery(session.c, delivery))
        if status == lib.MQ_OK and delivery.mid and not delivery.incoming:
            self._last_mids[session.client_id] = delivery.mid
        return status == lib.MQ_OK or delivery.message in self._expired

    def _is_wanted(self, delivery: Any) -> bool:
        """QoS 0 waits for nobody, unless queue_qos0_messages says so."""
        return bool(delivery.qos or delivery.incoming or self._broker.config.queue_qos0_messages)

    def _will(self, row: Row) -> bool:
        """The will of who is gone for good is published at once, before anybody can connect."""
        client_id, topic = _name(row, "client_id"), _name(row, "topic")
        encoded = properties.from_text(row["properties"], self._warn)
        qos, retain = _integer(row, "qos", 0, 2), _integer(row, "retain", 0, 1)
        if not lib.mq_topic_valid(topic, len(topic)):
            return False
        will = Will(topic, _blob(row, "payload"), qos, bool(retain), encoded)
        session = self._broker.sessions.by_id.get(client_id.decode())
        if session is not None:
            will.delay = self._delay(client_id)
            session.will = will
        else:
            self.garbage.append(("wills", row["rowid"]))
            self._broker.reactor.call_soon(_publish, self._broker, will)
        return True

    def _delay(self, client_id: bytes) -> int:
        """How long the will of a session that is restored has to wait, seconds; NEVER: until the session ends.

        One that was connected waits from now on, one that was offline goes on waiting. One that was offline and waits
        for nothing was published before, by a broker that forgot to remove it.
        """
        query = "SELECT session_expiry_time,will_delay_time,will_delay_interval FROM clients WHERE client_id=?"
        ends, due, interval = self._db.execute(query, (client_id.decode(),)).fetchone()
        if type(due) is int and due > 0:
            return max(0, min(due - self._now, NEVER))
        if ends:
            return NEVER
        return interval & NEVER if type(interval) is int else 0

    def _session_of(self, row: Row) -> Session | None:
        return self._broker.sessions.by_id.get(_name(row, "client_id").decode())

    def _warn(self, text: str) -> None:
        self._broker.log.warning("%s", text)


def _sound(status: int) -> int:
    if status == lib.MQ_NOMEM:
        raise MemoryError("no memory for what the database holds")
    return status


def _publish(broker: Broker, will: Will) -> None:
    lib.mq_publish(
        broker.core.c, ffi.NULL, will.topic, len(will.topic), will.payload, len(will.payload), will.qos,
        int(will.retain and broker.core.options.retain_available), will.properties or ffi.NULL, len(will.properties), 0,
    )  # fmt: skip
