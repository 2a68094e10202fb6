"""The rules alone, on events and manifests made by hand, from simple to hard. Distances are metres on the plane of `weights`; the
expected values follow from the README's table of limits (300 kg, 30 m, 10 min of grace, 10 % or 500 kg)."""

from typing import Any

import pytest

from madang.flow.contract import OlderFormat
from madang.model.change import READING, Change
from madang.model.entity import Entity, geo, point, prop, rel
from madang.model.finding import Finding
from madang.model.time import MINUTE, render_instant
from madang.services.manure.detect import TELLINGS_MAX, RulesDetector
from madang.services.manure.detect_events import EventsDetector
from tests.services.manure.weights import PLANE, START, VEHICLE, make_manifest, make_place, make_ref

PARCEL, OTHER = "urn:ngsi-ld:AgriParcel:a", "urn:ngsi-ld:AgriParcel:b"
ZONE, DEPOT = "urn:ngsi-ld:NoSpreadZone:z", "urn:ngsi-ld:VehicleDepot:d"
D1, D2, D4, D8 = "manure.D1", "manure.D2", "manure.D4", "manure.D8"


def at(x: float, id_: str = PARCEL, side: float = 80.0) -> Entity:
    """A square place whose middle lies x metres east of the origin, where events happen."""
    return make_place(id_, id_.split(":")[2], x, 0.0, side)


class Bench:
    """A rules detector with what it is told; `minute` counts from `START`."""

    def __init__(self, *places: Entity) -> None:
        self.detector = RulesDetector()
        self.ref = make_ref((self.detector,), list(places))
        self.state = self.detector.initial(VEHICLE)
        self.seq = 0
        self.said: list[Finding] = []

    def manifest(
        self,
        opened: float,
        closed: float | None = None,
        to: str = PARCEL,
        name: str = "M-1",
        *,
        cancelled: bool = False,
    ) -> None:
        data: dict[str, Any] = {"vehicle": VEHICLE, "number": name, "to": [to]}
        data["openedAt"] = render_instant(START + round(opened * MINUTE))
        state, action, minute = "STARTED", "start", opened
        if closed is not None:
            data["closedAt"] = render_instant(START + round(closed * MINUTE))
            state, action, minute = "AWAITING_CONFIRMATION", "finish", closed
        if cancelled:
            state, action = "CANCELLED", "cancel"
        change = make_manifest(minute * 60, action, state, 1, data, f"urn:ngsi-ld:ManureManifest:{name}")
        assert change.record is not None
        self.ref.put_record(change.record)
        self._take(self.detector.step(self.state, change, self.ref))

    def event(self, minute: float, kg: float, *, name: str = "u", loading: bool = False, x: float = 0.0,
              status: str = "confirmed", before: float = 20_000, error: float = 50, told: float | None = None,
              track: list[float] | None = None, by: float | None = None) -> None:  # fmt: skip
        """An event that began at `minute` and took two, told (or told again) at `told`."""
        self.seq += 1
        type_ = "ManureLoading" if loading else "ManureUnloading"
        begun = START + round(minute * MINUTE)
        now = begun + 2 * MINUTE if told is None else START + round(told * MINUTE)
        attributes = {
            "vehicle": rel(VEHICLE),
            "startedAt": prop(render_instant(begun)),
            "endedAt": prop(render_instant(begun + 2 * MINUTE)),
            "amount": prop(kg),
            "amountError": prop(error),
            "weightBefore": prop(before),
            "weightAfter": prop(before + kg if loading else before - kg),
            "status": prop(status),
            "location": point(*PLANE.to_lon_lat(x, 0.0)),
        }
        if by is not None:
            attributes["startedBefore"] = prop(render_instant(START + round(by * MINUTE)))
        if track is not None:
            line = [list(PLANE.to_lon_lat(east, 0.0)) for east in track]
            attributes["track"] = geo({"type": "LineString", "coordinates": line})
        change = Change(self.seq, READING, now, now, f"urn:ngsi-ld:{type_}:{name}", type_, attributes)
        self._take(self.detector.step(self.state, change, self.ref))

    def tick(self, minute: float) -> None:
        self._take(self.detector.tick(self.state, START + round(minute * MINUTE), self.ref))

    def _take(self, step: Any) -> None:
        self.state = step.state
        self.said.extend(step.findings)

    def rules(self) -> list[str]:
        """What was said, a withdrawal with a minus."""
        return [("-" if f.withdraws else "") + f.rule for f in self.said]


