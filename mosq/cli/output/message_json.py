"""The conversions %j and %J: a message as a JSON object, its payload as a string or as the JSON that it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mosq.cli.output import clock
from mosq.cli.output.json_reader import JsonError, copy, simple
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

_HEADS = {
    False: b'{"tst":"%b","topic":%b,"qos":%d,"retain":%b,"payloadlen":%d',
    True: b'{\n\t"tst":\t"%b",\n\t"topic":\t%b,\n\t"qos":\t%d,\n\t"retain":\t%b,\n\t"payloadlen":\t%d',
}
"""What every message has, dense and indented."""
_MEMBERS = {False: b',"%b":%b', True: b',\n\t"%b":\t%b'}
_ENDS = {False: b"}", True: b"\n}"}
_BOOLEANS = (b"false", b"true")

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
    head, member, end = _HEADS[pretty], _MEMBERS[pretty], _ENDS[pretty]
    copied = _copier(pretty) if payload_as_json else string

    def write(message: Received, now: int) -> bytes:
        payload = message.payload
        if not payload:
            value = b"null"
        else:
            try:
                value = copied(payload)
            except JsonError:
                complain(b"Error: Message payload is not valid JSON on topic %b.\n" % message.topic)
                return b""
        qos, properties = message.qos, message.properties
        text = head % (
            clock.iso_fraction(now), string(message.topic), qos, _BOOLEANS[message.retain], len(payload),
        )  # fmt: skip
        if qos:
            text += member % (b"mid", b"%d" % message.mid)
        if properties:
            text += member % (b"properties", _properties(properties, pretty))
        return text + member % (b"payload", value) + end

    return write


def _copier(pretty: bool) -> Callable[[bytes], bytes]:
    """A function that writes the JSON of a payload again, and raises JsonError."""

    def copied(payload: bytes) -> bytes:
        writer = Writer(pretty, inside=b"{")
        copy(payload, writer)
        return writer.text()

    if pretty:
        return copied
    from json import loads  # only where it is wanted

    def dense(payload: bytes) -> bytes:
        text = simple(payload, loads)
        return copied(payload) if text is None else text

    return dense


def _properties(properties: Sequence[Property], pretty: bool) -> bytes:
    """In the order received, the user properties all where the first of them is."""
    writer = Writer(pretty, inside=b"{")
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
    return writer.text()


def _user_properties(writer: Writer, pairs: Sequence[tuple[bytes, bytes]]) -> None:
    writer.key(b'"user-properties"')
    writer.begin(b"[")
    for name, value in pairs:
        writer.begin(b"{")
        writer.member(name, string(value))
        writer.end()
    writer.end()
