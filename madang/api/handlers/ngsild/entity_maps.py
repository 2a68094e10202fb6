"""Entity maps as resources: create, retrieve, update, delete (ETSI GS CIM 009 clauses 5.14.1 to 5.14.5; 6.32, 6.34, 6.35)."""

from typing import Any

from madang.api.handlers.ngsild.ask import asked_by_parameters
from madang.api.handlers.ngsild.candidates import EntityCandidates
from madang.api.handlers.ngsild.common import JSON_LD, PATCHES, accepted, document_of, form_of, view_of
from madang.api.handlers.ngsild.context_of import context_headers, context_of_link
from madang.api.handlers.ngsild.mapped import Candidates, header_of, make_map
from madang.api.handlers.ngsild.temporal import asked_by_parameters as evolutions_asked
from madang.api.handlers.ngsild.temporal import candidates_of
from madang.api.route import Answer, Call
from madang.ngsild.context import Context
from madang.ngsild.entity_map import LIFETIME, parse_entity_map_update, parse_lifetime, render_entity_map
from madang.ngsild.names import check_id


async def create_map(call: Call) -> Answer:
    """GET /ngsi-ld/v1/entityMaps (clause 5.14.4)"""
    context = await context_of_link(call)
    asked = asked_by_parameters(call.query, context)
    asked.check_links(view_of(call.query, context, *form_of(call.query)))
    candidates = EntityCandidates(call, context, asked.query, call.query, None)
    return await _create(call, context, candidates, candidates.order)


async def create_temporal_map(call: Call) -> Answer:
    """GET /ngsi-ld/v1/temporal/entityMaps (clause 5.14.5)"""
    context = await context_of_link(call)
    candidates = candidates_of(call, evolutions_asked(call.query, context))
    return await _create(call, context, candidates, candidates.order)


async def get_map(call: Call) -> Answer:
    """GET /ngsi-ld/v1/entityMaps/{id} (clause 5.14.1)"""
    id_ = check_id(call.path["id"])
    context = await context_of_link(call)

    def read_it() -> dict[str, Any]:
        maps = call.hub.entity_maps
        with call.hub.store.read() as read:
            known = maps.get(read, id_, call.caller.principal)
            entries = [entry for _, entry in maps.entries(read, known, 0, known.size)]
        return render_entity_map(id_, known.expires_at, entries)

    return await _answer(call, await call.run(read_it), context, 200, ())


async def update_map(call: Call) -> Answer:
    """PATCH /ngsi-ld/v1/entityMaps/{id} (clause 5.14.2)"""
    id_ = check_id(call.path["id"])
    document, _ = await document_of(call, PATCHES)
    expires_at = parse_entity_map_update(document)
    await call.done(call.hub.entity_maps.update(id_, call.caller.principal, expires_at))
    return Answer(None, 204)


async def delete_map(call: Call) -> Answer:
    """DELETE /ngsi-ld/v1/entityMaps/{id} (clause 5.14.3)"""
    await call.done(call.hub.entity_maps.delete(check_id(call.path["id"]), call.caller.principal))
    return Answer(None, 204)


async def _create(call: Call, context: Context, candidates: Candidates, order: str) -> Answer:
    lifetime = call.query.get("entityMapLifetime")
    kept = LIFETIME if lifetime is None else parse_lifetime(lifetime)
    entries, warnings = await candidates.every()
    made = await make_map(call, entries, kept, order)
    name, location = header_of(made.id)
    headers = ((name, location), ("Location", location), *(("NGSILD-Warning", warning) for warning in warnings))
    return await _answer(call, render_entity_map(made.id, made.expires_at, entries), context, 201, headers)


async def _answer(
    call: Call, document: dict[str, Any], context: Context, status: int, headers: tuple[tuple[str, str], ...]
) -> Answer:
    media_type = accepted(call)
    if media_type == JSON_LD:
        return Answer({**document, "@context": context.value}, status, headers, media_type)
    return Answer(document, status, (*headers, *await context_headers(call, context)), media_type)
