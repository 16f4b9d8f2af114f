"""CONNECT: what is refused, with which answer and which log line; MQTT 3.1.1 and 5.0 section 3.1."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.harness.broker import Broker
from tests.harness.brokers import Brokers
from tests.harness.packets import LEVELS, Level, Will, field, packet, u16, v5, v31, v311

HEADER = {v31: b"\x00\x06MQIsdp\x03", v311: b"\x00\x04MQTT\x04", v5: b"\x00\x04MQTT\x05"}
NO_PROPERTIES = {v31: b"", v311: b"", v5: b"\x00"}
V3_UNACCEPTABLE_VERSION = b"\x20\x02\x00\x01"
V3_ID_REJECTED = b"\x20\x02\x00\x02"
V5_UNSUPPORTED_VERSION = v5.connack(0x84)
SILENT: tuple[bytes, ...] = ()


def raw(level: Level, flags: int, rest: bytes = b"", first: int = 0x10) -> bytes:
    """A CONNECT up to and including its properties, then `rest`."""
    return packet(first, HEADER[level] + bytes([flags]) + u16(60) + NO_PROPERTIES[level] + rest)


@dataclass(frozen=True)
class Refusal:
    """A CONNECT that must be refused: the answer before the close and, where there is one, the log line."""

    title: str
    sent: bytes
    answer: tuple[bytes, ...] = SILENT
    log: str | None = None
    text: str = r"protocol error\."


def every_level(
    title: str, make: object, log: str | None, v5_answer: tuple[bytes, ...] = SILENT, **more: str
) -> list[Refusal]:
    assert callable(make)
    return [
        Refusal(f"{title}-{level}", make(level), v5_answer if level.is_v5 else SILENT, log, **more) for level in LEVELS
    ]


ILLEGAL_UTF8 = b"a\xff"

REFUSALS = [
    Refusal("no_protocol_name_length", packet(0x10), log="CONNECT with missing protocol string length"),
    Refusal("half_a_protocol_name_length", packet(0x10, b"\0"), log="CONNECT with missing protocol string length"),
    Refusal(
        "protocol_name_of_5",
        packet(0x10, field("MQTTX") + b"\x05\x02\0\0"),
        log=r"incorrect protocol string length \(5\)",
    ),
    Refusal(
        "protocol_name_of_0", packet(0x10, field("") + b"\x05\x02\0\0"), log=r"incorrect protocol string length \(0\)"
    ),
    Refusal("protocol_name_truncated", packet(0x10, b"\0\x04MQ"), log="CONNECT with missing protocol string"),
    Refusal("protocol_version_missing", packet(0x10, field("MQTT")), log="CONNECT with missing protocol version"),
    Refusal(
        "mqisdp_with_version_4",
        v31.connect("x", level=4),
        (V3_UNACCEPTABLE_VERSION,),
        r"invalid protocol version \(4\)",
    ),
    Refusal(
        "mqisdp_with_version_5",
        v31.connect("x", level=5),
        (V3_UNACCEPTABLE_VERSION,),
        r"invalid protocol version \(5\)",
    ),
    Refusal(
        "mqtt_with_version_3", v311.connect("x", level=3), (V3_UNACCEPTABLE_VERSION,), r"invalid protocol version \(3\)"
    ),
    Refusal("unknown_name_of_4", v311.connect("x", protocol=b"mqtt"), log='CONNECT with invalid protocol "mqtt"'),
    Refusal("unknown_name_of_6", v31.connect("x", protocol=b"MQISDP"), log='CONNECT with invalid protocol "MQISDP"'),
    Refusal("unknown_name_v5", v5.connect("x", protocol=b"MQTX"), log='CONNECT with invalid protocol "MQTX"'),
    *[
        Refusal(
            f"version_{n}",
            v5.connect("x", level=n),
            (V5_UNSUPPORTED_VERSION,),
            text=r"used disallowed feature \(QoS too high, retain not supported, or bad AUTH method\)\.",
        )
        for n in (0, 1, 2, 6, 0x7F, 0x80, 0xFF)
    ],
    Refusal("header_flags_v3.1.1", raw(v311, 2, field("x"), 0x11), log=r"CONNECT with non-zero reserved flags \(11\)"),
    Refusal("header_flags_v5", raw(v5, 2, field("x"), 0x18), log=r"CONNECT with non-zero reserved flags \(18\)"),
    *every_level("flags_missing", lambda v: packet(0x10, HEADER[v]), "CONNECT with missing connect flags"),
    Refusal("reserved_connect_flag_v3.1.1", raw(v311, 3, field("x")), log=r"non-zero connect reserved flag \(03\)"),
    Refusal("reserved_connect_flag_v5", raw(v5, 3, field("x")), log=r"non-zero connect reserved flag \(03\)"),
    *every_level("keepalive_missing", lambda v: packet(0x10, HEADER[v] + b"\x02"), "CONNECT with missing keepalive"),
    *every_level("keepalive_cut", lambda v: packet(0x10, HEADER[v] + b"\x02\0"), "CONNECT with missing keepalive"),
    *every_level(
        "will_qos_3", lambda v: v.connect("x", will=Will("w", b"", 3)), r"CONNECT with invalid Will QoS \(3\)"
    ),
    *every_level("qos_3_without_will", lambda v: raw(v, 0x1A, field("x")), r"CONNECT with invalid Will QoS \(3\)"),
    *every_level("client_id_missing", lambda v: raw(v, 2), None),
    *every_level("client_id_truncated", lambda v: raw(v, 2, b"\0\x05ab"), None),
    *every_level(
        "client_id_not_utf8",
        lambda v: v.connect(ILLEGAL_UTF8),
        None,
        (v5.connack(0x85),),
        text=r"client identifier not valid\.",
    ),
    *every_level(
        "client_id_with_nul",
        lambda v: v.connect(b"a\0b"),
        None,
        (v5.connack(0x85),),
        text=r"client identifier not valid\.",
    ),
    Refusal("empty_id_v3.1", v31.connect(""), (V3_ID_REJECTED,), "v3.1 CONNECT with zero length clientid"),
    Refusal(
        "empty_id_clean_session_0",
        v311.connect("", clean=False),
        (V3_ID_REJECTED,),
        "CONNECT with zero length clientid when forbidden",
    ),
    *[
        Refusal(
            f"{title}_without_will-{level}",
            raw(level, flags, field("x")),
            log=r"CONNECT without Will with non-zero QoS",
        )
        for title, flags in (("will_qos_1", 0x0A), ("will_qos_2", 0x12), ("will_retain", 0x22))
        for level in (v311, v5)
    ],
    *[
        Refusal(
            f"username_{title}-{level}",
            raw(level, 0x82, field("x") + rest),
            log="CONNECT with username flag but no username",
        )
        for title, rest in (("missing", b""), ("truncated", b"\0\x05ab"), ("not_utf8", field(ILLEGAL_UTF8)))
        for level in (v311, v5)
    ],
    *[
        Refusal(
            f"password_without_username-{level}",
            raw(level, 0x42, field("x") + field("pw")),
            log="password without username, closing",
        )
        for level in (v31, v311)
    ],
    *[
        Refusal(
            f"password_truncated-{level}",
            raw(level, 0xC2, field("x") + field("u") + b"\0\x05a"),
            log="CONNECT with password flag but no password",
        )
        for level in (v311, v5)
    ],
    *every_level(
        "bytes_left_over", lambda v: raw(v, 2, field("x") + b"!"), "overlong remaining length", (v5.connack(0x81),)
    ),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda c: c.title)
def test_bad_connect_is_refused(broker: Broker, case: Refusal) -> None:
    """[MQTT-3.1.0-1 3.1.2-1 3.1.2-2 3.1.2-3 3.1.2-11 .. 3.1.2-22 3.1.3-3 3.1.3-4 3.1.3-11 3.1.4-1]"""
    client = broker.client()
    client.send(case.sent)
    client.expect_refused(*case.answer)


@pytest.mark.differs("the log lines are those of a later release")
@pytest.mark.parametrize("case", REFUSALS, ids=lambda c: c.title)
def test_bad_connect_is_logged(broker: Broker, case: Refusal) -> None:
    client = broker.client()
    start = broker.log_position()
    client.send(case.sent)
    client.expect_refused(*case.answer)
    line = broker.wait_for_log(rf"Client \S+ \[{client.address}\] disconnected: (.*)", start=start)
    assert broker.logged(rf"\[{client.address}\] disconnected: {case.text}$", start), line[0]
    if case.log is not None:
        assert broker.logged(case.log, start)


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_second_connect_ends_the_connection(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.1.0-2] a second CONNECT is a protocol error, which v5 is told ([MQTT-4.13.1-1])."""
    client = broker.connected(level, name)
    client.send(level.connect(name))
    client.expect_closed() if not level.is_v5 else client.read_packet()
    broker.wait_for_log(rf"Bad client {client.address} sending multiple CONNECT messages\.")


