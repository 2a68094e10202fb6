"""The type selection language (clause 4.17) to the query tree.

types = all *(("|" | ",") all)
all   = term *(";" term)
term  = "(" types ")" | name
"""

import re
from collections.abc import Callable

from madang.ngsild.errors import TOO_COMPLEX_QUERY, NgsiLdError
from madang.ngsild.query import And, Node, OfType, Or

LENGTH_MAX = 8_192
TERMS_MAX = 256
DEPTH_MAX = 8

_NAME = re.compile(r"[^();|,\s]+")


def parse_types(text: str, stored: Callable[[str], str]) -> Node | None:
    """The condition of a type selection; `stored` gives the stored name of a type. None: any type (``*``). Raises NgsiLdError.

    >>> parse_types("(A|B);C", str)
    And(items=(Or(items=(OfType(name='A'), OfType(name='B'))), OfType(name='C')))
    """
    if len(text) > LENGTH_MAX:
        raise NgsiLdError(f"is longer than {LENGTH_MAX} characters", "type", TOO_COMPLEX_QUERY)
    if text == "*":
        return None
    parser = _Parser(text, stored)
    node = parser.any(0)
    if parser.at < len(text):
        raise NgsiLdError(f"unexpected {text[parser.at]!r} at character {parser.at + 1}", "type")
    return node


def holds(node: Node | None, types: tuple[str, ...]) -> bool:
    """Does an entity of these types meet the selection?

    >>> holds(parse_types("(A|B);C", str), ("C", "B"))
    True
    """
    match node:
        case None:
            return True
        case OfType(name):
            return name in types
        case And(items):
            return all(holds(item, types) for item in items)
        case Or(items):
            return any(holds(item, types) for item in items)
    raise TypeError(f"not a type selection: {node!r}")


class _Parser:
    """Recursive descent; `at` is the next character."""

    def __init__(self, text: str, stored: Callable[[str], str]) -> None:
        self.text = text
        self.stored = stored
        self.at = 0
        self.terms = 0

    def any(self, depth: int) -> Node:
        items = [self.all(depth)]
        while self.take("|") or self.take(","):
            items.append(self.all(depth))
        return items[0] if len(items) == 1 else Or(tuple(items))

    def all(self, depth: int) -> Node:
        items = [self.term(depth)]
        while self.take(";"):
            items.append(self.term(depth))
        return items[0] if len(items) == 1 else And(tuple(items))

    def term(self, depth: int) -> Node:
        if self.take("("):
            if depth >= DEPTH_MAX:
                raise NgsiLdError(f"parentheses are nested deeper than {DEPTH_MAX}", "type", TOO_COMPLEX_QUERY)
            node = self.any(depth + 1)
            if not self.take(")"):
                raise NgsiLdError(f"expected ')' at character {self.at + 1}", "type")
            return node
        self.terms += 1
        if self.terms > TERMS_MAX:
            raise NgsiLdError(f"has more than {TERMS_MAX} types", "type", TOO_COMPLEX_QUERY)
        found = _NAME.match(self.text, self.at)
        if found is None:
            raise NgsiLdError(f"expected a type at character {self.at + 1}", "type")
        self.at = found.end()
        return OfType(self.stored(found.group()))

    def take(self, token: str) -> bool:
        if self.text.startswith(token, self.at):
            self.at += 1
            return True
        return False
