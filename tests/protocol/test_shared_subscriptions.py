"""Shared subscriptions; MQTT 5.0 section 4.8.2, available to every protocol level."""

from __future__ import annotations

import pytest

from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.packets import LEVELS, Level, Subscription, v5, v311


def ending(level: Level, code: int) -> list[bytes]:
    return [v5.disconnect(code)] if level.is_v5 else []


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_members_take_turns(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-4.8.2-4] each message goes to one member, in strict rotation."""
    members = [broker.connected(level, f"{name}{i}") for i in range(3)]
    for member in members:
        member.subscribe(f"$share/g/{name}/#")
    sender = broker.connected(v311, name)
    for i in range(7):
        sender.publish(f"{name}/t", str(i).encode())
    for first, member in enumerate(members):
        member.expect(*[level.publish(f"{name}/t", str(i).encode()) for i in range(first, 7, 3)])
        member.expect_silence()


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("topic_filter", ["$share", "$share/", "$share/g", "$share/g/", "$share/+/x", "$share/#"])
def test_bad_syntax_is_a_protocol_error(broker: Broker, name: str, level: Level, topic_filter: str) -> None:
    """[MQTT-4.8.2-1 4.8.2-2]"""
    client = broker.connected(level, name)
    client.send(level.subscribe(1, topic_filter))
    client.expect_refused(*ending(level, 0x82))


@pytest.mark.differs("it accepts an empty group")
@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_empty_group_is_a_protocol_error(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-4.8.2-1] the name has at least one character."""
    client = broker.connected(level, name)
    client.send(level.subscribe(1, f"$share//{name}"))
    client.expect_refused(*ending(level, 0x82))


def test_wildcard_inside_the_group_name_is_malformed(broker: Broker, name: str) -> None:
    """[MQTT-4.8.2-2]"""
    client = broker.connected(v5, name)
    client.send(v5.subscribe(1, "$share/g+/x"))
    client.expect_refused(v5.disconnect(0x81))


@pytest.mark.parametrize(
    "topic_filter", ["$share/g//", "$share/g/#", "$share/g/+", "$share/g/+/x/#", "$shared/x", "$share2/g"]
)
def test_good_syntax_is_accepted(broker: Broker, name: str, topic_filter: str) -> None:
    client = broker.connected(v5, name)
    client.subscribe(topic_filter)


@pytest.mark.parametrize("level", [v5], ids=str)
def test_no_local_is_a_protocol_error(broker: Broker, name: str, level: Level) -> None:
    """[MQTT-3.8.3-4]"""
    client = broker.connected(level, name)
    client.send(level.subscribe(1, Subscription(f"$share/g/{name}", no_local=True)))
    client.expect_refused(v5.disconnect(0x82))


def test_publisher_that_is_a_member_gets_its_turn(broker: Broker, name: str) -> None:
    client = broker.connected(v311, name)
    client.subscribe(f"$share/g/{name}")
    client.send(v311.publish(name, b"x"))
    client.expect(v311.publish(name, b"x"))


def test_groups_are_told_apart_by_name_and_filter(broker: Broker, name: str) -> None:
    """[MQTT-4.8.2] the group name and the filter together identify the shared subscription."""
    client = broker.connected(v5, name)
    for number, topic_filter in enumerate([f"$share/g/{name}/a", f"$share/h/{name}/a", f"$share/g/{name}/+"], 1):
        client.subscribe(topic_filter, properties=props.subscription_id(number))
    client.send(v5.publish(f"{name}/a"))
    client.expect_in_any_order(*[v5.publish(f"{name}/a", properties=props.subscription_id(n)) for n in (1, 2, 3)])
    client.expect_silence()