@pytest.mark.differs("it closes without a word")
def test_second_connect_gets_a_disconnect_in_v5(broker: Broker, name: str) -> None:
    """[MQTT-3.1.0-2] answered as any protocol error of an established session: DISCONNECT 0x82."""
    client = broker.connected(v5, name)
    client.send(v5.connect(name))
    client.expect_refused(v5.disconnect(0x82))


@pytest.mark.differs("it drops the will and the session")
@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_second_connect_publishes_the_will_and_keeps_the_session(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.1.2-8] the will goes out; [MQTT-3.1.2-23] the session lasts as long as it was asked to."""
    watcher = broker.connected(v311, f"{name}w")
    watcher.subscribe(f"{name}/will")
    keep = b"\x11\0\0\0\x3c"
    client = broker.connected(level, name, clean=False, will=Will(f"{name}/will", b"gone"), properties=keep)
    client.send(level.connect(name, clean=False))
    client.expect_refused(*([v5.disconnect(0x82)] if level.is_v5 else []))
    watcher.expect(v311.publish(f"{name}/will", b"gone"))
    # 3.1 has no session-present flag
    broker.connected(level, name, clean=False, session_present=level is not v31, properties=keep)


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_minimal_connect_is_accepted(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.1.4-4 / 3.1.4-5] the first answer is CONNACK 0; [MQTT-3.2.0-1] and it is the first packet."""
    client = broker.client()
    client.send(level.connect(name))
    client.expect(level.connack())


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(packet(0x1F, HEADER[v31] + b"\x02\0\x3c" + field("lax31")), id="header_flags"),
        pytest.param(raw(v31, 0x03, field("lax31")), id="reserved_connect_flag"),
        pytest.param(raw(v31, 0x2A, field("lax31")), id="will_bits_without_will"),
        pytest.param(raw(v31, 0x82, field("lax31")), id="username_missing"),
        pytest.param(raw(v31, 0xC2, field("lax31") + field("u")), id="password_missing"),
    ],
)
def test_v31_is_lenient_where_its_specification_is_silent(broker: Broker, sent: bytes) -> None:
    client = broker.client()
    client.send(sent)
    client.expect(v31.connack())
    client.send(b"\xe0\0")
    client.expect_closed()


