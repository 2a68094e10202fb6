"""The sample is physically believable: mass is kept to the gram, trucks drive as trucks, sensors and networks err at the stated rates."""

from itertools import pairwise

import msgspec
import numpy as np
import orjson
import pytest
from shapely import Point

from madang.model.statistics import poisson_interval
from madang.model.time import DAY, MINUTE, SECOND, Instant, parse_instant
from madang.services.manure import sample
from madang.services.manure.sample import DISCHARGE, LOAD, ROAD_LOSS, TruckDay, read_payload
from madang.services.manure.sample_rates import ENRICHED, NATURAL, Cheats
from madang.simulate.city import SampleCity
from madang.simulate.town import build_town

START = parse_instant("2026-11-23T00:00:00Z")
QUIET = Cheats(*[0.0] * 9)
TRUCKS, DAYS = 20, 3


@pytest.fixture(scope="module")
def city() -> SampleCity:
    return SampleCity(11, START, enriched=True, trucks=TRUCKS, town=build_town(11))


@pytest.fixture(scope="module")
def days(city: SampleCity) -> list[tuple[int, TruckDay]]:
    return [(day, one) for day in range(DAYS) for one in city.build_day(day)]


def decode(payload: bytes) -> dict[str, object] | None:
    try:
        return read_payload(payload)
    except orjson.JSONDecodeError:
        return None


# --- mass


def test_mass_is_kept_exactly(days: list[tuple[int, TruckDay]]) -> None:
    """What was on board in the morning, plus loads, less discharges and losses, is on board in the evening."""
    for _, one in days:
        loaded = sum(t.amount_kg for t in one.transfers if t.kind == LOAD)
        gone = sum(t.amount_kg for t in one.transfers if t.kind in (DISCHARGE, ROAD_LOSS))
        assert one.load_start_kg + loaded - gone == pytest.approx(one.load_end_kg, abs=1e-6)


def test_the_evening_of_one_day_is_the_morning_of_the_next(days: list[tuple[int, TruckDay]]) -> None:
    by = {(day, one.truck.number): one for day, one in days}
    joined = [(one, by[day + 1, number]) for (day, number), one in by.items() if (day + 1, number) in by]
    assert len(joined) > 20
    assert all(a.load_end_kg == pytest.approx(b.load_start_kg, abs=1e-6) for a, b in joined)


def test_loads_stay_within_the_payload(days: list[tuple[int, TruckDay]]) -> None:
    for _, one in days:
        level = one.load_start_kg
        for t in one.transfers:
            level += t.amount_kg if t.kind == LOAD else -t.amount_kg
            assert -1e-6 <= level <= one.truck.payload_kg * 1.001


def test_manure_is_loaded_at_farms_only(days: list[tuple[int, TruckDay]]) -> None:
    assert {t.spot.kind for _, one in days for t in one.transfers if t.kind == LOAD} == {"AgriFarm"}


# --- motion


def test_trucks_drive_as_trucks(city: SampleCity) -> None:
    """From second to second of the true motion: never above 75 km/h, never jumping."""
    from madang.services.manure.sample_day import DayNotes, plan_day

    truck = city.trucks[0]
    truth = plan_day(city.ground, truck, np.random.default_rng(5), NATURAL, DayNotes(50, 40, 200, 220), "x").truth
    t = np.arange(truth.t[0], truth.t[-1], 1.0)
    x, y = np.interp(t, truth.t, truth.x), np.interp(t, truth.t, truth.y)
    speed = np.hypot(np.diff(x), np.diff(y))
    assert speed.max() * 3.6 < 75
    assert float(np.abs(truth.grade).max()) <= 0.09
    assert np.all(np.diff(truth.t) >= -1e-6)
    assert float(truth.load.min()) >= -1e-6


def test_spreading_is_slow_and_inside_the_parcel(days: list[tuple[int, TruckDay]]) -> None:
    spread = [t for _, one in days for t in one.transfers if t.kind == DISCHARGE and t.moving]
    assert len(spread) > 10
    for t in spread:
        assert 60 < t.ended - t.started < 3 * 3_600


# --- truth against the meaning of the rules


def test_honest_drivers_break_no_rule() -> None:
    rates = msgspec.structs.replace(NATURAL, cheats=QUIET, wrong_place_mistake=0.0, no_manifest_mistake=0.0)
    city = SampleCity(12, START, trucks=TRUCKS, rates=rates)
    hauls = sum(1 for day in range(2) for one in city.build_day(day) for step in one.steps if step.action == "load")
    assert hauls > 80
    assert city.truth() == ()
    assert len(city.ignore()) <= 0.03 * hauls


