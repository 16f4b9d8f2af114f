"""Checks across options, made after a file has been read; their messages have no position."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mosq.config.model import BridgeConfig, Config, ListenerConfig


class ConfigError(Exception):
    """The configuration cannot be used. `lines` is what to tell the user: (level, text), in order."""

    def __init__(self, lines: list[tuple[str, str]]) -> None:
        super().__init__(" ".join(text for _, text in lines))
        self.lines = lines


def check(config: Config) -> None:
    """Give bridges their client ids, then judge bridges and listeners. Raises ConfigError."""
    for bridge in config.bridges:
        _check_bridge(bridge)
    _name_bridges(config.bridges)
    for listener in config.listeners:
        _check_certificates(listener)
        _check_proxy(listener)


def _check_bridge(bridge: BridgeConfig) -> None:
    for wrong, what in (
        (not bridge.address, "no remote addresses defined"),
        (not bridge.topic, "no topics defined"),
        (bridge.bridge_psk and not bridge.bridge_identity, "missing bridge_identity"),
        (bridge.bridge_identity and not bridge.bridge_psk, "missing bridge_psk"),
    ):
        if wrong:
            raise _error(f"Error: Invalid bridge configuration: {what}.")


def _name_bridges(bridges: list[BridgeConfig]) -> None:
    """Generate missing client ids. Those of the local sessions must differ."""
    seen: set[str] = set()
    for bridge in bridges:
        bridge.remote_clientid = bridge.remote_clientid or f"{os.uname().nodename}.{bridge.name}"
        bridge.local_clientid = bridge.local_clientid or f"local.{bridge.remote_clientid}"
        if bridge.local_clientid in seen:
            raise _error(
                f"Error: Bridge local_clientid '{bridge.local_clientid}' is not unique. "
                "Try changing or setting the local_clientid value for one of the bridges."
            )
        seen.add(bridge.local_clientid)


def _check_certificates(listener: ListenerConfig) -> None:
    if bool(listener.certfile) != bool(listener.keyfile):
        raise _error("Error: Both certfile and keyfile must be provided to enable a TLS listener.")
    for name in ("cafile", "capath"):
        if getattr(listener, name) and not listener.certfile:
            raise _error(f"Error: {name} specified without certfile and keyfile.")


def _check_proxy(listener: ListenerConfig) -> None:
    """PROXY version 2 carries what the proxy knows of the client's certificate, so TLS ends at the proxy."""
    if listener.enable_proxy_protocol != 2:
        return
    if listener.use_subject_as_username:
        raise _error("Error: use_subject_as_username cannot be used with `enable_proxy_protocol 2`.")
    if listener.certfile or listener.keyfile:
        raise _error("Error: certfile and keyfile cannot be used with `enable_proxy_protocol 2`.")


def _error(text: str) -> ConfigError:
    return ConfigError([("E", text)])
