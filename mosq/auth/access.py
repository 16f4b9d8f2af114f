"""May this session use that topic? The interface that ACL files and plugins implement.

No `Access` at all means that everything is allowed, and then nothing is asked. The rules for $SYS, $share and $CONTROL
are not a matter of access lists: the core applies them to what clients publish, `mosq.will` to wills.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Protocol

    from mosq.session import Session

    class Access(Protocol):
        """A set of rules about topics."""

        def may(self, session: Session, access: int, topic: str) -> bool:
            """May `session` do `access` (READ, WRITE, SUBSCRIBE or UNSUBSCRIBE) with `topic`, a name or, for the last
            two, a topic filter? Topics include the listener's mount_point."""
            ...


READ = 1
WRITE = 2
SUBSCRIBE = 4
UNSUBSCRIBE = 8
