"""Work that is done aside: in turn for each address, within bounds, and answered on the loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from mosq.auth import worker as module
from mosq.auth.worker import Worker
from mosq.reactor import Reactor
from tests.harness.deadline import SECONDS, wait_until


class Loop:
    """A reactor, its worker with one thread, and what was answered."""

    def __init__(self) -> None:
        self.reactor = Reactor()
        self.worker = Worker(self.reactor.call_threadsafe)
        self.order: list[str] = []
        self.answers: list[tuple[str, bool]] = []
        self.gate = threading.Event()
        self.begun = threading.Event()

    def block(self) -> None:
        """Keep the thread busy until `gate` is set."""

        def wait() -> bool:
            self.begun.set()
            return self.gate.wait(SECONDS)

        assert self.worker.submit("gate", wait, lambda result: None)
        assert self.begun.wait(SECONDS)

    def submit(self, key: str, name: str, result: bool = True) -> bool:
        def work() -> bool:
            self.order.append(name)
            return result

        return self.worker.submit(key, work, lambda result: self.answers.append((name, result)))

    def until(self, count: int) -> None:
        def answered() -> bool:
            self.reactor.turn(0.01)
            return len(self.answers) >= count

        wait_until(answered, f"{count} answers")


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    monkeypatch.setattr(module, "THREADS_MAX", 1)
    loop = Loop()
    yield loop
    loop.gate.set()
    loop.worker.stop()
    wait_until(lambda: not threads(), "the threads to end")
    loop.reactor.close()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("worker-")]


def test_result_comes_back_on_the_thread_of_the_loop(loop: Loop) -> None:
    where: list[int] = []

    def work() -> bool:
        where.append(threading.get_ident())
        return True

    def done(result: bool) -> None:
        where.append(threading.get_ident())
        loop.answers.append(("a", result))

    assert loop.worker.submit("k", work, done)
    loop.until(1)
    assert loop.answers == [("a", True)]
    assert where[0] != where[1] == threading.get_ident()


def test_no_thread_before_there_is_work(loop: Loop) -> None:
    assert threads() == []
    loop.submit("k", "a")
    assert len(threads()) == 1
    loop.until(1)


def test_lines_are_served_in_turn(loop: Loop) -> None:
    loop.block()
    for number in range(5):
        loop.submit("flood", f"f{number}")
    loop.submit("other", "o0")
    loop.submit("other", "o1")
    loop.submit("third", "t0")
    loop.gate.set()
    loop.until(8)
    assert loop.order == ["f0", "o0", "t0", "f1", "o1", "f2", "f3", "f4"]


def test_line_has_a_bound_of_its_own(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINE_MAX", 3)
    loop.block()
    assert [loop.submit("flood", str(number)) for number in range(5)] == [True, True, True, False, False]
    assert loop.submit("other", "o")
    loop.gate.set()
    loop.until(4)
    assert loop.submit("flood", "again")


def test_all_lines_together_have_a_bound(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 3)
    loop.block()
    assert [loop.submit(f"k{number}", str(number)) for number in range(4)] == [True, True, True, False]


def test_who_has_waited_too_long_is_answered_without_work(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    loop.block()
    monkeypatch.setattr(module, "PATIENCE", -1.0)
    loop.submit("k", "late")
    loop.gate.set()
    loop.until(1)
    assert loop.answers == [("late", False)]
    assert loop.order == []


def test_without_bounds_everything_is_done(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINE_MAX", 0)
    monkeypatch.setattr(module, "WAITING_MAX", 0)
    monkeypatch.setattr(module, "PATIENCE", -1.0)
    for _ in range(5):
        assert loop.worker.submit("k", lambda: True, lambda result: loop.answers.append(("a", result)), bounded=False)
    loop.until(5)
    assert loop.answers == [("a", True)] * 5


def test_work_that_fails_is_a_no_and_the_thread_lives_on(loop: Loop) -> None:
    def fail() -> bool:
        raise MemoryError

    loop.worker.submit("k", fail, lambda result: loop.answers.append(("failed", result)))
    loop.submit("k", "next")
    loop.until(2)
    assert loop.answers == [("failed", False), ("next", True)]


def test_stop_forgets_what_waits(loop: Loop) -> None:
    loop.block()
    loop.submit("k", "never")
    loop.worker.stop()
    loop.gate.set()
    wait_until(lambda: not threads(), "the thread to end")
    assert loop.order == []


def test_nothing_is_called_after_a_stop(loop: Loop) -> None:
    """The loop's descriptors may be somebody else's by then."""
    called: list[object] = []
    loop.worker._answer = called.append
    loop.block()
    loop.worker.stop()
    loop.gate.set()
    wait_until(lambda: not threads(), "the thread to end")
    assert called == []


@pytest.mark.parametrize(("processors", "count"), [(1, 1), (2, 1), (3, 2), (64, 4)])
def test_threads_leave_a_processor_to_the_loop(monkeypatch: pytest.MonkeyPatch, processors: int, count: int) -> None:
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid: set(range(processors)))
    answer: Callable[..., object] = lambda *args: None  # noqa: E731
    worker = Worker(answer)
    worker.submit("k", lambda: True, lambda result: None)
    assert len(threads()) == count
    worker.stop()
    wait_until(lambda: not threads(), "the threads to end")
