"""Topics that belong to the broker: $SYS, $share, $CONTROL."""

from __future__ import annotations

import pytest

from tests.harness.broker import Broker
from tests.harness.brokers import StartBroker
from tests.harness.packets import LEVELS, Level, v5, v311


@pytest.mark.parametrize(
    "topic", ["$SYS/a", "$SYS", "$SYSa", "$share/g/a", "$share", "$shared", "$SYS/broker/connection/a/b/state"]
)
@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.differs("prefixes are compared in another way")
def test_publishing_is_denied(broker: Broker, name: str, topic: str, level: Level, qos: int) -> None:
    """The refusal is an acknowledgement: "not authorized" in v5, as any other in v3; the connection stays."""
    client = broker.connected(level, name)
    client.send(level.publish(topic, b"x", qos=qos, mid=1))
    if qos:
        client.expect(level.acknowledgement(4 if qos == 1 else 5, 1, 0x87))
    client.expect_silence()


def test_v3_denied_qos_2_is_completed(broker: Broker, name: str) -> None:
    client = broker.connected(v311, name)
    client.send(v311.publish("$SYS/x", b"x", qos=2, mid=1), v311.pubrel(1))
    client.expect(v311.pubrec(1), v311.pubcomp(1))


def test_bridge_state_may_be_published(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    topic = f"$SYS/broker/connection/{name}/state"
    client.subscribe(topic)
    client.send(v5.publish(topic, b"1", qos=1, mid=1))
    client.expect_in_any_order(v5.publish(topic, b"1"), v5.puback(1))


def test_other_dollar_topics_are_ordinary(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    client.subscribe(f"$other/{name}", f"+/{name}", qos=0)
    client.send(v5.publish(f"$other/{name}", b"x", qos=1, mid=1))
    client.expect_in_any_order(v5.publish(f"$other/{name}", b"x"), v5.puback(1))
    client.expect_silence()


@pytest.mark.parametrize("topic_filter", ["$SYS/#", "$CONTROL/#", "$SYS/broker/+", "#"])
def test_subscribing_is_allowed(own_broker: StartBroker, topic_filter: str) -> None:
    client = own_broker("sys_interval 0").connected(v311, "c")
    client.subscribe(topic_filter)
    client.expect_silence()


@pytest.mark.differs("endpoints of a later release")
@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_control_topic_without_endpoint_is_answered_to_the_client(
    broker: Broker, name: str, level: Level, qos: int
) -> None:
    topic = f"$CONTROL/{name}/v1"
    spy = broker.connected(v311, f"{name}s")
    spy.subscribe("$CONTROL/#")
    client = broker.connected(level, name)
    client.send(level.publish(topic, b"{}", qos=qos, mid=3, retain=True))
    if qos:
        client.expect(level.acknowledgement(4 if qos == 1 else 5, 3))
    client.expect(level.publish(f"{topic}/response", b'{"error": "endpoint not available"}'))
    if qos == 2:
        client.send(level.pubrel(3))
        client.expect(level.pubcomp(3))
    client.expect_silence()
    spy.expect_silence()


def test_control_alone_is_an_ordinary_topic(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    client.subscribe("$CONTROL")
    client.send(v5.publish("$CONTROL", name.encode()))
    client.expect(v5.publish("$CONTROL", name.encode()))
