"""The options of the durable store: the plugin_opt_... lines after the line that loads it, and where its file lies."""

from __future__ import annotations

import os

from mosq.persistence import REFUSED, StoreError
from mosq.record import Record

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.config import Config
    from mosq.config.model import PluginConfig

FILE = "mosquitto.sqlite3"

_SYNC = {"extra": 3, "full": 2, "normal": 1, "off": 0}
_INVALID = 3
"""The exit code for a value that makes no sense."""


class Options(Record):
    """`path` of the file. `sync`: PRAGMA synchronous. `flush_period`: seconds between commits, 0: every turn commits.
    `page_size`: bytes, of a new file."""

    path: str
    sync: int
    flush_period: int
    page_size: int


def read(config: Config, plugin: PluginConfig) -> Options | None:
    """The options in force; None: nothing says where the file is to be. Raises StoreError."""
    values = {"sync": "normal", "flush_period": "5", "page_size": "4096"}
    values.update((name.lower(), value) for name, value in plugin.options)
    sync = _SYNC.get(values["sync"].lower())
    if sync is None:
        raise _invalid(f"Sqlite persistence: Invalid plugin_opt_sync value '{values['sync']}'.")
    flush_period = _number("flush_period", values["flush_period"], 0)
    page_size = _number("page_size", values["page_size"], 1)
    path = _path(config.persistence_location, values.get("db_file"))
    return None if path is None else Options(path, sync, flush_period, page_size)


def _path(location: str | None, file: str | None) -> str | None:
    """A persistence location goes before db_file. It is made if it is missing; what is wrong with it shows later."""
    if not location:
        return file
    try:
        os.mkdir(location, 0o770)
    except OSError:
        pass
    return f"{location}/{FILE}"


def _number(name: str, text: str, least: int) -> int:
    """As C's atoi: leading blanks, a sign, digits; anything else is 0."""
    text = text.lstrip(" \t\n\v\f\r")
    digits = text[1:] if text[:1] in ("+", "-") else text
    end = next((at for at, digit in enumerate(digits) if digit not in "0123456789"), len(digits))
    number = int(digits[: min(end, 18)] or "0") * (-1 if text[:1] == "-" else 1)
    number = max(-(2**31), min(number, 2**31 - 1))
    if number < least:
        raise _invalid(f"Error: Invalid '{name}' value {number} in configuration.")
    return number


def _invalid(text: str) -> StoreError:
    return StoreError([("E", text), ("E", REFUSED % _INVALID)], _INVALID)
