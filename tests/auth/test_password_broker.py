"""A broker with a password file, from outside: start, reload, Debian's tools, and a flood of wrong passwords."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mosq.cli import passwd
from tests.auth.passwords import KINDS, pbkdf2, sha512, users, write
from tests.harness import props
from tests.harness.broker import ROOT, Broker
from tests.harness.brokers import StartBroker
from tests.harness.client import RawClient
from tests.harness.deadline import PATIENCE, SECONDS, wait_until
from tests.harness.packets import LEVELS, Level, Will, v5, v311

REFUSED = {3: b"\x20\x02\x00\x05", 4: b"\x20\x02\x00\x05", 5: b"\x20\x03\x00\x87\x00"}
DEBIANS_TOOL = Path("/usr/bin/mosquitto_passwd")
DEBIANS_PUB = Path("/usr/bin/mosquitto_pub")


def log_in(broker: Broker, level: Level = v311, port: str = "port", **options: object) -> int:
    """The code of the CONNACK."""
    client = broker.client(level, port=port)
    client.send(level.connect("log-in", **options))  # type: ignore[arg-type]
    answer = client.read_packet()
    client.close()
    return answer[3]


def reload(broker: Broker) -> None:
    start = broker.log_position()
    broker.signal(signal.SIGHUP)
    broker.wait_for_log("'basic-auth' events", start=start)


# ---- start


@pytest.mark.parametrize(
    ("kind", "code", "errors"),
    [
        ("missing", 13, ['password-file: Error: Unable to open pwfile "{f}".']),
        ("directory", 13, ["Error: {f} is not a file.", 'password-file: Error: Unable to open pwfile "{f}".']),
        ("link", 13, ['password-file: Error: Unable to open pwfile "{f}".']),
        (
            "broken",
            3,
            ["password-file: Error: Unable to decode line in password file '{f}'.", "Error found at {f}:2."],
        ),
    ],
)
def test_broken_file_is_told_before_anything_is_opened(
    own_broker: StartBroker, tmp_path: Path, kind: str, code: int, errors: list[str]
) -> None:
    path = tmp_path / "file"
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(write(tmp_path, users(u="pw")))
    elif kind == "broken":
        write(tmp_path, users(u="pw") + "v:plain\n", "file")
    broker = own_broker(f"password_file {path}\n", wait=False)
    assert broker.wait_exit() == code
    assert broker.logged("Error") == [error.replace("{f}", str(path)) for error in errors]
    assert not broker.logged("Opening ")


def test_file_of_one_listener_is_enough_to_end(own_broker: StartBroker, tmp_path: Path) -> None:
    broker = own_broker(
        f"per_listener_settings true\nlistener {{port}} 127.0.0.1\nallow_anonymous true\n"
        f"listener {{port2}} 127.0.0.1\npassword_file {tmp_path}/none\n",
        wait=False,
    )
    assert broker.wait_exit() == 13


def test_test_config_reads_no_file(tmp_path: Path) -> None:
    config = tmp_path / "c"
    config.write_text(f"listener 1\npassword_file {tmp_path}/none\n")
    done = subprocess.run(
        [sys.executable, "-m", "mosq", "-c", config, "--test-config"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=4 * SECONDS,
    )
    assert done.returncode == 0, done.stderr


def test_plain_broker_imports_nothing_for_passwords() -> None:
    """Threads and OpenSSL are half of what a broker weighs."""
    script = "import sys, mosq.cli.broker; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=True
    )
    heavy = {"hashlib", "_hashlib", "hmac", "threading", "argon2", "tempfile", "base64"}
    assert heavy.isdisjoint(done.stdout.decode().split())


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_users_of_every_kind(own_broker: StartBroker, tmp_path: Path, level: Level) -> None:
    """1.4.2: the code was 4. Anonymous clients share the listener if they may."""
    path = write(tmp_path, "".join(f"{kind}:{text}\n" for kind, text in KINDS.items()))
    broker = own_broker(
        f"password_file {path}\nlistener {{port}} 127.0.0.1\nlistener {{port2}} 127.0.0.1\n"
        "listener_allow_anonymous true\n"
    )
    for kind in KINDS:
        assert log_in(broker, level, username=kind, password="pw") == 0
        assert log_in(broker, level, username=kind, password="no") == REFUSED[level.number][3]
        assert log_in(broker, level, username=kind) == REFUSED[level.number][3]
    for port, code in (("port", REFUSED[level.number][3]), ("port2", 0)):
        assert log_in(broker, level, port) == code
        assert log_in(broker, level, port, username="nobody", password="pw") == REFUSED[level.number][3]


def test_refusal_is_logged(own_broker: StartBroker, tmp_path: Path, name: str) -> None:
    broker = own_broker(f"password_file {write(tmp_path, users(u='pw'))}\n")
    client = broker.client(v5)
    client.send(v5.connect(name, username="u", password="no", will=Will("w")))
    client.expect_refused(REFUSED[5])
    broker.wait_for_log(rf"Client {name} \[{client.address}\] disconnected: not authorised\.")
    assert not broker.logged(f"connected from .* as {name} ")


@pytest.mark.skipif(not DEBIANS_PUB.exists(), reason="mosquitto-clients is not installed")
@pytest.mark.parametrize("version", ["31", "311", "5"])
def test_debians_client_with_name_and_password(own_broker: StartBroker, tmp_path: Path, version: str) -> None:
    broker = own_broker(f"allow_anonymous false\npassword_file {write(tmp_path, users(u='pw', v='pw'))}\n")

    def publish(*credentials: str) -> int:
        command = [DEBIANS_PUB, "-h", "127.0.0.1", "-p", str(broker.port), "-V", version, "-t", "t", "-m", "x"]
        return subprocess.run([*command, *credentials], capture_output=True, timeout=SECONDS).returncode

    assert publish("-u", "u", "-P", "pw") == 0
    assert publish("-u", "v", "-P", "pw") == 0
    for credentials in ([], ["-u", "u"], ["-u", "u", "-P", "no"], ["-u", "x", "-P", "pw"]):
        assert publish(*credentials) != 0


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_refused_client_disturbs_nobody(own_broker: StartBroker, tmp_path: Path, name: str, level: Level) -> None:
    """1.4: identifiers could be stolen. Neither the identifier of another nor, with use_username_as_clientid, the name
    of another is of any use without the password."""
    path = write(tmp_path, users(u="pw", v="pw"))
    broker = own_broker(
        f"password_file {path}\nlistener {{port}} 127.0.0.1\nlistener {{port2}} 127.0.0.1\n"
        "use_username_as_clientid true\n"
    )
    victims = [
        broker.connected(level, name, username="u", password="pw"),
        broker.connected(level, name, username="v", password="pw", port="port2"),
    ]
    for port, username in (("port", "u"), ("port", "nobody"), ("port2", "v")):
        client = broker.client(level, port=port)
        client.send(level.connect(name, username=username, password="no", will=Will("w")))
        client.expect_refused(REFUSED[level.number])
    for victim in victims:
        victim.expect_silence()


def test_durable_client_is_who_it_says_each_time(own_broker: StartBroker, tmp_path: Path, name: str) -> None:
    """1.0: a client that came back had no user name."""
    rules = tmp_path / "acl"
    rules.write_text("user v\ntopic t\n")
    rules.chmod(0o600)
    broker = own_broker(f"password_file {write(tmp_path, users(u='pw', v='pw'))}\nacl_file {rules}\n")
    broker.connected(v5, name, username="u", password="pw", properties=props.session_expiry(60)).disconnect()
    again = broker.connected(v5, name, clean=False, session_present=True, username="v", password="pw")
    again.send(v5.publish("t", b"", qos=1, mid=1))
    again.expect(v5.puback(1, 0x10))


@pytest.mark.skipif(os.getuid() != 0, reason="only root has privileges to drop")
def test_file_is_read_without_privileges(own_broker: StartBroker, tmp_path: Path) -> None:
    path = write(tmp_path, users(u="pw"))
    broker = own_broker(f"user nobody\npassword_file {path}\n", wait=False)
    assert broker.wait_exit() == 13
    assert broker.logged("password-file: Error: Unable to open pwfile")


# ---- reload


def test_reload_judges_everybody_again(own_broker: StartBroker, tmp_path: Path, name: str) -> None:
    """1.2: all clients failed. Who goes is not told, and has no will."""
    path = write(tmp_path, users(u="pw", v="pw", w="pw", x="pw"))
    broker = own_broker(f"allow_anonymous true\npassword_file {path}\n")
    stays = [broker.connected(v5, f"{name}{user}", username=user, password="pw") for user in "uv"]
    stays.append(broker.connected(v5, name))
    watcher = stays[0]
    watcher.subscribe("#")
    goes = [
        broker.connected(v5, f"{name}{user}", username=user, password="pw", will=Will(name, b"gone")) for user in "wx"
    ]
    write(tmp_path, users(u="pw", v="pw", w="changed"))
    reload(broker)
    for client in goes:
        client.expect_closed()
        broker.wait_for_log(rf"Client \S+ \[{client.address}\] disconnected\.$")
    for client in stays:
        client.expect_silence()
    assert log_in(broker, username="w", password="changed") == 0


def test_anonymous_access_is_taken_away_and_given(own_broker: StartBroker, tmp_path: Path, name: str) -> None:
    """1.4: anonymous clients were disconnected by every reload."""
    path = write(tmp_path, users(u="pw"))
    broker = own_broker(f"allow_anonymous true\npassword_file {path}\n")
    anonymous, user = broker.connected(v311, name), broker.connected(v311, f"{name}u", username="u", password="pw")
    reload(broker)
    for client in (anonymous, user):
        client.expect_silence()
    broker.rewrite_config(f"allow_anonymous false\npassword_file {path}\n")
    reload(broker)
    anonymous.expect_closed()
    user.expect_silence()
    assert log_in(broker) == 5
    broker.rewrite_config(f"allow_anonymous true\npassword_file {path}\n")
    reload(broker)
    assert log_in(broker) == 0


@pytest.mark.parametrize("config", [None, "nonsense true\n"], ids=["missing", "broken"])
def test_configuration_that_cannot_be_read_opens_nothing(
    own_broker: StartBroker, tmp_path: Path, name: str, config: str | None
) -> None:
    """CVE-2017-7652: the settings fell back to their defaults. The password file is read again all the same."""
    path = write(tmp_path, users(u="pw", v="pw"))
    broker = own_broker(f"allow_anonymous false\npassword_file {path}\n")
    user, gone = (broker.connected(v311, f"{name}{u}", username=u, password="pw") for u in "uv")
    if config is None:
        broker.config_file.unlink()
    else:
        broker.config_file.write_text(config)
    write(tmp_path, users(u="pw"))
    reload(broker)
    gone.expect_closed()
    user.expect_silence()
    assert log_in(broker) == 5
    assert log_in(broker, username="u", password="no") == 5


@pytest.mark.parametrize(("content", "code"), [("u:broken\n", 3), (None, 13)], ids=["broken", "missing"])
def test_reload_of_a_broken_file_ends_the_broker(
    own_broker: StartBroker, tmp_path: Path, name: str, content: str | None, code: int
) -> None:
    """2.1.0: what was read of it was used."""
    path = write(tmp_path, users(u="pw"))
    broker = own_broker(f"password_file {path}\n")
    client = broker.connected(v311, name, username="u", password="pw")
    if content is None:
        path.unlink()
    else:
        write(tmp_path, content)
    broker.signal(signal.SIGHUP)
    client.expect_closed()
    assert broker.wait_exit() == code
    assert broker.logged("password-file: Error: Unable to")


def test_reload_in_local_only_mode_with_anonymous_access_switched_off(own_broker: StartBroker, name: str) -> None:
    """2.0.21: allow_anonymous did not count there."""
    port = socket.create_server(("127.0.0.1", 0))
    number = port.getsockname()[1]
    port.close()
    broker = own_broker("# {port}\nallow_anonymous true\n", arguments=("-p", str(number)))
    broker.ports["local"] = number
    client = broker.connected(v311, name, port="local")
    broker.config_file.write_text("user root\nlog_timestamp false\nallow_anonymous false\n")
    broker.signal(signal.SIGHUP)
    client.expect_closed()
    assert log_in(broker, port="local") == 5


# ---- files of Debian's mosquitto, and for it


@pytest.mark.original
@pytest.mark.parametrize("kind", ["sha512", "sha512-pbkdf2"])
def test_files_go_both_ways(own_broker: StartBroker, original: Path, tmp_path: Path, kind: str) -> None:
    """Each tool's files are read by the other broker, and changed by the other tool."""
    path = tmp_path / "passwords"

    def ours(*arguments: str) -> None:
        command = [sys.executable, "-c", "from mosq.cli.passwd import entry; entry()", *arguments]
        subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, timeout=4 * SECONDS)

    def theirs(*arguments: str) -> None:
        subprocess.run([DEBIANS_TOOL, *arguments], check=True, timeout=SECONDS)

    ours("-H", kind, "-c", "-b", str(path), "ours", "pw1")
    theirs("-H", kind, "-b", str(path), "theirs", "pw2")
    ours("-H", kind, "-b", str(path), "shared", "no")
    theirs("-H", kind, "-b", str(path), "shared", "pw3")
    theirs("-H", kind, "-b", str(path), "again", "no")
    ours("-H", kind, "-b", str(path), "again", "pw4")
    theirs("-b", str(path), "gone", "no")
    ours("-D", str(path), "gone")
    for broker in (
        own_broker(f"allow_anonymous false\npassword_file {path}\n"),
        own_broker(f"allow_anonymous false\npassword_file {path}\n", kind="original"),
    ):
        for name, password in {"ours": "pw1", "theirs": "pw2", "shared": "pw3", "again": "pw4"}.items():
            assert log_in(broker, username=name, password=password) == 0, (broker.kind, name)
            assert log_in(broker, username=name, password="no") == 5, (broker.kind, name)
        assert log_in(broker, username="gone", password="no") == 5


