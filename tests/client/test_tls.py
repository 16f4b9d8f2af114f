"""TLS from the client's end: options, certificates, names, keys, and how a handshake fails."""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from mosq.client.errors import ERRNO, INVALID, TLS, ClientError
from mosq.client.transport.context import Security
from mosq.client.transport.route import Route
from mosq.client.transport.tls_options import Options, OptionsError, check
from tests.client.steps import advance, failure
from tests.harness.brokers import Brokers
from tests.harness.deadline import wait_until
from tests.harness.relay import Relay
from tests.tls.certificates import Pair
from tests.tls.conftest import Pki

NOT_FOUND = "Error: Problem setting TLS options: File not found."
OPENSSL = "OpenSSL Error while trying to get the error[0]: error:"


# Options


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (Options(cafile="missing"), NOT_FOUND),
        (Options(cafile=""), NOT_FOUND),
        (Options(cafile="."), "Error: . is not a file." + NOT_FOUND),
        (Options(cafile="/dev/null"), "Error: /dev/null is not a file." + NOT_FOUND),
        (Options(capath=".", cert="missing", key=__file__), NOT_FOUND),
        (Options(os_certs=True, cert=__file__, key="missing"), NOT_FOUND),
        (Options(psk="xyz", psk_identity="i"), "Error: Problem setting TLS-PSK options."),
        (Options(psk="0x12", psk_identity="i"), "Error: Problem setting TLS-PSK options."),
        (Options(engine="some"), "Error: Problem setting TLS engine, is some a valid engine?"),
        (Options(keyform="engine"), "Error: Problem setting key form, it must be one of 'pem' or 'engine'."),
        (Options(keyform="der"), "Error: Problem setting key form, it must be one of 'pem' or 'engine'."),
        (
            Options(engine_kpass_sha1="0" * 40),
            "Error: Problem setting TLS engine key pass sha, is it a 40 character hex string?",
        ),
        (Options(version="tlsv1.1"), "Error: Problem setting TLS options, check the options are valid."),
        (Options(version=""), "Error: Problem setting TLS options, check the options are valid."),
        # the first of several
        (Options(cafile="missing", psk="xyz", engine="e", keyform="k", version="v"), NOT_FOUND),
        (Options(psk="xyz", engine="e", keyform="k", version="v"), "Error: Problem setting TLS-PSK options."),
        (Options(engine="e", keyform="k", version="v"), "Error: Problem setting TLS engine, is e a valid engine?"),
    ],
)
def test_options_that_cannot_be_used(options: Options, text: str) -> None:
    with pytest.raises(OptionsError) as caught:
        check(options)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(cert="missing", key="missing"),
        Options(capath="missing"),
        Options(keyform="PEM"),
        Options(version="TLSv1.3"),
        Options(psk="abc", psk_identity=""),
        Options(psk="", psk_identity=""),
    ],
)
def test_options_that_can(options: Options) -> None:
    check(options)


# The context


def context_failure(options: Options) -> ClientError:
    with pytest.raises(ClientError) as caught:
        Security(options).context()
    return caught.value


def test_authorities_that_are_none(pki: Pki, tmp_path: Path) -> None:
    key = str(pki.alice.key)
    error = context_failure(Options(cafile=key))
    assert (error.code, error.lines[0]) == (TLS, f'Error: Unable to load CA certificates, check cafile "{key}".')
    assert error.lines[1].startswith("OpenSSL Error while trying to load the ca[0]: error:")
    error = context_failure(Options(capath=""))
    assert (error.code, error.lines[0]) == (TLS, 'Error: Unable to load CA certificates, check capath "".')


def test_certificates_that_are_none(pki: Pki) -> None:
    ca, crt, key = str(pki.ca), str(pki.alice.certificate), str(pki.alice.key)
    error = context_failure(Options(cafile=ca, cert=key, key=key))
    assert (error.code, error.lines[0]) == (TLS, f'Error: Unable to load client certificate "{key}".')
    assert error.lines[1].startswith("OpenSSL Error while trying to use the certificate chain file[0]: error:")
    for wrong in (crt, str(pki.bob.key)):
        error = context_failure(Options(cafile=ca, cert=crt, key=wrong))
        assert (error.code, error.lines[0]) == (TLS, f'Error: Unable to load client key file "{wrong}".')
        assert error.lines[1].startswith("OpenSSL Error while trying to use the private key file[0]: error:")


