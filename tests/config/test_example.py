"""conf/mosquitto.conf: it has every option, and taking a "#" away changes nothing that has a default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mosq.config import Config, load, unavailable
from mosq.config.features import MISSING, PERSIST_SQLITE
from mosq.config.options import ALIASES, OPTIONS
from tests.config.conftest import Conf
from tests.config.facts import PLAIN, attribute
from tests.config.test_options import text, value_of

EXAMPLE = Path(__file__).parents[2] / "conf" / "mosquitto.conf"
LINES = EXAMPLE.read_text().split("\n")
SWITCHED_OFF = [line[1:] for line in LINES if re.match(r"#[a-z]", line)]
FACTS = {row[0]: row for row in PLAIN}
DURABLE_STORE = LINES[LINES.index(f"#plugin {PERSIST_SQLITE}.so") :][:3]
"""The one plugin that is there, and its options."""
LATER = LINES.index("# Not in this build yet")


def test_as_it_stands_it_changes_nothing() -> None:
    said: list[str] = []
    config = load([str(EXAMPLE)], [], lambda level, line: said.append(line))
    assert config.copy(files=()) == Config(files=(), listeners=load([], [], lambda level, line: None).listeners)
    assert config.local_only and config.allows_anonymous(config.listeners[0])
    assert not unavailable(config)
    assert not said


def test_every_option_is_there() -> None:
    names = {line.split(" ")[0] for line in SWITCHED_OFF}
    assert {"plugin_opt_*" if name.startswith("plugin_opt_") else name for name in names} == set(OPTIONS)
    assert [alias for alias in ALIASES if not re.search(rf"\b{re.escape(alias)}", EXAMPLE.read_text())] == []


@pytest.mark.parametrize("line", [line for line in SWITCHED_OFF if line.split(" ")[0] in FACTS])
def test_line_is_the_default_or_an_example(conf: Conf, line: str) -> None:
    name, value = line.split(" ", 1)
    _, section, default, *_ = FACTS[name]
    config = conf.read(text(name, section, value))
    if name == "log_type":
        assert config.log_types <= Config().log_types
    elif (
        default is not None and default != () and name not in ("enable_proxy_protocol", "persistent_client_expiration")
    ):
        if section != "bridge" or name != "address":
            assert value_of(config, name, section) == default
    else:
        assert value_of(config, name, section) is not None


def test_all_lines_together_are_valid(conf: Conf) -> None:
    """But for the few that exclude each other, and the directory that is not there."""
    never = (
        "include_dir",
        "bridge_psk",
        "bridge_identity",
        "psk_hint",
        "enable_proxy_protocol",
        "connection",
        "plugin_use",
    )
    lines = [line for line in SWITCHED_OFF if line.split(" ")[0] not in never]
    conf.read(
        "plugin_load dynsec x\nlistener 1\nconnection b\n"
        + "\n".join(lines[1:]).replace("plugin_load dynsec", "plugin_load x")
    )


def test_log_lines_together_are_the_default(conf: Conf) -> None:
    lines = [line for line in SWITCHED_OFF if line.startswith(("log_type", "log_dest"))]
    config = conf.read("\n".join(lines))
    assert (config.log_types, config.log_dests) == (Config().log_types, Config().log_dests)


def test_options_of_missing_features_are_in_the_closing_section() -> None:
    for number, line in enumerate(LINES):
        if line in DURABLE_STORE:
            continue
        option = OPTIONS.get(line[1:].split(" ")[0]) if line.startswith("#") else None
        if option and (option.needs in MISSING or option.section in ("bridge", "plugin")):
            assert number > LATER, line


def test_attribute_names_are_those_of_the_options() -> None:
    assert attribute("ciphers_tls1.3") == OPTIONS["ciphers_tls1.3"].attribute
