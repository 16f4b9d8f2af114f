"""The chain of checkers: whose answer counts, what silence means, and who is asked again after a reload."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest

from mosq.auth import methods
from mosq.auth.chain import ALLOW, ASIDE, DEFER, FAILED, IGNORE, LATER, Request, Verdict, allow, deny
from mosq.auth.files import FileError
from mosq.auth.methods import SUCCESS, Exchange, Step
from mosq.config import Config, ListenerConfig, SecurityConfig
from tests.auth.passwords import pbkdf2, sha512, users, write
from tests.control.world import World
from tests.harness import props
from tests.harness.deadline import wait_until
from tests.harness.packets import LEVELS, Level, Will, v5, v311

Make = Callable[..., World]

REFUSED = {3: b"\x20\x02\x00\x05", 4: b"\x20\x02\x00\x05", 5: b"\x20\x03\x00\x87\x00"}


@pytest.fixture
def make_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """As in tests.control; `password_file` and `allow_anonymous` are for the broker."""
    worlds: list[World] = []

    def make(
        listener: dict[str, object] | None = None,
        *,
        password_file: Path | None = None,
        allow_anonymous: bool | None = None,
        **options: object,
    ) -> World:
        security = SecurityConfig(
            password_file=None if password_file is None else str(password_file), allow_anonymous=allow_anonymous
        )
        listener = {"listener_allow_anonymous": None, **(listener or {})}
        worlds.append(World(monkeypatch, listener, {"security": security, **options}))
        return worlds[-1].start()

    yield make
    for world in worlds:
        world.close()


class Answers:
    """A checker that always gives the same answer."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.asked: list[Request] = []

    def authenticate(self, request: Request) -> Verdict:
        self.asked.append(request)
        return self.verdict


def answer(world: World, level: Level = v311, **options: object) -> bytes:
    """What a client gets for its CONNECT, computed aside or not."""
    peer = world.peer(level)
    found = peer.send(level.connect(f"c{len(world.peers)}", **options))  # type: ignore[arg-type]

    def decided() -> bool:
        nonlocal found
        world.reactor.turn(0.01)
        found += peer.read() if not found else b""
        return bool(found) or peer.connection.state == 4

    wait_until(decided, "an answer")
    return found


def is_in(found: bytes) -> bool:
    return found[:1] == b"\x20" and found[3] == 0


def reload(world: World, password_file: Path | None = None, allow_anonymous: bool | None = None) -> None:
    security = SecurityConfig(
        password_file=None if password_file is None else str(password_file), allow_anonymous=allow_anonymous
    )
    world.broker.reload(world.config.copy(security=security))
    world.turn()


# ---- whose answer counts


@pytest.mark.parametrize(
    ("answers", "anonymous_in", "user_in"),
    [
        ([], True, True),
        ([IGNORE], True, True),
        ([IGNORE, IGNORE], True, True),
        ([DEFER], True, False),
        ([DEFER, IGNORE], True, False),
        ([IGNORE, DEFER], True, False),
        ([ALLOW], True, True),
        ([IGNORE, DEFER, ALLOW], True, True),
        ([deny(), ALLOW], False, False),
        ([ALLOW, deny()], True, True),
        ([DEFER, deny()], False, False),
    ],
)
def test_first_decision_counts_and_silence_has_its_rules(
    make_world: Make, answers: list[Verdict], anonymous_in: bool, user_in: bool
) -> None:
    world = make_world(allow_anonymous=True)
    world.broker.auth.checkers[:] = [Answers(verdict) for verdict in answers]
    assert is_in(answer(world)) is anonymous_in
    assert is_in(answer(world, username="u", password="p")) is user_in


@pytest.mark.parametrize("answers", [[], [IGNORE], [DEFER], [IGNORE, DEFER]])
def test_silence_lets_nobody_in_without_anonymous_access(make_world: Make, answers: list[Verdict]) -> None:
    world = make_world(allow_anonymous=False)
    world.broker.auth.checkers[:] = [Answers(verdict) for verdict in answers]
    assert answer(world) == REFUSED[4]
    assert answer(world, username="u", password="p") == REFUSED[4]


