"""What a configuration says, as values: one class per thing that lines of the file are about.

Each class has an attribute per option, named like it (a '.' is a '_'), and starts at the option table's defaults. The
classes work like dataclasses with slots; `dataclasses` itself is not used because its import costs 1.4 MB. `given` has
the place (FILE:LINE) of the last line of every option that some line gave: what is not in there is at its default.
"""

from __future__ import annotations

from mosq.config.checks import Checks
from mosq.config.options import OPTIONS
from mosq.config.topics import BridgeTopic
from mosq.config.validator import Validator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

DEFAULT_LOG_TYPES = frozenset("EWNI")
DEFAULT_ID_PREFIX = "auto-"


def _table_defaults() -> dict[str, object]:
    """The default of each option by its attribute; options without one are left out."""
    validator = Validator(Checks(lambda level, text: None).functions())
    found: dict[str, object] = {}
    for option in OPTIONS.values():
        try:
            found[option.attribute] = validator.get_default_value(option.check)
        except KeyError:
            continue
    return found


_DEFAULTS = _table_defaults()
_CONTAINERS: dict[str, object] = {"list": [], "dict": {}}


class _Slotted(type):
    """Makes the annotated names of a class its slots. Defaults: class body, option table, empty container, None."""

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, object]) -> _Slotted:
        names = body.get("__annotations__", {})
        assert isinstance(names, dict)
        containers = {attribute: _CONTAINERS.get(kind.partition("[")[0]) for attribute, kind in names.items()}
        initial = {
            attribute: body.pop(attribute, _DEFAULTS.get(attribute, containers[attribute])) for attribute in names
        }
        return super().__new__(mcs, name, bases, {**body, "__slots__": tuple(names), "initial": initial})


