"""What this build cannot do yet, and which lines of a configuration ask for it.

An option is never ignored in silence: a broker whose configuration asks for something in MISSING refuses to start.
The option table says which options need which feature (`needs`); when a feature arrives its name leaves MISSING.
"""

from __future__ import annotations

import os

from mosq.config.options import OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mosq.config.model import Config, ListenerConfig, PluginConfig, SecurityConfig

    Owner = Config | ListenerConfig | SecurityConfig

MISSING = frozenset(("bridges", "plugins", "protocol", "proxy"))

PERSIST_SQLITE = "mosquitto_persist_sqlite"
"""The durable store, as a plugin line names it."""

_BUILT_IN = frozenset((PERSIST_SQLITE,))
"""Plugins that are parts of this broker. They go by the file name: what lies at the path is not looked at."""


def _name(plugin: PluginConfig) -> str:
    """The file name of a plugin, without directory and suffix."""
    return os.path.splitext(os.path.basename(plugin.path))[0]


def built_in(config: Config, name: str) -> PluginConfig | None:
    """The line that loads this part of the broker for all listeners; of several, the first."""
    return next((plugin for plugin in config.plugins if plugin.everywhere and _name(plugin) == name), None)


def is_misplaced(config: Config, name: str) -> bool:
    """Whether a line loads this part of the broker for a listener, which is not how it can be had."""
    return any(_name(plugin) == name for listener in config.listeners for plugin in listener.plugins)


def unavailable(config: Config) -> list[tuple[str, str]]:
    """The options in use whose feature this build lacks, as (option, FILE:LINE), in no particular order.

    An option that is given with its default value is not in use. A bridge or plugin is listed once, by the line that
    makes it.
    """
    securities = [config.security, *(listener.security for listener in config.listeners)]
    owners: list[Owner] = [config, *securities, *config.listeners]
    found = [line for owner in owners for line in _in_use(owner)]
    if "plugins" in MISSING:
        wanting = [plugin for plugin in config.plugins if _name(plugin) not in _BUILT_IN]
        found += [(plugin.option, plugin.given[plugin.option]) for plugin in wanting]
    found += [("connection", bridge.given["connection"]) for bridge in config.bridges if "bridges" in MISSING]
    return list(dict.fromkeys(found))


def _in_use(owner: Owner) -> list[tuple[str, str]]:
    initial = type(owner)().values()
    values = owner.values()
    found = []
    for name, place in owner.given.items():
        attribute = OPTIONS[name].attribute
        if OPTIONS[name].needs in MISSING and values.get(attribute) != initial.get(attribute):
            found.append((name, place))
    return found
