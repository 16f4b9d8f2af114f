"""What a client is to be: `Settings`, fixed for its life."""

from __future__ import annotations

from collections.abc import Sequence

from mosq.client.transport import Dial
from mosq.record import Record

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.core import Property
    from mosq.packets.connect import Will


class Settings(Record):
    """Strings are bytes, as they stand in the packets.

    - dial: makes the transport of each attempt (mosq.client.transport.Dial)
    - version: 3 (MQTT 3.1), 4 (3.1.1) or 5
    - client_id: b"" with MQTT 3.1 makes one up; with MQTT 5.0 the one that the server assigns is adopted
    - clean_start: clean session before MQTT 5.0. It holds for reconnections too
    - keepalive: seconds, 0: none. With MQTT 5.0 the server's value replaces it
    - will: `mosq.packets.connect.Will`; its `properties` are encoded, with Will Delay and Message Expiry among them
    - properties: of CONNECT, in this order. What they say of Receive Maximum, Topic Alias Maximum and Maximum Packet
      Size is enforced on what the server sends. What is to be sent must stand here: nothing is added
    - window: how many QoS 1 and 2 messages may be in flight; a Receive Maximum of the server's CONNACK replaces it
    - clean_end: seconds to wait, once DISCONNECT has left, until the server closes; None: as long as the keepalive
    - debug: call Handler.debug
    - route: messages that come go to the subscribers in the host's core, and not to Handler.messages
    """

    dial: Dial
    version: int = 4
    client_id: bytes = b""
    clean_start: bool = True
    keepalive: int = 60
    username: bytes | None = None
    password: bytes | None = None
    will: Will | None = None
    properties: Sequence[Property] = ()
    window: int = 20
    clean_end: float | None = None
    debug: bool = False
    route: bool = False
