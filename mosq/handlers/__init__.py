"""The packets that Python answers, one module each. A handler gets the connection, the first byte and the body.

A handler raises `ProtocolError` for what breaks a rule; the broker ends the connection with it. The core lets CONNECT,
DISCONNECT and AUTH through in any state, and SUBSCRIBE and UNSUBSCRIBE as well: `active` turns those away that come
early.
"""

from __future__ import annotations

from mosq import faults
from mosq.core import lib

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.connection import Connection
    from mosq.session import Session


def active(connection: Connection, first: int) -> Session | None:
    """The session, or None after ending a connection that has none yet."""
    if connection.session is None:
        connection.end(faults.FAULTS[lib.MQ_NOT_ACTIVE], (first >> 4, 0, 0))
    return connection.session


def mounted(connection: Connection, topic_filter: bytes) -> bytes:
    """The filter below the listener's mount_point. A shared subscription has it inside, after the group."""
    mount_point = connection.listener.config.mount_point
    if not mount_point:
        return topic_filter
    prefix: bytes = mount_point.encode()
    share = topic_filter.split(b"/", 2)
    if share[0] != b"$share":
        return prefix + topic_filter
    if len(share) < 3 or not share[2]:
        return topic_filter  # the core will refuse it
    return b"/".join((share[0], share[1], prefix + share[2]))


def is_shared(topic_filter: bytes) -> bool:
    """Is the first level exactly $share?"""
    return topic_filter == b"$share" or topic_filter.startswith(b"$share/")
