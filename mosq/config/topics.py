"""Topic lines of bridges: which topics a bridge carries, in which direction, and how their names change on the way.

    topic PATTERN [DIRECTION [QOS [LOCAL_PREFIX [REMOTE_PREFIX]]]]

Words are separated by spaces. A pattern with spaces stands in double quotes, and "" is an absent pattern or prefix. The
configuration must not depend on the broker, so the few rules about wildcards are here in plain Python.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    class BridgeTopic(NamedTuple):
        """One topic line; direction is in, out or both; an absent pattern or prefix is None."""

        pattern: str | None
        direction: str
        qos: int
        local_prefix: str | None
        remote_prefix: str | None
else:
    from collections import namedtuple

    BridgeTopic = namedtuple("BridgeTopic", "pattern direction qos local_prefix remote_prefix")

TOPIC_LONGEST = 65535  # bytes

_QUOTED = re.compile(rb'"(.*?)"(?: |\Z)', re.DOTALL)


def has_wildcard(topic: str) -> bool:
    """Whether a topic has a '+' or '#' anywhere, which makes it unfit as (part of) a topic name."""
    return "+" in topic or "#" in topic


def is_filter(topic: str) -> bool:
    """Whether a topic filter has its wildcards where they may be: each alone in its level, '#' only in the last."""
    if not 1 <= len(topic.encode("utf-8", "surrogateescape")) <= TOPIC_LONGEST:
        return False
    levels = topic.split("/")
    if any(len(level) > 1 and has_wildcard(level) for level in levels):
        return False
    return "#" not in levels[:-1]


def bridge_topic(line: bytes) -> BridgeTopic:
    """Take a topic line apart; a word from QOS on that starts with '#' begins a comment.

    Raises ValueError with the message for the user.
    """
    pattern, rest = _pattern(line)
    words = [_text(word) for word in rest.split(b" ") if word]
    direction = words[0] if words else "out"
    if direction.lower() not in ("out", "in", "both"):
        raise ValueError(f"Error: Invalid bridge topic direction '{_shown(direction)}'.")
    arguments: list[str] = []
    for word in words[1:4]:
        if word.startswith("#"):
            break
        arguments.append(word)
    qos = _qos(arguments[0]) if arguments else 0
    local_prefix = _prefix(arguments[1:2], "local")
    remote_prefix = _prefix(arguments[2:3], "remote")
    if pattern is None and (local_prefix is None or remote_prefix is None):
        raise ValueError("Error: Invalid bridge remapping.")
    for prefix in (local_prefix, remote_prefix):
        combined = (prefix or "") + (pattern or "")
        if prefix is not None and not is_filter(combined):
            text = f"Error: Invalid bridge topic local prefix and pattern combination '{_shown(combined)}'."
            raise ValueError(text)
    return BridgeTopic(pattern, direction.lower(), qos, local_prefix, remote_prefix)


def _pattern(line: bytes) -> tuple[str | None, bytes]:
    """The pattern of a topic line and what follows it."""
    line = line.lstrip(b" ")
    if line[:1] != b'"':
        word, _, rest = line.partition(b" ")
        return _text(word), rest
    match = _QUOTED.match(line)
    if not match:
        after = line.partition(b" ")[2].decode("utf-8", "replace")
        raise ValueError(f"Error: Missing closing quote in topic value ({after}).")
    return _text(match[1]) or None, line[match.end() :]


def _qos(word: str) -> int:
    """A QoS the way C reads it into a byte: leading digits, modulo 256, no digits being 0."""
    match = re.match(r"[\t\v\f\r]*([+-]?[0-9]{1,18})", word, re.ASCII)
    qos = int(match[1]) % 256 if match else 0
    if qos > 2:
        raise ValueError(f"Error: Invalid bridge QoS level '{_shown(word)}'.")
    return qos


def _prefix(words: list[str], side: str) -> str | None:
    if not words or words[0] == '""':
        return None
    if has_wildcard(words[0]):
        raise ValueError(f"Error: Invalid bridge topic {side} prefix '{_shown(words[0])}'.")
    return words[0]


def _text(word: bytes) -> str:
    return word.decode("utf-8", "surrogateescape")


def _shown(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
