"""Log lines: levels, timestamps and destinations.

A line is `TIMESTAMP: TEXT`, at most 999 bytes, the same bytes for every destination. Destinations are descriptors
(stdout, stderr, a file: one write per line, nothing is buffered), syslog, and topics of the broker itself.

A caller gives a printf-style format and its values. They are put together only when the level is on and somebody
listens; `debugging` tells beforehand, for values that are dear to compute. The timestamp is formatted once per second.

Until `open`, lines of the levels E, W, N and I go to stderr: nobody knows yet where the configuration wants them.
Levels are letters: E error, W warning, N notice, I information, D debug, S subscribe, U unsubscribe.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence

from mosq.restricted import open_restricted

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Destination(Protocol):
        """One log_dest line: `kind` is its word, `path` what follows `file`."""

        @property
        def kind(self) -> str: ...

        @property
        def path(self) -> str | None: ...


LEVEL_OF_TYPE = {
    "error": "E",
    "warning": "W",
    "notice": "N",
    "information": "I",
    "debug": "D",
    "subscribe": "S",
    "unsubscribe": "U",
}
"""The words of the option log_type and their levels. The other words of that option have no lines."""

DEFAULT_LEVELS = frozenset("EWNI")
ALL_LEVELS = frozenset("EWNIDSU")
TOPIC_LEVELS = frozenset("EWNISU")
"""Debug lines never go to topics: their publication would cause new ones."""

LINE_MAX = 999
"""Bytes of a line without its newline; longer ones are cut, as readers of such logs expect bounded lines."""

_STDOUT, _STDERR = 1, 2


class Log:
    """See the top of this file.

    `on_topic(level, line)` gets the lines for the destination `topic`; it is called in the middle of whatever caused
    the line and must only take note of it. `clock` tells the seconds since 1970: the reactor's, once there is one.
    """

    def __init__(self) -> None:
        self.clock: Callable[[], float] = time.time
        self.on_topic: Callable[[str, str], object] | None = None
        self.timestamp = True
        self.timestamp_format: str | None = None
        self._descriptors: list[int] = [_STDERR]
        self._file: int | None = None
        self._syslog: Callable[[str, str], object] | None = None
        self._topic = False
        self._wanted: frozenset[str] = DEFAULT_LEVELS
        self._second = -1
        self._prefix = b""
        self._settings: tuple[Sequence[Destination], frozenset[str], int | None] = ((), DEFAULT_LEVELS, None)
        self.debugging = False

    # Lines

    def error(self, fmt: str, *args: Any) -> None:
        if "E" in self._wanted:
            self.write("E", fmt % args if args else fmt)

    def warning(self, fmt: str, *args: Any) -> None:
        if "W" in self._wanted:
            self.write("W", fmt % args if args else fmt)

    def notice(self, fmt: str, *args: Any) -> None:
        if "N" in self._wanted:
            self.write("N", fmt % args if args else fmt)

    def info(self, fmt: str, *args: Any) -> None:
        if "I" in self._wanted:
            self.write("I", fmt % args if args else fmt)

    def debug(self, fmt: str, *args: Any) -> None:
        if "D" in self._wanted:
            self.write("D", fmt % args if args else fmt)

    def subscribe(self, fmt: str, *args: Any) -> None:
        if "S" in self._wanted:
            self.write("S", fmt % args if args else fmt)

    def unsubscribe(self, fmt: str, *args: Any) -> None:
        if "U" in self._wanted:
            self.write("U", fmt % args if args else fmt)

    def wants(self, level: str) -> bool:
        """Whether a line of this level goes anywhere."""
        return level in self._wanted

    def write(self, level: str, text: str) -> None:
        """Write one line, `text` as it is, unless its level is off."""
        if level not in self._wanted:
            return
        line = _encode(text)
        if self.timestamp:
            line = self._stamp() + line
        if len(line) > LINE_MAX:
            line = _cut(line)
        for fd in self._descriptors:
            try:
                os.write(fd, line + b"\n")
            except OSError:
                pass  # a full disk or a closed terminal: there is nobody left to tell
        if self._syslog is not None:
            self._syslog(level, line.decode("utf-8", "replace"))
        if self._topic and self.on_topic is not None and level in TOPIC_LEVELS:
            self.on_topic(level, line.decode("utf-8", "replace"))

    # Destinations

    def set_timestamp(self, timestamp: bool, timestamp_format: str | None) -> None:
        """Options log_timestamp and log_timestamp_format (strftime, local time; None: seconds since 1970)."""
        self.timestamp = timestamp
        self.timestamp_format = timestamp_format
        self._second = -1

    def open(
        self,
        dests: Sequence[Destination],
        types: Collection[str],
        timestamp: bool,
        timestamp_format: str | None,
        facility: int | None,
    ) -> None:
        """Direct the lines as the options log_dest, log_type, log_timestamp, log_timestamp_format, log_facility say.

        `types` are words of log_type or level letters; `facility` is n for syslog's local n, or None for its daemon
        facility. A log file that cannot be opened is no error: its place is taken by stderr, for errors only.
        """
        self.set_timestamp(timestamp, timestamp_format)
        self._settings = (tuple(dests), frozenset(LEVEL_OF_TYPE.get(word, word) for word in types), facility)
        self.reopen()

    def reopen(self) -> None:
        """Close the destinations and open them again, so that a rotated file is left behind (SIGRTMIN)."""
        dests, levels, facility = self._settings
        self.close()
        remarks: list[tuple[str, str]] = []
        try:
            for dest in dests:
                self._add(dest.kind, dest.path or "", facility, remarks)
        except OSError:
            self.close()
            self._descriptors.append(_STDERR)
            levels = frozenset("E")
            remarks.append(("E", f"Error: Unable to open log file {dest.path} for writing."))
        self._want(levels)
        for level, text in remarks:
            self.write(level, text)

    def close(self) -> None:
        """Close the destinations; lines are dropped from here on."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._syslog is not None:
            import syslog

            syslog.closelog()
            self._syslog = None
        self._descriptors.clear()
        self._topic = False
        self._want(frozenset())

    def _add(self, kind: str, path: str, facility: int | None, remarks: list[tuple[str, str]]) -> None:
        if kind == "stdout":
            self._descriptors.append(_STDOUT)
        elif kind == "stderr":
            self._descriptors.append(_STDERR)
        elif kind == "topic":
            self._topic = True
        elif kind == "syslog":
            self._syslog = _open_syslog(facility)
        elif kind == "file":
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._file = open_restricted(path, flags, lambda level, text: remarks.append((level, text)))
            self._descriptors.append(self._file)

    def _want(self, levels: frozenset[str]) -> None:
        """Keep the levels that reach some destination, so that the others cost one look-up."""
        if not self._descriptors and self._syslog is None:
            levels = levels & TOPIC_LEVELS if self._topic else frozenset()
        self._wanted = levels
        self.debugging = "D" in levels

    def _stamp(self) -> bytes:
        second = int(self.clock())
        if second != self._second:
            self._second = second
            self._prefix = _encode(f"{_format_time(second, self.timestamp_format)}: ")
        return self._prefix


