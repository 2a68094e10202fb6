"""Curves and blobs on the local plane (metres, x east, y north): the drawing kit of the generated town.

All functions are pure; randomness comes in as a numpy Generator. Points are arrays of shape (n, 2).
"""

from itertools import pairwise
from math import cos, hypot, pi, sin

import numpy as np
from numpy.typing import NDArray
from shapely import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

Points = NDArray[np.float64]
"""Shape (n, 2), metres."""
XY = tuple[float, float]


def smooth_line(points: Points, rounds: int = 3) -> Points:
    """Chaikin's corner cutting: each round halves the angles; the ends stay where they are (Chaikin 1974)."""
    for _ in range(rounds):
        a, b = points[:-1], points[1:]
        cut = np.empty((2 * len(a), 2))
        cut[0::2] = 0.75 * a + 0.25 * b
        cut[1::2] = 0.25 * a + 0.75 * b
        points = np.vstack([points[:1], cut[1:-1], points[-1:]])
    return points


def smooth_ring(points: Points, rounds: int = 3) -> Points:
    """Chaikin on a closed ring given without its repeated end."""
    for _ in range(rounds):
        nxt = np.roll(points, -1, axis=0)
        cut = np.empty((2 * len(points), 2))
        cut[0::2] = 0.75 * points + 0.25 * nxt
        cut[1::2] = 0.25 * points + 0.75 * nxt
        points = cut
    return points


def wander(a: XY, b: XY, rng: np.random.Generator, sway: float, levels: int = 3) -> Points:
    """A line from a to b that wanders sideways: midpoint displacement, then smoothing. `sway` is the displacement as a
    share of each piece's length (0.1: a country road, 0.25: a brook)."""
    points = [a, b]
    for level in range(levels):
        out = [points[0]]
        for p, q in pairwise(points):
            dx, dy = q[0] - p[0], q[1] - p[1]
            side = float(rng.normal(0, sway)) * 0.7**level
            out.append(((p[0] + q[0]) / 2 - dy * side, (p[1] + q[1]) / 2 + dx * side))
            out.append(q)
        points = out
    return smooth_line(np.array(points), 3)


def ribbon(line: Points, widths: NDArray[np.float64]) -> Polygon:
    """The area along a centre line whose width (one per point, metres) varies: a river between its banks."""
    step = np.gradient(line, axis=0)
    length = np.hypot(step[:, 0], step[:, 1])
    normal = np.column_stack([-step[:, 1], step[:, 0]]) / length[:, None]
    left, right = line + normal * widths[:, None] / 2, line - normal * widths[:, None] / 2
    shape = Polygon(np.vstack([left, right[::-1]])).buffer(0)
    return largest(shape)


def blob(
    centre: XY,
    radius: float,
    rng: np.random.Generator,
    roughness: float = 0.25,
    stretch: float = 1.0,
    angle: float = 0.0,
) -> Polygon:
    """A rounded irregular area: a circle with a few random harmonics, stretched along `angle` (radians)."""
    turn = np.linspace(0, 2 * pi, 48, endpoint=False)
    r = np.ones_like(turn)
    for k in (2, 3, 4, 5, 7):
        r += roughness / k * rng.normal() * np.cos(k * turn + rng.uniform(0, 2 * pi))
    r = radius * np.clip(r, 0.45, 1.7)
    x, y = r * np.cos(turn) * stretch, r * np.sin(turn) / stretch
    c, s = cos(angle), sin(angle)
    return largest(Polygon(np.column_stack([centre[0] + c * x - s * y, centre[1] + s * x + c * y])).buffer(0))


def rectangle(corner: XY, along: XY, width: float, depth: float) -> Polygon:
    """A rectangle from a corner: `width` along the unit vector `along`, `depth` to its left."""
    (x, y), (ux, uy) = corner, along
    nx, ny = -uy, ux
    return Polygon(
        [
            (x, y),
            (x + ux * width, y + uy * width),
            (x + ux * width + nx * depth, y + uy * width + ny * depth),
            (x + nx * depth, y + ny * depth),
        ]
    )


def largest(shape: BaseGeometry) -> Polygon:
    """The largest polygon of a shape. Raises ValueError when it has none."""
    if isinstance(shape, Polygon) and not shape.is_empty:
        return Polygon(shape.exterior)
    parts = [p for p in getattr(shape, "geoms", ()) if isinstance(p, Polygon) and not p.is_empty]
    if not parts:
        raise ValueError("shape has no area")
    return Polygon(max(parts, key=lambda p: p.area).exterior)


def unit(a: XY, b: XY) -> XY:
    """The unit vector from a to b; (1, 0) when they coincide."""
    length = hypot(b[0] - a[0], b[1] - a[1])
    return ((b[0] - a[0]) / length, (b[1] - a[1]) / length) if length > 1e-9 else (1.0, 0.0)


def at(line: LineString, distance: float) -> XY:
    """The point at a distance along a line."""
    p: Point = line.interpolate(distance)
    return (p.x, p.y)


def heading_vector(line: LineString, distance: float, reach: float = 25.0) -> XY:
    """The direction of a line around a distance, as a unit vector."""
    return unit(at(line, max(0.0, distance - reach)), at(line, min(line.length, distance + reach)))
