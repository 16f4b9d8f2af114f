"""The client's state machine: from the first attempt to connect to the end, over any number of connections.

    IDLE --start--> CONNECTING --> HANDSHAKE --> WAITING --CONNACK 0--> UP --disconnect--> CLOSING --> ENDED
                        ^              |            |                    |
                        +-BACKING_OFF--+------------+--------------------+   any error; as Handler.closed decides

- CONNECTING, HANDSHAKE: the transport is at work (`Transport.advance`). WAITING: CONNECT was sent.
- CLOSING: DISCONNECT was sent and nothing may follow it; what comes is not looked at. The client waits until the server
  closes, so that DISCONNECT has arrived when the process ends: closing earlier could destroy it on its way.
- The session lives in the core from the beginning to the end, so that what was published while there was no
  connection, or was not acknowledged on the last, goes out on the next.

A `Link` is one connection or one attempt at it; packets from the server are read in `mosq.client.answers`. Every way to
lose a connection leads through `fail` or `_closed`.
"""

from __future__ import annotations

import os
import struct

from mosq.client import errors, lines, verdicts
from mosq.client.answers import ANSWERS, BEFORE_UP
from mosq.client.errors import ClientError
from mosq.client.handler import Connack, Handler
from mosq.client.limits import Limits
from mosq.client.link import Link
from mosq.client.messages import batch_of
from mosq.client.outgoing import Outgoing, check_properties
from mosq.core import errno_of, ffi, lib
from mosq.packets import connect, disconnect, subscribe, unsubscribe
from mosq.packets.error import ProtocolError

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from mosq.client.host import Host
    from mosq.client.settings import Settings
    from mosq.core import Property
    from mosq.reactor import Timer

IDLE, CONNECTING, HANDSHAKE, WAITING, UP, CLOSING, BACKING_OFF, ENDED = range(8)

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_PINGREQ = b"\xc0\x00"
_PAYLOAD_MAX = 268435455
_PATIENCE = 60
"""Seconds that stand for the keepalive where there is none."""


