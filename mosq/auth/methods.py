"""Extended authentication: methods by name, and an exchange that is going on. MQTT 5.0, section 4.12.

A method is started with the data of CONNECT (or of the AUTH that asks for re-authentication) and then gets the data of
each AUTH, and answers with a `Step`. What it has to remember between steps it keeps in `Exchange.memory`.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Protocol

    from mosq.auth.chain import Request
    from mosq.packets.connect import Connect

    class Method(Protocol):
        """One authentication method."""

        def start(self, exchange: Exchange, data: bytes | None) -> Step: ...

        def proceed(self, exchange: Exchange, data: bytes | None) -> Step: ...


PROVEN = object()
"""Why a client was let in (`Session.proof`), if a method said so."""

SUCCESS = 0x00
CONTINUE = 0x18


class Step:
    """A method's answer: SUCCESS, CONTINUE, a reason code >= 0x80, or None to close without a word; with data."""

    __slots__ = ("code", "data")

    def __init__(self, code: int | None, data: bytes | None = None) -> None:
        self.code = code
        self.data = data


class Exchange:
    """Extended authentication of one connection, first or repeated.

    `packet` is the CONNECT that waits for the end of the first exchange, None afterwards. `running` is true from the
    start until SUCCESS. `largest` is the client's Maximum Packet Size (bytes, 0: none). A re-authentication leaves the
    client active under its old identity until it fails.
    """

    __slots__ = ("name", "method", "request", "packet", "largest", "running", "memory")

    def __init__(self, name: str, method: Method, request: Request, packet: Connect) -> None:
        self.name = name
        self.method = method
        self.request = request
        self.packet: Connect | None = packet
        self.largest = packet.maximum_packet_size
        self.running = True
        self.memory: object = None
