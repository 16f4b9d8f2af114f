"""One connection, or one attempt at it: the transport, its socket in the reactor, its part in the core.

A `Link` is made for each attempt and closed once. Until the stream is there it calls the transport when the socket is
ready; from `open` on it moves bytes, or has the core move them. What it notices it tells the client: `reached` (there
is a network connection), `linked` (MQTT can begin), `on_status` (what the core said of the input), and, through
`guarded`, each error.
"""

from __future__ import annotations

from selectors import EVENT_READ, EVENT_WRITE

from mosq.client.errors import ERRNO, NO_MEMORY, ClientError
from mosq.core import lib

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any

    from mosq.client.engine import Client
    from mosq.client.transport import Transport


_LEFT_OVER = 16
"""Reads, of 64 KiB each at most, for the sake of the last words."""


class Link:
    """See the top of this file. `c`: the mq_conn, None until `open` and after `close`; `blocked`: the socket is
    full."""

    __slots__ = ("blocked", "c", "_client", "_events", "_finished", "_opened", "_owner", "_transport", "_watched")

    def __init__(self, client: Client, transport: Transport) -> None:
        self.c: Any = None
        self.blocked = False
        self._client = client
        self._transport = transport
        self._events = 0
        self._watched = (-1, 0)
        self._finished = False
        self._opened = False
        self._owner = -1

    # ---- until the stream is there

    def advance(self) -> None:
        """Go on with the transport. The socket may be another one, or none, afterwards. Raises ClientError."""
        client, transport = self._client, self._transport
        self._watch(0)
        try:
            events = transport.advance()
        except ClientError:
            if self._told():
                raise
            return
        if not self._told():
            return
        if events:
            self._watch(events)
        else:
            client.linked()

    def _told(self) -> bool:
        """Tell the client once there is a network connection, even if the handshake has failed by now. False: that was
        the end of this link."""
        if self._transport.connected:
            self._client.reached()
        return self._client.link is self

    def open(self, version: int, max_packet: int, receive_max: int) -> None:
        """Make the connection in the core, which CONNECT is to be sent on; packets of more than `max_packet` bytes, and
        more than `receive_max` QoS 2 messages at a time (0: no limit), are errors of the server. Raises ClientError."""
        transport, host = self._transport, self._client.host
        self._opened = True
        self._owner = host.add(self._client)
        fd = transport.fd if transport.direct else -1
        self.c = lib.mq_client_new(host.core.c, fd, self._owner, version, max_packet, receive_max)
        if not self.c:
            raise ClientError(NO_MEMORY)
        self._watch(EVENT_READ)

    def attach(self) -> int:
        """CONNECT has been said: the transport may hand on what came with its handshake. A status of the core."""
        return self._transport.attach(self.c)

    # ---- bytes

    def send(self, packet: bytes) -> None:
        """A whole packet, with the flush of this turn. Raises ClientError."""
        if lib.mq_conn_send(self.c, packet, len(packet)) == lib.MQ_NOMEM:
            raise ClientError(NO_MEMORY)

    @property
    def unsent(self) -> int:
        """Bytes of output that have not left yet."""
        return int(lib.mq_client_unsent(self.c)) if self.c else 0

    def on_ready(self, mask: int) -> None:
        """The socket is ready (mosq.reactor.Handler)."""
        self._client.guarded(self._ready, mask)

    def _ready(self, mask: int) -> None:
        transport, client = self._transport, self._client
        if not self._opened:
            self.advance()
            return
        if mask & (EVENT_READ | transport.wants):
            direct = transport.direct
            client.on_status(lib.mq_conn_readable(self.c) if direct else transport.receive(self.c))
            if not direct and self.c:
                self._watch(self._events)  # what it needs beyond that may have changed
        if mask & EVENT_WRITE and self.c:
            self._on_writable()

    def on_output(self, error: int) -> None:
        """The socket took only a part of the output, or none of it was tried (0), or it failed with this errno.

        Raises ClientError."""
        if error:
            raise ClientError(ERRNO, errno=error)
        if self._transport.direct or (not self.blocked and not self._transport.transmit(self.c)):
            self.block()

    def _on_writable(self) -> None:
        if self._transport.direct:
            status = lib.mq_conn_writable(self.c)
            if status:
                self._client.on_status(status)
                return
        else:
            lib.mq_conn_full(self.c, 0)
            if not self._transport.transmit(self.c):
                self.block()
                return
        self.blocked = False
        self._watch(EVENT_READ)

    def block(self) -> None:
        """The socket is full: wait until it takes more."""
        self.blocked = True
        lib.mq_conn_full(self.c, 1)
        self._watch(EVENT_READ | EVENT_WRITE)

    def pause(self) -> None:
        """Read nothing until the output is out."""
        self.blocked = True
        self._watch(EVENT_WRITE)

    def _watch(self, events: int) -> None:
        """Have the reactor watch for `events`, and for what the transport needs; 0: for nothing."""
        reactor, transport = self._client.host.reactor, self._transport
        self._events = events
        wanted = (transport.fd, events | transport.wants) if events else (-1, 0)
        if wanted == self._watched:
            return
        fd, before = self._watched
        self._watched = wanted
        if before and fd == wanted[0]:
            reactor.modify(fd, wanted[1], self)
            return
        if before:
            reactor.unregister(fd)
        if wanted[1]:
            reactor.register(wanted[0], wanted[1], self)

    # ---- the end

    def finish(self) -> bool:
        """Say that nothing will follow, once all is out: True. Before that, and the second time, nothing happens."""
        if self._finished or self.unsent:
            return False
        self._finished = True
        self._transport.finish()
        return True

    def finish_now(self) -> None:
        """Write what the socket takes without waiting: it is the last chance. What has come and nobody looked at is
        read, since a socket that is closed with unread input takes the last words with it."""
        try:
            if self._transport.direct:
                lib.mq_conn_final(self.c)
            elif not self.blocked:
                self._transport.transmit(self.c)
            self._transport.finish()
            for _ in range(_LEFT_OVER):
                if not self._transport.read():
                    break
        except ClientError:
            pass  # it is lost, then

    def close(self) -> None:
        """Give everything back. What was not written is lost."""
        self._watch(0)
        if self.c:
            lib.mq_conn_close(self.c)
            self.c = None
        if self._opened:
            self._client.host.remove(self._owner)
        self._transport.close()
