"""Which files are read, in which order, and where errors are said to be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mosq.config import ConfigError, load
from tests.config.conftest import Conf


def refusal(conf: Conf, path: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        conf.load([path])
    return caught.value.lines


def test_no_file_means_defaults(conf: Conf) -> None:
    config = conf.load([])
    assert config.files == () and config.local_only
    assert not conf.lines


def test_empty_file_is_valid(conf: Conf) -> None:
    config = conf.read("")
    assert config.files == (conf.path,)
    assert config.local_only


def test_directory_is_refused(conf: Conf, tmp_path: Path) -> None:
    assert refusal(conf, str(tmp_path)) == [("E", f"Error: Config file '{tmp_path}' is a directory.")]


@pytest.mark.parametrize("kind", ["missing", "loop", "dangling", "nul"])
def test_file_that_cannot_be_opened(conf: Conf, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.conf"
    if kind == "loop":
        path.symlink_to(path)
    if kind == "dangling":
        path.symlink_to(tmp_path / "nothing")
    name = str(path) + ("\0" if kind == "nul" else "")
    assert refusal(conf, name) == [("E", f"Error: Unable to open config file '{name}'.")]


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_file_that_is_none_is_refused_without_waiting(conf: Conf, tmp_path: Path, kind: str) -> None:
    path = "/dev/null"
    if kind == "fifo":
        path = str(tmp_path / "fifo")
        os.mkfifo(path)
    assert refusal(conf, path) == [
        ("E", f"Error: {path} is not a file."),
        ("E", f"Error: Unable to open config file '{path}'."),
    ]


def test_symbolic_link_to_a_file_is_followed(conf: Conf, tmp_path: Path) -> None:
    conf.write("sys_interval 5", "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert conf.load([str(tmp_path / "link")]).sys_interval == 5


def test_line_numbers_count_all_lines(conf: Conf) -> None:
    assert conf.refusal("# one\n\n  \nsys_interval x")[-1] == "E Error found at FILE:4."


def test_name_of_file_that_is_not_utf8_can_be_reported(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.conf")
    with open(path, "w") as file:
        file.write("x")
    with pytest.raises(ConfigError) as caught:
        load([path], [], lambda level, text: None)
    assert caught.value.lines[-1][1].encode() == f"Error found at {tmp_path}/\ufffd.conf:1.".encode()


def test_files_add_up(conf: Conf) -> None:
    one, two = conf.write("sys_interval 5\nmax_keepalive 9", "one"), conf.write("sys_interval 6\nlistener 1", "two")
    config = conf.load([one, two])
    assert (config.sys_interval, config.max_keepalive, len(config.listeners)) == (6, 9, 1)
    assert config.files == (one, two)


def test_duplicates_count_across_files(conf: Conf) -> None:
    one, two = conf.write("pid_file a", "one"), conf.write("pid_file b", "two")
    with pytest.raises(ConfigError) as caught:
        conf.load([one, two])
    assert caught.value.lines[0] == ("E", "Error: Duplicate 'pid_file' value in configuration.")


def test_checks_are_made_after_each_file(conf: Conf) -> None:
    one, two = conf.write("listener 1\ncertfile x", "one"), conf.write("unknown", "two")
    with pytest.raises(ConfigError) as caught:
        conf.load([one, two])
    assert "certfile and keyfile" in caught.value.lines[0][1]


def test_current_listener_does_not_reach_the_next_file(conf: Conf) -> None:
    one, two = conf.write("listener 1", "one"), conf.write("mount_point x", "two")
    with pytest.raises(ConfigError):
        conf.load([one, two])


def test_included_files_are_read_in_order(conf: Conf, tmp_path: Path) -> None:
    ordered = [".h", "00", "01", "A", "AB", "Ab", "a b", "a", "a1", "aB", "ab", "abc", "B", "b", "_x"]
    for name in reversed(ordered):
        conf.write("", f"d/{name}.conf")
    for name in (".conf", "x.CONF", "x.conf~", "x", "conf"):
        conf.write("unknown", f"d/{name}")
    conf.read(f"include_dir {tmp_path}/d")
    assert conf.lines == [f"I Loading config file '{tmp_path}/d/{name}.conf'" for name in ordered]


def test_include_dir_with_trailing_slash_keeps_it(conf: Conf, tmp_path: Path) -> None:
    conf.write("", "d/a.conf")
    conf.read(f"include_dir {tmp_path}/d/")
    assert conf.lines == [f"I Loading config file '{tmp_path}/d//a.conf'"]


def test_include_dir_is_taken_as_it_stands(conf: Conf, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for line, name in (
        (f"include_dir  {tmp_path}/d", f" {tmp_path}/d"),
        (f"include_dir {tmp_path}/d ", f"{tmp_path}/d "),
    ):
        assert conf.refusal(line) == [f"E Error: Unable to open include_dir '{name}'.", "E Error found at FILE:1."]


def test_empty_include_dir_is_no_error(conf: Conf, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    conf.read(f"include_dir {tmp_path}/d")
    assert not conf.lines


def test_error_in_included_file_names_both_places(conf: Conf, tmp_path: Path) -> None:
    conf.write("\nunknown", "d/a.conf")
    assert conf.refusal(f"# x\ninclude_dir {tmp_path}/d") == [
        "E Error: Unknown configuration variable 'unknown'.",
        f"E Error found at '{tmp_path}/d/a.conf:2'.",
        "E Error found at FILE:2.",
    ]


def test_included_file_that_cannot_be_opened_has_no_line(conf: Conf, tmp_path: Path) -> None:
    conf.write("\n\n\n", "d/a.conf")
    (tmp_path / "d/b.conf").mkdir()
    assert conf.refusal(f"include_dir {tmp_path}/d") == [
        f"E Error: Config file '{tmp_path}/d/b.conf' is a directory.",
        "E Error found at FILE:1.",
    ]


def test_included_file_cannot_include(conf: Conf, tmp_path: Path) -> None:
    conf.write("include_dir /tmp", "d/a.conf")
    assert conf.refusal(f"include_dir {tmp_path}/d") == [
        "E Error: The include_dir option is only valid in the main configuration file.",
        f"E Error found at '{tmp_path}/d/a.conf:1'.",
        "E Error found at FILE:1.",
    ]


def test_main_file_inside_the_included_directory_is_refused(conf: Conf, tmp_path: Path) -> None:
    assert "only valid in the main configuration file" in conf.refusal(f"include_dir {tmp_path}")[0]


def test_listener_of_main_file_is_current_after_an_include(conf: Conf, tmp_path: Path) -> None:
    conf.write("listener 2\nmax_connections 2\n", "d/a.conf")
    config = conf.read(f"listener 1\ninclude_dir {tmp_path}/d\nmax_connections 1\nmount_point m/\n")
    assert [(one.port, one.max_connections, one.mount_point) for one in config.listeners] == [
        (1, 1, "m/"),
        (2, 2, None),
    ]


def test_included_file_starts_without_listener_bridge_and_plugin(conf: Conf, tmp_path: Path) -> None:
    main = f"listener 1\nconnection b\naddress 127.0.0.1\ntopic #\nplugin p\ninclude_dir {tmp_path}/d\n"
    for line in ("mount_point x", "topic a", "plugin_opt_abc x"):
        conf.write(line, "d/a.conf")
        assert "to be defined first." in conf.refusal(main)[0]


def test_listener_option_at_the_top_of_an_included_file_makes_the_default_listener(conf: Conf, tmp_path: Path) -> None:
    conf.write("max_connections 5", "d/a.conf")
    config = conf.read(f"listener 1\ninclude_dir {tmp_path}/d\n")
    assert [(one.port, one.max_connections, one.is_default) for one in config.listeners] == [
        (1, -1, False),
        (1883, 5, True),
    ]


def test_global_options_are_shared_between_files(conf: Conf, tmp_path: Path) -> None:
    conf.write("log_type debug\nlog_dest stdout\n", "d/a.conf")
    config = conf.read(f"log_type error\nlog_dest stderr\ninclude_dir {tmp_path}/d\n")
    assert config.log_types == {"E", "D"}
    assert [dest.kind for dest in config.log_dests] == ["stderr", "stdout"]


def test_place_of_a_line_is_known(conf: Conf, tmp_path: Path) -> None:
    conf.write("\nmax_keepalive 1", "d/a.conf")
    config = conf.read(f"sys_interval 5\nsys_interval 6\ninclude_dir {tmp_path}/d\n")
    assert config.given["sys_interval"] == f"{conf.path}:2"
    assert config.given["max_keepalive"] == f"{tmp_path}/d/a.conf:2"


def test_environment_replaces_persistence_location(conf: Conf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSQUITTO_PERSISTENCE_LOCATION", "/elsewhere")
    running = conf.read("persistence_location /here")
    assert running.persistence_location == "/elsewhere"
    assert conf.read("persistence_location /here", running=running).persistence_location == "/elsewhere"
    monkeypatch.setenv("MOSQUITTO_PERSISTENCE_LOCATION", "")
    assert conf.load([]).persistence_location == ""


def test_log_options_are_announced_from_the_line_they_stand_on(conf: Conf) -> None:
    seen: list[tuple[str, object]] = []
    path = conf.write("log_timestamp false\nlog_timestamp_format %Y\nunknown\n")
    with pytest.raises(ConfigError):
        load([path], [], lambda level, text: None, on_log_option=lambda name, value: seen.append((name, value)))
    assert seen == [("log_timestamp", False), ("log_timestamp_format", "%Y")]


@pytest.mark.parametrize(
    ("text", "dests"),
    [
        ("log_dest stdout", [("stdout", None)]),
        ("log_dest file  /var/log/a b ", [("file", "/var/log/a b ")]),
        ("log_dest stderr\nlog_dest none", []),
        ("log_dest stderr\nlog_dest none\nlog_dest topic", [("topic", None)]),
        ("log_dest file a\nlog_dest none\nlog_dest file b", [("file", "b")]),
        ("log_dest syslog\nlog_dest dlt\nlog_dest syslog", [("syslog", None), ("dlt", None)]),
    ],
)
def test_log_destinations_add_up(conf: Conf, text: str, dests: list[tuple[str, str | None]]) -> None:
    assert [(dest.kind, dest.path) for dest in conf.read(text).log_dests] == dests


def test_only_one_log_file(conf: Conf) -> None:
    assert conf.refusal("log_dest file a\nlog_dest file b")[0] == 'E Error: Duplicate "log_dest file" value.'


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("", "EWNI"),
        ("log_type debug", "D"),
        ("log_type subscribe\nlog_type unsubscribe", "SU"),
        ("log_type error\nlog_type none", ""),
        ("log_type none\nlog_type error warning", "E"),
    ],
)
def test_log_types_add_up(conf: Conf, text: str, types: str) -> None:
    assert conf.read(text).log_types == set(types)


def test_log_type_all_is_everything(conf: Conf) -> None:
    assert conf.read("log_type all").log_types == {*"EWNIDSU", "websockets", "internal"}
