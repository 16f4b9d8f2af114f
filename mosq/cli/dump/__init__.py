"""What mosquitto_db_dump can show of a file: views, to which it tells what it finds.

    magic ----> header ----> chunk ... ----> end

`end` comes when the whole file has been read, and alone when it is no such file; after any other error nothing comes.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Protocol

    from mosq.persistence import format as db

    class View(Protocol):
        """Writes to the stream that it was made with."""

        def __init__(self, out: BinaryIO) -> None: ...
        def magic(self) -> None: ...
        def header(self, header: db.Header) -> None: ...
        def chunk(self, chunk: db.Chunk) -> None: ...
        def end(self) -> None: ...
