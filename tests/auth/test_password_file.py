"""Password files: lines, what is wrong with them, and the answers about clients."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mosq.auth import password_file
from mosq.auth.chain import ASIDE, IGNORE, Request, Verdict
from mosq.auth.files import FileError
from mosq.auth.password_file import PasswordFile
from mosq.config import ListenerConfig
from tests.auth.passwords import KINDS, Aside, pbkdf2, sha512, write

HASH = sha512(b"pw")
SLOW = pbkdf2(b"pw")


def load(path: Path, worker: Aside | None = None) -> PasswordFile:
    reports: list[tuple[str, str]] = []
    found = password_file.load(str(path), worker or Aside(), lambda *line: reports.append(line))  # type: ignore[arg-type]
    assert not reports
    return found


def refusal(path: Path) -> FileError:
    with pytest.raises(FileError) as caught:
        load(path)
    return caught.value


def request(username: str | None, password: bytes | None, proof: object = None) -> Request:
    return Request("c", username, password, "192.0.2.1", ListenerConfig(), 4, again=proof is not None, proof=proof)


# ---- lines


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("", []),
        ("# only\n#comments:\n\n   \n", []),
        ("no colon here\n", []),
        (f"a:{HASH}\nb:{SLOW}\n", ["a", "b"]),
        (f"a:{HASH}", ["a"]),
        (f"a:{HASH}\r\nb:{HASH}\r\n", ["a", "b"]),
        (f" \ta\t :\t {HASH} \n", ["a"]),
        (f"with blanks  inside:{HASH}\n", ["with blanks  inside"]),
        (f" #a:{HASH}\n", ["#a"]),
        (f"a:{HASH}:more:$and so on\n", ["a"]),
        (f"a:{HASH}$more\n", ["a"]),
        (f"::a::{HASH}\n", ["a"]),
        (f"žluť/+/#:{HASH}\n", ["žluť/+/#"]),
        (f"{'x' * 65535}:{HASH}\n", ["x" * 65535]),
        (f"a:{HASH}\nb:\0{HASH}\n\0:x\nc:{HASH}\n", ["a", "c"]),
        (":", []),
        ("::::", []),
        ("\n".join(f"{kind}:{text}" for kind, text in KINDS.items()), list(KINDS)),
    ],
)
def test_users_of_a_file(tmp_path: Path, content: str, names: list[str]) -> None:
    assert list(load(write(tmp_path, content)).hashes) == names


@pytest.mark.parametrize("length", [255, 1255, 2255])
def test_last_line_without_its_end_counts_whatever_its_length(tmp_path: Path, length: int) -> None:
    name = "n" * (length - len(HASH) - 1)
    assert list(load(write(tmp_path, f"{name}:{HASH}")).hashes) == [name]


def test_names_are_bytes(tmp_path: Path) -> None:
    """What is no UTF-8 can be in the file; no client can have it."""
    path = write(tmp_path, b"\xff:" + HASH.encode() + b"\n\xfe:" + HASH.encode())
    assert list(load(path).hashes) == ["\udcff", "\udcfe"]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (f"# c\n{'x' * 65536}:{HASH}\n", 2, "Invalid line in password file '{f}', username too long."),
        (f" \t :{HASH}\n", 1, "Empty username in password file '{f}'."),
        (f"a:{HASH}\nb:{HASH}\na :{HASH}\n", 3, "Duplicate user 'a' in password file '{f}'."),
        (f":{HASH}\n", 1, f"Invalid line in password file '{{f}}': :{HASH}"),
        (f"\n\na:{'x' * 65536}\n", 3, "Invalid line in password file '{f}', password too long."),
        ("a:\n", 1, "Unable to decode line in password file '{f}'."),
        ("a: \n", 1, "Unable to decode line in password file '{f}'."),
        ("a:secret\n", 1, "Unable to decode line in password file '{f}'."),
        (f"a:{HASH}\nb:$5${HASH[3:]}\n", 2, "Unable to decode line in password file '{f}'."),
        (f"a:x{HASH}\n", 1, "Unable to decode line in password file '{f}'."),
        ("a" * (1 << 20), 1, "Invalid line in password file '{f}', password too long."),
    ],
)
def test_broken_line_is_told_with_its_place(tmp_path: Path, content: str, line: int, message: str) -> None:
    """CVE-2018-12551: such a line became a user without a password."""
    path = write(tmp_path, content)
    error = refusal(path)
    assert error.code == 3
    assert error.texts == (
        f"password-file: Error: {message.replace('{f}', str(path))}",
        f"Error found at {path}:{line}.",
    )


@pytest.mark.parametrize("kind", ["missing", "directory", "link", "fifo"])
def test_file_that_cannot_be_opened(tmp_path: Path, kind: str) -> None:
    """2.0.12: the broker ran without a file that was a directory."""
    path = tmp_path / "file"
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(write(tmp_path, f"a:{HASH}\n"))
    elif kind == "fifo":
        os.mkfifo(path)
    with pytest.raises(FileError) as caught:
        password_file.load(str(path), Aside(), lambda level, text: None)  # type: ignore[arg-type]
    assert caught.value.code == 13
    assert caught.value.texts == (f'password-file: Error: Unable to open pwfile "{path}".',)


def test_link_is_followed_where_that_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(write(tmp_path, f"a:{HASH}\n"))
    monkeypatch.setenv("MOSQUITTO_UNSAFE_ALLOW_SYMLINKS", "")
    assert list(load(tmp_path / "link").hashes) == ["a"]


def test_file_that_others_may_read_is_remarked_upon(tmp_path: Path) -> None:
    path = write(tmp_path, f"a:{HASH}\n")
    path.chmod(0o604)
    reports: list[tuple[str, str]] = []
    password_file.load(str(path), Aside(), lambda *line: reports.append(line))  # type: ignore[arg-type]
    assert [(level, text.split(".")[0]) for level, text in reports] == [
        ("I", f"Warning: File {path} has world readable permissions")
    ]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a file away")
def test_file_of_somebody_else_is_remarked_upon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2.1.3: a group without a name crashed the broker; nothing is said about it."""
    path = write(tmp_path, f"a:{HASH}\n")
    os.chown(path, 12345, 54321)
    reports: list[tuple[str, str]] = []

    def read() -> list[str]:
        reports.clear()
        password_file.load(str(path), Aside(), lambda *line: reports.append(line))  # type: ignore[arg-type]
        assert all(level == "I" for level, _ in reports)
        return [text for _, text in reports]

    refusal = "Future versions will refuse to load this file."
    assert read() == [
        f"Warning: File {path} owner is not root. {refusal}To fix this, use `chown root {path}`.",
        f"Warning: File {path} group is not root. {refusal}",
    ]
    monkeypatch.setattr(os, "getgid", lambda: 54322)
    assert len(read()) == 1