def test_ciphers_that_are_none(pki: Pki) -> None:
    error = context_failure(Options(cafile=str(pki.ca), ciphers="none"))
    assert (error.code, error.lines[0]) == (TLS, 'Error: Unable to set TLS ciphers. Check cipher list "none".')
    assert error.lines[1].startswith("OpenSSL Error while trying to set the cipher list[0]: error:")
    error = context_failure(Options(cafile=str(pki.ca), ciphers="none", version="tlsv1.3"))
    expected = 'Error: Unable to set TLS 1.3 ciphersuites. Check cipher_tls13 list "none".'
    assert (error.code, error.lines[0]) == (TLS, expected)


def test_key_log_needs_certificates_or_a_key(tmp_path: Path) -> None:
    error = context_failure(Options(os_certs=True, keylog=str(tmp_path / "log")))
    assert (error.code, len(error.lines)) == (INVALID, 1)
    assert error.lines[0].startswith("Error: If you use MOSQ_OPT_SSL_CTX then")


# Handshakes with mosq's own listener


@pytest.fixture
def port(brokers: Brokers, pki: Pki) -> int:
    """A listener with a certificate for localhost."""
    return brokers(f"allow_anonymous true\nlistener {{port}} 127.0.0.1\n{pki.options}").port


def connect(port: int, options: Options, host: str = "localhost") -> None:
    """A TLS handshake with a listener on this machine."""
    transport = Route("127.0.0.1" if host == "127.0.0.1" else "localhost", port, tls=options).dial()()
    try:
        advance(transport)
    finally:
        transport.close()


def refusal(port: int, options: Options, host: str = "localhost") -> str:
    """The reason of a handshake that fails as handshakes do."""
    error = failure(Route(host, port, tls=options).dial()())
    assert (error.code, error.errno, str(error), error.fatal) == (ERRNO, errno.EPROTO, "Protocol error", True)
    assert error.lines[0].startswith(OPENSSL)
    return error.lines[0].rpartition(":")[2]


def test_server_s_certificate_is_verified(port: int, pki: Pki) -> None:
    connect(port, Options(cafile=str(pki.ca)))
    assert refusal(port, Options(cafile=str(pki.other.file))) == "certificate verify failed"


@pytest.mark.parametrize("trusted", ["nothing", "another"])
def test_insecure_alone_switches_verification_off(port: int, pki: Pki, trusted: str) -> None:
    places = {"nothing": Options(os_certs=True), "another": Options(cafile=str(pki.other.file))}
    options = places[trusted]
    assert refusal(port, options) == "certificate verify failed"
    options.insecure = True
    connect(port, options)
    connect(port, options, host="127.0.0.1")


def test_host_name_has_to_be_in_the_certificate(port: int, pki: Pki) -> None:
    assert refusal(port, Options(cafile=str(pki.ca)), host="127.0.0.1") == "certificate verify failed"


def test_directory_of_authorities(port: int, pki: Pki, tmp_path: Path) -> None:
    command = ["openssl", "x509", "-noout", "-hash", "-in", str(pki.ca)]
    name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / f"{name}.0").write_bytes(pki.ca.read_bytes())
    connect(port, Options(capath=str(tmp_path)))
    assert refusal(port, Options(capath=str(tmp_path / "missing"))) == "certificate verify failed"


def test_authorities_of_the_system(port: int, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(port, Options(os_certs=True)) == "certificate verify failed"
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.ca))
    connect(port, Options(os_certs=True))
    connect(port, Options(os_certs=True, psk="12", psk_identity="i"))  # certificates go before keys


def test_server_that_speaks_no_tls(brokers: Brokers, pki: Pki) -> None:
    refusal(brokers().port, Options(cafile=str(pki.ca)))


KEYS = "alice:deadbeef\nodd:12345\n"


@pytest.fixture
def keyed(brokers: Brokers, tmp_path_factory: pytest.TempPathFactory) -> int:
    """A listener with pre-shared keys."""
    path = tmp_path_factory.getbasetemp() / "client-keys"
    if not path.exists():
        path.write_text(KEYS)
        path.chmod(0o600)
    return brokers(f"allow_anonymous true\npsk_file {path}\nlistener {{port}} 127.0.0.1\npsk_hint h\n").port


