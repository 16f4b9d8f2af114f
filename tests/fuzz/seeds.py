"""Write the seed corpora of the fuzz targets: `python -m tests.fuzz.seeds`, from the root of the project.

A seed is a small input that reaches something a random one would not find soon; its name says what. The formats are
those that the targets describe in their first lines.
"""

from __future__ import annotations

from pathlib import Path

from mosq.persistence import format as db
from tests.harness import packets as mqtt
from tests.harness import props
from tests.harness import websocket as ws
from tests.harness.packets import Subscription, field, v5, v311

CORPUS = Path(__file__).parent / "corpus"
SAMPLES = Path(__file__).parent.parent / "persistence/data"
VARINT, TEXT, TOPIC, MATCH, SHARE, PUBLISH_PROPERTIES, PROPERTIES = range(7)
PLACES = ("connect", "will", "publish", "ack", "subscribe", "unsubscribe", "disconnect", "auth")
WRONG = (b"\x36\5\0\1t\0\1", b"\x3d\3\0\1t", b"\x62\2\0\0", b"\x00\0", b"\x40\1\0", b"\x82\0")
REPEAT, HANG_UP, TICK, PUBLISH, MOUNT, CONFIGURE = range(2, 8)

FORWARDED = (
    props.payload_format(1)
    + props.content_type("t")
    + props.response_topic("r/s")
    + props.correlation_data(b"\xff\0")
    + b"\x26"
    + field("name")
    + field("value")
)
LISTS = {
    "connect": b"\x11\0\0\0\x0a\x15\0\1m\x16\0\1\xff\x17\0\x19\1\x21\0\5\x22\0\3\x27\0\0\4\0\x26\0\1a\0\1b",
    "will": FORWARDED + b"\x18\0\0\0\5" + props.message_expiry(9),
    "publish": props.message_expiry(9) + FORWARDED + b"\x23\0\1",
    "ack": b"\x1f\0\2no\x26\0\1a\0\1b",
    "subscribe": props.subscription_id(300) + b"\x26\0\1a\0\1b",
    "unsubscribe": b"\x26\0\1a\0\1b",
    "disconnect": b"\x11\0\0\0\x0a\x1c\0\1s\x1f\0\2no",
    "auth": b"\x15\0\1m\x16\0\1\xff\x1f\0\2no",
}


def wire() -> dict[str, bytes]:
    """Seeds of fuzz_wire: the number of a function and its input."""
    seeds = {
        "varint": bytes((VARINT,)) + b"\xff\xff\xff\x7f",
        "varint_long": bytes((VARINT,)) + b"\x80\x80\x00",
        "text": bytes((TEXT,)) + "plain text and é€😀 \ufeff".encode(),
        "topic": bytes((TOPIC,)) + "home/floor 1/kitchen/témpérature".encode(),
        "topic_deep": bytes((TOPIC,)) + b"/" * 200,
        "match": bytes((MATCH, 7)) + b"a/+/c/#" + b"a/b/c/d",
        "match_system": bytes((MATCH, 6)) + b"$SYS/#" + b"$SYS/broker",
        "share": bytes((SHARE,)) + b"$share/group/a/#",
        "publish_properties": bytes((PUBLISH_PROPERTIES,)) + LISTS["publish"],
    }
    for place, name in enumerate(PLACES):
        seeds["properties_" + name] = bytes((PROPERTIES, place)) + LISTS[name]
    return seeds


def feed(conn: int, data: bytes) -> bytes:
    return bytes((conn,)) + len(data).to_bytes(2, "big") + data


def step(what: int, conn: int = 0, *numbers: int) -> bytes:
    return bytes((what << 2 | conn, *numbers))


def configure(inflight: int = 20, queued: int = 200, flags: int = 0x09, memory: int = 0) -> bytes:
    """memory: 0 no limit, else pieces of 64 bytes above what is held at that time;
    flags: retain available, upgrade QoS, queue QoS 0, duplicates, trace, stop after each callback, deaf peers."""
    return step(CONFIGURE, 0, inflight, queued, 0, 0, 0, memory, flags)


