"""The debug lines of a client: one for each packet sent or received. Their form is fixed: scripts read them.

`name` is the client identifier as lines show it.
"""

from __future__ import annotations

_RECEIVED = {
    4: "received PUBACK (Mid: {mid}, RC:{rc})",
    5: "received PUBREC (Mid: {mid})",
    6: "received PUBREL (Mid: {mid})",
    7: "received PUBCOMP (Mid: {mid}, RC:{rc})",
    9: "received SUBACK",
    11: "received UNSUBACK",
    13: "received PINGRESP",
    15: "received AUTH",
}
_SENT = {
    1: "sending CONNECT",
    4: "sending PUBACK (m{mid}, rc{rc})",
    5: "sending PUBREC (m{mid}, rc{rc})",
    6: "sending PUBREL (m{mid})",
    7: "sending PUBCOMP (m{mid})",
    12: "sending PINGREQ",
    14: "sending DISCONNECT",
}


def packet(name: str, sent: bool, kind: int, mid: int = 0, rc: int = 0) -> str:
    """Any packet of type `kind` but those below."""
    return f"Client {name} {(_SENT if sent else _RECEIVED)[kind].format(mid=mid, rc=rc)}"


def publish(name: str, sent: bool, first: int, mid: int, topic: bytes, payload_n: int) -> str:
    """A PUBLISH with this first byte. An empty topic: an alias stands for it."""
    verb = "sending" if sent else "received"
    shown = topic.decode("utf-8", "replace") if topic else "(null)"
    return (
        f"Client {name} {verb} PUBLISH "
        f"(d{first >> 3 & 1}, q{first >> 1 & 3}, r{first & 1}, m{mid}, '{shown}', ... ({payload_n} bytes))"
    )


def subscribe(name: str, mid: int, topic_filter: bytes, options: int) -> str:
    """One filter of a SUBSCRIBE, with its options byte."""
    shown = topic_filter.decode("utf-8", "replace")
    settled = f"QoS: {options & 3}, Options: 0x{options & 0xFC:02x}"
    return f"Client {name} sending SUBSCRIBE (Mid: {mid}, Topic: {shown}, {settled})"


def unsubscribe(name: str, mid: int, topic_filter: bytes) -> str:
    """One filter of an UNSUBSCRIBE."""
    return f"Client {name} sending UNSUBSCRIBE (Mid: {mid}, Topic: {topic_filter.decode('utf-8', 'replace')})"


def connack(name: str | None, code: int) -> str:
    """A CONNACK, for a client whose identifier may be unknown still."""
    return f"Client {_or_null(name)} received CONNACK ({code})"


def duplicate_connack(name: str | None) -> str:
    return f"Client {_or_null(name)} received duplicate CONNACK"


def connack_flags(name: str | None, flags: int) -> str:
    return f"Client {_or_null(name)} received CONNACK with invalid connect flags ({flags})"


def session_present(name: str | None) -> str:
    return f"Client {_or_null(name)} received CONNACK with session present when clean start was set"


def _or_null(name: str | None) -> str:
    return "(null)" if name is None else name


def disconnect(reason: int) -> str:
    """A DISCONNECT of the server."""
    return f"Received DISCONNECT ({reason})"


def unknown_pubrec(name: str, mid: int) -> str:
    return f"Warning: Received PUBREC from {name} for an unknown packet identifier {mid}."


def too_large(n: int) -> str:
    """A PUBLISH that the server does not take, of `n` bytes."""
    return f"Dropping too large outgoing PUBLISH ({n} bytes)"


def unrecognised(kind: int) -> str:
    """A packet of a type that only clients send, or that MQTT does not have. The empty line belongs to it."""
    return f"Error: Unrecognised command {kind << 4}\n"
