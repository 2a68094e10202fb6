"""The cleaning detector, from simple to hard. What happened is known from the hand-made world in `weights`; tolerances follow
from its noise: 1.5 % of 20 t over a dozen samples each side leaves some 150 kg."""

import random
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.flow.check import check_detector
from madang.model.change import Change
from madang.model.geometry import distance_m
from madang.model.time import SECOND, parse_instant
from madang.services.manure.detect_events import WINDOW_MAX, EventsDetector
from madang.services.manure.truck import Fact
from tests.services.manure.weights import (
    PLANE,
    START,
    Seen,
    World,
    last_versions,
    make_change,
    make_place,
    make_ref,
    make_registration,
    run,
)

DETECTOR = EventsDetector()
WEIGHED = ("ManureLoading", "ManureUnloading")
SEEDS = range(3)


def watch(world: World, *places: object, withdrawn: bool = False) -> list[Seen]:
    """Loadings and unloadings as they stand in the end, in time order."""
    ref = make_ref([DETECTOR], [make_registration(world), *places])  # type: ignore[list-item]
    outputs = run([DETECTOR], [make_change(r) for r in world.readings], ref, until=world.t + 400)
    return sorted((s for s in last_versions(outputs, withdrawn=withdrawn) if s.type in WEIGHED), key=lambda s: s.t0)


def haul(seed: int) -> World:
    """A truck that has loaded ten tonnes and drives."""
    return World(seed).park(120).drive(400).park(60).pump(10_000, 500, "farm").park(60).drive(500)


def summary(events: list[Seen]) -> list[tuple[str, str]]:
    return [(e.type, e.value("status")) for e in events]


@pytest.mark.parametrize("seed", SEEDS)
def test_01_a_drive_with_crossings_is_nothing(seed: int) -> None:
    world = World(seed).park(300)
    for _ in range(6):
        world.drive(200).crossing(40)
    assert watch(world.drive(300).off(600)) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_02_a_loading_and_an_unloading(seed: int) -> None:
    world = haul(seed).park(60).pump(-10_000, 400, "plant").park(60).drive(500)
    x, y = world.truth[1].x, world.truth[1].y
    loading, unloading = watch(world, make_place("urn:ngsi-ld:ManureTreatmentPlant:p", "ManureTreatmentPlant", x, y))
    assert (loading.type, unloading.type) == WEIGHED
    for seen, truth in zip((loading, unloading), world.truth, strict=True):
        assert seen.value("status") == "confirmed"
        assert seen.value("amount") == pytest.approx(truth.kg, abs=500)
        assert seen.t0 == pytest.approx(truth.t0, abs=60)
        assert seen.t1 == pytest.approx(truth.t1, abs=90)
        assert distance_m(tuple(seen.value("location")["coordinates"]), PLANE.to_lon_lat(truth.x, truth.y)) < 15
    assert unloading.value("place") == "urn:ngsi-ld:ManureTreatmentPlant:p"
    assert loading.value("place") is None
    assert unloading.value("weightAfter") == pytest.approx(world.tare, abs=600)


@pytest.mark.parametrize("seed", SEEDS)
def test_03_a_dump_is_told_within_a_minute(seed: int) -> None:
    """Three tonnes in two minutes: 300 kg are out after 12 s; noise of 300 kg hides it for a few messages."""
    world = haul(seed).park(30)
    began = world.t
    world.pump(-3_000, 120).park(40).drive(500)
    dump = watch(world)[1]
    assert (dump.first_at - START) / SECOND - began < 90
    assert dump.value("amount") == pytest.approx(3_000, abs=500)


@pytest.mark.parametrize("seed", SEEDS)
def test_04_part_loads_are_events_of_their_own(seed: int) -> None:
    world = haul(seed).park(40).pump(-4_000, 200).park(40).drive(600).park(40).pump(-6_000, 300).park(60).drive(400)
    events = watch(world)
    assert [e.type for e in events] == [WEIGHED[0], WEIGHED[1], WEIGHED[1]]
    assert [e.value("amount") for e in events] == [pytest.approx(kg, abs=500) for kg in (10_000, 4_000, 6_000)]


