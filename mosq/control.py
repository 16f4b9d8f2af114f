"""$CONTROL: requests to the broker, sent as messages.

A PUBLISH to `$CONTROL/...` goes to the endpoint registered for exactly that topic, and nowhere else. The
acknowledgement is sent here, before any response: with the endpoint's reason code, and the client stays connected
whatever it is. Where there is no endpoint, the client alone is told so.

The one endpoint of the broker's own is `$CONTROL/broker/v1` (enable_control_api): lists of what is there, as JSON.
"""

from __future__ import annotations

from collections.abc import Callable

from mosq.core import Core, ffi, lib

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from typing import Any, Protocol

    from mosq.connection import Connection
    from mosq.log import Log
    from mosq.session import Session

    Command = Callable[[], dict[str, Any]]

    class Endpoint(Protocol):
        """Who answers a topic below $CONTROL/."""

        def handle(self, session: Session, topic: str, payload: bytes) -> int:
            """Do what is asked; the result is the reason code of the acknowledgement. MQTT 5.0, tables 3-4 and 3-5."""
            ...


BROKER = "$CONTROL/broker/v1"
_PUBACK, _PUBREC = 0x40, 0x50
_NO_ENDPOINT = b'{"error": "endpoint not available"}'


class Control:
    """The endpoints by topic, and the way from a PUBLISH to one."""

    __slots__ = ("endpoints",)

    def __init__(self) -> None:
        self.endpoints: dict[str, Endpoint] = {}

    def register(self, topic: str, endpoint: Endpoint) -> None:
        """Raises KeyError when the topic is taken."""
        if topic in self.endpoints:
            raise KeyError(topic)
        self.endpoints[topic] = endpoint

    def unregister(self, topic: str) -> None:
        self.endpoints.pop(topic, None)

    def dispatch(self, connection: Connection, qos: int, mid: int, topic: bytes, payload: bytes) -> None:
        """One request of an active connection."""
        assert connection.session is not None
        endpoint = self.endpoints.get(topic.decode())
        if endpoint is None:
            _acknowledge(connection, qos, mid, 0)
            response = topic + b"/response"
            lib.mq_publish_to(connection.c, response, len(response), _NO_ENDPOINT, len(_NO_ENDPOINT))
            return
        code = endpoint.handle(connection.session, topic.decode(), payload)
        _acknowledge(connection, qos, mid, code)


def _acknowledge(connection: Connection, qos: int, mid: int, code: int) -> None:
    if not qos:
        return
    first = _PUBACK if qos == 1 else _PUBREC
    name = "PUBACK" if qos == 1 else "PUBREC"
    connection.broker.log.debug("Sending %s to %s (m%d, rc%d)", name, connection.name, mid, code)
    if code and connection.version == 5:
        connection.send(bytes((first, 3, mid >> 8, mid & 0xFF, code)))
    else:
        connection.send(bytes((first, 2, mid >> 8, mid & 0xFF)))


class _RefusedError(Exception):
    """A command that cannot be carried out: (name to echo, text of the error). The commands after it are skipped."""


class BrokerApi:
    """`$CONTROL/broker/v1`. Responses go, with QoS 0, to everybody subscribed to `$CONTROL/broker/v1/response`.

    `commands` gives the data of each command by its name.
    """

    __slots__ = ("_core", "_log", "_commands")

    def __init__(self, core: Core, log: Log, commands: dict[str, Command]) -> None:
        self._core = core
        self._log = log
        self._commands = {name.lower(): (name, command) for name, command in commands.items()}

    def handle(self, session: Session, topic: str, payload: bytes) -> int:
        import json  # for those who use this API only

        try:
            responses = self._responses(session, _parse(payload))
        except (ValueError, RecursionError):
            responses = [{"command": "Unknown command", "error": "Payload not valid JSON"}]
        text = json.dumps({"responses": responses}, separators=(",", ":"), ensure_ascii=False).encode()
        name = (topic + "/response").encode()
        lib.mq_publish(self._core.c, ffi.NULL, name, len(name), text, len(text), 0, 0, ffi.NULL, 0, 0)
        return 0

    def _responses(self, session: Session, request: Any) -> list[dict[str, Any]]:
        commands = _member(request, "commands")
        if not isinstance(commands, list):
            return [{"command": "Unknown command", "error": "Invalid/missing commands"}]
        responses: list[dict[str, Any]] = []
        for item in commands:
            try:
                responses.append(self._run(session, item))
            except _RefusedError as refused:
                command, error = refused.args
                responses.append({"command": command, "error": error})
                break
        return responses

    def _run(self, session: Session, item: Any) -> dict[str, Any]:
        if not isinstance(item, dict):
            raise _RefusedError("Unknown command", "Command not an object")
        asked = _member(item, "command")
        if not isinstance(asked, str):
            raise _RefusedError("Unknown command", "Missing command")
        correlation = _member(item, "correlationData")
        if correlation is not None and not isinstance(correlation, str):
            raise _RefusedError(asked, "Invalid correlationData data type.")
        name, command = self._commands.get(asked.lower(), (asked, None))
        response: dict[str, Any] = {"command": name}
        if command is None:
            response["error"] = "Unknown command"
        else:
            self._log.info("Broker: %s/%s | %s", session.client_id, session.username or "(null)", name)
            response["data"] = command()
        if correlation is not None:
            response["correlationData"] = correlation
        return response


def _parse(payload: bytes) -> Any:
    """The JSON value at the start of `payload`; bytes after it are tolerated. Raises ValueError or RecursionError."""
    from json import JSONDecoder

    return JSONDecoder().raw_decode(payload.decode().lstrip())[0]


def _member(value: Any, name: str) -> Any:
    """A member of a JSON object; names are compared without case. None when it is not there, or `value` no object."""
    if not isinstance(value, dict):
        return None
    if name in value:
        return value[name]
    lower = name.lower()
    return next((member for key, member in value.items() if key.lower() == lower), None)
