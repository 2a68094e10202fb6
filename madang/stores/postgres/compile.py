"""The query tree as SQL text plus named bound parameters. Values never enter the text; names of attributes are bound as JSON paths.

Bodies are jsonb. An attribute's default instance is reached by its path; other instances are looked at only in rows that have such
(`entity.many`). Every test names the JSON type that it wants, so a value of another type never matches (clause 4.9) and never fails.
"""

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from madang.model.time import parse_instant, sortable
from madang.ngsild.query import (
    ANY_LANGUAGE,
    ENTITY_MEMBERS,
    METADATA,
    And,
    Between,
    ByDistance,
    Compare,
    Contains,
    Exists,
    InScope,
    Linked,
    Node,
    Not,
    OfType,
    Or,
    Order,
    Query,
)
from madang.ngsild.scope import scope_pattern
from madang.stores.postgres.places import distance_sql, place_sql

Test = Callable[[str], str]
"""SQL of a jsonb value -> SQL of a condition on it."""

_NUMBER, _TEXT, _BOOLEAN = "number", "string", "boolean"
_COLUMNS = {
    "id": "id",
    "type": "type",
    "createdAt": "created_at",
    "modifiedAt": "modified_at",
    "expiresAt": "expires_at",
}


class Compiled:
    """SQL of a query: `where` and `order`, with the values of both by name."""

    __slots__ = ("order", "values", "where")

    def __init__(self) -> None:
        self.where = ""
        self.order = ""
        self.values: dict[str, Any] = {}


def compile_query(query: Query, is_further_type: Callable[[str], bool]) -> Compiled:
    """Compile the whole query against table ``entity`` (alias ``e``). `is_further_type` tells whether any entity has the type as its
    second or a later one. Raises ValueError for a geometry that is none."""
    compiled = Compiled()
    compiler = _Compiler(compiled.values, is_further_type)
    bind = compiler.bind
    parts: list[str] = ["NOT e.deleted"]
    if query.types:
        parts.append(compiler.types(query.types))
    if query.ids:
        parts.append(f"e.id = ANY({bind(list(query.ids))})")
    if query.id_pattern is not None:
        parts.append(f"e.id ~ {bind(query.id_pattern)}")
    if query.attributes:
        parts.append("(" + " OR ".join(compiler.has(name) for name in query.attributes) + ")")
    if query.where is not None:
        parts.append(compiler.node(query.where))
    if query.place is not None:
        parts.append(place_sql(query.place, bind))
    if query.alive_at is not None:
        parts.append(f"(e.expires_at IS NULL OR e.expires_at > {bind(query.alive_at)})")
    for operator, instant in zip((">=", "<="), query.observed or (), strict=False):
        if instant is not None:
            parts.append(f"e.observed_at {operator} {bind(instant)}")
    if query.after is not None:
        parts.append(f"e.id > {bind(query.after)}")
    compiled.where = " AND ".join(parts)
    keys = []
    for order in query.order:
        direction = "DESC NULLS LAST" if order.descending else "ASC NULLS LAST"
        found = [distance_sql(order, bind)] if isinstance(order, ByDistance) else compiler.keys(order)
        keys += [f"{key} {direction}" for key in found]
    compiled.order = ", ".join([*keys, "e.id"])
    return compiled


