"""mosquitto_rr: publish a request, print the first message on the response topic and exit."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from time import monotonic_ns

from mosq.cli.client import options, payload, streams
from mosq.cli.client.program import Program, command, leave
from mosq.cli.client.settings import RR, Ending, Settings
from mosq.cli.output import renderer
from mosq.client import Batch
from mosq.client.errors import NO_CONNECTION, TIMEOUT, ClientError, reason_text
from mosq.client.outgoing import check_properties
from mosq.core import lib
from mosq.packets import properties as prop
from mosq.packets.reasons import DISCONNECT_WITH_WILL

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.core import Property

_DENIED = 0x80


class Request(Program):
    """CONNECT, SUBSCRIBE to the response topic, PUBLISH the request once, wait. It never connects again."""

    version_hint = False

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._render = renderer(
            settings.format,
            verbose=settings.verbose,
            newline=settings.newline,
            pretty=settings.pretty,
            complain=streams.complain,
        )
        self._sent_at = 0
        self._latency: int | None = None
        self._timed_out = False
        self._over = False

    # ---- the conversation

    def connected(self) -> None:
        super().connected()
        if self.settings.timeout:
            self.reactor.call_later(self.settings.timeout, self._time_out)

    def accepted(self) -> None:
        self.client.batch(1)
        settings = self.settings
        assert settings.response_topic is not None
        self.client.subscribe(
            [(settings.response_topic, settings.subscription_options)], settings.properties_of("subscribe")
        )

    def suback(self, mid: int, codes: bytes, properties: Sequence[Property]) -> None:
        if codes and codes[0] >= _DENIED:
            self.complain(reason_text(codes[0]))
            self._goodbye()
            return
        settings = self.settings
        assert settings.topic is not None
        self._sent_at = monotonic_ns()
        self.client.publish(settings.topic, settings.payload, settings.qos, False, publish_properties(settings))

    def messages(self, batch: Batch) -> None:
        for message in batch:
            if self._over or (self.settings.no_retained and message.retain):
                continue
            self._latency = monotonic_ns() - self._sent_at
            try:
                self.output.write(self._render([message]))
            except OSError:
                pass  # nobody reads it
            self._goodbye()

    def _time_out(self) -> None:
        self._timed_out = True
        self._goodbye(DISCONNECT_WITH_WILL if self.settings.version == 5 else 0)

    def _goodbye(self, reason: int = 0) -> None:
        self._over = True
        self.client.disconnect(reason, self.settings.properties_of("disconnect"))

    # ---- the end

    def ended(self, error: ClientError) -> float | None:
        if self._latency is not None and self.settings.latency and self._sent_at:
            self.output.line(f"Latency: {duration(self._latency)}")
        code = 0 if error.code == NO_CONNECTION else error.code
        if self._timed_out:
            self.complain("Timed out")
            self.finish(TIMEOUT)
        elif self.refusal:
            self.finish(self.refusal)
        else:
            self.finish(code, error if code else "")
        return None


def publish_properties(settings: Settings) -> Sequence[Property]:
    """What the request carries: nothing before MQTT 5.0."""
    if settings.version < 5:
        return ()
    assert settings.response_topic is not None
    return [*settings.properties_of("publish"), (prop.RESPONSE_TOPIC, settings.response_topic)]


def _check(settings: Settings) -> None:
    """Raises Ending for properties that the request may not have."""
    try:
        check_properties(5, lib.MQ_IN_PUBLISH, publish_properties(settings))
    except ClientError:
        raise Ending(err=b"Error in PUBLISH properties: Duplicate response topic.\n") from None


def duration(ns: int) -> str:
    """A time in the largest unit that it reaches; seconds have none."""
    if ns < 1_000:
        return f"{ns}ns"
    if ns < 1_000_000:
        return f"{ns / 1e3:.6f}\u00b5s"
    if ns < 1_000_000_000:
        return f"{ns / 1e6:.6f}ms"
    return f"{ns // 1_000_000_000}.{ns % 1_000_000_000:09d}"


def entry() -> None:
    """The console script."""
    leave(main(sys.argv[1:]))


def main(words: Sequence[str]) -> int:
    """Do what the arguments say. Returns the exit code."""
    return command(RR, words, _program)


def _program(settings: Settings) -> Program:
    if settings.topic is None or not settings.mode or settings.response_topic is None:
        raise options.usage(RR, b"Error: All of topic, message, and response topic must be supplied.")
    _check(settings)
    payload.load(settings)
    return Request(settings)
