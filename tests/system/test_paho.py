"""paho-mqtt 2 against the broker: ordinary use, 200 clients at once, and reconnecting through a restart."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.harness.broker import Broker
from tests.harness.brokers import StartBroker
from tests.harness.deadline import SECONDS, wait_until

PROTOCOLS = {"v3.1": paho.MQTTv31, "v3.1.1": paho.MQTTv311, "v5": paho.MQTTv5}
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)


@pytest.fixture(autouse=True)
def _collected_clients() -> Iterator[None]:
    """paho waits with select(2), which knows 1024 descriptors, and its clients keep theirs until they are collected."""
    yield
    gc.collect()


class Client:
    """A paho client with its loop in a thread, and what it received."""

    def __init__(
        self, client_id: str, protocol: MQTTProtocolVersion, *filters: tuple[str, int], **options: Any
    ) -> None:
        self.messages: list[Any] = []
        self.subscribed = threading.Event()
        self.connects = 0
        self.filters = filters
        self.paho = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=protocol, **options)
        self.paho.on_connect = self._on_connect
        self.paho.on_subscribe = lambda *_: self.subscribed.set()
        self.paho.on_message = lambda _client, _data, message: self.messages.append(message)
        self.paho.reconnect_delay_set(1, 1)
        self.log: list[str] = []
        self.paho.on_log = lambda _client, _data, _level, text: self.log.append(text)

    def _on_connect(self, client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        assert not reason.is_failure, reason
        self.connects += 1
        if self.filters:
            client.subscribe(list(self.filters))
        else:
            self.subscribed.set()

    def start(self, port: int, **options: Any) -> Client:
        self.paho.connect("127.0.0.1", port, **options)
        self.paho.loop_start()
        return self

    def ready(self) -> Client:
        assert self.subscribed.wait(2 * SECONDS), f"not subscribed; connected {self.connects} times; {self.log[-10:]}"
        return self

    def payloads(self, count: int) -> list[bytes]:
        wait_until(lambda: len(self.messages) >= count, f"{count} messages", 4 * SECONDS)
        return [message.payload for message in self.messages]

    def stop(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()


@pytest.fixture
def client(broker: Broker) -> Iterator[Callable[..., Client]]:
    """Make clients connected to the shared broker; stopped at the end."""
    made: list[Client] = []

    def make(
        client_id: str,
        protocol: MQTTProtocolVersion,
        *filters: tuple[str, int],
        connect: dict[str, Any] | None = None,
        **options: Any,
    ) -> Client:
        made.append(Client(client_id, protocol, *filters, **options).start(broker.port, **(connect or {})))
        return made[-1].ready()

    yield make
    for one in made:
        one.stop()


@every_protocol
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_publish_and_receive(client: Callable[..., Client], name: str, protocol: MQTTProtocolVersion, qos: int) -> None:
    one = client(name, protocol, (f"{name}/#", qos))
    for i in range(50):
        one.paho.publish(f"{name}/{i}", str(i), qos=qos).wait_for_publish(SECONDS)
    assert one.payloads(50) == [str(i).encode() for i in range(50)]
    assert {message.qos for message in one.messages} == {qos}


@every_protocol
def test_unsubscribe(client: Callable[..., Client], name: str, protocol: MQTTProtocolVersion) -> None:
    one = client(name, protocol, (f"{name}/a", 0), (f"{name}/b", 0))
    done = threading.Event()
    one.paho.on_unsubscribe = lambda *_: done.set()
    one.paho.unsubscribe(f"{name}/a")
    assert done.wait(SECONDS)
    one.paho.publish(f"{name}/a", "1")
    one.paho.publish(f"{name}/b", "2")
    assert one.payloads(1) == [b"2"]


def test_v5_properties_and_options(client: Callable[..., Client], name: str) -> None:
    receiver = client(f"{name}r", paho.MQTTv5)
    receiver.subscribed.clear()
    identifier = Properties(PacketTypes.SUBSCRIBE)  # type: ignore[no-untyped-call]
    identifier.SubscriptionIdentifier = 77
    receiver.paho.subscribe(name, options=SubscribeOptions(qos=1, retainAsPublished=True), properties=identifier)
    receiver.ready()
    sender = client(name, paho.MQTTv5)
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType, properties.ResponseTopic, properties.CorrelationData = "a/b", "re/ply", b"\0\1"
    properties.UserProperty = [("k", "1"), ("k", "2")]
    properties.MessageExpiryInterval = 1000
    sender.paho.publish(name, b"x", qos=1, retain=True, properties=properties).wait_for_publish(SECONDS)
    receiver.payloads(1)
    got = receiver.messages[0]
    assert got.retain
    assert (got.properties.ContentType, got.properties.ResponseTopic) == ("a/b", "re/ply")
    assert got.properties.CorrelationData == b"\0\1"
    assert got.properties.UserProperty == [("k", "1"), ("k", "2")]
    assert got.properties.SubscriptionIdentifier == [77]
    assert 990 <= got.properties.MessageExpiryInterval <= 1000
    sender.paho.publish(name, b"", retain=True).wait_for_publish(SECONDS)


@every_protocol
def test_two_hundred_clients_at_once(broker: Broker, name: str, protocol: MQTTProtocolVersion) -> None:
    """Each subscribes to its own topic and to a common one, and writes to the next one's."""
    count = 200
    clients = [
        Client(f"{name}-{i}", protocol, (f"{name}/{i}", 1), (f"{name}/all", 1)).start(broker.port) for i in range(count)
    ]
    try:
        for one in clients:
            one.ready()
        for i, one in enumerate(clients):
            one.paho.publish(f"{name}/{(i + 1) % count}", str(i), qos=1)
        clients[0].paho.publish(f"{name}/all", "all", qos=1)
        for i, one in enumerate(clients):
            assert sorted(one.payloads(2)) == sorted([str((i - 1) % count).encode(), b"all"])
    finally:
        for one in clients:
            one.paho.disconnect()
        for one in clients:
            one.paho.loop_stop()


@pytest.mark.parametrize("protocol", [paho.MQTTv311, paho.MQTTv5], ids=["v3.1.1", "v5"])
def test_clients_reconnect_through_a_restart(own_broker: StartBroker, protocol: MQTTProtocolVersion) -> None:
    broker = own_broker("max_queued_messages 0")
    clients = [Client(f"c{i}", protocol, ("t", 1)).start(broker.port).ready() for i in range(20)]
    try:
        clients[0].paho.publish("t", "before", qos=1).wait_for_publish(SECONDS)
        for one in clients:
            one.payloads(1)
            one.subscribed.clear()
        broker.stop()
        broker.start()
        for one in clients:
            one.ready()
        assert {one.connects for one in clients} == {2}
        clients[0].paho.publish("t", "after", qos=1)
        for one in clients:
            assert one.payloads(2) == [b"before", b"after"]
    finally:
        for one in clients:
            one.stop()


def test_resumed_session_has_what_was_missed(client: Callable[..., Client], name: str) -> None:
    first = client(name, paho.MQTTv311, (name, 1), clean_session=False)
    first.stop()
    sender = client(f"{name}s", paho.MQTTv5)
    for i in range(30):
        sender.paho.publish(name, str(i), qos=1).wait_for_publish(SECONDS)
    again = client(name, paho.MQTTv311, clean_session=False)
    assert again.payloads(30) == [str(i).encode() for i in range(30)]
