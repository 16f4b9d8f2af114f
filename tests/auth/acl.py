"""ACL files for tests: written, read, asked."""

from __future__ import annotations

from pathlib import Path

from mosq.auth.access import ALLOW, READ, WRITE, Question, Source
from mosq.auth.acl_file import AclFile, load
from tests.control.world import Lines


def write(directory: Path, content: str | bytes) -> Path:
    """An ACL file with nothing about its permissions to complain of."""
    path = directory / "acl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    return path


class Rules:
    """A loaded file, and what was logged on the way."""

    def __init__(self, path: Path) -> None:
        self.log = Lines()
        self.file: AclFile = load(str(path), self.log)

    def grants(self, topic: str, username: str | None = None, client_id: str = "c") -> str:
        """The accesses of a client to a topic: some of "rw"."""
        kinds = {"r": READ, "w": WRITE}
        return "".join(letter for letter, access in kinds.items() if self.may(access, topic, username, client_id))

    def may(self, access: int, topic: str, username: str | None = None, client_id: str = "c") -> bool:
        return self.file.check(Question(Source(client_id, username, None), access, topic.encode())) == ALLOW
