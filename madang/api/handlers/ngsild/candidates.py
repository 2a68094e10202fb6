"""Queries as an entity map sees them (`madang.api.handlers.ngsild.mapped`): of current entities, here and at context sources, and of
evolutions.
"""

import asyncio
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from msgspec.structs import replace

from madang.api.errors import Problem
from madang.api.handlers.entities import question
from madang.api.handlers.ngsild.common import type_selection
from madang.api.handlers.ngsild.distribute import parts_to_read, read_remote, visible
from madang.api.handlers.ngsild.gather import GATHERED_MAX, holds, parameters_of, selection_of
from madang.api.handlers.ngsild.mapped import Checked
from madang.api.route import Call
from madang.hub.entity_maps import ENTRIES_MAX
from madang.hub.federation import Found, Read
from madang.hub.queries.evolution import Chosen, Conditions, query_evolving
from madang.hub.queries.look import Look
from madang.model.entity import Entity
from madang.ngsild.context import Context
from madang.ngsild.entity_map import HERE, Entry
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.federation import Fragment, Part, merge_all
from madang.ngsild.query import Query
from madang.ngsild.temporal import Window

LOCAL_BATCH = 500
"""Entities of this broker that are checked in one look."""
REMOTE_BATCH = 100
"""Ids in one request to a context source: some 6 KB of its address."""
REMOTE_PAGE = 1_000
"""Entities in one answer of a context source, while a map is made."""


class EntityCandidates:
    """A query of current entities (clause 5.7.2). `query` has neither page nor count."""

    def __init__(
        self, call: Call, context: Context, query: Query, given: dict[str, Any], body: dict[str, Any] | None
    ) -> None:
        self._call = call
        self._context = context
        self._query = query
        self._given = given
        self._is_split = bool(given.get("splitEntities"))
        selection, self._id_pattern = selection_of(query, given, body, context)
        self._ids = frozenset(query.ids or selection.ids)
        alone = body is not None and body.get("local") is True
        self._parts = [] if alone else parts_to_read(call, selection, context, given.get("csf"))
        if self._parts and query.order:
            raise NgsiLdError("a query that context sources take part in is not ordered: add local=true", "orderBy")
        pairs = parameters_of(given, body, replace(query, limit=1), is_split=self._is_split)
        self._read = Read(
            types=given.get("type"),
            parameters=tuple(pair for pair in pairs if pair[0] not in ("limit", "count")),
            sys_attrs=query.stamps,
            by_body=body is not None,
        )
        self.batch = REMOTE_BATCH if self._parts else LOCAL_BATCH

    @property
    def order(self) -> str:
        """How the query orders, comparable."""
        return repr(self._query.order) if self._query.order else ""

    async def every(self) -> tuple[list[Entry], Sequence[str]]:
        """See `Candidates`."""
        founds = await asyncio.gather(*(self._read_all(part) for part in self._parts))
        fragments = [fragment for found in founds for fragment in found.fragments]
        warnings = [warning for found in founds for warning in found.warnings]

        def ask(look: Look) -> list[Entry]:
            there = visible(look, fragments)
            if self._is_split and there:
                return self._split_entries(look, there)
            ids = look.query_ids(replace(self._query, limit=ENTRIES_MAX + 1))
            return _entries(ids, there) if there else [Entry(id_) for id_ in ids]

        return await self._call.run(question, self._call, ask), warnings

    async def whole(self, limit: int) -> tuple[list[Entity], Sequence[str]]:
        """(all entities that the query finds, by id, warnings of context sources): what is here in one look. Raises Problem for more than
        `limit`."""
        founds = await asyncio.gather(*(self._read_all(part) for part in self._parts))
        fragments = [fragment for found in founds for fragment in found.fragments]

        def ask(look: Look) -> list[Entity]:
            there = visible(look, fragments)
            is_split = self._is_split and bool(there)
            query = replace(self._query, limit=limit)
            page = look.query(self._unconditional(query) if is_split else query)
            if page.next_after is not None:
                raise _too_many(limit)
            merged = merge_all(page.entities, there)
            return list(self._fitting(merged).values()) if is_split else merged

        merged = await self._call.run(question, self._call, ask)
        if len(merged) > limit:
            raise _too_many(limit)
        return merged, [warning for found in founds for warning in found.warnings]

    def _split_entries(self, look: Look, there: list[Fragment]) -> list[Entry]:
        """Of entities whose parts meet the conditions only together."""
        query = self._unconditional(replace(self._query, limit=GATHERED_MAX))
        page = look.query(query)
        if page.next_after is not None:
            raise NgsiLdError(f"splitEntities looks at {GATHERED_MAX} entities here: name types or ids", "query")
        merged = self._fitting(merge_all(page.entities, there))
        return [entry for entry in _entries([e.id for e in page.entities], there) if entry.id in merged]

    async def check(self, entries: Sequence[Entry]) -> Checked:
        """See `Candidates`."""
        wanted = [entry for entry in entries if self._may_be(entry.id)]
        found = await self._read_some(wanted)
        here = tuple(entry.id for entry in wanted if HERE in entry.sources)

        def ask(look: Look) -> dict[str, Entity]:
            query = replace(self._query, ids=here, order=(), limit=max(1, len(here)))
            local = look.query(self._unconditional(query) if self._is_split else query).entities if here else []
            there = visible(look, found.fragments)
            merged = merge_all(local, there)
            if self._is_split and there:
                return self._fitting(merged)
            return {entity.id: entity for entity in merged}

        entities = await self._call.run(question, self._call, ask)
        unknown = frozenset(e.id for e in wanted if e.id not in entities and found.failed.intersection(e.sources))
        return Checked(entities, unknown, found.warnings)

    async def tally(self, entries: Sequence[Entry]) -> int:
        """See `Candidates`."""
        wanted = [entry for entry in entries if self._may_be(entry.id)]
        here = tuple(entry.id for entry in wanted if entry.sources == (HERE,))
        if not here:
            return len(wanted)
        query = replace(self._query, ids=here, order=(), limit=1, count=True)
        page = await self._call.run(question, self._call, lambda look: look.query(query))
        return len(wanted) - len(here) + (page.total or 0)

    def _may_be(self, id_: str) -> bool:
        pattern = self._query.id_pattern
        return (not self._ids or id_ in self._ids) and (pattern is None or re.search(pattern, id_) is not None)

    def _unconditional(self, query: Query) -> Query:
        """The query before its conditions: they are for what has been merged."""
        return replace(query, where=type_selection(self._given, self._context), attributes=(), place=None)

    def _fitting(self, merged: Iterable[Entity]) -> dict[str, Entity]:
        try:
            return {entity.id: entity for entity in merged if holds(entity, self._query)}
        except ValueError as error:
            raise NgsiLdError(f"cannot be decided for split entities: {error}", "q") from None

    async def _read_all(self, part: Part) -> Found:
        """All that one source has, page by page."""
        every = Found([], [])
        known: set[str] = set()
        while True:
            page = (("limit", str(REMOTE_PAGE)), ("offset", str(len(known))))
            pairs = (*self._read.parameters, *(page if known else page[:1]))
            ids = tuple(sorted(self._ids))
            read = replace(self._read, ids=ids, id_pattern=self._id_pattern, parameters=pairs)
            found = await read_remote(self._call, [part], self._context, read)
            new = [fragment for fragment in found.fragments if fragment.entity.id not in known]
            known.update(fragment.entity.id for fragment in new)
            every.fragments += new
            every.warnings += found.warnings
            # A source that counts tells more than it sends; one that ignores `offset` tells nothing new.
            if not new or found.total < REMOTE_PAGE or len(known) > ENTRIES_MAX:
                return every

    async def _read_some(self, entries: Sequence[Entry]) -> Found:
        """These entities from the sources that have them."""
        asked: list[tuple[Part, tuple[str, ...]]] = []
        for part in self._parts:
            ids = tuple(entry.id for entry in entries if part.registration.id in entry.sources)
            if ids:
                asked.append((part, ids))
        founds = await asyncio.gather(*(self._read_ids(part, ids) for part, ids in asked))
        every = Found([], [])
        for found in founds:
            every.fragments += found.fragments
            every.warnings += found.warnings
            every.failed |= found.failed
        return every

    async def _read_ids(self, part: Part, ids: tuple[str, ...]) -> Found:
        pairs = (*self._read.parameters, ("limit", str(len(ids))))
        found = await read_remote(self._call, [part], self._context, replace(self._read, ids=ids, parameters=pairs))
        found.fragments = [fragment for fragment in found.fragments if fragment.entity.id in ids]
        return found


