"""The walk through certificates in docs/tls.md leads where it says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.harness.broker import ROOT, Broker
from tests.harness.brokers import StartBroker

TEXT = (ROOT / "docs" / "tls.md").read_text()
BLOCKS = re.findall(r"^```(\S[^\n]*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def run(commands: str, directory: Path) -> int:
    command = ["sh", "-ec", commands]
    return subprocess.run(command, cwd=directory, capture_output=True, timeout=60, check=False).returncode


def blocks(kind: str) -> list[str]:
    return [text for found, text in BLOCKS if found == kind]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which all steps have been taken."""
    directory = tmp_path_factory.mktemp("docs")
    for commands in blocks("sh"):
        assert run(commands, directory) == 0, commands
    return directory


def placed(text: str, directory: Path) -> str:
    """A configuration with a free port and the files' whole paths."""
    text = re.sub(r"^listener \d+", "listener {port} 127.0.0.1", text, flags=re.MULTILINE)
    return re.sub(r"^(\w+file) (\S+)", rf"\1 {directory}/\2", text, flags=re.MULTILINE)


def client(kind: str, broker: Broker, directory: Path) -> int:
    commands = blocks(kind)[0].replace(" -p 8883", f" -p {broker.port}").replace(" -p 8884", f" -p {broker.port}")
    return run(commands, directory)


@pytest.mark.parametrize("what", ["", " required", " psk"])
def test_the_steps_work(own_broker: StartBroker, made: Path, what: str) -> None:
    listener = blocks(f"conf{what}")[0]
    broker = own_broker(placed(listener, made))
    assert client(f"sh client{what}", broker, made) == 0


def test_a_certificate_is_required(own_broker: StartBroker, made: Path) -> None:
    broker = own_broker(placed(blocks("conf required")[0], made))
    assert client("sh client", broker, made) != 0


def test_a_certificate_is_taken_back(own_broker: StartBroker, made: Path) -> None:
    broker = own_broker(placed(blocks("conf required")[0] + "crlfile ca.crl\n", made))
    assert client("sh client required", broker, made) != 0
    broker.wait_for_log("certificate verify failed")
