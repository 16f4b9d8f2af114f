"""The same ACL file gives the same clients the same topics, with mosq and with the original from Debian.

Both brokers are asked by doing: each client publishes to each topic and an oracle listens, then the oracle publishes
and the client listens. The rules change by reload.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.auth.acl import write
from tests.harness.broker import Broker
from tests.harness.client import RawClient
from tests.harness.packets import PINGREQ_BYTES, PINGRESP_BYTES, PUBLISH, Will, v5, v311

pytestmark = pytest.mark.original

ORACLE = "user oracle\ntopic #\ntopic $x/#\n"
"""Goes in front of each file with users, and leaves the lines before the first `user` what they are."""

CLIENTS = [
    ("c1", None),
    ("c2", "u1"),
    ("c3", "u2"),
    ("u1", "c1"),
    ("+", None),
    ("c4", "#"),
    ("c5", "a+"),
    ("c#", "u1"),
]
"""Client identifiers and user names."""

TOPICS = ["a", "b", "a/b", "a/b/c", "a//c", "/", "c1", "u1", "a/c1", "a/u1", "a/c1/u1", "a/%c", "$x/a", "$x/c1", "a b"]
FILTERS = [
    "#", "+", "a", "b", "a/#", "a/+", "a/b", "+/b", "a/b/#", "+/+/c", "/", "c1", "c1/#", "a/c1", "$x/#", "$x/+", "$x/a",
    "a b", "%c", "%u", "a/%c", "a/%u", "a/%c/%u", "+/%c", "%c/#", "$x/%c", "a/%u/#",
]  # fmt: skip

FILES = {
    "nothing": "",
    "anonymous only": "topic a\ntopic read b\n",
    "users add up": "user u1\ntopic a\nuser u2\ntopic b\nuser u1\ntopic read a/b\n",
    "wildcards": "topic #\nuser u1\ntopic +/b\nuser u2\ntopic read a/#\ntopic write +\n",
    "dollar": "topic $x/#\nuser u1\ntopic #\n",
    "deny last": "topic #\ntopic deny a\nuser u1\ntopic a/#\ntopic deny a/b/#\n",
    "deny first": "topic deny a\ntopic #\nuser u1\ntopic deny a/b/#\ntopic a/#\n",
    "patterns": "pattern a/%c\npattern read a/%u\npattern a/%c/%u\n",
    "patterns and users": "pattern a/%c\nuser u1\ntopic deny a/c2\ntopic read a/b\npattern deny a/b\npattern write #\n",
    "denied patterns": "pattern deny a/%u\npattern #\ntopic a\n",
    "pattern without substitution": "pattern read a\n",
    "spaces": "topic   read   a b\n  user   u1  \ntopic readwrite a/b\r\n",
    "access words": "topic read\ntopic readwrite a\nuser u1\ntopic write\ntopic deny\n",
}


@pytest.fixture(scope="module")
def pair(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, Broker]]:
    """mosq and the original, each with an ACL file of its own in its directory."""
    del original
    brokers = []
    for kind in ("mosq", "original"):
        directory = tmp_path_factory.mktemp(kind)
        write(directory, "")
        brokers.append(Broker(directory, "acl_file {dir}/acl\nsys_interval 0\n", kind=kind))
    yield brokers[0], brokers[1]
    for broker in brokers:
        broker.stop()


def with_oracle(rules: str) -> str:
    """The oracle's lines come last: what stands before the first `user` has to stay there."""
    return rules + ("" if not rules or rules.endswith("\n") else "\n") + ORACLE


def use(broker: Broker, rules: str) -> None:
    """Put rules in force."""
    write(broker.directory, with_oracle(rules))
    start = broker.log_position()
    broker.signal(signal.SIGHUP)
    broker.wait_for_log("Reloading config", start=start)
    broker.connected(v311, "reloaded").disconnect()
    assert not broker.logged("Error", start)


def heard(client: RawClient) -> list[bytes]:
    """The messages that have come, without their first byte."""
    client.send(PINGREQ_BYTES)
    found = []
    while (packet := client.read_packet()) != PINGRESP_BYTES:
        assert packet[0] >> 4 == PUBLISH
        found.append(packet[2:])
    return sorted(found)


def grants(broker: Broker) -> dict[tuple[str, str | None], dict[str, list[bytes]]]:
    """What each client can write and read."""
    oracle = broker.connected(v311, "oracle", username="oracle")
    oracle.subscribe("#", "$x/#")
    messages = [v311.publish(topic, b".") for topic in TOPICS]
    found = {}
    for client_id, username in CLIENTS:
        client = broker.connected(v311, client_id, username=username)
        client.send(*messages)
        client.expect_silence()
        written = heard(oracle)
        client.subscribe("#", "$x/#")
        oracle.send(*messages)
        heard(oracle)
        found[client_id, username] = {"write": written, "read": heard(client)}
        client.disconnect()
    oracle.disconnect()
    return found


