"""A second connection with the same client id; MQTT 3.1.4."""

from __future__ import annotations

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.brokers import Brokers, StartBroker
from tests.harness.packets import LEVELS, ConnectOptions, Level, Will, v5, v31, v311

KEEP = props.session_expiry(60)


def persistent(level: Level) -> ConnectOptions:
    """CONNECT arguments for a session that outlives its connection."""
    return {"clean": False, "properties": KEEP} if level.is_v5 else {"clean": False}


@pytest.mark.parametrize("new", LEVELS, ids=lambda v: f"by_{v}")
@pytest.mark.parametrize("old", LEVELS, ids=str)
def test_new_connection_takes_over_the_id(broker: Broker, name: str, old: Level, new: Level) -> None:
    """[MQTT-3.1.4-3] the old client hears 0x8E in v5, nothing in v3, and is closed."""
    first = broker.connected(old, name)
    broker.connected(new, name)
    first.expect_refused(*([v5.disconnect(0x8E)] if old.is_v5 else []))


@pytest.mark.differs("it says so in other words")
def test_take_over_is_logged_before_the_new_connection(broker: Broker, name: str) -> None:
    first = broker.connected(v5, name)
    broker.wait_for_log(rf"New client connected from {first.address} as {name} ")
    start = broker.log_position()
    second = broker.connected(v5, name)
    broker.wait_for_log(rf"New client connected from {second.address}", start=start)
    assert [line for line in broker.log.lines[start:] if name in line and "connected" in line] == [
        f"Client {name} [{first.address}] disconnected: session taken over.",
        f"New client connected from {second.address} as {name} (p5, c1, k60).",
    ]


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_subscriptions_move_to_the_new_connection(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.1.2-5 / 3.1.2-4 of 3.1.1; 3.2.2-3]"""
    first = broker.connected(level, name, **persistent(level))
    first.subscribe(name, qos=1)
    second = broker.connected(level, name, session_present=level is not v31, **persistent(level))
    second.send(level.publish(name, b"x", qos=1, mid=9))
    second.expect(level.publish(name, b"x", qos=1, mid=1), level.puback(9))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_clean_start_discards_the_old_session(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.1.2-4 3.2.2-2] / [MQTT-3.1.2-6 of 3.1.1]"""
    first = broker.connected(level, name, **persistent(level))
    first.subscribe(name, qos=1)
    second = broker.connected(level, name, clean=True)
    second.publish(name, b"x", qos=1)
    second.expect_silence()


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_unacknowledged_messages_move_to_the_new_connection(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-4.4.0-1]"""
    first = broker.connected(level, name, **persistent(level))
    first.subscribe(name, qos=2)
    publisher = broker.connected(v311, f"{name}p")
    publisher.publish(name, b"one", qos=1)
    publisher.publish(name, b"two", qos=2)
    first.expect(level.publish(name, b"one", qos=1, mid=1), level.publish(name, b"two", qos=2, mid=2))
    first.send(level.pubrec(2))
    first.expect(level.pubrel(2))
    second = broker.connected(level, name, session_present=None, **persistent(level))
    second.expect(level.publish(name, b"one", qos=1, mid=1, dup=True), level.pubrel(2))


def test_subscription_made_in_the_same_segment_as_the_take_over_stays(broker: Broker, name: str) -> None:
    """The old session ends with its connection; what the new one subscribes is its own."""
    first = broker.connected(v311, name)
    first.subscribe(name)
    second = broker.client(v311)
    second.send(v311.connect(name, clean=False), v311.subscribe(1, name))
    second.expect(v311.connack(), v311.suback(1, 0))
    first.expect_closed()
    second.send(v311.publish(name, b"x"))
    second.expect(v311.publish(name, b"x"))


def test_a_taken_over_client_cannot_publish_any_more(broker: Broker, name: str) -> None:
    watcher = broker.connected(v311, f"{name}w")
    watcher.subscribe(name)
    first = broker.connected(v311, name)
    second = broker.connected(v311, name)
    first.send(v311.publish(name, b"late"))
    first.expect_closed()
    second.expect_silence()
    watcher.expect_silence()


@pytest.mark.parametrize(
    "expiry, clean",
    [(0, False), (0, True), (60, True)],
    ids=["expiry_0_resumed", "expiry_0_cleaned", "expiry_60_cleaned"],
)
def test_will_of_the_old_connection_is_sent(broker: Broker, name: str, expiry: int, clean: bool) -> None:
    """[MQTT-3.1.4-3 3.1.3-9] the old network connection ends without DISCONNECT, and its session too."""
    watcher = broker.connected(v5, f"{name}w")
    watcher.subscribe(f"{name}/will")
    broker.connected(v5, name, will=Will(f"{name}/will", b"gone"), properties=props.session_expiry(expiry))
    broker.connected(v5, name, clean=clean)
    watcher.expect(v5.publish(f"{name}/will", b"gone"))


@pytest.mark.differs("it drops the will")
@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_will_without_delay_is_sent_when_the_session_is_resumed(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.1.2-8] (3.1.1) and [MQTT-3.1.3-9] (5.0): no delay has to pass."""
    watcher = broker.connected(v5, f"{name}w")
    watcher.subscribe(f"{name}/will")
    broker.connected(level, name, clean=False, will=Will(f"{name}/will", b"gone"), properties=KEEP)
    broker.connected(level, name, clean=False, properties=KEEP, session_present=None)
    watcher.expect(v5.publish(f"{name}/will", b"gone"))


