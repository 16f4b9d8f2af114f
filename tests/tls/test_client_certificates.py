"""Who may connect by certificate (require_certificate and what goes with it), and under which name."""

from __future__ import annotations

import os
import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.harness.broker import Broker
from tests.harness.brokers import Brokers
from tests.harness.client import ConnectionEndedError
from tests.harness.packets import v5, v31, v311
from tests.tls.certificates import Pair
from tests.tls.client import TLSClient, client_context, connected
from tests.tls.conftest import Pki

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
REQUIRED = "allow_anonymous true\nlistener {port} 127.0.0.1\nrequire_certificate true\n"
IDENTITY = REQUIRED + "use_identity_as_username true\n"
SUBJECT = REQUIRED + "use_subject_as_username true\n"
ERROR = r"OpenSSL Error while trying to get the error\[\d\]: error:"


def assert_refused(broker: Broker, context: ssl.SSLContext, error: str, alert: str) -> None:
    start = broker.log_position()
    with pytest.raises((ssl.SSLError, ConnectionEndedError)) as caught:
        TLSClient(broker.port, context, v311).read_packet()
    assert alert.lower() in str(caught.value).lower().replace("_", " ")
    broker.wait_for_log(ERROR + error + "$", start=start)
    broker.wait_for_log(r"Client 127\.0\.0\.1 \[127\.0\.0\.1:\d+\] disconnected: Protocol error\.$", start=start)


@pytest.mark.parametrize("version", VERSIONS)
def test_no_certificate(brokers: Brokers, pki: Pki, version: ssl.TLSVersion) -> None:
    alert = "certificate required" if version == ssl.TLSVersion.TLSv1_3 else "handshake failure"
    error = "0A0000C7:SSL routines::peer did not return a certificate"
    assert_refused(brokers(REQUIRED + pki.options), client_context(pki.ca, most=version), error, alert)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("who", "alert"),
    [
        ("stranger", "unknown ca"),
        ("expired", "certificate expired"),
        ("early", "bad certificate"),
        ("server_only", "unsupported certificate"),
    ],
)
def test_certificates_that_do_not_verify(
    brokers: Brokers, pki: Pki, who: str, alert: str, version: ssl.TLSVersion
) -> None:
    context = client_context(pki.ca, getattr(pki, who), most=version)
    assert_refused(brokers(REQUIRED + pki.options), context, "0A000086:SSL routines::certificate verify failed", alert)


def test_certificate_alone_is_not_credentials(brokers: Brokers, pki: Pki) -> None:
    broker = brokers(REQUIRED.replace("true", "false", 1) + pki.options)
    connected(broker, client_context(pki.ca, pki.alice), v311, "alice-cert", code=5)


def test_dates_that_do_not_count(brokers: Brokers, pki: Pki, name: str) -> None:
    broker = brokers(REQUIRED + pki.options + "disable_client_cert_date_checks true\n")
    connected(broker, client_context(pki.ca, pki.expired), v311, f"{name}a")
    connected(broker, client_context(pki.ca, pki.early), v311, f"{name}b")
    error = "0A000086:SSL routines::certificate verify failed"
    assert_refused(broker, client_context(pki.ca, pki.stranger), error, "unknown ca")


def test_revoked(brokers: Brokers, pki: Pki, name: str) -> None:
    broker = brokers(f"{REQUIRED}{pki.options}crlfile {pki.revoked_bob}\n")
    connected(broker, client_context(pki.ca, pki.alice), v311, name)
    error = "0A000086:SSL routines::certificate verify failed"
    assert_refused(broker, client_context(pki.ca, pki.bob), error, "certificate revoked")


def test_every_list_of_a_file_counts(brokers: Brokers, pki: Pki, name: str) -> None:
    both = pki.authority.directory / "both.crl"
    other = pki.other.revoke("other.crl")
    both.write_bytes(other.read_bytes() + pki.revoked_bob.read_bytes())
    broker = brokers(f"{REQUIRED}{pki.options}crlfile {both}\n")
    connected(broker, client_context(pki.ca, pki.alice), v311, name)
    error = "0A000086:SSL routines::certificate verify failed"
    assert_refused(broker, client_context(pki.ca, pki.bob), error, "certificate revoked")


@pytest.mark.parametrize("kind", ["of another authority", "out of date"])
def test_without_a_current_list_nobody_is_trusted(brokers: Brokers, pki: Pki, kind: str) -> None:
    from tests.tls.certificates import DAY, NOW

    crl = pki.other.revoke("none.crl") if "another" in kind else pki.authority.revoke("old.crl", end=NOW - DAY)
    dates = "disable_client_cert_date_checks true\n"
    broker = brokers(f"{REQUIRED}{pki.options}crlfile {crl}\n{dates}")
    error = "0A000086:SSL routines::certificate verify failed"
    assert_refused(broker, client_context(pki.ca, pki.alice), error, "")


def test_capath(brokers: Brokers, pki: Pki, tmp_path: Path, name: str) -> None:
    (tmp_path / "ca.pem").write_bytes(pki.ca.read_bytes())
    subprocess.run(["openssl", "rehash", str(tmp_path)], check=True, timeout=30, capture_output=True)
    broker = brokers(f"{REQUIRED}capath {tmp_path}\n{pki.server.options}")
    connected(broker, client_context(pki.ca, pki.alice), v311, name)
    output = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{broker.port}", "-tls1_2"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False,
    ).stdout  # fmt: skip
    assert b"Acceptable client certificate CA names\nCN = Test authority" in output


