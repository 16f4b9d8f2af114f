"""Files of options: one option a line, with its value behind a space.

The user's default file is named as the program and lies where the XDG base directory specification has configuration;
-o names another one. A file that is not there counts as empty.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from mosq.cli.client.settings import Tool, UsageError

LONGEST_LINE = 1023
"""Bytes; what follows counts as a line of its own."""
_PROPERTY = (b"-D", b"--property")
"""The option with more than one value; only the last of them may have blanks in it."""


def choose(tool: Tool, words: Sequence[bytes]) -> bytes | None:
    """The file to read before the command line. Raises UsageError."""
    places = [i for i, word in enumerate(words) if word == b"-o"]
    if not places:
        return _default(tool)
    if len(places) > 1:
        raise UsageError("Error: Duplicate -o argument given.", spaced=True)
    if places[0] + 1 == len(words):
        raise UsageError("Error: -o argument given but no options file specified.", spaced=True)
    return words[places[0] + 1]


def _default(tool: Tool) -> bytes | None:
    configuration = os.environb.get(b"XDG_CONFIG_HOME")
    if configuration is not None:
        return b"%s/%s" % (configuration, tool.name.encode())
    home = os.environb.get(b"HOME")
    return None if home is None else b"%s/.config/%s" % (home, tool.name.encode())


def lines(path: bytes | None) -> Iterator[list[bytes]]:
    """The words of each line."""
    if path is None:
        return
    try:
        with open(path, "rb") as file:
            while line := file.readline(LONGEST_LINE):
                if words := _words(line):
                    yield words
    except (OSError, ValueError):
        return


def _words(line: bytes) -> list[bytes]:
    """The option, and its value if there is one. Quotes mean nothing, and only blanks separate."""
    text = line.partition(b"\0")[0].rstrip(b"\r\n")
    if text.startswith(b"#"):
        return []
    name, _, value = text.lstrip(b" ").partition(b" ")
    words = [name] if name else []
    if name in _PROPERTY:
        for _ in range(2):
            words, value = _next(words, value)
        if words[-1].lower() == b"user-property":
            words, value = _next(words, value)
    return [*words, value] if value else words


def _next(words: list[bytes], text: bytes) -> tuple[list[bytes], bytes]:
    word, _, rest = text.lstrip(b" ").partition(b" ")
    return ([*words, word] if word else words), rest
