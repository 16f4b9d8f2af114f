"""How long a session lasts, and DISCONNECT; MQTT 3.1.2.11.2, 3.14, 4.1."""

from __future__ import annotations

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.brokers import Brokers
from tests.harness.deadline import SECONDS
from tests.harness.packets import LEVELS, Level, packet, v5, v31, v311

EXPIRED = r"Expiring (persistent )?client {} due to timeout\."


@pytest.mark.parametrize("level", [v311, v5], ids=str)
def test_session_present_tells_whether_there_was_one(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.2.2-2 3.2.2-3]"""
    keep = props.session_expiry(60)
    broker.connected(level, name, clean=False, session_present=False, properties=keep).disconnect()
    broker.connected(level, name, clean=False, session_present=True, properties=keep).disconnect()
    broker.connected(level, name, clean=True, session_present=False, properties=keep).disconnect()


def test_v31_connack_has_no_session_present_flag(broker: Broker, name: str) -> None:
    broker.connected(v31, name, clean=False).disconnect()
    broker.connected(v31, name, clean=False, session_present=False)


def test_v5_session_without_expiry_ends_with_its_connection(broker: Broker, name: str) -> None:
    """[MQTT-3.1.2-23] absent means 0, whatever clean start was."""
    broker.connected(v5, name, clean=False).disconnect()
    broker.connected(v5, name, clean=False, session_present=False)


def test_v5_clean_start_makes_a_session_that_may_last(broker: Broker, name: str) -> None:
    broker.connected(v5, name, clean=True, properties=props.session_expiry(60)).disconnect()
    broker.connected(v5, name, clean=False, session_present=True)


def test_v3_clean_session_leaves_nothing(broker: Broker, name: str) -> None:
    """[MQTT-3.1.2-6 of 3.1.1]"""
    first = broker.connected(v311, name, clean=True)
    first.subscribe(name)
    first.disconnect()
    broker.connected(v311, name, clean=False, session_present=False).expect_silence()


@pytest.mark.slow
def test_session_expires(broker: Broker, name: str) -> None:
    """[MQTT-3.1.2-23] and the subscriptions with it"""
    broker.connected(v5, name, properties=props.session_expiry(1)).disconnect()
    broker.wait_for_log(EXPIRED.format(name))
    broker.connected(v5, name, clean=False, session_present=False)


@pytest.mark.slow
def test_disconnect_can_shorten_the_expiry(broker: Broker, name: str) -> None:
    """3.14.2.2.2"""
    client = broker.connected(v5, name, properties=props.session_expiry(3600))
    client.send(v5.disconnect(0, props.session_expiry(1)))
    client.expect_closed()
    broker.wait_for_log(EXPIRED.format(name))


def test_disconnect_can_end_the_session(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name, properties=props.session_expiry(3600))
    client.send(v5.disconnect(0, props.session_expiry(0)))
    client.expect_closed()
    broker.connected(v5, name, clean=False, session_present=False)


def test_disconnect_can_lengthen_the_expiry(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name, properties=props.session_expiry(1))
    client.send(v5.disconnect(0, props.session_expiry(3600)))
    client.expect_closed()
    broker.connected(v5, name, clean=False, session_present=True)


def test_disconnect_cannot_give_an_expiry_to_a_session_without(broker: Broker, name: str) -> None:
    """[MQTT-3.14.2-2 3.1.2.11.2]"""
    client = broker.connected(v5, name)
    client.send(v5.disconnect(0, props.session_expiry(10)))
    client.expect_refused(v5.disconnect(0x82))


@pytest.mark.slow
def test_option_limits_the_expiry(brokers: Brokers, name: str) -> None:
    broker = brokers("persistent_client_expiration 1s")
    broker.connected(v311, f"{name}a", clean=False).disconnect()
    broker.connected(v5, f"{name}b", properties=props.session_expiry(0xFFFFFFFF)).disconnect()
    for client_id in (f"{name}a", f"{name}b"):
        broker.wait_for_log(EXPIRED.format(client_id))


def test_session_of_v3_resumed_without_expiry_by_v5_ends(broker: Broker, name: str) -> None:
    broker.connected(v311, name, clean=False).disconnect()
    broker.connected(v5, name, clean=False, session_present=True).disconnect()
    broker.connected(v311, name, clean=False, session_present=False)


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_persistent_session_survives_any_end(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-4.1.0-1 3.1.2-5]"""
    keep = props.session_expiry(60)
    first = broker.connected(level, name, clean=False, properties=keep)
    first.subscribe(name)
    first.send(b"\xd0\0")
    first.read_packet() if level.is_v5 else None
    first.expect_closed()
    again = broker.connected(level, name, clean=False, session_present=None, properties=keep)
    again.send(level.publish(name, b"x"))
    again.expect(level.publish(name, b"x"))


# DISCONNECT


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_disconnect_closes_the_connection(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.14.4-1 3.14.4-2] and the server's side too"""
    client = broker.connected(level, name)
    client.send(level.disconnect())
    client.expect_closed()
    broker.wait_for_log(rf"Client {name} (\[{client.address}\] )?disconnected\.")


@pytest.mark.parametrize("code", [0x00, 0x04, 0x80, 0x81, 0x8B, 0x99, 0xA2, 0x01, 0xFF])
def test_disconnect_with_any_reason_is_accepted(broker: Broker, name: str, code: int) -> None:
    client = broker.connected(v5, name)
    client.send(packet(0xE0, bytes([code])))
    client.expect_closed()


