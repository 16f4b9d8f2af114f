"""The byte stream before any packet has a meaning: fixed headers, lengths, limits; MQTT 2.1 (3.1.1: 2.2)."""

from __future__ import annotations

import pytest

from tests.harness.broker import Broker
from tests.harness.brokers import Brokers
from tests.harness.packets import (
    LEVELS,
    PINGREQ_BYTES,
    PINGRESP_BYTES,
    Level,
    field,
    packet,
    u16,
    v5,
    v31,
    v311,
    varint,
)

V3 = (v31, v311)


@pytest.mark.parametrize("first", [n << 4 for n in range(16) if n != 1], ids=lambda n: f"0x{n:02x}")
def test_first_packet_must_be_connect(broker: Broker, first: int) -> None:
    """[MQTT-3.1.0-1] anything else ends the connection before a second byte is read."""
    client = broker.client()
    client.send(bytes([first]))
    client.expect_closed()


@pytest.mark.differs("log line of a later release")
def test_first_packet_that_is_not_connect_is_logged(broker: Broker) -> None:
    client = broker.client()
    client.send(b"\xc0\x00")
    client.expect_closed()
    broker.wait_for_log(rf"Protocol error from {client.address}: First packet not CONNECT \(C0\)\.")
    broker.wait_for_log(rf"Client 127\.0\.0\.1 \[{client.address}\] disconnected: protocol error\.")


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_reserved_packet_type_0_is_a_protocol_error(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-2.1.2-1 / 4.13.1-1] type 0 is forbidden."""
    client = broker.connected(level, name)
    client.send(b"\x00\x00")
    client.expect_refused(*([v5.disconnect(0x82)] if level.is_v5 else []))


def test_v3_reserved_packet_type_15_ends_the_connection(broker: Broker, name: str) -> None:
    client = broker.connected(v311, name)
    client.send(b"\xf0\x00")
    client.expect_closed()


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize(
    "server_packet",
    [b"\x20\x02\0\0", b"\x90\x03\0\1\0", b"\xb0\x02\0\1", b"\xd0\0"],
    ids=["CONNACK", "SUBACK", "UNSUBACK", "PINGRESP"],
)
def test_packets_only_a_server_sends_are_a_protocol_error(
    broker: Broker, name: str, level: Level, server_packet: bytes
) -> None:
    client = broker.connected(level, name)
    client.send(server_packet)
    client.expect_refused(*([v5.disconnect(0x82)] if level.is_v5 else []))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_remaining_length_of_five_bytes_is_malformed(broker: Broker, name: str, level: Level) -> None:
    """2.2.3 / 1.5.5: at most four bytes; closed without a word in every version."""
    client = broker.connected(level, name)
    client.send(b"\x30\x80\x80\x80\x80\x01")
    client.expect_closed()
    broker.wait_for_log(rf"Client {name} \[{client.address}\] disconnected: malformed packet\.")


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_overlong_remaining_length_is_tolerated(broker: Broker, name: str, level: Level) -> None:
    client = broker.connected(level, name)
    client.send(b"\xc0\x80\x80\x00")
    client.expect(PINGRESP_BYTES)


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_packets_may_arrive_byte_by_byte(broker: Broker, name: str, level: Level) -> None:
    client = broker.client(level)
    for byte in level.connect(name) + level.subscribe(1, name) + level.publish(name, b"x" * 200) + PINGREQ_BYTES:
        client.send(bytes([byte]))
    client.expect(level.connack(), level.suback(1, 0), level.publish(name, b"x" * 200), PINGRESP_BYTES)


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_packets_may_be_pipelined_behind_connect(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.1.4-5 / 3.1.4-6] clients need not wait for the CONNACK."""
    client = broker.client(level)
    client.send(level.connect(name), level.subscribe(1, name), level.publish(name, b"x"), PINGREQ_BYTES)
    client.expect(level.connack(), level.suback(1, 0), level.publish(name, b"x"), PINGRESP_BYTES)


