"""Draws the roads of the generated town: a ring and radials, country roads between villages, streets in the built-up areas."""

from math import atan2, cos, degrees, hypot, pi, sin

import numpy as np
import shapely
from shapely import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from madang.simulate import town_names
from madang.simulate.town_names import Name
from madang.simulate.town_roads import LOCAL, MAIN, STREET, Drawing
from madang.simulate.town_shapes import XY, Points, smooth_line, smooth_ring, wander
from madang.simulate.town_water import HALF_HEIGHT_M, HALF_WIDTH_M, Relief, Water

RADIALS = 6


def town_places(centre: XY, lake: Polygon, water: BaseGeometry, rng: np.random.Generator) -> list[XY]:
    """Where the six township seats lie: one on each radial, 5.5 to 8 km out, off the water."""
    seats: list[XY] = []
    turn = float(rng.uniform(-0.12, 0.12))
    # East-west is longer than north-south, as the map is.
    for k, angle in enumerate((0.12, 0.83, 2.25, 3.1, 4.05, 5.3)):
        for _ in range(60):
            a = angle + turn + float(rng.uniform(-0.12, 0.12))
            reach = float(rng.uniform(5_800, 7_900)) * (1.0 if k in (0, 3) else 0.82)
            seat = (centre[0] + reach * cos(a), centre[1] + reach * sin(a) * 0.92)
            inside = abs(seat[0]) < HALF_WIDTH_M - 2_300 and abs(seat[1]) < HALF_HEIGHT_M - 1_900
            if inside and water.distance(Point(seat)) > 620 and lake.distance(Point(seat)) > 1_100:
                break
        seats.append(seat)
    return seats


