"""The way to the server that the options describe: a stack of transports, made anew for each attempt to connect."""

from __future__ import annotations

from mosq.cli.client.settings import Ending, Settings

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.client.transport import Dial
    from mosq.client.transport.tls_options import Options


def of(settings: Settings) -> Dial:
    """Raises Ending for options about TLS that cannot be obeyed."""
    from mosq.client.transport.route import Route

    return Route(
        settings.host,
        settings.port,
        bind=settings.bind_address,
        nodelay=settings.nodelay,
        proxy=settings.proxy,
        tls=_tls(settings),
        websocket=settings.websockets,
    ).dial()


_TLS_ALONE = ("psk", "tls_engine", "tls_engine_kpass_sha1", "keyform", "tls_version")
"""Options that are looked at even where nothing asks for TLS."""


def _tls(settings: Settings) -> Options | None:
    if settings.no_tls or not (settings.tls or any(getattr(settings, name) is not None for name in _TLS_ALONE)):
        return None
    from mosq.client.transport.tls_options import Options, OptionsError, check

    options = Options(
        cafile=settings.cafile,
        capath=settings.capath,
        os_certs=settings.os_certs,
        cert=settings.cert,
        key=settings.key,
        keyform=settings.keyform,
        engine=settings.tls_engine,
        engine_kpass_sha1=settings.tls_engine_kpass_sha1,
        ciphers=settings.ciphers,
        version=settings.tls_version,
        alpn=settings.tls_alpn,
        insecure=settings.insecure,
        keylog=settings.tls_keylog,
        psk=settings.psk,
        psk_identity=settings.psk_identity,
    )
    try:
        check(options)
    except OptionsError as error:
        text = f"{error}\n".encode("utf-8", "surrogateescape")
        raise Ending(err=b"" if settings.quiet else text) from None
    return options if settings.tls else None
