"""Configuration files as bytes in, one item per option line out.

A file is a sequence of lines and a line is one option: there are no sections, quotes, escapes or continuations here.
What a value means is decided in checks.py; this file only knows where names and values begin and end. The space is
the only separator (a tab is part of a name), and a comment has its '#' in the first column.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class NulByteError(Exception):
    """A line holds a NUL byte, which no option can have a use for. `line` counts from 1."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def items(content: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield (name, rest, line) for each option line of a file, in order.

    `rest` is everything behind the one space that ends the name, without the line end; empty if there is nothing.
    Line numbers count from 1 and include skipped lines. Raises NulByteError when it comes to such a line.
    """
    for number, raw in enumerate(content.split(b"\n"), 1):
        if b"\0" in raw:
            raise NulByteError(number)
        if raw[:1] in (b"#", b"\r"):
            continue
        line = raw.rstrip(b"\r").lstrip(b" ")
        if line:
            name, _, rest = line.partition(b" ")
            yield name, rest, number


def first_word(rest: bytes) -> tuple[bytes, bytes]:
    """Split off the first space-separated word: (word, what follows the one space that ends it)."""
    word, _, rest = rest.lstrip(b" ").partition(b" ")
    return word, rest
