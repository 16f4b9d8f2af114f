"""The lines of an ACL file: what each means, and what is said of those that mean nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosq.auth.acl_file import AclFile, load
from mosq.auth.files import INVALID, UNREADABLE, FileError
from tests.auth.acl import Rules, write
from tests.control.world import Lines

DEEPEST = "/".join("x" * 201)


@pytest.mark.parametrize(
    ("content", "topic", "granted"),
    [
        ("topic t", "t", "rw"),
        ("topic read t", "t", "r"),
        ("topic write t", "t", "w"),
        ("topic readwrite t", "t", "rw"),
        ("topic deny t", "t", ""),
        ("topic t\ntopic deny t", "t", ""),
        ("topic read t\ntopic write t", "t", "rw"),
        ("topic read", "read", "rw"),
        ("topic deny", "deny", "rw"),
        ("topic read read", "read", "r"),
        ("topic read a b", "a b", "r"),
        ("topic read a  b", "a  b", "r"),
        ("   topic   read    t   ", "t", "r"),
        ("topic read t \t\r", "t", "r"),
        ("topic read \tt", "t", "r"),
        ("topic t\r\ntopic u\r\n", "t", "rw"),
        ("topic t\n\n   \n\t\n# topic deny t\n", "t", "rw"),
        ("#topic t", "t", ""),
        ("topic é/€", "é/€", "rw"),
        (f"topic {DEEPEST}", DEEPEST, "rw"),
        (f"topic {'x' * 65535}", "x" * 65535, "rw"),
        ("pattern t", "t", "rw"),
        ("pattern read %c", "c", "r"),
        ("topic %c", "c", ""),
        ("topic %c", "%c", "rw"),
    ],
)
@pytest.mark.parametrize("end", ["\n", ""])
def test_line(tmp_path: Path, content: str, topic: str, granted: str, end: str) -> None:
    assert Rules(write(tmp_path, content + end)).grants(topic) == granted


@pytest.mark.parametrize("length", [255, 1255, 2255])
def test_last_line_counts_without_its_end_whatever_its_length(tmp_path: Path, length: int) -> None:
    topic = "x" * (length - len("topic "))
    assert Rules(write(tmp_path, f"topic {topic}")).grants(topic) == "rw"


def test_user_sections_add_up_and_end_at_the_next(tmp_path: Path) -> None:
    content = "topic n\nuser a\ntopic x\nuser b\ntopic y\nuser a\ntopic z\n"
    rules = Rules(write(tmp_path, content))
    found = {user: [t for t in "nxyz" if rules.grants(t, user)] for user in (None, "a", "b", "A")}
    assert found == {None: ["n"], "a": ["x", "z"], "b": ["y"], "A": []}


@pytest.mark.parametrize("line", ["user a b", "user   a b  ", "  user a b\t", "user \ta b"])
def test_user_names_may_contain_spaces_and_are_trimmed(tmp_path: Path, line: str) -> None:
    rules = Rules(write(tmp_path, f"{line}\ntopic t\n"))
    assert rules.grants("t", "a b") == "rw"
    assert rules.grants("t", "a") == ""


def test_pattern_lines_leave_the_current_user(tmp_path: Path) -> None:
    rules = Rules(write(tmp_path, "pattern p/%c\nuser a\npattern q/%c\ntopic t\n"))
    assert rules.grants("t", "a") == "rw"
    assert rules.grants("t") == ""
    assert rules.grants("q/c") == "rw"


def refusal(path: Path) -> FileError:
    with pytest.raises(FileError) as caught:
        load(str(path), Lines())
    return caught.value


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("topic", "Empty topic in acl_file {f}."),
        ("topic   ", "Empty topic in acl_file {f}."),
        ("pattern", "Empty topic in acl_file {f}."),
        ("topic Read t", 'Invalid topic access type "Read" in acl_file {f}.'),
        ("topic a b", 'Invalid topic access type "a" in acl_file {f}.'),
        ("pattern subscribe t", 'Invalid topic access type "subscribe" in acl_file {f}.'),
        ("topic a#", 'Invalid ACL topic "a#" in acl_file {f}.'),
        ("topic #/a", 'Invalid ACL topic "#/a" in acl_file {f}.'),
        ("topic read a+/b", 'Invalid ACL topic "a+/b" in acl_file {f}.'),
        ("topic read t # comment", 'Invalid ACL topic "t # comment" in acl_file {f}.'),
        ("pattern deny %c#", 'Invalid ACL topic "%c#" in acl_file {f}.'),
        (f"topic {DEEPEST}/x", f'Invalid ACL topic "{DEEPEST}/x" in acl_file {{f}}.'),
        (f"topic {'x' * 65536}", f'Invalid ACL topic "{"x" * 65536}" in acl_file {{f}}.'),
        ("user", "Missing username in acl_file {f}."),
        ("user    ", "Missing username in acl_file {f}."),
        (f"user {'x' * 65536}", "Invalid line in acl_file {f}: user."),
        ("users a", "Invalid line in acl_file {f}: users."),
        ("Topic a", "Invalid line in acl_file {f}: Topic."),
        ("topic\ta", "Invalid line in acl_file {f}: topic\ta."),
        ("  nothing of use", "Invalid line in acl_file {f}:   nothing."),
        (" # comment", "Invalid line in acl_file {f}:  #."),
        ("\ttopic a", "Invalid line in acl_file {f}: \ttopic."),
        ("\ufefftopic a", "Invalid line in acl_file {f}: \ufefftopic."),
        ("topic a\0b", "NUL byte in acl_file {f}."),
        ("# \0", "NUL byte in acl_file {f}."),
        ("topic " + "x" * (1 << 20), "Line too long in acl_file {f}."),
    ],
    ids=lambda text: text[:30].strip() + ("~" if len(text) > 30 else ""),
)
@pytest.mark.parametrize("before", [0, 2])
def test_bad_line_is_refused_with_its_place(tmp_path: Path, line: str, message: str, before: int) -> None:
    path = write(tmp_path, "topic fine\n" * before + line + "\ntopic deny secret\n")
    error = refusal(path)
    expected = "Error: " + message.replace("{f}", f'"{path}"')
    place = f"Error found at {path}:{before + 1}."
    assert error.texts == (expected, place, f'Error opening acl file "{path}".')
    assert error.code == INVALID


def test_nul_does_not_end_the_rules(tmp_path: Path) -> None:
    """What stands behind it might be the line that denies."""
    assert refusal(write(tmp_path, b"topic #\n\0\ntopic deny secret\n")).code == INVALID


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo", "symlink"])
def test_file_that_cannot_be_opened(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what is no regular file, and what is reached through a symbolic link."""
    monkeypatch.delenv("MOSQUITTO_UNSAFE_ALLOW_SYMLINKS", raising=False)
    path = tmp_path / "there"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "symlink":
        path.symlink_to(write(tmp_path, "topic t\n"))
    error = refusal(path)
    assert error.code == UNREADABLE
    assert error.texts == (f'Error: Unable to open acl_file "{path}".', f'Error opening acl file "{path}".')


