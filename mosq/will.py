"""Publishing a will on behalf of a client that went away. MQTT 5.0, section 3.1.2.5.

When that happens is decided in `mosq.session`; here is only how. What a client may publish is asked now, not at
CONNECT: the rules may have changed since. A will that may not be published is dropped without a word.
"""

from __future__ import annotations

from mosq.auth.access import WRITE
from mosq.core import ffi, lib

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.auth.access import Access
    from mosq.core import Core
    from mosq.session import Session

_BRIDGE_STATE = b"$SYS/broker/connection/+/state"


def is_reserved(topic: bytes) -> bool:
    """Is `topic` one that no client may publish to? The prefixes are compared as strings: $SYSx is reserved, too."""
    if topic.startswith(b"$share"):
        return True
    if not topic.startswith(b"$SYS"):
        return False
    return not lib.mq_topic_matches(_BRIDGE_STATE, len(_BRIDGE_STATE), topic, len(topic))


def publish(core: Core, access: Access, session: Session) -> None:
    """Publish the will of `session` now. The session may be about to end; its will stays where it is."""
    will = session.will
    assert will is not None
    topic = will.topic
    if is_reserved(topic) or not access.may(session, WRITE, topic, will.payload, will.qos, will.retain):
        return
    retain = will.retain and core.options.retain_available
    lib.mq_publish(
        core.c, session.c, topic, len(topic), will.payload, len(will.payload), will.qos, int(retain),
        will.properties or ffi.NULL, len(will.properties), will.expiry,
    )  # fmt: skip
