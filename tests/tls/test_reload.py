"""SIGHUP and certificates, keys, names: new connections get what is new, old ones stay."""

from __future__ import annotations

import shutil
import signal
import ssl
from pathlib import Path

import pytest

from tests.harness.broker import Broker
from tests.harness.brokers import StartBroker
from tests.harness.packets import v5, v311
from tests.tls.certificates import Pair
from tests.tls.client import TLSClient, client_context, connected
from tests.tls.conftest import Pki
from tests.tls.test_psk import publish


def install(pair: Pair, directory: Path) -> None:
    shutil.copy(pair.certificate, directory / "c")
    shutil.copy(pair.key, directory / "k")


def reload(broker: Broker) -> int:
    """Have the broker reload; returns where its log was before."""
    start = broker.log_position()
    broker.signal(signal.SIGHUP)
    broker.wait_for_log("Reloading config", start=start)
    return start


@pytest.fixture
def directory(tmp_path: Path, pki: Pki) -> Path:
    path = tmp_path / "certificates"
    path.mkdir()
    install(pki.server, path)
    return path


def config(directory: Path, pki: Pki, more: str = "") -> str:
    files = f"cafile {pki.ca}\ncertfile {directory}/c\nkeyfile {directory}/k\n"
    return f"allow_anonymous true\nlistener {{port}} 127.0.0.1\n{files}{more}"


def serial(broker: Broker) -> int:
    """Of the certificate that the listener shows now."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    client = TLSClient(broker.port, context)
    der = client.tls.getpeercert(binary_form=True)
    client.close()
    from cryptography import x509

    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number


def test_new_certificate_for_new_connections(own_broker: StartBroker, directory: Path, pki: Pki) -> None:
    broker = own_broker(config(directory, pki))
    old = connected(broker, client_context(pki.ca), v311, "old")
    old.subscribe("t")
    fresh = pki.authority.issue("fresh", "localhost")
    install(fresh, directory)
    reload(broker)
    new = connected(broker, client_context(pki.ca), v311, "new")
    assert serial(broker) == fresh.x509.serial_number
    new.publish("t", b"hello")
    assert old.read_packet().endswith(b"hello")


@pytest.mark.parametrize("broken", ["missing key", "other key", "no certificate"])
def test_what_is_broken_is_not_used(own_broker: StartBroker, directory: Path, pki: Pki, broken: str) -> None:
    broker = own_broker(config(directory, pki))
    old = connected(broker, client_context(pki.ca), v311, "old")
    if broken == "missing key":
        (directory / "k").unlink()
    elif broken == "other key":
        shutil.copy(pki.alice.key, directory / "k")
    else:
        (directory / "c").write_text("nothing\n")
    start = reload(broker)
    broker.wait_for_log(r"^Error: Unable to load server (certificate|key file) ", start=start)
    broker.wait_for_log(r"^OpenSSL Error \[0\]: error:", start=start)
    broker.wait_for_log(f"^Error when reloading certificate '{directory}/c' or key '{directory}/k'\\.$", start=start)
    old.expect_silence()
    connected(broker, client_context(pki.ca), v311, "new").expect_silence()
    assert serial(broker) == pki.server.x509.serial_number


def test_revocation_list_is_read_again(own_broker: StartBroker, directory: Path, pki: Pki) -> None:
    crl = directory / "crl"
    shutil.copy(pki.authority.revoke("empty.crl"), crl)
    broker = own_broker(config(directory, pki, f"require_certificate true\ncrlfile {crl}\n"))
    bob = connected(broker, client_context(pki.ca, pki.bob), v311, "bob")
    shutil.copy(pki.revoked_bob, crl)
    reload(broker)
    bob.expect_silence()
    with pytest.raises((AssertionError, ssl.SSLError)):
        connected(broker, client_context(pki.ca, pki.bob), v311, "bob2")
    broker.wait_for_log("certificate verify failed")
    connected(broker, client_context(pki.ca, pki.alice), v311, "alice")


def test_certificates_can_be_required_from_now_on(own_broker: StartBroker, directory: Path, pki: Pki) -> None:
    broker = own_broker(config(directory, pki))
    old = connected(broker, client_context(pki.ca), v311, "old")
    broker.rewrite_config(config(directory, pki, "require_certificate true\n"))
    reload(broker)
    old.expect_silence()
    connected(broker, client_context(pki.ca, pki.alice), v311, "alice")
    with pytest.raises((AssertionError, ssl.SSLError)):
        connected(broker, client_context(pki.ca), v311, "new")


def test_clients_with_a_name_stay_and_are_renamed(own_broker: StartBroker, directory: Path, pki: Pki) -> None:
    text = config(directory, pki, "require_certificate true\n").replace("true", "false", 1)
    acl = directory / "acl"
    acl.write_text("user alice\ntopic t\n")
    acl.chmod(0o600)
    broker = own_broker(f"acl_file {acl}\n{text}use_identity_as_username true\n")
    client = connected(broker, client_context(pki.ca, pki.alice), v5, "client")
    client.subscribe("t")
    broker.rewrite_config(f"acl_file {acl}\n{text}use_subject_as_username true\n")
    reload(broker)
    client.send(v5.publish("t", b"as CN=alice"))
    client.expect_silence()
    acl.write_text("user CN=alice\ntopic t\n")
    reload(broker)
    client.send(v5.publish("t", b"hello"))
    assert client.read_packet().endswith(b"hello")


def test_client_without_a_name_has_to_go(own_broker: StartBroker, directory: Path, pki: Pki) -> None:
    text = config(directory, pki)
    broker = own_broker(text)
    client = connected(broker, client_context(pki.ca), v5, "client")
    broker.rewrite_config(text + "use_identity_as_username true\n")
    start = reload(broker)
    assert client.read_packet() == b"\xe0\x01\x98"
    client.expect_closed()
    broker.wait_for_log(r"Client client \[127\.0\.0\.1:\d+\] disconnected\.$", start=start)


def test_keys_are_read_again(own_broker: StartBroker, tmp_path: Path) -> None:
    psk = tmp_path / "psk"
    psk.write_text("alice:12\n")
    psk.chmod(0o600)
    broker = own_broker(f"allow_anonymous true\npsk_file {psk}\nlistener {{port}} 127.0.0.1\npsk_hint h\n")
    assert publish(broker, "alice", "12", "a").returncode == 0
    psk.write_text("alice:34\n")
    reload(broker)
    assert publish(broker, "alice", "34", "b").returncode == 0
    assert publish(broker, "alice", "12", "c").returncode != 0


def test_broken_key_file_ends_the_broker(own_broker: StartBroker, tmp_path: Path) -> None:
    psk = tmp_path / "psk"
    psk.write_text("alice:12\n")
    broker = own_broker(f"allow_anonymous true\npsk_file {psk}\nlistener {{port}} 127.0.0.1\npsk_hint h\n")
    psk.write_text("alice:xy\n")
    reload(broker)
    assert broker.wait_exit() == 3
    assert f'Error opening psk file "{psk}".' in broker.log.lines
