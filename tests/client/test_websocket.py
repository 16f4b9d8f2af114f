"""WebSocket from the client's end: the request, the answers that it takes, and what frames do to a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosq.client.errors import INVALID, LOST, NOT_SUPPORTED, UNKNOWN, ClientError
from mosq.client.transport.route import Route
from mosq.client.transport.websocket import Opening
from tests.client.steps import failure
from tests.harness.websocket import ANSWER, WebSocketServer, accept_of

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
GOOD = ANSWER.replace(b"{accept}", accept_of(KEY))


def test_request() -> None:
    assert Opening("broker.example", KEY).request == (
        b"GET /mqtt HTTP/1.1\r\n"
        b"Host: broker.example\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Protocol: mqtt\r\n"
        b"Sec-WebSocket-Version: 13\r\n"
        b"\r\n"
    )


def test_address_in_the_request() -> None:
    assert b"\r\nHost: [::1]\r\n" in Opening("::1").request


def test_keys_are_random() -> None:
    assert Opening("h").request != Opening("h").request


@pytest.mark.parametrize("host", ["a\r\nb", "a\0", "a b\n"])
def test_host_that_cannot_stand_in_a_request(host: str) -> None:
    with pytest.raises(ClientError) as caught:
        Opening(host)
    assert caught.value.code == INVALID


@pytest.mark.parametrize(
    "answer",
    [
        GOOD,
        GOOD.replace(b"Upgrade: websocket", b"UPGRADE:WebSocket"),
        GOOD.replace(b"Connection: Upgrade", b"Connection: keep-alive, upgrade"),
        GOOD.replace(b"Connection: Upgrade", b"Connection: keep-alive\r\nConnection: upgrade"),
        GOOD.replace(b"Switching Protocols", b""),
        GOOD.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Version: 13\r\nServer: x\r\n\r\n"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD,
    ],
)
@pytest.mark.parametrize("step", [1, 50, 5000])
def test_answer(answer: bytes, step: int) -> None:
    opening, rest = Opening("h", KEY), None
    answer += b"\x82\0"
    for at in range(0, len(answer), step):
        assert not rest
        rest = opening.receive(answer[at : at + step])
        if rest is not None:
            rest += answer[at + step :]
            break
    assert rest == b"\x82\0"


REFUSED = {
    "another status": (UNKNOWN, b"HTTP/1.1 200 OK\r\n\r\n"),
    "not found": (UNKNOWN, b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"),
    "no HTTP": (UNKNOWN, b"\x20\2\0\0 whatever\r\n\r\n"),
    "no upgrade": (UNKNOWN, GOOD.replace(b"Upgrade: websocket\r\n", b"")),
    "another upgrade": (UNKNOWN, GOOD.replace(b"Upgrade: websocket", b"Upgrade: h2c")),
    "no connection": (UNKNOWN, GOOD.replace(b"Connection: Upgrade\r\n", b"")),
    "another connection": (UNKNOWN, GOOD.replace(b"Connection: Upgrade", b"Connection: close")),
    "no accept": (UNKNOWN, GOOD.replace(b"Sec-WebSocket-Accept", b"X-Accept")),
    "wrong accept": (UNKNOWN, ANSWER.replace(b"{accept}", accept_of(b"another"))),
    "no subprotocol": (UNKNOWN, GOOD.replace(b"Sec-WebSocket-Protocol: mqtt\r\n", b"")),
    "another subprotocol": (UNKNOWN, GOOD.replace(b"Protocol: mqtt", b"Protocol: mqttv3.1")),
    "an extension": (UNKNOWN, GOOD.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")),
    "another version": (NOT_SUPPORTED, GOOD.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Version: 8\r\n\r\n")),
    "endless": (UNKNOWN, GOOD[:-2] + b"X: " + b"x" * 5000),
    "endless in small steps": (UNKNOWN, b"HTTP/1.1 100 Continue\r\n\r\n" * 200),
}


@pytest.mark.parametrize("what", REFUSED)
def test_answer_that_is_refused(what: str) -> None:
    code, answer = REFUSED[what]
    opening = Opening("h", KEY)
    with pytest.raises(ClientError) as caught:
        for at in range(0, len(answer), 100):
            assert opening.receive(answer[at : at + 100]) is None
    assert caught.value.code == code


def test_answer_that_is_too_long_is_refused_in_one_piece_too() -> None:
    with pytest.raises(ClientError) as caught:
        Opening("h", KEY).receive(GOOD.replace(b"\r\n\r\n", b"\r\nX-Long: " + b"x" * 4096 + b"\r\n\r\n"))
    assert caught.value.code == UNKNOWN


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=400), st.binary(max_size=200).map(lambda more: GOOD[:-2] + more)))
def test_any_answer_is_taken_or_refused(answer: bytes) -> None:
    opening = Opening("h", KEY)
    try:
        opening.receive(answer)
        opening.receive(b"")
    except ClientError as error:
        assert error.code in (UNKNOWN, LOST, NOT_SUPPORTED)


# With a server

Serve = Callable[..., WebSocketServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    made: list[WebSocketServer] = []

    def make(*arguments: object, **options: object) -> WebSocketServer:
        made.append(WebSocketServer(*arguments, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (None, LOST),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", UNKNOWN),
        (ANSWER.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Version: 14\r\n\r\n"), NOT_SUPPORTED),
    ],
)
def test_server_that_does_not_agree(serve: Serve, answer: bytes | None, code: int) -> None:
    server = serve(answer=answer)
    error = failure(Route("127.0.0.1", server.port, websocket=True).dial()())
    assert error.code == code
