"""Clients that come, take each other over, send lawful and unlawful packets, do not read, and vanish, all at random.

Nothing is expected of what they hear; the broker has to live, keep its memory straight (the sanitizer run tells) and
serve a client that behaves. A seed that failed can be run again by itself.
"""

from __future__ import annotations

import random

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.brokers import Brokers
from tests.harness.client import RawClient
from tests.harness.packets import LEVELS, Level, Subscription, Will, packet, v5

CONFIGS = [
    "",
    "max_inflight_messages 2\nmax_queued_messages 3\nqueue_qos0_messages true\nmax_packet_size 5000",
    "max_inflight_bytes 50\nmax_queued_bytes 100\nupgrade_outgoing_qos true\nlog_type all",
]
STEPS = 500


class Chaos:
    """The random clients of one seed, all under one topic."""

    def __init__(self, broker: Broker, name: str, seed: int) -> None:
        self.broker, self.name, self.source = broker, name, random.Random(seed)
        self.clients: list[tuple[Level, RawClient]] = []

    def topic(self) -> str:
        return f"{self.name}/{self.source.choice('abc')}" + self.source.choice(["", "/x", "/y", "/x/y"])

    def topic_filter(self) -> str:
        tail = self.source.choice(["#", "+", "a/#", "+/x", "a", "b/x", "+/+/y", "c/+"])
        group = self.source.choice(["", "", "", "$share/g/", "$share/h/"])
        return f"{group}{self.name}/{tail}"

    def connect(self) -> None:
        source, level = self.source, self.source.choice(LEVELS)
        will = Will(self.topic(), source.randbytes(source.randrange(300)), source.randrange(3), source.random() < 0.2)
        properties = b""
        if source.random() < 0.5:
            properties += props.session_expiry(source.choice([0, 1, 60]))
        if source.random() < 0.3:
            properties += props.receive_maximum(source.choice([1, 2, 50]))
        if source.random() < 0.3:
            properties += props.topic_alias_maximum(2)
        if source.random() < 0.3:
            properties += props.maximum_packet_size(source.choice([30, 200]))
        if source.random() < 0.3:
            will = Will(will.topic, will.payload, will.qos, will.retain, props.will_delay(source.choice([0, 1, 60])))
        client = self.broker.client(level)
        client.send(
            level.connect(
                f"{self.name}-{source.randrange(8)}",
                clean=source.random() < 0.4,
                keepalive=source.choice([0, 1, 60]),
                will=will if source.random() < 0.5 else None,
                properties=properties,
            )
        )
        self.clients.append((level, client))

    def packets(self, level: Level) -> bytes:
        """Something a client could send, lawful more often than not."""
        source, mid = self.source, self.source.randrange(1, 8)
        alias = props.topic_alias(source.randrange(1, 4)) if source.random() < 0.3 else b""
        expiry = props.message_expiry(source.choice([1, 100])) if source.random() < 0.3 else b""
        payload = source.randbytes(source.choice([0, 1, 20, 300, 3000]))
        subscription = Subscription(
            self.topic_filter(),
            source.randrange(3),
            retain_as_published=level.is_v5 and source.random() < 0.3,
            retain_handling=source.randrange(3) if level.is_v5 else 0,
        )
        identifier = props.subscription_id(source.randrange(1, 300)) if source.random() < 0.3 else b""
        publish = level.publish(
            self.topic() if not alias or not level.is_v5 or source.random() < 0.7 else "",
            payload,
            qos=source.randrange(3),
            mid=mid,
            retain=source.random() < 0.2,
            properties=alias + expiry,
        )
        unlawful = packet(source.randrange(2, 16) << 4 | source.choice([0, 2]), source.randbytes(source.randrange(12)))
        acknowledgement = level.acknowledgement(source.choice([4, 5, 6, 7]), mid, source.choice([0, 0, 0, 0x92, 0x97]))
        choices = [publish] * 8 + [acknowledgement] * 6 + [level.pubrel(mid)] * 2
        choices += [level.subscribe(mid, subscription, properties=identifier)] * 3
        choices += [level.unsubscribe(mid, self.topic_filter()), unlawful, level.disconnect(), b"\xc0\0"]
        return b"".join(source.choice(choices) for _ in range(source.randrange(1, 6)))

    def step(self) -> None:
        source = self.source
        if len(self.clients) < 3 or source.random() < 0.15:
            self.connect()
            return
        level, client = source.choice(self.clients)
        action = source.random()
        if action < 0.75:
            data = self.packets(level)
            client.send(data if source.random() < 0.9 else data[: source.randrange(1, len(data) + 1)])
        elif action < 0.9:
            self.read_some(client)
        else:
            self.clients.remove((level, client))
            client.reset() if source.random() < 0.5 else client.close()

    @staticmethod
    def read_some(client: RawClient) -> None:
        client.sock.setblocking(False)
        try:
            while client.sock.recv(65536):
                pass
        except OSError:
            pass
        client.sock.settimeout(5)


@pytest.mark.parametrize("config", CONFIGS, ids=["default", "small_limits", "limits_in_bytes"])
@pytest.mark.parametrize("seed", range(6))
def test_chaos_leaves_the_broker_in_order(brokers: Brokers, name: str, config: str, seed: int) -> None:
    broker = brokers(config)
    witness = broker.client(v5)
    witness.send(v5.connect(f"{name}w"))
    assert witness.read_packet()[3] == 0
    witness.subscribe(f"{name}w/t", qos=2)
    chaos = Chaos(broker, name, seed)
    for _ in range(STEPS):
        chaos.step()
    for _, client in chaos.clients:
        client.close()
    witness.send(v5.publish(f"{name}w/t", b"still in order", qos=1, mid=1))
    answers = {witness.read_packet()[0] & 0xF0 for _ in range(2)}
    assert answers == {0x30, 0x40}
