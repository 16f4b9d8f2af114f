"""Formats (-F): conversions, widths, escapes and times, byte for byte."""

from __future__ import annotations

import os
import re
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosq.cli.output import clock, renderer
from mosq.cli.output.format import FormatError
from tests.clients.received import Received, show, show_all

MOMENT = 1_795_217_732_420_603_001
FULL = Received(
    payload=b"hello",
    topic=b"a/topic",
    qos=1,
    retain=True,
    mid=7,
    properties=[
        (0x26, (b"k1", b"v1")),
        (0x01, 1),
        (0x02, 4294967295),
        (0x03, b"text"),
        (0x08, b"answer"),
        (0x09, b"\0\xff"),
        (0x0B, 268435455),
        (0x0B, 2),
        (0x23, 9),
        (0x26, (b"", b"v2")),
        (0x26, (b"k3", b"")),
    ],
)

PAYLOADS = {
    "%p": b"hello",
    "%5p": b"hello",
    "%3p": b"hel",
    "%10p|": b"     hello|",
    "%010p": b"00000hello",
    "%-10p|": b"hello     |",
    "%-010p|": b"hello     |",
    "%0p": b"hello",
    "%|p": b"hello",
    "%.3p": b"hello",
    "%l": b"5",
    "%ld": b"5d",
    "%5l": b"    5",
    "%05l": b"00005",
    "%-5l|": b"5    |",
    "%20.3l": b" " * 19 + b"5",
    "%x": b"68656c6c6f",
    "%X": b"68656C6C6F",
    "%14x": b"    68656c6c6f",
    "%014x": b"000068656c6c6f",
    "%-14x|": b"68656c6c6f    |",
    "%4x": b"68656c6c",
    "%.2x": b"68 65 6c 6c 6f",
    "%.2:x": b"68:65:6c:6c:6f",
    "%.1x": b"6 8 6 5 6 c 6 c 6 f",
    "%.3X": b"686 56C 6C6 F",
    "%.0x": b"68656c6c6f",
    "%:x": b"68656c6c6f",
    "%.x": b"68656c6c6f",
    "%020.2:x": b"00:00:00:00:00:68:65:6c:6c:6f",
    "%20.2:x": b"  :  :  :  :  :68:65:6c:6c:6f",
    "%-20.2:x|": b"68:65:6c:6c:6f          |",
}


@pytest.mark.parametrize("form", PAYLOADS)
def test_payload(form: str) -> None:
    assert show(form) == PAYLOADS[form]


PRESENT = {
    "%t": b"a/topic",
    "%9t": b"  a/topic",
    "%09t": b"  a/topic",
    "%-9t|": b"a/topic  |",
    "%.1t": b"a",
    "%.t|": b"|",
    "%5.2t": b"   a/",
    "%q%r%m": b"117",
    "%5q%5r": b"11",
    "%05m": b"00007",
    "%A": b"9",
    "%C": b"text",
    "%05C": b" text",
    "%.2C": b"te",
    "%D": b"\0\xff",
    "%5D": b"\0\xff",
    "%E": b"4294967295",
    "%012E": b"004294967295",
    "%F": b"1",
    "%P": b"k1:v1 :v2 k3:",
    "%30P": b"k1:v1 :v2 k3:",
    "%R": b"answer",
    "%8R": b"  answer",
    "%S": b"268435455",
    "%%%5%": b"%%",
}


@pytest.mark.parametrize("form", PRESENT)
def test_a_message_with_everything(form: str) -> None:
    assert show(form, FULL) == PRESENT[form]


ABSENT = {
    "%A%C%D%E%F%P%R%S": b"",
    "%3A": b"   ",
    "%03A": b"000",
    "%-03A": b"   ",
    "%05C": b"00000",
    "%5C": b"     ",
    "%5R%5D%5P": b"",
    "%3E%3F%3S": b" " * 9,
    "%m": b"0",
}


@pytest.mark.parametrize("form", ABSENT)
def test_a_message_without_properties(form: str) -> None:
    assert show(form) == ABSENT[form]


def test_empty_strings_are_not_absent() -> None:
    message = Received(properties=[(0x03, b""), (0x08, b"")])
    assert show("[%03C][%3R]", message) == b"[   ][   ]"


@pytest.mark.parametrize(
    ("form", "value", "wanted"),
    [
        ("%f", 1.5, b"1.500000"),
        ("%.2f", -1.255, b"-1.25"),
        ("%8.1f|", 2.0, b"     2.0|"),
        ("%-8.1f|", 2.0, b"2.0     |"),
        ("%08.1f", -2.0, b"-00002.0"),
        ("%.0f", 3.0, b"3"),
        ("%.f", 3.0, b"3"),
        ("%f", float("inf"), b"inf"),
        ("%06f", float("-inf"), b"  -inf"),
        ("%f", float("nan"), b"nan"),
    ],
)
def test_floats(form: str, value: float, wanted: bytes) -> None:
    assert show(form, Received(struct.pack("=f", value))) == wanted
    assert show(form.replace("f", "d"), Received(struct.pack("=d", value))) == wanted


