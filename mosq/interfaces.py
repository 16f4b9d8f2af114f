"""The addresses of a network interface, for the option bind_interface."""

from __future__ import annotations

import array
import fcntl
import socket
import struct

# Linux: both structures and the request are part of its system call interface (netdevice(7)).
_SIOCGIFCONF = 0x8912
_IFREQ_SIZE = 40
_IFCONF = struct.Struct("iP")
_LINK = 0x20
"""Scope of an IPv6 address that means nothing without its interface."""


def addresses(interface: str) -> dict[int, list[tuple[str, int]]] | None:
    """By family (AF_INET, AF_INET6) the (address, scope id) pairs of an interface; None if there is no such interface.

    The name is compared without regard to case. Addresses that work without a scope id come first.
    """
    names = {name.lower(): (index, name) for index, name in socket.if_nameindex()}
    if interface.lower() not in names:
        return None
    index, name = names[interface.lower()]
    return {socket.AF_INET: _ipv4(name), socket.AF_INET6: _ipv6(name, index)}


def _ipv4(name: str) -> list[tuple[str, int]]:
    """One entry per address, secondary ones included; these may carry a label (`eth0:1`)."""
    found: list[tuple[str, int]] = []
    data = _interface_requests()
    for at in range(0, len(data), _IFREQ_SIZE):
        label = data[at : at + 16].split(b"\0", 1)[0].decode("ascii", "replace")
        if label.split(":", 1)[0] == name:
            found.append((socket.inet_ntoa(data[at + 20 : at + 24]), 0))
    return found


def _interface_requests() -> bytes:
    room = 64 * _IFREQ_SIZE
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        while True:
            buffer = array.array("B", bytes(room))
            reply = fcntl.ioctl(sock, _SIOCGIFCONF, _IFCONF.pack(room, buffer.buffer_info()[0]))
            used: int = _IFCONF.unpack(reply)[0]
            if used < room:
                return buffer.tobytes()[:used]
            room *= 2  # full: there may be more


def _ipv6(name: str, index: int) -> list[tuple[str, int]]:
    """From /proc/net/if_inet6: address, interface, prefix, scope, flags, name, all but the last in hexadecimal."""
    found: list[tuple[bool, str, int]] = []
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as lines:
            for line in lines:
                address, _, _, scope, _, owner = line.split()
                if owner == name:
                    local = int(scope, 16) == _LINK
                    text = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address))
                    found.append((local, text, index if local else 0))
    except FileNotFoundError:
        pass  # a kernel without IPv6
    return [(text, scope_id) for _, text, scope_id in sorted(found)]
