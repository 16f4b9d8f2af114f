"""The bytes of a `mosquitto.db`: what stands in its chunks, versions 2 to 6.

A file is a header and then chunks, back to back. A chunk says its kind and the length of its body; the body is integers
in two byte orders mixed, and strings without terminators. `LAYOUTS` writes each body down once, in the order of its
bytes, and is read in both directions:

    name:B name:H name:I     an integer of 1, 2 or 4 bytes, most significant first
    name:Q name:q            8 bytes unsigned or signed, in the byte order of the machine that wrote the file
    #name:H #name:I          the length of the string `name`
    name                     the string itself, as long as was said before
    -:H                      bytes that mean nothing: zero when written, anything when read
    time_t                   the same, 8 bytes, or 4 from a machine whose clock ends in 2038
    properties               the rest: MQTT 5 properties with their length in front, or no bytes at all

Nothing here opens a file, follows a reference from one chunk to another or knows what time it is. What a field means is
for the reader to judge; only what cannot be read raises an error, which says where.
"""

from __future__ import annotations

import struct

from mosq.core import Property, lib
from mosq.packets import properties as wire
from mosq.packets.error import ProtocolError
from mosq.packets.reader import Reader
from mosq.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from mmap import mmap
    from typing import Any

    Data = bytes | mmap
    """What can be sliced into bytes."""

MAGIC = b"\0\xb5\0mosquitto db"
NEWEST = 6
ID_SIZE = 8
"""Bytes of a store id. A file says it, and there has never been another size."""
LONGEST_PAYLOAD = 268_435_455
NEVER = 0xFFFFFFFF
"""A session expiry interval without an end."""


class FormatError(Exception):
    """What cannot be read: `offset` in the file, and what was found there."""

    def __init__(self, offset: int, found: str) -> None:
        super().__init__(f"offset {offset}: {found}")
        self.offset = offset
        self.found = found


class ShortHeaderError(FormatError):
    """The file ends within its header."""


class MagicError(FormatError):
    """The file begins with something else."""


class VersionError(FormatError):
    """A version of the format that nobody wrote. `version` is what the file says."""

    def __init__(self, offset: int, version: int) -> None:
        super().__init__(offset, f"format version {version}")
        self.version = version


class IdSizeError(FormatError):
    """Store ids of another size. `size` is what the file says, in bytes."""

    def __init__(self, offset: int, size: int) -> None:
        super().__init__(offset, f"store ids of {size} bytes")
        self.size = size


class Header(Record):
    """What stands before the first chunk. `crc` has always been 0."""

    crc: int
    version: int


class Configuration(Record):
    """Once, first. `last_id`: the last store id handed out. `shutdown`: 1 if the broker was ending."""

    last_id: int
    shutdown: int = 0
    id_size: int = ID_SIZE


class BaseMessage(Record):
    """A message, once for all who are to get it. `expires`: Unix seconds, 0 never. `client_id`, `username`, `mid` and
    `port` are those of who published it and of the listener it came in by; `qos` and `retain` are as published."""

    store_id: int
    topic: bytes
    payload: bytes = b""
    qos: int = 0
    retain: int = 0
    expires: int = 0
    client_id: bytes = b""
    username: bytes = b""
    mid: int = 0
    port: int = 0
    properties: tuple[Property, ...] = ()


class ClientMessage(Record):
    """A message of a session. `direction`: 0 from the client, 1 to it. `identifier`: of the subscription, 0 none."""

    client_id: bytes
    store_id: int
    mid: int = 0
    qos: int = 0
    retain: int = 0
    dup: int = 0
    direction: int = 1
    state: int = 11
    identifier: int = 0


class Retained(Record):
    """The message of that number is retained under its topic."""

    store_id: int


class Subscription(Record):
    """A topic filter of a session. `options`: the byte of MQTT 5 without the QoS. `identifier`: 0 none."""

    client_id: bytes
    topic: bytes
    qos: int = 0
    options: int = 0
    identifier: int = 0


class Client(Record):
    """A session. `expires`: Unix seconds, 0 none set; `interval`: seconds, or NEVER; versions 2 to 4 know neither, and
    their sessions stay for ever. `mid`: the packet identifier used last towards the client."""

    client_id: bytes
    username: bytes = b""
    mid: int = 0
    port: int = 0
    expires: int = 0
    interval: int = NEVER


class Unknown(Record):
    """A chunk of a kind that nobody knows. The body may be cut short by the end of the file."""

    kind: int
    body: bytes


Content = Configuration | BaseMessage | ClientMessage | Retained | Subscription | Client | Unknown


class Chunk(Record):
    """One chunk where it stands: `offset` of its header in the file; `length` of its body in bytes, as it says."""

    offset: int
    length: int
    content: Content