class _Compiler:
    """Conditions on one alias of table ``entity``; `values` gets what is bound."""

    def __init__(
        self, values: dict[str, Any], is_further_type: Callable[[str], bool], alias: str = "e", depth: int = 0
    ) -> None:
        self.bound = values
        self.is_further_type = is_further_type
        self.alias = alias
        self.depth = depth

    def bind(self, value: Any) -> str:
        """A placeholder for a value; a list is an array of text."""
        name = f"p{len(self.bound)}"
        self.bound[name] = value
        return f"%({name})s::text[]" if isinstance(value, list) else f"%({name})s"

    # --- nodes ---

    def node(self, node: Node) -> str:
        match node:
            case And(items):
                return "(" + " AND ".join(self.node(i) for i in items) + ")" if items else "true"
            case Or(items):
                if items and all(isinstance(i, OfType) for i in items):
                    return self.types([i.name for i in items if isinstance(i, OfType)])
                return "(" + " OR ".join(self.node(i) for i in items) + ")" if items else "false"
            case Not(item):
                return f"NOT coalesce({self.node(item)}, false)"
            case OfType(name):
                return self.types([name])
            case InScope(pattern):
                return self.scope(pattern)
            case Exists(attribute, path, sub):
                return self.has(attribute, path, sub)
            case Contains(text, attributes):
                return self.contains(text, attributes)
            case Between(attribute, low, high, _, _) if attribute in ENTITY_MEMBERS:
                return self.node(And((Compare(attribute, ">=", low), Compare(attribute, "<=", high))))
            case Between(attribute, low, high, path, sub):
                ((kind, above),), ((_, below),) = self.tests_of(">=", low), self.tests_of("<=", high)
                return self.any_value(attribute, path, sub, [(kind, lambda x: f"{above(x)} AND {below(x)}")])
            case Compare():
                return self.compare(node)
            case Linked():
                return self.linked(node)
        raise TypeError(f"not a node of the query tree: {node!r}")

    def types(self, names: Iterable[str]) -> str:
        """One of its types is one of these. Further types are asked for only where there are such."""
        names = list(names)
        plain = f"{self.alias}.type = ANY({self.bind(names)})"
        further = [name for name in names if self.is_further_type(name)]
        return f"({plain} OR {self.alias}.types && {self.bind(further)})" if further else plain

    def scope(self, pattern: str) -> str:
        if "+" in pattern or "#" in pattern:
            test = f"s ~ {self.bind(scope_pattern(pattern))}"
        else:
            test = f"s = {self.bind(pattern)}"
        return f"EXISTS (SELECT 1 FROM unnest({self.alias}.scopes) AS s WHERE {test})"

    def contains(self, text: str, attributes: Iterable[str]) -> str:
        needle = self.bind("%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%")
        tests = [f"{self.alias}.id ILIKE {needle}"]
        for name in attributes:
            if name in ENTITY_MEMBERS:
                tests.append(f"{self.alias}.{_COLUMNS[name]}::text ILIKE {needle}")
            else:
                tests.append(f"({self.plain(Order(name))} #>> '{{}}') ILIKE {needle}")
        return "(" + " OR ".join(tests) + ")"

    def linked(self, node: Linked) -> str:
        alias = f"l{self.depth}"
        inner = _Compiler(self.bound, self.is_further_type, alias, self.depth + 1)
        condition = inner.node(node.item)

        def leads(target: str) -> str:
            return f"EXISTS (SELECT 1 FROM entity AS {alias} WHERE {alias}.id = {_text(target)} AND NOT {alias}.deleted AND {condition})"

        return self.any_value(node.attribute, (), node.sub, [(_TEXT, leads)], ("object",), ("object", "objectList"))

    # --- attributes ---

    def any_instance(self, attribute: str, test: Callable[[str, tuple[str, ...]], str]) -> str:
        """`test(document, members)` on the default instance, or on any other in rows that have such."""
        body, item = f"{self.alias}.body", f"i{self.depth}"
        other = (
            f"EXISTS (SELECT 1 FROM jsonb_each({body}) AS {item} WHERE"
            f" starts_with({item}.key, {self.bind(f'{attribute} ')}) AND {test(f'{item}.value', ())})"
        )
        return f"({test(body, (attribute,))} OR ({self.alias}.many AND {other}))"

    def place(self, document: str, members: tuple[str, ...]) -> str:
        """SQL of the jsonb at a path."""
        return f"({document} #> {self.bind(list(members))})" if members else document

    def has(self, attribute: str, path: tuple[str, ...] = (), sub: tuple[str, ...] = ()) -> str:
        if attribute in ENTITY_MEMBERS:
            return f"({self.alias}.{_COLUMNS[attribute]} IS NOT NULL)"

        def test(document: str, members: tuple[str, ...]) -> str:
            return self.there(document, members, path, sub)

        return self.any_instance(attribute, test)

    def there(self, document: str, members: tuple[str, ...], path: tuple[str, ...], sub: tuple[str, ...]) -> str:
        """The target of a path is there in one instance."""
        if path == (ANY_LANGUAGE,):
            places = [(*members, *sub, "languageMap")]
        elif path:
            places = [(*members, *sub, content, *path) for content in ("value", "json", "languageMap")]
        else:
            places = [(*members, *sub)]
        return "(" + " OR ".join(f"{self.place(document, place)} IS NOT NULL" for place in places) + ")"

    def compare(self, node: Compare) -> str:
        if node.attribute in ENTITY_MEMBERS:
            return self.compare_member(node)
        if node.op not in ("!=", "!~="):
            # Clause 4.9: of a Relationship only equal and unequal are asked.
            scalars = None if node.op == "==" else ("value", "vocab")
            arrays = None if node.op == "==" else ("value", "vocab", "valueList")
            tests = self.tests_of(node.op, node.value)
            return self.any_value(node.attribute, node.path, node.sub, tests, scalars, arrays)
        tests = self.tests_of({"!=": "==", "!~=": "~="}[node.op], node.value)

        def test(document: str, members: tuple[str, ...]) -> str:
            # Clause 4.9: unequal holds for an attribute that is there with another value, not for an absent one.
            same = self.value_test(document, members, node.path, node.sub, tests)
            return f"({self.there(document, members, node.path, node.sub)} AND NOT coalesce({same}, false))"

        return self.any_instance(node.attribute, test)

    def tests_of(self, op: str, value: Any) -> list[tuple[str, Test]]:
        """(JSON type, condition) for each kind of value on the right."""
        if op == "~=":
            pattern = self.bind(str(value))
            return [(_TEXT, lambda x: f"{_text(x)} ~ {pattern}")]
        operator = {"==": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}.get(op)
        if operator is None:
            raise ValueError(f"unknown operator {op!r}")
        tests: list[tuple[str, Test]] = []
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, bool):
                if op == "==":
                    right = "'true'" if one else "'false'"
                    tests.append((_BOOLEAN, lambda x, right=right: f"{x} = {right}::jsonb"))  # type: ignore[misc]
            elif isinstance(one, int | float):
                # jsonb's own order of numbers is exact: no cast that could fail or round.
                right = self.bind(orjson.dumps(one).decode())
                tests.append((_NUMBER, lambda x, right=right: f"{x} {operator} {right}::jsonb"))  # type: ignore[misc]
            elif isinstance(one, str) and op != "==" and (moment := sortable(one)) is not None:
                right = self.bind(moment)
                tests.append((_TEXT, lambda x, right=right: f"rtrim({_text(x)}, 'Z') {operator} {right}"))  # type: ignore[misc]
            elif isinstance(one, str):
                right = self.bind(one)
                tests.append((_TEXT, lambda x, right=right: f"{_text(x)} {operator} {right}"))  # type: ignore[misc]
        return tests

    def compare_member(self, node: Compare) -> str:
        """`id`, `type`, or an instant of the entity itself."""
        column = f"{self.alias}.{_COLUMNS[node.attribute]}"
        values = list(node.value) if isinstance(node.value, list | tuple) else [node.value]
        if node.attribute.endswith("At"):
            try:
                values = [parse_instant(v) for v in values]
            except (ValueError, TypeError, OverflowError):
                return "false"
        else:
            values = [str(v) for v in values]
        if node.op in ("~=", "!~="):
            test = f"{column}::text ~ {self.bind(str(values[0]))}"
            return f"NOT {test}" if node.op == "!~=" else test
        if node.op in ("==", "!="):
            same = " OR ".join(f"{column} = {self.bind(v)}" for v in values)
            return f"NOT ({same})" if node.op == "!=" else f"({same})"
        return f"{column} {node.op} {self.bind(values[0])}"

    def any_value(
        self,
        attribute: str,
        path: tuple[str, ...],
        sub: tuple[str, ...],
        tests: list[tuple[str, Test]],
        scalars: tuple[str, ...] | None = None,
        arrays: tuple[str, ...] | None = None,
    ) -> str:
        """One of the tests holds for the target value of any instance, or for an item of it."""
        if not tests:
            return "false"

        def test(document: str, members: tuple[str, ...]) -> str:
            return self.value_test(document, members, path, sub, tests, scalars, arrays)

        return self.any_instance(attribute, test)

    def value_test(
        self,
        document: str,
        members: tuple[str, ...],
        path: tuple[str, ...],
        sub: tuple[str, ...],
        tests: list[tuple[str, Test]],
        scalars: tuple[str, ...] | None = None,
        arrays: tuple[str, ...] | None = None,
    ) -> str:
        """The tests on the target of one instance."""
        base = (*members, *sub)
        found: list[str] = []
        if sub and sub[-1] in METADATA:
            if sub[-1] in ("createdAt", "modifiedAt"):
                return self.stamp_test(members, sub, tests)
            found = self.at(document, base, tests)
        elif path == (ANY_LANGUAGE,):
            place = self.place(document, (*base, "languageMap"))
            for kind, test in tests:
                leaves = f"SELECT 1 FROM jsonb_path_query({place}, '$.** ? (@.type() == \"{kind}\")') AS t"
                found.append(f"EXISTS ({leaves} WHERE {test('t')})")
        elif path:
            for content in ("value", "json", "languageMap"):
                found += self.at(document, (*base, content, *path), tests)
                found += self.items(document, (*base, content, *path), tests)
        else:
            for kind, test in tests:
                is_text = kind == _TEXT
                chosen = (scalars or ("value", "object", "vocab")) if is_text else ("value",)
                for content in chosen:
                    found += self.at(document, (*base, content), [(kind, test)])
                if is_text and "value" in chosen:
                    # A typed value of JSON-LD: {"@type": "DateTime", "@value": "…"}.
                    found += self.at(document, (*base, "value", "@value"), [(kind, test)])
                several = arrays or ("value", "valueList", "object", "vocab", "objectList")
                for content in several if is_text else ("value", "valueList"):
                    found += self.items(document, (*base, content), [(kind, test)])
        return "(" + " OR ".join(found) + ")" if found else "false"

    def at(self, document: str, place: tuple[str, ...], tests: list[tuple[str, Test]]) -> list[str]:
        """The tests on the scalar at a place."""
        value = self.place(document, place)
        return [f"(jsonb_typeof({value}) = '{kind}' AND {test(value)})" for kind, test in tests]

    def items(self, document: str, place: tuple[str, ...], tests: list[tuple[str, Test]]) -> list[str]:
        """The tests on each item of the array at a place (clause 4.9: an array matches when one of its items does)."""
        array = self.place(document, place)
        found = []
        for kind, test in tests:
            item = "j"
            if place[-1] == "objectList":  # items are {"object": uri} or the uri itself
                item = "coalesce(j -> 'object', j)"
            # jsonb_array_elements fails on what is no array, and SQL does not promise to ask jsonb_typeof first: CASE does.
            safe = f"CASE WHEN jsonb_typeof({array}) = 'array' THEN {array} ELSE '[]'::jsonb END"
            rows = f"SELECT 1 FROM jsonb_array_elements({safe}) AS j WHERE jsonb_typeof({item}) = '{kind}' AND {test(item)}"
            found.append(f"(jsonb_typeof({array}) = 'array' AND EXISTS ({rows}))")
        return found

    def stamp(self, name: str, which: str) -> str:
        """SQL of when the default instance of an attribute was created or modified."""
        place, column = ("0", "created_at") if which == "createdAt" else ("1", "modified_at")
        return f"coalesce(({self.alias}.stamps #>> {self.bind([name, place])})::bigint, {self.alias}.{column})"

    def stamp_test(self, members: tuple[str, ...], sub: tuple[str, ...], tests: list[tuple[str, Test]]) -> str:
        """When an attribute was created or modified. Only the default instance of an attribute is looked at."""
        if len(sub) != 1 or not members:
            return "false"
        value = f"to_jsonb(madang_instant({self.stamp(members[0], sub[0])}))"
        found = [test(value) for kind, test in tests if kind == _TEXT]
        there = f"{self.place(f'{self.alias}.body', members)} IS NOT NULL"
        return f"({there} AND ({' OR '.join(found)}))" if found else "false"

    # --- order ---

    def plain(self, order: Order) -> str:
        """SQL of the plain value as jsonb."""
        name, path, sub = order.attribute, order.path, order.sub
        if sub and sub[-1] in METADATA:
            places: list[tuple[str, ...]] = [(name, *sub)]
        elif path:
            places = [(name, *sub, content, *path) for content in ("value", "json", "languageMap")]
        else:
            places = [(name, *sub, content) for content in ("value", "object", "vocab")]
        found = [self.place(f"{self.alias}.body", place) for place in places]
        return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"

    def keys(self, order: Order) -> list[str]:
        """SQL of what rows are ordered by: numbers come before text, each in its own order."""
        name, sub = order.attribute, order.sub
        if name in ENTITY_MEMBERS:
            return [f"{self.alias}.{_COLUMNS[name]}"]
        if len(sub) == 1 and sub[0] in ("createdAt", "modifiedAt"):
            there = f"{self.place(f'{self.alias}.body', (name,))} IS NOT NULL"
            return [f"CASE WHEN {there} THEN {self.stamp(name, sub[0])} END"]
        value = self.plain(order)
        kind = f"jsonb_typeof({value})"
        collation = '"und-x-icu"' if order.collated else '"C"'
        text = f"({value} #>> '{{}}')"
        if sub and sub[-1] == "observedAt":
            text = f"rtrim({text}, 'Z')"
        return [
            f"CASE WHEN {kind} IN ('number', 'boolean') THEN 0 WHEN {kind} <> 'null' THEN 1 END",
            f"CASE {kind} WHEN 'number' THEN {value} WHEN 'boolean' THEN"
            f" CASE WHEN {value} = 'true'::jsonb THEN '1'::jsonb ELSE '0'::jsonb END END",
            f"CASE WHEN {kind} NOT IN ('number', 'boolean') THEN {text} COLLATE {collation} END",
        ]


def _text(value: str) -> str:
    """SQL of a jsonb text as text that compares by code point."""
    return f"({value} #>> '{{}}') COLLATE \"C\""
