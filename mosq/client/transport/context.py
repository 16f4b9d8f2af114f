"""What a TLS client works with, made from its options: an OpenSSL context and what belongs to it.

It is made when there is a connection to use it on, and serves all later ones.
"""

from __future__ import annotations

import os

from OpenSSL import SSL

from mosq.auth import psk_file
from mosq.client.errors import INVALID, TLS, ClientError
from mosq.transport import openssl
from mosq.transport.context import Context, ask_phrase

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from collections.abc import Callable

    from mosq.client.transport.tls_options import Options

ALPN_MAX = 254
"""Bytes of a protocol's name that are used."""

_OPTIONS = SSL.OP_NO_COMPRESSION | 1 << 30  # OP_NO_RENEGOTIATION, which pyOpenSSL does not name


class Security:
    """The context of a client's connections, made when it is first asked for."""

    __slots__ = ("_options", "_context")

    def __init__(self, options: Options) -> None:
        self._options = options
        self._context: Context | None = None

    def context(self) -> Context:
        """Raises ClientError: TLS, with debug lines, for what OpenSSL does not take; INVALID for a lonely key log."""
        if self._context is None:
            self._context = _build(self._options)
        return self._context


def _build(options: Options) -> Context:
    given = (options.cafile, options.capath, options.psk)
    if options.keylog is not None and given == (None, None, None):
        raise ClientError(INVALID, lines=(_KEYLOG_NEEDS,))
    openssl.errors()
    made = Context(SSL.TLS_CLIENT_METHOD)
    openssl.prepare(made.ssl)
    with_key = options.psk is not None and not options.has_certificates
    _set_versions(made.ssl, options, newest=not with_key)
    _set_ciphers(made.ssl, options, with_key)
    if options.alpn:
        made.ssl.set_alpn_protos([os.fsencode(options.alpn)[:ALPN_MAX]])
    if options.keylog is not None:
        made.keep(openssl.log_keys(made.ssl, _appender(options.keylog)))
    openssl.verify(made.ssl, required=not options.insecure)
    _trust(made.ssl, options)
    if options.cert is not None and options.key is not None:
        _load_pair(made, options.cert, options.key)
    if with_key:
        identity, key = os.fsencode(options.psk_identity or ""), psk_file.decode(os.fsencode(options.psk or ""))
        made.keep(openssl.offer_key(made.ssl, identity, key))
    return made


_KEYLOG_NEEDS = (
    "Error: If you use MOSQ_OPT_SSL_CTX then MOSQ_OPT_SSL_CTX_WITH_DEFAULTS must be true,"
    " or at least one of cafile, capath or psk must be specified."
)


def _failure(line: str, doing: str) -> ClientError:
    """`line`, and what OpenSSL says about it."""
    more = (f"OpenSSL Error {doing}[{i}]: {error.text}" for i, error in enumerate(openssl.errors()))
    return ClientError(TLS, lines=(line, *more))


def _is_newest(options: Options) -> bool:
    return (options.version or "").lower() == "tlsv1.3"


def _set_versions(context: SSL.Context, options: Options, *, newest: bool) -> None:
    """`newest` False: without TLS 1.3, whose pre-shared keys are another thing under the same name."""
    context.set_min_proto_version(SSL.TLS1_3_VERSION if _is_newest(options) else SSL.TLS1_2_VERSION)
    context.set_options(_OPTIONS if newest else _OPTIONS | SSL.OP_NO_TLSv1_3)


def _set_ciphers(context: SSL.Context, options: Options, with_key: bool) -> None:
    ciphers = options.ciphers
    if ciphers is None and with_key:
        ciphers = "PSK"
    if ciphers is None:
        return
    raw, doing = os.fsencode(ciphers), "while trying to set the cipher list"
    if _is_newest(options) and not with_key:
        if not openssl.set_suites(context, raw):
            raise _failure(f'Error: Unable to set TLS 1.3 ciphersuites. Check cipher_tls13 list "{ciphers}".', doing)
    elif not openssl.set_ciphers(context, raw):
        raise _failure(f'Error: Unable to set TLS ciphers. Check cipher list "{ciphers}".', doing)


def _trust(context: SSL.Context, options: Options) -> None:
    file, directory, doing = options.cafile, options.capath, "while trying to load the ca"
    if options.os_certs:
        context.set_default_verify_paths()
    if file is not None and not openssl.trust(context, file=os.fsencode(file)):
        raise _failure(f'Error: Unable to load CA certificates, check cafile "{file}".', doing)
    if directory is not None and not openssl.trust(context, directory=os.fsencode(directory)):
        raise _failure(f'Error: Unable to load CA certificates, check capath "{directory}".', doing)


def _load_pair(made: Context, certificate: str, key: str) -> None:
    context = made.ssl
    if not openssl.load_certificate(context, os.fsencode(certificate)):
        doing = "while trying to use the certificate chain file"
        raise _failure(f'Error: Unable to load client certificate "{certificate}".', doing)
    made.keep(openssl.ask_for_phrase(context, lambda longest: ask_phrase()[:longest]))
    if not openssl.load_key(context, os.fsencode(key)):
        raise _failure(f'Error: Unable to load client key file "{key}".', "while trying to use the private key file")
    if not openssl.is_consistent(context):
        raise _failure("Error: Client certificate/key are inconsistent.", "while trying to check the private key")


def _appender(path: str) -> Callable[[bytes], None]:
    """Appends lines to a key log, which other programs may read and write meanwhile. It holds secrets."""

    def append(line: bytes) -> None:
        try:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return  # a log for debugging is no reason not to connect
        try:
            os.write(fd, line + b"\n")
        except OSError:
            pass
        finally:
            os.close(fd)

    return append
