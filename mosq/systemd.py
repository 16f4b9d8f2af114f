"""Talking to the service manager: sockets it opened for us, and what it wants to hear about our state.

Both are optional and found in the environment: LISTEN_FDS and LISTEN_PID (sd_listen_fds(3)), NOTIFY_SOCKET and
WATCHDOG_USEC (sd_notify(3)). Without them nothing here does anything.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, MutableMapping

from mosq.reactor import Reactor

FIRST_ACTIVATED = 3
"""Activated sockets are numbered from here (SD_LISTEN_FDS_START)."""


# Socket activation


def activated_sockets(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """The listening sockets handed to this process. The variables are removed: they are for no child of ours."""
    owner, number = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if owner != str(os.getpid()) or not number.isdecimal():
        return []
    sockets: list[socket.socket] = []
    for fd in range(FIRST_ACTIVATED, FIRST_ACTIVATED + int(number)):
        try:
            sock = socket.socket(fileno=fd)
        except OSError:
            continue  # another kind of descriptor, or closed meanwhile
        os.set_inheritable(fd, False)
        sockets.append(sock)
    return sockets


def take(given: list[socket.socket], fits: Callable[[socket.socket], bool]) -> socket.socket | None:
    """Remove and return the first socket that fits."""
    for i, sock in enumerate(given):
        if fits(sock):
            return given.pop(i)
    return None


def serves(sock: socket.socket, family: int, address: str, port: int) -> bool:
    """Whether a TCP socket is the one to listen at this address and port.

    One for IPv6 that also takes IPv4, as `ListenStream=1883` makes it, serves both wildcard addresses.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.getsockname()[1] != port:
        return False
    own: str = sock.getsockname()[0]
    if sock.family == family:
        return own == address
    dual = sock.family == socket.AF_INET6 and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    return dual and own == "::" and address == "0.0.0.0"


def describe(sock: socket.socket) -> str:
    """Where a socket listens, for the log."""
    name = sock.getsockname()
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)


# Notification


class ServiceManager:
    """What NOTIFY_SOCKET points to. Its `watchdog` is the seconds between signs of life, 0 for none wanted."""

    __slots__ = ("watchdog", "_socket")

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._socket = _connect(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog = _half_period(environ.get("WATCHDOG_USEC", "")) if self._socket is not None else 0.0

    def notify(self, state: str) -> None:
        """Send assignments such as READY=1. Nobody listening is no error."""
        if self._socket is not None:
            try:
                self._socket.send(state.encode())
            except OSError:
                pass  # the manager is being restarted, or does not want it

    def ready(self) -> None:
        self.notify("READY=1")

    def reloading(self) -> None:
        """To be followed by `ready`. The time is that of the monotonic clock (sd_notify(3), MONOTONIC_USEC)."""
        from time import CLOCK_MONOTONIC, clock_gettime_ns

        self.notify(f"RELOADING=1\nMONOTONIC_USEC={clock_gettime_ns(CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        self.notify("STOPPING=1")

    def keep_alive(self, reactor: Reactor) -> None:
        """Send a sign of life now and at half of every watchdog period: from the loop, so that it proves the loop."""
        if self.watchdog > 0:
            self.notify("WATCHDOG=1")
            reactor.call_later(self.watchdog, self.keep_alive, reactor)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _connect(address: str) -> socket.socket | None:
    """A leading @ means a name that is not in the file system."""
    if address[:1] not in ("/", "@"):
        return None
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.connect("\0" + address[1:] if address[0] == "@" else address)
    except OSError:
        sock.close()
        return None
    sock.setblocking(False)
    return sock


def _half_period(microseconds: str) -> float:
    return int(microseconds) / 2e6 if microseconds.isdecimal() else 0.0