def test_yes_counts_without_anonymous_access(make_world: Make) -> None:
    world = make_world(allow_anonymous=False)
    world.broker.auth.checkers[:] = [Answers(ALLOW)]
    assert is_in(answer(world))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_checker_that_fails_closes_without_an_answer(make_world: Make, level: Level) -> None:
    """1.3.2: a client was accepted then."""
    world = make_world(allow_anonymous=True)
    world.broker.auth.checkers[:] = [Answers(FAILED)]
    peer = world.peer(level)
    assert peer.send(level.connect("a")) == b""
    assert peer.closed
    assert world.log.texts("N")[-1].endswith("disconnected: bad socket read/write: Unknown error")


def test_several_may_wait_with_one_identifier_for_what_is_computed_aside(make_world: Make) -> None:
    """Somebody who floods the broker with the identifier of another must not lock that one out."""
    world = make_world()
    checker = Answers(ASIDE)
    world.broker.auth.checkers[:] = [checker]
    flood, other = world.peer(), world.peer()
    for peer in (flood, other):
        assert peer.send(v311.connect("a")) == b""
    for request, verdict in zip(checker.asked, (deny(), ALLOW), strict=True):
        assert request.resolve is not None
        request.resolve(verdict)
    world.turn()
    assert flood.read() == REFUSED[4]
    assert other.read() == v311.connack()


def test_plugin_is_asked_before_the_password_file(make_world: Make, tmp_path: Path) -> None:
    world = make_world(password_file=write(tmp_path, users(u="pw")))
    checker = Answers(IGNORE)
    world.broker.auth.checkers[:] = [checker]
    assert is_in(answer(world, username="u", password="pw"))
    assert answer(world, username="u", password="no") == REFUSED[4]
    checker.verdict = ALLOW
    assert is_in(answer(world, username="u", password="no"))
    checker.verdict = deny()
    assert answer(world, username="u", password="pw") == REFUSED[4]


# ---- anonymous access, with and without a password file


CLIENTS = {
    "nobody": {},
    "empty": {"username": "", "password": ""},
    "right": {"username": "u", "password": "pw"},
    "wrong": {"username": "u", "password": "no"},
    "without": {"username": "u"},
    "unknown": {"username": "x", "password": "pw"},
}


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize(
    ("per_listener", "own", "shared", "local_only", "file"),
    list(product((False, True), (None, False, True), (None, False, True), (False, True), (False, True))),
)
def test_anonymous_access_in_all_combinations(
    make_world: Make,
    tmp_path: Path,
    level: Level,
    per_listener: bool,
    own: bool | None,
    shared: bool | None,
    local_only: bool,
    file: bool,
) -> None:
    """listener_allow_anonymous, allow_anonymous and local only mode make one value. It is for those without a user
    name, and for all where nobody judges passwords."""
    path = str(write(tmp_path, users(u="pw"))) if file else None
    security = SecurityConfig(allow_anonymous=shared, password_file=path)
    listener: dict[str, object] = {"listener_allow_anonymous": own, "local_only": local_only}
    if per_listener:
        world = make_world({**listener, "security": security}, per_listener_settings=True)
    else:
        world = make_world(listener, security=security)
    allowed = own if own is not None else shared if shared is not None else local_only
    expected = {"nobody": allowed, "empty": allowed}
    for name in ("right", "wrong", "without", "unknown"):
        expected[name] = name == "right" if file else allowed
    for name, options in CLIENTS.items():
        found = answer(world, level, **options)
        assert is_in(found) is expected[name], name
        assert is_in(found) or found == REFUSED[level.number]


def test_each_listener_has_its_own_password_file(make_world: Make, tmp_path: Path) -> None:
    first = write(tmp_path, users(u="pw"), "first")
    mine = ListenerConfig(port=1, security=SecurityConfig(password_file=str(first)))
    other = ListenerConfig(port=2, security=SecurityConfig(password_file=str(write(tmp_path, users(v="pw"), "second"))))
    open_to_all = ListenerConfig(port=3, security=SecurityConfig(allow_anonymous=True))
    world = make_world(per_listener_settings=True)
    chain = world.broker.auth
    chain.configure(Config(per_listener_settings=True, listeners=[mine, other, open_to_all]))

    def judge(listener: ListenerConfig, username: str) -> Verdict:
        return chain.authenticate(Request("c", username, b"pw", "a", listener, 4))

    assert judge(mine, "u") is ASIDE
    assert judge(other, "u") is ASIDE
    assert judge(open_to_all, "u") is ALLOW
    gone = ListenerConfig(port=4, security=SecurityConfig(password_file=f"{first}.gone"))
    assert judge(gone, "u").code == 0x87


