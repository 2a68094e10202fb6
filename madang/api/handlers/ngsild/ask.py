"""What a query asks for, from URL parameters (clause 6.4.3.2) or from a body (clause 5.2.23), as the query tree."""

import json
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from madang.api.handlers.ngsild.common import projection
from madang.ngsild.context import Context
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.geo import parse_geo_query
from madang.ngsild.names import check_id
from madang.ngsild.order import parse_order, place_of
from madang.ngsild.q import attributes_in, link_depth, parse_q
from madang.ngsild.query import ENTITY_MEMBERS, And, Compare, Near, Node, OfType, Or, Query, Spatial
from madang.ngsild.regular import check_regular
from madang.ngsild.render import View
from madang.ngsild.scope import parse_scope_q
from madang.ngsild.types import parse_types

SELECTORS_MAX = 100
"""Entity selectors in the body of a query."""
_SYSTEM = frozenset({"createdAt", "modifiedAt", "deletedAt", "id", "type", "scope", "expiresAt"})
_BODY_MEMBERS = frozenset(
    {
        "type",
        "entities",
        "attrs",
        "pick",
        "omit",
        "q",
        "geoQ",
        "csf",
        "temporalQ",
        "scopeQ",
        "lang",
        "containedBy",
        "join",
    }
    | {
        "joinLevel",
        "datasetId",
        "ordering",
        "jsonKeys",
        "expandValues",
        "@context",
        "entityMap",
        "splitEntities",
        "local",
    }
    | {"entityMapLifetime"}
)


class Asked(Struct, frozen=True):
    """A query with what must be checked against the view."""

    query: Query
    links: int = 0
    """How many links deep its conditions look."""

    def check_links(self, view: View) -> None:
        """Clause 5.7.2.4: conditions look no deeper than the answer goes. Raises NgsiLdError."""
        if self.links and view.join is None:
            raise NgsiLdError("looks into linked entities: add join=inline or join=flat", "q")
        if self.links > view.join_level and view.join is not None:
            raise NgsiLdError(f"looks {self.links} links deep: joinLevel says {view.join_level}", "q")


def asked_by_parameters(query: dict[str, Any], context: Context) -> Asked:
    """The query of URL parameters. Raises NgsiLdError."""
    coordinates = query.get("orderFrom")
    if coordinates is not None:
        coordinates = _json(coordinates, "orderFrom")
    ids = tuple(check_id(id_) for id_ in query.get("id") or ())
    items: list[Node] = []
    text = query.get("type")
    types = parse_types(text, lambda name: context.stored_name(name, "type")) if text else None
    if types is not None:
        items.append(types)
    pattern = None if ids else query.get("idPattern")
    if pattern is not None:
        check_regular(pattern)
    geo = (query.get("georel"), query.get("geometry"), query.get("coordinates"), query.get("geoproperty"))
    place = place_by(geo, context)
    if types is None and text and query.get("local") is False:
        raise NgsiLdError("type=* asks this broker alone, and local=false says otherwise (clause 4.17)", "type")
    order = query.get("orderBy")
    return _asked(
        query,
        context,
        items,
        place,
        ids=ids,
        pattern=pattern,
        selected=bool(text),
        order=[] if order is None else order.split(","),
        collation=query.get("collation"),
        order_place=place_of(coordinates, query.get("orderFromGeometry")),
    )


def asked_by_body(document: Any, parameters: dict[str, Any], context: Context) -> tuple[dict[str, Any], Asked]:
    """(parameters with those of the body, the query). Raises NgsiLdError."""
    if not isinstance(document, dict) or document.get("type") != "Query":
        raise NgsiLdError('must be a JSON object with "type": "Query" (clause 5.2.23)', "type")
    if "temporalQ" in document:
        raise NgsiLdError("is for POST /temporal/entityOperations/query", "temporalQ")
    unknown = document.keys() - _BODY_MEMBERS
    if unknown:
        raise NgsiLdError(
            f"is not known in a Query; known: {', '.join(sorted(_BODY_MEMBERS))}", sorted(unknown)[0][:80]
        )
    query = dict(parameters)
    for name in ("attrs", "datasetId", "containedBy", "expandValues", "jsonKeys"):
        if name in document:
            query[name] = texts_of(document[name], name)
    for name in ("pick", "omit"):
        if name in document:
            query[name] = ",".join(texts_of(document[name], name))
    for name in ("q", "scopeQ", "csf", "lang", "join"):
        if name in document:
            query[name] = text_of(document[name], name)
    if "joinLevel" in document:
        level = document["joinLevel"]
        if isinstance(level, bool) or not isinstance(level, int):
            raise NgsiLdError("must be a whole number", "joinLevel")
        query["joinLevel"] = level
    take_map_members(document, query)
    items: list[Node] = []
    selected = False
    if "entities" in document:
        items.append(selectors_of(document["entities"], context))
        selected = True
    place = geo_of(document["geoQ"], context) if "geoQ" in document else None
    ordering = document.get("ordering", {})
    if not isinstance(ordering, dict):
        raise NgsiLdError("must be an object (clause 5.2.43)", "ordering")
    asked = _asked(
        query,
        context,
        items,
        place,
        selected=selected,
        order=texts_of(ordering["orderBy"], "ordering.orderBy") if "orderBy" in ordering else [],
        collation=text_of(ordering["collation"], "collation") if "collation" in ordering else None,
        order_place=place_of(ordering.get("coordinates"), ordering.get("geometry")),
    )
    return query, asked