# --- D1: outside every permitted place ---


@pytest.mark.parametrize(
    ("place", "rules"),
    [(0.0, []), (69.0, []), (71.0, [D1])],  # the square reaches 40 m: its edge is at 0, 29 and 31 m
)
def test_01_the_buffer_is_thirty_metres(place: float, rules: list[str]) -> None:
    bench = Bench(at(place))
    bench.manifest(-30)
    bench.event(0, 900)
    assert bench.rules() == rules


@pytest.mark.parametrize(("kg", "rules"), [(299, []), (300, [D1])])
def test_02_less_than_300_kg_is_nothing(kg: float, rules: list[str]) -> None:
    bench = Bench()
    bench.manifest(-30)
    bench.event(0, kg)
    assert bench.rules() == rules


@pytest.mark.parametrize(
    ("zone", "code", "severity"),
    [(0.0, "in-zone", "critical"), (140.0, "near-zone", "high"), (900.0, "outside", "high")],
)
def test_03_a_zone_makes_it_worse(zone: float, code: str, severity: str) -> None:
    bench = Bench(at(zone, ZONE))
    bench.event(0, 900)
    assert [(f.reason.code, f.severity) for f in bench.said] == [(f"manure.D1.{code}", severity)]


@pytest.mark.parametrize(
    ("track", "rules"),
    [
        ([200.0, 150.0, 0.0, 10.0], []),
        ([300.0, 250.0, 200.0, 0.0], [D1]),
    ],  # two of four points in the parcel; one of four
)
def test_04_a_spreader_is_where_half_of_its_track_is(track: list[float], rules: list[str]) -> None:
    bench = Bench(at(0.0))
    bench.manifest(-30)
    bench.event(0, 3_000, x=track[0], track=track)
    assert bench.rules() == rules


# --- D2: another place than written ---


def test_05_another_parcel_than_written_is_told_at_once_while_a_manifest_is_open() -> None:
    bench = Bench(at(0.0, OTHER))
    bench.manifest(-30)
    bench.event(0, 3_000)
    assert bench.rules() == [D2]


def test_06_one_of_several_open_manifests_is_enough() -> None:
    bench = Bench(at(0.0, OTHER))
    bench.manifest(-30)
    bench.manifest(-20, to=OTHER, name="M-2")
    bench.event(0, 3_000)
    assert bench.rules() == []


def test_07_a_spreader_that_crosses_another_field_on_its_way_is_right() -> None:
    bench = Bench(at(0.0, OTHER), at(300.0))
    bench.manifest(-30)
    bench.event(0, 3_000, track=[0.0, 290.0, 300.0, 310.0])
    assert bench.rules() == []


def test_08_within_the_grace_d2_waits_for_the_next_manifest() -> None:
    bench = Bench(at(0.0, OTHER))
    bench.manifest(-60, closed=-5)
    bench.event(0, 3_000)
    assert bench.rules() == []
    bench.tick(11)
    assert bench.rules() == [D2]


# --- D4: no open manifest ---


@pytest.mark.parametrize(
    ("opened", "closed", "rules"),
    [(-60, -9.9, []), (-60, -10.1, [D4]), (9.9, None, []), (10.1, None, [D4])],
)
def test_09_ten_minutes_of_grace_at_both_ends(opened: float, closed: float | None, rules: list[str]) -> None:
    bench = Bench(at(0.0))
    bench.manifest(opened, closed)
    bench.event(0, 3_000)
    bench.tick(11.5)
    assert bench.rules() == rules


def test_10_d4_waits_for_the_grace() -> None:
    bench = Bench(at(0.0))
    bench.event(0, 3_000)
    bench.tick(10.9)
    assert bench.rules() == []
    bench.tick(11)
    assert bench.rules() == [D4]


