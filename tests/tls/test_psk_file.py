"""The PSK file: what is read, what is skipped, what ends the start."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mosq.auth.files import FileError
from mosq.auth.psk_file import load

Loaded = tuple[dict[bytes, bytes], list[str]]


def read(path: Path, content: bytes) -> Loaded:
    path.write_bytes(content)
    path.chmod(0o600)
    said: list[str] = []
    keys = load(str(path), lambda level, text: said.append(f"{level} {text}"))
    return keys, [line for line in said if "permissions" not in line]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "psk"


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (b"id:deadbeef", b"\xde\xad\xbe\xef"),
        (b"id:DeadBEEF\r\n", b"\xde\xad\xbe\xef"),
        (b"id:12345", b"\x01\x23\x45"),
        (b"id:000012", b"\0\0\x12"),
        (b"id:0000", b"\0\0"),
        (b"id:12:more:text", b"\x12"),
        (b"  id \t: 12 \n", b"\x12"),
        (b"id:\n", b""),
        (b"id:" + b"ab" * 512, b"\xab" * 512),
    ],
)
def test_keys(file: Path, line: bytes, key: bytes) -> None:
    assert read(file, line) == ({b"id": key}, [])


def test_identities_are_bytes_and_may_have_blanks(file: Path) -> None:
    assert read(file, b"a b:01\n\xff:02\n")[0] == {b"a b": b"\1", b"\xff": b"\2"}


@pytest.mark.parametrize("content", [b"", b"# id:12\n", b"no colon\n\n", b"id:12\0\n"])
def test_lines_that_are_no_entries(file: Path, content: bytes) -> None:
    assert read(file, content) == ({}, [])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b" :12\n", "N Warning: Empty username in password file '{}', ingoring."),
        (b":12\n", "N Warning: Invalid line in psk file '{}': 12"),
        (b"x" * 65536 + b":12\n", "N Warning: Invalid line in password file '{}', username too long."),
        (b"x:" + b"1" * 65536 + b"\n", "N Warning: Invalid line in password file '{}', password too long."),
    ],
)
def test_lines_that_are_skipped_with_a_warning(file: Path, line: bytes, said: str) -> None:
    assert read(file, line + b"id:12\n") == ({b"id": b"\x12"}, [said.format(file)])


def test_first_of_two_lines_counts(file: Path) -> None:
    keys, said = read(file, b"id:12\nid:34\n")
    assert keys == {b"id": b"\x12"}
    assert said == [f"N Error: Duplicate user 'id' in password file '{file}', ignoring."]


def failure(path: Path) -> FileError:
    with pytest.raises(FileError) as caught:
        load(str(path), lambda level, text: None)
    return caught.value


@pytest.mark.parametrize("key", [b"xyz", b"12 34", b"0x12", b"-1", "\uff11".encode()])
def test_digits_that_are_none(file: Path, key: bytes) -> None:
    file.write_bytes(b"id:" + key + b"\n")
    found = failure(file)
    assert found.code == 3
    assert found.texts == (
        'Error: psk for identity "id" contains non-hexadecimal characters.',
        f'Error opening psk file "{file}".',
    )


def test_a_key_that_is_too_long_is_not_cut(file: Path) -> None:
    file.write_bytes(b"id:" + b"a" * 1025)
    assert failure(file).texts[0] == 'Error: psk for identity "id" is longer than 512 bytes.'


@pytest.mark.parametrize("kind", ["missing", "directory", "symlink"])
def test_what_cannot_be_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "psk"
    if kind == "directory":
        path.mkdir()
    elif kind == "symlink":
        (tmp_path / "real").write_bytes(b"id:12\n")
        path.symlink_to(tmp_path / "real")
    found = failure(path)
    assert found.code == 13
    assert found.texts == (f'Error: Unable to open pwfile "{path}".', f'Error opening psk file "{path}".')


NAMES = st.binary(min_size=1, max_size=9).filter(lambda b: not set(b) & set(b":\n\0#") and b.strip(b" \t\v\f\r") == b)


@given(st.dictionaries(NAMES, st.binary(max_size=20), max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(file: Path, keys: dict[bytes, bytes]) -> None:
    content = b"".join(name + b":" + key.hex().encode() + b"\n" for name, key in keys.items())
    assert read(file, content) == (keys, [])


@given(st.binary(max_size=80))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused(file: Path, content: bytes) -> None:
    try:
        keys, _ = read(file, content)
    except FileError as exc:
        assert exc.code == 3
    else:
        assert all(name and len(key) <= 512 for name, key in keys.items())
