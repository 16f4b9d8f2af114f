"""A connection whose bytes are encrypted, and the listener's side of it.

To the core such a connection has no socket: decrypted bytes are fed to it, and its output is taken from it when it says
that there is some. OpenSSL reads and writes the socket itself. The handshake is part of the first reads, so there is no
state for it, and CONNECT's deadline counts from the moment the connection was accepted.

Invariants:
- In one turn a connection is given at most RECORDS records in each direction, and reads no more than one beyond BYTES.
  A record is read whole, so what is left is left in the socket, and the reactor comes back for it.
- Output stays in the core until OpenSSL has taken it. Until the socket takes more, `blocked` is True, the core knows
  that it is full and applies its limits, and nothing is tried.
- After an error nothing more is read or written: OpenSSL does not allow it. `blocked` is True then, too.
- OpenSSL's error queue is empty between calls.
"""

from __future__ import annotations

import errno
from selectors import EVENT_READ, EVENT_WRITE

from mosq import faults
from mosq.auth import identity
from mosq.connection import CLOSED, WAITING, Connection
from mosq.core import ffi, lib
from mosq.transport import openssl
from mosq.transport.context import Builder, Context, ContextError

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mosq.broker import Broker
    from mosq.config import ListenerConfig
    from mosq.listeners import Listener
    from mosq.log import Log
    from mosq.session import Session
    from mosq.transport.context import KeyLog

RECORDS = 16
BYTES = 65536
"""What is read in one turn: as much as from a connection that is not encrypted, in small pieces less. As many records
may be written; sixteen of full size are a quarter of a megabyte, and about a millisecond."""

_RECORD = openssl.RECORD
_read, _write, _reason = openssl.read, openssl.write, openssl.reason
_feed, _output, _consumed = lib.mq_conn_feed, lib.mq_conn_output, lib.mq_conn_consumed
_plain = ffi.new("uint8_t[]", _RECORD)
_piece = ffi.new("uint8_t **")
"""Scratch for all connections: what is in there is used up before anything else can happen."""

_HANDSHAKE_FAILED = faults.Fault(None, "Protocol error.")
_WRITE_FAILED = faults.Fault(None, "bad socket read/write: A TLS error occurred")


class SecureListener:
    """A listener's TLS: its present context, and what is needed to make the next."""

    __slots__ = ("context", "_builder", "_log")

    def __init__(
        self,
        listener: Listener,
        options: ListenerConfig,
        keys: Mapping[bytes, bytes] | None,
        log: Log,
        key_log: KeyLog | None,
    ) -> None:
        """Raises ContextError."""
        self._log = log
        self._builder = Builder(listener.port, log, key_log)
        self.context = self._builder.build(options, keys)

    def connection(self, broker: Broker, listener: Listener, fd: int, address: str, port: int) -> Connection:
        """A connection that was accepted."""
        return TLSConnection(broker, listener, fd, address, port, self.context)

    def reload(self, options: ListenerConfig, keys: Mapping[bytes, bytes] | None) -> None:
        """Use these options for new connections; if they are no good, go on as before, and say so."""
        try:
            self.context = self._builder.build(options, keys)
        except ContextError as exc:
            for text in exc.texts:
                self._log.error("%s", text)
            certificate, key = options.certfile, options.keyfile
            self._log.error("Error when reloading certificate '%s' or key '%s'.", certificate, key)


