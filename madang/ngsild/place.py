"""The exact test of a geo-query (clause 4.10) on a geometry. Distances are in metres on a plane around the place asked about
(`madang.model.geometry`)."""

from collections.abc import Callable
from typing import Any

from shapely import prepare as prepare_geometry
from shapely import transform
from shapely.geometry import Point, shape
from shapely.geometry.base import BaseGeometry

from madang.model.geometry import Plane
from madang.ngsild.query import ByDistance, Near, Spatial

GeometryTest = Callable[[BaseGeometry], bool]

_RELATIONS: dict[str, Callable[[BaseGeometry, BaseGeometry], bool]] = {
    "within": lambda mine, asked: bool(mine.within(asked)),
    "contains": lambda mine, asked: bool(mine.contains(asked)),
    "intersects": lambda mine, asked: bool(mine.intersects(asked)),
    "equals": lambda mine, asked: bool(mine.equals(asked)),
    "disjoint": lambda mine, asked: bool(mine.disjoint(asked)),
    "overlaps": lambda mine, asked: bool(mine.overlaps(asked)),
}


def geometry_test(place: Near | Spatial) -> GeometryTest:
    """Geometry -> does it satisfy the query's place? Raises ValueError: the asked geometry is empty, unknown relation.

    >>> test = geometry_test(Near({"type": "Point", "coordinates": [126.5, 33.4]}, maximum_m=100))
    >>> test(Point(126.5, 33.4001)), test(Point(126.5, 33.41))
    (True, False)
    """
    asked = shape(place.geometry)
    if asked.is_empty:
        raise ValueError("the geometry of the query is empty")
    prepare_geometry(asked)
    if isinstance(place, Spatial):
        relation = _RELATIONS.get(place.relation)
        if relation is None:
            raise ValueError(f"unknown georel {place.relation!r}; known: {', '.join(sorted(_RELATIONS))}")
        return lambda mine: relation(mine, asked)
    measure = _distance(asked)
    low = place.minimum_m if place.minimum_m is not None else -1.0
    high = place.maximum_m if place.maximum_m is not None else float("inf")
    return lambda mine: low <= measure(mine) <= high


def geometry_distance(order: ByDistance) -> Callable[[BaseGeometry], float]:
    """Geometry -> metres to the geometry that is ordered by. Raises ValueError when that one is empty."""
    asked = shape(order.geometry)
    if asked.is_empty:
        raise ValueError("the geometry to measure from is empty")
    return _distance(asked)


def _distance(asked: BaseGeometry) -> Callable[[BaseGeometry], float]:
    centre = asked.centroid
    plane = Plane((centre.x, centre.y))
    asked_xy = on_plane(asked, plane)
    return lambda mine: float(on_plane(mine, plane).distance(asked_xy))


def on_plane(geometry: BaseGeometry, plane: Plane) -> BaseGeometry:
    """The geometry in metres on the plane."""
    if geometry.geom_type == "Point":
        return Point(*plane.to_xy((geometry.x, geometry.y)))

    def project(coordinates: Any) -> Any:
        moved = coordinates.copy()
        for i, (lon, lat) in enumerate(coordinates):
            moved[i] = plane.to_xy((lon, lat))
        return moved

    return transform(geometry, project)
