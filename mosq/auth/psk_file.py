"""The PSK file: identities and keys for TLS without certificates (psk_file).

    identity:key in hexadecimal digits[:ignored]        # comment, in the first column

Blanks around a field do not count. An odd number of digits is read as if a 0 came first; leading zero bytes belong to
the key. A line that nobody could use is skipped with a warning; a key that is not what its author meant ends the start.
"""

from __future__ import annotations

from mosq.auth.files import INVALID, LONGEST_NAME, UNREADABLE, FileError, LongLineError, read_lines

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.restricted import Report

KEY_LONGEST = 512
"""Bytes: the most that OpenSSL takes."""

Keys = dict[bytes, bytes]
"""Identity to key."""

_BLANKS = b" \t\v\f\r"


def decode(digits: bytes) -> bytes:
    """The key that hexadecimal digits mean. Raises ValueError."""
    if digits.strip(b"0123456789abcdefABCDEF"):
        raise ValueError("not hexadecimal")
    return bytes.fromhex((b"0" * (len(digits) % 2) + digits).decode())


def load(path: str, report: Report) -> Keys:
    """The keys in a file. Raises FileError; `report` gets (level, text) about the lines that were skipped."""
    reader = _Reader(path, report)
    try:
        for _, line in read_lines(path, report):
            reader.take(line)
    except OSError as exc:
        raise reader.failure(f'Error: Unable to open pwfile "{path}".', UNREADABLE) from exc
    except LongLineError as exc:
        raise reader.failure(f"Error: Line {exc.line} of psk file '{path}' is too long.") from exc
    return reader.keys


class _Reader:
    """The keys found so far, and what is said about lines."""

    __slots__ = ("keys", "_path", "_report")

    def __init__(self, path: str, report: Report) -> None:
        self.keys: Keys = {}
        self._path = path
        self._report = report

    def failure(self, text: str, code: int = INVALID) -> FileError:
        return FileError(code, text, f'Error opening psk file "{self._path}".')

    def take(self, line: bytes) -> None:
        """One line, without its end."""
        if line.startswith(b"#") or b":" not in line or b"\0" in line:
            return
        # As the fields are told apart, several separators are one; those in front of everything do not count.
        identity, colon, rest = line.lstrip(b":").partition(b":")
        key = rest.lstrip(b":").partition(b":")[0].strip(_BLANKS)
        identity = identity.strip(_BLANKS)
        if self._is_usable(identity, key, has_key=bool(colon)):
            self.keys[identity] = self._key(identity, key)

    def _is_usable(self, identity: bytes, key: bytes, *, has_key: bool) -> bool:
        path = self._path
        shown = identity.decode("utf-8", "replace")
        if len(identity) > LONGEST_NAME:
            self._report("N", f"Warning: Invalid line in password file '{path}', username too long.")
        elif not identity:
            self._report("N", f"Warning: Empty username in password file '{path}', ingoring.")
        elif identity in self.keys:
            self._report("N", f"Error: Duplicate user '{shown}' in password file '{path}', ignoring.")
        elif not has_key:
            self._report("N", f"Warning: Invalid line in psk file '{path}': {shown}")
        elif len(key) > LONGEST_NAME:
            self._report("N", f"Warning: Invalid line in password file '{path}', password too long.")
        else:
            return True
        return False

    def _key(self, identity: bytes, digits: bytes) -> bytes:
        shown = identity.decode("utf-8", "replace")
        try:
            key = decode(digits)
        except ValueError:
            raise self.failure(f'Error: psk for identity "{shown}" contains non-hexadecimal characters.') from None
        if len(key) > KEY_LONGEST:
            raise self.failure(f'Error: psk for identity "{shown}" is longer than {KEY_LONGEST} bytes.')
        return key
