"""Password files for tests: users with quick hashes, and what stands for the worker where no thread is wanted."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

SALT = b"0123456789ab"

KINDS = {
    "sha512": "$6$MDEyMzQ1Njc4OWFi$8/vLlIBNWDWQNrOsnABF7HBJVefyJvNB1+8wiFDgRR4kb+nKGzWaXywQa+GaVEC8ptdoroDyOZKpi4iEm1"
    "M3Ww==",
    "sha512-pbkdf2": "$7$1000$MDEyMzQ1Njc4OWFi$jVF7ldKOzTqSRCOe7bcTpbk9T2i3LR+kVz7VBumMUuZ4f0itb/vWUgVVBdQjn3tlC6JD4Uw"
    "WPJmaTRh42W4lag==",
    "argon2id": "$argon2id$v=19$m=47104,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw"
    "cHBwcHBwcHBwcHBw$GF8kAuzMHxWPEbXWpI4q2ex+FJ1SyxsvHOp1rfBoRP1PhS4yZQeZtXVr5ZTwOdDO4TblTkU8GgWtrT6OuUOtGw",
}
"""The password `pw`, by kind of hash."""


def sha512(password: bytes, salt: bytes = SALT) -> str:
    return f"$6${_b64(salt)}${_b64(hashlib.sha512(password + salt).digest())}"


def pbkdf2(password: bytes, iterations: int = 10, salt: bytes = SALT) -> str:
    return f"$7${iterations}${_b64(salt)}${_b64(hashlib.pbkdf2_hmac('sha512', password, salt, iterations))}"


def write(directory: Path, content: str | bytes, name: str = "passwords") -> Path:
    """A password file that earns no warning."""
    path = directory / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    return path


def users(**passwords: str) -> str:
    """The lines of these users, in turn with both kinds of hash that every broker knows."""
    makers = (lambda password: pbkdf2(password), sha512)
    lines = [f"{name}:{makers[i % 2](password.encode())}\n" for i, (name, password) in enumerate(passwords.items())]
    return "".join(lines)


class Aside:
    """A worker whose jobs are done when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, Callable[[], bool], Callable[[bool], object]]] = []
        self.full = False

    def submit(
        self, key: str, work: Callable[[], bool], done: Callable[[bool], object], *, bounded: bool = True
    ) -> bool:
        accepted = not (bounded and self.full)
        if accepted:
            self.jobs.append((key, work, done))
        return accepted

    def run(self) -> None:
        while self.jobs:
            _, work, done = self.jobs.pop(0)
            done(work())


def _b64(data: bytes) -> str:
    return b64encode(data).decode()
