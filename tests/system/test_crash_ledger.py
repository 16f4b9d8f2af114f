"""The books of the crash test find what they are there to find: each promise, kept and broken."""

from __future__ import annotations

import pytest

from tests.system.crash.ledger import Ledger

ONE, TWO, KEPT = "t/one", "t/two", "retained/t"


@pytest.fixture
def ledger() -> Ledger:
    """A topic for each QoS with one subscriber, five messages published and acknowledged; and a retained one."""
    ledger = Ledger()
    ledger.topic(ONE, 1, {"s": 2})
    ledger.topic(TWO, 2, {"s": 2})
    ledger.topic(KEPT, 1, {})
    for topic in (ONE, TWO):
        publish(ledger, topic, *range(5))
    ledger.connect("s", False)
    return ledger


def publish(ledger: Ledger, topic: str, *numbers: int) -> None:
    for number in numbers:
        ledger.publish(topic, number)
        ledger.acknowledge(topic, number)


def deliver(ledger: Ledger, topic: str, *numbers: int, connection: int = 1, dup: bool = False) -> None:
    for number in numbers:
        ledger.deliver("s", connection, topic, number, dup)


def faults(ledger: Ledger) -> list[str]:
    return [line.split(":")[0] for line in ledger.faults]


def test_all_is_well(ledger: Ledger) -> None:
    deliver(ledger, ONE, *range(5))
    deliver(ledger, TWO, *range(5))
    ledger.settle()
    assert faults(ledger) == []


def test_a_message_that_never_comes(ledger: Ledger) -> None:
    deliver(ledger, ONE, *range(5))
    deliver(ledger, TWO, *range(4))
    ledger.settle()
    assert ledger.faults == ["acknowledged and never delivered: 1 times, first s: t/two 4 to 4 (life 0)"]


def test_a_message_that_is_skipped(ledger: Ledger) -> None:
    deliver(ledger, ONE, 0, 1, 3, 4)
    deliver(ledger, TWO, *range(5))
    ledger.settle()
    assert faults(ledger) == ["a gap or out of order"]


def test_a_message_that_is_not_acknowledged_may_get_lost_but_not_for_ever(ledger: Ledger) -> None:
    deliver(ledger, ONE, *range(5))
    deliver(ledger, TWO, *range(5))
    ledger.publish(ONE, 5)
    assert not ledger.expected("s")
    ledger.settle()
    assert faults(ledger) == ["never acknowledged"]


@pytest.mark.parametrize("topic", [ONE, TWO])
def test_wrong_order(ledger: Ledger, topic: str) -> None:
    deliver(ledger, topic, 0, 2, 1)
    assert "a gap or out of order" in faults(ledger)


@pytest.mark.parametrize("connection", [1, 2])
@pytest.mark.parametrize("dup", [False, True])
def test_qos_2_twice(ledger: Ledger, connection: int, dup: bool) -> None:
    deliver(ledger, TWO, 0)
    deliver(ledger, TWO, 0, connection=connection, dup=dup)
    assert faults(ledger) == ["QoS 2 delivered more than once"]


def test_qos_1_again_on_a_new_connection_wants_dup(ledger: Ledger) -> None:
    deliver(ledger, ONE, 0, 1, 2)
    deliver(ledger, ONE, 1, 2, connection=2, dup=True)
    assert faults(ledger) == []
    deliver(ledger, ONE, 2, connection=3)
    assert faults(ledger) == ["QoS 1 delivered again without DUP"]


def test_qos_1_again_after_a_crash_may_look_new(ledger: Ledger) -> None:
    deliver(ledger, ONE, 0, 1)
    ledger.life += 1
    deliver(ledger, ONE, 0, 1, 2, connection=2)
    assert faults(ledger) == []


def test_qos_1_again_on_the_same_connection(ledger: Ledger) -> None:
    deliver(ledger, ONE, 0)
    deliver(ledger, ONE, 0, dup=True)
    assert "QoS 1 delivered again without a reason" in faults(ledger)


