"""WebSocket (RFC 6455): an HTTP request, and then frames, with MQTT in them (MQTT 5.0, section 6).

h11 says and hears the HTTP part; the frames are the core's (csrc/websocket.h). A server that is no WebSocket server, or
not one of MQTT, is an error that does not go away: UNKNOWN, or NOT_SUPPORTED for another version of WebSocket.
"""

from __future__ import annotations

import os
from base64 import b64encode
from hashlib import sha1

import h11

from mosq.client.errors import INVALID, LOST, NOT_SUPPORTED, UNKNOWN, ClientError
from mosq.client.transport import PIECE, READ, WRITE, Transport
from mosq.client.transport.stacked import Stacked
from mosq.core import ffi, lib

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any

PATH = b"/mqtt"
RESPONSE_MAX = 4096
"""Bytes of the response, at most."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION = b"13"
_SUBPROTOCOL = b"mqtt"


def accept_of(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (section 4.2.2)."""
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


class Opening:
    """The client's opening handshake (section 4.1), without I/O."""

    def __init__(self, host: str, key: bytes | None = None) -> None:
        """`key`: 16 random bytes in base64, made here where it is None. Raises ClientError for an impossible host."""
        self._key = key or b64encode(os.urandom(16))
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=RESPONSE_MAX)
        self._received = 0
        headers = [
            (b"Host", os.fsencode(f"[{host}]" if ":" in host else host)),
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Key", self._key),
            (b"Sec-WebSocket-Protocol", _SUBPROTOCOL),
            (b"Sec-WebSocket-Version", _VERSION),
        ]
        try:
            self.request: bytes = self._http.send(h11.Request(method=b"GET", target=PATH, headers=headers)) or b""
            self.request += self._http.send(h11.EndOfMessage()) or b""
        except h11.LocalProtocolError:
            raise ClientError(INVALID) from None

    def receive(self, data: bytes) -> bytes | None:
        """Take bytes of the server. None: more are needed; else what came behind the response, the first frames.

        Raises ClientError.
        """
        if not data:
            raise ClientError(LOST)
        self._received += len(data)
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
            while isinstance(event, h11.InformationalResponse) and event.status_code != 101:
                event = self._http.next_event()
        except h11.RemoteProtocolError:
            raise ClientError(UNKNOWN) from None
        if event is h11.NEED_DATA:
            if self._received >= RESPONSE_MAX:
                raise ClientError(UNKNOWN)
            return None
        if not isinstance(event, h11.InformationalResponse):
            raise ClientError(UNKNOWN)
        rest, _ = self._http.trailing_data
        if self._received - len(rest) > RESPONSE_MAX:  # whole, but longer than one that comes in pieces may be
            raise ClientError(UNKNOWN)
        self._judge(event.headers)
        return bytes(rest)

    def _judge(self, headers: Any) -> None:
        """Is it the answer to this request (section 4.1, the list for the client)?"""
        found: dict[bytes, bytes] = {}
        for name, value in headers:  # names are in lower case
            found[name] = found[name] + b"," + value if name in found else value
        if found.get(b"sec-websocket-version", _VERSION) != _VERSION:
            raise ClientError(NOT_SUPPORTED)
        options = [option.strip() for option in found.get(b"connection", b"").lower().split(b",")]
        if not (
            found.get(b"upgrade", b"").lower() == b"websocket"
            and b"upgrade" in options
            and found.get(b"sec-websocket-accept") == accept_of(self._key)
            and found.get(b"sec-websocket-protocol") == _SUBPROTOCOL
            and b"sec-websocket-extensions" not in found  # none was asked for
        ):
            raise ClientError(UNKNOWN)


class WebSocket(Stacked):
    """MQTT in the frames of a WebSocket, over any stream of bytes. `host`: what the request says it is for."""

    def __init__(self, lower: Transport, host: str) -> None:
        super().__init__(lower)
        self._opening = Opening(host)
        self._to_send = memoryview(self._opening.request)
        self._rest: bytes | None = None
        self._ws: Any = ffi.NULL
        self._frames: Any = None
        self._start = self._end = 0
        self._finished = False

    # The opening handshake

    def handshake(self) -> int:
        while self._to_send:
            sent = self.lower.write(self._to_send)
            if not sent:
                return WRITE
            self._to_send = self._to_send[sent:]
        while self._rest is None:
            data = self.lower.read()
            if data is None:
                return READ | self.lower.wants
            self._rest = self._opening.receive(data)
        return 0

    def attach(self, c: Any) -> int:
        self._ws = lib.mq_ws_new(c, 1)
        if not self._ws:
            return int(lib.MQ_NOMEM)
        self._frames = ffi.new("uint8_t[]", PIECE)
        rest, self._rest = self._rest, b""
        return self._feed(c, rest) if rest else 0

    # Frames

    def receive(self, c: Any) -> int:
        data = self.lower.read()
        self.wants = self.lower.wants
        if data is None:
            return 0
        if not data:
            return int(lib.MQ_EOF)
        return self._feed(c, data)

    def _feed(self, c: Any, data: bytes) -> int:
        """Frames. A ping or a Close among them wants an answer, whether or not there is anything else to write."""
        status = int(lib.mq_ws_feed(self._ws, data, len(data)))
        if not self._ws or self._finished:
            return status  # what came has ended the connection, or we have
        try:
            if not self.transmit(c):
                self.wants |= WRITE
        except ClientError:
            if not status:
                raise
        return status

    def transmit(self, c: Any) -> bool:
        while True:
            if self._start == self._end:
                self._start, self._end = 0, lib.mq_ws_output(self._ws, self._frames, PIECE)
                if not self._end:
                    break
            sent = self.lower.write(ffi.buffer(self._frames + self._start, self._end - self._start))
            if not sent:
                return False
            self._start += sent
        if self._finished:
            super().finish()
        return True

    def finish(self) -> None:
        """There is no Close: MQTT has said that it ends, and the server will close. Frames may have to leave before."""
        self._finished = True
        if self._start == self._end:
            super().finish()

    def close(self) -> None:
        lib.mq_ws_free(self._ws)
        self._ws = ffi.NULL
        super().close()