def test_symbolic_links_can_be_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSQUITTO_UNSAFE_ALLOW_SYMLINKS", "")
    link = tmp_path / "link"
    link.symlink_to(write(tmp_path, "topic t\n"))
    assert Rules(link).grants("t") == "rw"


@pytest.mark.parametrize("bit", [stat.S_IROTH, stat.S_IWOTH, stat.S_IXOTH])
def test_file_open_to_others_is_read_with_a_warning(tmp_path: Path, bit: int) -> None:
    path = write(tmp_path, "topic t\n")
    path.chmod(0o600 | bit)
    rules = Rules(path)
    assert rules.grants("t") == "rw"
    assert [text.split(".")[0] for text in rules.log.texts("I")] == [
        f"Warning: File {path} has world readable permissions"
    ]


def test_group_may_read_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "topic t\n")
    path.chmod(0o640)
    assert not Rules(path).log.lines


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_group_without_a_name_is_no_trouble(tmp_path: Path) -> None:
    path = write(tmp_path, "topic t\n")
    os.chown(path, -1, 54321)
    assert Rules(path).grants("t") == "rw"


def test_pattern_without_substitution_is_told_and_used(tmp_path: Path) -> None:
    rules = Rules(write(tmp_path, "pattern read t\n"))
    assert rules.log.texts("W") == ["Warning: ACL pattern 't' does not contain '%c' or '%u'."]
    assert rules.grants("t") == "r"


@pytest.mark.parametrize("topic", [b"a/\xff", b"a/\xc0\xaf", b"a/\xed\xa0\x80", b"a\x01b"])
def test_topic_that_no_client_can_use_is_told(tmp_path: Path, topic: bytes) -> None:
    rules = Rules(write(tmp_path, b"topic " + topic + b"\ntopic t\n"))
    (warning,) = rules.log.texts("W")
    assert warning.startswith("Warning: ACL topic '") and warning.endswith("' is not valid UTF-8 and matches nothing.")
    assert rules.grants("t") == "rw"


@pytest.mark.parametrize("content", ["", "\n", "# nothing\n", "#"])
def test_file_without_rules_denies_everything(tmp_path: Path, content: str) -> None:
    """CVE-2018-12550"""
    rules = Rules(write(tmp_path, content))
    assert [rules.grants("t", user) for user in (None, "u")] == ["", ""]


def test_sparse_file_of_any_size_costs_no_memory(tmp_path: Path) -> None:
    path = write(tmp_path, "topic t\n")
    os.truncate(path, 1 << 40)
    assert refusal(path).code == INVALID


words = st.sampled_from(
    [b"topic", b"pattern", b"user", b"read", b"write", b"readwrite", b"deny", b"#", b"+", b"%c", b"a/b"]
)
lines = st.lists(words | st.binary(max_size=6), max_size=5).map(b" ".join)
contents = st.lists(lines, max_size=10).map(b"\n".join) | st.binary(max_size=60)


@settings(max_examples=500, deadline=None)
@given(content=contents)
def test_any_content_is_rules_or_a_refusal_of_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = write(tmp_path_factory.getbasetemp(), content)
    try:
        assert isinstance(load(str(path), Lines()), AclFile)
    except FileError as error:
        assert error.code == INVALID
        prefix = f"Error found at {path}:"
        assert error.texts[1].startswith(prefix)
        assert 1 <= int(error.texts[1][len(prefix) : -1]) <= content.count(b"\n") + 1
