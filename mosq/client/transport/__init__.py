"""How the bytes of a client's connection travel to the server and back.

Theory of operation. A `Transport` is one attempt at a byte stream: it is made, it goes on (`advance`) until the stream
is there, it carries bytes, it is closed; for the next attempt a new one is made. They stack: SOCKS5 on TCP, TLS on
either, WebSocket on any. Each is made with the one below it, calls that one's `advance` until it returns 0, then does
its own handshake with `lower.read` and `lower.write`, or on `lower.fd`.

Two ways to carry MQTT. Where what MQTT says is what stands in the socket (TCP, unix sockets, SOCKS5 after its
handshake), `direct` is true and the core reads and writes `fd`. Otherwise bytes go through `receive` and `transmit`,
which by default are made of `read` and `write`; a transport whose bytes can be moved with less effort overrides them.

The engine calls, on one thread and never blocking beyond name resolution:

    advance()* -> attach(c) -> receive(c) / transmit(c) ... -> finish() -> receive(c)* -> close()

`close` may come at any time, and comes once. All errors are ClientError.
"""

from __future__ import annotations

from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE

from mosq.client.errors import LOST, ClientError
from mosq.core import ffi, lib

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any

READ = EVENT_READ
WRITE = EVENT_WRITE

PIECE = 65536
"""What is read in one turn at most, in bytes."""

Dial = Callable[[], "Transport"]
"""Makes the transport of the next attempt to connect. Must not block, and may raise ClientError."""

_piece = ffi.new("uint8_t **")


class Transport:
    """See the top of this file. What a subclass does not override is how a byte stream that Python moves behaves."""

    fd = -1
    """The socket, for the reactor; -1 while there is none. It may change while `advance` goes on."""
    connected = False
    """The network connection (the lowest of the stack) is established."""
    direct = False
    """The core may read and write `fd` itself. Looked at once `advance` has returned 0."""
    wants = 0
    """READ or WRITE: an event needed beyond the usual ones (TLS that must write before it can read). 0: none."""

    def advance(self) -> int:
        """Go on with connecting and with handshakes. READ, WRITE or both: call again when `fd` is ready for it.
        0: MQTT can begin. Raises ClientError."""
        raise NotImplementedError

    def attach(self, c: Any) -> int:
        """The connection was made in the core (`c`, an mq_conn) and nothing was sent yet: tell it what it must know,
        and feed it (mq_conn_feed) what the handshake received beyond its end. A status of the core, 0: fine."""
        return 0

    def read(self) -> bytes | None:
        """Bytes from the server, at most PIECE. None: there are none now; b"": there will be no more.

        Raises ClientError."""
        raise NotImplementedError

    def write(self, data: Any) -> int:
        """Send from a bytes-like object; how many bytes were taken, 0: none now. Raises ClientError."""
        raise NotImplementedError

    def receive(self, c: Any) -> int:
        """Not `direct`: move what has come into the core. A status of the core: MQ_OK, MQ_EOF at the end, or what was
        wrong with the packets. At most PIECE bytes, so that nobody else waits for long. Raises ClientError."""
        data = self.read()
        if data is None:
            return 0
        if not data:
            return int(lib.MQ_EOF)
        return int(lib.mq_conn_feed(c, data, len(data)))

    def transmit(self, c: Any) -> bool:
        """Not `direct`: move the core's output to the server. True: all is out; False: call again when `fd` can be
        written.

        Raises ClientError."""
        while n := lib.mq_conn_output(c, _piece):
            sent = self.write(ffi.buffer(_piece[0], n))
            if not sent:
                return False
            lib.mq_conn_consumed(c, sent)
        return True

    def finish(self) -> None:
        """All has been sent and nothing will follow: say so to the server, as far as the transport has a word for it,
        and shut the sending side down. Reading goes on."""

    def close(self) -> None:
        """Give back the descriptor."""


def lost(error: OSError) -> ClientError:
    """What a failed read or write of a socket means: LOST when the peer is gone, otherwise the system's error."""
    from errno import ECONNRESET, EPIPE

    if error.errno in (ECONNRESET, EPIPE):
        return ClientError(LOST)
    from mosq.client.errors import ERRNO

    return ClientError(ERRNO, errno=error.errno or 0)
