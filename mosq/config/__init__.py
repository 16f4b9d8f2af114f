"""The configuration: mosquitto.conf in, a Config out. See `load`.

lexer.py finds the option lines, options.py says what each option is, checks.py turns text into values, reader.py puts
them where they belong (model.py), rules.py judges the whole, features.py what of it this build can honour.
"""

from __future__ import annotations

from mosq.config.features import unavailable
from mosq.config.model import BridgeConfig, Config, ListenerConfig, LogDest, PluginConfig, SecurityConfig
from mosq.config.reader import apply_environment, load
from mosq.config.rules import ConfigError

__all__ = [
    "BridgeConfig",
    "Config",
    "ConfigError",
    "ListenerConfig",
    "LogDest",
    "PluginConfig",
    "SecurityConfig",
    "apply_environment",
    "load",
    "unavailable",
]
