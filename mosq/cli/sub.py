"""mosquitto_sub: subscribe, and print the messages that come, until there is a reason to stop."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from mosq.cli.client import streams
from mosq.cli.client.program import Program, command, leave
from mosq.cli.client.settings import SUB, Settings
from mosq.cli.output import renderer
from mosq.cli.output.selection import Selection
from mosq.client import Batch, Connack
from mosq.client.errors import TIMEOUT, ClientError
from mosq.packets.reasons import DISCONNECT_WITH_WILL

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.core import Property

_DENIED = 0x80
_RETRY = 1.0
"""Seconds from a lost connection to the next attempt."""
_INTERRUPTED = 255
"""Exit code when it was told to stop before the server had accepted it."""


class Subscriber(Program):
    """CONNECT, SUBSCRIBE and UNSUBSCRIBE, print; a lost connection is made again.

    Theory of operation. What comes in one read of the socket is printed with one write. Where nothing asks for a look
    at single messages, the core puts the lines together (Batch.lines); otherwise `Selection` and a renderer do.
    Whatever ends the program leads to `_goodbye`, and from there through the end of the connection to `ended`.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._render = renderer(
            settings.format,
            verbose=settings.verbose,
            newline=settings.newline,
            pretty=settings.pretty,
            complain=self._complain_of_payload,
        )
        self._selection = Selection(
            count=settings.count,
            retained_only=settings.retained_only,
            no_retained=settings.no_retained,
            filters_out=settings.filters_out,
            remove=self._remove if settings.remove_retained else None,
        )
        self._in_one_piece = (
            self._selection.takes_all
            and settings.format is None
            and settings.random_filter >= 100
            and not settings.watch
        )
        self._received = 0
        self._removing = False
        self._over = False
        self._timed_out = False

    def run(self) -> int:
        settings = self.settings
        if settings.watch and not settings.message_rate:
            from mosq.cli.output.watch import Watch

            self._watch = Watch(self._render)
            try:
                self.output.write(self._watch.heading(os.fsencode(settings.host)))
            except OSError:
                return 0  # nobody reads it
        return super().run()

    # ---- the conversation

    def connected(self) -> None:
        if not self._reached:
            for number in (signal.SIGINT, signal.SIGTERM):
                self.reactor.on_signal(number, self._interrupt)
            if self.settings.timeout:
                self.reactor.call_later(self.settings.timeout, self._time_out)
            if self.settings.message_rate:
                self.reactor.call_later(1, self._print_rate)
        super().connected()

    def connack(self, connack: Connack) -> None:
        super().connack(connack)
        if connack.code:
            self._goodbye()

    def accepted(self) -> None:
        settings = self.settings
        # One by one, a message follows the debug lines about it.
        self.client.batch(1 if settings.debug else self._selection.left)
        if settings.filters:
            self.client.subscribe(
                [(each, settings.subscription_options) for each in settings.filters],
                settings.properties_of("subscribe"),
            )
        for each in settings.unsubscribe:
            self.client.unsubscribe([each], settings.properties_of("unsubscribe"))

    def suback(self, mid: int, codes: bytes, properties: Sequence[Property]) -> None:
        if self.settings.debug and not self.settings.quiet:
            self.output.line(f"Subscribed (mid: {mid}): {', '.join(map(str, codes))}")
        denied = all(code >= _DENIED for code in codes)
        if denied:
            self.complain("All subscription requests were denied.")
        if denied or self.settings.exit_after_suback:
            self._goodbye()

    def messages(self, batch: Batch) -> None:
        if self.settings.message_rate:
            self._received += len(batch)
            return
        try:
            self._print(batch)
        except OSError:  # nobody reads it any more
            self._goodbye()
            return
        if self._selection.over:
            if not self._removing:
                self._goodbye()
        elif self._selection.left and not self.settings.debug:
            self.client.batch(self._selection.left)

    def complete(self) -> None:
        """What was to be removed is."""
        self._removing = False
        if self._selection.over:
            self._goodbye()

    def _remove(self, topic: bytes) -> None:
        try:
            self.client.publish(topic, b"", 1, True)
            self._removing = True
        except ClientError:
            pass  # a server that takes no such message

    # ---- printing

    def _print(self, batch: Batch) -> None:
        """Raises OSError."""
        settings = self.settings
        if self._in_one_piece:
            out = batch.lines(topics=settings.verbose, newline=settings.newline)
            self._selection.counted(len(batch))
        else:
            chosen = self._selection.choose(batch)
            if settings.watch:
                out = b"".join([self._watch.message(each, shown=self._is_shown()) for each in chosen])
            else:
                out = self._render([each for each in chosen if self._is_shown()])
        if out:
            self.output.write(out)

    def _is_shown(self) -> bool:
        """Whether --random-filter lets a message through."""
        share = self.settings.random_filter
        if share >= 100:
            return True
        from random import random

        return random() * 100 < share

    def _print_rate(self) -> None:
        """How many messages came within the last second."""
        try:
            self.output.write(b"%d msgs/s\n" % self._received)
        except OSError:
            self._goodbye()
            return
        self._received = 0
        self.reactor.call_later(1, self._print_rate)

    def _complain_of_payload(self, text: bytes) -> None:
        if not self.settings.quiet:
            streams.complain(text)

    # ---- the end

    def _interrupt(self) -> None:
        """SIGINT or SIGTERM; who sends a second one does not want to wait for the server."""
        if self.welcome and not self._over:
            self._goodbye(DISCONNECT_WITH_WILL)
        else:
            self.client.abort()
            self.finish(0 if self.welcome else _INTERRUPTED)

    def _time_out(self) -> None:
        if self._over:
            return
        if self.welcome:
            self._timed_out = True
            self._goodbye(DISCONNECT_WITH_WILL)
        else:
            self.client.abort()
            self.finish(_INTERRUPTED)

    def _goodbye(self, reason: int = 0) -> None:
        if not self._over:
            self._over = True
            self.client.disconnect(reason, self.settings.properties_of("disconnect"))

    def ended(self, error: ClientError) -> float | None:
        if self._timed_out:
            self.complain("Timed out")
            self.finish(TIMEOUT)
        elif self.refusal or self._over:
            self.finish(self.refusal)
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
    return command(SUB, words, Subscriber)