@pytest.mark.parametrize("seed", SEEDS)
def test_05_several_goes_at_one_place_are_one_event(seed: int) -> None:
    world = (
        haul(seed)
        .park(40)
        .pump(-3_000, 120)
        .park(240)
        .pump(-3_000, 120)
        .park(240)
        .pump(-3_000, 120)
        .park(60)
        .drive(500)
    )
    events = watch(world)
    assert summary(events) == [(WEIGHED[0], "confirmed"), (WEIGHED[1], "confirmed")]
    assert events[1].value("amount") == pytest.approx(9_000, abs=700)


@pytest.mark.parametrize("seed", SEEDS)
def test_06_spreading_is_one_moving_event_with_its_track(seed: int) -> None:
    world = haul(seed).drive(20, 8).spread(9_000, 700).drive(500)
    events = watch(world)
    assert summary(events) == [(WEIGHED[0], "confirmed"), (WEIGHED[1], "confirmed")]
    assert events[1].value("moving") is True
    assert events[1].value("amount") == pytest.approx(9_000, abs=900)
    assert len(events[1].value("track")["coordinates"]) > 3


@pytest.mark.parametrize("seed", SEEDS)
def test_07_slopes_are_nothing(seed: int) -> None:
    """Two percent of 21 t: 420 kg of offset (1 sigma), another one at each stop, and creeping from one slope to the next."""
    world = World(seed, slope=0.02)
    world.load = 10_000
    world.drive(400)
    for _ in range(5):
        world.park(240).drive(20, 8).park(240).drive(300)
    assert watch(world) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_08_refuelling_and_rain_are_nothing(seed: int) -> None:
    world = haul(seed).park(60).pump(150, 90, note=False, pto=False).park(60).drive(500)
    for _ in range(30):
        world.rain += 8
        world.drive(60)
    world.rain = 0
    assert len(watch(world.drive(500))) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_09_a_stuck_scale_is_not_a_level(seed: int) -> None:
    """The scale sticks before the plant and lets go on the road: the unloading was at the long stop, not where it let go."""
    world = haul(seed)
    world.stuck = 21_000.0
    world.drive(120).crossing(30).drive(200).park(60).pump(-9_000, 500).park(60)
    plant = PLANE.to_lon_lat(world.x, world.y)
    world.drive(200).crossing(30).drive(100)
    world.stuck = None
    events = watch(world.drive(600))
    assert [e.type for e in events] == list(WEIGHED)
    assert distance_m(tuple(events[1].value("location")["coordinates"]), plant) < 50
    assert events[1].value("amount") == pytest.approx(9_000, abs=700)


@pytest.mark.parametrize("seed", SEEDS)
def test_10_a_dump_in_a_silence_is_seen_from_both_sides(seed: int) -> None:
    """The terminal's plug is pulled while driving; five tonnes are missing when it is back four kilometres on."""
    world = haul(seed)
    x, y = world.x, world.y
    world.power = False
    world.pump(-5_000, 200, note=False).drive(300)
    world.power = True
    events = watch(world.drive(600))
    assert [e.type for e in events] == list(WEIGHED)
    assert events[1].value("unseen") is True
    assert events[1].value("amount") == pytest.approx(5_000, abs=600)
    first = tuple(events[1].value("track")["coordinates"][0])
    assert distance_m(first, PLANE.to_lon_lat(x, y)) < 300


