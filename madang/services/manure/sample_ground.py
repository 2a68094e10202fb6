"""What the manure sample needs of a town: places, ways between them, heights, dead spots of radio. Metres on a local plane.

The simulator fills it from the generated town (or any other map); the sample knows nothing else of the town.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon, STRtree

from madang.model.geometry import Plane

XY = tuple[float, float]
Points = NDArray[np.float64]
"""Shape (n, 2), metres."""
Floats = NDArray[np.float64]
Rng = np.random.Generator

ROAD_MAIN, ROAD_LOCAL, ROAD_STREET, ROAD_LANE, YARD = 0, 1, 2, 3, 4
"""Classes of a piece of way; YARD is off the road."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place where trucks do something."""

    id: str
    """Entity id; a name of the sample's own for places that the hub does not know."""
    kind: str
    """``AgriFarm``, ``AgriParcel``, ``ManureTreatmentPlant``, ``VehicleDepot``, ``field`` (not registered), ``bank``."""
    name: str
    area: Polygon
    gate: XY
    """Where the lane reaches it; a node of the road net."""
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Disc:
    """A round area: a hole in mobile coverage, or a place with a bad view of the sky."""

    x: float
    y: float
    radius: float

    def covers(self, x: Floats, y: Floats) -> NDArray[np.bool_]:
        """Which of the points lie inside."""
        inside: NDArray[np.bool_] = (x - self.x) ** 2 + (y - self.y) ** 2 < self.radius**2
        return inside


@dataclass(frozen=True)
class Ground:
    """See the module's docstring."""

    farms: Sequence[Spot]
    parcels: Sequence[Spot]
    plants: Sequence[Spot]
    depots: Sequence[Spot]
    fields: Sequence[Spot]
    banks: Sequence[Spot]
    lay_bys: Sequence[Spot]
    """Where drivers rest: roadside, village shops, diners. Kind ``lay_by``."""
    water: Any
    """All water as one shapely geometry."""
    route: Callable[[XY, XY], tuple[Points, NDArray[np.int8]]]
    """Quickest way between two gates: points (n, 2), and the road class of each of the n - 1 pieces."""
    heights: Floats
    """Height raster, shape (rows, columns), row 0 in the south."""
    height_origin: XY
    """South-western corner of the raster."""
    height_step: float
    radio_holes: Sequence[Disc]
    """No mobile network."""
    sky_shadows: Sequence[Disc]
    """Bad satellite reception: narrow valleys, underpasses, tall houses."""
    plane: Plane

    def height_at(self, x: Floats, y: Floats) -> Floats:
        """Heights in metres, bilinear."""
        rows, columns = self.heights.shape
        u = np.clip((x - self.height_origin[0]) / self.height_step, 0, columns - 1.001)
        v = np.clip((y - self.height_origin[1]) / self.height_step, 0, rows - 1.001)
        i, j = v.astype(int), u.astype(int)
        fu, fv = u - j, v - i
        h = self.heights
        result: Floats = (h[i, j] * (1 - fu) + h[i, j + 1] * fu) * (1 - fv) + (
            h[i + 1, j] * (1 - fu) + h[i + 1, j + 1] * fu
        ) * fv
        return result

    @cached_property
    def permitted(self) -> tuple[tuple[Spot, ...], STRtree]:
        """Places where manure may be discharged, with a tree over their areas."""
        spots = (*self.parcels, *self.plants)
        return spots, STRtree([s.area for s in spots])

    def nearest_permitted(self, x: float, y: float) -> tuple[Spot, float]:
        """The nearest registered parcel or plant and the distance to its edge in metres (0 inside)."""
        spots, tree = self.permitted
        here = shapely.Point(x, y)
        k = int(tree.nearest(here))
        return spots[k], float(spots[k].area.distance(here))
