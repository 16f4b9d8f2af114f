"""SUBSCRIBE (MQTT 5.0, section 3.8).

The filters are read one at a time: each is acted upon before the next is looked at, so a bad filter does not undo the
good ones before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mosq.core import Property, lib
from mosq.packets.error import LogLine, malformed, violation
from mosq.packets.properties import SUBSCRIPTION_ID, PropertyError, block, read, string, variable
from mosq.packets.reader import Reader, TextError, TruncatedError, identified
from mosq.record import Record

FIRST_BYTE = 0x82
_NO_LOCAL = 0x04


class Subscribe(Record):
    """A SUBSCRIBE up to its filters. `subscription_id` 0: none. `address` is the peer's, without port."""

    version: int
    mid: int
    subscription_id: int
    properties: Sequence[Property]
    reader: Reader
    client_id: str
    address: str

    def filters(self) -> Iterator[tuple[bytes, int]]:
        """Each topic filter (valid, without mount point) with its options byte (MQTT 5.0, section 3.8.3.1; before
        MQTT 5.0: the QoS, as all else is 0). Raises ProtocolError."""
        reader = self.reader
        if not reader.left and self.version > 3:
            raise malformed()  # [MQTT-3.8.3-2]
        while reader.left:
            try:
                topic_filter = reader.string()
                if not topic_filter:
                    raise malformed()
                if not lib.mq_filter_valid(topic_filter, len(topic_filter)):
                    raise malformed(self._line("Invalid subscription string from %s, disconnecting."))
                options = reader.byte()
            except (TruncatedError, TextError):
                raise malformed() from None
            self._check_options(topic_filter, options)
            yield topic_filter, options

    def _check_options(self, topic_filter: bytes, options: int) -> None:
        if options & _NO_LOCAL and topic_filter.startswith(b"$share/"):
            line = "Protocol error from %s: $share subscription with no-local set."
            raise violation(("I", line, (self.client_id,)))  # [MQTT-3.8.3-4]
        if self.version == 5 and (options & 0xC0 or options & 0x30 == 0x30):
            raise malformed()  # [MQTT-3.8.3-5]
        qos = options & 3 if self.version == 5 else options
        if qos > 2:
            raise malformed(self._line("Invalid QoS in subscription command from %s, disconnecting."))

    def _line(self, fmt: str) -> LogLine:
        return ("I", fmt, (self.address,))


def parse(version: int, first: int, body: bytes, client_id: str, address: str) -> Subscribe:
    """A SUBSCRIBE of an active session. Raises ProtocolError.

    Its debug line is written when the first byte is FIRST_BYTE, before parsing.
    """
    reader, mid = identified(first, FIRST_BYTE, body)  # [MQTT-3.8.1-1]
    properties: Sequence[Property] = ()
    if version == 5:
        properties = _properties(reader, client_id)
    subscription_id = 0
    for identifier, value in properties:
        if identifier == SUBSCRIPTION_ID and isinstance(value, int):
            subscription_id = value
    return Subscribe(version, mid, subscription_id, properties, reader, client_id, address)


def _properties(reader: Reader, client_id: str) -> Sequence[Property]:
    """A property that has no place here is malformed; a subscription identifier of 0 is a protocol error."""
    try:
        return read(reader, lib.MQ_IN_SUBSCRIBE)
    except PropertyError as error:
        if error.misplaced and error.identifier != SUBSCRIPTION_ID:
            line = "Protocol error from %s: SUBSCRIBE packet with invalid properties."
            raise malformed(("I", line, (client_id,))) from None
        raise


def encode(version: int, mid: int, filters: Iterable[tuple[bytes, int]], properties: Sequence[Property] = ()) -> bytes:
    """A SUBSCRIBE of a client: topic filters, each with its options byte (before MQTT 5.0: the QoS)."""
    body = bytes((mid >> 8, mid & 0xFF)) + (block(properties) if version == 5 else b"")
    body += b"".join(string(topic_filter) + bytes((options,)) for topic_filter, options in filters)
    return bytes((FIRST_BYTE,)) + variable(len(body)) + body
