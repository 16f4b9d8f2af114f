"""The option table: everything there is to say about a configuration option, in one place.

SPEC is a configobj configspec. Each line is `name = check(facts)`; the check (checks.py) turns the text of a line into
a value, by way of configobj's Validator. The section is the class of the option, which says what it belongs to:

    any                 the broker as a whole; may stand anywhere
    security            the broker, or the current listener under `per_listener_settings true`
    listener            the current listener, which must exist
    listener line       the current listener, which must come from a `listener` line
    implicit listener   the current listener, else the default listener, which becomes current
    default listener    the default listener, which becomes current
    bridge, plugin      the current bridge or plugin, which must exist

Facts that any option may have (each check adds its own, such as the range of an int):

    default     the value without a line, as it would be written; none means None
    called      the name printed in messages about the value, where it is not the name written
    once        a second line for the same object is an error (otherwise it replaces, or adds to, the first)
    reload      apply (the default): a re-read starts from the default; keep: the running value stays unless there is
                a line; skip: the value can only be given at start, the line is not looked at
    deprecated  how the deprecation notice ends; `note` and `warn`: a line to print, as notice or warning
    excludes    options that must not have been given before for the same object (words)
    needs       the feature without which a value other than the default cannot be honoured (features.py)

`alias(name)` makes another spelling of an option. Names in messages are those written in the file.
"""

from __future__ import annotations

from mosq.config.validator import Validator

