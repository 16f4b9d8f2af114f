"""What the broker does to its own process; as root where that matters, and with the system calls replaced elsewhere."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mosq import process
from mosq.process import PidFile, ProcessError, drop_privileges, set_umask
from tests.harness.broker import ROOT
from tests.runtime.record import Record

Calls = list[tuple[object, ...]]
NOT_AS_ROOT = "Warning: Mosquitto should not be run as root/administrator."


@pytest.fixture
def log() -> Record:
    return Record()


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Makes the process believe it is root, and collects what it would do."""
    calls: Calls = []
    ids = {"uid": 0, "gid": 0}

    def setter(name: str, which: str) -> Callable[[int], None]:
        def call(value: int) -> None:
            calls.append((name, value))
            ids[which] = value

        return call

    monkeypatch.setattr(os, "geteuid", lambda: ids["uid"])
    monkeypatch.setattr(os, "getegid", lambda: ids["gid"])
    monkeypatch.setattr(os, "setuid", setter("setuid", "uid"))
    monkeypatch.setattr(os, "setgid", setter("setgid", "gid"))
    monkeypatch.setattr(os, "initgroups", lambda name, gid: calls.append(("initgroups", name, gid)))
    return calls


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, int]]:
    """The accounts there are: name to uid and gid."""
    known: dict[str, tuple[int, int]] = {"root": (0, 0)}

    def entry(name: str) -> pwd.struct_passwd:
        uid, gid = known[name]
        return pwd.struct_passwd((name, "x", uid, gid, "", "/", "/bin/false"))

    by_number = {}

    def entry_of(uid: int) -> pwd.struct_passwd:
        by_number.update({numbers[0]: name for name, numbers in known.items()})
        return entry(by_number[uid])

    monkeypatch.setattr(pwd, "getpwnam", entry)
    monkeypatch.setattr(pwd, "getpwuid", entry_of)
    return known


def failing(user: str, environ: Mapping[str, str], log: Record) -> tuple[str, int]:
    with pytest.raises(ProcessError) as caught:
        drop_privileges(user, environ, log)
    return caught.value.text, caught.value.code


# User


def test_another_user_than_root_stays(log: Record, accounts: dict[str, tuple[int, int]], as_root: Calls) -> None:
    os.setuid(7)
    as_root.clear()
    accounts["someone"] = (7, 7)
    drop_privileges("no such user", {"PUID": "x"}, log)
    assert as_root == []
    assert log.lines == [("I", "Info: running mosquitto as user: someone.")]


def test_root_becomes_the_user_with_all_groups(
    log: Record, accounts: dict[str, tuple[int, int]], as_root: Calls
) -> None:
    accounts["broker"] = (107, 113)
    drop_privileges("broker", {}, log)
    assert as_root == [("initgroups", "broker", 113), ("setgid", 113), ("setuid", 107)]
    assert log.lines == [("I", "Info: running mosquitto as user: broker.")]


def test_user_root_stays_root_and_is_warned(log: Record, accounts: dict[str, tuple[int, int]], as_root: Calls) -> None:
    drop_privileges("root", {}, log)
    assert as_root == []
    assert log.lines == [("I", "Info: running mosquitto as user: root."), ("W", NOT_AS_ROOT)]


def test_without_its_account_the_default_user_is_nobody(
    log: Record, accounts: dict[str, tuple[int, int]], as_root: Calls
) -> None:
    accounts["nobody"] = (65534, 65534)
    drop_privileges("mosquitto", {}, log)
    assert ("setuid", 65534) in as_root
    assert log.texts("E") == [
        "Warning: Unable to drop privileges to 'mosquitto' because this user does not exist. Trying 'nobody' instead."
    ]


def test_without_nobody_either_the_start_ends(
    log: Record, accounts: dict[str, tuple[int, int]], as_root: Calls
) -> None:
    assert failing("mosquitto", {}, log) == ("Error: Unable to drop privileges to 'nobody'.", 14)


def test_another_user_that_is_missing_ends_the_start(
    log: Record, accounts: dict[str, tuple[int, int]], as_root: Calls
) -> None:
    text = "Error: Unable to drop privileges to 'ghost' because this user does not exist."
    assert failing("ghost", {}, log) == (text, 3)


