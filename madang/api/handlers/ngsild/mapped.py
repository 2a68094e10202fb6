"""Queries that go by an entity map (ETSI GS CIM 009 clauses 5.5.9.3, 5.7.1.4 to 5.7.4.4).

A map fixes which entities a query considers, and their order, when it is made. Each page is checked anew with the conditions of its own
request and with the caller's own eyes; what does not fit any more is taken out of the map from there on, and the page is filled from
what follows. So a walk by `Link` meets every entity that stays exactly once.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote, unquote

from msgspec import Struct

from madang.api.errors import Problem
from madang.api.route import Call
from madang.hub.entity_maps import ENTRIES_MAX, EntityMap
from madang.model.entity import Entity
from madang.model.time import Instant
from madang.ngsild.entity_map import LIFETIME, Entry, parse_lifetime
from madang.ngsild.errors import NgsiLdError

PATH = "/ngsi-ld/v1/entityMaps"
HEADER = "NGSILD-EntityMap"
BATCH_MIN = 20
"""Entries that are checked at once at least: with most of a map gone, a small page would ask often."""


class Wish(Struct, frozen=True):
    """What a request says of entity maps."""

    reference: str | None
    """Id of the map to use."""
    lifetime: Instant = LIFETIME
    """Of a new one, in microseconds."""


class Checked(Struct):
    """What is left of some entries."""

    entities: Mapping[str, Entity]
    """Those that fit, by id."""
    unknown: frozenset[str] = frozenset()
    """Ids whose context source did not answer: they stay in the map and are not on the page."""
    warnings: Sequence[str] = ()


class Candidates(Protocol):
    """A query, as a map sees it."""

    batch: int
    """Entries that are checked at once at most."""

    async def every(self) -> tuple[list[Entry], Sequence[str]]:
        """(all that the query finds, in its order, warnings of context sources)."""
        ...

    async def check(self, entries: Sequence[Entry]) -> Checked:
        """Those of the entries that fit the query now."""
        ...

    async def tally(self, entries: Sequence[Entry]) -> int:
        """How many of the entries fit the query now; those that only context sources have are counted as they stand."""
        ...


class MappedPage(Struct):
    """A page of a map."""

    entities: list[Entity]
    total: int | None
    more: bool
    next_offset: int
    is_new: bool
    headers: list[tuple[str, str]]


def wish_of(call: Call, given: Mapping[str, Any]) -> Wish | None:
    """What the request says of entity maps; None: nothing. `given`: the query's parameters, those of the body among them. Raises
    NgsiLdError."""
    header = call.headers.get("ngsild-entitymap")
    lifetime = given.get("entityMapLifetime")
    kept = LIFETIME if lifetime is None else parse_lifetime(lifetime)
    if header is None and not given.get("entityMap"):
        return None
    return Wish(None if header is None else id_in(header), kept)


def id_in(reference: str) -> str:
    """The id of the map that a header names, by the id itself or by its address.

    >>> id_in("/ngsi-ld/v1/entityMaps/urn%3Angsi-ld%3AEntityMap%3A1"), id_in("urn:ngsi-ld:EntityMap:1")
    ('urn:ngsi-ld:EntityMap:1', 'urn:ngsi-ld:EntityMap:1')
    """
    return unquote(re.split(r"[?#]", reference.strip(), maxsplit=1)[0].rstrip("/").rpartition("/")[2])


def header_of(id_: str) -> tuple[str, str]:
    """The header that names a map by its address (table 6.4.3.2-2)."""
    return HEADER, f"{PATH}/{quote(id_, safe=':')}"


async def find_map(call: Call, wish: Wish) -> EntityMap | None:
    """The map that the request names; None: none, or none that is still there for this caller, and a new one is made."""
    reference = wish.reference
    if reference is None:
        return None

    def find() -> EntityMap | None:
        with call.hub.store.read() as read:
            return call.hub.entity_maps.find(read, reference, call.caller.principal)

    return await call.run(find)


async def find_entry(call: Call, known: EntityMap, id_: str) -> Entry | None:
    """The entry of one entity."""

    def find() -> Entry | None:
        with call.hub.store.read() as read:
            again = call.hub.entity_maps.find(read, known.id, call.caller.principal)
            rows = [] if again is None else call.hub.entity_maps.entries(read, again, 0, again.size)
        return next((entry for _, entry in rows if entry.id == id_), None)

    return await call.run(find)


async def make_map(call: Call, entries: Sequence[Entry], lifetime: Instant, order: str = "") -> EntityMap:
    """Keep a new map. Raises Problem (TooManyResults)."""
    if len(entries) > ENTRIES_MAX:
        detail = f"An entity map has at most {ENTRIES_MAX} entities: ask for fewer."
        raise Problem(403, "too-many-results", detail, kind="TooManyResults")
    return await call.done(call.hub.entity_maps.create(call.caller.principal, entries, lifetime, order))


async def map_page(
    call: Call, wish: Wish, candidates: Candidates, limit: int, offset: int, *, count: bool, order: str = ""
) -> MappedPage:
    """The page that begins at entry `offset` of the map that is asked for, or of a new one. `order`: the request's order, compared
    with the map's own. Raises NgsiLdError, Problem."""
    known = await find_map(call, wish)
    is_new = known is None
    warnings: list[str] = []
    if known is None:
        entries, said = await candidates.every()
        warnings += said
        known = await make_map(call, entries, wish.lifetime, order)
    elif order and order != known.order:
        raise NgsiLdError("the entity map keeps the order that it was made with: leave this out", "orderBy")
    walk = await _walk(call, known.id, candidates, limit, offset)
    warnings += (warning for warning in walk.warnings if warning not in warnings)
    total = await _count(call, known.id, candidates) if count else None
    headers = [header_of(known.id), *(("NGSILD-Warning", warning) for warning in warnings)]
    return MappedPage(walk.shown, total, walk.more, offset + walk.kept, is_new, headers)


