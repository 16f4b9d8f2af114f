"""A client tool at work: one client on a reactor of its own, from the first attempt to connect to the exit code.

A subclass is the handler of the client's events and says what the tool does; here is what all of them have in common:
the debug lines, what is printed about a connection that could not be made, was refused or ended, and the exit codes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence

from mosq.cli.client import options, start, streams
from mosq.cli.client.settings import Ending, Settings, Tool
from mosq.cli.client.streams import Output, complain
from mosq.client import Client, Connack, Handler, Standalone
from mosq.client.errors import ERRNO, ClientError
from mosq.reactor import Reactor

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import NoReturn

_UNSUPPORTED_VERSION = 132


class Program(Handler):
    """`refusal`: the code of a CONNACK that refused, else 0. `welcome`: a CONNACK has accepted before."""

    version_hint = True
    """Whether to say what helps against a server that does not speak MQTT 5.0."""
    answers_refusal = True
    """Whether to answer a CONNACK that refuses with a plain DISCONNECT."""
    end: float | None = None
    """Seconds to wait for the server after DISCONNECT; None: as long as the keepalive."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.output = Output()
        self.reactor = Reactor()
        self.refusal = 0
        self.welcome = False
        self.client: Client
        self._code = 0
        self._reached = False

    def run(self) -> int:
        """Connect and go on until `finish`; the exit code."""
        try:
            return self._run()
        finally:
            self.reactor.close()

    def _run(self) -> int:
        try:
            wanted = start.engine_settings(self.settings, end=self.end)
            self.client = Client(wanted, self, Standalone(self.reactor))
        except Ending as ending:
            return ending.tell()
        except ClientError as error:
            self.complain(f"Unable to connect ({error}).")
            return 1
        self.reactor.call_soon(self.client.start)
        self.reactor.run()
        try:
            self.output.flush()
        except OSError:
            pass  # nobody reads it
        return self._code

    def finish(self, code: int, error: object = "") -> None:
        """Exit with this code at the end of the turn, after saying so if there is an error."""
        self._code = code
        if error:
            self.complain(f"Error: {error}")
        self.reactor.stop()

    def complain(self, text: str) -> None:
        """A line about what went wrong."""
        if not self.settings.quiet:
            complain(f"{text}\n")

    # ---- events of the client

    def debug(self, line: str) -> None:
        self.output.line(line)

    def connected(self) -> None:
        self._reached = True

    def connack(self, connack: Connack) -> None:
        """An accepting one is for `accepted`."""
        if not connack.code:
            self.welcome = True
            self.accepted()
            return
        self.refusal = connack.code
        hint = ""
        if connack.version == 5 and connack.code == _UNSUPPORTED_VERSION and self.version_hint:
            hint = ". Try connecting to an MQTT v5 broker, or use MQTT v3.x mode."
        self.complain(f"Connection error: {connack.text}{hint}")
        if self.answers_refusal:
            self.client.disconnect()

    def closed(self, error: ClientError) -> float | None:
        """The first attempt to reach the server is the only one; whatever comes after it is for `ended`."""
        if self._reached:
            return self.ended(error)
        if error.code == ERRNO:
            self.finish(1, error)
        else:
            self.complain(f"Unable to connect ({error}).")
            self.finish(1)
        return None

    # ---- for subclasses

    def accepted(self) -> None:
        """The server has accepted the connection."""
        raise NotImplementedError

    def ended(self, error: ClientError) -> float | None:
        """The connection has ended: seconds until the next attempt, or None after `finish`."""
        raise NotImplementedError


def command(tool: Tool, words: Sequence[str], make: Callable[[Settings], Program]) -> int:
    """Do what the arguments of a tool say. Returns the exit code.

    `make` turns the settings into the program, and raises Ending for what this tool cannot work with.
    """
    streams.open_all()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        program = make(options.read(tool, [os.fsencode(word) for word in words]))
    except Ending as ending:
        return ending.tell()
    return program.run()


def leave(code: int) -> NoReturn:
    """End the process, without taking the interpreter apart first: everything is written, and nothing is shared."""
    os._exit(code & 0xFF)
