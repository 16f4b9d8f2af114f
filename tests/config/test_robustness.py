"""Whatever bytes a file holds, reading it gives a configuration or a ConfigError; and it costs little memory."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from mosq.config import Config, ConfigError, ListenerConfig, load, unavailable
from mosq.config.options import ALIASES, OPTIONS
from tests.harness.broker import MEMORY_IS_CHECKED

NAMES = sorted(name.replace("*", "x") for name in (*OPTIONS, *ALIASES))
VALUES = [
    "true",
    "false",
    "0",
    "-1",
    "1883",
    "65536",
    "0x7fffffff",
    "99999999999",
    "x",
    "a/+/#",
    '"a b" in 1',
    "5s",
    "5 30 1",
    "127.0.0.1:1",
    "error",
    "file x",
    "none",
    "mqttv50",
    "websockets",
    "lazy",
    "1 2 3",
    "",
    " ",
    "\xff",
]

words = st.sampled_from([value.encode("latin-1") for value in VALUES]) | st.binary(max_size=12)
lines = st.builds(
    lambda name, gap, values: name + gap + b" ".join(values),
    st.sampled_from([name.encode() for name in NAMES]) | st.binary(max_size=8),
    st.sampled_from([b" ", b"  ", b"\t", b""]),
    st.lists(words, max_size=4),
)
files = st.builds(
    lambda start, lines, end: start + end.join(lines),
    st.sampled_from(
        [b"", b"listener 1\n", b"connection b\n", b"per_listener_settings true\nlistener 1\n", b"plugin x\n"]
    ),
    st.lists(lines, max_size=8),
    st.sampled_from([b"\n", b"\r\n"]),
)


def no_address(*arguments: object, **more: object) -> None:
    raise socket.gaierror(socket.EAI_NONAME, "no network in tests")


def read(content: bytes, running: Config | None = None) -> Config | None:
    """Read a file with this content, without the network and without other directories."""
    with tempfile.TemporaryDirectory() as directory, mock.patch("socket.getaddrinfo", no_address):
        path = os.path.join(directory, "x.conf")
        Path(path).write_bytes(content)
        try:
            return load([path], [], lambda level, text: None, running=running)
        except ConfigError as error:
            assert all(level in "EW" and text for level, text in error.lines)
            return None


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200) | files)
def test_any_bytes_are_a_configuration_or_a_config_error(content: bytes) -> None:
    config = read(content)
    if config is not None:
        unavailable(config)


@settings(max_examples=400, deadline=None)
@given(files, files)
def test_any_reload_gives_as_many_listeners_or_leaves_the_old_ones(first: bytes, second: bytes) -> None:
    running = read(first)
    if running is None:
        return
    before = repr(running)
    config = read(second, running=running)
    assert repr(running) == before
    if config is not None:
        places = [(one.port, one.host, one.socket_path) for one in config.listeners]
        assert places == [(one.port, one.host, one.socket_path) for one in running.listeners]


@settings(max_examples=200, deadline=None)
@given(files)
def test_reading_the_same_file_again_changes_nothing(content: bytes) -> None:
    running = read(content)
    if running is not None:
        again = read(content, running=running)
        assert again is not None
        for listener, same in zip(running.listeners, again.listeners, strict=True):
            assert without_places(same) == without_places(listener)


def without_places(listener: ListenerConfig) -> dict[str, object]:
    """The values of a listener but for where they stand: each reading has a file of its own."""
    return {**listener.values(), "given": 0, "security": {**listener.security.values(), "given": 0}}


MEASURE = """
import re, selectors, socket, sys
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4
before = resident()
modules = set(sys.modules)
from mosq.config import load
load(sys.argv[1:], [], print)
print(resident() - before, *sorted(set(sys.modules) - modules))
"""


def test_configuration_costs_little_memory(tmp_path: Path) -> None:
    """With its modules compiled, as they are when installed: in KiB, above what the broker imports anyway."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONPYCACHEPREFIX": str(tmp_path)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", MEASURE, str(root / "conf" / "mosquitto.conf")]
    for _ in range(2):  # the first run compiles
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=30)
    cost, *modules = result.stdout.split()
    if MEMORY_IS_CHECKED:
        assert int(cost) < 2048
    assert not {"dataclasses", "inspect", "logging", "pprint", "typing", "configobj"} & set(modules)