def test_file_is_read_once_whoever_names_it(make_world: Make, tmp_path: Path) -> None:
    security = SecurityConfig(password_file=str(write(tmp_path, users(u="pw"))))
    world = make_world(per_listener_settings=True)
    world.log.lines.clear()
    listeners = [ListenerConfig(port=port, security=security) for port in (1, 2)]
    world.broker.auth.configure(Config(per_listener_settings=True, listeners=listeners))
    assert world.log.texts("I") == ["Plugin builtin-security has registered to receive 'basic-auth' events."]


# ---- what becomes of a client that waits


def test_client_waits_and_then_goes_on(make_world: Make, tmp_path: Path) -> None:
    world = make_world(password_file=write(tmp_path, users(u="pw")))
    peer = world.peer()
    found = peer.send(v311.connect("a", username="u", password="pw") + v311.subscribe(1, "t"))

    def done() -> bool:
        nonlocal found
        world.reactor.turn(0.01)
        found += peer.read()
        return len(found) >= 9

    wait_until(done, "both answers")
    assert found == v311.connack() + v311.suback(1, 0)


def test_client_that_waits_for_too_long_is_closed(make_world: Make) -> None:
    world = make_world()
    checker = Answers(ASIDE)
    world.broker.auth.checkers[:] = [checker]
    peer = world.peer()
    peer.send(v311.connect("a", username="u", password="pw"))
    world.advance(32)
    assert peer.closed
    resolve = checker.asked[0].resolve
    assert resolve is not None
    resolve(ALLOW)
    world.turn()
    assert world.sessions() == set()


# ---- after a reload


def test_changed_password_ends_the_connection_without_a_will(make_world: Make, tmp_path: Path) -> None:
    path = write(tmp_path, users(u="pw"))
    world = make_world(password_file=path, allow_anonymous=True)
    watcher = world.watcher("#")
    peer = world.peer(v5)
    peer.send(v5.connect("a", username="u", password="pw", will=Will("w"), properties=props.session_expiry(9)))
    wait_until(lambda: (world.turn(), peer.connection.session)[1], "the client")
    peer.read()
    write(tmp_path, users(u="new"))
    reload(world, path, True)
    wait_until(lambda: (world.turn(), peer.closed)[1], "the end of the connection")
    assert world.log.texts("N")[-1] == f"Client a [192.0.2.1:{peer.port}] disconnected."
    assert "a" in world.sessions()
    assert watcher.send(v5.subscribe(2, "x")) == v5.suback(2, 0)


def test_user_that_is_gone_goes_and_the_others_stay(make_world: Make, tmp_path: Path) -> None:
    path = write(tmp_path, users(a="pw", u="pw", b="pw", v="pw"))
    world = make_world(password_file=path, allow_anonymous=True)
    gone, stays = (world.client(name, username=name, password="pw") for name in ("u", "v"))
    anonymous = world.client("w")
    write(tmp_path, "".join(line for line in users(a="pw", u="pw", b="pw", v="pw").splitlines(True) if line[0] != "u"))
    reload(world, path, True)
    wait_until(lambda: (world.reactor.turn(0.01), gone.closed)[1], "the end of the connection")
    assert stays.send(b"\xc0\x00") == b"\xd0\x00"
    assert anonymous.send(b"\xc0\x00") == b"\xd0\x00"


def test_same_password_hashed_anew_is_the_same_password(make_world: Make, tmp_path: Path) -> None:
    path = write(tmp_path, f"u:{pbkdf2(b'pw', 10)}\n")
    world = make_world(password_file=path)
    assert is_in(answer(world, username="u", password="pw"))
    write(tmp_path, f"u:{pbkdf2(b'pw', 11)}\n")
    reload(world, path)
    session = world.broker.sessions.by_id["c1"]
    wait_until(lambda: (world.reactor.turn(0.01), b"$7$11$" in session.proof)[1], "the judgement")  # type: ignore[operator]
    assert session.connection is not None