def test_many_packets_in_one_segment_keep_their_order(broker: Broker, name: str) -> None:
    client = broker.connected(v311, name)
    client.subscribe(name)
    packets = [v311.publish(name, str(i).encode() * (i % 40)) for i in range(1500)]
    client.send(*packets)
    client.expect(*packets)


def test_a_packet_over_many_reads_arrives_whole(broker: Broker, name: str) -> None:
    client = broker.connected(v311, name)
    client.subscribe(name)
    big = v311.publish(name, bytes(range(256)) * 6000)
    client.send(big)
    client.expect(big)


@pytest.mark.parametrize("size", [0, 1, 100, 65535])
@pytest.mark.differs("option of a later release")
def test_packets_of_all_sizes_pass_through_any_buffer(brokers: Brokers, name: str, size: int) -> None:
    client = brokers(f"packet_buffer_size {size}").connected(v311, name)
    client.subscribe(name)
    packets = [v311.publish(name, b"x" * length) for length in (0, 10, 5000, 100_000, 1)]
    client.send(*packets)
    client.expect(*packets)


LENGTH_MUST_FIT = [
    pytest.param(v, first, length, id=f"{v}-{first:02x}-{length}")
    for v in V3
    for first, lengths in {
        0x40: (0, 1, 3),
        0x50: (0, 3),
        0x62: (1, 3),
        0x70: (0, 3),
        0xC0: (1,),
        0xE0: (1,),
    }.items()
    for length in lengths
] + [pytest.param(v5, 0xC0, 1, id="v5-c0-1")]


@pytest.mark.parametrize("level, first, length", LENGTH_MUST_FIT)
def test_fixed_size_packet_of_another_size_is_malformed(
    broker: Broker, name: str, level: Level, first: int, length: int
) -> None:
    """Closed as soon as the length is known, without a word even for v5."""
    client = broker.connected(level, name)
    client.send(bytes([first, length]))
    client.expect_closed()
    broker.wait_for_log(rf"Client {name} \[{client.address}\] disconnected: malformed packet\.")


@pytest.mark.differs("the fixed limits are those of a later release")
@pytest.mark.parametrize(
    "first, limit",
    [
        (0x40, 10000),
        (0x50, 10000),
        (0x62, 10000),
        (0x70, 10000),
        (0xE0, 10000),
        (0x82, 100000),
        (0xA2, 100000),
        (0xF0, 100000),
    ],
    ids=lambda n: f"{n:x}",
)
def test_v5_packet_beyond_its_fixed_limit_is_oversize(broker: Broker, name: str, first: int, limit: int) -> None:
    client = broker.connected(v5, name)
    client.send(bytes([first]) + varint(limit))
    client.expect_closed()
    broker.wait_for_log(rf"Client {name} \[{client.address}\] disconnected: oversize packet\.")


def test_v3_subscribe_has_no_limit_of_its_own(broker: Broker, name: str) -> None:
    client = broker.connected(v311, name)
    filters = [f"{name}/{i:0120}" for i in range(1000)]
    client.send(v311.subscribe(1, *filters))
    client.expect(v311.suback(1, *[0] * 1000))


