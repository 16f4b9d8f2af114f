"""Topic filters and what they grant, as a tree with one step per topic level.

A look-up costs a dictionary access per level and branch, however many rules there are. The filters of a node:

    a/b -> here of node b      a/# -> below of node a (which covers a itself)      a/+ -> plus of node a
    a/%c, a/%u in a pattern -> client, user of node a: the level must equal the client identifier, the user name

Substitution is that comparison and nothing else: no filter is ever made out of a client identifier or a user name, so
their contents cannot act as wildcards, nor reach over more than one level. Names that start with '$' have a tree of
their own, because only filters which are written with that '$' may match them (MQTT-4.7.2-1); a substituted first
level is therefore never one of theirs.
"""

from __future__ import annotations

CLIENT, USER = b"%c", b"%u"


class _Node:
    __slots__ = ("children", "plus", "client", "user", "here", "below")

    def __init__(self) -> None:
        self.children: dict[bytes, _Node] = {}
        self.plus: _Node | None = None
        self.client: _Node | None = None
        self.user: _Node | None = None
        self.here = 0
        self.below = 0


_SPECIAL = {b"+": "plus"}
_SPECIAL_IN_PATTERN = {b"+": "plus", CLIENT: "client", USER: "user"}


class TopicRules:
    """Filters, each with a mask of what it grants (or takes); a look-up gives the masks of all that match, or-ed."""

    __slots__ = ("_plain", "_dollar")

    def __init__(self) -> None:
        self._plain = _Node()
        self._dollar = _Node()

    def add(self, topic_filter: bytes, mask: int, *, pattern: bool = False) -> None:
        """Add a valid filter. In a `pattern`, the levels %c and %u stand for the client."""
        special = _SPECIAL_IN_PATTERN if pattern else _SPECIAL
        node = self._root(topic_filter)
        levels = topic_filter.split(b"/")
        below = levels[-1] == b"#"
        for level in levels[:-1] if below else levels:
            node = _child(node, level, special.get(level))
        if below:
            node.below |= mask
        else:
            node.here |= mask

    def find(self, topic: bytes, client_id: bytes = b"", username: bytes = b"") -> int:
        """The masks of the filters that match a topic name. An empty client identifier or user name equals nothing."""
        nodes = [self._root(topic)]
        found = 0
        for level in topic.split(b"/"):
            reached: list[_Node] = []
            for node in nodes:
                found |= node.below
                if level in node.children:
                    reached.append(node.children[level])
                if node.plus is not None:
                    reached.append(node.plus)
                if node.client is not None and level and level == client_id:
                    reached.append(node.client)
                if node.user is not None and level and level == username:
                    reached.append(node.user)
            if not reached:
                return found
            nodes = reached
        for node in nodes:
            found |= node.here | node.below
        return found

    def _root(self, topic: bytes) -> _Node:
        return self._dollar if topic.startswith(b"$") else self._plain


def _child(node: _Node, level: bytes, special: str | None) -> _Node:
    """The node below for one level of a filter, made where there is none."""
    if special is None:
        return node.children.setdefault(level, _Node())
    child: _Node | None = getattr(node, special)
    if child is None:
        child = _Node()
        setattr(node, special, child)
    return child
