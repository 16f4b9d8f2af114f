"""The codec of mosquitto.db: what is written is read again in every version, the samples are what their listing says,
and arbitrary bytes raise nothing but the one error."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosq.persistence.format import (
    ID_SIZE,
    MAGIC,
    NEVER,
    BaseMessage,
    Chunk,
    Client,
    ClientMessage,
    Configuration,
    Content,
    FormatError,
    IdSizeError,
    MagicError,
    Retained,
    ShortHeaderError,
    Subscription,
    Unknown,
    VersionError,
    decode,
    encode,
    encode_chunk,
    encode_header,
)

DATA = Path(__file__).parent / "data"
SAMPLES = sorted(DATA.glob("*.db"))

_byte = st.integers(0, 255)
_two = st.integers(0, 65535)
_four = st.integers(0, 2**32 - 1)
_id = st.integers(0, 2**64 - 1)
_time = st.integers(-(2**63), 2**63 - 1)
_text = st.binary(max_size=20)
_utf8 = st.text("aé/\U0001f600", max_size=5).map(str.encode)
_identifier = st.one_of(st.just(0), st.integers(1, 0xFFFFFFF))
_properties = st.tuples(
    st.one_of(st.none(), st.tuples(st.just(0x01), st.integers(0, 1))),
    st.one_of(st.none(), st.tuples(st.just(0x03), _utf8)),
    st.one_of(st.none(), st.tuples(st.just(0x09), _text)),
    st.one_of(st.none(), st.tuples(st.just(0x26), st.tuples(_utf8, _utf8))),
    st.one_of(st.none(), st.tuples(st.just(0x26), st.tuples(_utf8, _utf8))),
).map(lambda found: tuple(item for item in found if item))
_half = st.integers(0, 15)


def contents(version: int) -> st.SearchStrategy[Content]:
    """What a file of this version can say; the fields that it does not have are left at what a reader assumes."""
    source = {"username": _text, "port": _two} if version >= 4 else {}
    modern = {"expires": _time, "properties": _properties} if version >= 5 else {}
    expiry = {"expires": _time, "interval": _four} if version >= 5 else {}
    listener = {"username": _text, "port": _two} if version >= 6 else {}
    options = {"options": _byte, "identifier": _identifier} if version >= 5 else {}
    identifier = {"identifier": _identifier} if version >= 5 else {}
    return st.one_of(
        st.builds(Configuration, _id, _byte),
        st.builds(BaseMessage, _id, _text, _text, _byte, _byte, client_id=_text, mid=_two, **source, **modern),
        st.builds(ClientMessage, _text, _id, _two, _byte, _half, _half, _byte, _byte, **identifier),
        st.builds(Retained, _id),
        st.builds(Subscription, _text, _text, _byte, **options),
        st.builds(Client, _text, mid=_two, **expiry, **listener),
        st.builds(Unknown, st.integers(7, 65535), _text),
    )


def found(data: bytes) -> list[Content]:
    return [chunk.content for chunk in decode(data)]


@pytest.mark.parametrize("version", range(2, 7))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_encoded_is_decoded_again(version: int, data: st.DataObject) -> None:
    written = data.draw(st.lists(contents(version), max_size=6))
    encoded = encode(written, version)
    chunks = list(decode(encoded))
    assert [chunk.content for chunk in chunks] == written
    assert [chunk.length for chunk in chunks] == [
        len(encode_chunk(content, version)) - (6 if version < 5 else 8) for content in written
    ]


@pytest.mark.parametrize(
    "path", [path for path in SAMPLES if path.name[:2] in ("v5", "v6")], ids=lambda path: path.name
)
def test_a_sample_is_written_as_it_was(path: Path) -> None:
    data = path.read_bytes()
    assert encode(found(data), int(path.name[1])) == data


@pytest.mark.parametrize("version", [2, 3, 4])
def test_old_versions_are_read(version: int) -> None:
    name = f"v{version}"
    carol = {"username": b"carol", "port": 31883} if version == 4 else {}
    a, b = f"{name}-a".encode(), f"{name}-b".encode()
    assert found((DATA / f"{name}-handmade.db").read_bytes()) == [
        Configuration(5000),
        BaseMessage(201, b"t/1", b"old q1", 1, client_id=b"pub", mid=7, **carol),
        BaseMessage(202, b"t/2", b"old q2", 2, client_id=b"pub", mid=8),
        BaseMessage(203, b"r/1", b"old retained", 0, 1),
        BaseMessage(204, b"in/1", b"incoming", 2, 1, client_id=a, mid=3),
        Client(a, mid=9),
        Client(b),
        ClientMessage(a, 204, 3, 2, 1, 0, 0, 7),
        ClientMessage(a, 201, 4, 1, 0, 1, 1, 3),
        ClientMessage(a, 202, 5, 2, 0, 1, 1, 9),
        ClientMessage(a, 201, 6, 1),
        ClientMessage(b, 203, 7, 1, 1),
        Subscription(a, b"t/#", 2),
        Subscription(b, b"r/+", 1),
        Retained(203),
    ]


def test_the_tiny_file_is_what_it_says() -> None:
    message = 1325814807546586
    assert list(decode((DATA / "v6-tiny.db").read_bytes())) == [
        Chunk(23, 16, Configuration(message, 1)),
        Chunk(47, 44, BaseMessage(message, b"a/b", b"hi", 1, 1, 0, b"p1", b"", 1, 31884, ((0x03, b"t"),))),
        Chunk(99, 27, Client(b"c1", b"u", 1, 31884, 0, NEVER)),
        Chunk(134, 22, ClientMessage(b"c1", message, 1, 1, 1, identifier=300)),
        Chunk(164, 17, Subscription(b"c1", b"a/b", 1, 0x08, 300)),
        Chunk(189, 8, Retained(message)),
    ]


def test_sessions_of_a_32_bit_machine_are_read() -> None:
    body = b"\0\x02ab\0\x09" + struct.pack("=i", 1700000000)
    assert found(encode_header(3) + struct.pack(">HI", 6, len(body)) + body) == [Client(b"ab", mid=9)]


def test_a_chunk_header_cut_short_is_the_end() -> None:
    assert found(encode([Retained(1)]) + b"\0\0\0\x04\0\0\0") == [Retained(1)]


def test_an_unknown_chunk_may_be_longer_than_the_file() -> None:
    assert found(encode_header() + struct.pack(">II", 99, 2**32 - 1) + b"abc") == [Unknown(99, b"abc")]


_TOO_SHORT = encode_header() + struct.pack(">II", 4, 7) + bytes(7)
_TOO_LONG = encode_header() + struct.pack(">II", 4, 9) + bytes(9)
_NO_TOPIC = bytearray(encode([Subscription(b"c", b"t")]))
_NO_TOPIC[23 + 8 + 7] = 9  # the length of the topic
_PROPERTIES = encode([BaseMessage(1, b"t", b"p", properties=((0x01, 1),))])[:-1] + b"\x02"


@pytest.mark.parametrize(
    ("data", "kind", "offset", "words"),
    [
        (b"", ShortHeaderError, 0, "the end of the file"),
        (MAGIC + bytes(7), ShortHeaderError, 22, "the end of the file"),
        (b"SQLite format 3\0" + bytes(90), MagicError, 0, "SQLite"),
        (encode_header(6)[:-1] + b"\x07", VersionError, 19, "version 7"),
        (encode([Configuration(1, 0, ID_SIZE // 2)]), IdSizeError, 31, "ids of 4 bytes"),
        (encode([Client(b"abc")])[:-1], FormatError, 23, "a Client of 27 bytes, 26 before the end"),
        (_TOO_SHORT, FormatError, 38, "the end of a Retained that lacks 1 bytes"),
        (_TOO_LONG, FormatError, 39, "1 bytes after the end of a Retained"),
        (bytes(_NO_TOPIC), FormatError, 45, "the end of a Subscription that lacks 8 bytes"),
        (_PROPERTIES, FormatError, 65, "properties"),
    ],
)
def test_an_error_says_where_and_what(data: bytes, kind: type[FormatError], offset: int, words: str) -> None:
    with pytest.raises(kind) as caught:
        found(data)
    assert caught.value.offset == offset
    assert words in caught.value.found


def _only_its_error(data: bytes) -> None:
    try:
        for chunk in decode(data):
            assert chunk.offset < len(data)
    except FormatError as error:
        assert 0 <= error.offset <= len(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.integers(2, 7))
def test_arbitrary_bytes_raise_only_the_error(data: bytes, version: int) -> None:
    _only_its_error(data)
    _only_its_error(encode_header()[:-1] + bytes((version,)) + data)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([path.read_bytes() for path in SAMPLES]),
    st.lists(st.tuples(st.integers(0, 4999), _byte), max_size=4),
    st.integers(0, 4999),
)
def test_damaged_files_raise_only_the_error(data: bytes, damage: list[tuple[int, int]], cut: int) -> None:
    changed = bytearray(data)
    for at, value in damage:
        changed[at % len(data)] = value
    _only_its_error(bytes(changed[:cut]))
