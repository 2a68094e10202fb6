"""How entities evolved: the temporal API's questions (ETSI GS CIM 009 clauses 5.7.3, 5.7.4).

The one gate stays in force: an entity that the caller may not see now has no evolution for it, and a hidden attribute is neither shown
nor does a condition look at it.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from madang.hub.evolution import whole_instance
from madang.hub.queries.errors import BadQuestion
from madang.hub.queries.look import Look
from madang.model.entity import Attributes, Entity, split_key
from madang.model.time import INSTANT_MAX, Instant
from madang.ngsild.match import in_place, matches
from madang.ngsild.patch import content_of
from madang.ngsild.query import Near, Node, Query, Spatial
from madang.ngsild.render import DEFAULT_DATASET
from madang.ngsild.temporal import PERIODS_MAX, TemporalAsk, Window, periods
from madang.ngsild.temporal_aggregate import aggregate_values
from madang.ngsild.temporal_render import SCOPE, Aggregate, Moment

ENTITY_PAGE = 200
"""Entities that are read at once when conditions are checked on their instances."""
ENTITIES_LOOKED_AT = 100_000
"""Entities whose instances one query looks at; beyond, it must be narrower."""
INSTANCES_LOOKED_AT = 1_000_000
"""Instances of one attribute that are aggregated or matched one by one."""

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


def keys_of(look: Look, entity: Entity, chosen: Chosen) -> list[str]:
    """Keys of the chosen attributes with an evolution, without those that policy hides."""
    hidden = look.mask(entity.type).names
    return [k for k in look.read.list_evolving(entity.id) if split_key(k)[0] not in hidden and chosen.has(k)]


def moments_of(look: Look, entity: Entity, keys: Sequence[str], ask: TemporalAsk, limit: int) -> Moments:
    """Instances in the window by key, oldest first; of each key at most `limit`: the newest when lastN asks for them, else the oldest."""
    newest = ask.last_n is not None
    count = limit if ask.last_n is None else min(limit, ask.last_n)
    found: Moments = {}
    for row in look.read.list_instances(entity.id, keys, ask.window, count, newest=newest):
        attribute = whole_instance(row, entity)
        moment = Moment(row.token, row.at, attribute, row.created_at, row.modified_at, row.deleted_at)
        found.setdefault(row.key, []).append(moment)
    return found


def query_evolving(
    look: Look, query: Query, conditions: Conditions, chosen: Chosen, window: Window
) -> Iterator[Entity]:
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
            if _holds(look, entity, conditions, chosen, window):
                yield entity
        after = page.next_after
        if after is None:
            return


def _holds(look: Look, entity: Entity, conditions: Conditions, chosen: Chosen, window: Window) -> bool:
    keys = keys_of(look, entity, chosen)
    if not keys or not look.read.list_instances(entity.id, keys, window, 1, newest=False):
        return False
    if conditions.where is None and conditions.place is None:
        return True
    every = keys_of(look, entity, Chosen())
    attributes: Attributes = {}
    for number, row in enumerate(look.read.list_instances(entity.id, every, window, INSTANCES_LOOKED_AT, newest=True)):
        # As instances of one attribute, told apart by a number: a condition holds when it holds for one of them.
        attributes[f"{split_key(row.key)[0]} {number}"] = whole_instance(row, entity)
    seen = replace(entity, attributes=attributes)
    return matches(seen, conditions.where) and in_place(seen, conditions.place)


def aggregates_of(look: Look, entity: Entity, keys: Sequence[str], ask: TemporalAsk) -> dict[str, Aggregate]:
    """Figures by key. Periods begin at timeAt (after, between), else at the entity's first instance among the keys. Raises BadQuestion
    for too many periods."""
    window = ask.window
    first: Instant | None = window.start if ask.relation in ("after", "between") else None
    starts = look.read.list_instances(entity.id, keys, window, 1, newest=False)
    ends = look.read.list_instances(entity.id, keys, window, 1, newest=True)
    if not starts:
        return {}
    kinds = {row.key: str(whole_instance(row, entity).get("type", "Property")) for row in starts}
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
        figures = _figures(look, entity, key, ask, origin, last)
        found[key] = Aggregate(kinds[key], figures)
    return found


def _figures(
    look: Look, entity: Entity, key: str, ask: TemporalAsk, origin: Instant, last: Instant
) -> dict[str, list[tuple[Any, Instant, Instant]]]:
    period, window = ask.period, ask.window
    figures: dict[str, list[tuple[Any, Instant, Instant]]] = {method: [] for method in ask.methods}
    if not period.months:
        rows = look.read.aggregate(entity.id, key, window, ask.methods, origin, period.length)
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
        for row in look.read.list_instances(entity.id, [key], window, INSTANCES_LOOKED_AT, newest=True)
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