@pytest.mark.original
def test_plain_text_that_either_tool_hashed(own_broker: StartBroker, original: Path, tmp_path: Path) -> None:
    content = "a:one\nb:two words\n"
    ours, theirs = write(tmp_path, content, "ours"), write(tmp_path, content, "theirs")
    assert passwd.main(["-U", str(ours)]) == 0
    subprocess.run([DEBIANS_TOOL, "-U", theirs], check=True, timeout=SECONDS)
    for kind in ("mosq", "original"):
        for path in (ours, theirs):
            broker = own_broker(f"allow_anonymous false\npassword_file {path}\n", kind=kind)
            assert log_in(broker, username="a", password="one") == 0
            assert log_in(broker, username="b", password="two words") == 0


# ---- a flood


ITERATIONS = 200_000
"""Something like a tenth of a second for each password."""


@pytest.fixture
def slow_broker(own_broker: StartBroker, tmp_path: Path) -> Broker:
    path = write(tmp_path, f"u:{pbkdf2(b'pw', ITERATIONS)}\nquick:{sha512(b'pw')}\n")
    broker: Broker = own_broker(f"password_file {path}\n", listener="max_connections -1\n")
    return broker


def flood(broker: Broker, count: int) -> list[RawClient]:
    """Clients that wait for the answer to a wrong password."""
    clients = [broker.client(v311) for _ in range(count)]
    for number, client in enumerate(clients):
        client.send(v311.connect(f"flood{number}", username="u", password="no"))
    return clients


