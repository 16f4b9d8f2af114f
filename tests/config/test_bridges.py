"""Bridges: what a bridge needs, its addresses, and topic lines."""

from __future__ import annotations

import os
import socket

import pytest

from mosq.config.topics import BridgeTopic, is_filter
from tests.config.conftest import Conf

BRIDGE = "connection b\naddress 127.0.0.1\n"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("topic #", "no remote addresses defined"),
        ("address 127.0.0.1", "no topics defined"),
        ("address 127.0.0.1\ntopic #\nbridge_psk ab", "missing bridge_identity"),
        ("address 127.0.0.1\ntopic #\nbridge_identity ab", "missing bridge_psk"),
    ],
)
def test_what_a_bridge_needs(conf: Conf, lines: str, message: str) -> None:
    assert conf.refusal(f"connection b\n{lines}\n") == [f"E Error: Invalid bridge configuration: {message}."]


def test_name_of_a_bridge_is_one_word_and_unique(conf: Conf) -> None:
    assert conf.refusal("connection a\nconnection a b")[0] == "E Error: Duplicate bridge name 'a'."


def test_client_ids_are_generated(conf: Conf) -> None:
    config = conf.read(f"{BRIDGE}topic #\nconnection c\naddress 127.0.0.1\ntopic #\nclientid r\n")
    host = os.uname().nodename
    assert [(one.remote_clientid, one.local_clientid) for one in config.bridges] == [
        (f"{host}.b", f"local.{host}.b"),
        ("r", "local.r"),
    ]


def test_local_client_ids_must_differ(conf: Conf) -> None:
    text = f"{BRIDGE}topic #\nclientid r\nconnection c\naddress 127.0.0.1\ntopic #\nclientid r\n"
    assert conf.refusal(text) == [
        "E Error: Bridge local_clientid 'local.r' is not unique. "
        "Try changing or setting the local_clientid value for one of the bridges."
    ]
    assert len(conf.read(f"{text}local_clientid other\n").bridges) == 2


@pytest.mark.parametrize(
    ("words", "addresses"),
    [
        ("127.0.0.1", [("127.0.0.1", 1883)]),
        ("127.0.0.1:1884  127.0.0.2:2 #127.0.0.3", [("127.0.0.1", 1884), ("127.0.0.2", 2)]),
        ("::1:1883", [("::1", 1883)]),
        ("127.0.0.1:1885x", [("127.0.0.1", 1885)]),
    ],
)
def test_addresses(conf: Conf, words: str, addresses: list[tuple[str, int]]) -> None:
    config = conf.read(f"connection b\naddress {words}\ntopic #")
    assert config.bridges[0].address == addresses
    assert not conf.lines


