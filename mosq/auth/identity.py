"""A user name from a client's certificate: use_identity_as_username and use_subject_as_username.

The name comes from the bytes of the certificate itself, a DER-encoded Name (RFC 5280, section 4.1.2.4):

    Name ::= SEQUENCE OF RelativeDistinguishedName;  RelativeDistinguishedName ::= SET OF SEQUENCE { type OID, value }

so that nothing between here and there has had a chance to cut a string at a NUL byte or to convert it.
"""

from __future__ import annotations

from mosq.core import lib

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from collections.abc import Iterator

_SEQUENCE, _SET, _OID = 0x30, 0x31, 0x06
_UTF8, _BMP, _UNIVERSAL = 0x0C, 0x1E, 0x1C
_ONE_BYTE = frozenset((0x12, 0x13, 0x14, 0x16, 0x17, 0x18, 0x1A))
"""Types whose bytes are characters of their own: Numeric, Printable, T61, IA5, times, Visible."""

COMMON_NAME = bytes((0x55, 4, 3))

_SHORT_NAMES = {
    "2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
    "2.5.4.9": "street", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description",
    "2.5.4.15": "businessCategory", "2.5.4.17": "postalCode", "2.5.4.20": "telephoneNumber", "2.5.4.41": "name",
    "2.5.4.42": "GN", "2.5.4.43": "initials", "2.5.4.44": "generationQualifier", "2.5.4.45": "x500UniqueIdentifier",
    "2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym", "2.5.4.72": "role", "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.3": "mail",
    "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "emailAddress",
    "1.2.840.113549.1.9.2": "unstructuredName", "1.2.840.113549.1.9.8": "unstructuredAddress",
    "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL", "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
    "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}  # fmt: skip
"""The attribute types found in certificates, by the short names that OpenSSL has for them."""

_SPECIAL = frozenset(b',+"\\<>;')


class _Value:
    """A string of the certificate: its ASN.1 type, its bytes, and all of its encoding."""

    __slots__ = ("tag", "data", "encoded")

    def __init__(self, tag: int, data: bytes, encoded: bytes) -> None:
        self.tag = tag
        self.data = data
        self.encoded = encoded


def common_name(subject: bytes) -> str | None:
    """The first common name in a subject; None where it cannot be a user name.

    A string type of more than one byte a character is refused, as is what MQTT does not allow in a string (NUL, other
    control characters), and the empty name.
    """
    for attributes in _names(subject):
        for oid, value in attributes:
            if oid == COMMON_NAME:
                return _text(value) if value.tag not in (_BMP, _UNIVERSAL) else None
    return None


def distinguished_name(subject: bytes) -> str | None:
    """The whole subject in the form of RFC 2253, the most specific part first; None for an empty one."""
    parts = ["+".join(f"{_type(oid)}={_shown(oid, value)}" for oid, value in rdn) for rdn in _names(subject)]
    return ",".join(reversed(parts)) or None


def _text(value: _Value) -> str | None:
    if not value.data or not lib.mq_utf8_valid(value.data, len(value.data)):
        return None
    return value.data.decode()


def _shown(oid: bytes, value: _Value) -> str:
    text = _characters(value) if _dotted(oid) in _SHORT_NAMES else None
    return "#" + value.encoded.hex().upper() if text is None else _escaped(text)


def _characters(value: _Value) -> bytes | None:
    """The string as UTF-8, or None where its type has no characters."""
    try:
        if value.tag in _ONE_BYTE:
            return value.data.decode("latin-1").encode()
        if value.tag == _BMP:
            return value.data.decode("utf-16-be").encode()
        if value.tag == _UNIVERSAL:
            return value.data.decode("utf-32-be").encode()
    except UnicodeError:
        return None
    return value.data if value.tag == _UTF8 else None


def _escaped(text: bytes) -> str:
    found = []
    last = len(text) - 1
    for i, byte in enumerate(text):
        if byte < 0x20 or byte >= 0x7F:
            found.append(f"\\{byte:02X}")
        elif byte in _SPECIAL or (i == 0 and byte in b"# ") or (i == last and byte == 0x20):
            found.append("\\" + chr(byte))
        else:
            found.append(chr(byte))
    return "".join(found)


# ---- DER. The library has checked the certificate; what does not parse here all the same yields no name.


def _names(subject: bytes) -> list[list[tuple[bytes, _Value]]]:
    """The attributes by relative distinguished name, as (type, value)."""
    try:
        ((tag, name, _),) = _elements(subject)
        if tag != _SEQUENCE:
            return []
        return [[_attribute(item) for _, item, _ in _elements(rdn)] for tag, rdn, _ in _elements(name) if tag == _SET]
    except (ValueError, IndexError):
        return []


def _attribute(data: bytes) -> tuple[bytes, _Value]:
    (tag, oid, _), (kind, value, encoded) = _elements(data)
    if tag != _OID:
        raise ValueError("an attribute without a type")
    return oid, _Value(kind, value, encoded)


def _elements(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The (tag, content, whole encoding) of the elements one after the other. Raises ValueError, IndexError."""
    at = 0
    while at < len(data):
        tag, length, start = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[start : start + size], "big")
            start += size
        end = start + length
        if end > len(data):
            raise ValueError("an element longer than what holds it")
        yield tag, data[start:end], data[at:end]
        at = end


def _type(oid: bytes) -> str:
    dotted = _dotted(oid)
    return _SHORT_NAMES.get(dotted, dotted)


def _dotted(oid: bytes) -> str:
    """An object identifier with its numbers and dots."""
    numbers, value = [], 0
    for byte in oid:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    first = min(numbers[0] // 40, 2) if numbers else 0
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:]) if numbers else ()))