def test_11_loading_at_a_depot_is_refuelling() -> None:
    bench = Bench(at(0.0, DEPOT))
    bench.event(0, 400, loading=True)
    bench.tick(12)
    assert bench.rules() == []


# Open from -30 to 8; another opened at 12.5 in its place, 12.5 minutes after the loading: too late by itself. Opened at 18.5 it is no
# renewal any more, for ten minutes have passed since the first was cancelled.
@pytest.mark.parametrize(("renewed", "rules"), [(12.5, []), (18.5, [D4]), (None, [D4])])
def test_10b_a_manifest_cancelled_and_opened_anew_was_open_all_the_time(
    renewed: float | None, rules: list[str]
) -> None:
    bench = Bench(at(0.0))
    bench.manifest(-30)
    bench.event(0, 3_000, loading=True)
    bench.manifest(-30, closed=8, cancelled=True)
    if renewed is not None:
        bench.manifest(renewed, name="M-2")
    bench.tick(30)
    assert bench.rules() == rules


def test_10c_a_cancelled_manifest_covers_nothing_that_began_after_it() -> None:
    bench = Bench(at(0.0))
    bench.manifest(-30, closed=-1, cancelled=True)
    bench.event(0, 3_000, loading=True)
    bench.manifest(11, name="M-2")
    bench.tick(30)
    assert bench.rules() == [D4]


# It began between 0 and 11.5 minutes, with the engine off: a manifest of minute 21 is within ten minutes of that, one of minute 22 is not.
@pytest.mark.parametrize(("opened", "rules"), [(21, []), (22, [D4])])
def test_10d_who_does_not_know_when_it_began_does_not_say_that_it_was_too_early(
    opened: float, rules: list[str]
) -> None:
    bench = Bench(at(0.0))
    bench.event(0, 3_000, loading=True, by=11.5, told=12)
    bench.manifest(opened)
    bench.tick(22.5)
    assert bench.rules() == rules


# --- D8: what was loaded is unloaded or still there ---


def haul(*unloaded: tuple[float, float], residue: float = 0.0) -> Bench:
    """10 t loaded, then `unloaded` (kg, metres east), at last the residue left on the truck; the manifest goes to the parcel at 0 m."""
    bench = Bench(at(0.0), at(5_000.0, OTHER))
    bench.manifest(-60)
    bench.event(-55, 10_000, name="l", loading=True, before=10_000, x=2_000)
    left = 20_000.0
    for n, (kg, x) in enumerate(unloaded):
        last = n == len(unloaded) - 1
        bench.event(-30 + 5 * n, kg, name=f"u{n}", x=x, before=10_000 + residue + kg if last else left)
        left -= kg
    bench.manifest(-60, closed=0)
    bench.said.clear()
    bench.tick(12)
    return bench


# 50 kg for each event, nothing left on the truck: 500 + 2 * sqrt(2 * 50^2) = 641 kg.
@pytest.mark.parametrize(("kg", "rules"), [(10_000, []), (9_360, []), (9_358, [D8]), (10_640, []), (10_642, [D8])])
def test_12_missing_counts_beyond_the_limit_and_two_standard_errors(kg: float, rules: list[str]) -> None:
    assert haul((kg, 0.0)).rules() == rules


def test_13_what_is_left_on_the_truck_is_not_missing() -> None:
    assert haul((7_000, 0.0), residue=3_000).rules() == []


# The empty truck stood at two places, 1 % of 10 t each: less than 2 * sqrt(100^2 + 103^2) = 287 kg is not surely left on it. What is
# left counts with its error: 9,200 + 290 kg, 510 missing, allowed 500 + 2 * sqrt(2 * 50^2 + 144^2) = 820 kg.
@pytest.mark.parametrize(("residue", "rules"), [(250, [D8]), (290, [])])
def test_13b_what_is_left_counts_when_it_is_surely_there(residue: float, rules: list[str]) -> None:
    assert haul((9_200, 0.0), residue=residue).rules() == rules


