"""$CONTROL: dispatch, acknowledgements, and the broker's own endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from mosq.session import Session
from tests.control.world import World
from tests.harness.packets import LEVELS, Level, field, v5, v311

Make = Callable[..., World]
V1 = "$CONTROL/broker/v1"


def ask(world: World, request: object) -> list[dict[str, object]]:
    """The responses to a request, a JSON value or text."""
    watcher = world.client("watcher")
    watcher.send(v311.subscribe(1, f"{V1}/response"))
    payload = request if isinstance(request, str) else json.dumps(request)
    assert world.client("a", username="u").send(v311.publish(V1, payload.encode())) == b""
    answer = watcher.read()
    start = answer.index(b"{")
    found = json.loads(answer[start:])
    assert answer[start:].decode() == json.dumps(found, separators=(",", ":"))
    responses: list[dict[str, object]] = found["responses"]
    return responses


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_topic_without_endpoint(world: World, level: Level, qos: int) -> None:
    client, watcher = world.client("a", level), world.watcher("$CONTROL/#")
    answer = client.send(level.publish("$CONTROL/none", b"x", qos=qos, mid=7, retain=True))
    ack = (b"", level.puback(7), level.pubrec(7))[qos]
    assert answer == ack + level.publish("$CONTROL/none/response", b'{"error": "endpoint not available"}')
    assert watcher.read() == b""
    assert world.client("b").send(v311.subscribe(1, "$CONTROL/#")) == v311.suback(1, 0)


def test_control_alone_is_an_ordinary_topic(world: World) -> None:
    watcher = world.watcher("$CONTROL")
    world.client("a").send(v311.publish("$CONTROL", b"x"))
    assert watcher.read() == v5.publish("$CONTROL", b"x")


@pytest.mark.parametrize("code", [0, 0x83])
def test_endpoint_decides_the_code_and_the_client_stays(world: World, code: int) -> None:
    class Endpoint:
        def handle(self, session: Session, topic: str, payload: bytes) -> int:
            assert (session.client_id, topic, payload) == ("a", "$CONTROL/mine/v1", b"x")
            return code

    world.broker.control.register("$CONTROL/mine/v1", Endpoint())
    client = world.client("a", v5)
    assert client.send(v5.publish("$CONTROL/mine/v1", b"x", qos=1, mid=1)) == v5.puback(1, code)
    assert client.send(v5.publish("$CONTROL/mine/v1", b"x", qos=2, mid=2)) == v5.pubrec(2, code)
    assert not client.closed


def test_topic_is_registered_once(world: World) -> None:
    world.broker.control.register("$CONTROL/mine/v1", None)  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        world.broker.control.register("$CONTROL/mine/v1", None)  # type: ignore[arg-type]


def test_broker_api_is_off_by_default(world: World) -> None:
    answer = world.client("a").send(v311.publish(V1, b"{}"))
    assert answer == v311.publish(f"{V1}/response", b'{"error": "endpoint not available"}')


def test_list_listeners(make_world: Make) -> None:
    world = make_world({"port": 1884, "host": "127.0.0.1"}, enable_control_api=True)
    listener = {"port": 1884, "protocol": "mqtt", "bind-address": "127.0.0.1", "tls": False}
    assert ask(world, {"commands": [{"command": "listListeners"}]}) == [
        {"command": "listListeners", "data": {"listeners": [listener]}}
    ]
    assert "Broker: a/u | listListeners" in world.log.texts("I")


def test_list_plugins(make_world: Make) -> None:
    world = make_world(enable_control_api=True)
    request = {"COMMANDS": [{"Command": "LISTPLUGINS", "correlationData": "me"}]}
    assert ask(world, request) == [{"command": "listPlugins", "data": {"plugins": []}, "correlationData": "me"}]


@pytest.mark.parametrize(
    "request_, responses",
    [
        ("", [{"command": "Unknown command", "error": "Payload not valid JSON"}]),
        ("{", [{"command": "Unknown command", "error": "Payload not valid JSON"}]),
        ("[" * 10_000, [{"command": "Unknown command", "error": "Payload not valid JSON"}]),
        ("null", [{"command": "Unknown command", "error": "Invalid/missing commands"}]),
        ({"commands": 1}, [{"command": "Unknown command", "error": "Invalid/missing commands"}]),
        ({"commands": []}, []),
        ('{"commands":[]} and more', []),
        ({"commands": [1, {"command": "x"}]}, [{"command": "Unknown command", "error": "Command not an object"}]),
        ({"commands": [{}]}, [{"command": "Unknown command", "error": "Missing command"}]),
        (
            {"commands": [{"command": "x", "correlationData": 1}, {"command": "y"}]},
            [{"command": "x", "error": "Invalid correlationData data type."}],
        ),
        (
            {"commands": [{"command": "x", "correlationData": "c"}, {"command": "y"}]},
            [
                {"command": "x", "error": "Unknown command", "correlationData": "c"},
                {"command": "y", "error": "Unknown command"},
            ],
        ),
    ],
)
def test_errors(make_world: Make, request_: object, responses: object) -> None:
    assert ask(make_world(enable_control_api=True), request_) == responses


def test_reload_may_switch_the_api_on(world: World) -> None:
    world.broker.reload(world.config.copy(enable_control_api=True))
    assert ask(world, {"commands": []}) == []


def test_with_a_mount_point_control_is_an_ordinary_topic(make_world: Make) -> None:
    world = make_world({"mount_point": "m/"})
    client = world.client("a")
    client.send(v311.subscribe(1, "$CONTROL/x"))
    assert client.send(v311.publish("$CONTROL/x", b"x")) == v311.publish("$CONTROL/x", b"x")
    assert field("m/$CONTROL/x") not in client.read()
