"""What a TLS listener works with, made from its options: an OpenSSL context and what belongs to it.

A context is made when the listener opens, and made anew by a reload; connections keep the one they began with. So all
of a reload counts for new connections, or, when something in it is wrong, nothing does.
"""

from __future__ import annotations

import errno
import os

from OpenSSL import SSL

from mosq.core import lib
from mosq.restricted import open_restricted
from mosq.transport import openssl

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mosq.config import ListenerConfig
    from mosq.log import Log

CIPHERS = "DEFAULT:!aNULL:!eNULL:!LOW:!EXPORT:!SSLv2:@STRENGTH"
"""The default of the option `ciphers`."""

_VERSIONS = {
    None: SSL.TLS1_2_VERSION,
    "tlsv1.1": SSL.TLS1_1_VERSION,
    "tlsv1.2": SSL.TLS1_2_VERSION,
    "tlsv1.3": SSL.TLS1_3_VERSION,
}
"""The option `tls_version`: the lowest version that is spoken."""

_OPTIONS = (
    SSL.OP_NO_COMPRESSION  # what is compressed tells of its contents by its length
    | SSL.OP_CIPHER_SERVER_PREFERENCE
    | SSL.OP_SINGLE_DH_USE
    | SSL.OP_SINGLE_ECDH_USE
    | 1 << 30  # OP_NO_RENEGOTIATION, which pyOpenSSL does not name: clients could ask for costly work without end
)

_CRL_CHECK = 0x4  # X509_V_FLAG_CRL_CHECK: the client's own certificate


class ContextError(Exception):
    """The options of a listener do not make a context. `texts` are error lines for the log."""

    def __init__(self, text: str, *more: str, about_openssl: bool = True) -> None:
        found = openssl.errors() if about_openssl else []
        super().__init__(text)
        self.texts = (text, *(f"OpenSSL Error [{i}]: {error.text}" for i, error in enumerate(found)), *more)


class KeyLog:
    """The file that --tls-keylog names: whoever has it can read what was said on all TLS listeners."""

    __slots__ = ("_path", "_log")

    def __init__(self, path: str, log: Log) -> None:
        self._path = path
        self._log = log

    def attach(self, context: SSL.Context) -> Any:
        """Have the keys of a context written. Keep what is returned."""
        self._log.notice("TLS key logging to '%s' enabled for all listeners.", self._path)
        self._log.notice("TLS key logging is for DEBUGGING only.")
        return openssl.log_keys(context, self._write)

    def _write(self, line: bytes) -> None:
        try:
            fd = open_restricted(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, self._log.write)
        except OSError as exc:
            if exc.errno == errno.ELOOP:
                self._log.info("Error: keylog file must not be a symbolic link")
            else:
                self._log.info("Error: Unable to open keylog file: %s", exc.strerror)
            return
        try:
            if not os.fstat(fd).st_mode & 0o077:
                os.write(fd, line + b"\n")
        except OSError as exc:
            self._log.info("Error: Unable to open keylog file: %s", exc.strerror)
        finally:
            os.close(fd)


class Context:
    """An OpenSSL context with the callbacks that it needs for as long as a connection uses it.

    `method`: which end of connections it is for. `identities`: by which identity a client was let in, by
    `openssl.address` of its `SSL *`.
    """

    __slots__ = ("ssl", "identities", "_kept")

    def __init__(self, method: int = SSL.TLS_SERVER_METHOD) -> None:
        try:
            self.ssl = SSL.Context(method)
        except SSL.Error:
            raise ContextError("Error: Unable to create TLS context.") from None
        self.identities: dict[int, bytes] = {}
        self._kept: list[Any] = []

    def keep(self, callback: Any) -> None:
        """Hold on to a callback that OpenSSL may call."""
        self._kept.append(callback)