def test_v5_password_without_username_is_accepted(broker: Broker, name: str) -> None:
    """MQTT 5.0 3.1.2.9 allows what 3.1.1 forbids in [MQTT-3.1.2-22]."""
    client = broker.client()
    client.send(v5.connect(name, password="secret"))
    client.expect(v5.connack())


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_zero_length_username_and_password_are_accepted(broker: Broker, name: str, level: Level) -> None:
    broker.connected(level, name, username="", password="")


@pytest.mark.differs("CVE-era rule: it only knows the flag for bridges with version 3 and 4 and crashes nothing else")
@pytest.mark.parametrize("level, number", [(v31, 0x83), (v311, 0x84)], ids=["v3.1", "v3.1.1"])
def test_bridge_flag_in_the_version_byte_is_accepted(broker: Broker, name: str, level: Level, number: int) -> None:
    client = broker.client()
    client.send(level.connect(name, level=number))
    client.expect(level.connack())
    broker.wait_for_log(rf"New bridge connected from {client.address} as {name} \(p{level.number}, c1, k60\)\.")


@pytest.mark.differs("it makes a v5 session of it but reads no properties")
def test_bridge_flag_on_v5_is_refused_or_read_as_v5(broker: Broker, name: str) -> None:
    client = broker.client()
    client.send(v5.connect(name, level=0x85))
    assert client.read_packet() in (v5.connack(0x84), v5.connack())


