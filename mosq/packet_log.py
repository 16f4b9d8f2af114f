"""Log lines about the packets that the core handles by itself: debug lines for each, and notices about a few.

The core calls these in the middle of its work, so they write lines and do nothing else.
"""

from __future__ import annotations

from mosq.core import lib
from mosq.faults import PACKETS
from mosq.log import Log

_PUBLISH = 3
_PUBACK, _PUBREC, _PUBREL, _PUBCOMP = 4, 5, 6, 7
_DUP, _RETAIN = 0x08, 0x01

_RECEIVED = {
    lib.MQ_TRACE_PLAIN: "Received PUBLISH from",
    lib.MQ_TRACE_DENIED: "Denied PUBLISH from",
    lib.MQ_TRACE_TOO_LARGE: "Dropped too large PUBLISH from",
}
_SENT = {
    lib.MQ_TRACE_PLAIN: "Sending PUBLISH to",
    lib.MQ_TRACE_DENIED: "Denied PUBLISH to",
    lib.MQ_TRACE_TOO_LARGE: "Sending PUBLISH to",
}

NOTICES = {
    lib.MQ_NOTICE_DROPPING: ("N", "Outgoing messages are being dropped for client %(id)s."),
    lib.MQ_NOTICE_TOO_LARGE: ("N", "Dropping too large outgoing PUBLISH for %(id)s (%(value)d bytes)"),
    lib.MQ_NOTICE_REUSED_MID: ("W", "Reused message ID %(value)d from %(id)s detected. Clearing from storage."),
    lib.MQ_NOTICE_RECEIVE_MAX: (
        "W",
        "Client %(id)s has exceeded its receive-maximum quota. This behaviour must be fixed on the client.",
    ),
    lib.MQ_NOTICE_UNKNOWN_PUBREC: (
        "W",
        "Warning: Received PUBREC from %(id)s for an unknown packet identifier %(value)d.",
    ),
}
"""By enum mq_notice: level and %-format."""


def notice(log: Log, kind: int, client_id: bytes, value: int) -> None:
    """One of NOTICES about a client."""
    level, line = NOTICES[kind]
    if log.wants(level):
        log.write(level, line % {"id": client_id.decode(), "value": value})


def packet(
    log: Log, sent: int, client: str, first: int, mid: int, rc: int, topic: bytes, payload_n: int, verdict: int
) -> None:
    """The debug line of one packet. `first` is its first byte, `payload_n` the payload's length in bytes."""
    kind = first >> 4
    if kind == _PUBLISH:
        words = (_SENT if sent else _RECEIVED)[verdict]
        log.debug(
            "%s %s (d%d, q%d, r%d, m%d, '%s', ... (%d bytes))",
            words, client, bool(first & _DUP), first >> 1 & 3, first & _RETAIN, mid,
            topic.decode("utf-8", "replace"), payload_n,
        )  # fmt: skip
    elif sent:
        log.debug("Sending %s to %s%s", PACKETS[kind], client, _sent_details(kind, mid, rc))
    else:
        log.debug("Received %s from %s%s", PACKETS[kind], client, _received_details(kind, mid, rc))


def _sent_details(kind: int, mid: int, rc: int) -> str:
    if kind in (_PUBACK, _PUBREC):
        return f" (m{mid}, rc{rc})"
    return f" (m{mid})" if kind in (_PUBREL, _PUBCOMP) else ""


def _received_details(kind: int, mid: int, rc: int) -> str:
    if kind in (_PUBACK, _PUBCOMP):
        return f" (Mid: {mid}, RC:{rc})"
    return f" (Mid: {mid})" if kind in (_PUBREC, _PUBREL) else ""
