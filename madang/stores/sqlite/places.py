"""Places in SQL: the exact test of a geo-query and the distance to a point, as functions that SQL calls for each candidate."""

from collections.abc import Callable, Iterator

import orjson
from shapely.geometry import Point, shape
from shapely.geometry.base import BaseGeometry

from madang.model.geometry import Box
from madang.ngsild.place import geometry_distance, geometry_test
from madang.ngsild.query import ByDistance, Near, Spatial
from madang.stores.boxes import box_around

PLACE_FUNCTION = "madang_place"
"""Name of the SQL function that decides on a geometry; its Python side is a `PlaceTest`."""
DISTANCE_FUNCTION = "madang_distance"
"""Name of the SQL function that measures a distance; its Python side is a `Measure`."""

PlaceTest = Callable[[float | None, float | None, str], bool]
"""(lon, lat, body as JSON) -> does one of the entity's geometries satisfy the query's place?"""
Measure = Callable[[float | None, float | None, str], float | None]
"""(lon, lat, body as JSON) -> distance in metres of the nearest of the entity's geometries; None: it has none."""

SMALL_BOX = 0.01
"""Square degrees (some 100 km² at middle latitudes) of a box in which a city keeps few of its things."""


def place_test(place: Near | Spatial) -> tuple[Box | None, PlaceTest]:
    """A bounding box that holds every candidate (None: no bound), and the exact test. Raises ValueError for a geometry that
    is empty."""
    satisfies = geometry_test(place)
    asked = shape(place.geometry)
    name = place.property

    def test(lon: float | None, lat: float | None, body: str) -> bool:
        return any(satisfies(mine) for mine in _geometries(name, lon, lat, body))

    if isinstance(place, Spatial):
        return (None if place.relation == "disjoint" else tuple(asked.bounds)), test
    return (None if place.maximum_m is None else box_around(asked.bounds, place.maximum_m)), test


def place_test_of(place: Near | Spatial) -> tuple[Box | None, PlaceTest]:
    """`place_test`, made when it is first needed: between points it seldom is."""
    if not isinstance(place, Near) or place.geometry.get("type") != "Point":
        return place_test(place)
    lon, lat = place.geometry["coordinates"][:2]
    made: list[PlaceTest] = []

    def test(lon: float | None, lat: float | None, body: str) -> bool:
        if not made:
            made.append(place_test(place)[1])
        return made[0](lon, lat, body)

    return (None if place.maximum_m is None else box_around((lon, lat, lon, lat), place.maximum_m)), test


def measure(order: ByDistance) -> Measure:
    """The distance of an entity to the geometry that it is ordered by. Raises ValueError for a geometry that is empty."""
    distance_to = geometry_distance(order)
    name = order.property

    def distance(lon: float | None, lat: float | None, body: str) -> float | None:
        return min((distance_to(mine) for mine in _geometries(name, lon, lat, body)), default=None)

    return distance


def is_small(box: Box) -> bool:
    """Is it better to look into the box first than to walk an index of types?"""
    west, south, east, north = box
    return (east - west) * (north - south) < SMALL_BOX


def _geometries(name: str, lon: float | None, lat: float | None, body: str) -> Iterator[BaseGeometry]:
    """The entity's geometries, one per instance of the attribute; a point location is known from its columns without parsing
    the body."""
    if name == "location" and lon is not None and lat is not None and '"location ' not in body:
        yield Point(lon, lat)
        return
    for key, attribute in orjson.loads(body).items():
        if key.partition(" ")[0] == name and isinstance(attribute.get("value"), dict):
            yield shape(attribute["value"])
