"""How things end, as numbers and texts: errors of the client, reason codes of MQTT 5.0, return codes of MQTT 3.

The numbers are what the command line tools exit with, so they are part of their interface. Each table stands here once.
"""

from __future__ import annotations

import os
from errno import EPROTO

SUCCESS = 0
NO_MEMORY = 1
PROTOCOL = 2
INVALID = 3
NO_CONNECTION = 4
REFUSED = 5
LOST = 7
TLS = 8
PAYLOAD_SIZE = 9
NOT_SUPPORTED = 10
NOT_AUTHORISED = 11
DENIED = 12
UNKNOWN = 13
ERRNO = 14
LOOKUP = 15
PROXY = 16
MALFORMED_UTF8 = 18
KEEPALIVE = 19
MALFORMED = 21
DUPLICATE_PROPERTY = 22
TLS_HANDSHAKE = 23
QOS_NOT_SUPPORTED = 24
PACKET_TOO_LARGE = 25
TIMEOUT = 27

FATAL = frozenset(
    {
        NO_MEMORY, PROTOCOL, INVALID, TLS, PAYLOAD_SIZE, NOT_SUPPORTED, NOT_AUTHORISED, DENIED, UNKNOWN, LOOKUP, PROXY,
    }
)  # fmt: skip
"""Errors after which another attempt to connect makes no sense."""

REASONS: dict[int, str] = {
    0: "Success",
    1: "Granted QoS 1",
    2: "Granted QoS 2",
    4: "Disconnect with Will Message",
    16: "No matching subscribers",
    17: "No subscription existed",
    24: "Continue authentication",
    25: "Re-authenticate",
    128: "Unspecified error",
    129: "Malformed Packet",
    130: "Protocol Error",
    131: "Implementation specific error",
    132: "Unsupported Protocol Version",
    133: "Client Identifier not valid",
    134: "Bad User Name or Password",
    135: "Not authorized",
    136: "Server unavailable",
    137: "Server busy",
    138: "Banned",
    139: "Server shutting down",
    140: "Bad authentication method",
    141: "Keep Alive timeout",
    142: "Session taken over",
    143: "Topic Filter invalid",
    144: "Topic Name invalid",
    145: "Packet Identifier in use",
    146: "Packet Identifier not found",
    147: "Receive Maximum exceeded",
    148: "Topic Alias invalid",
    149: "Packet too large",
    150: "Message rate too high",
    151: "Quota exceeded",
    152: "Administrative action",
    153: "Payload format invalid",
    154: "Retain not supported",
    155: "QoS not supported",
    156: "Use another server",
    157: "Server moved",
    158: "Shared Subscriptions not supported",
    159: "Connection rate exceeded",
    160: "Maximum connect time",
    161: "Subscription identifiers not supported",
    162: "Wildcard Subscriptions not supported",
}
"""MQTT 5.0, section 2.4."""

_RETURN_CODES = {
    1: "unacceptable protocol version",
    2: "identifier rejected",
    3: "broker unavailable",
    4: "bad user name or password",
    5: "not authorised",
}

TEXTS: dict[int, str] = {
    SUCCESS: "Success",
    NO_MEMORY: "Out of memory",
    PROTOCOL: "A network protocol error occurred when communicating with the broker",
    INVALID: "Invalid input",
    NO_CONNECTION: "The client is not currently connected",
    REFUSED: "The connection was refused",
    6: "Message not found (internal error)",
    LOST: "The connection was lost",
    TLS: "A TLS error occurred",
    PAYLOAD_SIZE: "Payload too large",
    NOT_SUPPORTED: "This feature is not supported",
    NOT_AUTHORISED: "Authorisation failed",
    DENIED: "Access denied by ACL",
    UNKNOWN: "Unknown error",
    LOOKUP: "Lookup error",
    PROXY: "Proxy error",
    17: "Plugin deferring result",
    MALFORMED_UTF8: "Malformed UTF-8",
    KEEPALIVE: "Keepalive exceeded",
    20: "DNS Lookup failed",
    MALFORMED: "Malformed packet",
    DUPLICATE_PROPERTY: "Duplicate property in property list",
    TLS_HANDSHAKE: "TLS handshake failed",
    QOS_NOT_SUPPORTED: "Requested QoS not supported on server",
    PACKET_TOO_LARGE: "Packet larger than supported by the server",
    26: "OCSP error",
    TIMEOUT: "Timeout",
    31: "Entry already exists",
    32: "Ignore plugin",
    33: "Bad http origin",
    **{code: text for code, text in REASONS.items() if code >= 128},
    # Where a number is an error of the client, its text is not always that of the reason code. Scripts match these.
    131: "Implementaion specific error",
    133: "Client identifier not valid",
    134: "Bad username or password",
    147: "Receive maximum exceeded",
    148: "Topic alias invalid",
    154: "Retain not supported",
    159: "Connection rate exceeded",
}


def text_of(code: int, errno: int = 0) -> str:
    """The text of an error. `errno` is the system's number that goes with ERRNO."""
    if code == ERRNO:
        return os.strerror(errno)
    return TEXTS.get(code, TEXTS[UNKNOWN])


def reason_text(reason: int) -> str:
    """The text of an MQTT 5.0 reason code."""
    return REASONS.get(reason, "Unknown reason")


def refusal_text(version: int, code: int) -> str:
    """The text of a CONNACK that refuses, for protocol level 3, 4 or 5."""
    if version == 5:
        return reason_text(code)
    return "Connection Refused: " + _RETURN_CODES.get(code, "unknown reason")


class ClientError(Exception):
    """Something ended, or could not be done. `code` is one of the numbers above, `str()` its text.

    `errno` goes with ERRNO. `reason`: the MQTT 5.0 reason code of the DISCONNECT, or the code of the CONNACK, that the
    server gave (0: none). `lines`: debug lines about the cause, to be shown before.
    """

    def __init__(self, code: int, *, errno: int = 0, reason: int = 0, lines: tuple[str, ...] = ()) -> None:
        super().__init__(code)
        self.code = code
        self.errno = errno
        self.reason = reason
        self.lines = lines

    def __str__(self) -> str:
        return text_of(self.code, self.errno)

    @property
    def fatal(self) -> bool:
        """Whether another attempt to connect makes no sense."""
        return self.code in FATAL or (self.code == ERRNO and self.errno == EPROTO)  # a TLS handshake
