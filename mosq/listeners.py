"""Listening sockets: opening them as the configuration says, and accepting connections from them.

A `Listener` is one `listener` of the configuration with the sockets it needs: one per address its host name has (IPv4
and IPv6 always apart), or one unix socket. Sockets that the service manager opened for us are used in place of our own
where family, address and port, or path, are the same.

Invariants:
- Either all configured listeners open, or none stays open. In local only mode one that works is enough.
- Nothing is removed from the file system but a dead socket in the way, and at the end the socket that was bound here.
- Accepting is bounded per turn, so a flood of connections takes its share and no more.
- A process out of descriptors still answers: one is kept in reserve, to accept and drop those who wait.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from mosq.log import Log
from mosq.reactor import READ, Reactor
from mosq.systemd import describe, serves, take

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mosq.config import Config, ListenerConfig
    from mosq.transport.tls import SecureListener

BACKLOG = 4096
"""Connections that wait to be accepted. When a broker returns, all its clients come at once; those that find no room
try again only after a second or more. The kernel keeps to its own limit (net.core.somaxconn) where that is lower."""

BATCH = 64
"""Connections accepted from one socket in one turn: some milliseconds of work."""

PAUSE = 0.5
"""Seconds without accepting when there is nothing to accept with: the socket stays ready; the loop must not spin."""

UNIX_PATH_MAX = 107
Place = tuple[str, int]
"""An address and its scope id, which is 0 but for IPv6 addresses that mean nothing without their interface."""

_FAMILY = {socket.AF_INET: "ipv4", socket.AF_INET6: "ipv6"}
_DOMAIN = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
_PROTOCOL_NAME: dict[int, str] = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}
_WILDCARDS = ("0.0.0.0", "::")
_MAPPED = "::ffff:"


class ListenerError(Exception):
    """A listener cannot be opened. The log has the reason; `text` is its last line, not written yet, if any."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.text = text


class Listener:
    """One listener of the configuration. `port` is 0 for a unix socket; `count` says how many connections are open;
    `secure` is None where there is no TLS."""

    __slots__ = ("config", "sockets", "port", "path", "count", "secure", "_bound")

    def __init__(self, config: ListenerConfig) -> None:
        self.config = config
        self.sockets: list[socket.socket] = []
        self.path: str | None = config.socket_path
        self.port: int = 0 if self.path is not None else config.port
        self.count = 0
        self.secure: SecureListener | None = None
        self._bound: tuple[int, int] | None = None

    def add(self, sock: socket.socket, *, owned: bool = True) -> None:
        """Take over a socket that listens. A unix socket's path is removed at the end if it is `owned`."""
        sock.setblocking(False)
        self.sockets.append(sock)
        if self.path is None:
            self.port = self.port or sock.getsockname()[1]
        elif owned:
            self._bound = _identity(self.path)

    def set_nodelay(self, on: bool) -> None:
        """set_tcp_nodelay for the connections to come: set on the listening socket, it is inherited without a cost."""
        if self.path is None:
            for sock in self.sockets:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, on)

    def close(self) -> None:
        """Close the sockets and remove the unix socket, unless something else has taken its path."""
        for sock in self.sockets:
            sock.close()
        self.sockets.clear()
        if self._bound is not None and self.path is not None and _identity(self.path) == self._bound:
            os.unlink(self.path)
        self._bound = None


def open_listeners(config: Config, log: Log, activated: Iterable[socket.socket] = ()) -> list[Listener]:
    """Open what the configuration lists, in its order. Raises ListenerError, with nothing left open."""
    if config.local_only:
        log.warning(
            "Starting in local only mode. Connections will only be possible from clients running on this machine."
        )
        log.warning("Create a configuration file which defines a listener to allow remote access.")
        log.warning("For more details see https://mosquitto.org/documentation/authentication-methods/")
    given = list(activated)
    opened: list[Listener] = []
    try:
        for listener_config in config.listeners:
            listener = Listener(listener_config)
            opened.append(listener)
            try:
                _open(listener, log, given)
            except ListenerError as exc:
                if exc.text:
                    log.error("%s", exc.text)
                if not config.local_only:
                    raise ListenerError from exc
                opened.remove(listener)
                listener.close()
        if not opened:
            raise ListenerError
    except ListenerError:
        for listener in opened:
            listener.close()
        raise
    finally:
        for sock in given:
            log.warning("Warning: No listener is configured for the activated socket %s.", describe(sock))
            sock.close()
    return opened


def _open(listener: Listener, log: Log, given: list[socket.socket]) -> None:
    if listener.path is not None:
        _open_unix(listener, listener.path, log, given)
    else:
        _open_tcp(listener, log, given)
    if not listener.sockets:
        raise ListenerError


# TCP


