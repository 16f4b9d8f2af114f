"""Restoring from the file of a snapshot: messages go into the core as they are read, sessions are made here.

A damaged file is not believed at all. What is wrong with it is told with its name, the offset and what was found
there, and the broker does not start: a broker that started without its sessions would replace the file by what it has.
Entries that refer to what is not in the file are skipped, and counted in a warning.
Only what is not there is no error: no file, or an empty one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from mosq.core import ffi, lib
from mosq.persistence import StoreError
from mosq.restricted import open_restricted

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from io import RawIOBase
    from typing import Any

    from mosq.broker import Broker
    from mosq.session import Session

FAILED = 1
"""The exit code of a broker that could not restore."""

_BLOCK = 1 << 18
"""Bytes read at a time."""

_OUT_OF_MEMORY = "Error: Out of memory."
_LAST_LINE = "Error: Couldn't open database."
_UNRECOGNISED = "Error: Unable to restore persistent database. Unrecognised file format."

_CHUNKS = {
    lib.MQ_CHUNK_CFG: "a CFG chunk",
    lib.MQ_CHUNK_BASE_MSG: "a BASE_MSG chunk",
    lib.MQ_CHUNK_CLIENT_MSG: "a CLIENT_MSG chunk",
    lib.MQ_CHUNK_RETAIN: "a RETAIN chunk",
    lib.MQ_CHUNK_SUB: "a SUB chunk",
    lib.MQ_CHUNK_CLIENT: "a CLIENT chunk",
}

_CUT = "the file ends after {value} of {wanted} bytes"
_BAD = {
    lib.MQ_BAD_MAGIC: "this is no persistence file",
    lib.MQ_BAD_VERSION: "format version {value}, where {wanted} is the newest one known",
    lib.MQ_BAD_CUT: _CUT,
    lib.MQ_BAD_CUT_HEADER: _CUT,
    lib.MQ_BAD_LENGTH: "length {value}, where {wanted} bytes belong",
    lib.MQ_BAD_ID_SIZE: "store ids of {value} bytes instead of {wanted}",
    lib.MQ_BAD_ID: "store id {value} is zero or was there before",
    lib.MQ_BAD_PAYLOAD: "a payload of {value} bytes, where {wanted} are the most",
    lib.MQ_BAD_TOPIC: "no valid topic, {value} bytes long",
    lib.MQ_BAD_PROPERTY: "property 0x{value:02x} may not be there, or not so",
    lib.MQ_BAD_VALUE: "value {value}, where {wanted} is the greatest",
    lib.MQ_BAD_CLIENT_ID: "no client id",
}
"""What is said of each finding, with the numbers that belong to it."""

_UNREADABLE_PROPERTIES = 0xFFFFFFFF

_AS_EVER = {
    lib.MQ_BAD_MAGIC: _UNRECOGNISED,
    lib.MQ_BAD_VERSION: "Error: Unsupported persistent database format version {value} (need version {wanted}).",
    lib.MQ_BAD_ID_SIZE: "Error: Incompatible database configuration (dbid size is {value} bytes, expected {wanted})",
}
"""Lines that administrators may look for: they come before the one that names the place."""

_ODD = {
    lib.MQ_ODD_CHUNK: 'Warning: Unsupported chunk "{chunk}" in persistent database file. Ignoring.',
    lib.MQ_ODD_CLIENT: "Warning: Empty client entry found in persistence database, it may be corrupt.",
    lib.MQ_ODD_MESSAGE_CLIENT: "Warning: Persistence file contains client message with no matching client. "
    "File may be corrupt.",
    lib.MQ_ODD_SUB_CLIENT: "Warning: Persistence found a subscription with no client id, ignoring.",
    lib.MQ_ODD_SUB_FILTER: "Warning: Persistence found a subscription with no topic filter, ignoring.",
}

_NO_CLIENT = "Warning: Persistence file %s: %d entries of clients that are not in it were skipped."
_NO_MESSAGE = "Warning: Persistence file %s: %d entries of messages that are not in it were skipped."

_COUNTS = (
    ("base messages", "messages"),
    ("retained messages", "retained"),
    ("clients", "clients"),
    ("subscriptions", "subscriptions"),
    ("client messages", "client_messages"),
)


def restore(path: str, broker: Broker) -> None:
    """Fill a broker that has nothing yet, and the clock of whose core is set, from the file, if there is one.

    Raises StoreError.
    """
    try:
        fd = open_restricted(path, os.O_RDONLY, _tell)
    except FileNotFoundError:
        return
    except OSError as exc:
        if exc.errno == errno.EINVAL:
            return  # not a file, and told so; the next save says why it cannot take the place
        raise _refusal(f"Error: Unable to open persistence file {path}: {exc.strerror}.") from exc
    with open(fd, "rb", buffering=0) as file:
        if os.fstat(fd).st_size == 0:
            broker.log.warning("Warning: Persistence file is empty.")
            return
        _Restoring(path, broker).run(file)


class _Restoring:
    """One file on its way in."""

    def __init__(self, path: str, broker: Broker) -> None:
        self._path = path
        self._sessions = broker.sessions
        self._log = broker.log
        self._listeners = {listener.port: listener for listener in reversed(broker.config.listeners)}
        self._reader = ffi.gc(lib.mq_reader_new(broker.core.c), lib.mq_reader_free)
        self._found = ffi.new("mq_found *")
        self._strays = 0  # subscriptions of clients that are not in the file
        self._take: dict[int, Callable[[], object]] = {
            lib.MQ_FOUND_CFG: _nothing,
            lib.MQ_FOUND_CLIENT: self._client,
            lib.MQ_FOUND_OWNER: self._owner,
            lib.MQ_FOUND_SUB: self._subscription,
            lib.MQ_FOUND_ODD: self._odd,
            lib.MQ_FOUND_BAD: self._bad,
        }

    def run(self, file: RawIOBase) -> None:
        """Read to the end."""
        if not self._reader:
            raise _refusal(_OUT_OF_MEMORY)
        block = bytearray(_BLOCK)
        try:
            while n := self._into(file, block):
                self._feed(block, n)
            self._feed(block, 0)
        finally:
            ffi.release(self._reader)

    def _into(self, file: RawIOBase, block: bytearray) -> int:
        try:
            return file.readinto(block) or 0
        except OSError as exc:
            raise _refusal(f"Error: Unable to read persistence file {self._path}: {exc.strerror}.") from exc

    def _feed(self, block: bytearray, n: int) -> None:
        """Take what is in these bytes; none: the file is at its end."""
        reader, found, take = self._reader, self._found, self._take
        with ffi.from_buffer("uint8_t[]", block) as data:
            lib.mq_reader_feed(reader, data, n)
            while (finding := lib.mq_reader_next(reader, found)) != lib.MQ_FOUND_MORE:
                if finding == lib.MQ_FOUND_END:
                    self._tell_orphans()
                    self._tell_counts()
                    return
                take[finding]()

    def _client(self) -> None:
        found, sessions = self._found, self._sessions
        client_id = self._client_id()
        session = sessions.restore(
            client_id,
            username=self._username(client_id),
            listener=self._listeners.get(found.port),
            expiry=found.interval,
            ends=found.expires,
            last_mid=found.last_mid,
        )
        lib.mq_reader_session(self._reader, session.c)

    def _owner(self) -> None:
        session = self._known()
        if session is not None:
            lib.mq_reader_session(self._reader, session.c)

    def _subscription(self) -> None:
        session = self._known()
        if session is None:
            self._strays += 1
            return
        found = self._found
        status = lib.mq_subscribe(session.c, found.filter, found.filter_n, found.options, found.id)
        if status == lib.MQ_BAD_SHARE:
            raise self._corrupt("a shared subscription without group or topic filter")
        if status == lib.MQ_NOMEM:
            raise _refusal(_OUT_OF_MEMORY)
        if status == lib.MQ_BAD_FILTER:
            name = bytes(ffi.buffer(found.filter, found.filter_n)).decode("utf-8", "replace")
            self._log.warning("Warning: Persistence found a subscription to '%s', no topic filter, ignoring.", name)

    def _odd(self) -> None:
        self._log.warning("%s", _ODD[self._found.why].format(chunk=self._found.chunk))

    def _bad(self) -> None:
        found = self._found
        if found.why == lib.MQ_BAD_NOMEM:
            raise _refusal(_OUT_OF_MEMORY)
        numbers = {"value": found.value, "wanted": found.wanted}
        first = _AS_EVER.get(found.why)
        if first is not None:
            self._log.error("%s", first.format(**numbers))
        if found.why == lib.MQ_BAD_MAGIC:
            self._tell_counts()
        if found.why == lib.MQ_BAD_PROPERTY and found.value == _UNREADABLE_PROPERTIES:
            raise self._corrupt("properties that cannot be read")
        raise self._corrupt(_BAD[found.why].format(**numbers))

    def _known(self) -> Session | None:
        """The session of the client id that was found, None where no CLIENT chunk spoke of it."""
        return self._sessions.by_id.get(self._client_id())

    def _client_id(self) -> str:
        text = _text(self._found.client_id, self._found.client_id_n)
        if text is None:
            raise self._corrupt("a client id that is not UTF-8")
        return text

    def _username(self, client_id: str) -> str | None:
        """Mosquitto 2.0 may write whatever lies in its memory for a client without one, once it has restored it."""
        found = self._found
        if not found.username:
            return None
        text = _text(found.username, found.username_n)
        if text is None:
            self._log.warning("Warning: Persistence found an invalid user name of client %s, ignoring it.", client_id)
        return text

    def _corrupt(self, what: str) -> StoreError:
        offset, place = self._found.offset, self._place()
        return _refusal(f"Error: Persistence file {self._path} refused at offset {offset}, in {place}: {what}.")

    def _place(self) -> str:
        found = self._found
        if not lib.mq_reader_version(self._reader):
            return "the header of the file"
        if found.why == lib.MQ_BAD_CUT_HEADER:
            return "the header of a chunk"
        return _CHUNKS.get(found.chunk, f"a chunk of type {found.chunk}")

    def _tell_orphans(self) -> None:
        """What refers to nothing. A message that has expired leaves such references behind, and nothing is wrong."""
        counts = lib.mq_reader_counts(self._reader)
        if of_clients := counts.orphans_of_clients + self._strays:
            self._log.warning(_NO_CLIENT, self._path, of_clients)
        if counts.orphans_of_messages and not counts.expired:
            self._log.warning(_NO_MESSAGE, self._path, counts.orphans_of_messages)

    def _tell_counts(self) -> None:
        counts = lib.mq_reader_counts(self._reader)
        for what, field in _COUNTS:
            self._log.info("Restored %d %s", getattr(counts, field), what)


def _refusal(line: str) -> StoreError:
    return StoreError([("E", line), ("E", _LAST_LINE)], FAILED)


def _text(data: Any, n: int) -> str | None:
    """A string of MQTT, None if it is none."""
    return bytes(ffi.buffer(data, n)).decode() if lib.mq_utf8_valid(data, n) else None


def _tell(level: str, text: str) -> None:
    """What there is to say about the file itself goes to stderr as it is: there is no log yet."""
    os.write(2, text.encode("utf-8", "surrogateescape") + b"\n")


def _nothing() -> None:
    pass
