"""Config files, command line, log destinations and exit codes as an administrator meets them."""

from __future__ import annotations

import os
import pwd
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.harness.broker import MEMORY_IS_CHECKED, ROOT, command_of, free_port
from tests.harness.brokers import StartBroker
from tests.harness.client import RawClient
from tests.harness.deadline import SECONDS, wait_until
from tests.harness.packets import v5, v311


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the broker's command to its end."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [*command_of("mosq"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=4 * SECONDS, env=env, cwd="/")


def config(tmp_path: Path, text: str) -> str:
    path = tmp_path / "test.conf"
    path.write_text(text)
    return str(path)


def test_version() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert re.match(r"\w+ \d+\.\d+\.\d+\n", done.stdout)


def test_help() -> None:
    done = run("-h")
    assert done.returncode == 0
    assert "Usage: mosquitto [-c config_file]" in done.stdout


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--nonsense"], "Error: Unknown option '--nonsense'."),
        (["-c"], "Error: -c argument given, but no config file specified."),
        (["-p"], "Error: -p argument given, but no port specified."),
        (["-p", "0"], "Error: Invalid port specified (0)."),
        (["-p", "65536"], "Error: Invalid port specified (65536)."),
        (["-c", "/nonexistent/file"], "Error: Unable to open config file '/nonexistent/file'."),
        (["-c", "/"], "Error: Config file '/' is a directory."),
        (["--test-config"], "Please provide a configuration file to test."),
    ],
)
def test_bad_command_line(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.returncode == 3
    assert message in done.stderr


@pytest.mark.parametrize(
    "text, line",
    [
        ("no_such_option 1\n", 1),
        ("# comment\n\nallow_anonymous maybe\n", 3),
        ("listener 99999\n", 1),
        ("max_inflight_messages 65536\n", 1),
        ("max_packet_size 19\n", 1),
        ("max_keepalive 65536\n", 1),
        ("log_type nonsense\n", 1),
        ("log_dest nowhere\n", 1),
        ("listener 1883\nmax_qos 3\n", 2),
        ("listener 1883\nmount_point a/+/b\n", 2),
        ("listener 0\n", 1),
        ("persistent_client_expiration 5x\n", 1),
        ("sys_interval 70000\n", 1),
    ],
)
def test_bad_config_file_is_named_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = config(tmp_path, text)
    done = run("-c", path)
    assert done.returncode == 3
    assert f"Error found at {path}:{line}." in done.stderr


def test_test_config(tmp_path: Path) -> None:
    done = run("--test-config", "-c", config(tmp_path, "listener 1883\nallow_anonymous true\n"))
    assert done.returncode == 0
    assert "Configuration file is OK." in done.stderr


def test_included_directory(own_broker: StartBroker, tmp_path: Path) -> None:
    directory = tmp_path / "conf.d"
    directory.mkdir()
    (directory / "b.conf").write_text("max_packet_size 6000\n")
    (directory / "a.conf").write_text("max_packet_size 5000\n")
    (directory / "ignored.txt").write_text("nonsense\n")
    broker = own_broker(f"include_dir {directory}")
    client = broker.client()
    client.send(v5.connect("c"))
    assert b"\x27\x00\x00\x17\x70" in client.read_packet()


def test_used_port_is_fatal(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("-c", config(tmp_path, f"user root\nlistener {taken.getsockname()[1]} 127.0.0.1\n"))
    assert done.returncode == 1
    assert "Error: Address already in use" in done.stderr


@pytest.mark.parametrize("option", ["certfile /x", "psk_file /x", "password_file /x", "acl_file /x", "plugin /x"])
def test_feature_that_is_not_there_is_never_ignored(tmp_path: Path, option: str) -> None:
    """Either it works or the broker does not start; here the files do not exist, so it cannot start."""
    done = run("-c", config(tmp_path, f"user root\nlistener {free_port()} 127.0.0.1\n{option}\n"))
    assert done.returncode not in (0, None)


def test_local_only_mode_without_config(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [*command_of("mosq"), "-p", str(port)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd="/",
    )
    try:

        def connects() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(connects, "the listener", 2 * SECONDS)
        client = RawClient(("127.0.0.1", port))
        client.send(v311.connect("c"))
        client.expect(v311.connack())
        client.close()
    finally:
        process.terminate()
        _, log = process.communicate(timeout=2 * SECONDS)
    assert process.returncode == 0
    assert "Starting in local only mode." in log
    assert f"Opening ipv4 listen socket on port {port}." in log


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to have something to drop")
def test_privileges_are_dropped(own_broker: StartBroker) -> None:
    broker = own_broker("user nobody")
    status = Path(f"/proc/{broker.pid}/status").read_text()
    uid = pwd.getpwnam("nobody").pw_uid
    assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}" in status
    assert broker.logged("Info: running mosquitto as user: nobody.")


def test_process_shows_as_mosquitto(own_broker: StartBroker) -> None:
    broker = own_broker()
    if broker.kind == "mosq":
        assert Path(f"/proc/{broker.pid}/cmdline").read_bytes().split(b"\0")[0].split()[0].endswith(b"mosquitto")
        assert Path(f"/proc/{broker.pid}/comm").read_text().strip() == "mosquitto"


def test_pid_file(own_broker: StartBroker) -> None:
    broker = own_broker("pid_file {dir}/pid")
    path = broker.directory / "pid"
    assert path.read_text() == str(broker.pid)
    broker.stop()
    assert not path.exists()


# Logging


def test_timestamps_are_unix_seconds(own_broker: StartBroker) -> None:
    broker = own_broker("log_timestamp true")
    match = broker.wait_for_log(r"^(\d+): mosquitto version \S+ running$")
    assert abs(int(match[1]) - time.time()) < 60


def test_timestamp_format(own_broker: StartBroker) -> None:
    broker = own_broker("log_timestamp true\nlog_timestamp_format %Y-%m-%dT%H:%M:%S")
    broker.wait_for_log(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d: mosquitto version \S+ running$")


def test_log_file(own_broker: StartBroker) -> None:
    broker = own_broker("log_dest file {dir}/log.txt")
    client = broker.connected(v311, "c", username="me")
    path = broker.directory / "log.txt"
    line = f"New client connected from {client.address} as c (p4, c1, k60, u'me').\n"
    wait_until(lambda: line in path.read_text(), "the line")
    assert path.stat().st_mode & 0o777 == 0o600


def test_log_topics(own_broker: StartBroker) -> None:
    broker = own_broker("log_dest topic\nlog_type all\nsys_interval 0")
    watcher = broker.connected(v311, "w")
    watcher.subscribe("$SYS/broker/log/N", "$SYS/broker/log/M/#")
    watcher.expect(
        *[v311.publish("$SYS/broker/log/M/subscribe", f"w 0 $SYS/broker/log/{t}".encode()) for t in ("N", "M/#")]
    )
    client = broker.connected(v5, "c")
    client.send(v5.subscribe(1, "a/b", qos=1), v5.unsubscribe(2, "a/b"))
    port = client.address.rpartition(":")[2]
    watcher.expect(
        v311.publish("$SYS/broker/log/N", f"New connection from 127.0.0.1:{port} on port {broker.port}.".encode()),
        v311.publish("$SYS/broker/log/N", f"New client connected from 127.0.0.1:{port} as c (p5, c1, k60).".encode()),
        v311.publish("$SYS/broker/log/M/subscribe", b"c 1 a/b"),
        v311.publish("$SYS/broker/log/M/unsubscribe", b"c a/b"),
    )


def test_log_topics_do_not_feed_themselves(own_broker: StartBroker) -> None:
    """Debug lines about log messages make no more log messages."""
    broker = own_broker("log_dest topic\nlog_type all\nsys_interval 0")
    watcher = broker.connected(v311, "w")
    watcher.subscribe("$SYS/broker/log/#")
    client = broker.connected(v311, "c")
    client.disconnect()
    # the watcher's own subscription, and the client's connection, arrival and departure
    watcher.received_messages(4)
    watcher.expect_silence()


def test_log_type_none(own_broker: StartBroker) -> None:
    broker = own_broker("log_type none\nlog_dest none\nlog_dest file {dir}/log.txt", wait=False)
    wait_until((broker.directory / "log.txt").exists, "the log file", 2 * SECONDS)

    def connects() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", broker.port)) == 0

    wait_until(connects, "the listener", 2 * SECONDS)
    broker.connected(v311, "c")
    assert (broker.directory / "log.txt").read_text() == ""


def test_long_lines_are_cut(own_broker: StartBroker) -> None:
    broker = own_broker("log_dest file {dir}/log.txt")
    broker.connected(v311, "x" * 3000)
    path = broker.directory / "log.txt"
    wait_until(lambda: "xxx" in path.read_text(), "the line")
    line = next(line for line in path.read_bytes().splitlines(keepends=True) if b"xxx" in line)
    assert len(line.rstrip(b"\n")) <= 999


# Listeners


def test_several_listeners(own_broker: StartBroker) -> None:
    broker = own_broker(
        "allow_anonymous true\nlistener {port} 127.0.0.1\nlistener {port2} 127.0.0.1\nlistener {port3} ::1\n"
    )
    one, two = broker.connected(v311, "a"), broker.connected(v311, "b", port="port2")
    three = RawClient(("::1", broker.ports["port3"]))
    three.send(v311.connect("c"), v311.subscribe(1, "t"))
    three.expect(v311.connack(), v311.suback(1, 0))
    one.send(v311.publish("t", b"1"))
    three.expect(v311.publish("t", b"1"))
    two.send(v311.publish("t", b"2"))
    three.expect(v311.publish("t", b"2"))
    three.close()


def test_unix_socket_is_made_and_removed(own_broker: StartBroker) -> None:
    broker = own_broker("allow_anonymous true\nlistener {port} 127.0.0.1\nlistener 0 {dir}/sock\n")
    path = broker.directory / "sock"
    assert path.stat().st_mode & 0o777 == 0o770
    client = broker.client(v311, path=str(path))
    client.send(v311.connect("c"))
    client.expect(v311.connack())
    broker.wait_for_log(rf"New connection from {re.escape(str(path))}:0 on port 0\.")
    broker.stop()
    assert not path.exists()


@pytest.mark.parametrize("domain, there, absent", [("ipv4", "127.0.0.1", "::1"), ("ipv6", "::1", "127.0.0.1")])
def test_socket_domain(own_broker: StartBroker, domain: str, there: str, absent: str) -> None:
    broker = own_broker(f"allow_anonymous true\nlistener {{port}}\nbind_interface lo\nsocket_domain {domain}\n")
    RawClient((there, broker.port)).close()
    with pytest.raises(OSError):
        RawClient((absent, broker.port))


def test_bind_interface(own_broker: StartBroker) -> None:
    broker = own_broker("allow_anonymous true\nlistener {port}\nbind_interface lo\n")
    broker.connected(v311, "c")
    assert broker.logged(rf"Opening ipv4 listen socket on port {broker.port}\.")


def test_per_listener_settings(own_broker: StartBroker) -> None:
    broker = own_broker(
        "per_listener_settings true\nlistener {port} 127.0.0.1\nallow_anonymous true\n"
        "listener {port2} 127.0.0.1\nallow_anonymous false\n"
    )
    broker.connected(v311, "a")
    client = broker.client(port="port2")
    client.send(v311.connect("b"))
    client.expect_refused(v311.connack(5))


def test_memory_at_start(own_broker: StartBroker) -> None:
    broker = own_broker()
    if MEMORY_IS_CHECKED and broker.kind == "mosq":
        assert broker.memory() < 16 * 1024 * 1024
