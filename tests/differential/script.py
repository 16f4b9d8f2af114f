"""Byte scripts: what several connections send in turn, and a transcript of what each of them hears.

After every step each connection is asked for a PINGRESP, so its answers are complete without waiting; a connection that
does not answer (its last packet is incomplete, say) counts as waiting after a moment of quiet, and one that was closed
stays closed. A transcript holds nothing that differs between two runs of one broker: generated client ids are replaced.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

from tests.harness.broker import Broker
from tests.harness.client import ConnectionEndedError, RawClient
from tests.harness.deadline import PATIENCE
from tests.harness.packets import PINGREQ_BYTES, PINGRESP_BYTES

QUIET = 0.4 * PATIENCE
"""Seconds without a byte after which a connection counts as waiting for more."""

GENERATED = re.compile(rb"auto-[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")
CLOSED, WAITING = "closed", "waiting"


@dataclass(frozen=True)
class Script:
    """A name, and the (connection, bytes) to send one after the other; None instead of bytes drops the connection."""

    name: str
    steps: tuple[tuple[str, bytes | None], ...]

    def __str__(self) -> str:
        return self.name


def one(name: str, *sent: bytes) -> Script:
    """A script of a single connection."""
    return Script(name, tuple(("a", data) for data in sent))


def settle(client: RawClient) -> list[str]:
    """What the client hears until it is up to date."""
    heard: list[str] = []
    client.send(PINGREQ_BYTES)
    while True:
        try:
            packet = client.read_packet(QUIET)
        except ConnectionEndedError:
            return [*heard, CLOSED]
        except AssertionError:
            return [*heard, WAITING]
        if packet == PINGRESP_BYTES:
            return heard
        heard.append(GENERATED.sub(b"<generated>", packet).hex(" "))


def drop(client: RawClient) -> None:
    """Close from this side and wait until the broker has done so too, so that the next step comes after it."""
    client.sock.shutdown(socket.SHUT_WR)
    client.expect_closed()
    client.close()


def run(script: Script, broker: Broker) -> list[str]:
    """The transcript: one line per packet, or end, that a connection hears, under the step it came after."""
    connections: dict[str, RawClient] = {}
    lines: list[str] = []
    for number, (name, data) in enumerate(script.steps):
        if data is None:
            drop(connections.pop(name))
        else:
            if name not in connections:
                connections[name] = broker.client()
            connections[name].send(data)
        order = [name, *sorted(n for n in connections if n != name)] if name in connections else sorted(connections)
        for other in order:
            heard = settle(connections[other])
            lines += [f"{number} {other}: {line}" for line in heard]
            if heard and heard[-1] in (CLOSED, WAITING):
                connections.pop(other).close()
    for client in connections.values():
        client.close()
    return lines
