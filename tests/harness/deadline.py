"""Waiting for something to become true, never for time to pass."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = float(os.environ.get("MOSQ_TEST_PATIENCE", "1"))
SECONDS = 5.0 * PATIENCE
"""Seconds a test waits for anything that should happen at once."""


def wait_until(condition: Callable[[], T], what: str, seconds: float = SECONDS) -> T:
    """Poll until `condition` returns something true and return it; AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, f"gave up after {seconds:.1f} s waiting for {what}"
        time.sleep(0.01)
