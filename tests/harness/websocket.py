"""WebSocket frames (RFC 6455, section 5.2) plainly: to send what a peer would, and to read what it would be sent."""

from __future__ import annotations

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
