"""The same configurations and clients, and the same command lines of mosquitto_passwd, here and on the original."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from tests.auth.passwords import KINDS, pbkdf2, sha512, users, write
from tests.harness.broker import ROOT, Broker
from tests.harness.client import ConnectionEndedError
from tests.harness.deadline import SECONDS
from tests.harness.packets import LEVELS, Level

pytestmark = pytest.mark.original

OURS = [sys.executable, "-c", "from mosq.cli.passwd import entry; entry()"]
THEIRS = ["/usr/bin/mosquitto_passwd"]

# ---- brokers

CLIENTS: dict[str, dict[str, str | None]] = {
    "nobody": {},
    "empty name": {"username": "", "password": "pw"},
    "empty password": {"username": "u", "password": ""},
    "right": {"username": "u", "password": "pw"},
    "right, slow": {"username": "slow", "password": "pw"},
    "wrong": {"username": "u", "password": "no"},
    "without": {"username": "u"},
    "unknown": {"username": "x", "password": "pw"},
    "long": {"username": "u", "password": "p" * 65535},
    "blank": {"username": "with blank", "password": "pw"},
    "case": {"username": "U", "password": "pw"},
    "cut": {"username": "u", "password": "p"},
    "longer": {"username": "u", "password": "pww"},
    "wildcard": {"username": "+/#", "password": "pw"},
    "utf8": {"username": "žluť", "password": "kůň"},
}

FILE = (
    f"# comment\n\nu:{sha512(b'pw')}\nslow:{pbkdf2(b'pw', 1000)}\n  with blank  : {sha512(b'pw')} \n"
    f"+/#:{sha512(b'pw')}\nžluť:{sha512('kůň'.encode())}\n"
)

ANONYMOUS = ("", "allow_anonymous true\n", "allow_anonymous false\n")
CONFIGS = {
    f"{'per listener' if own else 'global'}, {anonymous.strip() or 'unset'}, {'file' if file else 'no file'}": (
        f"per_listener_settings true\nlistener {{port}} 127.0.0.1\n{anonymous}{file}listener {{port2}} 127.0.0.1\n"
        if own
        else f"{anonymous}{file}listener {{port}} 127.0.0.1\nlistener {{port2}} 127.0.0.1\n"
    )
    for own, anonymous, file in product((False, True), ANONYMOUS, ("", "password_file {file}\n"))
}
CONFIGS["a file below the second listener"] = (
    "listener {port} 127.0.0.1\nlistener {port2} 127.0.0.1\nallow_anonymous true\npassword_file {file}\n"
)
CONFIGS["two files"] = (
    "per_listener_settings true\nlistener {port} 127.0.0.1\npassword_file {file}\nallow_anonymous true\n"
    "listener {port2} 127.0.0.1\npassword_file {other}\n"
)
CONFIGS["an empty file"] = "allow_anonymous true\npassword_file {empty}\nlistener {port} 127.0.0.1\nlistener {port2}\n"
CONFIGS["port"] = "port {port}\npassword_file {file}\nlistener {port2} 127.0.0.1\n"


def transcript(broker: Broker, level: Level) -> list[str]:
    """What each client hears on each listener."""
    heard = []
    for port, (name, options) in product(("port", "port2"), CLIENTS.items()):
        client = broker.client(level, port=port)
        client.send(level.connect("c", **options))  # type: ignore[arg-type]
        try:
            answer = client.read_packet()[:4].hex(" ")
            if level.is_v5:
                answer = answer[:3] + answer[6:]  # the properties of a CONNACK differ between releases
        except ConnectionEndedError:
            answer = "closed"
        heard.append(f"{port}, {name}: {answer}")
        client.close()
    return heard


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_outcome_is_that_of_the_original(original: Path, tmp_path: Path, config: str) -> None:
    paths = {
        "file": write(tmp_path, FILE, "file"),
        "other": write(tmp_path, users(x="pw"), "other"),
        "empty": write(tmp_path, "", "empty"),
    }
    for name, path in paths.items():
        config = config.replace("{" + name + "}", str(path))
    found: dict[str, list[list[str]]] = {}
    for kind in ("mosq", "original"):
        directory = tmp_path / kind
        directory.mkdir()
        with Broker(directory, config, kind=kind) as broker:
            found[kind] = [transcript(broker, level) for level in LEVELS]
            broker.stop()
    assert found["mosq"] == found["original"]


# ---- the tool


def run(command: list[str], arguments: str, typed: str, directory: Path) -> tuple[int, str, str]:
    done = subprocess.run(
        [*command, *(word for word in arguments.split(" ") if word)],
        input=typed.encode(),
        capture_output=True,
        timeout=4 * SECONDS,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def files(directory: Path) -> dict[str, str]:
    """The files with their contents; salts and hashes are random, and the number of iterations is another one."""
    contents = {path.name: path.read_text() for path in directory.iterdir() if path.is_file()}
    return {name: re.sub(r"\$(6|7\$\d+)\$[^$]{16}\$[^$]{88}\n", "$hash\n", text) for name, text in contents.items()}


CONTENTS = {
    "u": f"u:{KINDS['sha512']}\n",
    "duplicates": "u:$1\nv:$2\nu:$3\n",
    "plain": "u:one\n v : two \nw:th:ree\n",
}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize(
    ("arguments", "typed"),
    [
        ("-b f u pw", ""),
        ("-b f new pw", ""),
        ("-b -H sha512 f new pw", ""),
        ("f u", "pw\npw\n"),
        ("-b f u pw more", ""),
        ("f u more", ""),
        ("-c -b g u pw", ""),
        ("-c -b g u pw more", ""),
        ("-c g u", "pw\npw\n"),
        ("-c g u", "pw\nno\n"),
        ("-D f u", ""),
        ("-D f v more", ""),
        ("-D f nobody", ""),
        ("-U f", ""),
        ("-U f more", ""),
        ("-U", ""),
        ("-D f", ""),
        ("-c f", ""),
        ("-c -b f u", ""),
        ("-b f a:b pw", ""),
        ("-b none u pw", ""),
        ("-D none u", ""),
        ("-U none", ""),
        ("-b /none/f u pw", ""),
        ("-c -b /none/f u pw", ""),
        ("-b . u pw", ""),
        ("-c -b . u pw", ""),
        ("-x f", ""),
        ("-H", ""),
        ("-H x f u", ""),
        ("-c -D f u", ""),
        ("-c -U f", ""),
        ("-D -U f", ""),
        ("-b -D f u", ""),
        ("f nobody", "pw\nno\n"),
    ],
)
def test_tool_does_what_the_original_does(
    original: Path, tmp_path: Path, arguments: str, typed: str, content: str
) -> None:
    if content == "duplicates" and arguments in ("-b f u pw", "f u"):
        pytest.skip("2.0.11 changes all lines of a user, later releases and mosq the first")
    found = []
    for kind, command in (("ours", OURS), ("theirs", THEIRS)):
        directory = tmp_path / kind
        directory.mkdir()
        write(directory, CONTENTS[content], "f")
        code, out, err = run(command, arguments, typed, directory)
        # 2.0.11 says nothing about what it did; the usage text is in each one's own words
        out = re.sub(r"(Adding|Updating) password for user .*\n", "", out)
        out = "usage" if "Usage: " in out else out
        found.append((code, out, err.replace(str(directory), "<directory>"), files(directory)))
    assert found[0] == found[1]
