"""What both ends have said of their limits: the client in CONNECT, the server in CONNACK (MQTT 5.0)."""

from __future__ import annotations

from mosq.core import ffi
from mosq.packets import properties

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from mosq.client.settings import Settings
    from mosq.core import Property

_SERVER = {
    properties.RECEIVE_MAXIMUM: "receive_maximum",
    properties.MAXIMUM_QOS: "maximum_qos",
    properties.MAXIMUM_PACKET_SIZE: "maximum_packet_size",
    properties.TOPIC_ALIAS_MAXIMUM: "topic_alias_maximum",
    properties.RETAIN_AVAILABLE: "retain_available",
    properties.SERVER_KEEP_ALIVE: "keepalive",
}


class Limits:
    """Of the server: receive_maximum (messages), maximum_qos, maximum_packet_size (bytes, 0: none),
    topic_alias_maximum, retain_available, keepalive (seconds; the client's until the server says another, then for
    good).

    Of the client, for what the server sends: those with `_in` (0: none)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.keepalive = settings.keepalive
        own = {identifier: value for identifier, value in settings.properties if isinstance(value, int)}
        self.receive_maximum_in = own.get(properties.RECEIVE_MAXIMUM, 0)
        self.topic_alias_maximum_in = own.get(properties.TOPIC_ALIAS_MAXIMUM, 0)
        self.maximum_packet_size_in = own.get(properties.MAXIMUM_PACKET_SIZE, 0)
        self._reset()

    def _reset(self) -> None:
        self.receive_maximum = self._settings.window
        self.maximum_qos = 2
        self.maximum_packet_size = 0
        self.topic_alias_maximum = 0
        self.retain_available = 1

    def learn(self, stated: Sequence[Property]) -> None:
        """A CONNACK's properties: what they do not say is as if there had been none before."""
        self._reset()
        for identifier, value in stated:
            name = _SERVER.get(identifier)
            if name is not None:
                setattr(self, name, value)

    def terms(self, version: int) -> Any:
        """As the core wants them."""
        return ffi.new(
            "mq_terms *",
            {
                "version": version,
                "max_qos": self.maximum_qos,
                "alias_max_in": self.topic_alias_maximum_in,
                "alias_chosen": self.topic_alias_maximum,
                "receive_max": self.receive_maximum,
                "max_packet_out": self.maximum_packet_size,
                "no_retain": not self.retain_available,
            },
        )
