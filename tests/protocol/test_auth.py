"""AUTH and authentication methods where no plugin knows them; MQTT 5.0 3.15 and 4.12."""

from __future__ import annotations

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.packets import Level, Will, packet, v5, v31, v311


@pytest.mark.parametrize(
    "extra", [b"", props.auth_data(b"data"), props.auth_data(b"")], ids=["alone", "data", "empty_data"]
)
def test_unknown_method_is_refused(broker: Broker, name: str, extra: bytes) -> None:
    """[MQTT-4.12.0-1]"""
    client = broker.client()
    client.send(v5.connect(name, properties=props.auth_method("unknown") + extra))
    client.expect_refused(v5.connack(0x8C))


def test_client_with_unknown_method_leaves_no_will(broker: Broker, name: str) -> None:
    watcher = broker.connected(v5, f"{name}w")
    watcher.subscribe(name)
    client = broker.client()
    client.send(v5.connect(name, will=Will(name, b"x"), properties=props.auth_method("unknown")))
    client.expect_refused(v5.connack(0x8C))
    watcher.expect_silence()


@pytest.mark.parametrize(
    "sent",
    [v5.auth(0x18), v5.auth(0x19), v5.auth(0x00), v5.auth(0x19, props.auth_method("m")), packet(0xF0)],
    ids=["continue", "again", "success", "method", "empty"],
)
def test_auth_without_method_in_connect_is_a_protocol_error(broker: Broker, name: str, sent: bytes) -> None:
    """[MQTT-4.12.0-6 4.12.0-7 4.12.1-1] one DISCONNECT, not two"""
    client = broker.connected(v5, name)
    client.send(sent)
    client.expect_refused(v5.disconnect(0x82))


@pytest.mark.parametrize("level", [v31, v311], ids=str)
def test_v3_auth_closes_silently(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-2.1.2] type 15 is reserved there."""
    client = broker.connected(level, name)
    client.send(v5.auth(0x18))
    client.expect_closed()