def take_map_members(document: dict[str, Any], query: dict[str, Any]) -> None:
    """Put what a query's body says of entity maps among its parameters. Raises NgsiLdError."""
    if "entityMap" in document:
        if not isinstance(document["entityMap"], bool):
            raise NgsiLdError("must be true or false", "entityMap")
        query["entityMap"] = document["entityMap"]
    if "entityMapLifetime" in document:
        query["entityMapLifetime"] = text_of(document["entityMapLifetime"], "entityMapLifetime")


def _asked(
    query: dict[str, Any],
    context: Context,
    items: list[Node],
    place: Near | Spatial | None,
    *,
    ids: tuple[str, ...] = (),
    pattern: str | None = None,
    selected: bool,
    order: Sequence[str],
    collation: str | None,
    order_place: dict[str, Any] | None,
) -> Asked:
    attributes = tuple(context.stored_name(name, "attrs") for name in query.get("attrs") or ())
    picked = projection(query, "pick", context)
    if picked is not None and not picked.names.keys() & _SYSTEM:
        # Clause 5.7.2.4: an entity of which nothing is left is not in the answer.
        attributes = tuple(picked.names)
    links = 0
    narrow = selected or place is not None or any(name not in _SYSTEM for name in attributes) or query.get("local")
    if query.get("q") is not None:
        expanded = [context.stored_name(name, "expandValues") for name in query.get("expandValues") or ()]
        node = parse_q(query["q"], context, expanded)
        links = link_depth(node)
        narrow = narrow or bool(attributes_in(node) - _SYSTEM)
        items = [*items, node]
    if query.get("scopeQ") is not None:
        items = [*items, parse_scope_q(query["scopeQ"])]
    if query.get("csf") is not None:
        parse_q(query["csf"], context)  # for context sources; here only its form is looked at
    if not narrow:
        raise NgsiLdError(
            "too wide: name at least one of type, attrs, q, georel, or local=true (clause 5.7.2.4)", "query"
        )

    def stored(name: str) -> str:
        return name if name in ENTITY_MEMBERS else context.stored_name(name, "orderBy")

    return Asked(
        Query(
            ids=ids,
            id_pattern=pattern,
            attributes=tuple(name for name in attributes if name not in _SYSTEM),
            where=None if not items else items[0] if len(items) == 1 else And(tuple(items)),
            place=place,
            order=parse_order(order, stored, collation=collation, place=order_place),
        ),
        links,
    )


def selectors_of(value: Any, context: Context) -> Node:
    """Entity selectors (clause 5.2.33): any of them."""
    if not isinstance(value, list) or not 1 <= len(value) <= SELECTORS_MAX:
        raise NgsiLdError(f"must be an array of 1 to {SELECTORS_MAX} selectors", "entities")
    nodes = [_selector(item, f"entities[{place}]", context) for place, item in enumerate(value)]
    if all(isinstance(node, OfType) for node in nodes):
        nodes = list(dict.fromkeys(nodes))
    return nodes[0] if len(nodes) == 1 else Or(tuple(nodes))


def _selector(value: Any, where: str, context: Context) -> Node:
    if not isinstance(value, dict):
        raise NgsiLdError("must be an object", where)
    items: list[Node] = []
    text = value.get("type")
    if not isinstance(text, str) or not text:
        raise NgsiLdError("is missing: a selector names a type (clause 5.2.33)", f"{where}.type")
    types = parse_types(text, lambda name: context.stored_name(name, f"{where}.type"))
    if types is not None:
        items.append(types)
    if "id" in value:
        ids = value["id"] if isinstance(value["id"], list) else [value["id"]]
        items.append(Compare("id", "==", [check_id(id_, f"{where}.id") for id_ in ids]))
    elif "idPattern" in value:
        pattern = text_of(value["idPattern"], f"{where}.idPattern")
        check_regular(pattern)
        items.append(Compare("id", "~=", pattern))
    return items[0] if len(items) == 1 else And(tuple(items))


def geo_of(value: Any, context: Context) -> Near | Spatial | None:
    """A geo-query in a body (clause 5.2.13)."""
    if not isinstance(value, dict):
        raise NgsiLdError("must be an object (clause 5.2.13)", "geoQ")
    for name in ("georel", "geometry", "geoproperty"):
        if name in value:
            text_of(value[name], f"geoQ.{name}")
    return place_by(
        (value.get("georel"), value.get("geometry"), value.get("coordinates"), value.get("geoproperty")), context
    )


def place_by(geo: tuple[Any, Any, Any, Any], context: Context) -> Near | Spatial | None:
    """The geo-query of (georel, geometry, coordinates, geoproperty); None without any. Raises NgsiLdError."""
    georel, geometry, coordinates, geoproperty = geo
    if geoproperty is not None:
        geoproperty = context.stored_name(geoproperty, "geoproperty")
    return parse_geo_query(georel, geometry, coordinates, geoproperty)


def _json(text: str, where: str) -> Any:

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise NgsiLdError("must be a JSON array such as [126.5,33.4]", where) from None


def text_of(value: Any, where: str) -> str:
    """A member that must be a text. Raises NgsiLdError."""
    if not isinstance(value, str):
        raise NgsiLdError("must be a text", where)
    return value


def texts_of(value: Any, where: str) -> list[str]:
    """A member that must be a text or an array of texts. Raises NgsiLdError."""
    items = value if isinstance(value, list) else [value]
    if not items:
        raise NgsiLdError("is an empty array", where)
    return [text_of(item, where) for item in items]
