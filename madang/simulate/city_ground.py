"""The generated town as the manure sample's ground: places, ways, heights, dead spots of radio."""

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Point

from madang.services.manure.sample_ground import Disc, Ground, Points, Spot
from madang.simulate.town import Town
from madang.simulate.town_land import Site
from madang.simulate.town_roads import LOCAL
from madang.simulate.town_shapes import XY
from madang.simulate.town_water import HALF_HEIGHT_M, HALF_WIDTH_M

RASTER_STEP_M = 100.0
RADIO_HOLES, SKY_SHADOWS = 7, 6


def ground_of(town: Town) -> Ground:
    """The ground of a town. Holes in the mobile network lie in valleys far from the city and from every depot; bad
    reception under trees and between tall
    houses."""
    rng = np.random.default_rng([town.seed, 7_002])
    xs = np.arange(-HALF_WIDTH_M - 600, HALF_WIDTH_M + 601, RASTER_STEP_M)
    ys = np.arange(-HALF_HEIGHT_M - 600, HALF_HEIGHT_M + 601, RASTER_STEP_M)
    mesh = np.column_stack([a.ravel() for a in np.meshgrid(xs, ys)])
    heights = town.relief.heights(mesh).reshape(len(ys), len(xs))

    def route(a: XY, b: XY) -> tuple[Points, NDArray[np.int8]]:
        first, last = town.graph.find_node(a), town.graph.find_node(b)
        if first == last:  # neighbours at one junction: straight across
            return np.array([a, b], dtype=float), np.full(1, LOCAL, np.int8)
        way = town.graph.route(first, last)
        return way.points, way.classes

    return Ground(
        farms=[_spot(s) for s in town.farms],
        parcels=[_spot(s) for s in town.parcels],
        plants=[_spot(s) for s in town.plants],
        depots=[_spot(s) for s in town.depots],
        fields=[_spot(s) for s in town.fields],
        banks=[_spot(s) for s in town.banks if _is_away(town, s)],
        lay_bys=_lay_bys(town, rng),
        water=shapely.union_all([w.area for w in town.waters]),
        route=route,
        heights=heights,
        height_origin=(float(xs[0]), float(ys[0])),
        height_step=RASTER_STEP_M,
        radio_holes=_radio_holes(town, rng),
        sky_shadows=_sky_shadows(town, rng),
        plane=town.plane,
    )


def _spot(site: Site) -> Spot:
    known = site.kind not in ("field", "bank")
    return Spot(
        f"urn:ngsi-ld:{site.kind}:{site.code}" if known else site.code,
        site.kind,
        site.name[0],
        site.area,
        site.gate,
        site.facts,
    )


def _is_away(town: Town, bank: Site) -> bool:
    """A bank counts only when no registered place is near: nobody shall argue over metres."""
    return all(p.area.distance(Point(bank.gate)) > 70 for p in (*town.parcels, *town.plants))


def _lay_bys(town: Town, rng: np.random.Generator) -> list[Spot]:
    """Diners, shops and wide verges: nodes of the road net, some in settlements, some in the open, none at a registered place."""
    registered = shapely.STRtree([s.area for s in (*town.parcels, *town.plants, *town.farms, *town.depots)])
    found: list[Spot] = []
    for k in rng.permutation(len(town.graph.nodes)):
        x, y = (float(v) for v in town.graph.nodes[k])
        if abs(x) > 10_800 or abs(y) > 8_000 or len(registered.query(Point(x, y).buffer(80), predicate="intersects")):
            continue
        if all((x - s.gate[0]) ** 2 + (y - s.gate[1]) ** 2 > 1_100**2 for s in found):
            found.append(Spot(f"L{len(found) + 1:03d}", "lay_by", "쉼터", Point(x, y).buffer(15), (x, y), {}))
        if len(found) == 70:
            break
    return found


def _radio_holes(town: Town, rng: np.random.Generator) -> list[Disc]:
    centre = town.settlements[0].centre
    towns = [s.centre for s in town.settlements[:7]] + [d.gate for d in town.depots]
    holes: list[Disc] = []
    for _ in range(2_000):
        x, y = float(rng.uniform(-10_500, 10_500)), float(rng.uniform(-8_000, 8_000))
        radius = float(rng.uniform(350, 800))
        clear = (
            all(np.hypot(x - p[0], y - p[1]) > 1_500 + radius for p in towns)
            and np.hypot(x - centre[0], y - centre[1]) > 4_200
        )
        if clear and all(np.hypot(x - h.x, y - h.y) > 3_000 for h in holes):
            holes.append(Disc(x, y, radius))
        if len(holes) == RADIO_HOLES:
            break
    return holes


def _sky_shadows(town: Town, rng: np.random.Generator) -> list[Disc]:
    """Two between tall houses, the rest on country roads under trees."""
    city = town.settlements[0].centre
    discs = [
        Disc(city[0] + float(rng.normal(0, 500)), city[1] + float(rng.normal(0, 400)), float(rng.uniform(120, 260)))
        for _ in range(2)
    ]
    for k in rng.choice(len(town.graph.nodes), SKY_SHADOWS - 2, replace=False):
        x, y = (float(v) for v in town.graph.nodes[k])
        discs.append(Disc(x, y, float(rng.uniform(60, 180))))
    return discs
