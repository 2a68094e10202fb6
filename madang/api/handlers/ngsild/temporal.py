"""The temporal interface (clauses 5.6.11 to 5.6.16, 5.7.3, 5.7.4; 6.18 to 6.22, 6.24)."""

from collections.abc import Callable
from itertools import islice
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from madang.api.errors import Problem
from madang.api.handlers.entities import question
from madang.api.handlers.ngsild.ask import geo_of, place_by, selectors_of, take_map_members, text_of, texts_of
from madang.api.handlers.ngsild.candidates import EvolutionCandidates
from madang.api.handlers.ngsild.common import JSON, JSON_LD, accepted, document_of, page_links, type_selection, view_of
from madang.api.handlers.ngsild.context_of import context_headers, context_of_link
from madang.api.handlers.ngsild.distribute import is_alone, types_in, types_known
from madang.api.handlers.ngsild.mapped import Wish, find_entry, find_map, header_of, make_map, map_page, wish_of
from madang.api.handlers.ngsild.temporal_far import Far, evolutions_there, merged_order, trimmed
from madang.api.route import Answer, Call
from madang.hub.queries.errors import NotFound
from madang.hub.queries.evolution import (
    Chosen,
    Conditions,
    Evolving,
    Moments,
    aggregates_of,
    evolving_of,
    keys_of,
    moments_of,
    query_evolving,
)
from madang.hub.queries.look import Look
from madang.ngsild.context import Context
from madang.ngsild.entity_map import HERE, Entry
from madang.ngsild.errors import INVALID_REQUEST, NgsiLdError
from madang.ngsild.names import check_id
from madang.ngsild.parse import Nulls, parse_attribute
from madang.ngsild.q import attributes_in, link_depth, parse_q
from madang.ngsild.query import And, Near, Node, Query, Spatial
from madang.ngsild.registration import Selection
from madang.ngsild.regular import check_regular
from madang.ngsild.render import View, with_context
from madang.ngsild.scope import parse_scope_q
from madang.ngsild.temporal import TemporalAsk, parse_temporal
from madang.ngsild.temporal_merge import merge_evolutions
from madang.ngsild.temporal_page import content_range, cut_page
from madang.ngsild.temporal_parse import parse_evolution, parse_instance_id
from madang.ngsild.temporal_render import (
    AGGREGATED,
    NORMALIZED,
    SCOPE,
    VALUES,
    render_aggregates,
    render_evolution,
)
from madang.ngsild.types import holds

ENTITIES = "/ngsi-ld/v1/temporal/entities"
LIMIT_MAX = 1_000
"""Entities in one page."""
_FORMS = {"normalized": NORMALIZED, "temporalValues": VALUES, "simplified": VALUES, "aggregatedValues": AGGREGATED}
_OPTIONS = {*_FORMS, "sysAttrs", "count"}
_MEMBERS = frozenset({"id", "type", "scope", "createdAt", "modifiedAt", "expiresAt", "deletedAt"})
_BODY_MEMBERS = frozenset(
    {"type", "entities", "attrs", "pick", "omit", "q", "geoQ", "csf", "temporalQ", "aggrParams", "scopeQ", "lang"}
    | {"datasetId", "ordering", "entityMap", "entityMapLifetime", "jsonKeys", "expandValues", "@context", "local"}
)


class Wanted(Struct, frozen=True):
    """How an evolution is answered."""

    form: str
    view: View
    ask: TemporalAsk
    chosen: Chosen


class AskedEvolutions(Struct, frozen=True):
    """A query of evolutions."""

    query: Query
    """What the entities must meet as they are now."""
    conditions: Conditions
    wanted: Wanted
    descending: bool


# ── provision ───────────────────────────────────────────────────────────────


async def put_evolution(call: Call) -> Answer:
    """POST /ngsi-ld/v1/temporal/entities (clause 5.6.11)"""
    document, context = await document_of(call)
    parsed = parse_evolution(document, context)
    created = await call.done(call.state.evolutions.put(call.caller, parsed))
    if not created:
        return Answer(None, 204)
    return Answer(None, 201, (("Location", f"{ENTITIES}/{quote(parsed.id or '', safe=':')}"),))


