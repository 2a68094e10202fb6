"""The query tree as SQL text plus bound parameters. Values never enter the text; names of attributes are bound as JSON paths."""

from collections.abc import Callable
from typing import Any

import orjson
from shapely import prepare as prepare_geometry
from shapely import transform
from shapely.geometry import Point, shape
from shapely.geometry.base import BaseGeometry

from madang.model.geometry import Plane
from madang.ngsild.query import And, Between, Compare, Contains, Exists, Near, Node, Not, Or, Query, Spatial

PLACE_FUNCTION = "madang_place"
"""Name of the SQL function that decides on a geometry; its Python side is `Compiled.place_test`."""

PlaceTest = Callable[[float | None, float | None, str], bool]
"""(lon, lat, body as JSON) -> does the entity's geometry satisfy the query's place?"""

_DEGREES_PER_M = 1 / 110_000
"""Generous: turns metres into a bounding box in degrees that is never too small (near the poles see `_box_of`)."""


class Compiled:
    """SQL of a query: `where` and `order`, each with its bound values, and the place test where the query has a place."""

    __slots__ = ("order", "order_values", "place_test", "where", "where_values")

    def __init__(
        self, where: str, where_values: list[Any], order: str, order_values: list[Any], place_test: PlaceTest | None
    ) -> None:
        self.where = where
        self.where_values = where_values
        self.order = order
        self.order_values = order_values
        self.place_test = place_test


def compile_query(query: Query) -> Compiled:
    """Compile the whole query against table ``entity`` (alias ``e``). Raises ValueError for a geometry that is none."""
    parts: list[str] = ["e.deleted = 0"]
    parameters: list[Any] = []

    def bind(value: Any) -> str:
        parameters.append(value)
        return "?"

    if query.types:
        parts.append(f"e.type IN ({', '.join(bind(t) for t in query.types)})")
    if query.ids:
        parts.append(f"e.id IN ({', '.join(bind(i) for i in query.ids)})")
    if query.id_pattern is not None:
        parts.append(f"e.id REGEXP {bind(query.id_pattern)}")
    if query.attributes:
        tests = [f"json_type(e.body, {bind(_path(a))}) IS NOT NULL" for a in query.attributes]
        parts.append("(" + " OR ".join(tests) + ")")
    if query.where is not None:
        parts.append(_node(query.where, bind))
    place_test: PlaceTest | None = None
    if query.place is not None:
        box, place_test = _place(query.place)
        if box is not None and query.place.property == "location":  # only `location` is in the R*Tree
            west, south, east, north = box
            parts.append(
                f"e.no IN (SELECT no FROM entity_place WHERE east >= {bind(west)} AND west <= {bind(east)}"
                f" AND north >= {bind(south)} AND south <= {bind(north)})"
            )
        parts.append(f"{PLACE_FUNCTION}(e.lon, e.lat, e.body)")
    if query.after is not None:
        parts.append(f"e.id > {bind(query.after)}")
    order = "e.id"
    where_count = len(parameters)
    if query.sort is not None:
        descending = query.sort.startswith("-")
        name = query.sort.lstrip("-")
        direction = "DESC" if descending else "ASC"
        expression = "e.id" if name == "id" else f"{_value(bind, name)}"
        order = f"{expression} {direction} NULLS LAST, e.id"
    return Compiled(" AND ".join(parts), parameters[:where_count], order, parameters[where_count:], place_test)


def _path(attribute: str, *members: str) -> str:
    """A JSON path of quoted members; a quote cannot stand in an attribute name that the parser let through."""
    return "$" + "".join('."' + m.replace('"', "") + '"' for m in (attribute, *members))


_METADATA = frozenset({"observedAt", "unitCode", "datasetId", "expiresAt", "lang"})
"""Members of an attribute that are plain values, not sub-attributes."""


def _places(attribute: str, path: tuple[str, ...] = (), sub: tuple[str, ...] = ()) -> tuple[str, ...]:
    """JSON paths where the value may stand, the first that is there counts: value, else the object of a Relationship."""
    if sub and sub[-1] in _METADATA:
        return (_path(attribute, *sub),)
    if path:
        return (_path(attribute, *sub, "value", *path),)
    return _path(attribute, *sub, "value"), _path(attribute, *sub, "object")


