"""Guards and effects of the incident's life cycle; the table and the decisions behind it are in `madang.procedure.incident`."""

from typing import Any

import msgspec

from madang.model.entity import value_of
from madang.model.finding import CRITICAL, HIGH, LOW, MEDIUM, SEVERITIES, Finding, Reason
from madang.model.record import Record
from madang.model.time import MINUTE, Instant, parse_instant, render_instant
from madang.procedure.contract import (
    Context,
    Deadline,
    Effect,
    Onward,
    OutboxMessage,
)

INCIDENT_TYPE = "Incident"
OPEN, ACKNOWLEDGED, IN_PROGRESS = "OPEN", "ACKNOWLEDGED", "IN_PROGRESS"
RESOLVED, REVIEWED, MERGED, WITHDRAWN = "RESOLVED", "REVIEWED", "MERGED", "WITHDRAWN"
LIVE_STATES = (OPEN, ACKNOWLEDGED, IN_PROGRESS)
"""Somebody still has to do something."""
CAUSES = ("real", "false", "test", "device-fault")
ESCALATE = "escalate"
"""Name of the deadline and of its action."""
ESCALATE_AFTER = {
    CRITICAL: "incident.escalate_critical_min",
    HIGH: "incident.escalate_high_min",
    MEDIUM: "incident.escalate_medium_min",
}
"""Parameter with the minutes until an unacknowledged incident escalates; a low one never does."""
CONTROL_ROOM = "group:control-room"
LEVELS = ("group:duty-officer", "group:department-head", "group:situation-office")
"""Who is told at level 1, 2, 3. The last level is told once; after it nobody is left to tell."""
FINDINGS_MAX = 200
"""Findings kept in one incident; further ones are counted. A situation has as many findings as rules, some tens at most."""

EARLIER_MAX = 40
"""Earlier tellings kept of one finding: the first, which opened it, and the newest; a detector tells one some dozen times at most."""

_Data = dict[str, Any]


def lane_of(severity: str) -> str:
    """Where the queue shows it: ``act``, ``look`` or ``log``.

    >>> [lane_of(s) for s in SEVERITIES]
    ['act', 'act', 'look', 'log']
    """
    return {CRITICAL: "act", HIGH: "act", MEDIUM: "look"}.get(severity, "log")


def worst_of(severities: list[str]) -> str:
    """The worst severity; LOW for none."""
    return min(severities, key=SEVERITIES.index, default=LOW)


def entry_of(finding: Finding, finding_id: str, seq: int, at: Instant) -> _Data:
    """A finding as it stands in an incident's data under `findings`. Instants inside ``finding`` are integers, as in
    `madang.model.finding`; `finding_in` reads it back."""
    return {
        "id": finding_id,
        "seq": seq,
        "foundAt": render_instant(at),
        "withdrawn": False,
        "finding": msgspec.to_builtins(finding),
    }


def finding_in(entry: _Data) -> Finding:
    """The Finding of an entry of an incident's `findings`."""
    return msgspec.convert(entry["finding"], Finding)


# --- what findings make of an incident -------------------------------------------------------------------------------


def _summed(data: _Data) -> _Data:
    """The data with everything that follows from its live findings (from all, when none is live)."""
    findings = data["findings"]
    if not findings:
        return data
    live = [e for e in findings if not e["withdrawn"]]
    shown = live or findings
    severity = worst_of([e["finding"]["severity"] for e in shown])
    head = next(e["finding"] for e in shown if e["finding"]["severity"] == severity)
    rules = sorted({e["finding"]["rule"] for e in shown})
    involved = sorted({id_ for e in shown for id_ in e["finding"]["involved"]})
    located = next((e["finding"]["location"] for e in [{"finding": head}, *shown] if e["finding"]["location"]), None)
    return {
        **data,
        "severity": severity,
        "lane": lane_of(severity),
        "title": head["reason"],
        "rules": rules,
        "subject": head["subject"],
        "involved": involved,
        "location": None if located is None else list(located),
        "markedAt": render_instant(head["marked_at"]),
        "withdrawn": not live,
    }


