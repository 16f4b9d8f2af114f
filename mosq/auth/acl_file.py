"""ACL files: lines in, rules out, and the rules' answer to a question about a topic.

    # comment                                                 only where '#' is the first character of the line
    user NAME                                                 the `topic` lines that follow are for this user
    topic [read|write|readwrite|deny] FILTER                  before the first `user`: for clients without user name
    pattern [read|write|readwrite|deny] FILTER                for all clients; levels %c and %u stand for the client

The space is the only separator, and names and filters may contain spaces. What is not granted is denied. The rules of
the user count first: a matching `deny` denies, else a matching grant allows; only where none matches are the patterns
asked in the same way. Subscribing is always allowed, since what must not be read is not delivered.

Reading a file is all or nothing: a line that means nothing makes it invalid (FileError), never a little less strict.
"""

from __future__ import annotations

from mosq.auth.access import ALLOW, CACHED, DENY, READ, WRITE
from mosq.auth.files import INVALID, LONGEST_NAME, UNREADABLE, FileError, LongLineError, read_lines
from mosq.auth.topic_rules import CLIENT, USER, TopicRules
from mosq.core import lib

TYPE_CHECKING = False  # as typing has it, without its megabyte
if TYPE_CHECKING:
    from mosq.auth.access import Client, Question
    from mosq.log import Log

_DENIED = 4
_ACCESS = {b"read": READ, b"write": WRITE, b"readwrite": READ | WRITE, b"deny": _DENIED}
_READWRITE = READ | WRITE
_WILDCARDS = b"+#"


class AclFile:
    """The rules of one file."""

    __slots__ = ("users", "anonymous", "patterns", "nameless_patterns", "has_patterns", "_log")

    mode: int = CACHED

    def __init__(self, log: Log) -> None:
        self.users: dict[bytes, TopicRules] = {}
        self.anonymous = TopicRules()
        """For clients without a user name."""
        self.patterns = TopicRules()
        self.nameless_patterns = TopicRules()
        """The patterns without %u in their text: the others do not concern clients without a user name."""
        self.has_patterns = False
        self._log = log

    def add_pattern(self, topic_filter: bytes, mask: int) -> None:
        """Add a `pattern` line's valid filter."""
        self.has_patterns = True
        self.patterns.add(topic_filter, mask, pattern=True)
        if USER not in topic_filter:
            self.nameless_patterns.add(topic_filter, mask, pattern=True)

    def check(self, question: Question) -> int:
        """ALLOW or DENY."""
        access, topic, client = question.access, question.topic, question.client
        if access not in (READ, WRITE):
            return ALLOW
        name = client.username.encode() if client.username is not None else None
        rules = self.anonymous if name is None else self.users.get(name)
        verdict = _verdict(rules.find(topic), access) if rules is not None else None
        if verdict is None and self.has_patterns:
            verdict = self._check_patterns(client, name, access, topic)
        return DENY if verdict is None else verdict

    def _check_patterns(self, client: Client, name: bytes | None, access: int, topic: bytes) -> int | None:
        client_id = client.client_id.encode()
        if name is not None and _is_dangerous(name):
            self._log.notice('ACL denying access to client with dangerous username "%s"', client.username)
            return DENY
        if _is_dangerous(client_id):
            self._log.notice('ACL denying access to client with dangerous client id "%s"', client.client_id)
            return DENY
        if name is None:
            return _verdict(self.nameless_patterns.find(topic, client_id), access)
        return _verdict(self.patterns.find(topic, client_id, name), access)


def _verdict(found: int, access: int) -> int | None:
    """What the masks of all matching rules come to, None: nothing."""
    if found & _DENIED:
        return DENY
    return ALLOW if found & access else None


def _is_dangerous(name: bytes) -> bool:
    """Would this text act as a wildcard in a filter? Ours are not made that way (topic_rules), but others' may be."""
    return any(character in name for character in _WILDCARDS)


