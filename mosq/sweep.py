"""Removing retained messages that have expired, every `retain_expiry_interval` minutes.

A subscription that meets an expired message removes it; this is for those that nobody asks for. The tree may be large,
so a sweep goes in steps, one per turn of the loop.
"""

from __future__ import annotations

from mosq.core import lib

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.core import Core
    from mosq.reactor import Reactor, Timer

STEP = 2000
"""Nodes looked at in one turn: well below a millisecond."""


class Sweep:
    """The timer of the sweeps, and the one that is going on."""

    __slots__ = ("_core", "_reactor", "_interval", "_timer")

    def __init__(self, core: Core, reactor: Reactor) -> None:
        self._core = core
        self._reactor = reactor
        self._interval: int | None = None
        self._timer: Timer | None = None

    def configure(self, minutes: int | None) -> None:
        """Sweep now and every so many minutes; None: not at all."""
        if minutes == self._interval:
            return
        self._interval = minutes
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if minutes is not None:
            self._timer = self._reactor.call_later(0, self._step)

    def _step(self) -> None:
        assert self._interval is not None
        wait = 0 if lib.mq_retained_expire(self._core.c, STEP) else self._interval * 60
        self._timer = self._reactor.call_later(wait, self._step)
