"""A client that sends any bytes and reads whole packets, each read with a deadline.

`expect` compares packet by packet, so a failure names the packet. `expect_silence` is a round trip (PINGREQ,
PINGRESP), not a pause: the broker handles a connection's packets in order, so whatever it had to say before the answer
would have arrived before it.
"""

from __future__ import annotations

import socket
import time

from .deadline import SECONDS
from .packets import PINGREQ_BYTES, PINGRESP_BYTES, PUBLISH, Level, Subscription, u16


class ConnectionEndedError(AssertionError):
    """The broker closed the connection where a packet was expected."""


class RawClient:
    """One connection to a broker."""

    def __init__(self, address: tuple[str, int] | str, level: Level | None = None) -> None:
        """Connect to (host, port) or to the path of a unix socket."""
        self.level = level
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(SECONDS)
            self.sock.connect(address)
            self.address = address
        else:
            self.sock = socket.create_connection(address, timeout=SECONDS)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            host, port = self.sock.getsockname()[:2]
            self.address = f"{host}:{port}"
        self._pending = bytearray()
        self._ended = False

    def send(self, *packets: bytes) -> None:
        """Send the bytes in one piece; a peer that has gone already is not an error here."""
        try:
            self.sock.sendall(b"".join(packets))
        except (BrokenPipeError, ConnectionResetError):
            pass

    def read_packet(self, seconds: float = SECONDS) -> bytes:
        """The next whole packet. ConnectionEndedError when there is none, AssertionError when it takes too long."""
        end = time.monotonic() + seconds
        while True:
            size = _packet_size(self._pending)
            if size is not None and len(self._pending) >= size:
                result = bytes(self._pending[:size])
                del self._pending[:size]
                return result
            if not self._receive(end):
                raise ConnectionEndedError(f"the broker closed the connection; unread: {_show(bytes(self._pending))!r}")

    def expect(self, *packets: bytes, seconds: float = SECONDS) -> None:
        """The next packets are exactly these, in this order."""
        for number, wanted in enumerate(packets):
            try:
                got = self.read_packet(seconds)
            except AssertionError as error:
                raise type(error)(f"{error}\n  waiting for packet {number}: {_show(wanted)}") from None
            assert got == wanted, f"packet {number}:\n  expected {_show(wanted)}\n  received {_show(got)}"

    def expect_in_any_order(self, *packets: bytes, seconds: float = SECONDS) -> None:
        """The next packets are these, in whatever order."""
        got = sorted(self.read_packet(seconds) for _ in packets)
        assert got == sorted(packets), f"received {[_show(p) for p in got]}"

    def expect_silence(self) -> None:
        """Nothing has been sent to this client but what was read already."""
        self.send(PINGREQ_BYTES)
        self.expect(PINGRESP_BYTES)

    def expect_closed(self, seconds: float = SECONDS) -> None:
        """The broker closes the connection and sends nothing more before."""
        end = time.monotonic() + seconds
        while self._receive(end):
            pass
        assert not self._pending, f"before the close came {_show(bytes(self._pending))}"

    def expect_refused(self, *packets: bytes, seconds: float = SECONDS) -> None:
        """The broker sends these packets, then closes."""
        self.expect(*packets, seconds=seconds)
        self.expect_closed(seconds)

    def subscribe(
        self, *subscriptions: Subscription | str, qos: int = 0, mid: int = 1, properties: bytes = b""
    ) -> None:
        """Subscribe and read the SUBACK, which must grant what was asked."""
        assert self.level is not None
        self.send(self.level.subscribe(mid, *subscriptions, qos=qos, properties=properties))
        granted = [item.qos if isinstance(item, Subscription) else qos for item in subscriptions]
        self.expect(self.level.suback(mid, *granted))

    def publish(
        self,
        topic: str,
        payload: bytes = b"",
        *,
        qos: int = 0,
        mid: int = 1,
        retain: bool = False,
        properties: bytes = b"",
    ) -> None:
        """Publish and see it through: at return the broker has routed the message."""
        assert self.level is not None
        self.send(self.level.publish(topic, payload, qos=qos, mid=mid, retain=retain, properties=properties))
        if qos == 0:
            self.expect_silence()
            return
        answer = self.read_packet()
        assert answer[2:4] == u16(mid) and answer[0] == (0x40 if qos == 1 else 0x50), _show(answer)
        assert len(answer) == 4 or answer[4] < 0x80, _show(answer)
        if qos == 2:
            self.send(self.level.pubrel(mid))
            self.expect(self.level.pubcomp(mid))

    def received_messages(self, count: int, seconds: float = SECONDS) -> list[bytes]:
        """The next `count` packets, which must all be PUBLISH."""
        packets = [self.read_packet(seconds) for _ in range(count)]
        assert all(p[0] >> 4 == PUBLISH for p in packets), [_show(p) for p in packets]
        return packets

    def disconnect(self) -> None:
        """Leave in an orderly way and wait until the broker has closed."""
        self.send(b"\xe0\x00")
        self.expect_closed()
        self.close()

    def close(self) -> None:
        """Drop the connection without a word."""
        self.sock.close()

    def reset(self) -> None:
        """Drop the connection with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.sock.close()

    def _receive(self, end: float) -> bool:
        """Read what is there; False at the end of the stream. AssertionError past `end`."""
        if self._ended:
            return False
        left = end - time.monotonic()
        assert left > 0, f"nothing came in time; unread: {bytes(self._pending).hex(' ')!r}"
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            raise AssertionError(f"nothing came in time; unread: {bytes(self._pending).hex(' ')!r}") from None
        except ConnectionResetError:
            data = b""
        self._pending += data
        self._ended = not data
        return bool(data)


def _packet_size(data: bytearray) -> int | None:
    """Bytes of the packet at the front of `data`; None while its length is not known."""
    value = shift = 0
    for position in range(1, min(len(data), 5)):
        value |= (data[position] & 0x7F) << shift
        shift += 7
        if not data[position] & 0x80:
            return 1 + position + value
    return None


def _show(raw: bytes) -> str:
    text = raw.hex(" ")
    return text if len(text) < 400 else f"{text[:300]} ... ({len(raw)} bytes)"
