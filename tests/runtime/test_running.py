"""The running broker from outside: its start, its signals, its log, its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mosq import __version__
from tests.harness.broker import ROOT, Broker, free_port
from tests.harness.deadline import SECONDS, wait_until
from tests.runtime.command import TERMINATING, run

Start = Callable[..., Broker]
RUNNING = f"mosquitto version {__version__} running"

CONNECT = bytes.fromhex("10 0d 0004 4d515454 04 02 003c 0001 61")
"""MQTT 3.1.1, client id "a"."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Broker] = []

    def begin(config: str = "", **options: object) -> Broker:
        directory = tmp_path / f"b{len(started)}"
        directory.mkdir()
        started.append(Broker(directory, config, **options))  # type: ignore[arg-type]
        return started[-1]

    yield begin
    for broker in started:
        if broker.running:
            broker.kill()


def connects(port: int) -> bool:
    """Whether a client is let in."""
    try:
        with socket.create_connection(("127.0.0.1", port), SECONDS) as sock:
            sock.sendall(CONNECT)
            return sock.recv(4) == bytes.fromhex("20 02 00 00")
    except OSError:
        return False


# Start and end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_lines_of_a_start_and_an_end(start: Start, number: signal.Signals) -> None:
    broker = start()
    broker.signal(number)
    assert broker.wait_exit() == 0
    who, *rest = broker.log.lines
    assert who.startswith("Info: running mosquitto as user")
    assert [line for line in rest if "should not be run as root" not in line] == [
        f"mosquitto version {__version__} starting",
        f"Config loaded from {broker.config_file}.",
        "Bridge support NOT available.",
        "Persistence support available.",
        "TLS support available.",
        "TLS-PSK support available.",
        "Websockets support NOT available.",
        f"Opening ipv4 listen socket on port {broker.port}.",
        RUNNING,
        TERMINATING,
    ]


def test_the_process_shows_as_mosquitto(start: Start) -> None:
    broker = start()
    assert Path(f"/proc/{broker.pid}/comm").read_text() == "mosquitto\n"
    title = Path(f"/proc/{broker.pid}/cmdline").read_bytes().rstrip(b"\0").decode()
    assert title == f"mosquitto -c {broker.config_file}"


def test_local_only_mode_uses_the_ports_of_the_command_line(start: Start, tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    with subprocess.Popen(
        [sys.executable, "-m", "mosq", "-p", str(ports[0]), "-p", str(ports[1])],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
    ) as process:
        try:
            wait_until(lambda: all(map(connects, ports)), "both ports")
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=2 * SECONDS)
    assert process.returncode == 0
    assert b"Starting in local only mode." in errors and b"Using default config." in errors


def test_a_second_instance_ends_and_touches_nothing(start: Start, tmp_path: Path) -> None:
    """Nothing of the first one is removed: neither its pid file nor its unix socket."""
    broker = start("listener {port} 127.0.0.1\nlistener 0 {dir}/sock\npid_file {dir}/pid\nallow_anonymous true\n")
    pid_file, path = broker.directory / "pid", broker.directory / "sock"
    other = tmp_path / "other.conf"
    other.write_text(f"listener {broker.port} 127.0.0.1\nlistener 0 {path}\nuser root\n")
    result = run("-c", other)
    assert result.code == 1
    assert "Error: Address already in use" in result.err and result.err[-1] == TERMINATING
    assert path.exists() and pid_file.read_text() == str(broker.pid)
    other.write_text(f"listener 0 {path}\npid_file {pid_file}\nuser root\n")
    assert run("-c", other).code == 1
    assert path.exists() and pid_file.read_text() == str(broker.pid)
    assert connects(broker.port)
    broker.stop()
    assert not path.exists() and not pid_file.exists()


def test_a_failed_start_removes_its_own_pid_file_and_sockets(tmp_path: Path) -> None:
    config = tmp_path / "mosquitto.conf"
    config.write_text(
        f"user root\npid_file {tmp_path}/pid\nlistener 0 {tmp_path}/sock\n"
        f"listener {free_port()} no.such.host.invalid.\n"
    )
    result = run("-c", config)
    assert result.code == 1
    assert any(line.startswith("Error creating listener: ") for line in result.err)
    assert not (tmp_path / "pid").exists() and not (tmp_path / "sock").exists()