def test_authorities_are_named_to_clients(brokers: Brokers, pki: Pki) -> None:
    broker = brokers(REQUIRED + pki.options)
    output = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{broker.port}", "-tls1_2"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False,
    ).stdout  # fmt: skip
    assert b"Acceptable client certificate CA names\nCN = Test authority" in output


# ---- names


def username_line(client_id: str, username: str) -> str:
    import re

    return rf"New client connected from 127\.0\.0\.1:\d+ as {client_id} \(p\d, c1, k60, u'{re.escape(username)}'\)\."


@pytest.mark.parametrize("level", [v31, v311, v5])
def test_common_name_is_the_username(brokers: Brokers, pki: Pki, name: str, level: object) -> None:
    broker = brokers(IDENTITY.replace("allow_anonymous true", "allow_anonymous false") + pki.options)
    client = connected(broker, client_context(pki.ca, pki.alice), level, name, username="root", password="x")  # type: ignore[arg-type]
    broker.wait_for_log(username_line(name, "alice"))
    client.expect_silence()


def test_subject_is_the_username(brokers: Brokers, pki: Pki, name: str) -> None:
    attributes = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Ünï"),
        x509.NameAttribute(NameOID.COMMON_NAME, "carol"),
    ]
    pair = pki.authority.issue("carol", x509.Name(attributes))
    broker = brokers(SUBJECT + pki.options)
    connected(broker, client_context(pki.ca, pair), v5, name)
    broker.wait_for_log(username_line(name, r"CN=carol,O=\C3\9Cn\C3\AF"))


def test_common_name_goes_before_subject(brokers: Brokers, pki: Pki, name: str) -> None:
    broker = brokers(SUBJECT + "use_identity_as_username true\n" + pki.options)
    connected(broker, client_context(pki.ca, pki.alice), v5, name)
    broker.wait_for_log(username_line(name, "alice"))


def test_common_name_as_client_identifier(brokers: Brokers, pki: Pki) -> None:
    broker = brokers(IDENTITY + "use_username_as_clientid true\n" + pki.options)
    connected(broker, client_context(pki.ca, pki.alice), v311, "ignored")
    broker.wait_for_log(username_line("alice", "alice"))


def bad(pki: Pki, kind: str) -> Pair:
    cn = NameOID.COMMON_NAME
    names = {
        "nul": [x509.NameAttribute(cn, "alice\0x")],
        "control": [x509.NameAttribute(cn, "al\nice")],
        "none": [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "alice")],
    }
    return pki.authority.issue(f"bad-{kind}-{os.getpid()}", x509.Name(names[kind]))


@pytest.mark.parametrize(("level", "code"), [(v31, 4), (v311, 4), (v5, 0x86)])
@pytest.mark.parametrize("kind", ["nul", "control", "none"])
def test_names_that_are_refused(brokers: Brokers, pki: Pki, name: str, kind: str, level: object, code: int) -> None:
    broker = brokers(IDENTITY + pki.options)
    client = connected(broker, client_context(pki.ca, bad(pki, kind)), level, name, code=code)  # type: ignore[arg-type]
    client.expect_closed()
    broker.wait_for_log(rf"Client {name} \[127\.0\.0\.1:\d+\] disconnected: not authorised\.$")


def test_a_subject_with_nul_is_escaped_and_may_connect(brokers: Brokers, pki: Pki, name: str) -> None:
    broker = brokers(SUBJECT + pki.options)
    connected(broker, client_context(pki.ca, bad(pki, "nul")), v311, name)
    broker.wait_for_log(username_line(name, r"CN=alice\00x"))


@pytest.mark.parametrize("option", ["use_identity_as_username", "use_subject_as_username"])
def test_nobody_has_a_name_where_no_certificate_is_asked_for(
    brokers: Brokers, pki: Pki, name: str, option: str
) -> None:
    broker = brokers(f"allow_anonymous true\nlistener {{port}} 127.0.0.1\n{option} true\n{pki.options}")
    context = client_context(pki.ca, pki.alice)
    connected(broker, context, v311, name, code=4, username="alice", password="x").expect_closed()


def test_identity_option_without_tls_changes_nothing(brokers: Brokers, name: str) -> None:
    broker = brokers("use_identity_as_username true\n".join(["listener {port} 127.0.0.1\nallow_anonymous true\n", ""]))
    broker.connected(v311, name, username=b"u")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_resumed_session_has_the_same_name(brokers: Brokers, pki: Pki, name: str, version: ssl.TLSVersion) -> None:
    broker = brokers(IDENTITY + pki.options)
    context = client_context(pki.ca, pki.alice, most=version)
    first = connected(broker, context, v311, name)
    again = TLSClient(broker.port, context, v311, session=first.tls.session)
    again.send(v311.connect(f"{name}again"))
    again.expect(v311.connack())
    assert again.tls.session_reused
    broker.wait_for_log(username_line(f"{name}again", "alice"))
    again.close()
