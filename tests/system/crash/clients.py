"""Clients that keep their word through the death of the broker, and write down what is said to them.

Each is a state machine on a socket that does not block; `run` waits for all of them at once. What a client must
remember over connections (what is not acknowledged, which QoS 2 messages it has) stays in the object; what belongs to
one connection is made anew with it.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

from tests.harness import props
from tests.harness.packets import (
    CONNACK,
    DISCONNECT,
    PINGREQ_BYTES,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    UNSUBACK,
    Level,
    Subscription,
    Will,
)

from .ledger import Ledger, clears

FOREVER = 0xFFFFFFFF
_RECEIVE = 65536
_V3_UNAVAILABLE, _FAILURE, _UNAVAILABLE, _QUOTA_EXCEEDED = 0x03, 0x80, 0x88, 0x97


def payload_of(topic: str, number: int) -> bytes:
    """What the message of this number says: the number, and a length that varies up to what needs several reads."""
    if topic.startswith("retained/") and clears(number):
        return b""
    size = 9000 if number % 97 == 96 else number * 7919 % 200
    return b"%d:" % number + bytes([number % 251]) * size


def properties_of(topic: str) -> bytes:
    """The properties that a publisher of MQTT 5 gives to the messages of a topic."""
    return props.content_type("crash") + props.user_property("topic", topic)


class Client:
    """One client: connects, comes back when the connection ends, and hands whole packets to `on_packet`. One that is
    `patient` takes a full disk for an answer: it is `refused`, and has to come back later and ask again."""

    def __init__(self, name: str, level: Level, ledger: Ledger, source: random.Random) -> None:
        self.name, self.level, self.ledger, self.source = name, level, ledger, source
        self.sock: socket.socket | None = None
        self.connection = 0
        self.up = False
        self.patient = self.refused = False
        self.heard: set[int] = set()  # kinds of packets
        self.not_before = 0.0
        self.out = bytearray()
        self._in = bytearray()
        self._pinged = self._ponged = 0

    def connect(self, port: int) -> None:
        """Begin a connection; failure shows when the socket is used."""
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.connect_ex(("127.0.0.1", port))
        self.connection += 1
        self._in.clear()
        expiry = props.session_expiry(FOREVER)
        will = Will(self.will_topic, b"%d:" % self.connection, qos=1, retain=True)
        self.out = bytearray(self.level.connect(self.name, clean=False, keepalive=0, will=will, properties=expiry))

    @property
    def will_topic(self) -> str:
        """Where the number of the connection is retained after its death."""
        return f"wills/{self.name}"

    def drop(self) -> None:
        """The connection is no more."""
        if self.sock is not None:
            self.sock.close()
        self.sock = None
        self.up = False
        self.out.clear()
        self._pinged = self._ponged = 0

    def send(self, packet: bytes) -> None:
        self.out += packet

    def ping(self) -> None:
        """Ask for a sign that everything sent before was handled, and everything received before was read."""
        self._pinged += 1
        self.send(PINGREQ_BYTES)

    @property
    def quiet(self) -> bool:
        """Whether the last ping was answered."""
        return self.up and self._pinged == self._ponged > 0

    def readable(self) -> bool:
        """Read what is there. False: the connection ended."""
        assert self.sock is not None
        try:
            data = self.sock.recv(_RECEIVE)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._in += data
        for packet in self._packets():
            self._on_packet(packet)
        return bool(data)

    def writable(self) -> bool:
        """Write what can be written. False: the connection ended."""
        assert self.sock is not None
        try:
            del self.out[: self.sock.send(self.out)]
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def _packets(self) -> Iterator[bytes]:
        data, start = self._in, 0
        while len(data) >= start + 2:
            position, length, shift = start + 1, 0, 0
            while position < len(data) and position < start + 5:
                byte = data[position]
                length |= (byte & 0x7F) << shift
                shift += 7
                position += 1
                if byte < 0x80:
                    break
            else:
                break
            if len(data) < position + length:
                break
            # first byte and body: the length in between says nothing more
            yield data[start : start + 1] + data[position : position + length]
            start = position + length
        del data[:start]

    def _on_packet(self, packet: bytes) -> None:
        kind = packet[0] >> 4
        self.heard.add(kind)
        if kind == CONNACK:
            if self.patient and packet[2] in (_V3_UNAVAILABLE, _UNAVAILABLE):
                self.refused = True
                return
            if packet[2]:
                self.ledger.fault("refused to connect", f"{self.name}: {packet.hex(' ')}")
                return
            self.ledger.connect(self.name, bool(packet[1]))
            self.up = True
            self.begin(bool(packet[1]))
        elif kind == PINGRESP:
            self._ponged += 1
        elif kind == DISCONNECT:
            if self.patient and packet[1] == _QUOTA_EXCEEDED:
                return
            self.ledger.fault("disconnected by the broker", f"{self.name}: {packet.hex(' ')}")
        else:
            self.on_packet(kind, packet)

    def begin(self, session_present: bool) -> None:
        """The broker accepted: say again what it may not have heard."""
        raise NotImplementedError

    def on_packet(self, kind: int, packet: bytes) -> None:
        raise NotImplementedError


class Publisher(Client):
    """Publishes to topics of its own, with a window of messages that are not acknowledged yet."""

    def __init__(
        self, name: str, level: Level, ledger: Ledger, source: random.Random, topics: list[tuple[str, int]], window: int
    ) -> None:
        """`topics`: name and QoS of each."""
        super().__init__(name, level, ledger, source)
        self.window, self.going = window, True
        self._topics = topics
        self._numbers = dict.fromkeys((topic for topic, _ in topics), 0)
        self._mid = 0
        # by packet identifier, in the order of publishing: topic, its QoS, number, whether PUBREC came
        self.waiting: dict[int, tuple[str, int, int, bool]] = {}

    def fill(self) -> None:
        """Publish as long as the window has room."""
        while self.up and self.going and len(self.waiting) < self.window:
            topic, qos = self.source.choice(self._topics)
            number = self._numbers[topic]
            self._numbers[topic] = number + 1
            self._publish(topic, qos, number, self._next_mid(), dup=False)

    def _next_mid(self) -> int:
        while True:
            self._mid = self._mid % 65535 + 1
            if self._mid not in self.waiting:
                return self._mid

    def _publish(self, topic: str, qos: int, number: int, mid: int, *, dup: bool) -> None:
        self.waiting[mid] = (topic, qos, number, False)
        self.ledger.publish(topic, number)
        payload, retain = payload_of(topic, number), topic.startswith("retained/")
        properties = properties_of(topic) if self.level.is_v5 else b""
        self.send(self.level.publish(topic, payload, qos=qos, mid=mid, dup=dup, retain=retain, properties=properties))

    def begin(self, session_present: bool) -> None:
        for mid, (topic, qos, number, received) in list(self.waiting.items()):
            if received:
                self.send(self.level.pubrel(mid))
            else:
                self._publish(topic, qos, number, mid, dup=True)

    def on_packet(self, kind: int, packet: bytes) -> None:
        mid = int.from_bytes(packet[1:3], "big")
        reason = packet[3] if len(packet) > 3 else 0
        known = self.waiting.get(mid)
        if known is None:
            self.ledger.fault("acknowledged an unknown packet identifier", f"{self.name}: {packet.hex(' ')}")
            return
        topic, qos, number, received = known
        if reason >= 0x80 and not (kind == PUBCOMP and received):
            if self.patient and reason == _QUOTA_EXCEEDED:
                self.refused = True
                return
            self.ledger.fault("refused to publish", f"{self.name}: {packet.hex(' ')}")
        elif (kind, qos) == (PUBACK, 1) or (kind == PUBCOMP and received):
            del self.waiting[mid]
            self.ledger.acknowledge(topic, number)
        elif (kind, qos) == (PUBREC, 2):
            self.waiting[mid] = (topic, qos, number, True)
            self.send(self.level.pubrel(mid))
        else:
            self.ledger.fault("acknowledged in another way", f"{self.name}: {packet.hex(' ')} for {known}")


class Subscriber(Client):
    """Subscribes, and receives. Some acknowledgements wait a while, so that there is always something in flight."""

    def __init__(
        self, name: str, level: Level, ledger: Ledger, source: random.Random, filters: dict[str, int], identifier: int
    ) -> None:
        """`filters` with the QoS asked for; `identifier` of the subscriptions, for MQTT 5."""
        super().__init__(name, level, ledger, source)
        self._filters, self._identifier = filters, identifier
        self._asked: dict[int, tuple[str, bool]] = {}  # SUBSCRIBE (True) and UNSUBSCRIBE without an answer
        self.subscriptions: dict[str, bool] = {}  # filters that come and go: what was answered last
        self._mid = 0
        self._unreleased: dict[int, bytes] = {}  # QoS 2 messages received, by packet identifier: what they were
        self._late: list[bytes] = []
        self.late_share = 0.3
        self.subscribed = False
        self.probed: set[str] = set()

    def begin(self, session_present: bool) -> None:
        if not self.subscribed:
            for topic_filter in self._filters:
                self._ask(topic_filter, True)
        for topic_filter, wanted in [*self._asked.values()]:
            if topic_filter not in self._filters:
                self._ask(topic_filter, wanted)

    def drop(self) -> None:
        super().drop()
        self._late.clear()

    def change(self, topic_filter: str) -> None:
        """Subscribe to this filter, or give it up, whichever it is not."""
        if self.up and self.subscribed and topic_filter not in (asked for asked, _ in self._asked.values()):
            self._ask(topic_filter, not self.subscriptions.get(topic_filter, False))

    @property
    def settled(self) -> bool:
        """Whether everything asked for was answered."""
        return self.subscribed and not self._asked

    @property
    def owes(self) -> bool:
        """Whether there are acknowledgements to come."""
        return bool(self._late or self._unreleased)

    def _ask(self, topic_filter: str, wanted: bool) -> None:
        for mid in [mid for mid, (asked, _) in self._asked.items() if asked == topic_filter]:
            del self._asked[mid]
        self._mid = self._mid % 65535 + 1
        self._asked[self._mid] = (topic_filter, wanted)
        if wanted:
            properties = props.subscription_id(self._identifier) if self.level.is_v5 else b""
            item = Subscription(topic_filter, self._filters.get(topic_filter, 1))
            self.send(self.level.subscribe(self._mid, item, properties=properties))
        else:
            self.send(self.level.unsubscribe(self._mid, topic_filter))

    def _answered(self, packet: bytes) -> None:
        asked = self._asked.pop(int.from_bytes(packet[1:3], "big"), None)
        if asked is not None and self.patient and len(packet) > 3 and packet[-1] in (_FAILURE, _QUOTA_EXCEEDED):
            self._asked[int.from_bytes(packet[1:3], "big")] = asked
            self.refused = True
            return
        if asked is None or (packet[-1] >= 0x80 and len(packet) > 3):
            self.ledger.fault("refused to subscribe", f"{self.name}: {packet.hex(' ')}")
            return
        topic_filter, wanted = asked
        self.subscriptions[topic_filter] = wanted
        self.subscribed = self.subscribed or all(self.subscriptions.get(one, False) for one in self._filters)

    def on_packet(self, kind: int, packet: bytes) -> None:
        if kind in (SUBACK, UNSUBACK):
            self._answered(packet)
        elif kind == PUBREL:
            mid = int.from_bytes(packet[1:3], "big")
            self._unreleased.pop(mid, None)
            self._answer(self.level.pubcomp(mid))
        elif kind == PUBLISH:
            self._publish(packet)
        else:
            self.ledger.fault("an unexpected packet", f"{self.name}: {packet.hex(' ')}")

    def _publish(self, packet: bytes) -> None:
        qos, dup = packet[0] >> 1 & 3, bool(packet[0] & 8)
        end = 3 + int.from_bytes(packet[1:3], "big")
        topic = packet[3:end].decode()
        mid = int.from_bytes(packet[end : end + 2], "big") if qos else 0
        rest = packet[end + 2 * bool(qos) :]
        if topic.startswith("probe/"):
            self.probed.add(topic)
        elif qos == 2 and mid in self._unreleased:
            if self._unreleased[mid] != rest:
                self.ledger.fault("a packet identifier in use was given to another message", f"{self.name}: {mid}")
            if not dup:
                self.ledger.fault("QoS 2 sent again without DUP", f"{self.name}: {topic} {mid}")
        else:
            self._deliver(topic, rest, dup)
        if qos == 2:
            self._unreleased[mid] = rest
        if qos:
            self._answer(self.level.pubrec(mid) if qos == 2 else self.level.puback(mid))

    def _deliver(self, topic: str, rest: bytes, dup: bool) -> None:
        properties = b""
        if self.level.is_v5:
            properties, rest = rest[1 : 1 + rest[0]], rest[1 + rest[0] :]
            own = props.subscription_id(self._identifier)
            wanted = properties_of(topic) if ".v5." in topic else b""
            if properties not in (wanted + own, own + wanted):
                self.ledger.fault("other properties", f"{self.name}: {topic} {properties.hex(' ')}")
        number = int(rest.split(b":", 1)[0])
        if rest != payload_of(topic, number):
            self.ledger.fault("another payload", f"{self.name}: {topic} {number}")
        self.ledger.deliver(self.name, self.connection, topic, number, dup)

    def _answer(self, packet: bytes) -> None:
        """Now, or later: but in order."""
        if self._late or self.source.random() < self.late_share:
            self._late.append(packet)
        else:
            self.send(packet)

    def catch_up(self) -> None:
        """Send what was kept back."""
        self.send(b"".join(self._late))
        self._late.clear()
