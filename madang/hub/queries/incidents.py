"""Incidents: the queue, and one incident with its why."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from madang.hub.queries import life
from madang.hub.queries.answers import (
    CheckItem,
    EvidenceRow,
    IncidentList,
    IncidentPage,
    IncidentSummary,
    Lanes,
    Measure,
    Named,
    Note,
    Telling,
    Why,
)
from madang.hub.queries.errors import NotFound
from madang.hub.queries.look import Look
from madang.model.entity import Entity, value_of
from madang.model.finding import SEVERITIES, Finding
from madang.model.finding import Measure as FindingMeasure
from madang.model.record import Record
from madang.model.time import render_instant
from madang.ngsild.query import And, Compare, Node, Or, Order, Query
from madang.procedure.incident import INCIDENT_TYPE, LIVE_STATES, finding_in

CANDIDATES_MAX = 2_000
"""Incidents that one question looks at, the newest; more than that, and the answer says that it is cut."""
TEXT_LENGTH_MAX = 200
NEWEST_FIRST = (Order("openedAt", descending=True),)
LANES = ("act", "look", "log")


class IncidentFilter(Struct, frozen=True):
    """What the queue shows. Empty: everything."""

    states: tuple[str, ...] = ()
    """In capitals; the word LIVE stands for all states that still need somebody."""
    severities: tuple[str, ...] = ()
    lanes: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    text: str = ""
    subject: str = ""
    limit: int = 100
    offset: int = 0


def list_incidents(look: Look, asked: IncidentFilter) -> IncidentList:
    """The queue: live incidents first, worst first, then newest first. Raises Refused without the permission."""
    look.require_type(INCIDENT_TYPE)
    page = look.query(
        Query(types=(INCIDENT_TYPE,), where=_where(asked), order=NEWEST_FIRST, limit=CANDIDATES_MAX, count=True)
    )
    found = page.entities
    truncated = (page.total or 0) > len(found)
    if asked.rules:
        found = [entity for entity in found if set(asked.rules) & set(value_of(entity.attributes.get("rules")) or ())]
    found.sort(key=_queue_place)
    if asked.text:
        needle = asked.text[:TEXT_LENGTH_MAX].casefold()
        summaries = [summary for summary in _summaries(look, found) if needle in _searched(summary)]
        total = len(summaries)
        summaries = summaries[asked.offset : asked.offset + asked.limit]
    else:
        total = len(found) if asked.rules or not truncated else (page.total or 0)
        summaries = _summaries(look, found[asked.offset : asked.offset + asked.limit])
    return IncidentList(summaries, total, truncated, count_lanes(look))


def count_lanes(look: Look) -> Lanes:
    """Live incidents of each lane."""
    counts = []
    for lane in LANES:
        where = And((Compare("status", "==", list(LIVE_STATES)), Compare("lane", "==", lane)))
        counts.append(look.query(Query(types=(INCIDENT_TYPE,), where=where, limit=1, count=True)).total or 0)
    return Lanes(*counts)


def incidents_of(look: Look, entity_id: str, limit: int = 20) -> list[IncidentSummary]:
    """Incidents about an entity or involving it, newest first; none for those who may not see incidents."""
    if not look.may_see_type(INCIDENT_TYPE):
        return []
    where = Or((Compare("subject", "==", entity_id), Compare("involved", "==", entity_id)))
    page = look.query(Query(types=(INCIDENT_TYPE,), where=where, order=NEWEST_FIRST, limit=limit))
    return _summaries(look, page.entities)


def find_summary(look: Look, id_: str) -> IncidentSummary | None:
    """One row of the queue, for the stream; None when it is not there or not the caller's to see."""
    record = look.read.find_record(id_)
    if record is None or record.type != INCIDENT_TYPE or not look.sees_record(record):
        return None
    return summary_of(look, record)


