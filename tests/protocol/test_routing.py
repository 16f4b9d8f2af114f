"""Which subscriptions a message reaches, and in which order; MQTT 4.7 and 3.3.5."""

from __future__ import annotations

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.brokers import Brokers, StartBroker
from tests.harness.packets import LEVELS, Level, Subscription, v5, v311

# filter, topic, does it match? "n" becomes the test's own first level
MATCHES = [
    ("n/a", "n/a", True),
    ("n/a", "n/A", False),
    ("n/a", "n/a/", False),
    ("n/a", "n/ab", False),
    ("n/+", "n/a", True),
    ("n/+", "n/", True),
    ("n/+", "n", False),
    ("n/+", "n/a/b", False),
    ("n/+/b", "n/a/b", True),
    ("n/+/b", "n//b", True),
    ("n/+/+", "n//", True),
    ("n/#", "n", True),
    ("n/#", "n/", True),
    ("n/#", "n/a/b/c", True),
    ("n/#", "na", False),
    ("n/a/#", "n/a", True),
    ("n/a/#", "n/ab", False),
    ("n/+/#", "n/a", True),
    ("n/+/#", "n", False),
    ("+/n", "/n", True),
    ("+/+/n", "//n", True),
    ("/n", "n", False),
    ("n/ ", "n/ ", True),
    ("n/a b", "n/a b", True),
    ("n/\u00e9", "n/\u00e9", True),
    ("n/\u00e9", "n/e\u0301", False),
]


@pytest.mark.parametrize("level", [v311, v5], ids=str)
@pytest.mark.parametrize("topic_filter, topic, matches", MATCHES, ids=ascii)
def test_matching(broker: Broker, name: str, level: Level, topic_filter: str, topic: str, matches: bool) -> None:
    """[MQTT-4.7.1-1 .. 4.7.1-3 4.7.3-4 1.5.4-3]"""
    client = broker.connected(level, name)
    client.subscribe(topic_filter.replace("n", name))
    client.send(level.publish(topic.replace("n", name), b"x"))
    if matches:
        client.expect(level.publish(topic.replace("n", name), b"x"))
    client.expect_silence()


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_leading_wildcards_do_not_match_dollar_topics(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-4.7.2-1]"""
    client = broker.connected(level, name)
    client.subscribe(f"+/{name}/#", f"$x{name}/+/#")
    client.send(level.publish(f"$x{name}/{name}"))
    client.expect(level.publish(f"$x{name}/{name}"))
    client.expect_silence()


def test_bare_hash_matches_everything_but_dollar_topics(own_broker: StartBroker) -> None:
    """[MQTT-4.7.2-1] alone on its broker, as it hears everything"""
    broker = own_broker("sys_interval 0")
    client = broker.connected(v311, "hash")
    client.subscribe("#")
    topics = ["a", "/", "a/b/c", "/x", "\u00e9"]
    client.send(v311.publish("$SYS/x"), v311.publish("$other/x"), *[v311.publish(t) for t in topics])
    client.expect(*[v311.publish(t) for t in topics])
    client.expect_silence()


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_overlapping_subscriptions_deliver_one_copy_each(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.3.5-1 / 3.3.4-2] each at its own QoS and with its own packet id"""
    client = broker.connected(level, name)
    client.subscribe(Subscription(f"{name}/a", qos=2), Subscription(f"{name}/+", qos=1), f"{name}/#")
    broker.connected(v311, f"{name}p").publish(f"{name}/a", b"x", qos=2)
    topic = f"{name}/a"
    client.expect(
        level.publish(topic, b"x", qos=2, mid=1), level.publish(topic, b"x", qos=1, mid=2), level.publish(topic, b"x")
    )


@pytest.mark.differs("another order of its tables")
def test_order_among_overlapping_subscriptions(broker: Broker, name: str) -> None:
    """Per level literal, then `+`, then `#`, depth first; a trailing `/#` before the exact node."""
    filters = [
        f"{name}/{rest}" for rest in ("a/b/#", "a/b", "a/+/#", "a/+", "a/#", "+/b/#", "+/b", "+/+/#", "+/+", "+/#", "#")
    ]
    client = broker.connected(v5, name)
    for number, topic_filter in enumerate(reversed(filters), 1):
        client.subscribe(topic_filter, properties=props.subscription_id(number))
    client.send(v5.publish(f"{name}/a/b"))
    count = len(filters)
    client.expect(*[v5.publish(f"{name}/a/b", properties=props.subscription_id(count - i)) for i in range(count)])


@pytest.mark.differs("option without effect on live messages, or another order")
def test_duplicates_can_be_switched_off_for_v3(brokers: Brokers, name: str) -> None:
    broker = brokers("allow_duplicate_messages false")
    old, new = broker.connected(v311, f"{name}3"), broker.connected(v5, f"{name}5")
    for client in (old, new):
        client.subscribe(Subscription(f"{name}/#", qos=2), Subscription(f"{name}/a", qos=1))
    broker.connected(v311, name).publish(f"{name}/a", b"x", qos=2)
    old.expect(v311.publish(f"{name}/a", b"x", qos=1, mid=1))
    old.expect_silence()
    new.expect(v5.publish(f"{name}/a", b"x", qos=1, mid=1), v5.publish(f"{name}/a", b"x", qos=2, mid=2))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_upgrade_outgoing_qos(brokers: Brokers, name: str, level: Level) -> None:
    """The option departs from [MQTT-3.8.4-8] on request."""
    broker = brokers("upgrade_outgoing_qos true")
    client = broker.connected(level, name)
    client.subscribe(name, qos=2)
    broker.connected(v311, f"{name}p").publish(name, b"x")
    client.expect(level.publish(name, b"x", qos=2, mid=1))


def test_many_subscribers_get_one_copy_each(broker: Broker, name: str) -> None:
    clients = [broker.connected(LEVELS[i % 3], f"{name}{i}") for i in range(60)]
    for i, client in enumerate(clients):
        client.subscribe(name, qos=i % 3)
    broker.connected(v311, name).publish(name, b"all", qos=2)
    for i, client in enumerate(clients):
        client.expect(LEVELS[i % 3].publish(name, b"all", qos=i % 3, mid=1))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_broker_never_answers_to_the_wrong_client(broker: Broker, name: str, level: Level) -> None:
    bystander = broker.connected(level, f"{name}b")
    client = broker.connected(level, name)
    client.subscribe(name)
    client.publish(f"{name}/elsewhere", qos=1)
    bystander.expect_silence()
    client.expect_silence()
