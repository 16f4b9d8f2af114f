"""What a start says when a listener's TLS options are no good, key logs, and keys with a pass phrase."""

from __future__ import annotations

import os
import pty
import re
import signal
import ssl
import stat
import time
from pathlib import Path

import pytest

from tests.harness.broker import Broker
from tests.harness.brokers import Brokers, StartBroker
from tests.harness.deadline import SECONDS, wait_until
from tests.harness.packets import v311
from tests.tls.client import client_context, connected
from tests.tls.conftest import Pki

LISTENER = "allow_anonymous true\nlistener {port} 127.0.0.1\n"


def refused(own_broker: StartBroker, lines: str, code: int = 1) -> list[str]:
    broker: Broker = own_broker(LISTENER + lines, wait=False)
    assert broker.wait_exit() == code
    return broker.log.lines


CASES = [
    ("cafile {missing}\n", 'Error: Unable to load CA certificates. Check cafile "{missing}".'),
    ("cafile {empty}\n", 'Error: Unable to load CA certificates. Check cafile "{empty}".'),
    ("certfile {missing}\n", 'Error: Unable to load server certificate "{missing}". Check certfile.'),
    ("certfile {empty}\n", 'Error: Unable to load server certificate "{empty}". Check certfile.'),
    ("keyfile {missing}\n", 'Error: Unable to load server key file "{missing}". Check keyfile.'),
    ("keyfile {other}\n", 'Error: Unable to load server key file "{other}". Check keyfile.'),
    ("keyfile {rsa}\n", 'Error: Unable to load server key file "{rsa}". Check keyfile.'),
    ("crlfile {missing}\n", 'Error: Unable to load certificate revocation file "{missing}". Check crlfile.'),
    ("crlfile {empty}\n", 'Error: Unable to load certificate revocation file "{empty}". Check crlfile.'),
    ("ciphers no-such\n", 'Error: Unable to set TLS ciphers. Check cipher list "no-such".'),
    ("ciphers_tls1.3 x\n", 'Error: Unable to set TLS 1.3 ciphersuites. Check cipher_tls13 list "x".'),
    ("tls_version tlsv1.4\n", 'Error: Unsupported tls_version "tlsv1.4".'),
    ("tls_version TLSv1.2\n", 'Error: Unsupported tls_version "TLSv1.2".'),
    ("tls_engine none\n", "Error loading none engine"),
]


@pytest.fixture
def files(tmp_path: Path, pki: Pki) -> dict[str, str]:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    (tmp_path / "empty").write_text("")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "rsa").write_bytes(key.private_bytes(*pem))
    paths = {name: str(tmp_path / name) for name in ("empty", "missing", "rsa")}
    return {**paths, "other": str(pki.alice.key)}


@pytest.mark.parametrize(("line", "said"), CASES)
def test_what_is_wrong_is_said(own_broker: StartBroker, pki: Pki, files: dict[str, str], line: str, said: str) -> None:
    lines = refused(own_broker, pki.options + line.format(**files))
    expected = said.format(**files)
    if "rsa" in line and expected not in lines:
        expected = "Error: Server certificate/key are inconsistent."
    assert expected in lines
    assert not [text for text in lines if re.search(r"version \S+ running", text)]


def test_openssl_is_quoted(own_broker: StartBroker, pki: Pki, files: dict[str, str]) -> None:
    lines = refused(own_broker, pki.options + f"certfile {files['missing']}\n")
    quoted = [text for text in lines if text.startswith("OpenSSL Error [")]
    assert quoted[0] == "OpenSSL Error [0]: error:80000002:system library::No such file or directory"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("certfile x\n", "Both certfile and keyfile must be provided to enable a TLS listener."),
        ("keyfile x\n", "Both certfile and keyfile must be provided to enable a TLS listener."),
        ("cafile x\n", "cafile specified without certfile and keyfile."),
        ("capath x\n", "capath specified without certfile and keyfile."),
        ("psk_hint h\ncertfile x\n", "Cannot use both certificate and psk encryption in a single listener."),
        ("psk_hint h\ncafile x\n", "Cannot use both certificate and psk encryption in a single listener."),
    ],
)
def test_combinations_that_mean_nothing(own_broker: StartBroker, lines: str, said: str) -> None:
    assert f"Error: {said}" in refused(own_broker, lines, code=3)


def test_missing_capath_is_no_error(brokers: Brokers, pki: Pki, name: str) -> None:
    broker = brokers(f"{LISTENER}capath /no/such/directory\n{pki.server.options}")
    connected(broker, client_context(pki.ca), v311, name)


@pytest.mark.parametrize(("lowest", "works"), [("tlsv1.2", True), ("tlsv1.3", False)])
def test_lowest_version(brokers: Brokers, pki: Pki, name: str, lowest: str, works: bool) -> None:
    broker = brokers(f"{LISTENER}{pki.options}tls_version {lowest}\n")
    connected(broker, client_context(pki.ca), v311, name)
    context = client_context(pki.ca, most=ssl.TLSVersion.TLSv1_2)
    if works:
        connected(broker, context, v311, name)
    else:
        with pytest.raises(ssl.SSLError):
            connected(broker, context, v311, name)


def test_old_version_is_warned_of(brokers: Brokers, pki: Pki) -> None:
    broker = brokers(f"{LISTENER}{pki.options}tls_version tlsv1.1\n")
    assert broker.logged(r"^Warning: TLS v1\.1 is insecure\.")
    assert broker.logged("^Please be aware that support for TLS v1.1 will go away eventually")


