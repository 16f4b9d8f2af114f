"""Debian's clients on mosq and on the original, with the same configuration: the same outcome.

Every case is a listener and a way for a client to ask; what is compared is the exit code of mosquitto_pub and whether a
subscriber that is let in for sure gets the message.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.broker import Broker
from tests.harness.deadline import SECONDS
from tests.harness.packets import v311
from tests.tls.client import client_context, connected
from tests.tls.conftest import Pki

HASH = (
    "$7$1000$MDEyMzQ1Njc4OWFi$jVF7ldKOzTqSRCOe7bcTpbk9T2i3LR+kVz7VBumMUuZ4f0itb/vWUgVVBdQjn3tlC6JD4UwWPJmaTRh42W4lag=="
)
"""Of the password "pw"."""

ANONYMOUS = "allow_anonymous true\n"
REQUIRED = "require_certificate true\n"
IDENTITY = "use_identity_as_username true\n"
SUBJECT = "use_subject_as_username true\n"

CERTIFICATE_LISTENERS = {
    "open": (ANONYMOUS, ""),
    "closed": ("", ""),
    "passwords": ("password_file {passwords}\n", ""),
    "passwords or nobody": (ANONYMOUS + "password_file {passwords}\n", ""),
    "certificate": (ANONYMOUS, REQUIRED),
    "certificate and nobody": ("", REQUIRED),
    "certificate and password": ("password_file {passwords}\n", REQUIRED),
    "name of the certificate": ("password_file {passwords}\nacl_file {acl}\n", REQUIRED + IDENTITY),
    "subject of the certificate": ("acl_file {acl}\n", REQUIRED + SUBJECT),
    "a name, but no certificate asked for": (ANONYMOUS, IDENTITY),
    "revoked": (ANONYMOUS, REQUIRED + "crlfile {crl}\n"),
    "1.3 at least": (ANONYMOUS, "tls_version tlsv1.3\n"),
    "one old cipher": (ANONYMOUS, "ciphers ECDHE-ECDSA-AES128-GCM-SHA256\n"),
}
CERTIFICATE_CLIENTS = {
    "nobody": "",
    "alice": "--cert {alice}.crt --key {alice}.key",
    "bob": "--cert {bob}.crt --key {bob}.key",
    "stranger": "--cert {stranger}.crt --key {stranger}.key",
    "expired": "--cert {expired}.crt --key {expired}.key",
    "password": "-u roger -P pw",
    "wrong password": "-u roger -P no",
    "unknown user": "-u nobody -P pw",
    "alice and password": "--cert {alice}.crt --key {alice}.key -u roger -P pw",
    "alice and wrong password": "--cert {alice}.crt --key {alice}.key -u roger -P no",
    "1.2": "--tls-version tlsv1.2",
    "1.3": "--tls-version tlsv1.3",
    "v5": "-V mqttv5 -u roger -P pw",
}

KEY_LISTENERS = {
    "open": (ANONYMOUS, ""),
    "closed": ("", ""),
    "passwords": ("password_file {passwords}\n", ""),
    "identity": ("password_file {passwords}\nacl_file {acl}\n", IDENTITY),
    "cipher": (ANONYMOUS, "ciphers PSK-AES128-GCM-SHA256\n"),
}
KEY_CLIENTS = {
    "alice": "--psk-identity alice --psk deadbeef",
    "upper case": "--psk-identity alice --psk DEADBEEF",
    "wrong key": "--psk-identity alice --psk deadbeee",
    "unknown": "--psk-identity nobody --psk deadbeef",
    "odd": "--psk-identity odd --psk 012345",
    "zeros": "--psk-identity zeros --psk 000012",
    "password": "--psk-identity alice --psk deadbeef -u roger -P pw",
    "wrong password": "--psk-identity alice --psk deadbeef -u roger -P no",
}

Start = Callable[[str, str], Broker]


@pytest.fixture(scope="session")
def words(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files that the cases name."""
    directory = tmp_path_factory.mktemp("files")
    contents = {
        "passwords": f"roger:{HASH}\n",
        "acl": "user alice\ntopic t/alice\nuser roger\ntopic t/#\nuser CN=alice\ntopic t/alice\n",
        "psk": "alice:deadbeef\nodd:12345\nzeros:000012\n",
    }
    words = {"crl": str(pki.revoked_bob)}
    for name, content in contents.items():
        (directory / name).write_text(content)
        (directory / name).chmod(0o600)
        words[name] = str(directory / name)
    for name in ("alice", "bob", "stranger", "expired"):
        words[name] = str(getattr(pki, name).certificate).removesuffix(".crt")
    return words


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    running: dict[tuple[str, str], Broker] = {}

    def get(kind: str, config: str) -> Broker:
        if (kind, config) not in running:
            running[kind, config] = Broker(tmp_path_factory.mktemp("broker"), config, kind=kind)
        return running[kind, config]

    yield get
    for broker in running.values():
        broker.stop()


