"""Log lines as messages: `log_dest topic`.

A line may be caused in the middle of anything, also inside the core, which must not be called then. So lines are only
noted, and published at the end of the turn. A line that such a publication causes waits for the next turn.
"""

from __future__ import annotations

from mosq.core import Core, ffi, lib

TOPICS = {
    "E": b"$SYS/broker/log/E",
    "W": b"$SYS/broker/log/W",
    "N": b"$SYS/broker/log/N",
    "I": b"$SYS/broker/log/I",
    "S": b"$SYS/broker/log/M/subscribe",
    "U": b"$SYS/broker/log/M/unsubscribe",
}
"""By level. Debug lines are never published: each publication would cause more of them."""

_QOS = 2
_EXPIRY = 20
"""Seconds: a log line is of interest to those who watch, not to those who come back after a day."""
_AT_MOST = 10_000
"""Lines kept within one turn; beyond that a log flood would be a memory flood."""


class LogTopics:
    """The lines that wait for the end of the turn."""

    __slots__ = ("_core", "_lines")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lines: list[tuple[bytes, bytes]] = []

    def note(self, level: str, line: str) -> None:
        """Log.on_topic."""
        topic = TOPICS.get(level)
        if topic is not None and len(self._lines) < _AT_MOST:
            self._lines.append((topic, line.encode("utf-8", "replace")))

    def publish(self) -> None:
        """Publish what was noted; for the end of the turn, before output is flushed."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        core = self._core.c
        for topic, line in lines:
            lib.mq_publish(core, ffi.NULL, topic, len(topic), line, len(line), _QOS, 0, ffi.NULL, 0, _EXPIRY)
