"""Listeners: listener lines, the default listener, local only mode, security per listener, checks across options."""

from __future__ import annotations

import socket

import pytest

from mosq.config import Config
from tests.config.conftest import Conf

CREATED = [
    "I Creating default listener due to '{0}' option.",
    "I It is best practice to define a 'listener' first. Using the '{0}' option without a listener will be disabled in "
    "the future.",
]


def created(name: str) -> list[str]:
    return [line.format(name) for line in CREATED]


def places(config: Config) -> list[tuple[int, str | None]]:
    return [(listener.port, listener.host) for listener in config.listeners]


@pytest.mark.parametrize(
    ("line", "port", "host"),
    [
        ("1883", 1883, None),
        ("0x10 localhost", 16, "localhost"),
        ("010", 8, None),
        ("1883 ::1 and more", 1883, "::1"),
        ("1883 # comment", 1883, None),
        ("1883 #comment", 1883, None),
    ],
)
def test_listener_line(conf: Conf, line: str, port: int, host: str | None) -> None:
    config = conf.read(f"listener {line}")
    assert places(config) == [(port, host)]
    assert not config.local_only
    assert not conf.lines


def test_listener_on_a_unix_socket(conf: Conf) -> None:
    listener = conf.read("listener 0 /run/m.sock # x").listeners[0]
    assert (listener.port, listener.host, listener.socket_path) == (0, None, "/run/m.sock")


def test_listener_options_count_for_the_listener_above(conf: Conf) -> None:
    config = conf.read("listener 1\nmax_connections 1\nlistener 2\nmax_connections 2\nmax_qos 0")
    assert [(one.max_connections, one.max_qos) for one in config.listeners] == [(1, 2), (2, 0)]


def test_bridge_does_not_end_a_listener(conf: Conf) -> None:
    config = conf.read("listener 1\nconnection b\naddress 127.0.0.1\ntopic #\nmount_point m/\n")
    assert config.listeners[0].mount_point == "m/"


def test_port_makes_the_default_listener(conf: Conf) -> None:
    config = conf.read("port 1884")
    assert places(config) == [(1884, None)]
    assert config.listeners[0].is_default and not config.local_only
    assert conf.lines[1:] == created("port")


def test_only_a_second_port_line_is_worth_a_warning(conf: Conf) -> None:
    warning = "W Warning: Default listener port specified multiple times. Only the latest will be used."
    conf.read("port 1884")
    assert warning not in conf.lines
    assert places(conf.read("port 1884\nport 1885")) == [(1885, None)]
    assert conf.lines.count(warning) == 1
    conf.read("bind_address 127.0.0.1\nport 1884")
    assert warning not in conf.lines


def test_port_and_bind_address_mean_the_same_listener(conf: Conf) -> None:
    config = conf.read("listener 1\nbind_address 127.0.0.1\nlistener 2\nport 3\nmax_connections 5\n")
    assert places(config) == [(1, None), (3, "127.0.0.1"), (2, None)]
    assert config.listeners[1].max_connections == 5


