"""Reading the files that hold secrets or rules line by line, and the one way to say that a file will not do.

Lines are bytes: what their text means, and what a NUL byte in it means, is for the reader of each kind of file. A line
has an end here, so that a file which is one endless line costs no memory to speak of.
"""

from __future__ import annotations

import os

from mosq.restricted import Report, open_restricted

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from collections.abc import Iterator

INVALID, UNREADABLE = 3, 13
"""Exit codes of the broker: a file with something wrong in it; a file that cannot be opened."""

LONGEST_NAME = 65535
"""Bytes of a user name or a topic: the most that a string of MQTT can hold."""

_LONGEST_LINE = 1 << 20
"""Bytes. Far more than the longest names, hashes and topics together."""


class FileError(Exception):
    """A file that the broker cannot work with. `texts` are error lines for the log, `code` is its exit code."""

    def __init__(self, code: int, *texts: str) -> None:
        super().__init__(*texts)
        self.code = code
        self.texts = texts


class LongLineError(Exception):
    """A line is longer than anything useful can be. `line` counts from 1."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def read_lines(path: str, report: Report) -> Iterator[tuple[int, bytes]]:
    """Yield (number, line) for all lines of `path`, counted from 1, without their LF. `report` gets (level, text).

    Raises OSError where the file cannot be opened or may not be used (mosq.restricted), and LongLineError.
    """
    with open(open_restricted(path, os.O_RDONLY, report), "rb") as file:
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE and line[-1:] != b"\n":
                raise LongLineError(number)
            yield number, line.removesuffix(b"\n")
