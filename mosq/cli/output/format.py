"""A format given with -F: read once, then a list of functions, one for each piece, that make the bytes of a message.

The language has `%` conversions, `@` fields of the time, `\\` escapes, and text that stands for itself. All `@` fields
and times of one message show the same moment, that of printing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from time import time_ns

from mosq.cli.output import clock
from mosq.cli.output.conversions import CONVERSIONS, TIMED, Spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mosq.cli.output import Complain, Received
    from mosq.cli.output.conversions import Field

LARGEST = 268435455
"""The largest width or precision that means something: no payload is longer. Greater ones count as this."""

_PIECES = re.compile(
    rb"""(?P<text>[^%@\\]+)
    | %(?P<flag>[-0]?)(?P<width>[0-9]*)(?:\.(?P<precision>[0-9]*))?
       (?P<separator>[-!"\#$&'()*+,./:;<=>?@\[\\\]^_`{|}~\ ]?)(?P<letter>.?)
    | @(?P<time>.?)
    | \\(?P<escape>.?)""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPES = {
    b"\\": b"\\",
    b"0": b"\0",
    b"a": b"\a",
    b"e": b"\x1b",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}


class FormatError(ValueError):
    """Not a format; `text` is the line to print."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


def check(form: bytes) -> None:
    """Raises FormatError."""
    Format(form, complain=lambda text: None)


class Format:
    """Messages as a format wants them. Each ends with a line feed if `newline`; JSON is indented if `pretty`;
    `complain` takes what cannot be printed because of the payload. Raises FormatError."""

    __slots__ = ("_fields", "_timed")

    def __init__(self, form: bytes, *, newline: bool = True, pretty: bool = False, complain: Complain) -> None:
        self._timed = False
        self._fields: tuple[Field, ...] = tuple(_merged(self._read(form, pretty, complain), b"\n" * newline))

    def __call__(self, messages: Iterable[Received]) -> bytes:
        fields = self._fields
        if not self._timed:
            return b"".join([field(message, 0) for message in messages for field in fields])
        return b"".join([field(message, now) for message in messages for now in (time_ns(),) for field in fields])

    def _read(self, form: bytes, pretty: bool, complain: Complain) -> Iterator[bytes | Field]:
        """The pieces in their order: bytes that stand for themselves, and functions."""
        for piece in _PIECES.finditer(form):
            kind = piece.lastgroup
            if kind == "text":
                yield piece[0]
            elif kind == "escape":
                yield _escape(piece["escape"])
            elif kind == "time":
                letter = _needed(piece["time"])
                self._timed = True
                yield clock.field(letter)
            else:
                letter = _needed(piece["letter"])
                make = CONVERSIONS.get(letter)
                if make is None:
                    raise FormatError(b"Error: Invalid format specifier '%b'." % letter)
                self._timed |= letter in TIMED
                yield make(_spec(piece, pretty, complain))


def _needed(letter: bytes) -> bytes:
    if not letter:
        raise FormatError(b"Error: Incomplete format specifier.")
    return letter


def _escape(letter: bytes) -> bytes:
    if not letter:
        raise FormatError(b"Error: Incomplete escape specifier.")
    if letter not in _ESCAPES:
        raise FormatError(b"Error: Invalid escape specifier '%b'." % letter)
    return _ESCAPES[letter]


def _spec(piece: re.Match[bytes], pretty: bool, complain: Complain) -> Spec:
    precision = piece["precision"]
    return Spec(
        left=piece["flag"] == b"-",
        zeros=piece["flag"] == b"0",
        width=_number(piece["width"]),
        precision=None if precision is None else _number(precision),
        separator=piece["separator"] or b" ",
        pretty=pretty,
        complain=complain,
    )


def _number(digits: bytes) -> int:
    digits = digits.lstrip(b"0")
    return LARGEST if len(digits) > 9 else min(int(digits or b"0"), LARGEST)


def _merged(pieces: Iterable[bytes | Field], end: bytes) -> Iterator[Field]:
    """Only functions, and one for what stands for itself between two others."""
    text = b""
    for piece in pieces:
        if isinstance(piece, bytes):
            text += piece
            continue
        if text:
            yield _text(text)
            text = b""
        yield piece
    if text or end:
        yield _text(text + end)


def _text(text: bytes) -> Field:
    return lambda message, now: text
