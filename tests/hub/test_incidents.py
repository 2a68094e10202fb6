"""Incidents on the embedded store: findings open, join and withdraw; people act; nobody acts and it escalates."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from madang.hub.incidents import INCIDENT_PARAMETERS, Incidents
from madang.hub.records import NotAllowed, VersionConflict
from madang.model.caller import SYSTEM
from madang.model.entity import point
from madang.model.finding import Finding, Reason
from madang.model.record import Record
from madang.model.time import DAY, MINUTE, render_instant
from madang.procedure.incident import INCIDENT, finding_in
from tests.hub.record_bench import NOON, WORKER, Bench, bench

FIRST = "urn:ngsi-ld:Incident:I-2026-000001"
SECOND = "urn:ngsi-ld:Incident:I-2026-000002"
TRUCK = "urn:ngsi-ld:Vehicle:12"
SITUATION = "manure:urn:ngsi-ld:ManureUnloading:12-1"


def finding(rule: str = "manure.D1", severity: str = "high", **more: Any) -> Finding:
    fields: dict[str, Any] = {
        "rule": rule,
        "rule_version": "1",
        "situation": SITUATION,
        "subject": TRUCK,
        "severity": severity,
        "reason": Reason(f"{rule}.said", {"dropped_kg": 2900}),
        "marked_at": NOON - MINUTE,
        "completed_at": NOON - 1,
        "location": (126.5, 33.4),
    }
    return Finding(**(fields | more))


class City:
    """A bench with incidents on it."""

    def __init__(self, b: Bench) -> None:
        self.b = b
        self.count = 0

    def apply(self, found: Finding, id_: str | None = None) -> Record | None:
        self.count += 1
        incidents = Incidents(self.b.records, {"manure.D1": ("do.look", "do.sample"), "manure.D4": ("do.look",)})
        name = id_ or f"f{self.count}"
        return self.b.store.write(lambda tx: incidents.apply_finding_in(tx, found, name, self.count)).result(10)

    def act(self, action: str, id_: str = FIRST, **arguments: Any) -> Record:
        return self.b.records.act(WORKER, id_, action, arguments).result(10)

    def get(self, id_: str = FIRST) -> Record:
        return self.b.get(id_)

    def told(self, id_: str = FIRST) -> list[tuple[str, str, str]]:
        with self.b.store.read() as read:
            return [(o.channel, o.to, o.reason["code"]) for o in read.list_outbox_of(id_)]

    def trail(self, id_: str = FIRST) -> list[str]:
        with self.b.store.read() as read:
            return [v.transition.action for v in read.list_versions(id_)]

    def due(self, id_: str = FIRST) -> list[int]:
        with self.b.store.read() as read:
            return [(d.due_at - NOON) // MINUTE for d in read.list_deadlines(id_)]


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    parameters = {p.name: p.default for p in INCIDENT_PARAMETERS}
    with bench(tmp_path, [INCIDENT], **parameters) as made:
        yield City(made)


def test_a_finding_opens_an_incident_with_all_that_a_person_needs(city: City) -> None:
    record = city.apply(finding(involved=("urn:ngsi-ld:NoSpreadZone:1",)))
    assert record == city.get()
    assert record.id == FIRST
    data = record.data
    assert (record.state, data["number"], data["severity"], data["lane"]) == ("OPEN", "I-2026-000001", "high", "act")
    assert data["title"] == {"code": "manure.D1.said", "params": {"dropped_kg": 2900}}
    assert (data["subject"], data["location"]) == (TRUCK, [126.5, 33.4])
    assert (data["markedAt"], data["openedAt"]) == ("2026-11-23T02:59:00Z", "2026-11-23T03:00:00Z")
    assert [(i["id"], i["code"], i["done"]) for i in data["checklist"]] == [
        ("c1", "do.look", False),
        ("c2", "do.sample", False),
    ]
    assert finding_in(data["findings"][0]) == finding(involved=("urn:ngsi-ld:NoSpreadZone:1",))
    assert city.told() == [("console", "group:control-room", "manure.D1.said")]
    assert city.due() == [10]
    with city.b.store.read() as read:
        entity = read.find_entity(FIRST)
        assert read.list_records_by("Incident", "subject", TRUCK) == [record]
    assert entity is not None
    assert entity.attributes["location"] == point(126.5, 33.4)
    assert entity.attributes["subject"] == {"type": "Relationship", "object": TRUCK}
    assert entity.attributes["involved"] == {"type": "Relationship", "object": ["urn:ngsi-ld:NoSpreadZone:1"]}
    assert entity.attributes["rules"]["value"] == ["manure.D1"]


@pytest.mark.parametrize(
    ("severity", "lane", "minutes", "messages"),
    [("critical", "act", [3], 1), ("high", "act", [10], 1), ("medium", "look", [60], 0), ("low", "log", [], 0)],
)
def test_severity_decides_lane_deadline_and_who_is_told(
    city: City, severity: str, lane: str, minutes: list[int], messages: int
) -> None:
    record = city.apply(finding(severity=severity))
    assert record is not None
    assert (record.data["lane"], city.due(), len(city.told())) == (lane, minutes, messages)


def test_findings_of_one_situation_join_one_incident_and_the_worst_counts(city: City) -> None:
    city.apply(finding("manure.D4", "medium"))
    city.b.clock.at += 5 * MINUTE
    record = city.apply(finding("manure.D1", "critical"))
    assert record is not None
    assert record.id == FIRST
    assert (record.data["severity"], record.data["rules"]) == ("critical", ["manure.D1", "manure.D4"])
    assert record.data["title"]["code"] == "manure.D1.said"
    assert [i["code"] for i in record.data["checklist"]] == ["do.look", "do.sample"]
    assert city.due() == [8]  # 5 minutes later + 3, sooner than the 60 from the opening
    assert city.told() == [("console", "group:control-room", "manure.D1.said")]


def test_a_milder_finding_does_not_put_the_deadline_off(city: City) -> None:
    city.apply(finding("manure.D1", "critical"))
    city.b.clock.at += 2 * MINUTE
    city.apply(finding("manure.D4", "high"))
    assert city.due() == [3]


def test_the_same_finding_again_changes_nothing(city: City) -> None:
    first = city.apply(finding(), "same")
    assert city.apply(finding(), "same") == first


def test_told_again_the_newest_amount_stands_once_and_the_earlier_ones_stay_under_it(city: City) -> None:
    city.apply(finding(reason=Reason("manure.D1.said", {"dropped_kg": 1_400})), "f1")
    city.apply(finding("manure.D4", "medium"), "other")
    city.b.clock.at += MINUTE
    city.apply(finding(reason=Reason("manure.D1.said", {"dropped_kg": 3_100})), "f2")
    city.b.clock.at += MINUTE
    record = city.apply(finding(reason=Reason("manure.D1.said", {"dropped_kg": 8_000})), "f3")
    assert record is not None
    assert [(e["id"], e["finding"]["rule"]) for e in record.data["findings"]] == [
        ("f3", "manure.D1"),
        ("other", "manure.D4"),
    ]
    assert record.data["title"]["params"] == {"dropped_kg": 8_000}
    assert [(t["id"], t["foundAt"], t["reason"]["params"]) for t in record.data["findings"][0]["earlier"]] == [
        ("f1", "2026-11-23T03:00:00Z", {"dropped_kg": 1_400}),
        ("f2", "2026-11-23T03:01:00Z", {"dropped_kg": 3_100}),
    ]
    # Nobody is called again, the deadline of the first telling stands, and an old telling applied again changes nothing.
    assert (len(city.told()), city.due()) == (1, [10])
    assert city.apply(finding(reason=Reason("manure.D1.said", {"dropped_kg": 1_400})), "f1") == record


def test_of_many_tellings_the_first_and_the_newest_stay(city: City) -> None:
    for minute in range(52):
        city.b.clock.at += MINUTE
        at = city.b.clock.at
        record = city.apply(
            finding(reason=Reason("manure.D1.said", {"dropped_kg": minute}), completed_at=at), f"f{minute}"
        )
    assert record is not None
    (entry,) = record.data["findings"]
    told = entry["earlier"]
    assert (entry["id"], len(told)) == ("f51", 40)
    assert [t["id"] for t in told] == ["f0", *(f"f{n}" for n in range(12, 51))]
    # 03:00 and the minutes counted by hand: the first was completed at 03:01, f12 at 03:13.
    assert [t["completedAt"] for t in told[:2]] == ["2026-11-23T03:01:00Z", "2026-11-23T03:13:00Z"]


def test_told_again_worse_calls_people_and_opens_what_was_resolved(city: City) -> None:
    city.apply(finding(severity="high"))
    city.act("resolve", cause="real")
    again = city.apply(finding(severity="high", reason=Reason("manure.D1.said", {"dropped_kg": 8_000})))
    assert again is not None
    assert (again.state, again.data["unseen"], len(again.data["findings"])) == ("RESOLVED", True, 1)
    worse = city.apply(finding(severity="critical"))
    assert worse is not None
    assert (worse.state, worse.data["severity"], city.due()) == ("OPEN", "critical", [3])
    assert len(worse.data["findings"][0]["earlier"]) == 2


def test_told_again_no_worse_while_somebody_reads_is_no_conflict(city: City) -> None:
    city.apply(finding(severity="high", reason=Reason("manure.D1.said", {"dropped_kg": 1_400})))
    city.b.clock.at += MINUTE
    again = city.apply(finding(severity="high", reason=Reason("manure.D1.said", {"dropped_kg": 3_100})))
    assert again is not None and again.version == 2
    assert city.trail()[-1] == "retell"
    seen = city.b.records.act(WORKER, FIRST, "acknowledge", {}, version=1).result(5)
    assert (seen.state, seen.data["title"]["params"]) == ("ACKNOWLEDGED", {"dropped_kg": 3_100})
    # Milder is quiet too; worse, or another rule, is for the person to look at again.
    city.apply(finding(severity="medium"))
    city.b.records.act(WORKER, FIRST, "assign", {"assignee": "token:lee"}, version=3).result(5)
    assert city.trail()[-2:] == ["retell", "assign"]
    city.apply(finding(severity="high"))
    with pytest.raises(VersionConflict):
        city.b.records.act(WORKER, FIRST, "act", {"note": "went there"}, version=5).result(5)
    city.apply(finding("manure.D4", "low"))
    with pytest.raises(VersionConflict):
        city.b.records.act(WORKER, FIRST, "act", {"note": "went there"}, version=6).result(5)
    assert city.trail()[-2:] == ["join", "join"]


def test_told_again_too_mild_to_call_anybody(city: City) -> None:
    city.apply(finding(severity="high"))
    record = city.apply(finding(severity="low"))
    assert record is not None
    assert (record.data["severity"], record.data["escalateAt"], city.due()) == ("low", None, [])


def test_what_was_withdrawn_and_told_anew_is_one_row(city: City) -> None:
    city.apply(finding(), "f1")
    city.apply(finding(withdraws=True))
    record = city.apply(finding(), "f2")
    assert record is not None
    (entry,) = record.data["findings"]
    assert (entry["id"], entry["withdrawn"], record.state) == ("f2", False, "OPEN")
    assert [(t["id"], t["withdrawn"]) for t in entry["earlier"]] == [("f1", True)]


def test_another_situation_is_another_incident(city: City) -> None:
    city.apply(finding())
    other = city.apply(finding(situation="manure:other"))
    assert other is not None
    assert other.id == SECOND


# --- escalation ---


def test_nobody_acknowledges_and_three_levels_are_told_then_it_ends(city: City) -> None:
    city.apply(finding())
    levels = []
    for _ in range(6):
        city.b.clock.at += 10 * MINUTE
        city.b.fire()
        levels.append((city.get().state, city.get().data["level"]))
    assert levels == [("OPEN", n) for n in (1, 2, 3, 3, 3, 3)]
    assert [to for channel, to, code in city.told() if channel == "sms"] == [
        "group:duty-officer",
        "group:department-head",
        "group:situation-office",
    ]
    with city.b.store.read() as read:
        message = next(o for o in read.list_outbox_of(FIRST) if o.channel == "sms")
    assert message.reason == {
        "code": "incident.not-acknowledged",
        "params": {"number": "I-2026-000001", "waited_min": 10},
    }
    assert city.due() == []


def test_acknowledging_stops_escalation(city: City) -> None:
    city.apply(finding())
    record = city.act("acknowledge", note="on my way")
    assert (record.state, record.data["acknowledgedBy"], record.data["unseen"]) == ("ACKNOWLEDGED", "token:kim", False)
    assert record.data["notes"][0]["text"] == "on my way"
    city.b.clock.at += DAY
    assert city.b.fire() == 0


def test_assigning_is_not_acknowledging(city: City) -> None:
    city.apply(finding())
    record = city.act("assign", assignee="token:lee")
    assert (record.state, record.data["assignee"]) == ("OPEN", "token:lee")
    assert ("console", "token:lee", "incident.assigned") in city.told()
    assert city.due() == [10]


def test_a_person_may_escalate_what_is_in_progress(city: City) -> None:
    city.apply(finding())
    city.act("act")
    record = city.act("escalate")
    assert (record.state, record.data["level"], city.due()) == ("IN_PROGRESS", 1, [])
    assert ("sms", "group:duty-officer", "incident.escalated") in city.told()
    city.act("escalate")
    city.act("escalate")
    with pytest.raises(NotAllowed) as refused:
        city.act("escalate")
    assert [r.code for r in refused.value.reasons] == ["incident.highest-level"]


def test_escalation_while_somebody_reads_is_no_conflict(city: City) -> None:
    city.apply(finding())
    city.b.clock.at += 10 * MINUTE
    city.b.fire()
    assert city.b.records.act(WORKER, FIRST, "acknowledge", {}, version=1).result(5).state == "ACKNOWLEDGED"


# --- withdrawal ---


def test_late_data_withdraws_what_nobody_touched(city: City) -> None:
    city.apply(finding())
    record = city.apply(finding(reason=Reason("manure.D1.withdrawn", {"why": "late"}), withdraws=True))
    assert record is not None
    assert (record.state, record.data["withdrawn"], city.due()) == ("WITHDRAWN", True, [])
    entry = record.data["findings"][0]
    assert (entry["withdrawn"], entry["withdrawnReason"]["code"]) == (True, "manure.D1.withdrawn")


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ([("acknowledge", {})], "ACKNOWLEDGED"),
        ([("act", {"note": "x"})], "IN_PROGRESS"),
        ([("assign", {"assignee": "token:lee"})], "OPEN"),
        ([("comment", {"text": "odd"})], "OPEN"),
        ([("resolve", {"cause": "real"})], "RESOLVED"),
        ([("resolve", {"cause": "real"}), ("review", {"verdict": "agreed"})], "REVIEWED"),
    ],
)
def test_late_data_never_takes_peoples_work_away(
    city: City, steps: list[tuple[str, dict[str, Any]]], state: str
) -> None:
    city.apply(finding())
    for action, arguments in steps:
        city.act(action, **arguments)
    record = city.apply(finding(withdraws=True))
    assert record is not None
    assert (record.state, record.data["withdrawn"]) == (state, True)


def test_one_of_two_findings_withdrawn_leaves_the_other(city: City) -> None:
    city.apply(finding("manure.D4", "medium"))
    city.apply(finding("manure.D1", "critical"))
    record = city.apply(finding("manure.D1", "critical", withdraws=True))
    assert record is not None
    assert (record.state, record.data["severity"], record.data["rules"]) == ("OPEN", "medium", ["manure.D4"])
    assert record.data["withdrawn"] is False


def test_what_is_left_after_a_withdrawal_may_be_too_mild_to_call_anybody(city: City) -> None:
    city.apply(finding("manure.D4", "low"))
    city.apply(finding("manure.D1", "critical"))
    city.apply(finding("manure.D1", "critical", withdraws=True))
    assert (city.get().data["lane"], city.due(), city.get().data["escalateAt"]) == ("log", [], None)


def test_withdrawing_nothing_is_nothing(city: City) -> None:
    assert city.apply(finding(withdraws=True)) is None
    city.apply(finding("manure.D4"))
    assert city.apply(finding("manure.D1", withdraws=True)) is None
    assert city.get().version == 1


def test_a_withdrawn_incident_opens_again(city: City) -> None:
    city.apply(finding())
    city.apply(finding(withdraws=True))
    record = city.apply(finding())
    assert record is not None
    assert (record.state, record.data["withdrawn"], city.due()) == ("OPEN", False, [10])


# --- after the end ---


def test_a_later_finding_joins_a_resolved_incident_and_is_shown(city: City) -> None:
    city.apply(finding())
    city.act("resolve", cause="real")
    record = city.apply(finding("manure.D4", "high"))
    assert record is not None
    assert (record.state, len(record.data["findings"]), record.data["unseen"]) == ("RESOLVED", 2, True)
    assert record.data["cause"] == "real"


def test_a_worse_finding_opens_a_resolved_incident_again(city: City) -> None:
    city.apply(finding("manure.D4", "medium"))
    city.act("resolve", cause="false")
    record = city.apply(finding("manure.D1", "critical"))
    assert record is not None
    assert (record.state, record.data["cause"], record.data["acknowledgedBy"]) == ("OPEN", None, None)
    assert city.due() == [3]


def test_resolve_review_reopen(city: City) -> None:
    city.apply(finding())
    assert city.act("resolve", cause="false", note="rain on the cover").data["resolvedBy"] == "token:kim"
    with pytest.raises(NotAllowed) as refused:
        city.act("review", verdict="corrected")
    assert [r.code for r in refused.value.reasons] == ["incident.review-needs-cause"]
    reviewed = city.act("review", verdict="corrected", cause="device-fault")
    assert (reviewed.state, reviewed.data["cause"], reviewed.data["verdict"]) == (
        "REVIEWED",
        "device-fault",
        "corrected",
    )
    again = city.act("reopen", note="new witness")
    assert (again.state, again.data["cause"], again.data["acknowledgedBy"]) == ("ACKNOWLEDGED", None, "token:kim")


# --- checklist and reports ---


def test_the_checklist_is_ticked_by_name(city: City) -> None:
    city.apply(finding())
    record = city.act("act", item="c2", note="sample taken")
    assert record.data["checklist"][1] == {
        "id": "c2",
        "code": "do.sample",
        "done": True,
        "by": "token:kim",
        "at": render_instant(NOON),
    }
    assert city.act("act", item="c2", done=False).data["checklist"][1]["done"] is False
    with pytest.raises(NotAllowed):
        city.act("act", item="c9")


def test_a_person_reports_without_a_finding(city: City) -> None:
    city.b.store.write(
        lambda tx: tx.put_entity(
            TRUCK, "Vehicle", {"location": point(126.6, 33.5)}, "x", reference=False, replace=False
        )
    ).result(5)
    record = city.b.records.create(
        WORKER, "Incident", "report", {"title": "Smell at the bridge", "severity": "medium", "subject": TRUCK}
    ).result(5)
    assert record.data["title"] == {"code": "incident.reported", "params": {"title": "Smell at the bridge"}}
    assert (record.data["location"], record.data["lane"]) == ([126.6, 33.5], "look")
    assert city.act("resolve", record.id, cause="real").state == "RESOLVED"


# --- merging ---


def test_merging_hands_findings_over_and_later_ones_follow(city: City) -> None:
    city.apply(finding("manure.D4", "medium", situation="manure:a"))
    city.apply(finding("manure.D1", "critical", situation="manure:b"))
    merged = city.act("merge", SECOND, into=FIRST)
    assert (merged.state, merged.data["mergedInto"]) == ("MERGED", FIRST)
    target = city.get()
    assert (target.data["severity"], target.data["mergedFrom"], len(target.data["findings"])) == (
        "critical",
        [SECOND],
        2,
    )
    assert city.due() == [3]
    assert city.due(SECOND) == []
    joined = city.apply(finding("manure.D2", "low", situation="manure:b"))
    assert joined is not None
    assert (joined.id, len(joined.data["findings"])) == (FIRST, 3)
    withdrawn = city.apply(finding("manure.D1", "critical", situation="manure:b", withdraws=True))
    assert withdrawn is not None
    assert withdrawn.data["severity"] == "medium"


@pytest.mark.parametrize(
    ("into", "code"),
    [
        (FIRST, "incident.merge-into-itself"),
        ("urn:ngsi-ld:Incident:none", "incident.merge-no-target"),
        (SECOND, "incident.merge-target-closed"),
    ],
)
def test_merging_needs_another_live_incident(city: City, into: str, code: str) -> None:
    city.apply(finding())
    city.apply(finding(situation="manure:b"))
    city.act("resolve", SECOND, cause="test")
    with pytest.raises(NotAllowed) as refused:
        city.act("merge", into=into)
    assert [r.code for r in refused.value.reasons] == [code]
    assert city.get().state == "OPEN"


def test_findings_of_one_incident_are_bounded(city: City) -> None:
    record = city.apply(finding())
    assert record is not None
    first = record.data["findings"][0]
    entries = [{**first, "id": f"g{n}", "finding": {**first["finding"], "situation": f"s{n}"}} for n in range(300)]

    def many(tx: Any) -> Record:
        return city.b.records.act_in(tx, SYSTEM, FIRST, "absorb", {"from": SECOND, "findings": entries})

    data = city.b.store.write(many).result(10).data
    assert (len(data["findings"]), data["findingsDropped"]) == (200, 101)


def test_a_document_that_is_no_finding_is_refused(city: City) -> None:
    broken = msgspec.to_builtins(finding()) | {"severity": 5}
    with pytest.raises(NotAllowed) as refused:
        city.b.records.create(SYSTEM, "Incident", "open", {"finding": broken, "findingId": "x"}).result(5)
    assert refused.value.reasons[0].code == "incident.bad-finding"
