"""A broker with an ACL file: what clients may publish, what they get, and what a reload changes."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.auth.acl import write
from tests.harness import props
from tests.harness.broker import Broker
from tests.harness.brokers import Brokers, StartBroker
from tests.harness.client import RawClient
from tests.harness.packets import LEVELS, Level, Will, v5, v311

RULES = """
topic open/#
topic read in/#
topic write out/#
topic write $SYS/#
user admin
topic #
topic $SYS/#
topic $CONTROL/#
user other
topic other/#
pattern own/%c/#
pattern of/%u
"""

TWO_LISTENERS = """
per_listener_settings true
listener {{port}} 127.0.0.1
allow_anonymous true
acl_file {path}
{more}
listener {{port2}} 127.0.0.1
allow_anonymous true
"""
"""The first has rules, the second none."""


@pytest.fixture(scope="session")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("rules"), RULES)


@pytest.fixture
def broker(brokers: Brokers, rules: Path) -> Broker:
    broker: Broker = brokers(f"acl_file {rules}\nlog_type all\n")
    return broker


def admin(broker: Broker, name: str, topic_filter: str) -> RawClient:
    """A client that sees everything below a filter."""
    client = broker.connected(v5, f"{name}admin", username="admin")
    client.subscribe(topic_filter, qos=2)
    return client


def reload(broker: Broker) -> None:
    """SIGHUP, with the rules in force at return."""
    start = broker.log_position()
    broker.signal(signal.SIGHUP)
    broker.wait_for_log("Reloading config", start=start)
    broker.connected(v311, "after-reload").disconnect()


# ---- publishing


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_denied_publish_is_acknowledged_and_dropped(broker: Broker, name: str, level: Level) -> None:
    """1.2: clients repeated for ever what nobody acknowledged."""
    watcher = admin(broker, name, f"in/{name}/#")
    client = broker.connected(level, name)
    start = broker.log_position()
    for qos in (0, 1, 2):
        client.send(level.publish(f"in/{name}/x", b"abc", qos=qos, mid=qos and 7))
        if qos == 1:
            client.expect(level.puback(7, 0x87))
        elif qos == 2:
            client.expect(level.pubrec(7, 0x87))
            client.send(level.pubrel(7))
            client.expect(level.pubcomp(7))
    client.expect_silence()
    watcher.expect_silence()
    denied = [
        f"Denied PUBLISH from {name} (d0, q{qos}, r0, m{qos and 7}, 'in/{name}/x', ... (3 bytes))" for qos in (0, 1, 2)
    ]
    broker.wait_for_log(f"Sending PUBCOMP to {name}", start=start)
    assert broker.logged(f"Denied PUBLISH from {name} ", start) == denied
    assert broker.logged(f"Sending PUB.* to {name} .*rc135", start)[:2] == [
        f"Sending PUBACK to {name} (m7, rc135)",
        f"Sending PUBREC to {name} (m7, rc135)",
    ]


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_allowed_publish_goes_through(broker: Broker, name: str, level: Level) -> None:
    watcher = admin(broker, name, f"out/{name}")
    client = broker.connected(level, name)
    for qos in (0, 1, 2):
        client.publish(f"out/{name}", b"x", qos=qos)
        got = watcher.read_packet()
        assert got[0] >> 1 & 3 == qos
        if qos == 1:
            watcher.send(v5.puback(int.from_bytes(got[-4:-2], "big")))


def test_decision_is_about_the_topic_behind_an_alias(broker: Broker, name: str) -> None:
    watcher = admin(broker, name, f"+/{name}")
    client = broker.connected(v5, name)
    for topic in (f"in/{name}", f"out/{name}"):
        client.send(v5.publish(topic, b"1", properties=props.topic_alias(1)))
        client.send(v5.publish("", b"2", properties=props.topic_alias(1)))
    client.expect_silence()
    watcher.expect(v5.publish(f"out/{name}", b"1"), v5.publish(f"out/{name}", b"2"))


def test_denied_retained_message_leaves_the_old_one(broker: Broker, name: str) -> None:
    admin(broker, name, "none").publish(f"in/{name}", b"old", retain=True)
    client = broker.connected(v311, name)
    for payload in (b"new", b""):
        client.publish(f"in/{name}", payload, retain=True)
    client.subscribe(f"in/{name}")
    client.expect(v311.publish(f"in/{name}", b"old", retain=True))


@pytest.mark.parametrize("user", [None, "admin"])
def test_no_rule_lets_clients_write_to_sys(broker: Broker, name: str, user: str | None) -> None:
    """1.6: but for the state of a bridge."""
    watcher = admin(broker, name, "$SYS/broker/connection/#")
    client = broker.connected(v5, name, username=user)
    for topic in ("$SYS/broker/clients", "$SYS/broker/connection/a/b/state", "$SYSx", "$share/g/t"):
        client.send(v5.publish(topic, b"x", qos=1, mid=1))
        client.expect(v5.puback(1, 0x87))
    client.publish(f"$SYS/broker/connection/{name}/state", b"1", qos=1)
    watcher.expect(v5.publish(f"$SYS/broker/connection/{name}/state", b"1", qos=1, mid=1))


def test_dollar_topics_have_ordinary_rules(broker: Broker, name: str) -> None:
    client = broker.connected(v5, name)
    client.send(v5.publish(f"$x/{name}", b"x", qos=1, mid=1), v5.publish("$CONTROL/broker/v1", b"{}", qos=1, mid=2))
    client.expect(v5.puback(1, 0x87), v5.puback(2, 0x87))


# ---- receiving


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_everything_may_be_subscribed_and_the_readable_is_delivered(broker: Broker, name: str, level: Level) -> None:
    client = broker.connected(level, name)
    client.subscribe(f"+/{name}", "$x/#", qos=1)
    sender = broker.connected(v5, f"{name}s", username="admin")
    for topic in (f"out/{name}", f"other/{name}", f"in/{name}"):
        sender.send(v5.publish(topic, b"x", qos=1, mid=1))
        sender.expect(v5.puback(1))  # there was a match, whatever became of it
    client.expect(level.publish(f"in/{name}", b"x", qos=1, mid=1))
    client.expect_silence()


def test_unreadable_retained_messages_are_skipped(broker: Broker, name: str) -> None:
    sender = broker.connected(v5, f"{name}s", username="admin")
    for topic in ("in", "out", "other"):
        sender.publish(f"{topic}/{name}", b"x", retain=True)
    client = broker.connected(v311, name)
    client.subscribe(f"+/{name}")
    client.expect(v311.publish(f"in/{name}", b"x", retain=True))
    client.expect_silence()


def test_unreadable_messages_are_not_queued_for_later(broker: Broker, name: str) -> None:
    client = broker.connected(v311, name, clean=False)
    client.subscribe(f"+/{name}", qos=1)
    client.disconnect()
    sender = broker.connected(v5, f"{name}s", username="admin")
    for topic in ("out", "in"):
        sender.publish(f"{topic}/{name}", b"x", qos=1)
    again = broker.connected(v311, name, clean=False, session_present=True)
    again.expect(v311.publish(f"in/{name}", b"x", qos=1, mid=1))
    again.send(v311.puback(1))
    again.expect_silence()


def test_shared_message_is_lost_with_a_member_who_may_not_read_it(broker: Broker, name: str) -> None:
    allowed = broker.connected(v5, f"{name}a", username="admin")
    denied = broker.connected(v5, f"{name}b")
    for client in (allowed, denied):
        client.subscribe(f"$share/g/out/{name}")
    sender = broker.connected(v5, f"{name}s", username="admin")
    for i in range(6):
        sender.publish(f"out/{name}", b"%d" % i)
    got = [packet[-1] - ord("0") for packet in allowed.received_messages(3)]
    assert got in ([0, 2, 4], [1, 3, 5])
    allowed.expect_silence()
    denied.expect_silence()


# ---- users and patterns


def test_user_unknown_to_the_file_is_denied_and_stays(broker: Broker, name: str) -> None:
    """1.5.8: it was disconnected where anonymous rules existed."""
    client = broker.connected(v311, name, username="stranger")
    client.subscribe(f"+/{name}")
    client.publish(f"open/{name}", b"x", qos=1)
    client.expect_silence()


def test_patterns_are_for_everybody(broker: Broker, name: str) -> None:
    for user in (None, "other", "stranger"):
        client = broker.connected(v311, name, username=user)
        client.subscribe(f"own/{name}/#", "of/+")
        sent = {f"own/{name}/x": b"1", f"own/{name}x/x": b"2", "of/x": b"3", f"of/{user}": b"4"}
        client.send(*(v311.publish(topic, payload) for topic, payload in sent.items()))
        client.expect(v311.publish(f"own/{name}/x", b"1"))
        if user is not None:
            client.expect(v311.publish(f"of/{user}", b"4"))
        client.expect_silence()
        client.disconnect()


@pytest.mark.parametrize("client_id", ["#", "+", "a/#"])
def test_client_id_with_wildcards_gets_nothing_by_patterns(broker: Broker, name: str, client_id: str) -> None:
    """CVE-2017-7650"""
    victim = broker.connected(v311, name)
    start = broker.log_position()
    client = broker.connected(v311, client_id)
    client.subscribe("own/#")
    victim.publish(f"own/{name}/secret", b"x")
    client.publish(f"own/{client_id.replace('#', 'x').replace('+', 'x')}/t", b"x")
    client.expect_silence()
    denied = f'ACL denying access to client with dangerous client id "{client_id}"'
    broker.wait_for_log(re.escape(denied), start=start)


@pytest.mark.parametrize("user", ["#", "+"])
def test_user_name_with_wildcards_gets_nothing_by_patterns(broker: Broker, name: str, user: str) -> None:
    """CVE-2017-7650"""
    start = broker.log_position()
    client = broker.connected(v311, name, username=user)
    client.subscribe("of/#")
    broker.connected(v311, f"{name}x", username="stranger").publish("of/stranger", b"x")
    client.expect_silence()
    broker.wait_for_log("ACL denying access to client with dangerous username", start=start)


# ---- wills


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_will_is_judged_when_it_is_due(broker: Broker, name: str, level: Level) -> None:
    """1.4.2"""
    watcher = admin(broker, name, f"+/{name}")
    denied = broker.connected(level, f"{name}d", will=Will(f"in/{name}", b"no"))
    allowed = broker.connected(level, f"{name}a", will=Will(f"out/{name}", b"yes"))
    denied.close()
    broker.wait_for_log(f"Client {name}d .*disconnected")
    allowed.close()
    watcher.expect(v5.publish(f"out/{name}", b"yes"))


@pytest.mark.parametrize("topic", ["$SYS/x", "$share/g/t"])
def test_will_to_a_reserved_topic_is_dropped(broker: Broker, name: str, topic: str) -> None:
    watcher = admin(broker, name, "$SYS/x")
    broker.connected(v311, name, username="admin", will=Will(topic, b"no")).close()
    broker.wait_for_log(f"Client {name} .*disconnected")
    watcher.expect_silence()


def test_will_to_a_control_topic_is_refused(broker: Broker, name: str) -> None:
    """2.0.16: it carried the broker's own authority."""
    client = broker.client(v5)
    client.send(v5.connect(name, username="admin", will=Will("$CONTROL/broker/v1", b"{}")))
    client.expect_closed()