def test_normal_subscriptions_are_served_first(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    client.subscribe(f"$share/g/{name}", properties=props.subscription_id(1))
    client.subscribe(f"{name}/#", properties=props.subscription_id(2))
    client.send(v5.publish(name))
    client.expect(
        v5.publish(name, properties=props.subscription_id(2)), v5.publish(name, properties=props.subscription_id(1))
    )


def test_offline_member_keeps_its_turn_and_its_messages(broker: Broker, name: str) -> None:
    """[MQTT-4.8.2-3] a persistent member's QoS 1 messages wait for it."""
    keep = props.session_expiry(60)
    offline = broker.connected(v5, f"{name}a", properties=keep)
    offline.subscribe(f"$share/g/{name}", qos=1)
    online = broker.connected(v5, f"{name}b")
    online.subscribe(f"$share/g/{name}", qos=1)
    offline.disconnect()
    sender = broker.connected(v311, name)
    for payload in (b"1", b"2", b"3", b"4"):
        sender.publish(name, payload, qos=1)
    online.expect(v5.publish(name, b"2", qos=1, mid=1), v5.publish(name, b"4", qos=1, mid=2))
    back = broker.connected(v5, f"{name}a", clean=False, properties=keep, session_present=True)
    back.expect(v5.publish(name, b"1", qos=1, mid=1), v5.publish(name, b"3", qos=1, mid=2))


def test_member_that_leaves_loses_its_turn(broker: Broker, name: str) -> None:
    first, second = (broker.connected(v311, f"{name}{i}") for i in "ab")
    first.subscribe(f"$share/g/{name}")
    second.subscribe(f"$share/g/{name}")
    first.disconnect()
    sender = broker.connected(v311, name)
    sender.publish(name, b"1")
    sender.publish(name, b"2")
    second.expect(v311.publish(name, b"1"), v311.publish(name, b"2"))


def test_member_that_joins_after_another_left_waits_for_its_turn(broker: Broker, name: str) -> None:
    """Leaving and joining in the middle of a rotation disturbs nobody's turn."""
    members = [broker.connected(v311, f"{name}{i}") for i in range(6)]
    for member in members[:5]:
        member.subscribe(f"$share/g/{name}")
    sender = broker.connected(v311, name)
    sender.publish(name, b"0")
    members[0].expect(v311.publish(name, b"0"))
    members[2].disconnect()
    members[5].subscribe(f"$share/g/{name}")
    for number, turn in enumerate((1, 3, 4, 0, 5, 1, 3, 4, 0, 5)):
        sender.publish(name, str(number).encode())
        members[turn].expect(v311.publish(name, str(number).encode()))


def test_shared_filters_do_not_match_dollar_topics(broker: Broker, name: str) -> None:
    """[MQTT-4.7.2-1]"""
    client = broker.connected(v311, name)
    client.subscribe(f"$share/{name}/#", f"$share/{name}/+/x", f"$share/{name}/$other{name}/#")
    client.send(v311.publish(f"$other{name}/x", b"x"))
    client.expect_silence()


def test_retained_messages_are_not_sent_to_shared_subscriptions(broker: Broker, name: str) -> None:
    """MQTT 5.0 4.8.2: no retained messages when the subscription is first made"""
    client = broker.connected(v5, name)
    client.publish(name, b"x", retain=True)
    client.subscribe(f"$share/g/{name}")
    client.expect_silence()


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_delivery_qos_is_the_members_own(broker: Broker, name: str, qos: int) -> None:
    """[MQTT-3.8.4-8]"""
    client = broker.connected(v5, name)
    client.subscribe(f"$share/g/{name}", qos=qos)
    broker.connected(v311, f"{name}s").publish(name, b"x", qos=2)
    client.expect(v5.publish(name, b"x", qos=qos, mid=1))


@pytest.mark.parametrize("refuse", [v5.puback(1, 0x97), v5.pubrec(1, 0x80)], ids=["puback", "pubrec"])
def test_refused_message_is_not_sent_to_another_member(broker: Broker, name: str, refuse: bytes) -> None:
    """[MQTT-4.8.2-6] an acknowledgement with an error discards it."""
    qos = 1 if refuse[0] == 0x40 else 2
    first, second = (broker.connected(v5, f"{name}{i}") for i in "ab")
    for member in (first, second):
        member.subscribe(f"$share/g/{name}", qos=qos)
    broker.connected(v311, name).publish(name, b"x", qos=qos)
    first.expect(v5.publish(name, b"x", qos=qos, mid=1))
    first.send(refuse)
    first.expect_silence()
    second.expect_silence()


def test_unacknowledged_message_stays_with_its_member(broker: Broker, name: str) -> None:
    """[MQTT-4.8.2-4 4.8.2-5] it is not sent to another member while the session lasts."""
    keep = props.session_expiry(60)
    first = broker.connected(v5, f"{name}a", properties=keep)
    first.subscribe(f"$share/g/{name}", qos=2)
    second = broker.connected(v5, f"{name}b")
    second.subscribe(f"$share/g/{name}", qos=2)
    broker.connected(v311, name).publish(name, b"x", qos=2)
    first.expect(v5.publish(name, b"x", qos=2, mid=1))
    first.close()
    second.expect_silence()
    back = broker.connected(v5, f"{name}a", clean=False, properties=keep, session_present=True)
    back.expect(v5.publish(name, b"x", qos=2, mid=1, dup=True))
