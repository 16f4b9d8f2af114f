"""Handshakes that work, and those that do not: the line in the log, and that nobody else notices."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from tests.harness.broker import Broker
from tests.harness.brokers import Brokers, StartBroker
from tests.harness.deadline import wait_until
from tests.harness.packets import v5, v311
from tests.tls.client import TLSClient, client_context, connected, raw
from tests.tls.conftest import Pki

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
ERROR = r"OpenSSL Error while trying to get the error\[\d\]: error:"
FAILED = r"Client 127\.0\.0\.1 \[127\.0\.0\.1:{port}\] disconnected: Protocol error\."


@pytest.fixture
def broker(brokers: Brokers, pki: Pki) -> Broker:
    return brokers(
        f"allow_anonymous true\nlog_type all\nlistener {{port}} 127.0.0.1\n{pki.options}listener {{port2}} 127.0.0.1\n"
    )


def assert_failed(broker: Broker, sock: socket.socket, error: str, start: int) -> None:
    """The broker says why and that, and closes."""
    broker.wait_for_log(ERROR + error, start=start)
    broker.wait_for_log(FAILED.format(port=sock.getsockname()[1]), start=start)
    try:
        while sock.recv(4096):
            pass
    except ConnectionResetError:
        pass
    sock.close()
    with TLSClientScope(broker) as client:
        client.send(v311.connect("still-there"))
        client.expect(v311.connack())


class TLSClientScope:
    """A good client of the same listener, to see that it still serves."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    def __enter__(self) -> TLSClient:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.client = TLSClient(self.broker.port, context, v311)
        return self.client

    def __exit__(self, *_: object) -> None:
        self.client.close()


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_connect_and_what_is_logged(broker: Broker, pki: Pki, name: str, version: ssl.TLSVersion) -> None:
    client = connected(broker, client_context(pki.ca, most=version), v5, name)
    shown, cipher = client.tls.version(), client.tls.cipher()
    assert cipher is not None
    broker.wait_for_log(rf"^Client {name} negotiated {shown} cipher {cipher[0]}$")
    client.subscribe(name)
    client.send(v5.publish(name, b"x" * 100_000))
    assert client.read_packet().endswith(b"x" * 1000)
    client.expect_silence()


def test_negotiated_is_said_without_connection_messages(own_broker: StartBroker, pki: Pki) -> None:
    broker = own_broker(f"connection_messages false\nallow_anonymous true\nlistener {{port}} 127.0.0.1\n{pki.options}")
    connected(broker, client_context(pki.ca), v311, "quiet")
    broker.wait_for_log("^Client quiet negotiated TLSv1.3 cipher ")
    assert not broker.logged("New c")


def test_goodbye_on_both_sides(broker: Broker, pki: Pki, name: str) -> None:
    client = connected(broker, client_context(pki.ca), v311, name)
    start = broker.log_position()
    client.send(b"\xe0\x00")
    assert client.tls.recv(10) == b""  # an orderly end: close_notify came, or this would raise
    broker.wait_for_log(rf"Client {name} .*disconnected\.$", start=start)
    assert not broker.logged("OpenSSL", start)


def test_peer_that_says_goodbye_in_tls_only(broker: Broker, pki: Pki, name: str) -> None:
    client = connected(broker, client_context(pki.ca), v311, name)
    start = broker.log_position()
    client.tls.settimeout(5)
    client.tls.unwrap()
    broker.wait_for_log(rf"Client {name} .*disconnected: connection closed by client\.$", start=start)
    assert not broker.logged("OpenSSL", start)


def test_peer_that_drops_the_connection(broker: Broker, pki: Pki, name: str) -> None:
    client = connected(broker, client_context(pki.ca), v311, name)
    start = broker.log_position()
    client.close()
    broker.wait_for_log(ERROR + "0A000126:SSL routines::unexpected eof while reading$", start=start)
    broker.wait_for_log(rf"Client {name} .*disconnected: connection closed by client\.$", start=start)


def test_plain_mqtt_on_a_tls_port(broker: Broker) -> None:
    sock, start = raw(broker), broker.log_position()
    sock.sendall(v311.connect("plain"))
    assert_failed(broker, sock, "0A00010B:SSL routines::(wrong version number|.*)", start)


def test_http_on_a_tls_port(broker: Broker) -> None:
    sock, start = raw(broker), broker.log_position()
    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert_failed(broker, sock, "0A00009C:SSL routines::http request$", start)


def test_noise_on_a_tls_port(broker: Broker) -> None:
    sock, start = raw(broker), broker.log_position()
    sock.sendall(b"\x00\xff" * 4000)
    assert_failed(broker, sock, "0A000", start)


def test_tls_on_a_plain_port(broker: Broker, pki: Pki) -> None:
    start = broker.log_position()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        TLSClient(broker.ports["port2"], client_context(pki.ca))
    broker.wait_for_log(
        r"Client from 127\.0\.0\.1:\d+ appears to be using TLS to connect to a non-TLS listener\.", start=start
    )


