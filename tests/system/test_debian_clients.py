"""mosquitto_pub and mosquitto_sub from Debian against the broker."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.harness.broker import Broker
from tests.harness.brokers import Brokers, StartBroker
from tests.harness.deadline import SECONDS

pytestmark = pytest.mark.skipif(not shutil.which("mosquitto_sub"), reason="mosquitto-clients is not installed")

LOGS_SUBSCRIPTIONS = "log_type error\nlog_type warning\nlog_type notice\nlog_type information\nlog_type subscribe\n"
VERSIONS = ["mqttv31", "mqttv311", "mqttv5"]


@pytest.fixture
def broker(brokers: Brokers) -> Broker:
    return brokers(LOGS_SUBSCRIPTIONS)


def publish(broker: Broker, *arguments: str, stdin: str | None = None) -> None:
    """Run mosquitto_pub to its end, which must be a good one."""
    done = subprocess.run(
        ["mosquitto_pub", "-p", str(broker.port), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=3 * SECONDS,
    )
    assert done.returncode == 0, done.stderr


class Sub:
    """A mosquitto_sub that is subscribed already; `output` waits for its end (give it -C)."""

    def __init__(self, broker: Broker, client_id: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            ["mosquitto_sub", "-p", str(broker.port), "-i", client_id, "-W", "20", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wanted = [arguments[i + 1] for i, a in enumerate(arguments) if a == "-t"]
        for topic in wanted:
            broker.wait_for_log(rf"^{client_id} \d {re.escape(topic)}$", 2 * SECONDS)

    def output(self) -> str:
        out, error = self.process.communicate(timeout=4 * SECONDS)
        assert self.process.returncode == 0, error
        return out


@pytest.fixture
def sub(broker: Broker) -> Iterator[Callable[..., Sub]]:
    running: list[Sub] = []

    def start(*arguments: str) -> Sub:
        running.append(Sub(broker, *arguments))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_message_arrives_at_each_qos(
    broker: Broker, sub: Callable[..., Sub], name: str, version: str, qos: str
) -> None:
    receiver = sub(name, "-V", version, "-t", name, "-q", qos, "-C", "1", "-F", "%t %q %p")
    publish(broker, "-V", version, "-t", name, "-q", qos, "-m", "hello")
    assert receiver.output() == f"{name} {qos} hello\n"


def test_verbose_wildcard_subscription(broker: Broker, sub: Callable[..., Sub], name: str) -> None:
    receiver = sub(name, "-t", f"{name}/#", "-v", "-C", "3")
    for topic, text in (("a", "1"), ("a/b", "2 3"), ("", "4")):
        publish(broker, "-t", f"{name}/{topic}", "-m", text)
    assert receiver.output() == f"{name}/a 1\n{name}/a/b 2 3\n{name}/ 4\n"


@pytest.mark.parametrize("version", VERSIONS)
def test_retained_message_and_its_removal(broker: Broker, sub: Callable[..., Sub], name: str, version: str) -> None:
    publish(broker, "-V", version, "-t", name, "-r", "-q", "1", "-m", "kept")
    assert sub(name, "-V", version, "-t", name, "-C", "1", "-F", "%r %p").output() == "1 kept\n"
    publish(broker, "-V", version, "-t", name, "-r", "-n")
    receiver = sub(f"{name}2", "-V", version, "-t", name, "-C", "1", "-F", "%r %p")
    publish(broker, "-V", version, "-t", name, "-m", "live")
    assert receiver.output() == "0 live\n"


@pytest.mark.parametrize("version", VERSIONS)
def test_will_of_a_killed_client(broker: Broker, sub: Callable[..., Sub], name: str, version: str) -> None:
    receiver = sub(name, "-t", f"{name}/will", "-q", "2", "-C", "1", "-F", "%q %p")
    dying = sub(
        f"{name}d",
        "-V",
        version,
        "-t",
        f"{name}/x",
        "--will-topic",
        f"{name}/will",
        "--will-payload",
        "gone",
        "--will-qos",
        "2",
    )
    dying.process.kill()
    assert receiver.output() == "2 gone\n"


def test_v5_properties(broker: Broker, sub: Callable[..., Sub], name: str) -> None:
    receiver = sub(
        name,
        "-V",
        "mqttv5",
        "-t",
        name,
        "-C",
        "1",
        "-F",
        "%C|%D|%R|%P|%F|%S|%E|%p",
        "-D",
        "subscribe",
        "subscription-identifier",
        "9",
    )
    properties = {
        "content-type": "text/x",
        "correlation-data": "cd",
        "response-topic": "re/ply",
        "payload-format-indicator": "1",
    }
    given = [word for key, value in properties.items() for word in ("-D", "publish", key, value)]
    publish(broker, "-V", "mqttv5", "-t", name, "-m", "data", *given, "-D", "publish", "user-property", "k", "v")
    assert receiver.output() == "text/x|cd|re/ply|k:v|1|9||data\n"


def test_session_that_expires_later_keeps_messages(broker: Broker, sub: Callable[..., Sub], name: str) -> None:
    arguments = ["-V", "mqttv5", "-c", "-x", "60", "-q", "1", "-t", name]
    first = sub(name, *arguments)
    first.process.kill()
    first.process.communicate()
    broker.wait_for_log(rf"Client {name} \[\S+\] disconnected")
    publish(broker, "-t", name, "-q", "1", "-m", "waited")
    assert sub(name, *arguments, "-C", "1").output() == "waited\n"


def test_many_lines_in_order(broker: Broker, sub: Callable[..., Sub], name: str) -> None:
    lines = "".join(f"line {i}\n" for i in range(1000))  # as many as max_queued_messages lets wait
    receiver = sub(name, "-t", name, "-q", "2", "-C", "1000")
    publish(broker, "-t", name, "-q", "1", "-l", stdin=lines)
    assert receiver.output() == lines


def test_large_file(broker: Broker, sub: Callable[..., Sub], name: str) -> None:
    text = "0123456789abcdef" * 100_000
    receiver = sub(name, "-t", name, "-C", "1", "-N")
    publish(broker, "-t", name, "-s", stdin=text)
    assert receiver.output() == text


def test_unix_socket(own_broker: StartBroker, name: str) -> None:
    broker = own_broker(
        f"allow_anonymous true\n{LOGS_SUBSCRIPTIONS}listener {{port}} 127.0.0.1\nlistener 0 {{dir}}/s\n"
    )
    path = str(broker.directory / "s")
    receiver = subprocess.Popen(
        ["mosquitto_sub", "--unix", path, "-i", "c", "-t", "t", "-C", "1"], stdout=subprocess.PIPE, text=True
    )
    broker.wait_for_log("^c 0 t$")
    assert broker.logged(rf"New client connected from {re.escape(path)}:0 as c ")
    publish(broker, "-t", "t", "-m", "through")
    assert receiver.communicate(timeout=SECONDS)[0] == "through\n"


def test_request_and_response(broker: Broker, sub: Callable[..., Sub], name: str) -> None:
    if not shutil.which("mosquitto_rr"):
        pytest.skip("no mosquitto_rr")
    asker = subprocess.Popen(
        [
            "mosquitto_rr",
            "-p",
            str(broker.port),
            "-i",
            name,
            "-t",
            f"{name}/ask",
            "-e",
            f"{name}/answer",
            "-m",
            "?",
            "-W",
            "20",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    broker.wait_for_log(rf"^{name} \d {name}/answer$")
    publish(broker, "-t", f"{name}/answer", "-m", "42")
    assert asker.communicate(timeout=3 * SECONDS)[0] == "42\n"
