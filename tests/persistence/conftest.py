"""Fixtures of these tests."""

from __future__ import annotations

from tests.persistence.durable import cradle
from tests.tls.conftest import pki

__all__ = ["cradle", "pki"]
