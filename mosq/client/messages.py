"""Messages that a client received: a batch for each time the socket was read.

Theory of operation. The core copies the messages of one read into one piece of memory, topic, properties and payload
one behind the other, and describes each by six numbers. A `Batch` holds both. What is asked for is cut out when it is
asked for, so a batch that is only counted, or printed in one of the usual forms (`lines`), costs nothing per message in
Python.
"""

from __future__ import annotations

from mosq.core import ffi, lib, walk_properties

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from mosq.core import Property

_AT, _TOPIC_N, _PROPERTIES_N, _PAYLOAD_N, _MID, _FIRST = range(6)
"""The numbers of mq_received (csrc/client.h)."""
_WORDS = 6


class Message:
    """One received message. `topic`, `payload`: bytes; `mid`: 0 with QoS 0; `encoded_properties`: as on the wire,
    without their length in front (MQTT 5.0, section 3.3.2.3), b"" before MQTT 5.0."""

    __slots__ = ("topic", "payload", "qos", "retain", "dup", "mid", "encoded_properties")

    def __init__(self, data: bytes, words: memoryview[int], at: int) -> None:
        start, topic_n, properties_n, payload_n, self.mid, first = words[at : at + _WORDS]
        middle = start + topic_n
        end = middle + properties_n
        self.topic = data[start:middle]
        self.encoded_properties = data[middle:end]
        self.payload = data[end : end + payload_n]
        self.qos = first >> 1 & 3
        self.retain = bool(first & 1)
        self.dup = bool(first & 8)

    @property
    def properties(self) -> list[Property]:
        """The properties in the order received, as (identifier, value): see mosq.core.Property."""
        if not self.encoded_properties:
            return []
        return walk_properties(lib.MQ_IN_DELIVERY, self.encoded_properties)[1]


class Batch:
    """Messages in the order received. `len()` and iteration go over them; it may be kept."""

    __slots__ = ("_data", "_words")

    def __init__(self, data: bytes, words: bytes) -> None:
        self._data = data
        self._words = memoryview(words).cast("I")

    def __len__(self) -> int:
        return len(self._words) // _WORDS

    def __iter__(self) -> Iterator[Message]:
        data, words = self._data, self._words
        return (Message(data, words, at) for at in range(0, len(words), _WORDS))

    def __getitem__(self, index: int) -> Message:
        """Raises IndexError. No slices, no negative indexes."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        return Message(self._data, self._words, index * _WORDS)

    def payloads(self) -> list[bytes]:
        """The payloads alone."""
        data, words = self._data, self._words
        out = []
        for at in range(0, len(words), _WORDS):
            start = words[at] + words[at + _TOPIC_N] + words[at + _PROPERTIES_N]
            out.append(data[start : start + words[at + _PAYLOAD_N]])
        return out

    def lines(self, *, topics: bool, newline: bool) -> bytes:
        """All messages as the default form of output (`topics`: the verbose one) has them, in one piece.

        A payload and a newline; nothing at all for an empty payload. Verbose: topic, space and payload, "(null)" where
        the payload is empty, and a newline. Without `newline` there is none, and nothing at all for empty payloads.
        """
        data, words = self._data, self._words
        source = ffi.from_buffer("mq_received[]", words)
        n = len(self)
        room = len(data) + n * 8
        out = ffi.new("uint8_t[]", room)
        used = lib.mq_received_lines(ffi.from_buffer(data), source, n, topics, newline, out)
        return bytes(ffi.buffer(out, used))


def batch_of(data: Any, data_n: int, received: Any, n: int) -> Batch:
    """A batch of what the core handed up: pointers that hold no longer than this call."""
    return Batch(bytes(ffi.buffer(data, data_n)), bytes(ffi.buffer(received, n * _WORDS * 4)))