def test_a_payload_that_is_no_float_leaves_its_place_empty() -> None:
    assert show_all("<%f>") == (b"<>", b"requested float printing, but non-float data received")
    assert show_all("<%5d>") == (b"<>", b"requested double printing, but non-double data received")


def test_escapes() -> None:
    assert show(r"\\\0\a\e\n\r\t\v") == b"\\\0\a\x1b\n\r\t\v"


def test_text_is_copied() -> None:
    assert show(b"\xff\n caf\xc3\xa9 %l") == b"\xff\n caf\xc3\xa9 5"


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        *(
            (form, b"Error: Incomplete format specifier.")
            for form in ("%", "@", "%5", "%5.", "%5.3", "%-", "%0", "%.2:")
        ),
        ("\\", b"Error: Incomplete escape specifier."),
        ("\\q", b"Error: Invalid escape specifier 'q'."),
        ("%z", b"Error: Invalid format specifier 'z'."),
        ("%::x", b"Error: Invalid format specifier ':'."),
        ("%0-5p", b"Error: Invalid format specifier '5'."),
        ("%.2.3x", b"Error: Invalid format specifier '3'."),
        ("%+5l", b"Error: Invalid format specifier '5'."),
        ("ok %p %", b"Error: Incomplete format specifier."),
    ],
)
def test_what_is_no_format(form: str, complaint: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        show(form)
    assert caught.value.text == complaint


@contextmanager
def zone(name: str) -> Iterator[None]:
    """Local time of another place."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


def test_times_of_one_moment() -> None:
    with zone("XST-1"):
        second = MOMENT // 10**9
        day = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second + 3600)).encode()
        assert clock.iso(MOMENT) == day + b"+0100"
        assert clock.iso_fraction(MOMENT) == day + b".420603+0100"
    assert clock.unix(MOMENT) == b"1795217732.420603001"


def test_time_fields_are_those_of_the_time_of_printing() -> None:
    before = time.time()
    out = show("@s.@N %U")
    after = time.time()
    match = re.fullmatch(rb"(\d+\.\d{9}) (\d+\.\d{9})", out)
    assert match and match[1] == match[2]
    assert before - 0.001 <= float(match[1]) <= after + 0.001


def test_time_fields_know_all_of_strftime() -> None:
    with zone("UTC"):
        assert re.fullmatch(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC", show("@Y-@m-@d @H:@M:@S @z @Z"))
        assert show("@@@%@Q@!@\xff") == b"@%%Q%!%\xc3\xbf"
        assert re.fullmatch(rb" {5}\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000", show("%29I"))
        assert re.fullmatch(rb"\d{4}-\d\d", show("%.7I"))


def test_a_batch_is_printed_line_by_line() -> None:
    render = renderer(b"%p", complain=lambda text: None)
    assert render([Received(b"one"), Received(b""), Received(b"two\0")]) == b"one\n\ntwo\0\n"


DEFAULTS = {
    (False, True): b"one\ntwo\n",
    (False, False): b"onetwo",
    (True, True): b"a/topic one\na/topic (null)\na/topic two\n",
    (True, False): b"a/topic onea/topic two",
}


@pytest.mark.parametrize(("verbose", "newline"), DEFAULTS)
def test_without_a_format(verbose: bool, newline: bool) -> None:
    render = renderer(verbose=verbose, newline=newline, complain=lambda text: None)
    assert render([]) == b""
    assert render([Received(b"one"), Received(b""), Received(b"two")]) == DEFAULTS[verbose, newline]


PIECES = st.one_of(
    st.sampled_from([b"%" + bytes((code,)) for code in b"%ACDdEFfIJjlmPpqRrStUXx"]),
    st.builds(
        lambda *parts: b"%" + b"".join(parts),
        st.sampled_from([b"", b"-", b"0"]),
        st.integers(0, 3000).map(lambda n: b"%d" % n) | st.just(b""),
        st.integers(0, 3000).map(lambda n: b".%d" % n) | st.sampled_from([b"", b"."]),
        st.binary(max_size=2),
    ),
    st.binary(max_size=4),
    st.binary(max_size=1).map(lambda letter: b"@" + letter),
    st.binary(max_size=1).map(lambda letter: b"\\" + letter),
)
TEXT = st.binary(max_size=6)
PROPERTIES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([0x03, 0x08, 0x09]), TEXT),
        st.tuples(st.sampled_from([0x01, 0x02, 0x0B, 0x23]), st.integers(0, 2**32 - 1)),
        st.tuples(st.just(0x26), st.tuples(TEXT, TEXT)),
    ),
    max_size=4,
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(PIECES, max_size=6).map(b"".join).filter(lambda form: not re.search(rb"[0-9]{5}", form)),
    st.binary(max_size=40) | st.floats().map(lambda value: struct.pack("=d", value)),
    PROPERTIES,
    st.booleans(),
)
def test_any_format_prints_any_message_or_is_refused(
    form: bytes, payload: bytes, properties: list[tuple[int, int | bytes | tuple[bytes, bytes]]], pretty: bool
) -> None:
    message = Received(payload, qos=1, mid=3, properties=properties)
    try:
        out, _ = show_all(form, message, pretty=pretty)
    except FormatError:
        return
    assert isinstance(out, bytes)
