"""A hardened configuration, users and rules, with Debian's clients: the same on mosq and on the original."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.auth.acl import write
from tests.harness.broker import ORIGINAL, Broker
from tests.harness.deadline import SECONDS

TOOLS = ("mosquitto_pub", "mosquitto_sub", "mosquitto_passwd")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason="Debian's mosquitto and mosquitto-clients are not installed"
)

VERSIONS = ["mqttv31", "mqttv311", "mqttv5"]
RULES = """
topic read news/#
user anna
topic home/#
topic deny home/alarm
topic write news/today
topic write end
user boris
topic read home/door
pattern devices/%c/#
pattern read users/%u
pattern read end
"""
HEARD = {
    "anna": ["home/door", "home/window", "end"],
    "boris": ["home/door", "end"],
    None: ["news/today", "end"],
}
"""Of what anna publishes."""


def kinds() -> list[object]:
    missing = pytest.mark.skipif(not ORIGINAL.exists(), reason="the original broker is not installed")
    return ["mosq", pytest.param("original", marks=(missing, pytest.mark.original))]


@pytest.fixture(scope="module", params=kinds())
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    directory = tmp_path_factory.mktemp(request.param)
    write(directory, RULES)
    make_passwords(directory / "passwords", "anna", "boris")
    config = "allow_anonymous true\npassword_file {dir}/passwords\nacl_file {dir}/acl\nlog_type all\n"
    with Broker(directory, config, kind=request.param) as running:
        yield running
        running.stop()


def make_passwords(path: Path, *users: str) -> None:
    for user in users:
        create = [] if path.exists() else ["-c"]
        command = ["mosquitto_passwd", *create, "-b", str(path), user, f"{user}'s"]
        subprocess.run(command, check=True, capture_output=True, timeout=3 * SECONDS)


def client(broker: Broker, command: str, version: str, user: str | None, *arguments: str) -> list[str]:
    identity = [] if user is None else ["-u", user, "-P", f"{user}'s"]
    return [command, "-p", str(broker.port), "-V", version, *identity, *arguments]


def publish(broker: Broker, version: str, user: str | None, topic: str, *arguments: str) -> str:
    """Publish with QoS 1; what mosquitto_pub has to say about that."""
    command = client(broker, "mosquitto_pub", version, user, "-q", "1", "-t", topic, "-m", topic, *arguments)
    done = subprocess.run(command, capture_output=True, text=True, timeout=3 * SECONDS)
    return done.stdout + done.stderr


def listen(broker: Broker, version: str, user: str | None) -> subprocess.Popen[str]:
    """mosquitto_sub on everything but $ topics, until it has all it should get. Returns when it is subscribed."""
    client_id = f"{version}{user}"
    wanted = ["-t", "#", "-i", client_id, "-C", str(len(HEARD[user])), "-W", "20"]
    start = broker.log_position()
    process = subprocess.Popen(
        client(broker, "mosquitto_sub", version, user, *wanted), stdout=subprocess.PIPE, text=True
    )
    broker.wait_for_log(f"Sending SUBACK to {client_id}", 2 * SECONDS, start)
    return process


@pytest.mark.parametrize("version", VERSIONS)
def test_everybody_hears_what_is_theirs(broker: Broker, version: str) -> None:
    listeners = {user: listen(broker, version, user) for user in HEARD}
    try:
        for topic in ("home/alarm", "home/door", "home/window", "news/today", "news/other", "end"):
            publish(broker, version, "anna", topic)
        heard = {user: one.communicate(timeout=4 * SECONDS)[0].split() for user, one in listeners.items()}
    finally:
        for one in listeners.values():
            one.kill()
            one.wait()
    assert heard == HEARD


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("user", "topic", "allowed"),
    [
        ("anna", "home/door", True),
        ("anna", "home/alarm", False),
        ("boris", "home/door", False),
        ("boris", "devices/me/x", True),
        ("boris", "devices/other/x", False),
        ("boris", "users/boris", False),
        (None, "news/today", False),
        (None, "devices/me/x", True),
    ],
)
def test_publisher_is_told_what_its_version_can_say(
    broker: Broker, version: str, user: str | None, topic: str, allowed: bool
) -> None:
    said = publish(broker, version, user, topic, "-i", "me")
    denied = version == "mqttv5" and not allowed
    assert ("Not authorized" in said) == denied
    assert bool(said) == denied


def test_wrong_password_is_refused_before_any_rule(broker: Broker) -> None:
    command = client(broker, "mosquitto_pub", "mqttv5", None, "-u", "anna", "-P", "wrong", "-t", "home/door", "-n")
    done = subprocess.run(command, capture_output=True, text=True, timeout=3 * SECONDS)
    assert done.returncode != 0
    assert "Not authorized" in done.stdout + done.stderr