def test_d1_lies_outside_every_registered_place(city: SampleCity, days: list[tuple[int, TruckDay]]) -> None:
    events = [e for e in city.truth() if e.rule == sample.D1]
    assert events
    for event in events:
        x, y = city.town.plane.to_xy(event.place)
        assert min(p.area.distance(Point(x, y)) for p in (*city.town.parcels, *city.town.plants)) > 30


def test_d4_has_no_open_manifest_within_the_grace(city: SampleCity, days: list[tuple[int, TruckDay]]) -> None:
    opened: dict[str, list[tuple[Instant, Instant]]] = {}
    for _, one in days:
        times: dict[str, dict[str, Instant]] = {}
        for step in one.steps:
            times.setdefault(step.manifest_ref, {})[step.action] = step.at
        opened.setdefault(one.truck.id, []).extend(
            (t["precheck"], t.get("finish", t.get("cancel", t["precheck"]))) for t in times.values()
        )
    events = [e for e in city.truth() if e.rule == sample.D4]
    assert events
    for event in events:
        for begin, end in opened[event.subject]:
            assert event.ended_at < begin - 10 * MINUTE or event.started_at > end + 10 * MINUTE


def test_every_dump_under_a_manifest_breaks_the_balance_too(city: SampleCity, days: list[tuple[int, TruckDay]]) -> None:
    d8 = {e.manifest_ref for e in city.truth() if e.rule == sample.D8}
    unsure = {i.manifest_ref for i in city.ignore()}
    dumped = {
        e.manifest_ref
        for e in city.truth()
        if e.rule in (sample.D1, sample.D2) and e.manifest_ref and e.amount_kg > 700
    }
    assert dumped
    assert dumped <= d8 | unsure


# --- sensors


def test_a_standing_reading_errs_by_one_to_two_percent_of_gross(
    city: SampleCity, days: list[tuple[int, TruckDay]]
) -> None:
    """Empty trucks in the depot in the morning: the spread of readings about the truck's own mean."""
    shares = []
    for _, one in days:
        weights = [
            d["w"]
            for d in (decode(p) for _, p, dup in one.messages[:14] if not dup)
            if d and isinstance(d.get("w"), int)
        ]
        usual = [w for w in weights if isinstance(w, int) and 5_000 < w < 20_000]
        if len(usual) > 8 and not one.truck.air_fill:
            shares.append(float(np.std(usual)) / float(np.mean(usual)))
    assert 0.005 < float(np.median(shares)) < 0.02


def test_positions_err_by_metres(city: SampleCity, days: list[tuple[int, TruckDay]]) -> None:
    """Trucks start inside their depot: the first fixes lie within 30 m of its yard in all but a few."""
    near = []
    for _, one in days:
        depot = city.ground.depots[one.truck.depot]
        document = decode(one.messages[0][1])
        if document and isinstance(document.get("lon"), float):
            x, y = city.town.plane.to_xy((document["lon"], document["lat"]))  # type: ignore[arg-type]
            near.append(depot.area.distance(Point(x, y)) < 30)
    assert sum(near) > 0.93 * len(near)


def test_weights_are_steps_of_the_scale(days: list[tuple[int, TruckDay]]) -> None:
    one = next(o for _, o in days if o.truck.quantum_kg == 20)
    weights = [d["w"] for d in (decode(p) for _, p, _ in one.messages) if d and isinstance(d.get("w"), int)]
    assert sum(w % 20 == 0 for w in weights if isinstance(w, int)) > 0.9 * len(weights)


# --- terminals and network, at the stated rates


def test_sequences_count_up_except_after_a_restart(days: list[tuple[int, TruckDay]]) -> None:
    resets = 0
    for _, one in days:
        documents = [d for d in (decode(p) for _, p, dup in one.messages if not dup) if d and str(d["t"]) > "2006"]
        numbers = [int(str(d["seq"])) for d in sorted(documents, key=lambda d: str(d["t"]))]
        drops = sum(b < a for a, b in pairwise(numbers))
        resets += drops
        if not one.truck.old_firmware and not one.truck.rollover:
            assert drops == 0
    assert resets <= 15


