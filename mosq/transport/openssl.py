"""Everything that reaches below pyOpenSSL's public interface, into the bindings that it shares with `cryptography`.

Why this is needed, each with the part of this file it is in:

  sessions   One `SSL *` for each connection, without pyOpenSSL's Connection around it: that object, its dictionary and
             its entry in a weak mapping would be paid for by tens of thousands of idle connections, and its recv and
             send would allocate and copy once more for each record.
  errors     pyOpenSSL keeps the texts of OpenSSL's errors but not their numbers, which belong to a log line.
  contexts   Settings that no version, or only the newest, has: TLS 1.3 cipher suites, DH parameters without a file,
             revocation lists, and callbacks that do not look for a Connection.
  keys       Pre-shared keys (RFC 4279), for which pyOpenSSL has nothing.

What is used here exists from pyOpenSSL 23.0 with cryptography 38.0 (Debian 12) on. A `SSL *` refers to its context and
to the callbacks of that: both live until the last connection made with them is gone, see mosq.transport.context.
"""

from __future__ import annotations

import os
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable

from OpenSSL import SSL
from OpenSSL._util import ffi as _ffi
from OpenSSL._util import lib as _lib

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any

# ---- sessions. Buffers may be pointers of any cffi module.

read: Callable[[Any, Any, int], int] = _lib.SSL_read
write: Callable[[Any, Any, int], int] = _lib.SSL_write
handshake: Callable[[Any], int] = _lib.SSL_do_handshake
"""Needed only where it has to be known when it is done: `read` and `write` do it, too."""
reason: Callable[[Any, int], int] = _lib.SSL_get_error
"""Why the last `read`, `write` or `handshake` returned what it did: one of the constants below."""
shutdown: Callable[[Any], int] = _lib.SSL_shutdown

WANT_READ: int = _lib.SSL_ERROR_WANT_READ
WANT_WRITE: int = _lib.SSL_ERROR_WANT_WRITE
CLOSED: int = _lib.SSL_ERROR_ZERO_RETURN
SYSTEM: int = _lib.SSL_ERROR_SYSCALL

RECORD = 16384
"""Bytes of plain text in a record, at most (RFC 8446, section 5.1)."""

UNEXPECTED_EOF = 0x0A000126
"""The peer closed its connection without saying so inside TLS."""


def new(context: SSL.Context, fd: int) -> Any:
    """The server's end of a TLS connection over a socket, freed with its last reference. Raises MemoryError."""
    ssl = _over(context, fd)
    _lib.SSL_set_accept_state(ssl)
    return ssl


def connecting(context: SSL.Context, fd: int, server: bytes | None, address: bytes = b"") -> Any:
    """The client's end. Raises MemoryError.

    `server`: the host that is to be there, which it is told (SNI, RFC 6066) and which its certificate has to name, if
    the context verifies it. `address`: its 4 or 16 bytes, where the host is an IP address, which the certificate has to
    name instead. None: nothing is told, and any name will do.
    """
    ssl = _over(context, fd)
    _lib.SSL_set_connect_state(ssl)
    if server is None:
        return ssl
    _lib.SSL_set_tlsext_host_name(ssl, server)
    expected = _lib.SSL_get0_param(ssl)
    if address:
        done = _lib.X509_VERIFY_PARAM_set1_ip(expected, address, len(address))
    else:
        done = _lib.X509_VERIFY_PARAM_set1_host(expected, server, len(server))
    if done != 1:
        raise MemoryError("no memory for a host name")
    return ssl


def _over(context: SSL.Context, fd: int) -> Any:
    ssl = _ffi.gc(_lib.SSL_new(context._context), _lib.SSL_free)
    if not ssl or _lib.SSL_set_fd(ssl, fd) != 1:
        raise MemoryError("no memory for a TLS connection")
    return ssl


def system_error() -> int:
    """errno of the last `read` or `write`, 0 where the connection ended."""
    return int(_ffi.errno)


def is_secure(ssl: Any) -> bool:
    """Has the handshake come to its end? Only then the peer's last message of it has been seen."""
    room = _ffi.new("unsigned char[1]")
    return bool(_lib.SSL_get_peer_finished(ssl, room, 1))


def negotiated(ssl: Any) -> tuple[str, str]:
    """The protocol version and the cipher in use."""
    version = _ffi.string(_lib.SSL_get_version(ssl)).decode()
    cipher = _lib.SSL_get_current_cipher(ssl)
    return version, _ffi.string(_lib.SSL_CIPHER_get_name(cipher)).decode() if cipher else ""


