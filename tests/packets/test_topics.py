"""Topic names, topic filters and how one matches the other (MQTT 5.0, section 4.7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosq.core import lib


def name_ok(topic: str) -> bool:
    raw = topic.encode()
    return bool(lib.mq_topic_valid(raw, len(raw)))


def filter_ok(topic_filter: str) -> bool:
    raw = topic_filter.encode()
    return bool(lib.mq_filter_valid(raw, len(raw)))


def matches(topic_filter: str, topic: str) -> bool:
    f, t = topic_filter.encode(), topic.encode()
    return bool(lib.mq_topic_matches(f, len(f), t, len(t)))


def test_empty_name_and_filter_are_refused() -> None:
    """[MQTT-4.7.3-1]"""
    assert not name_ok("")
    assert not filter_ok("")


@pytest.mark.parametrize("topic", ["+", "#", "a/+", "a#", "a+b"])
def test_topic_name_holds_no_wildcard(topic: str) -> None:
    """[MQTT-3.3.2-2], [MQTT-4.7.1-1]"""
    assert not name_ok(topic)


@pytest.mark.parametrize("topic", ["/", "a", "a//b", "/a/", "$SYS/x", " ", "ä/€"])
def test_topic_name_may_have_empty_levels_and_any_text(topic: str) -> None:
    """MQTT 5.0, section 4.7.3"""
    assert name_ok(topic)
    assert filter_ok(topic)


@pytest.mark.parametrize("topic_filter", ["#", "a/#", "/#", "+/#", "$share/g/#"])
def test_multi_level_wildcard_fills_the_last_level(topic_filter: str) -> None:
    """[MQTT-4.7.1-1]"""
    assert filter_ok(topic_filter)


@pytest.mark.parametrize("topic_filter", ["a#", "a/#/b", "#/", "##", "#a", "+#", "a/b#"])
def test_multi_level_wildcard_elsewhere_is_refused(topic_filter: str) -> None:
    """[MQTT-4.7.1-1]"""
    assert not filter_ok(topic_filter)


@pytest.mark.parametrize("topic_filter", ["+", "+/a", "a/+/b", "/+", "+/+"])
def test_single_level_wildcard_fills_a_level(topic_filter: str) -> None:
    """[MQTT-4.7.1-2]"""
    assert filter_ok(topic_filter)


@pytest.mark.parametrize("topic_filter", ["a+", "+a", "a/+b", "++", "a+/b"])
def test_single_level_wildcard_in_part_of_a_level_is_refused(topic_filter: str) -> None:
    """[MQTT-4.7.1-2]"""
    assert not filter_ok(topic_filter)


def test_more_than_201_levels_are_refused() -> None:
    """A limit of the broker."""
    assert name_ok("/" * 200)
    assert filter_ok("/" * 200)
    assert not name_ok("/" * 201)
    assert not filter_ok("/" * 201)


@pytest.mark.parametrize(
    ("topic_filter", "topic"),
    [
        ("a/b", "a/b"),
        ("a/#", "a"),
        ("a/#", "a/b/c"),
        ("#", "a"),
        ("#", "/"),
        ("+", "a"),
        ("+/+", "/"),
        ("/+", "/a"),
        ("a/+", "a/"),
        ("a/+/c", "a//c"),
        ("+/#", "a"),
        ("$SYS/#", "$SYS/a"),
        ("$SYS/+", "$SYS/a"),
    ],
)
def test_filter_matches(topic_filter: str, topic: str) -> None:
    """MQTT 5.0, section 4.7.1"""
    assert matches(topic_filter, topic)


@pytest.mark.parametrize(
    ("topic_filter", "topic"),
    [
        ("a/b", "a/B"),
        ("a", "a/b"),
        ("a/b", "a"),
        ("+", "a/b"),
        ("+", "/a"),
        ("a/+", "a"),
        ("a/+/#", "a"),
        ("a", "ab"),
        ("ab", "a"),
        ("a/", "a"),
        ("a", "a/"),
    ],
)
def test_filter_does_not_match(topic_filter: str, topic: str) -> None:
    """[MQTT-4.7.3-4]"""
    assert not matches(topic_filter, topic)


@pytest.mark.parametrize("topic_filter", ["#", "+", "+/a", "+/#"])
def test_wildcard_first_does_not_match_dollar_topics(topic_filter: str) -> None:
    """[MQTT-4.7.2-1]"""
    assert not matches(topic_filter, "$SYS/a")
    assert not matches(topic_filter, "$SYS")


def matches_by_definition(topic_filter: str, topic: str) -> bool:
    if topic.startswith("$") and topic_filter[:1] in "+#":
        return False
    levels = topic.split("/")
    for i, level in enumerate(topic_filter.split("/")):
        if level == "#":
            return True
        if i >= len(levels) or level not in ("+", levels[i]):
            return False
    return topic_filter.count("/") == topic.count("/")


topic_names = st.lists(st.sampled_from(["a", "b", "", "$S"]), min_size=1, max_size=5).map("/".join).filter(bool)
topic_filters = (
    st.tuples(st.lists(st.sampled_from(["a", "b", "", "$S", "+"]), max_size=5), st.sampled_from(["a", "+", "#", ""]))
    .map(lambda parts: "/".join([*parts[0], parts[1]]))
    .filter(bool)
)


@given(topic_filters, topic_names)
def test_matching_is_as_defined(topic_filter: str, topic: str) -> None:
    """[MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.2-1]"""
    assert filter_ok(topic_filter)
    assert matches(topic_filter, topic) == matches_by_definition(topic_filter, topic)


@given(st.text(st.sampled_from("a/+#$"), max_size=8))
def test_filter_is_valid_where_each_wildcard_fills_its_level(text: str) -> None:
    """[MQTT-4.7.1-1], [MQTT-4.7.1-2]"""
    *front, last = text.split("/")
    whole = all(level == "+" or not set(level) & {"+", "#"} for level in front)
    assert filter_ok(text) == bool(text and whole and (last in ("+", "#") or not set(last) & {"+", "#"}))
