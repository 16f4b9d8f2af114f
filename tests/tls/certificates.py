"""Certificates made for a test run: an authority, what it issues, what it revokes."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
Name = str | x509.Name


def name_of(name: Name) -> x509.Name:
    """A name of attributes, or of a common name alone."""
    return name if isinstance(name, x509.Name) else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path
    x509: x509.Certificate

    @property
    def options(self) -> str:
        """The lines of a listener."""
        return f"certfile {self.certificate}\nkeyfile {self.key}\n"


class Authority:
    """Issues certificates into a directory. `file` is its own certificate."""

    def __init__(self, directory: Path, name: str = "Test authority") -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = name_of(name)
        builder = _builder(self.name, self.name, self.key.public_key(), NOW - 30 * DAY, NOW + 30 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.x509 = builder.sign(self.key, hashes.SHA256())
        self.file = directory / f"{name.replace(' ', '-')}.crt"
        self.file.write_bytes(self.x509.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        file: str,
        name: Name | None = None,
        *,
        start: datetime.datetime = NOW - DAY,
        end: datetime.datetime = NOW + 10 * DAY,
        usage: x509.ObjectIdentifier | None = None,
        phrase: str = "",
        hosts: Sequence[x509.GeneralName] = (x509.DNSName("localhost"),),
    ) -> Pair:
        """A certificate for `name` (default: the file's name), in FILE.crt and FILE.key. `hosts`: alternative names."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name_of(file if name is None else name), self.name, key.public_key(), start, end)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        pair = Pair(self.directory / f"{file}.crt", self.directory / f"{file}.key", certificate)
        pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if phrase:
            encryption = serialization.BestAvailableEncryption(phrase.encode())
        pair.key.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        pair.key.chmod(0o600)
        return pair

    def revoke(self, file: str, *pairs: Pair, end: datetime.datetime = NOW + DAY) -> Path:
        """A revocation list with these certificates."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name)
        builder = builder.last_update(NOW - 2 * DAY).next_update(end)
        for pair in pairs:
            revoked = x509.RevokedCertificateBuilder().serial_number(pair.x509.serial_number)
            builder = builder.add_revoked_certificate(revoked.revocation_date(NOW - DAY).build())
        path = self.directory / file
        crl = builder.sign(self.key, hashes.SHA256())
        path.write_bytes(crl.public_bytes(serialization.Encoding.PEM))
        return path


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    start: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
