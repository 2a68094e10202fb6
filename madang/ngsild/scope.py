"""Scopes (clause 4.18) and the scope query language (clause 4.19).

    scopeQ = all *("|" all)            also "," for "|"
    all    = term *(";" term)
    term   = "(" scopeQ ")" | pattern

A scope is a path such as ``/Madrid/Gardens``. In a pattern ``+`` stands for exactly one level, and ``#`` at the end for this
level and everything below it: ``/Madrid/#`` matches ``/Madrid`` and ``/Madrid/Gardens/East``.
"""

import re
from typing import Any

from madang.ngsild.errors import TOO_COMPLEX_QUERY, NgsiLdError
from madang.ngsild.query import And, InScope, Node, Or

LENGTH_MAX = 1_024
"""Characters of a scope or of a scope query."""
LEVELS_MAX = 32
SCOPES_MAX = 64
"""Scopes of one entity."""
TERMS_MAX = 64
DEPTH_MAX = 8

_LEVEL = re.compile(r"[^\W\d_]\w*\Z")
_TOKEN = re.compile(r"[^;|,()]+")


def parse_scopes(value: Any, where: str = "scope") -> tuple[str, ...]:
    """The scopes of an entity document: a text or an array of texts, each once. Raises NgsiLdError.

    >>> parse_scopes(["/Madrid/Gardens", "/Spain"])
    ('/Madrid/Gardens', '/Spain')
    """
    items = value if isinstance(value, list) else [value]
    if not items or len(items) > SCOPES_MAX:
        raise NgsiLdError(f"must be a scope such as /Madrid/Gardens, or an array of 1 to {SCOPES_MAX} of them", where)
    return tuple(dict.fromkeys(_check(item, where, wildcards=False) for item in items))


def _check(text: Any, where: str, *, wildcards: bool) -> str:
    if not isinstance(text, str) or not text or len(text) > LENGTH_MAX:
        raise NgsiLdError("must be a scope such as /Madrid/Gardens", where)
    path = text if text.startswith("/") else f"/{text}"
    levels = path[1:].split("/")
    if len(levels) > LEVELS_MAX:
        raise NgsiLdError(f"has more than {LEVELS_MAX} levels", where)
    for place, level in enumerate(levels):
        if wildcards and (level == "+" or (level == "#" and place == len(levels) - 1)):
            continue
        if _LEVEL.match(level) is None:
            raise NgsiLdError(
                f"not a scope: {text[:80]!r} (levels of a letter, then letters, digits and '_', after '/')", where
            )
    return path


def parse_scope_q(text: str) -> Node:
    """The query tree of a scopeQ text. Raises NgsiLdError.

    >>> parse_scope_q("/Madrid/#;/+/Gardens")
    And(items=(InScope(pattern='/Madrid/#'), InScope(pattern='/+/Gardens')))
    """
    if len(text) > LENGTH_MAX:
        raise NgsiLdError(f"is longer than {LENGTH_MAX} characters", "scopeQ", TOO_COMPLEX_QUERY)
    return _Parser(text).parse()


class _Parser:
    """Recursive descent; `at` is the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.terms = 0

    def parse(self) -> Node:
        node = self.any(0)
        if self.at < len(self.text):
            raise NgsiLdError(f"unexpected {self.text[self.at]!r} at character {self.at + 1}", "scopeQ")
        return node

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
                raise NgsiLdError(f"parentheses are nested deeper than {DEPTH_MAX}", "scopeQ", TOO_COMPLEX_QUERY)
            node = self.any(depth + 1)
            if not self.take(")"):
                raise NgsiLdError(f"expected ')' at character {self.at + 1}", "scopeQ")
            return node
        self.terms += 1
        if self.terms > TERMS_MAX:
            raise NgsiLdError(f"has more than {TERMS_MAX} scopes", "scopeQ", TOO_COMPLEX_QUERY)
        found = _TOKEN.match(self.text, self.at)
        if found is None:
            raise NgsiLdError(f"expected a scope at character {self.at + 1}", "scopeQ")
        self.at = found.end()
        return InScope(_check(found.group().strip(), "scopeQ", wildcards=True))

    def take(self, token: str) -> bool:
        if self.text.startswith(token, self.at):
            self.at += 1
            return True
        return False


def scope_pattern(pattern: str) -> str:
    """The pattern of an `InScope` as a regular expression for a whole scope.

    >>> import re
    >>> [bool(re.search(scope_pattern("/a/#"), scope)) for scope in ("/a", "/a/b/c", "/ab")]
    [True, True, False]
    """
    parts: list[str] = []
    for level in pattern[1:].split("/"):
        if level == "#":
            parts.append("(/.+)?" if parts else "/.+")
        else:
            parts.append("/[^/]+" if level == "+" else "/" + re.escape(level))
    return f"^{''.join(parts)}$"
