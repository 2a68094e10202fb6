"""The incident's table: every state and action, and random hands on it. What it does in a store is in tests/hub."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.model.finding import SEVERITIES, Finding, Reason
from madang.model.record import Record
from madang.model.time import MINUTE
from madang.procedure.contract import Context
from madang.procedure.engine import Decision, check_procedure, decide
from madang.procedure.incident import INCIDENT, LIVE_STATES, finding_in

NOW = 1_795_402_800_000_000
ID = "urn:ngsi-ld:Incident:I-2026-000001"
OTHER = "urn:ngsi-ld:Incident:I-2026-000002"
FINDINGS = {"finding": {}, "findingId": "x"}

ALLOWED = {
    "OPEN": {
        "acknowledge",
        "assign",
        "act",
        "escalate",
        "merge",
        "resolve",
        "comment",
        "join",
        "retell",
        "absorb",
        "withdraw",
    },
    "ACKNOWLEDGED": {"assign", "act", "escalate", "merge", "resolve", "comment", "join", "retell", "absorb", "retract"},
    "IN_PROGRESS": {"assign", "act", "escalate", "merge", "resolve", "comment", "join", "retell", "absorb", "retract"},
    "RESOLVED": {"review", "reopen", "comment", "rejoin", "retell", "retract"},
    "REVIEWED": {"reopen", "comment", "rejoin", "retell", "retract"},
    "MERGED": {"comment"},
    "WITHDRAWN": {"reopen", "comment", "rejoin"},
}


def finding(rule: str = "manure.D1", severity: str = "high", situation: str = "s") -> dict[str, Any]:
    made = Finding(rule, "1", situation, "urn:t", severity, Reason("said"), NOW, NOW)
    document: dict[str, Any] = msgspec.to_builtins(made)
    return document


ARGUMENTS: dict[str, dict[str, Any]] = {
    "open": {"finding": finding(), "findingId": "a", "checklist": ["do.look"]},
    "report": {"title": "Smell", "severity": "medium"},
    "assign": {"assignee": "token:lee"},
    "act": {"note": "went there"},
    "merge": {"into": OTHER},
    "resolve": {"cause": "real"},
    "review": {"verdict": "agreed"},
    "comment": {"text": "odd"},
    "join": {"finding": finding("manure.D4", "medium"), "findingId": "b"},
    "rejoin": {"finding": finding("manure.D4", "medium"), "findingId": "b"},
    "retell": {"finding": finding("manure.D1", "high"), "findingId": "b"},
    "absorb": {"from": OTHER, "findings": []},
    "withdraw": {"rule": "manure.D1", "situation": "s"},
    "retract": {"rule": "manure.D1", "situation": "s"},
}


class Refs:
    def find(self, id_: str) -> None:
        return None

    def find_record(self, id_: str) -> Record | None:
        return Record(OTHER, "Incident", "OPEN", 1, {"number": "I-2026-000002"}, 0, 0) if id_ == OTHER else None

    def list_records_by(self, type_: str, name: str, value: str) -> list[Record]:
        return []

    def parameter(self, name: str) -> int:
        return {"incident.escalate_critical_min": 3, "incident.escalate_high_min": 10}.get(name, 60)


def context(now: int = NOW) -> Context:
    return Context("token:kim", None, now, Refs(), frozenset({"*"}), number="I-2026-000001")


def opened() -> Record:
    decision = decide(INCIDENT, None, "open", ARGUMENTS["open"], context(), ID)
    assert isinstance(decision, Decision)
    return decision.record


def test_the_table_is_sound() -> None:
    check_procedure(INCIDENT, deadline_actions=("escalate",))


@pytest.mark.parametrize("state", INCIDENT.procedure.states)
def test_every_action_in_every_state(state: str) -> None:
    record = msgspec.structs.replace(opened(), state=state)
    allowed = {
        row.name
        for row in INCIDENT.procedure.actions
        if isinstance(decide(INCIDENT, record, row.name, ARGUMENTS.get(row.name, {}), context()), Decision)
    }
    assert allowed == ALLOWED[state]


_STEP = st.tuples(
    st.sampled_from([row.name for row in INCIDENT.procedure.actions]),
    st.sampled_from(SEVERITIES),
    st.sampled_from(["manure.D1", "manure.D2", "manure.D4"]),
    st.integers(0, 30),
)


def told_in(record: Record) -> set[str]:
    """Every finding that the incident was ever told, replaced ones among them."""
    entries = record.data["findings"]
    return {e["id"] for e in entries} | {told["id"] for e in entries for told in e.get("earlier", [])}


@settings(max_examples=80, deadline=None)
@given(st.lists(_STEP, max_size=40))
def test_random_hands_keep_the_incident_whole(steps: list[tuple[str, str, str, int]]) -> None:
    """Only declared states, one version an action, severity the worst of the live findings, findings never lost and one a
    rule and situation, a deadline exactly while it is open, unacknowledged and somebody is left to tell."""
    record = opened()
    deadlines: set[str] = {"escalate"}
    now, versions = NOW, 1
    for n, (name, severity, rule, minutes) in enumerate(steps):
        now += minutes * MINUTE
        arguments = dict(ARGUMENTS.get(name, {}))
        if name in ("join", "rejoin", "retell"):
            arguments = {"finding": finding(rule, severity), "findingId": f"f{n}"}
        if name in ("withdraw", "retract"):
            arguments = {"rule": rule, "situation": "s"}
        before = record
        decision = decide(INCIDENT, record, name, arguments, context(now))
        if not isinstance(decision, Decision):
            continue
        record, versions = decision.record, versions + 1
        json.dumps(record.data)
        deadlines -= set(decision.effect.cancels)
        deadlines |= {d.name for d in decision.effect.deadlines}
        if name == "escalate" and not decision.effect.deadlines:
            deadlines.discard("escalate")  # taken off when it fired, or the person who escalated leaves none behind
        if decision.cancels_all:
            deadlines = set()
        assert record.version == versions
        assert record.state in INCIDENT.procedure.states
        assert told_in(before) <= told_in(record)
        names = [(e["finding"]["rule"], e["finding"]["situation"]) for e in record.data["findings"]]
        assert len(names) == len(set(names))
        live = [e for e in record.data["findings"] if not e["withdrawn"]]
        if live:
            assert record.data["severity"] == min((finding_in(e).severity for e in live), key=SEVERITIES.index)
        assert record.data["withdrawn"] == (not live)
        if record.state == "OPEN":
            due = record.data["severity"] != "low" and record.data["level"] < 3
            assert (record.data["escalateAt"] is not None) <= due
            assert record.data["acknowledgedBy"] is None
        elif record.state in LIVE_STATES:
            assert record.data["acknowledgedBy"] is not None
            assert deadlines == set()