def test_will_is_judged_under_the_mount_point(own_broker: StartBroker, tmp_path: Path, name: str) -> None:
    """1.4.8, and wills with per_listener_settings (2.0.13)."""
    path = write(tmp_path, "topic write m/w\ntopic read #\n")
    broker = own_broker(TWO_LISTENERS.format(path=path, more="mount_point m/"))
    watcher = broker.connected(v311, f"{name}w", port="port2")
    watcher.subscribe("#")
    broker.connected(v311, name, will=Will("x", b"denied")).close()
    broker.wait_for_log(f"Client {name} .*disconnected")
    broker.connected(v311, name, will=Will("w", b"allowed")).close()
    watcher.expect(v311.publish("m/w", b"allowed"))


# ---- sessions that come back


@pytest.fixture
def changing(own_broker: StartBroker, tmp_path: Path) -> tuple[Broker, Path]:
    """A broker of the test's own, and the file that its rules are in."""
    path = write(tmp_path, "topic #\n")
    return own_broker(f"acl_file {path}\nlog_type all\n"), path


def test_queued_messages_are_judged_again_at_the_return(changing: tuple[Broker, Path], name: str) -> None:
    """1.4: they were delivered whatever the rules had become. The subscription itself stays."""
    broker, path = changing
    client = broker.connected(v311, name, clean=False)
    client.subscribe("t/#", qos=1)
    sender = broker.connected(v311, f"{name}s")
    sender.publish("t/flight", b"1", qos=1)
    sender.publish("t/kept", b"1", qos=1)
    client.received_messages(2)
    client.close()
    broker.wait_for_log(f"Client {name} .*disconnected")
    sender.publish("t/queued", b"2", qos=1)
    sender.publish("t/kept", b"2", qos=1)
    write(path.parent, "topic write #\ntopic read t/kept\n")
    reload(broker)
    again = broker.connected(v311, name, clean=False, session_present=True)
    assert [b"t/kept" in packet for packet in again.received_messages(2)] == [True, True]
    again.expect_silence()


