"""mosquitto_passwd: its options, messages and exit codes, and what it does to files."""

from __future__ import annotations

import os
import pty
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mosq.auth import hashes
from mosq.cli import passwd, replace
from tests.auth.passwords import write
from tests.harness.broker import ROOT
from tests.harness.deadline import SECONDS, wait_until

COMMAND = [sys.executable, "-c", "from mosq.cli.passwd import entry; entry()"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
HASH = "$7$1$x$y"


class Result(NamedTuple):
    code: int
    out: str
    err: str


Call = Callable[..., Result]


def run(*arguments: str | Path | bytes, typed: bytes = b"", directory: Path | None = None) -> Result:
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=typed,
        capture_output=True,
        timeout=4 * SECONDS,
        env=ENVIRONMENT,
        cwd=directory,
    )
    return Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode())


@pytest.fixture
def call(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run it in this process, which is quicker."""
    monkeypatch.setattr(passwd.signal, "signal", lambda *args: None)
    monkeypatch.setattr(passwd.os, "umask", lambda mask: 0)

    def call(*arguments: str | Path) -> Result:
        code = passwd.main([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return Result(code, out.decode(), err.decode())

    return call


def users(path: Path) -> dict[str, hashes.Hash]:
    """The users of a file whose lines are all in order."""
    lines = (line.split(":") for line in path.read_text().splitlines())
    return {name: hashes.parse(text.encode()) for name, text in lines}


# ---- the command line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("-H", "Error: -H argument given but not enough other arguments."),
        ("-I", "Error: -I argument given but not enough other arguments."),
        ("-H md5 f u", "Error: Unknown hash type 'md5'"),
        ("-H SHA512 f u", "Error: Unknown hash type 'SHA512'"),
        ("-I 0 f u", "Error: Number of iterations must be > 0."),
        ("-I -5 f u", "Error: Number of iterations must be > 0."),
        ("-I x f u", "Error: Number of iterations must be > 0."),
        ("-I 99999999999 f u", "Error: Number of iterations must be > 0."),
        ("-c -D f u", "Error: -c and -D cannot be used together."),
        ("-c -U f", "Error: -c and -U cannot be used together."),
        ("-D -U f", "Error: -D and -U cannot be used together."),
        ("-b -D f u p", "Error: -b and -D cannot be used together."),
        ("-c -D -U", "Error: -c and -D cannot be used together."),
        ("-c -b f u", "Error: -c argument given but password file, username, or password missing."),
        ("-c f", "Error: -c argument given but password file or username missing."),
        ("-c", "Error: -c argument given but password file or username missing."),
        ("-D f", "Error: -D argument given but password file or username missing."),
        ("-U", "Error: -U argument given but password file missing."),
        ("-U f u", "Error: -U argument given but password file missing."),
        ("-b f a:b p", "Error: Username must not contain the ':' character."),
        ("-b f a\x7fb p", "Error: Username must not contain control characters."),
        ("-b f a\nb p", "Error: Username must not contain control characters."),
        ("-c -b f a\tb p", "Error: Username must not contain control characters."),
        ("-D f a:b", "Error: Username must not contain the ':' character."),
        ("-b f #u p", "Error: Username must not begin with the '#' character."),
        (f"-b f {'u' * 65536} p", "Error: Username must be less than 65536 characters long."),
        (f"-b f u {'p' * 65536}", "Error: Password must be less than 65536 characters long."),
        ("-b /nowhere/f u p", "Error: Unable to open password file /nowhere/f. No such file or directory."),
        ("-b nowhere u p", "Error: Unable to open password file nowhere. No such file or directory."),
        ("-x u", "Error: Unable to open password file -x. No such file or directory."),
        ("-U nowhere", "Error: Unable to open password file nowhere. No such file or directory."),
        ("-D nowhere u", "Error: Unable to open password file nowhere. No such file or directory."),
        ("-c -b /nowhere/f u p", "Error: Unable to open file /nowhere/f for writing. No such file or directory."),
        ("-b f/x u p", "Error reading password file: Not a directory"),
    ],
)
def test_mistake_is_told(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, "", "f")
    assert call(*arguments.split(" ")) == (1, "", message + "\n")
    assert path.read_text() == ""
    assert os.listdir(tmp_path) == ["f"]


def test_user_name_is_not_empty(call: Call, tmp_path: Path) -> None:
    """The broker would refuse the file."""
    assert call("-b", write(tmp_path, ""), "", "p") == (1, "", "Error: Username must not be empty.\n")


@pytest.mark.parametrize(
    "arguments", ["", "-b", "-b f", "-b f u", "-b f u p x", "f", "f u x", "-H sha512 f", "-x", "-I 5"]
)
def test_wrong_number_of_arguments_earns_the_usage_text(call: Call, arguments: str) -> None:
    result = call(*arguments.split())
    assert (result.code, result.err) == (1, "")
    assert "\nUsage: mosquitto_passwd [-H argon2id | -H sha512-pbkdf2] [-c | -D] passwordfile username\n" in result.out
    assert result.out.endswith("\nSee https://mosquitto.org/ for more information.\n\n")
    for option in "bcDHU":
        assert f"\n -{option} : " in result.out


def test_options_end_at_the_first_other_word(call: Call, tmp_path: Path) -> None:
    path = write(tmp_path, "")
    assert call("-b", path, "-c", "-D").code == 0
    assert list(users(path)) == ["-c"]


# ---- users


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ([], "$7$1000$"),
        (["-H", "sha512-pbkdf2"], "$7$1000$"),
        (["-I", "7"], "$7$7$"),
        (["-I", "7x"], "$7$7$"),
        (["-H", "sha512", "-I", "7"], "$6$"),
        (["-H", "argon2id"], "$argon2id$v=19$m=47104,t=1,p=1$"),
        (["-H", "sha512", "-H", "sha512-pbkdf2"], "$7$1000$"),
    ],
)
def test_kinds_of_hash(call: Call, tmp_path: Path, options: list[str], start: str) -> None:
    path = write(tmp_path, "")
    assert call(*options, "-b", path, "u", "p:w") == (0, "Adding password for user u\n", "")
    assert path.read_text().startswith(f"u:{start}")
    assert users(path)["u"].matches(b"p:w")


def test_user_is_added_changed_and_removed(call: Call, tmp_path: Path) -> None:
    """1.6.10: an existing user was not changed. 2.0.3: the user name became the password."""
    path = write(tmp_path, "")
    assert call("-b", path, "u", "one").out == "Adding password for user u\n"
    assert call("-b", path, "v", "two").out == "Adding password for user v\n"
    assert call("-b", path, "u", "three").out == "Updating password for user u\n"
    found = users(path)
    assert list(found) == ["u", "v"]
    assert found["u"].matches(b"three")
    assert found["v"].matches(b"two")
    assert call("-D", path, "u", "ignored") == (0, "", "")
    assert list(users(path)) == ["v"]
    assert call("-D", path, "u") == (1, "", "Warning: User u not found in password file.\n")
    assert list(users(path)) == ["v"]


def test_first_line_of_a_user_is_changed_and_all_are_removed(call: Call, tmp_path: Path) -> None:
    path = write(tmp_path, f"a:{HASH}\nu:{HASH}\nb:{HASH}\nu:{HASH}\n")
    call("-b", path, "u", "p")
    lines = path.read_text().splitlines()
    assert [line.split(":")[0] for line in lines] == ["a", "u", "b", "u"]
    assert lines[1] != f"u:{HASH}" == lines[3]
    call("-D", path, "u")
    assert path.read_text() == f"a:{HASH}\nb:{HASH}\n"


def test_comments_and_blank_lines_stay(call: Call, tmp_path: Path) -> None:
    content = f"# first\n\na:{HASH}:more\n #b : {HASH}\r\n   \n# last: one"
    path = write(tmp_path, content)
    assert call("-b", path, "u", "p").code == 0
    text = path.read_bytes()
    assert text.startswith(content.encode() + b"\nu:$7$")
    assert text.endswith(b"\n")
    assert call("-D", path, "u") == (0, "", "")
    assert path.read_bytes() == content.encode() + b"\n"


@pytest.mark.parametrize("mode", [["-b"], ["-D"], ["-U"]])
@pytest.mark.parametrize(
    ("content", "line"),
    [
        (f"a:{HASH}\nno colon\nu:{HASH}\n", 2),
        ("u\n", 1),
        ("u:\n", 1),
        (f"# c\n\n:{HASH}\n", 3),
        (f" :{HASH}\n", 1),
        (f"u:{HASH}\0\n", 1),
    ],
)
def test_corrupt_file_stays_as_it_is(call: Call, tmp_path: Path, mode: list[str], content: str, line: int) -> None:
    """1.6.9: it crashed the tool; later it lost what came after the line."""
    path = write(tmp_path, content)
    more = {"-b": ["v", "p"], "-D": ["u"], "-U": []}[mode[0]]
    assert call(*mode, path, *more) == (1, "", f"Error: Corrupt password file at line {line}.\n")
    assert path.read_text() == content


def test_plain_text_passwords_are_hashed(call: Call, tmp_path: Path) -> None:
    path = write(tmp_path, "# c\nu:one\n v : t wo :x\n")
    assert call("-I", "5", "-U", path) == (0, "", "")
    comment, *lines = path.read_text().splitlines()
    assert comment == "# c"
    for line, (name, password) in zip(lines, (("u", b"one"), ("v", b"t wo")), strict=True):
        assert line.startswith(f"{name}:$7$1000$")
        assert hashes.parse(line.split(":")[1].encode()).matches(password)
    assert call("-H", "sha512", "-U", path).code == 0
    assert path.read_text().splitlines()[1].startswith("u:$6$")


def test_empty_file_is_a_file(call: Call, tmp_path: Path) -> None:
    path = write(tmp_path, "")
    assert call("-U", path) == (0, "", "")
    assert call("-D", path, "u") == (1, "", "Warning: User u not found in password file.\n")
    assert path.read_text() == ""


def test_names_that_are_not_utf8_stay_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, b"")
    assert run(b"-b", path, b"\xff\xfe", b"\xfd").code == 0
    name, text = path.read_bytes().strip().split(b":")
    assert name == b"\xff\xfe"
    assert hashes.parse(text).matches(b"\xfd")


# ---- creating


def test_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new"
    assert run("-c", "-b", path, "u", "pw", "ignored") == (0, "Adding password for user u\n", "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert users(path)["u"].matches(b"pw")


def test_creating_replaces_a_file(call: Call, tmp_path: Path) -> None:
    path = write(tmp_path, f"a:{HASH}\nanything")
    assert call("-b", "-c", path, "u", "pw") == (0, "Adding password for user u\n", "")
    assert list(users(path)) == ["u"]


def test_minus_is_stdout(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("-H", "sha512", "-c", "-b", "-", "u", "pw")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("u:$6$")
    assert result.out.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_what_is_no_file_is_not_replaced(call: Call, tmp_path: Path) -> None:
    assert call("-c", "-b", tmp_path, "u", "p").err == (
        f"Error: Unable to open file {tmp_path} for writing. Is a directory.\n"
    )
    assert call("-b", tmp_path, "u", "p").err == f"Error: Unable to open password file {tmp_path}. Is a directory.\n"
    os.mkfifo(tmp_path / "fifo")
    result = call("-b", tmp_path / "fifo", "u", "p")
    assert result.err.splitlines() == [
        f"Error: {tmp_path / 'fifo'} is not a file.",
        f"Error: Unable to open password file {tmp_path / 'fifo'}. Invalid argument.",
    ]


# ---- prompts


def test_password_is_asked_for_twice(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    result = run(path, "u", typed=b"p w\r\np w\n")
    assert result == (0, "Password: \nReenter password: \nAdding password for user u\n", "")
    assert users(path)["u"].matches(b"p w")


def test_prompt_comes_before_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "new"
    assert run("-c", path, "u", typed=b"a\nb\n").code == 2
    assert not path.exists()
    assert run("-c", path, "u", typed=b"a\na").code == 0
    assert users(path)["u"].matches(b"a")


@pytest.mark.parametrize(
    ("typed", "code", "message"),
    [
        (b"one\ntwo\n", 2, "Error: Passwords do not match.\n"),
        (b"one\n", 2, "Error: Passwords do not match.\n"),
        (b"\n\n", 1, "Error: Empty password.\n"),
        (b"", 1, "Error: Empty password.\n"),
        (b"x" * 65500 + b"\n", 1, "Error: Password must be less than 65536 characters long.\n"),
    ],
)
def test_what_was_typed_will_not_do(tmp_path: Path, typed: bytes, code: int, message: str) -> None:
    path = write(tmp_path, f"u:{HASH}\n")
    result = run(path, "u", typed=typed)
    assert (result.code, result.err) == (code, message)
    assert path.read_text() == f"u:{HASH}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_prompt_gives_the_echo_back(tmp_path: Path, number: signal.Signals) -> None:
    import termios

    path = write(tmp_path, f"u:{HASH}\n")
    ours, theirs = pty.openpty()
    try:

        def echoes() -> bool:
            return bool(termios.tcgetattr(theirs)[3] & termios.ECHO)

        assert echoes()
        process = subprocess.Popen(
            [*COMMAND, path, "u"], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
        )
        wait_until(lambda: not echoes(), "the prompt", 2 * SECONDS)
        process.send_signal(number)
        out, err = process.communicate(timeout=2 * SECONDS)
        assert (process.returncode, err) == (0, b"")
        assert out.startswith(b"Password: ")
        assert echoes()
    finally:
        os.close(ours)
        os.close(theirs)
    assert path.read_text() == f"u:{HASH}\n"
    assert os.listdir(tmp_path) == [path.name]


def test_argon2id_without_its_package(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise hashes.UnavailableError

    monkeypatch.setattr(hashes, "_argon2", missing)
    path = write(tmp_path, f"u:{HASH}\n")
    assert call("-H", "argon2id", "-b", path, "u", "p") == (10, "", "Error: Unable to hash password.\n")
    assert path.read_text() == f"u:{HASH}\n"


# ---- safe rewriting


def test_owner_mode_and_attributes_stay(call: Call, tmp_path: Path) -> None:
    path = write(tmp_path, "")
    path.chmod(0o640)
    try:
        os.setxattr(path, "user.mosq", b"x")
        has_attributes = True
    except OSError:
        has_attributes = False
    if os.getuid() == 0:
        os.chown(path, 1, 2)
    before = path.stat()
    for arguments in (["-b", path, "u", "p"], ["-D", path, "u"], ["-U", path], ["-c", "-b", path, "u", "p"]):
        assert call(*arguments).code == 0
        after = path.stat()
        assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
        assert not has_attributes or os.getxattr(path, "user.mosq") == b"x"
    assert os.listdir(tmp_path) == [path.name]


def test_link_leads_to_the_file(call: Call, tmp_path: Path) -> None:
    path = write(tmp_path, "")
    link = tmp_path / "link"
    link.symlink_to(path.name)
    assert call("-b", link, "u", "p").code == 0
    assert link.is_symlink()
    assert list(users(path)) == ["u"]
    assert call("-c", "-b", link, "v", "p").code == 0
    assert link.is_symlink()
    assert list(users(path)) == ["v"]


def test_link_to_nothing_creates_what_it_names(call: Call, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    assert call("-c", "-b", tmp_path / "link", "u", "p").code == 0
    assert list(users(tmp_path / "target")) == ["u"]


def test_links_in_a_circle(call: Call, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert call("-b", tmp_path / "a", "u", "p").err.startswith("Error reading password file: Too many levels")


def test_what_is_beside_the_file_has_an_unforeseeable_name_and_is_private(
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """2.0.17: the names could be foreseen."""
    path = write(tmp_path, "")
    path.chmod(0o644)
    seen: list[str] = []
    real = replace._move

    def move(temporary: str, *rest: object) -> bool:
        assert stat.S_IMODE(os.stat(temporary).st_mode) == 0o600
        seen.append(temporary)
        return real(temporary, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(replace, "_move", move)
    for _ in range(3):
        assert call("-b", path, "u", "p").code == 0
    assert len(set(seen)) == 3
    assert all(name.startswith(f"{path}.backup.") for name in seen)


def test_file_that_cannot_be_moved_is_written_in_its_place(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that is mounted by itself, in a container."""

    def busy(*args: object) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(replace.os, "rename", busy)
    path = write(tmp_path, f"u:{HASH}\n" * 9)
    inode = path.stat().st_ino
    assert call("-D", path, "u").code == 0
    assert path.read_text() == ""
    assert call("-b", path, "u", "p").code == 0
    assert list(users(path)) == ["u"]
    assert path.stat().st_ino == inode
    assert os.listdir(tmp_path) == [path.name]


def test_failure_in_that_place_leaves_a_whole_copy(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(replace.os, "rename", fail)
    monkeypatch.setattr(replace.os, "ftruncate", fail)
    path = write(tmp_path, f"a:{HASH}\n")
    result = call("-b", path, "u", "p")
    copy = next(name for name in tmp_path.iterdir() if name != path)
    assert result == (
        1,
        "",
        f"Error occurred updating password file.\nPassword file may be corrupt, check the backup file: {copy}.\n",
    )
    assert [line.split(":")[0] for line in copy.read_text().splitlines()] == ["a", "u"]


def test_without_room_beside_it_the_file_stays(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(replace.os, "fsync", fail)
    path = write(tmp_path, f"a:{HASH}\n")
    assert call("-b", path, "u", "p").err == "Error: Unable to open temporary file. No space left on device.\n"
    assert path.read_text() == f"a:{HASH}\n"
    assert os.listdir(tmp_path) == [path.name]


NAMES = st.text(st.characters(min_codepoint=0x21, exclude_characters=":#\x7f", exclude_categories=("Cs",)), min_size=1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(steps=st.lists(st.tuples(st.booleans(), st.sampled_from("abc") | NAMES), max_size=8))
def test_file_is_what_was_done_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[bool, str]]
) -> None:
    """Adding and removing, against a dictionary; comments are not disturbed."""
    monkeypatch.setattr(passwd.signal, "signal", lambda *args: None)
    monkeypatch.setattr(replace.os, "fsync", lambda fd: None)
    path = write(tmp_path, "# comment\n")
    model: dict[str, str] = {}
    for number, (adds, name) in enumerate(steps):
        if adds:
            assert passwd.main(["-H", "sha512", "-b", str(path), name, f"p{number}"]) == 0
            model[name] = f"p{number}"
        else:
            assert passwd.main(["-D", str(path), name]) == (0 if name in model else 1)
            model.pop(name, None)
    comment, *lines = path.read_text().split("\n")
    assert comment == "# comment"
    found = dict(line.split(":") for line in lines if line)
    assert list(found) == list(model)
    assert all(hashes.parse(found[name].encode()).matches(model[name].encode()) for name in model)