async def add_attributes(call: Call) -> Answer:
    """POST /ngsi-ld/v1/temporal/entities/{id}/attrs (clause 5.6.12)"""
    id_ = check_id(call.path["id"])
    document, context = await document_of(call)
    if not document:
        raise NgsiLdError("names no attribute", "", INVALID_REQUEST)
    parsed = parse_evolution(document, context, whole=False)
    if parsed.id is not None and parsed.id != id_:
        raise NgsiLdError("is not the id in the address", "id")
    await call.done(call.state.evolutions.add(call.caller, id_, parsed))
    return Answer(None, 204)


async def delete_attribute(call: Call) -> Answer:
    """DELETE /ngsi-ld/v1/temporal/entities/{id}/attrs/{attr} (clause 5.6.13)"""
    id_ = check_id(call.path["id"])
    context = await context_of_link(call)
    name = _attribute_of(call, context)
    every, given = bool(call.query.get("deleteAll")), call.query.get("datasetId")
    dataset = None if given in (None, "", "@none") else check_id(given, "datasetId")
    if every and dataset is not None:
        raise NgsiLdError("deleteAll means every instance, datasetId one of them: use one", "datasetId")
    await call.done(call.state.evolutions.delete_attribute(call.caller, id_, name, dataset, every=every))
    return Answer(None, 204)


async def change_instance(call: Call) -> Answer:
    """PATCH /ngsi-ld/v1/temporal/entities/{id}/attrs/{attr}/{instanceId} (clause 5.6.14)"""
    if not call.path["attr"]:
        raise _nothing_named(call, "an attribute")
    id_ = check_id(call.path["id"])
    document, context = await document_of(call)
    name, token = _attribute_of(call, context), parse_instance_id(call.path["instanceId"])
    fragment = _instance_in(document, context, name)
    attribute = parse_attribute(name, fragment, name, context, Nulls.PATCH, partial=True)
    await call.done(call.state.evolutions.change_instance(call.caller, id_, name, token, attribute))
    return Answer(None, 204)


async def delete_instance(call: Call) -> Answer:
    """DELETE /ngsi-ld/v1/temporal/entities/{id}/attrs/{attr}/{instanceId} (clause 5.6.15)"""
    id_ = check_id(call.path["id"])
    context = await context_of_link(call)
    name, token = _attribute_of(call, context), parse_instance_id(call.path["instanceId"])
    await call.done(call.state.evolutions.delete_instance(call.caller, id_, name, token))
    return Answer(None, 204)


async def delete_evolution(call: Call) -> Answer:
    """DELETE /ngsi-ld/v1/temporal/entities/{id} (clause 5.6.16)"""
    if not call.path["id"]:
        raise _nothing_named(call, "an entity")
    await call.done(call.state.evolutions.delete(call.caller, check_id(call.path["id"])))
    return Answer(None, 204)


def _nothing_named(call: Call, what: str) -> Problem:
    """The answer to a path with nothing where a name belongs: the official suite's 009_02 and 016_02."""
    allowed = (("Allow", "GET, POST"),)
    return Problem(405, "method-not-allowed", f"{call.route.method} needs {what} in the path.", headers=allowed)


def _attribute_of(call: Call, context: Context) -> str:
    return SCOPE if call.path["attr"] == SCOPE else context.stored_name(call.path["attr"], "attrId")


def _instance_in(document: Any, context: Context, name: str) -> dict[str, Any]:
    """The fragment of an instance: alone, or as the attribute of a fragment of the entity, also as an array of one."""
    if not isinstance(document, dict):
        raise NgsiLdError("must be a JSON object", "", INVALID_REQUEST)
    kept = {k: v for k, v in document.items() if k != "@context"}
    if len(kept) == 1:
        (member, value), *_ = kept.items()
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, dict) and context.stored_name(member, "attrs") == name and member not in ("value", "json"):
            return value
    return kept


