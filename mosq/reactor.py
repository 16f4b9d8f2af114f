"""The event loop: descriptors, timers, signals and calls from other threads, one turn at a time.

One turn does, in this order: wait for the selector (until the next timer at most), sample the clocks, `turn_start`
hooks, ready handlers, due timers, signals, `call_soon` calls, `turn_end` hooks. Whatever the turn's work produced is
therefore committed and flushed by the hooks at its end, be it caused by a packet, a timer or a signal.

Invariants:
- Everything runs on the thread that called `run`; only `call_threadsafe` may be used from another one.
- `now` and `wall` stand still during a turn: all that happens in it happens at the same time.
- A handler that was unregistered during a turn is not called again in it, even if its descriptor was ready, and even if
  that number was opened and registered anew meanwhile.
- An exception ends the call it came from and nothing else.
- A turn is finite: timers and calls that the turn's own timers and calls add have to wait for the next one.

Only the portable part of `selectors` is used (level-triggered, no epoll flags), so kqueue systems need nothing else.
"""

from __future__ import annotations

import heapq
import os
import selectors
import signal
from collections import deque
from collections.abc import Callable
from itertools import count
from time import monotonic, time

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Handler(Protocol):
        """Who owns a descriptor. It may also define `on_error(exc)`, called with what escaped from `on_ready`."""

        def on_ready(self, mask: int) -> object: ...


READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE

_COMPACT_AT = 64
"""Below this many timers, cancelled ones are not worth looking for."""


class Timer:
    """A call at a moment of the monotonic clock. It stays in the heap when cancelled, and is skipped there."""

    __slots__ = ("when", "_fn", "_args", "_reactor")

    def __init__(self, when: float, fn: Callable[..., object], args: tuple[Any, ...], reactor: Reactor) -> None:
        self.when = when
        self._fn: Callable[..., object] | None = fn
        self._args = args
        self._reactor = reactor

    @property
    def active(self) -> bool:
        """Whether the call is still to come."""
        return self._fn is not None

    def cancel(self) -> None:
        """Do not call. Nothing happens when it was called or cancelled before."""
        if self._fn is not None:
            self._fn = None
            self._args = ()
            self._reactor._cancelled += 1


