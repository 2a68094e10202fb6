"""Retrieving and querying entities (clauses 5.7.1, 5.7.2; 6.5.3.1, 6.4.3.2, 6.23)."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from madang.access.policy import Subject, mask_of
from madang.api.dispatch import send_answer
from madang.api.errors import Problem
from madang.api.handlers.entities import question
from madang.api.handlers.ngsild.ask import Asked, asked_by_body, asked_by_parameters
from madang.api.handlers.ngsild.candidates import EntityCandidates
from madang.api.handlers.ngsild.common import (
    CONTEXT_LINK,
    GEO_JSON,
    JSON,
    JSON_LD,
    accepted,
    document_of,
    form_of,
    page_links,
    type_selection,
    version_headers,
    version_of,
    view_of,
)
from madang.api.handlers.ngsild.context_of import context_headers, context_of_link
from madang.api.handlers.ngsild.distribute import (
    is_alone,
    parts_to_read,
    read_remote,
    types_in,
    types_known,
    visible,
    warnings_of,
)
from madang.api.handlers.ngsild.gather import gather_query
from madang.api.handlers.ngsild.mapped import (
    Wish,
    find_entry,
    find_map,
    header_of,
    make_map,
    map_page,
    wish_of,
)
from madang.api.route import Answer, Call, Send
from madang.hub.federation import Read
from madang.hub.ports import Body, NotQuick
from madang.hub.queries.errors import NotFound
from madang.hub.queries.look import Look
from madang.model.entity import Entity
from madang.ngsild.context import Context
from madang.ngsild.entity_map import HERE, Entry
from madang.ngsild.federation import merge_fragments
from madang.ngsild.names import check_id
from madang.ngsild.registration import Selection
from madang.ngsild.render import FLAT, View, linked_entities, render_entity, render_feature, with_context
from madang.ngsild.types import holds
from madang.ngsild.versions import is_newer

T = TypeVar("T")

LIMIT_MAX = 1_000
"""Entities in one page (clause 5.5.9 leaves it to the broker)."""
ALTERED = 203
"""The answer was made to fit an older version of the standard (clause 4.3.6.8)."""
QUICK_ROWS = 200
"""Entities of an answer that is put together on the event loop itself: some 200 µs at most."""
_REPRESENTATIONS = (JSON, JSON_LD, GEO_JSON)
_ANY = Subject("", "thing")
_MEMBERS = frozenset({"id", "type", "scope", "createdAt", "modifiedAt", "expiresAt"})


class Form(Struct, frozen=True):
    """How an answer goes out."""

    media_type: str
    context: Context
    geometry_property: str = "location"
    context_in_body: bool = False


async def get_entity(call: Call, send: Send) -> None:
    """GET /ngsi-ld/v1/entities/{id}: the hot one; answered from the stored text without parsing it where that is allowed."""
    media_type = accepted(call, _REPRESENTATIONS)
    id_ = call.path["id"]
    query = call.query
    if (
        not query
        and media_type == JSON
        and "link" not in call.headers
        and "prefer" not in call.headers
        and "ngsild-entitymap" not in call.headers
        and call.past is None
        and call.hub.federation.is_idle
    ):
        body = _stored_body(call, id_)
        if body is not None:
            await send_answer(send, Answer(body, 200, (("Link", CONTEXT_LINK),), JSON))
            return
    check_id(id_)
    context = await context_of_link(call)
    form, options = form_of(query)
    view = replace(view_of(query, context, form, options), version=version_of(call))
    types = type_selection(query, context)
    out = _form(call, media_type, context)
    asked = Selection(types_in(query.get("type"), context), (id_,), None, _asked_names(view))
    parts = [] if is_alone(call) else parts_to_read(call, _known(call, asked, id_), context)
    wish = wish_of(call, query)
    known = None if wish is None else await find_map(call, wish)
    mapped: Entry | None = None
    if known is not None:
        mapped = await find_entry(call, known, id_) or Entry(id_, ())
        parts = [part for part in parts if part.registration.id in mapped.sources]
    remote = await read_remote(call, parts, context, Read(id=id_, sys_attrs=view.sys_attrs))

    altered: list[bool] = []

    def find(look: Look) -> tuple[bytes, list[str]]:
        is_here = mapped is None or HERE in mapped.sources
        local = look.find_entity(id_, stamps=view.sys_attrs) if is_here else None
        there = visible(look, remote.fragments)
        sources = [] if local is None else [HERE]
        sources += dict.fromkeys(fragment.source for fragment in there)
        entity = merge_fragments(local, there)
        if entity is None or not holds(types, entity.all_types):
            raise NotFound(f"There is no {id_[:200]}, or you may not see it.")
        shown = masked(look, entity, view)
        _require_some(entity, shown)
        altered.append(view.version is not None and is_newer(entity.attributes, view.version))
        if view.join == FLAT and out.media_type != GEO_JSON:
            documents = _documents(look, [entity], shown, out)
            return msgspec.json.encode(documents if len(documents) != 1 else documents[0]), sources
        document = _document(look, entity, shown, out)
        if not document.keys() - {"@context"}:
            raise NotFound(f"Nothing of {id_[:200]} is left after pick and omit.")
        return msgspec.json.encode(document), sources

    warnings = warnings_of(remote)
    try:
        body, sources = await call.run(question, call, find)
    except NotFound as error:
        raise Problem(404, "not-found", str(error), headers=tuple(warnings)) from None
    headers = (*await _context_headers(call, out), *warnings, *version_headers(call))
    if wish is not None:
        known = known or await make_map(call, [Entry(id_, tuple(sources))], wish.lifetime)
        headers = (*headers, header_of(known.id))
    await send_answer(send, Answer(body, ALTERED if any(altered) else 200, headers, media_type))


def _asked_names(view: View) -> tuple[str, ...]:
    """The attributes that an answer is about; empty: all."""
    names = view.names if view.names is not None else view.pick.names if view.pick is not None else ()
    return tuple(sorted(name for name in names if name not in _MEMBERS))


def _known(call: Call, asked: Selection, id_: str) -> Selection:
    """With the types that this broker knows of the entity, when none are asked for."""
    return asked if asked.types else replace(asked, types=types_known(call, id_))


def _stored_body(call: Call, id_: str) -> bytes | None:
    """The normalised entity as JSON, spliced from its stored text; None when policy, a mask or the entity needs a closer look."""
    caller = call.caller
    if caller.party is not None or mask_of(caller, _ANY).names:
        return None
    found = call.hub.store.find_entity_body(id_)
    if found is None:
        check_id(id_)
        raise NotFound(f"There is no {id_[:200]}.")
    if not found.is_plain:
        return None
    record_type = call.hub.registry.record_types.get(found.type)
    if record_type is not None and not caller.may(record_type.read_permission):
        return None
    return _entity_text(id_, found).encode("utf-8")


def masked(look: Look, entity: Entity, view: View) -> View:
    """The view without what policy hides of this entity."""
    hidden = look.mask(entity.type).names
    return view if not hidden else replace(view, hidden=view.hidden | hidden)


def _require_some(entity: Entity, view: View) -> None:
    """Clause 5.7.1.4: an entity without any of the attributes that are asked for is not found."""
    asked = view.names
    if asked is None and view.pick is not None:
        asked = view.pick.names.keys()
        if asked & _MEMBERS:
            return
    if asked is None:
        return
    names = {key.partition(" ")[0] for key in entity.attributes} - view.hidden
    if not any(name in names for name in asked):
        raise NotFound(f"{entity.id} has none of the attributes that were asked for.")


# ── many ────────────────────────────────────────────────────────────────────


async def query_entities(call: Call) -> Answer:
    """GET /ngsi-ld/v1/entities"""
    media_type = accepted(call, _REPRESENTATIONS)
    context = await context_of_link(call)
    form, options = form_of(call.query)
    asked = asked_by_parameters(call.query, context)
    return await _answer_query(
        call, asked, _form(call, media_type, context), view_of(call.query, context, form, options), call.query
    )


async def query_by_body(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entityOperations/query (clause 6.23): the query of clause 5.2.23 in the body."""
    media_type = accepted(call, _REPRESENTATIONS)
    document, context = await document_of(call)
    query, asked = asked_by_body(document, call.query, context)
    form, options = form_of(query)
    view = view_of(query, context, form, options)
    return await _answer_query(call, asked, _form(call, media_type, context), view, query, document)