def _too_many(limit: int) -> Problem:
    return Problem(403, "too-many-results", f"More than {limit} entities match: ask for fewer.", kind="TooManyResults")


def _entries(here: Sequence[str], there: Sequence[Fragment]) -> list[Entry]:
    """By id, each with all its sources: this broker first."""
    sources: dict[str, list[str]] = {id_: [HERE] for id_ in here}
    for fragment in there:
        known = sources.setdefault(fragment.entity.id, [])
        if fragment.source not in known:
            known.append(fragment.source)
    return [Entry(id_, tuple(sources[id_])) for id_ in sorted(sources)]


class EvolutionCandidates:
    """A query of evolutions (clause 5.7.4): what this broker has."""

    batch = 200

    def __init__(
        self, call: Call, query: Query, conditions: Conditions, chosen: Chosen, window: Window, *, descending: bool
    ) -> None:
        self._call = call
        self._query = query
        self._conditions = conditions
        self._chosen = chosen
        self._window = window
        self._descending = descending

    @property
    def order(self) -> str:
        """How the query orders, comparable."""
        return "id;desc" if self._descending else ""

    async def every(self) -> tuple[list[Entry], Sequence[str]]:
        """See `Candidates`."""

        def ask(look: Look) -> list[Entry]:
            found = [Entry(entity.id) for entity in islice(self._evolving(look, self._query), ENTRIES_MAX + 1)]
            return found[::-1] if self._descending else found

        return await self._call.run(question, self._call, ask), ()

    async def check(self, entries: Sequence[Entry]) -> Checked:
        """See `Candidates`."""
        asked = self._query.ids
        ids = tuple(entry.id for entry in entries if HERE in entry.sources and (not asked or entry.id in asked))
        if not ids:
            return Checked({})

        def ask(look: Look) -> dict[str, Entity]:
            return {entity.id: entity for entity in self._evolving(look, replace(self._query, ids=ids))}

        return Checked(await self._call.run(question, self._call, ask))

    async def tally(self, entries: Sequence[Entry]) -> int:
        """See `Candidates`."""
        return len((await self.check(entries)).entities)

    def _evolving(self, look: Look, query: Query) -> Iterable[Entity]:
        found = query_evolving(look, query, self._conditions, self._chosen, self._window)
        return (evolving.entity for evolving in found)
