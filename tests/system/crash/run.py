"""One run: a broker with a durable store under load, killed at random moments, and the reckoning at the end.

Everything happens in one thread that waits for all sockets; what is random comes from one seed. A kill comes while the
broker starts, while the clients come back, some time later, or just when a promise has arrived. When the broker runs
again, and before the clients are there, somebody looks at the retained messages and for the wills.
"""

from __future__ import annotations

import contextlib
import random
import selectors
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.harness.broker import Broker
from tests.harness.deadline import SECONDS, wait_until
from tests.harness.packets import (
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    UNSUBACK,
    v5,
    v311,
)

from .cast import cast
from .clients import Client, payload_of
from .disk import DISK_FULL, READ_ONLY, SYNC_FAILS, Disk, FailingDisk
from .ledger import Ledger

DURABLE = """\
persistence_location {dir}
plugin mosquitto_persist_sqlite.so
plugin_opt_sync full
plugin_opt_flush_period 0
max_queued_messages 0
"""
RELAXED = DURABLE.replace("flush_period 0", "flush_period 3600").replace("sync full", "sync off")
"""What is told here is acknowledged long before it is safe."""
_RUNNING = r"mosquitto version \S+ running"
_TICK = 0.02
_PROBES = 6
"""Filters of a subscriber that come and go."""


@dataclass
class Plan:
    """How much of everything. `life`: the longest time between start and kill, in seconds. `patience`: seconds without
    anything new after which the rest counts as lost."""

    seed: int
    kills: int = 5
    life: float = 0.6
    publishers: int = 4
    window: int = 16
    patience: float = 2 * SECONDS
    config: str = DURABLE


