"""The certificates that most tests share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tls.certificates import DAY, NOW, SERVER_AUTH, Authority, Pair


@dataclass(frozen=True)
class Pki:
    """An authority with a server and clients, and another authority that nobody trusts."""

    authority: Authority
    other: Authority
    server: Pair
    alice: Pair
    bob: Pair
    expired: Pair
    early: Pair
    server_only: Pair
    stranger: Pair
    revoked_bob: Path

    @property
    def ca(self) -> Path:
        return self.authority.file

    @property
    def options(self) -> str:
        """A listener's lines."""
        return f"cafile {self.ca}\n{self.server.options}"


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    directory = tmp_path_factory.mktemp("pki")
    authority, other = Authority(directory), Authority(directory, "Other authority")
    bob = authority.issue("bob")
    return Pki(
        authority,
        other,
        server=authority.issue("localhost"),
        alice=authority.issue("alice"),
        bob=bob,
        expired=authority.issue("expired", start=NOW - 5 * DAY, end=NOW - DAY),
        early=authority.issue("early", start=NOW + DAY),
        server_only=authority.issue("server-only", usage=SERVER_AUTH),
        stranger=other.issue("stranger"),
        revoked_bob=authority.revoke("bob.crl", bob),
    )
