"""What changes, as rows of the database.

Two sources. Of messages the core's journal says what there is to write (`Batch`); the values are copied, since the
core's pointers do not live long. About sessions, subscriptions and wills Python says so (`Pending`): of several changes
of one thing only the last counts, so that a store that cannot write for a while does not gather them all.

A message of a session is found by its row number, which the journal hands out: the same message may wait twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from mosq.core import ffi, lib
from mosq.persistence.properties import to_text

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any

    from mosq.packets.connect import Will
    from mosq.session import Session

    Values = tuple[int | str | bytes | None, ...]

_BASE_MESSAGE = "INSERT OR IGNORE INTO base_msgs VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
_CLIENT_MESSAGE = (
    "INSERT OR REPLACE INTO client_msgs (rowid,client_id,cmsg_id,store_id,dup,direction,mid,qos,retain,state,"
    "subscription_identifier) VALUES (?,?,?,?,?,?,?,?,?,?,?)"
)
_CHANGE = "UPDATE client_msgs SET mid=?,qos=?,dup=?,state=? WHERE rowid=?"
_RETAIN = "INSERT OR REPLACE INTO retains VALUES (?,?)"
_CLEAR = "DELETE FROM retains WHERE topic=?"
_GONE = "DELETE FROM client_msgs WHERE rowid=?"
_LOST = "DELETE FROM base_msgs WHERE store_id=?"

_CLIENT = "INSERT OR REPLACE INTO clients VALUES (?,?,?,?,?,?,?,?,?,?,?)"
_OFFLINE = (
    "UPDATE clients SET session_expiry_time=?,session_expiry_interval=?,will_delay_time=?,will_delay_interval=?"
    " WHERE client_id=?"
)
_CLIENT_GONE = "DELETE FROM clients WHERE client_id=?"
_SUBSCRIBED = "INSERT OR REPLACE INTO subscriptions VALUES (?,?,?,?)"
_UNSUBSCRIBED = "DELETE FROM subscriptions WHERE client_id=? AND topic=?"
_ALL_UNSUBSCRIBED = "DELETE FROM subscriptions WHERE client_id=?"
_WILL = "INSERT OR REPLACE INTO wills VALUES (?,?,?,?,?,?,?)"
_NO_WILL = "DELETE FROM wills WHERE client_id=?"


def signed(value: int) -> int:
    """An unsigned number of 32 bits as the file has it."""
    return value - 2**32 if value >= 2**31 else value


def _signed64(value: int) -> int:
    """A store id as the file has it."""
    return value - 2**64 if value >= 2**63 else value


class Batch:
    """One drain of the journal (csrc/durable.h), row by row. `n`: how many rows."""

    __slots__ = ("messages", "deliveries", "changed", "retained", "cleared", "gone", "lost", "n")

    def __init__(self, drain: Any) -> None:
        self.messages = [_message(drain.messages[at]) for at in range(drain.messages_n)]
        self.deliveries = _deliveries(drain)
        self.changed = [_change(drain.changed[at]) for at in range(drain.changed_n)]
        keeps = {_string(keep.topic, keep.topic_n): keep.id for keep in _each(drain.retained, drain.retained_n)}
        self.retained = [(topic, _signed64(message)) for topic, message in keeps.items() if message]
        self.cleared = [(topic,) for topic, message in keeps.items() if not message]
        self.gone = [(row,) for row in _numbers(drain.gone, drain.gone_n)]
        self.lost = [(_signed64(message),) for message in _numbers(drain.gone_messages, drain.gone_messages_n)]
        self.n = sum(len(rows) for _, rows in self._steps())

    def write(self, db: sqlite3.Connection) -> None:
        """Within a transaction. Raises sqlite3.Error."""
        for statement, rows in self._steps():
            if rows:
                db.executemany(statement, rows)

    def _steps(self) -> tuple[tuple[str, list[Any]], ...]:
        return (
            (_BASE_MESSAGE, self.messages),
            (_CLIENT_MESSAGE, self.deliveries),
            (_CHANGE, self.changed),
            (_RETAIN, self.retained),
            (_CLEAR, self.cleared),
            (_GONE, self.gone),
            (_LOST, self.lost),
        )


def _each(array: Any, n: int) -> Iterable[Any]:
    return (array[at] for at in range(n))


def _numbers(array: Any, n: int) -> list[int]:
    return list(ffi.unpack(array, n)) if n else []


def _string(pointer: Any, n: int) -> str:
    return bytes(ffi.buffer(pointer, n)).decode() if n else ""


def _message(record: Any) -> Values:
    n, properties_n = record.payload_n, record.properties_n
    return (
        _signed64(record.id),
        record.expires,
        _string(record.topic, record.topic_n),
        bytes(ffi.buffer(record.payload, n)) if n else None,
        _string(record.client_id, record.client_id_n),
        _string(record.username, record.username_n) if record.username else None,
        n,
        record.mid,
        record.port,
        record.qos,
        record.retain,
        to_text(bytes(ffi.buffer(record.properties, properties_n))) if properties_n else None,
    )


def _deliveries(drain: Any) -> list[Values]:
    names: dict[Any, str] = {}
    rows: list[Values] = []
    for it in _each(drain.deliveries, drain.deliveries_n):
        pointer = it.client_id
        name = names.get(pointer)
        if name is None:
            name = names[pointer] = _string(pointer, it.client_id_n)
        row = it.row
        rows.append(
            (row, name, row, _signed64(it.message), it.dup, 1 - it.incoming, it.mid, it.qos, it.retain, it.stage, it.id)
        )
    return rows


def _change(delivery: Any) -> Values:
    return delivery.mid, delivery.qos, delivery.dup, delivery.stage, delivery.row


class Pending:
    """What Python has said since the last commit: statements in the order in which they have to run."""

    __slots__ = ("_steps",)

    def __init__(self) -> None:
        self._steps: dict[tuple[str, ...], tuple[str, Values]] = {}

    def __len__(self) -> int:
        return len(self._steps)

    def clear(self) -> None:
        self._steps.clear()

    def write(self, db: sqlite3.Connection) -> None:
        """Within a transaction. Raises sqlite3.Error."""
        for statement, values in self._steps.values():
            db.execute(statement, values)

    def _put(self, key: tuple[str, ...], statement: str, values: Values) -> None:
        """The last word about `key`, after everything that was said before."""
        self._steps.pop(key, None)
        self._steps[key] = (statement, values)

    def client(self, session: Session, now: int, retain_available: bool) -> None:
        """The whole row of a session that is connected. `now`: Unix seconds."""
        listener, will = session.listener, session.will
        values = (
            session.client_id,
            session.username,
            now,
            0,
            session.ends,
            listener.port if listener is not None else 0,
            signed(session.max_packet),
            listener.max_qos if listener is not None else 2,
            int(retain_available),
            signed(session.expiry),
            signed(will.delay) if will is not None else 0,
        )
        self._put(("client", session.client_id), _CLIENT, values)

    def offline(self, session: Session, now: int) -> None:
        """The times of a session that is not connected. It has a row, or gets one by what was said before."""
        will, client_id = session.will, session.client_id
        delay = will.delay if will is not None else 0
        due = now + delay if delay else 0
        self._put(
            ("offline", client_id), _OFFLINE, (session.ends, signed(session.expiry), due, signed(delay), client_id)
        )

    def client_gone(self, client_id: str) -> None:
        """Its messages are the journal's affair."""
        self._steps.pop(("offline", client_id), None)
        self._put(("client", client_id), _CLIENT_GONE, (client_id,))
        self._put(("subscriptions", client_id), _ALL_UNSUBSCRIBED, (client_id,))

    def subscribed(self, client_id: str, topic: str, options: int, identifier: int) -> None:
        self._put(("subscription", client_id, topic), _SUBSCRIBED, (client_id, topic, options, identifier))

    def unsubscribed(self, client_id: str, topic: str) -> None:
        self._put(("subscription", client_id, topic), _UNSUBSCRIBED, (client_id, topic))

    def will(self, client_id: str, will: Will | None) -> None:
        key = ("will", client_id)
        if will is None:
            self._put(key, _NO_WILL, (client_id,))
            return
        payload = will.payload or None
        values = (
            client_id, payload, will.topic.decode(), len(will.payload), will.qos, int(will.retain),
            to_text(will.properties),
        )  # fmt: skip
        self._put(key, _WILL, values)

    def garbage(self, table: str, row: int) -> None:
        """A row of any table that has to go."""
        self._put(("garbage", table, str(row)), f"DELETE FROM {table} WHERE rowid=?", (row,))


def drain(core: Any) -> tuple[Batch, bool]:
    """What the journal has to say, and whether there is more. Raises MemoryError; then nothing is lost."""
    out = ffi.new("mq_drain *")
    status = lib.mq_journal_drain(core, out)
    if status == lib.MQ_NOMEM:
        raise MemoryError("no memory to drain the journal")
    return Batch(out), status == lib.MQ_BLOCKED
