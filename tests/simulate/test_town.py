"""The town is sound: areas are valid and dry, everything is reachable, and the same seed gives the same town."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import shapely
from shapely import Point

from madang.model.geometry import is_lon_lat
from madang.simulate.town import FARMS, PARCELS, Town, build_town, reference
from tests.simulate.conftest import SEED


def test_counts_are_those_that_were_asked_for(town: Town) -> None:
    assert (len(town.farms), len(town.parcels), len(town.plants), len(town.depots)) == (FARMS, PARCELS, 3, 4)
    assert len(town.settlements) >= 40
    assert len(town.banks) >= 6
    assert {w.kind for w in town.waters} == {"river", "brook", "reservoir"}


@pytest.mark.parametrize("seed", [1, 5])
def test_other_seeds_give_whole_towns_too(seed: int) -> None:
    town = build_town(seed)
    assert (len(town.farms), len(town.parcels), len(town.plants), len(town.depots)) == (FARMS, PARCELS, 3, 4)
    assert len(town.banks) >= 6


def test_areas_are_valid_polygons(town: Town) -> None:
    areas = [
        x.area
        for x in (*town.farms, *town.parcels, *town.plants, *town.depots, *town.waters, *town.settlements, *town.zones)
    ]
    assert all(a.is_valid and a.geom_type == "Polygon" and a.area > 300 for a in (*areas, town.boundary))


def test_registered_places_stand_clear_of_water_houses_and_each_other(town: Town) -> None:
    water = shapely.union_all([w.area for w in town.waters])
    zones = shapely.union_all([z.area for z in town.zones])
    sites = [*town.farms, *town.parcels, *town.plants, *town.depots]
    assert not any(s.area.intersects(water) for s in sites)
    assert not any(p.area.intersects(zones) for p in town.parcels)
    tree = shapely.STRtree([s.area for s in sites])
    pairs = tree.query([s.area for s in sites], predicate="intersects")
    assert all(a == b for a, b in pairs.T)


def test_unregistered_fields_are_far_from_registered_ones(town: Town) -> None:
    parcels = shapely.STRtree([p.area for p in town.parcels])
    for field in town.fields:
        assert parcels.geometries[parcels.nearest(field.area)].distance(field.area) >= 89.9


def test_every_gate_is_a_node_of_one_connected_graph(town: Town) -> None:
    sites = [*town.farms, *town.parcels, *town.plants, *town.depots, *town.fields, *town.banks]
    nodes = [town.graph.find_node(s.gate) for s in sites]
    gaps = [float(np.hypot(*(town.graph.nodes[n] - np.array(s.gate)))) for n, s in zip(nodes, sites, strict=True)]
    assert max(gaps) < 0.01
    assert town.graph.component(nodes[0]) == set(range(len(town.graph.nodes)))


def test_routes_join_end_to_end_and_are_symmetric(town: Town) -> None:
    for a, b in combinations([s.gate for s in (*town.plants, *town.depots)], 2):
        there = town.graph.route(town.graph.find_node(a), town.graph.find_node(b))
        back = town.graph.route(town.graph.find_node(b), town.graph.find_node(a))
        assert tuple(there.points[0]) == pytest.approx(a, abs=0.01)
        assert tuple(there.points[-1]) == pytest.approx(b, abs=0.01)
        assert len(there.classes) == len(there.points) - 1
        length = float(np.hypot(*np.diff(there.points, axis=0).T).sum())
        assert length == pytest.approx(float(np.hypot(*np.diff(back.points, axis=0).T).sum()))
        assert length >= float(np.hypot(a[0] - b[0], a[1] - b[1])) - 0.01


def test_roads_cross_the_river_on_few_bridges_only(town: Town) -> None:
    river = town.waters[0].line
    assert river is not None
    crossings = sum(1 for line in town.roads if shapely.LineString(line.points).crosses(river))
    assert 2 <= crossings <= 12


def test_heights_are_lowest_at_the_river(town: Town) -> None:
    river = town.waters[0].line
    assert river is not None
    at_river = town.relief.heights(np.array(river.coords)[::20])
    hill = max(town.relief.hills, key=lambda h: h[2])
    assert float(town.relief.heights(np.array([hill[:2]]))[0]) > float(np.median(at_river)) + 60


def test_reference_is_ngsi_ld_with_places_on_the_map(town: Town) -> None:
    rows = reference(town)
    kinds = Counter(kind for _, kind, _ in rows)
    assert kinds["AgriParcel"] == PARCELS
    assert kinds["NoSpreadZone"] == len(town.waters) + len(town.settlements)
    assert len({id_ for id_, _, _ in rows}) == len(rows)
    west, south, east, north = town.bounds()
    for id_, kind, attributes in rows:
        assert id_.startswith(f"urn:ngsi-ld:{kind}:")
        assert attributes["name"]["type"] == "Property"
        assert attributes["location"]["type"] == "GeoProperty"
        shape = shapely.geometry.shape(attributes["location"]["value"])
        assert shape.is_valid
        x, y = shape.representative_point().coords[0]
        assert is_lon_lat(x, y)
        if kind not in ("RoadSegment", "WaterBody", "NoSpreadZone"):
            assert west <= x <= east and south <= y <= north
    parcel = next(a for _, kind, a in rows if kind == "AgriParcel")
    assert parcel["allowedAmount"]["unitCode"] == "KGM"
    assert parcel["category"]["value"] in {"grassland", "paddy", "dryField", "orchard"}


def test_a_town_is_a_function_of_its_seed(town: Town) -> None:
    assert reference(build_town(SEED)) == reference(town)


def test_bank_ways_end_at_the_water(town: Town) -> None:
    water = shapely.union_all([w.area for w in town.waters])
    assert all(0 < water.distance(Point(b.gate)) < 25 for b in town.banks)
