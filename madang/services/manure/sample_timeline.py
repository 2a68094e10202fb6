"""What one truck physically does in one day, as knots in time: the truth that its devices measure.

Built forward by `Timeline`: drive, stand, load, discharge, spread. Times are seconds from the day's beginning (local
midnight). Mass is exact: the load
changes only by transfers, and each transfer is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from shapely import LineString, Polygon

from madang.services.manure.sample_ground import YARD, Floats, Ground, Points, Rng, Spot
from madang.services.manure.sample_motion import drive, lay_way, with_yards

XY = tuple[float, float]
LOAD, DISCHARGE, ROAD_LOSS = "load", "discharge", "road-loss"
FUEL_KG_PER_KM = 0.3
"""About 36 l per 100 km (field: loaded 20-t truck on country roads, with pump work)."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Manure that moved on or off the truck in one go."""

    kind: str
    started: float
    ended: float
    x: float
    y: float
    amount_kg: float
    spot: Spot
    moving: bool
    fuse_pulled: bool = False


@dataclass(slots=True)
class Segment:
    """A stretch of time in one state."""

    start: float
    end: float
    moving: bool
    ignition: bool
    pto: bool
    grade: float
    """Of the standing place; drives carry their own."""
    swing_kg: float = 0.0
    """A tractor pulls: the scale swings by so much."""


@dataclass(frozen=True, slots=True)
class DayTruth:
    """The finished day: knot arrays of equal length, and what happened."""

    t: Floats
    x: Floats
    y: Floats
    v: Floats
    heading: Floats
    accel: Floats
    lateral: Floats
    grade: Floats
    load: Floats
    extra: Floats
    """Fuel above the empty tank, wash water, rain on the tarpaulin: kg."""
    segments: Sequence[Segment]
    transfers: Sequence[Transfer]
    fuse_pulled: Sequence[tuple[float, float]]
    """Times without power for the terminal."""