def test_unchanged_users_cost_nothing(make_world: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, f"u:{pbkdf2(b'pw')}\n")
    world = make_world(password_file=path)
    assert is_in(answer(world, username="u", password="pw"))
    monkeypatch.setattr("mosq.auth.worker.Worker.submit", None)
    reload(world, path)
    assert world.sessions() == {"c1"}


def test_new_password_file_judges_who_is_there(make_world: Make, tmp_path: Path) -> None:
    world = make_world(allow_anonymous=True)
    right, wrong, anonymous = (
        world.client("a", username="v", password="pw"),
        world.client("b", username="v", password="no"),
        world.client("c"),
    )
    reload(world, write(tmp_path, users(u="x", v="pw")), True)
    assert wrong.closed
    for peer in (right, anonymous):
        assert peer.send(b"\xc0\x00") == b"\xd0\x00"


def test_password_file_that_is_gone_leaves_the_anonymous_rule(make_world: Make, tmp_path: Path) -> None:
    world = make_world(password_file=write(tmp_path, users(u="x", v="pw")))
    peer = world.client("a", username="v", password="pw")
    reload(world, None, True)
    assert peer.send(b"\xc0\x00") == b"\xd0\x00"
    reload(world, None, None)
    assert peer.closed


def test_broken_file_changes_nothing(make_world: Make, tmp_path: Path) -> None:
    """The broker ends then; until it has, the old users count, and no others."""
    path = write(tmp_path, users(u="x", v="pw"))
    world = make_world(password_file=path)
    peer = world.client("a", username="v", password="pw")
    write(tmp_path, users(u="x", v="no", w="pw") + "broken:\n")
    with pytest.raises(FileError):
        reload(world, path, True)
    assert peer.send(b"\xc0\x00") == b"\xd0\x00"
    assert is_in(answer(world, username="v", password="pw"))
    assert answer(world) == REFUSED[4]


def test_offline_session_that_is_not_allowed_loses_its_pending_will_and_keeps_its_time(
    make_world: Make, tmp_path: Path
) -> None:
    """1.6.10: its end was put off by the reload."""
    path = write(tmp_path, users(u="x", v="pw"))
    world = make_world(password_file=path, allow_anonymous=True)
    watcher = world.watcher("#")
    will = Will("w", properties=props.will_delay(5))
    world.client("a", v5, username="v", password="pw", will=will, properties=props.session_expiry(8)).drop()
    world.advance(3)
    write(tmp_path, f"x:{sha512(b'x')}\n")
    reload(world, path, True)
    assert "a" in world.sessions()
    world.advance(4)
    assert "a" in world.sessions()
    world.advance(2)
    assert "a" not in world.sessions()
    assert watcher.read() == b""


def test_judgement_of_a_connection_that_is_gone_meanwhile_means_nothing(make_world: Make) -> None:
    world = make_world(allow_anonymous=True)
    checker = Answers(ALLOW)
    world.broker.auth.checkers[:] = [checker]
    world.client("a", username="u", password="p", clean=False).drop()
    checker.verdict = ASIDE
    reload(world, None, True)
    checker.verdict = ALLOW
    peer = world.client("a", username="u", password="p", clean=False, present=True)
    resolve = checker.asked[1].resolve
    assert resolve is not None
    resolve(deny())
    world.turn()
    assert peer.send(b"\xc0\x00") == b"\xd0\x00"


def test_answer_that_would_come_later_is_a_no_after_a_reload(make_world: Make) -> None:
    world = make_world(allow_anonymous=True)
    checker = Answers(allow("proof"))
    world.broker.auth.checkers[:] = [checker]
    peer = world.client("a", username="u", password="p")
    checker.verdict = LATER
    reload(world, None, True)
    assert checker.asked[1].proof == "proof"
    assert peer.closed


@pytest.mark.parametrize("username", [None, "u"])
def test_client_let_in_by_a_method_is_not_asked_for_a_password(make_world: Make, username: str | None) -> None:
    class Method:
        def start(self, exchange: Exchange, data: bytes | None) -> Step:
            return Step(SUCCESS)

        proceed = start

    world = make_world(allow_anonymous=True)
    world.broker.methods["m"] = Method()
    peer = world.client("a", v5, username=username, properties=props.auth_method("m"))
    assert world.broker.sessions.by_id["a"].proof is methods.PROVEN
    reload(world, None, False)
    assert peer.send(b"\xc0\x00") == b"\xd0\x00"
