"""May this client use that topic? The question, who is asked, and how their answers add up.

A `Checker` is an ACL file or a plugin. It answers ALLOW or DENY, or that it does not know: IGNORE (ask the others) or
DEFER (ask the others, but do not take silence for consent). The first answer that is a decision counts; when there is
none, all IGNORE means allowed and any DEFER means denied. No checker at all: allowed.

The core keeps decisions per session and topic and asks again only after `Access` changed, unless a checker wants to see
every message (`mode`). The rules for $SYS, $share and $CONTROL are not a matter of checkers: the core applies them to
what clients publish, `mosq.will` to wills. An offline session keeps the rules of the listener it last used. With
per_listener_settings a session without a listener may do nothing.
"""

from __future__ import annotations

from mosq.core import lib

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Protocol

    from mosq.auth.acl_file import AclFile
    from mosq.config import Config, ListenerConfig
    from mosq.log import Log

    class Client(Protocol):
        """Who asks: a session, or the publisher of a message that was kept. `username` is None for an anonymous one."""

        @property
        def client_id(self) -> str: ...

        @property
        def username(self) -> str | None: ...

        @property
        def listener(self) -> ListenerConfig | None: ...

    class Checker(Protocol):
        """A set of rules about topics."""

        @property
        def mode(self) -> int:
            """CACHED: decisions depend on client, access and topic only. ASK: on the message, too."""
            ...

        def check(self, question: Question) -> int: ...


READ = 1
WRITE = 2
SUBSCRIBE = 4
UNSUBSCRIBE = 8

ALLOW, DENY, DEFER, IGNORE = range(4)

OPEN: int = lib.MQ_ACCESS_OPEN
CACHED: int = lib.MQ_ACCESS_CACHED
ASK: int = lib.MQ_ACCESS_ASK


class Question:
    """What `client` wants: READ, WRITE, SUBSCRIBE or UNSUBSCRIBE.

    `topic` is a topic name or, for the last two, a topic filter, with the listener's mount_point. The rest is of the
    message, where there is one.
    """

    __slots__ = ("client", "access", "topic", "payload", "qos", "retain")

    def __init__(
        self, client: Client, access: int, topic: bytes, payload: bytes = b"", qos: int = 0, retain: bool = False
    ) -> None:
        self.client = client
        self.access = access
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain


class Source:
    """The publisher of a message that was kept: somebody who need not be there any more."""

    __slots__ = ("client_id", "username", "listener")

    def __init__(self, client_id: str, username: str | None, listener: ListenerConfig | None) -> None:
        self.client_id = client_id
        self.username = username
        self.listener = listener


class Access:
    """See the top of this file. `checkers` are asked for every listener, before the ACL files."""

    __slots__ = ("checkers", "_log", "_per_listener", "_listeners", "_files")

    def __init__(self, log: Log) -> None:
        self.checkers: list[Checker] = []
        self._log = log
        self._per_listener = False
        self._listeners: list[ListenerConfig] = []
        self._files: dict[_Place | None, AclFile] = {}
        """By listener, or the one for all of them under None."""

    def configure(self, config: Config) -> None:
        """Read the ACL files of `config` (acl_file). Raises FileError, and then everything is as before."""
        paths: dict[_Place | None, str | None] = {None: config.security.acl_file}
        if config.per_listener_settings:
            paths = {_place(listener): listener.security.acl_file for listener in config.listeners}
        wanted = {place: path for place, path in paths.items() if path is not None}
        read = {path: _load(path, self._log) for path in dict.fromkeys(wanted.values())}
        self._files = {place: read[path] for place, path in wanted.items()}
        self._per_listener = config.per_listener_settings
        self._listeners = list(config.listeners)

    def mode(self, client: Client) -> int:
        """How the core has to ask for `client`: OPEN (nothing), CACHED or ASK."""
        checkers = self._checkers(client.listener)
        return CACHED if checkers is None else max((checker.mode for checker in checkers), default=OPEN)

    def may(
        self, client: Client, access: int, topic: bytes, payload: bytes = b"", qos: int = 0, retain: bool = False
    ) -> bool:
        """The decision. The arguments are those of `Question`."""
        checkers = self._checkers(client.listener)
        if checkers is None:
            return False
        deferred = False
        for checker in checkers:
            answer = checker.check(Question(client, access, topic, payload, qos, retain))
            if answer in (ALLOW, DENY):
                return answer == ALLOW
            deferred = deferred or answer == DEFER
        return not deferred

    def may_still_write(self, client_id: str, username: str | None, port: int, topic: bytes) -> bool:
        """Might who published to `topic` once, through a listener on `port`, do so now (check_retain_source)?"""
        listeners: list[ListenerConfig | None] = [x for x in self._listeners if x.port == port]
        return all(self.may(Source(client_id, username, x), WRITE, topic) for x in listeners or [None])

    def _checkers(self, listener: ListenerConfig | None) -> list[Checker] | None:
        """Who is asked, in order; None: nobody, and everything is denied."""
        if not self._per_listener:
            file = self._files.get(None)
        elif listener is None:
            return None
        else:
            file = self._files.get(_place(listener))
        return self.checkers if file is None else [*self.checkers, file]


_Place = tuple[int, "str | None", "str | None"]


def _place(listener: ListenerConfig) -> _Place:
    """What stays of a listener when a reload replaces its configuration."""
    return listener.port, listener.host, listener.socket_path


def _load(path: str, log: Log) -> AclFile:
    from mosq.auth.acl_file import load  # most brokers have no such file

    file = load(path, log)
    log.info("Plugin builtin-security has registered to receive 'acl-check' events.")
    return file
