"""Numbers as C's library reads them from text: blanks and a sign first, as many digits as there are, 0 without any."""

from __future__ import annotations

_BLANKS = b" \t\n\v\f\r"
_LONG_MAX = (1 << 63) - 1
_DIGITS = b"0123456789abcdef"


def strtol(text: bytes, base: int = 10) -> tuple[int, bytes]:
    """The number, held within 64 bits, and the text behind it: all of the text when there is no number. Base 0: 0x
    and 0 lead hexadecimal and octal numbers."""
    rest = text.lstrip(_BLANKS)
    sign = rest[:1]
    if sign in (b"-", b"+"):
        rest = rest[1:]
    if base == 0:
        base, rest = _base(rest)
    digits = rest[: len(rest) - len(rest.lower().lstrip(_DIGITS[:base]))]
    if not digits:
        return 0, text
    value = int(digits[:64], base)  # more than any 64 bits in each base
    value = max(-value, -_LONG_MAX - 1) if sign == b"-" else min(value, _LONG_MAX)
    return value, rest[len(digits) :]


def _base(text: bytes) -> tuple[int, bytes]:
    if text[:2].lower() == b"0x" and text[2:3].lower() in _DIGITS and text[2:3]:
        return 16, text[2:]
    return (8 if text[:1] == b"0" else 10), text


def atol(text: bytes) -> int:
    """A long: 64 bits."""
    return strtol(text)[0]


def atoi(text: bytes) -> int:
    """An int: the lower 32 bits of a long."""
    return (strtol(text)[0] + (1 << 31)) % (1 << 32) - (1 << 31)


_FLOAT = rb"""(?xi) [-+]?
    ( 0x ([0-9a-f]+ \.? [0-9a-f]* | \.[0-9a-f]+) (p [-+]? [0-9]+)?
    | inf(inity)?
    | nan
    | ([0-9]+ \.? [0-9]* | \.[0-9]+) (e [-+]? [0-9]+)?
    )"""


def atof(text: bytes) -> float:
    """A double, decimal or hexadecimal, or inf or nan."""
    import re

    found = re.match(_FLOAT, text.lstrip(_BLANKS))
    if found is None:
        return 0.0
    if found[2] is None:
        return float(found[0])
    try:
        return float.fromhex(found[0].decode())
    except OverflowError:
        return float("-inf" if found[0][:1] == b"-" else "inf")
