"""Write the completions of all commands for bash and zsh, from the tables by which the commands read their options.

    python packaging/completions/generate.py [DIRECTORY]      by default this one: bash/NAME, zsh/_NAME

What may follow an option is known by what its table calls the value (`FOLLOWS`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from mosq.cli import command_line, db_dump, migrate, passwd
from mosq.cli.client import help, options, property_option
from mosq.cli.client.settings import PUB, RR, SUB, Tool

FILES, DIRECTORIES, HOSTS, PROPERTY = "files", "directories", "hosts", "property"

FOLLOWS: dict[str, str] = {
    "FILE": FILES,
    "address": HOSTS,
    "command identifier value": PROPERTY,
    "directory": DIRECTORIES,
    "file": FILES,
    "form": "engine pem",
    "hash": "argon2id sha512 sha512-pbkdf2",
    "host": HOSTS,
    "path": FILES,
    "qos": "0 1 2",
    "when": "always never new",
    # by the option where the name of the value says too little
    "--protocol-version": "31 311 5 mqttv31 mqttv311 mqttv5",
    "--proxy": "socks5h://",
    "--tls-version": "tlsv1.2 tlsv1.3",
    "-L": "mqtt:// mqtts:// ws:// wss://",
}
"""One of the kinds above, or these words."""


class Word(NamedTuple):
    """An option: its names, what its value is called ("": it has none), what it is for."""

    names: tuple[str, ...]
    value: str
    text: str

    @property
    def follows(self) -> str:
        return FOLLOWS.get(self.names[0], FOLLOWS.get(self.value, ""))


class Command(NamedTuple):
    """`arguments`: whether there are words that are no options; they are files."""

    name: str
    words: list[Word]
    arguments: bool = False


# ---- from the tables


def commands() -> list[Command]:
    """All commands of the project."""
    return [_broker(), _passwd(), _db_dump(), _migrate(), *(_client(tool) for tool in (PUB, SUB, RR))]


def _client(tool: Tool) -> Command:
    found = options.of(tool)
    return Command(
        tool.name,
        [Word(tuple(one.names.split()), one.value, _first_sentence(help.explanation(one, tool))) for one in found],
    )


def _broker() -> Command:
    texts = _explanations(command_line.USAGE) | {
        "-q": "log nothing",
        "--help": "show a summary",
        "--version": "show the version",
    }
    values = {"-c": "file", "-p": "port", "--tls-keylog": "file"}
    tables = (command_line._FLAGS, command_line._VALUES, command_line._TEXTS)
    groups = [names for table in tables for names in _synonyms(table, texts)]
    return Command("mosquitto", [Word(names, values.get(names[0], ""), texts[names[0]]) for names in groups])


def _passwd() -> Command:
    texts = _explanations(passwd.USAGE)
    values = {"-H": "hash", "-I": "iterations"}
    words = [Word((name,), values.get(name, ""), texts[name]) for name in passwd._OPTIONS]
    return Command("mosquitto_passwd", words, arguments=True)


def _db_dump() -> Command:
    texts = {
        "--stats": "count what is in the file",
        "--client-stats": "count the messages of each client",
        "--json": "print it as JSON",
    }
    words = [Word((name,), "", texts[name]) for name in db_dump._VIEWS if name is not None]
    return Command("mosquitto_db_dump", words, arguments=True)


def _migrate() -> Command:
    actions = migrate._parser()._actions
    words = [Word(tuple(one.option_strings), str(one.metavar or ""), _first_sentence(str(one.help))) for one in actions]
    return Command("migrate_to_persist_sqlite", words)


def _synonyms(table: Mapping[str, object], texts: Mapping[str, str]) -> list[tuple[str, ...]]:
    """The names of a table that do the same, the explained one first."""
    groups: dict[int, list[str]] = {}
    for name, what in table.items():
        groups.setdefault(id(what), []).append(name)
    return [tuple(sorted(names, key=lambda name: name not in texts)) for names in groups.values()]


def _explanations(usage: str) -> dict[str, str]:
    """Those of a usage text, by the option."""
    entries = re.findall(r"^ (-\S+) : (.*(?:\n {6,}.*)*)", usage, re.MULTILINE)
    return {name: _first_sentence(text) for name, text in entries}


def _first_sentence(text: str) -> str:
    return re.split(r"[.;:](?: |$)", " ".join(text.split()))[0]


# ---- bash

_BASH = """\
# Completions of {name} for bash. Made by packaging/completions/generate.py.
_{name}() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} option=${{COMP_WORDS[COMP_CWORD - 1]}}
    COMPREPLY=()
{property}    case $option in
{cases}
    esac
{arguments}    mapfile -t COMPREPLY < <(compgen -W '{names}' -- "$current")
}}
complete -F _{name} {name}
"""
_BASH_PROPERTY = """\
    local i
    for i in 2 3 4; do
        ((COMP_CWORD > i)) || break
        case ${{COMP_WORDS[COMP_CWORD - i]}} in
            {names})
                ((i == 4)) && [[ ${{COMP_WORDS[COMP_CWORD - 2],,}} != user-property ]] && break
                ((i == 2)) || return
                case ${{option,,}} in
{cases}
                esac
                return
                ;;
        esac
    done
