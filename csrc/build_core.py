"""Build mosq._core: the C data plane as a cffi extension module (API mode).

The declarations come from the headers themselves: what cffi reads is what the C compiler reads.
"""

import os
import re
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).parent
SOURCES = sorted(path.stem for path in HERE.glob("*.c"))
PUBLIC = (
    "core.h",
    "durable.h",
    "snapshot.h",
    "websocket.h",
    "client.h",
)
"""The headers that Python sees, in the order of what they need of each other."""
CALLBACKS = re.compile(r"^((?:int|void) mq_on_\w+\([^;]*\);)", re.MULTILINE)


def declarations(header: str) -> str:
    """The header without preprocessor lines and comments, as cffi's parser wants it."""
    text = (HERE / header).read_text()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return re.sub(r"^#.*$", "", text, flags=re.MULTILINE)


def sanitizing() -> bool:
    """MOSQ_SANITIZE=1 builds with the address and undefined-behaviour sanitizers (make sanitize)."""
    return os.environ.get("MOSQ_SANITIZE", "") == "1"


def builder() -> FFI:
    ffi = FFI()
    for header in PUBLIC:
        ffi.cdef(declarations(header))
    ffi.cdef(CALLBACKS.sub(r'extern "Python+C" \1', declarations("callbacks.h")))
    flags = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wno-unused-parameter", "-fvisibility=hidden"]
    if sanitizing():
        flags += [
            "-O1",
            "-g",
            "-fno-omit-frame-pointer",
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=undefined",
        ]
    else:
        flags += ["-O2", "-fno-semantic-interposition", "-fno-plt"]
    ffi.set_source(
        "mosq._core",
        "".join(f'#include "{header}"\n' for header in (*PUBLIC, "callbacks.h")),
        sources=[os.path.relpath(HERE / f"{name}.c", HERE.parent) for name in SOURCES],
        include_dirs=[os.path.relpath(HERE, HERE.parent)],
        depends=[os.path.relpath(path, HERE.parent) for path in sorted(HERE.glob("*.h"))],
        extra_compile_args=flags,
        extra_link_args=["-fsanitize=address,undefined"] if sanitizing() else [],
    )
    return ffi


ffibuilder = builder()

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
