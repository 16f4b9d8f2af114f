"""Running brokers shared by the tests of a session, one for each configuration."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from .broker import Broker

KIND = os.environ.get("MOSQ_TEST_BROKER", "mosq")
"""Which broker the fixtures start: "mosq" or "original"."""

StartBroker: TypeAlias = Callable[..., Broker]
"""Starts a broker of the test's own; the arguments are those of `Broker` after its directory."""


class Brokers:
    """Starts a broker per configuration and keeps it; call with a configuration to get its broker."""

    def __init__(self, directory: Callable[[], Path]) -> None:
        self._directory = directory
        self.running: dict[tuple[str, str], Broker] = {}
        self.used: list[Broker] = []

    def __call__(self, config: str = "", *, listener: str = "") -> Broker:
        """The broker with this configuration (see `Broker`)."""
        key = (config, listener)
        broker = self.running.get(key)
        if broker is None or not broker.running:
            broker = self.running[key] = Broker(self._directory(), config, listener=listener, kind=KIND)
        if broker not in self.used:
            self.used.append(broker)
        return broker

    def after_test(self) -> None:
        """Every broker the test used is still alive and has nothing to complain about."""
        used, self.used = self.used, []
        for broker in used:
            broker.close_clients()
        for broker in used:
            broker.check_log()
            assert broker.running, f"the broker ended with code {broker.process.returncode}: {broker.log.lines[-20:]}"

    def stop_all(self) -> None:
        for broker in self.running.values():
            broker.stop()
