"""May this session use that topic? The interface that ACL files and plugins implement.

No `Access` at all means that everything is allowed, and then nothing is asked. The rules for $SYS, $share and $CONTROL
are not a matter of access lists: the core applies them to what clients publish, `mosq.will` to wills.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mosq.session import Session

READ = 1
WRITE = 2
SUBSCRIBE = 4
UNSUBSCRIBE = 8


class Access(Protocol):
    """A set of rules about topics."""

    def may(self, session: Session, access: int, topic: str) -> bool:
        """May `session` do `access` (READ, WRITE, SUBSCRIBE or UNSUBSCRIBE) with `topic`, a topic name or, for the last
        two, a topic filter? Topics include the listener's mount_point."""
        ...
