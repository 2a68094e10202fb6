"""Look-ups in memory: exact values worked out by hand."""

import pytest

from madang.flow.contract import Lookup
from madang.flow.memory_ref import MemoryRef
from madang.model.entity import Attributes, Entity, geo, prop, rel
from madang.model.geometry import distance_m
from madang.model.record import Record

LAT, LON = 33.4, 126.5


def make_entity(id_: str, type_: str, attributes: Attributes) -> Entity:
    return Entity(id_, type_, attributes, 0, 0, 0, 1)


def square(west: float, south: float, side: float) -> Attributes:
    ring = [[west, south], [west + side, south], [west + side, south + side], [west, south + side], [west, south]]
    return {"location": geo({"type": "Polygon", "coordinates": [ring]})}


def test_1_finds_what_was_put_and_forgets_what_was_deleted() -> None:
    ref = MemoryRef([Lookup("AgriFarm")])
    farm = make_entity("urn:f", "AgriFarm", {"name": prop("Hallim")})
    ref.put_entity(farm)
    assert ref.find("AgriFarm", "urn:f") == farm
    ref.delete("urn:f")
    ref.delete("urn:never")
    assert ref.find("AgriFarm", "urn:f") is None


def test_2_types_that_were_not_declared_do_not_answer() -> None:
    ref = MemoryRef([Lookup("AgriFarm")], {"manure.x": 3})
    ref.put_entity(make_entity("urn:p", "AgriParcel", {}))
    with pytest.raises(LookupError):
        ref.find("AgriParcel", "urn:p")
    with pytest.raises(LookupError):
        ref.near("AgriFarm", (LON, LAT), 10)
    with pytest.raises(LookupError):
        ref.list_by("AgriFarm", "name", "x")
    with pytest.raises(LookupError):
        ref.parameter("manure.y")
    assert ref.parameter("manure.x") == 3
    ref.set_parameter("manure.x", 4)
    assert ref.parameter("manure.x") == 4


def test_3_lists_by_value_follow_changes() -> None:
    ref = MemoryRef([Lookup("VehicleRegistration", by=("owner",)), Lookup("ManureManifest", by=("vehicle",))])
    for code, owner in (("b", "urn:o1"), ("a", "urn:o1"), ("c", "urn:o2")):
        ref.put_entity(make_entity(f"urn:{code}", "VehicleRegistration", {"owner": rel(owner)}))
    assert [e.id for e in ref.list_by("VehicleRegistration", "owner", "urn:o1")] == ["urn:a", "urn:b"]
    ref.put_entity(make_entity("urn:a", "VehicleRegistration", {"owner": rel("urn:o2")}))
    assert [e.id for e in ref.list_by("VehicleRegistration", "owner", "urn:o1")] == ["urn:b"]
    assert [e.id for e in ref.list_by("VehicleRegistration", "owner", "urn:o2")] == ["urn:a", "urn:c"]
    ref.put_record(Record("urn:m1", "ManureManifest", "DRAFT", 1, {"vehicle": "urn:v1"}, 0, 0))
    ref.put_record(Record("urn:m1", "ManureManifest", "STARTED", 2, {"vehicle": "urn:v2"}, 0, 0))
    assert ref.list_records_by("ManureManifest", "vehicle", "urn:v1") == []
    assert [r.version for r in ref.list_records_by("ManureManifest", "vehicle", "urn:v2")] == [2]
    ref.delete("urn:m1")
    assert ref.list_records_by("ManureManifest", "vehicle", "urn:v2") == []


def test_4_near_measures_to_the_edge_and_is_zero_inside() -> None:
    ref = MemoryRef([Lookup("AgriParcel", place="location")])
    ref.put_entity(make_entity("urn:in", "AgriParcel", square(LON - 0.001, LAT - 0.001, 0.002)))
    ref.put_entity(make_entity("urn:east", "AgriParcel", square(LON + 0.002, LAT - 0.001, 0.002)))
    ref.put_entity(make_entity("urn:far", "AgriParcel", square(LON + 1.0, LAT, 0.002)))
    found = ref.near("AgriParcel", (LON, LAT), 1_000)
    assert [(n.entity.id, n.distance_m == 0) for n in found] == [("urn:in", True), ("urn:east", False)]
    # The great circle to the point due east on the edge, computed by another formula.
    assert found[1].distance_m == pytest.approx(distance_m((LON, LAT), (LON + 0.002, LAT)), rel=1e-3)
    edge = found[1].distance_m
    assert len(ref.near("AgriParcel", (LON, LAT), edge + 0.01)) == 2
    assert len(ref.near("AgriParcel", (LON, LAT), edge - 0.01)) == 1


def test_5_near_follows_moves_and_broken_geometry() -> None:
    ref = MemoryRef([Lookup("AgriParcel", place="location")])
    assert ref.near("AgriParcel", (LON, LAT), 100) == []
    ref.put_entity(make_entity("urn:p", "AgriParcel", square(LON, LAT, 0.001)))
    assert len(ref.near("AgriParcel", (LON, LAT), 10)) == 1
    ref.put_entity(make_entity("urn:p", "AgriParcel", square(LON + 0.1, LAT, 0.001)))
    assert ref.near("AgriParcel", (LON, LAT), 10) == []
    ref.put_entity(make_entity("urn:p", "AgriParcel", square(900.0, LAT, 0.001)))
    assert ref.near("AgriParcel", (LON + 0.1, LAT), 10) == []
    bow_tie = [[LON, LAT], [LON + 0.001, LAT + 0.001], [LON + 0.001, LAT], [LON, LAT + 0.001], [LON, LAT]]
    ref.put_entity(make_entity("urn:p", "AgriParcel", {"location": geo({"type": "Polygon", "coordinates": [bow_tie]})}))
    assert len(ref.near("AgriParcel", (LON, LAT), 10)) == 1


def test_6_one_type_has_one_place() -> None:
    ref = MemoryRef([Lookup("AgriParcel", place="location"), Lookup("AgriParcel", place="location")])
    assert ref.types == frozenset({"AgriParcel"})
    with pytest.raises(ValueError, match="indexed by location"):
        ref.declare(Lookup("AgriParcel", place="boundary"))
