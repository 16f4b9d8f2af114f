"""Who publishes what, and who is to get it."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.harness.packets import Level, v5, v311

from .clients import Publisher, Subscriber
from .ledger import Ledger

_SUBSCRIBERS: tuple[dict[str, int], ...] = (
    {"load/#": 2},
    {"load/#": 2},
    {"load/+/one": 1, "load/+/two": 2},
    {"load/#": 1},
    {"$share/group/shared/#": 2},
    {"$share/group/shared/#": 2},
)
"""The filters of each, and the QoS asked for. The filters of one do not overlap."""
_MEMBERS = ("subscriber4", "subscriber5")


@dataclass
class Cast:
    """All clients of a run. `retained`: the topics with retained messages."""

    publishers: list[Publisher]
    subscribers: list[Subscriber]
    retained: list[str]


def cast(ledger: Ledger, source: random.Random, publishers: int, window: int, patient: bool) -> Cast:
    """`patient` clients may be refused because of a full disk, and try again."""
    out = Cast([], [], [])
    for i, filters in enumerate(_SUBSCRIBERS):
        own = random.Random(source.random())
        out.subscribers.append(Subscriber(f"subscriber{i}", _level(i), ledger, own, filters, i + 1))
    for i in range(publishers):
        level = _level(i)
        tag = f"{i}.{'v5' if level.is_v5 else 'v311'}."
        topics = [(f"load/{tag}/one", 1), (f"load/{tag}/two", 2), (f"load/{tag}/other", 2)]
        shared = [(f"shared/{tag}/one", 1), (f"shared/{tag}/two", 2)]
        kept = [(f"retained/{tag}/one", 1), (f"retained/{tag}/two", 2)]
        own = random.Random(source.random())
        out.publishers.append(Publisher(f"publisher{i}", level, ledger, own, topics + shared + kept, window))
        out.retained += [topic for topic, _ in kept]
        for topic, qos in topics:
            granted = {f"subscriber{i}": _granted(filters, topic) for i, filters in enumerate(_SUBSCRIBERS)}
            ledger.topic(topic, qos, {who: most for who, most in granted.items() if most is not None})
        for topic, qos in shared:
            ledger.topic(topic, qos, {}, members=_MEMBERS)
        for topic, qos in kept:
            ledger.topic(topic, qos, {})
    for client in (*out.publishers, *out.subscribers):
        client.patient = patient
    return out


def _level(i: int) -> Level:
    return (v311, v5)[i % 2]


def _granted(filters: dict[str, int], topic: str) -> int | None:
    """The QoS under which one of these filters takes a topic below "load"."""
    for topic_filter, qos in filters.items():
        if topic_filter in ("load/#", f"load/+/{topic.rsplit('/', 1)[1]}"):
            return qos
    return None