def _format_time(second: int, fmt: str | None) -> str:
    if fmt is None:
        return str(second)
    try:
        text = time.strftime(fmt, time.localtime(second))
    except ValueError:
        return "Time error"
    return text if 0 < len(_encode(text)) <= LINE_MAX else "Time error"


def _encode(text: str) -> bytes:
    """UTF-8; names of files that are not UTF-8 keep their bytes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def _cut(line: bytes) -> bytes:
    """The first LINE_MAX bytes, less a character that would be cut in two."""
    end = LINE_MAX
    while end > LINE_MAX - 4 and line[end] & 0xC0 == 0x80:
        end -= 1
    return line[:end]


def _open_syslog(facility: int | None) -> Callable[[str, str], object]:
    import syslog

    priorities = {
        "E": syslog.LOG_ERR,
        "W": syslog.LOG_WARNING,
        "N": syslog.LOG_NOTICE,
        "I": syslog.LOG_INFO,
        "D": syslog.LOG_DEBUG,
        "S": syslog.LOG_NOTICE,
        "U": syslog.LOG_NOTICE,
    }
    local = facility is not None and 0 <= facility <= 7
    # The local facilities are numbered one after the other, in steps of eight (RFC 5424, table 1).
    number = syslog.LOG_LOCAL0 + 8 * facility if local and facility is not None else syslog.LOG_DAEMON
    syslog.openlog("mosquitto", syslog.LOG_PID | syslog.LOG_CONS, number)

    def write(level: str, line: str) -> None:
        syslog.syslog(priorities[level], line.replace("\0", ""))

    return write
