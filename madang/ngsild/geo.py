"""Geometries (GeoJSON, RFC 7946; NGSI-LD clause 4.7) and geo-queries (clause 4.10)."""

import json
from math import isfinite
from typing import Any

from madang.model.geometry import is_lon_lat
from madang.ngsild.errors import BAD_REQUEST_DATA, NgsiLdError
from madang.ngsild.names import check_name
from madang.ngsild.query import Near, Spatial

POSITIONS_MAX = 100_000
"""Positions in one geometry. The coastline of Jeju at cadastral detail has about 60,000."""

_NESTING = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}
"""How many arrays enclose a position."""
GEOMETRY_TYPES = tuple(_NESTING)
RELATIONS = ("near", "within", "contains", "intersects", "equals", "disjoint", "overlaps")


def is_geometry(value: object) -> bool:
    """True when it looks like a GeoJSON geometry (it may still be a wrong one: `check_geometry` says)."""
    if not isinstance(value, dict) or "coordinates" not in value:
        return False
    kind = value.get("type")
    return isinstance(kind, str) and kind in _NESTING


def is_plain_point(value: object) -> bool:
    """True when `check_geometry` would let it pass, and it is a point without an altitude and further members: the commonest geometry,
    known quickly."""
    if type(value) is not dict or len(value) != 2 or value.get("type") != "Point":
        return False
    position = value.get("coordinates")
    return type(position) is list and len(position) == 2 and is_lon_lat(position[0], position[1])


def check_geometry(value: Any, where: str = "value") -> dict[str, Any]:
    """The geometry, unchanged. Raises NgsiLdError: unknown type (GeometryCollection is not a GeoProperty, clause
    4.7), wrong nesting, a position off the globe, a ring that is not closed, too many positions."""
    if not isinstance(value, dict):
        raise NgsiLdError("must be a GeoJSON geometry object", where)
    kind = value.get("type")
    if not isinstance(kind, str) or kind not in _NESTING:
        raise NgsiLdError(
            f"must be a GeoJSON geometry; its type is one of {', '.join(GEOMETRY_TYPES)}", f"{where}.type"
        )
    if "coordinates" not in value:
        raise NgsiLdError("is missing", f"{where}.coordinates")
    _check_coordinates(kind, value["coordinates"], f"{where}.coordinates")
    return value


def _check_coordinates(kind: str, coordinates: Any, where: str) -> None:
    count = _check_nested(coordinates, _NESTING[kind], where)
    if count > POSITIONS_MAX:
        raise NgsiLdError(f"has more than {POSITIONS_MAX} positions", where)
    lines: list[Any] = []
    rings: list[Any] = []
    if kind == "LineString":
        lines = [coordinates]
    elif kind == "MultiLineString":
        lines = coordinates
    elif kind == "Polygon":
        rings = coordinates
    elif kind == "MultiPolygon":
        rings = [ring for polygon in coordinates for ring in polygon]
        if any(not polygon for polygon in coordinates):
            raise NgsiLdError("has a polygon without a ring", where)
    if kind != "Point" and not coordinates:
        raise NgsiLdError("is empty", where)
    if any(len(line) < 2 for line in lines):
        raise NgsiLdError("a line has at least two positions", where)
    for ring in rings:
        if len(ring) < 4 or ring[0][:2] != ring[-1][:2]:
            raise NgsiLdError("a ring has at least four positions and ends where it began (RFC 7946 3.1.6)", where)


def _check_nested(value: Any, depth: int, where: str) -> int:
    """Check arrays in arrays down to positions; the number of positions."""
    if not isinstance(value, list):
        raise NgsiLdError("must be an array", where)
    if depth == 0:
        if not 2 <= len(value) <= 3 or not is_lon_lat(value[0], value[1]):
            raise NgsiLdError(f"not a position [longitude, latitude] on the globe: {str(value)[:60]}", where)
        if len(value) == 3 and not _is_finite_number(value[2]):
            raise NgsiLdError("the altitude is not a number", where)
        return 1
    total = 0
    for place, item in enumerate(value):
        total += _check_nested(item, depth - 1, f"{where}[{place}]")
        if total > POSITIONS_MAX:
            raise NgsiLdError(f"has more than {POSITIONS_MAX} positions", where)
    return total


def _is_finite_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def parse_geo_query(
    georel: str | None, geometry: str | None, coordinates: str | list[Any] | None, geoproperty: str | None = None
) -> Near | Spatial | None:
    """The four parameters of a geo-query as a tree; None when none is given. Raises NgsiLdError.

    >>> parse_geo_query("near;maxDistance==2000", "Point", "[126.5,33.4]").maximum_m
    2000.0
    """
    if georel is None and geometry is None and coordinates is None:
        if geoproperty is not None:
            raise NgsiLdError("geoproperty needs georel, geometry and coordinates beside it", "geoproperty")
        return None
    for name, given in (("georel", georel), ("geometry", geometry), ("coordinates", coordinates)):
        if given is None:
            raise NgsiLdError("is missing: a geo-query has georel, geometry and coordinates (clause 4.10)", name)
    assert georel is not None and geometry is not None
    if geometry not in _NESTING:
        raise NgsiLdError(f"must be one of {', '.join(GEOMETRY_TYPES)}", "geometry")
    if isinstance(coordinates, str):
        try:
            coordinates = json.loads(coordinates)
        except (ValueError, RecursionError):
            raise NgsiLdError("must be a JSON array such as [126.5,33.4]", "coordinates") from None
    shape = {"type": geometry, "coordinates": coordinates}
    _check_coordinates(geometry, coordinates, "coordinates")
    property_ = "location" if geoproperty is None else check_name(geoproperty, "geoproperty")
    relation, _, modifiers = georel.partition(";")
    if relation not in RELATIONS:
        raise NgsiLdError(f"must be one of {', '.join(RELATIONS)}", "georel")
    if relation != "near":
        if modifiers:
            raise NgsiLdError(f"{relation} takes no distance", "georel")
        return Spatial(relation, shape, property_)
    return _near(modifiers, shape, property_)


def _near(modifiers: str, shape: dict[str, Any], property_: str) -> Near:
    distances: dict[str, float] = {}
    for modifier in modifiers.split(";") if modifiers else []:
        name, equals, text = modifier.partition("==")
        if name not in ("maxDistance", "minDistance") or not equals or name in distances:
            raise NgsiLdError("near takes maxDistance==metres or minDistance==metres, once", "georel")
        try:
            distance = float(text)
        except ValueError:
            distance = -1.0
        if not isfinite(distance) or distance <= 0 or not text.isascii() or "_" in text:
            raise NgsiLdError(f"{name} must be a number of metres above zero", "georel")
        distances[name] = distance
    if len(distances) > 1:
        raise NgsiLdError("near takes maxDistance or minDistance, not both (clause 4.10)", "georel")
    if not distances:
        raise NgsiLdError(
            "near needs maxDistance or minDistance, e.g. near;maxDistance==2000", "georel", BAD_REQUEST_DATA
        )
    return Near(shape, distances.get("maxDistance"), distances.get("minDistance"), property_)