class Run:
    """See the top of this file. `faults` is the result of `go`."""

    def __init__(self, directory: Path, plan: Plan, disk: Disk | None = None) -> None:
        """A FailingDisk fails for a while before each kill; then `plan.window` has to be 1: what is refused comes
        again later, behind what was on its way already."""
        self.plan, self.disk, self.ledger = plan, disk, Ledger()
        self.source = random.Random(plan.seed)
        self.broker = Broker(directory, plan.config, environment=disk.environment if disk else None)
        self.log: list[str] = []
        self.kills = 0
        self._bereaved: dict[str, int] = {}  # topics of wills that are due, and what they say
        self._selector = selectors.DefaultSelector()
        self.cast = cast(self.ledger, self.source, plan.publishers, plan.window, patient=isinstance(disk, FailingDisk))
        self.publishers, self.subscribers = self.cast.publishers, self.cast.subscribers
        self.clients: list[Client] = [*self.subscribers, *self.publishers]

    # ---- the whole

    def go(self) -> list[str]:
        """Run it all. What is wrong, a line for each kind; none: nothing is."""
        try:
            for publisher in self.publishers:
                publisher.going = False
            self._serve_until(lambda: all(one.settled for one in self.subscribers), "the first subscriptions")
            for publisher in self.publishers:
                publisher.going = True
            for _ in range(self.plan.kills):
                self._serve(self._time_to_live())
                self._serve_until_told()
                self._serve_on_a_failing_disk()
                self._restart()
            self._serve(0.1)
            self._drain()
            self._probe()
            self.ledger.settle()
            self._look_at_retained()
            self._collect_log()
            self.broker.stop()
            self._look_into_the_store()
        finally:
            for client in self.clients:
                self._drop(client)
            self._selector.close()
            if self.broker.running:
                self.broker.kill()
        return self.ledger.faults

    def report(self) -> str:
        """What the run did, in a line."""
        sent = sum(topic.last + 1 for topic in self.ledger.topics.values())
        return (
            f"seed {self.plan.seed}: {self.kills} kills, {sent} messages published, {self.ledger.acknowledged}"
            f" acknowledged, {self.ledger.deliveries} deliveries, {self.ledger.duplicates} of them again"
        )

    def _drain(self) -> None:
        """No more messages; all that was published is to arrive."""
        for publisher in self.publishers:
            publisher.going = False
        self._serve_while_something_comes(self._all_arrived)

    def _all_arrived(self) -> bool:
        if any(one.waiting or not one.up for one in self.publishers):
            return False
        return not any(self.ledger.expected(one.name) or not (one.up and one.settled) for one in self.subscribers)

    def _probe(self) -> None:
        """Are the subscriptions that came and went what was answered last? After the pings nothing more comes."""
        probe = self.broker.connected(v311, "probe")
        filters = {topic_filter for one in self.subscribers for topic_filter in one.subscriptions}
        for topic_filter in sorted(name for name in filters if name.startswith("probe/")):
            probe.publish(topic_filter, b"0:", qos=1)
        for one in self.subscribers:
            one.ping()
        self._serve_while_something_comes(lambda: all(one.quiet and not one.owes for one in self.subscribers))
        for one in self.subscribers:
            one.ping()
        self._serve_while_something_comes(lambda: all(one.quiet for one in self.subscribers))
        for one in self.subscribers:
            if not one.settled:
                self.ledger.fault("never answered", f"subscriptions of {one.name}")
            granted = {name for name, on in one.subscriptions.items() if on and name.startswith("probe/")}
            for name in sorted(granted - one.probed):
                self.ledger.fault("a subscription is lost", f"{one.name}: {name}")
            for name in sorted(one.probed - granted):
                self.ledger.fault("a subscription came back", f"{one.name}: {name}")
        probe.disconnect()

    # ---- kills

    def _time_to_live(self) -> float:
        """Seconds: among the clients that are just coming back, or later."""
        return self.source.choice((self.source.uniform(0, 0.05), self.source.uniform(0, self.plan.life)))

    def _serve_until_told(self) -> None:
        """Now, or at the moment when a promise of some kind arrives: it has to hold already."""
        kind = self.source.choice((None, SUBACK, UNSUBACK, PUBACK, PUBREC, PUBCOMP, PUBREL))
        for client in self.clients:
            client.heard.clear()
        end = time.monotonic() + 1
        while kind is not None and time.monotonic() < end and not any(kind in one.heard for one in self.clients):
            self._step()

    def _serve_on_a_failing_disk(self) -> None:
        """The kill comes while it fails, while the broker finds out that it works again, or later."""
        if isinstance(self.disk, FailingDisk):
            self.disk.fail(self.source.choice((SYNC_FAILS, DISK_FULL, READ_ONLY)))
            self._serve(self.source.uniform(0, 0.5))
            if self.source.random() < 0.7:
                self.disk.work()
                self._serve(self.source.uniform(0, 1.5))

    def _restart(self) -> None:
        self._kill()
        if self.source.random() < 0.2:  # while it starts
            self._launch()
            time.sleep(self.source.uniform(0, 0.3))
            self._kill()
        self._launch()
        self.broker.wait_for_log(_RUNNING, 4 * SECONDS)
        self._look_at_retained()
        self._look_at_wills()

    def _kill(self) -> None:
        self.broker.process.kill()
        self.broker.wait_exit()
        self.kills += 1
        if self.disk is not None:
            self.disk.died(self.broker.directory)
        for client in self.clients:
            _hear_the_end(client)
            if client.up:
                self._bereaved[client.will_topic] = client.connection
            self._drop(client, self.source.choice((0, self.source.uniform(0, 0.5))))
        self._collect_log()

    def _launch(self) -> None:
        self.ledger.life += 1
        self.broker.launch()

    def _collect_log(self) -> None:
        self.log += [f"life {self.ledger.life}: {line}" for line in self.broker.log.lines]
        self.broker.check_log()

    def _look_at_retained(self) -> None:
        found = self._read_retained("retained/#")
        for topic, payload in found.items():
            if payload != payload_of(topic, _number(payload)):
                self.ledger.fault("another retained payload", f"{topic} {payload[:20]!r}")
        numbers = {topic: _number(payload) for topic, payload in found.items()}
        self.ledger.retained(numbers, self.cast.retained)

    def _look_at_wills(self) -> None:
        """Who was connected when the broker died has a will that is published, once it runs again."""
        end = time.monotonic() + self.plan.patience
        missing = dict(self._bereaved)
        while missing and time.monotonic() < end:
            for topic, payload in self._read_retained("wills/#").items():
                if missing.get(topic) == _number(payload):
                    del missing[topic]
        for topic, connection in missing.items():
            self.ledger.fault("a will is lost", f"{topic} {connection}")
        self._bereaved.clear()

    def _read_retained(self, topic_filter: str) -> dict[str, bytes]:
        """The payloads by topic, read by a client that is there for nothing else."""
        reader = self.broker.connected(v5, "reader")
        reader.subscribe(topic_filter, qos=0)
        reader.send(b"\xc0\x00")
        found = {}
        while (packet := reader.read_packet())[0] >> 4 == PUBLISH:
            topic, payload = _taken_apart(packet)
            found[topic] = payload
        reader.disconnect()
        return found

    def _look_into_the_store(self) -> None:
        """Everything was delivered: only what is retained may be left in the file."""
        path = self.broker.directory / "mosquitto.sqlite3"
        if not path.exists():
            return
        with contextlib.closing(sqlite3.connect(path)) as database:
            (verdict,) = database.execute("PRAGMA integrity_check").fetchone()
            if verdict != "ok":
                self.ledger.fault("the file is damaged", verdict)
            for what in ("client_msgs", "wills", "base_msgs WHERE store_id NOT IN (SELECT store_id FROM retains)"):
                (left,) = database.execute(f"SELECT count(*) FROM {what}").fetchone()
                if left:
                    self.ledger.fault("left in the store", f"{left} rows of {what}")

    # ---- the loop

    def _serve(self, seconds: float) -> None:
        """Let the clients work for this long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._step()

    def _serve_until(self, condition: Callable[[], bool], what: str) -> None:
        def step() -> bool:
            self._step()
            return condition()

        wait_until(step, what)

    def _serve_while_something_comes(self, condition: Callable[[], bool]) -> None:
        """Until `condition`, or until nothing has moved for a while."""
        seen, since = -1, time.monotonic()
        while not condition():
            self._step()
            so_far = (
                self.ledger.deliveries + self.ledger.acknowledged + sum(len(one.probed) for one in self.subscribers)
            )
            if so_far != seen:
                seen, since = so_far, time.monotonic()
            elif time.monotonic() > since + self.plan.patience:
                return

    def _step(self) -> None:
        assert self.broker.running, f"the broker ended by itself: {self.broker.log.lines[-20:]}"
        now = time.monotonic()
        for client in self.clients:
            if client.sock is None and now >= client.not_before:
                client.connect(self.broker.port)
                assert client.sock is not None
                self._selector.register(client.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, client)
        for publisher in self.publishers:
            publisher.fill()
        self._be_erratic()
        for key in list(self._selector.get_map().values()):
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if key.data.out else 0)
            if key.events != events:
                self._selector.modify(key.fileobj, events, key.data)
        for key, events in self._selector.select(_TICK):
            client = key.data
            alive = not events & selectors.EVENT_READ or client.readable()
            if not (alive and (not events & selectors.EVENT_WRITE or client.writable())):
                self._drop(client, self.source.uniform(0, 0.05))
            elif client.refused:
                self._drop(client, self.source.uniform(0, 0.2))
                client.refused = False

    def _be_erratic(self) -> None:
        """Acknowledge late, subscribe and unsubscribe, go away for a while."""
        going = self.publishers[0].going
        for subscriber in self.subscribers:
            if not going or self.source.random() < 0.1:
                subscriber.catch_up()
            if going and self.source.random() < 0.1:
                subscriber.change(f"probe/{subscriber.name}/{self.source.randrange(_PROBES)}")
        if going and self.source.random() < 0.003:
            self._drop(self.source.choice(self.clients), self.source.uniform(0, 0.5))

    def _drop(self, client: Client, pause: float = 0) -> None:
        """`pause`: seconds until it comes back."""
        if client.sock is not None:
            self._selector.unregister(client.sock)
        client.drop()
        client.not_before = time.monotonic() + pause


def _hear_the_end(client: Client) -> None:
    """Read what the broker had sent before it died: that counts."""
    end = time.monotonic() + SECONDS
    while client.sock is not None and client.readable():
        assert time.monotonic() < end, "a connection outlives the broker"


def _taken_apart(packet: bytes) -> tuple[str, bytes]:
    """Topic and payload of a message as MQTT 5 brings it with QoS 0; its properties are less than 128 bytes."""
    body = packet[2:] if packet[1] < 0x80 else packet[3:]
    end = 2 + int.from_bytes(body[:2], "big")
    return body[2:end].decode(), body[end + 1 + body[end] :]


def _number(payload: bytes) -> int:
    """What a payload begins with."""
    return int(payload.split(b":", 1)[0])