def test_queued_messages_are_judged_for_who_comes(changing: tuple[Broker, Path], name: str) -> None:
    """The user name of a session is that of its last CONNECT."""
    broker, path = changing
    write(path.parent, "topic write #\nuser a\ntopic t\nuser b\ntopic u\n")
    reload(broker)
    client = broker.connected(v311, name, clean=False, username="a")
    client.subscribe("t", "u", qos=1)
    client.disconnect()
    sender = broker.connected(v311, f"{name}s")
    sender.publish("t", b"1", qos=1)
    other = broker.connected(v311, name, clean=False, session_present=True, username="b")
    sender.publish("u", b"2", qos=1)
    got = other.read_packet()
    assert got[4:5] == b"u"
    other.expect_silence()


def test_held_message_is_judged_again_at_the_return(changing: tuple[Broker, Path], name: str) -> None:
    """2.0.12: a QoS 2 message that waited for its PUBREL was delivered."""
    broker, path = changing
    watcher = broker.connected(v311, f"{name}w")
    watcher.subscribe("t", "u")
    client = broker.connected(v311, name, clean=False)
    client.send(v311.publish("t", b"no", qos=2, mid=1), v311.publish("u", b"yes", qos=2, mid=2))
    client.expect(v311.pubrec(1), v311.pubrec(2))
    client.close()
    broker.wait_for_log(f"Client {name} .*disconnected")
    write(path.parent, "topic read #\ntopic write u\n")
    reload(broker)
    again = broker.connected(v311, name, clean=False, session_present=True)
    again.send(v311.pubrel(1), v311.pubrel(2))
    again.expect(v311.pubcomp(1), v311.pubcomp(2))
    watcher.expect(v311.publish("u", b"yes"))
    watcher.expect_silence()


