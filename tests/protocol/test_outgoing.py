"""Messages to clients: window, queue, packet ids, redelivery; MQTT 4.3, 4.4, 4.9."""

from __future__ import annotations

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.brokers import Brokers
from tests.harness.client import RawClient
from tests.harness.deadline import wait_until
from tests.harness.packets import LEVELS, ConnectOptions, Level, u16, v5, v31, v311

KEEP = props.session_expiry(60)


def persistent(level: Level) -> ConnectOptions:
    """CONNECT arguments for a session that outlives its connection."""
    return {"clean": False, "properties": KEEP} if level.is_v5 else {"clean": False}


def numbered(sender: RawClient, topic: str, count: int, qos: int = 1, first: int = 1) -> None:
    """Publish the payloads "first", "first + 1", ... and wait until the broker has routed the last."""
    assert sender.level is not None
    level, step = sender.level, 15  # below the receive maximum of the broker
    numbers = list(range(first, first + count))
    for start in range(0, count, step):
        part = numbers[start : start + step]
        sender.send(*[level.publish(topic, str(n).encode(), qos=qos, mid=n % 60000 + 1) for n in part])
        for _ in part if qos else ():
            sender.read_packet()
        if qos == 2:
            sender.send(*[level.pubrel(n % 60000 + 1) for n in part])
            for _ in part:
                sender.read_packet()
    sender.expect_silence()


def messages(
    level: Level, topic: str, numbers: range, *, qos: int = 1, mid: int | None = None, dup: bool = False
) -> list[bytes]:
    """The PUBLISH packets for these payloads; packet ids count from `mid` (default: the payload's number)."""
    offset = 0 if mid is None else mid - numbers.start
    return [level.publish(topic, str(n).encode(), qos=qos, mid=n + offset, dup=dup) for n in numbers]


# The window


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_default_window_is_20_messages(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-4.9.0-1 4.9.0-2] an acknowledgement opens it for the next message, in order."""
    client = broker.connected(level, name)
    client.subscribe(name, qos=1)
    numbered(broker.connected(v311, f"{name}p"), name, 23)
    client.expect(*messages(level, name, range(1, 21)))
    client.expect_silence()
    client.send(level.puback(1))
    client.expect(*messages(level, name, range(21, 22)))
    client.send(level.puback(2), level.puback(3))
    client.expect(*messages(level, name, range(22, 24)))


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("maximum", [1, 5, 30])
def test_receive_maximum_of_the_client_is_its_window(broker: Broker, name: str, qos: int, maximum: int) -> None:
    """[MQTT-3.3.4-9 3.1.2.11.3] also where it is larger than the broker's own"""
    client = broker.connected(v5, name, properties=props.receive_maximum(maximum))
    client.subscribe(name, qos=qos)
    numbered(broker.connected(v311, f"{name}p"), name, maximum + 2, qos=2)
    client.expect(*messages(v5, name, range(1, maximum + 1), qos=qos))
    client.expect_silence()
    if qos == 1:
        client.send(v5.puback(1))
    else:
        client.send(v5.pubrec(1))
        client.expect(v5.pubrel(1))
        client.expect_silence()
        client.send(v5.pubcomp(1))
    client.expect(*messages(v5, name, range(maximum + 1, maximum + 2), qos=qos))


def test_qos_0_does_not_need_the_window(broker: Broker, name: str) -> None:
    """[MQTT-4.9.0-3 3.3.4-9]"""
    client = broker.connected(v5, name, properties=props.receive_maximum(1))
    client.subscribe(name, qos=1)
    sender = broker.connected(v311, f"{name}p")
    numbered(sender, name, 2)
    sender.publish(name, b"zero")
    client.expect(*messages(v5, name, range(1, 2)), v5.publish(name, b"zero"))