@pytest.mark.parametrize(
    "properties",
    [
        props.reason_string("bye"),
        props.user_property("a", "b") * 2,
        props.server_reference("x"),
        props.session_expiry(0),
        b"",
    ],
    ids=lambda p: p.hex() or "none",
)
def test_disconnect_properties_are_accepted(broker: Broker, name: str, properties: bytes) -> None:
    client = broker.connected(v5, name)
    client.send(v5.disconnect(0, properties))
    client.expect_closed()


@pytest.mark.parametrize(
    "body, code",
    [
        (b"\0\x03" + b"\x03\0\0", 0x82),
        (b"\0\x05" + props.will_delay(1), 0x82),
        (b"\0\x08" + props.reason_string("a") * 2, 0x82),
        (b"\0\x0a" + props.session_expiry(0) * 2, 0x82),
        (b"\0\0!", 0x82),
        (b"\0\x01\x7f", 0x81),
        (b"\0\x05", 0x81),
        (b"\0\x80\0", 0x81),
    ],
    ids=lambda b: b.hex() if isinstance(b, bytes) else hex(b),
)
@pytest.mark.differs("bytes left over are ignored")
def test_bad_disconnect_is_answered_by_one(broker: Broker, name: str, body: bytes, code: int) -> None:
    """[MQTT-2.2.2-2 3.14.1-1]"""
    client = broker.connected(v5, name)
    client.send(packet(0xE0, body))
    client.expect_refused(v5.disconnect(code))


@pytest.mark.parametrize("level", [v311, v5], ids=str)
@pytest.mark.parametrize("flags", [1, 2, 8, 15])
def test_disconnect_with_flags_is_a_protocol_error(broker: Broker, name: str, level: Level, flags: int) -> None:
    """[MQTT-3.14.1-1]"""
    client = broker.connected(level, name)
    client.send(bytes([0xE0 | flags, 0]))
    client.expect_refused(*([v5.disconnect(0x82)] if level.is_v5 else []))


def test_v31_ignores_disconnect_flags(broker: Broker, name: str) -> None:
    client = broker.connected(v31, name)
    client.send(b"\xe5\0")
    client.expect_closed()
    broker.wait_for_log(rf"Client {name} (\[{client.address}\] )?disconnected\.")


# Keep alive


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_silent_client_is_closed_after_one_and_a_half_keepalives(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.1.2-22 (3.1.1: 3.1.2-24)] without a word in every version"""
    import time

    client = broker.connected(level, name, keepalive=1)
    start = time.monotonic()
    client.expect_closed(SECONDS + 2)
    # floor(1.5 s) + 1 at most, and the second of the last packet is whole
    assert 0.9 < time.monotonic() - start < 3.5
    broker.wait_for_log(rf"Client {name} .*exceeded timeout")


@pytest.mark.slow
def test_keepalive_0_means_none(broker: Broker, name: str) -> None:
    """[MQTT-3.1.2-22] 3.1.2.10"""
    patient = broker.connected(v5, f"{name}p", keepalive=0)
    hasty = broker.connected(v5, name, keepalive=1)
    hasty.expect_closed(SECONDS + 2)
    patient.expect_silence()


@pytest.mark.slow
def test_any_packet_restarts_the_keepalive(broker: Broker, name: str) -> None:
    active = broker.connected(v5, f"{name}a", keepalive=1)
    silent = broker.connected(v5, name, keepalive=1)
    silent.sock.settimeout(0.3)
    for _ in range(20):
        active.publish(f"{name}/t")
        try:
            if silent.sock.recv(1) == b"":
                break
        except TimeoutError:
            continue
    else:
        pytest.fail("the silent client was not closed")
    active.expect_silence()


@pytest.mark.slow
def test_large_packet_under_way_restarts_the_keepalive(broker: Broker, name: str) -> None:
    """More than 1000 bytes outstanding count as a sign of life; a few do not."""
    silent = broker.connected(v5, name, keepalive=1)
    busy = broker.connected(v5, f"{name}b", keepalive=1)
    packet_under_way = v5.publish(f"{name}/t", b"x" * 100_000)
    busy.send(packet_under_way[:10])
    silent.sock.settimeout(0.3)
    for start in range(10, 6000, 200):
        busy.send(packet_under_way[start : start + 200])
        try:
            if silent.sock.recv(1) == b"":
                break
        except TimeoutError:
            continue
    else:
        pytest.fail("the silent client was not closed")
    busy.send(packet_under_way[start + 200 :])
    busy.expect_silence()


def test_pingreq_is_answered(broker: Broker, name: str) -> None:
    """[MQTT-3.12.4-1]"""
    for level in LEVELS:
        client = broker.connected(level, f"{name}{level.number}")
        client.send(b"\xc0\0" * 3)
        client.expect(*[b"\xd0\0"] * 3)


@pytest.mark.slow
def test_connection_without_connect_is_closed_after_half_a_minute(broker: Broker) -> None:
    """3.1.4-1: a reasonable time"""
    import time

    silent, partial = broker.client(), broker.client()
    partial.send(v5.connect("never")[:9])
    start = time.monotonic()
    silent.expect_closed(33)
    partial.expect_closed(5)
    assert time.monotonic() - start > 28