def test_address_that_does_not_resolve_is_worth_a_warning_at_start_only(
    conf: Conf, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def fail(host: object, *arguments: object, **more: object) -> None:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    text = "connection b\naddress nowhere.invalid\ntopic #"
    running = conf.read(text)
    assert conf.lines == ["W Warning: Error resolving bridge address: Name or service not known."]
    assert conf.read(text, running=running).bridges == running.bridges
    assert (asked, conf.lines) == ([b"nowhere.invalid"], [])


@pytest.mark.parametrize("option", ["bridge_cafile", "bridge_capath", "bridge_certfile", "bridge_keyfile"])
@pytest.mark.parametrize("psk", ["bridge_psk", "bridge_identity"])
def test_certificates_and_keys_on_one_bridge(conf: Conf, option: str, psk: str) -> None:
    assert conf.refusal(f"{BRIDGE}{psk} ab\n{option} x") == [
        f"E Error: '{option}': Cannot use both certificate and psk encryption in a single bridge.",
        "E Error found at FILE:4.",
    ]
    assert conf.refusal(f"{BRIDGE}{option} x\n{psk} ab") == [
        f"E Error: '{psk}': Cannot use both certificate and identity encryption in a single bridge.",
        "E Error found at FILE:4.",
    ]


@pytest.mark.parametrize(
    ("line", "topic"),
    [
        ("#", ("#", "out", 0, None, None)),
        ("a/b IN 1", ("a/b", "in", 1, None, None)),
        ("a both 2 l/ r/", ("a", "both", 2, "l/", "r/")),
        ('a both 2 "" r/', ("a", "both", 2, None, "r/")),
        ("a out 1 l/", ("a", "out", 1, "l/", None)),
        ("a out #1 l/", ("a", "out", 0, None, None)),
        ("a out 1 # comment", ("a", "out", 1, None, None)),
        ("a out 256", ("a", "out", 0, None, None)),
        ("a out abc", ("a", "out", 0, None, None)),
        ("a out 1x", ("a", "out", 1, None, None)),
        ('"" out 0 l r', (None, "out", 0, "l", "r")),
        ('"a b" in', ("a b", "in", 0, None, None)),
        ('"ab"', ("ab", "out", 0, None, None)),
        ('"a " in 1', ("a ", "in", 1, None, None)),
        ('"a"b c" in', ('a"b c', "in", 0, None, None)),
        ("  a  in  1 ", ("a", "in", 1, None, None)),
        ("a\tb in", ("a\tb", "in", 0, None, None)),
        ("a#b", ("a#b", "out", 0, None, None)),
    ],
)
def test_topic_line(conf: Conf, line: str, topic: tuple[object, ...]) -> None:
    assert conf.read(f"{BRIDGE}topic {line}").bridges[0].topic == [BridgeTopic(*topic)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "Empty 'topic' value in configuration."),
        ("  ", "Empty 'topic' value in configuration."),
        ("a x", "Invalid bridge topic direction 'x'."),
        ("a # comment", "Invalid bridge topic direction '#'."),
        ("a out 3", "Invalid bridge QoS level '3'."),
        ("a out 255", "Invalid bridge QoS level '255'."),
        ("a out -1", "Invalid bridge QoS level '-1'."),
        ("a out 0 l/+", "Invalid bridge topic local prefix 'l/+'."),
        ("a out 0 l r/#x", "Invalid bridge topic remote prefix 'r/#x'."),
        ('""', "Invalid bridge remapping."),
        ('"" out 0 l', "Invalid bridge remapping."),
        ('"" out 0 "" r', "Invalid bridge remapping."),
        ("#/a out 0 l/", "Invalid bridge topic local prefix and pattern combination 'l/#/a'."),
        ("# out 0 l/ r", "Invalid bridge topic local prefix and pattern combination 'r#'."),
        ('"a b', "Missing closing quote in topic value (b)."),
        ('"a b"c d', 'Missing closing quote in topic value (b"c d).'),
    ],
)
def test_topic_line_that_is_refused(conf: Conf, line: str, message: str) -> None:
    assert conf.refusal(f"{BRIDGE}topic {line}") == [f"E Error: {message}", "E Error found at FILE:3."]


def test_topic_line_twice_counts_once(conf: Conf) -> None:
    config = conf.read(f"{BRIDGE}topic # in 0 l/ r/\ntopic # in 0 l/ r/\n")
    assert len(config.bridges[0].topic) == 1
    assert conf.lines == ["I Duplicate bridge topic '#', skipping"]


def test_topic_lines_that_differ_in_a_prefix_both_count(conf: Conf) -> None:
    config = conf.read(f"{BRIDGE}topic # in 0\ntopic # in 0 l/ r/\ntopic # in 0 l/\ntopic # in 1\ntopic # out 0\n")
    assert len(config.bridges[0].topic) == 5
    assert not conf.lines


@pytest.mark.parametrize(
    ("topic", "valid"),
    [
        ("a/+/#", True),
        ("+", True),
        ("#", True),
        ("/", True),
        ("a+", False),
        ("+a/b", False),
        ("a/#/b", False),
        ("a#", False),
        ("", False),
        ("x" * 65535, True),
        ("x" * 65536, False),
    ],
)
def test_valid_filters(topic: str, valid: bool) -> None:
    assert is_filter(topic) is valid