def test_window_in_bytes(brokers: Brokers, name: str) -> None:
    """A message may start while what is in flight is below the limit."""
    broker = brokers("max_inflight_bytes 100")
    client = broker.connected(v311, name)
    client.subscribe(name, qos=1)
    sender = broker.connected(v311, f"{name}p")
    for _ in range(4):
        sender.publish(name, b"x" * 60, qos=1)
    client.received_messages(2)
    client.expect_silence()
    client.send(v311.puback(1))
    client.received_messages(1)
    client.expect_silence()


@pytest.mark.parametrize("config", ["max_inflight_messages 0", "max_inflight_messages 65535"])
def test_window_without_limit(brokers: Brokers, name: str, config: str) -> None:
    broker = brokers(config)
    client = broker.connected(v311, name)
    client.subscribe(name, qos=1)
    numbered(broker.connected(v311, f"{name}p"), name, 200)
    client.expect(*messages(v311, name, range(1, 201)))


# The queue


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.differs("it counts in another way")
def test_connected_client_queues_the_limit_and_a_window_more(brokers: Brokers, name: str, level: Level) -> None:
    broker = brokers("max_inflight_messages 2\nmax_queued_messages 5")
    client = broker.client(level)
    client.send(level.connect(name))
    client.read_packet()
    client.subscribe(name, qos=1)
    numbered(broker.connected(v311, f"{name}p"), name, 20)
    got = client.received_messages(2)
    for mid in range(1, 8):
        client.send(level.puback(mid))
        got += client.received_messages(1)
    client.send(level.puback(8), level.puback(9))
    client.expect_silence()
    assert got == messages(level, name, range(1, 10))
    broker.wait_for_log(rf"Outgoing messages are being dropped for client {name}\.")
    assert len(broker.logged(rf"dropped for client {name}\.")) == 1


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_offline_queue_keeps_the_oldest(brokers: Brokers, name: str, level: Level) -> None:
    broker = brokers("max_queued_messages 5")
    broker.connected(level, name, **persistent(level)).subscribe(name, qos=1)
    broker.close_clients()
    broker.wait_for_log(rf"Client {name} .*disconnected|Client {name} closed")
    numbered(broker.connected(v311, f"{name}p"), name, 9)
    client = broker.connected(level, name, session_present=None, **persistent(level))
    client.expect(*messages(level, name, range(1, 6)))
    client.expect_silence()


def test_offline_queue_in_bytes(brokers: Brokers, name: str) -> None:
    broker = brokers("max_queued_bytes 100")
    broker.connected(v311, name, clean=False).subscribe(name, qos=1)
    broker.close_clients()
    broker.wait_for_log(rf"Client {name} .*disconnected|Client {name} closed")
    sender = broker.connected(v311, f"{name}p")
    for _ in range(4):
        sender.publish(name, b"x" * 60, qos=1)
    client = broker.connected(v311, name, clean=False, session_present=True)
    client.received_messages(2)
    client.expect_silence()


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_offline_session_keeps_qos_1_and_2_but_not_0(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.1.2-5 of 3.1.1; 4.5.0-1]"""
    first = broker.connected(level, name, **persistent(level))
    first.subscribe(name, qos=2)
    first.disconnect()
    sender = broker.connected(v5, f"{name}p")
    for qos in (0, 1, 2, 0):
        sender.publish(name, str(qos).encode(), qos=qos)
    second = broker.connected(level, name, session_present=None, **persistent(level))
    second.expect(level.publish(name, b"1", qos=1, mid=1), level.publish(name, b"2", qos=2, mid=2))
    second.expect_silence()


def test_qos_0_can_be_queued(brokers: Brokers, name: str) -> None:
    broker = brokers("queue_qos0_messages true")
    first = broker.connected(v311, name, clean=False)
    first.subscribe(name, qos=2)
    first.disconnect()
    sender = broker.connected(v5, f"{name}p")
    for qos in (0, 1, 0):
        sender.publish(name, str(qos).encode(), qos=qos)
    second = broker.connected(v311, name, clean=False, session_present=True)
    second.expect(v311.publish(name, b"0"), v311.publish(name, b"1", qos=1, mid=1), v311.publish(name, b"0"))


@pytest.mark.differs("queued QoS 0 messages are not counted")
def test_queued_qos_0_counts_against_the_limit(brokers: Brokers, name: str) -> None:
    broker = brokers("queue_qos0_messages true\nmax_queued_messages 5")
    first = broker.connected(v311, name, clean=False)
    first.subscribe(name, qos=1)
    first.disconnect()
    numbered(broker.connected(v5, f"{name}p"), name, 12, qos=0)
    second = broker.connected(v311, name, clean=False, session_present=True)
    second.expect(*messages(v311, name, range(1, 6), qos=0))
    second.expect_silence()


# Packet ids


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_packet_ids_count_from_1_and_continue_after_resumption(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-2.2.1-4 / 2.3.1-4]"""
    first = broker.connected(level, name, **persistent(level))
    first.subscribe(name, qos=1)
    sender = broker.connected(v311, f"{name}p")
    numbered(sender, name, 2)
    first.expect(*messages(level, name, range(1, 3)))
    first.send(level.puback(1), level.puback(2))
    first.disconnect()
    second = broker.connected(level, name, session_present=None, **persistent(level))
    numbered(sender, name, 1, first=3)
    second.expect(*messages(level, name, range(3, 4)))


