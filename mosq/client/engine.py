"""The client's state machine: from the first attempt to connect to the end, over any number of connections.

    IDLE --start--> CONNECTING --> HANDSHAKE --> WAITING --CONNACK 0--> UP --disconnect--> CLOSING --> ENDED
                        ^              |            |                    |
                        +-BACKING_OFF--+------------+--------------------+   any error; as Handler.closed decides

- CONNECTING, HANDSHAKE: the transport is at work (`Transport.advance`). WAITING: CONNECT was sent.
- CLOSING: DISCONNECT was sent and nothing may follow it; what comes is not looked at. The client waits until the server
  closes, so that DISCONNECT has arrived when the process ends: closing earlier could destroy it on its way.
- The session lives in the core from the beginning to the end, so that what was published while there was no
  connection, or was not acknowledged on the last, goes out on the next.

Every way to lose a connection leads through `_fail` or `_closed`.
"""

from __future__ import annotations

import os
from selectors import EVENT_READ, EVENT_WRITE

from mosq.client import errors, lines, verdicts
from mosq.client.errors import ClientError
from mosq.client.handler import Connack, Handler, Refusal
from mosq.client.limits import Limits
from mosq.client.messages import batch_of
from mosq.client.outgoing import Outgoing, check_properties
from mosq.core import errno_of, ffi, lib
from mosq.packets import connack, connect, disconnect, properties, suback, subscribe, unsuback, unsubscribe
from mosq.packets.error import ProtocolError, malformed
from mosq.packets.reader import Reader

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from mosq.client.host import Host
    from mosq.client.settings import Settings
    from mosq.client.transport import Transport
    from mosq.core import Property
    from mosq.reactor import Timer

IDLE, CONNECTING, HANDSHAKE, WAITING, UP, CLOSING, BACKING_OFF, ENDED = range(8)

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_PINGREQ = b"\xc0\x00"
_PAYLOAD_MAX = 268435455
_UNSUPPORTED_VERSION = 132


