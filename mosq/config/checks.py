"""The checks of the configspec: the text of an option line in, its value out.

A check gets everything behind the option's name (bytes without the line end) and either returns the value, or raises
RefusedError with the message for the user. What is merely corrected gets a line through `report`. There is a check for
each value type (`bool`, `int`, `string`, ...) and for each of the few options that have a form of their own.
Text that need not be UTF-8, such as paths, becomes str the way file names do (surrogateescape).
"""

from __future__ import annotations

import os
import re

from mosq.config.lexer import first_word
from mosq.config.topics import BridgeTopic, bridge_topic, has_wildcard
from mosq.config.validator import ValidateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Report = Callable[[str, str], None]

INT_LOW, INT_HIGH = -(2**31), 2**31 - 1
LONG_LOW, LONG_HIGH = -(2**63), 2**63 - 1
STRING_LONGEST = 65535  # bytes: what a string of MQTT can hold
PORT_HIGH = 65535
BLANKS = b" \t\v\f\r"

# Not allowed in strings: control characters and code points that are no characters. (Surrogates do not decode.)
_NO_CHARACTERS = "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
_BAD_CHARACTERS = re.compile(f"[\0-\x1f\x7f-\x9f\ufdd0-\ufdef{_NO_CHARACTERS}]")
_INTEGER = re.compile(rb"[\t\v\f\r]*([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))\Z")
_LEADING_INTEGER = re.compile(rb"[ \t\v\f\r]*([+-]?[0-9]+)")
_DURATION_UNITS = {b"s": 1, b"h": 3600, b"d": 86400, b"w": 604800, b"m": 30 * 86400, b"y": 365 * 86400}  # seconds
_LOG_TYPES = {
    b"debug": "D", b"error": "E", b"warning": "W", b"notice": "N", b"information": "I", b"subscribe": "S",
    b"unsubscribe": "U", b"websockets": "websockets", b"internal": "internal",
}  # fmt: skip
ALL_LOG_TYPES = frozenset(_LOG_TYPES.values())
_LOG_DESTINATIONS = (b"stdout", b"stderr", b"syslog", b"topic", b"dlt", b"none")


class RefusedError(ValidateError):
    """A value that its option cannot take. `text` is the message, or None where the position has to do."""

    def __init__(self, text: str | None, level: str = "E") -> None:
        super().__init__(text)
        self.text = text
        self.level = level


def shown(value: bytes) -> str:
    """Bytes of the file as they appear in messages."""
    return value.decode("utf-8", "replace")


def path_text(value: bytes) -> str:
    """Bytes of the file as text that keeps what is not UTF-8, for paths and other words."""
    return value.decode("utf-8", "surrogateescape")


def _wrapped(value: int, bits: int = 32) -> int:
    """An integer as C stores it in a signed type that is too small for it."""
    half = 1 << (bits - 1)
    return (value + half) % (1 << bits) - half


def leading_long(word: bytes) -> int:
    """C's atol: the number that a word starts with, kept within 64 bits; 0 if it does not start with one."""
    match = _LEADING_INTEGER.match(word)
    if not match:
        return 0
    digits = match[1].lstrip(b"+-0")[:20]  # 20 digits are beyond 64 bits already
    value = int(digits or b"0")
    return max(LONG_LOW, -value) if match[1][:1] == b"-" else min(LONG_HIGH, value)


def leading_int(word: bytes) -> int:
    """C's atoi: as leading_long, cut down to 32 bits."""
    return _wrapped(leading_long(word))


def integer(word: bytes) -> int | None:
    """C's strtol with base 0 (010 is 8, 0x10 is 16); None if the word is not a number as a whole."""
    match = _INTEGER.match(word)
    if not match:
        return None
    sign, hexadecimal, octal, decimal = match.groups()
    if decimal:
        value = int(decimal[:20])
    else:
        value = int(hexadecimal, 16) if hexadecimal else int(octal, 8)
    return -value if sign == b"-" else value


