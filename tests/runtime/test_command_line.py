"""Arguments, texts and early ends of the command: what is said, the exit code, and that nothing is touched."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mosq import __version__
from mosq.cli.command_line import USAGE, leading_number, parse
from tests.runtime.command import TERMINATING, run


def test_version_is_three_lines() -> None:
    result = run("--version")
    assert result.code == 0
    assert result.out.startswith(f"mosq {__version__}\n") and result.out.count("\n") == 3
    assert result.err == [TERMINATING]


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_is_the_usage(word: str) -> None:
    result = run(word, "--no-such-option")
    assert (result.code, result.out, result.err) == (0, USAGE, [TERMINATING])


def test_the_usage_lists_the_options_in_order() -> None:
    options = [line.split()[0] for line in USAGE.splitlines() if line.startswith(" -")]
    assert options == ["-c", "-d", "-h", "-p", "-q", "-v", "--test-config", "--tls-keylog"]
    assert USAGE.startswith(f"mosquitto version {__version__}\n\n")


@pytest.mark.parametrize("word", ["--config-file=x", "-dv", "--", "x", "--verbos", "-P"])
def test_an_unknown_argument_shows_the_usage(word: str) -> None:
    result = run(word)
    assert result.code == 3
    assert result.out == USAGE
    assert result.err == [f"Error: Unknown option '{word}'.", TERMINATING]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["-c"], "Error: -c argument given, but no config file specified."),
        (["--config-file"], "Error: -c argument given, but no config file specified."),
        (["-p"], "Error: -p argument given, but no port specified."),
        (["--port", "0"], "Error: Invalid port specified (0)."),
        (["-p", "65536"], "Error: Invalid port specified (65536)."),
        (["-p", "-5"], "Error: Invalid port specified (-5)."),
        (["-p", "mqtt"], "Error: Invalid port specified (0)."),
        (["-p", "1883"] * 11, "Error: Only 10 ports can be specified on the command line."),
        (["--tls-keylog"], "Error: --tls-keylog argument given, but no file specified."),
        (["--test-config"], "Please provide a configuration file to test."),
        (["-c", "/no/such/file"], "Error: Unable to open config file '/no/such/file'."),
        (["-c", "/"], "Error: Config file '/' is a directory."),
    ],
)
def test_a_wrong_argument_is_told(words: list[str], line: str) -> None:
    result = run(*words)
    assert (result.code, result.out, result.err) == (3, "", [line, TERMINATING])


def test_files_named_before_a_mistake_are_read_first(tmp_path: Path) -> None:
    bad = tmp_path / "bad.conf"
    bad.write_text("# nothing\nno_such_option\n")
    expected = [
        "Error: Unknown configuration variable 'no_such_option'.",
        f"Error found at {bad}:2.",
        TERMINATING,
    ]
    for after in (["-h"], ["--no-such-argument"], ["-p"]):
        result = run("-c", bad, *after)
        assert (result.code, result.out, result.err) == (3, "", expected)


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), (" \t12x", 12), ("+3", 3), ("-3", -3), ("x", 0), ("", 0), ("0x10", 0), ("9" * 50, int("9" * 18))],
)
def test_ports_are_read_as_c_reads_them(text: str, number: int) -> None:
    assert leading_number(text) == number


def test_values_may_look_like_options() -> None:
    command = parse(["-c", "-d", "-v", "-c", "other", "-p", "1", "-p", "2x"])
    assert (command.files, command.daemon, command.verbose, command.ports) == (["-d", "other"], False, True, [1, 2])


# --test-config


def test_a_good_configuration_is_told(tmp_path: Path) -> None:
    config = tmp_path / "good.conf"
    config.write_text("listener 1883\nlog_type none\n")
    for words in (["--test-config", "-q", "-c", str(config)], ["-c", str(config), "--test-config"]):
        result = run(*words)
        assert (result.code, result.out, result.err) == (0, "", ["Configuration file is OK.", TERMINATING])


def test_an_option_whose_feature_is_missing_is_named_with_its_place(tmp_path: Path) -> None:
    config = tmp_path / "later.conf"
    config.write_text("listener 8883\nproxy_protocol_v2_require_tls true\nprotocol websockets\n")
    for words in ([], ["--test-config"]):
        result = run("-c", config, *words)
        assert result.code == 3
        assert result.err == [
            f"Error: The '{option}' option needs {feature}, which this version of mosq does not have yet "
            f"({config}:{line})."
            for option, feature, line in (
                ("proxy_protocol_v2_require_tls", "the PROXY protocol", 2),
                ("protocol", "WebSockets and the HTTP API", 3),
            )
        ] + [TERMINATING]


def test_testing_touches_nothing(tmp_path: Path) -> None:
    pid_file, path, log = tmp_path / "pid", tmp_path / "sock", tmp_path / "log"
    pid_file.write_text("4711")
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener 0 {path}\npid_file {pid_file}\nlog_dest file {log}\n")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        assert run("-c", config, "--test-config").code == 0
        assert path.exists()
    assert pid_file.read_text() == "4711"
    assert not log.exists()


def test_timestamps_follow_the_configuration_from_their_line_on(tmp_path: Path) -> None:
    config = tmp_path / "stamps.conf"
    config.write_text("log_timestamp_format at %Y\nno_such_option\n")
    assert run("-c", config).err[0].startswith("at 20")
    config.write_text("log_timestamp false\nlog_timestamp_format at\nno_such_option\n")
    assert run("-c", config).err[0] == "Error: Unknown configuration variable 'no_such_option'."