def test_rules_can_change_again_and_again(changing: tuple[Broker, Path], name: str) -> None:
    broker, path = changing
    client = broker.connected(v311, name)
    client.subscribe("t")
    for i in range(6):
        write(path.parent, "topic #\n" if i % 2 else "topic write #\n")
        reload(broker)
        client.send(v311.publish("t", b"%d" % i))
        if i % 2:
            client.expect(v311.publish("t", b"%d" % i))
        client.expect_silence()


# ---- reload


def test_reload_is_in_force_at_once_and_drops_nobody(changing: tuple[Broker, Path], name: str) -> None:
    broker, path = changing
    client = broker.connected(v5, name)
    client.subscribe("a", "b")
    client.send(v5.publish("a", b"1"), v5.publish("b", b"1"))
    client.expect(v5.publish("a", b"1"), v5.publish("b", b"1"))
    write(path.parent, "topic a\n")
    reload(broker)
    client.send(v5.publish("a", b"2"), v5.publish("b", b"2", qos=1, mid=1))
    client.expect(v5.publish("a", b"2"), v5.puback(1, 0x87))
    write(path.parent, "topic write a\ntopic b\n")
    reload(broker)
    client.send(v5.publish("a", b"3"), v5.publish("b", b"3"))
    client.expect(v5.publish("b", b"3"))
    client.expect_silence()


