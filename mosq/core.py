"""The C core as Python sees it: the only module that imports the extension.

Pointers become bytes here, and here alone. The core calls back through the functions at the end, which find their
`Core` in the handle it was made with; an exception in a callback is printed by cffi and counts as "stop".
"""

from __future__ import annotations

from mosq import _core

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any, Protocol
else:
    Protocol = object

ffi: Any = _core.ffi
lib: Any = _core.lib

Property = tuple[int, "int | bytes | tuple[bytes, bytes]"]
"""One property as it stood on the wire: (identifier, integer | string or binary | user property's name and value)."""

_STRING_PAIR = 0x26
_BYTES = frozenset({0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F})
_MAX_PROPERTIES = 256


class Owner(Protocol):
    """Who the core talks to: the broker. Shapes as in callbacks.h."""

    def on_packet(self, owner: int, first: int, body: bytes) -> int: ...

    def on_control(self, owner: int, qos: int, mid: int, topic: bytes, payload: bytes) -> int: ...

    def on_output(self, owner: int, error: int) -> None: ...

    def on_access(self, client_id: bytes, access: int, topic: bytes, payload: bytes, qos: int, retain: int) -> int: ...

    def on_source(self, client_id: bytes, username: bytes | None, port: int, topic: bytes) -> int: ...

    def on_notice(self, notice: int, client_id: bytes, value: int) -> None: ...

    def on_trace(
        self, sent: int, client_id: bytes, first: int, mid: int, rc: int, topic: bytes, payload_n: int, verdict: int
    ) -> None: ...


class Receiver(Protocol):
    """Who takes the messages of connections in the client role. Shape as in callbacks.h; the pointers hold during the
    call."""

    def on_messages(self, owner: int, data: Any, data_n: int, received: Any, n: int) -> int: ...


class Core:
    """One data plane. `lib` functions take `core.c`; the methods here are those that need more than a call.

    Raises MemoryError when the core cannot be made. `receiver` is set by who has connections in the client role.
    """

    __slots__ = ("c", "options", "owner", "receiver", "stats", "_handle", "__weakref__")

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.receiver: Receiver | None = None
        self._handle = ffi.new_handle(self)
        self.c = lib.mq_core_new(self._handle)
        if not self.c:
            raise MemoryError("the core could not be made")
        self.options = lib.mq_core_options(self.c)
        self.stats = lib.mq_core_stats(self.c)

    def close(self) -> None:
        """Free the core with all its connections and sessions."""
        if self.c:
            lib.mq_core_free(self.c)
            self.c = None

    def timeouts(self) -> list[int]:
        """The owners of the connections whose keepalive ran out since the last call."""
        found: list[int] = []
        room = ffi.new("uint32_t[64]")
        while True:
            n = lib.mq_core_timeouts(self.c, room, 64)
            found += ffi.unpack(room, n) if n else []
            if n < 64:
                return found

    def subscriptions_text(self) -> bytes:
        """The subscription trees as SIGUSR2 prints them."""
        n = ffi.new("size_t *")
        text = lib.mq_subscriptions_text(self.c, n)
        if not text:
            return b""
        try:
            return bytes(ffi.buffer(text, n[0]))
        finally:
            lib.mq_text_free(text)


def trim_memory(core: Core | None = None) -> None:
    """Give freed memory back to the system, where it can be done; with a core, only if it has freed a lot of late."""
    lib.mq_core_trim(core.c if core is not None else ffi.NULL)


def walk_properties(place: int, data: bytes) -> tuple[int, list[Property], int]:
    """The properties in `data` (without their length) as (status, list, offending identifier).

    `place` is one of lib.MQ_IN_...; the status is lib.MQ_OK or says what is wrong (MQTT 5.0, section 2.2.2).
    """
    count = ffi.new("size_t *")
    bad = ffi.new("uint32_t *")
    source = ffi.from_buffer(data)
    room = _MAX_PROPERTIES
    while True:
        found = ffi.new("mq_property[]", room)
        status = lib.mq_properties_walk(place, source, len(data), found, room, count, bad)
        if count[0] <= room:
            break
        room = count[0]
    out: list[Property] = []
    for i in range(count[0]):
        item = found[i]
        if item.id == _STRING_PAIR:
            name = bytes(ffi.buffer(item.data, item.len))
            out.append((item.id, (name, bytes(ffi.buffer(item.data2, item.len2)))))
        elif item.id in _BYTES:
            out.append((item.id, bytes(ffi.buffer(item.data, item.len))))
        else:
            out.append((item.id, item.value))
    return status, out, bad[0]


def errno_of(conn: Any) -> tuple[int, int, int]:
    """The numbers a, b, c that belong to the last status of a connection (core.h, enum mq_status)."""
    out = ffi.new("int[3]")
    lib.mq_conn_fault(conn, out)
    return out[0], out[1], out[2]


def _bytes(pointer: Any, n: int) -> bytes:
    return bytes(ffi.buffer(pointer, n)) if n else b""


@ffi.def_extern(error=1)
def mq_on_packet(user: Any, owner: int, first: int, body: Any, n: int) -> int:
    core: Core = ffi.from_handle(user)
    return core.owner.on_packet(owner, first, _bytes(body, n))


@ffi.def_extern(error=1)
def mq_on_messages(user: Any, owner: int, data: Any, data_n: int, received: Any, n: int) -> int:
    core: Core = ffi.from_handle(user)
    return core.receiver.on_messages(owner, data, data_n, received, n) if core.receiver is not None else 1


@ffi.def_extern(error=1)
def mq_on_control(
    user: Any, owner: int, qos: int, mid: int, topic: Any, topic_n: int, payload: Any, payload_n: int
) -> int:
    core: Core = ffi.from_handle(user)
    return core.owner.on_control(owner, qos, mid, _bytes(topic, topic_n), _bytes(payload, payload_n))


@ffi.def_extern()
def mq_on_output(user: Any, owner: int, error: int) -> None:
    core: Core = ffi.from_handle(user)
    core.owner.on_output(owner, error)


@ffi.def_extern(error=lib.MQ_NOMEM)
def mq_on_access(
    user: Any,
    client_id: Any,
    n: int,
    access: int,
    topic: Any,
    topic_n: int,
    payload: Any,
    payload_n: int,
    qos: int,
    retain: int,
) -> int:
    core: Core = ffi.from_handle(user)
    return core.owner.on_access(
        _bytes(client_id, n), access, _bytes(topic, topic_n), _bytes(payload, payload_n), qos, retain
    )


@ffi.def_extern(error=lib.MQ_NOMEM)
def mq_on_source(
    user: Any, client_id: Any, n: int, username: Any, username_n: int, port: int, topic: Any, topic_n: int
) -> int:
    core: Core = ffi.from_handle(user)
    name = None if username_n < 0 else _bytes(username, username_n)
    return core.owner.on_source(_bytes(client_id, n), name, port, _bytes(topic, topic_n))


@ffi.def_extern()
def mq_on_notice(user: Any, notice: int, client_id: Any, n: int, value: int) -> None:
    core: Core = ffi.from_handle(user)
    core.owner.on_notice(notice, _bytes(client_id, n), value)


@ffi.def_extern()
def mq_on_trace(
    user: Any,
    sent: int,
    client_id: Any,
    id_n: int,
    first: int,
    mid: int,
    rc: int,
    topic: Any,
    topic_n: int,
    payload_n: int,
    verdict: int,
) -> None:
    core: Core = ffi.from_handle(user)
    core.owner.on_trace(sent, _bytes(client_id, id_n), first, mid, rc, _bytes(topic, topic_n), payload_n, verdict)
