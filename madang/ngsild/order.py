"""The ordering language (clause 4.23): ``orderBy=speed;desc,location;dist-asc`` with `collation` and a place to measure from."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from madang.ngsild.errors import NgsiLdError
from madang.ngsild.geo import check_geometry
from madang.ngsild.query import METADATA, ByDistance, Order

KEYS_MAX = 16
_KEY = re.compile(
    r"(?P<path>[^\s;,\[\]]+)(?:\[(?P<inside>[^\s;,\[\]]+)\])?(?:;(?P<way>asc|desc|dist-asc|dist-desc))?\Z"
)
_COLLATION = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*\Z")
"""A BCP 47 tag, as far as its shape goes."""


def parse_order(
    keys: Sequence[str],
    stored: Callable[[str], str],
    *,
    collation: str | None = None,
    place: dict[str, Any] | None = None,
) -> tuple[Order | ByDistance, ...]:
    """What to order by. `place`: the geometry that distances are measured from. Raises NgsiLdError.

    Every collation sorts as people of most languages do (letters, then accents, then case); what a language wants otherwise, such as
    Swedish "ä" after "z", is not done.

    >>> parse_order(["speed;desc"], str)
    (Order(attribute='speed', descending=True, path=(), sub=(), collated=False),)
    """
    if collation is not None and _COLLATION.match(collation) is None:
        raise NgsiLdError("must be a language tag such as ko, de or und", "collation")
    if len(keys) > KEYS_MAX:
        raise NgsiLdError(f"has more than {KEYS_MAX} keys", "orderBy")
    return tuple(_key(key, stored, collation is not None, place) for key in keys)


def _key(text: str, stored: Callable[[str], str], collated: bool, place: dict[str, Any] | None) -> Order | ByDistance:
    found = _KEY.match(text.strip())
    if found is None:
        raise NgsiLdError(f"not an order: {text[:80]!r}; write for example speed;desc", "orderBy")
    way = found["way"] or "asc"
    names = [found["path"]] if ":" in found["path"] else found["path"].split(".")
    if not all(names):
        raise NgsiLdError(f"not an order: {text[:80]!r}", "orderBy")
    attribute = stored(names[0])
    if way.startswith("dist"):
        if place is None:
            raise NgsiLdError("ordering by distance needs a place to measure from: orderFrom", "orderBy")
        return ByDistance(place, attribute, descending=way == "dist-desc")
    sub = tuple(name if name in METADATA else stored(name) for name in names[1:])
    path = tuple((found["inside"] or "").split(".")) if found["inside"] else ()
    return Order(attribute, descending=way == "desc", path=path, sub=sub, collated=collated)


def place_of(coordinates: Any, geometry: Any = None) -> dict[str, Any] | None:
    """The geometry to measure from; None when there are no coordinates. Raises NgsiLdError."""
    if geometry is not None and not isinstance(geometry, str):
        raise NgsiLdError("must be the name of a GeoJSON geometry", "geometry")
    if coordinates is None:
        return None
    if not isinstance(coordinates, list):
        raise NgsiLdError("must be a JSON array of coordinates", "orderFrom")
    return check_geometry({"type": geometry or "Point", "coordinates": coordinates}, "orderFrom")
