"""Matching and counting on hand-made cases. Intervals are compared with published tables, not with the code."""

import pytest

from madang.model.time import HOUR, MINUTE, SECOND
from madang.services.manure.sample_truth import Ignore, TruthEvent
from madang.simulate.judge import Found, judge

T = 1_795_400_000 * SECOND
TRUCK, OTHER = "urn:ngsi-ld:Vehicle:MD01", "urn:ngsi-ld:Vehicle:MD02"


def event(
    rule: str = "manure.D1", subject: str = TRUCK, at: int = T, minutes: int = 5, ref: str | None = None
) -> TruthEvent:
    return TruthEvent(rule, subject, ref, at, at + minutes * MINUTE, (127.1, 36.0), 2_000.0, "")


def finding(
    rule: str = "D1",
    subject: str = TRUCK,
    at: int = T,
    manifest: str | None = None,
    delay_s: int = 30,
    withdrawn: bool = False,
) -> Found:
    return Found(rule, subject, manifest, at, at + MINUTE, at + MINUTE + delay_s * SECOND, withdrawn)


def test_1_nothing_found_nothing_true() -> None:
    result = judge([], [], truck_days=10)
    assert result["all"]["recall"] is None
    assert result["all"]["recall_ci"] is None
    assert result["false_alarms_per_truck_day"] == 0
    # Garwood 1936: upper 97.5 % limit of a Poisson mean after 0 events is 3.689.
    assert result["false_alarms_per_truck_day_ci"] == pytest.approx([0, 0.3689], abs=1e-4)


def test_2_one_found_one_true() -> None:
    result = judge([finding(delay_s=42)], [event()], truck_days=1)
    d1 = result["rules"]["D1"]
    assert (d1["true"], d1["false"], d1["missed"]) == (1, 0, 0)
    assert (d1["recall"], d1["precision"], d1["median_delay_s"]) == (1.0, 1.0, 42.0)
    # Wilson for 1 of 1: 1 / (1 + 1.96²) = 0.2065 at the lower end.
    assert d1["recall_ci"] == pytest.approx([0.2065, 1.0], abs=1e-4)
    assert set(result["rules"]) == {"D1", "D2", "D4", "D8"}


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (finding(subject=OTHER), "another truck"),
        (finding(rule="D2"), "another rule"),
        (finding(at=T - 16 * MINUTE), "too early"),
        (finding(at=T + 21 * MINUTE), "too late"),
    ],
)
def test_3_wrong_findings_are_false_and_the_event_missed(found: Found, why: str) -> None:
    result = judge([found], [event()], truck_days=2)
    assert (result["all"]["true"], result["all"]["false"], result["all"]["missed"]) == (0, 1, 1), why
    assert result["false_alarms_per_truck_day"] == 0.5
    # Garwood: after 1 event (0.0253, 5.572).
    assert result["false_alarms_per_truck_day_ci"] == pytest.approx([0.0127, 2.786], abs=1e-3)


def test_4_fifteen_minutes_on_both_sides_count() -> None:
    assert judge([finding(at=T - 15 * MINUTE)], [event()], truck_days=1)["all"]["true"] == 1
    assert judge([finding(at=T + 20 * MINUTE)], [event()], truck_days=1)["all"]["true"] == 1


def test_5_a_repeat_is_false_and_named_so() -> None:
    d1 = judge([finding(), finding(at=T + MINUTE)], [event()], truck_days=1)["rules"]["D1"]
    assert (d1["true"], d1["false"], d1["repeats"]) == (1, 1, 1)


def test_6_the_largest_matching_is_found_whatever_the_order() -> None:
    """The first finding fits both events, the second only the first: a greedy choice of the nearest would lose one."""
    early, late = event(at=T), event(at=T + 30 * MINUTE)
    both, first_only = finding(at=T + 16 * MINUTE), finding(at=T - 10 * MINUTE)
    for found in ([both, first_only], [first_only, both]):
        assert judge(found, [early, late], truck_days=1)["all"]["true"] == 2


def test_7_d8_goes_by_the_manifest_whenever_it_is_found() -> None:
    truth = [event("manure.D8", ref="MD01-000-1", minutes=0)]
    ids = {"MD01-000-1": "urn:ngsi-ld:ManureManifest:M-2026-000007"}
    found = finding("D8", at=T + 5 * HOUR, manifest="urn:ngsi-ld:ManureManifest:M-2026-000007")
    assert judge([found], truth, manifest_ids=ids, truck_days=1)["rules"]["D8"]["true"] == 1
    other = finding("D8", at=T, manifest="urn:ngsi-ld:ManureManifest:M-2026-000008")
    assert judge([other], truth, manifest_ids=ids, truck_days=1)["rules"]["D8"]["false"] == 1


def test_8_too_close_to_call_counts_neither_way() -> None:
    window = Ignore(("manure.D1", "manure.D4"), TRUCK, None, T, T + MINUTE, "amount near the limit")
    d1 = judge([finding()], [], ignore=[window], truck_days=1)["rules"]["D1"]
    assert (d1["true"], d1["false"], d1["missed"], d1["ignored"]) == (0, 0, 0, 1)
    assert judge([finding("D2")], [], ignore=[window], truck_days=1)["rules"]["D2"]["false"] == 1
    by_manifest = Ignore(("manure.D8",), TRUCK, "m1", T, T, "balance near the limit")
    assert judge([finding("D8", manifest="m1")], [], ignore=[by_manifest], truck_days=1)["all"]["ignored"] == 1
    assert judge([finding("D8", manifest="m2")], [], ignore=[by_manifest], truck_days=1)["all"]["false"] == 1


def test_9_withdrawn_is_as_never_made() -> None:
    d1 = judge([finding(withdrawn=True)], [event()], truck_days=1)["rules"]["D1"]
    assert (d1["true"], d1["false"], d1["missed"], d1["withdrawn"]) == (0, 0, 1, 1)


def test_10_a_baseline_is_judged_as_d1_and_kept_apart() -> None:
    result = judge([finding("baseline"), finding("baseline", at=T + 9 * HOUR)], [event()], truck_days=4)
    assert (result["baseline"]["baseline"]["true"], result["baseline"]["baseline"]["false"]) == (1, 1)
    assert result["baseline"]["baseline"]["false_alarms_per_truck_day"] == 0.25
    assert (result["all"]["true"], result["all"]["false"], result["all"]["missed"]) == (0, 0, 1)


def test_11_wilson_as_in_newcombe_1998() -> None:
    """Table I, method 3: 81 of 263 gives 0.2553 to 0.3662."""
    truth = [event(at=T + k * HOUR) for k in range(263)]
    found = [finding(at=T + k * HOUR) for k in range(81)]
    d1 = judge(found, truth, truck_days=1)["rules"]["D1"]
    assert d1["recall_ci"] == pytest.approx([0.2553, 0.3662], abs=5e-5)


def test_12_details_name_what_went_wrong() -> None:
    result = judge([finding(subject=OTHER)], [event()], truck_days=1, details=True)
    assert result["missed_events"][0]["subject"] == TRUCK
    assert result["false_findings"][0]["subject"] == OTHER