@pytest.mark.parametrize("level", [v31, v311], ids=str)
def test_bridge_client_gets_retain_as_published_and_no_echo(broker: Broker, name: str, level: Level) -> None:
    bridge = broker.client(level)
    bridge.send(level.connect(name, level=level.number | 0x80))
    bridge.expect(level.connack())
    bridge.subscribe(f"{name}/#")
    bridge.publish(f"{name}/own", b"echo")
    other = broker.connected(v311, f"{name}o")
    other.publish(f"{name}/a", b"x", retain=True)
    bridge.expect(level.publish(f"{name}/a", b"x", retain=True))
    other.publish(f"{name}/a", b"", retain=True)


def test_tls_handshake_on_a_plain_listener_is_recognised(broker: Broker) -> None:
    client = broker.client()
    client.send(bytes.fromhex("16 03 01 02 00 01 00 01 fc 03 03"))
    client.expect_closed()
    broker.wait_for_log(rf"{client.address}.*(appears to be using TLS|First packet not CONNECT)")


@pytest.mark.parametrize(
    "versions, accepted", [("5", {v5}), ("3", {v31}), ("4", {v311}), ("3, 4", {v31, v311}), ("4 5", {v311, v5})]
)
def test_listener_accepts_only_its_protocol_versions(
    brokers: Brokers, name: str, versions: str, accepted: set[Level]
) -> None:
    """[MQTT-3.1.2-2] an unacceptable version gets the code of its own version."""
    broker = brokers(listener=f"accept_protocol_versions {versions}")
    for level in LEVELS:
        client = broker.client()
        client.send(level.connect(name))
        if level in accepted:
            client.expect(level.connack())
        else:
            client.expect_refused(V5_UNSUPPORTED_VERSION if level.is_v5 else V3_UNACCEPTABLE_VERSION)


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("username", [None, "", "somebody"])
def test_client_nobody_vouches_for_is_refused(brokers: Brokers, name: str, level: Level, username: str | None) -> None:
    """[MQTT-3.1.4-2] with the code of "not authorised"; [MQTT-3.2.2-6] session present is 0."""
    broker = brokers("allow_anonymous false")
    client = broker.client()
    client.send(level.connect(name, username=username, password=username))
    client.expect_refused(level.connack(0x87 if level.is_v5 else 5))
    broker.wait_for_log(rf"Client {name} \[{client.address}\] disconnected: not authorised\.")


@pytest.mark.differs("option of a later release")
@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_client_id_outside_the_prefixes_is_refused(brokers: Brokers, name: str, level: Level) -> None:
    broker = brokers("clientid_prefixes good-")
    client = broker.client()
    client.send(level.connect(name))
    client.expect_refused(level.connack(0x87 if level.is_v5 else 5))
    broker.connected(level, f"good-{name}")


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_refused_connect_disturbs_no_existing_session(brokers: Brokers, name: str, level: Level) -> None:
    """[MQTT-3.1.4-2 3.1.4-3] take-over happens only for a client that may connect."""
    broker = brokers()
    first = broker.connected(level, name)
    second = broker.client()
    second.send(raw(level, 2, field(name) + b"left over"))
    second.expect_refused(*([v5.connack(0x81)] if level.is_v5 else []))
    first.expect_silence()
