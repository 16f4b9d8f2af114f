"""Work that takes long, done aside: a few threads that answer through the loop.

    loop --submit(key, work, done)--> waiting, by key --> a thread: work() --call_threadsafe--> loop: done(result)

Who has a key (an address) waits in a line of its own, and the lines are served in turn, one job each: whoever floods
the broker with passwords waits behind himself, and the others behind one job of his. Nothing grows without a bound:
each line has one and all of them together have one, and a job that has waited so long that nobody can be there any more
is not done.

The threads begin with the first job, and run at a lower priority than the loop. `work` may do nothing but compute, and
should release the interpreter's lock while it does. Everything but `_work` runs on the loop's thread.
"""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from collections.abc import Callable
from math import inf
from time import monotonic

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from threading import Condition

    Work = Callable[[], bool]
    Done = Callable[[bool], object]
    Job = tuple[float, Work, Done]

THREADS_MAX = 4
"""More would only take the processors away from the loop and from others."""
LINE_MAX = 2_000
"""Jobs of one key: as many clients behind one address may come back at once after an outage, and wait seconds."""
WAITING_MAX = 20_000
"""Jobs in all; each is about a kilobyte, with the request it belongs to."""
PATIENCE = 30.0
"""Seconds after which a connection that was not accepted is closed anyway."""
_NICE = 10


class Worker:
    """See the top of this file. `call_threadsafe` is the reactor's."""

    __slots__ = ("_answer", "_lines", "_waiting", "_changed", "_stopped")

    def __init__(self, call_threadsafe: Callable[..., object]) -> None:
        self._answer = call_threadsafe
        self._lines: OrderedDict[str, deque[Job]] = OrderedDict()
        self._waiting = 0
        self._changed: Condition | None = None
        self._stopped = False

    def submit(self, key: str, work: Work, done: Done, *, bounded: bool = True) -> bool:
        """Have `done(work())` called in a later turn; `done(False)` if it takes too long or fails.

        False: there is too much to do already, and nothing will be called. Without `bounded` there is never too much
        and nothing takes too long: for work of which there is a bound already.
        """
        changed = self._changed or self._start()
        with changed:
            line = self._lines.get(key)
            if bounded and (self._waiting >= WAITING_MAX or (line is not None and len(line) >= LINE_MAX)):
                return False
            if line is None:
                line = self._lines[key] = deque()
            line.append((monotonic() + PATIENCE if bounded else inf, work, done))
            self._waiting += 1
            changed.notify()
        return True

    def stop(self) -> None:
        """Forget what waits and let the threads end. What they are at is not waited for, and nothing is called."""
        if self._changed is not None:
            with self._changed:
                self._stopped = True
                self._lines.clear()
                self._changed.notify_all()

    def _start(self) -> Condition:
        from threading import Condition, Thread  # half a megabyte that most brokers do without

        self._changed = Condition()
        spare = len(os.sched_getaffinity(0)) - 1  # one is the loop's
        for number in range(max(1, min(spare, THREADS_MAX))):
            Thread(target=self._work, args=(self._changed,), name=f"worker-{number}", daemon=True).start()
        return self._changed

    def _work(self, changed: Condition) -> None:
        _step_back()
        while True:
            with changed:
                while not self._lines and not self._stopped:
                    changed.wait()
                if self._stopped:
                    return
                deadline, work, done = self._next()
            result = monotonic() < deadline and _attempt(work)
            with changed:
                if not self._stopped:
                    self._answer(done, result)

    def _next(self) -> Job:
        """Take the first job of the first line, and put that line behind the others."""
        key, line = self._lines.popitem(last=False)
        job = line.popleft()
        self._waiting -= 1
        if line:
            self._lines[key] = line
        return job


def _attempt(work: Work) -> bool:
    try:
        return work()
    except Exception:  # no memory, say: whoever waits has to be told, and a thread must not die of it
        return False


def _step_back() -> None:
    """On Linux a thread has a priority of its own."""
    from threading import get_native_id

    try:
        os.setpriority(os.PRIO_PROCESS, get_native_id(), _NICE)
    except OSError:
        pass  # as it was, then
