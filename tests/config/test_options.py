"""Every option, by the table of facts: it is known, has its default, takes its value, and repeats as it should."""

from __future__ import annotations

import pytest

from mosq.config import Config, ListenerConfig
from mosq.config.model import BridgeConfig
from mosq.config.options import ALIASES, OPTIONS
from tests.config.conftest import Conf
from tests.config.facts import PLAIN, SPECIAL, attribute

BRIDGE = "connection b\n"
SCOPE = {"bridge": BRIDGE, "listener": "listener 1883\n", "listener line": "listener 1883\n"}
END = {"bridge": "topic #\n"}

names = pytest.mark.parametrize("row", PLAIN, ids=lambda row: row[0])


def text(name: str, section: str, *values: str) -> str:
    """A file that gives an option some values, and has all else that the option's rules ask for."""
    lines = "".join(f"{name} {value}\n" for value in values)
    if section == "bridge" and not name.startswith("address"):
        lines += "address 127.0.0.1\n"
    for one, other in (("certfile", "keyfile"), ("bridge_identity", "bridge_psk")):
        if name in (one, other):
            lines += f"{other if name == one else one} x\n"
    if name in ("cafile", "capath"):
        lines += "certfile x\nkeyfile x\n"
    return SCOPE.get(section, "") + lines + END.get(section, "")


def owner(config: Config, section: str) -> object:
    """What an option of a section belongs to."""
    if section == "any":
        return config
    if section == "security":
        return config.security
    return config.bridges[0] if section == "bridge" else config.listeners[0]


def value_of(config: Config, name: str, section: str) -> object:
    return getattr(owner(config, section), attribute(name))


def test_all_141_names_are_known() -> None:
    names = [row[0] for row in PLAIN] + list(SPECIAL)
    assert len(names) == len(set(names)) == 141
    assert set(names) == set(OPTIONS) | set(ALIASES)


@names
def test_option_has_its_default(row: tuple[str, str, object, str, object, str, str]) -> None:
    name, section, default, *_ = row
    fresh = {"any": Config(), "security": Config().security, "bridge": BridgeConfig()}.get(section, ListenerConfig())
    assert getattr(fresh, attribute(name)) == default


@names
def test_option_takes_its_value(conf: Conf, row: tuple[str, str, object, str, object, str, str]) -> None:
    name, section, default, sample, value, *_ = row
    config = conf.read(text(name, section, sample))
    assert value != default
    assert value_of(config, name, section) == value


@names
def test_option_without_value_is_refused(conf: Conf, row: tuple[str, str, object, str, object, str, str]) -> None:
    name, section, *_ = row
    refusal = conf.refusal(SCOPE.get(section, "") + name)
    assert refusal[0].startswith("E Error: Empty ")
    assert refusal[-1].startswith("E Error found at FILE:")


@names
def test_second_line_for_an_option(conf: Conf, row: tuple[str, str, object, str, object, str, str]) -> None:
    name, section, _, sample, value, repeat, _ = row
    if repeat == "error":
        refusal = conf.refusal(text(name, section, sample, sample))[0]
        if section == "bridge" and name.startswith("address"):
            assert refusal == "E Error: Invalid bridge configuration, 'address' only allowed once."
        else:
            assert refusal.startswith("E Error: Duplicate '")
        return
    config = conf.read(text(name, section, sample, sample))
    if name == "websockets_origin":
        assert value_of(config, name, section) == (sample, sample)
    else:
        assert value_of(config, name, section) == value


@pytest.mark.parametrize("name", [row[0] for row in PLAIN if row[1] == "bridge"] + ["topic"])
def test_bridge_option_needs_a_bridge(conf: Conf, name: str) -> None:
    assert conf.refusal(f"listener 1883\n{name} x") == [
        f"E Error: The '{name}' option requires a bridge to be defined first.",
        "E Error found at FILE:2.",
    ]


@pytest.mark.parametrize("name", [row[0] for row in PLAIN if row[1] in ("listener", "listener line")] + ["plugin_use"])
def test_listener_option_needs_a_listener(conf: Conf, name: str) -> None:
    message = f"E Error: The '{name}' option requires a listener to be defined first."
    assert conf.refusal(f"connection b\n{name} x") == [message, "E Error found at FILE:2."]