KINDS: dict[int, type[Record]] = {
    1: Configuration,
    2: BaseMessage,
    3: ClientMessage,
    4: Retained,
    5: Subscription,
    6: Client,
}

_OLD_SOURCE = "store_id:Q #client_id:H client_id"
_OLD_MESSAGE = "#topic:H topic qos:B retain:B #payload:I payload"
_MESSAGE = "store_id:Q expires:q #payload:I mid:H #client_id:H #username:H #topic:H port:H qos:B retain:B"
# (kind, first version, last version, the body). `flags` is retain in the high half of the byte and dup in the low one.
LAYOUTS = (
    (Configuration, 2, 4, "shutdown:B id_size:B last_id:Q"),
    (Configuration, 5, 6, "last_id:Q shutdown:B id_size:B -:H -:I"),
    (BaseMessage, 2, 3, f"{_OLD_SOURCE} mid:H -:H {_OLD_MESSAGE}"),
    (BaseMessage, 4, 4, f"{_OLD_SOURCE} #username:H username port:H mid:H -:H {_OLD_MESSAGE}"),
    (BaseMessage, 5, 6, f"{_MESSAGE} client_id username topic payload properties"),
    (ClientMessage, 2, 4, "#client_id:H client_id store_id:Q mid:H qos:B retain:B direction:B state:B dup:B"),
    (ClientMessage, 5, 6, "store_id:Q mid:H #client_id:H qos:B state:B flags:B direction:B client_id properties"),
    (Retained, 2, 6, "store_id:Q"),
    (Subscription, 2, 4, "#client_id:H client_id #topic:H topic qos:B"),
    (Subscription, 5, 6, "identifier:I #client_id:H #topic:H qos:B options:B -:H client_id topic"),
    (Client, 2, 2, "#client_id:H client_id mid:H"),
    (Client, 3, 4, "#client_id:H client_id mid:H time_t"),
    (Client, 5, 5, "expires:q interval:I mid:H #client_id:H client_id"),
    (Client, 6, 6, "expires:q interval:I mid:H #client_id:H port:H #username:H -:I client_id username"),
)

_HEADER = struct.Struct(f"{len(MAGIC)}s4s4s")
_CRC = struct.Struct("=i")
_VERSION = struct.Struct(">I")
_HEADS = {2: ">HI", 3: ">HI", 4: ">HI", 5: ">II", 6: ">II"}


class _Numbers(Record):
    """Integers side by side in one byte order. A name of "" is padding."""

    struct: struct.Struct
    names: tuple[str, ...]


_Step = _Numbers | str


def _steps(layout: str) -> tuple[_Step, ...]:
    """The layout as structs, as large as byte orders permit, and names of what is not an integer."""
    steps: list[_Step] = []
    form = ""
    names: list[str] = []

    def cut() -> None:
        nonlocal form, names
        if form:
            steps.append(_Numbers(struct.Struct(form), tuple(names)))
        form, names = "", []

    for item in layout.split():
        name, _, code = item.partition(":")
        if not code:
            cut()
            steps.append(name)
            continue
        order = "=" if code in "Qq" else ">"
        if form and form[0] != order:
            cut()
        form = (form or order) + code
        names.append("" if name == "-" else name)
    cut()
    return tuple(steps)


_STEPS: dict[tuple[type[Record], int], tuple[_Step, ...]] = {
    (kind, version): _steps(layout) for kind, first, last, layout in LAYOUTS for version in range(first, last + 1)
}
_NUMBERS = {kind: number for number, kind in KINDS.items()}
_FIELDS = {kind: tuple(kind.__annotations__) for kind in _NUMBERS}


# ---- reading --------------------------------------------------------------------------------------------------------


def read_header(data: Data) -> Header:
    """What stands before the first chunk, of whatever version. Raises ShortHeaderError and MagicError."""
    head = data[: _HEADER.size]
    if len(head) >= len(MAGIC) and not head.startswith(MAGIC):
        raise MagicError(0, f"{head[: len(MAGIC)]!r} in place of {MAGIC!r}")
    if len(head) < _HEADER.size:
        raise ShortHeaderError(len(head), f"the end of the file, in a header of {_HEADER.size} bytes")
    _, crc, version = _HEADER.unpack(head)
    return Header(_CRC.unpack(crc)[0], _VERSION.unpack(version)[0])


def decode(data: Data) -> Iterator[Chunk]:
    """The chunks of a file, one after the other. Raises FormatError."""
    version = read_header(data).version
    if version not in _HEADS:
        raise VersionError(len(MAGIC) + _CRC.size, version)
    yield from chunks(data, version)


