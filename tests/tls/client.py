"""A client that speaks TLS, and the few handshakes that tests ask for."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from tests.harness.broker import Broker
from tests.harness.client import RawClient
from tests.harness.packets import Level
from tests.tls.certificates import Pair


def client_context(
    authority: Path, pair: Pair | None = None, *, most: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED
) -> ssl.SSLContext:
    """A client's context that trusts an authority and has a certificate, if any."""
    context = ssl.create_default_context(cafile=str(authority))
    context.maximum_version = most
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


class TLSClient(RawClient):
    """A RawClient inside TLS."""

    def __init__(
        self,
        port: int,
        context: ssl.SSLContext,
        level: Level | None = None,
        *,
        server: str = "localhost",
        session: ssl.SSLSession | None = None,
    ) -> None:
        """Raises what `ssl` raises when the handshake fails, which with TLS 1.3 may only be seen at the first read."""
        super().__init__(("127.0.0.1", port), level)
        try:
            self.tls = context.wrap_socket(self.sock, server_hostname=server, session=session)
        except BaseException:
            self.sock.close()
            raise
        self.sock = self.tls


def connected(
    broker: Broker,
    context: ssl.SSLContext,
    level: Level,
    client_id: str,
    *,
    port: str = "port",
    code: int = 0,
    **more: str,
) -> TLSClient:
    """A client that has sent CONNECT and was answered with `code`."""
    client = TLSClient(broker.ports[port], context, level)
    broker.clients.append(client)
    options = {name: value.encode() for name, value in more.items()}
    client.send(level.connect(client_id, **options))  # type: ignore[arg-type]
    answer = client.read_packet()
    assert answer[0] == 0x20 and answer[3] == code, answer.hex(" ")
    return client


def raw(broker: Broker, port: str = "port") -> socket.socket:
    """A TCP connection on which nothing has been said."""
    return socket.create_connection(("127.0.0.1", broker.ports[port]), timeout=5)
