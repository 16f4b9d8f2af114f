"""What goes wrong on a connection, and what is then said: one table.

A `Fault` is a way for a connection to end. Whatever ends one, be it a status of the C core, an error found by a packet
module or a decision of the broker, is turned into a `Fault` here, and `Connection.end` does the rest: the DISCONNECT
for an MQTT 5.0 client, the line about the cause, and the line that the client is gone. MQTT 5.0, section 4.13.
"""

from __future__ import annotations

import os

from mosq.core import lib
from mosq.packets.error import (
    CLIENT_ID_NOT_VALID,
    DISALLOWED_FEATURE,
    DUPLICATE_PROPERTY,
    INVALID_INPUT,
    MALFORMED_PACKET,
    MALFORMED_UTF8,
    NOT_AUTHORISED,
    PROTOCOL_ERROR,
)

_OTHER = "bad socket read/write: "

PACKETS = (
    "RESERVED", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
    "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
)  # fmt: skip
"""The names of the packet types, by number."""


class Fault:
    """One way to end: the MQTT 5.0 DISCONNECT code (None: closed without a word), the text of the disconnect line, and
    a line about the cause (a %-format over `id`, `peer`, `type` and the core's numbers `a`, `b`, `c`; "": none)."""

    __slots__ = ("code", "text", "level", "line")

    def __init__(self, code: int | None, text: str, level: str = "", line: str = "") -> None:
        self.code = code
        self.text = text
        self.level = level
        self.line = line


def _error(code: int | None, text: str, line: str) -> Fault:
    return Fault(code, text, "I", line)


def _client_error(line: str, code: int = 0x82, text: str = PROTOCOL_ERROR) -> Fault:
    return Fault(code, text, "I", "Protocol error from %(id)s: " + line)


FAULTS: dict[int, Fault] = {
    lib.MQ_EOF: Fault(None, "connection closed by client."),
    lib.MQ_NOMEM: Fault(0x80, "out of memory."),
    # framing
    lib.MQ_NOT_CONNECT: _error(
        None, PROTOCOL_ERROR, "Protocol error from %(peer)s: First packet not CONNECT (%(a)02X)."
    ),
    lib.MQ_RESERVED: _error(0x82, PROTOCOL_ERROR, "Protocol error from %(peer)s: RESERVED packet."),
    lib.MQ_LENGTH: Fault(None, MALFORMED_PACKET),
    lib.MQ_OVERSIZE_FIXED: Fault(None, "oversize packet."),
    lib.MQ_OVERSIZE: Fault(0x95, "oversize packet."),
    # contents
    lib.MQ_MALFORMED: Fault(0x81, MALFORMED_PACKET),
    lib.MQ_PROTOCOL: Fault(0x82, PROTOCOL_ERROR),
    lib.MQ_UNKNOWN_PROPERTY: Fault(0x81, MALFORMED_PACKET, "D", "Unsupported property type: %(a)d"),
    lib.MQ_DUPLICATE_PROPERTY: Fault(0x82, DUPLICATE_PROPERTY),
    lib.MQ_BAD_UTF8: Fault(None, MALFORMED_UTF8),
    lib.MQ_NOT_ACTIVE: _client_error("%(type)s before session is active."),
    lib.MQ_NOT_FROM_CLIENT: _client_error("%(type)s when not a bridge."),
    lib.MQ_MID_ZERO: _client_error("%(type)s with mid = 0."),
    lib.MQ_REASON_CODE: _client_error("%(type)s with reason code = %(b)d."),
    lib.MQ_ACK_PROPERTIES: _client_error("%(type)s with invalid properties."),
    lib.MQ_PUBLISH_DUP_QOS0: _error(
        0x81, MALFORMED_PACKET, "Invalid PUBLISH (QoS=0 and DUP=1) from %(id)s, disconnecting."
    ),
    lib.MQ_PUBLISH_QOS3: _error(0x81, MALFORMED_PACKET, "Invalid QoS in PUBLISH from %(id)s, disconnecting."),
    lib.MQ_PUBLISH_QOS_MAX: _error(
        0x9B, _OTHER + "Requested QoS not supported on server", "Too high QoS in PUBLISH from %(id)s, disconnecting."
    ),
    lib.MQ_PUBLISH_RETAIN: Fault(0x9A, _OTHER + "Retain not supported"),
    lib.MQ_PUBLISH_ALIAS_MAX: Fault(0x94, "topic alias invalid."),
    lib.MQ_PUBLISH_ALIAS: _client_error("PUBLISH invalid topic alias (%(a)d)."),
    lib.MQ_PUBLISH_DUP_TWICE: _client_error("PUBLISH with dup = 2."),
    lib.MQ_PUBLISH_RECEIVE_MAX: Fault(0x93, "receive maximum exceeded."),
    lib.MQ_PUBREL_FLAGS: _client_error("PUBREL with non-zero reserved flags (%(a)02X)."),
    lib.MQ_ACK_QOS: _client_error("Mismatched QoS (%(a)d:%(b)d) when %(doing)s outgoing message."),
    lib.MQ_ACK_STATE: _client_error("Mismatched state (%(a)d:%(b)d) when %(doing)s outgoing message."),
    lib.MQ_QUOTA: Fault(None, _OTHER + "Quota exceeded"),
    lib.MQ_BAD_FILTER: Fault(0x81, MALFORMED_PACKET),
    lib.MQ_BAD_SHARE: Fault(0x82, PROTOCOL_ERROR),
    lib.MQ_STORE: Fault(0x97, _OTHER + "Quota exceeded"),
}
"""By status of the core (csrc/core.h). MQ_ERRNO is not here: its text is that of the error number."""