def chunks(data: Data, version: int) -> Iterator[Chunk]:
    """What follows the header, read as `version` (2 to 6) has it. A chunk whose own header is cut short is the end.

    Raises FormatError.
    """
    head = struct.Struct(_HEADS[version])
    offset, end = _HEADER.size, len(data)
    while offset + head.size <= end:
        number, length = head.unpack(data[offset : offset + head.size])
        start = offset + head.size
        body = data[start : start + length]
        kind = KINDS.get(number)
        if kind is None:
            content: Content = Unknown(number, body)
        elif len(body) < length:
            raise FormatError(offset, f"a {kind.__name__} of {length} bytes, {end - start} before the end of the file")
        else:
            content = _decode(kind, version, body, start)
        yield Chunk(offset, length, content)
        offset = start + length


def _decode(kind: type[Record], version: int, body: bytes, start: int) -> Content:
    """The content of a body that begins at `start` in the file."""
    values: dict[str, Any] = {}
    at = 0
    for step in _STEPS[kind, version]:
        if isinstance(step, _Numbers):
            after = at + step.struct.size
            if after <= len(body):
                values.update(zip(step.names, step.struct.unpack_from(body, at), strict=True))
        elif step == "properties":
            values["properties"], after = _properties(body[at:], start + at), len(body)
        elif step == "time_t":
            after = len(body) if len(body) - at in (4, 8) else at + 8
        else:
            after = at + values.pop(f"#{step}")
            values[step] = body[at:after]
        if after > len(body):
            missing = after - len(body)
            raise FormatError(start + len(body), f"the end of a {kind.__name__} that lacks {missing} bytes")
        at = after
    if at < len(body):
        raise FormatError(start + at, f"{len(body) - at} bytes after the end of a {kind.__name__}")
    values.pop("", None)
    return _content(kind, values, start)


def _content(kind: type[Record], values: dict[str, Any], start: int) -> Content:
    """What the fields of a body say, where that is not the fields themselves."""
    if kind is Configuration and values["id_size"] != ID_SIZE:
        raise IdSizeError(start, values["id_size"])
    if kind is BaseMessage and len(values["payload"]) > LONGEST_PAYLOAD:
        raise FormatError(start, f"a payload of {len(values['payload'])} bytes")
    if "flags" in values:
        values["retain"], values["dup"] = divmod(values.pop("flags"), 16)
        found = [value for identifier, value in values.pop("properties") if identifier == wire.SUBSCRIPTION_ID]
        values["identifier"] = found[0] if found else 0
    content: Content = kind(**values)  # type: ignore[assignment]
    return content


def _properties(block: bytes, offset: int) -> tuple[Property, ...]:
    """The properties at the beginning of `block`; what follows them means nothing."""
    if not block:
        return ()
    try:
        return tuple(wire.read(Reader(block), lib.MQ_IN_STORED))
    except ProtocolError:
        raise FormatError(offset, "properties that no PUBLISH may have") from None


# ---- writing --------------------------------------------------------------------------------------------------------


def encode(contents: Iterable[Content], version: int = NEWEST) -> bytes:
    """A whole file. What `version` has no field for is left out. Raises struct.error for what does not fit."""
    return encode_header(version) + b"".join(encode_chunk(content, version) for content in contents)


def encode_header(version: int = NEWEST) -> bytes:
    """What stands before the first chunk."""
    return _HEADER.pack(MAGIC, _CRC.pack(0), _VERSION.pack(version))


def encode_chunk(content: Content, version: int = NEWEST) -> bytes:
    """One chunk with its header. As for `encode`."""
    number, body = (content.kind, content.body) if isinstance(content, Unknown) else _encode(content, version)
    return struct.pack(_HEADS[version], number, len(body)) + body


def _encode(content: Content, version: int) -> tuple[int, bytes]:
    kind: type[Record] = type(content)
    values: dict[str, Any] = {name: getattr(content, name) for name in _FIELDS[kind]}
    if isinstance(content, ClientMessage):
        values["flags"] = content.retain << 4 | content.dup
        values["properties"] = ((wire.SUBSCRIPTION_ID, content.identifier),) if content.identifier else ()
    out = []
    for step in _STEPS[kind, version]:
        if isinstance(step, _Numbers):
            out.append(step.struct.pack(*(_number(values, name) for name in step.names)))
        elif step == "properties":
            out.append(wire.block(values["properties"]) if values["properties"] else b"")
        elif step == "time_t":
            out.append(bytes(8))
        else:
            out.append(values[step])
    return _NUMBERS[kind], b"".join(out)


def _number(values: dict[str, Any], name: str) -> int:
    if name.startswith("#"):
        return len(values[name[1:]])
    value: int = values[name] if name else 0
    return value
