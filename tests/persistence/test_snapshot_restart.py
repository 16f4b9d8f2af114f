"""What a client finds after the broker was stopped and started: its session, as it was, with the time that passed."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.brokers import StartBroker
from tests.harness.client import RawClient
from tests.harness.deadline import wait_until
from tests.harness.packets import LEVELS, Level, Subscription, Will, u32, v5, v31, v311

CONFIG = "persistence true\npersistence_location {dir}\nautosave_interval 0\nsys_interval 0\n"
NEVER = 0xFFFFFFFF


def restart(broker: Broker) -> None:
    broker.stop()
    broker.start()


def resumed(broker: Broker, level: Level, client_id: str, expiry: int = NEVER) -> RawClient:
    """A client that takes its session up; v3.1 is not told that there was one."""
    return broker.connected(
        level,
        client_id,
        clean=False,
        session_present=None if level is v31 else True,
        properties=props.session_expiry(expiry) if level.is_v5 else b"",
    )


def persistent(broker: Broker, level: Level, client_id: str, expiry: int = NEVER) -> RawClient:
    properties = props.session_expiry(expiry) if level.is_v5 else b""
    return broker.connected(level, client_id, clean=False, properties=properties)


@pytest.fixture
def broker(own_broker: StartBroker) -> Broker:
    return own_broker(CONFIG)


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_in_flight_and_queued_messages_come_again_in_their_states(broker: Broker, level: Level) -> None:
    client = persistent(broker, level, "c")
    client.subscribe("t/#", qos=2)
    publisher = broker.connected(level, "p")
    for n, qos in enumerate((1, 2, 2, 1), 1):
        publisher.publish(f"t/{n}", b"%d" % n, qos=qos, mid=n)
    assert len(client.received_messages(4)) == 4
    client.send(level.pubrec(2))
    client.expect(level.pubrel(2))
    client.send(level.puback(4))
    client.expect_silence()
    client.close()
    wait_offline(broker, level)
    publisher.publish("t/5", b"5", qos=2, mid=5)
    restart(broker)
    client = resumed(broker, level, "c")
    client.expect(
        level.publish("t/1", b"1", qos=1, mid=1, dup=True),
        level.pubrel(2),
        level.publish("t/3", b"3", qos=2, mid=3, dup=True),
        level.publish("t/5", b"5", qos=2, mid=5),
    )
    client.send(level.puback(1), level.pubcomp(2), level.pubrec(3), level.pubrec(5))
    client.expect(level.pubrel(3), level.pubrel(5))
    client.send(level.pubcomp(3), level.pubcomp(5))
    broker.connected(level, "p").publish("t/6", b"6", qos=1)
    client.expect(level.publish("t/6", b"6", qos=1, mid=6))


def wait_offline(broker: Broker, level: Level) -> None:
    """The broker has noticed that a connection was lost."""
    broker.connected(level, "settling").disconnect()


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_incoming_qos_2_is_published_once(broker: Broker, level: Level) -> None:
    client = persistent(broker, level, "c")
    client.send(level.publish("in", b"x", qos=2, mid=77, retain=True))
    client.expect(level.pubrec(77))
    client.close()
    restart(broker)
    watcher = broker.connected(level, "w")
    watcher.subscribe("in")
    client = resumed(broker, level, "c")
    client.send(level.publish("in", b"x", qos=2, mid=77, retain=True, dup=True))
    client.expect(level.pubrec(77))
    watcher.expect_silence()
    client.send(level.pubrel(77))
    client.expect(level.pubcomp(77))
    watcher.expect(level.publish("in", b"x"))
    client.send(level.pubrel(77))
    client.expect(level.pubcomp(77))
    watcher.expect_silence()


def test_subscriptions_come_back_with_options_and_identifiers(broker: Broker) -> None:
    client = persistent(broker, v5, "c")
    own = Subscription("own", 1, no_local=True)
    as_published = Subscription("kept/+", 1, retain_as_published=True, retain_handling=2)
    client.subscribe(own, properties=props.subscription_id(7))
    client.subscribe(as_published, properties=props.subscription_id(268435455))
    client.subscribe("$share/group/shared/#", qos=1)
    client.disconnect()
    restart(broker)
    client = resumed(broker, v5, "c")
    client.publish("own", b"1", qos=1)
    publisher = broker.connected(v5, "p")
    publisher.publish("own", b"2", qos=1)
    publisher.publish("kept/x", b"3", qos=1, retain=True)
    publisher.publish("shared/1", b"4", qos=1)
    client.expect(
        v5.publish("own", b"2", qos=1, mid=1, properties=props.subscription_id(7)),
        v5.publish("kept/x", b"3", qos=1, mid=2, retain=True, properties=props.subscription_id(268435455)),
        v5.publish("shared/1", b"4", qos=1, mid=3),
    )


def test_properties_and_remaining_expiry_come_back(broker: Broker) -> None:
    properties = (
        props.payload_format(1)
        + props.content_type("text/plain")
        + props.response_topic("answer")
        + props.correlation_data(b"\0\xff")
        + props.user_property("k", "1")
        + props.user_property("k", "2")
    )
    client = persistent(broker, v5, "c")
    client.subscribe("q")
    client.disconnect()
    publisher = broker.connected(v5, "p")
    publisher.publish("q", b"x", qos=1, properties=props.message_expiry(1000) + properties)
    publisher.publish("r", b"y", qos=1, retain=True, properties=props.message_expiry(1000) + properties)
    publisher.publish("gone", b"y", qos=1, retain=True, properties=props.message_expiry(1))
    restart(broker)
    reader = broker.connected(v5, "r")
    reader.subscribe(Subscription("r", 1))
    packet = reader.read_packet()
    assert properties in packet and packet.endswith(b"y")
    place = packet.index(b"\2\0\0")
    assert 990 <= int.from_bytes(packet[place + 1 : place + 5], "big") <= 1000
    wait_until(lambda: _retained(broker) == 1, "the expiry of the other one")


def _retained(broker: Broker) -> int:
    client = broker.connected(v5, "count")
    client.subscribe("gone", "r")
    client.send(b"\xc0\0")
    count = 0
    while client.read_packet()[0] != 0xD0:
        count += 1
    client.disconnect()
    return count


def test_sessions_expire_while_the_broker_is_down(broker: Broker) -> None:
    persistent(broker, v5, "short", 1).disconnect()
    persistent(broker, v5, "long", 1000).disconnect()
    persistent(broker, v5, "ended", 0).disconnect()
    broker.connected(v5, "fresh", properties=props.session_expiry(1000)).disconnect()
    broker.stop()
    time.sleep(max(0.0, _next_second(2) - time.time()))
    broker.start()
    assert broker.logged("^Restored 3 clients$")
    assert broker.logged("^Expiring client short due to timeout.$")
    resumed(broker, v5, "long")
    resumed(broker, v5, "fresh")
    broker.connected(v5, "short", clean=False).disconnect()
    broker.connected(v5, "ended", clean=False).disconnect()
    assert not broker.logged("taken over")


def _next_second(after: int) -> float:
    return float(int(time.time()) + after)


def test_a_session_that_is_connected_when_saved_counts_from_then(broker: Broker) -> None:
    client = persistent(broker, v5, "c", 5000)
    client.subscribe("t", qos=1)
    broker.signal(signal.SIGUSR1)
    path = Path(broker.directory / "mosquitto.db")
    wait_until(path.exists, "the file")
    broker.kill()
    data = path.read_bytes()
    place = data.index(u32(5000))
    assert abs(int.from_bytes(data[place - 8 : place], "little") - 5000 - time.time()) < 10
    broker.start()
    resumed(broker, v5, "c", 5000)


def test_persistent_client_expiration_bounds_sessions_that_never_end(own_broker: StartBroker) -> None:
    broker = own_broker(CONFIG)
    persistent(broker, v311, "c").disconnect()
    broker.stop()
    broker.rewrite_config(CONFIG + "persistent_client_expiration 1s\n")
    broker.start()
    broker.wait_for_log("^Expiring client c due to timeout.$")


def test_a_restored_session_is_taken_up_without_a_word_about_a_takeover(broker: Broker) -> None:
    persistent(broker, v311, "c").disconnect()
    restart(broker)
    resumed(broker, v311, "c").disconnect()
    assert not broker.logged("taken over")


def test_packet_identifiers_go_on(broker: Broker) -> None:
    client = persistent(broker, v311, "c")
    client.subscribe("t", qos=1)
    publisher = broker.connected(v311, "p")
    for n in range(1, 4):
        publisher.publish("t", b"%d" % n, qos=1, mid=n)
        client.expect(v311.publish("t", b"%d" % n, qos=1, mid=n))
        client.send(v311.puback(n))
    client.disconnect()
    restart(broker)
    broker.connected(v311, "p").publish("t", b"4", qos=1)
    resumed(broker, v311, "c").expect(v311.publish("t", b"4", qos=1, mid=4))


def test_no_window_limit_and_a_lowered_one_keep_the_states(own_broker: StartBroker) -> None:
    for after in ("max_inflight_messages 0\n", "max_inflight_messages 1\n"):
        broker = own_broker(CONFIG)
        client = persistent(broker, v311, "c")
        client.subscribe("t", qos=2)
        publisher = broker.connected(v311, "p")
        for n in range(1, 4):
            publisher.publish("t", b"%d" % n, qos=2, mid=n)
        client.received_messages(3)
        client.send(v311.pubrec(3))
        client.expect(v311.pubrel(3))
        client.disconnect()
        broker.stop()
        broker.rewrite_config(CONFIG + after)
        broker.start()
        resumed(broker, v311, "c").expect(
            v311.publish("t", b"1", qos=2, mid=1, dup=True),
            v311.publish("t", b"2", qos=2, mid=2, dup=True),
            v311.pubrel(3),
        )
        broker.stop()


def test_the_acl_counts_for_restored_sessions(own_broker: StartBroker) -> None:
    """Messages for a session that is not back yet are judged by its stored user name."""
    broker = own_broker(CONFIG)
    client = broker.connected(v311, "c", clean=False, username="alice", password="x")
    client.subscribe("secret", "open", qos=1)
    client.disconnect()
    broker.stop()
    (broker.directory / "acl").write_text("topic readwrite open\ntopic write secret\nuser bob\ntopic secret\n")
    broker.rewrite_config(CONFIG + "acl_file {dir}/acl\n")
    broker.start()
    publisher = broker.connected(v311, "p", username="bob", password="x")
    publisher.publish("secret", b"1", qos=1)
    publisher.disconnect()
    publisher = broker.connected(v311, "p")
    publisher.publish("open", b"2", qos=1)
    broker.stop()
    assert b"secret1" not in (broker.directory / "mosquitto.db").read_bytes()


def test_wills_are_not_stored(broker: Broker) -> None:
    client = broker.connected(v311, "c", clean=False, will=Will("w", b"x", 1, True))
    client.publish("t", b"1", qos=1, retain=True)
    broker.signal(signal.SIGUSR1)
    wait_until((broker.directory / "mosquitto.db").exists, "the file")
    broker.kill()
    broker.start()
    resumed(broker, v311, "c").disconnect()
    reader = broker.connected(v311, "r")
    reader.subscribe("w")
    reader.expect_silence()
