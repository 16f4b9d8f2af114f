"""The TLS options of a client, and what can be said against them before anything is connected."""

from __future__ import annotations

import os
import stat

from mosq.auth import psk_file
from mosq.record import Record

VERSIONS = ("tlsv1.2", "tlsv1.3")
"""What the option `version` may be, in any case: the lowest version that is spoken."""


class Options(Record):
    """The TLS options of the command line tools, by their names. A pre-shared key counts only where no certificates are
    trusted. Text is str, with surrogates where it was no UTF-8; empty text is given text."""

    cafile: str | None = None
    capath: str | None = None
    os_certs: bool = False
    cert: str | None = None
    key: str | None = None
    keyform: str | None = None
    engine: str | None = None
    engine_kpass_sha1: str | None = None
    ciphers: str | None = None
    version: str | None = None
    alpn: str | None = None
    insecure: bool = False
    keylog: str | None = None
    psk: str | None = None
    psk_identity: str | None = None

    @property
    def has_certificates(self) -> bool:
        """Whether the server proves itself by a certificate."""
        return self.cafile is not None or self.capath is not None or self.os_certs


class OptionsError(Exception):
    """Options that cannot be used; `str()` is the line to print."""


def check(options: Options) -> None:
    """Raises OptionsError for what is wrong with the options, whether or not TLS will be used."""
    if options.has_certificates:
        for path in (options.cafile, options.cert, options.key):
            if path is not None:
                _check_file(path)
    if options.psk is not None:
        try:
            psk_file.decode(os.fsencode(options.psk))
        except ValueError:
            raise OptionsError("Error: Problem setting TLS-PSK options.") from None
    # OpenSSL's engines are gone from the bindings, as they are from OpenSSL: no engine is valid.
    if options.engine is not None:
        raise OptionsError(f"Error: Problem setting TLS engine, is {options.engine} a valid engine?")
    if options.keyform is not None and options.keyform.lower() != "pem":
        raise OptionsError("Error: Problem setting key form, it must be one of 'pem' or 'engine'.")
    if options.engine_kpass_sha1 is not None:
        raise OptionsError("Error: Problem setting TLS engine key pass sha, is it a 40 character hex string?")
    if options.version is not None and options.version.lower() not in VERSIONS:
        raise OptionsError("Error: Problem setting TLS options, check the options are valid.")


def _check_file(path: str) -> None:
    found = ""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            if stat.S_ISREG(os.fstat(fd).st_mode):
                return
            found = f"Error: {path} is not a file."
        finally:
            os.close(fd)
    except (OSError, ValueError):
        pass
    raise OptionsError(found + "Error: Problem setting TLS options: File not found.")
