"""Where mosq is meant to answer differently from Mosquitto 2.0.11, and why.

A rule excuses the first line in which two transcripts differ; what follows it is another story and is not compared.
`script`, `mosq` and `original` are regular expressions for the whole of the script's name and of the two lines (without
the step and the connection; "nothing" where a transcript has ended).
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One rule; `reason` goes to the users' compatibility notes."""

    script: str
    mosq: str
    original: str
    reason: str

    def covers(self, script: str, mosq: str, original: str) -> bool:
        pairs = ((self.script, script), (self.mosq, mosq), (self.original, original))
        return all(re.fullmatch(pattern, text) for pattern, text in pairs)


ERROR = "e0 01 8[12]"
CLOSED = "closed"
ANYTHING = ".*"
ACKNOWLEDGED = "(40|50|62|70|90|b0) .*"

DIFFERENCES = [
    Difference(
        ANYTHING,
        ERROR,
        CLOSED,
        "2.0.11 closes without a word on most errors of a v5 client; later releases and mosq send the DISCONNECT that "
        "MQTT 5.0 4.13 recommends.",
    ),
    Difference(
        "connect_.*|property_.*_(connect|will)|topic_will_.*",
        "20 03 00 8[0-9a-f] 00",
        CLOSED,
        "2.0.11 refuses most malformed v5 CONNECT packets without a CONNACK; later releases and mosq say why.",
    ),
    Difference(
        "first_byte_.*",
        f"{CLOSED}|{ERROR}",
        f"nothing|{ACKNOWLEDGED}",
        "2.0.11 does not look at the reserved flags of acknowledgements, SUBSCRIBE and UNSUBSCRIBE, nor at DUP of QoS "
        "0, and ignores PINGRESP; [MQTT-2.1.3-1] asks for the close.",
    ),
    Difference(
        "reason_.*|property_.*",
        "e0 01 8[12]",
        f"nothing|{ACKNOWLEDGED}",
        "2.0.11 does not check the reason codes of acknowledgements, nor the values of some properties; later releases "
        "and mosq do.",
    ),
    Difference(
        ANYTHING,
        "e0 01 8[12]",
        "e0 01 8[12]",
        "2.0.11 says 0x81 for some protocol errors and 0x82 for some malformed packets; mosq follows later releases.",
    ),
    Difference(
        "topic_(un)?subscribe_.*|v5_shared_options_.*",
        f"{ERROR}|{CLOSED}",
        ACKNOWLEDGED,
        "2.0.11 accepts incomplete shared subscription filters, an empty group and no-local for shared subscriptions; "
        "[MQTT-4.8.2-1 4.8.2-2 3.8.3-4] forbid them.",
    ),
    Difference(
        "connect_version_.*",
        "20 03 00 84 00",
        "20 02 00 01",
        "An unknown protocol version is refused in the form of v5, as later releases do; 2.0.11 uses that of v3.",
    ),
    Difference(
        "property_.*_(connect|will)",
        "20 03 00 82 00",
        "20 0e 00 00 .*",
        "2.0.11 accepts an invalid will property, or authentication data without a method; MQTT 5.0 3.1.2.11.10 and "
        "3.1.3.2 make that a protocol error.",
    ),
    Difference(
        "flow_will_after_error_.*",
        f"{CLOSED}|{ERROR}",
        "nothing",
        "2.0.11 ignores a PINGRESP; only a server may send it.",
    ),
    Difference(
        "flow_take_over_v5|flow_resume_v5",
        "e0 01 8e",
        CLOSED,
        "A v5 client whose session is taken over is told so (0x8E), as later releases do; 2.0.11 does not always.",
    ),
    Difference(
        "flow_window_.*",
        "nothing",
        "32 .*",
        "2.0.11 sends more than the window allows when several messages are queued; mosq sends one per freed slot.",
    ),
    Difference(
        "v5_property_order|v5_subscription_ids",
        "30 .*",
        "30 .*",
        "The subscription identifier comes last among the properties, as in later releases; in 2.0.11 it comes first. "
        "The order carries no meaning.",
    ),
]


def reason_for(script: str, mosq: str, original: str) -> str | None:
    """Why these lines differ; None where they should not."""
    return next((d.reason for d in DIFFERENCES if d.covers(script, mosq, original)), None)
