"""--watch: what is sent to the terminal."""

from __future__ import annotations

from mosq.cli.output import renderer
from mosq.cli.output.watch import Watch
from tests.clients.received import Received


def test_each_topic_has_its_line() -> None:
    watch = Watch(renderer(verbose=True, complain=lambda text: None))
    assert watch.heading(b"localhost") == b"\x1b[2J\x1b[1;1HBroker: localhost\n"
    assert watch.message(Received(b"1", b"a")) == b"\x1b[2;1Ha 1\n\x1b[2;1H\n"
    assert watch.message(Received(b"2", b"b")) == b"\x1b[3;1Hb 2\n\x1b[3;1H\n"
    assert watch.message(Received(b"3", b"a")) == b"\x1b[2;1Ha 3\n\x1b[3;1H\n"


def test_a_message_that_is_not_shown_moves_the_cursor() -> None:
    watch = Watch(renderer(complain=lambda text: None))
    assert watch.message(Received(b"1", b"a"), shown=False) == b"\x1b[2;1H"
