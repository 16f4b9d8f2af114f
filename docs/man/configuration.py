"""mosquitto.conf(5), made from the explanations in conf/mosquitto.conf: there they stand once.

configuration.py conf/mosquitto.conf >mosquitto.conf.5.rst
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

_HEAD = """==============
mosquitto.conf
==============

-----------------------------------
the configuration of an MQTT broker
-----------------------------------

:Manual section: 5
:Manual group: mosq

DESCRIPTION
===========

**mosquitto**\\ (8) reads this file when it is started with ``-c``. Without any option it listens on port 1883 of the
loopback addresses and accepts clients of this machine without credentials. Each option stands below with its default,
or with an example where it has none.

"""
_FOOT = """
SEE ALSO
========

**mosquitto**\\ (8), **mosquitto_passwd**\\ (1)
"""
_RULE = re.compile(r"#\s*=+$")
_OPTION = re.compile(r"#([a-z_0-9.]+)(?: (.*))?$")


def page(text: str) -> str:
    """The page, as reStructuredText."""
    blocks = [block.split("\n") for block in re.split(r"\n\n+", text.strip())]
    # Of the introduction only the last paragraph is about the format; the others are about the file itself.
    blocks[0] = "\n".join(blocks[0]).rpartition("\n#\n")[2].split("\n")
    return _HEAD + "\n".join(line for block in blocks for line in _block(block)) + _FOOT


def _block(lines: list[str]) -> Iterator[str]:
    """A heading with what follows it, a paragraph, or options with their explanation."""
    if _RULE.match(lines[0]):
        words = [_text(line) for line in lines if not _RULE.match(line)]
        yield from (words[0].upper(), "=" * len(words[0]), "", *(_escaped(line) for line in words[1:]), "")
        return
    options = [found for line in lines if (found := _OPTION.match(line))]
    explanation = list(_listed(_escaped(_text(line)) for line in lines if not _OPTION.match(line)))
    if not options:
        yield from (*explanation, "")
        return
    yield ", ".join(f"**{name}** {_escaped(value or '')}".rstrip() for name, value in (o.groups() for o in options))
    yield from (*(f"    {line}".rstrip() for line in explanation), "")


def _listed(lines: Iterable[str]) -> Iterator[str]:
    """Lines that are indented are the items of a list."""
    before = ""
    for line in lines:
        if line.startswith(" ") != before.startswith("- "):
            yield ""
        before = f"- {line.lstrip()}" if line.startswith(" ") else line
        yield before


def _text(line: str) -> str:
    return line.removeprefix("#").removeprefix(" ")


def _escaped(text: str) -> str:
    return re.sub(r"([\\*`|_])", r"\\\1", text)


if __name__ == "__main__":
    sys.stdout.write(page(Path(sys.argv[1]).read_text()))
