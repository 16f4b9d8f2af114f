"""A broker in this process that keeps everything in a database of the test's own, and that can be killed.

Killed means: the files are copied as they are at that moment, and another broker starts on the copy.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mosq.config import PluginConfig
from mosq.persistence.sqlite import SqliteStore, activate
from tests.control.world import World

FILE = "mosquitto.sqlite3"


class Durable(World):
    """See the top of this file. `options`: those of the broker; `plugin`: plugin_opt_... without that."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        directory: Path,
        plugin: dict[str, str],
        options: dict[str, object],
        times: tuple[float, float] | None = None,
    ) -> None:
        """`times`: of the monotonic clock and of the calendar."""
        options = {"persistence_location": str(directory), **options}
        super().__init__(monkeypatch, {}, options)
        self.directory = directory
        if times is not None:
            self.mono, self.wall = self.reactor.now, self.reactor.wall = times
        line = PluginConfig(option="plugin", path="mosquitto_persist_sqlite.so", everywhere=True)
        line.options = list(plugin.items())
        store = activate(self.broker, line)
        assert store is not None
        self.store: SqliteStore = store
        self.broker.attach(store)

    def rows(self, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
        """What somebody else would read in the database now."""
        return rows(self.directory / FILE, table, columns)


def rows(path: Path, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return db.execute(f"SELECT {columns} FROM {table} ORDER BY rowid").fetchall()
    finally:
        db.close()


class Cradle:
    """Makes brokers: `start` the first one or another one, `kill` one and start the next on what it left."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self._monkeypatch = monkeypatch
        self._directory = directory
        self._made: list[Durable] = []

    def new_directory(self) -> Path:
        directory = self._directory / str(len(list(self._directory.iterdir())))
        directory.mkdir()
        return directory

    def start(self, directory: Path | None = None, plugin: dict[str, str] | None = None, **options: object) -> Durable:
        """A broker on `directory` (one that is new), with flush_period 0 unless `plugin` says so."""
        if directory is None:
            directory = self.new_directory()
        durable = Durable(self._monkeypatch, directory, {"flush_period": "0", **(plugin or {})}, options)
        self._made.append(durable)
        durable.start()
        return durable

    def kill(self, old: Durable, *, later: int = 0, **options: Any) -> Durable:
        """Another broker, `later` seconds after the `old` one was killed."""
        directory = self.new_directory()
        for path in old.directory.glob(FILE + "*"):
            shutil.copy(path, directory)
        times = (old.mono + later, old.wall + later)
        new = Durable(self._monkeypatch, directory, {"flush_period": "0"}, options, times)
        self._made.append(new)
        new.start()
        return new

    def stop(self, old: Durable) -> None:
        """The end that SIGTERM brings."""
        old.broker.shut_down()
        old.broker.stop()

    def close(self) -> None:
        for durable in self._made:
            durable.close()


MakeCradle = Callable[[], Cradle]


@pytest.fixture
def cradle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cradle]:
    made = Cradle(monkeypatch, tmp_path)
    yield made
    made.close()