def test_13c_a_haul_that_was_over_before_the_manifest_was_opened_is_another() -> None:
    bench = Bench(at(0.0))
    bench.event(-70, 8_000, name="l0", loading=True, before=10_000, x=2_000)
    bench.event(-64, 8_000, name="u0", before=18_000)
    bench.manifest(-55)
    bench.event(-50, 10_000, name="l", loading=True, before=10_000, x=2_000)
    bench.event(-30, 10_000, name="u", before=20_000)
    bench.manifest(-55, closed=0)
    bench.said.clear()
    bench.tick(12)
    assert D8 not in bench.rules()


def test_14_several_unloadings_add_up() -> None:
    assert haul((4_000, 0.0), (3_000, 10.0), (3_000, 20.0)).rules() == []


def test_15_what_went_elsewhere_is_missing() -> None:
    bench = haul((2_000, 5_000.0), (8_000, 0.0))
    assert bench.rules() == [D8]
    params = bench.said[0].reason.params
    assert (params["loaded_kg"], params["arrived_kg"], params["missing_kg"]) == (10_000, 8_000, 2_000)


def test_16_refuelling_is_no_load() -> None:
    bench = Bench(at(0.0), at(2_000.0, DEPOT))
    bench.manifest(-60)
    bench.event(-58, 900, name="fuel", loading=True, before=10_000, x=2_000)
    bench.event(-30, 900, name="u", before=10_900)
    bench.manifest(-60, closed=0)
    bench.tick(12)
    assert bench.rules() == []


def test_17_d8_waits_twelve_minutes_and_a_late_event_withdraws_it() -> None:
    bench = Bench(at(0.0))
    bench.manifest(-60)
    bench.event(-55, 10_000, name="l", loading=True, before=10_000, x=2_000)
    bench.said.clear()
    bench.manifest(-60, closed=0)
    bench.event(-30, 7_000, name="u0", before=20_000)
    bench.event(-20, 1_000, name="u1", before=11_000)
    bench.tick(11.9)
    assert bench.rules() == []
    bench.tick(12)
    assert bench.rules() == [D8]
    bench.event(-25, 2_000, name="u2", before=13_000, told=20)
    assert bench.rules() == [D8, "-" + D8]


# --- told again ---


def test_18_told_again_when_it_has_doubled_and_when_it_is_over() -> None:
    bench = Bench()
    bench.manifest(-30)
    for told, kg, status in ((1, 1_400, "open"), (2, 2_700, "open"), (3, 2_800, "open"), (4, 5_000, "open"),
                             (5, 8_000, "confirmed"), (6, 8_300, "confirmed")):  # fmt: skip
        bench.event(0, kg, status=status, told=told)
    assert [f.reason.params["dropped_kg"] for f in bench.said] == [1_400, 2_800, 8_000]
    assert len({(f.rule, f.situation) for f in bench.said}) == 1


def test_19_tellings_are_bounded_and_a_withdrawal_begins_anew() -> None:
    bench = Bench()
    bench.manifest(-30)
    for n in range(30):
        bench.event(0, 1_000 if n % 2 else 3_000, told=2 + n / 10)
    assert bench.rules() == [D1] * TELLINGS_MAX
    bench.event(0, 3_000, status="withdrawn", told=6)
    bench.event(0, 3_000, told=7)
    assert bench.rules()[TELLINGS_MAX:] == ["-" + D1, D1]


def test_20_told_again_when_it_is_worse_but_not_when_it_goes_back_and_forth() -> None:
    bench = Bench(at(300.0, ZONE))
    for n, x in enumerate((0.0, 300.0, 0.0, 300.0)):
        bench.event(0, 900, x=x, told=2 + n)
    assert [f.severity for f in bench.said if f.rule == D1] == ["high", "critical"]


# --- told late: minutes of a terminal that uploads days afterwards ---

DAYS_LATE = pytest.mark.parametrize("days", [3, 6])


@DAYS_LATE
def test_21_a_late_discharge_is_told_once_revised_and_withdrawn(days: int) -> None:
    bench = Bench()
    then = -days * 1_440
    bench.manifest(then - 30, closed=then + 30)
    bench.tick(then + 45)
    bench.event(then, 3_000, status="open", told=0)
    bench.event(then, 8_000, told=1)
    bench.event(then, 8_100, told=2)
    bench.tick(60)
    assert [f.reason.params["dropped_kg"] for f in bench.said] == [3_000, 8_000]
    bench.event(then, 8_100, status="withdrawn", told=61)
    bench.tick(90)
    assert bench.rules() == [D1, D1, "-" + D1]