def hello(pki: Pki) -> bytes:
    """The first message of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        client_context(pki.ca).wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("length", [1, 5, 6, 40, -1])
def test_truncated_handshake(broker: Broker, pki: Pki, length: int) -> None:
    sock, start = raw(broker), broker.log_position()
    sock.sendall(hello(pki)[:length])
    sock.shutdown(socket.SHUT_WR)
    assert_failed(broker, sock, "0A000126:SSL routines::unexpected eof while reading$", start)


def test_hello_byte_by_byte(broker: Broker, pki: Pki) -> None:
    sock = raw(broker)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in hello(pki):
        sock.sendall(bytes([byte]))
    assert sock.recv(3)[:2] == b"\x16\x03"
    sock.close()


def test_end_after_the_hello(broker: Broker, pki: Pki) -> None:
    sock, start = raw(broker), broker.log_position()
    sock.sendall(hello(pki))
    assert sock.recv(1) == b"\x16"
    sock.shutdown(socket.SHUT_WR)
    assert_failed(broker, sock, "0A000126:SSL routines::unexpected eof while reading$", start)


def test_version_that_is_too_low(broker: Broker, pki: Pki) -> None:
    old = bytearray(hello(pki))
    sock, start = raw(broker), broker.log_position()
    # A hello of TLS 1.1 without extensions: one cipher suite that every version has.
    body = b"\x03\x02" + b"r" * 32 + b"\0" + b"\0\x02\0\x2f" + b"\x01\0"
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    assert old[:2] == b"\x16\x03"
    sock.sendall(b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message)
    assert sock.recv(7) == b"\x15\x03\x02\x00\x02\x02\x46"  # fatal: protocol_version
    assert_failed(broker, sock, "0A000102:SSL routines::unsupported protocol$", start)


def test_any_server_name_gets_the_one_certificate(broker: Broker, pki: Pki, name: str) -> None:
    context = client_context(pki.ca)
    context.check_hostname = False
    client = TLSClient(broker.port, context, v311, server="no-such-host.example")
    client.send(v311.connect(name))
    client.expect(v311.connack())
    client.close()


def test_wrong_server_name_is_seen_by_the_client(broker: Broker, pki: Pki) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        TLSClient(broker.port, client_context(pki.ca), server="no-such-host.example")


def test_application_protocols_are_not_chosen(broker: Broker, pki: Pki, name: str) -> None:
    context = client_context(pki.ca)
    context.set_alpn_protocols(["mqtt", "h2"])
    client = connected(broker, context, v311, name)
    assert client.tls.selected_alpn_protocol() is None
    assert client.tls.compression() is None


def test_a_certificate_is_not_asked_for(broker: Broker, pki: Pki, name: str) -> None:
    connected(broker, client_context(pki.ca, pki.stranger), v311, name)


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_sessions_are_resumed(broker: Broker, pki: Pki, name: str, version: ssl.TLSVersion) -> None:
    context = client_context(pki.ca, most=version)
    first = connected(broker, context, v311, name)
    session = first.tls.session
    assert session is not None
    again = TLSClient(broker.port, context, v311, session=session)
    again.send(v311.connect(name))
    again.expect(v311.connack())
    assert again.tls.session_reused
    again.close()


@contextmanager
def s_client(broker: Broker, *options: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """OpenSSL's client, whose letters make it do what others do not, with its input and output."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{broker.port}", *options]
    start = broker.log_position()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        broker.wait_for_log("New connection", start=start)
        yield client.stdin, client.stdout
        client.kill()


def read_until(stream: IO[bytes], wanted: bytes) -> bytes:
    said = b""
    while wanted not in said and (some := stream.read1(4096)):  # type: ignore[attr-defined]
        said += some
    return said


@pytest.mark.timeout(30)
def test_renegotiation_is_refused(broker: Broker) -> None:
    with s_client(broker, "-tls1_2") as (to, out):
        to.write(b"R\n")
        to.flush()
        assert b"no renegotiation" in read_until(out, b"no renegotiation")


def test_others_are_served_while_handshakes_hang(broker: Broker, pki: Pki, name: str) -> None:
    hanging = [raw(broker) for _ in range(50)]
    for number, sock in enumerate(hanging):
        sock.sendall(hello(pki)[: number * 10])
    client = connected(broker, client_context(pki.ca), v311, name)
    client.expect_silence()
    for sock in hanging:
        sock.close()


def test_failed_handshakes_leave_nothing(own_broker: StartBroker, pki: Pki) -> None:
    broker = own_broker(f"allow_anonymous true\nlistener {{port}} 127.0.0.1\n{pki.options}")
    connected(broker, client_context(pki.ca), v311, "first").close()
    broker.wait_for_log("first .*disconnected")
    before = broker.descriptors()
    for _ in range(200):
        sock = raw(broker)
        sock.sendall(b"\x16\x03\x01\xff\xff\xff")
        sock.close()
    wait_until(lambda: broker.descriptors() <= before, "the descriptors to be closed")
    assert re.search("running", "\n".join(broker.log.lines))


def test_large_backlog_for_a_slow_reader(broker: Broker, pki: Pki, name: str) -> None:
    reader = connected(broker, client_context(pki.ca), v311, f"{name}r")
    reader.subscribe(name, qos=0)
    writer = connected(broker, client_context(pki.ca), v311, f"{name}w")
    payload = bytes(range(256)) * 390
    for _ in range(60):
        writer.publish(name, payload)
    for message in reader.received_messages(60):
        assert message.endswith(payload)
    reader.expect_silence()


def test_many_small_messages_both_ways(broker: Broker, pki: Pki, name: str) -> None:
    client = connected(broker, client_context(pki.ca), v311, name)
    client.subscribe(name, qos=0)
    client.send(b"".join(v311.publish(name, b"%d" % i) for i in range(20_000)))
    for i, message in enumerate(client.received_messages(20_000)):
        assert message.endswith(b"%d" % i)
