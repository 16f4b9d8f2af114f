"""The option -D: `command identifier value`, the command being the packet that is to carry the property.

The names are MQTT 5.0's (section 2.2.2.2), in lower case with hyphens. A value is checked here for what its type can
hold; whether the packet may have it is for the packet's encoder.
"""

from __future__ import annotations

from collections.abc import Iterator

from mosq.cli.client.numbers import atol
from mosq.cli.client.settings import Settings, UsageError
from mosq.core import lib
from mosq.packets import properties as prop

_BYTE, _TWO_BYTE, _FOUR_BYTE, _VARIABLE, _BINARY, _STRING, _PAIR = range(1, 8)
_LARGEST = {_BYTE: 0xFF, _TWO_BYTE: 0xFFFF, _FOUR_BYTE: 0xFFFFFFFF, _VARIABLE: 0xFFFFFFFF}
_LARGEST_VARIABLE = 0xFFFFFFF
_LONGEST = 0xFFFF

SENT = frozenset(("connect", "publish", "subscribe", "unsubscribe", "disconnect", "will"))
"""The packets that properties can be given for."""
_ACKS = "puback pubrec pubrel pubcomp suback unsuback"
_COMMANDS = SENT | frozenset(f"connack auth {_ACKS}".split())

_PROPERTIES = {
    "payload-format-indicator": (prop.PAYLOAD_FORMAT, _BYTE, "publish will"),
    "message-expiry-interval": (prop.MESSAGE_EXPIRY, _FOUR_BYTE, "publish will"),
    "content-type": (prop.CONTENT_TYPE, _STRING, "publish will"),
    "response-topic": (prop.RESPONSE_TOPIC, _STRING, "publish will"),
    "correlation-data": (prop.CORRELATION_DATA, _BINARY, "publish will"),
    "subscription-identifier": (prop.SUBSCRIPTION_ID, _VARIABLE, "publish subscribe"),
    "session-expiry-interval": (prop.SESSION_EXPIRY, _FOUR_BYTE, "connect connack disconnect"),
    "assigned-client-identifier": (prop.ASSIGNED_CLIENT_ID, _STRING, "connack"),
    "server-keep-alive": (prop.SERVER_KEEP_ALIVE, _TWO_BYTE, "connack"),
    "authentication-method": (prop.AUTH_METHOD, _STRING, "connect connack auth"),
    "authentication-data": (prop.AUTH_DATA, _BINARY, "connect connack auth"),
    "request-problem-information": (prop.REQUEST_PROBLEM, _BYTE, "connect"),
    "will-delay-interval": (prop.WILL_DELAY, _FOUR_BYTE, "will"),
    "request-response-information": (prop.REQUEST_RESPONSE, _BYTE, "connect"),
    "response-information": (prop.RESPONSE_INFORMATION, _STRING, "connack"),
    "server-reference": (prop.SERVER_REFERENCE, _STRING, "connack disconnect"),
    "reason-string": (prop.REASON_STRING, _STRING, f"connack disconnect auth will {_ACKS}"),
    "receive-maximum": (prop.RECEIVE_MAXIMUM, _TWO_BYTE, "connect connack"),
    "topic-alias-maximum": (prop.TOPIC_ALIAS_MAXIMUM, _TWO_BYTE, "connect connack"),
    "topic-alias": (prop.TOPIC_ALIAS, _TWO_BYTE, "publish"),
    "maximum-qos": (prop.MAXIMUM_QOS, _BYTE, "connack"),
    "retain-available": (prop.RETAIN_AVAILABLE, _BYTE, "connack"),
    "user-property": (prop.USER_PROPERTY, _PAIR, " ".join(_COMMANDS)),
    "maximum-packet-size": (prop.MAXIMUM_PACKET_SIZE, _FOUR_BYTE, "connect connack"),
    "wildcard-subscription-available": (prop.WILDCARD_AVAILABLE, _BYTE, "connack"),
    "subscription-identifier-available": (prop.SUBSCRIPTION_ID_AVAILABLE, _BYTE, "connack"),
    "shared-subscription-available": (prop.SHARED_AVAILABLE, _BYTE, "connack"),
}
"""Name: (identifier, type, packets that have it)."""


def names(command: str) -> list[str]:
    """The properties that can be given for a packet."""
    return [name for name in _PROPERTIES if command in SENT and _permitted(command, name)]


def take(settings: Settings, words: Iterator[bytes]) -> None:
    """Read the words that follow -D. Raises UsageError."""
    command, name, value = next(words, None), next(words, None), next(words, None)
    if command is None or name is None or value is None:
        raise _too_few()
    packet, known = _lower(command), _lower(name)
    if packet not in _COMMANDS:
        raise _wrong(b"Invalid command %s given", command)
    if known not in _PROPERTIES:
        raise _wrong(b"Invalid property name %s given", name)
    identifier, kind, places = _PROPERTIES[known]
    if packet not in places.split():
        raise _wrong(b"%s property not allowed for %s", name, command)
    second = next(words, None) if kind == _PAIR else b""
    if second is None:
        raise _too_few()
    if packet == "connack":
        raise UsageError(b"")
    if not _permitted(packet, known):
        raise _wrong(b"%s property not supported for %s", name, command)
    settings.properties.setdefault(packet, []).append((identifier, _value(kind, name, value, second)))
    settings.version = 5


def _permitted(packet: str, name: str) -> bool:
    if name == "subscription-identifier":  # in a PUBLISH it is the server's
        return packet == "subscribe"
    return packet in SENT and packet in _PROPERTIES[name][2].split()


def _lower(word: bytes) -> str:
    return word.decode("ascii", "replace").lower()


def _value(kind: int, name: bytes, value: bytes, second: bytes) -> int | bytes | tuple[bytes, bytes]:
    if kind in _LARGEST:
        return _number(kind, name, atol(value))
    if kind == _BINARY:
        if len(value) > _LONGEST:
            raise UsageError(b"Error: Property value too long for property %s." % name, spaced=True)
        return value
    if not (_is_string(value) and _is_string(second)):
        raise _unfit(name, kind)
    return (value, second) if kind == _PAIR else value


def _number(kind: int, name: bytes, value: int) -> int:
    if not 0 <= value <= _LARGEST[kind]:
        raise UsageError(b"Error: Property value (%d) out of range for property %s." % (value, name), spaced=True)
    if kind == _VARIABLE and value > _LARGEST_VARIABLE:
        raise _unfit(name, kind)
    return value


def _is_string(value: bytes) -> bool:
    """A UTF-8 string of MQTT (section 1.5.4)."""
    return len(value) <= _LONGEST and bool(lib.mq_utf8_valid(value, len(value)))


def _unfit(name: bytes, kind: int) -> UsageError:
    return UsageError(b"Error adding property %s %d" % (name, kind))


def _wrong(what: bytes, *names: bytes) -> UsageError:
    return UsageError(b"Error: " + what % names + b" in --property argument.", spaced=True)


def _too_few() -> UsageError:
    return UsageError(b"Error: --property argument given but not enough arguments specified.", spaced=True)
