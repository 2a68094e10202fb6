"""The query language `q` (clause 4.9) to the query tree.

    query  = all *("|" all)                 ";" binds tighter than "|"
    all    = term *(";" term)
    term   = "(" query ")" | "!" path | filter          "!": the attribute is absent
    filter = path [operator values]         without operator: the attribute exists
    path   = name *("." name) ["[" name *("." name) "]" | "{" [type ":"] query "}" [operator values]]
    values = item *("," item)
    item   = value | value ".." value
    value  = number | "text" | true | false | date-time | date | time | URI | word

Brackets lead into a JSON value, or name a language (``*``: any); braces lead into the entity that a Relationship is linked to, where
``owner{name}=="x"`` says the same as ``owner{name=="x"}``.

A regular expression stands after ``~=`` or ``!~=``: in double quotes, or bare up to the next ``;``, ``|`` or
unmatched ``)``. Never raises anything but NgsiLdError, with the place of the mistake.
"""

import re
from collections.abc import Collection
from typing import Any

from madang.model.time import parse_instant, render_instant
from madang.ngsild.context import CORE, Context
from madang.ngsild.errors import BAD_REQUEST_DATA, TOO_COMPLEX_QUERY, NgsiLdError
from madang.ngsild.query import (
    ANY_LANGUAGE,
    ENTITY_MEMBERS,
    METADATA,
    And,
    Between,
    Compare,
    Exists,
    Linked,
    Node,
    Not,
    OfType,
    Or,
)
from madang.ngsild.regular import check_regular

LENGTH_MAX = 4_096
"""Characters of a query; longer ones belong into POST /entityOperations/query."""
TERMS_MAX = 128
DEPTH_MAX = 16
VALUES_MAX = 256

_NAME = re.compile(r"[^\W\d][\w\-:]*")
_HINT = re.compile(r"[^\W\d][\w\-]*:")
"""The type of the linked entity before the path in braces."""
_BARE = re.compile(r"[^\W\d][\w\-]*")
_OPERATOR = re.compile(r"!~=|~=|==|!=|>=|<=|>|<")
_DATETIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:[Zz]|[+-]\d\d:?\d\d)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d\d:\d\d:\d\d(?:[.,]\d+)?(?:[Zz]|[+-]\d\d:\d\d)?")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s;|()<>\"\[\],{}]+")
_WORD = re.compile(r"true|false")
_DELIMITERS = ";|(),}"


def parse_q(text: str, context: Context = CORE, expand_values: Collection[str] = ()) -> Node:
    """The query tree of a q text. Raises NgsiLdError (kind TooComplexQuery over the limits).

    `expand_values`: stored names of attributes whose values are words of a vocabulary, compared as URIs (clause 4.9).

    >>> parse_q('speed>50;brand=="Kia"')
    And(items=(Compare(attribute='speed', op='>', value=50, path=(), sub=()), Compare(attribute='brand', op='==', value='Kia', path=(), sub=())))
    """  # noqa: E501
    if len(text) > LENGTH_MAX:
        raise NgsiLdError(f"is longer than {LENGTH_MAX} characters", "q", TOO_COMPLEX_QUERY)
    return _Parser(text, context, frozenset(expand_values)).parse()


def link_depth(node: Node) -> int:
    """How many links deep a condition looks: 0 for one that stays with the entity."""
    match node:
        case And(items) | Or(items):
            return max((link_depth(item) for item in items), default=0)
        case Not(item):
            return link_depth(item)
        case Linked():
            return 1 + link_depth(node.item)
    return 0


def attributes_in(node: Node) -> set[str]:
    """Names of the attributes (and members of the entity) that a condition looks at."""
    match node:
        case And(items) | Or(items):
            return set().union(*(attributes_in(item) for item in items))
        case Not(item):
            return attributes_in(item)
        case Compare() | Between() | Exists() | Linked():
            return {node.attribute}
    return set()