def compare(pair: tuple[Broker, Broker], rules: str) -> None:
    results = []
    for broker in pair:
        use(broker, rules)
        results.append(grants(broker))
    ours, theirs = results
    for client in CLIENTS:
        assert ours[client] == theirs[client], f"{client} with\n{rules}"


@pytest.mark.parametrize("name", FILES)
def test_rules_mean_the_same(pair: tuple[Broker, Broker], name: str) -> None:
    compare(pair, FILES[name])


@pytest.mark.parametrize("seed", range(15))
def test_random_rules_mean_the_same(pair: tuple[Broker, Broker], seed: int) -> None:
    chance = random.Random(seed)
    lines = []
    for _ in range(chance.randrange(1, 16)):
        keyword = chance.choice(["user", "topic", "topic", "topic", "pattern"])
        if keyword == "user":
            lines.append(f"user {chance.choice(['u1', 'u2', '#', 'c1'])}\n")
        else:
            access = chance.choice(["", "read ", "write ", "readwrite ", "deny "])
            topic_filter = chance.choice(FILTERS)
            lines.append(f"{keyword} {access or 'readwrite '}{topic_filter}\n")
    compare(pair, "".join(lines))


@pytest.mark.parametrize(
    "rules",
    [
        "topic", "pattern", "topic reed t", "topic a b", "topic a#", "topic read #/a", "pattern deny %c#", "user",
        "user  ", "users a", "Topic t", " # comment", "topic\tt", "topic " + "/" * 201, "topic t # comment",
        "\ttopic t",
    ],
    ids=lambda rules: rules[:20],
)  # fmt: skip
def test_broken_file_starts_neither(original: Path, tmp_path: Path, rules: str) -> None:
    del original
    path = write(tmp_path, f"topic fine\n{rules}\n")
    for kind in ("mosq", "original"):
        directory = tmp_path / kind
        directory.mkdir()
        broker = Broker(directory, f"acl_file {path}\n", kind=kind, wait=False)
        assert broker.wait_exit() != 0, kind
        assert broker.logged("acl"), kind


# ---- each step of a message's way


def transcript(broker: Broker) -> list[object]:
    """Publishing at each QoS, retained, queued, in flight and held messages, wills; with rules that change."""
    told: list[object] = []
    use(broker, "topic write w/#\ntopic read r/#\ntopic both/#\nuser u\ntopic both/#\n")
    oracle = broker.connected(v311, "oracle", username="oracle")
    oracle.subscribe("#")
    for level in (v311, v5):
        client = broker.connected(level, "publisher")
        for qos in (0, 1, 2):
            for topic in ("r/x", "w/x"):
                client.send(level.publish(topic, b"x", qos=qos, mid=qos and 1, retain=True))
                if qos:
                    told.append(client.read_packet())
                if qos == 2:
                    client.send(level.pubrel(1))
                    told.append(client.read_packet())
                client.expect_silence()
                told.append(heard(oracle))
        client.disconnect()
    oracle.send(*(v311.publish(topic, b"kept", retain=True) for topic in ("r/x", "w/x", "both/x")))
    heard(oracle)
    client = broker.connected(v311, "subscriber", clean=False)
    client.send(v311.subscribe(1, "+/x", qos=1))
    told.append(client.read_packet())
    told.append(heard(client))
    client.send(v311.publish("w/held", b"held", qos=2, mid=1))  # 2.0.11 does not ask again about these
    told.append(client.read_packet())
    told.append(heard(client))
    oracle.send(v311.publish("r/x", b"flight", qos=1, mid=1), v311.publish("both/x", b"flight", qos=1, mid=2))
    heard_acknowledgements(oracle, 2)
    told.append(heard(client))
    client.close()
    broker.wait_for_log("Client subscriber .*(closed|disconnected)")
    oracle.send(v311.publish("r/x", b"queued", qos=1, mid=1), v311.publish("both/x", b"queued", qos=1, mid=2))
    heard_acknowledgements(oracle, 2)
    use(broker, "topic read both/#\ntopic write w/#\n")
    client = broker.connected(v311, "subscriber", clean=False, session_present=True)
    told.append(heard(client))
    client.send(v311.pubrel(1))
    told.append(client.read_packet())
    told.append(heard(oracle))
    for topic in ("both/will", "w/will"):
        start = broker.log_position()
        broker.connected(v311, "dying", will=Will(topic, b"gone")).close()
        broker.wait_for_log("Client dying .*(closed|disconnected)", start=start)
        told.append(heard(oracle))
    client.disconnect()
    broker.connected(v311, "subscriber").disconnect()
    oracle.send(*(v311.publish(topic, retain=True) for topic in ("r/x", "w/x", "both/x")))
    heard(oracle)
    return told


def heard_acknowledgements(client: RawClient, count: int) -> None:
    """What an oracle that hears itself gets: its own messages are of no interest."""
    acknowledged = 0
    while acknowledged < count:
        acknowledged += client.read_packet()[0] == 0x40
    heard(client)


def test_each_step_is_judged_alike(pair: tuple[Broker, Broker]) -> None:
    ours, theirs = (transcript(broker) for broker in pair)
    assert ours == theirs