class Client:
    """See the top of this file. `state` is one of its states, `attempts` those without CONNACK since the last that had
    one.

    `client_id`: None while it is not known. `limits`: what the server's CONNACK said (mosq.client.limits).
    """

    def __init__(self, settings: Settings, handler: Handler, host: Host) -> None:
        """Raises ClientError when `settings` holds properties that CONNECT may not have, MemoryError."""
        check_properties(settings.version, lib.MQ_IN_CONNECT, settings.properties)
        self.settings = settings
        self.handler = handler
        self.host = host
        self.state = IDLE
        self.attempts = 0
        self.version = settings.version
        self._id = settings.client_id or (_made_up_id() if settings.version == 3 else b"")
        self.limits = Limits(settings)
        self.session: Any = lib.mq_session_new(host.core.c, self._id, len(self._id))
        if not self.session:
            raise MemoryError("no memory for a session")
        self.c: Any = None
        self._owner = -1
        self._transport: Transport | None = None
        self._events = 0
        self._watched = (-1, 0)
        self._timer: Timer | None = None
        self._ping_at: float | None = None
        self._blocked = self._was_blocked = False
        self._finished = False
        self._asked = False
        self._batch = 0
        self._waiting = 0
        self._published = False
        self._prepared: tuple[tuple[object, ...], Outgoing] | None = None
        if settings.debug:
            lib.mq_core_trace(host.core.c, 1)

    @property
    def client_id(self) -> bytes | None:
        return self._id or None

    # ---- what the client is told to do

    def start(self) -> None:
        """Make the first attempt to connect. Errors go to Handler.closed."""
        self._attempt()

    def publish(
        self, topic: bytes, payload: bytes, qos: int = 0, retain: bool = False, properties: Sequence[Property] = ()
    ) -> int:
        """Publish; its packet identifier, which QoS 0 has too, though it does not leave the client.

        QoS 1 and 2 are queued when there is no connection or the window is full. A Topic Alias among the properties is
        used as far as the server allows it: the first PUBLISH of a connection carries topic and alias, later ones the
        alias. RETAIN is left away for a server that keeps no retained messages. Raises ClientError: INVALID (topic),
        PAYLOAD_SIZE, QOS_NOT_SUPPORTED and PACKET_TOO_LARGE (the server's limits), NO_CONNECTION (QoS 0 while not UP,
        any after `disconnect`), NO_MEMORY, and what `check_properties` raises.
        """
        outgoing = self._prepare(topic, qos, retain, properties)
        if len(payload) > _PAYLOAD_MAX:
            raise ClientError(errors.PAYLOAD_SIZE)
        mid = ffi.new("uint16_t *")
        status = lib.mq_client_publish(self.session, outgoing.c, ffi.from_buffer(payload), len(payload), mid)
        _check(status)
        self._published = True
        return int(mid[0])

    def publish_lines(
        self,
        data: Any,
        topic: bytes,
        qos: int = 0,
        retain: bool = False,
        properties: Sequence[Property] = (),
        *,
        last: bool = False,
    ) -> tuple[int, int]:
        """Publish each line of `data` (bytes-like), without its newline; `last`: also what follows the last newline.

        As (bytes done, messages). Fewer than there are when there is no room: call again with the rest after
        Handler.progress. QoS 0 while not UP is lost. Raises as `publish`; the lines before the one at fault were
        published.
        """
        outgoing = self._prepare(topic, qos, retain, properties, lose=True)
        count = ffi.new("size_t *")
        status = ffi.new("int *")
        done = lib.mq_client_lines(self.session, outgoing.c, ffi.from_buffer(data), len(data), last, count, status)
        self._published = self._published or count[0] > 0
        _check(status[0])
        return int(done), int(count[0])

    def subscribe(self, filters: Sequence[tuple[bytes, int]], properties: Sequence[Property] = ()) -> int:
        """SUBSCRIBE to filters, each with its options byte (MQTT 5.0, section 3.8.3.1; before: the QoS); its packet
        identifier. Filters are sent as given. Raises ClientError: NO_CONNECTION, and what `check_properties` raises."""
        self._require_up()
        check_properties(self.version, lib.MQ_IN_SUBSCRIBE, properties)
        mid = self.next_mid()
        for topic_filter, options in filters:
            self._debug(lines.subscribe, mid, topic_filter, options)
        self._send(subscribe.encode(self.version, mid, filters, properties))
        return mid

    def unsubscribe(self, filters: Sequence[bytes], properties: Sequence[Property] = ()) -> int:
        """UNSUBSCRIBE from filters; its packet identifier. Raises as `subscribe`."""
        self._require_up()
        check_properties(self.version, lib.MQ_IN_UNSUBSCRIBE, properties)
        mid = self.next_mid()
        for topic_filter in filters:
            self._debug(lines.unsubscribe, mid, topic_filter)
        self._send(unsubscribe.encode(self.version, mid, filters, properties))
        return mid

    def disconnect(self, reason: int = 0, properties: Sequence[Property] = ()) -> None:
        """End: send DISCONNECT behind what was published, and wait until the server closes (Settings.clean_end).

        `reason` and `properties` are MQTT 5.0's. Without a connection it is over at once, also while one is being made.
        In any case Handler.closed is called, later in this call or after it, with SUCCESS. Raises ClientError as
        `check_properties`, and nothing happens then.
        """
        check_properties(self.version, lib.MQ_IN_DISCONNECT, properties)
        if self.state in (WAITING, UP):
            self._say_goodbye(reason, properties)
            lib.mq_client_ended(self.c)
            self.state = CLOSING
            self._asked = True
            self._ping_at = None
            self._set_timer(self.limits.keepalive or 60, self._closed, _ended())
        elif self.state not in (CLOSING, ENDED):
            self._asked = True
            self._closed(_ended())

    def abort(self) -> None:
        """End at once and without a word: the connection is closed; Handler.closed is not called."""
        self._teardown()
        self.state = ENDED

    def batch(self, most: int) -> None:
        """Hand up, and acknowledge, at most so many messages at once; 0: all that came. Who ends after n messages says
        n, so that no message beyond is acknowledged."""
        self._batch = most
        if self.c:
            lib.mq_client_batch(self.c, most)

    def check_disconnect(self, properties: Sequence[Property]) -> None:
        """Whether `disconnect` will take these properties. Raises ClientError."""
        check_properties(self.version, lib.MQ_IN_DISCONNECT, properties)

    # ---- what may be asked

    @property
    def room(self) -> int:
        """How many messages may be published before memory is more than a slow server is worth; 0: wait for
        progress."""
        return int(lib.mq_client_room(self.session))

    @property
    def pending(self) -> int:
        """QoS 1 and 2 messages that are not completed."""
        return int(lib.mq_client_pending(self.session))

    @property
    def unsent(self) -> int:
        """Bytes of output that have not left yet."""
        return int(lib.mq_client_unsent(self.c)) if self.c else 0

    def next_mid(self) -> int:
        """A packet identifier, used up by asking."""
        mid = int(lib.mq_client_next_mid(self.session))
        if not mid:
            raise ClientError(errors.NO_MEMORY)
        return mid

    # ---- an attempt to connect

    def _attempt(self) -> None:
        self.state = CONNECTING
        self._timer = None
        self._finished = self._blocked = False
        self._ping_at = None
        self.attempts += 1
        self._guarded(self._dial)

    def _dial(self) -> None:
        self._transport = self.settings.dial()
        self._advance()

    def _guarded(self, fn: Callable[..., object], *args: Any) -> None:
        """Call `fn` on behalf of the connection: whatever it raises ends that, and nothing else."""
        try:
            fn(*args)
        except ProtocolError as error:
            self._fail(*verdicts.of_exception(error))
        except ClientError as failed:
            self._fail(failed, 0x82 if failed.code == errors.PROTOCOL else None)
        except MemoryError:
            self._fail(ClientError(errors.NO_MEMORY), 0x80)
        except Exception as exc:
            self.host.reactor.report(exc)
            self._fail(ClientError(errors.UNKNOWN), 0x80)

    def _advance(self) -> None:
        """Go on with the transport. The socket may be another one, or none, afterwards."""
        transport = self._transport
        assert transport is not None
        self._watch(0)
        try:
            events = transport.advance()
        except ClientError:
            if self._reached(transport):
                raise
            return
        if not self._reached(transport):
            return
        if events:
            self._watch(events)
        else:
            self._open(transport)

    def _reached(self, transport: Transport) -> bool:
        """Tell the handler once the network connection is there, even if the handshake has failed by now. False: the
        handler has ended it."""
        if self.state == CONNECTING and transport.connected:
            self.state = HANDSHAKE
            self.handler.connected()
        return self._transport is transport

    def _open(self, transport: Transport) -> None:
        """The stream is there: CONNECT."""
        settings = self.settings
        self._owner = self.host.add(self)
        fd = transport.fd if transport.direct else -1
        self.c = lib.mq_client_new(self.host.core.c, fd, self._owner, self.version, self.limits.maximum_packet_size_in)
        if not self.c:
            raise ClientError(errors.NO_MEMORY)
        lib.mq_client_batch(self.c, self._batch)
        lib.mq_client_route(self.c, settings.route)
        self.state = WAITING
        self._watch(EVENT_READ)
        self._debug(lines.packet, True, 1)
        self._send(
            connect.encode(
                self.version,
                self._id,
                clean_start=settings.clean_start,
                keepalive=self.limits.keepalive,
                will=settings.will,
                username=settings.username,
                password=settings.password,
                properties=settings.properties,
            )
        )
        self._keep_alive()
        self._on_status(transport.attach(self.c))

    # ---- the socket

    def on_ready(self, mask: int) -> None:
        """The socket is ready."""
        self._guarded(self._ready, mask)

    def _ready(self, mask: int) -> None:
        transport = self._transport
        assert transport is not None
        if self.state in (CONNECTING, HANDSHAKE):
            self._advance()
            return
        if mask & (EVENT_READ | transport.wants):
            direct = transport.direct
            self._on_status(lib.mq_conn_readable(self.c) if direct else transport.receive(self.c))
            if not direct and self._transport is transport:
                self._watch(self._events)  # what it needs beyond that may have changed
        if mask & EVENT_WRITE and self._transport is transport:
            self._on_writable(transport)

    def on_output(self, error: int) -> None:
        """The socket took only a part of the output, or none of it was tried (0), or it failed with this errno."""
        transport = self._transport
        if transport is None or not self.c:
            return
        if error:
            self._fail(*verdicts.of_status(lib.MQ_ERRNO, (error, 0, 0)))
        elif transport.direct:
            self._block()
        elif not self._blocked:
            self._guarded(self._transmit, transport)

    def _transmit(self, transport: Transport) -> None:
        if not transport.transmit(self.c):
            self._block()

    def _on_writable(self, transport: Transport) -> None:
        if transport.direct:
            status = lib.mq_conn_writable(self.c)
            if status:
                self._on_status(status)
                return
        else:
            lib.mq_conn_full(self.c, 0)
            if not transport.transmit(self.c):
                self._block()
                return
        self._blocked = False
        self._watch(EVENT_READ)

    def _block(self) -> None:
        """The socket is full: wait until it takes more."""
        self._blocked = True
        lib.mq_conn_full(self.c, 1)
        self._watch(EVENT_READ | EVENT_WRITE)

    def _on_status(self, status: int) -> None:
        if status in (lib.MQ_OK, lib.MQ_STOPPED):
            return
        if status == lib.MQ_BLOCKED:
            self._block()
        elif status == lib.MQ_PAUSED:
            self._watch(EVENT_WRITE)
        elif self.state == CLOSING:
            self._closed(_ended())
        else:
            numbers = errno_of(self.c)
            if status in (lib.MQ_NOT_FROM_CLIENT, lib.MQ_RESERVED):
                kind = numbers[0] if status == lib.MQ_NOT_FROM_CLIENT else 0
                self._debug_line(lines.unrecognised(kind))
            self._fail(*verdicts.of_status(status, numbers))

    def _watch(self, events: int) -> None:
        """Have the reactor watch for `events`, and for what the transport needs; 0: for nothing."""
        reactor, transport = self.host.reactor, self._transport
        self._events = events
        if events and transport is not None:
            wanted = (transport.fd, events | transport.wants)
        else:
            wanted = (-1, 0)
        if wanted == self._watched:
            return
        fd, before = self._watched
        self._watched = wanted
        if before and fd == wanted[0]:
            reactor.modify(fd, wanted[1], self)
            return
        if before:
            reactor.unregister(fd)
        if wanted[1]:
            reactor.register(wanted[0], wanted[1], self)

    def _send(self, packet: bytes) -> None:
        if lib.mq_conn_send(self.c, packet, len(packet)) == lib.MQ_NOMEM:
            raise ClientError(errors.NO_MEMORY)

    # ---- packets from the server

    def on_packet(self, first: int, body: bytes) -> int:
        """A packet that the core hands up. Not 0: it shall go no further in this turn."""
        kind = first >> 4
        if self.state not in (WAITING, UP):
            return 1
        if self.state == WAITING and kind not in _BEFORE_UP:
            self._fail(ClientError(errors.PROTOCOL), 0x82)
        else:
            self._guarded(_PACKETS[kind], self, first, body)
        return self.state not in (WAITING, UP)

    def on_messages(self, data: Any, data_n: int, received: Any, n: int) -> int:
        """A batch from the core."""
        self._guarded(self.handler.messages, batch_of(data, data_n, received, n))
        return self.state != UP

    def _on_connack(self, first: int, body: bytes) -> None:
        if self.state == UP:
            self._debug_line(lines.duplicate_connack(self._name))
            raise ClientError(errors.PROTOCOL)
        flags, code, stated = connack.parse(self.version, first, body)
        if self.version > 3 and flags & 0xFE:
            self._debug_line(lines.connack_flags(self._name, flags))
            raise ClientError(errors.PROTOCOL)
        old_style = self.version == 5 and len(body) == 2
        if old_style and code == 1:
            code = _UNSUPPORTED_VERSION
        if self.version == 5 and not code:
            self._adopt(stated)
        self._debug_line(lines.connack(self._name, code))
        answer = Connack(self.version, code, bool(flags & 1) and self.version > 3, stated)
        if code:
            self._refused(answer, old_style)
            return
        if answer.session_present and self.settings.clean_start:
            self._debug_line(lines.session_present(self._name))
            raise ClientError(errors.PROTOCOL)
        self._up(answer)

    def _adopt(self, stated: Sequence[Property]) -> None:
        """What the server says of itself, and the identifier that it assigns."""
        self.limits.learn(stated)
        for identifier, value in stated:
            if identifier == properties.ASSIGNED_CLIENT_ID and isinstance(value, bytes):
                if self.settings.client_id:
                    raise ClientError(errors.PROTOCOL)
                self._id = value

    def _up(self, answer: Connack) -> None:
        if not answer.session_present:
            lib.mq_client_forget(self.session)
        lib.mq_conn_accept(self.c, self.session, self.limits.terms(self.version))
        self.state = UP
        self.attempts = 0
        lib.mq_conn_resume(self.c)
        self._waiting = self.pending
        self._published = self._published or self._waiting > 0
        self._keep_alive()
        self.handler.connack(answer)

    def _refused(self, answer: Connack, old_style: bool) -> None:
        self.handler.connack(answer)
        if self.state == CLOSING:
            self._finish_now()
        if self.state in (WAITING, CLOSING):
            plain = self.version < 5 and answer.code <= 5
            said = self.state == CLOSING or old_style
            error = ClientError(errors.REFUSED if plain else errors.PROTOCOL, reason=answer.code)
            self._fail(error, None if said else 0x82)

    def _on_suback(self, first: int, body: bytes) -> None:
        mid, codes, stated = suback.parse(self.version, first, body)
        self._debug(lines.packet, False, 9)
        self.handler.suback(mid, codes, stated)

    def _on_unsuback(self, first: int, body: bytes) -> None:
        mid, codes, stated = unsuback.parse(self.version, first, body)
        self._debug(lines.packet, False, 11)
        self.handler.unsuback(mid, codes, stated)

    def _on_pingresp(self, first: int, body: bytes) -> None:
        self._debug(lines.packet, False, 13)
        self._ping_at = None

    def _on_disconnect(self, first: int, body: bytes) -> None:
        if self.version < 5:
            raise ClientError(errors.PROTOCOL)  # only clients send it
        reason = disconnect.parse(5, first, body, "", connect.NEVER).reason
        self._debug_line(lines.disconnect(reason))
        self._fail(ClientError(errors.NO_CONNECTION if reason else errors.SUCCESS, reason=reason))

    def _on_auth(self, first: int, body: bytes) -> None:
        """There is no extended authentication here."""
        self._debug(lines.packet, False, 15)
        if self.version < 5:
            raise ClientError(errors.PROTOCOL)
        if first != 0xF0:
            raise malformed()
        if len(body) > 1:
            reader = Reader(body, 1)
            properties.read(reader, lib.MQ_IN_AUTH)
            if reader.left:
                raise malformed()
        raise ClientError(errors.NOT_AUTHORISED)

    def _on_refusal(self, first: int, body: bytes) -> None:
        """PUBACK, PUBREC or PUBCOMP with a reason code that refuses; the core has read it once, so it is
        well-formed."""
        said = b""
        if len(body) > 3:
            for identifier, value in properties.read(Reader(body, 3), lib.MQ_IN_ACK):
                if identifier == properties.REASON_STRING and isinstance(value, bytes):
                    said = value
        self.handler.refused(Refusal(body[0] << 8 | body[1], first >> 4, body[2], said))

    # ---- keepalive

    def _keep_alive(self) -> None:
        """Whether somebody has been silent for too long; and when to ask again."""
        period = self.limits.keepalive
        if not period:
            return
        quiet = int(lib.mq_client_quiet(self.c))
        if self._ping_at is not None:
            if self.host.reactor.now - self._ping_at >= period:
                self._fail(ClientError(errors.KEEPALIVE))
                return
        elif quiet >= period:
            if self.state == WAITING:
                self._fail(ClientError(errors.KEEPALIVE))
                return
            self._debug(lines.packet, True, 12)
            self._send(_PINGREQ)
            self._ping_at = self.host.reactor.now
            quiet = 0
        self._set_timer(max(1, period - quiet), self._guarded, self._keep_alive)

    def _set_timer(self, seconds: float, fn: Callable[..., object], *args: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.host.reactor.call_later(seconds, fn, *args)

    # ---- the end of a turn

    def turn_ended(self) -> None:
        """The host has flushed the output of this turn, and will flush again what is said now."""
        if self.state == UP:
            self._guarded(self._tell)

    def flushed(self) -> None:
        """The host has flushed all output of this turn. The end of the stream goes with DISCONNECT, which would
        otherwise wait for the acknowledgement of the packet before it (Nagle's algorithm)."""
        if self.state == CLOSING and not self._finished and not self.unsent and self._transport is not None:
            self._finished = True
            self._transport.finish()
            if self.settings.clean_end is not None:
                self._set_timer(self.settings.clean_end, self._closed, _ended())

    def _tell(self) -> None:
        """Tell the handler what has been done since the last turn."""
        pending = self.pending
        done, blocked = pending < self._waiting, self._blocked
        self._waiting = pending
        if not pending and self._published and not self.unsent:
            self._published = False
            self.handler.complete()
            if self._published:
                self.host.reactor.call_soon(_nothing)  # what was published just now is looked at in another turn
        elif done or (self._was_blocked and not blocked):
            self.handler.progress()
        self._was_blocked = blocked

    # ---- the end of a connection

    def _say_goodbye(self, reason: int, stated: Sequence[Property] = ()) -> None:
        self._debug(lines.packet, True, 14)
        self._send(disconnect.encode(reason, stated) if self.version == 5 else disconnect.encode(0))

    def _fail(self, error: ClientError, reason: int | None = None) -> None:
        """Close because of `error`; an MQTT 5.0 server is told `reason` before, if there is one."""
        if self.state in (IDLE, BACKING_OFF, ENDED):
            return
        if self.state == CLOSING:
            error = error if error.code in (errors.REFUSED, errors.PROTOCOL) else _ended()
        elif reason is not None and self.version == 5 and self.c:
            self._say_goodbye(reason)
            self._finish_now()
        self._closed(error)

    def _finish_now(self) -> None:
        """Write what the socket takes without waiting."""
        transport = self._transport
        assert transport is not None
        try:
            if transport.direct:
                lib.mq_conn_final(self.c)
            elif not self._blocked:
                transport.transmit(self.c)
            transport.finish()
        except ClientError:
            pass  # it is lost, then

    def _closed(self, error: ClientError) -> None:
        self._teardown()
        self.state = ENDED
        for line in error.lines:
            self._debug_line(line)
        delay = self.handler.closed(error)
        if delay is not None and not self._asked and self.state == ENDED:
            self.state = BACKING_OFF
            self._set_timer(delay, self._attempt)

    def _teardown(self) -> None:
        self._watch(0)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.c:
            lib.mq_conn_close(self.c)
            self.c = None
            self.host.remove(self._owner)
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    # ---- debug lines

    @property
    def _name(self) -> str | None:
        return self._id.decode("utf-8", "replace") if self._id else None

    def _debug_line(self, line: str) -> None:
        if self.settings.debug:
            self.handler.debug(line)

    def _debug(self, line: Callable[..., str], *args: Any) -> None:
        if self.settings.debug:
            self.handler.debug(line(self._name or "null", *args))

    def on_notice(self, notice: int, value: int) -> None:
        """Something worth a line; the core must not be called."""
        if notice == lib.MQ_NOTICE_UNKNOWN_PUBREC:
            self._debug(lines.unknown_pubrec, value)
        elif notice == lib.MQ_NOTICE_TOO_LARGE:
            self._debug_line(lines.too_large(value))

    def on_trace(self, sent: int, first: int, mid: int, rc: int, topic: bytes, payload_n: int) -> None:
        """A packet that the core handles by itself; the core must not be called."""
        if first >> 4 == 3:
            self._debug(lines.publish, bool(sent), first, mid, topic, payload_n)
        else:
            self._debug(lines.packet, bool(sent), first >> 4, mid, rc)

    # ---- checks

    def _prepare(
        self, topic: bytes, qos: int, retain: bool, stated: Sequence[Property], *, lose: bool = False
    ) -> Outgoing:
        """What is to be published, made once for many messages in a row that differ in the payload alone."""
        if self.state in (IDLE, CLOSING, ENDED) or (qos == 0 and self.state != UP and not lose):
            raise ClientError(errors.NO_CONNECTION)
        if qos > self.limits.maximum_qos:
            raise ClientError(errors.QOS_NOT_SUPPORTED)
        key = (topic, qos, retain, stated)
        if self._prepared is None or self._prepared[0] != key:
            self._prepared = (key, Outgoing(self.version, topic, qos, retain, stated))
        return self._prepared[1]

    def _require_up(self) -> None:
        if self.state != UP:
            raise ClientError(errors.NO_CONNECTION)


_PACKETS: dict[int, Callable[[Client, int, bytes], None]] = {
    2: Client._on_connack,
    4: Client._on_refusal,
    5: Client._on_refusal,
    7: Client._on_refusal,
    9: Client._on_suback,
    11: Client._on_unsuback,
    13: Client._on_pingresp,
    14: Client._on_disconnect,
    15: Client._on_auth,
}
_BEFORE_UP = frozenset({2, 14, 15})


def _check(status: int) -> None:
    if status == lib.MQ_NONE:
        raise ClientError(errors.NO_CONNECTION)
    if status == lib.MQ_OVERSIZE:
        raise ClientError(errors.PACKET_TOO_LARGE)
    if status != lib.MQ_OK:
        raise ClientError(errors.NO_MEMORY)


def _ended() -> ClientError:
    return ClientError(errors.SUCCESS)


def _nothing() -> None:
    """For the sake of the turn in which it is called."""


def _made_up_id() -> bytes:
    """For MQTT 3.1, which knows no empty identifier."""
    return b"mosq-" + "".join(_LETTERS[byte % len(_LETTERS)] for byte in os.urandom(18)).encode()
