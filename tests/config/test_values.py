"""Value types: what each accepts, and the exact message for what it does not."""

from __future__ import annotations

import pytest

from mosq.config.checks import integer, leading_int, leading_long
from tests.config.conftest import Conf

L = "listener 1883\n"
B = "connection b\n"


@pytest.mark.parametrize(("word", "value"), [("true", True), ("1", True), ("false", False), ("0", False)])
def test_bool_words(conf: Conf, word: str, value: bool) -> None:
    assert conf.read(f"retain_available  {word} # and more").retain_available is value


@pytest.mark.parametrize("word", ["yes", "on", "TRUE", "true\t", "2", "01", "#"])
def test_other_words_are_no_bool(conf: Conf, word: str) -> None:
    assert conf.refusal(f"persistence {word}") == [
        f"E Error: Invalid 'persistence' value ({word}).",
        "E Error found at FILE:1.",
    ]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        (b"0", 0),
        (b"10", 10),
        (b"+10", 10),
        (b"-10", -10),
        (b"010", 8),
        (b"0x1F", 31),
        (b"0X1f", 31),
        (b"-0x10", -16),
        (b"\t\v5", 5),
        (b"00", 0),
        (b"9" * 5000, int("9" * 20)),
        (b"0" * 5000 + b"7", 7),
        (b"", None),
        (b"-", None),
        (b"0x", None),
        (b"08", None),
        (b"1.5", None),
        (b"5\t", None),
        (b"- 5", None),
        (b"0b1", None),
        (b"1_000", None),
        ("٣".encode(), None),
        (b"--5", None),
        (b"0o7", None),
    ],
)
def test_integer_is_read_like_strtol_with_base_zero(word: bytes, value: int | None) -> None:
    assert integer(word) == value


@pytest.mark.parametrize(
    ("word", "value"),
    [
        (b"5x", 5),
        (b"x", 0),
        (b"", 0),
        (b"-5", -5),
        (b"+5", 5),
        (b" \t5", 5),
        (b"010", 10),
        (b"0x10", 0),
        (b"9" * 5000, 2**63 - 1),
        (b"-" + b"9" * 5000, -(2**63)),
        (b"0" * 5000 + b"3", 3),
    ],
)
def test_leading_long_is_read_like_atol(word: bytes, value: int) -> None:
    assert leading_long(word) == value


@pytest.mark.parametrize(("word", "value"), [(b"2147483648", -(2**31)), (b"4294967297", 1), (b"9" * 30, -1)])
def test_leading_int_wraps_like_atoi(word: bytes, value: int) -> None:
    assert leading_int(word) == value


@pytest.mark.parametrize("word", ["2147483648", "-2147483649", "9" * 400, "0x80000000"])
def test_int_beyond_32_bits_is_out_of_range(conf: Conf, word: str) -> None:
    assert conf.refusal(f"max_queued_bytes {word}")[0] == "E Error: 'max_queued_bytes' value out of range."


@pytest.mark.parametrize("word", ["x", "5k", "08", "#"])
def test_int_that_is_no_number(conf: Conf, word: str) -> None:
    assert conf.refusal(f"max_queued_bytes {word}")[0] == "E Error: 'max_queued_bytes' value not a number."


