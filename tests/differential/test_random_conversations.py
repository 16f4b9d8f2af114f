"""Random but lawful conversations of several clients: both brokers let everybody hear the same.

A seed makes a list of actions; the clients acknowledge what they get as they should. What is compared is what each
client has heard after each action, as a set: the order among overlapping subscriptions, and with it the packet ids,
differ. Odd seeds have shared subscriptions and no retained messages, which 2.0.11 sends to new shared subscriptions,
against MQTT 5.0 4.8.2; even ones have it the other way round.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.client import RawClient
from tests.harness.packets import PINGREQ_BYTES, PINGRESP_BYTES, PUBLISH, PUBREC, PUBREL, Level, Will, v5, v31, v311

pytestmark = pytest.mark.original

CONFIG = "max_packet_size 2000000\nallow_duplicate_messages true\nsys_interval 0\n"
LEVELS_AND_SEEDS = [(level, seed) for level in (v31, v311, v5) for seed in range(15)]
ACTIONS = 60
# "{0}" becomes the conversation's own level
TOPICS = ["{0}/a", "{0}/a/b", "{0}/a/c", "{0}/a/b/c", "{0}/b", "{0}/b/c", "{0}", "$d/{0}"]
FILTERS = [
    "{0}/a",
    "{0}/a/b",
    "{0}/a/+",
    "{0}/a/#",
    "{0}/+",
    "{0}/+/b",
    "{0}/#",
    "{0}/+/+",
    "+/{0}",
    "{0}/+/#",
    "$d/{0}",
]
SHARED = ["$share/g/{0}/a/#", "$share/h/{0}/a/b", "$share/h/{0}/a/+", "$share/g/{0}/b"]


@dataclass
class Talker:
    """A client that acknowledges like a good one and keeps what it hears."""

    level: Level
    client_id: str
    broker: Broker
    client: RawClient | None = None
    heard: list[str] = field(default_factory=list)

    def connect(self, clean: bool, will: Will | None) -> None:
        """(Re)connect; a persistent session lasts for a minute."""
        if self.client is not None:
            self.client.close()
        self.client = self.broker.client(self.level)
        expiry = b"" if clean else props.session_expiry(60)
        self.client.send(self.level.connect(self.client_id, clean=clean, will=will, properties=expiry))

    def leave(self, orderly: bool) -> None:
        if self.client is None:
            return
        if orderly:
            self.client.send(self.level.disconnect())
        else:
            self.client.sock.shutdown(1)
        self.client.expect_closed()
        self.client.close()
        self.client = None

    def pump(self) -> bool:
        """Read and answer all there is; true when there was anything."""
        if self.client is None:
            return False
        self.client.send(PINGREQ_BYTES)
        before = len(self.heard)
        while (packet := self.client.read_packet()) != PINGRESP_BYTES:
            self.answer(packet)
        return len(self.heard) > before

    def answer(self, packet: bytes) -> None:
        assert self.client is not None
        kind, qos = packet[0] >> 4, packet[0] >> 1 & 3
        if kind == PUBREC:
            self.client.send(self.level.pubrel(int.from_bytes(packet[2:4], "big")))
        if kind == PUBREL:
            self.client.send(self.level.pubcomp(int.from_bytes(packet[2:4], "big")))
        if kind != PUBLISH:
            self.heard.append(packet.hex() if kind != PUBREL else "pubrel")
            return
        end = 4 + int.from_bytes(packet[2:4], "big")
        if qos:
            mid = int.from_bytes(packet[end : end + 2], "big")
            self.client.send(self.level.puback(mid) if qos == 1 else self.level.pubrec(mid))
        self.heard.append(f"{packet[0]:02x} {packet[4:end].decode()} {packet[end + 2 * bool(qos) :].hex()}")


def converse(broker: Broker, level: Level, seed: int) -> list[str]:
    """The transcript of the conversation with this seed."""
    source, lines = random.Random(seed), []
    prefix = f"{level}-{seed}"
    shared = seed % 2 == 1
    choices = FILTERS + SHARED if shared else FILTERS
    talkers = [Talker(level, f"{prefix}-{i}", broker) for i in range(4)]
    for number in range(ACTIONS):
        talker = source.choice(talkers)
        action = source.choice(
            ["connect", "subscribe", "subscribe", "unsubscribe", "publish", "publish", "publish", "leave"]
        )
        clean, qos, retain, orderly = (
            source.random() < 0.3,
            source.randrange(3),
            not shared and source.random() < 0.3,
            source.random() < 0.7,
        )
        topic = source.choice(TOPICS).format(prefix)
        filters = [f.format(prefix) for f in source.sample(choices, source.randrange(1, 4))]
        payload = b"" if retain and source.random() < 0.3 else str(number).encode()
        if action == "leave":
            talker.leave(orderly)
        elif talker.client is None or action == "connect":
            talker.connect(clean, Will(topic, payload, qos) if source.random() < 0.3 else None)
        elif action == "subscribe":
            talker.client.send(talker.level.subscribe(number + 1, *filters, qos=qos))
        elif action == "unsubscribe":
            talker.client.send(talker.level.unsubscribe(number + 1, *filters))
        else:
            talker.client.send(talker.level.publish(topic, payload, qos=qos, mid=number + 1, retain=retain))
        while sum(t.pump() for t in talkers):
            pass
        for t in talkers:
            lines += [f"{number} {action} {t.client_id}: {heard}" for heard in sorted(t.heard)]
            t.heard.clear()
    for talker in talkers:
        talker.connect(True, None)  # leaves no session behind
        talker.pump()
        talker.leave(True)
    return lines


@pytest.fixture(scope="module")
def pair(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, Broker]]:
    directories = (tmp_path_factory.mktemp(kind) for kind in ("mosq", "original"))
    with Broker(next(directories), CONFIG) as mosq, Broker(next(directories), CONFIG, kind="original") as theirs:
        yield mosq, theirs
        mosq.stop()


@pytest.mark.parametrize("level, seed", LEVELS_AND_SEEDS, ids=lambda v: str(v))
def test_everybody_hears_the_same(pair: tuple[Broker, Broker], level: Level, seed: int) -> None:
    ours, theirs = (converse(broker, level, seed) for broker in pair)
    for mine, other in zip(ours, theirs, strict=False):
        assert mine == other
    assert len(ours) == len(theirs)
