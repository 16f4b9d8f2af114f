"""mosquitto_pub: publish a message, or each line of the standard input, and exit once the server has them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mosq.cli.client import options, payload
from mosq.cli.client.program import Program, command, leave
from mosq.cli.client.settings import PUB, Ending, Settings
from mosq.cli.client.streams import Input
from mosq.client import UP, Refusal
from mosq.client.errors import (
    INVALID,
    LOST,
    NO_CONNECTION,
    NO_MEMORY,
    PAYLOAD_SIZE,
    PROTOCOL,
    QOS_NOT_SUPPORTED,
    REFUSED,
    SUCCESS,
    ClientError,
    text_of,
)

_UNPUBLISHED = {
    INVALID: "Error: Invalid input. Does your topic contain '+' or '#'?",
    NO_CONNECTION: "Error: Client not connected when trying to publish.",
    NO_MEMORY: "Error: Out of memory when trying to publish message.",
    PAYLOAD_SIZE: "Error: Message payload is too large.",
    PROTOCOL: "Error: Protocol error when communicating with broker.",
    QOS_NOT_SUPPORTED: "Error: Message QoS not supported on broker, try a lower QoS.",
}
"""Why a message could not be published; nothing is said about other reasons."""
_PUBREC = 5
_RETRY = 1.0
"""Seconds from a lost connection to the next attempt."""


class _Pub(Program):
    answers_refusal = False
    end = 1.0  # the messages are there, and a server that does not close must not keep a script waiting

    def refused(self, refusal: Refusal) -> None:
        self.complain(f"Warning: Publish {refusal.mid} failed: {refusal.text}.")
        if refusal.reason_string and refusal.packet != _PUBREC:
            self.complain(refusal.reason_string.decode("utf-8", "replace"))

    def goodbye(self) -> None:
        """DISCONNECT, behind everything published."""
        self.client.disconnect(properties=self.settings.properties_of("disconnect"))


class Messages(_Pub):
    """One message, as often as --repeat says, each once the one before is complete. It never connects again."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._left = settings.repeat
        self._failed = False

    def accepted(self) -> None:
        self._publish()

    def _publish(self) -> None:
        settings = self.settings
        self._left -= 1
        assert settings.topic is not None
        try:
            self.client.publish(
                settings.topic, settings.payload, settings.qos, settings.retain, settings.properties_of("publish")
            )
        except ClientError as error:
            if error.code in _UNPUBLISHED:
                self.complain(_UNPUBLISHED[error.code])
            self._failed = True
            self.goodbye()

    def complete(self) -> None:
        if not self._left:
            self.goodbye()
        elif self.settings.repeat_delay:
            self.reactor.call_later(self.settings.repeat_delay, self._again)
        else:
            self._publish()

    def _again(self) -> None:
        if self.client.state == UP:
            self._publish()

    def ended(self, error: ClientError) -> float | None:
        if self._failed and error.code == SUCCESS:
            error = ClientError(LOST)
        self.finish(self.refusal or error.code, error if error.code else "")
        return None


class Lines(_Pub):
    """Each line of the standard input is a message (-l). A lost connection is made again.

    Theory of operation. Input is read only once the server has accepted a connection and while the client has room for
    more, so a slow server slows the input down. What was read and not published waits here: whole lines in `_lines`,
    behind them, in `_beginning`, a line whose end is yet to come. The last line needs no newline. It is over when all
    that was published is complete.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._input = Input(self.reactor, self._take)
        self._lines = memoryview(b"")
        self._beginning: list[bytes] = []
        self._length = 0
        self._at_end = False
        self._scheduled = False
        self._over: ClientError | None = None

    def accepted(self) -> None:
        self._publish()

    def progress(self) -> None:
        self._publish()

    def complete(self) -> None:
        self._publish()

    def _take(self, piece: bytes) -> None:
        """Put what was read behind what is there; nothing: the input is at its end."""
        self._at_end = not piece
        whole, newline, rest = piece.rpartition(b"\n")
        if newline or self._at_end:
            self._lines = memoryview(b"".join((self._lines, *self._beginning, whole, newline)))
            self._beginning.clear()
            self._length = 0
        if rest:
            self._beginning.append(rest)
            self._length += len(rest)
        self._publish()

    def _publish(self) -> None:
        """Publish the lines that there is room for; then read on, or come back, or say goodbye."""
        self._scheduled = False
        if self._over:
            return
        try:
            self._publish_lines()
        except ClientError as error:
            self._goodbye(error)
            return
        self._input.read(not self._lines and not self._at_end)
        if self._lines:
            self._come_back()
        elif self._at_end and not self.client.pending and not self.client.unsent:
            self._goodbye(ClientError(SUCCESS))

    def _publish_lines(self) -> None:
        if self._length > options.LONGEST_PAYLOAD:
            raise ClientError(PAYLOAD_SIZE)
        settings = self.settings
        assert settings.topic is not None
        if self._lines:
            stated = settings.properties_of("publish")
            done, _ = self.client.publish_lines(
                self._lines, settings.topic, settings.qos, settings.retain, stated, last=self._at_end
            )
            self._lines = self._lines[done:]

    def _come_back(self) -> None:
        """In the next turn if there is room, which `progress` tells otherwise."""
        if self.client.room and not self._scheduled:
            self._scheduled = True
            self.reactor.call_soon(self._publish)

    def _goodbye(self, error: ClientError) -> None:
        """End, well or because of an error."""
        self._over = error
        self._input.read(False)
        self.goodbye()

    def ended(self, error: ClientError) -> float | None:
        if self.refusal:
            self.finish(self.refusal, text_of(REFUSED))
        elif self._over:
            self.finish(self._over.code, self._over if self._over.code else "")
        elif error.fatal:
            self.finish(error.code, error)
        else:
            return _RETRY
        return None


def entry() -> None:
    """The console script."""
    leave(main(sys.argv[1:]))


def main(words: Sequence[str]) -> int:
    """Do what the arguments say. Returns the exit code."""
    return command(PUB, words, _program)


def _program(settings: Settings) -> Program:
    payload.load(settings)
    if settings.topic is None or not settings.mode:
        text = b"Error: Both topic and message must be supplied.\n"
        raise Ending(err=text, out=options.help_text(PUB))
    return (Lines if settings.mode == "l" else Messages)(settings)