def test_v5_subscribe_just_within_its_limit_is_accepted(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    filters = [f"{name}/{i:080}" for i in range(900)]
    client.send(v5.subscribe(1, *filters))
    client.expect(v5.suback(1, *[0] * 900))


@pytest.mark.differs("the fixed limits are those of a later release")
@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_connect_beyond_its_fixed_limit_is_oversize(broker: Broker, level: Level) -> None:
    client = broker.client()
    client.send(b"\x10" + varint(100000))
    client.expect_closed()
    broker.wait_for_log(rf"\[{client.address}\] disconnected: oversize packet\.")


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_connect_of_nearly_its_limit_is_read(broker: Broker, name: str, level: Level) -> None:
    broker.connected(level, name, username=name, password=b"p" * 60000)


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_packet_beyond_max_packet_size_is_refused_before_it_is_read(brokers: Brokers, name: str, level: Level) -> None:
    """[MQTT-3.2.2-15] / 4.13: DISCONNECT 0x95 in v5, silence in v3."""
    client = brokers("max_packet_size 1000").client(level)
    client.send(level.connect(name))
    assert client.read_packet()[3] == 0
    fits = level.publish(name, b"x" * (1000 - len(level.publish(name)) - 1))
    assert len(fits) == 1000
    client.send(fits)
    client.expect_silence()
    client.send(b"\x30" + varint(998))
    client.expect_refused(*([v5.disconnect(0x95)] if level.is_v5 else []))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_default_max_packet_size_is_two_million_bytes(broker: Broker, name: str, level: Level) -> None:
    client = broker.connected(level, name)
    client.send(b"\x30" + varint(2_000_000 - 4 + 1))
    client.expect_refused(*([v5.disconnect(0x95)] if level.is_v5 else []))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_connect_beyond_max_packet_size_is_closed_silently(brokers: Brokers, name: str, level: Level) -> None:
    client = brokers("max_packet_size 100").client(level)
    client.send(level.connect(name * 20))
    client.expect_closed()


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize(
    "first", [0x81, 0x80, 0x8A, 0xA0, 0xA3, 0x41, 0x54, 0x78, 0xC1, 0xC8], ids=lambda n: f"{n:02x}"
)
def test_reserved_header_flags_are_malformed(broker: Broker, name: str, level: Level, first: int) -> None:
    """[MQTT-2.1.3-1 / 2.2.2-2 3.8.1-1 3.10.1-1] v5 hears 0x81."""
    bodies = {
        8: u16(1) + level.properties(b"") + field(name) + b"\0",
        10: u16(1) + level.properties(b"") + field(name),
        12: b"",
    }
    client = broker.connected(level, name)
    client.send(packet(first, bodies.get(first >> 4, u16(1))))
    client.expect_refused(*([v5.disconnect(0x81)] if level.is_v5 else []))


def test_v31_ignores_pubrel_flags(broker: Broker, name: str) -> None:
    client = broker.connected(v31, name)
    client.send(packet(0x60, u16(1)), packet(0x6F, u16(2)))
    client.expect(v31.pubcomp(1), v31.pubcomp(2))


@pytest.mark.parametrize("level", [v311, v5], ids=str)
@pytest.mark.parametrize("flags", [0, 1, 3, 10])
def test_pubrel_with_other_flags_than_2_is_refused(broker: Broker, name: str, level: Level, flags: int) -> None:
    """[MQTT-3.6.1-1]"""
    client = broker.connected(level, name)
    client.send(packet(0x60 | flags, u16(1)))
    client.expect_refused(*([v5.disconnect(0x82)] if level.is_v5 else []))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_half_a_packet_then_eof_is_a_closed_connection(broker: Broker, name: str, level: Level) -> None:
    client = broker.connected(level, name)
    client.send(level.publish(name, b"x" * 100)[:50])
    client.close()
    broker.wait_for_log(
        rf"Client {name} \[\S+\] disconnected: |Client {name} closed its connection|Socket error on client {name}"
    )


@pytest.mark.differs("it logs the text of errno 0")
def test_eof_inside_a_packet_is_logged_as_any_eof(broker: Broker, name: str) -> None:
    client = broker.connected(v311, name)
    client.send(v311.publish(name, b"x" * 100)[:50])
    client.close()
    broker.wait_for_log(rf"Client {name} \[\S+\] disconnected: connection closed by client\.")


@pytest.mark.differs("it goes on parsing")
@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_input_behind_a_disconnect_is_discarded(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.14.4-2] nothing follows a DISCONNECT."""
    watcher = broker.connected(v311, f"{name}w")
    watcher.subscribe(name)
    client = broker.connected(level, name)
    client.send(level.disconnect(), level.publish(name, b"late"), level.connect(name))
    client.expect_closed()
    watcher.expect_silence()
    assert broker.logged(rf"Client {name} .* disconnected") == [f"Client {name} [{client.address}] disconnected."]
