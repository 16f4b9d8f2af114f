"""JSON text read and handed to a Writer, token by token, without a tree between and without recursion.

More is read than the standard permits, as the C tools do: any control character between tokens, raw control characters
inside strings, numbers with leading zeros or bare points, a byte order mark in front. A zero byte is never permitted.
"""

from __future__ import annotations

import re

from mosq.cli.output.json_writer import Writer, number, string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DEEPEST = 1000
"""Levels of objects and arrays."""

_TOKEN = re.compile(
    rb"""[\x01-\x20]*(?:
      (?: "(?P<string>[^"\\]*(?:\\.[^"\\]*)*)"
        | (?P<number>(?=[-0-9])-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
        | (?P<word>true|false|null)
        | (?P<close>[}\]])
      ) (?:[\x01-\x20]*[:,])?
    | (?P<open>[{\[])
    | (?P<end>\Z))""",
    re.DOTALL | re.VERBOSE,
)
"""A token, and with it the colon or comma that follows."""
_COLON, _COMMA = b":,"
_ESCAPE = re.compile(
    rb"\\(?:u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})|u(?P<code>[0-9a-fA-F]{4})|(?P<letter>.))",
    re.DOTALL,
)
_LETTERS = {b'"': b'"', b"\\": b"\\", b"/": b"/", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_MARK_OF_ORDER = b"\xef\xbb\xbf"

# What may come next; a comma and a colon come with the token before them.
_VALUE, _VALUE_OR_CLOSE, _KEY, _KEY_OR_CLOSE, _CLOSE, _END = range(6)
_OPENING = {b"}": (b"{", _KEY_OR_CLOSE), b"]": (b"[", _VALUE_OR_CLOSE)}


_SIMPLE = re.compile(
    rb"""(?:[\t\n\r ]*+(?:
        [][{}:,]
      | "[^"\\\x00-\x1f]*+"
      | -?+[1-9][0-9]{0,14}+(?![0-9.eE])
      | 0(?![0-9.eE])
      | -?+(?:[1-9][0-9]{0,6}+\.[0-9]{0,7}|0\.(?!0000)[0-9]{0,13})[1-9](?![0-9.eE])
      | true|false|null
    ))++[\t\n\r ]*+""",
    re.VERBOSE,
)
"""Tokens that are written as they are read: strings without escapes, numbers that are in their shortest form."""
_PIECE = re.compile(rb"""(?:"[^"]*"|[^\t\n\r "])+""")
"""What stands between the blanks of a text of such tokens."""


class JsonError(ValueError):
    """Not JSON."""


def copy(data: bytes, writer: Writer) -> None:
    """Write the one value in `data`. Raises JsonError; the writer then holds a part."""
    if b"\0" in data:
        raise JsonError("a zero byte")
    _Copy(writer).run(data, len(_MARK_OF_ORDER) if data.startswith(_MARK_OF_ORDER) else 0)


def simple(data: bytes, is_json: Callable[[str], object]) -> bytes | None:
    """The one value in `data` written densely, if it has nothing but simple tokens; None: that takes `copy`.

    Most payloads are of that kind, and this takes a quarter of the time. `is_json` raises ValueError if a text is not.
    """
    if not _SIMPLE.fullmatch(data) or data.count(b"[") + data.count(b"{") > DEEPEST:
        return None
    try:
        is_json(data.decode())
    except (ValueError, RecursionError):
        return None
    return b"".join(_PIECE.findall(data))


class _Copy:
    """`expected` is what may come next; `open` has the bracket of each level."""

    __slots__ = ("writer", "open", "expected")

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.open: list[bytes] = []
        self.expected = _VALUE

    def run(self, data: bytes, at: int) -> None:
        match = _TOKEN.match
        while token := match(data, at):
            at = token.end()
            kind = token.lastgroup
            if kind == "end":
                if self.expected != _END:
                    raise JsonError("ends too early")
                return
            last = data[at - 1]
            if kind == "open":
                self.begin(token["open"])
            elif last == _COLON:
                self.key(token["string"])
            else:
                if kind == "close":
                    self.close(token["close"])
                else:
                    self.value(_SCALARS[kind](token[kind]))  # type: ignore[index]
                self.after_value(last == _COMMA)
        raise JsonError(f"no token at {at}")

    def begin(self, bracket: bytes) -> None:
        if self.expected > _VALUE_OR_CLOSE or len(self.open) == DEEPEST:
            raise JsonError("no place for an object or array")
        self.writer.begin(bracket)
        self.open.append(bracket)
        self.expected = _KEY_OR_CLOSE if bracket == b"{" else _VALUE_OR_CLOSE

    def close(self, bracket: bytes) -> None:
        opening, when_empty = _OPENING[bracket]
        if self.expected != when_empty and (self.expected != _CLOSE or self.open[-1] != opening):
            raise JsonError("closes what is not open")
        self.writer.end()
        self.open.pop()

    def key(self, text: bytes | None) -> None:
        if text is None or self.expected not in (_KEY, _KEY_OR_CLOSE):
            raise JsonError("a colon out of place")
        self.writer.key(_string(text))
        self.expected = _VALUE

    def value(self, text: bytes) -> None:
        if self.expected > _VALUE_OR_CLOSE:
            raise JsonError("a value out of place")
        self.writer.value(text)

    def after_value(self, comma: bool) -> None:
        if not comma:
            self.expected = _CLOSE if self.open else _END
        elif self.open:
            self.expected = _KEY if self.open[-1] == b"{" else _VALUE
        else:
            raise JsonError("a comma out of place")


def _number(text: bytes) -> bytes:
    if len(text) < 16 and text.isdigit() and not text.startswith(b"0"):
        return text  # as it will be written
    return number(float(text))


def _string(text: bytes) -> bytes:
    return string(_unescaped(text))


def _word(text: bytes) -> bytes:
    return text


_SCALARS = {"number": _number, "string": _string, "word": _word}


def _unescaped(text: bytes) -> bytes:
    return _ESCAPE.sub(_character, text) if b"\\" in text else text


def _character(escape: re.Match[bytes]) -> bytes:
    kind = escape.lastgroup
    if kind == "letter":
        if escape["letter"] not in _LETTERS:
            raise JsonError("an escape that there is not")
        return _LETTERS[escape["letter"]]
    if kind == "low":
        code = 0x10000 + ((int(escape["high"], 16) & 0x3FF) << 10) + (int(escape["low"], 16) & 0x3FF)
    else:
        code = int(escape["code"], 16)
        if 0xD800 <= code <= 0xDFFF:
            raise JsonError("half of a surrogate pair")
    return chr(code).encode()
