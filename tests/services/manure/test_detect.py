"""The rules over what the cleaning detector tells, from simple to hard: hand-made world, hand-made manifests."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from madang.flow.check import check_detector
from madang.flow.runner import Output
from madang.model.change import READING, RECORD, Change
from madang.model.entity import Entity
from madang.model.finding import CRITICAL, HIGH, Finding
from madang.model.time import MINUTE, SECOND, render_instant
from madang.services.manure.detect import RulesDetector
from madang.services.manure.detect_events import EventsDetector
from madang.services.manure.parameters import RULES
from tests.services.manure.weights import (
    START,
    VEHICLE,
    World,
    instant,
    make_change,
    make_manifest,
    make_place,
    make_ref,
    make_registration,
    run,
)

DETECTORS = (EventsDetector(), RulesDetector())
FARM, PLANT, OTHER = "urn:ngsi-ld:AgriFarm:f", "urn:ngsi-ld:ManureTreatmentPlant:p", "urn:ngsi-ld:AgriParcel:o"
MANIFEST = "urn:ngsi-ld:ManureManifest:M-1"


class Case:
    """A haul with what was registered and written."""

    def __init__(self, seed: int = 1) -> None:
        self.world = World(seed).park(120).drive(400).park(60)
        self.places: list[Entity] = []
        self.paper: list[Change] = []
        self.data: dict[str, Any] = {"vehicle": VEHICLE, "number": "M-2026-000001", "to": [PLANT], "from": FARM}

    def register(self, id_: str, type_: str, side_m: float = 80.0) -> "Case":
        self.places.append(make_place(id_, type_, self.world.x, self.world.y, side_m))
        return self

    def open(self) -> "Case":
        self.data = {**self.data, "openedAt": render_instant(instant(self.world.t))}
        self.paper.append(make_manifest(self.world.t, "precheck", "PRECHECKED", 2, self.data))
        return self

    def finish(self) -> "Case":
        self.data = {**self.data, "closedAt": render_instant(instant(self.world.t))}
        self.paper.append(make_manifest(self.world.t, "finish", "AWAITING_CONFIRMATION", 3, self.data))
        return self

    def outputs(self) -> list[tuple[Change, Output]]:
        ref = make_ref(DETECTORS, [make_registration(self.world), *self.places])
        # The runner puts records into the look-ups as their changes pass.
        changes = [*self.paper, *(make_change(r) for r in self.world.readings)]
        return run(DETECTORS, changes, ref, until=self.world.t + 3_600)

    def findings(self) -> dict[str, tuple[float, Finding]]:
        """What stands in the end, by rule, with when it was first said (seconds)."""
        standing: dict[str, tuple[float, Finding]] = {}
        for change, output in self.outputs():
            finding = output.finding
            if finding is None:
                continue
            if finding.withdraws:
                standing.pop(finding.rule, None)
            elif finding.rule not in standing:
                standing[finding.rule] = ((change.recorded_at - START) / SECOND, finding)
        return standing

    def load(self, kg: float = 10_000) -> "Case":
        self.register(FARM, "AgriFarm")
        self.world.pump(kg, 500, FARM).park(60).drive(500)
        return self

    def unload(self, kg: float = 10_000, place: str | None = PLANT) -> "Case":
        self.world.park(60)
        if place is not None:
            self.register(place, place.split(":")[2])
        self.world.pump(-kg, 400).park(60)
        return self

    def leave(self) -> "Case":
        self.world.drive(600)
        return self


def test_01_a_haul_by_the_book_is_nothing() -> None:
    assert Case().open().load().unload().finish().leave().findings() == {}


def test_02_a_dump_by_the_river_is_told_at_once() -> None:
    case = Case().open().load()
    case.world.park(30)
    case.register("urn:ngsi-ld:NoSpreadZone:river", "NoSpreadZone", 200)
    began = case.world.t
    case.world.pump(-3_000, 120).park(30).drive(400)
    standing = case.unload(7_000).finish().leave().findings()
    assert set(standing) == {"manure.D1", "manure.D8"}
    said, finding = standing["manure.D1"]
    assert said - began < 120
    assert finding.severity == CRITICAL
    assert finding.subject == VEHICLE
    assert finding.situation.startswith("manure:urn:ngsi-ld:ManureUnloading:t1-")
    assert abs(finding.marked_at - instant(began)) < 90 * SECOND
    assert finding.reason.code == "manure.D1.in-zone"
    assert "urn:ngsi-ld:NoSpreadZone:river" in finding.involved
    assert finding.evidence[0].from_at < finding.marked_at < finding.evidence[0].to_at


def test_03_far_from_any_zone_it_is_high() -> None:
    case = Case().open().load()
    case.world.park(30).pump(-9_000, 200).park(30)
    _, finding = case.leave().findings()["manure.D1"]
    assert finding.severity == HIGH


def test_04_another_parcel_than_written_is_d2_and_not_d1() -> None:
    standing = Case().open().load().unload(place=OTHER).finish().leave().findings()
    assert set(standing) == {"manure.D2", "manure.D8"}
    assert {OTHER, MANIFEST} <= set(standing["manure.D2"][1].involved)


def test_05_no_manifest_waits_for_the_grace() -> None:
    case = Case()
    began = case.world.t
    said, _ = case.load().unload().leave().findings()["manure.D4"]
    assert 600 <= said - began < 800


def test_06_a_driver_who_taps_late_is_nothing() -> None:
    """Opened eight minutes into the loading, finished five minutes before the unloading ends."""
    case = Case()
    case.register(FARM, "AgriFarm")
    case.world.pump(8_000, 450)
    case.open()
    case.world.park(60).drive(500)
    assert case.unload(8_000).finish().leave().findings() == {}


def test_07_refuelling_at_the_depot_is_nothing() -> None:
    case = Case()
    case.register("urn:ngsi-ld:VehicleDepot:d", "VehicleDepot")
    case.world.pump(600, 120, pto=False).park(120)
    assert case.leave().findings() == {}


@pytest.mark.parametrize("written", [False, True])
def test_08_within_thirty_metres_of_the_parcel_is_in_it(written: bool) -> None:
    case = Case().open().load()
    case.world.park(60)
    # An 80 m square whose edge is 15 m west of the truck.
    case.places.append(make_place(PLANT if written else OTHER, "AgriParcel", case.world.x - 55, case.world.y))
    case.world.pump(-10_000, 400).park(60)
    standing = case.finish().leave().findings()
    assert ("manure.D1" in standing, "manure.D2" in standing) == (False, not written)


def test_09_a_late_story_withdraws_what_it_refutes() -> None:
    detector = RulesDetector()
    ref = make_ref((detector,), [])
    attributes = {
        "vehicle": {"type": "Relationship", "object": VEHICLE},
        **{
            name: {"type": "Property", "value": value}
            for name, value in {
                "startedAt": render_instant(START), "endedAt": render_instant(START + MINUTE), "amount": 900,
                "weightBefore": 20_000, "weightAfter": 19_100, "status": "open",
            }.items()
        },
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [126.5, 33.4]}},
    }  # fmt: skip
    event = Change(
        1, READING, START + MINUTE, START + MINUTE, "urn:ngsi-ld:ManureUnloading:x", "ManureUnloading", attributes
    )
    step = detector.step(detector.initial(VEHICLE), event, ref)
    assert [(f.rule, f.withdraws) for f in step.findings] == [("manure.D1", False)]
    gone = msgspec.structs.replace(
        event,
        seq=2,
        attributes={"vehicle": attributes["vehicle"], "status": {"type": "Property", "value": "withdrawn"}},
    )
    step = detector.step(step.state, gone, ref)
    assert [(f.rule, f.withdraws) for f in step.findings] == [("manure.D1", True)]
    assert step.findings[0].situation == "manure:urn:ngsi-ld:ManureUnloading:x"


def test_11_a_day_later_the_manifest_still_covers_its_haul() -> None:
    """Judged again at the next day's haul, when yesterday's manifest has long not moved."""
    case = Case().open().load().unload().finish().leave()
    case.world.off(31 * 3_600)
    case.world.drive(300)
    plant = "urn:ngsi-ld:ManureTreatmentPlant:q"
    case.data = {**case.data, "number": "M-2026-000002", "to": [plant]}
    case.data.pop("closedAt")
    second = "urn:ngsi-ld:ManureManifest:M-2"
    case.data["openedAt"] = render_instant(instant(case.world.t))
    case.paper.append(make_manifest(case.world.t, "precheck", "PRECHECKED", 2, case.data, second))
    case.load().unload(place=plant)
    case.data["closedAt"] = render_instant(instant(case.world.t))
    case.paper.append(make_manifest(case.world.t, "finish", "AWAITING_CONFIRMATION", 3, case.data, second))
    assert case.leave().findings() == {}


def test_10_it_keeps_the_contract_and_has_words() -> None:
    case = Case().open().load()
    case.world.park(30).pump(-3_000, 120).park(30).drive(400)
    case.unload(7_000, OTHER).finish().leave()
    ref = make_ref(DETECTORS, [make_registration(case.world), *case.places])
    for change in case.paper:
        assert change.record is not None
        ref.put_record(change.record)
    emitted = [
        Change(
            0, READING, change.recorded_at, o.emit.observed_at, o.emit.entity_id, o.emit.entity_type, o.emit.attributes
        )
        for change, o in case.outputs()
        if o.emit is not None
    ]
    changes = sorted([*case.paper, *emitted], key=lambda c: (c.recorded_at, c.kind != RECORD))
    changes.append(msgspec.structs.replace(changes[-1], recorded_at=changes[-1].recorded_at + 30 * MINUTE))
    folder = Path("madang/services/manure/locale")
    words = {lang: json.loads((folder / f"{lang}.json").read_text(encoding="utf-8")) for lang in ("ko", "en")}
    assert check_detector(RulesDetector(), changes, ref, words=words, rules=RULES) == []
