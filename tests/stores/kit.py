"""What the checks of a store share: a clock that is told, a reading, places."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from madang.hub.ports import Store
from madang.model.entity import Reading, point, prop
from madang.model.time import parse_instant

Make = Callable[[Path, Any], Store]
T0 = parse_instant("2026-11-23T02:00:00Z")
TRUCK = "urn:ngsi-ld:Vehicle:T1"
SQUARE = {
    "type": "Polygon",
    "coordinates": [[[127.0, 36.0], [127.01, 36.0], [127.01, 36.01], [127.0, 36.01], [127.0, 36.0]]],
}


class ManualClock:
    """A clock that is told."""

    def __init__(self, now: int = T0) -> None:
        self.time = now

    def now(self) -> int:
        return self.time


def reading(at: int, weight: float | None = None, lon: float = 127.0, lat: float = 36.0, id_: str = TRUCK) -> Reading:
    attributes = {"location": point(lon, lat)}
    if weight is not None:
        attributes["grossWeight"] = prop(weight, "KGM")
    return Reading(id_, "Vehicle", at, attributes)
