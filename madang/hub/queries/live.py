"""Moving things as they are now, with what is the matter with them."""

import heapq
from collections.abc import Iterable

from madang.hub.feed import Feed, Position
from madang.hub.queries.answers import Live, Thing
from madang.hub.queries.look import Look
from madang.model.entity import value_of
from madang.model.finding import SEVERITIES
from madang.model.time import SECOND, render_instant
from madang.ngsild.query import Compare, Query
from madang.procedure.incident import INCIDENT_TYPE, LIVE_STATES

STALE_AFTER_CADENCES = 3
CADENCE_S = 10.0
"""Of a thing whose source is not known (after a restart, until it reports)."""
LIVE_INCIDENTS_MAX = 10_000
THINGS_MAX = 50_000
"""Things in one picture: what a console draws smoothly. A city with more sees those with incidents, then those heard last."""


def list_live(look: Look, feed: Feed) -> Live:
    """The moving things that the caller may see, at most `THINGS_MAX` of them."""
    seq, positions = feed.positions()
    worst = worst_by_subject(look)
    seen = visible(look, positions)
    total = len(seen)
    if total > THINGS_MAX:
        seen = heapq.nlargest(THINGS_MAX, seen, key=lambda p: (p.id in worst, p.observed_at, p.id))
    cadences = {source.id: source.cadence_s for source in look.hub.sources.list()}
    things = [
        Thing(
            id=position.id,
            type=position.type,
            label=look.hub.words.label(position.id),
            lon=position.lon,
            lat=position.lat,
            heading=position.heading,
            speed=position.speed,
            observed_at=render_instant(position.observed_at),
            state=state_of(look, position, worst, cadences),
            severity=worst.get(position.id),
            weight_kg=position.weight_kg,
            active=position.active,
        )
        for position in seen
    ]
    return Live(seq, things, total)


def visible(look: Look, positions: Iterable[Position]) -> list[Position]:
    """The positions that the caller may see: all, or those of things that its party owns."""
    if look.caller.party is None:
        allowed: dict[str, bool] = {}
        return [p for p in positions if allowed.setdefault(p.type, look.may_see_type(p.type))]
    own = look.own_ids
    return [position for position in positions if position.id in own]


def worst_by_subject(look: Look) -> dict[str, str]:
    """The worst severity of live incidents about each thing; empty for those who may not see incidents."""
    if not look.may_see_type(INCIDENT_TYPE):
        return {}
    where = Compare("status", "==", list(LIVE_STATES))
    worst: dict[str, str] = {}
    for entity in look.query(Query(types=(INCIDENT_TYPE,), where=where, limit=LIVE_INCIDENTS_MAX)).entities:
        subject = value_of(entity.attributes.get("subject"))
        severity = value_of(entity.attributes.get("severity"))
        if not isinstance(subject, str) or severity not in SEVERITIES:
            continue
        if subject not in worst or SEVERITIES.index(severity) < SEVERITIES.index(worst[subject]):
            worst[subject] = severity
    return worst


def state_of(look: Look, position: Position, worst: dict[str, str], cadences: dict[str, float]) -> str:
    """``incident``, ``stale`` or ``ok``. A thing that said that its engine is off is not stale: it has nothing to say."""
    if position.id in worst:
        return "incident"
    patience_s = STALE_AFTER_CADENCES * cadences.get(position.source, CADENCE_S)
    silent = look.now - position.observed_at > patience_s * SECOND
    return "stale" if silent and position.active is not False else "ok"
