"""JSON as bytes, written value by value in the layout of the C tools: dense, or indented with tabs.

Indented: a member of an object stands on a line of its own, the elements of an array on the line of the array; arrays
count as a level nevertheless. Strings are bytes that are taken for UTF-8 and copied unless JSON requires an escape.
"""

from __future__ import annotations

import re

_CONTROL = re.compile(rb"[\x00-\x1f]")
_ESCAPES = {bytes((code,)): b"\\u%04x" % code for code in range(0x20)} | {
    b"\b": b"\\b",
    b"\f": b"\\f",
    b"\n": b"\\n",
    b"\r": b"\\r",
    b"\t": b"\\t",
}
_EPSILON = 2.0**-52


def string(text: bytes) -> bytes:
    """As a JSON string, with its quotation marks."""
    text = text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    if _CONTROL.search(text):
        text = _CONTROL.sub(lambda found: _ESCAPES[found[0]], text)
    return b'"%b"' % text


def number(value: float) -> bytes:
    """With 15 significant digits, 17 where 15 are too few to come back; null for what JSON has no number for."""
    if value - value != 0:
        return b"null"
    short = b"%.15g" % value
    back = float(short)
    close = abs(back - value) <= max(abs(back), abs(value)) * _EPSILON
    return short if close else b"%.17g" % value


class Writer:
    """A JSON text in the making. The caller keeps the grammar: a key before each value in an object, every end.

    `inside` has the brackets of the levels around the text, if it is a value behind a key of a greater one.
    """

    __slots__ = ("_out", "_pretty", "_open", "_first", "_keyed")

    def __init__(self, pretty: bool, inside: bytes = b"") -> None:
        self._out: list[bytes] = []
        self._pretty = pretty
        self._open = [inside[i : i + 1] for i in range(len(inside))]  # "{" or "[" for each level
        self._first = True
        self._keyed = bool(inside)

    def key(self, text: bytes) -> None:
        """The name of the next member; `text` is a JSON string."""
        self._separate()
        self._out.append(text + (b":\t" if self._pretty else b":"))
        self._keyed = True

    def value(self, text: bytes) -> None:
        """A value that is written already."""
        self._separate()
        self._out.append(text)

    def member(self, name: bytes, text: bytes) -> None:
        """`name` is bytes, `text` is JSON."""
        self.key(string(name))
        self.value(text)

    def begin(self, bracket: bytes) -> None:
        """An object or array: "{" or "["."""
        self._separate()
        self._open.append(bracket)
        self._first = True
        self._out.append(b"{\n" if self._pretty and bracket == b"{" else bracket)

    def end(self) -> None:
        """The innermost object or array is complete."""
        bracket = self._open.pop()
        if bracket == b"[":
            self._out.append(b"]")
        elif self._pretty:
            self._out.append(b"\n" * (not self._first) + b"\t" * len(self._open) + b"}")
        else:
            self._out.append(b"}")
        self._first = False

    def text(self) -> bytes:
        return b"".join(self._out)

    def _separate(self) -> None:
        """What stands between the last thing written and the next."""
        if self._keyed:
            self._keyed = False
            return
        if not self._open:
            return
        in_object = self._open[-1] == b"{"
        if not self._first:
            self._out.append((b",\n" if in_object else b", ") if self._pretty else b",")
        if self._pretty and in_object:
            self._out.append(b"\t" * len(self._open))
        self._first = False