def conns() -> dict[str, bytes]:
    """Seeds of fuzz_conn: steps."""
    kept = v311.connect("b", clean=False)
    limited = v5.connect("c", properties=b"\x21\0\2\x22\0\2\x27\0\0\0\x40")
    aliased = v5.publish("a/b", b"1", properties=b"\x23\0\1") + v5.publish("", b"2", properties=b"\x23\0\1")
    acks = b"".join(v311.puback(mid) for mid in (1, 2, 3))
    exact = b"".join(v311.pubrec(mid) + v311.pubcomp(mid) for mid in (1, 2))
    shared = v311.subscribe(1, "$share/g/a/#", "$share/g/+/b", qos=1)
    return {
        "qos0": feed(0, v311.connect("a") + v311.subscribe(1, "a/#", "+/b", qos=2) + v311.publish("a/b", b"x")),
        "qos1": feed(0, v311.connect("a") + v311.subscribe(1, "#", qos=1))
        + feed(1, v5.connect("b") + v5.publish("t", b"1", qos=1, mid=1) * 3)
        + feed(0, acks),
        "qos2": feed(0, v311.connect("a") + v311.subscribe(1, "#", qos=2))
        + feed(1, v5.connect("b") + b"".join(v5.publish("t", b"1", qos=2, mid=m) + v5.pubrel(m) for m in (1, 2)))
        + feed(0, exact),
        "qos2_twice": feed(0, v311.connect("a") + v311.publish("t", b"1", qos=2, mid=1) * 2 + v311.pubrel(1)),
        "offline": feed(0, kept + v311.subscribe(1, "#", qos=2))
        + feed(1, v311.connect("a") + v311.publish("q", b"0", qos=1, mid=1))
        + step(HANG_UP, 0)
        + feed(1, v311.publish("q", b"1", qos=2, mid=2) + v311.pubrel(2) + v311.publish("q", b"2", qos=1, mid=3))
        + feed(0, kept + acks),
        "take_over": feed(0, kept + v311.subscribe(1, "x", qos=1)) + feed(1, kept) + feed(2, v311.connect("b")),
        "retained": feed(0, v5.connect("a") + v5.publish("r/1", b"x", retain=True, properties=props.message_expiry(2)))
        + step(PUBLISH, 0, 0x3B, ord("r"), ord("/"), ord("2"), 2, 1, 2)
        + feed(1, v311.connect("b") + v311.subscribe(1, "r/#", "#", "+/+", qos=1))
        + step(TICK, 0, 9)
        + feed(0, v5.publish("r/1", b"", retain=True)),
        "aliases": feed(0, limited + v5.subscribe(1, "a/+")) + feed(1, v5.connect("b") + aliased * 2),
        "properties": feed(0, limited + v5.subscribe(1, Subscription("a", 2, True, True, 1), properties=b"\x0b\7"))
        + feed(1, v5.connect("b") + v5.publish("a", b"x", qos=1, mid=9, properties=FORWARDED)),
        "shared": feed(0, v311.connect("a") + shared)
        + feed(1, v311.connect("b") + shared)
        + feed(2, v311.connect("c") + v311.publish("a/b", b"1", qos=1, mid=1) * 4)
        + feed(0, v311.unsubscribe(2, "$share/g/a/#", "nothing")),
        "mounted": feed(0, b"")
        + step(MOUNT | 8, 0)
        + feed(0, v311.connect("a") + v311.publish("a", b"1"))
        + feed(1, v311.connect("b") + v311.subscribe(1, "m/#"))
        + feed(0, v311.publish("b", b"2")),
        "control": feed(0, v5.connect("a") + v5.publish("$CONTROL/x", b"{}", qos=2, mid=3)),
        "window": configure(1, 2)
        + feed(0, v311.connect("a") + v311.subscribe(1, "#", qos=2))
        + feed(1, v311.connect("b") + b"".join(v311.publish("t", b"1", qos=2, mid=m) for m in (1, 2, 3))),
        "deaf": configure(flags=0x7F)
        + feed(0, v311.connect("a") + v311.subscribe(1, "#", qos=2))
        + feed(0, b"".join(v311.publish("t", bytes(50), qos=1, mid=m) for m in range(1, 6)))
        + feed(0, b""),
        "socket": configure(flags=0x49)
        + feed(3, v311.connect("a") + v311.subscribe(1, "#", qos=2))
        + feed(0, v311.connect("b") + b"".join(v311.publish("t", bytes(1500), qos=q, mid=q) for q in (0, 1, 2)) * 2)
        + feed(3, v311.publish("t", bytes(300), qos=2, mid=5))
        + configure()
        + feed(3, v311.puback(1)),
        "socket_large": feed(3, v311.connect("a") + b"\x30\xf0\xa2\x04\0\1t") + step(REPEAT, 3, 0, 0xFF, 0xFF) * 2,
        "no_memory": feed(0, v311.connect("a") + v311.subscribe(1, "#", qos=2))
        + configure(memory=10)
        + feed(0, b"".join(v311.publish("t", bytes(100), qos=2, mid=m) for m in range(1, 9))),
        "no_memory_subscribe": feed(0, v311.connect("a"))
        + b"".join(configure(memory=m) + feed(0, v311.subscribe(m, f"a/{m}/c", f"$share/g/{m}")) for m in range(1, 12)),
        "pieces": b"".join(feed(0, bytes((b,))) for b in v311.connect("a") + v311.publish("t", b"xyz")),
        "pings": feed(0, v311.connect("a", keepalive=1) + mqtt.PINGREQ_BYTES * 3) + step(TICK, 0, 200),
        "errors": b"".join(feed(i % 4, v5.connect("abcd"[i % 4]) + bad) for i, bad in enumerate(WRONG)),
    }


