"""Reading again for a reload: what changes, what stays, and that a failure changes nothing."""

from __future__ import annotations

import copy

import pytest

from mosq.config import Config
from tests.config.conftest import Conf
from tests.config.facts import PLAIN
from tests.config.test_options import text, value_of

NO_NEW_LISTENERS = "E Error: It is not currently possible to add/remove listeners when reloading the config file."
NO_NEW_MODE = "E Error: per_listener_settings cannot be changed when reloading the config file."

plain = pytest.mark.parametrize("row", [row for row in PLAIN if row[1] != "bridge"], ids=lambda row: row[0])


def snapshot(config: Config) -> Config:
    return copy.deepcopy(config)


@plain
def test_option_that_is_removed(conf: Conf, row: tuple[str, str, object, str, object, str, str]) -> None:
    name, section, default, sample, value, _, effect = row
    running = conf.read(text(name, section, sample))
    base = "listener 1883\n" if running.listeners[0].host is None and section == "listener line" else ""
    if section == "listener":
        base = "listener 1883\n"
    config = conf.read(base, running=running)
    if section in ("implicit", "default listener") and not base and not running.local_only:
        expected = value  # its listener has no line any more, so it stays as it is
    else:
        expected = default if effect == "apply" else value
    assert value_of(config, name, section) == expected


@plain
def test_option_that_is_added(conf: Conf, row: tuple[str, str, object, str, object, str, str]) -> None:
    name, section, default, sample, value, _, effect = row
    scope = "port 1883\n" if section == "default listener" else "listener 1883\n"
    running = conf.read(scope)
    config = conf.read(scope + text(name, section, sample).removeprefix("listener 1883\n"), running=running)
    assert value_of(config, name, section) == (default if effect == "skip" else value)


@plain
def test_option_that_is_changed_back(conf: Conf, row: tuple[str, str, object, str, object, str, str]) -> None:
    name, section, _, sample, value, _, _ = row
    running = conf.read(text(name, section, sample))
    before = snapshot(running)
    config = conf.read(text(name, section, sample), running=running)
    assert value_of(config, name, section) == value
    assert config == running == before


@pytest.mark.parametrize(
    "line",
    [
        "user",
        "pid_file",
        "plugin",
        "global_plugin",
        "plugin_load",
        "plugin_opt_x",
        "port x",
        "auth_opt_",
        "auth_plugin_deny_special_chars maybe",
        "bind_address",
        "plugin_use",
    ],
)
def test_lines_for_the_start_are_not_looked_at(conf: Conf, line: str) -> None:
    running = conf.read("port 1883")
    assert conf.read(f"port 1883\n{line}", running=running) == running


@pytest.mark.parametrize(
    "line",
    [
        "tls_version",
        "http_dir /nowhere",
        "psk_hint",
        "tls_engine",
        "socket_domain ipv5",
        "tls_engine_kpass_sha1 x",
        "tls_keyform",
        "bind_interface",
    ],
)
def test_listener_lines_for_the_start_are_not_looked_at(conf: Conf, line: str) -> None:
    running = conf.read("listener 1883")
    assert conf.read(f"listener 1883\n{line}", running=running).listeners == running.listeners


def test_only_the_last_file_is_read_again(conf: Conf) -> None:
    one, two = (
        conf.write("sys_interval 5\nlistener 1\nmax_qos 0", "one"),
        conf.write("max_keepalive 6\nlistener 2", "two"),
    )
    running = conf.load([one, two])
    config = conf.load([one, two], running=running)
    assert (config.sys_interval, config.max_keepalive) == (10, 6)
    assert [(listener.port, listener.max_qos) for listener in config.listeners] == [(1, 0), (2, 2)]
    assert config.files == (one, two)


def test_without_files_nothing_changes(conf: Conf) -> None:
    running = conf.load([], ports=(1,))
    assert conf.load([], running=running) == running


@pytest.mark.parametrize("bad", ["unknown", "sys_interval x", "listener 2", "certfile x", "listener 1\nmax_qos 9"])
def test_failure_leaves_everything_as_it_was(conf: Conf, bad: str) -> None:
    running = conf.read(
        "listener 1\nmax_qos 1\nmax_connections 5\nmemory_limit 9\nmount_point m/\nacl_file a\n"
        "connection b\naddress 127.0.0.1\ntopic #\n"
    )
    before = snapshot(running)
    refusal = conf.refusal(
        f"memory_limit 8\nlistener 1\nmax_qos 0\nsys_interval 3\nconnection c\n"
        f"address 127.0.0.1\ntopic a\nlog_dest none\n{bad}\n",
        running=running,
    )
    assert refusal
    assert running == before


def test_listeners_are_matched_by_port_and_host_or_path(conf: Conf) -> None:
    first = "listener 1\nlistener 1 127.0.0.1\nlistener 0 /a\nlistener 0 /b\n"
    running = conf.read(first)
    config = conf.read(
        "listener 0 /b\nmax_qos 0\nlistener 1 127.0.0.1\nmax_connections 7\nlistener 1\nmount_point m/", running=running
    )
    assert [
        (one.host, one.socket_path, one.max_qos, one.max_connections, one.mount_point) for one in config.listeners
    ] == [
        (None, None, 2, -1, "m/"),
        ("127.0.0.1", None, 2, 7, None),
        (None, "/a", 2, -1, None),
        (None, "/b", 0, -1, None),
    ]


def test_listener_without_its_line_keeps_its_options(conf: Conf) -> None:
    running = conf.read("listener 1\nmax_qos 1\nlistener 2\nmax_qos 0\n")
    assert [one.max_qos for one in conf.read("listener 2", running=running).listeners] == [1, 2]


