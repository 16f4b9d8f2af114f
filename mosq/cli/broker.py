"""The broker as a command: its start in order, its reload, its end.

Invariant: what goes wrong before a step ends the process without touching what that step would have made. A pid file
or a socket is removed only by the process that made it.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence

from mosq import __version__, process, systemd, transport
from mosq.auth.files import FileError
from mosq.broker import Broker
from mosq.cli.command_line import INVALID, OK, Command, parse
from mosq.config import ConfigError, load, unavailable
from mosq.config.features import MISSING
from mosq.config.options import OPTIONS
from mosq.core import trim_memory
from mosq.listeners import ListenerError, open_listeners
from mosq.log import ALL_LEVELS, Log
from mosq.persistence import StoreError, open_snapshot, open_store
from mosq.reactor import Reactor
from mosq.restricted import ALLOW_SYMLINKS

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    import socket

    from mosq.config import Config
    from mosq.listeners import Listener
    from mosq.persistence import Store

_SUPPORT = (
    ("Bridge", "bridges"),
    ("Persistence", "persistence"),
    ("TLS", "tls"),
    ("TLS-PSK", "psk_file"),
    ("Websockets", "protocol"),
)
"""The features a start announces, and their names in the option table."""

_FEATURES = {
    "bridges": "bridges",
    "persistence": "persistence",
    "plugins": "plugins",
    "protocol": "WebSockets and the HTTP API",
    "proxy": "the PROXY protocol",
}
"""How the features of the option table are called in a message."""

_GC_THRESHOLDS = (20_000, 20, 20)
"""The broker's objects are freed by their counts; cycles are rare accidents. The default would look at all that tens of
thousands of connections own, over and over while they arrive, for milliseconds at a time, and find nothing."""


def entry() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))


def main(words: Sequence[str]) -> int:
    """Run the broker with these arguments until a signal ends it. Returns the exit code."""
    # Until the reactor has them: an interrupted start is no traceback, and who asks for a save or a reload while a
    # large store is still being read does not end the broker.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for signum in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMIN):
        signal.signal(signum, signal.SIG_IGN)
    process.hold_standard_descriptors()
    log = Log()
    try:
        return _main(words, log)
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else process.EXIT_FAILURE
    except process.ProcessError as exc:
        log.error("%s", exc.text)
        code = exc.code
    except MemoryError:
        log.error("Error: Out of memory.")
        code = process.EXIT_FAILURE
    log.info("mosquitto version %s terminating", __version__)
    log.close()
    return code


def _main(words: Sequence[str], log: Log) -> int:
    command = parse(words)
    config = _read(command, log)
    activated = systemd.activated_sockets(os.environ)
    process.set_title(words)
    process.drop_privileges(config.user, os.environ, log)
    process.set_umask(os.environ)
    if command.daemon:
        process.daemonise()
    pid_file = process.PidFile(config.pid_file) if config.pid_file else None
    reactor = Reactor(lambda exc: _report(exc, log))
    broker = Broker(config, log, reactor)
    try:
        if command.daemon:
            _open_log(config, command, log)  # what is said on stderr from here on, nobody reads
        _attach(lambda broker: open_snapshot(broker, config), broker)
        _open_log(config, command, log)
        _announce(config, log)
        log.clock = lambda: reactor.wall
        return _serve(command, broker, activated, pid_file)
    finally:
        if pid_file is not None:
            pid_file.remove()


# Configuration


def _read(command: Command, log: Log) -> Config:
    """The configuration that the command line asks for. Raises SystemExit when that is all it asks for."""
    config = None
    if command.files or command.end is None:
        try:
            config = load(command.files, command.ports, log.write, on_log_option=_LogOptions(log))
        except ConfigError as exc:
            raise SystemExit(_tell(exc, log)) from exc
    if command.end is not None or config is None:
        raise SystemExit(command.end(log) if command.end is not None else INVALID)
    if command.test and not command.files:
        log.error("Please provide a configuration file to test.")
        raise SystemExit(INVALID)
    if not _can_honour(config, command, log) or not transport.is_placed(config, log):
        raise SystemExit(INVALID)
    if command.test:
        log.info("Configuration file is OK.")
        raise SystemExit(OK)
    return config


class _LogOptions:
    """Applies log_timestamp and log_timestamp_format from the line on which they are read."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def __call__(self, name: str, value: object) -> None:
        log = self._log
        if name == "log_timestamp":
            log.set_timestamp(bool(value), log.timestamp_format)
        else:
            log.set_timestamp(log.timestamp, str(value))


def _tell(exc: ConfigError, log: Log) -> int:
    for level, text in exc.lines:
        log.write(level, text)
    return INVALID


def _can_honour(config: Config, command: Command, log: Log) -> bool:
    """Whether this build has all that is asked for. Each option that has to wait is named."""
    wanted = [(option, place, OPTIONS[option].needs or _LINE_MAKERS[option]) for option, place in unavailable(config)]
    for option, place, feature in sorted(wanted, key=lambda found: _position(found[1])):
        log.error(
            "Error: The '%s' option needs %s, which this version of mosq does not have yet (%s).",
            option,
            _FEATURES[feature],
            place,
        )
    return not wanted


_LINE_MAKERS = {"connection": "bridges", "auth_plugin": "plugins"}
"""Options that need a feature without the table saying so at their own line."""


def _position(place: str) -> tuple[str, int]:
    path, _, line = place.rpartition(":")
    return path, int(line) if line.isdecimal() else 0


# Start