async def _answer_query(
    call: Call, asked: Asked, out: Form, view: View, given: dict[str, Any], body: dict[str, Any] | None = None
) -> Answer:
    limit, offset = call.query["limit"], call.query["offset"]
    count = bool(call.query.get("count")) or "count" in (call.query.get("options") or ())
    if limit > LIMIT_MAX:
        raise Problem(403, "too-many-results", f"A page has at most {LIMIT_MAX} entities.", kind="TooManyResults")
    if limit == 0 and not count:
        raise Problem(400, "bad-parameter", "limit=0 is for counting: add count=true.", kind="BadRequestData")
    asked.check_links(view)
    if view.join == FLAT and out.media_type == GEO_JSON:
        raise Problem(400, "bad-parameter", "join=flat is not for GeoJSON.", kind="BadRequestData")
    view = replace(view, version=version_of(call))
    altered: list[bool] = []
    wish = wish_of(call, given)
    if wish is not None:
        return await _answer_mapped(call, wish, asked, out, view, given, body)
    query = replace(asked.query, limit=max(1, limit), offset=offset, count=count, stamps=view.sys_attrs)
    gather = await gather_query(call, out.context, query, given, body)

    if gather is None and query.place is not None:
        query = replace(query, any_order=True)
    plain = gather is None and call.past is None and _is_plain(call, view, out)

    def ask(look: Look) -> tuple[bytes, int | None, bool]:
        if plain:
            found = look.query_bodies(query)
            if all(body.is_plain for _, body in found.rows):
                return _splice(found.rows[:limit]), found.total, found.more
        page = look.query(query) if gather is None else gather.page(look)
        if view.version is not None:
            altered.extend(is_newer(entity.attributes, view.version) for entity in page.entities)
        return _encode(look, page.entities[:limit], view, out), page.total, page.next_after is not None

    content, total, more = await _ask(call, ask, here=plain and query.limit <= QUICK_ROWS)
    headers = [*(await _context_headers(call, out)), *page_links(call, limit, offset, more)]
    if gather is not None:
        headers += warnings_of(gather.found)
    if count and total is not None:
        headers.append(("NGSILD-Results-Count", str(total)))
    headers += version_headers(call)
    return Answer(content, ALTERED if any(altered) else 200, tuple(headers), out.media_type)