def peer_subject(ssl: Any) -> bytes | None:
    """The subject of the peer's certificate, as DER; None without a certificate."""
    certificate = _lib.SSL_get_peer_certificate(ssl)
    if not certificate:
        return None
    try:
        found = _ffi.new("unsigned char **")
        size = _lib.i2d_X509_NAME(_lib.X509_get_subject_name(certificate), found)
        if size < 0:
            return None
        try:
            return bytes(_ffi.buffer(found[0], size))
        finally:
            _lib.OPENSSL_free(found[0])
    finally:
        _lib.X509_free(certificate)


# ---- errors


class Error:
    """One entry of OpenSSL's error queue. `text` is as OpenSSL writes it."""

    __slots__ = ("code", "text")

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text


def errors() -> list[Error]:
    """Empty the error queue. It must be empty before each `read` and `write`, or `reason` says nothing of worth."""
    found = []
    while code := int(_lib.ERR_get_error()):
        library, function = _text(_lib.ERR_lib_error_string(code)), _text(_lib.ERR_func_error_string(code))
        why = os.strerror(code & ~_OF_SYSTEM) if code & _OF_SYSTEM else _text(_lib.ERR_reason_error_string(code))
        found.append(Error(code, f"error:{code:08X}:{library}:{function}:{why}"))
    return found


_OF_SYSTEM = 1 << 31  # ERR_SYSTEM_FLAG: the rest is an errno


def _text(pointer: Any) -> str:
    return _ffi.string(pointer).decode("utf-8", "replace") if pointer else ""


# ---- contexts

SSL_FILETYPE_PEM = 1


def prepare(context: SSL.Context) -> None:
    """What every context of ours has, for sockets that do not block.

    A record without data (a key update, say) ends a `read`, so that a peer that sends many of them has no more than its
    turn; buffers of idle connections are given back; what could not be written may be tried again from another address.
    """
    context.set_mode(
        _lib.SSL_MODE_ENABLE_PARTIAL_WRITE | _lib.SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | _lib.SSL_MODE_RELEASE_BUFFERS
    )
    _lib.SSL_CTX_clear_mode(context._context, _lib.SSL_MODE_AUTO_RETRY)


def set_ciphers(context: SSL.Context, ciphers: bytes) -> bool:
    """The cipher suites up to TLS 1.2. False: not a list of any."""
    return bool(_lib.SSL_CTX_set_cipher_list(context._context, ciphers) == 1)


def set_suites(context: SSL.Context, suites: bytes) -> bool:
    """The cipher suites of TLS 1.3. False: not a list of them."""
    return bool(_lib.SSL_CTX_set_ciphersuites(context._context, suites) == 1)


def trust(context: SSL.Context, *, file: bytes | None = None, directory: bytes | None = None) -> bool:
    """The authorities whose certificates are good. False: the file has none, or cannot be read."""
    places = (_ffi.NULL if place is None else place for place in (file, directory))
    return bool(_lib.SSL_CTX_load_verify_locations(context._context, *places) == 1)


def load_certificate(context: SSL.Context, path: bytes) -> bool:
    """This end's certificate, and those between it and its root."""
    return bool(_lib.SSL_CTX_use_certificate_chain_file(context._context, path) == 1)


def load_key(context: SSL.Context, path: bytes) -> bool:
    """The key of this end's certificate. A pass phrase is asked for as the context says."""
    return bool(_lib.SSL_CTX_use_PrivateKey_file(context._context, path, SSL_FILETYPE_PEM) == 1)


def ask_for_phrase(context: SSL.Context, ask: Callable[[int], bytes]) -> Any:
    """Have `ask` asked for the pass phrase of an encrypted key, of so many bytes at most. Keep what is returned.

    pyOpenSSL's own way (`set_passwd_cb`) is on its way out.
    """

    def give(room: Any, size: int, twice: int, extra: Any) -> int:
        phrase = ask(size)
        _ffi.memmove(room, phrase, len(phrase))
        return len(phrase)

    callback = _ffi.callback("int (*)(char *, int, int, void *)", give, error=0)
    _lib.SSL_CTX_set_default_passwd_cb(context._context, callback)
    return callback


def is_consistent(context: SSL.Context) -> bool:
    """Do certificate and key belong together?"""
    return bool(_lib.SSL_CTX_check_private_key(context._context) == 1)


def set_dh_group(context: SSL.Context) -> None:
    """Finite field Diffie-Hellman for those who have no elliptic curves: the group ffdhe3072 of RFC 7919."""
    prime = _FFDHE3072.to_bytes(384, "big")
    number = b"\x02\x82\x01\x81\0" + prime
    der = b"\x30\x82" + (len(number) + 3).to_bytes(2, "big") + number + b"\x02\x01\x02"
    pem = b"-----BEGIN DH PARAMETERS-----\n" + b2a_base64(der) + b"-----END DH PARAMETERS-----\n"
    bio = _ffi.gc(_lib.BIO_new_mem_buf(pem, len(pem)), _lib.BIO_free)
    parameters = _lib.PEM_read_bio_DHparams(bio, _ffi.NULL, _ffi.NULL, _ffi.NULL)
    if parameters:
        _lib.SSL_CTX_set_tmp_dh(context._context, _ffi.gc(parameters, _lib.DH_free))
    errors()


