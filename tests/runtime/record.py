"""A log that remembers its lines instead of writing them."""

from __future__ import annotations

from mosq.log import Log


class Record(Log):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []

    def write(self, level: str, text: str) -> None:
        self.lines.append((level, text))

    def texts(self, level: str) -> list[str]:
        return [text for at, text in self.lines if at == level]
