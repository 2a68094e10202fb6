"""A query over this broker and its context sources (ETSI GS CIM 009 clause 5.7.2).

Every source is asked for the first `offset + limit` of what it has; all is merged, sorted by id, and the page is cut from it.
That is exact as long as the sources sort by id too, and bounded in any case. Ordering otherwise is refused, as clause 4.23
asks.
"""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from madang.api.handlers.ngsild.common import type_selection
from madang.api.handlers.ngsild.distribute import FILTERS, parts_to_read, read_remote, types_in, visible
from madang.api.route import Call
from madang.hub.federation import Found, Read
from madang.hub.ports import Page
from madang.hub.queries.look import Look
from madang.model.entity import Entity, split_key
from madang.ngsild.context import Context
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.federation import merge_all
from madang.ngsild.match import in_place, matches
from madang.ngsild.query import Query
from madang.ngsild.registration import Selection
from madang.ngsild.veil import veil_query

GATHERED_MAX = 10_000
"""Entities that one source gives for a page: what lies behind needs a narrower query."""


class Gather(Struct, frozen=True):
    """What the sources have, ready to be merged with what is here."""

    query: Query
    local: Query
    """What is asked of the store."""
    found: Found
    is_split: bool
    """Entities may be split among brokers: conditions hold for the merged ones."""

    def page(self, look: Look) -> Page:
        """The page of the merged result. Raises NgsiLdError for a condition on linked entities of split ones."""
        asked = self.query
        here = look.query(self.local)
        merged = merge_all(here.entities, visible(look, self.found.fragments))
        if self.is_split:
            try:
                veiled = veil_query(asked, look.hidden)
                merged = [entity for entity in merged if holds(entity, veiled)]
            except ValueError as error:
                raise NgsiLdError(f"cannot be decided for split entities: {error}", "q") from None
        end = asked.offset + asked.limit
        entities = merged[asked.offset : end]
        counted = len(merged)
        if not self.is_split and here.total is not None:
            # An entity that two brokers have counts once as far as it was fetched.
            counted = here.total + self.found.total - (len(here.entities) + len(self.found.fragments) - len(merged))
        more = len(merged) > end
        return Page(entities, counted if asked.count else None, entities[-1].id if more and entities else None)


def holds(entity: Entity, asked: Query) -> bool:
    """Does a merged entity meet the conditions? Raises ValueError for one on linked entities."""
    names = {split_key(key)[0] for key in entity.attributes}
    return (
        (not asked.attributes or any(name in names for name in asked.attributes))
        and matches(entity, asked.where)
        and in_place(entity, asked.place)
    )


async def gather_query(
    call: Call, context: Context, query: Query, given: dict[str, Any], body: dict[str, Any] | None
) -> Gather | None:
    """Ask the sources that match; None when none does. `given`: the query's parameters, those of the body among them. Raises
    NgsiLdError: ordering of a distributed query."""
    asked, id_pattern = selection_of(query, given, body, context)
    parts = parts_to_read(call, asked, context, given.get("csf"))
    if not parts:
        return None
    if query.order:
        raise NgsiLdError("a query that context sources take part in is not ordered: add local=true", "orderBy")
    end = query.offset + query.limit
    if end > GATHERED_MAX:
        raise NgsiLdError(f"a distributed query gives its first {GATHERED_MAX} entities: narrow it", "offset")
    is_split = bool(given.get("splitEntities"))
    read = Read(
        ids=asked.ids,
        types=given.get("type"),
        id_pattern=id_pattern,
        parameters=parameters_of(given, body, query, is_split=is_split),
        sys_attrs=query.stamps,
        by_body=body is not None,
    )
    found = await read_remote(call, parts, context, read)
    local = replace(query, offset=0, limit=end + 1)
    if is_split:
        types = type_selection(given, context)
        local = replace(local, where=types, attributes=(), place=None, limit=GATHERED_MAX)
    return Gather(query, local, found, is_split)


def parameters_of(
    given: dict[str, Any], body: dict[str, Any] | None, query: Query, *, is_split: bool
) -> tuple[tuple[str, str], ...]:
    """The URL parameters of a query that sources get too: conditions, unless entities are split, and the page."""
    pairs: list[tuple[str, str]] = []
    if not is_split:
        pairs += [(name, str(given[name])) for name in FILTERS if given.get(name) is not None]
        geo = (body or {}).get("geoQ")
        if isinstance(geo, dict):
            pairs += [(name, str(geo[name])) for name in ("georel", "geometry", "geoproperty") if name in geo]
            pairs.append(("coordinates", str(geo.get("coordinates", [])).replace("'", '"')))
    limit = GATHERED_MAX if is_split else query.offset + query.limit + 1
    pairs.append(("limit", str(min(limit, 1_000))))
    if query.count:
        pairs.append(("count", "true"))
    return tuple(pairs)


def selection_of(
    query: Query, given: dict[str, Any], body: dict[str, Any] | None, context: Context
) -> tuple[Selection, str | None]:
    """(what a query is about, for choosing sources; its id pattern)."""
    names = query.attributes
    if body is None or not isinstance(body.get("entities"), list):
        asked = Selection(types_in(given.get("type"), context), query.ids, query.id_pattern, names)
        return asked, query.id_pattern
    types: list[str] = []
    ids: list[str] = []
    patterns: list[str] = []
    for selector in body["entities"]:
        types += types_in(selector.get("type"), context) if isinstance(selector.get("type"), str) else ()
        id_ = selector.get("id")
        ids += [id_] if isinstance(id_, str) else id_ if isinstance(id_, list) else []
        if "idPattern" in selector:
            patterns.append(selector["idPattern"])
    if any("id" not in selector for selector in body["entities"]):
        ids = []
    pattern = patterns[0] if len(patterns) == len(body["entities"]) == 1 else None
    return Selection(tuple(types), tuple(ids), pattern, names), pattern
