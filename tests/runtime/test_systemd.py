"""The service manager: activated sockets in, states out."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mosq.reactor import Reactor
from mosq.systemd import ServiceManager, activated_sockets
from tests.harness.broker import ROOT
from tests.harness.deadline import wait_until


@pytest.fixture
def manager(tmp_path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(tmp_path / "notify"))
    sock.settimeout(5)
    return sock


def test_states_are_told(manager: socket.socket) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": str(manager.getsockname())})
    service.ready()
    service.reloading()
    service.stopping()
    assert manager.recv(99) == b"READY=1"
    assert manager.recv(99).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert manager.recv(99) == b"STOPPING=1"
    service.close()


def test_an_abstract_address_begins_with_an_at_sign() -> None:
    name = f"mosq-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(5)
        service = ServiceManager({"NOTIFY_SOCKET": "@" + name})
        service.ready()
        assert sock.recv(99) == b"READY=1"
        service.close()


@pytest.mark.parametrize("address", ["", "relative", "/no/such/socket"])
def test_without_a_manager_nothing_happens(address: str) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "10000000"})
    service.ready()
    assert service.watchdog == 0
    service.close()


def test_a_manager_that_went_away_is_no_error(manager: socket.socket) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": str(manager.getsockname())})
    manager.close()
    service.ready()
    service.close()


@pytest.mark.parametrize(("microseconds", "seconds"), [("3000000", 1.5), ("0", 0), ("x", 0), ("-5", 0)])
def test_the_watchdog_is_fed_at_half_its_period(manager: socket.socket, microseconds: str, seconds: float) -> None:
    environ = {"NOTIFY_SOCKET": str(manager.getsockname()), "WATCHDOG_USEC": microseconds}
    service = ServiceManager(environ)
    assert service.watchdog == seconds
    service.close()


def test_the_loop_keeps_the_watchdog_quiet(manager: socket.socket) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": str(manager.getsockname()), "WATCHDOG_USEC": "20000"})
    reactor = Reactor()
    manager.setblocking(False)
    fed: list[bytes] = []

    def turn_and_count() -> bool:
        reactor.turn(0.02)
        try:
            fed.append(manager.recv(99))
        except BlockingIOError:
            pass
        return len(fed) >= 3

    service.keep_alive(reactor)
    wait_until(turn_and_count, "three signs of life")
    assert set(fed) == {b"WATCHDOG=1"}
    service.close()
    reactor.close()


@pytest.mark.parametrize("environ", [{}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}, {"LISTEN_FDS": "x"}])
def test_sockets_of_somebody_else_are_not_taken(environ: dict[str, str]) -> None:
    environ.setdefault("LISTEN_PID", str(os.getpid()) if environ == {"LISTEN_FDS": "x"} else "1")
    assert activated_sockets(environ) == []
    assert environ == {}


def test_handed_sockets_are_taken_once() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        code = (
            "import os\nfrom mosq.systemd import activated_sockets\n"
            f"os.dup2({sock.fileno()}, 3); os.dup2(0, 4)\n"
            "os.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES='a:b')\n"
            "(sock,) = activated_sockets(os.environ)\n"
            "print(sock.getsockname()[1], sock.get_inheritable(), [k for k in os.environ if k[:6] == 'LISTEN'])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            pass_fds=[sock.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=20,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    assert done.stdout.decode() == f"{port} False []\n"
