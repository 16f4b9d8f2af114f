"""What an option line does when it does more than replace a value.

An action gets the reader, the file, the object that the option belongs to (by its section) and the checked value.
"""

from __future__ import annotations

from mosq.config.checks import RefusedError
from mosq.config.model import BridgeConfig, Config, ListenerConfig, LogDest, PluginConfig, SecurityConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from mosq.config.reader import File, Reader
    from mosq.config.topics import BridgeTopic

    # Each action knows the types of its own target and value; the table that holds them all cannot.
    Action = Callable[[Reader, File, Any, Any], None]


# Listeners


def _listener(reader: Reader, file: File, config: Config, value: tuple[int, str | None]) -> None:
    port, place = value
    listener = ListenerConfig(port=port, socket_path=place) if port == 0 else ListenerConfig(port=port, host=place)
    file.listener = reader.add_listener(listener)


def _port(reader: Reader, file: File, listener: ListenerConfig, port: int) -> None:
    if "port" in listener.given:
        reader.report("W", "Warning: Default listener port specified multiple times. Only the latest will be used.")
    listener.port = port


def _bind_address(reader: Reader, file: File, listener: ListenerConfig, host: str) -> None:
    reason = _unresolved(host)
    if reason is not None:
        text = f"Error resolving bind_address: {reason}." if reason else f"Unable to resolve bind_address {host}."
        raise RefusedError(f"Error: {text}")
    listener.host = host


def _websockets_origin(reader: Reader, file: File, listener: ListenerConfig, origin: str) -> None:
    listener.websockets_origin += (origin,)


# Security


def _per_listener_settings(reader: Reader, file: File, config: Config, value: bool) -> None:
    if value and not reader.security_is_open():
        raise RefusedError("Error: per_listener_settings must be set before any other security settings.")
    config.per_listener_settings = value


def _allow_anonymous(reader: Reader, file: File, security: SecurityConfig, value: bool) -> None:
    if reader.config.per_listener_settings:
        reader.report(
            "N",
            "You are using the 'allow_anonymous' option with 'per_listener_settings true'. "
            "Please replace this with 'listener_allow_anonymous'.",
        )
    security.allow_anonymous = value


# Logging


def _log_dest(reader: Reader, file: File, config: Config, value: tuple[str, str]) -> None:
    kind, path = value
    dests = config.log_dests if "log_dest" in config.given else []
    if kind == "none":
        dests = []
    elif kind == "file" and any(dest.kind == "file" for dest in dests):
        raise RefusedError('Error: Duplicate "log_dest file" value.')
    elif all(dest.kind != kind for dest in dests):
        dests = [*dests, LogDest(kind=kind, path=path or None)]
    config.log_dests = dests


def _log_type(reader: Reader, file: File, config: Config, types: frozenset[str] | None) -> None:
    before = config.log_types if "log_type" in config.given else frozenset()
    config.log_types = frozenset() if types is None else before | types


def _log_timestamp(reader: Reader, file: File, config: Config, value: bool) -> None:
    config.log_timestamp = value
    reader.on_log_option("log_timestamp", value)


def _log_timestamp_format(reader: Reader, file: File, config: Config, value: str) -> None:
    config.log_timestamp_format = value
    reader.on_log_option("log_timestamp_format", value)


def _include_dir(reader: Reader, file: File, config: Config, directory: str) -> None:
    if file.included:
        raise RefusedError("Error: The include_dir option is only valid in the main configuration file.")
    reader.include(directory)


# Plugins


def _add_plugin(reader: Reader, file: File, plugin: PluginConfig) -> None:
    if not plugin.path:
        raise RefusedError(f"Error: Missing plugin path for plugin name '{plugin.name or '(null)'}'.")
    plugin.given = {plugin.option: file.place()}
    reader.config.plugins.append(plugin)
    file.plugin = plugin


def _plugin(reader: Reader, file: File, security: SecurityConfig, path: str) -> None:
    per_listener = reader.config.per_listener_settings
    _add_plugin(reader, file, PluginConfig(option="plugin", path=path, everywhere=not per_listener))
    if per_listener and file.listener and file.plugin:
        file.listener.plugins.append(file.plugin)


def _global_plugin(reader: Reader, file: File, config: Config, path: str) -> None:
    _add_plugin(reader, file, PluginConfig(option="global_plugin", path=path, everywhere=True))


def _plugin_load(reader: Reader, file: File, config: Config, value: tuple[str, str]) -> None:
    name, path = value
    if any(plugin.name == name for plugin in config.plugins):
        raise RefusedError(f"Error: Duplicate plugin name '{name}'.")
    _add_plugin(reader, file, PluginConfig(option="plugin_load", name=name, path=path))


def _plugin_use(reader: Reader, file: File, listener: ListenerConfig, name: str) -> None:
    for plugin in reader.config.plugins:
        if plugin.name == name:
            listener.plugins.append(plugin)
            file.plugin = plugin
            return
    raise RefusedError(f"Error: Plugin '{name}' not previously loaded.")


def _plugin_option(reader: Reader, file: File, plugin: PluginConfig, value: tuple[str, str]) -> None:
    plugin.options.append(value)


# Bridges


def _connection(reader: Reader, file: File, config: Config, name: str) -> None:
    if any(bridge.name == name for bridge in config.bridges):
        raise RefusedError(f"Error: Duplicate bridge name '{name}'.")
    file.bridge = BridgeConfig(name=name, given={"connection": file.place()})
    config.bridges.append(file.bridge)


def _address(reader: Reader, file: File, bridge: BridgeConfig, addresses: list[tuple[str, int]]) -> None:
    """Names are looked up only to warn about mistakes, so not on a reload, where it would hold up the broker."""
    for host, _ in addresses if reader.running is None else ():
        reason = _unresolved(host)
        if reason is not None:
            text = f"Error resolving bridge address: {reason}" if reason else f"Unable to resolve bridge address {host}"
            reader.report("W", f"Warning: {text}.")
    bridge.address = addresses


def _bridge_insecure(reader: Reader, file: File, bridge: BridgeConfig, value: bool) -> None:
    if value:
        reader.report("W", f"Warning: Bridge '{bridge.name}' using insecure mode.")
    bridge.bridge_insecure = value


def _topic(reader: Reader, file: File, bridge: BridgeConfig, topic: BridgeTopic) -> None:
    if topic in bridge.topic:
        pattern = topic.pattern or '""'
        reader.report("I", f"Duplicate bridge topic '{pattern}', skipping")
    else:
        bridge.topic.append(topic)


def _unresolved(host: str) -> str | None:
    """Why a host name has no address: the resolver's reason, empty if it gave none; None if it has one."""
    import socket  # only configurations with addresses need it this early

    try:
        socket.getaddrinfo(host.encode("utf-8", "surrogateescape"), None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return error.strerror or ""
    except (OSError, ValueError):
        return ""
    return None


ACTIONS: dict[str, Action] = {
    "address": _address,
    "allow_anonymous": _allow_anonymous,
    "bind_address": _bind_address,
    "bridge_insecure": _bridge_insecure,
    "connection": _connection,
    "global_plugin": _global_plugin,
    "include_dir": _include_dir,
    "listener": _listener,
    "log_dest": _log_dest,
    "log_timestamp": _log_timestamp,
    "log_timestamp_format": _log_timestamp_format,
    "log_type": _log_type,
    "per_listener_settings": _per_listener_settings,
    "plugin": _plugin,
    "plugin_load": _plugin_load,
    "plugin_opt_*": _plugin_option,
    "plugin_use": _plugin_use,
    "port": _port,
    "topic": _topic,
    "websockets_origin": _websockets_origin,
}
