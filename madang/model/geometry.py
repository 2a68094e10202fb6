"""Places: (lon, lat) in WGS 84 degrees, and distances in metres on a local plane.

Distances inside a city use the equirectangular plane around the point asked about: within 50 km and between the
latitudes 60 south and north its error against the geodesic stays below 0.6 %, mostly the sphere's own.
"""

from math import asin, cos, hypot, isfinite, radians, sin, sqrt

LonLat = tuple[float, float]
"""Longitude then latitude, in degrees, WGS 84, as in GeoJSON (RFC 7946)."""
Box = tuple[float, float, float, float]
"""West, south, east, north in degrees."""

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius of the IUGG sphere."""
_M_PER_DEGREE = EARTH_RADIUS_M * radians(1.0)


def is_lon_lat(lon: object, lat: object) -> bool:
    """True when both are finite numbers on the globe. A longitude of 900 is somebody's broken receiver.

    >>> is_lon_lat(126.5, 33.4), is_lon_lat(900.0, 33.4), is_lon_lat(True, 0)
    (True, False, False)
    """
    for number, limit in ((lon, 180.0), (lat, 90.0)):
        if isinstance(number, bool) or not isinstance(number, int | float):
            return False
        if not isfinite(number) or abs(number) > limit:
            return False
    return True


def distance_m(a: LonLat, b: LonLat) -> float:
    """Great-circle distance in metres (haversine on the IUGG sphere)."""
    lat_a, lat_b = radians(a[1]), radians(b[1])
    h = sin((lat_b - lat_a) / 2) ** 2 + cos(lat_a) * cos(lat_b) * sin(radians(b[0] - a[0]) / 2) ** 2
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(h)))


class Plane:
    """A local plane in metres around an origin: x east, y north. For distances and buffers inside one city."""

    __slots__ = ("_kx", "_ky", "origin")

    def __init__(self, origin: LonLat) -> None:
        self.origin = origin
        self._ky = _M_PER_DEGREE
        self._kx = _M_PER_DEGREE * cos(radians(origin[1]))

    def to_xy(self, place: LonLat) -> tuple[float, float]:
        """(lon, lat) in degrees to (x, y) in metres."""
        return (place[0] - self.origin[0]) * self._kx, (place[1] - self.origin[1]) * self._ky

    def to_lon_lat(self, x: float, y: float) -> LonLat:
        """(x, y) in metres to (lon, lat) in degrees."""
        return self.origin[0] + x / self._kx, self.origin[1] + y / self._ky

    def distance_m(self, a: LonLat, b: LonLat) -> float:
        """Distance in metres between two places near the origin."""
        return hypot((a[0] - b[0]) * self._kx, (a[1] - b[1]) * self._ky)
