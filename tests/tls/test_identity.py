"""User names from the subject of a certificate."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from mosq.auth.identity import common_name, distinguished_name
from tests.tls.certificates import Authority

CN, OU, ORG = NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.ORGANIZATION_NAME
Attribute = x509.NameAttribute


def encoded(*attributes: x509.NameAttribute) -> bytes:
    return x509.Name(attributes).public_bytes()


def tlv(tag: int, data: bytes) -> bytes:
    return bytes([tag, len(data)]) + data


def with_cn(tag: int, value: bytes) -> bytes:
    """A subject whose common name has any type and any bytes."""
    return tlv(0x30, tlv(0x31, tlv(0x30, tlv(6, b"\x55\x04\x03") + tlv(tag, value))))


@pytest.mark.parametrize("name", ["alice", "Ünï", "a b", "+", "#", "a/b", " x ", "$x", "a" * 64])
def test_common_name(name: str) -> None:
    assert common_name(encoded(Attribute(ORG, "org"), Attribute(CN, name))) == name


def test_first_of_several_common_names() -> None:
    assert common_name(encoded(Attribute(CN, "first"), Attribute(OU, "x"), Attribute(CN, "second"))) == "first"


def test_no_common_name() -> None:
    assert common_name(encoded(Attribute(ORG, "org"))) is None
    assert common_name(b"\x30\x00") is None


@pytest.mark.parametrize("tag", [0x0C, 0x13, 0x16, 0x14])
def test_types_of_one_byte_characters_are_taken_as_they_are(tag: int) -> None:
    assert common_name(with_cn(tag, b"alice")) == "alice"


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (0x0C, b"nul\0x"),
        (0x0C, b"alice\0"),
        (0x0C, b"\0"),
        (0x0C, b"a\nb"),
        (0x0C, b"\x7f"),
        (0x0C, b"\xff\xfe"),
        (0x0C, b"\xed\xa0\x80"),
        (0x0C, b"\xef\xbf\xbf"),
        (0x0C, b""),
        (0x14, b"\xe9"),
        (0x1E, b"\0b\0m\0p"),
        (0x1E, b"ab"),
        (0x1C, b"\0\0\0u"),
    ],
)
def test_refused_common_names(tag: int, value: bytes) -> None:
    assert common_name(with_cn(tag, value)) is None


def test_a_refused_first_name_is_not_made_good_by_a_second() -> None:
    assert common_name(encoded(Attribute(CN, "bmp", _type=_ASN1Type.BMPString), Attribute(CN, "admin"))) is None


def test_subject_has_the_most_specific_part_first() -> None:
    attributes = (
        Attribute(NameOID.COUNTRY_NAME, "GB"), Attribute(NameOID.STATE_OR_PROVINCE_NAME, "Notts"),
        Attribute(NameOID.LOCALITY_NAME, "L"), Attribute(ORG, "Server"), Attribute(OU, "Prod"),
        Attribute(CN, "test client"),
    )  # fmt: skip
    assert distinguished_name(encoded(*attributes)) == "CN=test client,OU=Prod,O=Server,L=L,ST=Notts,C=GB"


def test_subject_is_escaped() -> None:
    assert distinguished_name(encoded(Attribute(ORG, 'Ünï, "q"'))) == r"O=\C3\9Cn\C3\AF\, \"q\""
    assert distinguished_name(encoded(Attribute(CN, "nul\0x"))) == r"CN=nul\00x"
    assert distinguished_name(encoded(Attribute(CN, " #<>;+\\ "))) == r"CN=\ #\<\>\;\+\\\ "
    assert distinguished_name(encoded(Attribute(CN, "#x"))) == r"CN=\#x"


def test_multi_valued_part() -> None:
    rdn = x509.RelativeDistinguishedName([Attribute(CN, "a"), Attribute(NameOID.USER_ID, "b")])
    subject = x509.Name([x509.RelativeDistinguishedName([Attribute(ORG, "o")]), rdn]).public_bytes()
    assert distinguished_name(subject) in ("CN=a+UID=b,O=o", "UID=b+CN=a,O=o")


def test_unknown_type_is_shown_by_number() -> None:
    assert distinguished_name(encoded(Attribute(x509.ObjectIdentifier("1.2.3.4"), "x"))) == "1.2.3.4=#0C0178"


def test_empty_subject() -> None:
    assert distinguished_name(b"\x30\x00") is None


@given(st.binary(max_size=60))
def test_any_bytes_make_a_name_or_none(subject: bytes) -> None:
    common_name(subject)
    distinguished_name(subject)


@pytest.mark.parametrize("name", ['Ünï, "q"', "nul\0x", " #<>;+\\ ", "a\x7fb", "漢字", "😀"])
def test_subject_is_as_the_openssl_command_shows_it(tmp_path: Path, name: str) -> None:
    attributes = [Attribute(NameOID.COUNTRY_NAME, "DE"), Attribute(ORG, name), Attribute(OU, "x"), Attribute(CN, "cn")]
    pair = Authority(tmp_path).issue("a", x509.Name(attributes))
    command = ["openssl", "x509", "-in", str(pair.certificate), "-noout", "-subject", "-nameopt", "RFC2253"]
    shown = subprocess.run(command, capture_output=True, check=True, timeout=30).stdout.decode().strip()
    assert shown == "subject=" + str(distinguished_name(pair.x509.subject.public_bytes()))
