"""mosquitto.db: what files hold comes into the core and goes out again; what is corrupt is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.csrc.database import load, save
from tests.csrc.peer import World

DATA = Path(__file__).parent.parent / "persistence/data"
SAMPLES = sorted(DATA.glob("v*.db"))
WRITTEN_AT = 1795217390
"""When the samples were written, Unix seconds: messages in them expire a little later."""


def world() -> World:
    out = World()
    out.wall = WRITTEN_AT
    out.tick(0)
    return out


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
@pytest.mark.parametrize("name", ["v6-tiny", "v6-mixed", "v6-live"])
def test_a_file_of_the_newest_version_comes_out_as_it_went_in(name: str, piece: int) -> None:
    data = (DATA / f"{name}.db").read_bytes()
    core = world()
    read = load(core, data, piece)
    clients = {read.sessions[client_id]: client for client_id, client in read.clients.items()}
    assert save(core, clients, shutdown=name != "v6-live") == data
