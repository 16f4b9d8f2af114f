"""Options about retained messages: sweeping expired ones, and asking again whether their source may write."""

from __future__ import annotations

import pytest

from tests.harness.brokers import Brokers
from tests.harness.packets import v5


@pytest.mark.differs("options of a later release")
@pytest.mark.parametrize(
    "config", ["retain_expiry_interval 1", "check_retain_source true", "check_retain_source false"]
)
def test_retained_messages_work_as_ever(brokers: Brokers, name: str, config: str) -> None:
    client = brokers(config).connected(v5, name)
    client.publish(name, b"x", retain=True)
    client.subscribe(name)
    client.expect(v5.publish(name, b"x", retain=True))