def _where(asked: IncidentFilter) -> Node | None:
    items: list[Node] = []
    states = set(asked.states)
    if "LIVE" in states:
        states = (states - {"LIVE"}) | set(LIVE_STATES)
    for name, values in (("status", sorted(states)), ("severity", asked.severities), ("lane", asked.lanes)):
        if values:
            items.append(Compare(name, "==", list(values)))
    if asked.subject:
        items.append(Compare("subject", "==", asked.subject))
    return And(tuple(items)) if items else None


def _queue_place(entity: Entity) -> tuple[int, int, int, str]:
    state = value_of(entity.attributes.get("status"))
    severity = value_of(entity.attributes.get("severity"))
    return (
        0 if state in LIVE_STATES else 1,
        SEVERITIES.index(severity) if severity in SEVERITIES and state in LIVE_STATES else len(SEVERITIES),
        -entity.created_at,
        entity.id,
    )


def _summaries(look: Look, entities: Sequence[Entity]) -> list[IncidentSummary]:
    found = []
    for entity in entities:
        record = look.read.find_record(entity.id)
        if record is not None:
            found.append(summary_of(look, record))
    return found


def _searched(summary: IncidentSummary) -> str:
    parts = (summary.number, summary.title, summary.sentence, summary.subject_label, summary.assignee or "", summary.id)
    return "\n".join(parts).casefold()


def summary_of(look: Look, record: Record) -> IncidentSummary:
    """A row of the queue."""
    return IncidentSummary(**_summary_values(look, record))


def _summary_values(look: Look, record: Record) -> dict[str, Any]:
    data = record.data
    entries = data.get("findings", [])
    live = [entry for entry in entries if not entry["withdrawn"]] or entries
    head = min(live, key=lambda entry: SEVERITIES.index(entry["finding"]["severity"]), default=None)
    sentence = look.say(data.get("title"))
    title = sentence if head is None else rule_title(look, head["finding"]["rule"])
    place = data.get("location") or (None, None)
    subject = data.get("subject")
    return {
        "id": record.id,
        "number": data.get("number", ""),
        "state": record.state,
        "state_title": look.hub.words.state(record.state, look.lang, look.record_type(INCIDENT_TYPE)),
        "severity": data["severity"],
        "lane": data["lane"],
        "title": title,
        "sentence": sentence,
        "subject": subject,
        "subject_label": look.label(subject) if subject else "",
        "lon": place[0],
        "lat": place[1],
        "marked_at": data["markedAt"],
        "opened_at": data["openedAt"],
        "acknowledged_by": data.get("acknowledgedBy"),
        "assignee": data.get("assignee"),
        "rules": list(data.get("rules", [])),
        "findings": len(entries),
        "withdrawn": bool(data.get("withdrawn")),
        "version": record.version,
        "unseen": bool(data.get("unseen")),
    }


def rule_title(look: Look, rule: str) -> str:
    """The title of a rule in the asked language."""
    return look.title(look.hub.registry.rules.get(rule), rule)


def get_page(look: Look, id_: str) -> IncidentPage:
    """One incident. Raises NotFound."""
    record = look.get_record(id_)
    record_type = look.record_type(record.type)
    if record.type != INCIDENT_TYPE:
        raise NotFound(f"{id_} is no incident but a {record.type}: ask /api/records/{id_}.")
    data = record.data
    entries = data.get("findings", [])
    findings = [finding_in(entry) for entry in entries]
    trail = life.trail(look, record_type, look.read.list_versions(id_))
    return IncidentPage(
        **_summary_values(look, record),
        type=INCIDENT_TYPE,
        level=int(data.get("level", 0)),
        cause=data.get("cause"),
        why=[why_of(look, finding, entry) for finding, entry in zip(findings, entries, strict=True)],
        findings_dropped=int(data.get("findingsDropped", 0)),
        evidence=_evidence(look, findings),
        involved=_involved(look, data),
        notes=[Note(note["by"], note["at"], note["text"]) for note in data.get("notes", [])],
        trail=trail,
        actions=life.actions(look, record),
        deadlines=life.deadlines(look, record_type, record),
        checklist=[
            CheckItem(item["id"], look.hub.words.text(item["code"], look.lang), item["done"], item["by"], item["at"])
            for item in data.get("checklist", [])
        ],
        states=life.states(look, record_type, record, trail),
    )