@pytest.mark.parametrize(
    ("environ", "calls", "warned"),
    [
        ({"PUID": "1500", "PGID": "1600"}, [("setgid", 1600), ("setuid", 1500)], False),
        ({"PUID": "1500"}, [("setuid", 1500)], True),
        ({"PGID": "1600"}, [("setgid", 1600)], True),
        ({"PUID": "0", "PGID": "0"}, [], True),
    ],
)
def test_numbers_in_the_environment_come_before_the_user(
    log: Record,
    accounts: dict[str, tuple[int, int]],
    as_root: Calls,
    environ: dict[str, str],
    calls: Calls,
    warned: bool,
) -> None:
    drop_privileges("no such user", environ, log)
    assert as_root == calls
    assert (log.texts("W") == [NOT_AS_ROOT]) is warned
    if os.geteuid() == 1500:
        assert log.texts("I") == ["Info: running mosquitto as user id: 1500."]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("abc", "not a valid ID 'abc'"),
        ("", "not a valid ID ''"),
        ("1_0", "not a valid ID '1_0'"),
        ("-1", "must not be negative"),
        ("2147483648", "must not be less than 2147483647"),
    ],
)
def test_a_wrong_number_in_the_environment_ends_the_start(
    log: Record, accounts: dict[str, tuple[int, int]], as_root: Calls, value: str, problem: str
) -> None:
    for name in ("PUID", "PGID"):
        assert failing("root", {name: value}, log) == (f"Error: {name} {problem}", 3)


@pytest.mark.parametrize(("call", "what"), [("initgroups", "groups"), ("setgid", "gid"), ("setuid", "uid")])
def test_a_refused_system_call_ends_the_start(
    log: Record,
    accounts: dict[str, tuple[int, int]],
    as_root: Calls,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    what: str,
) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    accounts["broker"] = (107, 113)
    monkeypatch.setattr(os, call, refuse)
    text = f"Error setting {what} whilst dropping privileges: Operation not permitted."
    assert failing("broker", {}, log) == (text, 14)


def test_in_a_snap_nothing_is_done(log: Record, as_root: Calls) -> None:
    drop_privileges("mosquitto", {"SNAP_NAME": "mosquitto"}, log)
    assert (as_root, log.lines) == ([], [])


# Umask


def test_umask_set_is_octal(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(os, "umask", seen.append)
    set_umask({})
    set_umask({"UMASK_SET": "0027"})
    assert seen == [0o027]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("9", "not a valid octal number"),
        ("", "not a valid octal number"),
        ("1000", "out of range"),
        ("-1", "out of range"),
    ],
)
def test_a_wrong_umask_ends_the_start(value: str, problem: str) -> None:
    with pytest.raises(ProcessError) as caught:
        set_umask({"UMASK_SET": value})
    assert (caught.value.text, caught.value.code) == (f"Error: UMASK_SET environment variable {problem}.", 3)


# pid file


def test_the_pid_file_holds_the_number_alone_and_goes_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("an older and longer text")
    pid_file = PidFile(str(path))
    pid_file.write()
    assert path.read_bytes() == str(os.getpid()).encode()
    pid_file.remove()
    assert not path.exists()


def test_a_new_pid_file_has_ordinary_permissions(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    before = os.umask(0o022)
    try:
        PidFile(str(path)).write()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_pid_file_that_was_not_written_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("4711")
    PidFile(str(path)).remove()
    assert path.read_text() == "4711"


@pytest.mark.parametrize("by", ["content", "file"])
def test_the_pid_file_of_a_successor_is_left(tmp_path: Path, by: str) -> None:
    path = tmp_path / "pid"
    pid_file = PidFile(str(path))
    pid_file.write()
    if by == "content":
        path.write_text("4711")
    else:
        (tmp_path / "new").write_text(str(os.getpid()))
        (tmp_path / "new").rename(path)
    pid_file.remove()
    assert path.exists()


def test_a_pid_file_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(ProcessError) as caught:
        PidFile(str(tmp_path / "no" / "pid")).write()
    assert (caught.value.text, caught.value.code) == ("Error: Unable to write pid file.", 14)


# Descriptors and title, in processes of their own


def child(code: str, **options: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        timeout=20,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **options,  # type: ignore[call-overload]
    )
    return str(done.stdout, "utf-8")


def test_closed_standard_descriptors_are_held() -> None:
    code = (
        "import os\nfrom mosq.process import hold_standard_descriptors\n"
        "os.close(0); os.close(2)\nhold_standard_descriptors()\n"
        "print(os.readlink('/proc/self/fd/0'), os.readlink('/proc/self/fd/2'))"
    )
    assert child(code) == "/dev/null /dev/null\n"


def test_the_title_is_mosquitto_with_its_arguments() -> None:
    code = (
        "from mosq.process import set_title\nset_title(['-c', '/etc/mosquitto.conf'])\n"
        "print(open('/proc/self/comm').read().strip(), open('/proc/self/cmdline').read().rstrip('\\0'))\n"
        "import sys; print('logging' in sys.modules)"
    )
    assert child(code) == "mosquitto mosquitto -c /etc/mosquitto.conf\nFalse\n"


def test_a_missing_title_package_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_title_module", lambda: None)
    process.set_title(["-v"])
