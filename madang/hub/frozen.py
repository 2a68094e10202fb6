"""What a snapshot holds, read like a store: the part of `madang.hub.ports.Read` that the NGSI-LD questions ask, in memory.

`tests/hub/test_frozen.py` holds it to what the store answers. Entities stay as they were: what has expired since is still there, because
a look at a snapshot has the snapshot's own time.
"""

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from madang.hub.ports import AggregateRow, AttributeUse, Body, BodyPage, InstanceRow, Page
from madang.model.entity import Entity, alive_at, split_key
from madang.model.time import Instant
from madang.ngsild.match import in_place, matches
from madang.ngsild.query import And, Compare, Linked, Node, Not, Or, Query
from madang.ngsild.sort import sort_entities
from madang.ngsild.temporal import ANY_TIME, CREATED_AT, DELETED_AT, MODIFIED_AT, OBSERVED_AT, Window


class Frozen(Struct, frozen=True):
    """An entity as a snapshot holds it."""

    entity: Entity
    is_current: bool = True
    """Found by a query of current entities; else only its evolution is there."""
    instances: list[InstanceRow] | None = None
    """Its evolution, when a temporal query found it."""


class FrozenRead:
    """See the module's docstring. `evolving`: read for the temporal API."""

    def __init__(self, rows: Iterable[Frozen], *, evolving: bool = False) -> None:
        kept = sorted(rows, key=lambda row: row.entity.id)
        self._rows = {row.entity.id: row for row in kept if (row.instances is not None if evolving else row.is_current)}

    # ── entities ────────────────────────────────────────────────────────────

    def find_entity(self, id_: str, *, stamps: bool = False) -> Entity | None:
        """See `Read`."""
        row = self._rows.get(id_)
        return None if row is None else _shown(row.entity, stamps=stamps)

    def query(self, query: Query) -> Page:
        """See `Read`."""
        found = self._matching(query)
        page = found[query.offset : query.offset + query.limit]
        more = len(found) > query.offset + query.limit
        entities = [_shown(entity, stamps=query.stamps) for entity in page]
        return Page(entities, len(found) if query.count else None, entities[-1].id if more and entities else None)

    def query_ids(self, query: Query) -> list[str]:
        """See `Read`."""
        return [entity.id for entity in self._matching(query)[query.offset : query.offset + query.limit]]

    def query_bodies(self, query: Query) -> BodyPage:
        """See `Read`. There are no stored texts: every entity wants a closer look."""
        page = self.query(query)
        rows = [(entity.id, Body(entity.type, "{}", is_plain=False)) for entity in page.entities]
        return BodyPage(rows, page.total, page.next_after is not None)

    def _matching(self, query: Query) -> list[Entity]:
        where = None if query.where is None else self._without_links(query.where)
        ids = frozenset(query.ids)
        pattern = None if query.id_pattern is None else re.compile(query.id_pattern)
        found = []
        for id_, row in self._rows.items():
            if (ids and id_ not in ids) or (query.after is not None and id_ <= query.after):
                continue
            if pattern is not None and pattern.search(id_) is None:
                continue
            entity: Entity | None = row.entity
            if query.alive_at is not None:
                entity = alive_at(row.entity, query.alive_at)
            if entity is not None and _fits(entity, query, where):
                found.append(entity)
        return sort_entities(found, query.order) if query.order else found

    def _without_links(self, node: Node) -> Node:
        """The condition with the ids that its links may lead to in their place."""
        match node:
            case And(items):
                return And(tuple(self._without_links(item) for item in items))
            case Or(items):
                return Or(tuple(self._without_links(item) for item in items))
            case Not(item):
                return Not(self._without_links(item))
            case Linked(attribute, item, sub):
                met = self._without_links(item)
                ids = [id_ for id_, row in self._rows.items() if matches(row.entity, met)]
                return Compare(attribute, "==", ids, sub=sub)
        return node

    # ── what there is ───────────────────────────────────────────────────────

    def list_types(self) -> dict[str, int]:
        """See `Read`."""
        counts: dict[str, int] = {}
        for row in self._rows.values():
            for name in row.entity.all_types:
                counts[name] = counts.get(name, 0) + 1
        return dict(sorted(counts.items()))

    def list_attributes(self, types: Sequence[str] | None = None) -> list[AttributeUse]:
        """See `Read`."""
        counts: dict[tuple[str, str, str], int] = {}
        for row in self._rows.values():
            uses = {(split_key(k)[0], str(a.get("type", "Property"))) for k, a in row.entity.attributes.items()}
            for type_ in row.entity.all_types:
                for name, kind in uses:
                    if types is None or type_ in types:
                        counts[type_, name, kind] = counts.get((type_, name, kind), 0) + 1
        return [AttributeUse(*use, count) for use, count in sorted(counts.items())]

    # ── evolutions ──────────────────────────────────────────────────────────

    def list_evolving(self, entity_id: str) -> list[str]:
        """See `Read`."""
        return sorted({row.key for row in self._instances(entity_id)})

    def list_instances(
        self, entity_id: str, keys: Sequence[str], window: Window, limit: int, *, newest: bool
    ) -> list[InstanceRow]:
        """See `Read`."""
        found: dict[str, list[InstanceRow]] = {key: [] for key in sorted(set(keys))}
        for row in self._instances(entity_id):
            at = _time_of(row, window.property)
            if row.key in found and at is not None and window.start <= at < window.end:
                found[row.key].append(replace(row, at=at))
        result: list[InstanceRow] = []
        for rows in found.values():
            rows.sort(key=lambda row: (row.at, row.token))
            result += rows[-limit:] if newest else rows[:limit]
        return result

    def aggregate(
        self, entity_id: str, key: str, window: Window, methods: Sequence[str], origin: Instant | None, length: int
    ) -> list[AggregateRow] | None:
        """See `Read`: figures are made from the instances."""
        return None

    def _instances(self, entity_id: str) -> list[InstanceRow]:
        row = self._rows.get(entity_id)
        return [] if row is None or row.instances is None else row.instances


def _fits(entity: Entity, query: Query, where: Node | None) -> bool:
    if query.types and not any(name in query.types for name in entity.all_types):
        return False
    if query.attributes:
        names = {split_key(key)[0] for key in entity.attributes}
        if not any(name in names for name in query.attributes):
            return False
    return matches(entity, where) and in_place(entity, query.place)


def _shown(entity: Entity, *, stamps: bool) -> Entity:
    return entity if stamps else replace(entity, stamps={})


def _time_of(row: InstanceRow, name: str) -> Instant | None:
    """The time property of an instance; a deletion has none but that."""
    if row.deleted_at is not None:
        return row.deleted_at if name == DELETED_AT else None
    is_observed = row.attribute is None or "observedAt" in row.attribute
    times = {
        OBSERVED_AT: row.observed_at if is_observed else None,
        CREATED_AT: row.created_at,
        MODIFIED_AT: row.modified_at,
        ANY_TIME: row.observed_at,
    }
    return times.get(name)