def _e_times_two_to_the(bits: int) -> int:
    """The integer part of e * 2**bits, from the series of e."""
    guard = 64
    total = term = 1 << (bits + guard)
    n = 1
    while term:
        term //= n
        total += term
        n += 1
    return total >> guard


_FFDHE3072 = 2**3072 - 2**3008 + (_e_times_two_to_the(2942) + 2625351) * 2**64 - 1
"""As the appendix of RFC 7919 defines it."""


def add_revocations(context: SSL.Context, pem: bytes) -> bool:
    """Trust the revocation lists in `pem`. False: there is none in it, or something is wrong with one."""
    store: Any = context.get_cert_store()
    begin, end = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"
    count = 0
    for piece in pem.split(begin)[1:]:
        try:
            der = a2b_base64(piece.partition(end)[0])
        except ValueError:
            return False
        bio = _ffi.gc(_lib.BIO_new_mem_buf(der, len(der)), _lib.BIO_free)
        crl = _lib.d2i_X509_CRL_bio(bio, _ffi.NULL)
        if not crl or _lib.X509_STORE_add_crl(store._store, _ffi.gc(crl, _lib.X509_CRL_free)) != 1:
            return False
        count += 1
    return count > 0


_NOT_YET_VALID, _EXPIRED = 9, 10  # X509_V_ERR_CERT_...


def require_certificate(context: SSL.Context, *, dates: bool) -> Any:
    """Ask for a certificate that verifies; without `dates` one may be out of its time. Keep what is returned."""
    mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    if dates:
        callback = _ffi.NULL
    else:

        def judge(good: int, store: Any) -> int:
            return int(good or _lib.X509_STORE_CTX_get_error(store) in (_NOT_YET_VALID, _EXPIRED))

        callback = _ffi.callback("int (*)(int, X509_STORE_CTX *)", judge, error=0)

    _lib.SSL_CTX_set_verify(context._context, mode, callback)
    return callback


def verify(context: SSL.Context, required: bool) -> None:
    """The client's part: whether the server's certificate has to be good."""
    _lib.SSL_CTX_set_verify(context._context, SSL.VERIFY_PEER if required else SSL.VERIFY_NONE, _ffi.NULL)


def log_keys(context: SSL.Context, write_line: Callable[[bytes], None]) -> Any:
    """Hand each line of a key log to `write_line`. Keep what is returned."""

    def take(ssl: Any, line: Any) -> None:
        write_line(_ffi.string(line))

    callback = _ffi.callback("void (*)(const SSL *, const char *)", take)

    _lib.SSL_CTX_set_keylog_callback(context._context, callback)
    return callback


# ---- keys


def has_shared_keys() -> bool:
    """Was OpenSSL built with pre-shared keys?"""
    return bool(getattr(_lib, "Cryptography_HAS_PSK", 0))


def share_keys(context: SSL.Context, hint: bytes, find: Callable[[int, bytes], bytes | None]) -> Any:
    """Let clients in by a key. `find` is given the `address` of a `SSL *` and the identity; None: there is no such.

    Keep what is returned; None is returned for a hint that OpenSSL does not take.
    """
    raw = context._context
    if _lib.SSL_CTX_use_psk_identity_hint(raw, hint) != 1:
        return None

    def give(ssl: Any, identity: Any, room: Any, size: int) -> int:
        key = find(address(ssl), _ffi.string(identity)) if identity else None
        if not key or len(key) > size:
            return 0
        _ffi.memmove(room, key, len(key))
        return len(key)

    callback = _ffi.callback("unsigned int (*)(SSL *, const char *, unsigned char *, unsigned int)", give, error=0)

    _lib.SSL_CTX_set_psk_server_callback(raw, callback)
    return callback


def offer_key(context: SSL.Context, identity: bytes, key: bytes) -> Any:
    """Ask to be let in by a key. Keep what is returned."""

    def give(ssl: Any, hint: Any, name: Any, name_size: int, room: Any, size: int) -> int:
        if len(identity) >= name_size or len(key) > size:
            return 0
        _ffi.memmove(name, identity + b"\0", len(identity) + 1)
        _ffi.memmove(room, key, len(key))
        return len(key)

    signature = "unsigned int (*)(SSL *, const char *, char *, unsigned int, unsigned char *, unsigned int)"
    callback = _ffi.callback(signature, give, error=0)
    _lib.SSL_CTX_set_psk_client_callback(context._context, callback)
    return callback


def address(ssl: Any) -> int:
    """What tells one `SSL *` from another."""
    return int(_ffi.cast("uintptr_t", ssl))
