"""The generated town: Madang, a rural-urban city of 24 by 18 km. A pure function of its seed.

Waters first, then settlements, roads, yards, fields; everything that follows keeps clear of what was there before. The place is
fictional: its origin lies in a plain of south-western Korea, but no river, road, village, firm or person here exists.
"""

from dataclasses import dataclass
from math import pi

import numpy as np
import shapely
from shapely import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from madang.model.entity import Attributes, geo, prop
from madang.model.geometry import LonLat, Plane
from madang.simulate import town_land, town_names, town_net
from madang.simulate.town_land import LandBook, Settlement, Site
from madang.simulate.town_names import Name
from madang.simulate.town_roads import LOCAL, MAIN, STREET, Drawing, RoadGraph, RoadLine, build_graph
from madang.simulate.town_shapes import XY
from madang.simulate.town_water import HALF_HEIGHT_M, HALF_WIDTH_M, Relief, Water, build_waters

ORIGIN: LonLat = (127.1, 36.0)
FARMS, PARCELS, SPARE_FIELDS, VILLAGES, BANK_WAYS = 60, 160, 70, 50, 14


@dataclass(frozen=True, slots=True)
class Zone:
    """A no-spread zone."""

    code: str
    name: Name
    zone_type: str
    area: Polygon


@dataclass(frozen=True, slots=True)
class Town:
    """Everything of the town, in metres on `plane`."""

    seed: int
    plane: Plane
    waters: tuple[Water, ...]
    settlements: tuple[Settlement, ...]
    """The city first, then township seats, then villages."""
    roads: tuple[RoadLine, ...]
    graph: RoadGraph
    relief: Relief
    farms: tuple[Site, ...]
    parcels: tuple[Site, ...]
    plants: tuple[Site, ...]
    depots: tuple[Site, ...]
    fields: tuple[Site, ...]
    """Fields that nobody registered; the hub does not know them."""
    banks: tuple[Site, ...]
    """Ways down to the water; the hub does not know them."""
    zones: tuple[Zone, ...]
    boundary: Polygon

    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees."""
        west, south = self.plane.to_lon_lat(-HALF_WIDTH_M, -HALF_HEIGHT_M)
        east, north = self.plane.to_lon_lat(HALF_WIDTH_M, HALF_HEIGHT_M)
        return west, south, east, north

    def lon_lat(self, place: XY) -> LonLat:
        """(x, y) in metres to (lon, lat)."""
        return self.plane.to_lon_lat(*place)


def build_town(seed: int) -> Town:
    """The town of a seed. Takes a few seconds."""
    rng = np.random.default_rng([seed, 7_001])
    waters = build_waters(rng)
    river, lake = waters[0], waters[-1]
    assert river.line is not None
    water = shapely.union_all([w.area for w in waters])
    relief = Relief(river.line, rng)
    here = river.line.interpolate(river.line.project(Point(-900, 0)))
    centre = (float(here.x), float(here.y) + 1_500.0)
    seats = town_net.town_places(centre, lake.area, water, rng)
    villages = town_land.place_villages(rng, centre, seats, waters, relief, VILLAGES)
    settlements = town_land.build_settlements(rng, centre, seats, villages, water)
    drawing = Drawing()
    town_net.draw_main_roads(drawing, centre, seats, lake.area, rng)
    town_net.draw_country_roads(drawing, villages, seats, centre, waters, settlements[0].area, relief, rng)
    grid = float(rng.uniform(0.05, 0.4))
    town_net.draw_streets(drawing, settlements[0].area, 390.0, grid, rng, water, "로")
    for one in settlements[1 : 1 + len(seats)]:
        town_net.draw_streets(drawing, one.area, 230.0, float(rng.uniform(0, pi / 2)), rng, water, "길")
    book = LandBook(drawing, waters, settlements)
    plants = town_land.build_yards(
        book, rng, "ManureTreatmentPlant", list(town_names.PLANTS), (MAIN,), (190, 130), (35, 80), 450, 5_500, "T"
    )
    depots = town_land.build_yards(
        book, rng, "VehicleDepot", list(town_names.DEPOTS), (MAIN,), (110, 80), (18, 40), 140, 4_500, "D"
    )
    farms = town_land.build_yards(
        book, rng, "AgriFarm", [("", "")] * FARMS, (LOCAL,), (85, 62), (45, 170), 230, 420, "F"
    )
    farms = [_farm_facts(site, number, rng) for number, site in enumerate(farms)]
    plants = [
        _with(site, {"capacity": capacity}) for site, capacity in zip(plants, (320_000, 180_000, 150_000), strict=True)
    ]
    banks = town_land.build_bank_ways(book, rng, BANK_WAYS)
    parcels, fields = town_land.build_fields(book, rng, PARCELS, SPARE_FIELDS)
    return Town(
        seed,
        Plane(ORIGIN),
        waters,
        settlements,
        tuple(drawing.lines),
        build_graph(drawing.lines, centre),
        relief,
        tuple(farms),
        tuple(parcels),
        tuple(plants),
        tuple(depots),
        tuple(fields),
        tuple(banks),
        _zones(waters, settlements),
        _boundary(rng),
    )


def _with(site: Site, facts: dict[str, object], name: Name | None = None) -> Site:
    return Site(site.code, site.kind, name or site.name, site.area, site.gate, {**site.facts, **facts})


def _farm_facts(site: Site, number: int, rng: np.random.Generator) -> Site:
    """Species, head count and permit class. Head counts are log-normal around 1,700 pigs, 110 cattle, 90 dairy cows (Korean averages
    for commercial farms, rounded; ours). The class follows the barn area: 1,000 m² (pigs, about 0.8 m² each), 900 m² (cattle, about
    7 m² each; domain page, size classes)."""
    species = str(rng.choice(["pig", "cattle", "dairy"], p=(0.62, 0.26, 0.12)))
    heads = max(
        40,
        round(float(np.exp(rng.normal(np.log({"pig": 1_700, "cattle": 110, "dairy": 90}[species]), 0.55))) / 10) * 10,
    )
    permit = heads * 0.8 >= 1_000 if species == "pig" else heads * 7 >= 900
    return _with(
        site,
        {"species": species, "animalCount": heads, "permitClass": "permit" if permit else "notification"},
        town_names.farm_name(number, species),
    )


def _zones(waters: tuple[Water, ...], settlements: tuple[Settlement, ...]) -> tuple[Zone, ...]:
    zones: list[Zone] = []
    for one in waters:
        kind = "waterSource" if one.kind == "reservoir" else "river"
        words = (
            (" 상수원보호구역", " water-source protection")
            if kind == "waterSource"
            else (" 수변구역", " riparian zone")
        )
        zones.append(
            Zone(
                f"Z{len(zones) + 1:03d}",
                (one.name[0] + words[0], one.name[1] + words[1]),
                kind,
                _outer(one.area.buffer(one.zone_m).simplify(3)),
            )
        )
    for place in settlements:
        area = _outer(place.area.buffer(100).simplify(4))
        zones.append(
            Zone(
                f"Z{len(zones) + 1:03d}",
                (f"{place.name[0]} 주거지 이격구역", f"{place.name[1]} dwelling buffer"),
                "dwelling",
                area,
            )
        )
    return tuple(zones)


def _outer(area: BaseGeometry) -> Polygon:
    assert isinstance(area, Polygon)
    return Polygon(area.exterior)


def _boundary(rng: np.random.Generator) -> Polygon:
    """The city limits: a wavy line just inside the map's edge."""
    turn = np.linspace(0, 2 * pi, 360, endpoint=False)
    wave = sum(
        float(rng.uniform(0.003, 0.02)) / k**0.5 * np.cos(k * turn + rng.uniform(0, 6))
        for k in (3, 5, 7, 11, 17, 23, 31)
    )
    rough = 0.982 + wave
    # A superellipse fills the box better than an ellipse.
    x = HALF_WIDTH_M * np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.42 * rough
    y = HALF_HEIGHT_M * np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** 0.42 * rough
    return Polygon(
        np.column_stack([np.clip(x, -HALF_WIDTH_M, HALF_WIDTH_M), np.clip(y, -HALF_HEIGHT_M, HALF_HEIGHT_M)])
    ).buffer(0)


