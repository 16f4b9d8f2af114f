"""A connection in the client role (csrc/client.h), whose owner is this test."""

from __future__ import annotations

from typing import Any

from mosq.core import ffi, lib
from tests.csrc.peer import World
from tests.harness.packets import v5


class Receiver(World):
    """A client of the core that has got its CONNACK, and what it was handed."""

    def __init__(self) -> None:
        super().__init__()
        self.core.receiver = self
        self.conn = lib.mq_client_new(self.core.c, -1, 1, 5, 0, 0)
        self.session = lib.mq_session_new(self.core.c, b"c", 1)
        lib.mq_conn_accept(self.conn, self.session, ffi.new("mq_terms *", {"version": 5, "max_qos": 2}))

    def on_messages(self, owner: int, data: Any, data_n: int, received: Any, n: int) -> int:
        self.said.append(("messages", n))
        return 0

    def on_packet(self, owner: int, first: int, body: bytes) -> int:
        self.said.append(("packet", first))
        lib.mq_conn_close(self.conn)
        return 1


def test_messages_are_handed_up_before_a_refusal_that_follows_them() -> None:
    world = Receiver()
    outgoing = ffi.new("mq_outgoing *", {"topic": ffi.from_buffer(b"t"), "topic_n": 1, "qos": 1})
    mid = ffi.new("uint16_t *")
    assert lib.mq_client_publish(world.session, outgoing, b"", 0, mid) == lib.MQ_OK
    data = v5.publish("t", b"x") + v5.puback(mid[0], 0x87)
    assert lib.mq_conn_feed(world.conn, data, len(data)) == lib.MQ_STOPPED
    assert world.said == [("messages", 1), ("packet", 0x40)]
