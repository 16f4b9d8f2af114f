"""The client: one connection to an MQTT server, over any transport, for the command line tools and for bridges.

    settings = Settings(dial=lambda: Tcp("localhost", 1883), version=5, client_id=b"me")
    client = Client(settings, handler, Standalone(reactor))
    client.start()
    reactor.run()

The handler is told what happens (`Handler`), the client is told what to do (`Client`). All happens on the thread of the
reactor, in its turns; what is said to the client leaves at the end of the turn. `mosq.client.engine` has the states,
`mosq.client.errors` all numbers and texts, `mosq.client.transport` how bytes travel.
"""

from __future__ import annotations

from mosq.client.engine import (
    BACKING_OFF,
    CLOSING,
    CONNECTING,
    ENDED,
    HANDSHAKE,
    IDLE,
    UP,
    WAITING,
    Client,
)
from mosq.client.errors import ClientError
from mosq.client.handler import Connack, Handler, Refusal
from mosq.client.host import Host, Standalone
from mosq.client.messages import Batch, Message
from mosq.client.settings import Settings
from mosq.packets.connect import Will

__all__ = [
    "BACKING_OFF",
    "CLOSING",
    "CONNECTING",
    "ENDED",
    "HANDSHAKE",
    "IDLE",
    "UP",
    "WAITING",
    "Batch",
    "Client",
    "ClientError",
    "Connack",
    "Handler",
    "Host",
    "Message",
    "Refusal",
    "Settings",
    "Standalone",
    "Will",
]