@pytest.mark.parametrize("seed", SEEDS)
def test_11_a_dump_with_the_engine_off_is_seen_at_the_spot(seed: int) -> None:
    world = haul(seed).park(60)
    world.ignition = False
    world._send()
    world.power = False
    world.pump(-6_000, 200)
    world.power = world.ignition = True
    world.park(40)
    dump = watch(world.drive(400))[1]
    assert dump.value("amount") == pytest.approx(6_000, abs=600)
    assert (
        distance_m(tuple(dump.value("location")["coordinates"]), PLANE.to_lon_lat(world.truth[1].x, world.truth[1].y))
        < 20
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_12_the_engine_goes_off_right_after(seed: int) -> None:
    """Nothing comes any more: the event is told by timer, not with the next trip."""
    world = haul(seed).park(30).pump(-5_000, 100)
    end = world.t
    dump = watch(world.off(7_200))[1]
    assert (dump.first_at - START) / SECOND < end + 120
    assert dump.value("status") == "confirmed"


def test_13_spikes_and_missing_values_are_nothing() -> None:
    world = haul(5).drive(900).park(200).drive(600)
    for i, reading in enumerate(world.readings):
        if i % 17 == 3:
            reading.weight = 0.0
        elif i % 23 == 5:
            reading.weight = 65_535.0
        elif i % 29 == 7:
            reading.weight = None
        elif i % 31 == 9 and reading.weight is not None:
            reading.weight += 4_000
    assert [e.type for e in watch(world)] == ["ManureLoading"]


# --- late, out of order, twice, again ---


def story(seed: int) -> World:
    return (
        haul(seed)
        .park(30)
        .pump(-3_000, 120)
        .park(30)
        .drive(400)
        .park(60)
        .pump(-7_000, 300)
        .park(60)
        .drive(500)
        .off(600)
    )


def outcome(
    world: World, order: Callable[[list[Change]], list[Change]] = lambda c: c
) -> list[tuple[str, float, float, float]]:
    changes = [make_change(r) for r in world.readings]
    ref = make_ref([DETECTOR], [make_registration(world)])
    outputs = run([DETECTOR], order(changes), ref, until=world.t + 400)
    return sorted((s.type, s.t0, s.t1, s.value("amount")) for s in last_versions(outputs) if s.type in WEIGHED)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kg", [-500.0, 500.0])
def test_14_an_excursion_that_comes_back_is_never_told(seed: int, kg: float) -> None:
    """Two minutes of 2 % of gross without the pump, then as before: wind or soft ground, not a discharge."""
    world = haul(seed).park(300)
    world.drift = kg
    world.park(120)
    world.drift = 0.0
    assert summary(watch(world.park(400).drive(400), withdrawn=True)) == [("ManureLoading", "confirmed")]


@pytest.mark.parametrize("seed", SEEDS)
def test_15_a_small_discharge_without_the_pump_is_told_when_it_lasts(seed: int) -> None:
    world = World(seed, noise=0.01).park(120).drive(400).park(60).pump(4_000, 300, "farm").park(60).drive(500).park(200)
    world.pump(-700, 40, pto=False).park(400)
    assert [e.type for e in watch(world.drive(400))] == ["ManureLoading", "ManureUnloading"]


@pytest.mark.parametrize("seed", SEEDS)
def test_16_an_event_without_a_fix_waits_and_is_put_where_the_next_one_says(seed: int) -> None:
    """The receiver says its last place (HDOP 99.9) for two kilometres and until the truck has stood and pumped for a while."""
    world = haul(seed)
    begin = len(world.readings)
    world.drive(160).park(60).pump(-6_000, 60)
    end = len(world.readings)
    last = world.readings[begin - 1]
    for reading in world.readings[begin:end]:
        reading.x, reading.y, reading.hdop = last.x, last.y, 99.9
    fixed = world.t
    dump = watch(world.park(120).drive(300))[1]
    assert (dump.first_at - START) / SECOND >= fixed
    place = PLANE.to_lon_lat(world.truth[1].x, world.truth[1].y)
    assert distance_m(tuple(dump.value("location")["coordinates"]), place) < 30
    assert dump.value("unseen") is False


@pytest.mark.parametrize("seed", SEEDS)
def test_17_a_scale_that_is_silent_while_loading_still_gives_the_amount(seed: int) -> None:
    world = World(seed).park(120).drive(600).park(100)
    world.scale_works = False
    world.park(60).pump(8_000, 300, "farm").park(60)
    world.drive(20)
    world.scale_works = True
    (loading,) = watch(world.drive(500))
    assert loading.type == "ManureLoading"
    assert loading.value("amount") == pytest.approx(8_000, abs=700)


UNCLEAR = pytest.mark.xfail(
    strict=True, reason="the first three weights at the spot lie 3.2 sigma apart, so nobody can tell with what it came"
)


@pytest.mark.parametrize(
    ("seed", "seconds"), [(0, 20), (1, 20), pytest.param(2, 20, marks=UNCLEAR), (0, 200), (1, 200), (2, 200)]
)
def test_18_what_leaks_on_the_way_is_no_part_of_what_is_unloaded_after_it(seed: int, seconds: int) -> None:
    """Two tonnes, at once or over three minutes, at 45 km/h: neither the loading before nor the unloading after has them."""
    world = haul(seed)
    for _ in range(seconds):
        world.load -= 2_000 / seconds
        world.drive(1)
    world.drive(30).park(90).pump(-8_000, 400, "plant").park(60)
    loading, unloading = watch(world.drive(500))
    assert (loading.type, unloading.type) == WEIGHED
    assert loading.value("amount") == pytest.approx(10_000, abs=500)
    assert unloading.value("amount") == pytest.approx(8_000, abs=600)


@pytest.mark.parametrize("seed", SEEDS)
def test_19_a_truck_that_nobody_sees_stop_has_pumped_where_it_is_seen_next(seed: int) -> None:
    """Neither place nor speed for three minutes; the receiver is back while it still pumps, two kilometres on."""
    world = haul(seed)
    world.gps_works = False
    world.drive(160).park(60).pump(-3_000, 120, note=False)
    world.gps_works = True
    world.pump(-3_000, 120)
    dump = watch(world.park(60).drive(300))[1]
    assert dump.type == "ManureUnloading"
    assert dump.value("amount") == pytest.approx(6_000, abs=900)
    place = PLANE.to_lon_lat(world.truth[1].x, world.truth[1].y)
    assert distance_m(tuple(dump.value("location")["coordinates"]), place) < 30


@pytest.mark.parametrize("seed", SEEDS)
def test_19a_a_receiver_between_walls_does_not_move_a_parked_truck(seed: int) -> None:
    """Three fixes in a row 150 m off while it stands and pumps: 0 km/h for ten seconds reach 50 m at most."""
    world = haul(seed).park(60)
    begun = world.t
    world.pump(-9_000, 400, "plant").park(60)
    for reading in world.readings:
        if begun + 30 <= reading.t <= begun + 50 and reading.x is not None:
            reading.x += 150.0
    dump = watch(world.drive(500))[1]
    place = PLANE.to_lon_lat(world.truth[1].x, world.truth[1].y)
    assert distance_m(tuple(dump.value("location")["coordinates"]), place) < 15
    assert dump.value("amount") == pytest.approx(9_000, abs=700)


@pytest.mark.parametrize("seed", SEEDS)
def test_19h_a_receiver_that_is_stuck_on_the_way_to_the_plant(seed: int) -> None:
    """One fix, 130 m before the plant, for four minutes; then the place is another one, and the pump starts soon after."""
    world = haul(seed)
    stuck = world.t
    world.drive(15, 35).park(200)
    free = world.t
    world.park(90).pump(-9_000, 400, "plant").park(60).drive(500)
    kept = next(r for r in reversed(world.readings) if r.t <= stuck)
    for reading in world.readings:
        if stuck < reading.t <= free:
            reading.x, reading.y = kept.x, kept.y
    dump = watch(world)[1]
    place = PLANE.to_lon_lat(world.truth[1].x, world.truth[1].y)
    assert distance_m(tuple(dump.value("location")["coordinates"]), place) < 15


@pytest.mark.parametrize("seed", SEEDS)
def test_19b_what_a_long_stand_drifts_is_nothing(seed: int) -> None:
    """Half an hour on soft ground, without the pump: 350 kg (1.7 % of gross) less in the end, little by little, and it stays so for the
    next drive."""
    world = haul(seed).park(60)
    for _ in range(1_800):
        world.drift -= 350 / 1_800
        world.park(1)
    assert [e.type for e in watch(world.drive(600))] == ["ManureLoading"]


@pytest.mark.parametrize(("loaded", "events"), [(0, 0), (700, 1)])
def test_19j_an_empty_truck_has_nothing_to_unload(loaded: float, events: int) -> None:
    """340 kg lighter from one stop on, without the pump, on level ground: a drift where the truck is empty (11 t registered), a discharge
    where 700 kg were left on it."""
    world = World(1, noise=0.004, slope=0.001, swing=0.004)
    world.load = loaded
    world.park(120).drive(600).park(100)
    world.drift = -340
    assert len(watch(world.park(100).drive(180))) == events


@pytest.mark.parametrize("seed", SEEDS)
def test_19c_a_scale_that_comes_back_amid_the_spreading(seed: int) -> None:
    """Silent from the farm on; a quarter of the field is spread when it speaks again, and the truck stands before it leaves. The stand
    saw no change, and what was spread is told none the less, in the field."""
    world = World(seed).park(120).drive(400).park(60).pump(10_000, 500, "farm").park(60)
    world.scale_works = False
    world.drive(300).drive(20, 8).spread(2_000, 130)
    world.scale_works = True
    world.spread(6_000, 400).park(100).drive(50).park(60).drive(400)
    loading, spreading = watch(world)
    assert loading.value("amount") == pytest.approx(10_000, abs=700)
    assert spreading.value("amount") == pytest.approx(8_000, abs=900)
    place = PLANE.to_lon_lat(world.truth[2].x, world.truth[2].y)
    assert distance_m(tuple(spreading.value("location")["coordinates"]), place) < 300


@pytest.mark.parametrize("seed", SEEDS)
def test_19i_the_pump_says_where_it_went_while_the_scale_was_silent(seed: int) -> None:
    """Silent on the road, at a stop of forty seconds and for half of the unloading: it was unloaded where the pump ran."""
    world = haul(seed)
    world.scale_works = False
    world.drive(60).park(40).drive(300).park(100).pump(-5_000, 250, "plant")
    world.scale_works = True
    world.pump(-5_000, 250, "plant").park(90)
    dump = watch(world.off(3_600))[1]
    assert dump.value("amount") == pytest.approx(10_000, abs=900)
    place = PLANE.to_lon_lat(world.truth[1].x, world.truth[1].y)
    assert distance_m(tuple(dump.value("location")["coordinates"]), place) < 15


@pytest.mark.parametrize("seed", SEEDS)
def test_19d_a_loading_that_went_on_while_the_scale_was_stuck(seed: int) -> None:
    """It says 3 t of 10 t, then the same kilogram until half a minute before the next stop."""
    world = World(seed).park(120).drive(400).park(60).pump(3_000, 150, "farm")
    world.stuck = world.readings[-1].weight
    world.pump(7_000, 350, "farm", note=False).park(60).drive(200)
    world.stuck = None
    world.drive(40).park(120).pump(-10_000, 500, "plant").park(60)
    loading, unloading = watch(world.drive(500))
    assert (loading.type, unloading.type) == WEIGHED
    assert loading.value("amount") == pytest.approx(10_000, abs=900)
    assert unloading.value("amount") == pytest.approx(10_000, abs=900)


@pytest.mark.parametrize(
    "seed",
    [
        0,
        1,
        pytest.param(
            2,
            marks=pytest.mark.xfail(
                strict=True,
                reason="980 kg below the drive's level are 2.8 standard errors of a slope: nobody can tell with what it came",
            ),
        ),
    ],
)
def test_19e_an_unloading_that_was_weighed_to_its_end_is_not_made_larger_by_the_drive(seed: int) -> None:
    """1.8 t go on the last two minutes of the way, too late for the drive's level: 7 t are unloaded, though it is 8.8 t lighter."""
    world = haul(seed)
    for _ in range(120):
        world.load -= 15
        world.drive(1)
    unloading = watch(world.park(240).pump(-7_000, 60, "plant").park(120).drive(500))[1]
    assert unloading.value("amount") == pytest.approx(7_000, abs=600)


@pytest.mark.parametrize("seed", SEEDS)
def test_19f_nobody_saw_when_it_began(seed: int) -> None:
    """Loaded with the engine off: it began some time in these eleven minutes, and the event says so."""
    world = World(seed).park(120).drive(400).park(60)
    off = world.t
    world.off(0)
    world.power = False
    world.pump(8_000, 660, "farm", note=False)
    world.power = True
    loading = watch(world.park(120).drive(400))[0]
    assert loading.t0 == pytest.approx(off, abs=20)
    before = (parse_instant(loading.value("startedBefore")) - START) / SECOND
    assert before == pytest.approx(off + 660, abs=30)


def test_19g_what_was_kept_during_a_silence_moves_the_event() -> None:
    """One message comes through from a kilometre on, before what the terminal kept: the unloading is told as lying in the silence. The
    kept readings show it at its place."""
    world = haul(1).hole_begins().drive(60).park(60).pump(-9_000, 400, "plant").park(30).drive(60)
    world.hole_ends(after=10)
    world.readings[-1].arrives = world.t + 2
    dump = watch(world.drive(400))[1]
    place = PLANE.to_lon_lat(world.truth[1].x, world.truth[1].y)
    assert distance_m(tuple(dump.value("location")["coordinates"]), place) < 30
    assert dump.value("unseen") is False


def test_20_a_hole_uploaded_newest_first_ends_alike() -> None:
    straight = outcome(story(2))
    world = World(2).park(120).drive(400).park(60).pump(10_000, 500, "farm").park(60).drive(500)
    world.park(30).hole_begins().pump(-3_000, 120).park(30).drive(200)
    world.hole_ends(newest_first=True, after=25)
    late = outcome(world.drive(200).park(60).pump(-7_000, 300).park(60).drive(500).off(600))
    assert [(e[0], round(e[3], -3)) for e in late] == [(e[0], round(e[3], -3)) for e in straight]


def facts(changes: list[Change], world: World) -> list[Fact]:
    """The story in the end, whatever was told on the way."""
    ref = make_ref([DETECTOR], [make_registration(world)])
    state = DETECTOR.initial("urn:ngsi-ld:Vehicle:t1")
    for change in changes:
        state = DETECTOR.step(state, change, ref).state
    return list(DETECTOR.tick(state, changes[-1].recorded_at + 10 * SECOND, ref).state.live.facts)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1_000_000))
