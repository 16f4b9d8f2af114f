"""What the rules of an ACL file come to: users, patterns, denials, wildcards, and names that look like wildcards."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosq.auth.access import ALLOW, READ, SUBSCRIBE, UNSUBSCRIBE, WRITE, Question, Source
from mosq.auth.acl_file import AclFile
from mosq.auth.topic_rules import TopicRules
from mosq.core import lib
from tests.auth.acl import Rules, write
from tests.control.world import Lines


def grants(tmp_path: Path, content: str, topic: str, username: str | None = None, client_id: str = "c") -> str:
    return Rules(write(tmp_path, content)).grants(topic, username, client_id)


# ---- the order of the rules


@pytest.mark.parametrize(
    ("content", "topic", "username", "granted"),
    [
        ("topic t\nuser u\n", "t", "u", ""),  # the anonymous lines are not for users
        ("user u\ntopic t\n", "t", None, ""),
        ("user u\ntopic read t\npattern deny t\n", "t", "u", "r"),  # the user's rule counts before patterns,
        ("user u\ntopic deny t\npattern t\n", "t", "u", ""),  # also when it denies,
        ("user u\ntopic read t\npattern write t\n", "t", "u", "rw"),  # and where it is silent they count
        ("user u\ntopic read t\npattern write t\npattern deny t\n", "t", "u", "r"),
        ("user u\ntopic t\ntopic deny #\n", "t", "u", ""),  # the order of the lines means nothing
        ("user u\ntopic deny t\ntopic #\n", "t", "u", ""),
        ("user u\ntopic deny a/b\ntopic a/#\n", "a/b", "u", ""),
        ("user u\ntopic deny a/b\ntopic a/#\n", "a/c", "u", "rw"),
        ("pattern t\npattern deny #\n", "t", None, ""),
        ("user u\ntopic x\npattern p/%u\n", "p/u", "u", "rw"),  # listed, no match: patterns
        ("user u\ntopic x\n", "t", "u", ""),
        ("user u\ntopic x\n", "x", "other", ""),  # 1.5.8: not listed is a plain denial
        ("topic x\npattern p/%c\n", "x", None, "rw"),
        ("topic x\npattern p/%c\n", "p/c", None, "rw"),
    ],
)
def test_precedence(tmp_path: Path, content: str, topic: str, username: str | None, granted: str) -> None:
    assert grants(tmp_path, content, topic, username) == granted


@pytest.mark.parametrize(
    ("topic_filter", "topic", "matches"),
    [
        ("foo/#", "foo", True),
        ("foo/#", "foo/", True),
        ("foo/#", "foo/a/b", True),
        ("foo/#", "foobar", False),
        ("foo/+", "foo", False),
        ("foo/+", "foo/", True),
        ("+/+", "/", True),
        ("+", "a/b", False),
        ("#", "a/b", True),
        ("a//b", "a//b", True),
        ("a/+/b", "a//b", True),
        ("#", "$SYS/a", False),  # 1.2: wildcards first do not reach $ topics
        ("+/a", "$SYS/a", False),
        ("+/#", "$x", False),
        ("$SYS/#", "$SYS/a", True),
        ("$SYS/#", "SYS/a", False),
        ("$x/+", "$x/a", True),
        ("t", "T", False),
    ],
)
def test_wildcards(tmp_path: Path, topic_filter: str, topic: str, matches: bool) -> None:
    for keyword in ("topic", "pattern"):
        assert grants(tmp_path, f"{keyword} {topic_filter}\n", topic) == ("rw" if matches else "")


@pytest.mark.parametrize("access", [SUBSCRIBE, UNSUBSCRIBE])
def test_subscribing_is_always_allowed(tmp_path: Path, access: int) -> None:
    """1.3.5: what may not be read is not delivered; the subscription itself does no harm."""
    assert Rules(write(tmp_path, "topic deny #\n")).may(access, "secret/#")


# ---- patterns


@pytest.mark.parametrize(
    ("pattern", "topic", "granted"),
    [
        ("a/%c/b", "a/c/b", "rw"),
        ("a/%c/b", "a/x/b", ""),
        ("a/%u/b", "a/u/b", "rw"),
        ("%c", "c", "rw"),
        ("%u/#", "u/x", "rw"),
        ("%c/%u/+", "c/u/x", "rw"),
        ("%c/%u/+", "u/c/x", ""),
        ("foo%c", "fooc", ""),  # only a whole level stands for the client
        ("foo%c", "foo%c", "rw"),
        ("a/%c", "a/%c", ""),
        ("%%c", "%c", ""),
        ("+/%c", "x/c", "rw"),
    ],
)
def test_substitution(tmp_path: Path, pattern: str, topic: str, granted: str) -> None:
    assert grants(tmp_path, f"pattern {pattern}\n", topic, "u") == granted


def test_patterns_with_a_user_are_not_for_the_anonymous(tmp_path: Path) -> None:
    """1.4: such a pattern hung the broker; one without %u crashed it. Any %u in the text counts."""
    rules = Rules(write(tmp_path, "pattern a/%u\npattern b/x%u\npattern c/%c\n"))
    assert [rules.grants(topic) for topic in ("a/", "a/%u", "b/x%u", "c/c")] == ["", "", "", "rw"]
    assert rules.grants("b/x%u", "u") == "rw"


def test_patterns_with_a_user_that_deny_do_not_concern_the_anonymous(tmp_path: Path) -> None:
    assert grants(tmp_path, "pattern deny %u/#\npattern t\n", "t") == "rw"


def test_patterns_alone_deny_by_default(tmp_path: Path) -> None:
    """1.0: patterns without any topic rule allowed everything."""
    assert grants(tmp_path, "pattern p/%c\n", "t") == ""


@pytest.mark.parametrize("name", ["#", "+", "a+", "#a", "a/#", "+/+"])
def test_wildcards_in_names_are_denied_by_patterns(tmp_path: Path, name: str) -> None:
    """CVE-2017-7650"""
    rules = Rules(write(tmp_path, "pattern p/%u\npattern q/%c\npattern r\n"))
    for topic in ("p/x", f"p/{name}", "q/c", "r"):
        assert rules.grants(topic, name) == ""
    denied = f'ACL denying access to client with dangerous username "{name}"'
    assert rules.log.texts("N") == [denied] * 8
    rules.log.lines.clear()
    for topic in ("q/x", f"q/{name}", "r"):
        assert rules.grants(topic, "u", name) == ""
    denied = f'ACL denying access to client with dangerous client id "{name}"'
    assert rules.log.texts("N") == [denied] * 6


def test_wildcards_in_names_leave_what_is_granted_by_name(tmp_path: Path) -> None:
    rules = Rules(write(tmp_path, "pattern p/%u\nuser a#\ntopic t\n"))
    assert rules.grants("t", "a#", "+") == "rw"
    assert not rules.log.texts("N")


def test_wildcards_in_names_do_not_matter_without_patterns(tmp_path: Path) -> None:
    rules = Rules(write(tmp_path, "topic t\n"))
    assert rules.grants("x", "#", "#") == ""
    assert rules.grants("t", None, "#") == "rw"
    assert not rules.log.texts("N")


@pytest.mark.parametrize("name", ["a/b", "/", "a/", "/a"])
def test_slash_in_a_name_never_reaches_over_a_level(tmp_path: Path, name: str) -> None:
    """1.4.13: allowed, and matching nothing."""
    rules = Rules(write(tmp_path, "pattern p/%u\npattern q/%c/#\npattern r\n"))
    for topic in (f"p/{name}", "p/a", f"q/{name}", f"q/{name}/x", "q/a/x"):
        assert rules.grants(topic, name, name) == ""
    assert rules.grants("r", name, name) == "rw"


@pytest.mark.parametrize("name", ["$SYS", "$CONTROL"])
def test_names_that_start_with_a_dollar_reach_no_dollar_topic(tmp_path: Path, name: str) -> None:
    """A client that may choose its identifier must not choose whose topics it gets."""
    rules = Rules(write(tmp_path, "pattern %c/#\npattern %u/#\npattern p/%c\n"))
    assert rules.grants(f"{name}/broker/x", name, name) == ""
    assert rules.grants(f"p/{name}", None, name) == "rw"


@pytest.mark.parametrize("name", ["%c", "%u"])
def test_names_are_not_substituted_again(tmp_path: Path, name: str) -> None:
    rules = Rules(write(tmp_path, "pattern %c/%u\n"))
    assert rules.grants("victim/x", "x", name) == ""
    assert rules.grants(f"{name}/x", "x", name) == "rw"


# ---- against a model that does literally what the rules say

LEVELS = ["a", "b", "", "$x", "%c", "%u", "c1", "u1"]
topics = st.lists(st.sampled_from(LEVELS), min_size=1, max_size=4).map("/".join).filter(bool)
filters = (
    st.lists(st.sampled_from([*LEVELS, "+"]), min_size=1, max_size=4)
    .flatmap(lambda levels: st.sampled_from(["/".join(levels), "/".join([*levels, "#"]), "#"]))
    .filter(bool)
)
accesses = st.sampled_from(["read", "write", "readwrite", "deny"])
rule_lines = st.tuples(st.sampled_from(["topic", "pattern", "user u1"]), accesses, filters)
names = st.sampled_from(["u1", "a", "$x", "a/b", "%c", "+"])
MASKS = {"read": READ, "write": WRITE, "readwrite": READ | WRITE, "deny": 0}

Entry = tuple[str, str]
"""Access and filter."""


def matches(topic_filter: str, topic: str) -> bool:
    one, other = topic_filter.encode(), topic.encode()
    return bool(lib.mq_topic_matches(one, len(one), other, len(other)))


def substituted(pattern: str, topic: str, client_id: str, username: str | None) -> str | None:
    """The filter a pattern stands for, None if it can match nothing."""
    values = {"%c": client_id, "%u": username or ""}
    levels = [values.get(level, level) for level in pattern.split("/")]
    if any(level in values and (not values[level] or "/" in values[level]) for level in pattern.split("/")):
        return None
    if pattern[0] == "%" and topic[0] == "$":
        return None
    return "/".join(levels)


def decide(entries: list[Entry], matching: list[bool], access: int) -> bool | None:
    found = [entry for entry, matched in zip(entries, matching, strict=True) if matched]
    if any(kind == "deny" for kind, _ in found):
        return False
    return True if any(MASKS[kind] & access for kind, _ in found) else None


def model(content: list[tuple[str, str, str]], topic: str, access: int, client_id: str, username: str | None) -> bool:
    own: list[Entry] = []
    patterns: list[Entry] = []
    current = None
    for keyword, kind, topic_filter in content:
        if keyword == "user u1":
            current = "u1"
        if keyword == "pattern":
            patterns.append((kind, topic_filter))
        elif current == username:
            own.append((kind, topic_filter))
    verdict = decide(own, [matches(topic_filter, topic) for _, topic_filter in own], access)
    if verdict is None and patterns:
        if any(character in client_id + (username or "") for character in "+#"):
            return False
        asked = [entry for entry in patterns if username is not None or "%u" not in entry[1]]
        real = [substituted(topic_filter, topic, client_id, username) for _, topic_filter in asked]
        verdict = decide(asked, [f is not None and matches(f, topic) for f in real], access)
    return bool(verdict)


@settings(max_examples=600, deadline=None)
@given(
    content=st.lists(rule_lines, max_size=8),
    topic=topics,
    access=st.sampled_from([READ, WRITE]),
    client_id=names,
    username=names | st.none(),
)
def test_rules_are_what_their_lines_say(
    content: list[tuple[str, str, str]], topic: str, access: int, client_id: str, username: str | None
) -> None:
    file = AclFile(Lines())
    rules = file.anonymous
    for keyword, kind, topic_filter in content:
        mask, encoded = MASKS[kind] or 4, topic_filter.encode()
        if keyword == "user u1":
            rules = file.users.setdefault(b"u1", TopicRules())
        if keyword == "pattern":
            file.add_pattern(encoded, mask)
        else:
            rules.add(encoded, mask)
    question = Question(Source(client_id, username, None), access, topic.encode())
    assert (file.check(question) == ALLOW) == model(content, topic, access, client_id, username)


@settings(max_examples=600, deadline=None)
@given(st.lists(filters, max_size=12), topics)
def test_a_look_up_finds_exactly_the_filters_that_match(given_filters: list[str], topic: str) -> None:
    """Against the core's one-to-one matching."""
    rules = TopicRules()
    for i, topic_filter in enumerate(given_filters):
        rules.add(topic_filter.encode(), 1 << i)
    expected = sum({1 << i for i, topic_filter in enumerate(given_filters) if matches(topic_filter, topic)})
    assert rules.find(topic.encode()) == expected


def test_look_up_is_not_slowed_by_hostile_topics() -> None:
    """Branches are bounded by the rules there are, not doubled at each level."""
    rules = TopicRules()
    for i in range(200):
        rules.add("/".join("+" if i % 7 == j % 7 else "a" for j in range(200)).encode(), 1)
    assert rules.find("/".join("a" * 200).encode()) == 1
