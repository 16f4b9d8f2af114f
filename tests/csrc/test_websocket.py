"""WebSocket frames (RFC 6455, section 5) around a connection, for both ends: bytes in, MQTT and bytes out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosq.core import ffi, lib
from tests.csrc.peer import Client, World
from tests.harness.packets import v311
from tests.harness.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frames, frame

SERVER, CLIENT = 0, 1
PINGREQ, PINGRESP = b"\xc0\0", b"\xd0\0"


class Stream:
    """One end under test, with an MQTT connection behind it. The peer's frames are made by `frame`."""

    def __init__(self, role: int) -> None:
        self.role = role
        self.world = World()
        self.client: Client = self.world.client()
        self.ws: Any = ffi.gc(lib.mq_ws_new(self.client.conn, role), lib.mq_ws_free)
        self.status: int = lib.MQ_OK

    def feed(self, data: bytes) -> int:
        room = ffi.new("uint8_t[]", data)
        self.status = lib.mq_ws_feed(self.ws, room, len(data))
        return self.status

    def output(self, room: int = 512) -> bytes:
        """All that is to be written, fetched in pieces of `room` bytes."""
        piece, out = ffi.new("uint8_t[]", room), b""
        while n := lib.mq_ws_output(self.ws, piece, room):
            out += bytes(ffi.buffer(piece, n))
        return out

    def answers(self) -> list[tuple[int, bytes]]:
        """The frames that are to be written, (opcode, payload), all of them masked as this end's must be."""
        frames = Frames(masked=self.role == CLIENT)
        return [(opcode, payload) for _, opcode, payload in frames.feed(self.output())]

    def from_peer(self, opcode: int, payload: bytes = b"", **how: Any) -> bytes:
        return frame(opcode, payload, masked=self.role == SERVER, **how)


@pytest.fixture(params=[SERVER, CLIENT], ids=["server", "client"])
def stream(request: pytest.FixtureRequest) -> Stream:
    return Stream(request.param)


def test_packet_in_a_frame_comes_to_the_connection(stream: Stream) -> None:
    assert stream.feed(stream.from_peer(BINARY, PINGREQ)) == lib.MQ_OK
    assert stream.answers() == [(BINARY, PINGRESP)]


def test_packets_need_not_align_with_frames(stream: Stream) -> None:
    data = PINGREQ * 3 + PINGREQ[:1]
    assert stream.feed(stream.from_peer(BINARY, data[:1])) == lib.MQ_OK
    assert stream.feed(stream.from_peer(BINARY, data[1:]) + stream.from_peer(BINARY, PINGREQ[1:])) == lib.MQ_OK
    assert stream.answers() == [(BINARY, PINGRESP)] * 4


def test_message_may_be_fragmented_with_control_frames_between(stream: Stream) -> None:
    data = stream.from_peer(BINARY, PINGREQ[:1], fin=False) + stream.from_peer(PING, b"p")
    data += stream.from_peer(CONTINUATION, b"", fin=False) + stream.from_peer(CONTINUATION, PINGREQ[1:])
    assert stream.feed(data) == lib.MQ_OK
    assert stream.answers() == [(PONG, b"p"), (BINARY, PINGRESP)]


def test_each_packet_is_a_frame(stream: Stream) -> None:
    stream.client.subscribe("t", 0)
    packets = [v311.publish("t", bytes(n % 256 for n in range(size))) for size in (0, 100, 150, 9000, 70_000, 300)]
    stream.feed(stream.from_peer(BINARY, b"".join(packets)))
    assert stream.answers() == [(BINARY, packet) for packet in packets]


@pytest.mark.parametrize("size", [0, 1, 125])
def test_ping_is_answered(stream: Stream, size: int) -> None:
    assert stream.feed(stream.from_peer(PING, b"x" * size)) == lib.MQ_OK
    assert stream.answers() == [(PONG, b"x" * size)]


def test_of_many_pings_the_last_is_answered(stream: Stream) -> None:
    stream.feed(b"".join(stream.from_peer(PING, b"%d" % i) for i in range(1000)))
    assert stream.answers() == [(PONG, b"999")]


def test_answer_waits_for_the_end_of_a_frame(stream: Stream) -> None:
    stream.client.subscribe("t", 0)
    packet = v311.publish("t", b"x" * 2000)
    stream.feed(stream.from_peer(BINARY, packet))
    piece = ffi.new("uint8_t[]", 512)
    begun = bytes(ffi.buffer(piece, lib.mq_ws_output(stream.ws, piece, 512)))
    stream.feed(stream.from_peer(PING, b"now"))
    frames = Frames(masked=stream.role == CLIENT).feed(begun + stream.output())
    assert [f[1:] for f in frames] == [(BINARY, packet), (PONG, b"now")]


def test_unasked_pong_is_nothing(stream: Stream) -> None:
    assert stream.feed(stream.from_peer(PONG, b"x")) == lib.MQ_OK
    assert stream.answers() == []


@pytest.mark.parametrize(
    ("payload", "code", "answer"),
    [
        (b"", 1005, b""),
        (b"\x03\xe8", 1000, b"\x03\xe8"),
        (b"\x03\xe9going away", 1001, b"\x03\xe9"),
        (b"\x0b\xb8", 3000, b"\x0b\xb8"),
        (b"\x13\x87", 4999, b"\x13\x87"),
    ],
)
def test_close_is_answered_and_ends_the_stream(stream: Stream, payload: bytes, code: int, answer: bytes) -> None:
    assert stream.feed(stream.from_peer(CLOSE, payload) + b"nothing of this matters") == lib.MQ_EOF
    assert lib.mq_ws_code(stream.ws) == code
    assert stream.answers() == [(CLOSE, answer)]
    lib.mq_conn_send(stream.client.conn, PINGREQ, 2)
    assert stream.output() == b""
    assert stream.feed(stream.from_peer(BINARY, PINGREQ)) == lib.MQ_EOF


