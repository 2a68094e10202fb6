"""Places in SQL: the exact test of a geo-query and the distance to a point, as functions that SQL calls for each candidate."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from shapely import prepare as prepare_geometry
from shapely import transform
from shapely.geometry import Point, shape
from shapely.geometry.base import BaseGeometry

from madang.model.geometry import Plane
from madang.ngsild.query import ByDistance, Near, Spatial

PLACE_FUNCTION = "madang_place"
"""Name of the SQL function that decides on a geometry; its Python side is a `PlaceTest`."""
DISTANCE_FUNCTION = "madang_distance"
"""Name of the SQL function that measures a distance; its Python side is a `Measure`."""

PlaceTest = Callable[[float | None, float | None, str], bool]
"""(lon, lat, body as JSON) -> does one of the entity's geometries satisfy the query's place?"""
Measure = Callable[[float | None, float | None, str], float | None]
"""(lon, lat, body as JSON) -> distance in metres of the nearest of the entity's geometries; None: it has none."""
Box = tuple[float, float, float, float]
"""West, south, east, north in degrees."""

_DEGREES_PER_M = 1 / 110_000
"""Generous: turns metres into a bounding box in degrees that is never too small (near the poles see `_box_of`)."""

_RELATIONS: dict[str, Callable[[BaseGeometry, BaseGeometry], bool]] = {
    "within": lambda mine, asked: bool(mine.within(asked)),
    "contains": lambda mine, asked: bool(mine.contains(asked)),
    "intersects": lambda mine, asked: bool(mine.intersects(asked)),
    "equals": lambda mine, asked: bool(mine.equals(asked)),
    "disjoint": lambda mine, asked: bool(mine.disjoint(asked)),
    "overlaps": lambda mine, asked: bool(mine.overlaps(asked)),
}


def place_test(place: Near | Spatial) -> tuple[Box | None, PlaceTest]:
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
            return any(relation(mine, asked) for mine in _geometries(name, lon, lat, body))

        return (None if place.relation == "disjoint" else tuple(asked.bounds)), test_relation
    centre = asked.centroid
    plane = Plane((centre.x, centre.y))
    asked_xy = _on_plane(asked, plane)
    low = place.minimum_m if place.minimum_m is not None else -1.0
    high = place.maximum_m if place.maximum_m is not None else float("inf")

    def test_near(lon: float | None, lat: float | None, body: str) -> bool:
        return any(
            low <= float(_on_plane(mine, plane).distance(asked_xy)) <= high
            for mine in _geometries(name, lon, lat, body)
        )

    return (None if place.maximum_m is None else _box_of(asked, place.maximum_m)), test_near


def measure(order: ByDistance) -> Measure:
    """The distance of an entity to the geometry that it is ordered by. Raises ValueError for a geometry that is empty."""
    asked = shape(order.geometry)
    if asked.is_empty:
        raise ValueError("the geometry to measure from is empty")
    centre = asked.centroid
    plane = Plane((centre.x, centre.y))
    asked_xy = _on_plane(asked, plane)
    name = order.property

    def distance(lon: float | None, lat: float | None, body: str) -> float | None:
        found = [float(_on_plane(mine, plane).distance(asked_xy)) for mine in _geometries(name, lon, lat, body)]
        return min(found, default=None)

    return distance


def _box_of(asked: BaseGeometry, radius_m: float) -> Box | None:
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


def _geometries(name: str, lon: float | None, lat: float | None, body: str) -> Iterator[BaseGeometry]:
    """The entity's geometries, one per instance of the attribute; a point location is known from its columns without parsing
    the body."""
    if name == "location" and lon is not None and lat is not None and '"location ' not in body:
        yield Point(lon, lat)
        return
    for key, attribute in orjson.loads(body).items():
        if key.partition(" ")[0] == name and isinstance(attribute.get("value"), dict):
            yield shape(attribute["value"])
