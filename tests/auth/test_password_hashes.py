"""Hashes of passwords as text: the vectors, what is refused, and what is made anew."""

from __future__ import annotations

import builtins
import hmac
import sys
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosq.auth import hashes
from tests.auth.passwords import KINDS, SALT, pbkdf2, sha512

DIGEST = b64encode(bytes(64)).decode()
PASSWORDS = st.binary(min_size=1, max_size=80).map(lambda password: password.replace(b"\0", b"x"))
SALT_TEXT = b64encode(SALT).decode()


@pytest.mark.parametrize("kind", KINDS)
def test_vector(kind: str) -> None:
    stored = hashes.parse(KINDS[kind].encode())
    assert stored.matches(b"pw")
    assert not stored.matches(b"pv")
    assert stored.costly is (kind != "sha512")


@pytest.mark.parametrize("password", [b"a", "žluť".encode(), b"x" * 65535], ids=["short", "utf8", "long"])
def test_new_hash_is_of_all_bytes(password: bytes) -> None:
    for text in (hashes.sha512(password), hashes.pbkdf2(password, 3)):
        stored = hashes.parse(text.encode())
        assert stored.matches(password)
        assert not stored.matches(password[:1] + b"?" + password[1:])


def test_new_hashes_have_the_parameters_that_are_promised() -> None:
    assert hashes.pbkdf2(b"p").startswith("$7$1000$")
    assert hashes.argon2id(b"p").startswith("$argon2id$v=19$m=47104,t=1,p=1$")
    assert len(hashes.argon2id(b"p")) == len(KINDS["argon2id"])
    assert len({hashes.sha512(b"p") for _ in range(10)}) == 10


def test_comparison_takes_the_same_time_wherever_the_difference_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """1.4.15, 2.0.16"""
    assert hashes.compare_digest is hmac.compare_digest
    compared: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(hashes, "compare_digest", lambda *pair: (compared.append(pair), hmac.compare_digest(*pair))[1])
    for kind in ("sha512", "sha512-pbkdf2"):
        hashes.parse(KINDS[kind].encode()).matches(b"no")
    assert [(len(one), len(other)) for one, other in compared] == [(64, 64), (64, 64)]


@pytest.mark.parametrize("salt", [SALT, bytes(64)], ids=["12", "64"])
def test_both_sizes_of_salt_are_read(salt: bytes) -> None:
    """2.1.0: 64 bytes are written; 12 are still accepted."""
    assert hashes.parse(sha512(b"p", salt).encode()).matches(b"p")
    assert hashes.parse(pbkdf2(b"p", 2, salt).encode()).matches(b"p")


def test_what_follows_the_hash_is_not_looked_at() -> None:
    assert hashes.parse(f"{sha512(b'p')}$more$".encode()).matches(b"p")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "password",
        "$",
        "$6",
        "$6$",
        f"$6${SALT_TEXT}",
        f"6${SALT_TEXT}${DIGEST}",
        f"x$6${SALT_TEXT}${DIGEST}",
        f"$5${SALT_TEXT}${DIGEST}",
        f"$6$${DIGEST}",
        f"$6${SALT_TEXT}$",
        f"$6${SALT_TEXT}${DIGEST[:-1]}",
        f"$6${SALT_TEXT}${DIGEST[:-2]}",
        f"$6${SALT_TEXT}${DIGEST} x",
        f"$6${SALT_TEXT}!${DIGEST}",
        f"$6${SALT_TEXT}=${DIGEST}",
        f"$6${b64encode(bytes(13)).decode()}${DIGEST}",
        f"$6${SALT_TEXT}${b64encode(bytes(63)).decode()}",
        f"$6${SALT_TEXT}${b64encode(bytes(65)).decode()}",
        "$7",
        "$7$1000",
        f"$7${SALT_TEXT}${DIGEST}",
        f"$7$0${SALT_TEXT}${DIGEST}",
        f"$7$-1${SALT_TEXT}${DIGEST}",
        f"$7$1x${SALT_TEXT}${DIGEST}",
        f"$7$${SALT_TEXT}${DIGEST}",
        f"$7${2**31}${SALT_TEXT}${DIGEST}",
        f"$7${'1' * 5000}${SALT_TEXT}${DIGEST}",
        f"$argon2i$v=19$m=8,t=1,p=1${SALT_TEXT}${DIGEST}",
    ],
)
def test_text_that_is_no_hash(text: str) -> None:
    with pytest.raises(ValueError):
        hashes.parse(text.encode())


@given(st.binary(max_size=40) | st.text("$67=Aaz/+ argon2id", max_size=60).map(str.encode))
def test_any_text_is_a_hash_or_refused(text: bytes) -> None:
    try:
        stored = hashes.parse(text)
    except ValueError:
        return
    assert text.startswith(hashes.ARGON2ID)
    assert not stored.matches(b"p")


@given(PASSWORDS, PASSWORDS, st.sampled_from([12, 64]))
def test_only_the_password_matches(password: bytes, other: bytes, size: int) -> None:
    for text in (sha512(password, bytes(size)), pbkdf2(password, 1, bytes(size))):
        stored = hashes.parse(text.encode())
        assert stored.matches(password)
        assert stored.matches(other) is (other == password)


@pytest.mark.parametrize(
    "parameters", ["", "v=19$m=8,t=1,p=1$x$y", "v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2g"]
)
def test_malformed_argon2id_loads_and_always_refuses(parameters: str) -> None:
    assert not hashes.parse(hashes.ARGON2ID + parameters.encode()).matches(b"p")


def test_argon2id_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: object, **kwargs: object) -> object:
        if name.startswith("argon2"):
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", missing)
    for name in [name for name in sys.modules if name.startswith("argon2")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(hashes.UnavailableError):
        hashes.parse(KINDS["argon2id"].encode())
    with pytest.raises(hashes.UnavailableError):
        hashes.argon2id(b"p")
    assert hashes.parse(KINDS["sha512"].encode()).matches(b"pw")