SPEC = """
[any]
allow_duplicate_messages = bool(default=true, deprecated="The behaviour will default to true.")
autosave_interval = int(default=1800, floor=0)
autosave_on_changes = bool(default=false)
check_retain_source = bool(default=false)
clientid_prefixes = string(deprecated="")
connection = word
connection_messages = bool(default=true)
dhparamfile = ignored(warn="Warning: dhparamfile is no longer required.")
enable_control_api = bool(default=false)
global_max_clients = int(default=-1)
global_max_connections = int(default=-1)
global_plugin = raw(reload=skip, needs="plugins")
include_dir = raw
listener = listener(called="listener port")
log_dest = destination
log_facility = int(min=0, max=7, wrong="Error: Invalid 'log_facility' value (%d).")
log_timestamp = bool(default=true)
log_timestamp_format = string(once=yes)
log_type = log_type
max_inflight_bytes = int(default=0, floor=0)
max_inflight_messages = window(default=20, max=65535, wrong="Error: 'max_inflight_messages' must be <= 65535.")
max_keepalive = int(default=0, min=0, max=65535, wrong="Error: Invalid 'max_keepalive' value (%d).")
max_packet_size = int(default=2000000, min=20, wrong="Error: 'max_packet_size' must be >= 20.")
max_queued_bytes = int(default=0, floor=0)
max_queued_messages = int(default=1000, floor=0)
memory_limit = long(default=0, min=0, reload=keep, wrong="Error: Invalid 'memory_limit' value (%d).")
message_size_limit = int(default=0, min=0, max=268435455, wrong="Error: Invalid 'message_size_limit' value (%u).", note="Note: It is recommended to replace `message_size_limit` with `max_packet_size`.")
packet_buffer_size = int(default=4096, min=0, max=65535, wrong="Error: Packet buffer size must be between 0 and 65535 inclusive.", level=W)
per_listener_settings = bool(default=false, deprecated="Please see the documentation for how to achieve the same effect.")
persistence = bool(default=false, needs="persistence")
persistence_file = string(default="mosquitto.db", once=yes)
persistence_location = string(once=yes)
persistent_client_expiration = duration(default=None)
pid_file = string(once=yes, reload=skip)
plugin_load = named_path(reload=skip, needs="plugins")
queue_qos0_messages = bool(default=false)
retain_available = bool(default=true)
retain_expiry_interval = int(default=None, min=1, wrong="Error: retain_expiry_interval must be >= 1.", level=W, cap=10000000, capped="Warning: retain_expiry_interval being capped at 19 years.")
retained_persistence = alias(persistence)
retry_interval = ignored(warn="Warning: The 'retry_interval' option is no longer available.")
set_tcp_nodelay = bool(default=true)
sys_interval = int(default=10, min=0, max=65535, wrong="Error: Invalid 'sys_interval' value (%d).")
upgrade_outgoing_qos = bool(default=false)
user = string(default=mosquitto, reload=skip)
websockets_headers_size = alias(packet_buffer_size)
websockets_log_level = ignored

[security]
acl_file = string(needs="acl_file")
allow_anonymous = bool(default=None)
allow_zero_length_clientid = bool(default=true)
auth_plugin = alias(plugin)
auto_id_prefix = string(once=yes, longest=50, long="Error: auto_id_prefix length must be <= 50.", deprecated="Please use 'listener_auto_id_prefix' instead.")
password_file = string(needs="password_file")
plugin = raw(reload=skip, needs="plugins")
psk_file = string(excludes="certfile", needs="psk_file")

[listener]
cafile = string(reload=keep, excludes="psk_hint", needs="tls")
disable_client_cert_date_checks = bool(default=false, needs="tls")
enable_proxy_protocol = int(default=None, min=1, max=2, reload=keep, wrong="Error: enable_proxy_protocol must be 1 or 2.", needs="proxy")
http_dir = directory(once=yes, reload=skip)
listener_allow_anonymous = bool(default=None)
listener_auto_id_prefix = string(once=yes, longest=50, long="Error: 'listener_auto_id_prefix' length must be <= 50.")
max_topic_alias = int(default=10, min=0, max=65535, wrong="Error: Invalid 'max_topic_alias' value in configuration.")
max_topic_alias_broker = int(default=10, min=0, max=65535, wrong="Error: Invalid 'max_topic_alias_broker' value in configuration.")
mount_point = topic_prefix
proxy_protocol_v2_require_tls = bool(default=false, reload=keep, needs="proxy")
tls_version = string(once=yes, reload=skip, needs="tls")
websockets_origin = string

[listener line]
accept_protocol_versions = versions(default="3,4,5")
plugin_use = string(reload=skip, needs="plugins")

[implicit listener]
bind_interface = string(once=yes, reload=skip)
capath = string(reload=keep, needs="tls")
certfile = string(reload=keep, excludes="psk_hint", needs="tls")
ciphers = string(reload=keep, needs="tls")
ciphers_tls1.3 = string(reload=keep, needs="tls")
crlfile = string(reload=keep, needs="tls")
keyfile = string(reload=keep, needs="tls")
max_connections = int(default=-1, floor=-1)
max_qos = int(default=2, min=0, max=2, wrong="Error: 'max_qos' must be between 0 and 2 inclusive.")
maximum_qos = alias(max_qos)
protocol = choice(mqtt, websockets, http_api, default=mqtt, wrong="Error: Invalid 'protocol' value (%s).", needs="protocol")
psk_hint = string(once=yes, reload=skip, needs="tls")
require_certificate = bool(default=false, needs="tls")
socket_domain = choice(ipv4, ipv6, default=None, reload=skip, wrong="Error: Invalid 'socket_domain' value '%s' in configuration.")
tls_engine = string(once=yes, reload=skip, needs="tls")
tls_engine_kpass_sha1 = sha1(reload=skip, needs="tls")
tls_keyform = key_form(default=pem, reload=skip, needs="tls")
use_identity_as_username = bool(default=false, needs="tls")
use_subject_as_username = bool(default=false, needs="tls")
use_username_as_clientid = bool(default=false)

[default listener]
bind_address = string(called="default listener bind_address", once=yes, reload=skip, deprecated="")
port = int(min=1, max=65535, reload=skip, wrong="Error: Invalid 'port' value (%d).", deprecated="Please use 'listener' instead.")

[bridge]
address = addresses(once=yes)
addresses = alias(address)
bridge_alpn = string(once=yes)
bridge_attempt_unsubscribe = bool(default=true)
bridge_bind_address = string(once=yes)
bridge_cafile = string(once=yes, excludes="bridge_identity bridge_psk")
bridge_capath = string(once=yes, excludes="bridge_identity bridge_psk")
bridge_certfile = string(once=yes, excludes="bridge_identity bridge_psk")
bridge_ciphers = string(once=yes)
bridge_ciphers_tls1.3 = string(once=yes)
bridge_identity = string(once=yes, excludes="bridge_cafile bridge_capath bridge_certfile bridge_keyfile")
bridge_insecure = bool(default=false)
bridge_keyfile = string(excludes="bridge_identity bridge_psk")
bridge_max_packet_size = int(default=0, floor=0)
bridge_max_topic_alias = int(default=10, min=0, max=65535, wrong="Error: bridge_max_topic_alias must be > 0 and <= 65535.")
bridge_outgoing_retain = bool(default=true)
bridge_protocol_version = choice(mqttv31, mqttv311, mqttv50, default=mqttv311, whole=yes, wrong="Error: Invalid 'bridge_protocol_version' value (%s).")
bridge_psk = string(once=yes, excludes="bridge_cafile bridge_capath bridge_certfile bridge_keyfile")
bridge_receive_maximum = int(default=None, min=1, max=65535, wrong="Error: bridge_receive_maximum must be greater than 0.", above="Error: bridge_receive_maximum must be lower than 65535.")
bridge_reload_type = choice(lazy, immediate, default=lazy, wrong="Error: Invalid 'bridge_reload_type' value in configuration (%s).")
bridge_require_ocsp = bool(default=false)
bridge_session_expiry_interval = int(default=0, min=0, top=4294967295, wrong="Error: bridge_session_expiry_interval must not be negative.")
bridge_tcp_keepalive = tcp_keepalive
bridge_tcp_user_timeout = int(default=None, min=0, wrong="Error: invalid TCP user timeout value.")
bridge_tls_use_os_certs = bool(default=false)
bridge_tls_version = string(once=yes)
cleansession = bool(default=false)
clientid = alias(remote_clientid)
idle_timeout = int(default=60, floor=1, raised="idle_timeout interval too low, using 1 second.")
keepalive_interval = int(default=60, floor=5, raised="keepalive interval too low, using 5 seconds.", max=65535, wrong="Error: Bridge keepalive value too high.")
local_cleansession = bool(default=None)
local_clientid = string(called="bridge local clientd", once=yes)
local_password = string(called="bridge local_password", once=yes)
local_username = string(called="bridge local_username", once=yes)
notification_topic = string(once=yes)
notifications = bool(default=true)
notifications_local_only = bool(default=false)
password = alias(remote_password)
remote_clientid = string(called="bridge remote clientid", once=yes)
remote_password = string(called="bridge remote_password", once=yes)
remote_username = string(called="bridge remote_username", once=yes)
restart_timeout = restart_timeout(default="5 30")
round_robin = bool(default=false)
start_type = choice(automatic, lazy, once, default=automatic, wrong="Error: Invalid 'start_type' value in configuration (%s).", never=manual, refusal="Error: Manual start_type not supported.")
threshold = int(default=10, floor=1, raised="threshold too low, using 1 message.")
topic = bridge_topic
try_private = bool(default=true)
username = alias(remote_username)

[plugin]
auth_opt_* = alias(plugin_opt_*)
auth_plugin_deny_special_chars = bool(default=true, reload=skip)
plugin_opt_* = plugin_option(reload=skip)
"""  # noqa: E501


