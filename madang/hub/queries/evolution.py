"""How entities evolved: the temporal API's questions (ETSI GS CIM 009 clauses 5.7.3, 5.7.4).

The one gate stays in force: an entity that the caller may not see now has no evolution for it, and a hidden attribute is neither shown
nor does a condition look at it.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from madang.hub.evolution import whole_instance
from madang.hub.ports import InstanceRow
from madang.hub.queries.errors import BadQuestion
from madang.hub.queries.look import Look
from madang.model.entity import Attributes, Entity, split_key
from madang.model.time import INSTANT_MAX, LAST_EXPIRY, Instant, parse_instant
from madang.ngsild.match import in_place, matches
from madang.ngsild.patch import content_of
from madang.ngsild.query import Near, Node, Query, Spatial
from madang.ngsild.render import DEFAULT_DATASET
from madang.ngsild.temporal import (
    ANY_TIME,
    CREATED_AT,
    DELETED_AT,
    OBSERVED_AT,
    PERIODS_MAX,
    TemporalAsk,
    Window,
    periods,
)
from madang.ngsild.temporal_aggregate import aggregate_values
from madang.ngsild.temporal_render import SCOPE, Aggregate, Moment

ENTITY_PAGE = 200
"""Entities that are read at once when conditions are checked on their instances."""
ENTITIES_LOOKED_AT = 100_000
"""Entities whose instances one query looks at; beyond, it must be narrower."""
INSTANCES_LOOKED_AT = 1_000_000
"""Instances of one attribute that are aggregated or matched one by one."""

SCOPES_LOOKED_AT = 10_000
"""Changes of one entity's scopes that a condition looks at, the newest ones."""

Moments = dict[str, list[Moment]]


class Chosen(Struct, frozen=True):
    """Which attributes of an evolution are meant."""

    names: Collection[str] | None = None
    omitted: Collection[str] = ()
    datasets: Collection[str] | None = None

    def has(self, key: str) -> bool:
        name, dataset_id = split_key(key)
        if (self.names is not None and name not in self.names) or name in self.omitted:
            return False
        return self.datasets is None or (dataset_id or DEFAULT_DATASET) in self.datasets


class Conditions(Struct, frozen=True):
    """What the instances in the window must meet (clause 5.7.4.4)."""

    where: Node | None = None
    place: Near | Spatial | None = None
    scope: Node | None = None
    """Of the scopes that the entity had then (clauses 4.18, 4.19)."""


class Evolving(Struct, frozen=True):
    """An entity and the time of its evolution that was asked for."""

    entity: Entity
    windows: tuple[Window, ...]
    """In order, apart; more than one where its scopes came and went."""
    scopes: tuple[Moment, ...] | None = None
    """The scopes that held then; None: nobody asked by scope."""


def keys_of(look: Look, entity: Entity, chosen: Chosen) -> list[str]:
    """Keys of the chosen attributes with an evolution, without those that policy hides."""
    hidden = look.mask(entity.type).names
    return [k for k in look.read.list_evolving(entity.id) if split_key(k)[0] not in hidden and chosen.has(k)]


def moments_of(look: Look, evolving: Evolving, keys: Sequence[str], ask: TemporalAsk, limit: int) -> Moments:
    """Instances in the windows by key, oldest first; of each key at most `limit`: the newest when lastN asks for them, else the oldest."""
    newest = ask.last_n is not None
    count = limit if ask.last_n is None else min(limit, ask.last_n)
    found: Moments = {}
    for window in evolving.windows:
        for row in look.read.list_instances(evolving.entity.id, keys, window, count, newest=newest):
            if not _is_over(look, row):
                found.setdefault(row.key, []).append(_moment(row, evolving.entity))
    if len(evolving.windows) > 1:
        found = {key: moments[-count:] if newest else moments[:count] for key, moments in found.items()}
    if evolving.scopes is not None and SCOPE in keys:
        found[SCOPE] = list(evolving.scopes)
    return found


def _is_over(look: Look, row: InstanceRow) -> bool:
    """A transient attribute's instance is told until it expires (clauses 4.22, 5.2.5); the history keeps it."""
    if row.attribute is None or "expiresAt" not in row.attribute:
        return False
    return parse_instant(row.attribute["expiresAt"], LAST_EXPIRY) <= look.now


