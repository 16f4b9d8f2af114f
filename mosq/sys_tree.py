"""The $SYS tree: what the broker says about itself, as retained messages.

Published once at the start, then whenever the seconds of the wall clock are a multiple of `sys_interval`; 0 switches it
off. An integer is published when it changed, a load when it changed by 0.01 or more, the uptime always. At the first
publication everything is sent, be it at the start or after a reload that switched the tree on.

The core counts what moves per message (`mq_stats`); `Counters` and the sizes given to `SysTree` are the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp

from mosq import __version__
from mosq.core import ffi, lib

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any

    from mosq.core import Core
    from mosq.reactor import Reactor, Timer

    Value = Callable[[Any, "Counters"], int]

_PREFIX = "$SYS/broker/"
_PERIODS = (("1min", 60.0), ("5min", 300.0), ("15min", 900.0))
_QOS = 2


class Counters:
    """What the control plane counts since the start."""

    __slots__ = ("accepted", "connects", "total", "connected", "expired", "maximum")

    def __init__(self) -> None:
        self.accepted = 0
        """Sockets accepted."""
        self.connects = 0
        """CONNECT packets."""
        self.total = 0
        """Sessions known. This and the two below are set before each publication."""
        self.connected = 0
        """Open sockets, before CONNECT as well."""
        self.expired = 0
        """Sessions ended by their expiry."""
        self.maximum = 0
        """The largest `total` at a publication."""


def _stat(field: str) -> Value:
    return lambda stats, counters: int(getattr(stats, field))


def _disconnected(stats: Any, counters: Counters) -> int:
    """Sockets before CONNECT count as connected but not in the total, so the difference may be negative: then 0."""
    return max(0, counters.total - counters.connected)


INTEGERS: dict[str, Value] = {
    "clients/total": lambda _, counters: counters.total,
    "clients/maximum": lambda _, counters: counters.maximum,
    "clients/disconnected": _disconnected,
    "clients/inactive": _disconnected,
    "clients/connected": lambda _, counters: counters.connected,
    "clients/active": lambda _, counters: counters.connected,
    "clients/expired": lambda _, counters: counters.expired,
    "messages/stored": _stat("stored"),
    "store/messages/count": _stat("stored"),
    "store/messages/bytes": _stat("stored_bytes"),
    "subscriptions/count": _stat("subscriptions"),
    "shared_subscriptions/count": _stat("shared_subscriptions"),
    "retained messages/count": _stat("retained"),
    "heap/current": _stat("heap"),
    "heap/maximum": _stat("heap_max"),
    "messages/received": _stat("messages_received"),
    "messages/sent": _stat("messages_sent"),
    "bytes/received": _stat("bytes_received"),
    "bytes/sent": _stat("bytes_sent"),
    "publish/bytes/received": _stat("publish_bytes_received"),
    "publish/bytes/sent": _stat("publish_bytes_sent"),
    "packet/out/count": _stat("out_packets"),
    "packet/out/bytes": _stat("out_bytes"),
    "connections/socket/count": lambda _, counters: counters.accepted,
    "publish/messages/dropped": _stat("publish_dropped"),
    "publish/messages/received": _stat("publish_received"),
    "publish/messages/sent": _stat("publish_sent"),
}
"""Topic below $SYS/broker/, and where its value comes from."""

LOADS: dict[str, Value] = {
    "load/messages/received": _stat("messages_received"),
    "load/messages/sent": _stat("messages_sent"),
    "load/publish/dropped": _stat("publish_dropped"),
    "load/publish/received": _stat("publish_received"),
    "load/publish/sent": _stat("publish_sent"),
    "load/bytes/received": _stat("bytes_received"),
    "load/bytes/sent": _stat("bytes_sent"),
    "load/sockets": lambda _, counters: counters.accepted,
    "load/connections": lambda _, counters: counters.connects,
}
"""Topic below $SYS/broker/, and the counter whose rate per minute is averaged."""


class _Load:
    """The averages of one counter, over each of the periods."""

    __slots__ = ("count", "averages", "sent")

    def __init__(self, count: int) -> None:
        self.count = count
        self.averages = [0.0 for _ in _PERIODS]
        self.sent = [0.0 for _ in _PERIODS]

    def update(self, count: int, seconds: float) -> None:
        """The counter is at `count`, `seconds` after the last update."""
        rate = (count - self.count) * 60.0 / seconds
        self.count = count
        for i, (_, period) in enumerate(_PERIODS):
            self.averages[i] = rate + exp(-seconds / period) * (self.averages[i] - rate)


class SysTree:
    """The publisher. `census` is called before each publication, to set the levels in `counters`."""

    def __init__(self, core: Core, reactor: Reactor, counters: Counters, census: Callable[[Counters], None]) -> None:
        self._core = core
        self._reactor = reactor
        self._counters = counters
        self._census = census
        self._interval = 0
        self._born = reactor.now
        self._last = 0.0
        self._due = 0
        self._timer: Timer | None = None
        self._sent: dict[str, int] = {}
        self._loads: dict[str, _Load] = {}

    def configure(self, interval: int) -> None:
        """Publish every `interval` seconds (sys_interval), 0: never. The first publication is now."""
        if interval == self._interval:
            return
        self._interval = interval
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not interval:
            self._loads.clear()
            return
        if not self._loads:
            self._introduce()
        self._schedule()

    def _introduce(self) -> None:
        self._send("version", f"mosquitto version {__version__}")
        self._refresh()
        self._send_uptime()
        self._sent.clear()
        self._last = self._reactor.now
        stats, counters = self._core.stats, self._counters
        for topic, value in LOADS.items():
            self._loads[topic] = _Load(value(stats, counters))
            for name, _ in _PERIODS:
                self._send(f"{topic}/{name}", "0.00")
        self._send_integers()

    def _schedule(self) -> None:
        """Wait for the next multiple of the interval on the wall clock."""
        wall = self._reactor.wall
        self._due = (int(wall) // self._interval + 1) * self._interval
        self._timer = self._reactor.call_later(self._due - wall, self._on_due)

    def _on_due(self) -> None:
        wall = self._reactor.wall
        if self._due - self._interval <= wall < self._due:  # the two clocks do not run alike: wait for the rest
            self._timer = self._reactor.call_later(self._due - wall, self._on_due)
            return
        self.publish()
        self._schedule()

    def publish(self) -> None:
        """One publication, in the order uptime, loads, integers."""
        self._refresh()
        self._send_uptime()
        self._send_loads()
        self._send_integers()

    def _refresh(self) -> None:
        counters = self._counters
        self._census(counters)
        counters.maximum = max(counters.maximum, counters.total)

    def _send_uptime(self) -> None:
        self._send("uptime", f"{int(self._reactor.now - self._born)} seconds")

    def _send_loads(self) -> None:
        seconds = self._reactor.now - self._last
        if seconds <= 0:
            return
        self._last = self._reactor.now
        stats, counters = self._core.stats, self._counters
        for topic, load in self._loads.items():
            load.update(LOADS[topic](stats, counters), seconds)
            for i, (name, _) in enumerate(_PERIODS):
                if abs(load.averages[i] - load.sent[i]) >= 0.01:
                    load.sent[i] = load.averages[i]
                    self._send(f"{topic}/{name}", f"{load.averages[i]:.2f}")

    def _send_integers(self) -> None:
        stats, counters, sent = self._core.stats, self._counters, self._sent
        for topic, value in INTEGERS.items():
            number = value(stats, counters)
            if sent.get(topic) != number:
                sent[topic] = number
                self._send(topic, str(number))

    def _send(self, topic: str, text: str) -> None:
        name, payload = (_PREFIX + topic).encode(), text.encode()
        core, retain = self._core.c, self._core.options.retain_available
        lib.mq_publish(core, ffi.NULL, name, len(name), payload, len(payload), _QOS, retain, ffi.NULL, 0, 0)
