"""The query tree as SQL text plus bound parameters. Values never enter the text; names of attributes are bound as JSON paths.

Parameters are numbered (``?1``, ``?2`` …), so that a value may stand in several places of the text. An attribute's default instance is
reached by its JSON path; other instances are looked at only in rows that have such (`entity.many`).
"""

from collections.abc import Callable, Iterable
from typing import Any

from madang.model.geometry import Box, Plane
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
    Near,
    Node,
    Not,
    OfType,
    Or,
    Order,
    Query,
)
from madang.ngsild.scope import scope_pattern
from madang.stores.sqlite.places import (
    DISTANCE_FUNCTION,
    PLACE_FUNCTION,
    Measure,
    PlaceTest,
    is_small,
    measure,
    place_test_of,
)

COLLATE_FUNCTION = "madang_collate"
"""Name of the SQL function that gives the key by which people sort a text."""
INSTANT_FUNCTION = "madang_instant"
"""Name of the SQL function that writes an instant as RFC 3339 text."""
Test = Callable[[str], str]
"""SQL of a value -> SQL of a condition on it."""

_NUMBER, _TEXT = "'integer', 'real'", "'text'"
_COLUMNS = {
    "id": "id",
    "type": "type",
    "createdAt": "created_at",
    "modifiedAt": "modified_at",
    "expiresAt": "expires_at",
}


class Compiled:
    """SQL of a query: `where` and `order` with their bound values (those of `where` come first), and the tests of its places."""

    __slots__ = ("measures", "order", "place_test", "values", "where", "where_count")

    def __init__(self) -> None:
        self.where = ""
        self.order = ""
        self.values: list[Any] = []
        self.where_count = 0
        self.place_test: PlaceTest | None = None
        self.measures: list[Measure] = []


def compile_query(query: Query, is_further_type: Callable[[str], bool]) -> Compiled:
    """Compile the whole query against table ``entity`` (alias ``e``). `is_further_type` tells whether any entity has the type as its
    second or a later one. Raises ValueError for a geometry that is none."""
    compiled = Compiled()
    compiler = _Compiler(compiled.values, is_further_type)
    bind = compiler.bind
    box: Box | None = None
    if query.place is not None:
        box, compiled.place_test = place_test_of(query.place)
        if box is not None and query.place.property == "location" and is_small(box):
            # Few stand in a small box: it leads, and the index of types is left aside.
            compiler.type_column = "+e.type"
    parts: list[str] = ["e.deleted = 0"]
    if query.types:
        parts.append(compiler.types(query.types))
    if query.ids:
        parts.append(f"e.id IN ({compiler.listed(query.ids)})")
    if query.id_pattern is not None:
        parts.append(f"e.id REGEXP {bind(query.id_pattern)}")
    if query.attributes:
        parts.append("(" + " OR ".join(compiler.has(name) for name in query.attributes) + ")")
    if query.where is not None:
        parts.append(compiler.node(query.where))
    if query.place is not None:
        if box is not None and query.place.property == "location":  # only `location` is in the R*Tree
            west, south, east, north = box
            parts.append(
                f"e.no IN (SELECT no FROM entity_place WHERE east >= {bind(west)} AND west <= {bind(east)}"
                f" AND north >= {bind(south)} AND south <= {bind(north)})"
            )
        exact = f"{PLACE_FUNCTION}(e.lon, e.lat, e.body)"
        if (
            isinstance(query.place, Near)
            and query.place.property == "location"
            and query.place.geometry["type"] == "Point"
        ):
            # Between two points the distance is arithmetic: a hundred times cheaper than asking for it.
            exact = f"CASE WHEN e.lon IS NULL OR e.many THEN {exact} ELSE {compiler.near(query.place)} END"
        parts.append(exact)
    if query.alive_at is not None:
        parts.append(f"(e.expires_at IS NULL OR e.expires_at > {bind(query.alive_at)})")
    for operator, instant in zip((">=", "<="), query.observed or (), strict=False):
        if instant is not None:
            parts.append(f"e.observed_at {operator} {bind(instant)}")
    if query.after is not None:
        parts.append(f"e.id > {bind(query.after)}")
    compiled.where = " AND ".join(parts)
    compiled.where_count = len(compiled.values)
    keys = []
    for order in query.order:
        direction = "DESC" if order.descending else "ASC"
        if isinstance(order, ByDistance):
            keys.append(f"{DISTANCE_FUNCTION}({len(compiled.measures)}, e.lon, e.lat, e.body) {direction} NULLS LAST")
            compiled.measures.append(measure(order))
        else:
            keys.append(f"{compiler.key(order)} {direction} NULLS LAST")
    last = "e.id"
    if compiler.type_column.startswith("+"):
        # With a small box the rows are few: sort them instead of walking an index in order. By number they need no sorting, and not all
        # of them are read: the list of numbers in the box is walked in its own order until the page is full.
        last = "e.no" if query.any_order and query.after is None and not keys else "+e.id"
    compiled.order = ", ".join([*keys, last])
    return compiled


