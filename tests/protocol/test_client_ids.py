"""Client identifiers: empty, generated, long, replaced by the user name; MQTT 3.1.3.1."""

from __future__ import annotations

import re

import pytest

from tests.harness.broker import Broker
from tests.harness.brokers import Brokers
from tests.harness.client import RawClient
from tests.harness.packets import LEVELS, Level, default_connack_properties, v5, v31, v311

GENERATED = r"[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}"


def assigned_id(client: RawClient, clean: bool = True) -> str:
    """The id a v5 client with an empty one is given; checks that the CONNACK is otherwise the usual one."""
    client.send(v5.connect("", clean=clean))
    answer = client.read_packet()
    found = re.search(rb"\x12\x00(.)([ -~]+)\x27", answer)
    assert found, answer.hex(" ")
    text = found[2].decode()
    assert answer == v5.connack(properties=default_connack_properties(assigned_id=text))
    return text


def test_empty_id_is_replaced_in_v5(broker: Broker) -> None:
    """[MQTT-3.1.3-6 3.1.3-7 3.2.2-16] a unique id, told to the client."""
    first, second = assigned_id(broker.client()), assigned_id(broker.client())
    assert re.fullmatch(f"auto-{GENERATED}", first)
    assert first != second


def test_empty_id_with_clean_start_0_is_replaced_in_v5(broker: Broker) -> None:
    assert assigned_id(broker.client(), clean=False).startswith("auto-")


def test_empty_id_is_accepted_in_v311_with_clean_session(broker: Broker) -> None:
    """[MQTT-3.1.3-6 of 3.1.1]"""
    client = broker.client()
    client.send(v311.connect(""))
    client.expect(v311.connack())
    broker.wait_for_log(rf"New client connected from {client.address} as auto-{GENERATED} \(p[24]")


@pytest.mark.parametrize("clean", [True, False])
def test_empty_id_is_refused_in_v31(broker: Broker, clean: bool) -> None:
    """MQTT 3.1: identifier rejected"""
    client = broker.client()
    client.send(v31.connect("", clean=clean))
    client.expect_refused(v31.connack(2))


def test_empty_id_without_clean_session_is_refused_in_v311(broker: Broker) -> None:
    """[MQTT-3.1.3-7 3.1.3-8 of 3.1.1]"""
    client = broker.client()
    client.send(v311.connect("", clean=False))
    client.expect_refused(v311.connack(2))


@pytest.mark.parametrize("level, code", [(v31, 2), (v311, 2), (v5, 0x80)], ids=["v3.1", "v3.1.1", "v5"])
@pytest.mark.parametrize("clean", [True, False])
def test_empty_id_is_refused_where_not_allowed(brokers: Brokers, level: Level, code: int, clean: bool) -> None:
    """[MQTT-3.1.3-8]"""
    client = brokers("allow_zero_length_clientid false").client()
    client.send(level.connect("", clean=clean))
    client.expect_refused(level.connack(code))


@pytest.mark.parametrize("config, prefix", [("auto_id_prefix my-", "my-"), ("", "auto-")])
def test_prefix_of_generated_ids_is_an_option(brokers: Brokers, config: str, prefix: str) -> None:
    assert re.fullmatch(prefix + GENERATED, assigned_id(brokers(config).client()))


@pytest.mark.differs("option of a later release")
def test_listener_prefix_of_generated_ids_wins(brokers: Brokers) -> None:
    broker = brokers("auto_id_prefix my-", listener="listener_auto_id_prefix its-")
    assert re.fullmatch(f"its-{GENERATED}", assigned_id(broker.client()))


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("suffix", ["x" * 100, "a/b/+/#", "$SYS", " ", "\u00e9\u4e2d\U0001f600", "\ufeff"], ids=ascii)
def test_any_valid_utf8_is_an_id(broker: Broker, name: str, level: Level, suffix: str) -> None:
    """[MQTT-3.1.3-4 3.1.3-5] at least 23 letters and digits; this broker takes more."""
    broker.connected(level, name + suffix)


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_id_of_65535_bytes_is_accepted(broker: Broker, name: str, level: Level) -> None:
    broker.connected(level, (name * 65535)[:65535]).disconnect()


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_user_name_can_be_the_client_id(brokers: Brokers, name: str, level: Level) -> None:
    broker = brokers(listener="use_username_as_clientid true")
    client = broker.client()
    client.send(level.connect(f"{name}ignored", username=name))
    assert client.read_packet()[3] == 0
    broker.wait_for_log(rf"New client connected from {client.address} as {name} \(")


def test_user_name_as_id_is_announced_to_v5_clients_without_one(brokers: Brokers, name: str) -> None:
    client = brokers(listener="use_username_as_clientid true").client()
    client.send(v5.connect("", username=name))
    client.expect(v5.connack(properties=default_connack_properties(assigned_id=name)))


def test_empty_id_is_looked_at_before_the_user_name_replaces_it(brokers: Brokers, name: str) -> None:
    client = brokers(listener="use_username_as_clientid true").client()
    client.send(v311.connect("", clean=False, username=name))
    client.expect_refused(v311.connack(2))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_missing_user_name_is_refused_where_it_is_the_id(brokers: Brokers, name: str, level: Level) -> None:
    client = brokers(listener="use_username_as_clientid true").client()
    client.send(level.connect(name))
    client.expect_refused(level.connack(0x87 if level.is_v5 else 5))
