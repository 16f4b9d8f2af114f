"""UNSUBSCRIBE (MQTT 5.0, section 3.10). As in SUBSCRIBE, each filter is acted upon before the next is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mosq.core import Property, lib
from mosq.packets.error import LogLine, malformed
from mosq.packets.properties import PropertyError, block, read, string, variable
from mosq.packets.reader import Reader, TextError, TruncatedError, identified
from mosq.record import Record

FIRST_BYTE = 0xA2


class Unsubscribe(Record):
    """An UNSUBSCRIBE up to its filters."""

    version: int
    mid: int
    properties: Sequence[Property]
    reader: Reader
    client_id: str

    def filters(self) -> Iterator[bytes]:
        """Each topic filter, valid and without mount point. Raises ProtocolError."""
        reader = self.reader
        if not reader.left and self.version > 3:
            raise malformed()  # [MQTT-3.10.3-2]
        while reader.left:
            try:
                topic_filter = reader.string()
            except (TruncatedError, TextError):
                raise malformed() from None
            if not topic_filter:
                raise malformed(self._line("Empty unsubscription string from %s, disconnecting."))
            if not lib.mq_filter_valid(topic_filter, len(topic_filter)):
                raise malformed(self._line("Invalid unsubscription string from %s, disconnecting."))
            yield topic_filter

    def _line(self, fmt: str) -> LogLine:
        return ("I", fmt, (self.client_id,))


def parse(version: int, first: int, body: bytes, client_id: str) -> Unsubscribe:
    """An UNSUBSCRIBE of an active session. Raises ProtocolError.

    Its debug line is written when the first byte is FIRST_BYTE, before parsing.
    """
    reader, mid = identified(first, FIRST_BYTE, body)  # [MQTT-3.10.1-1]
    properties: Sequence[Property] = ()
    if version == 5:
        properties = _properties(reader, client_id)
    return Unsubscribe(version, mid, properties, reader, client_id)


def _properties(reader: Reader, client_id: str) -> Sequence[Property]:
    try:
        return read(reader, lib.MQ_IN_UNSUBSCRIBE)
    except PropertyError as error:
        if error.misplaced:
            line = "Protocol error from %s: UNSUBSCRIBE packet with invalid properties."
            raise malformed(("I", line, (client_id,))) from None
        raise


def encode(version: int, mid: int, filters: Iterable[bytes], properties: Sequence[Property] = ()) -> bytes:
    """An UNSUBSCRIBE of a client."""
    body = bytes((mid >> 8, mid & 0xFF)) + (block(properties) if version == 5 else b"")
    body += b"".join(string(topic_filter) for topic_filter in filters)
    return bytes((FIRST_BYTE,)) + variable(len(body)) + body
