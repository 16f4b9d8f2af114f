"""One table says what is sent and what is logged for each way to end."""

from __future__ import annotations

import errno

import pytest

from mosq import faults
from mosq.core import ffi, lib
from tests.control.world import World
from tests.harness import props
from tests.harness.packets import v5, v311

STATUSES: dict[str, int] = ffi.typeof("enum mq_status").relements
ENDING = [name for name, number in STATUSES.items() if number >= lib.MQ_EOF]
VIOLATION = "protocol error."
MALFORMED = "malformed packet."
OTHER = "bad socket read/write: "
WRONG_PROPERTY = bytes.fromhex("06 0001 00 02 01 00")
"""Of an acknowledgement: a payload format indicator."""


def aliased(topic: str, alias: int) -> bytes:
    return v5.publish(topic, properties=props.topic_alias(alias))


@pytest.mark.parametrize("name", ENDING)
def test_every_status_that_ends_a_connection_has_its_words(name: str) -> None:
    fault = faults.of_status(getattr(lib, name), (4, int(lib.MQ_PROTOCOL), 0))
    assert fault is not faults.INTERNAL
    assert fault.text
    assert "%" not in faults.describe(fault, "id", "peer", (4, 0, 0))


def test_socket_error_is_named() -> None:
    assert faults.of_status(lib.MQ_ERRNO, (errno.EPIPE, 0, 0)).text == "Broken pipe."


@pytest.mark.parametrize(
    "packet, code, line, text",
    [
        (b"\x00\x00", 0x82, "Protocol error from {peer}: RESERVED packet.", VIOLATION),
        (b"\xd0\x00", 0x82, "Protocol error from a: PINGRESP when not a bridge.", VIOLATION),
        (b"\xc0\x01\x00", None, None, MALFORMED),
        (b"\xc1\x00", 0x81, None, MALFORMED),
        (b"\x38\x04\x00\x01t\x00", 0x81, "Invalid PUBLISH (QoS=0 and DUP=1) from a, disconnecting.", MALFORMED),
        (b"\x36\x06\x00\x01t\x00\x01\x00", 0x81, "Invalid QoS in PUBLISH from a, disconnecting.", MALFORMED),
        (b"\x32\x06\x00\x01t\x00\x00\x00", 0x82, "Protocol error from a: PUBLISH packet with mid = 0.", VIOLATION),
        (b"\x40\x02\x00\x00", 0x82, "Protocol error from a: PUBACK with mid = 0.", VIOLATION),
        (b"\x40\x03\x00\x01\x01", 0x82, "Protocol error from a: PUBACK with reason code = 1.", VIOLATION),
        (b"\x62" + WRONG_PROPERTY, 0x82, "Protocol error from a: PUBREL with invalid properties.", VIOLATION),
        (b"\x40" + WRONG_PROPERTY, 0x82, None, VIOLATION),
        (b"\x60\x02\x00\x01", 0x82, "Protocol error from a: PUBREL with non-zero reserved flags (60).", VIOLATION),
        (aliased("", 5), 0x82, "Protocol error from a: PUBLISH invalid topic alias (5).", VIOLATION),
        (aliased("t", 11), 0x94, None, "topic alias invalid."),
        (v5.publish("t", properties=b"\x01\x00\x01\x00"), 0x82, None, f"{OTHER}Duplicate property in property list"),
        (v5.publish("t", properties=b"\x03\x00\x01\xff"), None, None, f"{OTHER}Malformed UTF-8"),
    ],
)
def test_what_is_sent_and_logged(world: World, packet: bytes, code: int | None, line: str | None, text: str) -> None:
    client = world.client("a", v5)
    peer = f"192.0.2.1:{client.port}"
    world.log.lines.clear()
    assert client.send(packet) == (b"" if code is None else v5.disconnect(code))
    assert client.closed
    assert world.log.texts("I") == ([] if line is None else [line.format(peer=peer)])
    assert world.log.texts("N") == [f"Client a [{peer}] disconnected: {text}"]


def test_v3_is_told_nothing(world: World) -> None:
    client = world.client("a", v311)
    assert client.send(b"\xc1\x00") == b""
    assert client.closed


def test_first_packet_that_is_not_connect(world: World) -> None:
    peer = world.peer(v5)
    assert peer.send(b"\xc0\x00") == b""
    assert world.log.texts("I") == [f"Protocol error from 192.0.2.1:{peer.port}: First packet not CONNECT (C0)."]


def test_mismatched_acknowledgement(world: World) -> None:
    client = world.client("a", v5)
    client.send(v5.subscribe(1, "t", qos=2))
    world.client("b", v5).send(v5.publish("t", b"", qos=1, mid=1))
    client.read()
    assert client.send(v5.pubcomp(1)) == v5.disconnect(0x82)
    assert world.log.texts("I")[-1] == "Protocol error from a: Mismatched QoS (1:2) when deleting outgoing message."


def test_peer_that_closes(world: World) -> None:
    world.client("a").drop()
    assert world.log.texts("N")[-1] == "Client a [192.0.2.1:40000] disconnected: connection closed by client."


def test_failure_in_a_handler_ends_that_connection_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    other, client = world.client("b"), world.client("a", v5)
    monkeypatch.setattr("mosq.packets.subscribe.parse", lambda *_: 1 // 0)
    assert client.send(v5.subscribe(1, "t")) == v5.disconnect(0x80)
    assert client.closed
    assert other.send(b"\xc0\x00") == b"\xd0\x00"
    assert [type(error) for error in world.errors] == [ZeroDivisionError]
    world.errors.clear()