# ── consumption ─────────────────────────────────────────────────────────────


async def get_evolution(call: Call) -> Answer:
    """GET /ngsi-ld/v1/temporal/entities/{id} (clause 5.7.3)"""
    media_type = accepted(call)
    id_ = check_id(call.path["id"])
    context = await context_of_link(call)
    wanted = _wanted(call.query, call.query, context, required=False)
    types = type_selection(call.query, context)
    size = call.state.settings.temporal_page
    wish = wish_of(call, call.query)
    known = None if wish is None else await find_map(call, wish)
    if known is not None:
        entry = await find_entry(call, known, id_)
        if entry is None or HERE not in entry.sources:
            raise NotFound(f"{id_[:200]} is not in the entity map.")

    asked = Selection(types_in(call.query.get("type"), context), (id_,), None, tuple(wanted.chosen.names or ()))
    if not asked.types and not is_alone(call):
        asked = replace(asked, types=types_known(call, id_))
    far = None if wish is not None else await evolutions_there(call, asked, context, id_=id_)

    def here(look: Look) -> tuple[dict[str, Any], str | None]:
        entity = look.find_entity(id_, stamps=True)
        if entity is None or not holds(types, entity.all_types) or not keys_of(look, entity, Chosen()):
            raise NotFound(f"There is no evolution of {id_[:200]}, or you may not see it.")
        if wanted.chosen.names is not None and not keys_of(look, entity, wanted.chosen):
            raise NotFound(f"{id_[:200]} has none of the attributes that were asked for.")
        documents, span = _documents(look, [Evolving(entity, (wanted.ask.window,))], wanted, size)
        return documents[0], span

    def find(look: Look) -> tuple[bytes, str | None]:
        there = [] if far is None else far.by_id(look, context, wanted.view, _check(wanted), id_).get(id_, [])
        span = None
        try:
            document, span = here(look)
        except NotFound:
            if not there:
                raise
            document = {}
        if there:
            document = _merged([document, *there], wanted)
        if not document:
            raise NotFound(f"omit leaves nothing of {id_[:200]} (clause 4.21).")
        return msgspec.json.encode(with_context(document, context) if media_type == JSON_LD else document), span

    body, span = await call.run(question, call, find)
    headers: tuple[tuple[str, str], ...] = () if far is None else tuple(far.warnings)
    if wish is not None:
        known = known or await make_map(call, [Entry(id_)], wish.lifetime)
        headers = (header_of(known.id),)
    return await _answer(call, body, span, context, media_type, headers)


async def query_evolutions(call: Call) -> Answer:
    """GET /ngsi-ld/v1/temporal/entities (clause 5.7.4)"""
    context = await context_of_link(call)
    return await _answer_query(call, call.query, asked_by_parameters(call.query, context), context)


def asked_by_parameters(query: dict[str, Any], context: Context) -> AskedEvolutions:
    """The query of URL parameters. Raises NgsiLdError."""
    wanted = _wanted(query, query, context, required=True)
    items: list[Node] = []
    if query.get("type"):
        types = type_selection(query, context)
        items += [] if types is None else [types]
    ids = tuple(check_id(id_) for id_ in query.get("id") or ())
    pattern = None if ids else query.get("idPattern")
    if pattern is not None:
        check_regular(pattern)
    geoproperty = query.get("geoproperty")
    place = place_by((query.get("georel"), query.get("geometry"), query.get("coordinates"), geoproperty), context)
    selected = bool(query.get("type"))
    asked = Query(ids=ids, id_pattern=pattern)
    descending = _order(query["orderBy"].split(",")) if query.get("orderBy") else False
    return _asked(query, asked, items, place, wanted, context, selected=selected, descending=descending)


async def query_by_body(call: Call) -> Answer:
    """POST /ngsi-ld/v1/temporal/entityOperations/query (clause 6.24)"""
    document, context = await document_of(call)
    query, asked = asked_by_body(document, call.query, context)
    return await _answer_query(call, query, asked, context)


