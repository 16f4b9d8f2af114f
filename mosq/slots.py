"""A list whose indices are handles: what the C core calls an owner id.

An index stays with its object until `remove`; after that it may be handed out again. So `remove` may only be called
when nobody can come back with the old index any more: for connections, after `mq_core_reap`.
"""

from __future__ import annotations

from collections.abc import Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mosq.connection import Connection


class Slots:
    """Connections by small integer, with reuse. `len` counts them, iteration goes over them."""

    __slots__ = ("items", "_free")

    def __init__(self) -> None:
        self.items: list[Connection | None] = []
        self._free: list[int] = []

    def add(self, item: Connection) -> int:
        """Store `item` and return its index."""
        if self._free:
            index = self._free.pop()
            self.items[index] = item
            return index
        self.items.append(item)
        return len(self.items) - 1

    def remove(self, index: int) -> None:
        """Forget the connection at `index`. Raises KeyError when there is none."""
        if self.items[index] is None:
            raise KeyError(index)
        self.items[index] = None
        self._free.append(index)

    def __getitem__(self, index: int) -> Connection:
        item = self.items[index]
        if item is None:
            raise KeyError(index)
        return item

    def __len__(self) -> int:
        return len(self.items) - len(self._free)

    def __iter__(self) -> Iterator[Connection]:
        return (item for item in self.items if item is not None)