class TLSConnection(Connection):
    """See the top of this file. `stalled`: a read must wait until the socket can be written."""

    __slots__ = ("ssl", "context", "blocked", "stalled")
    core_moves_bytes = False

    def __init__(self, broker: Broker, listener: Listener, fd: int, address: str, port: int, context: Context) -> None:
        self.ssl: Any = openssl.new(context.ssl, fd)
        self.context = context
        self.blocked = False
        self.stalled = False
        super().__init__(broker, listener, fd, address, port)

    # Reading

    def on_ready(self, mask: int) -> None:
        """The socket is ready."""
        if mask & EVENT_READ:
            self._receive()
        if mask & EVENT_WRITE and self.state != CLOSED:
            if self.stalled:
                self.stalled = False
                self._receive()
            if self.state != CLOSED and not self.stalled:
                self._on_writable()

    def _receive(self) -> None:
        ssl, c, left = self.ssl, self.c, BYTES
        for _ in range(RECORDS):
            n = _read(ssl, _plain, _RECORD)
            if n <= 0:
                self._on_unread(n)
                return
            status = _feed(c, _plain, n)
            if status:
                self._on_status(status)
                return
            left -= n
            if self.state >= WAITING or left <= 0:
                return

    def _on_unread(self, result: int) -> None:
        reason = _reason(self.ssl, result)
        if reason == openssl.WANT_READ:
            return
        if reason == openssl.WANT_WRITE:
            self.stalled = True
            self.watch(EVENT_WRITE)
        elif reason == openssl.CLOSED:
            self.end(faults.FAULTS[lib.MQ_EOF])
        else:
            self._failed(reason, _HANDSHAKE_FAILED)

    # Writing

    def on_output(self, error: int) -> None:
        """The core has output, at the end of a turn."""
        if not self.blocked and self._transmit():
            return
        if self.state != CLOSED and not self.events & EVENT_WRITE:
            self.watch(self.events | EVENT_WRITE)

    def _transmit(self) -> bool:
        """Write what the socket takes, up to a limit. True: everything is out."""
        ssl, c = self.ssl, self.c
        for _ in range(RECORDS):
            n = _output(c, _piece)
            if not n:
                return True
            sent = _write(ssl, _piece[0], n if n < _RECORD else _RECORD)
            if sent <= 0:
                self._on_unwritten(sent)
                return False
            _consumed(c, sent)
        return False

    def _on_unwritten(self, result: int) -> None:
        reason = _reason(self.ssl, result)
        self.blocked = True
        lib.mq_conn_full(self.c, 1)
        if reason not in (openssl.WANT_WRITE, openssl.WANT_READ):
            self._failed(reason, _WRITE_FAILED)

    def _on_writable(self) -> None:
        self.blocked = False
        lib.mq_conn_full(self.c, 0)
        if self._transmit():
            self._drained()

    # The end

    def _failed(self, reason: int, fault: faults.Fault) -> None:
        """OpenSSL gave up: say why, and close."""
        error = openssl.system_error() if reason == openssl.SYSTEM else 0
        self.blocked = True
        found = openssl.errors()
        for i, entry in enumerate(found):
            self.broker.log.error("OpenSSL Error while trying to get the error[%d]: %s", i, entry.text)
        if reason == openssl.SYSTEM and not found:
            gone = error in (0, errno.ECONNRESET, errno.EPIPE)
            self.end(faults.FAULTS[lib.MQ_EOF] if gone else faults.of_status(lib.MQ_ERRNO, (error, 0, 0)))
        elif found and found[0].code == openssl.UNEXPECTED_EOF and openssl.is_secure(self.ssl):
            self.end(faults.FAULTS[lib.MQ_EOF])
        else:
            self.end(fault)

    def close(self) -> Session | None:
        """Write what the socket takes without waiting, say goodbye, and close."""
        session = super().close()
        self.context.identities.pop(openssl.address(self.ssl), None)
        self.ssl = None
        return session

    def write_final(self) -> None:
        """The last output, and TLS's own word that there is no more; without either after an error."""
        if not self.blocked and self._transmit():
            openssl.shutdown(self.ssl)
            openssl.errors()

    # Who it is

    def encryption(self) -> tuple[str, str]:
        """The TLS version and the cipher."""
        return openssl.negotiated(self.ssl)

    def identity(self) -> str | None:
        """The user name that the certificate or the pre-shared key gives; None where it gives none."""
        options = self.listener.config
        if options.psk_hint is not None:
            name = self.context.identities.get(openssl.address(self.ssl))
            return name.decode() if name else None
        subject = openssl.peer_subject(self.ssl)
        if subject is None:
            return None
        if options.use_identity_as_username:
            return identity.common_name(subject)
        return identity.distinguished_name(subject)
