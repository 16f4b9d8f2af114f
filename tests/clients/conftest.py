"""Certificates for the tools' tests: those of the broker's."""

from __future__ import annotations

from tests.tls.conftest import pki

__all__ = ["pki"]