def reference(town: Town) -> list[tuple[str, str, Attributes]]:
    """What the hub gets to know of the town: (id, type, normalised attributes). Geometry is rounded to 1e-6 degrees (0.1 m)."""
    rows: list[tuple[str, str, Attributes]] = []

    def add(kind: str, code: str, name: Name, shape: BaseGeometry, **facts: object) -> None:
        attributes: Attributes = {
            "name": prop(name[0]),
            "alternateName": prop(name[1]),
            "location": geo(_geojson(town, shape)),
        }
        units = {"area": "MTK", "allowedAmount": "KGM", "capacity": "KGM"}
        attributes |= {key: prop(value, units.get(key)) for key, value in facts.items()}
        rows.append((f"urn:ngsi-ld:{kind}:{code}", kind, attributes))

    add("AdministrativeArea", "A001", town_names.CITY, town.boundary)
    for n, one in enumerate(town.waters, 1):
        add("WaterBody", f"W{n:03d}", one.name, one.area, waterType=one.kind)
    for n, place in enumerate(town.settlements, 1):
        add("Settlement", f"S{n:03d}", place.name, place.area, settlementType=place.kind)
    n = 0
    for line in town.roads:
        shape = LineString(line.points).simplify(0.8)
        if line.road_class in (MAIN, LOCAL, STREET) or shape.length > 60:
            n += 1
            add("RoadSegment", f"R{n:04d}", line.name, shape, roadClass="main" if line.road_class == MAIN else "local")
    for site in (*town.plants, *town.depots, *town.farms, *town.parcels):
        add(site.kind, site.code, site.name, site.area, **site.facts)
    for zone in town.zones:
        add("NoSpreadZone", zone.code, zone.name, zone.area, zoneType=zone.zone_type)
    return rows


def _geojson(town: Town, shape: BaseGeometry) -> dict[str, object]:
    def ring(coords: object) -> list[list[float]]:
        return [[round(float(v), 6) for v in town.lon_lat((x, y))] for x, y in np.asarray(coords)]

    if isinstance(shape, LineString):
        return {"type": "LineString", "coordinates": ring(shape.coords)}
    assert isinstance(shape, Polygon)
    oriented = shapely.geometry.polygon.orient(shape)  # RFC 7946: exterior rings run counter-clockwise
    return {"type": "Polygon", "coordinates": [ring(oriented.exterior.coords)]}
