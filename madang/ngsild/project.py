"""Which members of an entity an answer has: the attribute projection language (clause 4.21) of `pick` and `omit`.

    projection = term *((","|"|") term)
    term       = name ["{" projection "}"]

Braces lead into the entity that a Relationship is linked to, or into the sub-attributes of an attribute.
"""

import re
from collections.abc import Callable

from msgspec import Struct

from madang.ngsild.errors import NgsiLdError

LENGTH_MAX = 8_192
TERMS_MAX = 512
DEPTH_MAX = 8

_NAME = re.compile(r"[^{}|,\s]+")


class Projection(Struct, frozen=True):
    """Names, each with what stands in its braces (None: no braces)."""

    names: dict[str, "Projection | None"]

    @property
    def depth(self) -> int:
        """How many braces stand inside each other."""
        return max((1 + inner.depth for inner in self.names.values() if inner is not None), default=0)

    def inner(self, name: str) -> "Projection | None":
        """What stands in the braces of a name."""
        return self.names.get(name)


def parse_projection(text: str, stored: Callable[[str], str], where: str) -> Projection:
    """The projection of a text; `stored` gives the stored name of a name. Raises NgsiLdError.

    >>> parse_projection("id,owner{name}", str, "pick").names["owner"].names
    {'name': None}
    """
    if len(text) > LENGTH_MAX:
        raise NgsiLdError(f"is longer than {LENGTH_MAX} characters", where)
    parser = _Parser(text, stored, where)
    found = parser.names(0)
    if parser.at < len(text):
        raise parser.wrong(f"unexpected {text[parser.at]!r}")
    return found


class _Parser:
    """Recursive descent; `at` is the next character."""

    def __init__(self, text: str, stored: Callable[[str], str], where: str) -> None:
        self.text = text
        self.stored = stored
        self.where = where
        self.at = 0
        self.terms = 0

    def names(self, depth: int) -> Projection:
        if depth > DEPTH_MAX:
            raise self.wrong(f"braces are nested deeper than {DEPTH_MAX}")
        found: dict[str, Projection | None] = {}
        while True:
            match = _NAME.match(self.text, self.at)
            if match is None:
                raise self.wrong("expected a name")
            self.terms += 1
            if self.terms > TERMS_MAX:
                raise self.wrong(f"has more than {TERMS_MAX} names")
            self.at = match.end()
            name = self.stored(match.group())
            inner = None
            if self.take("{"):
                inner = self.names(depth + 1)
                if not self.take("}"):
                    raise self.wrong("expected '}'")
            found[name] = inner
            if not (self.take(",") or self.take("|")):
                return Projection(found)

    def take(self, token: str) -> bool:
        if self.text.startswith(token, self.at):
            self.at += 1
            return True
        return False

    def wrong(self, detail: str) -> NgsiLdError:
        return NgsiLdError(f"{detail} at character {self.at + 1} of {self.text[:80]!r}", self.where)
