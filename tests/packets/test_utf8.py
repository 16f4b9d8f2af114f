"""Text as MQTT permits it (MQTT 5.0, section 1.5.4)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mosq.core import lib


def valid(text: bytes) -> bool:
    return bool(lib.mq_utf8_valid(text, len(text)))


def permitted(code: int) -> bool:
    """The rule, written the other way round than in C."""
    if code < 0x20 or 0x7F <= code <= 0x9F or 0xD800 <= code <= 0xDFFF:
        return False
    return not 0xFDD0 <= code <= 0xFDEF and code & 0xFFFF not in (0xFFFE, 0xFFFF)


def test_every_code_point_is_judged() -> None:
    """[MQTT-1.5.4-1], [MQTT-1.5.4-2]; alone, and in the second of two words."""
    wrong = [
        hex(code)
        for code in range(0x110000)
        for text in (chr(code).encode("utf-8", "surrogatepass"),)
        if valid(text) != permitted(code) or valid(b"0123456789" + text + b"z") != permitted(code)
    ]
    assert not wrong


@given(st.binary(max_size=40))
@example(b"\xf4\x8f\xbf\xbd")
@example(b"1234567\xe2\x82\xac")
def test_bytes_are_valid_where_the_decoder_and_the_rule_agree(data: bytes) -> None:
    """[MQTT-1.5.4-1]"""
    try:
        expected = all(permitted(ord(c)) for c in data.decode())
    except UnicodeDecodeError:
        expected = False
    assert valid(data) == expected


@given(st.text())
def test_text_is_valid_where_its_characters_are(text: str) -> None:
    """[MQTT-1.5.4-1]"""
    assert valid(text.encode("utf-8", "surrogatepass")) == all(permitted(ord(c)) for c in text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"\xc0\xaf", id="over-long in two bytes"),
        pytest.param(b"\xe0\x80\xaf", id="over-long in three bytes"),
        pytest.param(b"\xf0\x80\x80\xaf", id="over-long in four bytes"),
        pytest.param(b"\xf4\x90\x80\x80", id="above U+10FFFF"),
        pytest.param(b"\xf8\x88\x80\x80\x80", id="five bytes"),
        pytest.param(b"\xe2\x82", id="truncated"),
        pytest.param(b"\x80", id="stray continuation"),
        pytest.param(b"\xed\xa0\x80", id="surrogate"),
    ],
)
def test_ill_formed_text_is_refused(text: bytes) -> None:
    """[MQTT-1.5.4-1]"""
    assert not valid(text)
    assert not valid(b"12345678" + text)


def test_byte_order_mark_is_a_character() -> None:
    """[MQTT-1.5.4-3]"""
    assert valid("\ufeffa\ufeff".encode())
