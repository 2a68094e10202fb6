"""Judges findings against the truth: pure matching and counting.

A finding is true when it is matched one to one with a true event of its rule and vehicle whose time, widened by 15
minutes at both ends, holds the finding's marked
moment; D8 goes by the manifest. The matching is the largest possible one (augmenting paths), so the order of findings
does not matter. What is unmatched
and falls into a window that is too close to call counts neither way; the rest is false. A withdrawn finding counts as
never made. Findings of a rule
that the truth does not know (a baseline) are judged against D1 and kept out of `all`.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from msgspec import Struct

from madang.model.statistics import poisson_interval, wilson_interval
from madang.model.time import MINUTE, SECOND, Instant
from madang.services.manure.sample_truth import Ignore, TruthEvent

TOLERANCE = 15 * MINUTE
RULES = ("D1", "D2", "D4", "D8")
BY_MANIFEST = "D8"
STAND_IN = "D1"
"""The rule that a baseline is compared with."""


class Found(Struct, frozen=True):
    """A finding, as the judge needs it."""

    rule: str
    """``D1`` or ``manure.D1``."""
    subject: str
    """Entity id of the vehicle."""
    manifest_id: str | None
    marked_at: Instant
    completed_at: Instant
    """Arrival of the message that completed the rule."""
    found_at: Instant
    withdrawn: bool = False


class _Score(Struct):
    matched: list[tuple[Found, TruthEvent]]
    false: list[Found]
    missed: list[TruthEvent]
    repeats: int
    """Of the false ones: those that repeat an event already matched."""
    ignored: int
    withdrawn: int


def judge(
    found: Sequence[Found],
    truth: Sequence[TruthEvent],
    *,
    ignore: Sequence[Ignore] = (),
    manifest_ids: Mapping[str, str] | None = None,
    truck_days: int,
    details: bool = False,
) -> dict[str, Any]:
    """Count and give intervals.

    `manifest_ids`: the sample's manifest refs -> record ids (the refs themselves where absent). Result keys:
    `rules.<id>` and `all`, each with `true`, `false`,
    `missed`, `recall`, `precision`, `recall_ci`, `precision_ci` (Wilson, 95 %), `median_delay_s` (found_at -
    completed_at), `repeats`, `ignored`, `withdrawn`;
    `truck_days`, `false_alarms_per_truck_day` and its `_ci` (Garwood, exact Poisson). Ratios of nothing are None. With
    `details`, `missed_events` and `false_findings` list
    what went wrong. Raises ValueError for a negative `truck_days`.
    """
    if truck_days < 0:
        raise ValueError("truck_days must not be negative")
    ids = manifest_ids or {}
    names = sorted({_plain(f.rule) for f in found} - set(RULES))
    scores = {rule: _score(rule, rule, found, truth, ignore, ids) for rule in RULES}
    others = {rule: _score(rule, STAND_IN, found, truth, ignore, ids) for rule in names}
    total = _Score(
        [m for s in scores.values() for m in s.matched],
        [f for s in scores.values() for f in s.false],
        [e for s in scores.values() for e in s.missed],
        sum(s.repeats for s in scores.values()),
        sum(s.ignored for s in scores.values()),
        sum(s.withdrawn for s in scores.values()),
    )
    result: dict[str, Any] = {
        "rules": {rule: _figures(score) for rule, score in scores.items()},
        "all": _figures(total),
    }
    if others:
        result["baseline"] = {
            rule: {**_figures(score), **_per_truck_day(len(score.false), truck_days)} for rule, score in others.items()
        }
    result |= {"truck_days": truck_days, **_per_truck_day(len(total.false), truck_days)}
    if details:
        result["missed_events"] = [
            {
                "rule": _plain(e.rule),
                "subject": e.subject,
                "manifest": e.manifest_ref,
                "started_at": e.started_at,
                "note": e.note,
            }
            for e in total.missed
        ]
        result["false_findings"] = [
            {"rule": _plain(f.rule), "subject": f.subject, "manifest": f.manifest_id, "marked_at": f.marked_at}
            for f in total.false
        ]
    return result


def _score(
    rule: str,
    as_rule: str,
    found: Sequence[Found],
    truth: Sequence[TruthEvent],
    ignore: Sequence[Ignore],
    ids: Mapping[str, str],
) -> _Score:
    mine = [f for f in found if _plain(f.rule) == rule]
    stands = sorted((f for f in mine if not f.withdrawn), key=lambda f: (f.marked_at, f.subject, f.manifest_id or ""))
    events = [e for e in truth if _plain(e.rule) == as_rule]
    candidates = [[k for k, e in enumerate(events) if _fits(f, e, as_rule, ids)] for f in stands]
    for f, options in zip(stands, candidates, strict=True):
        options.sort(key=lambda k: abs(f.marked_at - events[k].started_at))
    owner = _largest_matching(candidates, len(events))
    taken = {finding for finding in owner if finding is not None}
    matched = [(stands[finding], events[k]) for k, finding in enumerate(owner) if finding is not None]
    false, repeats, ignored = [], 0, 0
    for n, f in enumerate(stands):
        if n in taken:
            continue
        if any(_is_ignored(f, i, as_rule, ids) for i in ignore):
            ignored += 1
            continue
        false.append(f)
        repeats += bool(candidates[n])
    missed = [e for k, e in enumerate(events) if owner[k] is None]
    return _Score(matched, false, missed, repeats, ignored, len(mine) - len(stands))


def _largest_matching(candidates: Sequence[Sequence[int]], events: int) -> list[int | None]:
    """Which finding each event got (Kuhn's augmenting paths)."""
    owner: list[int | None] = [None] * events

    def place(finding: int, seen: set[int]) -> bool:
        for k in candidates[finding]:
            if k in seen:
                continue
            seen.add(k)
            other = owner[k]
            if other is None or place(other, seen):
                owner[k] = finding
                return True
        return False

    for finding in range(len(candidates)):
        place(finding, set())
    return owner


def _fits(f: Found, e: TruthEvent, rule: str, ids: Mapping[str, str]) -> bool:
    if rule == BY_MANIFEST and f.manifest_id is not None and e.manifest_ref is not None:
        return f.manifest_id == ids.get(e.manifest_ref, e.manifest_ref)
    return f.subject == e.subject and e.started_at - TOLERANCE <= f.marked_at <= e.ended_at + TOLERANCE


def _is_ignored(f: Found, i: Ignore, rule: str, ids: Mapping[str, str]) -> bool:
    if not any(_plain(r) == rule for r in i.rules):
        return False
    if rule == BY_MANIFEST and f.manifest_id is not None and i.manifest_ref is not None:
        return f.manifest_id == ids.get(i.manifest_ref, i.manifest_ref)
    return f.subject == i.subject and i.started_at - TOLERANCE <= f.marked_at <= i.ended_at + TOLERANCE


def _plain(rule: str) -> str:
    return rule.removeprefix("manure.")


def _figures(score: _Score) -> dict[str, Any]:
    true, false, missed = len(score.matched), len(score.false), len(score.missed)
    delays = [(f.found_at - f.completed_at) / SECOND for f, _ in score.matched]
    return {
        "true": true,
        "false": false,
        "missed": missed,
        "recall": true / (true + missed) if true + missed else None,
        "precision": true / (true + false) if true + false else None,
        "recall_ci": list(wilson_interval(true, true + missed)) if true + missed else None,
        "precision_ci": list(wilson_interval(true, true + false)) if true + false else None,
        "median_delay_s": round(median(delays), 3) if delays else None,
        "repeats": score.repeats,
        "ignored": score.ignored,
        "withdrawn": score.withdrawn,
    }


def _per_truck_day(false: int, truck_days: int) -> dict[str, Any]:
    if truck_days == 0:
        return {"false_alarms_per_truck_day": None, "false_alarms_per_truck_day_ci": None}
    low, high = poisson_interval(false)
    return {
        "false_alarms_per_truck_day": false / truck_days,
        "false_alarms_per_truck_day_ci": [low / truck_days, high / truck_days],
    }
