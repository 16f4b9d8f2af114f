"""The compiled core. Its functions are those of csrc/core.h; mosq/core.py gives them types."""

from typing import Any

ffi: Any
lib: Any