def test_qos_1_again_because_the_publisher_said_it_again(ledger: Ledger) -> None:
    ledger.publish(ONE, 5)
    ledger.publish(ONE, 5)
    deliver(ledger, ONE, *range(6), 5)
    assert faults(ledger) == []
    deliver(ledger, ONE, 5)
    assert faults(ledger) == ["QoS 1 delivered again without a reason"]


def test_repeating_a_qos_2_message_is_no_reason_to_deliver_it_again_with_qos_1() -> None:
    ledger = Ledger()
    ledger.topic(TWO, 2, {"s": 1})
    ledger.publish(TWO, 0)
    publish(ledger, TWO, 0)
    deliver(ledger, TWO, 0, 0)
    assert "QoS 1 delivered again without a reason" in faults(ledger)


def test_retransmission_keeps_the_order(ledger: Ledger) -> None:
    deliver(ledger, ONE, 0, 1, 2)
    deliver(ledger, ONE, 2, 1, connection=2, dup=True)
    assert faults(ledger) == ["QoS 1 went back without a reason"]


def test_nobody_said_that(ledger: Ledger) -> None:
    deliver(ledger, ONE, 5)
    deliver(ledger, KEPT, 0)
    assert ledger.faults[0].startswith("delivered what nobody published or subscribed to: 2 times")


@pytest.mark.parametrize(
    ("numbers", "fault"),
    [
        ((7,), "acknowledged what was never published"),
        ((5, 5), "acknowledged twice"),
        ((6,), "acknowledged out of order"),
    ],
)
def test_acknowledgements(ledger: Ledger, numbers: tuple[int, ...], fault: str) -> None:
    ledger.publish(ONE, 5)
    ledger.publish(ONE, 6)
    for number in numbers:
        ledger.acknowledge(ONE, number)
    assert faults(ledger) == [fault]


def test_a_group() -> None:
    ledger = Ledger()
    ledger.topic(TWO, 2, {}, members=("a", "b"))
    publish(ledger, TWO, 0, 1, 2)
    ledger.deliver("a", 1, TWO, 2, False)
    ledger.deliver("b", 1, TWO, 0, False)
    assert ledger.expected("a")
    assert faults(ledger) == []
    ledger.settle()
    assert ledger.faults == ["acknowledged and never delivered: 1 times, first a group: t/two [1] (life 0)"]
    ledger.deliver("a", 2, TWO, 0, True)
    assert "QoS 2 delivered more than once" in faults(ledger)


def test_a_session_that_is_gone(ledger: Ledger) -> None:
    ledger.connect("s", True)
    ledger.connect("other", False)
    assert faults(ledger) == []
    ledger.connect("s", False)
    assert ledger.faults == ["a session is lost: 1 times, first s (life 0)"]


@pytest.mark.parametrize(
    ("acknowledged", "published", "found", "good"),
    [
        (-1, -1, None, True),
        (-1, 0, 0, True),
        (-1, 0, None, True),
        (0, 0, 0, True),
        (0, 0, None, False),  # lost
        (1, 1, 0, False),  # an older one
        (0, 1, 1, True),  # not acknowledged, and there all the same
        (2, 2, None, True),  # 2 clears
        (2, 2, 1, False),  # what was cleared
        (1, 2, None, True),
        (1, 2, 1, True),
        (2, 3, None, True),
        (3, 3, None, False),
        (0, 0, 1, False),  # never published
    ],
)
def test_retained(ledger: Ledger, acknowledged: int, published: int, found: int | None, good: bool) -> None:
    publish(ledger, KEPT, *range(acknowledged + 1))
    for number in range(acknowledged + 1, published + 1):
        ledger.publish(KEPT, number)
    ledger.retained({} if found is None else {KEPT: found}, [KEPT])
    assert faults(ledger) == ([] if good else ["a retained message is not the last one"])


def test_retained_from_nowhere(ledger: Ledger) -> None:
    ledger.retained({"other": 0}, [KEPT])
    assert faults(ledger) == ["retained what nobody retained"]
