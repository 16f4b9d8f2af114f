"""Disks that are worse than most: libraries between the broker and its files."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SYNC_FAILS, DISK_FULL, READ_ONLY = "sync EIO", "write ENOSPC", "write EROFS"
_DATABASE = "mosquitto.sqlite3*"


class Disk:
    """One that does what it should. `environment` is for the broker; what it needs is made in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.environment: dict[str, str] = {}

    def _preload(self, directory: Path, name: str) -> None:
        """Compile the C file of this name that lies beside this one."""
        library, source = directory / f"{name}.so", Path(__file__).parent / f"{name}.c"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True, timeout=60)
        self.environment["LD_PRELOAD"] = f"{os.environ.get('LD_PRELOAD', '')} {library}".strip()

    def died(self, data: Path) -> None:
        """The broker whose files are in `data` was killed."""


class FailingDisk(Disk):
    """Writes and syncs that end in errors, for as long as that is asked for."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._preload(directory, "failing_disk")
        self._flag = directory / "failing"
        self.environment["FAILING_DISK"] = str(self._flag)

    def fail(self, how: str) -> None:
        """From now on. `how`: one of the constants above."""
        self._flag.write_text(how)

    def work(self) -> None:
        """Again, if it did not."""
        self._flag.unlink(missing_ok=True)

    def died(self, data: Path) -> None:
        self.work()


class ForgetfulDisk(Disk):
    """When the broker dies the power fails, too: what was written and not synced is gone."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._preload(directory, "power")
        self._kept = directory / "kept"
        self._kept.mkdir()
        self.environment["POWER_CUT"] = str(self._kept)

    def died(self, data: Path) -> None:
        for path in data.glob(_DATABASE):
            path.unlink()
        for path in self._kept.glob(_DATABASE):
            shutil.copy(path, data)
