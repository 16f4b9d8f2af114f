"""The way to the server that the options describe: a stack of transports, made anew for each attempt to connect."""

from __future__ import annotations

from mosq.cli.client.settings import Settings

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.client.transport import Dial


def of(settings: Settings) -> Dial:
    """Raises Ending for options about TLS that cannot be obeyed."""
    from mosq.client.transport.tcp import Tcp, Unix

    host, port = settings.host, settings.port
    if port == 0:
        return lambda: Unix(host)
    return lambda: Tcp(host, port, bind=settings.bind_address, nodelay=settings.nodelay)