def asked_by_body(
    document: Any, parameters: dict[str, Any], context: Context
) -> tuple[dict[str, Any], AskedEvolutions]:
    """(parameters with those of the body, the query). Raises NgsiLdError."""
    if not isinstance(document, dict) or document.get("type") != "Query":
        raise NgsiLdError('must be a JSON object with "type": "Query" (clause 5.2.23)', "type")
    for name in document:
        if name not in _BODY_MEMBERS:
            raise NgsiLdError(f"is not known here; known: {', '.join(sorted(_BODY_MEMBERS))}", name[:80])
    query = dict(parameters)
    for name in ("attrs", "datasetId", "expandValues", "jsonKeys"):
        if name in document:
            query[name] = texts_of(document[name], name)
    for name in ("pick", "omit"):
        if name in document:
            query[name] = ",".join(texts_of(document[name], name))
    for name in ("q", "scopeQ", "csf", "lang"):
        if name in document:
            query[name] = text_of(document[name], name)
    temporal: dict[str, Any] = {}
    for name in ("temporalQ", "aggrParams"):
        member = document.get(name, {})
        if not isinstance(member, dict):
            raise NgsiLdError("must be an object (clause 5.2.21)", name)
        temporal |= member
    for name in ("timeAt", "endTimeAt"):
        if name in temporal and not isinstance(temporal[name], str):
            raise NgsiLdError("must be a date-time", name)
    take_map_members(document, query)
    if "aggrMethods" in temporal and not query.get("format") and not query.get("options"):
        query["format"] = "aggregatedValues"
    wanted = _wanted(query, temporal, context, required=True)
    items = [selectors_of(document["entities"], context)] if "entities" in document else []
    place = geo_of(document["geoQ"], context) if "geoQ" in document else None
    ordering = document.get("ordering", {})
    if not isinstance(ordering, dict):
        raise NgsiLdError("must be an object (clause 5.2.43)", "ordering")
    descending = _order(texts_of(ordering["orderBy"], "orderBy")) if "orderBy" in ordering else False
    selected = "entities" in document
    return query, _asked(query, Query(), items, place, wanted, context, selected=selected, descending=descending)


def _order(terms: list[str]) -> bool:
    """Clause 5.7.4.4: by id alone. True: descending."""
    for term in terms:
        name, _, direction = term.partition(";")
        if name != "id" or direction not in ("", "asc", "desc"):
            raise NgsiLdError("a temporal query is ordered by id alone (clause 5.7.4.4)", "orderBy")
    return terms[0].endswith(";desc")


def _asked(
    query: dict[str, Any],
    asked: Query,
    items: list[Node],
    place: Near | Spatial | None,
    wanted: Wanted,
    context: Context,
    *,
    selected: bool,
    descending: bool,
) -> AskedEvolutions:
    narrow = selected or place is not None or bool(query.get("local"))
    narrow = narrow or any(name not in _MEMBERS for name in wanted.chosen.names or ())
    where: Node | None = None
    if query.get("q") is not None:
        expanded = [context.stored_name(name, "expandValues") for name in query.get("expandValues") or ()]
        where = parse_q(query["q"], context, expanded)
        if link_depth(where):
            raise NgsiLdError("a temporal query does not look into linked entities (clause 5.7.4.4)", "q")
        narrow = narrow or bool(attributes_in(where) - _MEMBERS)
    if query.get("csf") is not None:
        parse_q(query["csf"], context)
    scope = parse_scope_q(query["scopeQ"]) if query.get("scopeQ") is not None else None
    if not narrow:
        raise NgsiLdError("too wide: name at least one of type, attrs, q or georel (clause 5.7.4.4)", "query")
    asked = replace(asked, where=None if not items else items[0] if len(items) == 1 else And(tuple(items)))
    return AskedEvolutions(asked, Conditions(where, place, scope), wanted, descending)


