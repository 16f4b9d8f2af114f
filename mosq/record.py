"""Small values with named fields: what a dataclass with slots is, without importing `dataclasses`.

That module brings `inspect` and all it stands on, 1.8 MB in a broker that is to stay small. A subclass of `Record`
names its fields as annotations; what is assigned in the class body is a default. Type checkers see a dataclass.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, dataclass_transform
else:

    def dataclass_transform(**_how: object) -> Callable[[type], type]:
        """At run time there is nothing to tell."""
        return lambda decorated: decorated


def _initialiser(fields: tuple[str, ...], defaults: dict[str, Any]) -> Any:
    """An `__init__` for the fields, written out, since one that loops costs three times as much per object."""
    parameters = ", ".join(f"{name}=defaults[{name!r}]" if name in defaults else name for name in fields)
    body = "\n    ".join(f"self.{name} = {name}" for name in fields)
    made: dict[str, Any] = {"defaults": defaults}
    exec(f"def __init__(self, {parameters}):\n    {body}", made)
    return made["__init__"]


@dataclass_transform()
class _Fields(type):
    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> _Fields:
        fields = tuple(body.get("__annotations__", ()))
        defaults = {field: body.pop(field) for field in fields if field in body}
        body["__slots__"] = fields
        if fields:
            body["__init__"] = _initialiser(fields, defaults)
        return super().__new__(mcs, name, bases, body)


class Record(metaclass=_Fields):
    """See the top of this file."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(getattr(self, name) == getattr(other, name) for name in self._names())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._names())})"

    def _names(self) -> tuple[str, ...]:
        names: tuple[str, ...] = type(self).__slots__  # type: ignore[attr-defined]
        return names
