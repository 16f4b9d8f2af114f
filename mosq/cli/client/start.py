"""From what the user has said (`Settings`) to what the client engine takes (`mosq.client.Settings`).

What is found wrong here ends the program before it has connected to anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from mosq import client
from mosq.cli.client import dial
from mosq.cli.client.settings import DEFAULT_MAX_INFLIGHT, Ending, Settings
from mosq.client.errors import ClientError
from mosq.client.outgoing import check_properties
from mosq.core import lib
from mosq.packets import properties as prop

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.core import Property

_LONGEST = 0xFFFF
_INVALID_ID = {"P": "Error: Invalid id.", "S": "Error: Invalid id and/or clean_session."}
_PLACES = {"subscribe": lib.MQ_IN_SUBSCRIBE, "unsubscribe": lib.MQ_IN_UNSUBSCRIBE, "disconnect": lib.MQ_IN_DISCONNECT}


def engine_settings(settings: Settings, *, end: float | None = None) -> client.Settings:
    """Raises Ending. `end`: seconds to wait for the server to close; None: as long as the keepalive."""
    client_id = _client_id(settings)
    will = _will(settings)
    _check_credentials(settings)
    dialled = dial.of(settings)
    _check_sent_later(settings)
    return client.Settings(
        dial=dialled,
        version=settings.version,
        client_id=client_id,
        clean_start=settings.clean,
        keepalive=settings.keepalive,
        username=settings.username,
        password=settings.password,
        will=will,
        properties=_connect_properties(settings),
        window=settings.max_inflight,
        clean_end=end,
        debug=settings.debug,
    )


def _client_id(settings: Settings) -> bytes:
    given = settings.id
    if given == b"" or (given is None and not settings.clean) or (given and len(given) > _LONGEST):
        raise _wrong(_INVALID_ID.get(settings.tool.letter, _INVALID_ID["S"]))
    if given and not _is_utf8(given):
        raise Ending()
    return given or b""


def _will(settings: Settings) -> client.Will | None:
    """A server refuses a will with a Reason String, which is for it to say."""
    topic, payload = settings.will_topic, settings.will_payload or b""
    if topic is None:
        return None
    stated = settings.properties_of("will")
    wrong = len(payload) > _LONGEST
    try:
        checked = [item for item in stated if item[0] != prop.REASON_STRING]
        check_properties(settings.version if stated else 5, lib.MQ_IN_WILL, checked)
    except ClientError:
        wrong = True
    if wrong or (stated and settings.version < 5):
        raise _wrong("Error: Problem setting will.")
    return client.Will(topic, payload, settings.will_qos, settings.will_retain, prop.encode(stated))


def _check_credentials(settings: Settings) -> None:
    username, password = settings.username, settings.password
    wrong = password is not None and (len(password) > _LONGEST or (username is None and settings.version < 5))
    if username is not None:
        wrong = wrong or len(username) > _LONGEST or not _is_utf8(username)
    if wrong:
        raise _wrong("Error: Problem setting username and/or password.")


def _check_sent_later(settings: Settings) -> None:
    """Properties of the packets that this program sends once it is connected."""
    packets = {"P": ("disconnect",), "R": ("subscribe", "disconnect")}
    for packet in packets.get(settings.tool.letter, tuple(_PLACES)):
        try:
            check_properties(settings.version, _PLACES[packet], settings.properties_of(packet))
        except ClientError as error:
            raise _wrong(f"Error in {packet.upper()} properties: {error}.") from None


def _connect_properties(settings: Settings) -> Sequence[Property]:
    """Those of -D in their order, and behind them what follows from other options."""
    stated = list(settings.properties_of("connect"))
    if settings.version < 5:
        return stated
    if settings.session_expiry:
        stated.append((prop.SESSION_EXPIRY, settings.session_expiry))
    if all(identifier != prop.RECEIVE_MAXIMUM for identifier, _ in stated):
        stated.append((prop.RECEIVE_MAXIMUM, _receive_maximum(settings)))
    return stated


def _receive_maximum(settings: Settings) -> int:
    """No more messages than will be printed."""
    if settings.tool.letter == "R":
        return 1
    return min(settings.count or DEFAULT_MAX_INFLIGHT, DEFAULT_MAX_INFLIGHT)


def _is_utf8(text: bytes) -> bool:
    return bool(lib.mq_utf8_valid(text, len(text)))


def _wrong(text: str) -> Ending:
    return Ending(err=f"{text}\n".encode())
