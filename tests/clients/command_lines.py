"""Command lines of the client tools that need no broker: read in this process, and by Debian's tools beside."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from mosq.cli.client import options
from mosq.cli.client.settings import PUB, RR, SUB, Ending, Settings, Tool
from tests.harness.deadline import SECONDS

TOOLS = {tool.letter: tool for tool in (PUB, SUB, RR)}

Result = tuple[int, bytes, bytes]
"""Exit code, stdout, stderr."""

Word = str | bytes


def encoded(words: Sequence[Word]) -> list[bytes]:
    return [os.fsencode(word) for word in words]


def settings(tool: Tool, *words: Word) -> Settings:
    """What a command line without mistakes makes."""
    return options.read(tool, encoded(words))


def ending(tool: Tool, *words: Word) -> Result:
    """What a command line ends with before anything is connected."""
    with pytest.raises(Ending) as caught:
        options.read(tool, encoded(words))
    return caught.value.code, caught.value.out, caught.value.err


def mistake(tool: Tool, *words: Word) -> str:
    """The line about a mistake, with an empty line behind it where there is one."""
    code, out, err = ending(tool, *words)
    hint = f"\nUse '{tool.name} --help' to see usage.\n"
    assert code == 1
    assert out == b""
    text = err.decode("utf-8", "surrogateescape")
    assert text.endswith(hint)
    return text.removesuffix(hint).removesuffix("\n")


def debian(tool: Tool, *words: Word, home: Path) -> Result:
    """The same by Debian's tool."""
    done = subprocess.run(
        [f"/usr/bin/{tool.name}", *encoded(words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=SECONDS,
        env={"HOME": str(home)},
        check=False,
    )
    return done.returncode, done.stdout, done.stderr
