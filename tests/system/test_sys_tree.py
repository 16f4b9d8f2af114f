"""The values of the $SYS tree."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from tests.harness.broker import Broker
from tests.harness.brokers import StartBroker
from tests.harness.client import RawClient
from tests.harness.deadline import SECONDS
from tests.harness.packets import v5, v311

INTEGERS = [
    "clients/total",
    "clients/connected",
    "clients/active",
    "clients/disconnected",
    "clients/inactive",
    "clients/maximum",
    "clients/expired",
    "messages/stored",
    "store/messages/count",
    "store/messages/bytes",
    "subscriptions/count",
    "shared_subscriptions/count",
    "messages/received",
    "messages/sent",
    "bytes/received",
    "bytes/sent",
    "publish/messages/received",
    "publish/messages/sent",
    "publish/messages/dropped",
    "publish/bytes/received",
    "publish/bytes/sent",
    "packet/out/count",
    "packet/out/bytes",
    "connections/socket/count",
]
LOADS = [
    "messages/received",
    "messages/sent",
    "publish/dropped",
    "publish/received",
    "publish/sent",
    "bytes/received",
    "bytes/sent",
    "sockets",
    "connections",
]


class SysReader:
    """A client that keeps the newest value of every $SYS topic."""

    def __init__(self, client: RawClient) -> None:
        self.client = client
        self.values: dict[str, str] = {}
        client.send(v311.subscribe(1, "$SYS/#"))
        client.expect(v311.suback(1, 0))

    def read(self) -> None:
        packet = self.client.read_packet(2 * SECONDS)
        start = 1 + next(i for i in range(1, 5) if not packet[i] & 0x80)
        length = int.from_bytes(packet[start : start + 2], "big")
        topic = packet[start + 2 : start + 2 + length].decode()
        self.values[topic.removeprefix("$SYS/broker/")] = packet[start + 2 + length :].decode()

    def wait_for(self, condition: Callable[[dict[str, str]], bool], what: str) -> None:
        end = time.monotonic() + 2 * SECONDS
        while not condition(self.values):
            assert time.monotonic() < end, f"{what} in {self.values}"
            self.read()


@pytest.fixture
def broker(own_broker: StartBroker) -> Broker:
    return own_broker("sys_interval 1")


@pytest.fixture
def reader(broker: Broker) -> SysReader:
    return SysReader(broker.connected(v311, "reader"))


@pytest.mark.differs("it leaves out values that were never anything but 1, and topics of later releases")
def test_every_topic_is_there_from_the_start(reader: SysReader) -> None:
    wanted = {*INTEGERS, "version", "uptime", "retained messages/count"}
    wanted |= {f"load/{what}/{time}" for what in LOADS for time in ("1min", "5min", "15min")}
    reader.wait_for(lambda values: wanted <= values.keys(), f"some of {wanted}")
    for topic in INTEGERS:
        assert re.fullmatch(r"\d+", reader.values[topic]), topic
    for topic in wanted:
        assert not topic.startswith("load/") or re.fullmatch(r"\d+\.\d\d", reader.values[topic]), topic
    assert re.fullmatch(r"\d+ seconds", reader.values["uptime"])
    assert re.fullmatch(r"mosquitto version \S+", reader.values["version"])


@pytest.mark.differs("topics of later releases")
def test_sys_topics_are_retained(reader: SysReader) -> None:
    first = reader.client.read_packet()
    assert first[0] & 1


@pytest.mark.differs("other topics")
def test_clients_and_subscriptions_are_counted(broker: Broker, reader: SysReader) -> None:
    broker.connected(v311, "offline", clean=False).disconnect()
    for i in range(3):
        broker.connected(v5, f"c{i}").subscribe(f"t/{i}", "t/+", f"$share/g/t/{i}")
    expected = {
        "clients/total": "5",
        "clients/connected": "4",
        "clients/active": "4",
        "clients/disconnected": "1",
        "clients/inactive": "1",
        "clients/maximum": "5",
        "subscriptions/count": "7",
        "shared_subscriptions/count": "3",
    }
    reader.wait_for(lambda values: expected.items() <= values.items(), f"{expected}")


@pytest.mark.differs("other topics")
def test_messages_and_bytes_are_counted(broker: Broker, reader: SysReader) -> None:
    client = broker.connected(v311, "c")
    client.subscribe("t")
    reader.wait_for(lambda values: values.get("publish/messages/received") == "0", "nothing published yet")
    for _ in range(10):
        client.send(v311.publish("t", b"12345"))
        client.expect(v311.publish("t", b"12345"))
    expected = {"publish/messages/received": "10", "publish/bytes/received": "50"}
    reader.wait_for(lambda values: expected.items() <= values.items(), f"{expected}")
    reader.wait_for(lambda values: int(values["publish/messages/sent"]) >= 10, "ten sent messages, and those of $SYS")


@pytest.mark.differs("other topics")
def test_retained_messages_are_counted(broker: Broker, reader: SysReader) -> None:
    client = broker.connected(v5, "c")
    # the count holds the $SYS messages too, so wait for the first complete picture
    reader.wait_for(lambda values: int(values.get("uptime", "0").split()[0]) >= 2, "the tree to be complete")
    before = int(reader.values["retained messages/count"])
    for i in range(5):
        client.publish(f"t/{i}", b"1234567890", retain=True)
    reader.wait_for(lambda values: int(values["retained messages/count"]) == before + 5, "five more retained messages")


@pytest.mark.differs("the counter has an initial value that it does not publish")
def test_dropped_messages_are_counted(own_broker: StartBroker) -> None:
    broker = own_broker("sys_interval 1\nmax_queued_messages 2")
    broker.connected(v311, "offline", clean=False).subscribe("t", qos=1)
    broker.close_clients()
    broker.wait_for_log("Client offline .*")
    sender = broker.connected(v311, "s")
    for _ in range(5):
        sender.publish("t", b"x", qos=1)
    reader = SysReader(broker.connected(v311, "reader"))
    reader.wait_for(lambda values: values.get("publish/messages/dropped") == "3", "three dropped messages")


@pytest.mark.differs("it wraps below zero")
def test_disconnected_clients_are_never_below_zero(broker: Broker, reader: SysReader) -> None:
    for _ in range(5):
        broker.client()
    reader.wait_for(lambda values: values.get("clients/connected") == "6", "six sockets")
    assert reader.values["clients/disconnected"] == "0"


def test_interval_0_publishes_nothing(own_broker: StartBroker) -> None:
    client = own_broker("sys_interval 0").connected(v311, "c")
    client.subscribe("$SYS/#")
    client.expect_silence()


def test_loads_rise(broker: Broker, reader: SysReader) -> None:
    client = broker.connected(v311, "c")
    for _ in range(300):
        client.send(v311.publish("t", b"x"))
    reader.wait_for(lambda values: float(values.get("load/publish/received/1min", "0")) > 1, "a load")
    assert float(reader.values["load/publish/received/1min"]) > float(reader.values["load/publish/received/15min"])
