"""Log lines and where they go."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mosq.log import ALL_LEVELS, Log


class Dest(NamedTuple):
    kind: str
    path: str | None = None


def dest(kind: str, path: str | Path = "") -> Dest:
    return Dest(kind, str(path) or None)


@pytest.fixture
def log() -> Iterator[Log]:
    made = Log()
    made.clock = lambda: 1700000000.9
    yield made
    made.close()


def open_file(log: Log, path: Path, types: frozenset[str] = ALL_LEVELS, timestamp: bool = True) -> None:
    log.open([dest("file", path)], types, timestamp, None, None)


def test_before_open_lines_go_to_stderr_without_debug(log: Log, capfd: pytest.CaptureFixture[str]) -> None:
    log.error("an %s", "error")
    log.warning("a warning")
    log.notice("a notice")
    log.info("100%")
    log.debug("details")
    log.subscribe("c 0 t")
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "".join(f"1700000000: {text}\n" for text in ("an error", "a warning", "a notice", "100%"))


def test_types_are_words_or_letters(log: Log, tmp_path: Path) -> None:
    open_file(log, tmp_path / "log", frozenset({"information", "subscribe", "D", "websockets"}), timestamp=False)
    for write in (log.error, log.warning, log.notice, log.info, log.debug, log.subscribe, log.unsubscribe):
        write(write.__name__)
    assert (tmp_path / "log").read_text() == "info\ndebug\nsubscribe\n"
    assert log.debugging


def test_nothing_is_formatted_for_a_level_that_is_off(log: Log, tmp_path: Path) -> None:
    class Costly:
        def __str__(self) -> str:
            raise AssertionError("formatted")

    open_file(log, tmp_path / "log", frozenset({"error"}))
    log.debug("%s", Costly())
    assert not log.debugging and not log.wants("D") and log.wants("E")


def test_nothing_is_formatted_without_a_destination(log: Log) -> None:
    log.open([dest("none"), dest("dlt")], ALL_LEVELS, True, None, None)
    log.error("%d", "not a number")
    assert not log.wants("E")


def test_a_file_is_created_for_its_owner_and_appended_to(log: Log, tmp_path: Path) -> None:
    path = tmp_path / "a b"
    open_file(log, path)
    log.error("one")
    open_file(log, path)
    log.error("two")
    assert path.read_text() == "1700000000: one\n1700000000: two\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_timestamp_follows_the_format_in_local_time(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC-5")
    time.tzset()
    try:
        log.open([dest("file", tmp_path / "log")], ALL_LEVELS, True, "%Y-%m-%dT%H:%M:%S é", None)
        log.error("x")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (tmp_path / "log").read_text() == "2023-11-15T03:13:20 é: x\n"


@pytest.mark.parametrize("fmt", ["%Z%Z" * 500, ""])
def test_a_timestamp_that_is_empty_or_too_long_says_so(log: Log, tmp_path: Path, fmt: str) -> None:
    log.open([dest("file", tmp_path / "log")], ALL_LEVELS, True, fmt, None)
    log.error("x")
    assert (tmp_path / "log").read_text() == "Time error: x\n"


def test_the_timestamp_follows_the_clock(log: Log, tmp_path: Path) -> None:
    open_file(log, tmp_path / "log")
    log.error("x")
    log.clock = lambda: 1700000001.0
    log.error("y")
    assert (tmp_path / "log").read_text() == "1700000000: x\n1700000001: y\n"


def test_a_line_is_cut_at_999_bytes(log: Log, tmp_path: Path) -> None:
    open_file(log, tmp_path / "log")
    log.error("x" * 2000)
    line = (tmp_path / "log").read_bytes()
    assert len(line) == 1000 and line.startswith(b"1700000000: x") and line.endswith(b"x\n")


def test_a_line_is_not_cut_inside_a_character(log: Log, tmp_path: Path) -> None:
    open_file(log, tmp_path / "log", timestamp=False)
    log.error("%s", "é" * 1000)
    assert (tmp_path / "log").read_text() == "é" * 499 + "\n"


def test_names_that_are_not_utf8_keep_their_bytes(log: Log, tmp_path: Path) -> None:
    open_file(log, tmp_path / "log", timestamp=False)
    log.error("%s \ud800", os.fsdecode(b"\xff"))
    log.error("%s", os.fsdecode(b"\xff"))
    assert (tmp_path / "log").read_bytes() == b"\\udcff \\ud800\n\xff\n"


def test_a_file_that_cannot_be_opened_is_replaced_by_stderr_for_errors(
    log: Log, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "missing" / "log"
    log.open([dest("stdout"), dest("file", path)], ALL_LEVELS, False, None, None)
    log.warning("not shown")
    log.error("shown")
    out, err = capfd.readouterr()
    assert out == ""
    assert err == f"Error: Unable to open log file {path} for writing.\nshown\n"


def test_reopening_tries_a_missing_file_again(log: Log, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "later" / "log"
    open_file(log, path)
    path.parent.mkdir()
    log.reopen()
    log.debug("found")
    assert path.read_text().endswith(": found\n")
    assert "Unable to open log file" in capfd.readouterr().err


def test_reopening_leaves_a_rotated_file_behind(log: Log, tmp_path: Path) -> None:
    path = tmp_path / "log"
    open_file(log, path, timestamp=False)
    log.error("old")
    path.rename(tmp_path / "log.1")
    log.error("still old")
    log.reopen()
    log.error("new")
    assert (tmp_path / "log.1").read_text() == "old\nstill old\n"
    assert path.read_text() == "new\n"


def test_a_symbolic_link_is_no_log_file(
    log: Log, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    open_file(log, link, timestamp=False)
    assert capfd.readouterr().err == f"Error: Unable to open log file {link} for writing.\n"
    assert not (tmp_path / "target").exists()
    monkeypatch.setenv("MOSQUITTO_UNSAFE_ALLOW_SYMLINKS", "")
    log.reopen()
    log.error("through")
    assert (tmp_path / "target").read_text() == "through\n"


@pytest.mark.parametrize("kind", ["fifo", "device", "directory"])
def test_only_a_regular_file_is_a_log_file(
    log: Log, tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    path = {"fifo": tmp_path / "fifo", "device": Path("/dev/null"), "directory": tmp_path}[kind]
    if kind == "fifo":
        os.mkfifo(path)
    open_file(log, path, timestamp=False)
    assert f"Error: Unable to open log file {path} for writing.\n" in capfd.readouterr().err


def test_loose_permissions_earn_a_remark_in_the_log_itself(log: Log, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    path.chmod(0o644)
    open_file(log, path, timestamp=False)
    assert path.read_text() == (
        f"Warning: File {path} has world readable permissions. Future versions will refuse to load this file.\n"
        f"To fix this, use `chmod 0700 {path}`.\n"
    )


def test_topics_get_the_line_and_its_level_but_no_debug(log: Log) -> None:
    seen: list[tuple[str, str]] = []
    log.on_topic = lambda level, line: seen.append((level, line))
    log.open([dest("topic")], ALL_LEVELS, True, None, None)
    log.error("e")
    log.debug("d")
    log.unsubscribe("c t")
    assert seen == [("E", "1700000000: e"), ("U", "1700000000: c t")]
    assert not log.debugging


def test_close_drops_what_follows(log: Log, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    open_file(log, tmp_path / "log")
    log.close()
    log.error("late")
    assert (tmp_path / "log").read_text() == ""
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_destination_that_went_away_is_no_error(log: Log, tmp_path: Path) -> None:
    log.open([dest("file", tmp_path / "log")], ALL_LEVELS, True, None, None)
    fd = log._descriptors[0]
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, fd)
    os.close(writer)
    log.error("nobody reads this")


@pytest.mark.parametrize(("facility", "expected"), [(None, "LOG_DAEMON"), (0, "LOG_LOCAL0"), (7, "LOG_LOCAL7")])
def test_syslog_gets_the_priority_and_facility(
    log: Log, monkeypatch: pytest.MonkeyPatch, facility: int | None, expected: str
) -> None:
    import syslog

    opened: list[tuple[str, int, int]] = []
    seen: list[tuple[int, str]] = []
    monkeypatch.setattr(syslog, "openlog", lambda *args: opened.append(args))
    monkeypatch.setattr(syslog, "syslog", lambda *args: seen.append(args))
    log.open([dest("syslog")], ALL_LEVELS, False, None, facility)
    for write in (log.error, log.warning, log.notice, log.info, log.debug, log.subscribe, log.unsubscribe):
        write("x")
    assert opened == [("mosquitto", syslog.LOG_PID | syslog.LOG_CONS, getattr(syslog, expected))]
    assert [priority for priority, _ in seen] == [
        syslog.LOG_ERR,
        syslog.LOG_WARNING,
        syslog.LOG_NOTICE,
        syslog.LOG_INFO,
        syslog.LOG_DEBUG,
        syslog.LOG_NOTICE,
        syslog.LOG_NOTICE,
    ]