def is_known(data: _Data, finding_id: str) -> bool:
    """Was the finding applied to the incident before, be it that a later telling took its place?"""
    return any(
        e["id"] == finding_id or any(told["id"] == finding_id for told in e.get("earlier", ()))
        for e in data["findings"]
    )


def is_retelling(data: _Data, finding: Finding) -> bool:
    """Does a finding of its rule and situation stand in the incident, as severe as this one or worse? Then newer figures
    are all that it brings."""
    identity = finding.rule, finding.situation
    standing = next((e for e in data["findings"] if _identity(e) == identity and not e["withdrawn"]), None)
    return standing is not None and SEVERITIES.index(finding.severity) >= SEVERITIES.index(
        standing["finding"]["severity"]
    )


def _with_entries(data: _Data, entries: list[_Data]) -> _Data:
    """The data with more findings: one of a rule and situation that is there already takes the place of what was told before."""
    findings = list(data["findings"])
    dropped = data.get("findingsDropped", 0)
    for entry in entries:
        if is_known({"findings": findings}, entry["id"]):
            continue
        place = next((n for n, e in enumerate(findings) if _identity(e) == _identity(entry)), None)
        if place is not None:
            findings[place] = _told_again(findings[place], entry)
        elif len(findings) < FINDINGS_MAX:
            findings.append(entry)
        else:
            dropped += 1
    merged = {**data, "findings": findings, "unseen": True}
    return _summed({**merged, "findingsDropped": dropped} if dropped else merged)


def _identity(entry: _Data) -> tuple[str, str]:
    return entry["finding"]["rule"], entry["finding"]["situation"]


def _told_again(before: _Data, entry: _Data) -> _Data:
    """The newer telling, with what it replaces in short; the whole of that stays in the record's earlier versions."""
    told = {name: before[name] for name in ("id", "seq", "foundAt", "withdrawn")}
    told |= {"severity": before["finding"]["severity"], "reason": before["finding"]["reason"]}
    told |= {"completedAt": render_instant(before["finding"]["completed_at"])}
    earlier: list[_Data] = [*before.get("earlier", ()), told, *entry.get("earlier", ())]
    return {**entry, "earlier": [*earlier[:1], *earlier[1:][1 - EARLIER_MAX :]]}


def _with_checklist(data: _Data, codes: list[Any]) -> _Data:
    known = {item["code"] for item in data["checklist"]}
    items = [
        {"id": f"c{len(known) + n}", "code": str(code), "done": False, "by": None, "at": None}
        for n, code in enumerate((c for c in codes if c not in known), 1)
    ]
    return {**data, "checklist": [*data["checklist"], *items]}


def _empty(ctx: Context, record_number: str) -> _Data:
    return {
        "number": record_number,
        "severity": LOW,
        "lane": lane_of(LOW),
        "title": None,
        "rules": [],
        "subject": None,
        "involved": [],
        "location": None,
        "markedAt": render_instant(ctx.now),
        "openedAt": render_instant(ctx.now),
        "findings": [],
        "withdrawn": False,
        "unseen": True,
        "acknowledgedBy": None,
        "acknowledgedAt": None,
        "assignee": None,
        "level": 0,
        "escalateAt": None,
        "cause": None,
        "notes": [],
        "checklist": [],
        "mergedInto": None,
        "mergedFrom": [],
    }


def _who(ctx: Context) -> str:
    return ctx.on_behalf_of or ctx.actor


def _note(data: _Data, ctx: Context, text: Any) -> _Data:
    if not text:
        return data
    note = {"by": _who(ctx), "typedBy": ctx.actor, "at": render_instant(ctx.now), "text": text}
    return {**data, "notes": [*data["notes"], note]}


def _seen(data: _Data, ctx: Context) -> _Data:
    """A person did something: it is seen, and acknowledged if it was not."""
    seen = {**data, "unseen": False, "escalateAt": None}
    if seen["acknowledgedBy"] is None:
        seen |= {"acknowledgedBy": _who(ctx), "acknowledgedAt": render_instant(ctx.now)}
    return seen


