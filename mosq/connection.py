"""A network connection: from accept to close. MQTT 5.0, section 4.2.

The core moves the bytes; here is what happens around them: interest in the socket, and the one way to end (`end`).

    NEW --CONNECT--> ACTIVE                        CONNECT is answered with CONNACK by mosq.handlers.connect
    NEW --CONNECT--> EXCHANGING --AUTH--> ACTIVE   extended authentication
    NEW --CONNECT--> WAITING --> ACTIVE            a checker answers later; nothing is read until then
    any --> CLOSED

A connection has a session from ACTIVE on and until CLOSED. After CLOSED its core part and its owner id live until the
end of the turn, so that loops in the core find something; the broker releases them then. There are tens of thousands of
connections: no field here is a container, and the object has no `__dict__`.
"""

from __future__ import annotations

from selectors import EVENT_READ, EVENT_WRITE

from mosq import faults
from mosq.core import errno_of, ffi, lib
from mosq.packets import disconnect

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any

    from mosq.auth.methods import Exchange
    from mosq.broker import Broker
    from mosq.faults import Fault
    from mosq.listeners import Listener
    from mosq.packets.error import ProtocolError
    from mosq.session import Session

NEW, EXCHANGING, ACTIVE, WAITING, CLOSED = range(5)
"""From WAITING on, nothing is read."""

_readable = lib.mq_conn_readable
_OK, _BLOCKED, _PAUSED, _STOPPED = lib.MQ_OK, lib.MQ_BLOCKED, lib.MQ_PAUSED, lib.MQ_STOPPED
_NOMEM = lib.MQ_NOMEM