async def _answer_mapped(
    call: Call, wish: Wish, asked: Asked, out: Form, view: View, given: dict[str, Any], body: dict[str, Any] | None
) -> Answer:
    """A page of an entity map (clauses 5.5.9.3, 5.7.2.4): 201 when the map is new."""
    limit, offset = call.query["limit"], call.query["offset"]
    count = bool(call.query.get("count")) or "count" in (call.query.get("options") or ())
    candidates = EntityCandidates(call, out.context, replace(asked.query, stamps=view.sys_attrs), given, body)
    page = await map_page(call, wish, candidates, limit, offset, count=count, order=candidates.order)

    def ask(look: Look) -> bytes:
        return _encode(look, page.entities, view, out)

    content = await call.run(question, call, ask)
    headers = [*(await _context_headers(call, out)), *page_links(call, limit, offset, page.more, page.next_offset)]
    headers += page.headers
    if page.total is not None:
        headers.append(("NGSILD-Results-Count", str(page.total)))
    headers += version_headers(call)
    altered = view.version is not None and any(is_newer(e.attributes, view.version) for e in page.entities)
    return Answer(content, ALTERED if altered else 201 if page.is_new else 200, tuple(headers), out.media_type)


def _is_plain(call: Call, view: View, out: Form) -> bool:
    """May entities be answered as they are stored, as far as the request and policy go?"""
    return (
        out.media_type == JSON
        and view.is_plain
        and view.names is None
        and view.pick is None
        and view.omit is None
        and not mask_of(call.caller, _ANY).names
    )


