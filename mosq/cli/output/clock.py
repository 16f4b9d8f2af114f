"""The time of printing in the shapes that formats know. `now` is in nanoseconds since 1970; shown is local time.

What depends on the second only is made once per second and kind.
"""

from __future__ import annotations

from time import localtime, strftime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mosq.cli.output.conversions import Field

_SECOND = 1_000_000_000
_SELF = {b"%": b"%", b"@": b"@"}


def field(letter: bytes) -> Field:
    """The function of `@` and a letter: that conversion of strftime, `@N` for nanoseconds, `@@` and `@%`."""
    if letter in _SELF:
        text = _SELF[letter]
        return lambda message, now: text
    if letter == b"N":
        return lambda message, now: b"%09d" % (now % _SECOND)
    if letter > b"~":  # the C library prints what it does not know, and knows ASCII only
        unknown = b"%" + letter
        return lambda message, now: unknown
    part = _PerSecond("%" + letter.decode())
    return lambda message, now: part(now)


def iso(now: int) -> bytes:
    """`YYYY-MM-DDThh:mm:ss+hhmm`."""
    return _date(now) + _zone(now)


def iso_fraction(now: int) -> bytes:
    """`YYYY-MM-DDThh:mm:ss.uuuuuu+hhmm`."""
    return b"%b.%06d%b" % (_date(now), now % _SECOND // 1000, _zone(now))


def unix(now: int) -> bytes:
    """Seconds since 1970 with nine digits of a fraction."""
    return b"%d.%09d" % divmod(now, _SECOND)


class _PerSecond:
    """strftime in local time, remembered until the second is over."""

    __slots__ = ("_form", "_second", "_text")

    def __init__(self, form: str) -> None:
        self._form = form
        self._second = -1
        self._text = b""

    def __call__(self, now: int) -> bytes:
        second = now // _SECOND
        if second != self._second:
            self._second = second
            self._text = strftime(self._form, localtime(second)).encode("utf-8", "surrogateescape")
        return self._text


_date = _PerSecond("%Y-%m-%dT%H:%M:%S")
_zone = _PerSecond("%z")