LINES = st.lists(
    st.binary(max_size=30)
    | st.builds(
        lambda name, text, end: name + b":" + text.encode() + end,
        st.binary(max_size=10),
        st.sampled_from([HASH, SLOW, *KINDS.values(), "", "x", "$6$", "$7$1$$"]),
        st.sampled_from([b"", b"\r", b":", b":x", b" ", b"$"]),
    ),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(lines=LINES, end=st.sampled_from([b"", b"\n"]))
def test_any_file_is_a_list_of_users_or_refused(tmp_path: Path, lines: list[bytes], end: bytes) -> None:
    """Every user comes from a line of its own that has this name before the first ':' and a hash after it."""
    path = write(tmp_path, b"\n".join(lines) + end)
    try:
        found = load(path)
    except FileError as error:
        assert error.code == 3
        assert error.texts[-1].startswith(f"Error found at {path}:")
        return
    names = []
    for line in b"\n".join(lines).split(b"\n"):
        parts = [part.strip() for part in line.split(b":") if part]
        if b":" in line and b"\0" not in line and parts and not line.startswith(b"#"):
            names.append(parts[0].decode("utf-8", "surrogateescape"))
            assert found.hashes[names[-1]] == parts[1]
    assert list(found.hashes) == names


# ---- clients


def decide(found: PasswordFile, worker: Aside, asked: Request) -> Verdict:
    """The verdict, now or once the worker has done its work."""
    answers: list[Verdict] = []
    verdict = found.authenticate(asked)
    if verdict is not ASIDE:
        return verdict
    asked.resolve = answers.append
    worker.run()
    return answers[0]


@pytest.mark.parametrize("kind", [*KINDS])
@pytest.mark.parametrize(
    ("username", "password", "code"),
    [
        ("u", b"pw", 0),
        ("u", b"pW", 0x87),
        ("u", b"", 0x87),
        ("u", b"pw\0", 0x87),
        ("u", b"pw\0zz", 0x87),
        ("u", None, 0x87),
        ("U", b"pw", 0x87),
        ("u ", b"pw", 0x87),
        ("nobody", b"pw", 0x87),
        ("nobody", None, 0x87),
        (KINDS["sha512"], b"pw", 0x87),
    ],
)
def test_user_and_password(tmp_path: Path, kind: str, username: str, password: bytes | None, code: int) -> None:
    worker = Aside()
    found = load(write(tmp_path, f"u:{KINDS[kind]}\n"), worker)
    assert decide(found, worker, request(username, password)).code == code


def test_anonymous_clients_are_none_of_its_business(tmp_path: Path) -> None:
    for content in ("", f"u:{HASH}\n"):
        assert load(write(tmp_path, content)).authenticate(request(None, None)) is IGNORE


@pytest.mark.parametrize("content", ["", "# nobody\n"])
def test_file_without_users_lets_no_user_in(tmp_path: Path, content: str) -> None:
    """1.6.9: user names were not checked then."""
    assert load(write(tmp_path, content)).authenticate(request("u", b"pw")).code == 0x87


def test_costly_hash_is_computed_aside(tmp_path: Path) -> None:
    worker = Aside()
    found = load(write(tmp_path, f"u:{SLOW}\nv:{HASH}\n"), worker)
    assert found.authenticate(request("u", b"pw")) is ASIDE
    assert [key for key, _, _ in worker.jobs] == ["192.0.2.1"]
    assert found.authenticate(request("v", b"pw")).code == 0
    assert len(worker.jobs) == 1


def test_without_room_for_the_work_the_server_is_busy(tmp_path: Path) -> None:
    worker = Aside()
    worker.full = True
    assert load(write(tmp_path, f"u:{SLOW}\n"), worker).authenticate(request("u", b"pw")).code == 0x89


@pytest.mark.parametrize("text", [HASH, SLOW])
def test_unknown_user_costs_what_a_wrong_password_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    worker = Aside()
    found = load(write(tmp_path, f"u:{text}\n"), worker)
    done: list[bytes] = []
    for name in ("Sha512", "Pbkdf2"):
        real = getattr(password_file.hashes, name).matches
        monkeypatch.setattr(
            f"mosq.auth.hashes.{name}.matches",
            lambda self, password, real=real: (done.append(password), real(self, password))[1],
        )
    for username in ("u", "nobody"):
        assert decide(found, worker, request(username, b"no")).code == 0x87
    assert done == [b"no", b"no"]


def test_unknown_user_is_compared_with_the_same_user_each_time(tmp_path: Path) -> None:
    """Otherwise names that are answered now quickly, now slowly would be those that do not exist."""
    worker = Aside()
    found = load(write(tmp_path, f"u:{SLOW}\nv:{HASH}\n"), worker)
    for number in range(50):
        assert len({found.authenticate(request(f"n{number}", b"no")) is ASIDE for _ in range(5)}) == 1


def test_proof_needs_no_work_while_the_hash_is_the_same(tmp_path: Path) -> None:
    worker = Aside()
    found = load(write(tmp_path, f"u:{SLOW}\n"), worker)
    proof = decide(found, worker, request("u", b"pw")).proof
    again = load(write(tmp_path, f"# other\nu: {SLOW}\n"), worker)
    assert again.authenticate(request("u", b"pw", proof)).code == 0
    changed = load(write(tmp_path, f"u:{pbkdf2(b'pw', 11)}\n"), worker)
    worker.full = True
    assert changed.authenticate(request("u", b"pw", proof)) is ASIDE, "there is room for who is in already"
    assert [key for key, _, _ in worker.jobs] == [""]
    assert load(write(tmp_path, "")).authenticate(request("u", b"pw", proof)).code == 0x87