def _open_tcp(listener: Listener, log: Log, given: list[socket.socket]) -> None:
    for family, place in _resolve(listener.config):
        taken = take(given, partial(serves, family=family, address=place[0], port=listener.port))
        if taken is not None:
            log.info("Using the activated %s listen socket on port %d.", _FAMILY[family], listener.port)
            listener.add(taken)
        elif not any(serves(sock, family, place[0], listener.port) for sock in listener.sockets):
            _open_place(listener, family, place, log)


def _open_place(listener: Listener, family: socket.AddressFamily, place: Place, log: Log) -> None:
    log.info("Opening %s listen socket on port %d.", _FAMILY[family], listener.port)
    own_place = _place_on_interface(listener.config, family, place, log)
    if own_place is None:
        return
    try:
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as exc:
        log.warning("Warning: %s", exc.strerror)
        return
    try:
        _listen(sock, family, own_place, listener.port)
    except OSError as exc:
        sock.close()
        if exc.errno == errno.EACCES:
            _hint_at_privileges(log)
        raise ListenerError(f"Error: {exc.strerror}") from exc
    listener.add(sock)


def _resolve(config: ListenerConfig) -> list[tuple[socket.AddressFamily, Place]]:
    """The families and places to listen on, each once, in the resolver's order."""
    family = _DOMAIN.get(config.socket_domain or "", socket.AF_UNSPEC)
    # As bytes, the name needs no codec for international names, which would cost a megabyte to import.
    host = os.fsencode(config.host) if config.host else None
    try:
        found = socket.getaddrinfo(host, config.port, family, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
    except OSError as exc:
        raise ListenerError(f"Error creating listener: {exc.strerror}.") from exc
    places: dict[tuple[socket.AddressFamily, Place], None] = {}
    for found_family, _, _, _, where in found:
        if found_family in _FAMILY:
            scope_id = where[3] if len(where) == 4 else 0
            places[found_family, (str(where[0]), int(scope_id))] = None
    return list(places)


def _place_on_interface(config: ListenerConfig, family: int, place: Place, log: Log) -> Place | None:
    """Where to bind in view of bind_interface: instead of everywhere at its first address, or at one it really has."""
    interface = config.bind_interface
    if not interface:
        return place
    from mosq.interfaces import addresses

    by_family = addresses(interface)
    if by_family is None:
        raise ListenerError(f"Error: Interface {interface} does not exist.")
    own = by_family[family]
    if not own:
        log.warning("Warning: Interface %s does not support %s configuration.", interface, _PROTOCOL_NAME[family])
        return None
    if place[0] in _WILDCARDS:
        return own[0]
    for candidate in own:
        if candidate[0] == place[0]:
            return candidate
    raise ListenerError(
        f"Error: Interface address for {interface} does not match specified listener address ({config.host})."
    )


def _listen(sock: socket.socket, family: int, place: Place, port: int) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    address, scope_id = place
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port, 0, scope_id))
    else:
        sock.bind((address, port))
    sock.listen(BACKLOG)


def _hint_at_privileges(log: Log) -> None:
    log.error(
        "If you are trying to bind to a privileged port (<1024), try using setcap and do not start the broker as root:"
    )
    log.error("    sudo setcap 'CAP_NET_BIND_SERVICE=+ep %s'", os.path.realpath(sys.executable))


# Unix sockets


def _open_unix(listener: Listener, path: str, log: Log, given: list[socket.socket]) -> None:
    taken = take(given, lambda sock: sock.family == socket.AF_UNIX and sock.getsockname() == path)
    if taken is not None:
        log.info("Using the activated unix listen socket on path %s.", path)
        listener.add(taken, owned=False)
        return
    if len(os.fsencode(path)) > UNIX_PATH_MAX:
        raise ListenerError(f'Error: Path to unix socket is too long "{path}".')
    log.info("Opening unix listen socket on path %s.", path)
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as exc:
        raise ListenerError(f"Error creating unix socket: {exc.strerror}") from exc
    try:
        _bind_unix(sock, path)
    except OSError as exc:
        sock.close()
        raise ListenerError(f"Error binding unix socket: {exc.strerror}") from exc
    listener.add(sock)
    try:
        sock.listen(BACKLOG)
    except OSError as exc:
        raise ListenerError(f"Error listening to unix socket: {exc.strerror}") from exc


def _bind_unix(sock: socket.socket, path: str) -> None:
    """Bind with mode 0770, in the place of a socket that nobody listens to any more."""
    if _is_dead_socket(path):
        os.unlink(path)
    previous = os.umask(0o007)
    try:
        sock.bind(path)
    finally:
        os.umask(previous)


def _is_dead_socket(path: str) -> bool:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
    except OSError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) == errno.ECONNREFUSED


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


# Accepting

_accept: Callable[[socket.socket], tuple[int, object]] = socket.socket._accept  # type: ignore[attr-defined]
"""accept(2) that gives a bare descriptor: a Python socket object for each connection would double its memory."""

Accepted = Callable[[Listener, int, str, int], object]
"""Called with a listener, a non-blocking descriptor, and the address and port of the other end."""


