"""AUTH: the steps of extended authentication after the first. MQTT 5.0, sections 3.15 and 4.12.

During re-authentication the client stays active under its old identity (MQTT-4.12.1-2 ends it only on failure).
"""

from __future__ import annotations

from mosq import faults
from mosq.auth import methods
from mosq.connection import ACTIVE
from mosq.handlers import connect
from mosq.packets import auth
from mosq.packets.reasons import BAD_AUTHENTICATION_METHOD, CONTINUE_AUTHENTICATION, REAUTHENTICATE

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.auth.methods import Exchange, Step
    from mosq.connection import Connection


def handle(connection: Connection, first: int, body: bytes) -> None:
    exchange = connection.exchange
    name = exchange.name if exchange is not None else None
    running = exchange is not None and exchange.running
    packet = auth.parse(
        connection.version, first, body, connection.name,
        method=name, active=connection.state == ACTIVE, exchanging=running,
    )  # fmt: skip
    assert exchange is not None
    connection.broker.log.debug("Received AUTH from %s (rc%d, %s)", connection.name, packet.reason, name)
    if packet.reason == REAUTHENTICATE:
        exchange.running = True
        step = exchange.method.start(exchange, packet.data)
    else:
        step = exchange.method.proceed(exchange, packet.data)
    if exchange.packet is not None:
        connect.settle(connection, exchange, exchange.packet, step)
    else:
        _settle_again(connection, exchange, step)


def _settle_again(connection: Connection, exchange: Exchange, step: Step) -> None:
    """Act upon an answer of the method during re-authentication."""
    if step.code == methods.SUCCESS:
        exchange.running = False
        connect.send_auth(connection, methods.SUCCESS, exchange, step)
    elif step.code == methods.CONTINUE:
        connect.send_auth(connection, CONTINUE_AUTHENTICATION, exchange, step)
    elif step.code is None:
        connection.end(faults.UNKNOWN)
    elif step.code == BAD_AUTHENTICATION_METHOD:
        connection.end(faults.NO_SUCH_METHOD)
    else:
        connection.end(faults.of_reason(step.code))
