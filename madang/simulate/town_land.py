"""What stands on the land of the generated town: settlements, farms, plants, depots, fields, ways down to the river bank."""

from dataclasses import dataclass, field
from math import atan2, hypot
from typing import Any

import numpy as np
import shapely
from shapely import LineString, Point, Polygon, STRtree
from shapely.geometry.base import BaseGeometry

from madang.simulate import town_names
from madang.simulate.town_names import Name
from madang.simulate.town_roads import LOCAL, MAIN, Drawing
from madang.simulate.town_shapes import XY, at, blob, heading_vector, rectangle
from madang.simulate.town_water import Relief, Water


@dataclass(frozen=True, slots=True)
class Settlement:
    """A built-up area."""

    name: Name
    kind: str
    """``city``, ``town`` or ``village``."""
    centre: XY
    area: Polygon


@dataclass(frozen=True, slots=True)
class Site:
    """A yard or a field with its way in."""

    code: str
    kind: str
    """``AgriFarm``, ``AgriParcel``, ``ManureTreatmentPlant``, ``VehicleDepot``; ``field`` (not registered) and ``bank`` (a way down
    to the water) are known to the sample only."""
    name: Name
    area: Polygon
    gate: XY
    """Where the lane reaches it: a node of the road graph."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Attribute values by name."""


def place_villages(
    rng: np.random.Generator, centre: XY, seats: list[XY], waters: tuple[Water, ...], relief: Relief, count: int
) -> list[tuple[XY, Name]]:
    """Village centres: apart from each other, off the water and the hills, loosely spread."""
    water = shapely.union_all(
        [w.area.buffer(340 if w.kind == "reservoir" else 150 if w.kind == "river" else 70) for w in waters]
    )
    names = list(town_names.VILLAGES)
    rng.shuffle(names)
    found: list[tuple[XY, Name]] = []
    gap = 1_650.0
    for attempt in range(6_000):
        if len(found) == count:
            break
        if attempt % 1_000 == 999:
            gap *= 0.9
        p = (float(rng.uniform(-10_300, 10_300)), float(rng.uniform(-7_700, 7_700)))
        if (
            hypot(p[0] - centre[0], p[1] - centre[1]) < 3_300
            or min(hypot(p[0] - s[0], p[1] - s[1]) for s in seats) < 1_250
        ):
            continue
        if any(hypot(p[0] - q[0], p[1] - q[1]) < gap for q, _ in found):
            continue
        if water.distance(Point(p)) < 160 or float(relief.heights(np.array([p]))[0]) > 105:
            continue
        found.append((p, (str(names[len(found)][0]), str(names[len(found)][1]))))
    return found


def build_settlements(
    rng: np.random.Generator, centre: XY, seats: list[XY], villages: list[tuple[XY, Name]], water: BaseGeometry
) -> tuple[Settlement, ...]:
    """The city, the township seats and the villages as areas, kept off the water."""
    dry = water.buffer(45)
    city = blob(centre, 2_050, rng, 0.2, 1.12, 0.15)
    parts = [Settlement(town_names.CITY, "city", centre, _dry_part(city, dry, centre))]
    for seat, name in zip(seats, town_names.TOWNS, strict=True):
        area = blob(
            seat, float(rng.uniform(380, 520)), rng, 0.28, float(rng.uniform(1.0, 1.25)), float(rng.uniform(0, 3))
        )
        parts.append(Settlement(name, "town", seat, _dry_part(area, dry, seat)))
    for place, name in villages:
        area = blob(
            place, float(rng.uniform(85, 165)), rng, 0.4, float(rng.uniform(1.0, 1.4)), float(rng.uniform(0, 3))
        )
        parts.append(
            Settlement((f"{name[0]}마을", f"{name[1]} Village"), "village", place, _dry_part(area, dry, place))
        )
    return tuple(parts)


def _dry_part(area: Polygon, wet: BaseGeometry, centre: XY) -> Polygon:
    rest = area.difference(wet)
    pieces = [p for p in getattr(rest, "geoms", [rest]) if isinstance(p, Polygon)]
    best = max(pieces, key=lambda p: p.area - 1e6 * p.distance(Point(centre)))
    return Polygon(best.buffer(-8).buffer(8).exterior if not best.buffer(-8).is_empty else best.exterior)