def _moment(row: InstanceRow, entity: Entity) -> Moment:
    return Moment(row.token, row.at, whole_instance(row, entity), row.created_at, row.modified_at, row.deleted_at)


def query_evolving(
    look: Look, query: Query, conditions: Conditions, chosen: Chosen, window: Window
) -> Iterator[Evolving]:
    """Entities of the query, by id, that have a chosen instance in the window and whose instances in it meet the conditions. Raises
    BadQuestion when it would have to look at too many."""
    after: str | None = None
    looked_at = 0
    while True:
        page = look.query(replace(query, after=after, limit=ENTITY_PAGE, stamps=True))
        for entity in page.entities:
            looked_at += 1
            if looked_at > ENTITIES_LOOKED_AT:
                raise BadQuestion("type", f"more than {ENTITIES_LOOKED_AT} entities to look at: ask for fewer")
            evolving = evolving_of(look, entity, conditions, window)
            keys = [key for key in keys_of(look, entity, chosen) if key != SCOPE]
            if _holds(look, evolving, keys, conditions):
                yield evolving
        after = page.next_after
        if after is None:
            return


def evolving_of(look: Look, entity: Entity, conditions: Conditions, window: Window) -> Evolving:
    """The entity with the parts of the window in which its scopes were as asked for (clauses 4.18, 5.7.4.4); of no part: never. One that
    never told of its scopes has those of now for all time."""
    condition = conditions.scope
    if condition is None:
        return Evolving(entity, (window,))
    told = _scopes_over_time(look, entity, window)
    if not told:
        return Evolving(entity, (window,) if matches(entity, condition) else (), ())
    windows: list[Window] = []
    scopes: list[Moment] = []
    for place, (start, moment) in enumerate(told):
        end = told[place + 1][0] if place + 1 < len(told) else INSTANT_MAX
        start, end = max(start, window.start), min(end, window.end)
        value = moment.attribute.get("value")
        seen = replace(entity, scopes=tuple([value] if isinstance(value, str) else value or ()))
        if start >= end or moment.deleted_at is not None or not matches(seen, condition):
            continue
        scopes.append(moment)
        if windows and windows[-1].end == start:
            windows[-1] = replace(windows[-1], end=end)
        else:
            windows.append(replace(window, start=start, end=end))
    return Evolving(entity, tuple(windows), tuple(scopes))


def _scopes_over_time(look: Look, entity: Entity, window: Window) -> list[tuple[Instant, Moment]]:
    """(since when, scopes) in order, in the time that the window is in. What was given without an observedAt holds from the beginning
    unless other scopes are known of."""
    by_observation = window.property in (OBSERVED_AT, ANY_TIME)
    told: list[tuple[Instant, Moment]] = []
    for property_ in (ANY_TIME if by_observation else CREATED_AT, DELETED_AT):
        for row in look.read.list_instances(entity.id, [SCOPE], Window(property_), SCOPES_LOOKED_AT, newest=True):
            moment = _moment(row, entity)
            timeless = (
                by_observation and not told and moment.deleted_at is None and "observedAt" not in moment.attribute
            )
            told.append((0 if timeless else row.at, moment))
    return sorted(told, key=lambda pair: (pair[0], pair[1].created_at))


def _holds(look: Look, evolving: Evolving, keys: Sequence[str], conditions: Conditions) -> bool:
    entity, windows = evolving.entity, evolving.windows
    newest = [row for w in windows for row in look.read.list_instances(entity.id, keys, w, 1, newest=True)]
    if all(_is_over(look, row) for row in newest) and not any(
        not _is_over(look, row)
        for window in windows
        for row in look.read.list_instances(entity.id, keys, window, INSTANCES_LOOKED_AT if newest else 1, newest=True)
    ):
        return False
    if conditions.where is None and conditions.place is None:
        return True
    every = keys_of(look, entity, Chosen())
    attributes: Attributes = {}
    for window in windows:
        for row in look.read.list_instances(entity.id, every, window, INSTANCES_LOOKED_AT, newest=True):
            # As instances of one attribute, told apart by a number: a condition holds when it holds for one of them.
            if not _is_over(look, row):
                attributes[f"{split_key(row.key)[0]} {len(attributes)}"] = whole_instance(row, entity)
    seen = replace(entity, attributes=attributes)
    return matches(seen, conditions.where) and in_place(seen, conditions.place)