@pytest.mark.parametrize(("identity", "key"), [("alice", "DEADbeef"), ("odd", "12345"), ("odd", "012345")])
def test_pre_shared_key(keyed: int, identity: str, key: str) -> None:
    connect(keyed, Options(psk=key, psk_identity=identity))
    connect(keyed, Options(psk=key, psk_identity=identity, ciphers="PSK-AES128-GCM-SHA256"))


@pytest.mark.parametrize(
    ("identity", "key"),
    [("bob", "deadbeef"), ("alice", "dead"), ("alice", ""), ("i" * 300, "12"), ("alice", "00" * 513)],
)
def test_pre_shared_key_that_is_wrong(keyed: int, identity: str, key: str) -> None:
    refusal(keyed, Options(psk=key, psk_identity=identity))


def test_keys_are_for_tls_1_2(keyed: int) -> None:
    refusal(keyed, Options(psk="deadbeef", psk_identity="alice", version="tlsv1.3"))


def test_key_does_not_trust_a_certificate(port: int) -> None:
    refusal(port, Options(psk="deadbeef", psk_identity="alice"))
    refusal(port, Options(psk="deadbeef", psk_identity="alice", ciphers="DEFAULT"))


# Handshakes with a server that tells what it saw


class Server(Relay):
    """Speaks TLS; `seen` has the version, cipher, ALPN protocol and SNI of each connection, and its certificate."""

    def __init__(self, pair: Pair, setup: Callable[[ssl.SSLContext], None] | None) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        context.sni_callback = self._note
        self.names: list[str | None] = []
        if setup is not None:
            setup(context)
        super().__init__(tls=context)

    def _note(self, sock: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        self.names.append(name)

    def serve(self, client: socket.socket) -> None:
        assert isinstance(client, ssl.SSLSocket)
        subject = (client.getpeercert() or {}).get("subject", ())
        names = [value for part in subject for key, value in part if key == "commonName"]  # type: ignore[union-attr]
        self.seen.append((client.version(), (client.cipher() or ("",))[0], client.selected_alpn_protocol(), names))
        client.recv(1)


Serve = Callable[..., Server]


@pytest.fixture
def serve(pki: Pki) -> Iterator[Serve]:
    made: list[Server] = []

    def make(pair: Pair | None = None, setup: Callable[[ssl.SSLContext], None] | None = None) -> Server:
        made.append(Server(pair or pki.server, setup))
        return made[-1]

    yield make
    for server in made:
        server.close()


def seen(server: Server, options: Options, host: str = "localhost") -> tuple[str, str, str | None, list[str]]:
    """What the server saw of a connection."""
    before = len(server.seen)
    connect(server.port, options, host)
    wait_until(lambda: len(server.seen) > before, "the server to see it")
    return server.seen[-1]  # type: ignore[return-value]


def at_most_1_2(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2


def test_versions(serve: Serve, pki: Pki) -> None:
    new, old, ca = serve(), serve(setup=at_most_1_2), str(pki.ca)
    assert seen(new, Options(cafile=ca))[0] == "TLSv1.3"
    assert seen(new, Options(cafile=ca, version="tlsv1.2"))[0] == "TLSv1.3"
    assert seen(new, Options(cafile=ca, version="TLSV1.3"))[0] == "TLSv1.3"
    assert seen(old, Options(cafile=ca))[0] == "TLSv1.2"
    assert seen(old, Options(cafile=ca, version="TLSv1.2"))[0] == "TLSv1.2"
    assert refusal(old.port, Options(cafile=ca, version="tlsv1.3")) == "tlsv1 alert protocol version"


def test_ciphers(serve: Serve, pki: Pki) -> None:
    new, old, ca = serve(), serve(setup=at_most_1_2), str(pki.ca)
    cipher, suite = "ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_AES_128_GCM_SHA256"
    assert seen(old, Options(cafile=ca, ciphers=cipher))[1] == cipher
    assert seen(new, Options(cafile=ca, ciphers=suite, version="tlsv1.3"))[1] == suite


def test_protocol_name(serve: Serve, pki: Pki) -> None:
    long = "x" * 254
    server = serve(setup=lambda context: context.set_alpn_protocols(["mqtt", long]))
    for wanted, agreed in ((None, None), ("mqtt", "mqtt"), ("other", None), ("", None), ("x" * 300, long)):
        assert seen(server, Options(cafile=str(pki.ca), alpn=wanted))[2] == agreed


def test_host_is_told(serve: Serve, pki: Pki) -> None:
    server = serve()
    seen(server, Options(cafile=str(pki.ca)))
    seen(server, Options(cafile=str(pki.ca), insecure=True), host="127.0.0.1")
    assert server.names == ["localhost", "127.0.0.1"]


def test_address_in_the_certificate(serve: Serve, pki: Pki) -> None:
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    server = serve(pki.authority.issue("by-address", hosts=[address]))
    seen(server, Options(cafile=str(pki.ca)), host="127.0.0.1")
    assert refusal(server.port, Options(cafile=str(pki.ca))) == "certificate verify failed"


@pytest.mark.parametrize(
    ("file", "name", "hosts", "good"),
    [
        ("common-name", "localhost", (), True),
        ("name-is-not-an-address", "127.0.0.1", (), False),
        ("alternative-goes-first", "localhost", [x509.DNSName("other")], False),
        ("several", "x", [x509.DNSName("other"), x509.DNSName("LOCALHOST")], True),
        ("wildcard", "x", [x509.DNSName("*")], False),
    ],
)
def test_names(serve: Serve, pki: Pki, file: str, name: str, hosts: list[x509.GeneralName], good: bool) -> None:
    server = serve(pki.authority.issue(file, name, hosts=hosts))
    host = "127.0.0.1" if name == "127.0.0.1" else "localhost"
    if good:
        seen(server, Options(cafile=str(pki.ca)), host)
    else:
        assert refusal(server.port, Options(cafile=str(pki.ca)), host) == "certificate verify failed"


def ask_for_certificate(pki: Pki) -> Callable[[ssl.SSLContext], None]:
    def setup(context: ssl.SSLContext) -> None:
        context.load_verify_locations(pki.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        at_most_1_2(context)

    return setup


def test_client_certificate(serve: Serve, pki: Pki) -> None:
    server = serve(setup=ask_for_certificate(pki))
    pair = {"cert": str(pki.alice.certificate), "key": str(pki.alice.key)}
    assert seen(server, Options(cafile=str(pki.ca), **pair))[3] == ["alice"]
    assert seen(server, Options(cafile=str(pki.ca), keyform="pem", **pair))[3] == ["alice"]
    stranger = {"cert": str(pki.stranger.certificate), "key": str(pki.stranger.key)}
    assert refusal(server.port, Options(cafile=str(pki.ca), **stranger)) == "tlsv1 alert unknown ca"
    refusal(server.port, Options(cafile=str(pki.ca)))


def test_system_authorities_and_a_client_certificate(serve: Serve, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.ca))
    server = serve(setup=ask_for_certificate(pki))
    options = Options(os_certs=True, cert=str(pki.alice.certificate), key=str(pki.alice.key))
    assert seen(server, options)[3] == ["alice"]


def test_key_log_is_appended_to(serve: Serve, pki: Pki, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("# mine\n")
    server = serve()
    seen(server, Options(cafile=str(pki.ca), keylog=str(path)))
    once = path.read_text().splitlines()
    seen(server, Options(cafile=str(pki.ca), keylog=str(path)))
    assert once[0] == "# mine" and any(line.startswith("CLIENT_HANDSHAKE_TRAFFIC_SECRET ") for line in once)
    assert len(path.read_text().splitlines()) == 2 * len(once) - 1


def test_key_log_that_cannot_be_written_prevents_nothing(serve: Serve, pki: Pki, tmp_path: Path) -> None:
    seen(serve(), Options(cafile=str(pki.ca), keylog=str(tmp_path / "missing" / "log")))


def test_new_key_log_is_for_its_owner(serve: Serve, pki: Pki, tmp_path: Path) -> None:
    path = tmp_path / "log"
    seen(serve(), Options(cafile=str(pki.ca), keylog=str(path)))
    assert path.stat().st_mode & 0o777 == 0o600
