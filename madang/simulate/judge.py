"""Findings against the truth: which are true, which false, what was missed. Pure.

Matching is one to one and in order of time: a finding belongs to a true event of its rule and vehicle when its marked moment lies in the event's window ± `SLACK`
(D8: when it names the event's manifest). A finding inside an `Ignore` window of its rule counts neither way. A withdrawn finding counts as not made.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from msgspec import Struct

from madang.model.statistics import poisson_interval, wilson_interval
from madang.model.time import MINUTE, SECOND, Instant
from madang.services.manure.sample import D8, Ignore, TruthEvent

SLACK = 15 * MINUTE
RULES = ("manure.D1", "manure.D2", "manure.D4", "manure.D8")


class Found(Struct, frozen=True):
    """A finding as the judge needs it."""

    rule: str
    subject: str
    """Vehicle."""
    manifest_id: str | None
    marked_at: Instant
    completed_at: Instant
    found_at: Instant
    withdrawn: bool


class _Tally(Struct):
    true: int = 0
    false: int = 0
    missed: int = 0
    ignored: int = 0
    delays_s: list[float] = []  # noqa: RUF012 - msgspec copies defaults


def judge(
    found: Sequence[Found],
    truth: Sequence[TruthEvent],
    *,
    ignore: Sequence[Ignore],
    manifest_ids: Mapping[str, str],
    truck_days: int,
    details: bool = False,
) -> dict[str, Any]:
    """The result as the evaluation prints it. `manifest_ids`: the sample's name of a manifest -> its record id."""
    standing = [f for f in found if not f.withdrawn]
    tallies: dict[str, _Tally] = {}
    wrong: list[dict[str, Any]] = []
    for rule in RULES:
        tally = tallies[rule] = _Tally()
        open_events = sorted((e for e in truth if e.rule == rule), key=lambda e: e.started_at)
        for one in sorted((f for f in standing if f.rule == rule), key=lambda f: f.marked_at):
            event = next((e for e in open_events if _matches(one, e, manifest_ids)), None)
            if event is not None:
                open_events.remove(event)
                tally.true += 1
                tally.delays_s.append(max(0, one.found_at - one.completed_at) / SECOND)
            elif _ignored(one, ignore, manifest_ids) or _repeats(one, truth, manifest_ids):
                tally.ignored += 1
            else:
                tally.false += 1
                wrong.append({"false": rule, "subject": one.subject, "marked_at": one.marked_at, "manifest": one.manifest_id})
        tally.missed = len(open_events)
        wrong += [{"missed": rule, "subject": e.subject, "started_at": e.started_at, "kg": e.amount_kg, "note": e.note} for e in open_events]
    everything = _Tally(
        sum(t.true for t in tallies.values()),
        sum(t.false for t in tallies.values()),
        sum(t.missed for t in tallies.values()),
        sum(t.ignored for t in tallies.values()),
        [d for t in tallies.values() for d in t.delays_s],
    )
    result: dict[str, Any] = {
        "rules": {rule.rpartition(".")[2]: _figures(tally) for rule, tally in tallies.items()},
        "all": _figures(everything),
        "truck_days": truck_days,
        **_per_truck_day(everything.false, truck_days),
        "baseline": _baseline(standing, truth, ignore, manifest_ids, truck_days),
    }
    if details:
        result["details"] = wrong
    return result


def _figures(tally: _Tally) -> dict[str, Any]:
    happened, told = tally.true + tally.missed, tally.true + tally.false
    return {
        "true": tally.true,
        "false": tally.false,
        "missed": tally.missed,
        "ignored": tally.ignored,
        "recall": round(tally.true / happened, 4) if happened else None,
        "recall_ci": [round(x, 4) for x in wilson_interval(tally.true, happened)],
        "precision": round(tally.true / told, 4) if told else None,
        "precision_ci": [round(x, 4) for x in wilson_interval(tally.true, told)],
        "median_delay_s": round(median(tally.delays_s), 1) if tally.delays_s else None,
    }


def _per_truck_day(false: int, truck_days: int) -> dict[str, Any]:
    low, high = poisson_interval(false)
    if not truck_days:
        return {"false_alarms_per_truck_day": None, "false_alarms_per_truck_day_ci": None}
    return {
        "false_alarms_per_truck_day": round(false / truck_days, 5),
        "false_alarms_per_truck_day_ci": [round(low / truck_days, 5), round(high / truck_days, 5)],
    }


def _baseline(
    standing: Iterable[Found],
    truth: Sequence[TruthEvent],
    ignore: Sequence[Ignore],
    manifest_ids: Mapping[str, str],
    truck_days: int,
) -> dict[str, Any]:
    """D1 as a fixed weight drop outside geofences. Repeats within one true event count once."""
    tally = _Tally()
    events = [e for e in truth if e.rule == "manure.D1"]
    hit: set[int] = set()
    for one in standing:
        if one.rule != "baseline.D1":
            continue
        number = next((i for i, e in enumerate(events) if _matches(one, e, manifest_ids)), None)
        if number is not None:
            hit.add(number)
        elif not _ignored(one, ignore, manifest_ids):
            tally.false += 1
    tally.true, tally.missed = len(hit), len(events) - len(hit)
    return {**_figures(tally), **_per_truck_day(tally.false, truck_days)}


def _matches(found: Found, event: TruthEvent, manifest_ids: Mapping[str, str]) -> bool:
    if found.rule.startswith("manure.") and event.rule == D8:
        return event.manifest_ref is not None and manifest_ids.get(event.manifest_ref) == found.manifest_id
    return found.subject == event.subject and event.started_at - SLACK <= found.marked_at <= event.ended_at + SLACK


def _ignored(found: Found, ignore: Sequence[Ignore], manifest_ids: Mapping[str, str]) -> bool:
    rule = found.rule.replace("baseline.", "manure.")
    for one in ignore:
        if rule not in one.rules:
            continue
        if rule == D8:
            if one.manifest_ref is not None and manifest_ids.get(one.manifest_ref) == found.manifest_id:
                return True
        elif found.subject == one.subject and one.started_at - SLACK <= found.marked_at <= one.ended_at + SLACK:
            return True
    return False


def _repeats(found: Found, truth: Sequence[TruthEvent], manifest_ids: Mapping[str, str]) -> bool:
    """A second finding of a true event (an event told in two parts): it joins the same case and counts once."""
    return any(e.rule == found.rule and _matches(found, e, manifest_ids) for e in truth)