class LandBook:
    """Land already taken: a new site must not overlap it."""

    def __init__(self, drawing: Drawing, waters: tuple[Water, ...], settlements: tuple[Settlement, ...]) -> None:
        self.drawing = drawing
        self.settlements = settlements
        self.waters = waters
        self.water_zone = shapely.union_all([w.area.buffer(w.zone_m + 12) for w in waters])
        self.built = shapely.union_all([s.area for s in settlements])
        shapely.prepare(self.water_zone)
        shapely.prepare(self.built)
        self.taken: list[Polygon] = []
        self._boxes: list[tuple[float, float, float, float]] = []
        self.refresh_roads()

    def refresh_roads(self) -> None:
        """Call after roads were drawn or lanes attached."""
        self._roads = [LineString(line.points) for line in self.drawing.lines]
        self._road_tree = STRtree(self._roads)

    def is_free(
        self,
        area: Polygon,
        *,
        to_water: bool = True,
        to_houses: float = 112.0,
        to_roads: float = 6.0,
        to_sites: float = 4.0,
    ) -> bool:
        """True when the area keeps these distances (metres) from the water's zones, houses, roads and other sites."""
        x0, y0, x1, y1 = area.bounds
        if max(abs(x0), abs(x1)) > 11_000 or max(abs(y0), abs(y1)) > 8_100:
            return False
        if (to_water and self.water_zone.intersects(area)) or self.built.distance(area) < to_houses:
            return False
        if any(self._roads[i].distance(area) < to_roads for i in self._road_tree.query(area.buffer(to_roads))):
            return False
        x0, y0, x1, y1 = x0 - to_sites, y0 - to_sites, x1 + to_sites, y1 + to_sites
        return all(
            b[0] > x1 or b[2] < x0 or b[1] > y1 or b[3] < y0 or self.taken[k].distance(area) >= to_sites
            for k, b in enumerate(self._boxes)
        )

    def take(self, area: Polygon) -> None:
        """Book the area."""
        self.taken.append(area)
        self._boxes.append(area.bounds)

    def release_last(self, count: int) -> None:
        """Give the last `count` areas back."""
        if count:
            del self.taken[-count:]
            del self._boxes[-count:]

    def village_at(self, place: XY) -> Name:
        """The name of the nearest village or township, for an address."""
        near = min(self.settlements[1:], key=lambda s: hypot(s.centre[0] - place[0], s.centre[1] - place[1]))
        return near.name[0].removesuffix("마을"), near.name[1].removesuffix(" Village")