def test_a_pid_file_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"user root\npid_file {tmp_path}/no/pid\nlistener 0 {tmp_path}/sock\n")
    result = run("-c", config)
    assert result.code == 14
    assert "Error: Unable to write pid file." in result.err and result.err[-1] == TERMINATING


def test_in_the_background_the_parent_ends_and_the_child_serves(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "mosquitto.conf"
    config.write_text(
        f"user root\nlistener {port} 127.0.0.1\nallow_anonymous true\npid_file {tmp_path}/pid\nlog_dest file log\n"
    )
    result = run("-d", "-c", config, directory=tmp_path)
    assert result.code == 0
    wait_until(lambda: connects(port), "the child to serve")
    pid = int((tmp_path / "pid").read_text())
    try:
        assert os.getsid(pid) == pid
        assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)} == {"/dev/null"}
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not (tmp_path / "pid").exists(), "the pid file to go")
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the child to end")
    assert TERMINATING in (tmp_path / "log").read_text()


def test_closed_standard_descriptors_do_no_harm(start: Start) -> None:
    def close_some() -> None:
        os.close(0)
        os.close(1)

    broker = start("listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest stdout\n", preexec=close_some)
    assert connects(broker.port)
    assert os.readlink(f"/proc/{broker.pid}/fd/1") == "/dev/null"
    broker.stop()


# Logging


def test_the_levels_of_the_command_line_come_before_those_of_the_file(start: Start) -> None:
    loud = start("log_type error\n", arguments=("-v",))
    loud.wait_for_log(RUNNING)
    quiet = start("log_type all\n", arguments=("-v", "-q"), wait=False)
    wait_until(lambda: connects(quiet.port), "the quiet broker")
    assert quiet.logged("version|New") == []
    quiet.signal(signal.SIGHUP)
    assert connects(quiet.port)
    quiet.stop()
    assert quiet.logged("version|Reloading|New") == []


def test_an_unusable_log_file_leaves_errors_on_stderr(start: Start) -> None:
    broker = start("log_dest file {dir}/no/log\n", wait=False)
    wait_until(lambda: connects(broker.port), "the broker")
    broker.stop()
    assert f"Error: Unable to open log file {broker.directory}/no/log for writing." in broker.log.lines
    assert broker.logged("version") == []


def test_rotation_reopens_the_log_file_without_reading_the_configuration(start: Start) -> None:
    broker = start("log_dest file {dir}/log\n", wait=False)
    log = broker.directory / "log"
    wait_until(lambda: log.exists() and RUNNING in log.read_text(), "the start")
    log.rename(broker.directory / "log.1")
    broker.config_file.unlink()
    broker.signal(signal.SIGRTMIN)
    wait_until(log.exists, "a new log file")
    broker.stop()
    assert TERMINATING in log.read_text()
    assert "Reloading" not in (broker.directory / "log.1").read_text()


def test_the_symbolic_link_exception_is_announced(start: Start) -> None:
    name = "MOSQUITTO_UNSAFE_ALLOW_SYMLINKS"
    broker = start(environment={name: ""})
    broker.wait_for_log(f"{name} is set, loading of sensitive files through symbolic links is allowed.")


# Signals


def test_reload_applies_what_the_file_says_now(start: Start) -> None:
    broker = start(listener="listener_allow_anonymous true\n")
    assert connects(broker.port)
    broker.rewrite_config("", listener="listener_allow_anonymous false\n")
    broker.signal(signal.SIGHUP)
    broker.wait_for_log("^Reloading config.$")
    wait_until(lambda: not connects(broker.port), "the new rule")
    broker.stop()