class Option:
    """One line of SPEC: the check as text, and the facts that do not concern the check."""

    __slots__ = (
        "attribute",
        "called",
        "check",
        "deprecated",
        "excludes",
        "name",
        "needs",
        "note",
        "once",
        "reload",
        "section",
        "warn",
    )

    def __init__(self, name: str, section: str, check: str) -> None:
        function = check.partition("(")[0]
        facts = Validator({function: lambda value, *words, **facts: facts}).check(check, "")
        assert isinstance(facts, dict)
        self.name = name
        self.section = section
        self.check = check
        self.attribute = attribute_of(name)
        self.called = facts.get("called")
        self.once = "once" in facts
        self.reload = facts.get("reload", "apply")
        self.deprecated = facts.get("deprecated")
        self.note = facts.get("note")
        self.warn = facts.get("warn")
        self.excludes = facts.get("excludes", "").split()
        self.needs = facts.get("needs")


def attribute_of(name: str) -> str:
    """The Python attribute that holds an option's value (`ciphers_tls1.3` is not an identifier)."""
    return name.replace(".", "_")


def _read(spec: str) -> tuple[dict[str, Option], dict[str, str]]:
    """A configspec as (options by name, canonical names by alias)."""
    options: dict[str, Option] = {}
    aliases: dict[str, str] = {}
    section = ""
    for line in spec.split("\n"):
        name, _, check = line.partition(" = ")
        if check.startswith("alias("):
            aliases[name] = check[len("alias(") : -1]
        elif check:
            options[name] = Option(name, section, check)
        elif line:
            section = line.strip("[]")
    return options, aliases


OPTIONS, ALIASES = _read(SPEC)


def find(name: str) -> Option | None:
    """The option that a name in a file stands for; None if there is no such option."""
    if name.startswith(("plugin_opt_", "auth_opt_")):
        name = "plugin_opt_*"
    return OPTIONS.get(ALIASES.get(name, name))