class Builder:
    """Makes the contexts of one listener. It remembers the pass phrase, so that a reload need not stop to ask for it.

    `port`: distinguishes the sessions that clients may resume. `key_log` None: no key log.
    """

    __slots__ = ("_port", "_log", "_key_log", "_phrase", "_asked")

    def __init__(self, port: int, log: Log, key_log: KeyLog | None) -> None:
        self._port = port
        self._log = log
        self._key_log = key_log
        self._phrase = b""
        self._asked = False

    def build(self, options: ListenerConfig, keys: Mapping[bytes, bytes] | None) -> Context:
        """A context by these options. `keys`: those of the PSK file, None without one. Raises ContextError."""
        openssl.errors()
        context = Context()
        self._set_versions(context.ssl, options, newest=keys is None)
        context.ssl.set_session_id(b"mosquitto-%d" % self._port)
        if self._key_log is not None:
            context.keep(self._key_log.attach(context.ssl))
        _set_ciphers(context.ssl, options)
        if options.psk_hint is not None:
            _share_keys(context, options, keys or {})
        _trust(context.ssl, options)
        if options.tls_engine is not None:
            raise ContextError(f"Error loading {options.tls_engine} engine")
        if options.require_certificate:
            dates = not options.disable_client_cert_date_checks
            context.keep(openssl.require_certificate(context.ssl, dates=dates))
        if options.certfile is not None and options.keyfile is not None:
            self._load_pair(context, options.certfile, options.keyfile)
        if options.crlfile is not None:
            _revoke(context.ssl, options.crlfile)
        return context

    def _set_versions(self, context: SSL.Context, options: ListenerConfig, *, newest: bool) -> None:
        """`newest` False: without TLS 1.3, whose pre-shared keys are another thing under the same name."""
        version = _VERSIONS.get(options.tls_version)
        if version is None:
            raise ContextError(f'Error: Unsupported tls_version "{options.tls_version}".', about_openssl=False)
        if version == SSL.TLS1_1_VERSION:
            self._log.warning("Warning: TLS v1.1 is insecure. Clients should use TLS v1.2 or later.")
            self._log.warning("Please be aware that support for TLS v1.1 will go away eventually.")
        context.set_min_proto_version(version)
        context.set_options(_OPTIONS if newest else _OPTIONS | SSL.OP_NO_TLSv1_3)
        openssl.prepare(context)
        openssl.set_dh_group(context)

    def _load_pair(self, made: Context, certificate: str, key: str) -> None:
        context = made.ssl
        if not openssl.load_certificate(context, os.fsencode(certificate)):
            raise ContextError(f'Error: Unable to load server certificate "{certificate}". Check certfile.')
        self._asked = False
        made.keep(openssl.ask_for_phrase(context, self._pass_phrase))
        if not openssl.load_key(context, os.fsencode(key)):
            self._phrase = b""
            raise ContextError(f'Error: Unable to load server key file "{key}". Check keyfile.')
        if not openssl.is_consistent(context):
            raise ContextError("Error: Server certificate/key are inconsistent.")

    def _pass_phrase(self, longest: int) -> bytes:
        """Asked for by OpenSSL when the key file is encrypted; an empty answer fails."""
        if not self._phrase and not self._asked:
            self._asked = True
            self._phrase = ask_phrase()
        return self._phrase[:longest]


def ask_phrase() -> bytes:
    """The pass phrase of a key, from the terminal; b"" where there is none."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return b""
    from getpass import getpass  # only where a key needs it

    try:
        return getpass("Enter PEM pass phrase:").encode("utf-8", "surrogateescape")
    except (EOFError, OSError):
        return b""


def _set_ciphers(context: SSL.Context, options: ListenerConfig) -> None:
    ciphers = CIPHERS if options.ciphers is None else options.ciphers
    if not openssl.set_ciphers(context, os.fsencode(ciphers)):
        raise ContextError(f'Error: Unable to set TLS ciphers. Check cipher list "{ciphers}".')
    suites = options.ciphers_tls1_3
    if suites is not None and not openssl.set_suites(context, os.fsencode(suites)):
        raise ContextError(f'Error: Unable to set TLS 1.3 ciphersuites. Check cipher_tls13 list "{suites}".')


def _share_keys(context: Context, options: ListenerConfig, keys: Mapping[bytes, bytes]) -> None:
    if not openssl.has_shared_keys():
        raise ContextError("Error: This OpenSSL has no TLS-PSK, which psk_hint asks for.", about_openssl=False)
    is_username = options.use_identity_as_username

    def find(address: int, identity: bytes) -> bytes | None:
        key = keys.get(identity)
        if key is None or (is_username and not lib.mq_utf8_valid(identity, len(identity))):
            return None
        context.identities[address] = identity
        return key

    callback = openssl.share_keys(context.ssl, os.fsencode(options.psk_hint or ""), find)
    if callback is None:
        raise ContextError("Error: Unable to set TLS PSK hint.")
    context.keep(callback)
    # A resumed session would not say again by which identity it came in; and a key costs little to begin with.
    context.ssl.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.ssl.set_options(SSL.OP_NO_TICKET)


def _trust(context: SSL.Context, options: ListenerConfig) -> None:
    """The authorities for clients' certificates, and their names, which clients are told."""
    file, directory = options.cafile, options.capath
    if file is not None:
        if not openssl.trust(context, file=os.fsencode(file)):
            raise ContextError(f'Error: Unable to load CA certificates. Check cafile "{file}".')
        context.load_client_ca(os.fsencode(file))
    if directory is not None:
        if not openssl.trust(context, directory=os.fsencode(directory)):
            raise ContextError(f'Error: Unable to load CA certificates. Check capath "{directory}".')
        if options.require_certificate:
            _name_authorities(context, directory)


def _name_authorities(context: SSL.Context, directory: str) -> None:
    from OpenSSL import crypto

    try:
        paths = sorted(entry.path for entry in os.scandir(directory) if entry.is_file())
    except OSError:
        return
    for path in paths:
        try:
            with open(path, "rb") as file:
                context.add_client_ca(crypto.load_certificate(crypto.FILETYPE_PEM, file.read()))
        except (OSError, crypto.Error):
            continue  # not every file there is a certificate
    openssl.errors()


def _revoke(context: SSL.Context, path: str) -> None:
    store = context.get_cert_store()
    if store is None:
        raise ContextError("Error: Unable to obtain TLS store.")
    text = f'Error: Unable to load certificate revocation file "{path}". Check crlfile.'
    try:
        with open(path, "rb") as file:
            pem = file.read()
    except OSError as exc:
        raise ContextError(text, f"Error: {exc.strerror}") from exc
    if not openssl.add_revocations(context, pem):
        raise ContextError(text, f"Error: {os.strerror(errno.EINVAL)}")
    store.set_flags(_CRL_CHECK)