def test_reload_applies_the_limit_of_connections(start: Start) -> None:
    broker = start()
    assert connects(broker.port)
    broker.rewrite_config("global_max_connections 1\n")
    broker.signal(signal.SIGHUP)
    broker.wait_for_log("^Reloading config.$")
    with socket.create_connection(("127.0.0.1", broker.port), SECONDS):
        wait_until(lambda: not connects(broker.port), "the limit")
    broker.wait_for_log("^Client connection from 127.0.0.1 denied: max_connections exceeded.$")
    wait_until(lambda: connects(broker.port), "the place that became free")
    broker.stop()


def test_a_wrong_file_is_told_and_changes_nothing(start: Start) -> None:
    broker = start("max_packet_size 1000\n")
    broker.rewrite_config("max_packet_size 2000\nno_such_option\n")
    broker.signal(signal.SIGHUP)
    broker.wait_for_log("^Error: Unknown configuration variable 'no_such_option'.$")
    broker.wait_for_log(f"^Error found at {broker.config_file}:")
    assert connects(broker.port)
    broker.stop()


def test_a_reload_cannot_ask_for_a_missing_feature(start: Start) -> None:
    broker = start()
    broker.rewrite_config("", listener="enable_proxy_protocol 1")
    broker.signal(signal.SIGHUP)
    broker.wait_for_log(
        "^Error: The 'enable_proxy_protocol' option needs the PROXY protocol, which this version of mosq does not have"
    )
    assert connects(broker.port)
    broker.stop()


def test_reload_opens_the_log_anew(start: Start) -> None:
    broker = start()
    broker.rewrite_config("log_dest file {dir}/log\n")
    broker.signal(signal.SIGHUP)
    wait_until((broker.directory / "log").exists, "the log file")
    broker.stop()
    assert TERMINATING in (broker.directory / "log").read_text()


def test_without_persistence_saving_does_nothing(start: Start) -> None:
    broker = start()
    position = broker.log_position()
    broker.signal(signal.SIGUSR1)
    broker.signal(signal.SIGHUP)
    broker.wait_for_log("^Reloading config.$", start=position)
    assert broker.log.lines[position:] == ["Reloading config."]
    broker.stop()


def test_the_subscription_tree_goes_to_stdout(start: Start) -> None:
    broker = start("log_type none\n", wait=False)
    wait_until(lambda: connects(broker.port), "the broker")
    with socket.create_connection(("127.0.0.1", broker.port), SECONDS) as sock:
        sock.sendall(CONNECT + bytes.fromhex("82 0a 0001 0005 612f622f63 01"))
        received = b""
        while len(received) < 9:
            received += sock.recv(9)
        broker.signal(signal.SIGUSR2)
        broker.stdout.wait_for(r"^ +c \(a, 1\)$", SECONDS)
    broker.stop()


def test_a_broken_pipe_is_survived(start: Start) -> None:
    broker = start()
    broker.signal(signal.SIGPIPE)
    assert connects(broker.port)
    broker.stop()


# Service manager


def test_the_service_manager_is_told(start: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(2 * SECONDS)
        broker = start(environment={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"})
        assert manager.recv(99) == b"READY=1"
        assert manager.recv(99) == b"WATCHDOG=1"
        broker.signal(signal.SIGHUP)
        assert manager.recv(99).startswith(b"RELOADING=1\n")
        assert manager.recv(99) == b"READY=1"
        broker.stop()
        assert manager.recv(99) == b"STOPPING=1"


def test_an_activated_socket_is_used(tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        config = tmp_path / "mosquitto.conf"
        config.write_text(f"user root\nlistener {port} 127.0.0.1\nallow_anonymous true\n")
        # What the service manager does: the socket is descriptor 3, and LISTEN_PID the process that runs the broker.
        launcher = (
            f"import os, sys\nos.dup2({sock.fileno()}, 3)\n"
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n"
            f"os.execv(sys.executable, [sys.executable, '-m', 'mosq', '-c', {str(config)!r}])"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", launcher],
            pass_fds=[sock.fileno(), 3] if sock.fileno() != 3 else [3],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
        )
    try:
        wait_until(lambda: connects(port), "the broker")
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=2 * SECONDS)
    assert process.returncode == 0
    assert f"Using the activated ipv4 listen socket on port {port}.".encode() in errors