def test_own_close_comes_after_the_output(stream: Stream) -> None:
    lib.mq_conn_send(stream.client.conn, PINGREQ, 2)
    lib.mq_ws_close(stream.ws)
    assert stream.answers() == [(BINARY, PINGREQ), (CLOSE, b"\x03\xe8")]
    assert stream.output() == b""


def test_own_close_comes_after_output_that_is_held() -> None:
    stream = Stream(SERVER)
    lib.mq_core_hold(stream.world.core.c, 1)
    lib.mq_conn_send(stream.client.conn, PINGREQ, 2)
    lib.mq_conn_promise(stream.client.conn)
    lib.mq_ws_close(stream.ws)
    assert stream.output() == b""
    lib.mq_core_committed(stream.world.core.c)
    assert stream.answers() == [(BINARY, PINGREQ), (CLOSE, b"\x03\xe8")]


def test_what_follows_a_packet_that_stops_the_turn_waits(stream: Stream) -> None:
    stream.world.hold = True
    data = stream.from_peer(BINARY, v311.subscribe(1, "t")) + stream.from_peer(BINARY, PINGREQ)
    assert stream.feed(data + stream.from_peer(PING, b"p") + stream.from_peer(BINARY, PINGREQ)) == lib.MQ_STOPPED
    assert stream.answers() == [(PONG, b"p")]
    assert lib.mq_conn_feed(stream.client.conn, ffi.NULL, 0) == lib.MQ_OK
    assert stream.answers() == [(BINARY, PINGRESP)] * 2


REFUSED = {
    "text": (1003, lambda s: s.from_peer(TEXT, PINGREQ)),
    "reserved bit": (1002, lambda s: s.from_peer(BINARY, PINGREQ, reserved=0x40)),
    "reserved opcode": (1002, lambda s: s.from_peer(3)),
    "reserved control opcode": (1002, lambda s: s.from_peer(11)),
    "wrong masking": (1002, lambda s: frame(BINARY, PINGREQ, masked=s.role == CLIENT)),
    "continuation of nothing": (1002, lambda s: s.from_peer(CONTINUATION, PINGREQ)),
    "message inside a message": (1002, lambda s: s.from_peer(BINARY, b"", fin=False) + s.from_peer(BINARY, b"")),
    "fragmented control": (1002, lambda s: s.from_peer(PING, b"", fin=False)),
    "long control": (1002, lambda s: s.from_peer(PING, b"x" * 126)),
    "16 bits for a short length": (1002, lambda s: s.from_peer(BINARY, b"", form=126)),
    "64 bits for a short length": (1002, lambda s: s.from_peer(BINARY, b"", form=127)),
    "length of 64 bits": (1002, lambda s: b"\x82" + (b"\x7f", b"\xff")[s.role == SERVER] + b"\xff" * 12),
    "close of one byte": (1002, lambda s: s.from_peer(CLOSE, b"\x03")),
    "close with a forbidden code": (1002, lambda s: s.from_peer(CLOSE, b"\x03\xed")),
    "close with a code of nobody": (1002, lambda s: s.from_peer(CLOSE, b"\x27\x10")),
    "close with bad text": (1007, lambda s: s.from_peer(CLOSE, b"\x03\xe8\xff")),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_breaks_the_rules_is_refused_with_a_close(stream: Stream, what: str) -> None:
    code, make = REFUSED[what]
    assert stream.feed(make(stream) + stream.from_peer(BINARY, PINGREQ)) == lib.MQ_PROTOCOL
    assert lib.mq_ws_code(stream.ws) == code
    assert stream.answers() == [(CLOSE, code.to_bytes(2, "big"))]


def test_error_in_mqtt_is_the_connection_s(stream: Stream) -> None:
    assert stream.feed(stream.from_peer(BINARY, b"\0\0") + stream.from_peer(PING)) == lib.MQ_RESERVED
    assert lib.mq_ws_code(stream.ws) == 0


def test_client_s_keys_differ() -> None:
    stream = Stream(CLIENT)
    for _ in range(100):
        lib.mq_conn_send(stream.client.conn, PINGREQ, 2)
    out = stream.output()
    assert len({out[i + 2 : i + 6] for i in range(0, len(out), 8)}) == 100


@settings(max_examples=150, deadline=None)
@given(
    role=st.sampled_from([SERVER, CLIENT]),
    pieces=st.lists(st.tuples(st.integers(0, 300), st.booleans(), st.booleans()), max_size=8),
    step=st.integers(1, 400),
)
def test_stream_may_be_cut_anywhere(role: int, pieces: list[tuple[int, bool, bool]], step: int) -> None:
    stream, data, opcode = Stream(role), b"", BINARY
    for size, fin, pinged in pieces:
        data += stream.from_peer(opcode, PINGREQ * size, fin=fin) + (stream.from_peer(PING) if pinged else b"")
        opcode = BINARY if fin else CONTINUATION
    for at in range(0, len(data), step):
        assert stream.feed(data[at : at + step]) == lib.MQ_OK
    answers = [answer for answer in stream.answers() if answer[0] == BINARY]
    assert answers == [(BINARY, PINGRESP)] * sum(size for size, _, _ in pieces)


@settings(max_examples=300, deadline=None)
@given(role=st.sampled_from([SERVER, CLIENT]), data=st.binary(max_size=300))
def test_whatever_comes_ends_in_order(role: int, data: bytes) -> None:
    stream = Stream(role)
    assert 0 <= stream.feed(data) <= lib.MQ_BAD_SHARE
    assert len(stream.output()) <= 2 * (len(data) + 10)
