"""Creating, replacing, merging, deleting and purging entities (clauses 5.6.1, 5.6.6, 5.6.17, 5.6.18, 5.6.21)."""

from urllib.parse import quote

from msgspec.structs import replace

from madang.api.errors import Problem
from madang.api.handlers.entities import question
from madang.api.handlers.ngsild.ask import asked_by_parameters
from madang.api.handlers.ngsild.common import PATCHES, document_of, form_of, type_selection
from madang.api.handlers.ngsild.context_of import context_of_link
from madang.api.handlers.ngsild.distribute import distribute, distribute_purge, lighten, names_of, without
from madang.api.route import Answer, Call
from madang.hub.entities import Merging
from madang.hub.queries.look import Look
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.names import check_id
from madang.ngsild.parse import Nulls, ParsedEntity, parse_entity, parse_fragment, parse_time
from madang.ngsild.query import Query
from madang.ngsild.render import SIMPLIFIED

ENTITIES = "/ngsi-ld/v1/entities"


async def create_entity(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entities"""
    document, context = await document_of(call)
    entity = parse_entity(document, "", context)
    answer = Answer(None, 201, (("Location", f"{ENTITIES}/{quote(entity.id, safe=':')}"),))

    async def local(held: frozenset[str]) -> Answer:
        kept = replace(entity, attributes=without(entity.attributes, held))
        await call.done(call.state.entities.create(call.caller, kept))
        return answer

    done = await distribute(
        call, context, ("createEntity",), entity.id, "/entities", local, document=document,
        names=names_of(entity.attributes), types=entity.types or (entity.type,), good=201,
    )  # fmt: skip
    return answer if done.status == 201 else done


async def replace_entity(call: Call) -> Answer:
    """PUT /ngsi-ld/v1/entities/{id}"""
    id_ = check_id(call.path["id"])
    document, context = await document_of(call)
    fragment = parse_fragment(document, "", context)
    _check_same(fragment.id, id_)
    types = type_selection(call.query, context)
    if not fragment.types:
        raise NgsiLdError("is missing", "type")
    entity = ParsedEntity(
        id_,
        fragment.types[0],
        fragment.attributes,
        fragment.types if len(fragment.types) > 1 else (),
        fragment.scopes or (),
        fragment.expires_at,
    )

    async def local(held: frozenset[str]) -> Answer:
        kept = replace(entity, attributes=without(entity.attributes, held))
        await call.done(call.state.entities.replace(call.caller, kept, types))
        return Answer(None, 204)

    return await distribute(
        call, context, ("replaceEntity",), id_, f"/entities/{quote(id_, safe=':')}", local, document=document,
        names=names_of(entity.attributes), types=fragment.types,
    )  # fmt: skip


async def merge_entity(call: Call) -> Answer:
    """PATCH /ngsi-ld/v1/entities/{id}"""
    id_ = check_id(call.path["id"])
    form, _ = form_of(call.query)
    document, context = await document_of(call, PATCHES)
    fragment = parse_fragment(document, "", context, Nulls.SIMPLE_MERGE if form == SIMPLIFIED else Nulls.MERGE)
    _check_same(fragment.id, id_)
    types = type_selection(call.query, context)
    merging = merging_of(call)

    async def local(held: frozenset[str]) -> Answer:
        kept = lighten(fragment, held)
        await call.done(call.state.entities.merge(call.caller, id_, kept, types, merging))
        return Answer(None, 204)

    return await distribute(
        call, context, ("mergeEntity",), id_, f"/entities/{quote(id_, safe=':')}", local, document=document,
        names=names_of((*fragment.attributes, *fragment.removed)),
    )  # fmt: skip


def merging_of(call: Call) -> Merging:
    """What a merge takes from the URL (clause 6.5.3.4)."""
    observed_at = call.query.get("observedAt")
    at = None if observed_at is None else parse_time(observed_at, "observedAt")
    return Merging(at, call.query.get("lang"))


def _check_same(given: str | None, id_: str) -> None:
    if given is not None and given != id_:
        raise NgsiLdError(f"is {given[:200]}, and the address says {id_[:200]}: an id does not change", "id")


async def delete_entity(call: Call) -> Answer:
    """DELETE /ngsi-ld/v1/entities/{id}"""
    id_ = check_id(call.path["id"])
    context = await context_of_link(call)
    types = type_selection(call.query, context)

    async def local(_: frozenset[str]) -> Answer:
        await call.done(call.state.entities.delete(call.caller, id_, types))
        return Answer(None, 204)

    path = f"/entities/{quote(id_, safe=':')}"
    return await distribute(call, context, ("deleteEntity",), id_, path, local)


async def purge_entities(call: Call) -> Answer:
    """DELETE /ngsi-ld/v1/entities: what the query finds goes, or the attributes of it that are named (clause 6.4.3.3)."""
    context = await context_of_link(call)
    query = call.query
    asked = asked_by_parameters(query, context)
    if asked.links:
        raise NgsiLdError("a purge does not look into linked entities", "q")
    keep, drop = (
        [context.stored_name(n, name) for n in query[name]] if query.get(name) else None for name in ("keep", "drop")
    )
    if keep is not None and drop is not None:
        raise Problem(400, "bad-parameter", "keep and drop say opposite things: use one.", kind="BadRequestData")

    def narrow(look: Look) -> Query:
        return look.narrow(asked.query)

    narrowed: Query = await call.run(question, call, narrow)

    async def local(_: frozenset[str]) -> Answer:
        await call.done(call.state.entities.purge(call.caller, narrowed, keep=keep, drop=drop))
        return Answer(None, 204)

    return await distribute_purge(call, context, asked.query, local)