def load(path: str, log: Log) -> AclFile:
    """Read the file at `path`. Raises FileError; what is only odd earns a warning in the log."""
    reader = _Reader(path, log)
    try:
        for number, line in read_lines(path, log.write):
            reader.line = number
            reader.read(line)
    except LongLineError as exc:
        reader.line = exc.line
        raise reader.refused(f'Error: Line too long in acl_file "{path}".') from exc
    except OSError as exc:
        raise FileError(UNREADABLE, f'Error: Unable to open acl_file "{path}".', _trailer(path)) from exc
    return reader.file


class _Reader:
    """Lines to rules. `line` is the number of the current one."""

    def __init__(self, path: str, log: Log) -> None:
        self.file = AclFile(log)
        self.line = 0
        self._path = path
        self._log = log
        self._rules = self.file.anonymous

    def refused(self, text: str) -> FileError:
        """The error for the current line: what is wrong, where, and what comes of it."""
        return FileError(INVALID, text, f"Error found at {self._path}:{self.line}.", _trailer(self._path))

    def read(self, line: bytes) -> None:
        """One line. Raises FileError."""
        if b"\0" in line:  # what follows it would be lost on whoever reads C strings
            raise self.refused(f'Error: NUL byte in acl_file "{self._path}".')
        line = line.rstrip()
        if not line or line.startswith(b"#"):
            return
        indent = len(line) - len(line.lstrip(b" "))
        keyword, _, rest = line[indent:].partition(b" ")
        if keyword == b"user":
            self._user(rest.strip())
        elif keyword in (b"topic", b"pattern"):
            self._rule(rest.lstrip(b" "), keyword == b"pattern")
        else:
            raise self._invalid(line[: indent + len(keyword)])

    def _invalid(self, start: bytes) -> FileError:
        return self.refused(f'Error: Invalid line in acl_file "{self._path}": {_shown(start)}.')

    def _user(self, name: bytes) -> None:
        if not name:
            raise self.refused(f'Error: Missing username in acl_file "{self._path}".')
        if len(name) > LONGEST_NAME:
            raise self._invalid(b"user")
        self._rules = self.file.users.setdefault(name, TopicRules())

    def _rule(self, rest: bytes, is_pattern: bool) -> None:
        """A `topic` or `pattern` line, from its second word on."""
        word, _, topic_filter = rest.partition(b" ")
        if not word:
            raise self.refused(f'Error: Empty topic in acl_file "{self._path}".')
        topic_filter = topic_filter.strip()
        mask = _ACCESS.get(word) if topic_filter else _READWRITE
        if mask is None:
            raise self.refused(f'Error: Invalid topic access type "{_shown(word)}" in acl_file "{self._path}".')
        topic_filter = topic_filter or word
        if len(topic_filter) > LONGEST_NAME or not lib.mq_filter_valid(topic_filter, len(topic_filter)):
            raise self.refused(f'Error: Invalid ACL topic "{_shown(topic_filter)}" in acl_file "{self._path}".')
        if not lib.mq_utf8_valid(topic_filter, len(topic_filter)):
            self._warn(f"Warning: ACL topic '{_shown(topic_filter)}' is not valid UTF-8 and matches nothing.")
        if is_pattern:
            self._pattern(topic_filter, mask)
        else:
            self._rules.add(topic_filter, mask)

    def _pattern(self, topic_filter: bytes, mask: int) -> None:
        if CLIENT not in topic_filter and USER not in topic_filter:
            self._warn(f"Warning: ACL pattern '{_shown(topic_filter)}' does not contain '%c' or '%u'.")
        self.file.add_pattern(topic_filter, mask)

    def _warn(self, text: str) -> None:
        self._log.warning("%s", text)


def _trailer(path: str) -> str:
    return f'Error opening acl file "{path}".'


def _shown(text: bytes) -> str:
    """Bytes of the file as they appear in messages."""
    return text.decode("utf-8", "replace")