@pytest.mark.slow
def test_flood_of_wrong_passwords_does_not_slow_who_is_connected(slow_broker: Broker, name: str) -> None:
    publisher = slow_broker.connected(v311, f"{name}p", username="quick", password="pw")
    subscriber = slow_broker.connected(v311, f"{name}s", username="quick", password="pw")
    subscriber.subscribe(name)
    clients = flood(slow_broker, 100)
    clients[0].expect_refused(REFUSED[4], seconds=4 * SECONDS)
    times = []
    for number in range(200):
        start = time.perf_counter()
        publisher.send(v311.publish(name, str(number).encode()))
        subscriber.expect(v311.publish(name, str(number).encode()))
        times.append(time.perf_counter() - start)
    clients[-1].sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        clients[-1].sock.recv(1)  # the flood is not over yet
    assert statistics.median(times) < 0.010 * PATIENCE
    assert statistics.quantiles(times, n=20)[-1] < 0.050 * PATIENCE


@pytest.mark.slow
def test_who_comes_from_elsewhere_does_not_wait_behind_a_flood(slow_broker: Broker, name: str) -> None:
    clients = flood(slow_broker, 100)
    other = RawClient(("127.0.0.1", slow_broker.port), v311)
    other.close()
    sock = socket.create_connection(("127.0.0.1", slow_broker.port), SECONDS, source_address=("127.0.0.2", 0))
    sock.sendall(v311.connect(name, username="u", password="pw"))
    sock.settimeout(4 * SECONDS)
    assert sock.recv(4) == v311.connack()
    sock.close()
    clients[-1].sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        clients[-1].sock.recv(1)


def test_flood_with_the_identifier_of_another_does_not_lock_that_one_out(slow_broker: Broker, name: str) -> None:
    clients = [slow_broker.client(v311) for _ in range(3)]
    for client in clients:
        client.send(v311.connect(name, username="u", password="no"))
    slow_broker.connected(v311, name, username="quick", password="pw").expect_silence()
    for client in clients:
        client.expect_refused(REFUSED[4], seconds=4 * SECONDS)


def test_broker_stops_while_passwords_are_computed(slow_broker: Broker) -> None:
    flood(slow_broker, 50)
    slow_broker.wait_for_log("New connection")
    slow_broker.stop()


def test_clients_that_leave_while_they_wait_leave_nothing(slow_broker: Broker, name: str) -> None:
    before = slow_broker.descriptors()
    for client in flood(slow_broker, 5):
        client.close()
    slow_broker.connected(v311, name, username="quick", password="pw").disconnect()
    wait_until(lambda: slow_broker.descriptors() <= before, "the descriptors to be closed", 4 * SECONDS)
