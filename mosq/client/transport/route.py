"""The way to a server, as options say it, and the stack of transports that goes it.

    TCP [SOCKS5] [TLS] [WebSocket]        unix socket [TLS] [WebSocket]

What a route does not use is not imported.
"""

from __future__ import annotations

from mosq.client.transport import Dial, Transport
from mosq.client.transport.tcp import Tcp, Unix
from mosq.record import Record

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.client.transport.context import Security
    from mosq.client.transport.proxy import Proxy
    from mosq.client.transport.tls_options import Options


class Route(Record):
    """- host, port: of the server; port 0: `host` is the path of a unix socket
    - bind: a local address or name to connect from
    - nodelay: as TCP_NODELAY
    - proxy: go through this SOCKS5 proxy, which resolves the host's name
    - tls: speak TLS, by these options
    - websocket: put MQTT into a WebSocket
    """

    host: str
    port: int
    bind: str | None = None
    nodelay: bool = False
    proxy: Proxy | None = None
    tls: Options | None = None
    websocket: bool = False

    def dial(self) -> Dial:
        """What makes the transport of each attempt to connect (mosq.client.Settings). TLS contexts are made once."""
        security = None
        if self.tls is not None:
            from mosq.client.transport.context import Security

            security = Security(self.tls)
        return lambda: self._stack(security)

    def _stack(self, security: Security | None) -> Transport:
        transport = self._socket()
        has_name = self.port != 0
        if security is not None:
            from mosq.client.transport.tls import Tls

            transport = Tls(transport, security, self.host if has_name else None)
        if self.websocket:
            from mosq.client.transport.websocket import WebSocket

            transport = WebSocket(transport, self.host if has_name else "localhost")
        return transport

    def _socket(self) -> Transport:
        proxy = self.proxy
        if proxy is not None:
            from mosq.client.transport.socks import Socks

            to_proxy = Tcp(proxy.host, proxy.port, bind=self.bind, nodelay=self.nodelay)
            return Socks(to_proxy, proxy, self.host, self.port)
        if self.port == 0:
            return Unix(self.host)
        return Tcp(self.host, self.port, bind=self.bind, nodelay=self.nodelay)