class _Parser:
    """Recursive descent over one text; `at` is the next character."""

    def __init__(self, text: str, context: Context, expanded: frozenset[str]) -> None:
        self.text = text
        self.context = context
        self.expanded = expanded
        self.at = 0
        self.terms = 0

    def parse(self) -> Node:
        node = self.query(0)
        self.blanks()
        if self.at < len(self.text):
            raise self.wrong(f"unexpected {self.text[self.at]!r}; expected ';', '|' or the end")
        return node

    # ── grammar ─────────────────────────────────────────────────────────────

    def query(self, depth: int) -> Node:
        items = [self.all(depth)]
        while self.take("|"):
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
                raise self.wrong(f"parentheses are nested deeper than {DEPTH_MAX}", TOO_COMPLEX_QUERY)
            node = self.query(depth + 1)
            if not self.take(")"):
                raise self.wrong("expected ')'")
            return node
        self.terms += 1
        if self.terms > TERMS_MAX:
            raise self.wrong(f"has more than {TERMS_MAX} conditions", TOO_COMPLEX_QUERY)
        return self.filter()

    def filter(self) -> Node:
        if self.take("!"):
            attribute, sub, path = self.path()
            return Not(Exists(attribute, path, sub))
        attribute, sub, path = self.path()
        if not path and self.text.startswith("{", self.at):
            return self.linked(attribute, sub)
        return self.condition(attribute, sub, path)

    def linked(self, attribute: str, sub: tuple[str, ...]) -> Node:
        """``attribute{…}``: the condition stands in the innermost braces, or after the last of them."""
        links: list[tuple[str, tuple[str, ...], str | None]] = []
        while True:
            self.at += 1
            if len(links) >= DEPTH_MAX:
                raise self.wrong(f"braces are nested deeper than {DEPTH_MAX}", TOO_COMPLEX_QUERY)
            hint = self.match(_HINT)
            links.append((attribute, sub, None if hint is None else self.stored(hint[:-1])))
            start = self.at
            attribute, sub, path = self.path()
            if path or not self.text.startswith("{", self.at):
                break
        after = self.text.startswith("}", self.at)
        if not after:
            self.at = start
            item = self.query(len(links))
        for _ in links:
            if not self.take("}"):
                raise self.wrong("expected '}'")
        if after:
            item = self.condition(attribute, sub, path)
        for name, inner, type_ in reversed(links):
            item = Linked(name, item if type_ is None else And((OfType(type_), item)), inner)
        return item

    def condition(self, attribute: str, sub: tuple[str, ...], path: tuple[str, ...]) -> Node:
        """What follows a path: an operator and values, or nothing."""
        self.blanks()
        operator = self.match(_OPERATOR)
        if operator is None:
            return Exists(attribute, path, sub)
        if operator in ("~=", "!~="):
            return Compare(attribute, operator, self.regular(), path, sub)
        values: list[Any] = []
        ranges: list[tuple[Any, Any]] = []
        while True:
            item = self.value(attribute)
            if self.text.startswith("..", self.at):
                ranges.append(self.range(operator, item, attribute))
            else:
                values.append(item)
            if len(values) + len(ranges) > VALUES_MAX:
                raise self.wrong(f"has more than {VALUES_MAX} values in a list", TOO_COMPLEX_QUERY)
            if not self.take(","):
                break
        if len(values) + len(ranges) > 1 and operator not in ("==", "!="):
            raise self.wrong(f"a list of values goes with == or !=, not with {operator}")
        if not ranges:
            return Compare(attribute, operator, values[0] if len(values) == 1 else values, path, sub)
        items: list[Node] = [Between(attribute, low, high, path, sub) for low, high in ranges]
        if values:
            items.insert(0, Compare(attribute, "==", values[0] if len(values) == 1 else values, path, sub))
        inside = items[0] if len(items) == 1 else Or(tuple(items))
        if operator == "==":
            return inside
        # Clause 4.9: != holds for an attribute that is there and whose value lies outside.
        return And((Exists(attribute, path, sub), Not(inside)))

    def range(self, operator: str, low: Any, attribute: str) -> tuple[Any, Any]:
        self.at += 2
        high = self.value(attribute)
        if operator not in ("==", "!="):
            raise self.wrong(f"a range goes with == or !=, not with {operator}")
        if isinstance(low, bool) or isinstance(high, bool) or isinstance(low, str) != isinstance(high, str):
            raise self.wrong("a range needs two numbers, two texts or two instants")
        return low, high

    def path(self) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        names = self.names("an attribute name")
        inside: tuple[str, ...] = ()
        if self.at < len(self.text) and self.text[self.at] == "[":
            self.at += 1
            inside = (ANY_LANGUAGE,) if self.take(ANY_LANGUAGE) else tuple(self.names("a member name"))
            if not self.text.startswith("]", self.at):
                raise self.wrong("expected ']'")
            self.at += 1
        first = names[0] if names[0] in ENTITY_MEMBERS else self.stored(names[0])
        return first, tuple(n if n in METADATA else self.stored(n) for n in names[1:]), inside

    def stored(self, name: str) -> str:
        return self.context.stored_name(name, "q")

    def names(self, what: str) -> list[str]:
        self.blanks()
        names = []
        while True:
            name = self.match(_NAME)
            if name is None:
                raise self.wrong(f"expected {what}")
            names.append(name)
            if len(names) > DEPTH_MAX:
                raise self.wrong(f"a path is longer than {DEPTH_MAX}", TOO_COMPLEX_QUERY)
            if not self.text.startswith(".", self.at):
                return names
            self.at += 1

    # ── values ──────────────────────────────────────────────────────────────

    def value(self, attribute: str = "") -> Any:
        """A value; a text of an attribute in `expanded` comes out as the URI of a word."""
        found = self.plain_value()
        return self.context.expand_term(found) if isinstance(found, str) and attribute in self.expanded else found

    def plain_value(self) -> Any:
        self.blanks()
        start = self.at
        if self.text.startswith('"', start):
            return self.quoted()
        instant = self.match(_DATETIME)
        if instant is not None:
            try:
                return render_instant(parse_instant(instant.replace(",", ".")))
            except (ValueError, OverflowError) as error:
                self.at = start
                raise self.wrong(str(error)) from None
        for pattern in (_DATE, _TIME):
            found = self.match(pattern)
            if found is not None:
                return self.ended(found, start)
        number = self.match(_NUMBER)
        if number is not None:
            return self.ended(self.number(number, start), start)
        word = self.match(_WORD)
        if word is not None and self.is_end():
            return word == "true"
        self.at = start
        uri = self.match(_URI)
        if uri is not None:
            return uri
        bare = self.match(_BARE)
        if bare is not None:
            return self.ended(bare, start)
        raise self.wrong('expected a value: a number, "text" in double quotes, true, false, a date-time or a URI')

    def number(self, text: str, start: int) -> int | float:
        number = float(text)
        if number in (float("inf"), float("-inf")):
            self.at = start
            raise self.wrong("the number is too large")
        if any(c in text for c in ".eE"):
            return number
        return int(text) if len(text) <= 18 else number

    def ended(self, value: Any, start: int) -> Any:
        if not self.is_end():
            self.at = start
            raise self.wrong("text must stand in double quotes")
        return value

    def is_end(self) -> bool:
        """True where a value may end: at the end, before a delimiter, a blank or a range."""
        if self.at >= len(self.text):
            return True
        following = self.text[self.at]
        return following in _DELIMITERS or following.isspace() or self.text.startswith("..", self.at)

    def quoted(self) -> str:
        start = self.at
        self.at += 1
        out: list[str] = []
        while self.at < len(self.text):
            character = self.text[self.at]
            self.at += 1
            if character == '"':
                return "".join(out)
            if character == "\\" and self.at < len(self.text) and self.text[self.at] in '"\\':
                character = self.text[self.at]
                self.at += 1
            out.append(character)
        self.at = start
        raise self.wrong("the text that begins here has no closing double quote")

    def regular(self) -> str:
        """A regular expression, quoted or bare."""
        self.blanks()
        start = self.at
        if self.text.startswith('"', self.at):
            # Inside quotes only \" is ours; other backslashes belong to the expression.
            end = self.at + 1
            while end < len(self.text) and self.text[end] != '"':
                end += 2 if self.text[end] == "\\" else 1
            if end >= len(self.text):
                raise self.wrong("the expression that begins here has no closing double quote")
            pattern = self.text[self.at + 1 : end].replace('\\"', '"')
            self.at = end + 1
        else:
            pattern = self.bare_regular()
        if not pattern:
            raise self.wrong("expected a regular expression")
        try:
            check_regular(pattern)
        except NgsiLdError as error:
            self.at = start
            raise self.wrong(error.detail, error.kind) from None
        return pattern

    def bare_regular(self) -> str:
        start, depth, in_class = self.at, 0, False
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == "\\":
                self.at += 1
            elif in_class:
                in_class = character != "]"
            elif character == "[":
                in_class = True
            elif character == "(":
                depth += 1
            elif character == ")":
                if depth == 0:
                    break
                depth -= 1
            elif character in ";|" and depth == 0:
                break
            self.at += 1
        self.at = min(self.at, len(self.text))
        return self.text[start : self.at]

    # ── reading ─────────────────────────────────────────────────────────────

    def blanks(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def take(self, token: str) -> bool:
        self.blanks()
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def match(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found.group()

    def wrong(self, detail: str, kind: str = BAD_REQUEST_DATA) -> NgsiLdError:
        shown = self.text[max(0, self.at - 12) : self.at] + "⟨here⟩" + self.text[self.at : self.at + 12]
        return NgsiLdError(f"{detail}, at character {self.at + 1}: …{shown}…", "q", kind)
