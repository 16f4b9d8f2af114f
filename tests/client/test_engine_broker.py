"""The client engine and the broker: what one says the other understands."""

from __future__ import annotations

import pytest

from mosq.client import ENDED, errors
from mosq.client.transport.tcp import Tcp
from mosq.core import Property
from mosq.packets import properties as prop
from tests.client.scripted import Running
from tests.harness.brokers import Brokers
from tests.harness.packets import LEVELS, Level, v5

CONFIG = "listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_messages_of_every_quality_of_service_go_there_and_back(brokers: Brokers, level: Level) -> None:
    port = brokers(CONFIG).ports["port"]
    user: list[Property] = [(prop.USER_PROPERTY, (b"a", b"b"))] if level.is_v5 else []
    with Running(level, client_id=b"", dial=lambda: Tcp("127.0.0.1", port), keepalive=0) as it:
        it.handler.on_connack = lambda: it.client.subscribe([(b"t/#", 2)])
        it.do(it.client.start)
        it.until(lambda: it.handler.subacks, "SUBACK")
        sent = [(b"%d" % n, n % 3) for n in range(300)]
        it.do(lambda: [it.client.publish(b"t/x", payload, qos, False, user) for payload, qos in sent])
        it.until(lambda: len(it.handler.received) == 300, "the messages")
        for wanted in (0, 1, 2):  # each level in its own order
            found = [(m.payload, m.qos) for m in it.handler.received if m.qos == wanted]
            assert found == [item for item in sent if item[1] == wanted]
        assert all(m.properties == user for m in it.handler.received)
        it.until(lambda: it.handler.completed, "completion")
        it.do(it.client.disconnect)
        assert it.ended().code == errors.SUCCESS and it.client.state == ENDED


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_every_line_arrives_once_and_in_order(brokers: Brokers, qos: int) -> None:
    port = brokers(CONFIG).ports["port"]
    data = b"".join(b"%06d\n" % n for n in range(20000))
    with (
        Running(v5, client_id=b"", dial=lambda: Tcp("127.0.0.1", port)) as sub,
        Running(v5, client_id=b"", dial=lambda: Tcp("127.0.0.1", port)) as pub,
    ):
        sub.handler.on_connack = lambda: sub.client.subscribe([(b"t", 2)])
        sub.do(sub.client.start)
        sub.until(lambda: sub.handler.subacks, "SUBACK")
        left = [data]

        def more() -> None:
            done, _ = pub.client.publish_lines(left[0], b"t", qos)
            left[0] = left[0][done:]

        pub.handler.progress = more  # type: ignore[method-assign]
        pub.handler.complete = more  # type: ignore[method-assign]
        pub.handler.on_connack = more
        pub.do(pub.client.start)
        sub.until(lambda: len(sub.handler.received) >= 20000, "the lines", 20)
        assert b"".join(m.payload + b"\n" for m in sub.handler.received) == data
