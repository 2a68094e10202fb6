"""Snapshots as resources: create, clone, retrieve, update, delete, purge (ETSI GS CIM 009 clause 5.16; 6.36 to 6.38).

Creating and cloning answer at once; the snapshot is prepared beside the request. Its queries go the way of every query, with the eyes of
who creates it, here and at context sources; what policy hides from that caller is not frozen at all.
"""

import asyncio
import logging
from collections.abc import Collection
from typing import Any
from urllib.parse import quote

from msgspec.structs import replace

from madang.api.errors import NGSILD_ERRORS, Problem, problem_of
from madang.api.handlers.entities import question
from madang.api.handlers.ngsild.ask import asked_by_body
from madang.api.handlers.ngsild.candidates import EntityCandidates
from madang.api.handlers.ngsild.common import JSON_LD, PATCHES, accepted, document_of, form_of, view_of
from madang.api.handlers.ngsild.context_of import context_headers
from madang.api.handlers.ngsild.temporal import asked_by_body as evolutions_by_body
from madang.api.route import Answer, Call
from madang.hub.frozen import Frozen
from madang.hub.ports import InstanceRow
from madang.hub.queries.evolution import SCOPES_LOOKED_AT, Evolving, keys_of, query_evolving
from madang.hub.queries.look import Look
from madang.hub.snapshots import ENTITIES_MAX, INSTANCES_MAX, PREPARE_MAX, parts_of
from madang.model.entity import Entity, split_key
from madang.model.time import SECOND
from madang.ngsild.context import CORE, Context
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.names import check_id
from madang.ngsild.q import link_depth, parse_q
from madang.ngsild.render import View
from madang.ngsild.snapshot import (
    EMPTY,
    FAILURE,
    PREPARING,
    SUCCESS,
    Detail,
    Kept,
    check_purge,
    parse_clone,
    parse_snapshot,
    render_snapshot,
    status_of,
)
from madang.ngsild.temporal import ANY_TIME, DELETED_AT, TemporalAsk, Window
from madang.ngsild.temporal_render import SCOPE

logger = logging.getLogger(__name__)

PATH = "/ngsi-ld/v1/snapshots"


# ── the resource ────────────────────────────────────────────────────────────


async def create_snapshot(call: Call) -> Answer:
    """POST /ngsi-ld/v1/snapshots (clause 5.16.1)"""
    document, context = await document_of(call)
    stored = parse_snapshot(document, call.hub.snapshots.new_id())
    if not context.is_core:
        stored["@context"] = context.value
    made = await call.done(call.hub.snapshots.create(call.caller, stored))
    call.hub.snapshots.start(_prepare(call, made, context))
    return _created(made)


async def clone_snapshot(call: Call) -> Answer:
    """POST /ngsi-ld/v1/snapshots/{id}/clone (clause 5.16.2)"""
    source = await _get(call)
    document: Any = {}
    if await call.body():
        document, _ = await document_of(call)
    if isinstance(document, dict):
        document = {"type": "Snapshot", **document}
    stored = parse_clone(document, source.document, call.hub.snapshots.new_id())
    if source.status == PREPARING:
        detail = f"{source.id} is being prepared: ask again in a moment."
        raise Problem(409, "snapshot-preparing", detail, kind="Conflict", headers=(("Retry-After", "1"),))
    made = await call.done(call.hub.snapshots.create(call.caller, stored))
    call.hub.snapshots.start(_copy(call, made, source))
    return _created(made)


async def get_snapshot(call: Call) -> Answer:
    """GET /ngsi-ld/v1/snapshots/{id} (clause 5.16.3)"""
    return await _answer(call, await _get(call))


async def update_snapshot(call: Call) -> Answer:
    """PATCH /ngsi-ld/v1/snapshots/{id} (clause 5.16.4)"""
    id_ = check_id(call.path["id"])
    fragment, _ = await document_of(call, PATCHES)
    return await _answer(call, await call.hub.snapshots.update(id_, call.caller, fragment))


async def delete_snapshot(call: Call) -> Answer:
    """DELETE /ngsi-ld/v1/snapshots/{id} (clause 5.16.5)"""
    await call.done(call.hub.snapshots.delete(check_id(call.path["id"]), call.caller))
    return Answer(None, 204)


