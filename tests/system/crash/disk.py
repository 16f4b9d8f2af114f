"""A disk that fails when it is told to: a library between the broker and its files."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SYNC_FAILS, DISK_FULL, READ_ONLY = "sync EIO", "write ENOSPC", "write EROFS"
_SOURCE = Path(__file__).parent / "failing_disk.c"


class FailingDisk:
    """Compiled in `directory`; `environment` is for the broker."""

    def __init__(self, directory: Path) -> None:
        library = directory / "failing_disk.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, _SOURCE], check=True, timeout=60)
        self._flag = directory / "failing"
        preload = f"{os.environ.get('LD_PRELOAD', '')} {library}".strip()
        self.environment = {"LD_PRELOAD": preload, "FAILING_DISK": str(self._flag)}

    def fail(self, how: str) -> None:
        """From now on. `how`: one of the constants above."""
        self._flag.write_text(how)

    def work(self) -> None:
        """Again, if it did not."""
        self._flag.unlink(missing_ok=True)
