"""The properties of a stored message as JSON text: how the database, and the dump of a snapshot, show them.

An array of objects in the order of the properties: {"identifier": NAME, "value": VALUE}, a user property with "name"
before "value"; binary data in hexadecimal digits. What cannot be understood on the way back is left out with a warning:
a message without one of its properties is better than none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from mosq.core import Property, lib, walk_properties
from mosq.packets import properties as wire

_NAMES = {
    wire.PAYLOAD_FORMAT: "payload-format-indicator",
    wire.CONTENT_TYPE: "content-type",
    wire.RESPONSE_TOPIC: "response-topic",
    wire.CORRELATION_DATA: "correlation-data",
    wire.USER_PROPERTY: "user-property",
}
_IDENTIFIERS = {name: identifier for identifier, name in _NAMES.items()}
_KINDS = {wire.PAYLOAD_FORMAT: "byte", wire.CORRELATION_DATA: "binary", wire.USER_PROPERTY: "string pair"}
_LONGEST = 65535
_PREFIX = "Sqlite persistence: Ignoring "

Warn = Callable[[str], object]
"""Receives the text of a warning."""


class _UnusableError(Exception):
    """One element that is left out; the argument is the warning."""


def objects(properties: Iterable[Property]) -> list[dict[str, int | str]]:
    """The properties as JSON values; those that a stored message does not have are left out."""
    return [_object(identifier, value) for identifier, value in properties if identifier in _NAMES]


def _object(identifier: int, value: int | bytes | tuple[bytes, bytes]) -> dict[str, int | str]:
    name = _NAMES[identifier]
    if isinstance(value, int):
        return {"identifier": name, "value": value}
    if isinstance(value, tuple):
        return {"identifier": name, "name": value[0].decode(), "value": value[1].decode()}
    text = value.hex().upper() if identifier == wire.CORRELATION_DATA else value.decode()
    return {"identifier": name, "value": text}


def to_text(encoded: bytes) -> str | None:
    """The encoded properties of a stored message as compact JSON; None if there are none."""
    if not encoded:
        return None
    _, properties, _ = walk_properties(lib.MQ_IN_STORED, encoded)
    found = objects(properties)
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")) if found else None


def from_text(text: str | bytes | None, warn: Warn) -> bytes:
    """The way back: encoded, without their length in front; what is wrong is left out after a warning."""
    try:
        elements = json.loads(text) if text else []
    except (ValueError, RecursionError):
        elements = None
    if not isinstance(elements, list):
        warn(_PREFIX + "property whilst restoring, invalid identifier / value")
        return b""
    encoded: list[bytes] = []
    seen: set[int] = set()
    for element in elements:
        try:
            encoded.append(_encode(element, seen))
        except _UnusableError as unusable:
            warn(_PREFIX + str(unusable))
    return b"".join(encoded)


def _encode(element: object, seen: set[int]) -> bytes:
    """One property. Only the user property may come twice: `seen` has the others that came."""
    identifier, value = _property(element)
    encoded = wire.encode([(identifier, value)])
    if identifier in seen or walk_properties(lib.MQ_IN_STORED, encoded)[0] != lib.MQ_OK:  # out of range, not UTF-8
        raise _UnusableError("property whilst restoring, invalid identifier / value")
    if identifier != wire.USER_PROPERTY:
        seen.add(identifier)
    return encoded


def _property(element: object) -> Property:
    if not isinstance(element, dict) or not isinstance(element.get("identifier"), str) or "value" not in element:
        raise _UnusableError("property whilst restoring, invalid identifier / value")
    identifier = _IDENTIFIERS.get(element["identifier"])
    if identifier is None:
        raise _UnusableError("property whilst restoring, unknown identifier")
    kind, value = _KINDS.get(identifier, "string"), element["value"]
    if kind == "byte":
        if type(value) is not int or not 0 <= value <= 255:
            raise _UnusableError(f"{kind} property whilst restoring, value is incorrect type")
        return identifier, value
    if not isinstance(value, str):
        raise _UnusableError(f"{kind} property whilst restoring, value is incorrect type")
    if kind == "binary":
        return identifier, _binary(value)
    if kind == "string":
        return identifier, _string(kind, value)
    name = element.get("name")
    if not isinstance(name, str):
        raise _UnusableError("string pair property whilst restoring, name is missing or incorrect type")
    return identifier, (_string(kind, name), _string(kind, value))


def _binary(digits: str) -> bytes:
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        raise _UnusableError("binary property whilst restoring, value is incorrect type") from None
    if len(data) > _LONGEST:
        raise _UnusableError("binary property whilst restoring, value is too large")
    return data


def _string(kind: str, text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        data = b""
    if len(data) > _LONGEST or (text and not data):
        raise _UnusableError(f"{kind} property whilst restoring, value is incorrect type")
    return data
