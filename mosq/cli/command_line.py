"""What the broker's command line asks for.

Words are looked at from left to right. The first that is wrong, or that asks for a text, ends the reading; files named
before it are still read first, so that of several mistakes the leftmost is told. Hence `parse` does nothing: it
returns a Command, whose `end` is what remains to be done once the files are read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from mosq import __version__
from mosq.log import Log

OK = 0
INVALID = 3

_PORTS_MAX = 10

End = Callable[[Log], int]
"""Says something and returns the exit code."""

USAGE = f"""mosquitto version {__version__}

mosquitto is a broker for MQTT v5.0, v3.1.1 and v3.1.

Usage: mosquitto [-c config_file] [-d] [-h] [-p port] [-v]
                 [--tls-keylog file]

 -c : read the configuration from this file. May be given several times:
      the files add up.
 -d : run in the background.
 -h : show this text.
 -p : listen on this port, on the loopback addresses only. May be given
      several times. Has no effect when the configuration has a listener.
 -q : log nothing, whatever the configuration says.
 -v : log everything, whatever the configuration says.
 --test-config : check the configuration and exit.
 --tls-keylog : append the secrets of TLS connections to this file, for
      debugging.

The options of the configuration file are explained in the file
mosquitto.conf that comes with mosq.

"""

VERSION = f"""mosq {__version__}
Copyright \u00a9 2025 the authors of mosq.
License Apache-2.0.
"""


class Command:
    """The command line, read. `end` is set when there is nothing to start."""

    __slots__ = ("daemon", "end", "files", "ports", "quiet", "test", "tls_keylog", "verbose")

    def __init__(self) -> None:
        self.files: list[str] = []
        self.ports: list[int] = []
        self.daemon = False
        self.quiet = False
        self.verbose = False
        self.test = False
        self.tls_keylog: str | None = None
        self.end: End | None = None

    # Options with a value: each returns what is wrong with it.

    def add_file(self, value: str) -> str | None:
        self.files.append(value)
        return None

    def add_port(self, value: str) -> str | None:
        if len(self.ports) == _PORTS_MAX:
            return f"Error: Only {_PORTS_MAX} ports can be specified on the command line."
        port = leading_number(value)
        if not 1 <= port <= 65535:
            return f"Error: Invalid port specified ({port})."
        self.ports.append(port)
        return None

    def set_tls_keylog(self, value: str) -> str | None:
        self.tls_keylog = value
        return None


_FLAGS = {
    "-d": "daemon",
    "--daemon": "daemon",
    "-q": "quiet",
    "--quiet": "quiet",
    "-v": "verbose",
    "--verbose": "verbose",
    "--test-config": "test",
}
"""Attributes of Command that a word sets."""

_VALUES = {
    "-c": (Command.add_file, "Error: -c argument given, but no config file specified."),
    "-p": (Command.add_port, "Error: -p argument given, but no port specified."),
    "--tls-keylog": (Command.set_tls_keylog, "Error: --tls-keylog argument given, but no file specified."),
}
_VALUES["--config-file"] = _VALUES["-c"]
_VALUES["--port"] = _VALUES["-p"]
"""Words that take the next one as their value, and what to say when there is none."""

_TEXTS = {"-h": USAGE, "--help": USAGE, "--version": VERSION}


def parse(words: Sequence[str]) -> Command:
    """Read a command line without its name."""
    command = Command()
    rest = iter(words)
    for word in rest:
        if word in _FLAGS:
            setattr(command, _FLAGS[word], True)
        elif word in _VALUES:
            take, missing = _VALUES[word]
            value = next(rest, None)
            wrong = missing if value is None else take(command, value)
            command.end = None if wrong is None else _mistake(wrong)
        elif word in _TEXTS:
            command.end = _text(_TEXTS[word])
        else:
            command.end = _unknown(word)
        if command.end is not None:
            break
    return command


def leading_number(text: str) -> int:
    """The decimal number a text begins with, as C's atoi reads it: blanks and a sign before it; 0 without one."""
    text = text.lstrip(" \t\n\v\f\r")
    sign = -1 if text[:1] == "-" else 1
    if text[:1] in ("-", "+"):
        text = text[1:]
    digits = text[: len(text) - len(text.lstrip("0123456789"))]
    return sign * int(digits[:18] or "0")


def _text(text: str) -> End:
    def end(log: Log) -> int:
        _write(1, text)
        return OK

    return end


def _mistake(line: str) -> End:
    def end(log: Log) -> int:
        log.error("%s", line)
        return INVALID

    return end


def _unknown(word: str) -> End:
    def end(log: Log) -> int:
        _write(2, f"Error: Unknown option '{word}'.\n")
        _write(1, USAGE)
        return INVALID

    return end


def _write(fd: int, text: str) -> None:
    try:
        os.write(fd, text.encode("utf-8", "surrogateescape"))
    except OSError:
        pass  # nobody reads it
