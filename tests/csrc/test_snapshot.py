"""mosquitto.db: what files hold comes into the core and goes out again; what is corrupt is refused with its place."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from mosq.core import lib
from mosq.persistence.format import (
    NEVER,
    BaseMessage,
    Client,
    ClientMessage,
    Configuration,
    Content,
    Retained,
    Subscription,
    Unknown,
    encode,
    encode_chunk,
    encode_header,
)
from tests.csrc.database import CorruptError, Database, contents, load, resumed, save
from tests.csrc.peer import World
from tests.harness.packets import v311

DATA = Path(__file__).parent.parent / "persistence/data"
WRITTEN_AT = 1795217390
"""When the samples were written, Unix seconds: messages in them expire a little later."""
HEADER = 23
VERSIONS = range(2, 7)


def world(**options: int) -> World:
    out = World(**options)
    out.wall = WRITTEN_AT
    out.tick(0)
    return out


def sample(name: str) -> bytes:
    return (DATA / f"{name}.db").read_bytes()


def saved(core: World, read: Database, *, shutdown: bool = False) -> bytes:
    return save(core, {read.sessions[key]: client for key, client in read.clients.items()}, shutdown=shutdown)


def refusal(data: bytes) -> CorruptError:
    with pytest.raises(CorruptError) as caught:
        load(world(), data)
    return caught.value


def file(*chunks: Content, version: int = 6) -> bytes:
    return encode((Configuration(99), *chunks), version)


A, B = Client(b"a"), Client(b"b")
MESSAGE = BaseMessage(7, b"t", b"payload", 1)


# ---- whole files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
@pytest.mark.parametrize("name", ["v6-tiny", "v6-mixed", "v6-live"])
def test_a_file_of_the_newest_version_comes_out_as_it_went_in(name: str, piece: int) -> None:
    core = world()
    assert saved(core, load(core, sample(name), piece), shutdown=name != "v6-live") == sample(name)


@pytest.mark.parametrize(
    ("name", "counts", "skipped"),
    [
        ("v2-handmade", (4, 1, 2, 2, 5), (0, 0, 0)),
        ("v3-handmade", (4, 1, 2, 2, 5), (0, 0, 0)),
        ("v4-handmade", (4, 1, 2, 2, 5), (0, 0, 0)),
        ("v5-handmade", (4, 1, 3, 2, 5), (0, 2, 1)),
        ("v6-live", (27, 7, 8, 12, 31), (0, 0, 0)),
    ],
)
def test_all_of_a_sample_is_counted(name: str, counts: tuple[int, ...], skipped: tuple[int, ...]) -> None:
    read = load(world(), sample(name))
    assert read.counts == counts
    assert read.version == int(name[1])
    assert read.skipped == skipped


def test_what_has_expired_is_not_counted_as_kept() -> None:
    core = world()
    core.tick(100)
    read = load(core, sample("v6-live"))
    assert read.counts == (25, 6, 8, 12, 31)
    assert read.skipped == (0, 3, 2)


@pytest.mark.parametrize("version", [2, 3, 4])
def test_an_old_file_keeps_everything(version: int) -> None:
    """Sessions of the old versions never expire."""
    core, name = world(), f"v{version}-handmade"
    read = load(core, sample(name))
    again = contents(saved(core, read))
    old = contents(sample(name))
    assert sorted(map(repr, again)) == sorted(map(repr, old))
    assert {client.interval for client in read.clients.values()} == {NEVER}


def test_a_file_without_a_byte_is_an_empty_database() -> None:
    read = load(world(), b"")
    assert read.counts == (0, 0, 0, 0, 0)
    assert read.version == 0


def test_a_file_may_hold_nothing_but_its_header() -> None:
    assert load(world(), encode_header()).counts == (0, 0, 0, 0, 0)


# ---- messages on their way -----------------------------------------------------------------------------------------


def test_messages_in_flight_go_out_again_with_their_identifiers() -> None:
    core = world()
    session = load(core, sample("v5-handmade")).sessions[b"v5-a"]
    assert resumed(core, session) == (
        v311.publish("t/1", b"five", qos=1, mid=4, dup=True)
        + v311.pubrel(5)
        + v311.publish("t/1", b"five", qos=1, mid=6)
    )


@pytest.mark.parametrize("limit", [0, 1])
@pytest.mark.parametrize(
    ("qos", "state", "packet"),
    [
        (1, 2, v311.publish("t", b"payload", qos=1, mid=9)),
        (1, 3, v311.publish("t", b"payload", qos=1, mid=9)),
        (2, 4, v311.publish("t", b"payload", qos=2, mid=9)),
        (2, 5, v311.publish("t", b"payload", qos=2, mid=9)),
        (2, 6, v311.pubrel(9)),
        (2, 9, v311.pubrel(9)),
    ],
)
def test_each_state_goes_on_where_it_was(qos: int, state: int, packet: bytes, limit: int) -> None:
    """Whatever max_inflight_messages is now: what was in flight stays so."""
    core = world(max_inflight_messages=limit)
    other = ClientMessage(b"a", 7, 8, 1, state=3, dup=1)
    read = load(core, file(MESSAGE, A, other, ClientMessage(b"a", 7, 9, qos, state=state)))
    assert resumed(core, read.sessions[b"a"]) == v311.publish("t", b"payload", qos=1, mid=8, dup=True) + packet


def test_a_message_keeps_its_properties_and_the_subscription_identifier() -> None:
    core = world()
    properties = ((0x01, 1), (0x03, b"text/plain"), (0x26, (b"k", b"1")), (0x26, (b"k", b"2")))
    message = BaseMessage(7, b"t", b"x", 1, properties=properties)
    read = load(core, file(message, A, ClientMessage(b"a", 7, 1, 1, identifier=300)))
    sent = b"\x0b\xac\x02", b"\x01\x01\x03\x00\x0atext/plain\x26\x00\x01k\x00\x011\x26\x00\x01k\x00\x012"
    received = resumed(core, read.sessions[b"a"], version=5)
    assert all(part in received for part in sent)


def test_properties_of_a_delivery_do_not_stay_with_the_message() -> None:
    core = world()
    properties = ((0x02, 5), (0x01, 1), (0x23, 3), (0x0B, 9))
    load(core, file(BaseMessage(7, b"t", b"x", properties=properties), Retained(7)))
    assert contents(save(core, {}))[1] == BaseMessage(7, b"t", b"x", properties=((0x01, 1),))


def test_a_message_from_the_client_waits_for_its_pubrel() -> None:
    core = world()
    read = load(
        core, file(MESSAGE, A, ClientMessage(b"a", 7, 3, 2, direction=0, state=7), ClientMessage(b"a", 7, 4, 1))
    )
    messages = [item for item in contents(saved(core, read)) if isinstance(item, ClientMessage)]
    assert messages == [ClientMessage(b"a", 7, 3, 2, direction=0, state=7), ClientMessage(b"a", 7, 4, 1)]


def test_only_qos_2_is_kept_from_a_client() -> None:
    core = world()
    kept = [ClientMessage(b"a", 7, qos, qos, direction=0, state=7) for qos in (0, 1)]
    read = load(core, file(MESSAGE, A, *kept))
    assert read.counts[-1] == 2
    assert read.skipped == (0, 0, 0)
    assert not any(isinstance(item, ClientMessage) for item in contents(saved(core, read)))


@pytest.mark.parametrize(
    ("expires", "kept"),
    [
        (0, True),
        (WRITTEN_AT + 1, True),
        (WRITTEN_AT + 0xFFFFFFFF, True),
        (WRITTEN_AT, False),
        (WRITTEN_AT - 1, False),
        (-1, False),
        (-(2**63), False),
        (WRITTEN_AT + 0x100000000, False),
        (2**63 - 1, False),
    ],
)
def test_what_is_over_or_of_another_clock_is_left_out(expires: int, kept: bool) -> None:
    core = world()
    read = load(core, file(BaseMessage(7, b"t", b"x", expires=expires), Retained(7)))
    assert read.counts[:2] == (kept, kept)
    assert read.skipped == (0, not kept, not kept)
    assert core.core.stats.stored == kept


def test_references_to_what_is_not_there_are_skipped() -> None:
    read = load(core := world(), file(A, ClientMessage(b"a", 8, 1, 1), Retained(9)))
    assert read.counts == (0, 0, 1, 0, 1)
    assert read.skipped == (0, 2, 0)
    assert resumed(core, read.sessions[b"a"]) == b""


def test_an_empty_payload_is_not_retained() -> None:
    core = world()
    read = load(core, file(BaseMessage(7, b"t"), Retained(7)))
    assert core.core.stats.retained == 0
    assert read.skipped == (0, 0, 0)


def test_messages_of_nobody_are_gone_at_the_end() -> None:
    core = world()
    assert load(core, file(MESSAGE)).counts[0] == 1
    assert core.core.stats.stored == 0


def test_new_messages_get_greater_numbers_than_the_file_has() -> None:
    core = world()
    load(core, encode((Configuration(2**53), MESSAGE)))
    core.publish("t", b"x", retain=True)
    assert contents(save(core, {}))[1].store_id == 2**53 + 1  # type: ignore[union-attr]


# ---- whose messages ------------------------------------------------------------------------------------------------


def test_messages_may_stand_apart_from_their_client() -> None:
    core = world()
    read = load(core, file(MESSAGE, A, B, ClientMessage(b"a", 7, 1, 1), ClientMessage(b"b", 7, 1, 1)))
    assert read.owners == [b"a", b"b"]
    for client_id in (b"a", b"b"):
        assert resumed(core, read.sessions[client_id]) == v311.publish("t", b"payload", qos=1, mid=1)


@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_messages_of_a_client_that_is_not_there_are_counted_and_skipped(piece: int) -> None:
    core = world()
    read = load(core, file(MESSAGE, A, *[ClientMessage(b"x", 7, mid, 1) for mid in (1, 2)]), piece)
    assert read.owners == [b"x"]
    assert read.counts[-1] == 2
    assert read.skipped == (2, 0, 0)
    assert core.core.stats.stored == 0


def test_a_client_is_told_with_all_that_the_file_says() -> None:
    client = Client(b"a", b"carol", 77, 1884, WRITTEN_AT + 5, 600)
    assert load(world(), file(client)).clients == {b"a": client}
    assert load(world(), file(client, version=5)).clients == {
        b"a": Client(b"a", mid=77, expires=WRITTEN_AT + 5, interval=600)
    }


@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize("version", [3, 4])
def test_a_time_of_disconnect_may_have_either_width(version: int, width: int) -> None:
    chunk = struct.pack(">HIH1sH", 6, 5 + width, 1, b"a", 3) + bytes(width)
    assert load(world(), encode_header(version) + chunk).clients == {b"a": Client(b"a", mid=3)}


def test_a_subscription_is_told_with_its_options() -> None:
    subscription = Subscription(b"a", b"$share/g/a/#", 2, 0x2C, 268435455)
    assert load(world(), file(A, subscription)).subscriptions == [subscription]


# ---- what deserves a warning ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, 1 << 20])
@pytest.mark.parametrize(
    ("content", "why", "kind"),
    [
        (Unknown(7, b"whatever"), lib.MQ_ODD_CHUNK, 7),
        (Unknown(0, b""), lib.MQ_ODD_CHUNK, 0),
        (Client(b"", b"carol"), lib.MQ_ODD_CLIENT, 6),
        (ClientMessage(b"", 7), lib.MQ_ODD_MESSAGE_CLIENT, 3),
        (Subscription(b"", b"a"), lib.MQ_ODD_SUB_CLIENT, 5),
        (Subscription(b"a", b""), lib.MQ_ODD_SUB_FILTER, 5),
    ],
)
def test_what_is_odd_is_skipped_and_said(content: Content, why: int, kind: int, piece: int) -> None:
    read = load(world(), file(MESSAGE, content, A), piece)
    assert read.odd == [(why, kind)]
    assert list(read.clients) == [b"a"]


# ---- what is corrupt -----------------------------------------------------------------------------------------------


def damaged(content: Content, at: int, value: bytes, version: int = 6) -> bytes:
    """A file with one chunk, in which bytes from `at` of its body on are others."""
    chunk = bytearray(encode_chunk(content, version))
    head = 8 if version > 4 else 6
    chunk[head + at : head + at + len(value)] = value
    return encode_header(version) + bytes(chunk)


BODY = HEADER + 8
OLD_BODY = HEADER + 6
FOR_A = ClientMessage(b"a", 7, 1, 1)
REFUSED: dict[str, tuple[bytes, int, int, int, int]] = {
    # name: (file, why, offset, value, wanted)
    "another file": (b"SQLite format 3\0" + bytes(99), lib.MQ_BAD_MAGIC, 0, 0, 0),
    "a short other file": (b"hello", lib.MQ_BAD_MAGIC, 0, 0, 0),
    "half a magic": (encode_header()[:9], lib.MQ_BAD_CUT, 0, 9, HEADER),
    "half a header": (encode_header()[:20], lib.MQ_BAD_CUT, 0, 20, HEADER),
    "version 1": (encode_header()[:-1] + b"\1", lib.MQ_BAD_VERSION, 19, 1, 6),
    "version 7": (encode_header()[:-1] + b"\7", lib.MQ_BAD_VERSION, 19, 7, 6),
    "version 2^32 - 1": (encode_header()[:-4] + b"\xff" * 4, lib.MQ_BAD_VERSION, 19, 0xFFFFFFFF, 6),
    "half a chunk header": (encode_header() + b"\0\0\0", lib.MQ_BAD_CUT_HEADER, HEADER, 3, 8),
    "half an old chunk header": (encode_header(2) + b"\0\1\0", lib.MQ_BAD_CUT_HEADER, HEADER, 3, 6),
    "half a body": (encode_header() + encode_chunk(Retained(1))[:-3], lib.MQ_BAD_CUT, BODY, 5, 8),
    "no body": (encode_header() + encode_chunk(A)[:8], lib.MQ_BAD_CUT, BODY, 0, 25),
    "an unknown chunk cut": (encode_header() + encode_chunk(Unknown(9, b"abc"))[:-1], lib.MQ_BAD_CUT, BODY + 2, 0, 1),
    "store ids of 4 bytes": (damaged(Configuration(1), 9, b"\4"), lib.MQ_BAD_ID_SIZE, BODY + 9, 4, 8),
    "old store ids of 4 bytes": (damaged(Configuration(1), 1, b"\4", 3), lib.MQ_BAD_ID_SIZE, OLD_BODY + 1, 4, 8),
    "a message 0": (file(BaseMessage(0, b"t")), lib.MQ_BAD_ID, BODY + 24, 0, 0),
    "a message twice": (file(MESSAGE, MESSAGE), lib.MQ_BAD_ID, BODY + 24 + 48, 7, 0),
    "no topic": (damaged(BaseMessage(7, b""), 0, b""), lib.MQ_BAD_TOPIC, BODY, 0, 0),
    "a wildcard": (damaged(BaseMessage(7, b"a/#"), 0, b""), lib.MQ_BAD_TOPIC, BODY + 32, 3, 0),
    "a broken topic": (damaged(BaseMessage(7, b"a\xff"), 0, b""), lib.MQ_BAD_TOPIC, BODY + 32, 2, 0),
    "a payload without end": (
        damaged(MESSAGE, 16, b"\x10\0\0\0"),
        lib.MQ_BAD_PAYLOAD,
        BODY + 16,
        0x10000000,
        0x0FFFFFFF,
    ),
    "an old payload without end": (
        damaged(MESSAGE, 19, b"\xff" * 4, 2),
        lib.MQ_BAD_PAYLOAD,
        OLD_BODY + 19,
        0xFFFFFFFF,
        0x0FFFFFFF,
    ),
    "a payload beyond the chunk": (damaged(MESSAGE, 19, b"\x08"), lib.MQ_BAD_LENGTH, HEADER + 4, 40, 41),
    "a QoS of 3": (damaged(MESSAGE, 30, b"\3"), lib.MQ_BAD_VALUE, BODY + 30, 3, 2),
    "a delivery with QoS 3": (damaged(FOR_A, 12, b"\3"), lib.MQ_BAD_VALUE, BODY + 12, 3, 2),
    "an unknown state": (damaged(FOR_A, 13, b"\x0c"), lib.MQ_BAD_VALUE, BODY + 13, 12, 11),
    "the invalid state": (damaged(FOR_A, 13, b"\0"), lib.MQ_BAD_VALUE, BODY + 13, 0, 11),
    "a third direction": (damaged(FOR_A, 15, b"\2"), lib.MQ_BAD_VALUE, BODY + 15, 2, 1),
    "a subscription with QoS 3": (damaged(Subscription(b"a", b"t"), 8, b"\3"), lib.MQ_BAD_VALUE, BODY + 8, 3, 2),
    "a great subscription identifier": (
        damaged(Subscription(b"a", b"t"), 0, b"\x10\0\0\0"),
        lib.MQ_BAD_VALUE,
        BODY,
        0x10000000,
        0x0FFFFFFF,
    ),
    "an old client without a name": (encode((Client(b""),), 4), lib.MQ_BAD_CLIENT_ID, OLD_BODY, 0, 0),
}


@pytest.mark.parametrize("piece", [1, 1 << 20])
@pytest.mark.parametrize("name", REFUSED)
def test_a_corrupt_file_is_refused_with_its_place(name: str, piece: int) -> None:
    data, *said = REFUSED[name]
    with pytest.raises(CorruptError) as caught:
        load(world(), data, piece)
    error = caught.value
    assert [error.why, error.offset, error.value, error.wanted] == said


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "content",
    [Configuration(1), MESSAGE, FOR_A, Retained(7), Subscription(b"a", b"t"), A],
    ids=lambda c: type(c).__name__,
)
@pytest.mark.parametrize("change", [-1, 1])
def test_a_chunk_has_to_be_as_long_as_it_says(version: int, content: Content, change: int) -> None:
    head = 8 if version > 4 else 6
    chunk = encode_chunk(content, version)
    n = len(chunk) - head
    body = chunk[head:] + b"\0" if change > 0 else chunk[head:-1]
    data = encode_header(version) + chunk[: head - 4] + struct.pack(">I", n + change) + body
    if change > 0 and version > 4 and content in (MESSAGE, FOR_A):
        load(world(), data)  # what was added is an empty list of properties
        return
    error = refusal(data)
    said = error.why, error.offset, error.value, error.wanted
    assert said == (lib.MQ_BAD_LENGTH, HEADER + head - 4, n + change, n)


@pytest.mark.parametrize(
    ("block", "value"),
    [
        (b"\x80", 0xFFFFFFFF),  # a length without end
        (b"\x02\x01", 0xFFFFFFFF),  # longer than the chunk
        (b"\x02\x01\x02", 0x01),  # payload format 2
        (b"\x04\x01\x00\x01\x00", 0x01),  # twice
        (b"\x05\x11\x00\x00\x00\x05", 0x11),  # not of a PUBLISH
        (b"\x04\x03\x00\x01\xff", 0x03),  # not UTF-8
        (b"\x03\x03\x00\x05", 0x03),  # cut
        (b"\x02\x7e\x00", 0x7E),  # unknown
        (b"\x02\x0b\x00", 0x0B),  # subscription identifier 0
    ],
)
@pytest.mark.parametrize("content", [MESSAGE, FOR_A], ids=["message", "delivery"])
def test_bad_properties_are_refused(content: Content, block: bytes, value: int) -> None:
    chunk = encode_chunk(content)
    n = len(chunk) - 8
    error = refusal(encode_header() + chunk[:4] + struct.pack(">I", n + len(block)) + chunk[8:] + block)
    assert (error.why, error.offset, error.value) == (lib.MQ_BAD_PROPERTY, BODY + n, value)


def test_bytes_after_the_properties_mean_nothing() -> None:
    chunk = encode_chunk(MESSAGE)
    data = encode_header() + chunk[:4] + struct.pack(">I", len(chunk) - 8 + 5) + chunk[8:] + b"\2\1\1\xff\xff"
    assert load(world(), data).counts[0] == 1


@pytest.mark.parametrize("name", ["v6-tiny", "v5-handmade", "v3-handmade"])
def test_a_file_cut_anywhere_but_between_two_chunks_is_refused(name: str) -> None:
    data = sample(name)
    whole = set(boundaries(data))
    for n in range(1, len(data)):
        if n in whole:
            load(world(), data[:n])
        else:
            within = n - max((at for at in whole if at < n), default=n)
            head = 8 if data[22] > 4 else 6
            assert refusal(data[:n]).why == (lib.MQ_BAD_CUT_HEADER if 0 < within < head else lib.MQ_BAD_CUT)


def boundaries(data: bytes) -> list[int]:
    head, at, out = (8 if data[22] > 4 else 6), HEADER, []
    while at < len(data):
        out.append(at)
        at += head + int.from_bytes(data[at + head - 4 : at + head])
    return out


# ---- memory --------------------------------------------------------------------------------------------------------


def heap(core: World) -> int:
    n: int = core.core.stats.heap
    return n


@pytest.mark.parametrize("kind", range(1, 7))
def test_a_length_without_bounds_is_refused_before_anything_is_read(kind: int) -> None:
    error = refusal(encode_header() + struct.pack(">II", kind, 0xFFFFFFFF))
    assert (error.why, error.offset, error.value) == (lib.MQ_BAD_LENGTH, HEADER + 4, 0xFFFFFFFF)


def test_memory_grows_with_what_has_come_and_not_with_what_is_announced() -> None:
    core = world()
    data = encode_header() + struct.pack(">II", 2, 200_000_000) + bytes(1000)
    with pytest.raises(CorruptError):
        load(core, data, 100)
    assert core.core.stats.heap_max < heap(core) + 100_000


def test_a_large_chunk_leaves_no_buffer_behind() -> None:
    core = world()
    large = BaseMessage(7, b"t", bytes(3_000_000))
    before = heap(core)
    load(core, file(large, BaseMessage(8, b"t", b"x"), Retained(8)), 65536)
    assert heap(core) < before + 10_000
    assert core.core.stats.heap_max < before + 6_500_000


@pytest.mark.parametrize("piece", [50, 1 << 20])
def test_memory_limit_holds_while_a_file_is_read(piece: int) -> None:
    core = world()
    core.core.options.memory_limit = heap(core) + 200_000
    with pytest.raises(CorruptError) as caught:
        load(core, file(*[BaseMessage(n, b"t/%d" % n, bytes(500)) for n in range(1, 1000)]), piece)
    assert caught.value.why == lib.MQ_BAD_NOMEM
    assert core.core.stats.heap_max <= core.core.options.memory_limit
