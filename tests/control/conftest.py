"""Worlds: brokers in this process, one per call, stopped after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.control.world import World


@pytest.fixture
def make_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    """Call with options of the broker, and `listener`, a dictionary of the listener's, for a started world."""
    worlds: list[World] = []

    def make(listener: dict[str, object] | None = None, **options: object) -> World:
        worlds.append(World(monkeypatch, listener or {}, options))
        return worlds[-1].start()

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world with default options."""
    return make_world()