def test_duplicates_come_at_their_rate_and_are_the_same_bytes(days: list[tuple[int, TruckDay]]) -> None:
    again = total = 0
    for _, one in days:
        originals = {p for _, p, dup in one.messages if not dup}
        repeats = [p for _, p, dup in one.messages if dup]
        assert set(repeats) <= originals
        again, total = again + len(repeats), total + len(originals)
    # Three per thousand, and a little more after outages.
    assert NATURAL.duplicate * 0.7 < again / total < NATURAL.duplicate * 4


def test_broken_payloads_come_at_their_rate() -> None:
    rates = msgspec.structs.replace(NATURAL, invalid=0.01)
    city = SampleCity(11, START, trucks=8, rates=rates, town=build_town(11))
    messages = [p for one in city.build_day(0) for _, p, dup in one.messages if not dup]

    def broken(payload: bytes) -> bool:
        document = decode(payload)
        return document is None or document.get("lon") == 900 or str(document["t"]).startswith("0000")

    low, high = poisson_interval(sum(map(broken, messages)), alpha=0.001)
    assert low <= 0.01 * len(messages) <= high


def test_most_messages_are_live_and_some_come_in_a_burst_later(days: list[tuple[int, TruckDay]]) -> None:
    late = total = 0
    for _, one in days:
        if one.truck.clock_off_s == 0 and not one.truck.rollover:
            for at, payload, _ in one.messages:
                document = decode(payload)
                if document and not str(document["t"]).startswith("0000"):
                    total += 1
                    late += at - parse_instant(str(document["t"])) > 60 * SECOND
    assert 0.001 < late / total < 0.12


def test_without_faults_every_message_is_whole_and_in_time() -> None:
    rates = msgspec.structs.replace(
        NATURAL, weight_missing=0, weight_gap_per_day=0, gps_outage_per_day=0, duplicate=0, delayed=0, net_outage_per_day=0,
        reboot_per_day=0,
        clock_minutes_per_day=0, rollover_unit=0, invalid=0, fuse_pulled=0,
    )  # fmt: skip
    town = build_town(11)
    city = SampleCity(11, START, trucks=4, rates=rates, town=town)
    for one in city.build_day(0):
        numbers = [read_payload(p)["seq"] for at, p, _ in one.messages]
        assert sorted(numbers) == list(range(min(numbers), min(numbers) + len(numbers)))


# --- manifests


def test_taps_come_in_order_and_confirmations_within_a_week(days: list[tuple[int, TruckDay]]) -> None:
    for _, one in days:
        by: dict[str, list[Instant]] = {}
        for step in one.steps:
            if step.action not in ("confirm", "dispute"):
                by.setdefault(step.manifest_ref, []).append(step.at)
        finished = {s.manifest_ref: s.at for s in one.steps if s.action == "finish"}
        assert all(a < b for times in by.values() for a, b in pairwise(times))
        for step in one.steps:
            if step.action in ("confirm", "dispute"):
                assert finished[step.manifest_ref] < step.at < finished[step.manifest_ref] + 7 * DAY


def test_both_sides_confirm_and_farmers_mostly_sign_on_the_drivers_phone(days: list[tuple[int, TruckDay]]) -> None:
    steps = [s for _, one in days for s in one.steps]
    assert {s.arguments["role"] for s in steps if s.action == "confirm"} == {"treater", "discharger"}
    loads = [s for s in steps if s.action == "load"]
    share = sum(s.on_behalf_of is not None for s in loads) / len(loads)
    assert 0.55 < share < 0.85
    farms = {s.manifest_ref: s.arguments["from"] for s in steps if s.action == "create"}
    assert all(s.on_behalf_of == farms[s.manifest_ref] for s in loads if s.on_behalf_of)


def test_cheats_are_rarer_in_a_natural_city() -> None:
    assert sum(getattr(NATURAL.cheats, n) for n in Cheats.__struct_fields__) * NATURAL.cheaters < 0.01
    assert sum(getattr(ENRICHED.cheats, n) for n in Cheats.__struct_fields__) * ENRICHED.cheaters > 0.2


def test_complaints_are_readings_near_the_ground(city: SampleCity, days: list[tuple[int, TruckDay]]) -> None:
    transfers = [t for day, one in days if day == 0 for t in one.transfers]
    complaints = sample.build_complaints(city.ground, city._rng, 0, city.first_midnight, transfers)
    assert complaints
    for at, reading in complaints:
        assert reading.entity_type == "OdourComplaint"
        assert reading.observed_at <= at
        assert reading.attributes["severity"]["value"] in {"low", "medium", "high"}