class Connection:
    """See the top of this file. `version` is 0 until CONNECT was understood; `events`: what the reactor watches."""

    __slots__ = (
        "c",
        "fd",
        "owner",
        "broker",
        "listener",
        "address",
        "port",
        "session",
        "version",
        "state",
        "events",
        "exchange",
    )
    core_moves_bytes = True
    """The core reads and writes the socket, and not a subclass."""

    def __init__(self, broker: Broker, listener: Listener, fd: int, address: str, port: int) -> None:
        self.broker = broker
        self.listener = listener
        self.fd = fd
        self.address = address
        self.port = port
        self.session: Session | None = None
        self.version = 0
        self.state = NEW
        self.events = 0
        self.exchange: Exchange | None = None
        self.owner = broker.connections.add(self)
        self.c: Any = lib.mq_conn_new(broker.core.c, fd if self.core_moves_bytes else -1, self.owner)

    @property
    def peer(self) -> str:
        """Address and port, as log lines show them."""
        return f"{self.address}:{self.port}"

    @property
    def name(self) -> str:
        """The client identifier, or the address while there is none."""
        if self.session is not None:
            return self.session.client_id
        if self.exchange is not None:
            return self.exchange.request.client_id
        return self.address

    # The socket

    def on_ready(self, mask: int) -> None:
        """The socket is ready. This runs once per turn and readable socket: the common case is the first two lines."""
        if mask & EVENT_READ:
            status = _readable(self.c)
            if status:
                self._on_status(status)
        if mask & EVENT_WRITE and self.state != CLOSED:
            self._on_writable()

    def on_error(self, exc: BaseException) -> None:
        """A handler raised something unforeseen; the reactor has reported it."""
        self.end(faults.INTERNAL)

    def on_output(self, error: int) -> None:
        """The socket took only a part of the output (0), or failed with this errno."""
        if error:
            self.end(faults.of_status(lib.MQ_ERRNO, (error, 0, 0)))
        else:
            self.watch(self.events | EVENT_WRITE)

    def read_held(self) -> None:
        """Read again, after a pause; first what had come before it and waits in the core."""
        if self.state == CLOSED:
            return
        self.watch(self.events | EVENT_READ)
        status = lib.mq_conn_feed(self.c, ffi.NULL, 0)
        if status:
            self._on_status(status)

    def watch(self, events: int) -> None:
        """Have the reactor watch for these events, 0: for none."""
        if events == self.events or self.fd < 0:
            return
        reactor = self.broker.reactor
        if not self.events:
            reactor.register(self.fd, events, self)
        elif not events:
            reactor.unregister(self.fd)
        else:
            reactor.modify(self.fd, events, self)
        self.events = events

    def _on_status(self, status: int) -> None:
        if status == _STOPPED:
            return
        if status == _BLOCKED:
            self.watch(self.events | EVENT_WRITE)
        elif status == _PAUSED:
            self.watch(EVENT_WRITE)
        else:
            self.fail(status)

    def _on_writable(self) -> None:
        status = lib.mq_conn_writable(self.c)
        if status == _OK:
            self._drained()
        elif status != _BLOCKED:
            self._on_status(status)

    def _drained(self) -> None:
        """All output is out: stop watching for that, and end a pause that the output caused."""
        if self.events & EVENT_READ or self.state == WAITING:
            self.watch(self.events & ~EVENT_WRITE)
        else:
            self.watch(EVENT_READ)
            self.read_held()

    # Output

    def send(self, packet: bytes) -> None:
        """Queue a control packet for the end of the turn. Raises MemoryError: what is said must not get lost."""
        if lib.mq_conn_send(self.c, packet, len(packet)) == _NOMEM:
            raise MemoryError("no memory for a packet")

    def _last_words(self, packet: bytes) -> None:
        """Queue a packet before closing. Without memory for it the close alone has to do."""
        lib.mq_conn_send(self.c, packet, len(packet))

    # The end

    def fail(self, status: int) -> None:
        """End because of a status of the core."""
        numbers = errno_of(self.c)
        self.end(faults.of_status(status, numbers), numbers)

    def refuse(self, error: ProtocolError, name: str | None = None) -> None:
        """End because of a packet that breaks a rule: with a CONNACK if it was a CONNECT."""
        log = self.broker.log
        for level, fmt, args in error.log:
            if log.wants(level):
                log.write(level, fmt % args)
        if error.connack:
            log.debug("Sending CONNACK to %s (%d, %d)", name or self.name, error.connack[2], error.connack[3])
            self._last_words(error.connack)
        self.end(faults.Fault(error.code, error.text), name=name)

    def end(
        self,
        fault: Fault,
        numbers: tuple[int, int, int] = (0, 0, 0),
        *,
        publish_will: bool = True,
        name: str | None = None,
    ) -> None:
        """Say what is to be said about `fault`, close, and leave the session to its rules.

        `name` stands for the client in the log when there is no session to name it.
        """
        if self.state == CLOSED:
            return
        log = self.broker.log
        if fault.line and log.wants(fault.level):
            log.write(fault.level, faults.describe(fault, name or self.name, self.peer, numbers))
        if fault.code is not None and self.version == 5:
            self._last_words(disconnect.encode(fault.code))
        self.log_gone(fault, name or self.name)
        session = self.close()
        if session is not None:
            self.broker.sessions.offline(session, publish_will=publish_will)

    def taken_over(self) -> None:
        """A new connection takes the session. What becomes of that, and the log line, is the caller's affair."""
        if self.version == 5 and faults.TAKEN_OVER.code is not None:
            self._last_words(disconnect.encode(faults.TAKEN_OVER.code))
        self.close()

    def log_gone(self, fault: Fault, name: str) -> None:
        """The line that a connection ended."""
        broker = self.broker
        if not broker.config.connection_messages:
            return
        if fault.text:
            broker.log.notice("Client %s [%s:%d] disconnected: %s", name, self.address, self.port, fault.text)
        else:
            broker.log.notice("Client %s [%s:%d] disconnected.", name, self.address, self.port)

    def close(self) -> Session | None:
        """Write what the socket takes without waiting, and close. The session, if there is one, is handed back.

        What is written may acknowledge something of this turn, so that is made safe first.
        """
        session, self.session = self.session, None
        self.state = CLOSED
        if lib.mq_conn_held(self.c):
            self.broker.settle()
        self.write_final()
        lib.mq_conn_close(self.c)
        self.watch(0)
        self.broker.closed(self)
        self.exchange = None
        return session

    def write_final(self) -> None:
        """Write what can be written without waiting: it is the last chance."""
        lib.mq_conn_final(self.c)

    # What the transport knows of the client

    def encryption(self) -> tuple[str, str] | None:
        """The protocol version and cipher that protect the connection; None: it is not encrypted."""
        return None

    def identity(self) -> str | None:
        """The user name that the client has proved by its certificate or key; None: it has proved nothing."""
        return None
