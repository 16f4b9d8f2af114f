"""What the server did wrong: for each status of the core, and each error of a packet module, the error that the client
ends with and the reason code of the DISCONNECT that tells the server (MQTT 5.0, section 4.13)."""

from __future__ import annotations

from mosq.client.errors import (
    DUPLICATE_PROPERTY,
    ERRNO,
    LOST,
    MALFORMED,
    MALFORMED_UTF8,
    NO_MEMORY,
    PACKET_TOO_LARGE,
    PROTOCOL,
    ClientError,
)
from mosq.core import lib
from mosq.packets.properties import PropertyError

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.packets.error import ProtocolError

Verdict = tuple[int, "int | None"]
"""Error, and reason code of the DISCONNECT (None: closed without a word)."""

_MALFORMED: Verdict = (MALFORMED, 0x81)
_PROTOCOL: Verdict = (PROTOCOL, 0x82)

VERDICTS: dict[int, Verdict] = {
    lib.MQ_EOF: (LOST, None),
    lib.MQ_NOMEM: (NO_MEMORY, 0x80),
    lib.MQ_RESERVED: _PROTOCOL,
    lib.MQ_LENGTH: _MALFORMED,
    lib.MQ_OVERSIZE: (PACKET_TOO_LARGE, 0x95),
    lib.MQ_MALFORMED: _MALFORMED,
    lib.MQ_PROTOCOL: _PROTOCOL,
    lib.MQ_DUPLICATE_PROPERTY: (DUPLICATE_PROPERTY, 0x82),
    lib.MQ_UNKNOWN_PROPERTY: _MALFORMED,
    lib.MQ_BAD_UTF8: (MALFORMED_UTF8, 0x81),
    lib.MQ_NOT_ACTIVE: _PROTOCOL,
    lib.MQ_NOT_FROM_CLIENT: _PROTOCOL,
    lib.MQ_MID_ZERO: _PROTOCOL,
    lib.MQ_REASON_CODE: _PROTOCOL,
    lib.MQ_ACK_PROPERTIES: _PROTOCOL,
    lib.MQ_PUBLISH_DUP_QOS0: _MALFORMED,
    lib.MQ_PUBLISH_QOS3: _MALFORMED,
    lib.MQ_PUBLISH_QOS_MAX: (PROTOCOL, 0x9B),
    lib.MQ_PUBLISH_RETAIN: (PROTOCOL, 0x9A),
    lib.MQ_PUBLISH_ALIAS_MAX: (PROTOCOL, 0x94),
    lib.MQ_PUBLISH_ALIAS: _PROTOCOL,
    lib.MQ_PUBLISH_DUP_TWICE: _PROTOCOL,
    lib.MQ_PUBLISH_RECEIVE_MAX: (PROTOCOL, 0x93),
    lib.MQ_PUBREL_FLAGS: _PROTOCOL,
    lib.MQ_ACK_QOS: _PROTOCOL,
    lib.MQ_ACK_STATE: _PROTOCOL,
}


def of_status(status: int, numbers: tuple[int, int, int]) -> tuple[ClientError, int | None]:
    """The verdict on a status of the core; `numbers` as mosq.core.errno_of."""
    if status == lib.MQ_ERRNO:
        return ClientError(ERRNO, errno=numbers[0]), None
    code, reason = VERDICTS.get(status, _PROTOCOL)
    return ClientError(code), reason


def of_exception(error: ProtocolError) -> tuple[ClientError, int | None]:
    """The verdict on a packet that could not be read."""
    if isinstance(error, PropertyError):
        code, reason = VERDICTS[error.status]
    else:
        code, reason = _MALFORMED if error.code == 0x81 else _PROTOCOL
    return ClientError(code), reason