"""
_BASH_ARGUMENTS = """\
    if [[ $current != -* ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
    fi
"""
_BASH_FILES = 'compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen {how} -- "$current")'
_BASH_WORDS = 'mapfile -t COMPREPLY < <(compgen {how} -- "$current")'


def bash(command: Command) -> str:
    """The completion script of a command."""
    by_effect: dict[str, list[str]] = {}
    for word in command.words:
        if word.value:
            by_effect.setdefault(_bash_effect(word.follows), []).extend(word.names)
    cases = [_bash_case(names, effect) for effect, names in by_effect.items()]
    properties = [word for word in command.words if word.follows == PROPERTY]
    return _BASH.format(
        name=command.name,
        property="".join(_bash_property(word) for word in properties),
        cases="\n".join(cases),
        arguments=_BASH_ARGUMENTS if command.arguments else "",
        names=" ".join(name for word in command.words for name in word.names),
    )


def _bash_effect(follows: str) -> str:
    if follows in (FILES, DIRECTORIES):
        return _BASH_FILES.format(how="-f" if follows == FILES else "-d")
    if follows == HOSTS:
        return _BASH_WORDS.format(how="-A hostname")
    if follows == PROPERTY:
        return _BASH_WORDS.format(how=f"-W '{' '.join(sorted(property_option.SENT))}'")
    if not follows:
        return ""
    effect = _BASH_WORDS.format(how=f"-W '{follows}'")
    return f"compopt -o nospace 2>/dev/null; {effect}" if "://" in follows else effect


def _bash_case(names: Iterable[str], effect: str, indent: int = 8) -> str:
    blank = " " * indent
    lines = [*([effect] if effect else []), "return", ";;"]
    return "\n".join([f"{blank}{' | '.join(names)})", *(f"{blank}    {line}" for line in lines)])


def _bash_property(word: Word) -> str:
    blank = " " * 20
    cases = [
        f"{blank}{packet}) " + _BASH_WORDS.format(how=f"-W '{' '.join(sorted(property_option.names(packet)))}'") + " ;;"
        for packet in sorted(property_option.SENT)
    ]
    return _BASH_PROPERTY.format(names=" | ".join(word.names), cases="\n".join(cases))


# ---- zsh

_ZSH = """\
#compdef {name}
# Completions of {name} for zsh. Made by packaging/completions/generate.py.
{before}_arguments -S{state} \\
{specs}
{after}"""
_ZSH_PROPERTY = """
[[ $state == identifier ]] || return
case ${{(L)words[CURRENT - 1]}} in
{cases}
esac
"""


def zsh(command: Command) -> str:
    """The completion function of a command."""
    specs = [_zsh_spec(word) for word in command.words]
    if command.arguments:
        specs.append("'*: :_files'")
    has_property = any(word.follows == PROPERTY for word in command.words)
    cases = [
        f"    {packet}) compadd -- {' '.join(sorted(property_option.names(packet)))} ;;"
        for packet in sorted(property_option.SENT)
    ]
    return _ZSH.format(
        name=command.name,
        before="local context curcontext=$curcontext state line\n" if has_property else "",
        state=" -C" if has_property else "",
        specs=" \\\n".join(f"    {spec}" for spec in specs),
        after=_ZSH_PROPERTY.format(cases="\n".join(cases)) if has_property else "",
    )


def _zsh_spec(word: Word) -> str:
    names = word.names[0] if len(word.names) == 1 else "{" + ",".join(word.names) + "}"
    text = re.sub(r"([\[\]:\\])", r"\\\1", word.text).replace("'", "'\\''")
    return f"'*'{names}'[{text}]{_zsh_value(word)}'"


def _zsh_value(word: Word) -> str:
    if not word.value:
        return ""
    follows = word.follows
    if follows == PROPERTY:
        return f":command:({' '.join(sorted(property_option.SENT))}):identifier:->identifier:value: "
    actions = {FILES: "_files", DIRECTORIES: "_files -/", HOSTS: "_hosts", "": " "}
    if follows in actions:
        return f":{word.value}:{actions[follows]}"
    words = follows.replace(":", "\\:")
    return f':{word.value}:{{compadd -S "" -- {words}}}' if "://" in words else f":{word.value}:({words})"


def scripts() -> dict[str, str]:
    """All completions, by their place in the directory."""
    made = {}
    for command in commands():
        made[f"bash/{command.name}"] = bash(command)
        made[f"zsh/_{command.name}"] = zsh(command)
    return made


def main(directory: Path) -> None:
    for place, text in scripts().items():
        path = directory / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent)