NO_TLS = (1, 7, 8, 14)
"""Whether the client sees an alert, an end or a reset of the connection is a matter of timing."""


def publish(broker: Broker, more: str, message: str = "x") -> int:
    command = ["mosquitto_pub", "-h", "localhost", "-p", str(broker.port), "-t", "t/alice", "-m", message, "-q", "1"]
    try:
        code = subprocess.run([*command, *more.split()], capture_output=True, timeout=SECONDS, check=False).returncode
    except subprocess.TimeoutExpired:
        return -1
    return NO_TLS[0] if code in NO_TLS else code


@pytest.mark.parametrize("client", CERTIFICATE_CLIENTS)
@pytest.mark.parametrize("listener", CERTIFICATE_LISTENERS)
def test_certificates(
    start: Start, pki: Pki, words: dict[str, str], original: Path, listener: str, client: str
) -> None:
    general, more = (text.format(**words) for text in CERTIFICATE_LISTENERS[listener])
    config = f"{general}listener {{port}} 127.0.0.1\n{pki.options}{more}"
    arguments = f"--cafile {pki.ca} {CERTIFICATE_CLIENTS[client].format(**words)}"
    codes = {kind: publish(start(kind, config), arguments) for kind in ("original", "mosq")}
    assert codes["mosq"] == codes["original"]


@pytest.mark.parametrize("client", KEY_CLIENTS)
@pytest.mark.parametrize("listener", KEY_LISTENERS)
def test_keys(start: Start, words: dict[str, str], original: Path, listener: str, client: str) -> None:
    general, more = (text.format(**words) for text in KEY_LISTENERS[listener])
    config = f"{general}psk_file {words['psk']}\nlistener {{port}} 127.0.0.1\npsk_hint h\n{more}"
    codes = {kind: publish(start(kind, config), KEY_CLIENTS[client]) for kind in ("original", "mosq")}
    assert codes["mosq"] == codes["original"]


@pytest.mark.parametrize(
    ("who", "allowed"), [("--cert {alice}.crt --key {alice}.key", True), ("--cert {bob}.crt --key {bob}.key", False)]
)
def test_a_certificate_s_name_has_rights(
    start: Start, pki: Pki, words: dict[str, str], who: str, allowed: bool
) -> None:
    general, more = (text.format(**words) for text in CERTIFICATE_LISTENERS["name of the certificate"])
    broker = start("mosq", f"{general}listener {{port}} 127.0.0.1\n{pki.options}{more}")
    reader = connected(broker, client_context(pki.ca, pki.alice), v311, f"reader{allowed}")
    reader.subscribe("t/alice")
    assert publish(broker, f"--cafile {pki.ca} {who.format(**words)}") == 0
    publish(broker, f"--cafile {pki.ca} --cert {words['alice']}.crt --key {words['alice']}.key", "last")
    assert reader.read_packet().endswith(b"x" if allowed else b"last")
