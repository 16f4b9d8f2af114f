"""The `%` conversions of a format: for each letter, what makes its function out of flags, width and precision.

A function takes the message and the time (nanoseconds since 1970, 0 where no conversion asks for it) and returns bytes.
Which of flags, width and precision mean something depends on the kind: numbers have a width and may be padded with
zeros, text has a width and a precision in bytes, hexadecimal has groups, floats are as printf has them.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

from mosq.cli.output import clock
from mosq.packets.properties import (
    CONTENT_TYPE,
    CORRELATION_DATA,
    MESSAGE_EXPIRY,
    PAYLOAD_FORMAT,
    RESPONSE_TOPIC,
    SUBSCRIPTION_ID,
    TOPIC_ALIAS,
)
from mosq.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mosq.cli.output import Complain, Received

    Field = Callable[[Received, int], bytes]


class Spec(Record):
    """What stood between `%` and the letter, and what concerns all of a format. Width 0: none was given; precision
    None: likewise."""

    left: bool
    zeros: bool
    width: int
    precision: int | None
    separator: bytes
    pretty: bool
    complain: Complain

    def aligned(self, value: bytes, pad: bytes = b" ") -> bytes:
        """In its width; only from the left side can something else than blanks pad."""
        return value.ljust(self.width) if self.left else value.rjust(self.width, pad)

    @property
    def pad(self) -> bytes:
        return b"0" if self.zeros else b" "


Build = Callable[[Spec], "Field"]


def _first(message: Received, identifier: int) -> int | bytes | tuple[bytes, bytes] | None:
    """The value of the first property of that kind; None: there is none."""
    for found, value in message.properties:
        if found == identifier:
            return value
    return None


# ---- kinds of values


def _plain(value: Callable[[Received], bytes]) -> Build:
    """Printed as it is."""
    return lambda spec: lambda message, now: value(message)


def _number(value: Callable[[Received], int]) -> Build:
    def build(spec: Spec) -> Field:
        aligned, pad = spec.aligned, spec.pad
        return lambda message, now: aligned(b"%d" % value(message), pad)

    return build


def _text(value: Callable[[Received, int], bytes]) -> Build:
    def build(spec: Spec) -> Field:
        aligned, precision = spec.aligned, spec.precision
        return lambda message, now: aligned(value(message, now)[:precision])

    return build


def _number_property(identifier: int) -> Build:
    def build(spec: Spec) -> Field:
        aligned, pad = spec.aligned, spec.pad
        absent = aligned(b"", pad)

        def field(message: Received, now: int) -> bytes:
            value = _first(message, identifier)
            return aligned(b"%d" % value, pad) if isinstance(value, int) else absent

        return field

    return build


def _text_property(identifier: int, *, padded_when_absent: bool) -> Build:
    def build(spec: Spec) -> Field:
        aligned, precision = spec.aligned, spec.precision
        absent = aligned(b"", spec.pad) if padded_when_absent else b""

        def field(message: Received, now: int) -> bytes:
            value = _first(message, identifier)
            return aligned(value[:precision]) if isinstance(value, bytes) else absent

        return field

    return build


# ---- the payload


def _payload(spec: Spec) -> Field:
    """Cut to the width as well as padded to it."""
    width = spec.width
    if not width:
        return lambda message, now: message.payload
    aligned, pad = spec.aligned, spec.pad
    return lambda message, now: aligned(message.payload[:width], pad)


def _hex(upper: bool) -> Build:
    """The width is how much of the payload is shown, in bytes, and how wide that gets, in digits."""

    def build(spec: Spec) -> Field:
        shown, group, separator = spec.width or None, spec.precision or 0, spec.separator
        before = 0 if spec.left else spec.width
        after = spec.width if spec.left else 0
        pad = spec.pad

        def field(message: Received, now: int) -> bytes:
            digits = message.payload[:shown].hex().encode()
            if upper:
                digits = digits.upper()
            missing = after - len(digits)
            digits = digits.rjust(before, pad)
            if 0 < group < len(digits):
                digits = _grouped(digits, group, separator)
            return digits + b" " * missing

        return field

    return build


def _grouped(digits: bytes, group: int, separator: bytes) -> bytes:
    """With a separator behind each group but the last: first digits of all groups first, then the second ones, ..., for
    a list of ten million groups would take a gigabyte."""
    out = bytearray(separator * (len(digits) + (len(digits) - 1) // group))
    for i in range(group):
        out[i :: group + 1] = digits[i::group]
    return bytes(out)


def _float(code: str, complaint: bytes) -> Build:
    """The payload as one number of C, in the order of bytes of this machine."""
    number = struct.Struct("=" + code)

    def build(spec: Spec) -> Field:
        precision = 6 if spec.precision is None else spec.precision
        aligned, complain = spec.aligned, spec.complain

        def field(message: Received, now: int) -> bytes:
            if len(message.payload) != number.size:
                complain(complaint)
                return b""
            value: float = number.unpack(message.payload)[0]
            sign = b"-" if math.copysign(1.0, value) < 0 else b""
            if not math.isfinite(value):
                return aligned(sign + (b"nan" if math.isnan(value) else b"inf"))
            digits = b"%.*f" % (precision, abs(value))
            if spec.zeros:
                digits = digits.rjust(spec.width - len(sign), b"0")
            return aligned(sign + digits)

        return field

    return build


# ---- the rest


def _correlation(message: Received) -> bytes:
    value = _first(message, CORRELATION_DATA)
    return value if isinstance(value, bytes) else b""


def _user_properties(message: Received) -> bytes:
    return b" ".join([b"%b:%b" % value for found, value in message.properties if isinstance(value, tuple)])


def _json(payload_as_json: bool) -> Build:
    def build(spec: Spec) -> Field:
        from mosq.cli.output import message_json

        return message_json.field(payload_as_json, spec.pretty, spec.complain)

    return build


CONVERSIONS: dict[bytes, Build] = {
    b"%": _plain(lambda message: b"%"),
    b"A": _number_property(TOPIC_ALIAS),
    b"C": _text_property(CONTENT_TYPE, padded_when_absent=True),
    b"D": _plain(_correlation),
    b"d": _float("d", b"requested double printing, but non-double data received"),
    b"E": _number_property(MESSAGE_EXPIRY),
    b"F": _number_property(PAYLOAD_FORMAT),
    b"f": _float("f", b"requested float printing, but non-float data received"),
    b"I": _text(lambda message, now: clock.iso(now)),
    b"J": _json(True),
    b"j": _json(False),
    b"l": _number(lambda message: len(message.payload)),
    b"m": _number(lambda message: message.mid),
    b"P": _plain(_user_properties),
    b"p": _payload,
    b"q": _plain(lambda message: b"%d" % message.qos),
    b"R": _text_property(RESPONSE_TOPIC, padded_when_absent=False),
    b"r": _plain(lambda message: b"%d" % message.retain),
    b"S": _number_property(SUBSCRIPTION_ID),
    b"t": _text(lambda message, now: message.topic),
    b"U": lambda spec: lambda message, now: clock.unix(now),
    b"X": _hex(True),
    b"x": _hex(False),
}
TIMED = frozenset((b"I", b"U", b"J", b"j"))
"""The conversions that show the time."""
