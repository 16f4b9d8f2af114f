"""A store that keeps nothing but a list of what it was told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mosq.broker import Broker
from mosq.config import Config
from mosq.connection import Connection
from mosq.session import Session


def _nothing() -> None:
    pass


class Ledger:
    """`entries`: (method, client identifier, ...). `fill` is called to restore."""

    def __init__(self, broker: Broker, fill: Callable[[], object] = _nothing) -> None:
        self.entries: list[tuple[Any, ...]] = []
        self.failing = False
        self.fill = fill
        self.at_turn: Callable[[], object] = _nothing
        self.at_settle: Callable[[], object] = _nothing
        broker.attach(self)

    def restore(self) -> None:
        self.fill()

    def client(self, session: Session) -> None:
        self.entries.append(("client", session.client_id, session.ends))

    def client_gone(self, session: Session) -> None:
        self.entries.append(("gone", session.client_id))

    def subscribed(self, session: Session, full: bytes, options: int, identifier: int) -> None:
        self.entries.append(("subscribed", session.client_id, full, options, identifier))

    def unsubscribed(self, session: Session, full: bytes) -> None:
        self.entries.append(("unsubscribed", session.client_id, full))

    def will(self, session: Session) -> None:
        self.entries.append(("will", session.client_id, session.will and session.will.topic))

    def answered(self, connection: Connection, counts: bool) -> None:
        assert connection.session is not None
        self.entries.append(("answered", connection.session.client_id, counts))

    def turn(self) -> None:
        self.at_turn()

    def settle(self) -> None:
        self.at_settle()

    def reload(self, config: Config) -> None:
        self.entries.append(("reload",))

    def save(self) -> None:
        self.entries.append(("save",))

    def close(self) -> bool:
        self.entries.append(("close",))
        return True

    def take(self) -> list[tuple[Any, ...]]:
        """The entries since the last call."""
        entries, self.entries = self.entries, []
        return entries
