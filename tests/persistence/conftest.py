"""Fixtures of these tests."""

from __future__ import annotations

from tests.persistence.durable import cradle

__all__ = ["cradle"]
