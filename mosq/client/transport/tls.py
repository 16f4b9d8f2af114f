"""TLS on a socket, from the client's end.

OpenSSL reads and writes the socket itself; a record at a time, so that what is left is left in the socket and the
reactor comes back for it. OpenSSL's error queue is empty between calls. An error ends the connection.
"""

from __future__ import annotations

import errno
import os

from mosq.client.errors import ERRNO, LOST, NO_MEMORY, ClientError
from mosq.client.transport import PIECE, READ, WRITE, Transport
from mosq.client.transport.stacked import Stacked
from mosq.client.transport.tcp import literal
from mosq.core import ffi, lib
from mosq.transport import openssl

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any

    from mosq.client.transport.context import Security
    from mosq.transport.context import Context

_plain = ffi.new("uint8_t[]", openssl.RECORD)
_piece = ffi.new("uint8_t **")
"""Scratch for all connections: what is in there is used up before anything else can happen."""


class Tls(Stacked):
    """`server`: the host whose certificate is expected; None (a unix socket has no such name): any that is good."""

    def __init__(self, lower: Transport, security: Security, server: str | None) -> None:
        super().__init__(lower)
        self._security = security
        self._server = server
        self._context: Context | None = None
        self._ssl: Any = None
        self._done = False

    def prepare(self) -> None:
        self._context = self._security.context()

    def handshake(self) -> int:
        if self._done:
            return 0
        if self._ssl is None:
            self._ssl = self._begin()
        result = openssl.handshake(self._ssl)
        if result == 1:
            self._done = True
            return 0
        return self._waits_for(result)

    def _begin(self) -> Any:
        assert self._context is not None
        openssl.errors()
        name, address = None, None
        if self._server is not None:
            name, address = os.fsencode(self._server), literal(self._server)
        try:
            return openssl.connecting(self._context.ssl, self.fd, name, address[1] if address else b"")
        except MemoryError:
            raise ClientError(NO_MEMORY) from None

    def _waits_for(self, result: int) -> int:
        """READ or WRITE, after a call that could not do all. Raises ClientError; LOST also for an end in good order."""
        reason = openssl.reason(self._ssl, result)
        if reason == openssl.WANT_READ:
            return READ
        if reason == openssl.WANT_WRITE:
            return WRITE
        raise self._failure(reason)

    def _failure(self, reason: int) -> ClientError:
        error = openssl.system_error()
        found = openssl.errors()
        if reason in (openssl.SYSTEM, openssl.CLOSED) or not found:
            gone = reason == openssl.CLOSED or error in (0, errno.ECONNRESET, errno.EPIPE)
            return ClientError(LOST) if gone else ClientError(ERRNO, errno=error)
        if found[0].code == openssl.UNEXPECTED_EOF and self._done:
            return ClientError(LOST)
        prefix = "OpenSSL Error while trying to get the error"
        lines = tuple(f"{prefix}[{i}]: {entry.text}" for i, entry in enumerate(found))
        return ClientError(ERRNO, errno=errno.EPROTO, lines=lines)

    def _read(self) -> int:
        """A record into the scratch buffer: how many bytes; 0: none now; -1: none any more."""
        n = openssl.read(self._ssl, _plain, openssl.RECORD)
        if n > 0:
            return n
        if openssl.reason(self._ssl, n) == openssl.CLOSED:
            return -1
        self.wants = self._waits_for(n) & WRITE
        return 0

    def read(self) -> bytes | None:
        n = self._read()
        return bytes(ffi.buffer(_plain, n)) if n > 0 else b"" if n else None

    def write(self, data: Any) -> int:
        return self._write(ffi.from_buffer("uint8_t[]", data), len(data))

    def _write(self, data: Any, n: int) -> int:
        sent = openssl.write(self._ssl, data, n)
        if sent > 0:
            return sent
        self._waits_for(sent)
        return 0

    def receive(self, c: Any) -> int:
        left = PIECE
        while left > 0:
            n = self._read()
            if n <= 0:
                return int(lib.MQ_EOF) if n else 0
            if status := lib.mq_conn_feed(c, _plain, n):
                return int(status)
            left -= n
        return 0

    def transmit(self, c: Any) -> bool:
        while n := lib.mq_conn_output(c, _piece):
            sent = self._write(_piece[0], n)
            if not sent:
                return False
            lib.mq_conn_consumed(c, sent)
        return True

    def finish(self) -> None:
        if self._done:
            openssl.shutdown(self._ssl)
            openssl.errors()
        super().finish()

    def close(self) -> None:
        self._ssl = None
        super().close()
