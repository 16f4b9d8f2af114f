"""The event loop, with real descriptors and short waits."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from mosq.reactor import READ, WRITE, Reactor

DEADLINE = 5.0


class Probe:
    """A handler that does what it is told and counts its calls."""

    def __init__(self, action: Callable[[int], object] = lambda mask: None) -> None:
        self.masks: list[int] = []
        self.action = action

    def on_ready(self, mask: int) -> None:
        self.masks.append(mask)
        self.action(mask)


class Ends:
    """Two connected sockets."""

    def __init__(self) -> None:
        self.here, self.there = socket.socketpair()
        self.here.setblocking(False)

    @property
    def fd(self) -> int:
        return self.here.fileno()


@pytest.fixture
def failures() -> list[BaseException]:
    return []


@pytest.fixture
def reactor(failures: list[BaseException]) -> Iterator[Reactor]:
    loop = Reactor(failures.append)
    yield loop
    loop.close()


@pytest.fixture
def ends() -> Iterator[Callable[[], Ends]]:
    made: list[Ends] = []

    def make() -> Ends:
        made.append(Ends())
        return made[-1]

    yield make
    for pair in made:
        pair.here.close()
        pair.there.close()


def turn_until(reactor: Reactor, condition: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        reactor.turn(0.05)


def test_a_readable_descriptor_calls_its_handler(reactor: Reactor, ends: Callable[[], Ends]) -> None:
    pair, probe = ends(), Probe()
    reactor.register(pair.fd, READ, probe)
    reactor.turn(0)
    assert probe.masks == []
    pair.there.send(b"x")
    turn_until(reactor, lambda: probe.masks)
    assert probe.masks == [READ]


def test_modify_adds_and_removes_writability(reactor: Reactor, ends: Callable[[], Ends]) -> None:
    pair, probe = ends(), Probe()
    reactor.register(pair.fd, READ, probe)
    reactor.modify(pair.fd, READ | WRITE, probe)
    reactor.turn(0)
    reactor.modify(pair.fd, READ, probe)
    reactor.turn(0)
    assert probe.masks == [WRITE]


def test_a_handler_unregistered_in_the_same_turn_is_not_called(reactor: Reactor, ends: Callable[[], Ends]) -> None:
    pairs = [ends(), ends()]
    probes: list[Probe] = []

    def drop_the_other(own: int) -> Callable[[int], object]:
        return lambda mask: reactor.unregister(pairs[1 - own].fd)

    for i in (0, 1):
        probes.append(Probe(drop_the_other(i)))
        reactor.register(pairs[i].fd, READ, probes[i])
        pairs[i].there.send(b"x")
    reactor.turn(1)
    assert sorted(len(probe.masks) for probe in probes) == [0, 1]


def test_a_descriptor_number_used_again_in_the_same_turn_gets_no_stale_event(reactor: Reactor) -> None:
    new_probe = Probe()
    pairs = [Ends(), Ends()]
    replaced: list[Ends] = []

    def replace(own: int) -> Callable[[int], object]:
        def action(mask: int) -> None:
            other = pairs[1 - own]
            number = other.fd
            reactor.unregister(number)
            fresh = Ends()
            os.dup2(fresh.fd, number)
            replaced.append(fresh)
            reactor.register(number, READ, new_probe)

        return action

    for i in (0, 1):
        reactor.register(pairs[i].fd, READ, Probe(replace(i)))
        pairs[i].there.send(b"x")
    reactor.turn(1)
    assert len(replaced) == 1
    assert new_probe.masks == []
    for pair in pairs + replaced:
        pair.here.close()
        pair.there.close()


def test_an_exception_is_reported_and_harms_no_other_handler(
    reactor: Reactor, ends: Callable[[], Ends], failures: list[BaseException]
) -> None:
    def fail(mask: int) -> None:
        raise ValueError("broken")

    bad, good = ends(), ends()
    probe = Probe()
    reactor.register(bad.fd, READ, Probe(fail))
    reactor.register(good.fd, READ, probe)
    bad.there.send(b"x")
    good.there.send(b"x")
    turn_until(reactor, lambda: probe.masks and failures)
    reactor.turn(0)
    assert [str(exc) for exc in failures] == ["broken"], "the broken descriptor is not asked again"


def test_on_error_is_told_what_escaped(
    reactor: Reactor, ends: Callable[[], Ends], failures: list[BaseException]
) -> None:
    class Owner:
        def __init__(self) -> None:
            self.seen: list[Exception] = []

        def on_ready(self, mask: int) -> None:
            raise ValueError("mine")

        def on_error(self, exc: Exception) -> None:
            self.seen.append(exc)
            reactor.unregister(pair.fd)

    pair, owner = ends(), Owner()
    reactor.register(pair.fd, READ, owner)
    pair.there.send(b"x")
    turn_until(reactor, lambda: owner.seen)
    assert owner.seen == failures


def test_timers_run_in_the_order_of_their_time_then_of_their_making(reactor: Reactor) -> None:
    seen: list[str] = []
    reactor.call_at(reactor.now + 0.002, seen.append, "late")
    reactor.call_at(reactor.now + 0.001, seen.append, "early")
    reactor.call_at(reactor.now + 0.001, seen.append, "early too")
    turn_until(reactor, lambda: len(seen) == 3)
    assert seen == ["early", "early too", "late"]


def test_a_cancelled_timer_is_not_called(reactor: Reactor) -> None:
    seen: list[str] = []
    timer = reactor.call_later(0.001, seen.append, "cancelled")
    reactor.call_later(0.002, seen.append, "kept")
    states = [timer.active]
    timer.cancel()
    timer.cancel()
    states.append(timer.active)
    assert states == [True, False]
    turn_until(reactor, lambda: seen)
    assert seen == ["kept"]


def test_cancelled_timers_do_not_pile_up(reactor: Reactor) -> None:
    for _ in range(10000):
        reactor.call_later(3600, lambda: None).cancel()
    assert len(reactor._timers) < 200


def test_a_timer_that_sets_itself_again_does_not_hold_the_turn(reactor: Reactor) -> None:
    calls: list[float] = []

    def again() -> None:
        calls.append(reactor.now)
        reactor.call_later(0, again)

    reactor.call_later(0, again)
    reactor.turn(0)
    assert len(calls) == 1
    reactor.turn(1)
    assert len(calls) == 2


def test_the_wait_ends_with_the_next_timer(reactor: Reactor) -> None:
    seen: list[str] = []
    reactor.call_later(0.02, seen.append, "due")
    begin = time.monotonic()
    while not seen:
        reactor.turn()
    assert 0.015 < time.monotonic() - begin < DEADLINE


def test_clocks_stand_still_during_a_turn(reactor: Reactor) -> None:
    seen: list[tuple[float, float]] = []

    def note() -> None:
        seen.append((reactor.now, reactor.wall))

    reactor.turn_start.append(note)
    reactor.turn_end.append(note)
    reactor.call_soon(note)
    reactor.turn(0)
    assert len(seen) == 3 and len(set(seen)) == 1
    assert abs(reactor.wall - time.time()) < DEADLINE


def test_the_phases_of_a_turn_keep_their_order(reactor: Reactor, ends: Callable[[], Ends]) -> None:
    pair = ends()
    seen: list[str] = []
    reactor.turn_end += [lambda: seen.append("commit"), lambda: seen.append("flush")]
    reactor.turn_start.append(lambda: seen.append("start"))
    reactor.on_signal(signal.SIGUSR2, lambda: seen.append("signal"))
    reactor.call_soon(seen.append, "soon")
    reactor.call_later(0, seen.append, "timer")
    reactor.register(pair.fd, READ, Probe(lambda mask: seen.append("ready")))
    pair.there.send(b"x")
    os.kill(os.getpid(), signal.SIGUSR2)
    reactor.turn(1)
    assert seen == ["start", "ready", "timer", "signal", "soon", "commit", "flush"]


def test_a_call_made_by_a_call_waits_for_the_next_turn(reactor: Reactor) -> None:
    seen: list[int] = []

    def again(n: int) -> None:
        seen.append(n)
        reactor.call_soon(again, n + 1)

    reactor.call_soon(again, 1)
    reactor.turn(0)
    assert seen == [1]
    reactor.turn()
    assert seen == [1, 2]


def test_a_failing_hook_does_not_keep_the_others_from_running(reactor: Reactor, failures: list[BaseException]) -> None:
    seen: list[str] = []

    def fail() -> None:
        raise OSError("disk")

    reactor.turn_end += [fail, lambda: seen.append("flush")]
    reactor.turn(0)
    assert seen == ["flush"] and len(failures) == 1


def test_a_call_from_another_thread_wakes_the_loop(reactor: Reactor) -> None:
    where: list[threading.Thread] = []

    def note() -> None:
        where.append(threading.current_thread())
        reactor.stop()

    reactor.call_later(DEADLINE, reactor.stop)
    thread = threading.Thread(target=lambda: reactor.call_threadsafe(note))
    thread.start()
    reactor.run()
    thread.join()
    assert where == [threading.main_thread()]


def test_many_calls_from_another_thread_all_arrive(reactor: Reactor) -> None:
    seen: list[int] = []
    for n in range(100000):  # more than the wakeup pipe has room for
        reactor.call_threadsafe(seen.append, n)
    turn_until(reactor, lambda: len(seen) == 100000)
    assert seen == list(range(100000))


def test_signals_that_wait_are_served_in_the_order_of_registration(reactor: Reactor) -> None:
    seen: list[str] = []
    reactor.on_signal(signal.SIGUSR1, lambda: seen.append("save"))
    reactor.on_signal(signal.SIGHUP, lambda: seen.append("reload"))
    reactor.on_signal(signal.SIGTERM, lambda: seen.append("stop"))
    for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGHUP):
        os.kill(os.getpid(), signum)
    turn_until(reactor, lambda: len(seen) == 3)
    assert seen == ["save", "reload", "stop"]


def test_a_signal_ends_the_wait(reactor: Reactor) -> None:
    reactor.on_signal(signal.SIGUSR1, reactor.stop)
    sender = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    sender.start()
    begin = time.monotonic()
    reactor.call_later(DEADLINE, reactor.stop)
    reactor.run()
    sender.join()
    assert time.monotonic() - begin < DEADLINE


def test_close_gives_the_signals_back() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    loop = Reactor()
    loop.on_signal(signal.SIGUSR1, lambda: None)
    loop.on_signal(signal.SIGUSR1, lambda: None)
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) is before


def test_close_leaves_no_descriptor_behind() -> None:
    before = len(os.listdir("/proc/self/fd"))
    Reactor().close()
    assert len(os.listdir("/proc/self/fd")) == before
