"""configobj's Validator, without what comes along with it.

`configobj.validate` needs only `re`, but importing it the usual way also runs configobj's own file parser, which is not
used here, and `pprint`, which brings in dataclasses and inspect: 1.7 MB together, more than all the rest of the
configuration. So empty modules stand in their places while the import runs. Debian 12 has the module at this path too.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    class ValidateError(Exception):
        """A value that does not pass its check."""

    class Validator:
        """Applies the checks of a configspec; see configobj's documentation."""

        def __init__(self, functions: dict[str, Callable[..., object]] | None = None) -> None: ...
        def check(self, check: str, value: object, missing: bool = False) -> object: ...
        def get_default_value(self, check: str) -> object: ...
else:

    def _import() -> ModuleType:
        """Import configobj.validate alone; leaves nothing behind but that module."""
        if "configobj" in sys.modules:  # somebody has paid the price already
            return __import__("configobj.validate", fromlist=["Validator"])
        module = type(sys)
        package, printer = module("configobj"), module("pprint")
        package.__path__ = [f"{path or '.'}/configobj" for path in sys.path]
        printer.pprint = print
        stand_ins = {"configobj": package, "pprint": printer}
        added = {name: module for name, module in stand_ins.items() if name not in sys.modules}
        sys.modules.update(added)
        try:
            return __import__("configobj.validate", fromlist=["Validator"])
        finally:
            for name in added:
                del sys.modules[name]
            sys.modules.pop("configobj.validate", None)  # its parent is gone, so a real import must find a fresh one

    _validate = _import()
    ValidateError = _validate.ValidateError
    Validator = _validate.Validator