class _Walk(Struct):
    shown: list[Entity]
    more: bool = False
    kept: int = 0
    """Entries up to the end of the page that stay in the map."""
    warnings: Sequence[str] = ()


async def _walk(call: Call, id_: str, candidates: Candidates, limit: int, offset: int) -> _Walk:
    """Fill a page, and one entity more to know whether there is a next one; take out of the map what is gone."""
    walk = _Walk([])
    warnings: dict[str, None] = {}
    gone: dict[int, set[str]] = {}
    place = offset
    while not walk.more:
        size = min(max(limit + 1 - len(walk.shown), BATCH_MIN), candidates.batch)
        rows = await _entries(call, id_, place, size)
        if not rows:
            break
        checked = await candidates.check([entry for _, entry in rows])
        warnings |= dict.fromkeys(checked.warnings)
        for part, entry in rows:
            entity = checked.entities.get(entry.id)
            if entity is None and entry.id not in checked.unknown:
                gone.setdefault(part, set()).add(entry.id)
            elif walk.more:
                continue
            elif entity is not None and len(walk.shown) == limit:
                walk.more = True
            else:
                walk.kept += 1
                if entity is not None:
                    walk.shown.append(entity)
        place += len(rows)
    walk.warnings = list(warnings)
    if gone:
        await call.done(call.hub.entity_maps.prune(id_, call.caller.principal, gone))
    return walk


async def _count(call: Call, id_: str, candidates: Candidates) -> int:
    total = place = 0
    while rows := await _entries(call, id_, place, candidates.batch):
        total += await candidates.tally([entry for _, entry in rows])
        place += len(rows)
    return total


async def _entries(call: Call, id_: str, start: int, count: int) -> list[tuple[int, Entry]]:
    def read_some() -> list[tuple[int, Entry]]:
        with call.hub.store.read() as read:
            known = call.hub.entity_maps.find(read, id_, call.caller.principal)
            return [] if known is None else call.hub.entity_maps.entries(read, known, start, count)

    return await call.run(read_some)
