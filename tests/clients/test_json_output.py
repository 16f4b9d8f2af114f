"""%j and %J: a message as JSON in the very bytes that the C tools print."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosq.cli.output.json_reader import DEEPEST, JsonError, copy, simple
from mosq.cli.output.json_writer import Writer, string
from tests.clients.received import Received, show, show_all

WITH_PROPERTIES = Received(
    b"hello",
    b"f/1",
    qos=1,
    mid=1,
    properties=[(0x26, (b"k1", b"v1")), (0x01, 0), (0x26, (b"k2", b"v2"))],
)
INDENTED = b"""{
\t"topic":\t"f/1",
\t"qos":\t1,
\t"retain":\tfalse,
\t"payloadlen":\t5,
\t"mid":\t1,
\t"properties":\t{
\t\t"user-properties":\t[{
\t\t\t\t"k1":\t"v1"
\t\t\t}, {
\t\t\t\t"k2":\t"v2"
\t\t\t}],
\t\t"payload-format-indicator":\t0
\t},
\t"payload":\t"hello"
}"""


def timeless(text: bytes) -> bytes:
    """Without the time, whose form is checked."""
    without, n = re.subn(rb'"tst":\t?"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[-+]\d{4}",(\n\t)?', b"", text)
    assert n == 1
    return without


def test_dense() -> None:
    wanted = (
        b'{"topic":"f/1","qos":1,"retain":false,"payloadlen":5,"mid":1,"properties":'
        b'{"user-properties":[{"k1":"v1"},{"k2":"v2"}],"payload-format-indicator":0},"payload":"hello"}'
    )
    assert timeless(show("%j", WITH_PROPERTIES)) == wanted


def test_indented() -> None:
    assert timeless(show("%j", WITH_PROPERTIES, pretty=True)) == INDENTED


def test_all_properties() -> None:
    message = Received(
        properties=[
            (0x23, 3),
            (0x03, b""),
            (0x02, 4294967295),
            (0x08, b'a"b'),
            (0x09, b"\0\x01"),
            (0x0B, 1),
            (0x0B, 2),
            (0x26, (b"", b"")),
        ]
    )
    wanted = (
        b'"properties":{"topic-alias":3,"content-type":"","message-expiry-interval":4294967295,'
        b'"response-topic":"a\\"b","correlation-data":"\\u0000\\u0001","subscription-identifier":1,'
        b'"subscription-identifier":2,"user-properties":[{"":""}]},"payload":"hello"}'
    )
    assert show("%j", message).endswith(wanted)


def test_an_empty_payload_is_null() -> None:
    for form in ("%j", "%J"):
        assert timeless(show(form, Received(b"", retain=True))) == (
            b'{"topic":"a/topic","qos":0,"retain":true,"payloadlen":0,"payload":null}'
        )


def test_a_payload_that_is_no_json_leaves_its_place_empty() -> None:
    assert show_all("<%J>", Received(b"{")) == (
        b"<>",
        b"Error: Message payload is not valid JSON on topic a/topic.\n",
    )


def test_strings_are_escaped_where_json_requires_it() -> None:
    assert string(b'"\\\b\f\n\r\t\0\x1f/\x7f\x80\xff') == b'"\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f/\x7f\x80\xff"'


def copied(data: bytes, *, pretty: bool = False) -> bytes:
    writer = Writer(pretty)
    copy(data, writer)
    return writer.text()


COPIES = {
    b"1.0": b"1",
    b"2.50": b"2.5",
    b"1e3": b"1000",
    b"1e14": b"100000000000000",
    b"1e15": b"1e+15",
    b"1e-5": b"1e-05",
    b"0.00001234": b"1.234e-05",
    b"123456789012345678": b"1.2345678901234568e+17",
    b"9007199254740993": b"9.00719925474099e+15",
    b"0.30000000000000004": b"0.3",
    b"3.141592653589793": b"3.1415926535897931",
    b"-0": b"-0",
    b"1e400": b"null",
    b"-1e400": b"null",
    b"1e-400": b"0",
    b"5e-324": b"4.94065645841247e-324",
    b"1.7976931348623157e308": b"1.79769313486232e+308",
    b"1" * 80: b"1.1111111111111111e+79",
    b"2147483648": b"2147483648",
    b"01": b"1",
    b"-.5": b"-0.5",
    b"1.": b"1",
    b'"\\u00e9\\ud83d\\ude00"': '"é😀"'.encode(),
    b'"\\u0000a"': b'"\\u0000a"',
    b'"\\/"': b'"/"',
    b'"a\tb\x7f\xff\x01"': b'"a\\tb\x7f\xff\\u0001"',
    b'[1, 2 ,{"a":1,"a":2},[],{}]': b'[1,2,{"a":1,"a":2},[],{}]',
    b' {"a" : {}, "b": [ ] } ': b'{"a":{},"b":[]}',
    b"\x01true\x02\n": b"true",
    b"\xef\xbb\xbfnull": b"null",
    b"[" * DEEPEST + b"]" * DEEPEST: b"[" * DEEPEST + b"]" * DEEPEST,
}


@pytest.mark.parametrize("data", COPIES, ids=lambda data: repr(data[:30]))
def test_a_payload_is_read_and_written_again(data: bytes) -> None:
    assert copied(data) == COPIES[data]


WRONG = (
    b" ", b"1e", b"-", b"+1", b".5", b"0x10", b"nan", b"tru", b"true1", b"1 2", b"[1 2]", b"[1,]", b"[,1]",
    b'{"a":1,}', b"{a:1}", b'{"a"}', b'{"a":}', b'{"a" 1}', b"{1:1}", b'{"a":1:2}', b'{"a":1]', b"[1}", b"]", b"[",
    b"{", b'"', b'"\\"', b'"\\x"', b'"\\ud83d"', b'"\\ud83d\\u0041"', b'"\\ude00"', b'"\\u12"', b'"a\0"', b"1\0",
    b"[" * 1001 + b"]" * 1001,
)  # fmt: skip


@pytest.mark.parametrize("data", WRONG, ids=lambda data: repr(data[:30]))
def test_what_is_no_json(data: bytes) -> None:
    with pytest.raises(JsonError):
        copied(data)


TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**14), 10**14) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
NUMBERS = st.from_regex(rb"-?[0-9]{1,9}(\.[0-9]{1,9})?(e-?[0-9])?", fullmatch=True)
PIECES = st.sampled_from([b"{", b"}", b"[", b"]", b":", b",", b" ", b"true", b'"a"', b'"\xff"', b'"\\n"', b"null"])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(NUMBERS | PIECES, max_size=6).map(b"".join) | NUMBERS | TREES.map(lambda tree: json.dumps(tree).encode())
)
def test_the_short_way_leads_where_the_long_one_does(data: bytes) -> None:
    text = simple(data, json.loads)
    assert text is None or text == copied(data)


def test_usual_payloads_go_the_short_way() -> None:
    for data in (
        b'{"t":21.5,"h":40,"on":true}',
        b'{"room": "kitchen",\r\n "value": -0.25}',
        b"[1, 0, 0.001]",
        b"12.75",
        b"0",
    ):
        assert simple(data, json.loads) == copied(data)
    for data in (
        b"-0",
        b"01",
        b"1.50",
        b"1e3",
        b"0.00001",
        b"1234567890123456",
        b'"\\u00e9"',
        b"[" * 1001 + b"]" * 1001,
    ):
        assert simple(data, json.loads) is None


def test_indented_copies() -> None:
    wanted = b'[1, [2, 3], {\n\t\t"a":\t{\n\t\t},\n\t\t"b":\t[]\n\t}]'
    assert copied(b'[1,[2,3],{"a":{},"b":[]}]', pretty=True) == wanted


@settings(max_examples=150, deadline=None)
@given(TREES, st.booleans(), st.booleans())
def test_a_copy_means_the_same(tree: object, ascii_only: bool, pretty: bool) -> None:
    data = json.dumps(tree, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        out = copied(data, pretty=pretty)
    except JsonError:
        data.decode("utf-8", "strict")
        assert re.search(rb"\\u[dD][89a-fA-F]", data)  # half of a surrogate pair
        return
    assert json.loads(out) == tree


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text('{}[]:,"\\u0dD8eE+-. 1truefalsn\t', max_size=40).map(str.encode))
def test_any_bytes_are_copied_or_refused(data: bytes) -> None:
    try:
        out = copied(data)
    except JsonError:
        return
    assert copied(out) == out
