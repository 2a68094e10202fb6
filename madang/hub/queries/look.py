"""One look at the hub: a caller, a language, a snapshot. Every question is asked through it, so policy is in one place."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from madang.access.policy import Everything, Mask, Nothing, Scope, Subject, mask_of, plain_values, scope, sees
from madang.hub.hub import Hub
from madang.hub.ports import BodyPage, Extent, Page, Read
from madang.hub.queries.errors import NotFound, Refused
from madang.hub.words import find_label, last_part
from madang.model.caller import Caller
from madang.model.entity import Entity, alive_at
from madang.model.finding import Reason
from madang.model.record import Record
from madang.model.time import Instant
from madang.ngsild.query import And, Compare, Linked, Node, Not, OfType, Or, Query
from madang.ngsild.veil import veil_query
from madang.procedure.contract import RecordType

OWN_IDS_MAX = 10_000


class Look:
    """See the module's docstring. Lives as long as its snapshot; one thread.

    `read` is what is looked at. For a frozen past (`madang.hub.frozen`) `now` is its time, and `live` says who owns what today: that
    decides what the caller may see of it."""

    def __init__(
        self, hub: Hub, caller: Caller, lang: str, read: Read, *, live: Read | None = None, now: Instant | None = None
    ) -> None:
        self.hub = hub
        self.caller = caller
        self.lang = lang
        self.read = read
        self.now = hub.clock.now() if now is None else now
        self._live = read if live is None else live
        self._own_ids: frozenset[str] | None = None
        self._hidden: frozenset[str] | None = None
        self._predicate: Node | None = None
        self._has_predicate = False
        self._labels: dict[str, str] = {}

    # ── policy ──────────────────────────────────────────────────────────────

    def subject(self, type_: str) -> Subject:
        """What policy must know of a type; an undeclared one is a thing of no party."""
        registry = self.hub.registry
        record_type = registry.record_types.get(type_)
        if record_type is not None:
            return Subject(type_, "record", record_type.data_class, record_type.parties, record_type.read_permission)
        declared = registry.entity_types.get(type_)
        if declared is None:
            return Subject(type_, "thing")
        return Subject(type_, declared.kind, declared.data_class, declared.parties)

    def scope(self, type_: str) -> Scope:
        """What of a type this caller sees."""
        subject = self.subject(type_)
        return scope(self.caller, subject, self.own_ids if subject.parties else ())

    def may_see_type(self, type_: str) -> bool:
        return not isinstance(self.scope(type_), Nothing)

    def require_type(self, type_: str) -> None:
        """Raises Refused when nothing of the type is for this caller."""
        if not self.may_see_type(type_):
            raise Refused(f"You may not see {type_}: it needs the permission {self.subject(type_).read_permission}.")

    @property
    def own_ids(self) -> frozenset[str]:
        """Ids of things that name the caller's party (its vehicles); empty for city staff."""
        if self._own_ids is None:
            self._own_ids = self._find_own_ids()
        return self._own_ids

    def _find_own_ids(self) -> frozenset[str]:
        party = self.caller.party
        if party is None:
            return frozenset()
        found: set[str] = set()
        for declared in self.hub.registry.entity_types.values():
            if declared.kind != "thing" or not declared.parties:
                continue
            where = Or(tuple(Compare(name, "==", party) for name in declared.parties))
            page = self._live.query(Query(types=(declared.name,), where=where, limit=OWN_IDS_MAX))
            found.update(entity.id for entity in page.entities)
        return frozenset(found)

    def mask(self, type_: str) -> Mask:
        """What to hide of a visible entity of the type."""
        return mask_of(self.caller, self.subject(type_))

    def query(self, query: Query) -> Page:
        """A query narrowed to what the caller sees and to what has not expired. Types that it may not see give nothing."""
        if query.types and not any(self.may_see_type(type_) for type_ in query.types):
            return Page([], 0 if query.count else None, None)
        return self.read.query(self.narrow(query))

    def query_bodies(self, query: Query) -> BodyPage:
        """The same unparsed, for answers that need not look into it. What policy hides of an entity is still in it: ask `mask`."""
        return self.read.query_bodies(self.narrow(query))

    def query_ids(self, query: Query) -> list[str]:
        """The ids of the same page alone."""
        return self.read.query_ids(self.narrow(query))

    def measure(self, query: Query) -> Extent:
        """Where and when what the caller sees of a query is. Cost: looks at every match."""
        return self.read.measure(self.narrow(query))

    @property
    def hidden(self) -> frozenset[str]:
        """Attributes that this caller sees of no entity, of whatever type."""
        if self._hidden is None:
            self._hidden = self.mask("").names
        return self._hidden

    def narrow(self, query: Query) -> Query:
        """The query with what policy adds to it, and without what has expired. What is hidden is not there for conditions either."""
        query = veil_query(query, self.hidden)
        where = query.where
        predicate = self.predicate
        if predicate is not None:
            where = predicate if where is None else And((narrow_linked(where, predicate), predicate))
        return msgspec.structs.replace(query, where=where, alive_at=self.now)

    @property
    def predicate(self) -> Node | None:
        """What an entity must meet to be seen by this caller; None: all are. An entity with several types must be visible under each
        type that a sector declares."""
        if self.caller.party is None:
            # City staff see by their permissions alone, which are those of a handful of roles.
            known = self.hub.predicates
            if self.caller.permissions not in known:
                known[self.caller.permissions] = self._find_predicate()
            return known[self.caller.permissions]
        if not self._has_predicate:
            self._predicate = self._find_predicate()
            self._has_predicate = True
        return self._predicate

    def _find_predicate(self) -> Node | None:
        registry = self.hub.registry
        scopes = {name: self.scope(name) for name in (*registry.entity_types, *registry.record_types)}
        items: list[Node] = []
        if not isinstance(self.scope(""), Everything):  # types that no sector declares
            visible = [name for name, seen in scopes.items() if not isinstance(seen, Nothing)]
            items.append(Or(tuple(OfType(name) for name in visible)))
        for name, seen in scopes.items():
            if isinstance(seen, Nothing):
                items.append(Not(OfType(name)))
            elif isinstance(seen, Or):
                items.append(Or((Not(OfType(name)), seen)))
        if not items:
            return None
        return items[0] if len(items) == 1 else And(tuple(items))

    def sees(self, entity: Entity) -> bool:
        """May the caller see this entity? Under each of its types that a sector declares."""
        registry = self.hub.registry
        declared = [t for t in entity.all_types if t in registry.entity_types or t in registry.record_types]
        values = plain_values(entity.attributes)
        for type_ in declared or [""]:
            subject = self.subject(type_)
            own = self.own_ids if subject.parties else ()
            if not sees(self.caller, subject, values, own, entity.id):
                return False
        return True

    def sees_record(self, record: Record) -> bool:
        """May the caller see this record?"""
        subject = self.subject(record.type)
        own = self.own_ids if subject.parties else ()
        return sees(self.caller, subject, record.data, own, record.id)

    def get_entity(self, id_: str) -> Entity:
        """The entity. Raises NotFound, also for one that is not the caller's to see."""
        entity = self.find_entity(id_)
        if entity is None:
            raise NotFound(f"There is no {id_}, or you may not see it.")
        return entity

    def find_entity(self, id_: str, *, stamps: bool = False) -> Entity | None:
        """The entity without what has expired; None when there is none, or none for this caller."""
        entity = self.read.find_entity(id_, stamps=stamps)
        entity = None if entity is None else alive_at(entity, self.now)
        return entity if entity is not None and self.sees(entity) else None

    def get_record(self, id_: str) -> Record:
        """The record. Raises NotFound, also for one that is not the caller's to see."""
        record = self.read.find_record(id_)
        if record is None or not self.sees_record(record):
            raise NotFound(f"There is no record {id_}, or you may not see it.")
        return record

    def record_type(self, name: str) -> RecordType:
        """The declaration. Raises NotFound."""
        record_type = self.hub.registry.record_types.get(name)
        if record_type is None:
            raise NotFound(f"There is no record type {name}.")
        return record_type

    # ── words ───────────────────────────────────────────────────────────────

    def label(self, id_: str) -> str:
        """What people call the entity with this id, read from the same snapshot."""
        known = self._labels.get(id_)
        if known is None:
            entity = self.read.find_entity(id_)
            known = (find_label(entity) if entity is not None else None) or last_part(id_)
            self._labels[id_] = known
        return known

    def say(self, reason: Reason | dict[str, Any] | str | None) -> str:
        """A reason as a sentence."""
        return "" if reason is None else self.hub.words.say(reason, self.lang)

    def title(self, titles: dict[str, str] | None, default: str = "") -> str:
        return self.hub.words.title(titles, self.lang, default)

    def type_title(self, type_: str) -> str:
        """What people call a type."""
        registry = self.hub.registry
        declared = registry.record_types.get(type_) or registry.entity_types.get(type_)
        return type_ if declared is None else self.title(declared.title, type_)


def narrow_linked(node: Node, predicate: Node) -> Node:
    """The condition, where it looks into linked entities only into those that meet the predicate."""
    match node:
        case And(items):
            return And(tuple(narrow_linked(item, predicate) for item in items))
        case Or(items):
            return Or(tuple(narrow_linked(item, predicate) for item in items))
        case Not(item):
            return Not(narrow_linked(item, predicate))
        case Linked(attribute, item, sub):
            return Linked(attribute, And((narrow_linked(item, predicate), predicate)), sub)
    return node


class Past(NamedTuple):
    """A frozen past that is looked at instead of the present (`madang.hub.frozen`)."""

    read: Read
    at: Instant


@contextmanager
def looking(hub: Hub, caller: Caller, lang: str, past: Past | None = None, *, quick: bool = False) -> Iterator[Look]:
    """A look for the length of a `with` block. `quick`: see `madang.hub.ports.Store.read`."""
    with hub.store.read(quick=quick) as read:
        if past is None:
            yield Look(hub, caller, lang, read)
        else:
            yield Look(hub, caller, lang, past.read, live=read, now=past.at)
