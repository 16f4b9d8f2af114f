"""The data types of MQTT, read from a packet one after the other (MQTT 5.0, section 1.5).

A `Reader` stands in a packet's body and moves on with each value it reads. A string or binary whose length is there but
whose bytes are not leaves it behind the length, so that what follows counts as left over.
"""

from __future__ import annotations

from mosq.core import lib
from mosq.packets.error import malformed


class TruncatedError(Exception):
    """The packet ends before the value does."""


class TextError(Exception):
    """A string that is not permitted UTF-8 (MQTT 5.0, section 1.5.4)."""


class Reader:
    """A position in the body of a packet. Raises TruncatedError and TextError."""

    __slots__ = ("data", "pos", "end")

    def __init__(self, data: bytes, pos: int = 0) -> None:
        self.data = data
        self.pos = pos
        self.end = len(data)

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return self.end - self.pos

    def byte(self) -> int:
        pos = self.pos
        if pos >= self.end:
            raise TruncatedError
        self.pos = pos + 1
        return self.data[pos]

    def two_bytes(self) -> int:
        pos = self.pos
        if pos + 2 > self.end:
            raise TruncatedError
        self.pos = pos + 2
        return self.data[pos] << 8 | self.data[pos + 1]

    def variable(self) -> int:
        """A variable byte integer in its shortest form; a longer one counts as truncated."""
        value = shift = 0
        while shift < 28:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift:
                    break
                return value
            shift += 7
        raise TruncatedError

    def binary(self) -> bytes:
        n = self.two_bytes()
        start = self.pos
        if start + n > self.end:
            raise TruncatedError
        self.pos = start + n
        return self.data[start : start + n]

    def string(self) -> bytes:
        """A UTF-8 string, as bytes."""
        text = self.binary()
        if not lib.mq_utf8_valid(text, len(text)):
            raise TextError
        return text


def identified(first: int, expected: int, body: bytes) -> tuple[Reader, int]:
    """A packet whose body begins with a packet identifier: the rest of it, and that. Raises ProtocolError for another
    first byte, and for no identifier or 0 (MQTT-2.2.1-3)."""
    reader = Reader(body)
    try:
        mid = reader.two_bytes()
    except TruncatedError:
        raise malformed() from None
    if first != expected or mid == 0:
        raise malformed()
    return reader, mid