@pytest.mark.parametrize("line", ["listener 2", "listener 1 ::1", "listener 0 /b", "port 1", "max_connections 1"])
def test_listeners_cannot_be_added(conf: Conf, line: str) -> None:
    running = conf.read("listener 1\nlistener 0 /a\n")
    assert conf.refusal(line, running=running) == [NO_NEW_LISTENERS, "E Error found at FILE:1."]


@pytest.mark.parametrize("line", ["listener 1883", "listener 1883 127.0.0.1", "port 1883", "bind_address 127.0.0.1"])
def test_local_only_mode_cannot_be_left(conf: Conf, line: str) -> None:
    running = conf.read("")
    assert conf.refusal(line, running=running) == [NO_NEW_LISTENERS, "E Error found at FILE:1."]


def test_options_of_local_only_mode_are_reloaded(conf: Conf) -> None:
    running = conf.read("max_connections 5\n", ports=(1, 2))
    config = conf.read("max_connections 6\nmount_point m/\n", running=running)
    assert [(one.port, one.host) for one in config.listeners] == [(one.port, one.host) for one in running.listeners]
    assert [(one.max_connections, one.mount_point) for one in config.listeners] == [(6, "m/")] * 4
    assert all(listener.local_only for listener in config.listeners)
    again = conf.read("", running=config)
    assert [(one.max_connections, one.mount_point) for one in again.listeners] == [(-1, None)] * 4


def test_options_of_local_only_mode_are_checked(conf: Conf) -> None:
    message = "E Error: Both certfile and keyfile must be provided to enable a TLS listener."
    assert conf.refusal("certfile x", running=conf.read("")) == [message]


@pytest.mark.parametrize("line", ["use_subject_as_username true", "certfile x\nkeyfile x"])
def test_combinations_with_proxy_protocol_are_checked(conf: Conf, line: str) -> None:
    running = conf.read("listener 1\nenable_proxy_protocol 2\n")
    refusal = conf.refusal(f"listener 1\n{line}\n", running=running)
    assert len(refusal) == 1 and refusal[0].endswith("cannot be used with `enable_proxy_protocol 2`.")


def test_default_listener_is_matched(conf: Conf) -> None:
    running = conf.read("port 1884\nbind_address 127.0.0.1\nmax_connections 5\nmount_point m/\n")
    config = conf.read("port 1884\nmount_point n/\nmax_connections 6\n", running=running)
    assert len(config.listeners) == 1
    default = config.listeners[0]
    assert (default.port, default.host, default.is_default) == (1884, "127.0.0.1", True)
    assert (default.max_connections, default.mount_point) == (6, "n/")
    assert conf.read("port 1884\nmount_point n/\nmax_connections 6\n", running=config) == config


def test_default_listener_is_matched_by_options_without_a_listener(conf: Conf) -> None:
    running = conf.read("max_connections 5\nlistener 1884\n")
    config = conf.read("max_connections 6\nlistener 1884\nmax_connections 7\n", running=running)
    assert [one.max_connections for one in config.listeners] == [6, 7]
    assert not conf.lines


def test_default_listener_with_security_of_its_own_is_matched(conf: Conf) -> None:
    first = "per_listener_settings true\nport 1884\nacl_file a\n"
    running = conf.read(first)
    config = conf.read(first.replace("acl_file a", "acl_file b"), running=running)
    assert config.listeners[0].security.acl_file == "b"


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("listener 1\n", "per_listener_settings true\nlistener 1\n", [NO_NEW_MODE]),
        ("per_listener_settings true\nlistener 1\n", "listener 1\n", [NO_NEW_MODE]),
    ],
)
def test_per_listener_settings_cannot_be_changed(conf: Conf, before: str, after: str, lines: list[str]) -> None:
    assert conf.refusal(after, running=conf.read(before)) == lines


def test_prefixes_of_client_ids_are_as_after_a_start(conf: Conf) -> None:
    running = conf.read("auto_id_prefix a\nlistener 1\nlistener 2\nlistener_auto_id_prefix l\n")
    config = conf.read("auto_id_prefix b\nlistener 1\nlistener_auto_id_prefix m\nlistener 2\n", running=running)
    assert [config.auto_id_prefix_of(listener) for listener in config.listeners] == ["m", "b"]
    config = conf.read("listener 1\nlistener 2\n", running=config)
    assert [config.auto_id_prefix_of(listener) for listener in config.listeners] == ["auto-", "auto-"]


def test_plugins_stay_attached(conf: Conf) -> None:
    first = "plugin_load a /a.so\nplugin_opt_x 1\nplugin /b.so\nlistener 1\nplugin_use a\n"
    running = conf.read(first)
    config = conf.read("plugin /c.so\nlistener 1\nplugin_use c\n", running=running)
    assert config.plugins == running.plugins
    assert config.listeners[0].plugins == running.listeners[0].plugins
    assert config.given["plugin_load"] == running.given["plugin_load"]


def test_bridges_are_read_anew(conf: Conf) -> None:
    running = conf.read("connection a\naddress 127.0.0.1\ntopic #\nconnection b\naddress 127.0.0.1\ntopic #\n")
    config = conf.read("connection c\naddress 127.0.0.1\ntopic x\n", running=running)
    assert [bridge.name for bridge in config.bridges] == ["c"]
    assert [bridge.name for bridge in running.bridges] == ["a", "b"]


def test_deprecations_are_told_again(conf: Conf) -> None:
    running = conf.read("port 1883")
    first = conf.lines[0]
    conf.read("port 1883", running=running)
    assert conf.lines == [first]