def test_ciphers_and_the_servers_choice(brokers: Brokers, pki: Pki, name: str) -> None:
    suites = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"
    chosen = "TLS_AES_128_GCM_SHA256"
    broker = brokers(f"{LISTENER}{pki.options}ciphers {suites}\nciphers_tls1.3 {chosen}\n")
    old = connected(broker, client_context(pki.ca, most=ssl.TLSVersion.TLSv1_2), v311, name)
    assert old.tls.cipher()[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"  # type: ignore[index]
    assert connected(broker, client_context(pki.ca), v311, name).tls.cipher()[0] == chosen  # type: ignore[index]


def test_finite_fields_are_usable(brokers: Brokers, psk_file: Path, name: str) -> None:
    from tests.tls.test_psk import publish

    broker = brokers(
        f"allow_anonymous true\npsk_file {psk_file}\nlistener {{port}} 127.0.0.1\npsk_hint h\n"
        "ciphers DHE-PSK-AES256-GCM-SHA384\n"
    )
    assert publish(broker, "id", "deadbeef", name).returncode == 0


@pytest.fixture
def psk_file(tmp_path: Path) -> Path:
    (tmp_path / "psk").write_text("id:deadbeef\n")
    (tmp_path / "psk").chmod(0o600)
    return tmp_path / "psk"


# ---- key logs


def test_key_log(own_broker: StartBroker, pki: Pki, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    broker = own_broker(LISTENER + pki.options, arguments=("--tls-keylog", str(path)))
    assert broker.logged(rf"^TLS key logging to '{path}' enabled for all listeners\.$")
    assert broker.logged(r"^TLS key logging is for DEBUGGING only\.$")
    connected(broker, client_context(pki.ca), v311, "a")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert re.search(r"^SERVER_HANDSHAKE_TRAFFIC_SECRET [0-9a-f]{64} [0-9a-f]+$", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_key_log_that_others_can_read(own_broker: StartBroker, pki: Pki, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys"
    path.touch()
    path.chmod(mode)
    broker = own_broker(LISTENER + pki.options, arguments=("--tls-keylog", str(path)))
    connected(broker, client_context(pki.ca), v311, "a")
    assert path.read_text() == ""


def test_key_log_through_a_symbolic_link(own_broker: StartBroker, pki: Pki, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.symlink_to(tmp_path / "real")
    broker = own_broker(LISTENER + pki.options, arguments=("--tls-keylog", str(path)))
    connected(broker, client_context(pki.ca), v311, "a")
    broker.wait_for_log("^Error: keylog file must not be a symbolic link$")
    assert not (tmp_path / "real").exists()


# ---- pass phrases


class Terminal:
    """A broker that has a terminal, and what it says there."""

    def __init__(self, directory: Path, config: str) -> None:
        self.log = directory / "log"
        (directory / "conf").write_text(f"{config}log_dest file {self.log}\nlog_type all\nuser root\n")
        from tests.harness.broker import ROOT, command_of

        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(ROOT)
                command = [*command_of("mosq"), "-c", str(directory / "conf")]
                os.execvp(command[0], command)
            finally:
                os._exit(99)
        self.said = b""

    def wait_for(self, text: bytes) -> None:
        end = time.monotonic() + 2 * SECONDS
        while text not in self.said:
            assert time.monotonic() < end, self.said
            try:
                self.said += os.read(self.fd, 4096)
            except OSError:
                raise AssertionError(self.said) from None

    def answer(self, text: bytes) -> None:
        os.write(self.fd, text + b"\n")

    def logged(self, text: str) -> bool:
        return self.log.exists() and text in self.log.read_text()

    def end(self) -> int:
        """The exit code, after SIGTERM if that is needed."""
        try:
            os.kill(self.pid, signal.SIGTERM)
            status = os.waitpid(self.pid, 0)[1]
        finally:
            os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


@pytest.fixture
def locked(pki: Pki, tmp_path: Path) -> str:
    from tests.harness.broker import free_port

    pair = pki.authority.issue(f"locked{os.getpid()}", "localhost", phrase="correct horse")
    return f"listener {free_port()} 127.0.0.1\nallow_anonymous true\n{pair.options}"


def test_pass_phrase_is_asked_for_once(tmp_path: Path, locked: str) -> None:
    terminal = Terminal(tmp_path, locked)
    try:
        terminal.wait_for(b"Enter PEM pass phrase:")
        terminal.answer(b"correct horse")
        wait_until(lambda: terminal.logged("running"), "the start", 2 * SECONDS)
        os.kill(terminal.pid, signal.SIGHUP)
        wait_until(lambda: terminal.logged("Reloading config."), "the reload")
    finally:
        code = terminal.end()
    assert code == 0
    assert not terminal.logged("Error")
    assert b"correct horse" not in terminal.said


def test_wrong_pass_phrase(tmp_path: Path, locked: str) -> None:
    terminal = Terminal(tmp_path, locked)
    try:
        terminal.wait_for(b"Enter PEM pass phrase:")
        terminal.answer(b"wrong")
        wait_until(lambda: terminal.logged("Error: Unable to load server key file"), "the refusal", 2 * SECONDS)
        status = os.waitpid(terminal.pid, 0)[1]
        assert os.waitstatus_to_exitcode(status) == 1
    finally:
        os.close(terminal.fd)


def test_no_terminal_no_pass_phrase(own_broker: StartBroker, pki: Pki, locked: str) -> None:
    options = locked.split("\n", 2)[2]
    broker = own_broker(LISTENER + options, wait=False, preexec=os.setsid)
    assert broker.wait_exit() == 1
    assert broker.logged("^Error: Unable to load server key file ")


def test_tls_options_without_a_listener(own_broker: StartBroker, pki: Pki) -> None:
    """Such lines make no plain listener: they ask for TLS, and there is none to be had that way."""
    broker = own_broker(f"allow_anonymous true\n{pki.server.options}# {{port}}\n", wait=False)
    assert broker.wait_exit() == 3