def test_file_can_come_and_go_with_the_configuration(own_broker: StartBroker, tmp_path: Path, name: str) -> None:
    path = write(tmp_path, "topic write #\n")
    broker = own_broker("log_type all\n")
    client = broker.connected(v311, name)
    client.subscribe("t")
    for config, heard in ((f"acl_file {path}\n", False), ("", True), (f"acl_file {path}\n", False)):
        broker.rewrite_config(f"log_type all\n{config}")
        reload(broker)
        client.send(v311.publish("t", b"x"))
        if heard:
            client.expect(v311.publish("t", b"x"))
        client.expect_silence()


def test_configuration_that_cannot_be_read_keeps_the_rules(changing: tuple[Broker, Path], name: str) -> None:
    """CVE-2017-7652: an unreadable configuration meant no rules at all. The files are read again nevertheless."""
    broker, path = changing
    client = broker.connected(v5, name)
    broker.config_file.write_text("nonsense true\n")
    write(path.parent, "topic a\n")
    reload(broker)
    client.send(v5.publish("a", b"", qos=1, mid=1), v5.publish("b", b"", qos=1, mid=2))
    client.expect(v5.puback(1, 0x10), v5.puback(2, 0x87))


@pytest.mark.parametrize(("content", "code"), [("topic #\ntopic a#\n", 3), (None, 13)], ids=["broken", "missing"])
def test_reload_of_a_broken_file_ends_the_broker_under_the_old_rules(
    own_broker: StartBroker, tmp_path: Path, name: str, content: str | None, code: int
) -> None:
    """2.1.0: what was read of it was used. The wills that this end publishes are judged as ever."""
    path = write(tmp_path, "topic read #\ntopic write w\n")
    broker = own_broker(f"acl_file {path}\n")
    watcher = broker.connected(v311, f"{name}w")
    watcher.subscribe("#")
    broker.connected(v311, f"{name}a", will=Will("secret", b"no"))
    broker.connected(v311, f"{name}b", will=Will("w", b"yes"))
    if content is None:
        path.unlink()
    else:
        write(tmp_path, content)
    broker.signal(signal.SIGHUP)
    watcher.expect_refused(v311.publish("w", b"yes"))
    assert broker.wait_exit() == code
    expected = [f'Error: Unable to open acl_file "{path}".']
    if content is not None:
        expected = [f'Error: Invalid ACL topic "a#" in acl_file "{path}".', f"Error found at {path}:2."]
    assert broker.logged("^Error") == [*expected, f'Error opening acl file "{path}".']


# ---- start


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ("topic t\n user\n", 3, 'Error: Missing username in acl_file "{f}".'),
        (None, 13, 'Error: Unable to open acl_file "{f}".'),
    ],
    ids=["broken", "missing"],
)
def test_broken_file_is_told_before_anything_is_opened(
    own_broker: StartBroker, tmp_path: Path, content: str | None, code: int, message: str
) -> None:
    path = tmp_path / "acl"
    if content is not None:
        write(tmp_path, content)
    broker = own_broker(f"acl_file {path}\n", wait=False)
    assert broker.wait_exit() == code
    errors = broker.logged("^Error")
    assert errors[0] == message.replace("{f}", str(path))
    assert errors[-1] == f'Error opening acl file "{path}".'
    assert not broker.logged("Opening ")