RANGES = [
    (L, "max_qos", "3", "E Error: 'max_qos' must be between 0 and 2 inclusive."),
    (L, "maximum_qos", "-1", "E Error: 'max_qos' must be between 0 and 2 inclusive."),
    (L, "maximum_qos", "x", "E Error: 'maximum_qos' value not a number."),
    (L, "max_topic_alias", "65536", "E Error: Invalid 'max_topic_alias' value in configuration."),
    (L, "max_topic_alias_broker", "-1", "E Error: Invalid 'max_topic_alias_broker' value in configuration."),
    (L, "enable_proxy_protocol", "0", "E Error: enable_proxy_protocol must be 1 or 2."),
    (L, "enable_proxy_protocol", "3", "E Error: enable_proxy_protocol must be 1 or 2."),
    (L, "protocol", "MQTT", "E Error: Invalid 'protocol' value (MQTT)."),
    (L, "socket_domain", "ipv5", "E Error: Invalid 'socket_domain' value 'ipv5' in configuration."),
    (L, "socket_domain", "", "E Error: Empty 'socket_domain' value in configuration."),
    (L, "mount_point", "a/+", "E Error: Invalid 'mount_point' value (a/+). Does it contain a wildcard character?"),
    (L, "mount_point", "a#", "E Error: Invalid 'mount_point' value (a#). Does it contain a wildcard character?"),
    (L, "listener_auto_id_prefix", "x" * 51, "E Error: 'listener_auto_id_prefix' length must be <= 50."),
    (L, "plugin_use", "x", "E Error: Plugin 'x' not previously loaded."),
    ("", "auto_id_prefix", "x" * 51, "E Error: auto_id_prefix length must be <= 50."),
    ("", "auto_id_prefix", "é" * 26, "E Error: auto_id_prefix length must be <= 50."),
    ("", "listener", "-1", "E Error: Invalid 'port' value (-1)."),
    ("", "listener", "65536", "E Error: Invalid 'port' value (65536)."),
    ("", "listener", "x", "E Error: 'listener port' value not a number."),
    ("", "listener", "01883", "E Error: 'listener port' value not a number."),
    ("", "listener", "9999999999", "E Error: 'listener port' value out of range."),
    ("", "listener", "", "E Error: Empty 'listener port' value in configuration."),
    ("", "listener", "0", "E Error: A listener with port 0 must provide a Unix socket path."),
    ("", "listener", "0 # x", "E Error: A listener with port 0 must provide a Unix socket path."),
    ("", "port", "0", "E Error: Invalid 'port' value (0)."),
    ("", "port", "65536", "E Error: Invalid 'port' value (65536)."),
    ("", "log_dest", "x", "E Error: Invalid 'log_dest' value (x)."),
    ("", "log_dest", "android", "E Error: Invalid 'log_dest' value (android)."),
    ("", "log_dest", "", "E Error: Empty 'log_dest' value in configuration."),
    ("", "log_dest", "file", 'E Error: Empty "log_dest file" value in configuration.'),
    ("", "log_dest", "file  \t", 'E Error: Empty "log_dest file" value in configuration.'),
    ("", "log_facility", "8", "E Error: Invalid 'log_facility' value (8)."),
    ("", "log_facility", "-1", "E Error: Invalid 'log_facility' value (-1)."),
    ("", "log_facility", "local0", "E Error: 'log_facility' value not a number."),
    ("", "log_type", "x", "E Error: Invalid 'log_type' value (x)."),
    ("", "max_inflight_messages", "65536", "E Error: 'max_inflight_messages' must be <= 65535."),
    ("", "max_keepalive", "-1", "E Error: Invalid 'max_keepalive' value (-1)."),
    ("", "max_keepalive", "65536", "E Error: Invalid 'max_keepalive' value (65536)."),
    ("", "max_packet_size", "19", "E Error: 'max_packet_size' must be >= 20."),
    ("", "memory_limit", "-1", "E Error: Invalid 'memory_limit' value (-1)."),
    ("", "message_size_limit", "268435456", "E Error: Invalid 'message_size_limit' value (268435456)."),
    ("", "message_size_limit", "-1", "E Error: Invalid 'message_size_limit' value (4294967295)."),
    ("", "packet_buffer_size", "65536", "W Error: Packet buffer size must be between 0 and 65535 inclusive."),
    ("", "websockets_headers_size", "-1", "W Error: Packet buffer size must be between 0 and 65535 inclusive."),
    (
        "",
        "persistent_client_expiration",
        "5",
        "E Error: Invalid 'persistent_client_expiration' duration in configuration.",
    ),
    ("", "retain_expiry_interval", "0", "W Error: retain_expiry_interval must be >= 1."),
    ("", "sys_interval", "-1", "E Error: Invalid 'sys_interval' value (-1)."),
    ("", "sys_interval", "65536", "E Error: Invalid 'sys_interval' value (65536)."),
    ("", "bind_address", "", "E Error: Empty 'default listener bind_address' value in configuration."),
    ("", "plugin", "", "E Error: Missing plugin path for plugin name '(null)'."),
    ("", "auth_plugin", "", "E Error: Missing plugin path for plugin name '(null)'."),
    ("", "global_plugin", "", "E Error: Missing plugin path for plugin name '(null)'."),
    ("", "plugin_load", "", "E Error: Empty 'plugin_load' value in configuration."),
    ("", "plugin_load", "x", "E Error: Missing plugin path for plugin name 'x'."),
    ("", "include_dir", "", "E Error: Empty 'include_dir' value in configuration."),
    ("", "connection", "", "E Error: Empty 'connection' value in configuration."),
    (B, "address", "", "E Error: Empty address value in configuration."),
    (B, "address", "# x", "E Error: Empty address value in configuration."),
    (B, "address", "a:0", "E Error: Invalid bridge port value (0)."),
    (B, "addresses", "a:65536", "E Error: Invalid bridge port value (65536)."),
    (B, "address", "a:x", "E Error: Invalid bridge port value (0)."),
    (B, "remote_clientid", "", "E Error: Empty 'bridge remote clientid' value in configuration."),
    (B, "clientid", "", "E Error: Empty 'bridge remote clientid' value in configuration."),
    (B, "username", "", "E Error: Empty 'bridge remote_username' value in configuration."),
    (B, "password", "", "E Error: Empty 'bridge remote_password' value in configuration."),
    (B, "local_clientid", "", "E Error: Empty 'bridge local clientd' value in configuration."),
    (B, "local_username", "", "E Error: Empty 'bridge local_username' value in configuration."),
    (B, "local_password", "", "E Error: Empty 'bridge local_password' value in configuration."),
    (B, "bridge_max_topic_alias", "65536", "E Error: bridge_max_topic_alias must be > 0 and <= 65535."),
    (B, "bridge_max_topic_alias", "-1", "E Error: bridge_max_topic_alias must be > 0 and <= 65535."),
    (B, "bridge_protocol_version", "mqtt", "E Error: Invalid 'bridge_protocol_version' value (mqtt)."),
    (B, "bridge_protocol_version", "mqttv50 ", "E Error: Invalid 'bridge_protocol_version' value (mqttv50 )."),
    (B, "bridge_protocol_version", " mqttv50", "E Error: Invalid 'bridge_protocol_version' value ( mqttv50)."),
    (B, "bridge_receive_maximum", "0", "E Error: bridge_receive_maximum must be greater than 0."),
    (B, "bridge_receive_maximum", "65536", "E Error: bridge_receive_maximum must be lower than 65535."),
    (B, "bridge_reload_type", "x", "E Error: Invalid 'bridge_reload_type' value in configuration (x)."),
    (B, "bridge_session_expiry_interval", "-1", "E Error: bridge_session_expiry_interval must not be negative."),
    (
        B,
        "bridge_session_expiry_interval",
        "4294967296",
        "E Error: 'bridge_session_expiry_interval' value out of range.",
    ),
    (B, "bridge_tcp_keepalive", "1 2", "E Error: Empty 'bridge_tcp_keepalive_counter' value in configuration."),
    (B, "bridge_tcp_keepalive", "1 x", "E Error: 'bridge_tcp_keepalive_interval' value not a number."),
    (B, "bridge_tcp_keepalive", "9999999999", "E Error: 'bridge_tcp_keepalive_idle' value out of range."),
    (B, "bridge_tcp_keepalive", "0 1 1", "E Error: invalid TCP keepalive idle value."),
    (B, "bridge_tcp_keepalive", "1 0 1", "E Error: invalid TCP keepalive interval value."),
    (B, "bridge_tcp_keepalive", "1 1 -1", "E Error: invalid TCP keepalive counter value."),
    (B, "bridge_tcp_user_timeout", "-1", "E Error: invalid TCP user timeout value."),
    (B, "keepalive_interval", "65536", "E Error: Bridge keepalive value too high."),
    (B, "restart_timeout", "5 4", "E Error: backoff cap is lower than the base in restart_timeout."),
    (B, "restart_timeout", "5 30 -1", "E Error: stable connection period cannot be negative."),
    (B, "start_type", "manual", "E Error: Manual start_type not supported."),
    (B, "start_type", "x", "E Error: Invalid 'start_type' value in configuration (x)."),
]