async def _answer_query(call: Call, query: dict[str, Any], asked: AskedEvolutions, context: Context) -> Answer:
    media_type, wanted = accepted(call), asked.wanted
    limit, offset, size = call.query["limit"], call.query["offset"], call.state.settings.temporal_page
    count = bool(query.get("count")) or "count" in (query.get("options") or ())
    if limit > LIMIT_MAX:
        raise Problem(403, "too-many-results", f"A page has at most {LIMIT_MAX} entities.", kind="TooManyResults")
    if limit == 0 and not count:
        raise Problem(400, "bad-parameter", "limit=0 is for counting: add count=true.", kind="BadRequestData")
    wish = wish_of(call, query)
    if wish is not None:
        return await _answer_mapped(call, wish, asked, context, media_type, count=count)

    # A query in a body is asked here alone: sources are asked by URL.
    by_url = call.route.method == "GET"
    about = Selection(
        types_in(query.get("type"), context), asked.query.ids, asked.query.id_pattern, tuple(wanted.chosen.names or ())
    )
    far = await evolutions_there(call, about, context, upto=offset + limit + 1) if by_url else None

    def ask(look: Look) -> tuple[bytes, str | None, int | None, bool]:
        if far is not None:
            return ask_all(look, far)
        found = query_evolving(look, asked.query, asked.conditions, wanted.chosen, wanted.ask.window)
        if asked.descending or count:
            every = list(found)
            total = len(every) if count else None
            if asked.descending:
                every.reverse()
            entities = every[offset : offset + limit + 1]
        else:
            total, entities = None, list(islice(found, offset, offset + limit + 1))
        more = len(entities) > limit
        documents, span = _documents(look, entities[:limit], wanted, size)
        if media_type == JSON_LD:
            documents = [with_context(document, context) for document in documents]
        return msgspec.json.encode(documents), span, total, more

    def ask_all(look: Look, far: Far) -> tuple[bytes, str | None, int | None, bool]:
        every = list(query_evolving(look, asked.query, asked.conditions, wanted.chosen, wanted.ask.window))
        if asked.descending:
            every.reverse()
        near = every[: offset + limit + 1]
        documents, span = _documents(look, near, wanted, size)
        here = {evolving.entity.id: document for evolving, document in zip(near, documents, strict=True)}
        there = far.by_id(look, context, wanted.view, _check(wanted))
        ids = merged_order(list(here), there, descending=asked.descending)
        seen = len(here) + sum(len(told) for told in there.values())
        page = ids[offset : offset + limit]
        shown = [_merged([here.get(id_, {}), *there.get(id_, [])], wanted) for id_ in page]
        if media_type == JSON_LD:
            shown = [with_context(document, context) for document in shown]
        total = len(every) + far.found.total - (seen - len(ids)) if count else None
        return msgspec.json.encode(shown), span, total, len(ids) > offset + limit

    body, span, total, more = await call.run(question, call, ask)
    headers = page_links(call, limit, offset, more)
    if far is not None:
        headers += far.warnings
    if total is not None:
        headers.append(("NGSILD-Results-Count", str(total)))
    return await _answer(call, body, span, context, media_type, tuple(headers))


def _check(wanted: Wanted) -> Callable[[dict[str, Any]], Any]:
    """Raises NgsiLdError for a document that cannot be merged: merging it with itself looks at all of it."""
    return lambda d: merge_evolutions([d, d], wanted.form, wanted.ask.window.property, wanted.ask.last_n)


def _merged(documents: list[dict[str, Any]], wanted: Wanted) -> dict[str, Any]:
    """One evolution of those that this broker and its sources tell."""
    found = [document for document in documents if document]
    if len(found) == 1:
        return trimmed(found[0], wanted.view)
    merged = merge_evolutions(found, wanted.form, wanted.ask.window.property, wanted.ask.last_n)
    return trimmed(merged, wanted.view)


def candidates_of(call: Call, asked: AskedEvolutions) -> EvolutionCandidates:
    """The query as an entity map sees it."""
    window = asked.wanted.ask.window
    chosen = asked.wanted.chosen
    return EvolutionCandidates(call, asked.query, asked.conditions, chosen, window, descending=asked.descending)