async def purge_snapshots(call: Call) -> Answer:
    """DELETE /ngsi-ld/v1/snapshots (clause 5.16.7)"""
    if not call.query.get("q"):
        raise NgsiLdError("is missing: say which snapshots, such as q=snapshotPriority<5", "q")
    node = parse_q(call.query["q"], CORE)
    if link_depth(node):
        raise NgsiLdError("a snapshot has no links", "q")
    check_purge(node)
    await call.done(call.hub.snapshots.purge(call.caller, node))
    return Answer(None, 204)


async def _get(call: Call) -> Kept:
    id_ = check_id(call.path["id"])

    def find() -> Kept:
        with call.hub.store.read() as read:
            return call.hub.snapshots.get(read, id_, call.caller)

    return await call.run(find)


def _created(made: Kept) -> Answer:
    return Answer(None, 201, (("Location", f"{PATH}/{quote(made.id, safe=':')}"),))


async def _answer(call: Call, kept: Kept) -> Answer:
    """In the @context that its queries are in."""
    media_type = accepted(call)
    value = kept.document.get("@context")
    contexts = call.hub.contexts
    context = CORE if value is None else contexts.find(value) or await contexts.resolve(value)
    document = render_snapshot(kept)
    if media_type == JSON_LD:
        return Answer({**document, "@context": context.value}, 200, (), media_type)
    return Answer(document, 200, await context_headers(call, context), media_type)


# ── preparing ───────────────────────────────────────────────────────────────


async def _prepare(call: Call, made: Kept, context: Context) -> None:
    """Fill a snapshot with what its queries find, and say how it went."""
    snapshots = call.hub.snapshots
    document = made.document
    filling = _Filling(call, context)
    try:
        async with asyncio.timeout(PREPARE_MAX / SECOND):
            queries = [await filling.freeze(query) for query in document.get("snapshotQueries", ())]
            temporal = [await filling.freeze_evolutions(query) for query in document.get("snapshotTemporalQueries", ())]
            for part in parts_of(filling.rows):
                if not await call.done(snapshots.append(made, part)):
                    return  # Deleted meanwhile.
        await snapshots.finish(made, status_of([*queries, *temporal]), queries, temporal)
    except Exception:
        # Nobody waits for this: the log has it, and the snapshot says that it failed.
        logger.exception("snapshot %s could not be prepared", made.id)
        await snapshots.finish(made, FAILURE, (), ())


async def _copy(call: Call, made: Kept, source: Kept) -> None:
    """Fill a clone with what its source holds."""
    snapshots = call.hub.snapshots
    try:
        for number in range(source.parts):
            if not await call.done(snapshots.copy_part(made, source, number)):
                await snapshots.finish(made, FAILURE, (), ())
                return
        await snapshots.finish(made, source.status, source.queries, source.temporal)
    except Exception:
        # As above.
        logger.exception("snapshot %s could not be cloned", source.id)
        await snapshots.finish(made, FAILURE, (), ())


