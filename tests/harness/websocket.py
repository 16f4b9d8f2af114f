"""WebSocket (RFC 6455) plainly: frames, to send what a peer would and to read what it would be sent, and a server."""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl

from .relay import Relay, take

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = b"\x01\x80\xfe\x37"


def mask(payload: bytes, key: bytes) -> bytes:
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def frame(
    opcode: int, payload: bytes = b"", *, masked: bool = False, fin: bool = True, reserved: int = 0, form: int = 0
) -> bytes:
    """A frame. `form` 126 or 127: the longer length field is used although it is not needed."""
    n = len(payload)
    form = form or (n if n < 126 else 126 if n < 65536 else 127)
    length = n.to_bytes({126: 2, 127: 8}.get(form, 0), "big") if form >= 126 else b""
    head = bytes((fin << 7 | reserved | opcode, masked << 7 | form)) + length
    return head + (KEY + mask(payload, KEY) if masked else payload)


class Frames:
    """Reads frames as they come; AssertionError on one that is not `masked` as the peer's must be."""

    def __init__(self, *, masked: bool) -> None:
        self._masked = masked
        self._data = b""

    def feed(self, data: bytes) -> list[tuple[bool, int, bytes]]:
        """The frames that are whole now: (FIN, opcode, payload)."""
        self._data += data
        found = []
        while one := self._next():
            found.append(one)
        return found

    def _next(self) -> tuple[bool, int, bytes] | None:
        data = self._data
        if len(data) < 2:
            return None
        assert bool(data[1] & 0x80) == self._masked and not data[0] & 0x70, data[:2].hex()
        size, at = data[1] & 0x7F, 2
        if size >= 126:
            at += 2 if size == 126 else 8
            if len(data) < at:
                return None
            size = int.from_bytes(data[2:at], "big")
        key = data[at : at + 4] if self._masked else bytes(4)
        at += 4 * self._masked
        if len(data) < at + size:
            return None
        self._data = data[at + size :]
        return bool(data[0] & 0x80), data[0] & 0x0F, mask(data[at : at + size], key)


GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_of(key: bytes) -> bytes:
    """The answer to a Sec-WebSocket-Key (section 1.3)."""
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)


class WebSocketServer(Relay):
    """A listener for WebSockets in front of a broker's TCP listener, if there is one.

    `seen` has the requests, byte for byte, and the frames that were not passed on: (opcode, payload).

    - answer: the response; {accept} stands for what the request's key asks for. None, or a part of one: close then
    - behind: bytes that come with the response
    - size: bytes of a frame towards the client, at most; 0: as much as there is
    - pings: a ping before each frame
    - script: without a broker: frames, or what should be some, to send
    """

    def __init__(
        self,
        target: tuple[str, int] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        answer: bytes | None = ANSWER,
        behind: bytes = b"",
        size: int = 0,
        pings: bool = False,
        script: bytes = b"",
    ) -> None:
        self._answer, self._behind, self._size, self._pings, self._script = answer, behind, size, pings, script
        super().__init__(target, tls=tls)

    def serve(self, client: socket.socket) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += take(client, 1)
        self.seen.append(request)
        if not self._answer or b"\r\n\r\n" not in self._answer:
            client.sendall(self._answer or b"")
            return
        key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        client.sendall(self._answer.replace(b"{accept}", accept_of(key)) + self._behind)
        if self.target is None:
            client.sendall(self._script)
            self._listen(client)
            return
        frames = Frames(masked=True)
        self.pass_on(client, self.connect(self.target), lambda data: self._opened(frames, data), self._framed)

    def _listen(self, client: socket.socket) -> None:
        frames = Frames(masked=True)
        while data := client.recv(65536):
            self.seen += [(opcode, payload) for _, opcode, payload in frames.feed(data)]

    def _opened(self, frames: Frames, data: bytes) -> bytes:
        out = b""
        for _, opcode, payload in frames.feed(data):
            if opcode == BINARY:
                out += payload
            else:
                self.seen.append((opcode, payload))
        return out

    def _framed(self, data: bytes) -> bytes:
        size, ping = self._size or len(data), frame(PING, b"there?") if self._pings else b""
        return b"".join(ping + frame(BINARY, data[at : at + size]) for at in range(0, len(data), size))
