"""What a request for features asks, as the query tree (OGC 17-069r4 clauses 7.15.2 to 7.15.5)."""

from collections.abc import Mapping
from math import isfinite

from madang.model.geometry import Box
from madang.model.time import Instant, parse_instant
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.names import check_name
from madang.ngsild.query import ANY_LANGUAGE, And, Compare, Node, Or, Spatial
from madang.ogc.errors import OgcError

OPEN = ("", "..")
"""How an interval says that an end is open."""


def parse_bbox(text: str) -> Spatial:
    """What meets the box of `bbox`: west,south,east,north in degrees, or with heights (west,south,low,east,north,high), which are not
    looked at. A box that crosses the antimeridian has its west east of its east. Raises OgcError.

    >>> parse_bbox("126.5,33.4,126.5,33.5").geometry
    {'type': 'LineString', 'coordinates': [[126.5, 33.4], [126.5, 33.5]]}
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (4, 6) or not all(isfinite(number) for number in numbers):
        raise OgcError("bbox", "must be four numbers: west,south,east,north (or six, with heights)")
    west, south = numbers[:2]
    east, north = numbers[2:] if len(numbers) == 4 else numbers[3:5]
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise OgcError("bbox", "must lie on the globe, in degrees, south before north")
    boxes: list[Box] = [(west, south, east, north)]
    if west > east:
        boxes = [(west, south, 180.0, north), (-180.0, south, east, north)]
    return Spatial("intersects", _geometry_of(boxes))


def _geometry_of(boxes: list[Box]) -> dict[str, object]:
    if len(boxes) == 1:
        west, south, east, north = boxes[0]
        if west == east or south == north:  # no polygon has no area
            if west == east and south == north:
                return {"type": "Point", "coordinates": [west, south]}
            return {"type": "LineString", "coordinates": [[west, south], [east, north]]}
        return {"type": "Polygon", "coordinates": [_ring(boxes[0])]}
    return {"type": "MultiPolygon", "coordinates": [[_ring(box)] for box in boxes if box[0] < box[2]]}


def _ring(box: Box) -> list[list[float]]:
    west, south, east, north = box
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def parse_datetime(text: str) -> tuple[Instant | None, Instant | None]:
    """(first, last) instant of `datetime`, both in it: an instant, or two with a slash between, where nothing or ``..`` is open.
    Raises OgcError.

    >>> parse_datetime("1970-01-01T00:00:01Z/..")
    (1000000, None)
    """
    first, slash, last = text.partition("/")
    if not slash:
        instant = _instant(first)
        return instant, instant
    if first in OPEN and last in OPEN:
        raise OgcError("datetime", "is open at both ends: leave it out")
    start = None if first in OPEN else _instant(first)
    end = None if last in OPEN else _instant(last)
    if start is not None and end is not None and start > end:
        raise OgcError("datetime", "ends before it begins")
    return start, end


def _instant(text: str) -> Instant:
    try:
        return parse_instant(text)
    except (ValueError, OverflowError):
        raise OgcError(
            "datetime",
            "must be an instant such as 2026-11-23T02:14:09Z, or an interval: instant/instant, instant/.., ../instant",
        ) from None


def names_of(values: Mapping[str, str]) -> dict[str, str]:
    """The wanted values of property filters by the stored name of the property. Raises OgcError for what is no name of one."""
    found: dict[str, str] = {}
    for name, text in values.items():
        try:
            found[check_name(name, name)] = text
        except NgsiLdError:
            raise OgcError(name[:80], "is no parameter here and cannot be the name of a property") from None
    return found


def filter_node(values: Mapping[str, str]) -> Node | None:
    """The condition of property filters: each attribute has the value. A text that reads as a number or a truth value stands for that
    too, since a URL cannot tell. None: no filter."""
    items: list[Node] = []
    for name, text in values.items():
        wanted: list[str | float | bool] = [text]
        number = _number(text)
        if number is not None:
            wanted.append(number)
        if text in ("true", "false"):
            wanted.append(text == "true")
        items.append(Or((Compare(name, "==", wanted), Compare(name, "==", text, (ANY_LANGUAGE,)))))
    if not items:
        return None
    return items[0] if len(items) == 1 else And(tuple(items))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and "_" not in text else None
