"""How a received message is printed, as bytes: sans I/O.

`renderer` makes the function that turns messages into what goes to stdout. Without a format that is a join over the
messages (`plain`); a format (-F) is compiled once into a list of functions (`format`, whose conversions stand in
`conversions`, `clock` and `message_json`; `json_writer` and `json_reader` know JSON's bytes as the C tools print them).
`watch` puts each topic on a line of its own. What goes to stderr meanwhile is handed to a function given beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Protocol

    from mosq.core import Property
else:
    Protocol = object


class Received(Protocol):
    """What is to be known of a message. `mid` is 0 for QoS 0; `properties` stand in the order received."""

    @property
    def topic(self) -> bytes: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def qos(self) -> int: ...
    @property
    def retain(self) -> bool: ...
    @property
    def mid(self) -> int: ...
    @property
    def properties(self) -> Sequence[Property]: ...


Render = Callable[[Iterable[Received]], bytes]
"""What to write to stdout for these messages."""
Complain = Callable[[bytes], None]
"""Takes what belongs to stderr, end of line included."""


def renderer(
    form: bytes | None = None,
    *,
    verbose: bool = False,
    newline: bool = True,
    pretty: bool = False,
    complain: Complain,
) -> Render:
    """How -F (`form`), -v, -N and --pretty want messages. Raises FormatError for a `form` that is none."""
    if form is None:
        from mosq.cli.output import plain

        return plain.RENDERERS[verbose, newline]
    from mosq.cli.output.format import Format

    return Format(form, newline=newline, pretty=pretty, complain=complain)
