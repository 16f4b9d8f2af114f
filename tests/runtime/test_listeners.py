"""Opening listening sockets and accepting from them."""

from __future__ import annotations

import os
import resource
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mosq import listeners as module
from mosq.config import Config, ListenerConfig
from mosq.interfaces import addresses
from mosq.listeners import BATCH, Acceptor, Listener, ListenerError, open_listeners
from mosq.reactor import Reactor
from tests.harness.broker import free_port
from tests.harness.deadline import wait_until
from tests.runtime.record import Record

Open = Callable[..., list[Listener]]


@pytest.fixture
def log() -> Record:
    return Record()


@pytest.fixture
def open_all(log: Record) -> Iterator[Open]:
    """Open listeners by their options; closed at the end."""
    opened: list[Listener] = []

    def open_them(
        *configs: ListenerConfig, local_only: bool = False, activated: tuple[socket.socket, ...] = ()
    ) -> list[Listener]:
        found = open_listeners(Config(listeners=list(configs), local_only=local_only), log, activated)
        opened.extend(found)
        return found

    yield open_them
    for listener in opened:
        listener.close()


def tcp(host: str | None = "127.0.0.1", port: int | None = None, **options: object) -> ListenerConfig:
    return ListenerConfig(port=port or free_port(), host=host, **options)


def unix(path: Path, **options: object) -> ListenerConfig:
    return ListenerConfig(port=0, socket_path=str(path), **options)


def reachable(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        return probe.connect_ex((address, port)) == 0


def refused(open_all: Open, *configs: ListenerConfig) -> None:
    with pytest.raises(ListenerError):
        open_all(*configs)


# TCP


def test_without_a_host_both_families_are_opened_apart(open_all: Open, log: Record) -> None:
    config = tcp(None)
    (listener,) = open_all(config)
    assert {sock.family for sock in listener.sockets} == {socket.AF_INET, socket.AF_INET6}
    assert sorted(log.texts("I")) == [
        f"Opening ipv4 listen socket on port {config.port}.",
        f"Opening ipv6 listen socket on port {config.port}.",
    ]
    assert reachable("127.0.0.1", config.port) and reachable("::1", config.port)
    for sock in listener.sockets:
        assert not sock.getblocking()
        if sock.family == socket.AF_INET6:
            assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


@pytest.mark.parametrize(("domain", "family"), [("ipv4", socket.AF_INET), ("ipv6", socket.AF_INET6)])
def test_socket_domain_leaves_one_family(open_all: Open, domain: str, family: int) -> None:
    (listener,) = open_all(tcp(None, socket_domain=domain))
    assert [sock.family for sock in listener.sockets] == [family]


def test_a_host_name_is_resolved(open_all: Open) -> None:
    (listener,) = open_all(tcp("localhost"))
    assert {sock.getsockname()[0] for sock in listener.sockets} <= {"127.0.0.1", "::1"}


def test_a_host_that_does_not_resolve_is_an_error(open_all: Open, log: Record) -> None:
    refused(open_all, tcp("no such host"))
    (line,) = log.texts("E")
    assert line.startswith("Error creating listener: ") and line.endswith(".")


def test_a_port_in_use_is_an_error_and_nothing_stays_open(open_all: Open, log: Record) -> None:
    first = tcp()
    refused(open_all, first, tcp(port=first.port))
    assert log.texts("E") == ["Error: Address already in use"]
    assert not reachable("127.0.0.1", first.port)


def test_an_address_that_is_not_ours_is_an_error(open_all: Open, log: Record) -> None:
    refused(open_all, tcp("192.0.2.250"))
    assert log.texts("E") == ["Error: Cannot assign requested address"]


def test_a_forbidden_port_comes_with_a_hint(open_all: Open, log: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "_listen", forbidden)
    refused(open_all, tcp())
    assert len(log.texts("E")) == 3
    assert "setcap" in log.texts("E")[0] and "CAP_NET_BIND_SERVICE" in log.texts("E")[1]
    assert log.texts("E")[2] == "Error: Permission denied"


def test_local_only_mode_says_so_and_tolerates_one_failure(open_all: Open, log: Record) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        opened = open_all(tcp("127.0.0.1", port, local_only=True), tcp("::1", port, local_only=True), local_only=True)
    assert [listener.config.host for listener in opened] == ["::1"]
    assert log.texts("W")[0].startswith("Starting in local only mode.")
    assert len(log.texts("W")) == 3
    assert log.texts("E") == ["Error: Address already in use"]


def test_local_only_mode_without_any_socket_is_an_error(open_all: Open, log: Record) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ListenerError):
            open_all(tcp("127.0.0.1", taken.getsockname()[1], local_only=True), local_only=True)
    assert log.texts("E") == ["Error: Address already in use"]