def draw_main_roads(drawing: Drawing, centre: XY, seats: list[XY], lake: Polygon, rng: np.random.Generator) -> None:
    """The ring, six radials through the township seats to the map's edge, and the road that links the seats."""
    turn = np.linspace(0, 2 * pi, 28, endpoint=False)
    radius = 2_950 * (1 + 0.05 * np.cos(2 * turn + rng.uniform(0, 6)) + 0.04 * np.cos(3 * turn + rng.uniform(0, 6)))
    ring = smooth_ring(
        np.column_stack([centre[0] + radius * np.cos(turn) * 1.1, centre[1] + radius * np.sin(turn) * 0.92]), 2
    )
    drawing.add(np.vstack([ring, ring[:1]]), MAIN, town_names.RING_ROAD)
    for k, seat in enumerate(seats):
        name = (f"국도 {17 + 4 * k}호선", f"National Road {17 + 4 * k}")
        inner = wander(centre, seat, rng, 0.035, levels=3)
        drawing.add(around(inner, lake, 220), MAIN, name)
        edge = _edge_point(centre, seat)
        drawing.add(around(wander(seat, edge, rng, 0.06, levels=2), lake, 220), MAIN, name)
    order = sorted(range(len(seats)), key=lambda i: atan2(seats[i][1] - centre[1], seats[i][0] - centre[0]))
    for n, (i, j) in enumerate(zip(order, order[1:] + order[:1], strict=True)):
        a, b = seats[i], seats[j]
        middle = ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)
        out = max(1.0, hypot(middle[0] - centre[0], middle[1] - centre[1]))
        # The link bows outwards, so that it does not cut through the ring.
        push = max(0.0, 5_300 - out) * 0.9
        via = (middle[0] + (middle[0] - centre[0]) / out * push, middle[1] + (middle[1] - centre[1]) / out * push * 0.8)
        via = (max(-10_500.0, min(10_500.0, via[0])), max(-7_600.0, min(7_600.0, via[1])))
        # One curve through a, near via, to b: the corner at via is cut round before the line starts to wander.
        bow = smooth_line(
            np.array(
                [
                    a,
                    ((a[0] + via[0] * 2) / 3, (a[1] + via[1] * 2) / 3),
                    ((b[0] + via[0] * 2) / 3, (b[1] + via[1] * 2) / 3),
                    b,
                ]
            ),
            3,
        )
        knots = bow[:: max(1, len(bow) // 5)]
        knots = np.vstack([knots, bow[-1:]]) if not np.array_equal(knots[-1], bow[-1]) else knots
        jitter = rng.normal(0, 90, knots.shape)
        jitter[[0, -1]] = 0
        line = smooth_line(knots + jitter, 4)
        drawing.add(around(line, lake, 220), MAIN, (f"지방도 {701 + 3 * n}호선", f"Provincial Road {701 + 3 * n}"))


def draw_country_roads(
    drawing: Drawing,
    villages: list[tuple[XY, Name]],
    seats: list[XY],
    centre: XY,
    waters: tuple[Water, ...],
    city: Polygon,
    relief: Relief,
    rng: np.random.Generator,
) -> None:
    """Winding roads between villages, seats and points of the main roads: the Gabriel graph (Gabriel, Sokal 1969) of these places,
    without ways that would need a long bridge or run through the city."""
    river, lake = waters[0].area, waters[-1].area
    places = [p for p, _ in villages] + list(seats)
    labels: list[Name | None] = [n for _, n in villages] + [None] * len(seats)
    for line in [one for one in drawing.lines if one.road_class == MAIN][1:]:
        walked = 0.0
        for a, b in zip(line.points, line.points[1:], strict=False):
            walked += float(hypot(*(b - a)))
            here = (float(b[0]), float(b[1]))
            far_out = hypot(here[0] - centre[0], here[1] - centre[1]) > 3_500
            if walked > 1_700 and far_out and min(hypot(here[0] - p[0], here[1] - p[1]) for p in places) > 750:
                places.append(here)
                labels.append(None)
                walked = 0.0
    xy = np.array(places)
    gap = ((xy[:, None, :] - xy[None, :, :]) ** 2).sum(axis=2)
    barred = shapely.union_all([river.buffer(35), lake.buffer(160), city.buffer(-150)])
    joined: set[int] = set()
    wanted: list[tuple[float, int, int, bool]] = []
    for i in range(len(places)):
        for j in range(i + 1, len(places)):
            gabriel = bool(np.all(np.delete(gap[i] + gap[j], [i, j]) >= gap[i, j]))
            both_on_main = labels[i] is None and labels[j] is None
            if gap[i, j] < 5_000**2 and not (both_on_main and (not gabriel or gap[i, j] < 2_400**2)):
                wanted.append((float(gap[i, j]), i, j, gabriel))
    wanted.sort()
    group = list(range(len(places)))  # union-find over villages; everything on a main road is one group

    def root(k: int) -> int:
        while group[k] != k:
            k = group[k]
        return k

    first_on_main = len(villages)
    for k in range(first_on_main + 1, len(places)):
        group[k] = first_on_main
    for gabriel_round in (True, False):
        for _, i, j, gabriel in wanted:
            if gabriel != gabriel_round or (not gabriel and root(i) == root(j)):
                continue
            road = _country_road(places[i], places[j], barred, relief, rng, strict=gabriel)
            if road is None:
                continue
            name = labels[i] or labels[j] or ("농로", "Farm Road")
            drawing.add(road, LOCAL, (f"{name[0]}길", f"{name[1]}-gil"))
            joined |= {i, j}
            group[root(i)] = root(j)


def _country_road(
    a: XY, b: XY, barred: BaseGeometry, relief: Relief, rng: np.random.Generator, *, strict: bool
) -> Points | None:
    for sway in (0.085, 0.06, 0.03):
        line = wander(a, b, rng, sway, levels=3)
        if not LineString(line[2:-2]).intersects(barred) and (
            not strict or float(relief.heights(line[::4]).max()) < 150
        ):
            return line
    return None


def draw_streets(
    drawing: Drawing,
    area: Polygon,
    spacing: float,
    angle: float,
    rng: np.random.Generator,
    water: BaseGeometry,
    kind: str,
) -> None:
    """A slightly bent street grid inside a built-up area."""
    centre = area.centroid
    reach = float(np.sqrt(area.area)) * 1.4
    inside = area.buffer(-25).difference(water.buffer(20))
    number = 0
    for turned in (angle, angle + pi / 2):
        ux, uy = cos(turned), sin(turned)
        lines = max(1, round(reach / spacing))
        for k in range(-lines, lines + 1):
            offset = k * spacing + float(rng.normal(0, spacing * 0.06))
            base = (centre.x - uy * offset, centre.y + ux * offset)
            t = np.linspace(-reach, reach, 40)
            bend = reach * 0.03 * np.sin(t / reach * 2 + k * 0.3)
            raw = LineString(np.column_stack([base[0] + ux * t - uy * bend, base[1] + uy * t + ux * bend]))
            for part in getattr(raw.intersection(inside), "geoms", [raw.intersection(inside)]):
                if isinstance(part, LineString) and part.length > 1.15 * spacing:
                    word = town_names.STREET_WORDS[number % len(town_names.STREET_WORDS)]
                    drawing.add(
                        np.array(part.coords),
                        STREET,
                        (f"{word[0]}{kind}", f"{word[1]}-{'ro' if kind == '로' else 'gil'}"),
                    )
                    number += 1


def around(line: Points, lake: Polygon, gap: float) -> Points:
    """The line bent out of a lake: points closer than `gap` to it are pushed away from its centre onto its shore's parallel."""
    shore = lake.convex_hull.buffer(gap)
    if not LineString(line).intersects(shore):
        return line
    dense = np.array(LineString(line).segmentize(60).coords)
    edge = LineString(shore.exterior)
    centre = shore.centroid
    keep = [0, len(dense) - 1]
    out = dense.copy()
    for i, (x, y) in enumerate(dense):
        if i not in keep and shore.contains(Point(x, y)):
            ray = LineString([(centre.x, centre.y), (x + (x - centre.x) * 60, y + (y - centre.y) * 60)])
            hit = ray.intersection(edge)
            spot = hit if isinstance(hit, Point) else edge.interpolate(edge.project(Point(x, y)))
            out[i] = (spot.x, spot.y)
    # Three passes of a moving mean take the kinks out where the line leaves the shore.
    for _ in range(3):
        out[1:-1] = (out[:-2] + out[1:-1] + out[2:]) / 3
    return np.asarray(out[np.concatenate([[True], np.hypot(*np.diff(out, axis=0).T) > 1.0])], dtype=np.float64)


def _edge_point(centre: XY, seat: XY) -> XY:
    """Where the ray from the centre through the seat leaves the map."""
    dx, dy = seat[0] - centre[0], seat[1] - centre[1]
    reach = min(
        (HALF_WIDTH_M * (1 if dx > 0 else -1) - centre[0]) / dx if abs(dx) > 1 else 1e9,
        (HALF_HEIGHT_M * (1 if dy > 0 else -1) - centre[1]) / dy if abs(dy) > 1 else 1e9,
    )
    return centre[0] + dx * reach, centre[1] + dy * reach


def bearing_deg(a: XY, b: XY) -> float:
    """Direction from a to b in degrees, 0 north, clockwise, in [0, 360)."""
    return degrees(atan2(b[0] - a[0], b[1] - a[1])) % 360
