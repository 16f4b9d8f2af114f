"""Reads configuration files: for each line, find what it is about, check its value, put it there.

Three "current" things say what a line is about: listener, bridge and plugin. Each file starts with none of them, so an
included file cannot change those of the main file. Reading builds a Config of its own; on a reload it starts from
copies of the running one, which is never touched, so a re-read that fails leaves everything as it was.
"""

from __future__ import annotations

import os
import stat

from mosq.config import rules
from mosq.config.actions import ACTIONS
from mosq.config.checks import Checks, RefusedError, path_text, shown
from mosq.config.lexer import NulByteError, items
from mosq.config.model import BridgeConfig, Config, ListenerConfig, PluginConfig, SecurityConfig
from mosq.config.options import OPTIONS, Option, find
from mosq.config.rules import ConfigError
from mosq.config.validator import Validator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from mosq.config.checks import Report

    Thing = TypeVar("Thing")
    Target = Config | SecurityConfig | ListenerConfig | BridgeConfig | PluginConfig

DEFAULT_PORT = 1883
LOOPBACK = (("127.0.0.1", "ipv4"), ("::1", "ipv6"))
NO_NEW_LISTENERS = "Error: It is not currently possible to add/remove listeners when reloading the config file."
NO_NEW_MODE = "Error: per_listener_settings cannot be changed when reloading the config file."


def load(
    files: Sequence[str],
    ports: Sequence[int],
    report: Report,
    *,
    running: Config | None = None,
    on_log_option: Callable[[str, object], None] | None = None,
) -> Config:
    """Read configuration files, which add up, and judge the result.

    `ports` are those of the command line; they count when no listener is defined. `report` gets level and text of what
    is worth saying but does not stop anything; `on_log_option` gets log_timestamp and log_timestamp_format, which count
    from the line they stand on. With `running` the last file is read again for a reload: the listeners of the result
    are as many as before and in the same order, each with its options as they are now.

    Raises ConfigError. Resolves bind_address and, but for a reload, the addresses of bridges.
    """
    reader = Reader(report, running, on_log_option)
    for path in files if running is None else files[-1:]:
        reader.read_main(path)
        rules.check(reader.config)
    config = reader.finish(ports)
    rules.check(config)  # once more, for listeners that are complete only now
    config.files = tuple(files)
    apply_environment(config)
    return config


def apply_environment(config: Config) -> None:
    """Let MOSQUITTO_PERSISTENCE_LOCATION take the place of persistence_location. `load` has done so already."""
    config.persistence_location = os.environ.get("MOSQUITTO_PERSISTENCE_LOCATION", config.persistence_location)


class File:
    """A file being read, and its current listener, bridge and plugin. `line` is the one being looked at."""

    __slots__ = ("bridge", "included", "line", "listener", "path", "plugin")

    def __init__(self, path: str, included: bool) -> None:
        self.path = path
        self.included = included
        self.line = 0
        self.listener: ListenerConfig | None = None
        self.bridge: BridgeConfig | None = None
        self.plugin: PluginConfig | None = None

    def place(self) -> str:
        """Where the reading is, as FILE:LINE."""
        return f"{printable(self.path)}:{self.line}"

    def error(self, lines: list[tuple[str, str]]) -> ConfigError:
        """An error whose lines end with the current place."""
        place = f"'{self.place()}'" if self.included else self.place()
        return ConfigError([*lines, ("E", f"Error found at {place}.")])


