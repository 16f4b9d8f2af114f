"""Manual pages: every option has its place, nothing else has, and docutils has no complaint."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mosq.cli import command_line, db_dump, passwd
from mosq.cli.client import options
from mosq.cli.client.property_option import SENT, names
from mosq.cli.client.settings import PUB, RR, SUB, Tool
from mosq.cli.migrate import _parser
from tests.harness.broker import ROOT
from tests.harness.deadline import SECONDS

PAGES = ROOT / "docs/man"
INCLUDE = re.compile(r"^\.\. include:: (.*)$", re.MULTILINE)


def source(page: str) -> str:
    """A page with what it includes."""
    text = (PAGES / f"{page}.rst").read_text()
    return INCLUDE.sub(lambda found: (PAGES / found[1]).read_text(), text)


def headings(page: str) -> set[str]:
    """The options that have an explanation: what stands at the beginning of a line that an indented one follows."""
    found: set[str] = set()
    for line in re.findall(r"^(\S.*)\n {4}", source(page), re.MULTILINE):
        found.update(re.findall(r"(?:^|, )(?:\*\*)?(--?[A-Za-z][\w-]*)", line))
    return found


def client_options(tool: Tool) -> set[str]:
    return {name for option in options.of(tool) for name in option.names.split()}


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("mosquitto.8", {*command_line._FLAGS, *command_line._VALUES, *command_line._TEXTS}),
        ("mosquitto_passwd.1", set(passwd._OPTIONS)),
        ("mosquitto_db_dump.1", {name for name in db_dump._VIEWS if name}),
        ("migrate_to_persist_sqlite.1", {name for one in _parser()._actions for name in one.option_strings}),
        *((f"{tool.name}.1", client_options(tool)) for tool in (PUB, SUB, RR)),
    ],
)
def test_each_option_is_explained(page: str, expected: set[str]) -> None:
    assert headings(page) == expected


def test_each_property_is_named() -> None:
    text = source("mosquitto_pub.1")
    for packet in SENT:
        found = re.search(rf"^{packet}\n((?: {{4}}.*\n)+)", text, re.MULTILINE)
        assert found is not None
        assert sorted(found[1].replace(",", " ").split()) == sorted(names(packet))


def configuration() -> str:
    """The page of mosquitto.conf, as reStructuredText."""
    spec = importlib.util.spec_from_file_location("configuration", PAGES / "configuration.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.page((ROOT / "conf/mosquitto.conf").read_text()))


def test_each_option_of_the_configuration_is_explained() -> None:
    found = set(re.findall(r"\*\*([a-z0-9_\\.]+)\*\*", configuration()))
    kept = re.findall(r"^#([a-z0-9_.]+)(?: |$)", (ROOT / "conf/mosquitto.conf").read_text(), re.MULTILINE)
    assert {name.replace("\\", "") for name in found} >= set(kept)
    assert len(kept) > 100


@pytest.mark.parametrize("page", [*sorted(path.name for path in PAGES.glob("*.rst")), "mosquitto.conf.5.rst"])
def test_the_pages_can_be_made(page: str, tmp_path: Path) -> None:
    pytest.importorskip("docutils")
    path = PAGES / page
    if not path.exists():
        path = tmp_path / page
        path.write_text(configuration())
    done = subprocess.run(
        [sys.executable, "-m", "docutils", "--writer=manpage", "--strict", str(path)],
        capture_output=True,
        timeout=4 * SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b".TH " in done.stdout
