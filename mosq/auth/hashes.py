"""The hashes of passwords that a password file holds: three kinds, each with its text form.

    $6$SALT$HASH                     SHA-512 of password and salt, in one pass
    $7$ITERATIONS$SALT$HASH          PBKDF2 with HMAC-SHA-512
    $argon2id$v=...$m=...,t=...,p=...$SALT$HASH      argon2id, as the PHC string format has it

SALT and HASH are base64: with padding for the first two, without for the third, which is left to the argon2-cffi
package. That package is imported when the first such hash is met, so it need not be there for the others. Comparisons
take the same time wherever the difference is. Passwords have no NUL bytes: to PBKDF2, those at the end are nothing.
"""

from __future__ import annotations

import hashlib
from binascii import a2b_base64, b2a_base64
from hmac import compare_digest

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Protocol

    class Hash(Protocol):
        """The hash of one password. `costly`: too dear to be computed while others wait."""

        @property
        def costly(self) -> bool: ...

        def matches(self, password: bytes) -> bool:
            """Whether this is the password. May be called on any thread; releases the interpreter's lock if costly."""
            ...


DIGEST_SIZE = 64
SALT_SIZES = (12, 64)
"""Bytes. Readers accept both."""
SALT_SIZE = 12
"""Bytes written. 96 random bits never meet twice, and releases of Mosquitto before 2.1 take no other size."""
ITERATIONS = 1000
"""PBKDF2, unless somebody asks for another number."""
ITERATIONS_MAX = 2**31 - 1

ARGON2ID = b"$argon2id$"
_ARGON2_SALT_SIZE = 64
_ARGON2_TIME, _ARGON2_KIB, _ARGON2_LANES = 1, 47104, 1


class UnavailableError(Exception):
    """A kind of hash whose package is not installed."""


class Sha512:
    """$6$: quick, so it is worth little against somebody who got hold of the file."""

    __slots__ = ("salt", "digest")
    costly = False

    def __init__(self, salt: bytes, digest: bytes) -> None:
        self.salt = salt
        self.digest = digest

    @classmethod
    def create(cls, password: bytes, salt: bytes) -> Sha512:
        return cls(salt, hashlib.sha512(password + salt).digest())

    def matches(self, password: bytes) -> bool:
        return compare_digest(self.create(password, self.salt).digest, self.digest)

    def text(self) -> str:
        return f"$6${_encode(self.salt)}${_encode(self.digest)}"


class Pbkdf2:
    """$7$: as slow as its number of iterations says, about a microsecond each."""

    __slots__ = ("iterations", "salt", "digest")
    costly = True

    def __init__(self, iterations: int, salt: bytes, digest: bytes) -> None:
        self.iterations = iterations
        self.salt = salt
        self.digest = digest

    @classmethod
    def create(cls, password: bytes, salt: bytes, iterations: int) -> Pbkdf2:
        return cls(iterations, salt, hashlib.pbkdf2_hmac("sha512", password, salt, iterations, DIGEST_SIZE))

    def matches(self, password: bytes) -> bool:
        return compare_digest(self.create(password, self.salt, self.iterations).digest, self.digest)

    def text(self) -> str:
        return f"$7${self.iterations}${_encode(self.salt)}${_encode(self.digest)}"


class Argon2id:
    """$argon2id$: slow, and needs much memory too. The text is looked at when a password is compared, not before."""

    __slots__ = ("_text",)
    costly = True

    def __init__(self, text: bytes) -> None:
        """Raises UnavailableError."""
        _argon2()
        self._text = text

    @classmethod
    def create(cls, password: bytes, salt: bytes) -> Argon2id:
        """Raises UnavailableError."""
        low_level = _argon2()
        cost = (_ARGON2_TIME, _ARGON2_KIB, _ARGON2_LANES)
        return cls(low_level.hash_secret(password, salt, *cost, DIGEST_SIZE, low_level.Type.ID))

    def matches(self, password: bytes) -> bool:
        from argon2.exceptions import InvalidHash, VerificationError

        low_level = _argon2()
        try:
            return bool(low_level.verify_secret(self._text, password, low_level.Type.ID))
        except (InvalidHash, VerificationError):
            return False

    def text(self) -> str:
        return self._text.decode()


def parse(text: bytes) -> Hash:
    """The hash that a password file has as `text`. Raises ValueError, and UnavailableError for argon2id."""
    if text.startswith(ARGON2ID):
        return Argon2id(text)
    empty, kind, *parts = text.split(b"$")
    if empty:
        raise ValueError("something before the kind of hash")
    if kind == b"6":
        salt, digest = _decode(parts)
        return Sha512(salt, digest)
    if kind == b"7":
        iterations, *parts = parts
        if not iterations.isdigit() or len(iterations) > 10 or not 1 <= int(iterations) <= ITERATIONS_MAX:
            raise ValueError("not a number of iterations")
        salt, digest = _decode(parts)
        return Pbkdf2(int(iterations), salt, digest)
    raise ValueError("unknown kind of hash")


def _decode(parts: list[bytes]) -> tuple[bytes, bytes]:
    """Salt and digest from the parts of a text; what comes after them means nothing."""
    salt, digest = (a2b_base64(part) for part in parts[:2])
    if len(salt) not in SALT_SIZES or len(digest) != DIGEST_SIZE:
        raise ValueError("wrong size of salt or digest")
    if [_encode(salt), _encode(digest)] != [part.decode("ascii") for part in parts[:2]]:
        raise ValueError("not the one way to write it in base64")
    return salt, digest


def _encode(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()


# ---- new ones


def sha512(password: bytes) -> str:
    """A new hash as text."""
    from os import urandom

    return Sha512.create(password, urandom(SALT_SIZE)).text()


def pbkdf2(password: bytes, iterations: int = ITERATIONS) -> str:
    """A new hash as text."""
    from os import urandom

    return Pbkdf2.create(password, urandom(SALT_SIZE), iterations).text()


def argon2id(password: bytes) -> str:
    """A new hash as text. Raises UnavailableError."""
    from os import urandom

    return Argon2id.create(password, urandom(_ARGON2_SALT_SIZE)).text()


if TYPE_CHECKING:
    from types import ModuleType


def _argon2() -> ModuleType:
    try:
        from argon2 import low_level
    except ImportError as exc:
        raise UnavailableError("the Python package argon2-cffi is not installed") from exc
    return low_level
