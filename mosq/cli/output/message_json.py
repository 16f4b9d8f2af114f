"""The conversions %j and %J: a message as a JSON object, its payload as a string or as the JSON that it is."""

from __future__ import annotations

from collections.abc import Sequence

from mosq.cli.output import clock
from mosq.cli.output.json_reader import JsonError, copy
from mosq.cli.output.json_writer import Writer, string
from mosq.packets.properties import (
    CONTENT_TYPE,
    CORRELATION_DATA,
    MESSAGE_EXPIRY,
    PAYLOAD_FORMAT,
    RESPONSE_TOPIC,
    SUBSCRIPTION_ID,
    TOPIC_ALIAS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mosq.cli.output import Complain, Received
    from mosq.cli.output.conversions import Field
    from mosq.core import Property

_NAMES = {
    PAYLOAD_FORMAT: b"payload-format-indicator",
    MESSAGE_EXPIRY: b"message-expiry-interval",
    CONTENT_TYPE: b"content-type",
    RESPONSE_TOPIC: b"response-topic",
    CORRELATION_DATA: b"correlation-data",
    SUBSCRIPTION_ID: b"subscription-identifier",
    TOPIC_ALIAS: b"topic-alias",
}


def field(payload_as_json: bool, pretty: bool, complain: Complain) -> Field:
    """The function of %J, or %j. A payload that is no JSON prints nothing but a complaint."""

    def write(message: Received, now: int) -> bytes:
        writer = Writer(pretty)
        _head(writer, message, now)
        writer.key(b'"payload"')
        if not message.payload:
            writer.value(b"null")
        elif payload_as_json:
            try:
                copy(message.payload, writer)
            except JsonError:
                complain(b"Error: Message payload is not valid JSON on topic %b.\n" % message.topic)
                return b""
        else:
            writer.value(string(message.payload))
        writer.end()
        return writer.text()

    return write


def _head(writer: Writer, message: Received, now: int) -> None:
    """Everything before the payload."""
    writer.begin(b"{")
    writer.member(b"tst", string(clock.iso_fraction(now)))
    writer.member(b"topic", string(message.topic))
    writer.member(b"qos", b"%d" % message.qos)
    writer.member(b"retain", b"true" if message.retain else b"false")
    writer.member(b"payloadlen", b"%d" % len(message.payload))
    if message.qos:
        writer.member(b"mid", b"%d" % message.mid)
    if message.properties:
        _properties(writer, message.properties)


def _properties(writer: Writer, properties: Sequence[Property]) -> None:
    """In the order received, the user properties all where the first of them is."""
    writer.key(b'"properties"')
    writer.begin(b"{")
    user = [value for _, value in properties if isinstance(value, tuple)]
    for identifier, value in properties:
        if isinstance(value, tuple):
            if user:
                _user_properties(writer, user)
                user = []
        elif isinstance(value, bytes):
            writer.member(_NAMES[identifier], string(value))
        else:
            writer.member(_NAMES[identifier], b"%d" % value)
    writer.end()


def _user_properties(writer: Writer, pairs: Sequence[tuple[bytes, bytes]]) -> None:
    writer.key(b'"user-properties"')
    writer.begin(b"[")
    for name, value in pairs:
        writer.begin(b"{")
        writer.member(name, string(value))
        writer.end()
    writer.end()
