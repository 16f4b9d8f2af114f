"""Driving a transport by hand, to see how its handshake ends."""

from __future__ import annotations

import select
import time

from mosq.client.errors import ClientError
from mosq.client.transport import READ, WRITE, Transport
from tests.harness.deadline import SECONDS


def advance(transport: Transport) -> None:
    """Until MQTT could begin. Raises ClientError; AssertionError when time is up."""
    end = time.monotonic() + SECONDS
    while events := transport.advance():
        wanted = [transport.fd] if events & READ else [], [transport.fd] if events & WRITE else []
        assert any(map(len, wanted)) and time.monotonic() < end
        select.select(*wanted, [], SECONDS)


def failure(transport: Transport) -> ClientError:
    """The error that the handshake ends with."""
    try:
        advance(transport)
    except ClientError as error:
        return error
    finally:
        transport.close()
    raise AssertionError("the handshake did not fail")