@DAYS_LATE
@pytest.mark.parametrize(("opened", "rules"), [(-30, []), (11, [D4])])
def test_22_a_late_event_knows_the_manifests_of_its_time(days: int, opened: float, rules: list[str]) -> None:
    """One that nobody has touched since; and ten on-time manifests of the days after do not hide it."""
    bench = Bench(at(0.0))
    then = -days * 1_440
    bench.manifest(then + opened, closed=then + 40)
    for n in range(10):
        bench.manifest(-600 + 60 * n, closed=-560 + 60 * n, name=f"M-{n + 2}")
    bench.event(then, 3_000, told=0)
    for minute in (12, 600, 1_500):
        bench.tick(minute)
    assert bench.rules() == rules


@DAYS_LATE
def test_23_late_events_between_on_time_ones(days: int) -> None:
    """Each is told once, in whatever order they come, and a withdrawal finds its own."""
    bench = Bench()
    then = -days * 1_440
    bench.manifest(then - 60, closed=then + 120)
    bench.manifest(-120, name="M-2")
    bench.tick(-1)
    bench.event(-20, 900, name="now0", told=-10)
    bench.event(then + 40, 2_000, name="late1", told=0)
    bench.event(2, 1_200, name="now1", told=4)
    bench.event(then, 3_000, name="late0", told=5)
    bench.event(-20, 900, name="now0", told=6)
    bench.event(then + 40, 2_000, name="late1", status="withdrawn", told=7)
    bench.tick(60)
    assert [(f.withdraws, f.situation.rpartition(":")[2]) for f in bench.said if f.rule == D1] == [
        (False, "now0"), (False, "late1"), (False, "now1"), (False, "late0"), (True, "late1"),
    ]  # fmt: skip
    assert set(bench.rules()) == {D1, "-" + D1}


@DAYS_LATE
def test_24_the_balance_of_a_late_haul_waits_for_all_that_was_kept(days: int) -> None:
    """10 t loaded, 8 t unloaded, told days later within two minutes: 2 t missing are told twelve minutes after, once. Another 2 t come
    at last, and it is withdrawn."""
    bench = Bench(at(0.0))
    then = -days * 1_440
    bench.manifest(then - 60, closed=then)
    bench.tick(then + 12)
    assert bench.rules() == []
    bench.event(then - 55, 10_000, name="l", loading=True, before=10_000, x=2_000, told=0)
    bench.event(then - 30, 7_000, name="u0", before=20_000, told=1)
    bench.event(then - 20, 1_000, name="u1", before=11_000, told=2)
    bench.tick(13.9)
    assert bench.rules() == []
    for minute in (14, 30, 600):
        bench.tick(minute)
    assert bench.rules() == [D8]
    bench.event(then - 10, 2_000, name="u2", before=12_000, told=610)
    bench.tick(622)
    assert bench.rules() == [D8, "-" + D8]


def test_25_a_balance_is_not_judged_again_when_its_events_are_gone() -> None:
    """31 hours later the loading is forgotten; whatever is told then of that haul, nothing is taken back."""
    bench = haul((7_000, 0.0))
    assert bench.rules() == [D8]
    bench.tick(31 * 60)
    bench.event(-5, 3_000, name="late", before=13_000, told=31 * 60 + 1)
    bench.tick(32 * 60)
    assert bench.rules() == [D8]


def test_states_of_the_manure_detectors_as_they_were_first_stored() -> None:
    """As written before amounts were told again: what was told was an instant alone, and a truck knew no drive."""
    with pytest.raises(OlderFormat):
        RulesDetector().decode(
            b'{"vehicle":"v","events":[],"closings":[],"told":{"manure.D1|s":1795402800000000},"format":1}'
        )
    with pytest.raises(OlderFormat):
        EventsDetector().decode(b'[1,"v",0.0,0.0,0,[-1],[-1],[],[]]')
