"""A core with connections that have no sockets: bytes go in with feed(), bytes come out with sent().

The owner here accepts everything: a test decides with `World.client` what CONNECT would have settled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mosq.core import Core, errno_of, ffi, lib
from tests.harness.packets import v5, v311


class World:
    """One core and what it said to its owner, in order: (name, arguments...)."""

    def __init__(self, **options: int) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.core = Core(self)
        self.wall = 1_000_000
        self.mono = 100
        self.tick(0)
        self.numbers = 0
        self.hold = False
        self.rules: Callable[[bytes, int, bytes], int] = lambda client_id, access, topic: int(lib.MQ_OK)
        for name, value in options.items():
            setattr(self.core.options, name, value)

    def tick(self, seconds: int) -> None:
        self.mono += seconds
        self.wall += seconds
        lib.mq_core_clock(self.core.c, self.mono, self.wall)

    def client(self, client_id: str = "", *, version: int = 4, fd: int = -1, **terms: int) -> Client:
        """An accepted connection with a new session."""
        return Client(self, client_id or f"c{self.numbers}", version, fd, terms)

    def turn(self) -> None:
        """What the reactor does at the end of a turn."""
        lib.mq_core_flush(self.core.c)
        lib.mq_core_reap(self.core.c)

    def notices(self) -> list[int]:
        return [event[1] for event in self.said if event[0] == "notice"]

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False, expiry: int = 0) -> int:
        """A message of the broker's own."""
        raw = topic.encode()
        status: int = lib.mq_publish(
            self.core.c, ffi.NULL, raw, len(raw), payload, len(payload), qos, retain, b"", 0, expiry
        )
        return status

    # what the core calls

    def on_packet(self, owner: int, first: int, body: bytes) -> int:
        self.said.append(("packet", owner, first, body))
        return int(self.hold)

    def on_control(self, owner: int, qos: int, mid: int, topic: bytes, payload: bytes) -> int:
        self.said.append(("control", owner, qos, mid, topic, payload))
        return 0

    def on_output(self, owner: int, error: int) -> None:
        self.said.append(("output", owner, error))

    def on_access(self, client_id: bytes, access: int, topic: bytes, payload: bytes, qos: int, retain: int) -> int:
        self.said.append(("access", client_id, access, topic, payload))
        return self.rules(client_id, access, topic)

    def on_source(self, client_id: bytes, username: bytes | None, port: int, topic: bytes) -> int:
        self.said.append(("source", client_id, username, port, topic))
        return self.rules(client_id, lib.MQ_WRITE, topic)

    def on_notice(self, notice: int, client_id: bytes, value: int) -> None:
        self.said.append(("notice", notice, client_id, value))

    def on_trace(
        self, sent: int, client_id: bytes, first: int, mid: int, rc: int, topic: bytes, payload_n: int, verdict: int
    ) -> None:
        self.said.append(("trace", sent, client_id, first, mid, rc, topic, payload_n, verdict))


class Client:
    """A connection and its session, seen from the client's side."""

    def __init__(self, world: World, client_id: str, version: int, fd: int, terms: dict[str, int]) -> None:
        world.numbers += 1
        self.world = world
        self.owner = world.numbers
        self.version = version
        self.packets = v5 if version == 5 else v311
        self.session = lib.mq_session_new(world.core.c, client_id.encode(), len(client_id))
        self.connect(fd, **terms)

    def connect(self, fd: int = -1, **terms: int) -> None:
        """Accept this session on a new connection."""
        settled = {
            "version": self.version,
            "max_qos": 2,
            "keepalive": 60,
            "alias_max_in": 10,
            "receive_max": 20,
        } | terms
        self.conn = lib.mq_conn_new(self.world.core.c, fd, self.owner)
        lib.mq_conn_accept(self.conn, self.session, ffi.new("mq_terms *", settled))

    def resume(self) -> bytes:
        lib.mq_conn_resume(self.conn)
        return self.sent()

    def feed(self, data: bytes) -> int:
        status: int = lib.mq_conn_feed(self.conn, data, len(data))
        return status

    def fault(self) -> tuple[int, int, int]:
        return errno_of(self.conn)

    def sent(self) -> bytes:
        """All output so far, taken as written."""
        out = b""
        data = ffi.new("const uint8_t **")
        while n := lib.mq_conn_output(self.conn, data):
            out += bytes(ffi.buffer(data[0], n))
            lib.mq_conn_consumed(self.conn, n)
        return out

    def pending(self) -> bytes:
        """The first piece of output, left where it is."""
        data = ffi.new("const uint8_t **")
        n = lib.mq_conn_output(self.conn, data)
        return bytes(ffi.buffer(data[0], n)) if n else b""

    def subscribe(self, topic_filter: str, options: int = 0, identifier: int = 0) -> int:
        raw = topic_filter.encode()
        status: int = lib.mq_subscribe(self.session, raw, len(raw), options, identifier)
        return status

    def unsubscribe(self, topic_filter: str) -> int:
        raw = topic_filter.encode()
        status: int = lib.mq_unsubscribe(self.session, raw, len(raw))
        return status

    def retained(self, topic_filter: str, qos: int = 0) -> bytes:
        raw = topic_filter.encode()
        assert lib.mq_retained_send(self.session, raw, len(raw), qos, 0) == lib.MQ_OK
        return self.sent()

    def publish(self, topic: str, payload: bytes = b"x", **how: Any) -> int:
        return self.feed(self.packets.publish(topic, payload, **how))

    def close(self, *, durable: bool = True) -> None:
        lib.mq_session_durable(self.session, durable)
        lib.mq_conn_close(self.conn)


def topics(stream: bytes) -> list[str]:
    """The topic names of the PUBLISH packets in a stream of short MQTT 3 packets."""
    out = []
    while stream:
        n = stream[1]
        body, stream = stream[2 : 2 + n], stream[2 + n :]
        out.append(body[2 : 2 + int.from_bytes(body[:2], "big")].decode())
    return out
