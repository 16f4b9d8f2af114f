"""TLS with pre-shared keys, with Debian's clients: Python's `ssl` of this age has no keys."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.harness.broker import Broker
from tests.harness.brokers import KIND, Brokers, StartBroker
from tests.harness.deadline import SECONDS
from tests.tls.conftest import Pki

KEYS = "alice:deadbeef\nzeros:000012\nodd:12345\nüser:c0ffee\nempty:\n"
OPTIONS = "allow_anonymous true\npsk_file {psk}\nlistener {{port}} 127.0.0.1\npsk_hint mosq\n"
ERROR = r"OpenSSL Error while trying to get the error\[\d\]: error:"

pytestmark = pytest.mark.skipif(KIND == "original", reason="what is logged differs between releases")


@pytest.fixture(scope="module")
def psk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("psk") / "psk"
    path.write_text(KEYS)
    path.chmod(0o600)
    return path


def publish(broker: Broker, identity: str, key: str, client_id: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-i", client_id, "-t", "t", "-m", "x"]
    command += ["--psk-identity", identity, "--psk", key, "--tls-version", "tlsv1.2", *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=4 * SECONDS, check=False)


@pytest.mark.parametrize(
    ("identity", "key"), [("alice", "deadbeef"), ("zeros", "000012"), ("odd", "012345"), ("üser", "C0FFEE")]
)
def test_key_lets_in(brokers: Brokers, psk: Path, name: str, identity: str, key: str) -> None:
    broker = brokers(OPTIONS.format(psk=psk))
    assert publish(broker, identity, key, name, "-q", "1").returncode == 0
    broker.wait_for_log(rf"^Client {name} negotiated TLSv1\.2 cipher \S*PSK\S*$")


@pytest.mark.parametrize(
    ("identity", "key", "error"),
    [
        ("nobody", "deadbeef", "0A0000DF:SSL routines::psk identity not found"),
        ("empty", "00", "0A0000DF:SSL routines::psk identity not found"),
        ("alice", "deadbeee", "0A000119:SSL routines::decryption failed or bad record mac"),
        ("zeros", "12", "0A000119:SSL routines::decryption failed or bad record mac"),
    ],
)
def test_wrong_keys(brokers: Brokers, psk: Path, name: str, identity: str, key: str, error: str) -> None:
    broker = brokers(OPTIONS.format(psk=psk))
    start = broker.log_position()
    assert publish(broker, identity, key, name).returncode != 0
    broker.wait_for_log(ERROR + error, start=start)
    broker.wait_for_log(r"Client 127\.0\.0\.1 \[127\.0\.0\.1:\d+\] disconnected: Protocol error\.$", start=start)
    assert publish(broker, "alice", "deadbeef", name).returncode == 0


def test_identity_is_the_username(brokers: Brokers, psk: Path, name: str) -> None:
    broker = brokers(OPTIONS.format(psk=psk).replace("true", "false") + "use_identity_as_username true\n")
    assert publish(broker, "alice", "deadbeef", name, "-u", "other", "-P", "x").returncode == 0
    broker.wait_for_log(rf"as {name} \(p\d, c1, k60, u'alice'\)")


def test_without_that_option_credentials_count(brokers: Brokers, psk: Path, name: str) -> None:
    broker = brokers(OPTIONS.format(psk=psk).replace("true", "false"))
    assert publish(broker, "alice", "deadbeef", name).returncode == 5


def test_identity_that_is_no_username(own_broker: StartBroker, tmp_path: Path) -> None:
    (tmp_path / "psk").write_bytes(b"a\x01b:12\n")
    broker = own_broker(OPTIONS.format(psk=tmp_path / "psk") + "use_identity_as_username true\n")
    assert publish(broker, "a\x01b", "12", "c").returncode != 0
    broker.wait_for_log(ERROR + "0A0000DF")


def test_hint_is_told(brokers: Brokers, psk: Path) -> None:
    broker = brokers(OPTIONS.format(psk=psk))
    command = [
        "openssl",
        "s_client",
        "-connect",
        f"127.0.0.1:{broker.port}",
        "-psk",
        "deadbeef",
        "-psk_identity",
        "alice",
    ]
    result = subprocess.run(
        [*command, "-tls1_2", "-cipher", "PSK"], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
    )
    assert b"PSK identity hint: mosq" in result.stdout


@pytest.mark.parametrize("cipher", ["DHE-PSK-AES256-GCM-SHA384", "ECDHE-PSK-AES256-CBC-SHA", "PSK-AES128-GCM-SHA256"])
def test_ciphers(brokers: Brokers, psk: Path, name: str, cipher: str) -> None:
    broker = brokers(OPTIONS.format(psk=psk) + f"ciphers {cipher}\n")
    assert publish(broker, "alice", "deadbeef", name, "--ciphers", cipher).returncode == 0
    broker.wait_for_log(rf"^Client {name} negotiated \S+ cipher {cipher}$")


def test_identity_is_asked_for_each_time(brokers: Brokers, psk: Path) -> None:
    broker = brokers(OPTIONS.format(psk=psk))
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{broker.port}", "-tls1_2", "-cipher", "PSK", "-reconnect"]
    result = subprocess.run(
        [*command, "-psk", "deadbeef", "-psk_identity", "alice"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert b"\nNew, TLSv1.2" in result.stdout
    assert b"\nReused" not in result.stdout


def test_no_file_no_keys(brokers: Brokers, name: str) -> None:
    broker = brokers("allow_anonymous true\nlistener {port} 127.0.0.1\npsk_hint h\n")
    assert publish(broker, "alice", "deadbeef", name).returncode != 0


def test_keys_switch_newer_tls_off_for_certificates_too(brokers: Brokers, psk: Path, pki: Pki, name: str) -> None:
    from tests.harness.packets import v311
    from tests.tls.client import client_context, connected

    broker = brokers(f"allow_anonymous true\npsk_file {psk}\nlistener {{port}} 127.0.0.1\n{pki.options}")
    assert connected(broker, client_context(pki.ca), v311, name).tls.version() == "TLSv1.2"


def test_certificates_and_keys_on_one_listener(brokers: Brokers, psk: Path, pki: Pki, name: str) -> None:
    from tests.harness.packets import v311
    from tests.tls.client import client_context, connected

    order = f"allow_anonymous true\npsk_file {psk}\nlistener {{port}} 127.0.0.1\n{pki.options}psk_hint h\n"
    broker = brokers(order)
    assert publish(broker, "alice", "deadbeef", name, "--ciphers", "PSK").returncode == 0
    connected(broker, client_context(pki.ca), v311, name)
    named = brokers(order + "use_identity_as_username true\n")
    assert publish(named, "alice", "deadbeef", name, "--ciphers", "PSK").returncode == 0
    connected(named, client_context(pki.ca), v311, name, code=4)


def test_file_with_a_broken_key_ends_the_start(own_broker: StartBroker, tmp_path: Path) -> None:
    (tmp_path / "psk").write_text("id:xyz\n")
    broker = own_broker(OPTIONS.format(psk=tmp_path / "psk"), wait=False)
    assert broker.wait_exit() == 3
    assert 'Error: psk for identity "id" contains non-hexadecimal characters.' in broker.log.lines
    assert f'Error opening psk file "{tmp_path / "psk"}".' in broker.log.lines


def test_missing_file_ends_the_start(own_broker: StartBroker, tmp_path: Path) -> None:
    broker = own_broker(OPTIONS.format(psk=tmp_path / "psk"), wait=False)
    assert broker.wait_exit() == 13
