"""A transport on top of another: what SOCKS5, TLS and WebSocket have in common."""

from __future__ import annotations

from mosq.client.transport import WRITE, Transport

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any


class Stacked(Transport):
    """Its handshake follows that of `lower`; what a subclass does not override is left to that one."""

    def __init__(self, lower: Transport) -> None:
        self.lower = lower

    def prepare(self) -> None:
        """What needs no answer and can fail: called when the network connection is there, before anybody is told so.
        Raises ClientError."""

    def handshake(self) -> int:
        """As `advance`, once the transport below has come to its end. Raises ClientError."""
        raise NotImplementedError

    def advance(self) -> int:
        lower = self.lower
        events = lower.advance()
        self.fd = lower.fd
        if lower.connected and not self.connected:
            self.prepare()
            self.connected = True
            return events or WRITE  # at once; but whoever asks shall first see that there is a connection
        return events or self.handshake()

    def read(self) -> bytes | None:
        return self.lower.read()

    def write(self, data: Any) -> int:
        return self.lower.write(data)

    def finish(self) -> None:
        self.lower.finish()

    def close(self) -> None:
        self.lower.close()
        self.fd = self.lower.fd
        self.connected = False