def test_bind_address_is_resolved(conf: Conf, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert conf.refusal("bind_address nowhere.invalid") == [
        "E Error: Error resolving bind_address: Name or service not known.",
        "E Error found at FILE:1.",
    ]


def test_bind_address_that_is_no_name_is_refused(conf: Conf) -> None:
    assert conf.refusal("bind_address " + "x" * 300)[0].startswith("E Error: ")


def test_option_without_listener_makes_the_default_listener(conf: Conf) -> None:
    config = conf.read("max_connections 5\nmount_point m/\nlistener 1884\nprotocol mqtt\n")
    assert places(config) == [(1883, None), (1884, None)]
    assert config.listeners[0].mount_point == "m/"
    assert conf.lines == created("max_connections")


def test_local_only_mode_listens_on_both_loopback_addresses(conf: Conf) -> None:
    config = conf.read("sys_interval 5")
    assert places(config) == [(1883, "127.0.0.1"), (1883, "::1")]
    assert all(listener.local_only for listener in config.listeners)


def test_local_only_mode_takes_ports_of_the_command_line(conf: Conf) -> None:
    config = conf.read("", ports=(1, 2))
    assert places(config) == [(1, "127.0.0.1"), (1, "::1"), (2, "127.0.0.1"), (2, "::1")]


def test_ports_of_the_command_line_do_not_count_beside_a_listener(conf: Conf) -> None:
    assert places(conf.read("listener 5", ports=(1,))) == [(5, None)]


def test_local_only_mode_has_the_options_of_the_default_listener(conf: Conf) -> None:
    config = conf.read("max_connections 5\nmount_point m/\n", ports=(1, 2))
    assert config.local_only
    assert [(one.max_connections, one.mount_point) for one in config.listeners] == [(5, "m/")] * 4
    assert not any(listener.is_default for listener in config.listeners)


def test_local_only_mode_with_one_address_family(conf: Conf) -> None:
    assert places(conf.read("socket_domain ipv6")) == [(1883, "::1")]


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("", True),
        ("allow_anonymous false", False),
        ("allow_anonymous true", True),
        ("listener 1", False),
        ("port 1", False),
        ("allow_anonymous true\nlistener 1", True),
        ("allow_anonymous true\nlistener 1\nlistener_allow_anonymous false", False),
        ("allow_anonymous false\nlistener 1\nlistener_allow_anonymous true", True),
        ("listener 1\nlistener_allow_anonymous true", True),
        ("listener 1\nallow_anonymous true", True),
        ("per_listener_settings true\nlistener 1", False),
        ("per_listener_settings true\nlistener 1\nallow_anonymous true", True),
        ("per_listener_settings true\nlistener 1\nallow_anonymous false", False),
        ("per_listener_settings true\nlistener 1\nlistener_allow_anonymous true", True),
        ("per_listener_settings true", True),
        ("max_connections 5\nlistener_allow_anonymous false", False),
    ],
)
def test_anonymous_access(conf: Conf, text: str, allowed: bool) -> None:
    config = conf.read(text)
    assert config.allows_anonymous(config.listeners[0]) is allowed


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("", "auto-"),
        ("auto_id_prefix g", "auto-"),
        ("auto_id_prefix g\nlistener 1", "g"),
        ("auto_id_prefix g\nlistener 1\nlistener_auto_id_prefix l", "l"),
        ("listener 1", "auto-"),
        ("per_listener_settings true\nlistener 1\nauto_id_prefix g", "g"),
        ("per_listener_settings true\nlistener 1", "auto-"),
    ],
)
def test_prefix_of_generated_client_ids(conf: Conf, text: str, prefix: str) -> None:
    config = conf.read(text)
    assert config.auto_id_prefix_of(config.listeners[0]) == prefix


@pytest.mark.parametrize(
    "line",
    [
        "allow_anonymous true",
        "acl_file x",
        "allow_zero_length_clientid true",
        "auto_id_prefix x",
        "password_file x",
        "psk_file x",
        "plugin x",
        "auth_plugin x",
        "global_plugin x",
    ],
)
def test_per_listener_settings_must_come_first(conf: Conf, line: str) -> None:
    assert conf.refusal(f"{line}\nper_listener_settings true") == [
        "E Error: per_listener_settings must be set before any other security settings.",
        "E Error found at FILE:2.",
    ]
    conf.read(f"{line}\nper_listener_settings false")


@pytest.mark.parametrize("line", ["listener_allow_anonymous true", "listener_auto_id_prefix x", "plugin_load a b"])
def test_per_listener_settings_may_follow_other_options(conf: Conf, line: str) -> None:
    assert conf.read(f"listener 1\n{line}\nper_listener_settings true").per_listener_settings


def test_per_listener_settings_once_true_stays_true(conf: Conf) -> None:
    assert conf.read("per_listener_settings true\nper_listener_settings nonsense").per_listener_settings
    assert len(conf.lines) == 2


