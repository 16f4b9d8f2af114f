"""What a client tells: `Handler`, whose methods are the events."""

from __future__ import annotations

from collections.abc import Sequence

from mosq.client.errors import ClientError, reason_text, refusal_text
from mosq.record import Record

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.client.messages import Batch
    from mosq.core import Property


class Connack(Record):
    """The server's answer to CONNECT. `code`: return code (MQTT 3) or reason code; 0: accepted. `version`: 3, 4 or 5.

    A server that answers an MQTT 5.0 CONNECT in the manner of MQTT 3 (code 1) gives 132.
    """

    version: int
    code: int
    session_present: bool = False
    properties: Sequence[Property] = ()

    @property
    def text(self) -> str:
        """The text of a refusal."""
        return refusal_text(self.version, self.code)


class Refusal(Record):
    """A PUBLISH that the server refused. `packet`: 4 PUBACK, 5 PUBREC, 7 PUBCOMP; `reason_string`: b"" where it gave
    none."""

    mid: int
    packet: int
    reason: int
    reason_string: bytes = b""

    @property
    def text(self) -> str:
        """The text of the reason code."""
        return reason_text(self.reason)


class Handler:
    """Events of a client. A subclass defines those that it wants to know of; it may call the client in any of them.

    An exception that escapes ends the connection as ClientError(UNKNOWN) does, after the reactor has reported it.
    """

    def connected(self) -> None:
        """The network connection is there; the transport's handshake, then CONNECT, follow."""

    def connack(self, connack: Connack) -> None:
        """CONNACK. When it accepts, what was in flight has been resent already, and it is the moment to subscribe
        (again) and to publish. When it refuses, `closed` follows, with REFUSED (MQTT 3 codes 1 to 5) or PROTOCOL (all
        others); an MQTT 5.0 server is sent DISCONNECT 0x82 unless `Client.disconnect` is called here."""

    def messages(self, batch: Batch) -> None:
        """Messages came; those of QoS 1 are acknowledged, those of QoS 2 released by the server."""

    def suback(self, mid: int, codes: bytes, properties: Sequence[Property]) -> None:
        """SUBACK: one code for each filter."""

    def unsuback(self, mid: int, codes: bytes, properties: Sequence[Property]) -> None:
        """UNSUBACK; no codes before MQTT 5.0."""

    def refused(self, refusal: Refusal) -> None:
        """The server refused a QoS 1 or 2 message (reason code 0x80 and above). It counts as completed."""

    def complete(self) -> None:
        """Everything published is done: QoS 0 written, QoS 1 and 2 acknowledged. Called at the end of the turn in which
        that became true, once for as many messages as were published since the last time; may publish again."""

    def progress(self) -> None:
        """Called at the end of each turn in which acknowledgements came, or a full socket took output again: who was
        told to wait by `Client.publish_lines` or `Client.room` may try once more."""

    def closed(self, error: ClientError) -> float | None:
        """The connection ended, or could not be made: seconds to wait before the next attempt, or None: it is over
        (Client.state is ENDED).

        `error.code` is SUCCESS after `Client.disconnect` (the answer counts for nothing then). When the server sent
        DISCONNECT it is NO_CONNECTION with `error.reason`, or SUCCESS where its reason code was 0. LOST: it just
        closed. `Client.attempts` counts the attempts without CONNACK since the last one that had one, for a back-off.
        """
        return None

    def debug(self, line: str) -> None:
        """A debug line, without newline at its end; only with Settings.debug."""
