"""Who was promised what, and what became of it.

Messages of a topic are numbered from 0 in the order in which they are published. The promises:

- a message is acknowledged: every subscriber of its topic gets it, at least once (QoS 1) or exactly once (QoS 2);
- what a subscriber sees for the first time comes in order and without gaps;
- QoS 1 messages come again only if there was a reason: the publisher said it again, or the subscriber came back without
  having acknowledged it, and then, as long as the broker lives, with DUP;
- the retained message of a topic is the last one that was acknowledged, or one published after that;
- of a group that shares a subscription, one gets each message, in no order;
- a session that was there once is there at each return, with all its subscriptions.

Each broken promise becomes a line in `faults`. The same fault a thousand times is one line and a number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

RETAINED_CLEARED = 3
"""Of the messages of a retained topic, every third has no payload and clears it."""


def clears(number: int) -> bool:
    """Whether this message of a retained topic clears it."""
    return number % RETAINED_CLEARED == RETAINED_CLEARED - 1


@dataclass(slots=True)
class Topic:
    """What its publisher did: how often each message was sent, and the last number such that it and all before it are
    acknowledged. `shared`: how often each message came to one of the `members` of a group."""

    name: str
    qos: int
    members: frozenset[str] = frozenset()
    shared: Counter[int] = field(default_factory=Counter)
    sends: bytearray = field(default_factory=bytearray)
    acknowledged: int = -1

    @property
    def last(self) -> int:
        """The number published last; -1 none."""
        return len(self.sends) - 1


@dataclass(slots=True)
class _Came:
    """When a message came last: connection of the subscriber, life of the broker, how often on that connection."""

    connection: int
    life: int
    times: int


@dataclass(slots=True)
class _View:
    """What a subscriber saw of a topic."""

    next: int = 0
    came: dict[int, _Came] = field(default_factory=dict)
    previous: tuple[int, int] = (-1, -1)  # connection and number of the last one


class Ledger:
    """See the top of this file. `life` counts the starts of the broker."""

    def __init__(self) -> None:
        self.life = 0
        self.topics: dict[str, Topic] = {}
        self.deliveries = self.acknowledged = self.duplicates = 0
        self._faults: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._audience: dict[str, set[str]] = {}
        self._views: dict[tuple[str, str], _View] = {}
        self._qos: dict[tuple[str, str], int] = {}
        self._sessions: set[str] = set()

    # ---- what publishers do

    def topic(self, name: str, qos: int, subscribers: Mapping[str, int], members: Collection[str] = ()) -> None:
        """A topic to be published to with `qos`. `subscribers` with the QoS that they were granted are to get it, and
        of the `members` of a group one, at QoS 2 and in no order among them."""
        self.topics[name] = Topic(name, qos, frozenset(members))
        self._audience[name] = set(subscribers)
        for subscriber, granted in subscribers.items():
            self._views[subscriber, name] = _View()
            self._qos[subscriber, name] = min(qos, granted)

    def publish(self, topic: str, number: int) -> None:
        """This message left for the broker, for the first time or again."""
        sends = self.topics[topic].sends
        if number == len(sends):
            sends.append(1)
        else:
            sends[number] = min(sends[number] + 1, 255)

    def acknowledge(self, topic: str, number: int) -> None:
        """The broker has acknowledged the message: with QoS 2, all of the exchange."""
        book = self.topics[topic]
        if number > book.last:
            self.fault("acknowledged what was never published", f"{topic} {number}")
        elif number <= book.acknowledged:
            self.fault("acknowledged twice", f"{topic} {number}")
        elif number > book.acknowledged + 1:
            self.fault("acknowledged out of order", f"{topic} {number} after {book.acknowledged}")
        self.acknowledged += 1
        book.acknowledged = max(book.acknowledged, number)

    # ---- what subscribers see

    def deliver(self, subscriber: str, connection: int, topic: str, number: int, dup: bool) -> None:
        """A message came: with QoS 1 each PUBLISH, with QoS 2 what is not a repetition by the packet identifier."""
        self.deliveries += 1
        book = self.topics.get(topic)
        if book is not None and subscriber in book.members:
            self._deliver_shared(book, number)
            return
        view = self._views.get((subscriber, topic))
        where = f"{subscriber} connection {connection}: {topic} {number}"
        if view is None or number > self.topics[topic].last:
            self.fault("delivered what nobody published or subscribed to", where)
            return
        if number > view.next:
            self.fault("a gap or out of order", f"{where} instead of {view.next}")
            view.next = number
        if number == view.next:
            view.next += 1
        else:
            self._again(subscriber, connection, topic, number, dup)
        before = view.came.get(number)
        times = before.times + 1 if before is not None and before.connection == connection else 1
        view.came[number] = _Came(connection, self.life, times)
        view.previous = (connection, number)

    def _deliver_shared(self, book: Topic, number: int) -> None:
        book.shared[number] += 1
        if book.shared[number] == 1:
            return
        self.duplicates += 1
        if book.qos == 2:
            self.fault("QoS 2 delivered more than once", f"a group: {book.name} {number}")

    def _again(self, subscriber: str, connection: int, topic: str, number: int, dup: bool) -> None:
        where = f"{subscriber} connection {connection}: {topic} {number}"
        self.duplicates += 1
        if self._qos[subscriber, topic] == 2:
            self.fault("QoS 2 delivered more than once", where)
            return
        view = self._views[subscriber, topic]
        said = self.topics[topic].sends[number] if self.topics[topic].qos == 1 else 1
        before = view.came.get(number)
        if before is None:
            self.fault("came late, after a gap", where)
        elif before.connection == connection:
            if before.times >= said:
                self.fault("QoS 1 delivered again without a reason", f"{where}, published {said} times")
        elif before.life == self.life and not dup and said == 1:
            self.fault("QoS 1 delivered again without DUP", where)
        if view.previous[0] == connection and view.previous[1] >= number and said == 1:
            self.fault("QoS 1 went back without a reason", f"{where} after {view.previous[1]}")

    def expected(self, subscriber: str) -> bool:
        """Whether something acknowledged has not come to this subscriber, or to its group."""
        return any(
            self._views[subscriber, name].next <= topic.acknowledged
            for name, topic in self.topics.items()
            if subscriber in self._audience[name]
        ) or any(
            len(topic.shared) <= topic.acknowledged for topic in self.topics.values() if subscriber in topic.members
        )

    # ---- sessions, subscriptions, retained messages

    def connect(self, client: str, session_present: bool) -> None:
        """A client that keeps its session was accepted."""
        if client in self._sessions and not session_present:
            self.fault("a session is lost", client)
        self._sessions.add(client)

    def retained(self, found: Mapping[str, int], topics: Iterable[str]) -> None:
        """What is retained of these topics: the numbers; a topic that is not in `found` has no retained message."""
        for name in topics:
            book = self.topics[name]
            possible = set(range(max(book.acknowledged, 0), book.last + 1))
            number = found.get(name)
            good = (
                book.acknowledged < 0 or any(clears(one) for one in possible)
                if number is None
                else number in possible and not clears(number)
            )
            if not good:
                detail = f"{name}: {number}, acknowledged {book.acknowledged}, published {book.last}"
                self.fault("a retained message is not the last one", detail)
        for name in found.keys() - set(topics):
            self.fault("retained what nobody retained", name)

    # ---- the reckoning

    def fault(self, what: str, detail: str) -> None:
        """Something is wrong."""
        self._faults[what] += 1
        self._examples.setdefault(what, f"{detail} (life {self.life})")

    def settle(self) -> None:
        """Everything has had its time: what has not come is lost."""
        for name, topic in self.topics.items():
            if topic.acknowledged < topic.last:
                self.fault("never acknowledged", f"{name} {topic.acknowledged + 1} of {topic.last}")
            missing = [number for number in range(topic.acknowledged + 1) if number not in topic.shared]
            if topic.members and missing:
                self.fault("acknowledged and never delivered", f"a group: {name} {missing[:5]}")
            for subscriber in sorted(self._audience[name]):
                view = self._views[subscriber, name]
                if view.next <= topic.acknowledged:
                    detail = f"{subscriber}: {name} {view.next} to {topic.acknowledged}"
                    self.fault("acknowledged and never delivered", detail)

    @property
    def faults(self) -> list[str]:
        """Each kind of fault, how often, and where first."""
        return [f"{what}: {count} times, first {self._examples[what]}" for what, count in self._faults.items()]