def _alarm(data: _Data, ctx: Context) -> tuple[_Data, tuple[Deadline, ...]]:
    """Set the escalation deadline by severity; one that stands already only moves forward."""
    parameter = ESCALATE_AFTER.get(data["severity"])
    if parameter is None or data["level"] >= len(LEVELS):
        return {**data, "escalateAt": None}, ()
    due = ctx.now + round(float(ctx.ref.parameter(parameter)) * MINUTE)
    if data["escalateAt"] is not None:
        due = min(due, parse_instant(data["escalateAt"]))
    return {**data, "escalateAt": render_instant(due)}, (Deadline(ESCALATE, due, ESCALATE),)


def _tell_control_room(data: _Data) -> tuple[OutboxMessage, ...]:
    if data["lane"] != "act":
        return ()
    title = data["title"]
    return (OutboxMessage("console", CONTROL_ROOM, Reason(title["code"], title["params"])),)


def _data(record: Record | None) -> _Data:
    assert record is not None  # the engine calls only creating actions without a record
    return record.data


# --- guards ----------------------------------------------------------------------------------------------------------


def free(record: Record | None, arguments: _Data, ctx: Context) -> list[Reason]:
    """Nothing is against it."""
    return []


def can_open(record: Record | None, arguments: _Data, ctx: Context) -> list[Reason]:
    """The document is a finding."""
    try:
        msgspec.convert(arguments.get("finding"), Finding)
    except msgspec.ValidationError as error:
        return [Reason("incident.bad-finding", {"detail": str(error)})]
    return []


def can_retell(record: Record | None, arguments: _Data, ctx: Context) -> list[Reason]:
    """The document is a finding that stands already and is no worse than before."""
    reasons = can_open(record, arguments, ctx)
    if not reasons and not is_retelling(_data(record), msgspec.convert(arguments["finding"], Finding)):
        reasons = [Reason("incident.not-told-before")]
    return reasons


def can_act(record: Record | None, arguments: _Data, ctx: Context) -> list[Reason]:
    """The checklist has the item."""
    item = arguments.get("item")
    if item is not None and all(i["id"] != item for i in _data(record)["checklist"]):
        return [Reason("incident.no-such-item")]
    return []


def can_escalate(record: Record | None, arguments: _Data, ctx: Context) -> list[Reason]:
    """There is somebody left to tell."""
    return [Reason("incident.highest-level")] if _data(record)["level"] >= len(LEVELS) else []


def can_merge(record: Record | None, arguments: _Data, ctx: Context) -> list[Reason]:
    """The other incident is live, and another one."""
    into = arguments.get("into")
    if into is None:
        return []
    if record is not None and into == record.id:
        return [Reason("incident.merge-into-itself")]
    target = ctx.ref.find_record(into)
    if target is None or target.type != INCIDENT_TYPE:
        return [Reason("incident.merge-no-target")]
    if target.state not in LIVE_STATES:
        return [Reason("incident.merge-target-closed", {"number": target.data["number"]})]
    return []


def can_review(record: Record | None, arguments: _Data, ctx: Context) -> list[Reason]:
    """A corrected verdict names the right cause."""
    if arguments.get("verdict") == "corrected" and "cause" not in arguments:
        return [Reason("incident.review-needs-cause")]
    return []


def can_withdraw(record: Record | None, arguments: _Data, ctx: Context) -> list[Reason]:
    """There is such a finding, and it still stands."""
    return [] if _targets(_data(record), arguments) else [Reason("incident.nothing-to-withdraw")]


def _targets(data: _Data, arguments: _Data) -> list[_Data]:
    return [
        e
        for e in data["findings"]
        if not e["withdrawn"]
        and e["finding"]["rule"] == arguments.get("rule")
        and e["finding"]["situation"] == arguments.get("situation")
    ]


# --- effects ---------------------------------------------------------------------------------------------------------


