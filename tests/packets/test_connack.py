"""CONNACK (MQTT 5.0, section 3.2)."""

from __future__ import annotations

import pytest

from mosq.packets import connack


def test_usual_answer_to_mqtt_5() -> None:
    """MQTT 5.0, section 3.2.2.3"""
    packet = connack.accept(5, False, maximum_packet_size=2_000_000, receive_maximum=20, topic_alias_maximum=10)
    assert packet == bytes.fromhex("20 0e 00 00 0b 22 00 0a 27 00 1e 84 80 21 00 14")


@pytest.mark.parametrize(("version", "flag"), [(3, 0), (4, 1), (5, 1)])
def test_session_present(version: int, flag: int) -> None:
    """[MQTT-3.2.2-2], [MQTT-3.2.2-3]; MQTT 3.1 has no such flag."""
    assert connack.accept(version, True, maximum_packet_size=1, receive_maximum=0)[2] == flag
    assert connack.accept(version, False, maximum_packet_size=1, receive_maximum=0)[2] == 0


@pytest.mark.parametrize("version", [3, 4])
def test_old_versions_get_two_bytes(version: int) -> None:
    """MQTT 3.1.1, section 3.2"""
    assert len(connack.accept(version, True, maximum_packet_size=1, receive_maximum=20, max_qos=1)) == 4


def test_every_property_in_its_place() -> None:
    """MQTT 5.0, section 3.2.2.3"""
    packet = connack.accept(
        5,
        True,
        maximum_packet_size=100,
        receive_maximum=5,
        topic_alias_maximum=3,
        server_keep_alive=30,
        assigned_client_id="id",
        auth_method="m",
        auth_data=b"\xff",
        retain_available=False,
        max_qos=1,
    )
    assert packet[5:] == (b"\x13\0\x1e\x22\0\3\x12\0\2id\x15\0\1m\x16\0\1\xff\x25\0\x27\0\0\0\x64\x21\0\5\x24\1")
    assert packet[:5] == bytes((0x20, len(packet) - 2, 1, 0, len(packet) - 5))


def test_receive_maximum_0_is_not_stated() -> None:
    """max_inflight_messages 0: no limit"""
    assert connack.accept(5, False, maximum_packet_size=1, receive_maximum=0)[5:] == b"\x27\0\0\0\1"


def test_long_packet_has_a_long_length() -> None:
    packet = connack.accept(5, False, maximum_packet_size=1, receive_maximum=0, assigned_client_id="i" * 200)
    assert (packet[1] & 0x7F | packet[2] << 7) == len(packet) - 3


def test_refusal_of_an_old_version() -> None:
    """[MQTT-3.2.2-4] of 3.1.1"""
    assert connack.refuse(4, 5, 0x87, max_qos=1) == b"\x20\2\0\5"


def test_refusal_of_mqtt_5() -> None:
    """[MQTT-3.2.2-6]"""
    assert connack.refuse(5, 5, 0x87) == b"\x20\3\0\x87\0"
    assert connack.refuse(5, 5, 0x87, max_qos=0) == b"\x20\5\0\x87\2\x24\0"