def test_packet_ids_wrap_from_65535_to_1(broker: Broker, name: str) -> None:
    """[MQTT-2.2.1-3] 0 is never used."""
    client = broker.connected(v311, name)
    client.subscribe(name, qos=1)
    sender = broker.connected(v311, f"{name}p")
    expected = 1
    for start in range(0, 65540, 20):
        sender.send(*[v311.publish(name, b"", qos=1, mid=m) for m in range(1, 21)])
        for packet in client.received_messages(20):
            mid = packet[-2:]
            assert mid == u16(expected)
            expected = expected % 65535 + 1
        client.send(*[v311.puback((start + i) % 65535 + 1) for i in range(20)])
        sender.expect(*[v311.puback(m) for m in range(1, 21)])


# Redelivery


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_resumed_session_gets_what_it_did_not_acknowledge(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.3.1-1 4.4.0-1 4.6.0-1] in the original order, with DUP and the original packet ids"""
    first = broker.connected(level, name, **persistent(level))
    first.subscribe(name, qos=2)
    sender = broker.connected(v311, f"{name}p")
    for number, qos in enumerate((1, 2, 1, 2), 1):
        numbered(sender, name, 1, qos=qos, first=number)
    qos_of = {1: 1, 2: 2, 3: 1, 4: 2}
    first.expect(*[level.publish(name, str(n).encode(), qos=q, mid=n) for n, q in qos_of.items()])
    first.send(level.puback(3), level.pubrec(2))
    first.expect(level.pubrel(2))
    first.close()
    second = broker.connected(level, name, session_present=None, **persistent(level))
    second.expect(
        level.publish(name, b"1", qos=1, mid=1, dup=True),
        level.pubrel(2),
        level.publish(name, b"4", qos=2, mid=4, dup=True),
    )
    second.expect_silence()


def test_message_never_written_is_sent_without_dup(broker: Broker, name: str) -> None:
    """[MQTT-3.3.1-1] DUP is for what was sent before."""
    first = broker.connected(v5, name, properties=KEEP + props.receive_maximum(1))
    first.subscribe(name, qos=1)
    numbered(broker.connected(v311, f"{name}p"), name, 3)
    first.expect(*messages(v5, name, range(1, 2)))
    first.close()
    second = broker.connected(v5, name, clean=False, properties=KEEP, session_present=True)
    second.expect(*messages(v5, name, range(1, 2), dup=True), *messages(v5, name, range(2, 4)))


def test_resumed_messages_are_sent_even_beyond_a_smaller_window(broker: Broker, name: str) -> None:
    first = broker.connected(v5, name, properties=KEEP)
    first.subscribe(name, qos=1)
    numbered(broker.connected(v311, f"{name}p"), name, 5)
    first.expect(*messages(v5, name, range(1, 6)))
    first.close()
    second = broker.connected(v5, name, clean=False, properties=KEEP + props.receive_maximum(2), session_present=True)
    second.expect(*messages(v5, name, range(1, 6), dup=True))


def test_nothing_is_sent_again_on_the_same_connection(broker: Broker, name: str) -> None:
    """[MQTT-4.4.0-1] redelivery happens at reconnection only."""
    client = broker.connected(v5, name, properties=KEEP)
    client.subscribe(name, qos=1)
    numbered(broker.connected(v311, f"{name}p"), name, 1)
    client.expect(*messages(v5, name, range(1, 2)))
    client.expect_silence()


@pytest.mark.parametrize("old, new", [(v31, v5), (v5, v311), (v311, v31)], ids=lambda v: str(v))
def test_session_may_be_resumed_by_another_version(broker: Broker, name: str, old: Level, new: Level) -> None:
    first = broker.connected(old, name, **persistent(old))
    first.subscribe(name, qos=1)
    first.disconnect()
    numbered(broker.connected(v311, f"{name}p"), name, 2)
    second = broker.connected(new, name, session_present=None, **persistent(new))
    second.expect(*messages(new, name, range(1, 3)))


def test_max_qos_of_the_listener_limits_live_messages(brokers: Brokers, name: str) -> None:
    broker = brokers("listener {port} 127.0.0.1\nallow_anonymous true\nlistener {port2} 127.0.0.1\nmax_qos 1\n")
    client = broker.connected(v311, name, port="port2")
    client.subscribe(name, qos=1)
    broker.connected(v311, f"{name}p").publish(name, b"x", qos=2)
    client.expect(v311.publish(name, b"x", qos=1, mid=1))


# Message expiry


@pytest.mark.parametrize("qos", [1, 2])
def test_message_that_expired_in_the_queue_is_not_sent(broker: Broker, name: str, qos: int) -> None:
    """[MQTT-3.3.2-5]"""
    first = broker.connected(v5, name, properties=KEEP)
    first.subscribe(name, qos=2)
    first.disconnect()
    sender = broker.connected(v5, f"{name}p")
    sender.publish(name, b"short", qos=qos, properties=props.message_expiry(1))
    sender.publish(name, b"long", qos=qos, properties=props.message_expiry(600))
    sender.publish(name, b"end", qos=qos)
    # a probe with a retained message of the same age tells when that second has passed
    sender.publish(f"{name}/probe", b"x", retain=True, properties=props.message_expiry(2))

    def probe_expired() -> bool:
        sender.send(v5.subscribe(7, f"{name}/probe"), b"\xc0\0")
        sender.expect(v5.suback(7, 0))
        answer = sender.read_packet()
        if answer != b"\xd0\0":
            sender.expect(b"\xd0\0")
        return answer == b"\xd0\0"

    wait_until(probe_expired, "the probe to expire")
    second = broker.connected(v5, name, clean=False, properties=KEEP, session_present=True)
    got = second.read_packet()
    assert got in [
        v5.publish(name, b"long", qos=qos, mid=2, properties=props.message_expiry(n)) for n in (596, 597, 598, 599)
    ]
    second.expect(v5.publish(name, b"end", qos=qos, mid=3))
    second.expect_silence()


# Slow readers


def test_control_packets_are_not_lost_behind_a_full_backlog(brokers: Brokers, name: str) -> None:
    """A client that does not read loses QoS 0 messages, never acknowledgements."""
    broker = brokers("max_queued_messages 50")
    client = broker.connected(v311, name)
    client.subscribe(name)
    sender = broker.connected(v311, f"{name}p")
    payload = b"x" * 60000
    for _ in range(400):
        sender.send(v311.publish(name, payload))
    sender.expect_silence()
    client.send(v311.publish(f"{name}/other", b"x", qos=1, mid=77))
    broker.wait_for_log(rf"Outgoing messages are being dropped for client {name}\.")
    message, last = v311.publish(name, payload), b""
    for _ in range(500):
        last = client.read_packet()
        if last != message:
            break
    assert last == v311.puback(77)
