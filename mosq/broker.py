"""The broker: builds the parts from a configuration, starts them, changes them at a reload, stops them.

It is also what the C core talks to (`mosq.core.Owner`): each callback finds its connection by the owner id and hands
over. A connection that was closed keeps its id until the end of the turn, when the core has forgotten it.

End of a turn, in this order: log lines as messages, the store (who keeps things beyond the process), flush, reap. So
nothing that acknowledges something leaves before that something is safe.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from mosq import faults, packet_log, recheck, will
from mosq.auth.security import Security
from mosq.connection import CLOSED, WAITING, Connection
from mosq.control import BROKER, BrokerApi, Control
from mosq.core import Core, ffi, lib, trim_memory
from mosq.handlers import auth, connect, disconnect, subscribe, unsubscribe
from mosq.listeners import Acceptor, Listener
from mosq.log_topic import LogTopics
from mosq.packets.connect import Rules
from mosq.packets.error import ProtocolError
from mosq.reactor import READ
from mosq.session import Session, Sessions
from mosq.slots import Slots
from mosq.sweep import Sweep
from mosq.sys_tree import Counters, SysTree

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any

    from mosq.auth.methods import Method
    from mosq.config import Config, ListenerConfig
    from mosq.log import Log
    from mosq.persistence import Store
    from mosq.reactor import Reactor

_HANDLERS: dict[int, Callable[[Connection, int, bytes], None]] = {
    1: connect.handle,
    8: subscribe.handle,
    10: unsubscribe.handle,
    14: disconnect.handle,
    15: auth.handle,
}
"""By packet type. The core handles the others."""

_CORE_OPTIONS = (
    "allow_duplicate_messages",
    "check_retain_source",
    "max_inflight_bytes",
    "max_inflight_messages",
    "max_packet_size",
    "max_queued_bytes",
    "max_queued_messages",
    "memory_limit",
    "message_size_limit",
    "queue_qos0_messages",
    "retain_available",
    "upgrade_outgoing_qos",
)
"""The options that act per message: mq_options has them under the same names."""


class Broker:
    """See the top of this file. Attributes are for the handlers and for plugins.

    Before the reactor runs: `attach`, if there is a store, `security.configure`, and `start`.
    """

    def __init__(self, config: Config, log: Log, reactor: Reactor) -> None:
        self.config = config
        self.log = log
        self.reactor = reactor
        self.core = Core(self)
        self.connections = Slots()
        self.sessions = Sessions(self.core, reactor, self._publish_will, log)
        self.acceptor = Acceptor(config, log, reactor, (), self.accepted)
        self.rules: dict[Listener, Rules] = {}
        self.security = Security(config, log, reactor.call_threadsafe)
        self.auth = self.security.auth
        self.access = self.security.access
        self.methods: dict[str, Method] = {}
        self.waiting: set[str] = set()
        """Client identifiers whose authentication is decided later, by somebody who knows them by nothing else."""
        self.store: Store | None = None
        self.control = Control()
        self.counters = Counters()
        self.terms: Any = ffi.new("mq_terms *")
        """Scratch for mq_conn_accept."""
        self._log_topics = LogTopics(self.core)
        self._sys_tree = SysTree(self.core, reactor, self.counters, self._census)
        self._sweep = Sweep(self.core, reactor)
        self._closed: list[int] = []

    # Life

    def attach(self, store: Store) -> None:
        """Keep sessions and messages in `store`, and begin with what it has. Before `start`, once at most.

        Raises StoreError: then nothing has begun, and there is nothing to stop.
        """
        self.keep_in(store)
        self._begin_turn()
        self._set_options()
        store.restore()

    def keep_in(self, store: Store) -> None:
        """Keep sessions and messages in `store` from now on, whatever it has."""
        self.store = self.sessions.store = store

    def start(self, listeners: list[Listener]) -> None:
        """Let restored sessions go on, publish the $SYS tree and begin to accept."""
        self._begin_turn()
        self.reactor.turn_start.append(self._begin_turn)
        self.reactor.turn_end.append(self._end_turn)
        self.log.on_topic = self._log_topics.note
        self.acceptor.listeners += listeners
        self._configure()
        for session in self.sessions:
            self.introduce(session)
        self.sessions.begin()
        self.acceptor.start()
        self._tick()

    def reload(self, config: Config) -> None:
        """Take over a new configuration. Connections stay, but for clients that may not be here any more.

        Raises FileError for a file of rules that is broken now: nothing has changed then, and the broker has to end.
        """
        self.security.configure(config)
        self.config = config
        for listener in self.acceptor.listeners:
            for listener_config in config.listeners:
                if listener_config.same_place(listener.config):
                    listener.config = listener_config
                    break
            if listener.secure is not None:
                listener.secure.reload(listener.config, self.security.keys_of(listener.config))
        self._configure()
        lib.mq_core_access_changed(self.core.c)
        for session in self.sessions:
            self.introduce(session)
        for connection in list(self.connections):
            self._adjust(connection)
        recheck.everybody(self)
        if self.store is not None:
            self.store.reload(config)

    def introduce(self, session: Session) -> None:
        """Tell the core who a session belongs to, and whether to ask what it may do. Raises MemoryError."""
        lib.mq_session_access(session.c, self.access.mode(session))
        if self.config.check_retain_source or self.store is not None:
            name = (session.username or "").encode()
            port = session.listener.port if session.listener is not None else 0
            if lib.mq_session_source(session.c, name, len(name), session.username is not None, port):
                raise MemoryError("no memory for the source of messages")

    def save(self) -> None:
        """SIGUSR1: have the store write, if it is one that does so when asked."""
        if self.store is not None:
            self.store.save()

    def listener_on(self, port: int) -> ListenerConfig | None:
        """The listener on this port, for a session from a store; None: it is not there any more."""
        return next((config for config in self.config.listeners if config.port == port and port), None)

    def shut_down(self) -> None:
        """Publish all wills, whatever their delay: the first step of the end, for `stop` to follow."""
        self.sessions.shut_down()

    def stop(self) -> bool:
        """Close everything. Nobody is told: every client notices anyway. To be called once.

        Returns False if the store could not keep what was promised.
        """
        self._log_topics.publish()
        kept = self.store is None or self.store.close()
        lib.mq_core_flush(self.core.c)
        self.control.unregister(BROKER)
        self.acceptor.stop()
        self.security.stop()
        self.log.on_topic = None
        self.reactor.turn_start.remove(self._begin_turn)
        self.reactor.turn_end.remove(self._end_turn)
        for connection in list(self.connections):
            if connection.state != CLOSED:
                connection.close()
        self.core.close()
        return kept

    def print_tree(self) -> None:
        """SIGUSR2: the subscriptions, to stdout."""
        text = self.core.subscriptions_text()
        while text:
            text = text[os.write(1, text) :]

    def watch_packets(self) -> None:
        """Ask the core for a debug line per packet, or not, as the log is now. For when the log was reopened."""
        lib.mq_core_trace(self.core.c, self.log.debugging)

    # Configuration

    def _set_options(self) -> None:
        """Those of the core and of the sessions, by which a store restores."""
        for name in _CORE_OPTIONS:
            setattr(self.core.options, name, getattr(self.config, name))
        self.sessions.longest = self.config.persistent_client_expiration or None

    def _configure(self) -> None:
        config = self.config
        self._set_options()
        self.acceptor.configure(config)
        self.rules = {listener: self._rules_of(listener.config) for listener in self.acceptor.listeners}
        self._configure_control(config.enable_control_api)
        self.watch_packets()
        self._sweep.configure(config.retain_expiry_interval)
        self._sys_tree.configure(config.sys_interval)

    def _rules_of(self, listener: ListenerConfig) -> Rules:
        config = self.config
        return Rules(
            versions=listener.accept_protocol_versions,
            max_qos=listener.max_qos,
            retain_available=config.retain_available,
            mount_point=(listener.mount_point or "").encode(),
            message_size_limit=config.message_size_limit,
            allow_zero_length_clientid=config.security_of(listener).allow_zero_length_clientid,
            auto_id_prefix=config.auto_id_prefix_of(listener),
            clientid_prefixes=config.clientid_prefixes or "",
            connection_messages=config.connection_messages,
        )

    def _configure_control(self, enabled: bool) -> None:
        if not enabled:
            self.control.unregister(BROKER)
        elif BROKER not in self.control.endpoints:
            commands = {"listPlugins": self._list_plugins, "listListeners": self._list_listeners}
            self.control.register(BROKER, BrokerApi(self.core, self.log, commands))

    def _list_plugins(self) -> dict[str, Any]:
        return {"plugins": []}

    def _list_listeners(self) -> dict[str, Any]:
        return {"listeners": [_describe(listener) for listener in self.acceptor.listeners]}

    def _adjust(self, connection: Connection) -> None:
        """What a reload means for a connection, as long as it may stay."""
        if connection.state == CLOSED:
            return
        self._mount(connection)
        if connection.session is not None:
            lib.mq_conn_alias_max(connection.c, connection.listener.config.max_topic_alias)

    # The turn

    def _begin_turn(self) -> None:
        reactor = self.reactor
        lib.mq_core_clock(self.core.c, reactor.now, reactor.wall)

    def _end_turn(self) -> None:
        self._log_topics.publish()
        if self.store is not None:
            self.store.turn()
        lib.mq_core_flush(self.core.c)
        lib.mq_core_reap(self.core.c)
        if self._closed:
            for owner in self._closed:
                self.connections.remove(owner)
            self._closed.clear()

    def _tick(self) -> None:
        """At the start of each second, as the core counts them: close the connections whose keep alive ran out."""
        self.reactor.call_at(int(self.reactor.now) + 1, self._tick)
        for owner in self.core.timeouts():
            connection = self.connections[owner]
            self.guard(connection, connection.end, faults.TIMEOUT)
        trim_memory(self.core)

    def _census(self, counters: Counters) -> None:
        counters.total = len(self.sessions)
        counters.connected = len(self.connections)
        counters.expired = self.sessions.expired

    # Connections

    def accepted(self, listener: Listener, fd: int, address: str, port: int) -> None:
        """A connection from `address`. `fd` -1: bytes are moved by the caller, through the core."""
        secure = listener.secure
        make = Connection if secure is None else secure.connection
        connection = make(self, listener, fd, address, port)
        if not connection.c:
            self.connections.remove(connection.owner)
            raise MemoryError("no memory for a connection")
        self.counters.accepted += 1
        if listener.config.mount_point:
            self._mount(connection)
        try:
            connection.watch(READ)
        except OSError:  # the kernel has no room to watch one more
            connection.state = CLOSED
            lib.mq_conn_close(connection.c)
            self._closed.append(connection.owner)
            raise
        if self.config.connection_messages:
            self.log.notice("New connection from %s:%d on port %d.", address, port, listener.port)

    def settle(self) -> None:
        """Commit in the middle of a turn, for a connection whose promises have to leave now or never."""
        if self.store is not None:
            self.store.settle()

    def closed(self, connection: Connection) -> None:
        """A connection closed itself in the core and in the reactor: the rest of it can go."""
        if connection.fd >= 0:
            os.close(connection.fd)
        self.acceptor.released(connection.listener)
        self._closed.append(connection.owner)

    def guard(self, connection: Connection, fn: Callable[..., object], *args: object) -> None:
        """Call `fn` on behalf of a connection: whatever it raises ends that connection, and nothing else."""
        try:
            fn(*args)
        except ProtocolError as error:
            connection.refuse(error)
        except MemoryError:
            connection.end(faults.FAULTS[lib.MQ_NOMEM])
        except Exception as exc:
            self.reactor.report(exc)
            connection.end(faults.INTERNAL)

    def _mount(self, connection: Connection) -> None:
        prefix = (connection.listener.config.mount_point or "").encode()
        if lib.mq_conn_mount(connection.c, prefix, len(prefix)):
            raise MemoryError("no memory for a mount point")

    def _publish_will(self, session: Session) -> None:
        will.publish(self.core, self.access, session)

    # What the core says (mosq.core.Owner)

    def on_packet(self, owner: int, first: int, body: bytes) -> int:
        connection = self.connections.items[owner]
        if connection is None or connection.state == CLOSED:
            return 1
        self.guard(connection, _HANDLERS[first >> 4], connection, first, body)
        return connection.state >= WAITING

    def on_control(self, owner: int, qos: int, mid: int, topic: bytes, payload: bytes) -> int:
        connection = self.connections[owner]
        self.guard(connection, self.control.dispatch, connection, qos, mid, topic, payload)
        return connection.state >= WAITING

    def on_output(self, owner: int, error: int) -> None:
        connection = self.connections.items[owner]
        if connection is not None and connection.state != CLOSED:
            connection.on_output(error)

    def on_access(self, client_id: bytes, access: int, topic: bytes, payload: bytes, qos: int, retain: int) -> int:
        try:
            session = self.sessions.by_id[client_id.decode()]
            allowed = self.access.may(session, access, topic, payload, qos, bool(retain))
        except Exception as exc:
            self.reactor.report(exc)
            return int(lib.MQ_NOMEM)
        return int(lib.MQ_OK if allowed else lib.MQ_NONE)

    def on_source(self, client_id: bytes, username: bytes | None, port: int, topic: bytes) -> int:
        name = username.decode() if username is not None else None
        try:
            allowed = self.access.may_still_write(client_id.decode(), name, port, topic)
        except Exception as exc:
            self.reactor.report(exc)
            return int(lib.MQ_NOMEM)
        return int(lib.MQ_OK if allowed else lib.MQ_NONE)

    def on_notice(self, notice: int, client_id: bytes, value: int) -> None:
        packet_log.notice(self.log, notice, client_id, value)

    def on_trace(
        self, sent: int, client_id: bytes, first: int, mid: int, rc: int, topic: bytes, payload_n: int, verdict: int
    ) -> None:
        packet_log.packet(self.log, sent, client_id.decode(), first, mid, rc, topic, payload_n, verdict)


def _describe(listener: Listener) -> dict[str, Any]:
    """A listener for $CONTROL/broker/v1."""
    config = listener.config
    described: dict[str, Any] = {"port": listener.port}
    if config.protocol != "http_api":
        described["protocol"] = "mqtt+websockets" if config.protocol == "websockets" else "mqtt"
    if config.host:
        described["bind-address"] = config.host
    if listener.path is not None:
        described["socket-path"] = listener.path
    described["tls"] = listener.secure is not None
    return described
