"""Geo-queries in PostGIS: the box that the GiST index answers, the exact test, and the distance to a point.

Relations are computed in degrees, distances on the same plane as everywhere in Madang (`madang.ngsild.place`): degrees scaled to metres
around the place asked about. So every store, and a subscription that is judged in memory, gives the same answer.
"""

from collections.abc import Callable
from typing import Any

import orjson
from shapely.geometry import shape

from madang.model.geometry import Plane
from madang.ngsild.query import ByDistance, Near, Spatial
from madang.stores.boxes import box_around

Bind = Callable[[Any], str]

_RELATIONS = {
    "within": "ST_Within",
    "contains": "ST_Contains",
    "intersects": "ST_Intersects",
    "equals": "ST_Equals",
    "disjoint": "ST_Disjoint",
    "overlaps": "ST_Overlaps",
}


def place_sql(place: Near | Spatial, bind: Bind) -> str:
    """The condition on the place of an entity ``e``. Raises ValueError for a geometry or a relation that is none."""
    asked = shape(place.geometry)
    if asked.is_empty:
        raise ValueError("the geometry of the query is empty")
    geometry = _geometry(place.geometry, bind)
    box: tuple[float, float, float, float] | None
    if isinstance(place, Spatial):
        function = _RELATIONS.get(place.relation)
        if function is None:
            raise ValueError(f"unknown georel {place.relation!r}; known: {', '.join(sorted(_RELATIONS))}")
        box = None if place.relation == "disjoint" else asked.bounds

        def test(mine: str) -> str:
            return f"{function}({mine}, {geometry})"

    else:
        box = None if place.maximum_m is None else box_around(asked.bounds, place.maximum_m)
        low, high = place.minimum_m, place.maximum_m
        on_plane = _metres(asked, geometry, bind)

        def test(mine: str) -> str:
            metres = on_plane(mine)
            tests = [] if low is None else [f"{metres} >= {bind(low)}"]
            tests += [] if high is None else [f"{metres} <= {bind(high)}"]
            return " AND ".join(tests) if tests else f"{mine} IS NOT NULL"

    found = f"({test(_mine(place.property, bind))})"
    if box is not None and place.property == "location":
        envelope = ", ".join(bind(side) for side in box)
        found = f"(e.box && ST_MakeEnvelope({envelope}, 4326) AND {found})"
    other = f"EXISTS ({_others(place.property, bind)} AND ({test(_OTHER)}))"
    return f"({found} OR (e.many AND {other}))"


def distance_sql(order: ByDistance, bind: Bind) -> str:
    """Metres to the nearest of the entity's geometries; NULL when it has none. Raises ValueError for an empty geometry."""
    asked = shape(order.geometry)
    if asked.is_empty:
        raise ValueError("the geometry to measure from is empty")
    on_plane = _metres(asked, _geometry(order.geometry, bind), bind)
    mine = on_plane(_mine(order.property, bind))
    metres = f"min({on_plane(_OTHER)})"
    others = _others(order.property, bind, metres)
    return f"CASE WHEN e.many THEN least({mine}, ({others})) ELSE {mine} END"


def _metres(asked: Any, geometry: str, bind: Bind) -> Callable[[str], str]:
    """SQL of a geometry -> SQL of its distance to the one asked about. A distance does not mind where the plane's origin lies."""
    centre = asked.centroid
    scale = ", ".join(bind(k) for k in Plane((centre.x, centre.y)).to_xy((centre.x + 1, centre.y + 1)))
    return lambda mine: f"ST_Distance(ST_Scale({mine}, {scale}), ST_Scale({geometry}, {scale}))"


def _geometry(geometry: dict[str, Any], bind: Bind) -> str:
    return f"ST_SetSRID(ST_GeomFromGeoJSON({bind(orjson.dumps(geometry).decode())}::text), 4326)"


def _mine(name: str, bind: Bind) -> str:
    """The geometry of the default instance; that of `location` stands in a column."""
    if name == "location":
        return "e.place"
    attribute = f"(e.body -> {bind(name)})"
    return f"CASE WHEN {attribute} ->> 'type' = 'GeoProperty' THEN ST_GeomFromGeoJSON({attribute} ->> 'value') END"


_OTHER = "CASE WHEN o.value ->> 'type' = 'GeoProperty' THEN ST_GeomFromGeoJSON(o.value ->> 'value') END"


def _others(name: str, bind: Bind, what: str = "1") -> str:
    """The instances with a datasetId."""
    return f"SELECT {what} FROM jsonb_each(e.body) AS o WHERE starts_with(o.key, {bind(f'{name} ')})"
