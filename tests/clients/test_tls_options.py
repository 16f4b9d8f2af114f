"""Options about TLS: what is checked before a connection is made, and a message that goes through TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.running import run
from tests.harness.brokers import Brokers
from tests.harness.packets import v311
from tests.tls.conftest import Pki

MESSAGE = ("-t", "t", "-m", "m", "-p", "1")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--cafile /nonexistent", "Error: Problem setting TLS options: File not found."),
        ("--cafile /", "Error: / is not a file.Error: Problem setting TLS options: File not found."),
        (
            "--tls-use-os-certs --cert /nonexistent --key /nonexistent",
            "Error: Problem setting TLS options: File not found.",
        ),
        ("--psk xyz --psk-identity me", "Error: Problem setting TLS-PSK options."),
        ("--tls-version tlsv1.1", "Error: Problem setting TLS options, check the options are valid."),
        ("--tls-engine no", "Error: Problem setting TLS engine, is no a valid engine?"),
    ],
)
def test_what_is_checked_beforehand(words: str, error: str) -> None:
    assert run("pub", *MESSAGE, *words.split()) == (1, b"", f"{error}\n")
    assert run("pub", *MESSAGE, *words.split(), "--quiet") == (1, b"", "")
    assert run("pub", *MESSAGE, *words.split(), "--no-tls") == (1, b"", "Error: Connection refused\n")


def test_a_message_through_tls(brokers: Brokers, pki: Pki, name: str) -> None:
    broker = brokers(
        f"listener {{port}} 127.0.0.1\nallow_anonymous true\n{pki.options}\nlistener {{port2}} 127.0.0.1\n"
    )
    reader = broker.client(v311, port="port2")
    reader.send(v311.connect(name))
    reader.expect(v311.connack())
    reader.subscribe(name)
    words = ["-p", str(broker.port), "-t", name, "-m", "m", "-q", "1"]
    assert run("pub", "-h", "localhost", *words, "--cafile", str(pki.ca)) == (0, b"", "")
    assert run("pub", "-h", "127.0.0.1", *words, "--cafile", str(pki.ca), "--insecure") == (0, b"", "")
    reader.expect(v311.publish(name, b"m"), v311.publish(name, b"m"))


def test_a_server_that_is_not_trusted(brokers: Brokers, pki: Pki, tmp_path: Path) -> None:
    broker = brokers(f"listener {{port}} 127.0.0.1\nallow_anonymous true\n{pki.options}")
    words = ["-h", "localhost", "-p", str(broker.port), "-t", "t", "-m", "m"]
    for way in (["-m", "m"], ["-l"]):
        words = ["-h", "localhost", "-p", str(broker.port), "-t", "t", *way]
        assert run("pub", *words, "--cafile", str(pki.other.file)) == (14, b"", "Error: Protocol error\n")
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing")
    assert run("pub", *words, "--cafile", str(nothing)) == (1, b"", "Unable to connect (A TLS error occurred).\n")


def test_a_plain_client_of_a_tls_listener(brokers: Brokers, pki: Pki) -> None:
    broker = brokers(f"listener {{port}} 127.0.0.1\nallow_anonymous true\n{pki.options}")
    assert run("pub", "-p", str(broker.port), "-t", "t", "-m", "m") == (7, b"", "Error: The connection was lost\n")