def aggregates_of(look: Look, evolving: Evolving, keys: Sequence[str], ask: TemporalAsk) -> dict[str, Aggregate]:
    """Figures by key. Periods begin at timeAt (after, between), else at the entity's first instance among the keys. Raises BadQuestion
    for too many periods."""
    entity, windows, window = evolving.entity, evolving.windows, ask.window
    first: Instant | None = window.start if ask.relation in ("after", "between") else None
    starts = [row for w in windows for row in look.read.list_instances(entity.id, keys, w, 1, newest=False)]
    ends = [row for w in windows for row in look.read.list_instances(entity.id, keys, w, 1, newest=True)]
    if not starts:
        return {}
    kinds = {
        row.key: str(whole_instance(row, entity).get("type", "Property"))
        for row in (*starts, *ends)
        if not _is_over(look, row)
    }
    earliest, last = min(row.at for row in starts), max(row.at for row in ends)
    origin = earliest if first is None else (ask.time_at if ask.time_at is not None else first)
    period = ask.period
    if period.length and not period.months:
        # Only periods that hold something are told: begin with the first of them.
        origin += (earliest - origin) // period.length * period.length
        if (last - origin) // period.length >= PERIODS_MAX:
            raise BadQuestion("aggrPeriodDuration", f"gives more than {PERIODS_MAX} periods: take longer ones")
    found = {}
    for key in keys:
        if key not in kinds or split_key(key)[0] == SCOPE:
            continue
        figures = _figures(look, evolving, key, ask, origin, last)
        found[key] = Aggregate(kinds[key], figures)
    return found


def _figures(
    look: Look, evolving: Evolving, key: str, ask: TemporalAsk, origin: Instant, last: Instant
) -> dict[str, list[tuple[Any, Instant, Instant]]]:
    entity, windows, period, window = evolving.entity, evolving.windows, ask.period, ask.window
    figures: dict[str, list[tuple[Any, Instant, Instant]]] = {method: [] for method in ask.methods}
    state = entity.attributes.get(key)
    may_expire = state is None or "expiresAt" in state
    if not period.months and len(windows) == 1 and not may_expire:
        rows = look.read.aggregate(entity.id, key, windows[0], ask.methods, origin, period.length)
        if rows is not None:
            for row in rows:
                start = origin + row.number * period.length
                end = start + period.length if period.length else _end(window, last)
                values = {
                    "totalCount": row.count, "distinctCount": row.distinct, "sum": row.sum, "min": row.minimum,
                    "avg": None if row.sum is None else row.sum / row.count, "max": row.maximum, "sumsq": row.sumsq,
                    "stddev": row.stddev,
                }  # fmt: skip
                for method in ask.methods:
                    figures[method].append((values[method], start, end))
            return figures
    values_of = [
        (row.at, content_of(whole_instance(row, entity)))
        for part in windows
        for row in look.read.list_instances(entity.id, [key], part, INSTANCES_LOOKED_AT, newest=True)
        if not _is_over(look, row)
    ]
    spans = periods(period, origin, last) if period.months or period.length else iter([(origin, _end(window, last))])
    at = 0
    for number, (start, end) in enumerate(spans):
        if number >= PERIODS_MAX:
            raise BadQuestion("aggrPeriodDuration", f"gives more than {PERIODS_MAX} periods: take longer ones")
        inside = []
        while (at < len(values_of) and values_of[at][0] < end) or (
            not period.length and not period.months and at < len(values_of)
        ):
            inside.append(values_of[at][1])
            at += 1
        for method in ask.methods if inside else ():
            value = aggregate_values(method, inside)
            if value is not None:
                figures[method].append((value, start, end))
    return figures


def _end(window: Window, last: Instant) -> Instant:
    return last if window.end >= INSTANT_MAX else window.end