def test_allow_anonymous_per_listener_points_to_its_successor(conf: Conf) -> None:
    notice = (
        "N You are using the 'allow_anonymous' option with 'per_listener_settings true'. "
        "Please replace this with 'listener_allow_anonymous'."
    )
    conf.read("per_listener_settings true\nlistener 1\nallow_anonymous true")
    assert notice in conf.lines
    conf.read("listener 1\nallow_anonymous true")
    assert notice not in conf.lines


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("certfile x", "Both certfile and keyfile must be provided to enable a TLS listener."),
        ("keyfile x", "Both certfile and keyfile must be provided to enable a TLS listener."),
        ("cafile x", "cafile specified without certfile and keyfile."),
        ("capath x", "capath specified without certfile and keyfile."),
        (
            "enable_proxy_protocol 2\nuse_subject_as_username true",
            "use_subject_as_username cannot be used with `enable_proxy_protocol 2`.",
        ),
        (
            "enable_proxy_protocol 2\ncertfile x\nkeyfile x",
            "certfile and keyfile cannot be used with `enable_proxy_protocol 2`.",
        ),
    ],
)
def test_options_that_do_not_go_together(conf: Conf, lines: str, message: str) -> None:
    assert conf.refusal(f"listener 1\n{lines}\n") == [f"E Error: {message}"]


@pytest.mark.parametrize("lines", ["psk_hint x\ncertfile x", "psk_hint x\ncafile x", "certfile x\npsk_file x"])
def test_certificates_and_keys_on_one_listener(conf: Conf, lines: str) -> None:
    message = "E Error: Cannot use both certificate and psk encryption in a single listener."
    assert conf.refusal(f"listener 1\n{lines}") == [message, "E Error found at FILE:3."]


def test_key_hint_after_certificates_is_not_caught(conf: Conf) -> None:
    listener = conf.read("listener 1\ncertfile x\nkeyfile x\npsk_hint x").listeners[0]
    assert listener.psk_hint == "x"


def test_options_of_plugins(conf: Conf) -> None:
    config = conf.read(
        "listener 1\nlistener 2\nplugin /p/a.so\nplugin_opt_abc 1\nplugin_opt_abc  two \nauth_opt_x \t\n"
        "plugin_load b  /p/b.so\nauth_plugin_deny_special_chars false\nplugin_use b\nplugin_opt_y z\nglobal_plugin g\n"
    )
    a, b, g = config.plugins
    assert (a.option, a.path, a.everywhere) == ("plugin", "/p/a.so", True)
    assert a.options == [("abc", "1"), ("abc", "two "), ("x", "")]
    assert (b.option, b.name, b.path, b.everywhere) == ("plugin_load", "b", " /p/b.so", False)
    assert (b.auth_plugin_deny_special_chars, b.options) == (False, [("y", "z")])
    assert (g.option, g.everywhere) == ("global_plugin", True)
    assert [listener.plugins for listener in config.listeners] == [[], [b]]


def test_plugin_belongs_to_its_listener_with_per_listener_settings(conf: Conf) -> None:
    config = conf.read("per_listener_settings true\nlistener 1\nplugin p\nlistener 2\nauth_plugin q\nglobal_plugin g")
    assert [[plugin.path for plugin in listener.plugins] for listener in config.listeners] == [["p"], ["q"]]
    assert [plugin.everywhere for plugin in config.plugins] == [False, False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plugin_opt_a x", "The 'plugin_opt_a' option requires plugin/global_plugin/plugin_load to be defined first."),
        ("auth_opt_abc x", "The 'auth_opt_abc' option requires plugin/global_plugin/plugin_load to be defined first."),
        (
            "auth_plugin_deny_special_chars true",
            "An auth_plugin_deny_special_chars option exists in the config file without a plugin.",
        ),
        ("plugin x\nplugin_opt_ x", "Invalid 'plugin_opt_' config option."),
        ("plugin x\nauth_opt_ x", "Invalid 'plugin_opt_' config option."),
        ("plugin x\nplugin_opt_abc", "Empty 'abc' value in configuration."),
        ("plugin x\nplugin_opt_abc ", "Empty 'abc' value in configuration."),
        ("plugin_load a x\nplugin_load a y", "Duplicate plugin name 'a'."),
    ],
)
def test_plugin_lines_that_are_refused(conf: Conf, text: str, message: str) -> None:
    assert conf.refusal(text)[0] == f"E Error: {message}"


@pytest.mark.parametrize("key", ["a", "ab", "abc"])
def test_plugin_option_of_any_length(conf: Conf, key: str) -> None:
    assert conf.read(f"plugin x\nplugin_opt_{key} v").plugins[0].options == [(key, "v")]
