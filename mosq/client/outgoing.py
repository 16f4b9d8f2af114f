"""What is to be published, checked and in the form the core takes it (`mq_outgoing`, csrc/client.h)."""

from __future__ import annotations

from struct import error

from mosq.client.errors import (
    DUPLICATE_PROPERTY,
    INVALID,
    MALFORMED,
    MALFORMED_UTF8,
    NOT_SUPPORTED,
    PROTOCOL,
    ClientError,
)
from mosq.core import ffi, lib, walk_properties
from mosq.packets.properties import TOPIC_ALIAS, encode

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from mosq.core import Property

_STATUSES = {
    lib.MQ_MALFORMED: MALFORMED,
    lib.MQ_PROTOCOL: PROTOCOL,
    lib.MQ_DUPLICATE_PROPERTY: DUPLICATE_PROPERTY,
    lib.MQ_BAD_UTF8: MALFORMED_UTF8,
}


def check_properties(version: int, place: int, properties: Sequence[Property]) -> None:
    """Whether a packet may have these properties. `place`: one of lib.MQ_IN_... Raises ClientError: NOT_SUPPORTED
    before MQTT 5.0; INVALID for what does not fit its field; PROTOCOL for a value or identifier that may not be there;
    DUPLICATE_PROPERTY; MALFORMED_UTF8."""
    if not properties:
        return
    if version < 5:
        raise ClientError(NOT_SUPPORTED)
    try:
        encoded = encode(properties)
    except (ValueError, error):
        raise ClientError(INVALID) from None
    status = walk_properties(place, encoded)[0]
    if status != lib.MQ_OK:
        raise ClientError(_STATUSES.get(status, MALFORMED))


class Outgoing:
    """Topic, QoS, RETAIN and properties of one or many messages. Raises ClientError for what may not be published."""

    __slots__ = ("c", "qos", "_kept")

    def __init__(self, version: int, topic: bytes, qos: int, retain: bool, properties: Sequence[Property]) -> None:
        if len(topic) > 0xFFFF or not lib.mq_topic_valid(topic, len(topic)):
            raise ClientError(INVALID)
        if not lib.mq_utf8_valid(topic, len(topic)):
            raise ClientError(MALFORMED_UTF8)
        check_properties(version, lib.MQ_IN_PUBLISH, properties)
        stated = encode([item for item in properties if item[0] != TOPIC_ALIAS])
        self.qos = qos
        self.c: Any = ffi.new("mq_outgoing *")
        self._kept = (ffi.from_buffer("uint8_t[]", topic), ffi.from_buffer("uint8_t[]", stated))
        self.c.topic, self.c.properties = self._kept
        self.c.topic_n, self.c.properties_n = len(topic), len(stated)
        self.c.qos, self.c.retain = qos, retain
        for identifier, value in properties:
            if identifier == TOPIC_ALIAS and isinstance(value, int):
                self.c.alias = value
