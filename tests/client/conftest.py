"""Certificates for the clients' tests: those of the broker's; and a broker behind each kind of listener."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.world import World, config
from tests.harness.brokers import Brokers
from tests.tls.conftest import Pki, pki

__all__ = ["pki"]


@pytest.fixture
def world(brokers: Brokers, pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(brokers(config(tmp_path_factory.getbasetemp(), pki)), pki)
    yield made
    made.close()