class Reader:
    """Turns lines into a Config. `running` is set for a reload; `declared` once a line has defined a listener."""

    def __init__(
        self, report: Report, running: Config | None, on_log_option: Callable[[str, object], None] | None
    ) -> None:
        self.report = report
        self.running = running
        self.on_log_option = on_log_option or (lambda name, value: None)
        self.config = Config() if running is None else _restarted(running)
        self.declared = False
        self.default_listener: ListenerConfig | None = None
        self._security_seen = False
        self._checks = Checks(report)
        self._validator = Validator(self._checks.functions())

    def read_main(self, path: str) -> None:
        """Read a file of the command line."""
        self._read(File(path, included=False))

    def include(self, directory: str) -> None:
        """Read the *.conf files of a directory in their order."""
        if not directory:
            raise RefusedError("Error: Empty 'include_dir' value in configuration.")
        try:
            names = os.listdir(directory)
        except (OSError, ValueError):
            raise RefusedError(f"Error: Unable to open include_dir '{printable(directory)}'.") from None
        paths = [f"{directory}/{name}" for name in names if name.endswith(".conf") and name != ".conf"]
        for path in sorted(paths, key=_include_order):
            self.report("I", f"Loading config file '{printable(path)}'")
            self._read(File(path, included=True))

    def security_is_open(self) -> bool:
        """Whether per_listener_settings may still be switched on: nothing that depends on it has been read."""
        return not self._security_seen

    def add_listener(self, listener: ListenerConfig) -> ListenerConfig:
        """Add a listener; on a reload, find the running one at the same place and start it from its defaults.

        Returns the listener that the options to come belong to.
        """
        self.declared = True
        if self.running is None:
            self.config.listeners.append(listener)
            return listener
        for index, old in enumerate(self.running.listeners):
            if old.same_place(listener) and not old.local_only:
                return self._restart(index, is_default=False)
        raise RefusedError(NO_NEW_LISTENERS)

    def finish(self, ports: Sequence[int]) -> Config:
        """The Config, after the last file."""
        config = self.config
        if self.running is None:
            config.local_only = not self.declared
            if config.local_only:
                config.listeners = _local_listeners(self.default_listener or ListenerConfig(), ports)
        else:
            if config.per_listener_settings != self.running.per_listener_settings:
                raise ConfigError([("E", NO_NEW_MODE)])
            if config.local_only:
                config.listeners = [
                    (self.default_listener or _reset(old)).copy(port=old.port, host=old.host)
                    for old in self.running.listeners
                ]
        return config

    def _read(self, file: File) -> None:
        content = _content(file.path)
        try:
            for name, rest, file.line in items(content):
                self._option(file, path_text(name), rest)
        except NulByteError as error:
            file.line = error.line
            raise file.error([("E", "Error: Invalid NUL byte in configuration.")]) from None
        except RefusedError as error:
            raise file.error([(error.level, error.text)] if error.text else []) from None
        except ConfigError as error:  # from an included file
            raise file.error(error.lines) from None

    def _option(self, file: File, written: str, rest: bytes) -> None:
        """One line: an option name as written, and what follows it."""
        option = find(written)
        if option is None:
            raise RefusedError(f"Error: Unknown configuration variable '{printable(written)}'.")
        self._announce(option, written)
        if option.check.startswith("ignored"):
            return
        if option.section == "security" or option.name == "global_plugin":
            self._security_seen = True
        skipped = self.running is not None and option.reload == "skip"
        if skipped and option.section not in ("implicit listener", "default listener"):
            return
        target = self._target(option, written, file)
        if skipped or (option.name == "per_listener_settings" and self.config.per_listener_settings):
            return
        self._checks.name = option.called or printable(written)
        if option.once and option.name in target.given:
            self._refuse_second(option, rest)
        _refuse_mixture(option, target if option.section != "security" else file.listener)
        value = self._validator.check(option.check, rest)
        action = ACTIONS.get(option.name)
        if action is None:
            setattr(target, option.attribute, value)
        else:
            action(self, file, target, value)
        target.given[option.name] = file.place()

    def _announce(self, option: Option, written: str) -> None:
        """Print what is printed for each line with this option."""
        if option.deprecated is not None:
            notice = f"The '{written}' option is now deprecated and will be removed in version 3.0. {option.deprecated}"
            self.report("N", notice)
        if option.note:
            self.report("N", option.note)
        if option.warn:
            self.report("W", option.warn)

    def _refuse_second(self, option: Option, rest: bytes) -> None:
        if option.name == "address":
            raise RefusedError("Error: Invalid bridge configuration, 'address' only allowed once.")
        if rest:  # a line with nothing on it is refused for that
            raise RefusedError(f"Error: Duplicate '{self._checks.name}' value in configuration.")

    def _target(self, option: Option, written: str, file: File) -> Target:
        """The object that an option belongs to, by its section."""
        section = option.section
        if section == "any":
            return self.config
        if section == "security" and not self.config.per_listener_settings:
            return self.config.security
        if section == "default listener" or (section == "implicit listener" and file.listener is None):
            return self._select_default(section, written, file)
        if section == "bridge":
            return _required(file.bridge, f"Error: The '{written}' option requires a bridge to be defined first.")
        if section == "plugin":
            return _required(file.plugin, _no_plugin(written))
        message = f"Error: The '{written}' option requires a listener to be defined first."
        listener = _required(file.listener, message)
        if section == "listener line" and listener.is_default:
            raise RefusedError(message)
        return listener.security if section == "security" else listener

    def _select_default(self, section: str, written: str, file: File) -> ListenerConfig:
        """Make the default listener current, and make it if this is the first time."""
        if section == "default listener":
            self.declared = True
            if self.running is not None and self.config.local_only:
                raise RefusedError(NO_NEW_LISTENERS)
        if self.default_listener is None:
            self.default_listener = self._new_default(written) if self.running is None else self._running_default()
        file.listener = self.default_listener
        return self.default_listener

    def _new_default(self, written: str) -> ListenerConfig:
        self.report("I", f"Creating default listener due to '{written}' option.")
        self.report(
            "I",
            f"It is best practice to define a 'listener' first. Using the '{written}' option without a listener "
            "will be disabled in the future.",
        )
        listener = ListenerConfig(is_default=True)
        self.config.listeners.append(listener)
        return listener

    def _running_default(self) -> ListenerConfig:
        assert self.running is not None
        for index, old in enumerate(self.running.listeners):
            if old.local_only:
                return _reset(old)  # finish() makes copies for all of them
            if old.is_default:
                return self._restart(index, is_default=True)
        raise RefusedError(NO_NEW_LISTENERS)

    def _restart(self, index: int, is_default: bool) -> ListenerConfig:
        """Put a running listener back to its defaults in the new configuration."""
        assert self.running is not None
        listener = _reset(self.running.listeners[index])
        listener.is_default = is_default
        self.config.listeners[index] = listener
        return listener