def test_directory_is_no_file(own_broker: StartBroker, tmp_path: Path) -> None:
    """2.0.12: the broker ran without the rules."""
    broker = own_broker(f"acl_file {tmp_path}\n", wait=False)
    assert broker.wait_exit() == 13
    assert f"Error: {tmp_path} is not a file." in broker.log.lines


def test_rules_of_the_default_listener_count(own_broker: StartBroker, tmp_path: Path, name: str) -> None:
    """CVE-2018-20145"""
    path = write(tmp_path, "topic t\n")
    broker = own_broker(f"per_listener_settings true\nport {{port}}\nallow_anonymous true\nacl_file {path}\n")
    client = broker.connected(v5, name)
    client.send(v5.publish("u", b"", qos=1, mid=1))
    client.expect(v5.puback(1, 0x87))


def test_each_listener_has_its_own_rules(own_broker: StartBroker, tmp_path: Path, name: str) -> None:
    path = write(tmp_path, "topic t\n")
    broker = own_broker(TWO_LISTENERS.format(path=path, more=""))
    for port, code in (("port", 0x87), ("port2", 0x10)):
        client = broker.connected(v5, f"{name}{port}", port=port)
        client.send(v5.publish("u", b"", qos=1, mid=1))
        client.expect(v5.puback(1, code))


def test_offline_session_has_the_rules_of_its_last_listener(own_broker: StartBroker, tmp_path: Path, name: str) -> None:
    path = write(tmp_path, "topic t\n")
    broker = own_broker(TWO_LISTENERS.format(path=path, more=""))
    client = broker.connected(v311, name, clean=False)
    client.subscribe("#", qos=1)
    client.disconnect()
    sender = broker.connected(v311, f"{name}s", port="port2")
    for topic in ("u", "t"):
        sender.publish(topic, b"x", qos=1)
    again = broker.connected(v311, name, clean=False, session_present=True, port="port2")
    again.expect(v311.publish("t", b"x", qos=1, mid=1))
    again.expect_silence()


# ---- check_retain_source


@pytest.mark.parametrize("checked", [True, False])
def test_retained_message_of_who_may_not_write_any_more(
    own_broker: StartBroker, tmp_path: Path, name: str, checked: bool
) -> None:
    """CVE-2018-12546, and 1.6.2: what the broker itself retains stays deliverable."""
    path = write(tmp_path, "topic read #\ntopic read $SYS/#\nuser u\ntopic write #\n")
    broker = own_broker(f"acl_file {path}\ncheck_retain_source {str(checked).lower()}\nsys_interval 1\nlog_type all\n")
    broker.connected(v311, f"{name}u", username="u").publish("t", b"x", retain=True)
    broker.connected(v311, f"{name}v", username="u", will=Will("w", b"x", retain=True)).close()
    broker.wait_for_log(f"Client {name}v .*disconnected")
    client = broker.connected(v311, name)
    for subscribed in (1, 2):
        client.subscribe("t", "w", "$SYS/broker/version")
        got = sorted(packet[4:5] for packet in client.received_messages(3 if subscribed == 1 or not checked else 1))
        assert got == ([b"$", b"t", b"w"] if subscribed == 1 or not checked else [b"$"])
        client.expect_silence()
        write(tmp_path, "topic read #\ntopic read $SYS/#\n")
        reload(broker)


def test_checking_sources_can_be_switched_on(own_broker: StartBroker, tmp_path: Path, name: str) -> None:
    """From then on it is known who published; of older messages it is not."""
    path = write(tmp_path, "topic #\n")
    broker = own_broker(f"acl_file {path}\nlog_type all\n")
    sender = broker.connected(v311, name)
    sender.publish("old", b"x", retain=True)
    broker.rewrite_config(f"acl_file {path}\ncheck_retain_source true\nlog_type all\n")
    reload(broker)
    sender.publish("new", b"x", retain=True)
    write(tmp_path, "topic read #\n")
    reload(broker)
    client = broker.connected(v311, f"{name}c")
    client.subscribe("old", "new")
    client.expect(v311.publish("old", b"x", retain=True))
    client.expect_silence()