class Checks:
    """The check functions, and the name of the option under check for their messages.

    `name` is set before each use. An argument of a check in the table arrives as a str.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self.name = ""

    def functions(self) -> dict[str, Callable[..., object]]:
        """All checks by the name that the configspec uses."""
        return {
            "addresses": self.addresses, "bool": self.boolean, "bridge_topic": self.bridge_topic, "choice": self.choice,
            "destination": self.destination, "directory": self.directory, "duration": self.duration,
            "ignored": self.ignored, "int": self.number, "key_form": self.key_form, "listener": self.listener,
            "log_type": self.log_type, "long": self.long, "named_path": self.named_path,
            "plugin_option": self.plugin_option, "raw": self.raw, "restart_timeout": self.restart_timeout,
            "sha1": self.sha1, "string": self.string, "tcp_keepalive": self.tcp_keepalive,
            "topic_prefix": self.topic_prefix, "versions": self.versions, "window": self.window, "word": self.word,
        }  # fmt: skip

    # Value types

    def boolean(self, value: str | bytes, **facts: str) -> bool:
        """true, 1, false or 0."""
        word = self._word(value)
        if word in (b"true", b"1"):
            return True
        if word in (b"false", b"0"):
            return False
        raise RefusedError(f"Error: Invalid '{self.name}' value ({shown(word)}).")

    def number(self, value: str | bytes, **facts: str) -> int:
        """A number; see _ranged for its facts. `top` is the end of the type where that is not 32 bits signed."""
        return self._ranged(self._number(self._word(value), int(facts.get("top", INT_HIGH))), facts)

    def window(self, value: str | bytes, **facts: str) -> int:
        """A number of messages, 0 being no limit; the largest one means that too, and so do negative ones."""
        number = max(0, self.number(value, **facts))
        return 0 if number == int(facts["max"]) else number

    def long(self, value: str | bytes, **facts: str) -> int:
        """A number of 64 bits; what follows it is ignored, and no number at all is 0."""
        return self._ranged(leading_long(self._word(value)), facts)

    def string(self, value: str | bytes, **facts: str) -> str:
        """The rest of the line without surrounding blanks. `longest` (bytes) has its message `long`."""
        content = _bytes(value).strip(BLANKS)
        if not content:
            raise self._empty()
        if len(content) > STRING_LONGEST:
            raise RefusedError(None)
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            raise RefusedError("Error: Malformed UTF-8 in configuration.") from None
        if _BAD_CHARACTERS.search(text):
            raise RefusedError("Error: Malformed UTF-8 in configuration.")
        if len(content) > int(facts.get("longest", STRING_LONGEST)):
            raise RefusedError(facts["long"])
        return text

    def raw(self, value: str | bytes, **facts: str) -> str:
        """The rest of the line as it stands, blanks included; empty if there is none."""
        return path_text(_bytes(value))

    def word(self, value: str | bytes, **facts: str) -> str:
        """The next word."""
        return path_text(self._word(value))

    def choice(self, value: str | bytes, *words: str, **facts: str) -> str:
        """One of some words (`whole`: nothing may follow); `never` is one that is refused with a message of its own."""
        word = _bytes(value) if "whole" in facts else self._word(value)
        if not word:
            raise self._empty()
        given = path_text(word)
        if given in words:
            return given
        if given == facts.get("never"):
            raise RefusedError(facts["refusal"])
        raise RefusedError(facts["wrong"].replace("%s", shown(word)))

    def duration(self, value: str | bytes, **facts: str) -> int:
        """A number and its unit in one word, in seconds."""
        word = self._word(value)
        seconds = leading_int(word[:-1]) * _DURATION_UNITS.get(word[-1:], 0)
        if seconds <= 0:
            raise RefusedError(f"Error: Invalid '{self.name}' duration in configuration.")
        return seconds

    def ignored(self, value: str | bytes, **facts: str) -> None:
        """An option that is gone: its value is not looked at."""

    # Options with a form of their own: the broker and its listeners

    def listener(self, value: str | bytes, **facts: str) -> tuple[int, str | None]:
        """PORT [HOST], or 0 PATH for a Unix socket; a second word that starts with '#' is a comment."""
        word, rest = first_word(_bytes(value))
        port = self._number(word) if word else None
        if port is None:
            raise self._empty()
        if not 0 <= port <= PORT_HIGH:
            raise RefusedError(f"Error: Invalid 'port' value ({port}).")
        place = first_word(rest)[0]
        if place[:1] in (b"", b"#"):
            if port == 0:
                raise RefusedError("Error: A listener with port 0 must provide a Unix socket path.")
            return port, None
        return port, path_text(place)

    def versions(self, value: str | bytes, **facts: str) -> frozenset[int]:
        """MQTT versions (3, 4, 5) between commas and blanks; other words say nothing."""
        content = _bytes(value)
        if not content:
            raise self._empty()
        return frozenset(int(word) for word in re.split(rb"[, \t]+", content) if word in (b"3", b"4", b"5"))

    def topic_prefix(self, value: str | bytes, **facts: str) -> str:
        """A string that can stand before a topic name."""
        prefix = self.string(value)
        if has_wildcard(prefix):
            raise RefusedError(f"Error: Invalid '{self.name}' value ({prefix}). Does it contain a wildcard character?")
        return prefix

    def directory(self, value: str | bytes, **facts: str) -> str:
        """A directory that exists, as its canonical path."""
        try:
            return os.path.realpath(self.string(value), strict=True)
        except OSError:
            raise RefusedError(None) from None

    def sha1(self, value: str | bytes, **facts: str) -> str:
        """40 hexadecimal digits."""
        text = self.string(value)
        if not re.fullmatch("[0-9a-fA-F]{40}", text):
            raise RefusedError(None)
        return text

    def key_form(self, value: str | bytes, **facts: str) -> str:
        """`engine`; anything else is `pem`."""
        return "engine" if self.string(value) == "engine" else "pem"

    def destination(self, value: str | bytes, **facts: str) -> tuple[str, str]:
        """Where log lines go: (kind, path); the path is empty but for the kind `file`."""
        word, rest = first_word(_bytes(value))
        if not word:
            raise self._empty()
        if word == b"file":
            path = rest.lstrip(b" \t")
            if not path:
                raise RefusedError('Error: Empty "log_dest file" value in configuration.')
            return "file", path_text(path)
        if word not in _LOG_DESTINATIONS:
            raise RefusedError(f"Error: Invalid '{self.name}' value ({shown(word)}).")
        return word.decode(), ""

    def log_type(self, value: str | bytes, **facts: str) -> frozenset[str] | None:
        """The types of log line that a word adds; None for the word that removes all."""
        word = self._word(value)
        if word == b"none":
            return None
        if word == b"all":
            return ALL_LOG_TYPES
        if word not in _LOG_TYPES:
            raise RefusedError(f"Error: Invalid '{self.name}' value ({shown(word)}).")
        return frozenset((_LOG_TYPES[word],))

    # Plugins

    def named_path(self, value: str | bytes, **facts: str) -> tuple[str, str]:
        """NAME PATH, the path being the raw rest and possibly empty."""
        word, rest = first_word(_bytes(value))
        if not word:
            raise self._empty()
        return path_text(word), path_text(rest)

    def plugin_option(self, value: str | bytes, **facts: str) -> tuple[str, str]:
        """(KEY, value): the key is what follows `plugin_opt_` in the name; only blanks make an empty value."""
        key = self.name.partition("_opt_")[2]
        content = _bytes(value)
        if not key:
            raise RefusedError("Error: Invalid 'plugin_opt_' config option.")
        if not content:
            raise RefusedError(f"Error: Empty '{key}' value in configuration.")
        return key, path_text(content.lstrip(b" \t"))

    # Bridges

    def addresses(self, value: str | bytes, **facts: str) -> list[tuple[str, int]]:
        """HOST[:PORT] words up to one that starts with '#'."""
        found = []
        for word in _bytes(value).split(b" "):
            if word[:1] == b"#":
                break
            if word:
                found.append(self._address(word))
        if not found:
            raise RefusedError("Error: Empty address value in configuration.")
        return found

    def _address(self, word: bytes) -> tuple[str, int]:
        host, colon, port_text = word.rpartition(b":")
        if not colon:
            return path_text(word), 1883
        port = leading_int(port_text)
        if not 1 <= port <= PORT_HIGH:
            raise RefusedError(f"Error: Invalid bridge port value ({port}).")
        return path_text(host), port

    def bridge_topic(self, value: str | bytes, **facts: str) -> BridgeTopic:
        """PATTERN [DIRECTION [QOS [LOCAL_PREFIX [REMOTE_PREFIX]]]]"""
        content = _bytes(value)
        if not content.strip(b" "):
            raise self._empty()
        try:
            return bridge_topic(content)
        except ValueError as error:
            raise RefusedError(str(error)) from None

    def restart_timeout(self, value: str | bytes, **facts: str) -> tuple[int, int | None, int]:
        """BASE [CAP [STABLE]], in seconds; without CAP the delay is always BASE."""
        numbers = [leading_int(word) for word in _bytes(value).split(b" ") if word]
        if not numbers:
            raise self._empty()
        base = self._at_least(numbers[0], 1, "restart_timeout interval too low, using 1 second.")
        if base > 3600:
            self.report("N", "restart_timeout interval too high, using 3600 seconds.")
            base = 3600
        if len(numbers) == 1:
            return base, None, 0
        cap = numbers[1]
        if cap < base:
            raise RefusedError("Error: backoff cap is lower than the base in restart_timeout.")
        if cap > 7200:
            self.report("E", "Error: backoff cap too high, using 7200 seconds.")
            cap = 7200
        stable = numbers[2] if len(numbers) > 2 else 0
        if stable < 0:
            raise RefusedError("Error: stable connection period cannot be negative.")
        return base, cap, stable

    def tcp_keepalive(self, value: str | bytes, **facts: str) -> tuple[int, int, int]:
        """IDLE INTERVAL COUNTER; idle and interval in seconds."""
        rest = _bytes(value)
        option = self.name
        numbers = []
        for part in ("idle", "interval", "counter"):
            word, rest = first_word(rest)
            self.name = f"{option}_{part}"
            number = self._number(word) if word else None
            if number is None:
                raise self._empty()
            if number <= 0:
                raise RefusedError(f"Error: invalid TCP keepalive {part} value.")
            numbers.append(number)
        return numbers[0], numbers[1], numbers[2]

    # What the checks share

    def _empty(self) -> RefusedError:
        return RefusedError(f"Error: Empty '{self.name}' value in configuration.")

    def _word(self, value: str | bytes) -> bytes:
        word = first_word(_bytes(value))[0]
        if not word:
            raise self._empty()
        return word

    def _number(self, word: bytes, top: int = INT_HIGH) -> int:
        number = integer(word)
        if number is None:
            raise RefusedError(f"Error: '{self.name}' value not a number.")
        if not INT_LOW <= number <= top:
            raise RefusedError(f"Error: '{self.name}' value out of range.")
        return number

    def _ranged(self, number: int, facts: dict[str, str]) -> int:
        """Hold a number to its facts.

        `min`, `max`: refused beyond, with message `wrong` (`above`: another one for max) of the given `level`, %d or %u
        being the number. `floor`: lower numbers become this, with the notice `raised` if there is one.
        `cap`: higher numbers become this, with the warning `capped`.
        """
        too_high = number > int(facts.get("max", LONG_HIGH))
        if too_high or number < int(facts.get("min", LONG_LOW)):
            text = facts["above"] if too_high and "above" in facts else facts["wrong"]
            text = text.replace("%d", str(number)).replace("%u", str(number % 2**32))
            raise RefusedError(text, facts.get("level", "E"))
        if number > int(facts.get("cap", LONG_HIGH)):
            self.report("W", facts["capped"])
            return int(facts["cap"])
        return self._at_least(number, int(facts.get("floor", LONG_LOW)), facts.get("raised"))

    def _at_least(self, number: int, floor: int, notice: str | None) -> int:
        if number < floor and notice:
            self.report("N", notice)
        return max(number, floor)


def _bytes(value: str | bytes) -> bytes:
    """Lines are bytes; defaults come from the table as str."""
    return value.encode() if isinstance(value, str) else value