def why_of(look: Look, finding: Finding, entry: dict[str, Any]) -> Why:
    """One finding in words."""
    withdrawn_reason = entry.get("withdrawnReason")
    return Why(
        rule=finding.rule,
        rule_title=rule_title(look, finding.rule),
        rule_version=finding.rule_version,
        severity=finding.severity,
        sentence=look.say(finding.reason),
        measures=[_measure(look, measure) for measure in finding.measures],
        would_differ=[look.say(reason) for reason in finding.would_differ],
        withdrawn=entry["withdrawn"],
        withdrawn_sentence=look.say(withdrawn_reason) if withdrawn_reason else None,
        marked_at=render_instant(finding.marked_at),
        completed_at=render_instant(finding.completed_at),
        found_at=entry["foundAt"],
        earlier=[
            Telling(told["foundAt"], look.say(told["reason"]), told["withdrawn"], told.get("completedAt"))
            for told in entry.get("earlier", ())
        ],
    )


def _measure(look: Look, measure: FindingMeasure) -> Measure:
    words = look.hub.words

    def text(value: Any) -> str:
        if isinstance(value, str):
            return look.label(value) if value.startswith("urn:") else value
        return words.value(value, measure.unit, look.lang)

    title = words.text(f"measure.{measure.code}", look.lang, words.text(measure.code, look.lang))
    return Measure(
        code=measure.code,
        title=title,
        value=measure.value,
        limit=measure.limit,
        relation=measure.relation,
        unit=words.unit(measure.unit, look.lang),
        met=is_met(measure),
        value_text=text(measure.value),
        limit_text=text(measure.limit),
    )


def is_met(measure: FindingMeasure) -> bool:
    """Does the value stand to the limit as the rule wants it?

    >>> is_met(FindingMeasure("dropped", 2900.0, 300.0, "KGM", ">="))
    True
    """
    value, limit = measure.value, measure.limit
    if value is None or limit is None:
        return False
    if measure.relation in ("in", "not in"):
        members = [part.strip() for part in limit.split(",")] if isinstance(limit, str) else [limit]
        return (value in members) == (measure.relation == "in")
    if measure.relation in ("==", "!="):
        return (value == limit) == (measure.relation == "==")
    if isinstance(value, str) or isinstance(limit, str):
        return False
    return {">=": value >= limit, "<=": value <= limit, ">": value > limit, "<": value < limit}.get(
        measure.relation, False
    )


def _evidence(look: Look, findings: Sequence[Finding]) -> list[EvidenceRow]:
    """Pieces of history, one per entity: all attributes that any rule looked at, from the earliest to the latest."""
    by_entity: dict[str, tuple[dict[str, None], int, int]] = {}
    for piece in (piece for finding in findings for piece in finding.evidence):
        names, from_at, to_at = by_entity.get(piece.entity_id, ({}, piece.from_at, piece.to_at))
        names.update(dict.fromkeys(piece.attributes))
        by_entity[piece.entity_id] = (names, min(from_at, piece.from_at), max(to_at, piece.to_at))
    return [
        msgspec.convert(
            {
                "entity_id": id_,
                "label": look.label(id_),
                "attributes": list(names),
                "from": render_instant(from_at),
                "to": render_instant(to_at),
            },
            EvidenceRow,
        )
        for id_, (names, from_at, to_at) in by_entity.items()
    ]


def _involved(look: Look, data: dict[str, Any]) -> list[Named]:
    ids = [id_ for id_ in (data.get("subject"), *data.get("involved", []), data.get("mergedInto")) if id_]
    named = []
    for id_ in dict.fromkeys([*ids, *data.get("mergedFrom", [])]):
        entity = look.read.find_entity(id_)
        if entity is None:
            named.append(Named(id_, "", look.label(id_), ""))
        elif look.sees(entity):
            named.append(Named(id_, entity.type, look.label(id_), look.type_title(entity.type)))
    return named
