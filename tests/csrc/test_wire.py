"""wire.c and topic.c below the interface that Python sees: wire_test.c, compiled with sanitizers and run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = HERE.parent.parent / "csrc"


def test_codec_in_c(tmp_path: Path) -> None:
    """Variable byte integers, topic names on the hot path, shared subscriptions, properties of a PUBLISH."""
    program = tmp_path / "wire_test"
    sources = [HERE / "wire_test.c", SOURCES / "wire.c", SOURCES / "topic.c"]
    flags = [
        "-std=c11",
        "-D_GNU_SOURCE",
        "-g",
        "-O1",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=undefined",
    ]
    cc = os.environ.get("CC", "cc")
    # The program brings its own sanitizers: those that may be preloaded here are neither for it nor for the compiler.
    environment = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "ASAN_OPTIONS")}
    subprocess.run([cc, *flags, f"-I{SOURCES}", "-o", program, *sources], env=environment, check=True, timeout=60)
    done = subprocess.run([program], env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