def _path(members: Iterable[str]) -> str:
    """A JSON path of quoted members; a quote cannot stand in an attribute name that the parser let through."""
    return "$" + "".join('."' + m.replace('"', "") + '"' for m in members)


class _Compiler:
    """Conditions on one alias of table ``entity``; `values` gets what is bound."""

    def __init__(
        self, values: list[Any], is_further_type: Callable[[str], bool], alias: str = "e", depth: int = 0
    ) -> None:
        self.values = values
        self.is_further_type = is_further_type
        self.alias = alias
        self.depth = depth
        self.type_column = f"{alias}.type"

    def bind(self, value: Any) -> str:
        self.values.append(value)
        return f"?{len(self.values)}"

    def listed(self, values: Iterable[Any]) -> str:
        return ", ".join(self.bind(value) for value in values)

    def near(self, place: Near) -> str:
        """The distance between two points, on the same plane as the exact test (`madang.model.geometry.Plane`)."""
        lon, lat = place.geometry["coordinates"][:2]
        kx, ky = Plane((lon, lat)).to_xy((lon + 1.0, lat + 1.0))
        x = f"(({self.alias}.lon - {self.bind(lon)}) * {self.bind(kx)})"
        y = f"(({self.alias}.lat - {self.bind(lat)}) * {self.bind(ky)})"
        square = f"({x} * {x} + {y} * {y})"
        tests = []
        if place.maximum_m is not None:
            tests.append(f"{square} <= {self.bind(place.maximum_m**2)}")
        if place.minimum_m is not None:
            tests.append(f"{square} >= {self.bind(place.minimum_m**2)}")
        return "(" + " AND ".join(tests or ["1"]) + ")"

    # --- nodes ---

    def node(self, node: Node) -> str:
        match node:
            case And(items):
                return "(" + " AND ".join(self.node(i) for i in items) + ")" if items else "1"
            case Or(items):
                if items and all(isinstance(i, OfType) for i in items):
                    return self.types([i.name for i in items if isinstance(i, OfType)])
                return "(" + " OR ".join(self.node(i) for i in items) + ")" if items else "0"
            case Not(item):
                return f"NOT coalesce({self.node(item)}, 0)"
            case OfType(name):
                return self.types([name])
            case InScope(pattern):
                return self.scope(pattern)
            case Exists(attribute, path, sub):
                return self.has(attribute, path, sub)
            case Contains(text, attributes):
                return self.contains(text, attributes)
            case Between(attribute, low, high, path, sub) if attribute in ENTITY_MEMBERS:
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
        """One of its types is one of these. Rows of further types are asked for only where there are such."""
        names = list(names)
        plain = f"{self.type_column} IN ({self.listed(names)})"
        further = [name for name in names if self.is_further_type(name)]
        if not further:
            return plain
        rows = f"SELECT no FROM entity_type WHERE type IN ({self.listed(further)})"
        return f"({plain} OR {self.alias}.no IN ({rows}))"

    def scope(self, pattern: str) -> str:
        if "+" in pattern or "#" in pattern:
            test = f"s.value REGEXP {self.bind(scope_pattern(pattern))}"
        else:
            test = f"s.value = {self.bind(pattern)}"
        return f"EXISTS (SELECT 1 FROM json_each({self.alias}.scopes) AS s WHERE {test})"

    def contains(self, text: str, attributes: Iterable[str]) -> str:
        needle = self.bind("%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%")
        tests = [f"{self.alias}.id LIKE {needle} ESCAPE '\\'"]
        tests += [f"{self.key(Order(name))} LIKE {needle} ESCAPE '\\'" for name in attributes]
        return "(" + " OR ".join(tests) + ")"

    def linked(self, node: Linked) -> str:
        alias = f"l{self.depth}"
        inner = _Compiler(self.values, self.is_further_type, alias, self.depth + 1)
        condition = inner.node(node.item)

        def leads(target: str) -> str:
            return f"EXISTS (SELECT 1 FROM entity AS {alias} WHERE {alias}.id = {target} AND {alias}.deleted = 0 AND {condition})"

        return self.any_value(node.attribute, (), node.sub, [(_TEXT, leads)], ("object",), ("object", "objectList"))

    # --- attributes ---

    def any_instance(self, attribute: str, test: Callable[[str, tuple[str, ...]], str]) -> str:
        """`test(document, members)` on the default instance, or on any other in rows that have such."""
        body = f"{self.alias}.body"
        item = f"i{self.depth}"
        begins = f"{attribute} "
        other = (
            f"EXISTS (SELECT 1 FROM json_each({body}) AS {item} WHERE"
            f" substr({item}.key, 1, {self.bind(len(begins))}) = {self.bind(begins)} AND {test(f'{item}.value', ())})"
        )
        return f"({test(body, (attribute,))} OR ({self.alias}.many AND {other}))"

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
        tests = [f"json_type({document}, {self.bind(_path(place))}) IS NOT NULL" for place in places]
        return "(" + " OR ".join(tests) + ")"

    def compare(self, node: Compare) -> str:
        if node.attribute in ENTITY_MEMBERS:
            return self.compare_member(node)
        negative = node.op in ("!=", "!~=")
        if not negative:
            # Clause 4.9: of a Relationship only equal and unequal are asked.
            scalars = None if node.op == "==" else ("value", "vocab")
            arrays = None if node.op == "==" else ("value", "vocab", "valueList")
            tests = self.tests_of(node.op, node.value)
            return self.any_value(node.attribute, node.path, node.sub, tests, scalars, arrays)
        tests = self.tests_of({"!=": "==", "!~=": "~="}[node.op], node.value)

        def test(document: str, members: tuple[str, ...]) -> str:
            # Clause 4.9: unequal holds for an attribute that is there with another value, not for an absent one.
            same = self.value_test(document, members, node.path, node.sub, tests)
            return f"({self.there(document, members, node.path, node.sub)} AND NOT coalesce({same}, 0))"

        return self.any_instance(node.attribute, test)

    def tests_of(self, op: str, value: Any) -> list[tuple[str, Test]]:
        """(JSON types, condition) for each kind of value on the right."""
        if op == "~=":
            pattern = self.bind(str(value))
            return [(_TEXT, lambda x: f"{x} REGEXP {pattern}")]
        operator = {"==": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}.get(op)
        if operator is None:
            raise ValueError(f"unknown operator {op!r}")
        values = list(value) if isinstance(value, list | tuple) else [value]
        tests: list[tuple[str, Test]] = []
        if op == "==":
            # A boolean equals only a boolean: json_type tells them from 1 and 0.
            tests += [("'true'" if v else "'false'", lambda x: "1") for v in values if isinstance(v, bool)]
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        texts = [v for v in values if isinstance(v, str)]
        for kind, group in ((_NUMBER, numbers), (_TEXT, texts)):
            moment = sortable(texts[0]) if group is texts and len(texts) == 1 and op != "==" else None
            if moment is not None:
                right = f"{operator} {self.bind(moment)}"
                tests.append((kind, lambda x, right=right: f"rtrim({x}, 'Z') {right}"))  # type: ignore[misc]
            elif len(group) == 1:
                right = f"{operator} {self.bind(group[0])}"
                tests.append((kind, lambda x, right=right: f"{x} {right}"))  # type: ignore[misc]
            elif group:
                right = f"IN ({self.listed(group)})"
                tests.append((kind, lambda x, right=right: f"{x} {right}"))  # type: ignore[misc]
        return tests

    def compare_member(self, node: Compare) -> str:
        """`id`, `type`, or an instant of the entity itself."""
        column = f"{self.alias}.{_COLUMNS[node.attribute]}"
        values = list(node.value) if isinstance(node.value, list | tuple) else [node.value]
        if node.attribute.endswith("At"):
            try:
                values = [parse_instant(v) for v in values]
            except (ValueError, TypeError, OverflowError):
                return "0"
        if node.op in ("~=", "!~="):
            test = f"{column} REGEXP {self.bind(str(values[0]))}"
            return f"NOT {test}" if node.op == "!~=" else test
        if node.op in ("==", "!="):
            return f"{column} {'NOT ' if node.op == '!=' else ''}IN ({self.listed(values)})"
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
            return "0"

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
        if sub and sub[-1] in METADATA:
            if sub[-1] in ("createdAt", "modifiedAt"):
                return self.stamp_test(members, sub, tests)
            return "(" + " OR ".join(self.at(document, (*members, *sub), tests)) + ")"
        base = (*members, *sub)
        found: list[str] = []
        if path == (ANY_LANGUAGE,):
            place = self.bind(_path((*base, "languageMap")))
            for kind, test in tests:
                leaves = f"SELECT 1 FROM json_tree({document}, {place}) AS t WHERE t.type IN ({kind})"
                found.append(f"EXISTS ({leaves} AND {test('t.value')})")
            return "(" + " OR ".join(found) + ")" if found else "0"
        if path:
            for content in ("value", "json", "languageMap"):
                found += self.at(document, (*base, content, *path), tests)
                found += self.items(document, (*base, content, *path), tests)
            return "(" + " OR ".join(found) + ")" if found else "0"
        for kind, test in tests:
            chosen = (scalars or ("value", "object", "vocab")) if kind == _TEXT else ("value",)
            for content in chosen:
                found += self.at(document, (*base, content), [(kind, test)])
            if kind == _TEXT and "value" in chosen:
                # A typed value of JSON-LD: {"@type": "DateTime", "@value": "…"}.
                found += self.at(document, (*base, "value", "@value"), [(kind, test)])
            several = arrays or ("value", "valueList", "object", "vocab", "objectList")
            for content in several if kind == _TEXT else ("value", "valueList"):
                found += self.items(document, (*base, content), [(kind, test)])
        return "(" + " OR ".join(found) + ")" if found else "0"

    def at(self, document: str, place: tuple[str, ...], tests: list[tuple[str, Test]]) -> list[str]:
        """The tests on the scalar at a place."""
        path = self.bind(_path(place))
        value = f"json_extract({document}, {path})"
        return [f"(json_type({document}, {path}) IN ({kind}) AND {test(value)})" for kind, test in tests]

    def items(self, document: str, place: tuple[str, ...], tests: list[tuple[str, Test]]) -> list[str]:
        """The tests on each item of the array at a place (clause 4.9: an array matches when one of its items does)."""
        path = self.bind(_path(place))
        found = []
        for kind, test in tests:
            value = "j.value"
            guard = f"j.type IN ({kind})"
            if place[-1] == "objectList":  # items are {"object": uri} or the uri itself
                value = "CASE j.type WHEN 'object' THEN json_extract(j.value, '$.object') ELSE j.value END"
                guard = f"j.type IN ({kind}, 'object')"
            rows = f"SELECT 1 FROM json_each({document}, {path}) AS j WHERE {guard} AND {test(value)}"
            found.append(f"(json_type({document}, {path}) = 'array' AND EXISTS ({rows}))")
        return found

    def stamp_test(self, members: tuple[str, ...], sub: tuple[str, ...], tests: list[tuple[str, Test]]) -> str:
        """When an attribute was created or modified. Only the default instance of an attribute is looked at."""
        if len(sub) != 1 or not members:
            return "0"
        place, column = ("[0]", "created_at") if sub[0] == "createdAt" else ("[1]", "modified_at")
        stamp = f"json_extract({self.alias}.stamps, {self.bind(_path(members) + place)})"
        text = f"{INSTANT_FUNCTION}(coalesce({stamp}, {self.alias}.{column}))"
        there = f"json_type({self.alias}.body, {self.bind(_path(members))}) IS NOT NULL"
        found = [test(text) for kind, test in tests if kind == _TEXT]
        return f"({there} AND ({' OR '.join(found)}))" if found else "0"

    def key(self, order: Order) -> str:
        """SQL of what rows are ordered by."""
        name, path, sub = order.attribute, order.path, order.sub
        if name in ENTITY_MEMBERS:
            return f"{self.alias}.{_COLUMNS[name]}"
        body = f"{self.alias}.body"
        if sub and sub[-1] in ("createdAt", "modifiedAt") and len(sub) == 1:
            place, column = ("[0]", "created_at") if sub[0] == "createdAt" else ("[1]", "modified_at")
            there = f"json_type({body}, {self.bind(_path((name,)))}) IS NOT NULL"
            stamp = f"json_extract({self.alias}.stamps, {self.bind(_path((name,)) + place)})"
            return f"CASE WHEN {there} THEN coalesce({stamp}, {self.alias}.{column}) END"
        if sub and sub[-1] in METADATA:
            places: list[tuple[str, ...]] = [(name, *sub)]
        elif path:
            places = [(name, *sub, content, *path) for content in ("value", "json", "languageMap")]
        else:
            places = [(name, *sub, content) for content in ("value", "object", "vocab")]
        found = [f"json_extract({body}, {self.bind(_path(place))})" for place in places]
        value = found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"
        if sub and sub[-1] == "observedAt":
            return f"rtrim({value}, 'Z')"
        return f"{COLLATE_FUNCTION}({value})" if order.collated else value