def websockets() -> dict[str, bytes]:
    """Seeds of fuzz_websocket: what is read, by which end, in which pieces."""
    streams = {
        "packet": (ws.BINARY, mqtt.PINGREQ_BYTES),
        "text": (ws.TEXT, b"text"),
        "ping": (ws.PING, b"ping"),
        "close": (ws.CLOSE, b"\x03\xe8bye"),
        "medium": (ws.BINARY, bytes(200)),
    }
    seeds = {}
    for name, (opcode, payload) in streams.items():
        for client in (0, 1):
            seeds[f"{name}_{client}"] = bytes((client, 2)) + ws.frame(opcode, payload, masked=not client)
    parts = (
        ws.frame(ws.BINARY, b"a", fin=False)
        + ws.frame(ws.PING)
        + ws.frame(ws.CONTINUATION, b"b", fin=False)
        + ws.frame(ws.CONTINUATION)
    )
    seeds["fragments"] = b"\1\0" + parts
    seeds["large"] = b"\1\0\x82\x7f" + (1 << 40).to_bytes(8, "big") + bytes(50)
    for client in (0, 1):
        seeds[f"there_and_back_{client}"] = bytes((2 | client, 9, 3)) + b"abc\0\x7d" + bytes(125) + b"\xff" + bytes(255)
    return seeds


def heard(data: bytes) -> bytes:
    return b"\0" + len(data).to_bytes(2, "big") + data


def said(flags: int, data: bytes) -> bytes:
    """flags: QoS, 4 lines, 8 RETAIN, 0x10 short topic and last line, 0x20 properties, 0x40 alias."""
    return bytes((3, flags)) + len(data).to_bytes(2, "big") + data