@pytest.mark.parametrize("name", ["accept_protocol_versions", "plugin_use"])
def test_the_default_listener_is_not_enough_for_some_options(conf: Conf, name: str) -> None:
    message = f"E Error: The '{name}' option requires a listener to be defined first."
    assert conf.refusal(f"port 1883\n{name} x")[0] == message


@pytest.mark.parametrize("row", [row for row in PLAIN if row[1] == "listener"], ids=lambda row: row[0])
def test_the_default_listener_is_enough_for_other_options(
    conf: Conf, row: tuple[str, str, object, str, object, str, str]
) -> None:
    name, section, _, sample, value, *_ = row
    config = conf.read("port 1883\n" + text(name, "any", sample))
    assert value_of(config, name, section) == value


@pytest.mark.parametrize("name", [row[0] for row in PLAIN if row[1] == "security"] + ["plugin", "auth_plugin"])
def test_security_option_needs_a_listener_with_per_listener_settings(conf: Conf, name: str) -> None:
    message = f"E Error: The '{name}' option requires a listener to be defined first."
    assert conf.refusal(f"per_listener_settings true\n{name} x") == [message, "E Error found at FILE:2."]


@pytest.mark.parametrize("row", [row for row in PLAIN if row[1] == "security"], ids=lambda row: row[0])
def test_security_option_belongs_to_the_listener_with_per_listener_settings(
    conf: Conf, row: tuple[str, str, object, str, object, str, str]
) -> None:
    name, _, default, sample, value, *_ = row
    config = conf.read(f"per_listener_settings true\nlistener 1883\nlistener 1884\n{name} {sample}\n")
    one, two = config.listeners
    assert getattr(config.security_of(one), attribute(name)) == default
    assert getattr(config.security_of(two), attribute(name)) == value


@pytest.mark.parametrize(
    "line",
    [
        "allow_duplicate_messages true",
        "auto_id_prefix a",
        "bind_address 127.0.0.1",
        "clientid_prefixes a",
        "per_listener_settings false",
        "port 1883",
    ],
)
def test_deprecated_option_says_so(conf: Conf, line: str) -> None:
    rest = {
        "allow_duplicate_messages": "The behaviour will default to true.",
        "auto_id_prefix": "Please use 'listener_auto_id_prefix' instead.",
        "per_listener_settings": "Please see the documentation for how to achieve the same effect.",
        "port": "Please use 'listener' instead.",
    }
    name = line.split()[0]
    conf.read(line)
    notice = f"N The '{name}' option is now deprecated and will be removed in version 3.0. {rest.get(name, '')}"
    assert conf.lines.count(notice) == 1


def test_removed_options_are_accepted_with_a_warning(conf: Conf) -> None:
    conf.read("retry_interval\ndhparamfile x\nwebsockets_log_level x y\n")
    assert conf.lines == [
        "W Warning: The 'retry_interval' option is no longer available.",
        "W Warning: dhparamfile is no longer required.",
    ]


def test_message_size_limit_is_discouraged_each_time(conf: Conf) -> None:
    conf.read("message_size_limit 5\nmessage_size_limit 6\n")
    note = "N Note: It is recommended to replace `message_size_limit` with `max_packet_size`."
    assert conf.lines == [note, note]


@pytest.mark.parametrize("name", ["unknown", "Listener", "listene", "bridge_", "log"])
def test_unknown_name_is_refused(conf: Conf, name: str) -> None:
    assert conf.refusal(f"{name} 1") == [
        f"E Error: Unknown configuration variable '{name}'.",
        "E Error found at FILE:1.",
    ]


def test_configobj_reads_the_table_the_same_way() -> None:
    configobj = pytest.importorskip("configobj")
    from mosq.config.options import SPEC

    spec = configobj.ConfigObj(SPEC.split("\n"), interpolation=False, list_values=False, _inspec=True)
    found = {name: (section, check) for section, options in spec.items() for name, check in options.items()}
    expected = {option.name: (option.section, option.check) for option in OPTIONS.values()}
    assert {name: entry for name, entry in found.items() if name not in ALIASES} == expected
    assert {name: f"alias({target})" for name, target in ALIASES.items()} == {name: found[name][1] for name in ALIASES}