class Client:
    """See the top of this file. `state` is one of its states, `attempts` those without CONNACK since the last that had
    one; `client_id`: b"" while it is not known; `limits`: what both ends have said (mosq.client.limits).
    """

    def __init__(self, settings: Settings, handler: Handler, host: Host) -> None:
        """Raises ClientError when `settings` hold what CONNECT cannot say, MemoryError."""
        check_properties(settings.version, lib.MQ_IN_CONNECT, settings.properties)
        self.settings = settings
        self.handler = handler
        self.host = host
        self.version = settings.version
        self.state = IDLE
        self.attempts = 0
        self.client_id = settings.client_id or (_made_up_id() if settings.version == 3 else b"")
        self.limits = Limits(settings)
        try:
            self._connect_packet()
        except (ValueError, struct.error):
            raise ClientError(errors.INVALID) from None
        self.session: Any = lib.mq_session_new(host.core.c, self.client_id, len(self.client_id))
        if not self.session:
            raise MemoryError("no memory for a session")
        self.link: Link | None = None
        self._timer: Timer | None = None
        self._ping_at: float | None = None
        self._asked = False
        self._batch = 0
        self._waiting = 0
        self._was_blocked = False
        self._published = False
        self._prepared: tuple[tuple[object, ...], Outgoing] | None = None
        if settings.debug:
            lib.mq_core_trace(host.core.c, 1)

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
            self.debug(lines.subscribe, mid, topic_filter, options)
        self._send(subscribe.encode(self.version, mid, filters, properties))
        return mid

    def unsubscribe(self, filters: Sequence[bytes], properties: Sequence[Property] = ()) -> int:
        """UNSUBSCRIBE from filters; its packet identifier. Raises as `subscribe`."""
        self._require_up()
        check_properties(self.version, lib.MQ_IN_UNSUBSCRIBE, properties)
        mid = self.next_mid()
        for topic_filter in filters:
            self.debug(lines.unsubscribe, mid, topic_filter)
        self._send(unsubscribe.encode(self.version, mid, filters, properties))
        return mid

    def disconnect(self, reason: int = 0, properties: Sequence[Property] = ()) -> None:
        """End: send DISCONNECT behind what was published, and wait until the server closes (Settings.clean_end).

        `reason` and `properties` are MQTT 5.0's. Without a connection it is over at once, also while one is being made.
        In any case Handler.closed is called, later in this call or after it, with SUCCESS. Raises ClientError as
        `check_properties`, and nothing happens then.
        """
        check_properties(self.version, lib.MQ_IN_DISCONNECT, properties)
        if self.link is not None and self.state in (WAITING, UP):
            self._say_goodbye(self.link, reason, properties)
            lib.mq_client_ended(self.link.c)
            self.state = CLOSING
            self._asked = True
            self._ping_at = None
            self._linger(-1)
        elif self.state not in (CLOSING, ENDED):
            self._asked = True
            self._closed(_ended())

    def abort(self) -> None:
        """End at once and without a word: the connection is closed; Handler.closed is not called."""
        self._teardown()

    def batch(self, most: int) -> None:
        """Hand up, and acknowledge, at most so many messages at once; 0: all that came. Who ends after n messages says
        n, so that no message beyond is acknowledged."""
        self._batch = most
        if self.link is not None and self.link.c:
            lib.mq_client_batch(self.link.c, most)

    def check_disconnect(self, properties: Sequence[Property]) -> None:
        """Whether `disconnect` will take these properties. Raises ClientError."""
        check_properties(self.version, lib.MQ_IN_DISCONNECT, properties)

    # ---- what may be asked

    @property
    def is_up(self) -> bool:
        """The server has accepted, and nothing has ended since."""
        return self.state == UP

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
        return self.link.unsent if self.link is not None else 0

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
        self._ping_at = None
        self._was_blocked = False
        self.attempts += 1
        self.guarded(self._dial)

    def _dial(self) -> None:
        self.link = Link(self, self.settings.dial())
        self.link.advance()

    def reached(self) -> None:
        """There is a network connection."""
        if self.state == CONNECTING:
            self.state = HANDSHAKE
            self.handler.connected()

    def linked(self) -> None:
        """The stream is there: CONNECT."""
        link = self._require_link()
        link.open(self.version, self.limits.maximum_packet_size_in, self.limits.receive_maximum_in)
        lib.mq_client_batch(link.c, self._batch)
        lib.mq_client_route(link.c, self.settings.route)
        self.state = WAITING
        self.debug(lines.packet, True, 1)
        link.send(self._connect_packet())
        self._keep_alive()
        self.on_status(link.attach())

    def _connect_packet(self) -> bytes:
        settings = self.settings
        return connect.encode(
            self.version,
            self.client_id,
            clean_start=settings.clean_start,
            keepalive=self.limits.keepalive,
            will=settings.will,
            username=settings.username,
            password=settings.password,
            properties=settings.properties,
        )

    def accepted(self, answer: Connack) -> None:
        """CONNACK, and all is well."""
        link = self._require_link()
        if not answer.session_present:
            lib.mq_client_forget(self.session)
        lib.mq_conn_accept(link.c, self.session, self.limits.terms(self.version))
        self.state = UP
        self.attempts = 0
        lib.mq_conn_resume(link.c)
        self._waiting = self.pending
        self._published = self._published or self._waiting > 0
        self._keep_alive()
        self.handler.connack(answer)

    def refused(self, answer: Connack, *, old_style: bool) -> None:
        """CONNACK with a code; `old_style`: it shows that the server does not know MQTT 5.0."""
        self.handler.connack(answer)
        if self.state == CLOSING and self.link is not None:
            self.link.finish_now()
        if self.state in (WAITING, CLOSING):
            plain = self.version < 5 and answer.code <= 5
            error = ClientError(errors.REFUSED if plain else errors.PROTOCOL, reason=answer.code)
            self.fail(error, None if old_style else 0x82)

    # ---- what the core says

    def on_packet(self, first: int, body: bytes) -> int:
        """A packet that the core hands up. Not 0: it shall go no further in this turn."""
        kind = first >> 4
        if self.state not in (WAITING, UP):
            return 1
        if self.state == WAITING and kind not in BEFORE_UP:
            self.fail(ClientError(errors.PROTOCOL), 0x82)
        else:
            self.guarded(ANSWERS[kind], self, first, body)
        return self.state not in (WAITING, UP)

    def on_messages(self, data: Any, data_n: int, received: Any, n: int) -> int:
        """A batch from the core."""
        self.guarded(self.handler.messages, batch_of(data, data_n, received, n))
        return self.state != UP

    def on_output(self, error: int) -> None:
        """The core has output that its flush could not write."""
        if self.link is not None and self.link.c:
            self.guarded(self.link.on_output, error)

    def on_status(self, status: int) -> None:
        """How the core's work on the input ended."""
        link = self.link
        if status in (lib.MQ_OK, lib.MQ_STOPPED) or link is None:
            return
        if status == lib.MQ_BLOCKED:
            link.block()
        elif status == lib.MQ_PAUSED:
            link.pause()
        else:
            numbers = errno_of(link.c)
            if status in (lib.MQ_NOT_FROM_CLIENT, lib.MQ_RESERVED):
                self.show(lines.unrecognised(numbers[0] if status == lib.MQ_NOT_FROM_CLIENT else 0))
            self.fail(*verdicts.of_status(status, numbers))

    def on_notice(self, notice: int, value: int) -> None:
        """Something worth a line; the core must not be called."""
        if notice == lib.MQ_NOTICE_UNKNOWN_PUBREC:
            self.debug(lines.unknown_pubrec, value)
        elif notice == lib.MQ_NOTICE_TOO_LARGE:
            self.show(lines.too_large(value))

    def on_trace(self, sent: int, first: int, mid: int, rc: int, topic: bytes, payload_n: int) -> None:
        """A packet that the core handles by itself; the core must not be called."""
        if first >> 4 == 3:
            self.debug(lines.publish, bool(sent), first, mid, topic, payload_n)
        else:
            self.debug(lines.packet, bool(sent), first >> 4, mid, rc)

    # ---- keepalive

    def _keep_alive(self) -> None:
        """Whether somebody has been silent for too long; and when to ask again."""
        period = self.limits.keepalive
        if not period:
            return
        link = self._require_link()
        quiet = int(lib.mq_client_quiet(link.c))
        if self._ping_at is not None:
            if self.host.reactor.now - self._ping_at >= period:
                raise ClientError(errors.KEEPALIVE)
        elif quiet >= period:
            if self.state == WAITING:
                raise ClientError(errors.KEEPALIVE)
            self.debug(lines.packet, True, 12)
            link.send(_PINGREQ)
            self._ping_at = self.host.reactor.now
            quiet = 0
        self._set_timer(max(1, period - quiet), self.guarded, self._keep_alive)

    def ping_answered(self) -> None:
        """PINGRESP."""
        self._ping_at = None

    def _set_timer(self, seconds: float, fn: Callable[..., object], *args: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.host.reactor.call_later(seconds, fn, *args)

    # ---- the end of a turn

    def turn_ended(self) -> None:
        """The host has flushed the output of this turn, and will flush again what is said now."""
        if self.state == UP:
            self.guarded(self._tell)

    def flushed(self) -> None:
        """The host has flushed all output of this turn. The end of the stream goes with DISCONNECT, which would
        otherwise wait for the acknowledgement of the packet before it (Nagle's algorithm)."""
        if self.state == CLOSING and self.link is not None and self.link.finish():
            wait = self.settings.clean_end
            self._set_timer(self.limits.keepalive or _PATIENCE if wait is None else wait, self._closed, _ended())

    def _tell(self) -> None:
        """Tell the handler what has been done since the last turn."""
        link = self._require_link()
        pending, blocked = self.pending, link.blocked
        done, drained = pending < self._waiting, self._was_blocked and not blocked
        self._waiting, self._was_blocked = pending, blocked
        if not pending and self._published and not self.unsent:
            self._published = False
            self.handler.complete()
        elif done or drained:
            self.handler.progress()
        if self._published and not pending and not link.blocked:
            self.host.reactor.call_soon(_nothing)  # QoS 0 published just now is looked at in another turn

    # ---- the end of a connection

    def guarded(self, fn: Callable[..., object], *args: Any) -> None:
        """Call `fn` on behalf of the connection: whatever it raises ends that, and nothing else."""
        try:
            fn(*args)
        except ProtocolError as error:
            self.fail(*verdicts.of_exception(error))
        except ClientError as failed:
            self.fail(failed, 0x82 if failed.code == errors.PROTOCOL else None)
        except MemoryError:
            self.fail(ClientError(errors.NO_MEMORY), 0x80)
        except Exception as exc:
            self.host.reactor.report(exc)
            self.fail(ClientError(errors.UNKNOWN), 0x80)

    def fail(self, error: ClientError, reason: int | None = None) -> None:
        """Close because of `error`; an MQTT 5.0 server is told `reason` before, if there is one."""
        if self.state in (IDLE, BACKING_OFF, ENDED):
            return
        if self.state == CLOSING:
            error = error if error.reason else _ended()
        elif reason is not None and self.version == 5 and self.link is not None and self.link.c:
            self._say_goodbye(self.link, reason)
            self.link.finish_now()
        self._closed(error)

    def _say_goodbye(self, link: Link, reason: int, stated: Sequence[Property] = ()) -> None:
        self.debug(lines.packet, True, 14)
        link.send(disconnect.encode(reason, stated) if self.version == 5 else disconnect.encode(0))

    def _linger(self, before: int) -> None:
        """Wait until all output has left; no longer when nothing did for as long as the keepalive."""
        unsent = self.unsent
        if unsent and unsent != before:
            self._set_timer(self.limits.keepalive or _PATIENCE, self._linger, unsent)
        else:
            self._closed(_ended())

    def _closed(self, error: ClientError) -> None:
        self._teardown()
        for line in error.lines:
            self.show(line)
        delay = self.handler.closed(error)
        if delay is not None and not self._asked and self.state == ENDED:
            self.state = BACKING_OFF
            self._set_timer(delay, self._attempt)

    def _teardown(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        link, self.link = self.link, None
        if link is not None:
            link.close()
        self.state = ENDED

    # ---- debug lines

    @property
    def name(self) -> str | None:
        """The client identifier as lines show it; None: it is not known."""
        return self.client_id.decode("utf-8", "replace") if self.client_id else None

    def show(self, line: str) -> None:
        """A debug line."""
        if self.settings.debug:
            self.handler.debug(line)

    def debug(self, line: Callable[..., str], *args: Any) -> None:
        """The debug line that a function of mosq.client.lines makes of the client's name and `args`."""
        if self.settings.debug:
            self.handler.debug(line(self.name or "null", *args))

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

    def _require_link(self) -> Link:
        if self.link is None:
            raise ClientError(errors.NO_CONNECTION)
        return self.link

    def _require_up(self) -> None:
        if self.state != UP:
            raise ClientError(errors.NO_CONNECTION)

    def _send(self, packet: bytes) -> None:
        if 0 < self.limits.maximum_packet_size < len(packet):
            raise ClientError(errors.PACKET_TOO_LARGE)
        self._require_link().send(packet)


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
