"""How a loaded truck moves along a way: speed limits, bends, traffic, stops, acceleration. Pure; metres, seconds.

The speed along the way is the largest that the class of road, the bends (lateral acceleration), the traffic and the
brakes allow: the classic forward
and backward pass over a grid. Figures are ours: a 20-t truck accelerates with 0.7 m/s², brakes with 0.9 m/s², takes bends at 1.6 m/s².
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from madang.services.manure.sample_ground import ROAD_MAIN, ROAD_STREET, YARD, Floats, Ground, Points, Rng

GRID_M = 15.0
ACCELERATE_M_S2, BRAKE_M_S2, BEND_M_S2 = 0.7, 0.9, 1.6
CLASS_KMH = np.array([66.0, 46.0, 31.0, 14.0, 8.0])
"""Usual speed by class: main, local, street, lane, yard."""


@dataclass(frozen=True, slots=True)
class Track:
    """A drive as knots in time; between them everything is linear."""

    t: Floats
    """Seconds from the start of the drive, increasing."""
    x: Floats
    y: Floats
    v: Floats
    """m/s."""
    heading: Floats
    """Degrees, 0 north, clockwise."""
    accel: Floats
    """m/s² along the way until the next knot."""
    lateral: Floats
    """m/s² across, unsigned."""
    grade: Floats
    """Rise over run, positive uphill."""
    length: float


@dataclass(frozen=True, slots=True)
class Way:
    """A way laid out on the grid."""

    s: Floats
    x: Floats
    y: Floats
    limit: Floats
    """m/s."""
    road: NDArray[np.int8]
    heading: Floats
    bend: Floats
    """Curvature, 1/m."""
    grade: Floats


def lay_way(ground: Ground, points: Points, classes: NDArray[np.int8]) -> Way:
    """Put a way of points (n, 2) with n - 1 classes on the grid."""
    step = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(step)])
    total = float(along[-1])
    n = max(5, int(np.ceil(total / GRID_M)) + 1)
    s = np.linspace(0.0, total, n)
    x, y = np.interp(s, along, points[:, 0]), np.interp(s, along, points[:, 1])
    road = classes[np.clip(np.searchsorted(along, s, "right") - 1, 0, len(classes) - 1)]
    dx, dy = np.diff(x), np.diff(y)
    angle = np.unwrap(np.arctan2(dx, dy))
    turn = np.abs(np.diff(angle, prepend=angle[0], append=angle[-1]))
    ds = total / (n - 1)
    bend = np.maximum(turn, 0.7 * np.maximum(np.roll(turn, 1), np.roll(turn, -1))) / max(ds, 6.0)
    limit = np.minimum(CLASS_KMH[road] / 3.6, np.maximum(2.6, np.sqrt(BEND_M_S2 / np.maximum(bend, 1e-5))))
    z = ground.height_at(x, y)
    if n > 12:  # roads are graded: 165 m moving mean
        z = np.convolve(np.pad(z, 5, mode="edge"), np.full(11, 1 / 11), mode="valid")
    grade = np.clip(np.gradient(z, ds), -0.09, 0.09)
    heading = np.degrees(np.append(angle, angle[-1])) % 360.0
    return Way(s, x, y, limit, road, heading, bend, grade)


def drive(
    way: Way,
    rng: Rng,
    pace: float,
    *,
    jam_at_m: float | None = None,
    jam_m: float = 0.0,
    jam_kmh: float = 6.0,
    halts: tuple[tuple[float, float], ...] = (),
) -> Track:
    """Drive a way from standstill to standstill.

    `pace`: the driver's own factor on the usual speed. `jam_at_m`, `jam_m`, `jam_kmh`: slow traffic. `halts`: further (position in metres,
    seconds) of standing, besides the lights and crossings that are drawn here.
    """
    s, n = way.s, len(way.s)
    total, ds = float(s[-1]), float(s[1])
    knots = np.arange(0.0, total + 600.0, 600.0)
    traffic = np.interp(s, knots, rng.uniform(0.74, 1.06, len(knots))) if len(knots) > 1 else np.full(n, 0.9)
    limit = way.limit * np.where(way.road == YARD, 1.0, traffic * pace)
    if jam_at_m is not None:
        inside = np.abs(s - jam_at_m) < jam_m / 2
        limit[inside] = np.minimum(limit[inside], jam_kmh / 3.6 * rng.uniform(0.6, 1.2, int(inside.sum())))
    waits: dict[int, float] = {}
    if n > 12:
        # Lights and crossings: a street stops one every 700 m, a main road every 5 km.
        chance = np.where(
            way.road == ROAD_STREET, ds / 700.0, np.where(way.road == ROAD_MAIN, ds / 5_000.0, ds / 9_000.0)
        )
        for k in np.flatnonzero(rng.random(n) < chance).tolist():
            if 4 < k < n - 5:
                waits[k] = float(rng.uniform(4, 55))
        for position, seconds in halts:
            waits[int(np.clip(position / ds, 4, n - 5))] = seconds
    limit[[0, -1]] = 0.0
    for k in waits:
        if not any(j in waits for j in (k - 1, k - 2)):
            limit[k] = 0.0
    v2 = limit**2
    v2 = np.minimum.accumulate(v2 - 2 * ACCELERATE_M_S2 * s) + 2 * ACCELERATE_M_S2 * s
    back = v2[::-1] - 2 * BRAKE_M_S2 * s
    v2 = (np.minimum.accumulate(back) + 2 * BRAKE_M_S2 * s)[::-1]
    v = np.sqrt(np.maximum(v2, 0.0))
    dt = 2 * np.diff(s) / np.maximum(v[:-1] + v[1:], 0.4)
    t = np.concatenate([[0.0], np.cumsum(dt)])
    accel = np.append(np.diff(v) / dt, 0.0)
    columns = [t, way.x, way.y, v, way.heading, accel, v * v * way.bend, way.grade]
    stops = sorted(k for k in waits if limit[k] == 0.0)
    if stops:
        # A wait is a second knot at the same place; later knots move on by it.
        columns = [np.insert(c, [k + 1 for k in stops], c[stops]) for c in columns]
        shift = np.zeros(n)
        for k in stops:
            shift[k + 1 :] += waits[k]
        waited = np.insert(shift, [k + 1 for k in stops], [shift[k] + waits[k] for k in stops])
        columns[0] = columns[0] + waited
        for i, k in enumerate(stops):
            columns[5][k + i] = 0.0  # standing between the two knots
    t, x, y, v, heading, accel, lateral, grade = columns
    return Track(t, x, y, v, heading, accel, np.minimum(lateral, 3.0), grade, total)


def with_yards(
    points: Points, classes: NDArray[np.int8], before: Points, after: Points
) -> tuple[Points, NDArray[np.int8]]:
    """A way with yard pieces before its first and after its last point (each of shape (k, 2), possibly empty)."""
    whole = np.vstack([before, points, after])
    kinds = np.concatenate([np.full(len(before), YARD, np.int8), classes, np.full(len(after), YARD, np.int8)])
    keep = np.concatenate([[True], np.hypot(*np.diff(whole, axis=0).T) > 0.05])
    return whole[keep], kinds[keep[1:]]
