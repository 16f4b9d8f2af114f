"""Reading configurations in tests: text in, configuration and lines out."""

from __future__ import annotations

from pathlib import Path

import pytest

from mosq.config import Config, ConfigError, load


class Conf:
    """A directory for configuration files. `lines` has what the last reading reported, as "LEVEL TEXT"."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = str(directory / "m.conf")
        self.lines: list[str] = []

    def write(self, text: str | bytes, name: str = "m.conf") -> str:
        """Write a file and return its path."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    def read(self, text: str | bytes, ports: tuple[int, ...] = (), running: Config | None = None) -> Config:
        """The configuration of a file with this text."""
        return self.load([self.write(text)], ports, running)

    def load(self, files: list[str], ports: tuple[int, ...] = (), running: Config | None = None) -> Config:
        """The configuration of some files."""
        self.lines = []
        return load(files, ports, lambda level, line: self.lines.append(f"{level} {line}"), running=running)

    def refusal(self, text: str | bytes, running: Config | None = None) -> list[str]:
        """Why a file with this text is refused: "LEVEL TEXT", with the path of the file as FILE."""
        with pytest.raises(ConfigError) as caught:
            self.read(text, running=running)
        return [f"{level} {line}".replace(self.path, "FILE") for level, line in caught.value.lines]


@pytest.fixture
def conf(tmp_path: Path) -> Conf:
    return Conf(tmp_path)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOSQUITTO_PERSISTENCE_LOCATION", raising=False)