async def _ask(call: Call, ask: Callable[[Look], T], *, here: bool) -> T:
    """Put a question: on the event loop itself where the store finds the answer quickly (waking a thread costs more than that), else
    off it."""
    if here:
        try:
            with call.looking(quick=True) as look:
                return ask(look)
        except NotQuick:
            pass
    return await call.run(question, call, ask)


def _splice(rows: list[tuple[str, Body]]) -> bytes:
    """Normalised entities as JSON, put together from their stored texts."""
    return ("[" + ",".join([_entity_text(id_, body) for id_, body in rows]) + "]").encode("utf-8")


def _entity_text(id_: str, body: Body) -> str:
    head = f'{{"id":{_text(id_)},"type":{_text(body.type)}'
    return f"{head},{body.attributes[1:]}" if len(body.attributes) > 2 else head + "}"


def _text(value: str) -> str:
    return msgspec.json.encode(value).decode()


# ── the answer ──────────────────────────────────────────────────────────────


def _form(call: Call, media_type: str, context: Context) -> Form:
    """Where the @context goes: into the body of application/ld+json, and of GeoJSON unless `Prefer: body=json` (clause 6.3.6)."""
    name = call.query.get("geometryProperty")
    if name is not None and not name:
        raise Problem(400, "bad-parameter", "geometryProperty is empty.", kind="BadRequestData")
    geometry_property = "location" if name is None else context.stored_name(name, "geometryProperty")
    if name is not None and media_type != GEO_JSON:
        raise Problem(400, "bad-parameter", f"geometryProperty is for {GEO_JSON}.", kind="BadRequestData")
    prefers_json = "body=json" in call.headers.get("prefer", "").replace(" ", "").split(",")
    in_body = media_type == JSON_LD or (media_type == GEO_JSON and not prefers_json)
    return Form(media_type, context, geometry_property, in_body)


async def _context_headers(call: Call, out: Form) -> tuple[tuple[str, str], ...]:
    return () if out.media_type == JSON_LD else await context_headers(call, out.context)


def _fetch(look: Look, view: View) -> Callable[[str], Entity | None] | None:
    if view.join is None:
        return None
    return lambda id_: look.find_entity(id_, stamps=view.sys_attrs)


def _document(look: Look, entity: Entity, view: View, out: Form) -> dict[str, Any]:
    """One entity as the answer has it."""
    fetch = _fetch(look, view)
    if out.media_type == GEO_JSON:
        document = render_feature(entity, view, out.geometry_property, fetch)
    else:
        document = render_entity(entity, view, fetch)
    return with_context(document, out.context) if out.context_in_body else document


def _encode(look: Look, entities: list[Entity], view: View, out: Form) -> bytes:
    """Several entities as the answer has them."""
    if out.media_type == GEO_JSON:
        features = [_document(look, e, masked(look, e, view), replace(out, context_in_body=False)) for e in entities]
        collection: dict[str, Any] = {"type": "FeatureCollection", "features": features}
        return msgspec.json.encode(with_context(collection, out.context) if out.context_in_body else collection)
    return msgspec.json.encode(_documents(look, entities, view, out))


def _documents(look: Look, entities: list[Entity], view: View, out: Form) -> list[dict[str, Any]]:
    """The entities, and after them those that links lead to where `join=flat` asks for them."""
    documents = [_document(look, entity, masked(look, entity, view), out) for entity in entities]
    documents = [document for document in documents if document.keys() - {"@context"}]
    fetch = _fetch(look, view)
    if view.join == FLAT and fetch is not None:
        seen = {entity.id for entity in entities} | view.contained_by
        for entity in entities:
            linked = linked_entities(entity, masked(look, entity, view), fetch, seen)
            documents += [with_context(d, out.context) if out.context_in_body else d for d in linked]
    return documents