async def _answer_mapped(
    call: Call, wish: Wish, asked: AskedEvolutions, context: Context, media_type: str, *, count: bool
) -> Answer:
    """A page of an entity map (clauses 5.5.9.3, 5.7.4.4): 201 when the map is new."""
    limit, offset, size = call.query["limit"], call.query["offset"], call.state.settings.temporal_page
    candidates = candidates_of(call, asked)
    page = await map_page(call, wish, candidates, limit, offset, count=count, order=candidates.order)

    def ask(look: Look) -> tuple[bytes, str | None]:
        window = asked.wanted.ask.window
        evolving = [evolving_of(look, entity, asked.conditions, window) for entity in page.entities]
        documents, span = _documents(look, evolving, asked.wanted, size)
        if media_type == JSON_LD:
            documents = [with_context(document, context) for document in documents]
        return msgspec.json.encode(documents), span

    body, span = await call.run(question, call, ask)
    headers = [*page_links(call, limit, offset, page.more, page.next_offset), *page.headers]
    if page.total is not None:
        headers.append(("NGSILD-Results-Count", str(page.total)))
    return await _answer(call, body, span, context, media_type, tuple(headers), 201 if page.is_new else 200)


def _documents(
    look: Look, entities: list[Evolving], wanted: Wanted, size: int
) -> tuple[list[dict[str, Any]], str | None]:
    """(documents, Content-Range when they do not hold everything)."""
    keys = [keys_of(look, evolving.entity, wanted.chosen) for evolving in entities]
    if wanted.form == AGGREGATED:
        return [
            render_aggregates(evolving.entity, aggregates_of(look, evolving, chosen, wanted.ask), wanted.view)
            for evolving, chosen in zip(entities, keys, strict=True)
        ], None
    found: list[Moments] = [
        moments_of(look, evolving, chosen, wanted.ask, size + 1)
        for evolving, chosen in zip(entities, keys, strict=True)
    ]
    edge = cut_page(found, size, newest=wanted.ask.last_n is not None)
    span = None if edge is None else content_range(wanted.ask, found, edge)
    property_ = wanted.ask.window.property
    documents = [
        render_evolution(evolving.entity, moments, wanted.view, wanted.form, property_)
        for evolving, moments in zip(entities, found, strict=True)
    ]
    return documents, span


async def _answer(
    call: Call,
    body: bytes,
    span: str | None,
    context: Context,
    media_type: str,
    headers: tuple[tuple[str, str], ...],
    status: int = 200,
) -> Answer:
    if media_type == JSON:
        headers = (*headers, *await context_headers(call, context))
    if span is not None:
        return Answer(body, 206, (*headers, ("Content-Range", span)), media_type)
    return Answer(body, status, headers, media_type)


def _wanted(query: dict[str, Any], temporal: dict[str, Any], context: Context, *, required: bool) -> Wanted:
    """What is asked for. Raises NgsiLdError, Problem."""
    options = set(query.get("options") or ())
    unknown = options - _OPTIONS
    if unknown:
        known = ", ".join(sorted(_OPTIONS))
        raise NgsiLdError(f"{', '.join(sorted(unknown))[:80]} is not known; known: {known}", "options", INVALID_REQUEST)
    name = query.get("format") or next((n for n in _FORMS if n in options), "normalized")
    if name not in _FORMS:
        raise NgsiLdError(f"must be one of {', '.join(_FORMS)}", "format", INVALID_REQUEST)
    form = _FORMS[name]
    view = view_of(query, context, NORMALIZED, options)
    ask = parse_temporal(temporal, aggregated=form == AGGREGATED, required=required)
    names = view.names
    if view.pick is not None:
        # Members alone leave the choice of entities open: only what is shown of them is less.
        names = frozenset(view.pick.names) if view.pick.names.keys() - _MEMBERS else None
    for projection in (view.pick, view.omit):
        if projection is not None and projection.depth:
            raise NgsiLdError("a temporal answer does not look into linked entities (clause 5.7.4.4)", "pick")
    omitted = frozenset() if view.omit is None else frozenset(view.omit.names)
    return Wanted(form, view, ask, Chosen(names, omitted, view.datasets))
