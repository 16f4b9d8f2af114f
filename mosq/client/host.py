"""Where a client lives: the reactor and the core it shares with others, and who finds it by its number.

A broker is a host for its bridges; `Standalone` is one for a command line tool, with a core of its own.
"""

from __future__ import annotations

from mosq.core import Core, lib

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any, Protocol

    from mosq.client.engine import Client
    from mosq.reactor import Reactor

    class Host(Protocol):
        """What a client needs around it. The core's callbacks for `owner` are handed to the client's methods of the
        same names; `flush` and `reap` of the core at the end of each turn are the host's work, as is its clock."""

        reactor: Reactor
        core: Core

        def add(self, client: Client) -> int:
            """A number for the client's next connection: the core's `owner`."""
            ...

        def remove(self, owner: int) -> None:
            """The connection with this number is closed; forget it at the end of the turn."""
            ...

else:
    Host = object


class Standalone:
    """One core for the clients of a tool. `close` it at the end."""

    def __init__(self, reactor: Reactor) -> None:
        self.reactor = reactor
        self.core = Core(self)
        self.core.receiver = self
        options = self.core.options
        for name in ("max_inflight_messages", "max_queued_messages", "max_packet_size"):
            setattr(options, name, 0)
        lib.mq_core_clock(self.core.c, reactor.now, reactor.wall)
        self._clients: dict[int, Client] = {}
        self._next = 0
        self._removed: list[int] = []
        reactor.turn_start.append(self._tick)
        reactor.turn_end.append(self._end_turn)

    def add(self, client: Client) -> int:
        self._next += 1
        self._clients[self._next] = client
        return self._next

    def remove(self, owner: int) -> None:
        self._removed.append(owner)

    def close(self) -> None:
        """Free the core."""
        self.reactor.turn_start.remove(self._tick)
        self.reactor.turn_end.remove(self._end_turn)
        self.core.close()

    def _tick(self) -> None:
        lib.mq_core_clock(self.core.c, self.reactor.now, self.reactor.wall)

    def _end_turn(self) -> None:
        lib.mq_core_flush(self.core.c)
        for client in tuple(self._clients.values()):
            client.turn_ended()
        lib.mq_core_flush(self.core.c)
        for client in tuple(self._clients.values()):
            client.flushed()
        lib.mq_core_reap(self.core.c)
        for owner in self._removed:
            del self._clients[owner]
        self._removed.clear()

    # What the core says (mosq.core.Owner, mosq.core.Receiver)

    def on_packet(self, owner: int, first: int, body: bytes) -> int:
        return self._clients[owner].on_packet(first, body)

    def on_messages(self, owner: int, data: Any, data_n: int, received: Any, n: int) -> int:
        return self._clients[owner].on_messages(data, data_n, received, n)

    def on_output(self, owner: int, error: int) -> None:
        self._clients[owner].on_output(error)

    def on_commit(self) -> None:
        pass

    def on_control(self, owner: int, qos: int, mid: int, topic: bytes, payload: bytes) -> int:
        return 1  # only of connections that are clients' to a broker

    def on_access(self, client_id: bytes, access: int, topic: bytes, payload: bytes, qos: int, retain: int) -> int:
        return int(lib.MQ_OK)  # asked for no session here: all are open

    def on_source(self, client_id: bytes, username: bytes | None, port: int, topic: bytes) -> int:
        return int(lib.MQ_OK)

    def on_notice(self, notice: int, client_id: bytes, value: int) -> None:
        for client in self._clients.values():
            client.on_notice(notice, value)

    def on_trace(
        self, sent: int, client_id: bytes, first: int, mid: int, rc: int, topic: bytes, payload_n: int, verdict: int
    ) -> None:
        for client in self._clients.values():
            client.on_trace(sent, first, mid, rc, topic, payload_n)
