"""How a file falls into lines, names and values."""

from __future__ import annotations

import pytest

from mosq.config.lexer import NulByteError, first_word, items
from tests.config.conftest import Conf


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"name value", [(b"name", b"value", 1)]),
        (b"name value\n", [(b"name", b"value", 1)]),
        (b"name value\r\n", [(b"name", b"value", 1)]),
        (b"name value\r\r\n", [(b"name", b"value", 1)]),
        (b"name a\rb\n", [(b"name", b"a\rb", 1)]),
        (b"# comment\n\nname value", [(b"name", b"value", 3)]),
        (b"   \n  name", [(b"name", b"", 2)]),
        (b"\rname value\nother", [(b"other", b"", 2)]),
        (b"  # x", [(b"#", b"x", 1)]),
        (b"name ", [(b"name", b"", 1)]),
        (b"name  two  spaces ", [(b"name", b" two  spaces ", 1)]),
        (b"name\tvalue", [(b"name\tvalue", b"", 1)]),
        (b"\tname value", [(b"\tname", b"value", 1)]),
        (b"\t", [(b"\t", b"", 1)]),
        (b"\xef\xbb\xbfname", [(b"\xef\xbb\xbfname", b"", 1)]),
        (b"name # no comment", [(b"name", b"# no comment", 1)]),
    ],
)
def test_lines(content: bytes, expected: list[tuple[bytes, bytes, int]]) -> None:
    assert list(items(content)) == expected


@pytest.mark.parametrize("content", [b"\0", b"a\nb\0c\nd", b"a\n#\0\n", b"a\n\0b"])
def test_nul_byte_is_found_wherever_it_is(content: bytes) -> None:
    with pytest.raises(NulByteError) as caught:
        list(items(content))
    assert caught.value.line == content[: content.index(0)].count(b"\n") + 1


def test_nul_byte_rejects_the_file(conf: Conf) -> None:
    refusal = conf.refusal(b"sys_interval 5\nsys_interval 6\0\nunknown\n")
    assert refusal == ["E Error: Invalid NUL byte in configuration.", "E Error found at FILE:2."]


def test_an_earlier_error_is_reported_before_a_nul_byte(conf: Conf) -> None:
    assert conf.refusal(b"sys_interval x\n\0\n")[-1] == "E Error found at FILE:1."


@pytest.mark.parametrize("length", [998, 999, 1000, 1998, 1999, 2000, 2999])
def test_last_line_without_line_end_counts_whatever_its_length(conf: Conf, length: int) -> None:
    line = "pid_file ".ljust(length, "x")
    assert conf.read(line).pid_file == line[len("pid_file ") :]


def test_long_lines_are_read_to_their_end(conf: Conf) -> None:
    assert conf.read("pid_file " + "x" * 65535 + "\n").pid_file == "x" * 65535


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (b"", (b"", b"")),
        (b"  ", (b"", b"")),
        (b"a", (b"a", b"")),
        (b"  a  b", (b"a", b" b")),
        (b"a\tb c", (b"a\tb", b"c")),
    ],
)
def test_first_word(rest: bytes, expected: tuple[bytes, bytes]) -> None:
    assert first_word(rest) == expected


def test_byte_order_mark_is_part_of_the_first_name(conf: Conf) -> None:
    assert conf.refusal(b"\xef\xbb\xbflistener 1883")[0] == "E Error: Unknown configuration variable '\ufefflistener'."


def test_tab_does_not_separate(conf: Conf) -> None:
    assert conf.refusal("listener\t1883")[0] == "E Error: Unknown configuration variable 'listener\t1883'."
