"""The sample city as a stream: the same bytes for the same seed and start, in order, without loss, fast enough."""

import time
from collections import Counter
from itertools import pairwise

import pytest

from madang.model.time import DAY, HOUR, MINUTE, parse_instant
from madang.simulate.city import ManifestAction, SampleCity, SampleEvent, Telemetry
from madang.simulate.town import Town
from tests.simulate.conftest import SEED

START = parse_instant("2026-11-23T03:00:00Z")
MIDNIGHT = parse_instant("2026-11-22T15:00:00Z")


@pytest.fixture(scope="module")
def city(town: Town) -> SampleCity:
    return SampleCity(SEED, START, enriched=True, trucks=12, town=town)


@pytest.fixture(scope="module")
def two_days(city: SampleCity) -> list[SampleEvent]:
    return list(city.events(MIDNIGHT, MIDNIGHT + 2 * DAY))


def test_days_begin_at_midnight_in_seoul(city: SampleCity) -> None:
    assert city.first_midnight == MIDNIGHT


def test_the_same_seed_and_start_give_the_same_bytes(town: Town, two_days: list[SampleEvent]) -> None:
    again = SampleCity(SEED, START, enriched=True, trucks=12, town=town)
    assert list(again.events(MIDNIGHT, MIDNIGHT + 2 * DAY)) == two_days


def test_another_seed_gives_another_day(town: Town, two_days: list[SampleEvent]) -> None:
    other = SampleCity(SEED + 1, START, enriched=True, trucks=12, town=town)
    first = next(iter(other.events(MIDNIGHT, MIDNIGHT + DAY)))
    assert first != two_days[0]


def test_events_come_in_order_of_sending_and_a_window_cuts_cleanly(
    city: SampleCity, two_days: list[SampleEvent]
) -> None:
    assert all(a.at <= b.at for a, b in pairwise(two_days))
    noon, later = MIDNIGHT + 12 * HOUR, MIDNIGHT + 30 * HOUR
    assert list(city.events(noon, later)) == [e for e in two_days if noon <= e.at < later]


def test_terminals_report_every_ten_seconds(two_days: list[SampleEvent]) -> None:
    sent = [e for e in two_days if isinstance(e, Telemetry)]
    assert {e.topic for e in sent} == {f"manure/{e.device}/telemetry" for e in sent}
    one = [e.at for e in sent if e.device == sent[0].device and not e.dup]
    gaps = Counter(round((b - a) / 10_000_000) for a, b in pairwise(one))
    assert gaps[1] > 0.85 * len(one)


def test_manifests_are_created_before_anything_else_happens_to_them(two_days: list[SampleEvent]) -> None:
    seen: dict[str, list[str]] = {}
    for event in two_days:
        if isinstance(event, ManifestAction):
            seen.setdefault(event.manifest_ref, []).append(event.action)
    assert len(seen) > 40
    for actions in seen.values():
        assert actions[0] == "create" and actions[1:2] in ([], ["precheck"])
        order = [a for a in actions if a not in ("unload", "confirm", "dispute", "cancel")]
        assert order == ["create", "precheck", "start", "load", "depart", "finish"][: len(order)]


def test_the_enriched_city_has_two_hundred_true_events_in_six_days(town: Town) -> None:
    """40 trucks give over 70 a day; here a third of the fleet for two days, so at least 200 × 0.3 × 2/6 = 20."""
    city = SampleCity(SEED, START, enriched=True, trucks=12, town=town)
    for day in range(2):
        city.build_day(day)
    rules = Counter(e.rule for e in city.truth())
    assert sum(rules.values()) >= 20
    assert rules["manure.D1"] and rules["manure.D8"]
    assert len(city.ignore()) < 0.25 * sum(rules.values())
    assert 16 <= city.truck_days() <= 24


def test_truth_lies_within_the_days_and_names_known_trucks(city: SampleCity, two_days: list[SampleEvent]) -> None:
    trucks = {t.id for t in city.trucks}
    refs = {e.manifest_ref for e in two_days if isinstance(e, ManifestAction)}
    for event in city.truth():
        assert event.subject in trucks
        assert MIDNIGHT <= event.started_at <= event.ended_at < MIDNIGHT + 2 * DAY + 4 * HOUR
        assert event.manifest_ref is None or event.manifest_ref in refs
        assert event.amount_kg >= 400


def test_reference_has_every_truck_once(city: SampleCity) -> None:
    kinds = Counter(kind for _, kind, _ in city.reference())
    assert kinds["Vehicle"] == kinds["VehicleRegistration"] == 12
    registration = next(a for _, kind, a in city.reference() if kind == "VehicleRegistration")
    assert 8_000 <= registration["tareWeight"]["value"] <= 12_200
    assert 5_000 <= registration["maxPayload"]["value"] <= 20_000


def test_too_many_trucks_are_refused(town: Town) -> None:
    with pytest.raises(ValueError, match="1 to 500"):
        SampleCity(SEED, START, trucks=501, town=town)


def test_a_day_is_made_faster_than_a_server_can_take_it(town: Town) -> None:
    """Aim: 15,000 messages a second on one core; the limit here leaves room for a busy machine."""
    city = SampleCity(SEED, START + DAY * 40, trucks=12, town=town)
    began = time.process_time()
    messages = sum(len(one.messages) for one in city.build_day(3))
    assert messages / (time.process_time() - began) > 8_000


def test_events_of_a_short_window_do_not_build_further_days(town: Town) -> None:
    city = SampleCity(SEED, START, trucks=3, town=town)
    list(city.events(MIDNIGHT, MIDNIGHT + 10 * MINUTE))
    assert city.truck_days() <= 3