def test_delayed_will_is_cancelled_when_the_session_is_resumed(broker: Broker, name: str) -> None:
    """[MQTT-3.1.3-9] a new connection before the delay has passed"""
    watcher = broker.connected(v5, f"{name}w")
    watcher.subscribe(f"{name}/will")
    will = Will(f"{name}/will", b"gone", properties=props.will_delay(1))
    broker.connected(v5, name, will=will, properties=KEEP)
    broker.connected(v5, name, clean=False, properties=KEEP, session_present=True).disconnect()
    # a second session with the same delay, begun later: when its will arrives the first would have
    broker.connected(
        v5, f"{name}b", will=Will(f"{name}/will", b"other", properties=props.will_delay(1)), properties=KEEP
    ).close()
    watcher.expect(v5.publish(f"{name}/will", b"other"))


def test_delayed_will_is_sent_at_once_when_the_session_is_cleaned(broker: Broker, name: str) -> None:
    watcher = broker.connected(v5, f"{name}w")
    watcher.subscribe(f"{name}/will")
    will = Will(f"{name}/will", b"gone", properties=props.will_delay(3600))
    broker.connected(v5, name, will=will, properties=KEEP)
    broker.connected(v5, name, clean=True)
    watcher.expect(v5.publish(f"{name}/will", b"gone"))


@pytest.mark.differs("other text")
def test_resuming_an_offline_session_logs_the_take_over_too(broker: Broker, name: str) -> None:
    first = broker.connected(v311, name, clean=False)
    first.disconnect()
    broker.wait_for_log(rf"Client {name} \[\S+\] disconnected\.")
    broker.connected(v311, name, clean=False, session_present=True)
    broker.wait_for_log(rf"Client {name} \[{first.address}\] disconnected: session taken over\.")


@pytest.mark.differs("option of a later release")
def test_global_max_clients_counts_sessions_and_not_resumptions(own_broker: StartBroker, name: str) -> None:
    broker = own_broker("global_max_clients 2")
    broker.connected(v311, "a", clean=False).disconnect()
    broker.connected(v5, "b")
    for level in LEVELS:
        client = broker.client()
        client.send(level.connect("c", will=Will("w")))
        client.expect_refused(*([v5.connack(0x89)] if level.is_v5 else []))
    broker.connected(v311, "a", clean=False, session_present=True)
    broker.connected(v5, "b")
    assert not broker.logged(" as c ")


@pytest.mark.differs("it accepts any keep alive from v3 clients, or publishes the will of the refused one")
@pytest.mark.parametrize("level", [v31, v311], ids=str)
@pytest.mark.parametrize("keepalive", [0, 31])
def test_v3_keepalive_beyond_the_maximum_is_refused_without_trace(
    brokers: Brokers, name: str, level: Level, keepalive: int
) -> None:
    """No will, no session and no connect line of a refused client."""
    broker = brokers("max_keepalive 30")
    watcher = broker.connected(v5, f"{name}w", keepalive=30)
    watcher.subscribe(f"{name}/will")
    client = broker.client()
    client.send(level.connect(name, clean=False, keepalive=keepalive, will=Will(f"{name}/will", b"x")))
    client.expect_refused(level.connack(2))
    watcher.expect_silence()
    assert not broker.logged(rf" as {name} ")
    broker.connected(v311, name, clean=False, keepalive=30, session_present=False)