def build_yards(
    book: LandBook,
    rng: np.random.Generator,
    kind: str,
    names: list[Name],
    classes: tuple[int, ...],
    size: tuple[float, float],
    setback: tuple[float, float],
    houses_m: float,
    apart_m: float,
    code: str,
    length_min: float = 700.0,
) -> list[Site]:
    """Yards along roads, each with a lane to its gate. They keep `apart_m` from other yards of the kind. Fewer come back only when
    the land is full."""
    sites: list[Site] = []
    lines = [
        one
        for one in book.drawing.lines
        if one.road_class in classes and float(np.hypot(*np.diff(one.points, axis=0).T).sum()) > length_min
    ]
    lengths = np.array([float(np.hypot(*np.diff(one.points, axis=0).T).sum()) for one in lines])
    for attempt in range(8_000):
        if len(sites) == len(names):
            break
        line = lines[int(rng.choice(len(lines), p=lengths / lengths.sum()))]
        shape = LineString(line.points)
        s = float(rng.uniform(60, shape.length - 60))
        foot, along = at(shape, s), heading_vector(shape, s)
        side = 1 if rng.random() < 0.5 else -1
        gap = float(rng.uniform(*setback))
        width, depth = size[0] * float(rng.uniform(0.85, 1.25)), size[1] * float(rng.uniform(0.85, 1.25))
        nx, ny = -along[1] * side, along[0] * side
        gate = (foot[0] + nx * gap, foot[1] + ny * gap)
        ux, uy = (along[0], along[1]) if side > 0 else (-along[0], -along[1])
        corner = (gate[0] - ux * width / 2, gate[1] - uy * width / 2)
        area = rectangle(corner, (ux, uy), width, depth)
        if kind == "AgriFarm" and rng.random() < 0.55:  # an L-shaped yard
            area = Polygon(area.union(rectangle(corner, (ux, uy), width * 0.45, depth * 1.7)).exterior)
        spread = apart_m * (0.9 ** (attempt // 1_500))
        if any(hypot(gate[0] - q.gate[0], gate[1] - q.gate[1]) < spread for q in sites) or not book.is_free(
            area, to_houses=houses_m, to_sites=30.0
        ):
            continue
        if LineString([foot, gate]).intersects(book.built) or abs(foot[0]) > 11_000 or abs(foot[1]) > 8_000:
            continue
        name = names[len(sites)]
        book.drawing.attach(line, foot, [gate], (f"{name[0]} 진입로", f"{name[1]} access"))
        book.take(area)
        book.refresh_roads()
        sites.append(Site(f"{code}{len(sites) + 1:03d}", kind, name, area, gate))
    return sites


def build_bank_ways(book: LandBook, rng: np.random.Generator, count: int) -> list[Site]:
    """Lanes from country roads down to the water's edge, away from houses: anglers use them, and some drivers at dusk."""
    sites: list[Site] = []
    for wide in (520.0, 800.0):
        for line in [one for one in book.drawing.lines if one.road_class in (LOCAL, MAIN)]:
            shape = LineString(line.points)
            for s in np.arange(150, shape.length - 100, 260):
                foot = at(shape, float(s))
                water = min(book.waters[:2], key=lambda w: w.area.distance(Point(foot)))
                away = water.area.distance(Point(foot))
                if len(sites) >= count or not 70 < away < wide or hypot(*foot) > 10_900 or abs(foot[1]) > 8_000:
                    continue
                bank = at(LineString(water.area.exterior), LineString(water.area.exterior).project(Point(foot)))
                share = 1 - float(rng.uniform(9, 22)) / away
                gate = (foot[0] + (bank[0] - foot[0]) * share, foot[1] + (bank[1] - foot[1]) * share)
                lane = LineString([foot, gate])
                crossed = sum(1 for one in book.drawing.lines if LineString(one.points).crosses(lane))
                if book.built.distance(lane) < 160 or crossed or any(t.distance(lane) < 30 for t in book.taken):
                    continue
                if any(hypot(gate[0] - q.gate[0], gate[1] - q.gate[1]) < 1_000 for q in sites):
                    continue
                name = (f"{water.name[0]} 둔치", f"{water.name[1]} bank")
                book.drawing.attach(line, foot, [gate], name)
                sites.append(Site(f"B{len(sites) + 1:03d}", "bank", name, Point(gate).buffer(30), gate))
    book.refresh_roads()
    return sites


CATEGORIES = ("paddy", "dryField", "grassland", "orchard")
PIG_AREA_M2 = {"grassland": 140, "paddy": 260, "dryField": 170, "orchard": 170}
"""Spreading area per pig (domain page: newsam 3050)."""
PIG_KG_PER_SEASON = 420
"""Half a year's slurry of one pig: 5.1 kg/day is the Korean norm with washing water halved; ours, rounded."""


def build_fields(
    book: LandBook, rng: np.random.Generator, registered: int, spare: int
) -> tuple[list[Site], list[Site]]:
    """Blocks of fields along country roads: the registered parcels, and other fields that nobody registered (at least 90 m from
    every registered one, so that which is which is not a matter of GPS noise)."""
    blocks: list[list[tuple[Polygon, list[XY], XY, int]]] = []
    lines = [(n, one) for n, one in enumerate(book.drawing.lines) if one.road_class == LOCAL]
    for n, line in lines:
        shape = LineString(line.points)
        s = float(rng.uniform(40, 120))
        while s < shape.length - 260:
            for side in (1, -1):
                block = _field_block(book, rng, shape, s, side, n)
                if len(block) >= 2:
                    blocks.append(block)
            s += float(rng.uniform(330, 560))
    order = list(rng.permutation(len(blocks)))
    parcels: list[Site] = []
    fields: list[Site] = []
    lots: dict[str, int] = {}
    registered_areas: list[Polygon] = []
    for k in order:
        block = blocks[k]
        wanted = len(parcels) < registered
        if not wanted and len(fields) >= spare:
            break
        if not wanted and any(a.distance(b[0]) < 90 for a in registered_areas for b in block):
            continue
        village = book.village_at(block[0][1][-1])
        lots[village[0]] = lots.get(village[0], int(rng.integers(20, 300))) + int(rng.integers(1, 30))
        category = str(rng.choice(CATEGORIES, p=(0.36, 0.34, 0.2, 0.1)))
        for sub, (area, path, foot, n) in enumerate(block, 1):
            if wanted and len(parcels) >= registered:
                break
            name = town_names.parcel_name(village, lots[village[0]], sub)
            target = parcels if wanted else fields
            code = f"P{len(parcels) + 1:03d}" if wanted else f"X{len(fields) + 1:03d}"
            facts = {
                "category": category,
                "area": round(area.area),
                "allowedAmount": round(area.area / PIG_AREA_M2[category] * PIG_KG_PER_SEASON, -2),
            }
            book.drawing.attach(book.drawing.lines[n], foot, path, name)
            target.append(Site(code, "AgriParcel" if wanted else "field", name, area, path[-1], facts))
            if wanted:
                registered_areas.append(area)
    return parcels, fields


def _field_block(
    book: LandBook, rng: np.random.Generator, road: LineString, s: float, side: int, line: int
) -> list[tuple[Polygon, list[XY], XY, int]]:
    """Up to 4 × 2 fields beside a straight piece of road: (area, path from the road to the gate, foot on the road, line number)."""
    columns, rows = int(rng.integers(2, 5)), 1 if rng.random() < 0.35 else 2
    width, depth = float(rng.uniform(75, 140)), float(rng.uniform(85, 150))
    length = columns * (width + 5)
    a, b = heading_vector(road, s), heading_vector(road, min(road.length, s + length))
    if s + length > road.length - 30 or abs(atan2(a[0] * b[1] - a[1] * b[0], a[0] * b[0] + a[1] * b[1])) > 0.33:
        return []
    start, end = at(road, s), at(road, s + length)
    ux, uy = (end[0] - start[0]), (end[1] - start[1])
    size = hypot(ux, uy)
    ux, uy = ux / size, uy / size
    nx, ny = -uy * side, ux * side
    # The block stands clear of the road's own bend.
    bow = max(
        ((at(road, s + t)[0] - start[0]) * nx + (at(road, s + t)[1] - start[1]) * ny) for t in np.linspace(0, length, 9)
    )
    setback = 9.0 + max(0.0, bow)
    block: list[tuple[Polygon, list[XY], XY, int]] = []
    for row in range(rows):
        for column in range(columns):
            left, front = column * (width + 5), setback + row * (depth + 5)
            slant = float(rng.normal(0, 2.5))
            corners = [
                (left, front),
                (left + width, front),
                (left + width + slant, front + depth),
                (left + slant, front + depth),
            ]
            area = Polygon([(start[0] + ux * u + nx * v, start[1] + uy * u + ny * v) for u, v in corners])
            if not book.is_free(area):
                continue
            # Row 2 is reached by the path between two columns; row 1 from the road straight on.
            u = left + width / 2 if row == 0 else left - 2.5
            across = start[0] + ux * u, start[1] + uy * u
            foot = at(road, road.project(Point(across)))
            if row == 0:
                path = [(across[0] + nx * (front + 3), across[1] + ny * (front + 3))]
            else:
                path = [
                    (across[0] + nx * (front + 8), across[1] + ny * (front + 8)),
                    (start[0] + ux * (left + 4) + nx * (front + 12), start[1] + uy * (left + 4) + ny * (front + 12)),
                ]
            book.take(area)
            block.append((area, path, foot, line))
    if len(block) < 2:
        book.release_last(len(block))
        return []
    return block
