"""Signals: stopping, reloading, reopening the log, printing the tree."""

from __future__ import annotations

import signal

import pytest

from tests.harness import props
from tests.harness.brokers import StartBroker
from tests.harness.deadline import wait_until
from tests.harness.packets import Will, v5, v311


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_orderly_stop(own_broker: StartBroker, number: signal.Signals) -> None:
    """Exit code 0, no DISCONNECT for the clients and no line about them."""
    broker = own_broker()
    client = broker.connected(v5, "c")
    start = broker.log_position()
    broker.signal(number)
    client.expect_closed()
    assert broker.wait_exit() == 0
    assert [line for line in broker.log.lines[start:] if "terminating" not in line] == []
    assert broker.logged(r"^mosquitto version \S+ terminating$")
    broker.check_log()


def test_backup_signal_is_harmless_without_persistence(own_broker: StartBroker) -> None:
    broker = own_broker()
    client = broker.connected(v5, "c")
    broker.signal(signal.SIGUSR1)
    for _ in range(3):
        client.expect_silence()
    assert broker.running


@pytest.mark.differs("other text, other layout")
def test_tree_is_printed(own_broker: StartBroker) -> None:
    broker = own_broker("log_dest stdout")
    broker.connected(v5, "c1").subscribe("x/y", "x/#", qos=1)
    broker.connected(v5, "c2").subscribe("x/y")
    broker.signal(signal.SIGUSR2)
    broker.stdout.wait_for(r"^ *y \(c1, 1\) \(c2, 0\)$", 5)
    assert any(line.strip() == "# (c1, 1)" for line in broker.stdout.lines)


def test_reload_is_logged_and_keeps_connections(own_broker: StartBroker) -> None:
    broker = own_broker()
    client = broker.connected(v5, "c")
    client.subscribe("t")
    broker.signal(signal.SIGHUP)
    broker.wait_for_log(r"^Reloading config\.$")
    client.send(v5.publish("t", b"x"))
    client.expect(v5.publish("t", b"x"))


def test_reload_applies_options(own_broker: StartBroker) -> None:
    broker = own_broker()
    broker.rewrite_config("message_size_limit 10\n")
    start = broker.log_position()
    broker.signal(signal.SIGHUP)
    broker.wait_for_log(r"Reloading config", start=start)
    client = broker.connected(v5, "c")

    def is_limited() -> bool:
        client.send(v5.publish("t", b"x" * 11, qos=1, mid=1))
        return client.read_packet() == v5.puback(1, 0x95)

    wait_until(is_limited, "the new limit")
    broker.rewrite_config("")
    broker.signal(signal.SIGHUP)
    wait_until(lambda: not is_limited(), "the default")


def test_reload_ends_clients_that_are_no_longer_allowed(own_broker: StartBroker) -> None:
    """Without a DISCONNECT, with the plain line, and without their will."""
    broker = own_broker()
    client = broker.connected(v5, "c", will=Will("w", b"x", 1, True), properties=props.session_expiry(600))
    broker.rewrite_config("allow_anonymous false\n")
    broker.signal(signal.SIGHUP)
    client.expect_closed()
    broker.wait_for_log(rf"^Client c \[{client.address}\] disconnected\.$")
    refused = broker.client()
    refused.send(v5.connect("d"))
    refused.expect_refused(v5.connack(0x87))
    broker.rewrite_config("")
    broker.signal(signal.SIGHUP)

    def is_accepted() -> bool:
        again = broker.client()
        again.send(v5.connect("d"))
        return again.read_packet() == v5.connack()

    wait_until(is_accepted, "anonymous clients to be allowed again")
    watcher = broker.connected(v311, "watcher")
    watcher.subscribe("w")
    watcher.expect_silence()


def test_reload_with_an_error_changes_nothing(own_broker: StartBroker) -> None:
    broker = own_broker()
    client = broker.connected(v5, "c")
    broker.rewrite_config("no_such_option 1\nallow_anonymous false\n")
    broker.signal(signal.SIGHUP)
    broker.wait_for_log(r"Error: Unknown configuration variable '?\"?no_such_option")
    client.expect_silence()
    assert broker.running


@pytest.mark.differs("default prefix is lost on reload")
def test_reload_keeps_the_prefix_of_generated_ids(own_broker: StartBroker) -> None:
    broker = own_broker()
    broker.signal(signal.SIGHUP)
    broker.wait_for_log("Reloading config")
    broker.connected(v311, "later").expect_silence()
    client = broker.connected(v311, "")
    broker.wait_for_log(rf"New client connected from {client.address} as auto-")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGRTMIN], ids=["SIGHUP", "SIGRTMIN"])
@pytest.mark.differs("another signal")
def test_log_file_is_reopened(own_broker: StartBroker, number: signal.Signals) -> None:
    broker = own_broker("log_dest file {dir}/log.txt")
    log, moved = broker.directory / "log.txt", broker.directory / "log.1"
    broker.connected(v311, "before")
    wait_until(lambda: "as before" in log.read_text(), "a line in the log")
    log.rename(moved)
    broker.signal(number)
    wait_until(log.exists, "a new log file")
    broker.connected(v311, "after")
    wait_until(lambda: "as after" in log.read_text(), "a line in the new log")
    assert "as after" not in moved.read_text()


def test_signals_that_come_together_are_all_served(own_broker: StartBroker) -> None:
    broker = own_broker()
    client = broker.connected(v5, "c")
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGPIPE):
        broker.signal(number)
    broker.wait_for_log("Reloading config")
    client.expect_silence()
    broker.stop()
