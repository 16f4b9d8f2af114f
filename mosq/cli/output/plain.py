"""Output without a format: the payload alone, or after its topic (-v), and no end of line with -N.

An empty payload prints nothing, or `(null)` after the topic where the line has an end. These run for every message of
a busy stream, hence one expression each.
"""

from __future__ import annotations

from collections.abc import Iterable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mosq.cli.output import Received, Render


def _payloads(messages: Iterable[Received]) -> bytes:
    payloads = [payload for message in messages if (payload := message.payload)]
    payloads.append(b"")
    return b"\n".join(payloads)


def _payloads_run_on(messages: Iterable[Received]) -> bytes:
    return b"".join([message.payload for message in messages])


def _with_topics(messages: Iterable[Received]) -> bytes:
    lines = [b"%b %b" % (message.topic, message.payload or b"(null)") for message in messages]
    lines.append(b"")
    return b"\n".join(lines)


def _with_topics_run_on(messages: Iterable[Received]) -> bytes:
    return b"".join([b"%b %b" % (message.topic, payload) for message in messages if (payload := message.payload)])


RENDERERS: dict[tuple[bool, bool], Render] = {
    (False, True): _payloads,
    (False, False): _payloads_run_on,
    (True, True): _with_topics,
    (True, False): _with_topics_run_on,
}
"""By whether -v was given, and whether -N was not."""