class Timeline:
    """The builder. `now` and `place` move on with each call."""

    def __init__(
        self, ground: Ground, rng: Rng, start: float, place: XY, spot: Spot, load_kg: float, fuel_kg: float, pace: float
    ) -> None:
        self.ground, self._rng, self._pace = ground, rng, pace
        self.now, self.place, self.spot = start, place, spot
        self.load, self.extra = load_kg, fuel_kg
        self.heading = float(rng.uniform(0, 360))
        self.segments: list[Segment] = []
        self.transfers: list[Transfer] = []
        self.fuse_pulled: list[tuple[float, float]] = []
        self.driven_m = 0.0
        self._parts: list[list[Floats]] = []

    # ---- standing

    def stand(self, seconds: float, *, ignition: bool = True, pto: bool = False, swing_kg: float = 0.0) -> None:
        """Stand where we are. The ground is nearly level in yards and on fields, up to 6 % elsewhere."""
        if seconds <= 0:
            return
        self._knots([self.now, self.now + seconds], [self.load, self.load])
        self._segment(seconds, moving=False, ignition=ignition, pto=pto, swing_kg=swing_kg)

    def transfer(
        self, kind: str, amount_kg: float, seconds: float, *, ignition: bool = True, pto: bool = True, strokes: int = 0
    ) -> Transfer:
        """Load (kind ``load``) or discharge `amount_kg` while standing. `strokes`: in so many bucket loads instead of a steady flow."""
        sign = 1.0 if kind == LOAD else -1.0
        if strokes:
            # Each bucket arrives within the last four seconds of its round.
            ends = np.linspace(0, seconds, strokes + 1)[1:]
            times = np.concatenate([[0.0], np.column_stack([ends - min(4.0, seconds / strokes / 2), ends]).ravel()])
            shares = np.concatenate([[0.0], np.repeat(np.arange(strokes + 1) / strokes, 2)[1:-1]])
        else:
            times, shares = np.linspace(0, seconds, 8), np.linspace(0, 1, 8)
        self._knots(list(self.now + times), list(self.load + sign * amount_kg * shares))
        done = Transfer(kind, self.now, self.now + seconds, *self.place, amount_kg, self.spot, moving=False)
        self._segment(seconds, moving=False, ignition=ignition, pto=pto)
        self.load += sign * amount_kg
        self.transfers.append(done)
        return done

    def add_extra(self, amount_kg: float, seconds: float, *, ignition: bool = False) -> None:
        """Fuel or wash water comes (or goes, negative) while standing."""
        before = self.extra
        self.extra += amount_kg
        self._knots([self.now, self.now + seconds], [self.load, self.load], [before, self.extra])
        self._segment(seconds, moving=False, ignition=ignition, pto=False)

    # ---- moving

    def go(
        self,
        spot: Spot,
        place: XY | None = None,
        *,
        jam_kmh: float | None = None,
        lose_kg: float = 0.0,
        queue: tuple[tuple[float, float], ...] = (),
    ) -> None:
        """Drive to a place of a spot (its gate by default). `jam_kmh`: slow traffic where the way comes nearest to
        water. `lose_kg`: what runs
        out on the road, evenly while the truck does more than 15 km/h. `queue`: (metres before the end, seconds) of waiting in line."""
        target = place or spot.gate
        before = np.array([self.place]) if self.place != self.spot.gate else np.empty((0, 2))
        after = np.array([target]) if target != spot.gate else np.empty((0, 2))
        if self.spot.gate == spot.gate:
            points = np.array([self.place, spot.gate, target])
            keep = np.concatenate([[True], np.hypot(*np.diff(points, axis=0).T) > 0.05])
            points = points[keep]
            if len(points) < 2:
                return
            way = lay_way(self.ground, points, np.full(len(points) - 1, YARD, np.int8))
        else:
            road, classes = self.ground.route(self.spot.gate, spot.gate)
            points, kinds = with_yards(road, classes, before, after)
            if len(points) < 2:
                return
            way = lay_way(self.ground, points, kinds)
        jam_at = None
        jam_m = 0.0
        if jam_kmh is not None and len(way.s) > 60:
            away = shapely.distance(shapely.points(np.column_stack([way.x, way.y])[20:-20:4]), self.ground.water)
            jam_at, jam_m = float(way.s[20 + 4 * int(np.argmin(away))]), float(self._rng.uniform(200, 700))
        track = drive(
            way,
            self._rng,
            self._pace,
            jam_at_m=jam_at,
            jam_m=jam_m,
            jam_kmh=jam_kmh or 6.0,
            halts=tuple((float(way.s[-1]) - m, seconds) for m, seconds in queue),
        )
        load = np.full(len(track.t), self.load)
        if lose_kg > 0:
            fast = np.append(np.diff(track.t) * (track.v[:-1] > 15 / 3.6), 0.0)
            share = np.concatenate([[0.0], np.cumsum(fast)[:-1]]) / max(fast.sum(), 1e-9)
            load = self.load - lose_kg * share
            self.transfers.append(
                Transfer(ROAD_LOSS, self.now, self.now + float(track.t[-1]), *target, lose_kg, spot, moving=True)
            )
            self.load -= lose_kg
        fuel_kg = FUEL_KG_PER_KM * track.length / 1_000
        extra = self.extra - fuel_kg * track.t / track.t[-1]
        self.extra -= fuel_kg
        self._parts.append(
            [
                track.t + self.now,
                track.x,
                track.y,
                track.v,
                track.heading,
                track.accel,
                track.lateral,
                track.grade,
                load,
                extra,
            ]
        )
        self.heading = float(track.heading[-1])
        self.place, self.spot = target, spot
        self.driven_m += track.length
        self._segment(float(track.t[-1]), moving=True, ignition=True, pto=False)

    def spread(self, spot: Spot, amount_kg: float, rate_kg_s: float, speed_kmh: float, lane_m: float) -> Transfer:
        """Spread on a field in parallel passes, the valve shut on the headlands. The truck must stand at the field's gate or in it."""
        speed = speed_kmh / 3.6
        passes = field_passes(spot.area, lane_m, 9.0)
        started: float | None = None
        first = self.place
        ended = self.now
        left = amount_kg
        while left > 0:
            for a, b in passes:
                self._straight(self.place, a, 6.5 / 3.6, 0.0)
                seconds = float(np.hypot(b[0] - a[0], b[1] - a[1])) / speed
                dose = min(left, rate_kg_s * seconds)
                share = dose / (rate_kg_s * seconds)
                stop = (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)
                if started is None:
                    started, first = self.now, a
                self._straight(a, stop, speed, dose)
                ended = self.now
                left -= dose
                if left <= 0.5:
                    self.load -= left  # the rest of a rounding: grams
                    left = 0.0
                    break
        assert started is not None
        done = Transfer(
            DISCHARGE,
            started,
            ended,
            (first[0] + self.place[0]) / 2,
            (first[1] + self.place[1]) / 2,
            amount_kg,
            spot,
            moving=True,
        )
        self.transfers.append(done)
        self.spot = spot
        return done

    def _straight(self, a: XY, b: XY, speed: float, dose_kg: float) -> None:
        length = float(np.hypot(b[0] - a[0], b[1] - a[1]))
        if length < 0.3:
            return
        seconds = length / speed
        wobble = speed * float(self._rng.uniform(0.93, 1.07))
        t = np.array([0.0, seconds])
        self._move(
            t,
            np.array([a[0], b[0]]),
            np.array([a[1], b[1]]),
            np.full(2, wobble),
            np.array([self.load, self.load - dose_kg]),
            pto=True,
        )
        self.load -= dose_kg
        self.place = b

    # ---- finishing

    def finish(self) -> DayTruth:
        """The day's truth."""
        t, x, y, v, heading, accel, lateral, grade, load, extra = (
            np.concatenate([p[k] for p in self._parts]) for k in range(10)
        )
        return DayTruth(
            t, x, y, v, heading, accel, lateral, grade, load, extra, self.segments, self.transfers, self.fuse_pulled
        )

    def _knots(self, t: list[float], load: list[float], extra: list[float] | None = None) -> None:
        n = len(t)
        zero = np.zeros(n)
        self._parts.append(
            [
                np.array(t),
                np.full(n, self.place[0]),
                np.full(n, self.place[1]),
                zero,
                np.full(n, self.heading),
                zero,
                zero,
                zero,
                np.array(load),
                np.full(n, self.extra) if extra is None else np.array(extra),
            ]
        )

    def _move(self, t: Floats, x: Floats, y: Floats, v: Floats, load: Floats, *, pto: bool) -> None:
        n = len(t)
        zero = np.zeros(n)
        self.heading = float(np.degrees(np.arctan2(x[-1] - x[0], y[-1] - y[0])) % 360)
        self._parts.append(
            [t + self.now, x, y, v, np.full(n, self.heading), zero, zero, zero, load, np.full(n, self.extra)]
        )
        self._segment(float(t[-1]), moving=True, ignition=True, pto=pto)

    def _segment(self, seconds: float, *, moving: bool, ignition: bool, pto: bool, swing_kg: float = 0.0) -> None:
        level = self.spot.kind in ("ManureTreatmentPlant", "VehicleDepot", "AgriFarm")
        grade = float(self._rng.normal(0, 0.006 if level else 0.022))
        self.segments.append(
            Segment(self.now, self.now + seconds, moving, ignition, pto, max(-0.06, min(0.06, grade)), swing_kg)
        )
        self.now += seconds


