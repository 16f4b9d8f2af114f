"""Options whose feature this build lacks are named, with their line; nothing is ignored in silence."""

from __future__ import annotations

import pytest

from mosq.config import unavailable
from tests.config.conftest import Conf
from tests.config.test_options import text

IN_USE = [
    ("listener", "protocol websockets"),
    ("listener", "protocol http_api"),
    ("listener", "enable_proxy_protocol 1"),
    ("listener", "proxy_protocol_v2_require_tls true"),
    ("any", "plugin x"),
    ("any", "auth_plugin x"),
    ("any", "global_plugin x"),
    ("any", "plugin_load a x"),
]


def canonical(name: str) -> str:
    return {"auth_plugin": "plugin"}.get(name, name)


@pytest.mark.parametrize(("section", "line"), IN_USE)
def test_option_that_cannot_be_honoured_is_named(conf: Conf, section: str, line: str) -> None:
    name, value = line.split(" ", 1)
    content = text(name, section, value)
    number = content.split("\n").index(line) + 1
    assert (canonical(name), f"{conf.path}:{number}") in unavailable(conf.read(content))


def test_bridge_is_named_once(conf: Conf) -> None:
    config = conf.read("\nconnection b\naddress 127.0.0.1\ntopic #\nbridge_cafile x\n")
    assert unavailable(config) == [("connection", f"{conf.path}:2")]


def test_option_of_one_listener_is_named_for_it(conf: Conf) -> None:
    config = conf.read("listener 1\nlistener 2\nprotocol websockets\n")
    assert unavailable(config) == [("protocol", f"{conf.path}:3")]


def test_option_of_local_only_mode_is_named_once(conf: Conf) -> None:
    assert unavailable(conf.read("protocol websockets")) == [("protocol", f"{conf.path}:1")]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "persistence true\npersistence_file x\npersistence_location x\nautosave_interval 5",
        "listener 1\nprotocol mqtt\nrequire_certificate false\ntls_keyform pem",
        "listener 1\nwebsockets_origin x\nhttp_dir /",
        "log_dest syslog\nuser x\npid_file x\nenable_control_api true\nmemory_limit 5",
    ],
)
def test_the_rest_is_there(conf: Conf, content: str) -> None:
    assert unavailable(conf.read(content)) == []
