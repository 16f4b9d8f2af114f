"""Completions: as the tables of options have it, and working in the shells themselves."""

from __future__ import annotations

import importlib.util
import os
import pty
import re
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import ModuleType

import pytest

from mosq.cli import command_line, db_dump, passwd
from mosq.cli.client import options
from tests.harness.broker import ROOT
from tests.harness.deadline import SECONDS

DIRECTORY = ROOT / "packaging/completions"


def _generator() -> ModuleType:
    """The script, as a module: `packaging` on the path is somebody else's."""
    spec = importlib.util.spec_from_file_location("generate", DIRECTORY / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = _generator()


def test_the_completions_are_those_of_the_tables() -> None:
    kept = {str(path.relative_to(DIRECTORY)): path.read_text() for path in DIRECTORY.glob("*sh/*")}
    assert kept == GENERATOR.scripts(), "make completions"


def test_no_option_is_missing() -> None:
    found = {command.name: {name for word in command.words for name in word.names} for command in GENERATOR.commands()}
    assert found["mosquitto"] == {*command_line._FLAGS, *command_line._VALUES, *command_line._TEXTS}
    assert found["mosquitto_passwd"] == set(passwd._OPTIONS)
    assert found["mosquitto_db_dump"] == {name for name in db_dump._VIEWS if name}
    for letter, name in (("P", "mosquitto_pub"), ("S", "mosquitto_sub"), ("R", "mosquitto_rr")):
        assert found[name] == {x for one in options.TABLE if letter in one.tools for x in one.names.split()}


def bash(directory: Path, *words: str) -> set[str]:
    """What bash offers for the last word."""
    script = """
        source "$1"; command=${2##*/}; shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        "_$command"; printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-c", script, "bash", str(DIRECTORY / "bash" / words[0]), *words],
        capture_output=True,
        cwd=directory,
        timeout=SECONDS,
        check=True,
    )
    assert done.stderr == b""
    return set(done.stdout.decode().split("\n")) - {""}


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    (tmp_path / "a directory").mkdir()
    assert bash(tmp_path, "mosquitto_pub", "--rep") == {"--repeat", "--repeat-delay"}
    assert "-l" not in bash(tmp_path, "mosquitto_sub", "-")
    assert bash(tmp_path, "mosquitto_pub", "-f", "a") == {"a file", "a directory"}
    assert bash(tmp_path, "mosquitto_pub", "--capath", "a") == {"a directory"}
    assert bash(tmp_path, "mosquitto_sub", "--retain-handling", "n") == {"never", "new"}
    assert bash(tmp_path, "mosquitto_pub", "-m", "-") == set()
    assert bash(tmp_path, "mosquitto_rr", "-D", "u") == {"unsubscribe"}
    assert bash(tmp_path, "mosquitto_rr", "-D", "Will", "w") == {"will-delay-interval"}
    assert bash(tmp_path, "mosquitto_rr", "-D", "will", "content-type", "-") == set()
    assert bash(tmp_path, "mosquitto_rr", "-D", "will", "user-property", "-", "-") == set()
    assert "-t" in bash(tmp_path, "mosquitto_rr", "-D", "will", "content-type", "x", "-")
    assert bash(tmp_path, "mosquitto", "-c", "a f") == {"a file"}
    assert bash(tmp_path, "mosquitto_passwd", "-c", "a f") == {"a file"}
    assert bash(tmp_path, "mosquitto_db_dump", "--j") == {"--json"}
    assert bash(tmp_path, "migrate_to_persist_sqlite", "--con") == {"--conf"}


def zsh(typed: str) -> str:
    """What a command line is once zsh has completed what is before each tab."""
    name = typed.split()[0]
    setup = f"""
        PS1= PS2= RPS1=; fpath=('{DIRECTORY}/zsh' $fpath); autoload -Uz compinit; compinit -u -D
        {name}() {{ print -r -- "<$*>" }}; unsetopt beep; print ready""".replace("\n", ";")
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        ["zsh", "-f", "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "TERM": "dumb"},
    )
    os.close(theirs)
    try:
        os.write(ours, f"{setup.lstrip(';')}\n".encode())
        _read_until(ours, rb"\nready\r")
        os.write(ours, f"{typed}\n".encode())
        return _read_until(ours, rb"\n<(.*)>\r").group(1).decode()
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


def _read_until(fd: int, pattern: bytes) -> re.Match[bytes]:
    seen, end = b"", time.monotonic() + 2 * SECONDS
    while not (found := re.search(pattern, seen)):
        assert select.select([fd], [], [], end - time.monotonic())[0], seen
        seen += os.read(fd, 65536)
    return found


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        (
            "mosquitto_sub --retain-as\t-D pub\tcontent-\tx --wat\t-V mqttv5\t",
            "--retain-as-published -D publish content-type x --watch -V mqttv5",
        ),
        ("mosquitto_pub --repeat-\t1 -L wss\th/t", "--repeat-delay 1 -L wss://h/t"),
        ("mosquitto_passwd -H arg\t", "-H argon2id"),
        ("mosquitto --test\t", "--test-config"),
    ],
)
def test_zsh(typed: str, completed: str) -> None:
    assert zsh(typed).strip() == completed


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_can_read_them_all() -> None:
    for path in (DIRECTORY / "zsh").iterdir():
        subprocess.run(["zsh", "-f", "-n", str(path)], timeout=SECONDS, check=True)