def _value(bind: Callable[[Any], str], attribute: str, path: tuple[str, ...] = (), sub: tuple[str, ...] = ()) -> str:
    """SQL for the plain value of an attribute."""
    found = [f"json_extract(e.body, {bind(place)})" for place in _places(attribute, path, sub)]
    return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"


_SQL_OPERATORS = {"==": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def _plain(value: Any) -> Any:
    """JSON's true and false come out of json_extract as 1 and 0."""
    return int(value) if isinstance(value, bool) else value


def _kind_guard(value: Any, expression: str) -> str:
    """Numbers compare with numbers and text with text (clause 4.9: a value of another type never matches)."""
    if isinstance(value, int | float):
        return f"typeof({expression}) IN ('integer', 'real')"
    return f"typeof({expression}) = 'text'"


def _node(node: Node, bind: Callable[[Any], str]) -> str:
    match node:
        case And(items):
            return "(" + " AND ".join(_node(i, bind) for i in items) + ")" if items else "1"
        case Or(items):
            return "(" + " OR ".join(_node(i, bind) for i in items) + ")" if items else "0"
        case Not(item):
            return f"NOT coalesce({_node(item, bind)}, 0)"
        case Exists(attribute, path, sub):
            place = _places(attribute, path, sub)[0] if path else _path(attribute, *sub)
            return f"(json_type(e.body, {bind(place)}) IS NOT NULL)"
        case Contains(text, attributes):
            needle = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            tests = [f"e.id LIKE {bind(needle)} ESCAPE '\\'"]
            tests += [f"{_value(bind, a)} LIKE {bind(needle)} ESCAPE '\\'" for a in attributes]
            return "(" + " OR ".join(tests) + ")"
        case Between(attribute, low, high, path, sub):
            guard = _kind_guard(low, _value(bind, attribute, path, sub))
            value = _value(bind, attribute, path, sub)
            return f"({guard} AND {value} BETWEEN {bind(_plain(low))} AND {bind(_plain(high))})"
        case Compare():
            return _compare(node, bind)
    raise TypeError(f"not a node of the query tree: {node!r}")


def _compare(node: Compare, bind: Callable[[Any], str]) -> str:
    attribute, op, path, sub = node.attribute, node.op, node.path, node.sub
    if op in ("!=", "!~="):
        # Clause 4.9: unequal holds for an attribute that is there with another value, not for an absent one.
        exists = _node(Exists(attribute, path, sub), bind)
        opposite = Compare(attribute, {"!=": "==", "!~=": "~="}[op], node.value, path, sub)
        return f"({exists} AND NOT coalesce({_compare(opposite, bind)}, 0))"
    if op == "~=":
        return f"({_value(bind, attribute, path, sub)} REGEXP {bind(str(node.value))})"
    if op not in _SQL_OPERATORS:
        raise ValueError(f"unknown operator {op!r}")
    values = list(node.value) if isinstance(node.value, list | tuple) else [node.value]
    booleans = [v for v in values if isinstance(v, bool)] if op == "==" else []
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    texts = [v for v in values if isinstance(v, str)]
    tests: list[str] = []
    for group, kinds in ((numbers, "'integer', 'real'"), (texts, "'text'")):
        if group:
            kind = f"typeof({_value(bind, attribute, path, sub)}) IN ({kinds})"
            tests.append(f"({kind} AND {_value(bind, attribute, path, sub)} {_against(op, group, bind)})")
    for place in _places(attribute, path, sub):
        # A boolean equals only a boolean: json_type tells them from 1 and 0.
        tests += [f"(json_type(e.body, {bind(place)}) = {bind('true' if v else 'false')})" for v in booleans]
        for group, kinds in ((numbers, "'integer', 'real'"), (texts, "'text'")):
            if group:
                # Clause 4.9: a value that is an array matches when one of its elements does.
                is_array = f"json_type(e.body, {bind(place)}) = 'array'"
                elements = f"SELECT 1 FROM json_each(e.body, {bind(place)}) AS j WHERE j.type IN ({kinds})"
                tests.append(f"({is_array} AND EXISTS ({elements} AND j.value {_against(op, group, bind)}))")
    return "(" + " OR ".join(tests) + ")" if tests else "0"


def _against(op: str, values: list[Any], bind: Callable[[Any], str]) -> str:
    """The right side: the operator and the bound value, or any of several."""
    if len(values) == 1:
        return f"{_SQL_OPERATORS[op]} {bind(values[0])}"
    return f"IN ({', '.join(bind(v) for v in values)})"


# --- places ---

_RELATIONS: dict[str, Callable[[BaseGeometry, BaseGeometry], bool]] = {
    "within": lambda mine, asked: bool(mine.within(asked)),
    "contains": lambda mine, asked: bool(mine.contains(asked)),
    "intersects": lambda mine, asked: bool(mine.intersects(asked)),
    "equals": lambda mine, asked: bool(mine.equals(asked)),
    "disjoint": lambda mine, asked: bool(mine.disjoint(asked)),
    "overlaps": lambda mine, asked: bool(mine.overlaps(asked)),
}


def _place(place: Near | Spatial) -> tuple[tuple[float, float, float, float] | None, PlaceTest]:
    """A bounding box that holds every candidate (None: no bound), and the exact test."""
    asked = shape(place.geometry)
    if asked.is_empty:
        raise ValueError("the geometry of the query is empty")
    prepare_geometry(asked)
    name = place.property
    if isinstance(place, Spatial):
        relation = _RELATIONS.get(place.relation)
        if relation is None:
            raise ValueError(f"unknown georel {place.relation!r}; known: {', '.join(sorted(_RELATIONS))}")

        def test_relation(lon: float | None, lat: float | None, body: str) -> bool:
            mine = _geometry(name, lon, lat, body)
            return mine is not None and relation(mine, asked)

        return (None if place.relation == "disjoint" else tuple(asked.bounds)), test_relation
    centre = asked.centroid
    plane = Plane((centre.x, centre.y))
    asked_xy = _on_plane(asked, plane)
    low = place.minimum_m if place.minimum_m is not None else -1.0
    high = place.maximum_m if place.maximum_m is not None else float("inf")

    def test_near(lon: float | None, lat: float | None, body: str) -> bool:
        mine = _geometry(name, lon, lat, body)
        if mine is None:
            return False
        return low <= float(_on_plane(mine, plane).distance(asked_xy)) <= high

    return (None if place.maximum_m is None else _box_of(asked, place.maximum_m)), test_near


def _box_of(asked: BaseGeometry, radius_m: float) -> tuple[float, float, float, float] | None:
    west, south, east, north = asked.bounds
    margin = radius_m * _DEGREES_PER_M
    widest = max(abs(south), abs(north)) + margin
    if widest > 80:
        return None
    # One degree of longitude at 80 degrees is 1/5.8 of one at the equator.
    factor = 1.0 if widest < 30 else (2.0 if widest < 60 else 5.8)
    return west - margin * factor, south - margin, east + margin * factor, north + margin


def _on_plane(geometry: BaseGeometry, plane: Plane) -> BaseGeometry:
    if geometry.geom_type == "Point":
        return Point(*plane.to_xy((geometry.x, geometry.y)))

    def project(coordinates: Any) -> Any:
        moved = coordinates.copy()
        for i, (lon, lat) in enumerate(coordinates):
            moved[i] = plane.to_xy((lon, lat))
        return moved

    return transform(geometry, project)


def _geometry(name: str, lon: float | None, lat: float | None, body: str) -> BaseGeometry | None:
    """The entity's geometry; a point location is known from its columns without parsing the body."""
    if name == "location" and lon is not None and lat is not None:
        return Point(lon, lat)
    attribute = orjson.loads(body).get(name)
    if not isinstance(attribute, dict) or not isinstance(attribute.get("value"), dict):
        return None
    return shape(attribute["value"])
