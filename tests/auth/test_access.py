"""How the answers of several checkers add up, and whose rules count for which listener."""

from __future__ import annotations

from pathlib import Path

import pytest

from mosq.auth.access import (
    ALLOW,
    ASK,
    CACHED,
    DEFER,
    DENY,
    IGNORE,
    OPEN,
    READ,
    WRITE,
    Access,
    Question,
    Source,
)  # fmt: skip
from mosq.auth.files import FileError
from mosq.config import Config, ListenerConfig
from mosq.config.model import SecurityConfig
from tests.auth.acl import write
from tests.control.world import Lines


class Says:
    """Gives one answer to everything."""

    def __init__(self, answer: int, mode: int = CACHED) -> None:
        self.answer, self.mode = answer, mode
        self.asked: list[Question] = []

    def check(self, question: Question) -> int:
        self.asked.append(question)
        return self.answer


SOMEBODY = Source("c", None, ListenerConfig())


@pytest.mark.parametrize(
    ("answers", "allowed"),
    [
        ([], True),
        ([ALLOW], True),
        ([DENY], False),
        ([IGNORE], True),
        ([DEFER], False),
        ([IGNORE, IGNORE], True),
        ([DEFER, IGNORE], False),  # 2.1 forgets the first
        ([IGNORE, DEFER], False),
        ([DEFER, ALLOW], True),
        ([IGNORE, DENY], False),
        ([ALLOW, DENY], True),
        ([DENY, ALLOW], False),
    ],
)
def test_first_decision_counts(answers: list[int], allowed: bool) -> None:
    access = Access(Lines())
    access.checkers += [Says(answer) for answer in answers]
    assert access.may(SOMEBODY, READ, b"t") is allowed


def test_nobody_is_asked_after_a_decision() -> None:
    access = Access(Lines())
    first, second = Says(ALLOW), Says(DENY)
    access.checkers += [first, second]
    access.may(SOMEBODY, WRITE, b"t", b"payload", 1, True)
    (question,) = first.asked
    assert (question.access, question.topic, question.payload) == (WRITE, b"t", b"payload")
    assert (question.qos, question.retain, question.client) == (1, True, SOMEBODY)
    assert not second.asked


def test_core_asks_as_often_as_the_most_curious_checker_wants() -> None:
    access = Access(Lines())
    assert access.mode(SOMEBODY) == OPEN
    access.checkers.append(Says(IGNORE))
    assert access.mode(SOMEBODY) == CACHED
    access.checkers.append(Says(IGNORE, ASK))
    assert access.mode(SOMEBODY) == ASK


def with_file(path: Path | None) -> SecurityConfig:
    return SecurityConfig(acl_file=None if path is None else str(path))


def test_one_file_for_all_listeners(tmp_path: Path) -> None:
    access = Access(Lines())
    access.configure(Config(listeners=[ListenerConfig()], security=with_file(write(tmp_path, "topic t\n"))))
    for client in (SOMEBODY, Source("c", None, None), Source("c", None, ListenerConfig(port=7))):
        assert access.mode(client) == CACHED
        assert [access.may(client, READ, topic) for topic in (b"t", b"u")] == [True, False]


@pytest.fixture
def per_listener(tmp_path: Path) -> Access:
    """Port 1 has a file that grants t, port 2 has none; port 3 is there twice: for t, and for u."""
    other = tmp_path / "other"
    other.mkdir()
    t, u = write(tmp_path, "topic t\n"), write(other, "topic u\n")
    listeners = [
        ListenerConfig(port=1, security=with_file(t)),
        ListenerConfig(port=2),
        ListenerConfig(port=3, host="a", security=with_file(t)),
        ListenerConfig(port=3, host="b", security=with_file(u)),
    ]
    access = Access(Lines())
    access.configure(Config(listeners=listeners, per_listener_settings=True))
    return access


def granted(access: Access, client: Source) -> str:
    return "".join(topic for topic in "tu" if access.may(client, READ, topic.encode()))


def test_each_listener_has_its_file(per_listener: Access) -> None:
    """1.6.8, 2.0.6: listeners with the same port are not mixed up."""
    found = {
        (port, host): granted(per_listener, Source("c", None, ListenerConfig(port=port, host=host)))
        for port, host in ((1, None), (2, None), (3, "a"), (3, "b"))
    }
    assert found == {(1, None): "t", (2, None): "tu", (3, "a"): "t", (3, "b"): "u"}
    assert per_listener.mode(Source("c", None, ListenerConfig(port=2))) == OPEN


def test_session_without_a_listener_may_do_nothing(per_listener: Access) -> None:
    """2.0.11: after a restart it is not known whose rules are its own."""
    lost = Source("c", None, None)
    assert granted(per_listener, lost) == ""
    assert per_listener.mode(lost) == CACHED


@pytest.mark.parametrize(("port", "topics"), [(1, "t"), (2, "tu"), (3, ""), (4, "")])
def test_source_of_a_message_has_the_rules_of_its_port(per_listener: Access, port: int, topics: str) -> None:
    """All of them, where several listeners have it; nothing where none has."""
    assert "".join(t for t in "tu" if per_listener.may_still_write("c", None, port, t.encode())) == topics


def test_failing_file_leaves_everything_as_it_was(tmp_path: Path) -> None:
    access = Access(Lines())
    path = write(tmp_path, "topic t\n")
    config = Config(security=with_file(path))
    access.configure(config)
    write(tmp_path, "topic t\nnonsense\n")
    with pytest.raises(FileError):
        access.configure(config)
    assert granted(access, SOMEBODY) == "t"


def test_file_of_two_listeners_is_read_once(tmp_path: Path) -> None:
    path = write(tmp_path, "pattern t\n")
    listeners = [ListenerConfig(port=port, security=with_file(path)) for port in (1, 2)]
    log = Lines()
    Access(log).configure(Config(listeners=listeners, per_listener_settings=True))
    assert len(log.texts("W")) == 1
