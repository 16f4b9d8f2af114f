"""The tools over each transport, from outside: what they exit with, and what they say."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mosq.cli.client.settings import PUB
from tests.client.world import World
from tests.clients.command_lines import mistake, settings
from tests.clients.running import Result, Running, command, run
from tests.harness.broker import ROOT
from tests.harness.deadline import SECONDS
from tests.harness.socks import SocksProxy
from tests.harness.websocket import ANSWER, WebSocketServer
from tests.tls.conftest import Pki

OPENSSL = "OpenSSL Error while trying to get the error[0]: error:"
HINT = "\nUse 'mosquitto_pub --help' to see usage.\n"


def pub(world: World, words: str, *, port: str | int = "port", **how: object) -> Result:
    """mosquitto_pub; {ca}, {other}, {crt} and {key} in its arguments are files."""
    number = world.port(port) if isinstance(port, str) else port
    pki = world.pki
    files = {"ca": pki.ca, "other": pki.other.file, "crt": pki.alice.certificate, "key": pki.alice.key}
    arguments = words.format(**files).split()
    return run("pub", "-p", str(number), "-t", "t", "-m", "x", *arguments, **how)  # type: ignore[arg-type]


# What is wrong before anything is connected


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--cafile missing", "Error: Problem setting TLS options: File not found.\n"),
        ("--cafile /", "Error: / is not a file.Error: Problem setting TLS options: File not found.\n"),
        ("--cafile {ca} --cert missing --key {key}", "Error: Problem setting TLS options: File not found.\n"),
        ("--psk xyz --psk-identity i", "Error: Problem setting TLS-PSK options.\n"),
        ("--tls-engine e", "Error: Problem setting TLS engine, is e a valid engine?\n"),
        ("--tls-version 1", "Error: Problem setting TLS options, check the options are valid.\n"),
        ("--proxy http://proxy", f"Error: Unsupported proxy protocol: http://proxy\n{HINT}"),
        ("--proxy socks5h://proxy:0", f"Error: Invalid proxy port 0\n{HINT}"),
        ("--quiet --proxy socks5h://proxy:0", HINT),
        ("--proxy socks5h://:1", HINT),
        ("--proxy socks5h://" + "h" * 257, ""),
        ("--quiet --cafile missing", ""),
    ],
)
def test_options_that_cannot_be_used(world: World, words: str, text: str) -> None:
    assert pub(world, words) == (1, b"", text)


def test_options_about_proxies_are_read_in_order() -> None:
    assert mistake(PUB, "--proxy", "socks5h://[::1][::1]") == "Error: Duplicate IPv6 address."
    proxy = settings(PUB, "-t", "t", "-m", "x", "--proxy", "socks5h://u@p:1", "--proxy", "socks5h://q").proxy
    assert proxy is not None
    assert (proxy.host, proxy.username) == ("q", None)


def test_no_tls_ignores_them_all(world: World) -> None:
    assert pub(world, "--cafile missing --tls-engine e --tls-version v --psk xyz --psk-identity i --no-tls").code == 1
    assert pub(world, "--cafile missing --tls-engine e --tls-version v --no-tls") == (0, b"", "")


# TLS


@pytest.mark.parametrize(
    ("words", "port"),
    [
        ("--cafile {ca}", "port2"),
        ("--cafile {ca} --cert {crt} --key {key} --keyform pem --tls-version TLSv1.3 --tls-alpn mqtt", "port2"),
        ("--cafile {ca} --cert {crt} --key {key}", "port4"),
        ("--cafile {other} --insecure", "port2"),
        ("--psk c0ffee --psk-identity alice", "port3"),
    ],
)
def test_tls(world: World, words: str, port: str) -> None:
    assert pub(world, words, port=port) == (0, b"", "")


def test_system_authorities(world: World) -> None:
    trust = {"SSL_CERT_FILE": str(world.pki.ca)}
    assert pub(world, "--tls-use-os-certs", port="port2", variables=trust) == (0, b"", "")
    url = f"mqtts://localhost:{world.port('port2')}/t"
    assert run("pub", "-L", url, "-m", "x", variables=trust) == (0, b"", "")


@pytest.mark.parametrize(
    ("words", "port", "line"),
    [
        ("--cafile {other}", "port2", "0A000086:SSL routines::certificate verify failed"),
        ("--cafile {ca} -h 127.0.0.1", "port2", "0A000086:SSL routines::certificate verify failed"),
        ("--cafile {ca}", "port", ""),
        ("--psk 00 --psk-identity alice", "port3", ""),
        ("--cafile {ca}", "port3", ""),
    ],
)
def test_handshake_that_fails(world: World, words: str, port: str, line: str) -> None:
    assert pub(world, words, port=port) == (14, b"", "Error: Protocol error\n")
    code, out, err = pub(world, words + " -d", port=port)
    assert (code, err) == (14, "Error: Protocol error\n")
    assert out.decode().startswith(OPENSSL + line)
    assert pub(world, words + " --quiet", port=port) == (14, b"", "")


@pytest.mark.parametrize(
    ("words", "line", "more"),
    [
        ("--cafile {key}", 'load CA certificates, check cafile "{key}".', "while trying to load the ca"),
        (
            "--cafile {ca} --cert {crt} --key {ca}",
            'load client key file "{ca}".',
            "while trying to use the private key file",
        ),
        ("--cafile {ca} --ciphers x", 'set TLS ciphers. Check cipher list "x".', "while trying to set the cipher list"),
    ],
)
def test_tls_that_cannot_be_set_up(world: World, words: str, line: str, more: str) -> None:
    assert pub(world, words, port="port2") == (1, b"", "Unable to connect (A TLS error occurred).\n")
    lines = pub(world, words + " -d", port="port2").out.decode().splitlines()
    assert lines[0] == "Error: Unable to " + line.format(key=world.pki.alice.key, ca=world.pki.ca)
    assert lines[1].startswith(f"OpenSSL Error {more}[0]: error:")


def test_key_log_that_nothing_is_said_for(world: World) -> None:
    code, out, err = pub(world, "--tls-use-os-certs --tls-keylog x -d", port="port2")
    assert (code, err) == (1, "Unable to connect (Invalid input).\n")
    assert out.startswith(b"Error: If you use MOSQ_OPT_SSL_CTX then ")


def test_connection_that_is_refused_goes_before(world: World) -> None:
    relay = SocksProxy()
    relay.close()
    assert pub(world, "--cafile {key}", port=relay.port) == (1, b"", "Error: Connection refused\n")


def test_plain_client_on_a_tls_port(world: World) -> None:
    assert pub(world, "", port="port2") == (7, b"", "Error: The connection was lost\n")


def test_failed_handshake_ends_the_others_too(world: World) -> None:
    where = ("-p", str(world.port("port2")), "--cafile", str(world.pki.other.file), "-t", "t")
    assert run("sub", *where) == (14, b"", "Error: Protocol error\n")
    assert run("rr", *where, "-e", "r", "-m", "x") == (14, b"", "Error: Protocol error\n")
    assert run("pub", *where, "-l") == (14, b"", "Error: Protocol error\n")


def test_certificate_that_is_missed_after_the_handshake(world: World) -> None:
    """With TLS 1.3 the client is through before the server looks, and may see the end before the reason."""
    code, _, err = pub(world, "--cafile {ca}", port="port4")
    assert (code, err) in ((7, "Error: The connection was lost\n"), (14, "Error: Protocol error\n"))


def test_pass_phrase_is_asked_for(world: World, pki: Pki) -> None:
    pair = pki.authority.issue("phrased", phrase="open sesame")
    arguments = ["-p", str(world.port("port2")), "-t", "t", "-m", "x", "--cafile", str(pki.ca)]
    arguments += ["--cert", str(pair.certificate), "--key", str(pair.key)]
    pid, fd = pty.fork()
    if pid == 0:
        try:
            os.chdir(ROOT)
            words = [*command("pub"), *arguments]
            os.execv(sys.executable, words)
        finally:
            os._exit(99)
    said, end = b"", time.monotonic() + 2 * SECONDS
    while b"Enter PEM pass phrase:" not in said:
        assert time.monotonic() < end
        said += os.read(fd, 1000)
    os.write(fd, b"open sesame\n")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(fd)


# SOCKS5

PROXY = "Error: Proxy error\n"
DENIED = "Error: Authorisation failed\n"
UNREACHABLE = "Error: The client is not currently connected\n"


def reply(code: int, kind: int = 1) -> tuple[bytes, ...]:
    return b"\5\0", bytes((5, code, 0, kind)) + bytes(6)


@pytest.mark.parametrize(
    ("script", "code", "text"),
    [
        ((b"\5\xff",), 11, DENIED),
        (reply(2), 11, DENIED),
        (reply(3), 4, UNREACHABLE),
        (reply(1), 16, PROXY),
        (reply(8), 16, PROXY),
        ((b"\4\0",), 16, PROXY),
        ((), 16, PROXY),
        (reply(9), 3, "Error: Invalid input\n"),
        (reply(0, 2), 2, "Error: A network protocol error occurred when communicating with the broker\n"),
    ],
)
def test_proxy_that_does_not_help(world: World, script: tuple[bytes, ...], code: int, text: str) -> None:
    port = world.relay(SocksProxy(script=script))
    assert pub(world, f"--proxy socks5h://127.0.0.1:{port}") == (code, b"", text)


def test_proxy_that_does_not_help_the_others(world: World) -> None:
    scripts = reply(5), reply(2)
    unreachable, denying = (f"socks5h://127.0.0.1:{world.relay(SocksProxy(script=script))}" for script in scripts)
    assert run("rr", "--proxy", unreachable, "-t", "t", "-e", "r", "-m", "x") == (0, b"", "")
    assert run("rr", "--proxy", denying, "-t", "t", "-e", "r", "-m", "x") == (11, b"", DENIED)
    assert run("sub", "--proxy", denying, "-t", "t") == (11, b"", DENIED)
    assert run("pub", "--proxy", denying, "-t", "t", "-l") == (11, b"", DENIED)


def test_proxy_that_asks_for_a_password(world: World) -> None:
    port = world.relay(SocksProxy(user=(b"a:b", b"c@d%")))
    assert pub(world, f"--proxy socks5h://a%3Ab:c%40d%25@127.0.0.1:{port}") == (0, b"", "")
    assert pub(world, f"--proxy socks5h://a%3ab:wrong@127.0.0.1:{port}") == (16, b"", PROXY)
    assert pub(world, f"--proxy socks5h://a@127.0.0.1:{port}") == (16, b"", PROXY)
    assert pub(world, f"--proxy socks5h://127.0.0.1:{port}") == (16, b"", PROXY)


# WebSocket


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", 13, "Error: Unknown error\n"),
        (ANSWER.replace(b"Protocol: mqtt", b"Protocol: x"), 13, "Error: Unknown error\n"),
        (
            ANSWER.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Version: 8\r\n\r\n"),
            10,
            "Error: This feature is not supported\n",
        ),
        (None, 7, "Error: The connection was lost\n"),
    ],
)
def test_server_that_is_no_websocket(world: World, answer: bytes | None, code: int, text: str) -> None:
    port = world.relay(WebSocketServer(answer=answer))
    assert pub(world, "--ws", port=port) == (code, b"", text)
    if code != 7:
        assert run("sub", "--ws", "-p", str(port), "-t", "t") == (code, b"", text)


def test_websocket_server_that_is_an_mqtt_server(world: World) -> None:
    assert pub(world, "--ws").code in (7, 13)


@pytest.mark.parametrize("version", ["31", "311", "5"])
def test_subscribe_and_publish_by_url(world: World, name: str, version: str) -> None:
    trust = {"SSL_CERT_FILE": str(world.pki.ca)}
    plain, secure = world.websocket(pings=True, size=5), world.secure_websocket()
    url = f"wss://localhost:{secure}/{name}"
    with Running("sub", "-L", url, "-V", version, "-q", "2", "-C", "3", "-d", variables=trust) as sub:
        world.broker.wait_for_log(rf"^\t{name} \(QoS 2\)")
        for payload in ("one", "two", "3" * 70_000):
            words = ("-L", f"ws://localhost:{plain}/{name}", "-V", version, "-q", "2", "-m", payload)
            assert run("pub", *words) == (0, b"", "")
        code, out, err = sub.result()
    lines = [line for line in out.decode().splitlines() if not line.startswith(("Client ", "Subscribed "))]
    assert (code, lines, err) == (0, ["one", "two", "3" * 70_000], "")


def test_request_and_response_over_tls(world: World, name: str, tmp_path: Path) -> None:
    tls = ("-p", str(world.port("port2")), "--cafile", str(world.pki.ca))
    with Running("rr", *tls, "-t", f"{name}/q", "-e", f"{name}/a", "-m", "ping") as rr:
        world.broker.wait_for_log(rf"^\t{name}/a \(QoS 0\)")
        assert run("pub", *tls, "-t", f"{name}/a", "-m", "pong") == (0, b"", "")
        assert rr.result() == (0, b"pong\n", "")


def test_many_lines_over_each(world: World, name: str) -> None:
    lines = b"".join(b"line %d\n" % i for i in range(2000))
    ways = {
        "tls": ("-p", str(world.port("port2")), "--cafile", str(world.pki.ca)),
        "psk": ("-p", str(world.port("port3")), "--psk", "c0ffee", "--psk-identity", "alice"),
        "ws": ("-p", str(world.websocket()), "--ws"),
    }
    for way, words in ways.items():
        topic = f"{name}/{way}"
        with Running("sub", *words, "-t", topic, "-q", "1", "-C", "2000") as sub:
            world.broker.wait_for_log(rf"^\t{topic} \(QoS 1\)")
            assert run("pub", *words, "-t", topic, "-q", "1", "-l", stdin=lines) == (0, b"", "")
            assert sub.result() == (0, lines, "")


# Beside Debian's

ALIKE = {
    "trusted": "--cafile {ca}",
    "not trusted": "--cafile {other}",
    "another name": "-h 127.0.0.1 --cafile {ca}",
    "any name": "-h 127.0.0.1 --cafile {ca} --insecure",
    "directory without authorities": "--capath /nonexistent",
    "system's authorities": "--tls-use-os-certs",
    "file that is not there": "--cafile /nonexistent",
    "no certificate": "--cafile {key}",
    "other key": "--cafile {ca} --cert {crt} --key {other_key}",
    "client certificate": "--cafile {ca} --cert {crt} --key {key}",
    "version": "--cafile {ca} --tls-version tlsv1.2",
    "newest version": "--cafile {ca} --tls-version tlsv1.3",
    "no such version": "--cafile {ca} --tls-version tlsv1.9",
    "cipher": "--cafile {ca} --tls-version tlsv1.2 --ciphers ECDHE-ECDSA-AES128-GCM-SHA256",
    "no such cipher": "--cafile {ca} --ciphers none",
    "protocol name": "--cafile {ca} --tls-alpn mqtt",
    "no such engine": "--cafile {ca} --tls-engine none",
    "no hexadecimal digits": "--psk xyz --psk-identity alice",
}


@pytest.mark.skipif(not Path("/usr/bin/mosquitto_pub").exists(), reason="Debian's mosquitto_pub is not installed")
@pytest.mark.parametrize("what", ALIKE)
def test_debian_s_tool_fails_and_succeeds_alike(world: World, what: str) -> None:
    words = ALIKE[what].replace("{other_key}", str(world.pki.bob.key))
    files = {"ca": world.pki.ca, "other": world.pki.other.file, "crt": world.pki.alice.certificate}
    arguments = words.format(key=world.pki.alice.key, **files).split()
    command_line = ["/usr/bin/mosquitto_pub", "-p", str(world.port("port2")), "-t", "t", "-m", "x", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}  # make sanitize
    theirs = subprocess.run(command_line, capture_output=True, env=environment, timeout=2 * SECONDS, check=False)
    ours = pub(world, words, port="port2")
    assert (ours.code == 0) == (theirs.returncode == 0)
    if b"Problem setting" in theirs.stderr:
        assert (ours.code, ours.err) == (theirs.returncode, theirs.stderr.decode())
