"""Limits on connections, per listener and in all; running out of descriptors."""

from __future__ import annotations

import resource

import pytest

from tests.harness.broker import MEMORY_IS_CHECKED, Broker
from tests.harness.brokers import StartBroker
from tests.harness.deadline import wait_until
from tests.harness.packets import v5, v311

DENIED = r"Client connection from 127\.0\.0\.1 denied: max_connections exceeded\."


@pytest.mark.parametrize(
    "config, listener", [("", "max_connections 2"), ("global_max_connections 2", "")], ids=["listener", "global"]
)
@pytest.mark.differs("one of the options is of a later release")
def test_connection_beyond_the_maximum_is_closed_at_once(own_broker: StartBroker, config: str, listener: str) -> None:
    broker: Broker = own_broker(config, listener=listener)
    first = broker.connected(v311, "a")
    silent = broker.client()
    third = broker.client()
    third.send(v311.connect("c"))
    third.expect_closed()
    broker.wait_for_log(DENIED)
    silent.send(v5.connect("b"))
    silent.expect(v5.connack())
    first.disconnect()
    broker.connected(v311, "c")


@pytest.mark.parametrize("value", ["0", "-1"])
def test_no_maximum(own_broker: StartBroker, value: str) -> None:
    broker = own_broker(listener=f"max_connections {value}")
    for i in range(30):
        broker.connected(v311, f"c{i}")


@pytest.mark.differs("its wording and its way are its own")
def test_running_out_of_descriptors_costs_only_the_new_connections(own_broker: StartBroker) -> None:
    """The spare descriptor takes and closes them; when others have gone there is room again."""
    broker: Broker = own_broker(preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    first = broker.connected(v311, "first")
    first.subscribe("t")
    clients = [broker.client() for _ in range(80)]
    broker.wait_for_log(r"Unable to accept new connection, system socket count has been exceeded\.")
    for client in clients[60:]:
        client.expect_closed()
    first.send(v311.publish("t", b"still here"))
    first.expect(v311.publish("t", b"still here"))
    for client in clients:
        client.close()
    wait_until(lambda: broker.descriptors() < 20, "the descriptors to come back")
    broker.connected(v5, "later")


def test_many_connections_cost_little_memory(own_broker: StartBroker) -> None:
    broker: Broker = own_broker("connection_messages false")
    broker.connected(v311, "warm")
    before = broker.memory()
    for i in range(2000):
        broker.connected(v311, f"c{i}", keepalive=0)
    if MEMORY_IS_CHECKED:
        assert (broker.memory() - before) / 2000 < 3000
    held = broker.descriptors()
    assert held > 2000
    broker.close_clients()
    wait_until(lambda: broker.descriptors() < 50, "the connections to end")