def test_21_any_bounded_reordering_ends_with_the_same_story(seed: int) -> None:
    """Readings arrive up to `WINDOW_MAX` / 2 places early or late; the story in the end is the same, to the kilogram."""
    world = story(3)
    rng = random.Random(seed)
    changes = [
        make_change(r) for r in {r.t: r for r in world.readings}.values()
    ]  # two of one instant: the first counts
    order = sorted(range(1, len(changes)), key=lambda i: i + rng.uniform(0, WINDOW_MAX / 2))
    end = changes[-1].recorded_at  # nothing may arrive before it was observed
    mixed = [msgspec.structs.replace(changes[i], recorded_at=end) for i in [0, *order]]
    assert facts(mixed, world) == facts(changes, world)


def test_22_it_keeps_the_contract() -> None:
    world = story(4)
    for i in range(0, len(world.readings), 13):
        world.readings[i].arrives += 25
    changes = sorted((make_change(r) for r in world.readings), key=lambda c: c.recorded_at)
    changes = [msgspec.structs.replace(c, seq=i + 1) for i, c in enumerate(changes)]
    ref = make_ref([DETECTOR], [make_registration(world)])
    assert check_detector(DETECTOR, changes, ref) == []


def test_23_the_state_is_small() -> None:
    world = story(4)
    ref = make_ref([DETECTOR], [make_registration(world)])
    state = DETECTOR.initial("urn:ngsi-ld:Vehicle:t1")
    sizes = []
    for reading in world.readings:
        state = DETECTOR.step(state, make_change(reading), ref).state
        sizes.append(len(DETECTOR.encode(state)))
    assert sorted(sizes)[len(sizes) // 2] < 6_000
    assert max(sizes) < 9_000


def test_24_a_clock_far_ahead_is_ignored() -> None:
    world = story(4)
    changes = [make_change(r) for r in world.readings]
    changes[40] = msgspec.structs.replace(changes[40], observed_at=changes[40].observed_at + 7 * 86_400 * SECOND)
    ref = make_ref([DETECTOR], [make_registration(world)])
    outputs = run([DETECTOR], changes, ref, until=world.t + 400)
    assert [s.type for s in last_versions(outputs) if s.type in WEIGHED] == [WEIGHED[0], WEIGHED[1], WEIGHED[1]]
