"""Rivers, brooks, the reservoir and the relief of the generated town.

One main river crosses from the upland in the east to the plain in the west; a brook joins it from the north-east and one from the
south, which a dam holds back as the reservoir. Height rises away from the river, with hills near the edge of the map.
"""

from dataclasses import dataclass
from math import pi

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, Polygon

from madang.simulate import town_names
from madang.simulate.town_names import Name
from madang.simulate.town_shapes import XY, Points, at, largest, ribbon, wander

HALF_WIDTH_M, HALF_HEIGHT_M = 12_000.0, 9_000.0
"""The map reaches this far from its origin: 24 by 18 km."""


@dataclass(frozen=True, slots=True)
class Water:
    """A body of water. `zone_m` is how far its no-spread zone reaches from the bank."""

    name: Name
    kind: str
    """``river``, ``brook`` or ``reservoir``."""
    area: Polygon
    line: LineString | None
    zone_m: float


class Relief:
    """Height above the sea in metres at any place of the map."""

    def __init__(self, river: LineString, rng: np.random.Generator) -> None:
        self._river = river
        hills: list[tuple[float, float, float, float]] = []
        for _ in range(400):
            x, y = float(rng.uniform(-11_500, 11_500)), float(rng.uniform(-8_800, 8_800))
            away = river.distance(shapely.Point(x, y))
            near = any((x - hx) ** 2 + (y - hy) ** 2 < 2_600**2 for hx, hy, _, _ in hills)
            if away > 3_200 and not near and np.hypot(x + 800, y - 1_200) > 4_600:
                hills.append((x, y, float(rng.uniform(90, 230)), float(rng.uniform(700, 1_250))))
            if len(hills) == 10:
                break
        self.hills = tuple(hills)
        """(x, y, height, spread) of each hill, metres."""
        self._waves = [
            (
                float(rng.uniform(1.5, 3.5)),
                2 * pi / float(rng.uniform(1_300, 2_600)),
                float(rng.uniform(0, pi)),
                float(rng.uniform(0, 6)),
            )
            for _ in range(4)
        ]

    def heights(self, points: Points) -> NDArray[np.float64]:
        """Heights in metres of points of shape (n, 2)."""
        x, y = points[:, 0], points[:, 1]
        away = shapely.distance(shapely.points(points), self._river)
        z = 14.0 + (x + HALF_WIDTH_M) * 0.0012 + np.minimum(away * 0.009, 45.0)
        for hx, hy, height, spread in self.hills:
            z = z + height * np.exp(-((x - hx) ** 2 + (y - hy) ** 2) / (2 * spread**2))
        for size, k, angle, phase in self._waves:
            z = z + size * np.sin(k * (x * np.cos(angle) + y * np.sin(angle)) + phase)
        return np.asarray(z, dtype=np.float64)


def build_waters(rng: np.random.Generator) -> tuple[Water, ...]:
    """The river, two brooks and the reservoir, in this order."""
    x = np.linspace(HALF_WIDTH_M + 700, -HALF_WIDTH_M - 700, 420)
    y = 900 + x * 0.13
    for size, wavelength in ((900, 10_500), (380, 4_300), (130, 1_900)):
        y = y + size * rng.uniform(0.75, 1.2) * np.sin(
            2 * pi * x / (wavelength * rng.uniform(0.92, 1.08)) + rng.uniform(0, 2 * pi)
        )
    downstream = np.linspace(0, 1, len(x))
    widths = 80 + 85 * downstream + 14 * np.sin(x / 610 + 1.0) + 9 * np.sin(x / 270)
    line = np.column_stack([x, y])
    river = Water(town_names.RIVER, "river", ribbon(line, widths), LineString(line), 100.0)
    assert river.line is not None
    waters = [river]
    north = _brook(
        rng,
        (float(rng.uniform(6_800, 8_600)), HALF_HEIGHT_M + 500),
        at(river.line, river.line.project(shapely.Point(3_600, 1_000))),
    )
    mouth = at(river.line, river.line.project(shapely.Point(float(rng.uniform(-6_400, -5_400)), -500)))
    south = _brook(rng, (float(rng.uniform(-4_600, -3_000)), -HALF_HEIGHT_M - 500), mouth)
    for name, brook, first in zip(town_names.BROOKS, (north, south), (16.0, 18.0), strict=True):
        wide = first + 18 * np.linspace(0, 1, len(brook)) + 3 * np.sin(np.arange(len(brook)) / 9)
        waters.append(Water(name, "brook", ribbon(brook, wide), LineString(brook), 50.0))
    waters.append(Water(town_names.RESERVOIR, "reservoir", _reservoir(rng, LineString(south)), None, 300.0))
    return tuple(waters)


def _brook(rng: np.random.Generator, source: XY, mouth: XY) -> Points:
    return wander(source, mouth, rng, 0.13, levels=4)


def _reservoir(rng: np.random.Generator, valley: LineString) -> Polygon:
    """A lake behind a dam: it widens down the valley to the dam's straight edge, with one side arm."""
    dam_at = valley.length * 0.47
    length = float(rng.uniform(1_500, 1_900))
    parts = []
    for share in np.linspace(0, 1, 26):
        radius = 60 + 300 * share**0.8 * float(rng.uniform(0.82, 1.1))
        parts.append(shapely.Point(at(valley, dam_at - length * (1 - share))).buffer(radius))
    middle = at(valley, dam_at - length * 0.42)
    arm = LineString(wander(middle, (middle[0] + 900, middle[1] + float(rng.uniform(-350, 250))), rng, 0.12))
    parts += [shapely.Point(at(arm, arm.length * s)).buffer(210 - 150 * s) for s in np.linspace(0, 1, 14)]
    lake = largest(shapely.unary_union(parts).buffer(70).buffer(-110).buffer(40))
    # The dam is a straight cut across the valley.
    foot, ahead = at(valley, dam_at + 40), at(valley, dam_at + 240)
    ux, uy = ahead[0] - foot[0], ahead[1] - foot[1]
    size = float(np.hypot(ux, uy))
    ux, uy = ux / size, uy / size
    cut = Polygon(
        [
            (foot[0] - uy * 2_000, foot[1] + ux * 2_000),
            (foot[0] + uy * 2_000, foot[1] - ux * 2_000),
            (foot[0] + uy * 2_000 + ux * 2_000, foot[1] - ux * 2_000 + uy * 2_000),
            (foot[0] - uy * 2_000 + ux * 2_000, foot[1] + ux * 2_000 + uy * 2_000),
        ]
    )
    return largest(lake.difference(cut))
