"""A broker behind each kind of listener, and what may stand between it and a client."""

from __future__ import annotations

import ssl
from pathlib import Path

from mosq.client.transport.proxy import Proxy
from mosq.client.transport.tls_options import Options
from tests.harness.broker import Broker
from tests.harness.relay import Relay
from tests.harness.socks import SocksProxy
from tests.harness.websocket import WebSocketServer
from tests.tls.conftest import Pki

CONFIG = """log_type all
max_packet_size 20000000
max_queued_messages 0
per_listener_settings true
listener {{port}} 127.0.0.1
allow_anonymous true
listener {{port2}} 127.0.0.1
allow_anonymous true
{options}
listener {{port3}} 127.0.0.1
allow_anonymous true
psk_file {keys}
psk_hint h
listener {{port4}} 127.0.0.1
allow_anonymous true
{options}
require_certificate true
listener 0 {{dir}}/plain.sock
allow_anonymous true
listener 0 {{dir}}/tls.sock
allow_anonymous true
{options}
"""


def config(directory: Path, pki: Pki) -> str:
    """The broker's configuration; `directory` is for its keys."""
    keys = directory / "stack-keys"
    if not keys.exists():
        keys.write_text("alice:c0ffee\n")
        keys.chmod(0o600)
    return CONFIG.format(keys=keys, options=pki.options)


class World:
    """What stands before the broker is made when it is asked for, and ends with the test."""

    def __init__(self, broker: Broker, pki: Pki) -> None:
        self.broker = broker
        self.pki = pki
        self._relays: list[Relay] = []
        self.tls = Options(cafile=str(pki.ca))

    def port(self, name: str = "port") -> int:
        """The broker's plain listener; "port2": with certificates, "port4": and wants some; "port3": with keys."""
        return self.broker.ports[name]

    def relay(self, relay: Relay) -> int:
        self._relays.append(relay)
        return relay.port

    def proxy(self) -> Proxy:
        ports = {b"broker.invalid": self.port("port")}
        server = SocksProxy(user=(b"us:er", b"p@ss"), resolve=ports)
        return Proxy("127.0.0.1", self.relay(server), b"us:er", b"p@ss")

    def websocket(self, **how: object) -> int:
        target = "127.0.0.1", self.port("port")
        return self.relay(WebSocketServer(target, **how))  # type: ignore[arg-type]

    def secure_websocket(self) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pki.server.certificate, self.pki.server.key)
        return self.websocket(tls=context)

    def close(self) -> None:
        for relay in self._relays:
            relay.close()