class Acceptor:
    """Accepts from listeners, within the limits max_connections and global_max_connections.

    `accepted` becomes the owner of the descriptor, unless it raises; `released` is to be called when that is closed.
    Connections that do not come through here (those of bridges) count in `open` if their owner says so.
    """

    __slots__ = ("config", "listeners", "open", "_accepted", "_doors", "_log", "_reactor", "_spare")

    def __init__(
        self, config: Config, log: Log, reactor: Reactor, listeners: Sequence[Listener], accepted: Accepted
    ) -> None:
        self.listeners = list(listeners)
        self.open = 0
        self._accepted = accepted
        self._doors: list[_Door] = []
        self._log = log
        self._reactor = reactor
        self._spare = -1
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Accept by these options from now on (start and reload)."""
        self.config = config
        for listener in self.listeners:
            listener.set_nodelay(config.set_tcp_nodelay)

    def start(self) -> None:
        """Begin to accept."""
        self._keep_spare()
        for listener in self.listeners:
            for sock in listener.sockets:
                door = _Door(self, listener, sock)
                self._doors.append(door)
                self._reactor.register(door.fd, READ, door)

    def stop(self) -> None:
        """Stop accepting and close the listeners."""
        for door in self._doors:
            door.stop(self._reactor)
        self._doors.clear()
        for listener in self.listeners:
            listener.close()
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    def released(self, listener: Listener) -> None:
        """A connection from this listener has been closed."""
        listener.count -= 1
        self.open -= 1

    def admit(self, listener: Listener, fd: int, family: int, peer: object) -> None:
        """A connection was accepted: hand it on, or close it when there are enough."""
        if isinstance(peer, tuple):
            address, port = peer[0], peer[1]
            if family == socket.AF_INET6 and address.startswith(_MAPPED):
                address = address[len(_MAPPED) :]
            address = sys.intern(address)  # most of many connections come from few addresses
        else:
            address, port = listener.path or "", 0
        config = self.config
        if 0 < listener.config.max_connections <= listener.count or 0 < config.global_max_connections <= self.open:
            os.close(fd)
            if config.connection_messages:
                self._log.notice("Client connection from %s denied: max_connections exceeded.", address)
            return
        os.set_blocking(fd, False)
        listener.count += 1
        self.open += 1
        try:
            self._accepted(listener, fd, address, port)
        except BaseException:
            self.released(listener)
            os.close(fd)
            raise

    def out_of_descriptors(self, sock: socket.socket) -> bool:
        """Turn one connection away with the help of the spare descriptor. False when even that is not possible."""
        if self._spare < 0 and not self._keep_spare():
            return False
        os.close(self._spare)
        self._spare = -1
        try:
            fd = _accept(sock)[0]
        except BlockingIOError:
            return self._keep_spare()
        except OSError:
            self._keep_spare()
            return False
        os.close(fd)
        self._log.warning(
            "Unable to accept new connection, system socket count has been exceeded. "
            'Try increasing "ulimit -n" or equivalent.'
        )
        return self._keep_spare()

    def _keep_spare(self) -> bool:
        if self._spare < 0:
            try:
                self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return False
        return True


class _Door:
    """One listening socket in the reactor."""

    __slots__ = ("fd", "_acceptor", "_family", "_listener", "_open", "_sock")

    def __init__(self, acceptor: Acceptor, listener: Listener, sock: socket.socket) -> None:
        self.fd = sock.fileno()
        self._acceptor = acceptor
        self._family = int(sock.family)
        self._listener = listener
        self._open = True
        self._sock = sock

    def on_ready(self, mask: int) -> None:
        """Accept those who wait, up to a batch: the rest makes the socket ready again in the next turn."""
        acceptor, sock = self._acceptor, self._sock
        for _ in range(BATCH):
            try:
                fd, peer = _accept(sock)
            except BlockingIOError:
                return
            except OSError as exc:
                if not self._go_on_after(exc.errno):
                    self._pause()
                    return
                continue
            acceptor.admit(self._listener, fd, self._family, peer)

    def on_error(self, exc: Exception) -> None:
        """A connection failed in the making; the door stays open for others."""

    def stop(self, reactor: Reactor) -> None:
        if self._open:
            reactor.unregister(self.fd)
        self._open = False
        self.fd = -1

    def _go_on_after(self, error: int | None) -> bool:
        if error in (errno.EMFILE, errno.ENFILE):
            return self._acceptor.out_of_descriptors(self._sock)
        # What else accept(2) reports mostly belongs to the one connection it took off the queue.
        return error not in (errno.ENOBUFS, errno.ENOMEM)

    def _pause(self) -> None:
        reactor = self._acceptor._reactor
        reactor.unregister(self.fd)
        self._open = False
        reactor.call_later(PAUSE, self._resume)

    def _resume(self) -> None:
        if self.fd >= 0:
            self._acceptor._reactor.register(self.fd, READ, self)
            self._open = True