class _Filling:
    """What the queries of one snapshot have found so far."""

    def __init__(self, call: Call, context: Context) -> None:
        self._call = call
        self._context = context
        self._rows: dict[str, Frozen] = {}
        self._instances = 0

    @property
    def rows(self) -> list[Frozen]:
        return list(self._rows.values())

    async def freeze(self, query: dict[str, Any]) -> Detail:
        """One query of current entities (clause 5.7.2)."""
        try:
            given, asked = asked_by_body(query, self._call.query, self._context)
            view = view_of(given, self._context, *form_of(given))
            asked.check_links(view)
            plain = replace(asked.query, order=(), stamps=True)
            candidates = EntityCandidates(self._call, self._context, plain, given, query)
            entities, warnings = await candidates.whole(ENTITIES_MAX)
            entities = await self._call.run(question, self._call, _projected, entities, view)
            self._add(entities)
        except Exception as error:  # noqa: BLE001 - what is nobody's mistake is raised again
            return self._failure(error)
        if warnings:
            problem = {
                "type": f"{NGSILD_ERRORS}InternalError",
                "title": "A context source failed",
                "detail": "; ".join(warnings),
            }
            return Detail(SUCCESS if entities else FAILURE, problem)
        return Detail(SUCCESS if entities else EMPTY)

    async def freeze_evolutions(self, query: dict[str, Any]) -> Detail:
        """One query of evolutions (clause 5.7.4): what this broker has."""
        try:
            _, asked = evolutions_by_body(query, self._call.query, self._context)
            chosen, ask = asked.wanted.chosen, asked.wanted.ask

            def find(look: Look) -> list[Frozen]:
                found: list[Frozen] = []
                size = self._instances
                for evolving in query_evolving(look, asked.query, asked.conditions, chosen, ask.window):
                    rows = _instances(look, evolving, keys_of(look, evolving.entity, chosen), ask)
                    size += len(rows)
                    if size > INSTANCES_MAX or len(found) >= ENTITIES_MAX:
                        raise _too_many()
                    (shown,) = _projected(look, [evolving.entity], asked.wanted.view)
                    found.append(Frozen(shown, False, rows))
                return found

            found = await self._call.run(question, self._call, find)
            self._add_evolutions(found)
        except Exception as error:  # noqa: BLE001 - what is nobody's mistake is raised again
            return self._failure(error)
        return Detail(SUCCESS if found else EMPTY)

    def _add(self, entities: list[Entity]) -> None:
        """What several queries find of one entity stands together."""
        new = sum(entity.id not in self._rows for entity in entities)
        if len(self._rows) + new > ENTITIES_MAX:
            raise _too_many()
        for entity in entities:
            known = self._rows.get(entity.id)
            if known is not None:
                attributes = {**known.entity.attributes, **entity.attributes}
                entity = replace(entity, attributes=attributes, stamps={**known.entity.stamps, **entity.stamps})
            self._rows[entity.id] = Frozen(entity, True, None if known is None else known.instances)

    def _add_evolutions(self, found: list[Frozen]) -> None:
        if len(self._rows.keys() | {row.entity.id for row in found}) > ENTITIES_MAX:
            raise _too_many()
        for row in found:
            known = self._rows.get(row.entity.id)
            if known is not None:
                have = known.instances or []
                tokens = {(one.key, one.token) for one in have}
                new = [one for one in row.instances or () if (one.key, one.token) not in tokens]
                row = replace(known, instances=[*have, *new])
            self._rows[row.entity.id] = row
        self._instances = sum(len(row.instances or ()) for row in self._rows.values())

    def _failure(self, error: Exception) -> Detail:
        problem = problem_of(error, self._call.hub.words, self._call.lang)
        if problem is None:
            raise error
        return Detail(FAILURE, problem.document(ngsild=True))


def _instances(look: Look, evolving: Evolving, keys: list[str], ask: TemporalAsk) -> list[InstanceRow]:
    """The instances that a temporal query finds of an entity, and all its scopes over time: a later question by scope needs them."""
    id_, newest = evolving.entity.id, ask.last_n is not None
    limit = INSTANCES_MAX + 1 if ask.last_n is None else ask.last_n
    named = [key for key in keys if key != SCOPE]
    rows = [r for w in evolving.windows for r in look.read.list_instances(id_, named, w, limit, newest=newest)]
    for property_ in (ANY_TIME, DELETED_AT):
        rows += look.read.list_instances(id_, [SCOPE], Window(property_), SCOPES_LOOKED_AT, newest=True)
    return rows


def _too_many() -> Problem:
    detail = f"A snapshot has at most {ENTITIES_MAX} entities and {INSTANCES_MAX} instances: ask for fewer."
    return Problem(403, "too-many-results", detail, kind="TooManyResults")


def _projected(look: Look, entities: list[Entity], view: View) -> list[Entity]:
    """Only the attributes that the query asks for, without what policy hides from who asks."""
    wanted: Collection[str] | None = view.names
    if view.pick is not None:
        wanted = view.pick.names.keys()
    omitted = set() if view.omit is None else {name for name, inner in view.omit.names.items() if inner is None}
    found = []
    for entity in entities:
        hidden = look.mask(entity.type).names
        names = {key: split_key(key)[0] for key in entity.attributes}
        kept = {
            key: attribute
            for key, attribute in entity.attributes.items()
            if names[key] not in hidden and names[key] not in omitted and (wanted is None or names[key] in wanted)
        }
        stamps = {key: stamp for key, stamp in entity.stamps.items() if key in kept}
        found.append(replace(entity, attributes=kept, stamps=stamps))
    return found
