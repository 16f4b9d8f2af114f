"""What is measured: one row for each promise about speed and size.

A row's figure is compared as "times better than the original", whether it is a rate (more is better) or a cost (less is
better), so that one kind of number serves the table and the plot. Floors are said in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

MORE = 1
LESS = -1


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario of the load generator and the field of its result that counts."""

    name: str
    scenario: str
    """Command line of the load generator; empty: the broker is only started."""
    field: str = "delivered_per_s"
    direction: int = MORE
    floor: float | None = None
    """Times better than the original that mosq is to be at least."""
    limit: float | None = None
    """Most that mosq's own figure may be, where the promise is not a comparison."""
    limit_text: str = ""
    beside: str = ""
    """Name of the row that this one is compared with instead of the original."""
    about: str = ""


PAIRS = "pairs --pubs 50 --window 64"

ROWS = (
    Row("one publisher, one subscriber", "pairs --pubs 1 --window 256", floor=6),
    Row("50 pairs", PAIRS, floor=5),
    Row("50 pairs, v5", f"{PAIRS} --v5", floor=5),
    Row("50 pairs, 1 KiB", "pairs --pubs 50 --window 32 --size 1024", floor=3),
    Row("fan-out to 50", "fanout --subs 50 --window 64", floor=10),
    Row("fan-out to 1000", "fanout --subs 1000 --window 8", floor=4),
    Row("fan-in from 50", "fanin --pubs 50 --window 32", floor=4),
    Row("50 pairs, QoS 1", "pairs --pubs 50 --window 16 --qos 1", floor=2.5),
    Row("50 pairs, QoS 2", "pairs --pubs 50 --window 16 --qos 2", floor=4),
    Row("fan-out to 50, QoS 1", "fanout --subs 50 --window 16 --qos 1", floor=4),
    Row(
        "100,000 more subscriptions",
        f"{PAIRS} --noise 100000",
        floor=0.85,
        beside="50 pairs",
        about="mosq with them, against mosq without",
    ),
    Row("CPU per message at 10,000/s", "pairs --pubs 50 --rate 10000", "broker_us_per_delivery", LESS, floor=1 / 1.2),
    Row("p99 latency at 1,000/s", "pairs --pubs 10 --rate 1000", "p99_us", LESS, floor=1),
    Row(
        "connections per second, bursts of 200",
        "connect --conns 5000",
        "connects_per_s",
        floor=0.4,
        about="the bursts are larger than Mosquitto's listen queue",
    ),
    Row("connections per second, bursts of 50", "connect --conns 5000 --burst 50", "connects_per_s"),
    Row(
        "memory per idle connection",
        "idle --conns 9000",
        "bytes_per_conn",
        LESS,
        limit=2048,
        limit_text="at most 2 KiB",
    ),
    Row("memory at start", "", "broker_rss_kb", LESS, limit=16 * 1024, limit_text="at most 16 MiB"),
    Row("retained messages stored", "retained --topics 50000", "stored_per_s", floor=1.5),
    Row("retained messages read", "retained --topics 50000", "read_per_s", floor=1.5),
)