def field_passes(area: Polygon, lane_m: float, inset_m: float) -> list[tuple[XY, XY]]:
    """Parallel lines across a field along its longer side, there and back, `inset_m` inside its edge."""
    inner = area.buffer(-inset_m)
    if inner.is_empty or not isinstance(inner, Polygon):
        inner = area.buffer(-2)
    box: Points = np.array(inner.minimum_rotated_rectangle.exterior.coords)
    a, b, c = box[0], box[1], box[2]
    if np.hypot(*(b - a)) < np.hypot(*(c - b)):
        a, b, c = b, c, box[3]
    across = c - b
    width = float(np.hypot(*across))
    lines: list[tuple[XY, XY]] = []
    for k, offset in enumerate(np.arange(0.5, max(width, 1.0), lane_m)):
        shift = across / width * offset
        cut = LineString([a + shift, b + shift]).intersection(inner)
        if isinstance(cut, LineString) and cut.length > 15:
            p, q = [(float(u), float(w)) for u, w in (cut.coords[0], cut.coords[-1])]
            lines.append((p, q) if k % 2 == 0 else (q, p))
    if not lines:
        middle = inner.centroid
        lines.append(((float(middle.x) - 15, float(middle.y)), (float(middle.x) + 15, float(middle.y))))
    return lines