class Reactor:
    """See the top of this file. `report` gets what escaped from a handler, hook or call (default: to stderr)."""

    def __init__(self, report: Callable[[BaseException], None] | None = None) -> None:
        self.report: Callable[[BaseException], None] = report or _print_exception
        self.now = monotonic()
        self.wall = time()
        self.turn_start: list[Callable[[], object]] = []
        self.turn_end: list[Callable[[], object]] = []
        self._running = False
        self._selector = selectors.DefaultSelector()
        self._gone: set[Handler] = set()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._cancelled = 0
        self._soon: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._foreign: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._signals: dict[int, Callable[[], object]] = {}
        self._previous: dict[int, Any] = {}
        self._pending: set[int] = set()
        self._wakeup = _Wakeup()
        self._selector.register(self._wakeup.reader, READ, self._wakeup)

    # Descriptors

    def register(self, fd: int, events: int, handler: Handler) -> None:
        """Call `handler.on_ready(mask)` whenever `fd` is ready for `events` (READ, WRITE or both)."""
        self._selector.register(fd, events, handler)
        self._gone.discard(handler)

    def modify(self, fd: int, events: int, handler: Handler) -> None:
        """Change what a registered `fd` waits for."""
        self._selector.modify(fd, events, handler)

    def unregister(self, fd: int) -> None:
        """Forget `fd`; to be called before it is closed. Raises KeyError when it is not registered."""
        self._gone.add(self._selector.unregister(fd).data)

    # Calls

    def call_at(self, when: float, fn: Callable[..., object], *args: Any) -> Timer:
        """Call `fn(*args)` once the monotonic clock shows `when` (seconds), at the earliest in the next turn."""
        timer = Timer(when, fn, args, self)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        if self._cancelled > _COMPACT_AT and self._cancelled * 2 > len(self._timers):
            self._compact()
        return timer

    def call_later(self, seconds: float, fn: Callable[..., object], *args: Any) -> Timer:
        """Call `fn(*args)` in `seconds` from the start of this turn."""
        return self.call_at(self.now + seconds, fn, *args)

    def call_soon(self, fn: Callable[..., object], *args: Any) -> None:
        """Call `fn(*args)` at the end of this turn, before its hooks; asked by such a call or hook, of the next."""
        self._soon.append((fn, args))

    def call_threadsafe(self, fn: Callable[..., object], *args: Any) -> None:
        """As `call_soon`, from any thread; the loop wakes up for it."""
        self._foreign.append((fn, args))
        self._wakeup.wake()

    def on_signal(self, signum: int, fn: Callable[[], object]) -> None:
        """Call `fn()` in the loop after `signum` arrived. Several that wait are served in the order of these calls.

        To be called on the main thread, as Python allows signal handlers only there.
        """
        if not self._signals:
            signal.set_wakeup_fd(self._wakeup.writer, warn_on_full_buffer=False)
        self._signals[signum] = fn
        previous = signal.signal(signum, self._note_signal)
        self._previous.setdefault(signum, previous)

    # The loop

    def run(self) -> None:
        """Turn until `stop`."""
        self._running = True
        while self._running:
            self.turn()

    def stop(self) -> None:
        """Make `run` return at the end of this turn."""
        self._running = False

    def turn(self, at_most: float | None = None) -> None:
        """One turn that waits no longer than `at_most` seconds (None: as long as there is nothing to do)."""
        ready = self._selector.select(self._timeout(at_most))
        self.now = now = monotonic()
        self.wall = time()
        for hook in self.turn_start:
            try:
                hook()
            except Exception as exc:
                self.report(exc)
        gone = self._gone
        gone.clear()
        for key, mask in ready:
            handler = key.data
            if gone and handler in gone:
                continue
            try:
                handler.on_ready(mask)
            except Exception as exc:
                self._handler_failed(key.fd, handler, exc)
        if self._timers and self._timers[0][0] <= now:
            self._run_timers(now)
        if self._pending:
            self._run_signals()
        if self._soon or self._foreign:
            self._run_calls()
        for hook in self.turn_end:
            try:
                hook()
            except Exception as exc:
                self.report(exc)

    def close(self) -> None:
        """Give back the signals and the descriptors of the loop itself."""
        if self._signals:
            signal.set_wakeup_fd(-1)
        for signum, previous in self._previous.items():
            signal.signal(signum, previous if previous is not None else signal.SIG_DFL)
        self._signals.clear()
        self._previous.clear()
        self._selector.close()
        self._wakeup.close()

    def _timeout(self, at_most: float | None) -> float | None:
        if self._soon or self._foreign or self._pending:
            return 0
        if not self._timers:
            return at_most
        next_timer = max(0.0, self._timers[0][0] - monotonic())
        return next_timer if at_most is None else min(next_timer, at_most)

    def _run_timers(self, now: float) -> None:
        timers = self._timers
        first_new = next(self._order)
        while timers and timers[0][0] <= now and timers[0][1] < first_new:
            timer = heapq.heappop(timers)[2]
            fn, args = timer._fn, timer._args
            if fn is None:
                self._cancelled -= 1
                continue
            timer._fn = None
            self._call(fn, *args)

    def _compact(self) -> None:
        """Drop the cancelled timers, once they are the greater part: the heap's size stays in proportion to its use."""
        self._timers[:] = [entry for entry in self._timers if entry[2].active]
        heapq.heapify(self._timers)
        self._cancelled = 0

    def _run_signals(self) -> None:
        for signum, fn in list(self._signals.items()):
            if signum in self._pending:
                self._pending.discard(signum)
                self._call(fn)

    def _run_calls(self) -> None:
        for calls in (self._foreign, self._soon):
            for _ in range(len(calls)):
                fn, args = calls.popleft()
                self._call(fn, *args)

    def _note_signal(self, signum: int, frame: object) -> None:
        self._pending.add(signum)

    def _call(self, fn: Callable[..., object], *args: Any) -> None:
        try:
            fn(*args)
        except Exception as exc:
            self.report(exc)

    def _handler_failed(self, fd: int, handler: Handler, exc: Exception) -> None:
        """Report, and let the owner close what failed. Without an owner who cares, the descriptor is dropped:

        it would be ready, and fail, in every turn to come.
        """
        self.report(exc)
        on_error = getattr(handler, "on_error", None)
        if on_error is not None:
            self._call(on_error, exc)
        elif handler not in self._gone:
            self._call(self.unregister, fd)


class _Wakeup:
    """A pipe that ends the wait: signals write to it from C, other threads through `wake`."""

    __slots__ = ("reader", "writer")

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self.writer, False)

    def wake(self) -> None:
        try:
            os.write(self.writer, b"\0")
        except BlockingIOError:
            pass  # full: the loop will wake anyway

    def on_ready(self, mask: int) -> None:
        """Empty the pipe. Its bytes mean nothing; what there is to do stands in the queues."""
        os.read(self.reader, 65536)

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


def _print_exception(exc: BaseException) -> None:
    import traceback  # heavy, and wanted only when something is broken

    traceback.print_exception(exc)