def _open_log(config: Config, command: Command, log: Log) -> None:
    types = config.log_types
    if command.quiet:
        types = frozenset()
    elif command.verbose:
        types = ALL_LEVELS
    log.open(config.log_dests, types, config.log_timestamp, config.log_timestamp_format, config.log_facility)


def _announce(config: Config, log: Log) -> None:
    log.info("mosquitto version %s starting", __version__)
    if config.files:
        log.info("Config loaded from %s.", config.files[-1])
    else:
        log.info("Using default config.")
    for name, feature in _SUPPORT:
        log.info("%s support%s available.", name, " NOT" if feature in MISSING else "")
    if ALLOW_SYMLINKS in os.environ:
        log.notice("%s is set, loading of sensitive files through symbolic links is allowed.", ALLOW_SYMLINKS)


def _attach(find: Callable[[Broker], Store | None], broker: Broker) -> None:
    """Restore what the store has, if there is one."""
    try:
        store = find(broker)
        if store is not None:
            broker.attach(store)
    except StoreError as exc:
        for level, text in exc.lines:
            broker.log.write(level, text)
        raise SystemExit(exc.code) from exc


def _serve(command: Command, broker: Broker, activated: list[socket.socket], pid_file: process.PidFile | None) -> int:
    config, log = broker.config, broker.log
    try:
        broker.security.configure(config)
    except FileError as exc:
        raise SystemExit(_unusable(exc, log)) from exc
    _attach(open_store, broker)
    try:
        listeners = open_listeners(config, log, activated)
    except ListenerError as exc:
        raise SystemExit(process.EXIT_FAILURE) from exc
    try:
        if pid_file is not None:
            pid_file.write()  # only now is it sure that no other instance runs with this configuration
        transport.secure(listeners, log, broker.security.keys_of, command.tls_keylog)
        return _Service(command, broker, listeners).run()
    except transport.SecurityError as exc:
        raise SystemExit(process.EXIT_FAILURE) from exc
    finally:
        for listener in listeners:
            listener.close()


def _unusable(exc: FileError, log: Log) -> int:
    """Log what is wrong with a file of rules, and return the exit code for it."""
    for text in exc.texts:
        log.error("%s", text)
    return exc.code


class _Service:
    """The broker running: what the signals and the service manager want of it."""

    def __init__(self, command: Command, broker: Broker, listeners: list[Listener]) -> None:
        self._code = OK
        self._config = broker.config
        self._command = command
        self._log = broker.log
        self._manager = systemd.ServiceManager(os.environ)
        self._reactor = broker.reactor
        self._broker = broker
        self._listeners = listeners

    def run(self) -> int:
        """Serve until SIGINT or SIGTERM, or a reload that cannot be. Returns the exit code."""
        self._broker.start(self._listeners)
        self._take_signals()
        _settle_memory()
        self._log.info("mosquitto version %s running", __version__)
        self._manager.ready()
        self._manager.keep_alive(self._reactor)
        self._reactor.run()
        return self._end()

    def _take_signals(self) -> None:
        """In the order in which several that wait are served."""
        on_signal = self._reactor.on_signal
        on_signal(signal.SIGUSR1, self._broker.save)
        on_signal(signal.SIGRTMIN, self._reopen_log)
        on_signal(signal.SIGHUP, self._reload)
        on_signal(signal.SIGUSR2, self._broker.print_tree)
        on_signal(signal.SIGINT, self._reactor.stop)
        on_signal(signal.SIGTERM, self._reactor.stop)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def _reopen_log(self) -> None:
        self._log.reopen()
        self._broker.watch_packets()

    def _reload(self) -> None:
        """SIGHUP: read the file again. A file that is wrong is told, and the broker goes on as it is.

        Not so with a file of rules: nobody would know which rules are in force, so the broker ends, under the old ones.
        """
        log = self._log
        log.info("Reloading config.")
        self._manager.reloading()
        config = self._read_again()
        if config is not None:
            self._config = config
        if self._broker.store is None:
            self._keep_snapshots()
        try:
            self._broker.reload(self._config)
        except FileError as exc:
            self._code = _unusable(exc, log)
            self._reactor.stop()
            return
        _open_log(self._config, self._command, log)
        self._broker.watch_packets()
        self._manager.ready()

    def _keep_snapshots(self) -> None:
        """Persistence may have been switched on just now: what there is will be written, and nothing read."""
        store = open_snapshot(self._broker, self._config)
        if store is not None:
            self._broker.keep_in(store)

    def _read_again(self) -> Config | None:
        command, log = self._command, self._log
        if not command.files:
            return None
        try:
            config = load(command.files, command.ports, log.write, running=self._config)
        except ConfigError as exc:
            _tell(exc, log)
            return None
        return config if _can_honour(config, command, log) and transport.is_placed(config, log) else None

    def _end(self) -> int:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.SIG_IGN)  # the second one must not cut the end short
        self._manager.stopping()
        self._broker.shut_down()
        self._log.info("mosquitto version %s terminating", __version__)
        if not self._broker.stop() and self._code == OK:
            self._code = process.EXIT_FAILURE
        self._manager.close()
        self._log.close()
        return self._code


def _report(exc: BaseException, log: Log) -> None:
    import traceback  # heavy, and wanted only when something is broken

    for text in traceback.format_exception(exc):
        for line in text.splitlines():
            log.error("%s", line)


def _settle_memory() -> None:
    """What the start made stays: the collector need not look at it again, nor look as often as it is wont to.

    What the start only used, mostly for reading the configuration, goes back to the system.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    trim_memory()