@pytest.mark.parametrize(("scope", "name", "value", "message"), RANGES, ids=lambda value: str(value)[:30])
def test_value_that_an_option_cannot_take(conf: Conf, scope: str, name: str, value: str, message: str) -> None:
    line = scope.count("\n") + 1
    assert conf.refusal(f"{scope}{name} {value}") == [message, f"E Error found at FILE:{line}."]


CORRECTED = [
    (B, "keepalive_interval 4", "keepalive_interval", 5, "N keepalive interval too low, using 5 seconds."),
    (B, "idle_timeout 0", "idle_timeout", 1, "N idle_timeout interval too low, using 1 second."),
    (B, "threshold -5", "threshold", 1, "N threshold too low, using 1 message."),
    (B, "restart_timeout 0", "restart_timeout", (1, None, 0), "N restart_timeout interval too low, using 1 second."),
    (B, "restart_timeout x 9", "restart_timeout", (1, 9, 0), "N restart_timeout interval too low, using 1 second."),
    (
        B,
        "restart_timeout 3601",
        "restart_timeout",
        (3600, None, 0),
        "N restart_timeout interval too high, using 3600 seconds.",
    ),
    (
        B,
        "restart_timeout 5 7201",
        "restart_timeout",
        (5, 7200, 0),
        "E Error: backoff cap too high, using 7200 seconds.",
    ),
    (B, "bridge_insecure true", "bridge_insecure", True, "W Warning: Bridge 'b' using insecure mode."),
    (
        "",
        "retain_expiry_interval 10000001",
        "retain_expiry_interval",
        10000000,
        "W Warning: retain_expiry_interval being capped at 19 years.",
    ),
]