def clients() -> dict[str, bytes]:
    """Seeds of fuzz_client: steps, among them a new connection (4, flags) and how to take messages (5, memory,
    flags)."""
    up, up5 = heard(v311.connack()), b"\4\x32" + heard(v5.connack())
    each = b"".join(v311.publish("t/1", b"x", qos=qos, mid=qos + 3) for qos in (0, 1, 2)) + v311.pubrel(5)
    ids = props.subscription_id(5) + props.subscription_id(300)
    return {
        "received": up + heard(each * 3 + v311.suback(1, 0) + each),
        "received_5": up5 + heard(v5.publish("a", b"x", qos=2, mid=1, properties=ids + FORWARDED) + v5.pubrel(1)),
        "aliases": up5
        + heard(v5.publish("a", properties=props.topic_alias(1)) + v5.publish("", properties=props.topic_alias(1)))
        + said(0x60, b"1")
        + said(0x61, b"2")
        + said(0x74, b"3\n4"),
        "published": up + said(0, b"a") + said(9, b"b") + said(2, b"c") + heard(v311.puback(2) + v311.pubrec(3)),
        "lines": up + said(4, b"a\nb\n\nrest") + said(0x15, b"a\nb") + heard(v311.puback(5)),
        "offline": said(1, b"a") + said(2, b"b") + up + heard(v311.pubrec(2)) + b"\4\1" + up + b"\4\x41" + up,
        "refused": up5 + said(1, b"a") + said(2, b"b") + heard(v5.puback(1, 0x87) + v5.pubrec(2, 0x97)),
        "routed": b"\5\0\x08" + up + heard(each) + b"\5\0\x21" + heard(each),
        "one_at_a_time": b"\5\0\x10" + up + heard(each * 2),
        "goodbye": up + said(0, b"a") + b"\6" + heard(each),
        "held_back": up + b"\5\0\2" + heard(each + v311.suback(1, 0) + each) + heard(b""),
        "exceeded": b"\4\x42"
        + heard(v5.connack())
        + heard(v5.publish("a", qos=2, mid=1) + v5.publish("a", qos=2, mid=2)),
        "large": up + heard(b"\x30\xf0\xa2\x04\0\1t") + b"\2a\xff\xff" + b"\2a\xff\xff",
        "little_memory": up + b"\5\x0a\0" + heard(each * 9) + said(1, bytes(200)),
        "pieces": b"".join(heard(bytes((byte,))) for byte in v311.connack() + each),
    }


def snapshots() -> dict[str, bytes]:
    """Seeds of fuzz_snapshot: pieces, memory, and a file."""
    seeds = {path.stem: b"\6\0" + path.read_bytes() for path in SAMPLES.glob("v[2-6]-*.db")}
    chunks: list[db.Content] = [
        db.Configuration(99),
        db.BaseMessage(1, b"$SYS/a", b"1", 1, 1, client_id=b"p", username=b"u", mid=1, port=1883),
        db.BaseMessage(2, b"a/b", b"", 2, expires=1795217391, properties=((0x01, 1), (0x26, (b"n", b"v")), (0x02, 5))),
        db.Client(b"c", b"u", 7, 1883, 1795217400, 60),
        db.ClientMessage(b"c", 1, 3, 1, state=3, dup=1, identifier=300),
        db.ClientMessage(b"c", 2, 3, 2, state=6),
        db.ClientMessage(b"c", 2, 4, 2, direction=0, state=7),
        db.ClientMessage(b"d", 2),
        db.Subscription(b"c", b"$share/g/a/#", 2, 0x1C, 268435455),
        db.Subscription(b"c", b"/+/", 1),
        db.Retained(1),
        db.Retained(2),
        db.Unknown(7, b"unknown"),
    ]
    for version in range(2, 7):
        seeds[f"chunks_{version}"] = b"\x20\0" + db.encode(chunks, version)
    seeds["little_memory"] = b"\0\x20" + db.encode(chunks)
    seeds["cut"] = seeds["chunks_6"][:-3]
    return seeds


def main() -> None:
    targets = {
        "fuzz_wire": wire(),
        "fuzz_conn": conns(),
        "fuzz_websocket": websockets(),
        "fuzz_client": clients(),
        "fuzz_snapshot": snapshots(),
    }
    for target, seeds in targets.items():
        directory = CORPUS / target
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in seeds.items():
            (directory / name).write_bytes(data)


if __name__ == "__main__":
    main()
