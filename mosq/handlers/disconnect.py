"""DISCONNECT: an orderly end. MQTT 5.0, section 3.14.

Only the reason 0x00, and every DISCONNECT before MQTT 5.0, discards the will (MQTT-3.14.4-3).
"""

from __future__ import annotations

from mosq import faults
from mosq.packets import disconnect
from mosq.packets.reasons import SUCCESS

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.connection import Connection


def handle(connection: Connection, first: int, body: bytes) -> None:
    session, broker = connection.session, connection.broker
    packet = disconnect.parse(connection.version, first, body, connection.name, _session_expiry(connection))
    broker.log.debug("Received DISCONNECT from %s", connection.name)
    if session is not None and packet.session_expiry is not None:
        broker.sessions.set_expiry(session, packet.session_expiry)
    connection.end(faults.CLEAN, publish_will=packet.reason != SUCCESS)


def _session_expiry(connection: Connection) -> int:
    """What CONNECT said, also while authentication goes on and there is no session."""
    if connection.session is not None:
        return connection.session.expiry
    exchange = connection.exchange
    return exchange.packet.session_expiry if exchange is not None and exchange.packet is not None else 0