_ZERO_MID_PUBLISH = _client_error("PUBLISH packet with mid = 0.")
# What the broker itself decides. A fault without a text is an orderly end: the line says "disconnected." and no more.
CLEAN = Fault(None, "")
NAMELESS = Fault(0x98, "")
"""After a reload: the certificate does not make a user name as it should now."""
INTERNAL = Fault(0x80, _OTHER + "Unknown error")
TIMEOUT = Fault(None, "exceeded timeout.")
TAKEN_OVER = Fault(0x8E, "session taken over.")
OVERSIZE = Fault(None, "oversize packet.")
SECOND_CONNECT = Fault(0x82, PROTOCOL_ERROR, "N", "Bad client %(peer)s sending multiple CONNECT messages.")

_REFUSALS = {
    0x80: _OTHER + "Unspecified error",
    0x81: MALFORMED_PACKET,
    0x82: PROTOCOL_ERROR,
    0x83: "implementation specific error.",
    0x84: DISALLOWED_FEATURE,
    0x85: CLIENT_ID_NOT_VALID,
    0x86: "bad username or password.",
    0x87: NOT_AUTHORISED,
    0x88: "server unavailable.",
    0x89: "server busy.",
    0x8A: "client banned.",
    0x8C: "bad authentication method.",
    0x8E: "session taken over.",
    0x93: "receive maximum exceeded.",
    0x94: "topic alias invalid.",
    0x95: "oversize packet.",
    0x97: "quota exceeded.",
    0x98: "administrative action.",
    0x9A: DISALLOWED_FEATURE,
    0x9B: DISALLOWED_FEATURE,
    0x9F: "connection rate exceeded.",
}

NO_SUCH_METHOD = Fault(0x8C, DISALLOWED_FEATURE)
"""No authentication method of that name."""
LIMIT_REACHED = Fault(0x89, INVALID_INPUT)
"""global_max_clients."""
KEEPALIVE_TOO_LONG = Fault(0x82, INVALID_INPUT)
"""max_keepalive, for a client that cannot be told another value."""
STORE_FAILS = Fault(0x88, _REFUSALS[0x88])
"""What would have to be kept cannot be kept now."""
NO_IDENTITY = Fault(0x86, NOT_AUTHORISED)
"""No certificate, or one without a usable name, where the name is to be the user name."""
UNKNOWN = Fault(None, _OTHER + "Unknown error")
"""An authentication that gave no reason, or that another connection with the same client identifier waits for."""


def of_reason(code: int) -> Fault:
    """The fault of a refusal that carries a reason code of MQTT 5.0."""
    return Fault(code, _REFUSALS.get(code, _OTHER + "Unknown error"))


def of_status(status: int, numbers: tuple[int, int, int]) -> Fault:
    """The fault of a status of the core; `numbers` are those of mq_conn_fault."""
    a, b, _ = numbers
    if status == lib.MQ_ERRNO:
        return Fault(None, os.strerror(a) + ".")
    if status == lib.MQ_MID_ZERO and PACKETS[a & 15] == "PUBLISH":
        return _ZERO_MID_PUBLISH
    if status == lib.MQ_ACK_PROPERTIES:
        return _acknowledgement(a, b)
    return FAULTS.get(status, INTERNAL)


def _acknowledgement(packet: int, status: int) -> Fault:
    """Only PUBREC and PUBREL have a line of their own about their properties."""
    fault = FAULTS[status]
    if PACKETS[packet & 15] in ("PUBREC", "PUBREL"):
        return Fault(fault.code, fault.text, "I", FAULTS[lib.MQ_ACK_PROPERTIES].line)
    return fault


def describe(fault: Fault, client: str, peer: str, numbers: tuple[int, int, int]) -> str:
    """The line about the cause of `fault`, filled in."""
    a, b, c = numbers
    values = {
        "id": client, "peer": peer, "a": a, "b": b, "c": c,
        "type": PACKETS[a & 15], "doing": "updating" if c else "deleting",
    }  # fmt: skip
    return fault.line % values