# bind_interface


def test_an_interface_stands_in_for_the_wildcard(open_all: Open) -> None:
    (listener,) = open_all(tcp(None, bind_interface="LO"))
    assert {sock.getsockname()[0] for sock in listener.sockets} == {"127.0.0.1", "::1"}


def test_an_unknown_interface_is_an_error(open_all: Open, log: Record) -> None:
    refused(open_all, tcp(None, bind_interface="nope0"))
    assert log.texts("E") == ["Error: Interface nope0 does not exist."]


def test_an_interface_without_a_family_leaves_it_out(
    open_all: Open, log: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = {socket.AF_INET: [("127.0.0.1", 0)], socket.AF_INET6: []}
    monkeypatch.setattr("mosq.interfaces.addresses", lambda name: only)
    (listener,) = open_all(tcp(None, bind_interface="lo"))
    assert [sock.family for sock in listener.sockets] == [socket.AF_INET]
    assert log.texts("W") == ["Warning: Interface lo does not support IPv6 configuration."]
    only[socket.AF_INET] = []
    refused(open_all, tcp(None, bind_interface="lo"))


def test_any_address_of_the_interface_may_be_given(open_all: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    several = {socket.AF_INET: [("192.0.2.7", 0), ("127.0.0.1", 0)], socket.AF_INET6: []}
    monkeypatch.setattr("mosq.interfaces.addresses", lambda name: several)
    (listener,) = open_all(tcp("127.0.0.1", bind_interface="lo"))
    assert listener.sockets[0].getsockname()[0] == "127.0.0.1"


def test_an_address_of_another_interface_is_an_error(open_all: Open, log: Record) -> None:
    refused(open_all, tcp("192.0.2.9", bind_interface="lo"))
    assert log.texts("E") == ["Error: Interface address for lo does not match specified listener address (192.0.2.9)."]


def test_the_loopback_interface_has_its_addresses() -> None:
    found = addresses("lo")
    assert found is not None
    assert ("127.0.0.1", 0) in found[socket.AF_INET]


# Unix sockets


def test_a_unix_socket_is_for_owner_and_group_and_goes_with_its_listener(
    open_all: Open, log: Record, tmp_path: Path
) -> None:
    path = tmp_path / "sock"
    before = os.umask(0o022)
    try:
        (listener,) = open_all(unix(path))
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o770
    assert log.texts("I") == [f"Opening unix listen socket on path {path}."]
    assert listener.port == 0 and listener.path == str(path)
    listener.close()
    assert not path.exists()


def test_a_dead_unix_socket_is_replaced(open_all: Open, tmp_path: Path) -> None:
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    open_all(unix(path))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_live_unix_socket_is_left_alone(open_all: Open, log: Record, tmp_path: Path) -> None:
    path = tmp_path / "sock"
    open_all(unix(path))
    refused(open_all, unix(path))
    assert log.texts("E") == ["Error binding unix socket: Address already in use"]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_file_in_the_place_of_a_unix_socket_is_left_alone(open_all: Open, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    refused(open_all, unix(path))
    assert path.read_text() == "data"


def test_closing_leaves_the_socket_of_a_successor(open_all: Open, tmp_path: Path) -> None:
    path = tmp_path / "sock"
    (listener,) = open_all(unix(path))
    path.unlink()
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(str(path))
        listener.close()
        assert path.exists()


def test_a_path_that_is_too_long_is_an_error(open_all: Open, log: Record) -> None:
    path = Path("/tmp/" + "x" * 103)
    refused(open_all, unix(path))
    assert log.texts("E") == [f'Error: Path to unix socket is too long "{path}".']


def test_a_unix_socket_in_a_missing_directory_is_an_error(open_all: Open, log: Record, tmp_path: Path) -> None:
    refused(open_all, unix(tmp_path / "no" / "sock"))
    assert log.texts("E") == ["Error binding unix socket: No such file or directory"]


# Activated sockets


def listening(address: str = "127.0.0.1", *, dual: bool = False) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
    sock.bind((address, 0))
    sock.listen()
    return sock


def test_an_activated_socket_serves_its_listener(open_all: Open, log: Record) -> None:
    sock = listening()
    port = sock.getsockname()[1]
    (listener,) = open_all(tcp("127.0.0.1", port), activated=(sock,))
    assert listener.sockets == [sock]
    assert log.texts("I") == [f"Using the activated ipv4 listen socket on port {port}."]


def test_an_activated_socket_for_both_families_serves_both(open_all: Open) -> None:
    sock = listening("::", dual=True)
    (listener,) = open_all(tcp(None, sock.getsockname()[1]), activated=(sock,))
    assert listener.sockets == [sock]


def test_an_activated_unix_socket_stays_when_we_go(open_all: Open, tmp_path: Path) -> None:
    path = tmp_path / "sock"
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()
    (listener,) = open_all(unix(path), activated=(sock,))
    assert listener.sockets == [sock]
    listener.close()
    assert path.exists()


def test_an_activated_socket_without_a_listener_is_told_and_closed(open_all: Open, log: Record) -> None:
    sock = listening()
    where = "{}:{}".format(*sock.getsockname())
    open_all(tcp(), activated=(sock,))
    assert log.texts("W") == [f"Warning: No listener is configured for the activated socket {where}."]
    assert sock.fileno() == -1


# Accepting


class Bench:
    """An acceptor in a reactor, and what it accepted."""

    def __init__(self, log: Record, configs: list[ListenerConfig], **options: object) -> None:
        self.config = Config(listeners=configs, local_only=False, **options)
        self.reactor = Reactor()
        self.accepted: list[tuple[Listener, int, str, int]] = []
        self.acceptor = Acceptor(self.config, log, self.reactor, open_listeners(self.config, log), self.accept)
        self.acceptor.start()
        self.clients: list[socket.socket] = []

    def accept(self, listener: Listener, fd: int, address: str, port: int) -> None:
        self.accepted.append((listener, fd, address, port))

    def connect(self, count: int = 1) -> None:
        config = self.config.listeners[0]
        for _ in range(count):
            client = socket.socket(socket.AF_UNIX) if config.socket_path else socket.socket()
            client.settimeout(5)
            client.connect(config.socket_path or ("127.0.0.1", config.port))
            self.clients.append(client)

    def turn_until(self, condition: Callable[[], object]) -> None:
        def turn_and_look() -> bool:
            self.reactor.turn(0.01)
            return bool(condition())

        wait_until(turn_and_look, "a turn of the loop to do it")

    def close(self) -> None:
        for _, fd, _, _ in self.accepted:
            os.close(fd)
        for client in self.clients:
            client.close()
        self.acceptor.stop()
        self.reactor.close()


@pytest.fixture
def bench(log: Record) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(*configs: ListenerConfig, **options: object) -> Bench:
        made.append(Bench(log, list(configs) or [tcp()], **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_an_accepted_connection_is_a_bare_descriptor_that_does_not_block(bench: Callable[..., Bench]) -> None:
    it = bench()
    it.connect()
    it.turn_until(lambda: it.accepted)
    listener, fd, address, port = it.accepted[0]
    assert (address, port) == it.clients[0].getsockname()
    assert listener.count == it.acceptor.open == 1
    assert not os.get_blocking(fd) and not os.get_inheritable(fd)
    it.acceptor.released(listener)
    assert listener.count == it.acceptor.open == 0


def test_a_unix_connection_has_the_path_as_its_address(bench: Callable[..., Bench], tmp_path: Path) -> None:
    it = bench(unix(tmp_path / "sock"))
    it.connect()
    it.turn_until(lambda: it.accepted)
    assert it.accepted[0][2:] == (str(tmp_path / "sock"), 0)


def test_an_ipv4_client_of_a_dual_socket_has_an_ipv4_address(log: Record) -> None:
    sock = listening("::", dual=True)
    config = Config(listeners=[tcp(None, sock.getsockname()[1])], local_only=False)
    reactor, seen = Reactor(), []

    def accepted(listener: Listener, fd: int, address: str, port: int) -> None:
        seen.append(address)
        os.close(fd)

    acceptor = Acceptor(config, log, reactor, open_listeners(config, log, [sock]), accepted)
    acceptor.start()
    try:
        with socket.create_connection(("127.0.0.1", config.listeners[0].port)):
            reactor.turn(5)
    finally:
        acceptor.stop()
        reactor.close()
    assert seen == ["127.0.0.1"]


@pytest.mark.parametrize("on", [True, False])
def test_nodelay_is_set_as_configured(bench: Callable[..., Bench], on: bool) -> None:
    it = bench(set_tcp_nodelay=on)
    it.connect()
    it.turn_until(lambda: it.accepted)
    with socket.socket(fileno=os.dup(it.accepted[0][1])) as probe:
        assert bool(probe.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) is on


def test_a_burst_is_accepted_in_batches(bench: Callable[..., Bench]) -> None:
    it = bench()
    it.connect(BATCH + 3)
    it.reactor.turn(5)
    assert len(it.accepted) == BATCH
    it.turn_until(lambda: len(it.accepted) == BATCH + 3)


@pytest.mark.parametrize(
    ("listener_limit", "limit", "allowed"), [(2, -1, 2), (-1, 1, 1), (0, 0, 4), (-1, -1, 4), (3, 2, 2)]
)
def test_limits_close_the_connection_at_once(
    bench: Callable[..., Bench], log: Record, listener_limit: int, limit: int, allowed: int
) -> None:
    it = bench(tcp(max_connections=listener_limit), global_max_connections=limit)
    it.connect(4)
    line = "Client connection from 127.0.0.1 denied: max_connections exceeded."
    it.turn_until(lambda: len(it.accepted) + log.texts("N").count(line) == 4)
    assert len(it.accepted) == allowed
    if allowed < 4:
        assert it.clients[-1].recv(1) == b""


def test_a_listener_limit_counts_all_its_sockets(bench: Callable[..., Bench], log: Record) -> None:
    config = tcp(None, max_connections=1)
    it = bench(config)
    for address in ("127.0.0.1", "::1"):
        it.clients.append(socket.create_connection((address, config.port), 5))
    it.turn_until(lambda: len(it.accepted) + len(log.texts("N")) == 2)
    assert len(it.accepted) == 1


def test_refusals_are_silent_without_connection_messages(bench: Callable[..., Bench], log: Record) -> None:
    it = bench(tcp(max_connections=1), connection_messages=False)
    it.connect(2)
    it.turn_until(lambda: it.accepted)
    it.turn_until(lambda: it.clients[1].recv(1) == b"")
    assert log.texts("N") == []


def test_an_owner_that_fails_gets_its_descriptor_closed(bench: Callable[..., Bench], log: Record) -> None:
    it = bench()
    problems: list[BaseException] = []
    it.reactor.report = problems.append

    def fail(*args: object) -> None:
        raise MemoryError("no room")

    it.acceptor._accepted = fail
    it.connect()
    it.turn_until(lambda: problems)
    assert it.clients[0].recv(1) == b""
    assert it.acceptor.open == 0
    it.acceptor._accepted = it.accept
    it.connect()
    it.turn_until(lambda: it.accepted)


def test_out_of_descriptors_turns_connections_away_and_recovers(bench: Callable[..., Bench], log: Record) -> None:
    it = bench()
    it.connect(2)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []
    try:
        # Above every descriptor that is open now, so that the spare one is below the limit when it is needed.
        most = max(map(int, os.listdir("/dev/fd"))) + 16
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, most), hard))
        while True:
            try:
                held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        it.turn_until(lambda: len(log.texts("W")) == 2)
        assert log.texts("W")[0].startswith("Unable to accept new connection, system socket count has been exceeded.")
        assert it.accepted == [] and it.clients[0].recv(1) == it.clients[1].recv(1) == b""
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    it.connect()
    it.turn_until(lambda: it.accepted)


def test_without_a_spare_descriptor_accepting_pauses(
    bench: Callable[..., Bench], log: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = bench()
    it.connect()

    def exhausted(sock: socket.socket) -> tuple[int, object]:
        raise OSError(23, "Too many open files in system")

    with monkeypatch.context() as patch:
        patch.setattr(module, "PAUSE", 0.01)
        patch.setattr(module, "_accept", exhausted)
        it.reactor.turn(5)
        assert it.acceptor._doors[0]._open is False, "the loop would spin on the ready socket"
    it.turn_until(lambda: it.accepted)


def test_stop_closes_everything(bench: Callable[..., Bench], tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    it = bench(unix(tmp_path / "sock"), tcp())
    it.acceptor.stop()
    it.reactor.close()
    it.reactor = Reactor()
    assert not (tmp_path / "sock").exists()
    it.reactor.close()
    it.reactor = Reactor()
    assert len(os.listdir("/proc/self/fd")) - before == 3, "only the new loop's own"