@pytest.mark.parametrize(("scope", "line", "name", "value", "remark"), CORRECTED)
def test_value_that_is_corrected(conf: Conf, scope: str, line: str, name: str, value: object, remark: str) -> None:
    config = conf.read(f"{scope}{line}\n" + ("address 127.0.0.1\ntopic #\n" if scope else ""))
    assert getattr(config.bridges[0] if scope else config, name) == value
    assert conf.lines == [remark]


ACCEPTED = [
    ("", "autosave_interval -5", "autosave_interval", 0),
    ("", "max_inflight_bytes -5", "max_inflight_bytes", 0),
    ("", "max_queued_bytes -5", "max_queued_bytes", 0),
    ("", "max_queued_messages -5", "max_queued_messages", 0),
    ("", "max_inflight_messages -5", "max_inflight_messages", 0),
    ("", "max_inflight_messages 65535", "max_inflight_messages", 0),
    ("", "max_inflight_messages 65534", "max_inflight_messages", 65534),
    ("", "max_packet_size 20", "max_packet_size", 20),
    ("", "global_max_clients -2147483648", "global_max_clients", -(2**31)),
    ("", "memory_limit 5k", "memory_limit", 5),
    ("", "memory_limit x", "memory_limit", 0),
    ("", "memory_limit 9999999999", "memory_limit", 9999999999),
    ("", "persistent_client_expiration 1.5w", "persistent_client_expiration", 604800),
    ("", "persistent_client_expiration 2m x", "persistent_client_expiration", 2 * 30 * 86400),
    ("", "persistent_client_expiration 1y", "persistent_client_expiration", 365 * 86400),
    ("", "persistent_client_expiration 3h", "persistent_client_expiration", 3 * 3600),
    ("", "persistent_client_expiration 3d", "persistent_client_expiration", 3 * 86400),
    ("", "pid_file  a  b\t", "pid_file", "a  b"),
    ("", 'pid_file "a"', "pid_file", '"a"'),
    (L, "max_connections -7", "max_connections", -1),
    (L, "max_connections 0", "max_connections", 0),
    (L, "accept_protocol_versions 3,\t4 x", "accept_protocol_versions", {3, 4}),
    (L, "accept_protocol_versions 31", "accept_protocol_versions", set()),
    (L, "tls_keyform x", "tls_keyform", "pem"),
    (L, "mount_point é", "mount_point", "é"),
    (B, "bridge_session_expiry_interval 0xFFFFFFFF", "bridge_session_expiry_interval", 0xFFFFFFFF),
    (B, "bridge_session_expiry_interval 4294967295", "bridge_session_expiry_interval", 0xFFFFFFFF),
    (B, "bridge_receive_maximum 65535", "bridge_receive_maximum", 65535),
    (B, "bridge_max_packet_size -1", "bridge_max_packet_size", 0),
    (B, "bridge_max_topic_alias 0", "bridge_max_topic_alias", 0),
    (B, "restart_timeout 5", "restart_timeout", (5, None, 0)),
    (B, "restart_timeout 5 5", "restart_timeout", (5, 5, 0)),
]


