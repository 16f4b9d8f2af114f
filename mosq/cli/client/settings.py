"""What a command line asks for: `Settings`; for which program: `Tool`; and how it may end instead: `Ending`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mosq.cli.client import streams
from mosq.record import Record

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.client.transport.proxy import Proxy
    from mosq.core import Property

DEFAULT_MAX_INFLIGHT = 20
_PORT = 1883
_TLS_PORT = 8883
NEVER = 0xFFFFFFFF
"""The session expiry interval of a session that does not expire."""


class Tool(Record):
    """One of the programs. `letter` stands for it in the table of options; `version` is the protocol level it speaks
    unless told otherwise."""

    name: str
    letter: str
    version: int = 4


PUB = Tool("mosquitto_pub", "P")
SUB = Tool("mosquitto_sub", "S")
RR = Tool("mosquitto_rr", "R", 5)


class Ending(Exception):  # noqa: N818  (no more of an error than SystemExit)
    """The program is to print these and to leave with this exit code."""

    def __init__(self, code: int = 1, *, out: bytes = b"", err: bytes = b"") -> None:
        super().__init__(code, out, err)
        self.code = code
        self.out = out
        self.err = err

    def tell(self) -> int:
        """Print, and return the exit code."""
        try:
            streams.write_all(1, self.out)
        except OSError:
            pass  # nobody reads it
        streams.complain(self.err)
        return self.code


class UsageError(Exception):
    """The command line is wrong: one line, `text`, and whether an empty line follows it."""

    def __init__(self, text: bytes | str, spaced: bool = False) -> None:
        super().__init__(text, spaced)
        self.text = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        self.spaced = spaced


class Settings:
    """Everything the options of the three programs set; a program looks at what its options can have changed.

    Text for the wire is bytes, as it was given; names of hosts and files are str (os.fsdecode). Fields are named after
    the options. Times are in seconds.
    """

    # where to connect, as whom
    host: str = "localhost"
    port_given: int | None = None
    bind_address: str | None = None
    websockets: bool = False
    proxy: Proxy | None = None
    nodelay: bool = False
    username: bytes | None = None
    password: bytes | None = None
    client_id: bytes | None = None
    id_prefix: bytes | None = None

    # the session
    version: int
    clean: bool = True
    session_expiry_given: int | None = None
    keepalive: int = 60
    max_inflight: int = DEFAULT_MAX_INFLIGHT
    will_topic: bytes | None = None
    will_payload: bytes | None = None
    will_qos: int = 0
    will_retain: bool = False

    # TLS
    cafile: str | None = None
    capath: str | None = None
    cert: str | None = None
    key: str | None = None
    keyform: str | None = None
    ciphers: str | None = None
    insecure: bool = False
    tls_alpn: str | None = None
    tls_engine: str | None = None
    tls_engine_kpass_sha1: str | None = None
    tls_keylog: str | None = None
    tls_version: str | None = None
    use_os_certs: bool = False
    psk: str | None = None
    psk_identity: str | None = None
    no_tls: bool = False

    # what to say
    debug: bool = False
    quiet: bool = False

    # publishing; `mode` is the letter of the payload option
    topic: bytes | None = None
    response_topic: bytes | None = None
    qos: int = 0
    retain: bool = False
    mode: str = ""
    payload: bytes = b""
    file: str = ""
    repeat: int = 1
    repeat_delay: float = 0.0

    # subscribing and printing
    filters: list[bytes]
    filters_out: list[bytes]
    unsubscribe: list[bytes]
    retain_handling: int = 0
    retain_as_published: bool = False
    format: bytes | None = None
    verbose: bool = False
    newline: bool = True
    pretty: bool = False
    no_retained: bool = False
    retained_only: bool = False
    remove_retained: bool = False
    random_filter: float = 100.0
    count: int = 0
    exit_after_suback: bool = False
    timeout: int = 0
    watch: bool = False
    message_rate: bool = False
    latency: bool = False

    properties: dict[str, list[Property]]
    """What -D gave, in its order, by the name of the packet: connect, publish, subscribe, unsubscribe, disconnect,
    will."""

    def __init__(self, tool: Tool) -> None:
        self.tool = tool
        self.version = tool.version
        self.filters = []
        self.filters_out = []
        self.unsubscribe = []
        self.properties = {}

    @property
    def port(self) -> int:
        """0: `host` is the path of a unix socket."""
        if self.port_given is not None:
            return self.port_given
        return _TLS_PORT if self._names_trust else _PORT

    @property
    def _names_trust(self) -> bool:
        """Whether it is said what to trust, be it nothing."""
        return not (self.cafile is None and self.capath is None and self.psk is None)

    @property
    def tls(self) -> bool:
        """Whether to speak TLS."""
        return not self.no_tls and (self._names_trust or self.os_certs)

    @property
    def os_certs(self) -> bool:
        """Whether to trust the certificates of the system: when told to, and on TLS's own port without others."""
        return self.use_os_certs or (self.port_given == _TLS_PORT and not self._names_trust)

    @property
    def session_expiry(self) -> int:
        """The session expiry interval of MQTT 5.0, NEVER included; 0 sends none."""
        if self.session_expiry_given is not None:
            return self.session_expiry_given
        return 0 if self.clean else NEVER

    @property
    def id(self) -> bytes | None:
        """The client identifier; None: whatever the protocol version offers."""
        if self.id_prefix is not None:
            return b"%s%d" % (self.id_prefix, os.getpid())
        return self.client_id

    @property
    def subscription_options(self) -> int:
        """The options byte of each filter (MQTT 5.0, section 3.8.3.1); the QoS alone before MQTT 5.0."""
        if self.version < 5:
            return self.qos
        return self.qos | self.retain_as_published << 3 | self.retain_handling << 4

    def properties_of(self, packet: str) -> Sequence[Property]:
        return self.properties.get(packet, ())