def printable(text: str) -> str:
    """Text of a path as it appears in messages: what is not UTF-8 is replaced."""
    return shown(text.encode("utf-8", "surrogateescape"))


def _content(path: str) -> bytes:
    """The bytes of a regular file. Never waits for a FIFO or a device."""
    name = printable(path)
    unreadable = ("E", f"Error: Unable to open config file '{name}'.")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISREG(mode):
                return file.read()
    except IsADirectoryError:
        mode = stat.S_IFDIR
    except (OSError, ValueError):
        raise ConfigError([unreadable]) from None
    if stat.S_ISDIR(mode):
        raise ConfigError([("E", f"Error: Config file '{name}' is a directory.")])
    raise ConfigError([("E", f"Error: {name} is not a file."), unreadable])


def _include_order(path: str) -> list[tuple[int, int]]:
    """Sort key: byte by byte, letters without regard to case first, upper before lower case where they are equal."""
    name = os.fsencode(path)
    return list(zip(name.upper(), name, strict=True))


def _required(thing: Thing | None, message: str) -> Thing:
    if thing is None:
        raise RefusedError(message)
    return thing


def _no_plugin(written: str) -> str:
    if written == "auth_plugin_deny_special_chars":
        return f"Error: An {written} option exists in the config file without a plugin."
    return f"Error: The '{written}' option requires plugin/global_plugin/plugin_load to be defined first."


def _refuse_mixture(option: Option, owner: Target | None) -> None:
    """Refuse an option that does not go with one given before for the same owner: certificates and pre-shared keys."""
    if owner is None or not any(name in owner.given for name in option.excludes):
        return
    if option.section == "bridge":
        other = "psk" if "bridge_psk" in option.excludes else "identity"
        message = f"Error: '{option.name}': Cannot use both certificate and {other} encryption in a single bridge."
        raise RefusedError(message)
    raise RefusedError("Error: Cannot use both certificate and psk encryption in a single listener.")


def _local_listeners(template: ListenerConfig, ports: Sequence[int]) -> list[ListenerConfig]:
    """The listeners of local only mode, with the options that were given for the default listener."""
    return [
        template.copy(port=port, host=host, local_only=True, is_default=False)
        for port in ports or (DEFAULT_PORT,)
        for host, family in LOOPBACK
        if template.socket_domain in (None, family)
    ]


def _restarted(running: Config) -> Config:
    """A Config at its defaults but for what a reload does not change. Listeners stay until their line is read."""
    config = Config(plugins=running.plugins, listeners=running.listeners, local_only=running.local_only)
    _keep(running, config)
    return config


def _reset(old: ListenerConfig) -> ListenerConfig:
    """A listener at its defaults but for its place and what a reload does not change."""
    listener = ListenerConfig(
        host=old.host,
        socket_path=old.socket_path,
        is_default=old.is_default,
        local_only=old.local_only,
        plugins=old.plugins,
    )
    _keep(old, listener)
    return listener


def _keep(old: Config | ListenerConfig, new: Config | ListenerConfig) -> None:
    """Copy the options that a reload leaves alone unless there is a line (keep) or in any case (skip)."""
    values = old.values()
    for option in OPTIONS.values():
        if option.reload == "apply":
            continue
        if option.attribute in values:
            setattr(new, option.attribute, values[option.attribute])
        if option.name in old.given:
            new.given[option.name] = old.given[option.name]