@pytest.mark.parametrize(("scope", "line", "name", "value"), ACCEPTED)
def test_value_that_an_option_takes(conf: Conf, scope: str, line: str, name: str, value: object) -> None:
    config = conf.read(f"{scope}{line}\n" + ("address 127.0.0.1\ntopic #\n" if scope == B else ""))
    owner = config if not scope else config.listeners[0] if scope == L else config.bridges[0]
    assert getattr(owner, name) == value


@pytest.mark.parametrize(
    "line",
    [
        "persistent_client_expiration 1 d",
        "persistent_client_expiration 0d",
        "persistent_client_expiration -1d",
        "persistent_client_expiration 1min",
        "persistent_client_expiration 1D",
        "persistent_client_expiration 999999999999999999999d",
    ],
)
def test_duration_that_is_none(conf: Conf, line: str) -> None:
    assert conf.refusal(line)[0] == "E Error: Invalid 'persistent_client_expiration' duration in configuration."


@pytest.mark.parametrize(
    "value",
    [
        b"\xff",
        b"a\x01b",
        b"a\tb",
        b"\x7f",
        "\x85".encode() + b"x",
        b"\xed\xa0\x80",
        b"\xc0\xaf",
        b"\xf4\x90\x80\x80",
        "\ufdd0".encode(),
        "\uffff".encode(),
        "\U0001fffe".encode(),
    ],
)
def test_string_that_is_no_text(conf: Conf, value: bytes) -> None:
    assert conf.refusal(b"pid_file x" + value) == [
        "E Error: Malformed UTF-8 in configuration.",
        "E Error found at FILE:1.",
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("pid_file a\npid_file", "E Error: Empty 'pid_file' value in configuration."),
        ("pid_file a\npid_file   ", "E Error: Duplicate 'pid_file' value in configuration."),
        ("pid_file a\npid_file b", "E Error: Duplicate 'pid_file' value in configuration."),
        ("pid_file  \t", "E Error: Empty 'pid_file' value in configuration."),
    ],
)
def test_order_of_the_checks_of_a_string(conf: Conf, lines: str, message: str) -> None:
    assert conf.refusal(lines)[0] == message


def test_names_of_one_option_count_as_the_same(conf: Conf) -> None:
    refusal = conf.refusal("connection b\nclientid a\nremote_clientid b")
    assert refusal[0] == "E Error: Duplicate 'bridge remote clientid' value in configuration."


@pytest.mark.parametrize(
    "line",
    [
        "pid_file " + "x" * 65536,
        "pid_file " + "\xff" * 65536,
        L + "http_dir /nowhere",
        L + "tls_engine_kpass_sha1 abc",
        L + "tls_engine_kpass_sha1 " + "g" * 40,
    ],
)
def test_some_values_are_refused_by_position_alone(conf: Conf, line: str) -> None:
    assert conf.refusal(line) == [f"E Error found at FILE:{line.count(chr(10)) + 1}."]


def test_http_dir_is_resolved(conf: Conf) -> None:
    real = conf.directory / "real"
    real.mkdir()
    (conf.directory / "link").symlink_to(real)
    config = conf.read(f"{L}http_dir {conf.directory}/link/../link/\n")
    assert config.listeners[0].http_dir == str(real.resolve())
