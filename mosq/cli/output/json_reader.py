"""JSON text read and handed to a Writer, token by token, without a tree between and without recursion.

More is read than the standard permits, as the C tools do: any control character between tokens, raw control characters
inside strings, numbers with leading zeros or bare points, a byte order mark in front. A zero byte is never permitted.
"""

from __future__ import annotations

import re

from mosq.cli.output.json_writer import Writer, number, string

DEEPEST = 1000
"""Levels of objects and arrays."""

_TOKEN = re.compile(
    rb"""[\x01-\x20]*(?:
      (?P<mark>[{}\[\],:])
    | "(?P<string>[^"\\]*(?:\\.[^"\\]*)*)"
    | (?P<number>(?=[-0-9])-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
    | (?P<word>true|false|null)
    | (?P<end>\Z))""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPE = re.compile(
    rb"\\(?:u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})|u(?P<code>[0-9a-fA-F]{4})|(?P<letter>.))",
    re.DOTALL,
)
_LETTERS = {b'"': b'"', b"\\": b"\\", b"/": b"/", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_MARK_OF_ORDER = b"\xef\xbb\xbf"

# What may come next.
_VALUE, _VALUE_OR_CLOSE, _KEY, _KEY_OR_CLOSE, _COLON, _COMMA_OR_CLOSE, _END = range(7)
_VALUES = (_VALUE, _VALUE_OR_CLOSE)
_KEYS = (_KEY, _KEY_OR_CLOSE)
_CLOSING = {b"}": (b"{", _KEY_OR_CLOSE), b"]": (b"[", _VALUE_OR_CLOSE)}


class JsonError(ValueError):
    """Not JSON."""


def copy(data: bytes, writer: Writer) -> None:
    """Write the one value in `data`. Raises JsonError; the writer then holds a part."""
    if b"\0" in data:
        raise JsonError("a zero byte")
    _Copy(writer).run(data, len(_MARK_OF_ORDER) if data.startswith(_MARK_OF_ORDER) else 0)


class _Copy:
    """`expected` is what may come next; `open` has the bracket of each level."""

    __slots__ = ("writer", "open", "expected")

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.open: list[bytes] = []
        self.expected = _VALUE

    def run(self, data: bytes, at: int) -> None:
        while True:
            token = _TOKEN.match(data, at)
            if token is None:
                raise JsonError(f"no token at {at}")
            at = token.end()
            kind = token.lastgroup
            if kind == "mark":
                self.mark(token["mark"])
            elif kind == "string":
                self.string(string(_unescaped(token["string"])))
            elif kind == "number":
                self.scalar(number(float(token["number"])))
            elif kind == "word":
                self.scalar(token["word"])
            elif self.expected == _END:
                return
            else:
                raise JsonError("ends too early")

    def mark(self, mark: bytes) -> None:
        expected = self.expected
        if mark in b"{[" and expected in _VALUES and len(self.open) < DEEPEST:
            self.writer.begin(mark)
            self.open.append(mark)
            self.expected = _KEY_OR_CLOSE if mark == b"{" else _VALUE_OR_CLOSE
        elif mark == b":" and expected == _COLON:
            self.expected = _VALUE
        elif mark == b"," and expected == _COMMA_OR_CLOSE:
            self.expected = _KEY if self.open[-1] == b"{" else _VALUE
        elif mark in _CLOSING:
            opening, when_empty = _CLOSING[mark]
            if expected != when_empty and (expected != _COMMA_OR_CLOSE or self.open[-1] != opening):
                raise JsonError("closes what is not open")
            self.writer.end()
            self.open.pop()
            self.after_value()
        else:
            raise JsonError(f"{mark!r} out of place")

    def string(self, text: bytes) -> None:
        if self.expected in _KEYS:
            self.writer.key(text)
            self.expected = _COLON
        else:
            self.scalar(text)

    def scalar(self, text: bytes) -> None:
        if self.expected not in _VALUES:
            raise JsonError("a value out of place")
        self.writer.value(text)
        self.after_value()

    def after_value(self) -> None:
        self.expected = _COMMA_OR_CLOSE if self.open else _END


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
