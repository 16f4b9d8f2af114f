"""CONNECT (MQTT 5.0, section 3.1; MQTT 3.1.1, section 3.1).

Theory of operation. The packet is read from front to back by one function per part, and a rule is tested where its
bytes are read; so the order of the code is the order in which a packet that breaks several rules is judged. What the
rules need to know of the listener and the configuration is in `Rules`, made once per listener. Whether the client may
be here at all (authentication, limits, an old session) is decided by others, later.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from mosq.core import Property, lib
from mosq.packets import connack
from mosq.packets import properties as prop
from mosq.packets.error import (
    ACCESS_DENIED,
    CLIENT_ID_NOT_VALID,
    DISALLOWED_FEATURE,
    INVALID_INPUT,
    MALFORMED_PACKET,
    MALFORMED_UTF8,
    NOT_AUTHORISED,
    OVERSIZE_PAYLOAD,
    PROTOCOL_ERROR,
    LogLine,
    ProtocolError,
)
from mosq.packets.reader import Reader, TextError, TruncatedError
from mosq.record import Record

NEVER = 0xFFFFFFFF
"""The session expiry interval of a session that does not expire."""

_BRIDGE = 0x80
_CLEAN = 0x02
_WILL = 0x04
_WILL_QOS = 0x18
_WILL_RETAIN = 0x20
_PASSWORD = 0x40
_USER_NAME = 0x80
_FORWARDED = frozenset(
    {prop.PAYLOAD_FORMAT, prop.CONTENT_TYPE, prop.RESPONSE_TOPIC, prop.CORRELATION_DATA, prop.USER_PROPERTY}
)


class Rules(Record):
    """What a listener and the configuration ask of a CONNECT. Fields are named after the options; `tls`: the listener
    has TLS; message_size_limit: bytes, 0 = none; clientid_prefixes: one prefix, "" = any identifier."""

    versions: frozenset[int] = frozenset((3, 4, 5))
    max_qos: int = 2
    retain_available: bool = True
    tls: bool = False
    mount_point: bytes = b""
    message_size_limit: int = 0
    allow_zero_length_clientid: bool = True
    auto_id_prefix: str = "auto-"
    clientid_prefixes: str = ""
    connection_messages: bool = True


class Will(Record):
    """What to publish when the client is lost. `topic` has the mount point; `properties` are encoded as a PUBLISH
    forwards them, without message expiry. `expiry` and `delay` in seconds; expiry 0 = never."""

    topic: bytes
    payload: bytes
    qos: int
    retain: bool
    properties: bytes = b""
    expiry: int = 0
    delay: int = 0


class Connect(Record):
    """A CONNECT that breaks no rule.

    `version` is 3, 4 or 5; `bridge`: the client says it is one. `keepalive` and `session_expiry` in seconds (expiry 0:
    ends with the connection; NEVER). Of an MQTT 5.0 client: `receive_maximum` (messages), `maximum_packet_size` (bytes)
    and `topic_alias_maximum`, 0 where absent. `generated`: the client identifier is the broker's. An empty user name
    or password is None.
    """

    version: int
    bridge: bool
    clean_start: bool
    keepalive: int
    session_expiry: int
    client_id: str = ""
    generated: bool = False
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None
    receive_maximum: int = 0
    maximum_packet_size: int = 0
    topic_alias_maximum: int = 0
    auth_method: str | None = None
    auth_data: bytes | None = None
    properties: Sequence[Property] = ()


def parse(first: int, body: bytes, peer: str, rules: Rules) -> Connect:
    """The first packet of a connection. `peer` is "address:port", for log lines.

    Raises ProtocolError, whose `connack` is the answer (b"": close without one).
    """
    reader = Reader(body)
    version, bridge = _protocol(first, reader, peer, rules)
    flags, keepalive = _variable_header(version, reader, peer)
    clean = bool(flags & _CLEAN)
    packet = Connect(version, bridge, clean, keepalive, 0 if clean or version == 5 else NEVER)
    if version == 5:
        _properties(packet, reader, rules)
    _will_flags(version, flags, peer, rules)
    if packet.auth_data is not None and packet.auth_method is None:
        # That the line speaks of something else is a fact of the format.
        words = "Protocol error from %s CONNECT with missing clientid string."
        raise _refusal(version, rules, PROTOCOL_ERROR, ("I", words, (peer,)), v5=0x82)
    _client_id(packet, reader, peer, rules)
    if flags & _WILL:
        packet.will = _will(packet, flags, reader, rules)
    elif version > 3 and flags & (_WILL_QOS | _WILL_RETAIN):
        q, r = (flags & _WILL_QOS) >> 3, (flags & _WILL_RETAIN) >> 5
        fmt = "CONNECT without Will with non-zero QoS (%d) or retain (%d)."
        raise _silent(_line(packet.client_id, fmt, q, r))  # [MQTT-3.1.2-11], [MQTT-3.1.2-13]
    _credentials(packet, flags, reader)
    if reader.left:
        line = _line("(null)", "CONNECT packet with overlong remaining length (%d:%d).", reader.pos, reader.end)
        raise _refusal(version, rules, PROTOCOL_ERROR, line, v5=0x81)
    return packet


# ---- errors


def _line(who: str, fmt: str, *args: object) -> LogLine:
    return ("I", "Protocol error from %s: " + fmt, (who, *args))


def _silent(*log: LogLine, text: str = PROTOCOL_ERROR) -> ProtocolError:
    return ProtocolError(None, text, *log)


def _refusal(
    version: int, rules: Rules, text: str, *log: LogLine, v3: int | None = None, v5: int | None = None
) -> ProtocolError:
    """An error answered with the CONNACK code of the version, or with nothing where that is None."""
    code = v5 if version == 5 else v3
    if code is None:
        return ProtocolError(None, text, *log)
    return ProtocolError(code, text, *log, connack=connack.refuse(version, code, code, max_qos=rules.max_qos))


# ---- fixed header, protocol name and version


def _protocol(first: int, reader: Reader, peer: str, rules: Rules) -> tuple[int, bool]:
    """The protocol level, and whether the client is a bridge."""
    if first == 0x16 and not rules.tls:  # a TLS record: ClientHello
        fmt = "Client from %s appears to be using TLS to connect to a non-TLS listener."
        raise _silent(("N", fmt, (peer,)))
    name = _protocol_name(reader, peer)
    try:
        level = reader.byte()
    except TruncatedError:
        raise _silent(_line(peer, "CONNECT with missing protocol version.")) from None
    version = level & ~_BRIDGE
    if version not in rules.versions:
        raise _unacceptable(3 if level in (3, 4) else 5, rules, DISALLOWED_FEATURE)  # [MQTT-3.1.2-2]
    if not _known(name, level):
        raise _wrong_protocol(name, level, peer, rules)
    if first != 0x10 and version > 3:
        raise _silent(_line(peer, "CONNECT with non-zero reserved flags (%02X).", first))  # [MQTT-2.1.3-1]
    return version, level != version


def _protocol_name(reader: Reader, peer: str) -> bytes:
    try:
        n = reader.two_bytes()
    except TruncatedError:
        raise _silent(_line(peer, "CONNECT with missing protocol string length.")) from None
    if n not in (4, 6):
        raise _silent(_line(peer, "CONNECT with incorrect protocol string length (%d).", n))
    if n > reader.left:
        raise _silent(_line(peer, "CONNECT with missing protocol string."))
    name = reader.data[2 : 2 + n]
    reader.pos += n
    return name


def _known(name: bytes, level: int) -> bool:
    if name == b"MQTT":
        return level in (4, 5, 4 | _BRIDGE)
    return name == b"MQIsdp" and level & ~_BRIDGE == 3


def _wrong_protocol(name: bytes, level: int, peer: str, rules: Rules) -> ProtocolError:
    """A name that does not go with the level is answered as the name suggests, any other name not at all."""
    if name not in (b"MQTT", b"MQIsdp"):
        line = _line(peer, 'CONNECT with invalid protocol "%s".', name.decode("utf-8", "replace"))
        return _silent(*(line,) * rules.connection_messages)  # [MQTT-3.1.2-1]
    line = _line(peer, "CONNECT with invalid protocol version (%d).", level)
    version = 5 if name == b"MQTT" and level == 5 | _BRIDGE else 3
    return _unacceptable(version, rules, PROTOCOL_ERROR, *(line,) * rules.connection_messages)


def _unacceptable(version: int, rules: Rules, text: str, *log: LogLine) -> ProtocolError:
    return _refusal(version, rules, text, *log, v3=1, v5=0x84)


# ---- variable header


def _variable_header(version: int, reader: Reader, peer: str) -> tuple[int, int]:
    """The connect flags and the keep alive."""
    try:
        flags = reader.byte()
    except TruncatedError:
        raise _silent(_line(peer, "CONNECT with missing connect flags.")) from None
    if flags & 1 and version > 3:
        raise _silent(_line(peer, "CONNECT with non-zero connect reserved flag (%02X).", flags))  # [MQTT-3.1.2-3]
    try:
        return flags, reader.two_bytes()
    except TruncatedError:
        raise _silent(("I", "%s sent CONNECT with missing keepalive.", ("(null)",))) from None


def _properties(packet: Connect, reader: Reader, rules: Rules) -> None:
    try:
        packet.properties = prop.read(reader, lib.MQ_IN_CONNECT)
    except prop.PropertyError as error:
        raise _refusal(5, rules, error.text, *error.log, v5=error.code) from None
    for identifier, value in packet.properties:
        if isinstance(value, int):
            if identifier == prop.SESSION_EXPIRY:
                packet.session_expiry = value
            elif identifier == prop.RECEIVE_MAXIMUM:
                packet.receive_maximum = value
            elif identifier == prop.MAXIMUM_PACKET_SIZE:
                packet.maximum_packet_size = value
            elif identifier == prop.TOPIC_ALIAS_MAXIMUM:
                packet.topic_alias_maximum = value
        elif isinstance(value, bytes):
            if identifier == prop.AUTH_METHOD:
                packet.auth_method = value.decode()
            elif identifier == prop.AUTH_DATA:
                packet.auth_data = value


def _will_flags(version: int, flags: int, peer: str, rules: Rules) -> None:
    qos = (flags & _WILL_QOS) >> 3
    if qos == 3:
        raise _silent(_line(peer, "CONNECT with invalid Will QoS (3)."))  # [MQTT-3.1.2-12]
    if not flags & _WILL:
        return
    if flags & _WILL_RETAIN and not rules.retain_available:
        raise _refusal(version, rules, DISALLOWED_FEATURE, v5=0x9A)  # [MQTT-3.2.2-13]
    if qos > rules.max_qos:
        raise _refusal(version, rules, DISALLOWED_FEATURE, v5=0x9B)  # [MQTT-3.2.2-12]


# ---- payload


def _client_id(packet: Connect, reader: Reader, peer: str, rules: Rules) -> None:
    version = packet.version
    try:
        packet.client_id = reader.string().decode()
    except TruncatedError:
        raise _silent() from None
    except TextError:
        raise _refusal(version, rules, CLIENT_ID_NOT_VALID, v5=0x85) from None  # [MQTT-3.1.3-4]
    if not packet.client_id:
        if version == 3:
            line = _line(peer, "v3.1 CONNECT with zero length clientid.")
            raise _refusal(version, rules, PROTOCOL_ERROR, line, v3=2)
        if not rules.allow_zero_length_clientid or (version == 4 and not packet.clean_start):
            line = _line(peer, "CONNECT with zero length clientid when forbidden.")
            raise _refusal(version, rules, PROTOCOL_ERROR, line, v3=2, v5=0x80)
        packet.client_id = generate_id(rules.auto_id_prefix)
        packet.generated = True
    if rules.clientid_prefixes and not packet.client_id.startswith(rules.clientid_prefixes):
        raise _refusal(version, rules, NOT_AUTHORISED, v3=5, v5=0x87)


def generate_id(prefix: str) -> str:
    """A client identifier that nobody else has: the prefix and 16 random bytes, written as a UUID is."""
    digits = os.urandom(16).hex().upper()
    return f"{prefix}{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _will(packet: Connect, flags: int, reader: Reader, rules: Rules) -> Will:
    version = packet.version
    will = Will(b"", b"", (flags & _WILL_QOS) >> 3, bool(flags & _WILL_RETAIN))
    if version == 5:
        _will_properties(will, reader, rules)
    try:
        will.topic = reader.string()
        _will_topic(will, version, rules)
        will.payload = reader.binary()
    except TruncatedError:
        raise _refusal(version, rules, MALFORMED_PACKET, v5=0x81) from None
    except TextError:
        raise _silent(text=MALFORMED_UTF8) from None
    if 0 < rules.message_size_limit < len(will.payload):
        line = ("D", "Client %s connected with too large Will payload", (packet.client_id,))
        raise _refusal(version, rules, OVERSIZE_PAYLOAD, line, v3=5, v5=0x95)
    return will


def _will_properties(will: Will, reader: Reader, rules: Rules) -> None:
    try:
        found = prop.read(reader, lib.MQ_IN_WILL)
    except prop.PropertyError as error:
        log: tuple[LogLine, ...] = error.log
        if error.misplaced and error.identifier == prop.REASON_STRING:
            log = (_line("(null)", "CONNECT packet invalid property (%d).", error.identifier),)
        raise _refusal(5, rules, error.text, *log, v5=error.code) from None
    if not found:
        return
    will.properties = prop.encode(item for item in found if item[0] in _FORWARDED)
    for identifier, value in found:
        if isinstance(value, int):
            if identifier == prop.WILL_DELAY:
                will.delay = value
            elif identifier == prop.MESSAGE_EXPIRY:
                will.expiry = 0 if value == NEVER else value


def _will_topic(will: Will, version: int, rules: Rules) -> None:
    """Check the topic and put the mount point before it."""
    if not will.topic:
        line = _line("(null)", "Will with empty topic.")
        raise _refusal(version, rules, PROTOCOL_ERROR, line, v5=0x82)  # [MQTT-4.7.3-1]
    will.topic = rules.mount_point + will.topic
    if will.topic.startswith(b"$CONTROL/"):
        raise _silent(text=ACCESS_DENIED)
    if not lib.mq_topic_valid(will.topic, len(will.topic)):
        raise _silent(text=INVALID_INPUT)


def _credentials(packet: Connect, flags: int, reader: Reader) -> None:
    """MQTT 3.1 clients may announce a user name or password and not send it; then they have none."""
    lenient = packet.version == 3
    if flags & _USER_NAME:
        try:
            packet.username = reader.string().decode() or None
        except (TruncatedError, TextError):
            if not lenient:
                raise _silent(_line(packet.client_id, "CONNECT with username flag but no username.")) from None
    elif flags & _PASSWORD and packet.version < 5:
        fmt = "Protocol error from %s: password without username, closing connection."
        raise _silent(("E", fmt, (packet.client_id,)))  # [MQTT-3.1.2-22] of 3.1.1
    if flags & _PASSWORD:
        try:
            packet.password = reader.binary() or None
        except TruncatedError:
            if not lenient:
                raise _silent(_line(packet.client_id, "CONNECT with password flag but no password.")) from None


# ---- the other direction

_PROTOCOLS = {3: b"\x00\x06MQIsdp", 4: b"\x00\x04MQTT", 5: b"\x00\x04MQTT"}


def encode(
    version: int,
    client_id: bytes,
    *,
    clean_start: bool,
    keepalive: int,
    will: Will | None = None,
    username: bytes | None = None,
    password: bytes | None = None,
    properties: Sequence[Property] = (),
    bridge: bool = False,
) -> bytes:
    """A CONNECT of a client of protocol level `version` (3, 4 or 5); `keepalive` in seconds.

    `bridge` sets the bit by which bridges tell servers that know it what they are. A will's delay and expiry follow its
    own properties. Raises struct.error for a string longer than 65,535 bytes.
    """
    flags = _CLEAN * clean_start | _USER_NAME * (username is not None) | _PASSWORD * (password is not None)
    body = prop.block(properties) if version == 5 else b""
    body += prop.string(client_id)
    if will is not None:
        flags |= _WILL | will.qos << 3 | _WILL_RETAIN * will.retain
        body += _encode_will(version, will)
    for credential in (username, password):
        if credential is not None:
            body += prop.string(credential)
    level = version | (_BRIDGE if bridge else 0)
    head = _PROTOCOLS[version] + bytes((level, flags, keepalive >> 8, keepalive & 0xFF))
    return b"\x10" + prop.variable(len(head) + len(body)) + head + body


def _encode_will(version: int, will: Will) -> bytes:
    stated = b""
    if version == 5:
        stated = will.properties
        if will.delay:
            stated += prop.encode([(prop.WILL_DELAY, will.delay)])
        if will.expiry:
            stated += prop.encode([(prop.MESSAGE_EXPIRY, will.expiry)])
        stated = prop.variable(len(stated)) + stated
    return stated + prop.string(will.topic) + prop.string(will.payload)
