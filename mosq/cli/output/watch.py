"""--watch: every topic has a line of the terminal to itself, in order of first appearance, below a heading."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mosq.cli.output import Received, Render

_FIRST_LINE = 2


class Watch:
    """Where each topic is on the screen."""

    __slots__ = ("_lines", "_render")

    def __init__(self, render: Render) -> None:
        self._lines: dict[bytes, int] = {}
        self._render = render

    def heading(self, host: bytes) -> bytes:
        """To be printed at the start."""
        return b"\x1b[2J\x1b[1;1HBroker: %b\n" % host

    def message(self, message: Received, shown: bool = True) -> bytes:
        """A message on the line of its topic; one that is not shown moves the cursor there only."""
        line = self._lines.setdefault(message.topic, _FIRST_LINE + len(self._lines))
        there = b"\x1b[%d;1H" % line
        if not shown:
            return there
        last = _FIRST_LINE + len(self._lines) - 1
        return b"%b%b\x1b[%d;1H\n" % (there, self._render((message,)), last)
