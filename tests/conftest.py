"""Brokers for the tests: shared by configuration within a run, checked and cleared of clients after every test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.broker import ORIGINAL, Broker
from tests.harness.brokers import KIND, Brokers, StartBroker

_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "differs(reason): the original broker from Debian is known to do something else")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if KIND != "original":
        return
    for item in items:
        for mark in item.iter_markers("differs"):
            item.add_marker(pytest.mark.xfail(reason=str(mark.args[0]), strict=False))


@pytest.fixture(scope="session")
def _all_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    shared = Brokers(lambda: tmp_path_factory.mktemp("broker"))
    yield shared
    shared.stop_all()


@pytest.fixture
def brokers(_all_brokers: Brokers) -> Iterator[Brokers]:
    """Call with configuration text to get the running broker that has it, shared with other tests."""
    yield _all_brokers
    _all_brokers.after_test()


@pytest.fixture
def broker(brokers: Brokers) -> Broker:
    """The broker with default options."""
    return brokers()


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[StartBroker]:
    """Start brokers that only this test uses and that it may stop, signal or overload."""
    started: list[Broker] = []

    def start(config: str = "", *, kind: str = KIND, **options: object) -> Broker:
        directory = tmp_path / f"broker{len(started)}"
        directory.mkdir()
        started.append(Broker(directory, config, kind=kind, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for broker in started:
        if broker.running:
            broker.stop()


@pytest.fixture
def name() -> str:
    """A client id, or first topic level, that no other test uses."""
    return f"n{os.getpid()}x{next(_numbers)}"


@pytest.fixture(scope="session")
def original() -> Path:
    """The original broker's program; the test is skipped where it is not installed."""
    if not ORIGINAL.exists():
        pytest.skip("the original broker is not installed (Debian package mosquitto)")
    return ORIGINAL
