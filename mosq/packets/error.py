"""What the peer did wrong: `ProtocolError`, and the words for it.

The exception says everything its handler has to do: what to send, what to log, how the connection ended.
"""

from __future__ import annotations

LogLine = tuple[str, str, tuple[object, ...]]
"""Level (one letter), %-format, arguments."""

MALFORMED_PACKET = "malformed packet."
PROTOCOL_ERROR = "protocol error."
NOT_AUTHORISED = "not authorised."
CLIENT_ID_NOT_VALID = "client identifier not valid."
OVERSIZE_PAYLOAD = "oversize payload."
DISALLOWED_FEATURE = "used disallowed feature (QoS too high, retain not supported, or bad AUTH method)."
ACCESS_DENIED = "bad socket read/write: Access denied by ACL"
INVALID_INPUT = "bad socket read/write: Invalid input"
MALFORMED_UTF8 = "bad socket read/write: Malformed UTF-8"
DUPLICATE_PROPERTY = "bad socket read/write: Duplicate property in property list"


class ProtocolError(Exception):
    """The packet breaks a rule and the connection has to end.

    `code` is the MQTT 5.0 reason code of the DISCONNECT for an MQTT 5.0 client; None: say nothing. An error in CONNECT
    is never answered with a DISCONNECT but with `connack`, a whole packet in the form the client understands; b"": say
    nothing. `text` ends the disconnect line. `log` are the lines about the cause, to be written first.
    """

    __slots__ = ("code", "text", "log", "connack")

    def __init__(self, code: int | None, text: str, *log: LogLine, connack: bytes = b"") -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text
        self.log = log
        self.connack = connack


def malformed(*log: LogLine) -> ProtocolError:
    """A Malformed Packet (MQTT 5.0, section 4.13)."""
    return ProtocolError(0x81, MALFORMED_PACKET, *log)


def violation(*log: LogLine) -> ProtocolError:
    """A Protocol Error (MQTT 5.0, section 4.13)."""
    return ProtocolError(0x82, PROTOCOL_ERROR, *log)