def open_incident(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """A new incident around one finding."""
    finding = msgspec.convert(arguments["finding"], Finding)
    entry = entry_of(finding, arguments["findingId"], arguments.get("seq", 0), ctx.now)
    data = _with_checklist(_with_entries(_empty(ctx, ctx.number), [entry]), arguments.get("checklist", []))
    data, deadlines = _alarm(data, ctx)
    return Effect(data, outbox=_tell_control_room(data), deadlines=deadlines)


def report(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """A new incident that a person reports, without a finding."""
    severity = arguments["severity"]
    data = _empty(ctx, ctx.number) | {
        "severity": severity,
        "lane": lane_of(severity),
        "title": {"code": "incident.reported", "params": {"title": arguments["title"]}},
        "subject": arguments.get("subject"),
        "location": _place(arguments, ctx),
        "markedAt": arguments.get("at", render_instant(ctx.now)),
    }
    data, deadlines = _alarm(_note(data, ctx, arguments.get("note")), ctx)
    return Effect(data, outbox=_tell_control_room(data), deadlines=deadlines)


def _place(arguments: _Data, ctx: Context) -> list[float] | None:
    """Where it is: given as a point, or the place of the entity that is named."""
    place = arguments.get("location", arguments.get("subject"))
    if isinstance(place, str):
        entity = ctx.ref.find(place)
        geometry = None if entity is None else value_of(entity.attributes.get("location"))
        point = isinstance(geometry, dict) and geometry.get("type") == "Point"
        return list(geometry["coordinates"][:2]) if point and geometry is not None else None
    return place


def join(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """A live incident gets another finding; a worse one tells people again and may bring the deadline forward."""
    assert record is not None
    data = _joined(record.data, arguments, ctx)
    outbox = _tell_control_room(data) if _is_worse(data, record.data) else ()
    if record.state != OPEN:
        return Effect(data, outbox=outbox)
    data, deadlines = _alarm(data, ctx)
    return Effect(data, outbox=outbox, deadlines=deadlines)


def rejoin(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """A closed incident gets another finding and opens again if that is worse than was known, or if it was withdrawn."""
    assert record is not None
    data = _joined(record.data, arguments, ctx)
    if record.state != WITHDRAWN and not _is_worse(data, record.data):
        return Effect(data)
    again = {"acknowledgedBy": None, "acknowledgedAt": None, "cause": None, "level": 0, "escalateAt": None}
    data, deadlines = _alarm({**data, **again}, ctx)
    return Effect(data, state=OPEN, outbox=_tell_control_room(data), deadlines=deadlines)


def retell(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """A finding that stands says newer figures: nobody is called and no deadline moves; one that is too mild by now for anybody
    to be called ends."""
    data = _joined(_data(record), arguments, ctx)
    if data["severity"] not in ESCALATE_AFTER and data["escalateAt"] is not None:
        return Effect({**data, "escalateAt": None}, cancels=(ESCALATE,))
    return Effect(data)


def _joined(data: _Data, arguments: _Data, ctx: Context) -> _Data:
    finding = msgspec.convert(arguments["finding"], Finding)
    entry = entry_of(finding, arguments["findingId"], arguments.get("seq", 0), ctx.now)
    return _with_checklist(_with_entries(data, [entry]), arguments.get("checklist", []))


def _is_worse(data: _Data, before: _Data) -> bool:
    return SEVERITIES.index(data["severity"]) < SEVERITIES.index(before["severity"])


def withdraw(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """Late data takes a finding back from an open incident."""
    data = _retracted(_data(record), arguments, ctx)
    untouched = not data["notes"] and data["assignee"] is None
    if data["withdrawn"] and untouched:
        return Effect({**data, "escalateAt": None})
    if data["severity"] not in ESCALATE_AFTER:  # what is left is too mild for anybody to be called
        return Effect({**data, "escalateAt": None}, state="=", cancels=(ESCALATE,))
    return Effect(data, state="=")


def retract(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """Late data takes a finding back from an incident that people work or worked on: shown, nothing else."""
    return Effect(_retracted(_data(record), arguments, ctx))


def _retracted(data: _Data, arguments: _Data, ctx: Context) -> _Data:
    gone = {e["id"] for e in _targets(data, arguments)}
    mark = {"withdrawn": True, "withdrawnAt": render_instant(ctx.now), "withdrawnReason": arguments.get("reason")}
    findings = [{**e, **mark} if e["id"] in gone else e for e in data["findings"]]
    return _summed({**data, "findings": findings, "unseen": True})


def acknowledge(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """Somebody has seen it."""
    return Effect(_note(_seen(_data(record), ctx), ctx, arguments.get("note")), cancels=(ESCALATE,))


def assign(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """Somebody is to take it, and is told."""
    data = {**_data(record), "assignee": arguments["assignee"], "unseen": False}
    told = OutboxMessage("console", arguments["assignee"], Reason("incident.assigned", {"number": data["number"]}))
    return Effect(_note(data, ctx, arguments.get("note")), outbox=(told,))


def act(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """Something was done, perhaps an item of the checklist."""
    data = _note(_seen(_data(record), ctx), ctx, arguments.get("note"))
    item, done = arguments.get("item"), arguments.get("done", True)
    if item is not None:
        mark = {"done": done, "by": _who(ctx) if done else None, "at": render_instant(ctx.now) if done else None}
        data = {**data, "checklist": [{**i, **mark} if i["id"] == item else i for i in data["checklist"]]}
    return Effect(data, cancels=(ESCALATE,))


def escalate(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """The next level is told; the deadline runs again while nobody acknowledges."""
    assert record is not None
    level = record.data["level"] + 1
    data = {**record.data, "level": level, "escalateAt": None, "unseen": True}
    deadlines: tuple[Deadline, ...] = ()
    if record.state == OPEN:
        data, deadlines = _alarm(data, ctx)
    waited = (ctx.now - parse_instant(data["openedAt"])) // MINUTE
    code = "incident.not-acknowledged" if record.state == OPEN else "incident.escalated"
    reason = Reason(code, {"number": data["number"], "waited_min": waited})
    outbox = (OutboxMessage("sms", LEVELS[level - 1], reason), OutboxMessage("console", CONTROL_ROOM, reason))
    return Effect(_note(data, ctx, arguments.get("note")), outbox=outbox, deadlines=deadlines)


def merge(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """The other incident takes over the findings."""
    assert record is not None
    data = {**record.data, "mergedInto": arguments["into"], "unseen": False, "escalateAt": None}
    handed = {"from": record.id, "findings": record.data["findings"], "checklist": _codes(record.data)}
    note = _note(data, ctx, arguments.get("note"))
    return Effect(note, acts=(Onward(arguments["into"], "absorb", handed),))


def _codes(data: _Data) -> list[str]:
    return [item["code"] for item in data["checklist"]]


def absorb(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """Takes over the findings of a merged incident."""
    assert record is not None
    data = _with_checklist(_with_entries(record.data, arguments["findings"]), arguments.get("checklist", []))
    data = {**data, "mergedFrom": [*data["mergedFrom"], arguments["from"]]}
    if record.state != OPEN:
        return Effect(data)
    data, deadlines = _alarm(data, ctx)
    return Effect(data, deadlines=deadlines)


def resolve(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """The cause is known and nothing is left to do."""
    done = {"cause": arguments["cause"], "resolvedBy": _who(ctx), "resolvedAt": render_instant(ctx.now)}
    data = _note(_seen(_data(record), ctx), ctx, arguments.get("note"))
    return Effect({**data, **done}, cancels=(ESCALATE,))


def reopen(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """It is worked on again."""
    again = {"cause": None, "acknowledgedBy": _who(ctx), "acknowledgedAt": render_instant(ctx.now), "verdict": None}
    return Effect(_note({**_data(record), **again}, ctx, arguments.get("note")))


def review(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """The outcome is settled, its cause perhaps corrected."""
    reviewed = {"verdict": arguments["verdict"], "reviewedBy": _who(ctx), "reviewedAt": render_instant(ctx.now)}
    if arguments["verdict"] == "corrected":
        reviewed["cause"] = arguments["cause"]
    return Effect(_note({**_data(record), **reviewed}, ctx, arguments.get("note")))


def comment(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """A remark in the trail."""
    return Effect(_note({**_data(record), "unseen": False}, ctx, arguments["text"]))