class Settings(metaclass=_Slotted):
    """Attributes with defaults, made, compared and shown by name."""

    __hash__ = object.__hash__

    def __init__(self, **values: object) -> None:
        for name, value in {**self._initial(), **values}.items():
            setattr(self, name, value.copy() if isinstance(value, (list, dict)) else value)

    @classmethod
    def _initial(cls) -> dict[str, object]:
        initial: dict[str, object] = cls.__dict__["initial"]
        return initial

    def copy(self, **changes: object) -> Self:
        """Another object with the same values but for the changes; lists and dictionaries are copied too."""
        return type(self)(**{**self.values(), **changes})

    def values(self) -> dict[str, object]:
        """All attributes by name."""
        return {name: getattr(self, name) for name in self._initial()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.values() == other.values()

    def __repr__(self) -> str:
        changed = {name: value for name, value in self.values().items() if value != self._initial()[name]}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"


class LogDest(Settings):
    """A destination of log lines: kind is stdout, stderr, syslog, topic, dlt or file; only file has a path."""

    kind: str
    path: str | None


class SecurityConfig(Settings):
    """The options that belong to the broker, or to a listener under `per_listener_settings true`."""

    acl_file: str | None
    allow_anonymous: bool | None
    allow_zero_length_clientid: bool
    auto_id_prefix: str | None
    password_file: str | None
    psk_file: str | None
    given: dict[str, str]


class PluginConfig(Settings):
    """A plugin line: `option` is plugin, global_plugin or plugin_load; only the last has a name.

    `everywhere`: asked for every listener; otherwise for those that have it in `ListenerConfig.plugins`.
    """

    option: str
    name: str | None
    path: str
    everywhere: bool = False
    options: list[tuple[str, str]]
    auth_plugin_deny_special_chars: bool
    given: dict[str, str]


class ListenerConfig(Settings):
    """A listener. `host` and `socket_path` are as written; `socket_path` is that of a Unix socket, whose port is 0.

    `is_default`: made by port, bind_address or an option without a listener. `local_only`: see Config.local_only.
    `security` is used under per_listener_settings only (Config.security_of).
    """

    port: int = 1883
    host: str | None = None
    socket_path: str | None = None
    is_default: bool = False
    local_only: bool = False
    security: SecurityConfig
    plugins: list[PluginConfig]
    given: dict[str, str]

    accept_protocol_versions: frozenset[int]
    bind_interface: str | None
    cafile: str | None
    capath: str | None
    certfile: str | None
    ciphers: str | None
    ciphers_tls1_3: str | None
    crlfile: str | None
    disable_client_cert_date_checks: bool
    enable_proxy_protocol: int = 0
    http_dir: str | None
    keyfile: str | None
    listener_allow_anonymous: bool | None
    listener_auto_id_prefix: str | None
    max_connections: int
    max_qos: int
    max_topic_alias: int
    max_topic_alias_broker: int
    mount_point: str | None
    protocol: str
    proxy_protocol_v2_require_tls: bool
    psk_hint: str | None
    require_certificate: bool
    socket_domain: str | None
    tls_engine: str | None
    tls_engine_kpass_sha1: str | None
    tls_keyform: str
    tls_version: str | None
    use_identity_as_username: bool
    use_subject_as_username: bool
    use_username_as_clientid: bool
    websockets_origin: tuple[str, ...] = ()

    def __init__(self, **values: object) -> None:
        super().__init__(**values)
        if "security" not in values:
            self.security = SecurityConfig()

    def same_place(self, other: ListenerConfig) -> bool:
        """Whether another listener listens at the same place, by the text of the two lines."""
        mine = (self.port, self.host, self.socket_path)
        return mine == (other.port, other.host, other.socket_path)


class BridgeConfig(Settings):
    """A bridge. `address` is [(host, port)]; times are in seconds but for bridge_tcp_user_timeout (milliseconds).

    `restart_timeout` is (base, cap, stable), cap None for a constant delay. A bridge_session_expiry_interval of
    0xFFFFFFFF means never. Client ids are generated where the file has none.
    """

    name: str
    topic: list[BridgeTopic]
    given: dict[str, str]

    address: list[tuple[str, int]]
    bridge_alpn: str | None
    bridge_attempt_unsubscribe: bool
    bridge_bind_address: str | None
    bridge_cafile: str | None
    bridge_capath: str | None
    bridge_certfile: str | None
    bridge_ciphers: str | None
    bridge_ciphers_tls1_3: str | None
    bridge_identity: str | None
    bridge_insecure: bool
    bridge_keyfile: str | None
    bridge_max_packet_size: int
    bridge_max_topic_alias: int
    bridge_outgoing_retain: bool
    bridge_protocol_version: str
    bridge_psk: str | None
    bridge_receive_maximum: int | None
    bridge_reload_type: str
    bridge_require_ocsp: bool
    bridge_session_expiry_interval: int
    bridge_tcp_keepalive: tuple[int, int, int] | None
    bridge_tcp_user_timeout: int | None
    bridge_tls_use_os_certs: bool
    bridge_tls_version: str | None
    cleansession: bool
    idle_timeout: int
    keepalive_interval: int
    local_cleansession: bool | None
    local_clientid: str
    local_password: str | None
    local_username: str | None
    notification_topic: str | None
    notifications: bool
    notifications_local_only: bool
    remote_clientid: str
    remote_password: str | None
    remote_username: str | None
    restart_timeout: tuple[int, int | None, int]
    round_robin: bool
    start_type: str
    threshold: int
    try_private: bool


class Config(Settings):
    """The whole configuration. `files` are the paths it was read from, as spelt on the command line.

    `local_only`: no line defined a listener, so the listeners are on the loopback addresses only. Sizes are in bytes,
    intervals in seconds, retain_expiry_interval in minutes (None: off). 0 is "no limit" for the max_* options but
    max_packet_size, and "never" for persistent_client_expiration; global_max_* and max_connections have no limit from
    0 down. `log_types` has the letters D E W N I S(ubscribe) U(nsubscribe), `websockets` and `internal`.
    """

    files: tuple[str, ...] = ()
    listeners: list[ListenerConfig]
    bridges: list[BridgeConfig]
    plugins: list[PluginConfig]
    security: SecurityConfig
    local_only: bool = True
    log_dests: list[LogDest]
    log_types: frozenset[str] = DEFAULT_LOG_TYPES
    given: dict[str, str]

    allow_duplicate_messages: bool
    autosave_interval: int
    autosave_on_changes: bool
    check_retain_source: bool
    clientid_prefixes: str | None
    connection_messages: bool
    enable_control_api: bool
    global_max_clients: int
    global_max_connections: int
    log_facility: int | None
    log_timestamp: bool
    log_timestamp_format: str | None
    max_inflight_bytes: int
    max_inflight_messages: int
    max_keepalive: int
    max_packet_size: int
    max_queued_bytes: int
    max_queued_messages: int
    memory_limit: int
    message_size_limit: int
    packet_buffer_size: int
    per_listener_settings: bool
    persistence: bool
    persistence_file: str
    persistence_location: str | None
    persistent_client_expiration: int = 0
    pid_file: str | None
    queue_qos0_messages: bool
    retain_available: bool
    retain_expiry_interval: int | None
    set_tcp_nodelay: bool
    sys_interval: int
    upgrade_outgoing_qos: bool
    user: str

    def __init__(self, **values: object) -> None:
        super().__init__(**values)
        if "security" not in values:
            self.security = SecurityConfig()
        if "log_dests" not in values:
            self.log_dests = [LogDest(kind="stderr")]

    def security_of(self, listener: ListenerConfig) -> SecurityConfig:
        """The security options that count for a listener."""
        return listener.security if self.per_listener_settings else self.security

    def allows_anonymous(self, listener: ListenerConfig) -> bool:
        """Whether clients without credentials may connect to a listener."""
        for value in (listener.listener_allow_anonymous, self.security_of(listener).allow_anonymous):
            if value is not None:
                return value
        return listener.local_only

    def auto_id_prefix_of(self, listener: ListenerConfig) -> str:
        """What generated client ids of a listener start with."""
        inherited = None if listener.local_only else self.security_of(listener).auto_id_prefix
        return listener.listener_auto_id_prefix or inherited or DEFAULT_ID_PREFIX
