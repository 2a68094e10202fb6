"""NGSI-LD (ETSI GS CIM 009): create, batch upsert, retrieve, query, change attributes, delete, types."""

from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from madang.access.policy import Subject, mask_of
from madang.api.dispatch import send_answer
from madang.api.errors import NGSILD_ERRORS, Problem
from madang.api.handlers.entities import question
from madang.api.route import Answer, Call, Send
from madang.hub.entities import EntityGoverned
from madang.hub.queries.errors import NotFound
from madang.hub.queries.look import Look
from madang.model.entity import Entity
from madang.ngsild.errors import NOT_YET, NgsiLdError
from madang.ngsild.geo import parse_geo_query
from madang.ngsild.names import CORE_CONTEXT, check_context, check_id, check_name
from madang.ngsild.parse import ParsedEntity, parse_attributes, parse_entity
from madang.ngsild.q import parse_q
from madang.ngsild.query import Query
from madang.ngsild.regular import check_regular
from madang.ngsild.render import CONCISE, NORMALIZED, SIMPLIFIED, render_entity

JSON, JSON_LD = "application/json", "application/ld+json"
BODIES = (JSON, JSON_LD)
BATCH_MAX = 1_000
"""Entities in one batch operation."""
LIMIT_MAX = 1_000
"""Entities in one page (clause 5.5.9 leaves it to the broker)."""
CONTEXT_LINK = f'<{CORE_CONTEXT}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
_ANY = Subject("", "thing")
_OPTIONS = {"keyValues", "simplified", "concise", "normalized", "sysAttrs", "count", "update", "replace", "noOverwrite"}


# ── retrieving ──────────────────────────────────────────────────────────────


async def get_entity(call: Call, send: Send) -> None:
    """GET /ngsi-ld/v1/entities/{id}: the hot one; answered from the stored text without parsing it where that is allowed."""
    media_type = _accepted(call)
    id_ = call.path["id"]
    query = call.query
    if not query and media_type == JSON:
        body = _stored_body(call, id_)
        if body is not None:
            await send_answer(send, Answer(body, 200, (("Link", CONTEXT_LINK),), JSON))
            return
    check_id(id_)
    form, options = _form(query)
    attributes = _names(query.get("attrs"))

    def find(look: Look) -> bytes:
        entity = _visible(look, id_)
        if attributes and not any(name in entity.attributes for name in attributes):
            raise NotFound(f"{id_} has none of the attributes {', '.join(attributes)}.")
        if query.get("type") and entity.type not in query["type"]:
            raise NotFound(f"{id_} is a {entity.type}.")
        sys_attrs = "sysAttrs" in options
        return msgspec.json.encode(
            _render(look, entity, form, sys_attrs=sys_attrs, names=attributes, context=media_type == JSON_LD)
        )

    body = await call.run(question, call, find)
    await send_answer(send, Answer(body, 200, _links(media_type), media_type))


def _stored_body(call: Call, id_: str) -> bytes | None:
    """The normalised entity as JSON, spliced from its stored text; None when policy or a mask must look into it."""
    caller = call.caller
    if caller.party is not None or mask_of(caller, _ANY).names:
        return None
    with call.hub.store.read() as read:
        found = read.find_entity_body(id_)
    if found is None:
        raise NotFound(f"There is no {id_[:200]}.")
    type_, body = found
    record_type = call.hub.registry.record_types.get(type_)
    if record_type is not None and not caller.may(record_type.read_permission):
        return None
    head = msgspec.json.encode({"id": id_, "type": type_})[:-1]
    rest = body.encode("utf-8")
    return head + (b"," + rest[1:] if len(rest) > 2 else b"}")


def _visible(look: Look, id_: str) -> Entity:
    return look.get_entity(id_)


def _render(
    look: Look, entity: Entity, form: str, *, sys_attrs: bool, names: list[str] | None, context: bool
) -> dict[str, Any]:
    hidden = look.mask(entity.type).names
    keep = None
    if names or hidden & entity.attributes.keys():
        keep = [name for name in (names or entity.attributes) if name not in hidden]
    return render_entity(entity, form, sys_attrs=sys_attrs, attributes=keep, context=context)


async def query_entities(call: Call) -> Answer:
    """GET /ngsi-ld/v1/entities"""
    media_type = _accepted(call)
    query = call.query
    form, options = _form(query)
    count = bool(query.get("count")) or "count" in options
    limit = query["limit"]
    if limit == 0 and not count:
        raise Problem(400, "bad-parameter", "limit=0 is for counting: add count=true.", kind="BadRequestData")
    asked = _query(query, max(1, limit), count)
    names = _names(query.get("attrs"))

    def ask(look: Look) -> tuple[bytes, int | None, bool]:
        page = look.query(asked)
        shown = page.entities[:limit]
        rendered = [
            _render(look, e, form, sys_attrs="sysAttrs" in options, names=names or None, context=media_type == JSON_LD)
            for e in shown
        ]
        return msgspec.json.encode(rendered), page.total, page.next_after is not None

    body, total, more = await call.run(question, call, ask)
    headers = list(_links(media_type))
    if count and total is not None:
        headers.append(("NGSILD-Results-Count", str(total)))
    headers += _page_links(call, limit, query["offset"], more)
    return Answer(body, 200, tuple(headers), media_type)


def _query(query: dict[str, Any], limit: int, count: bool) -> Query:
    """The query tree. Raises NgsiLdError, Problem."""
    place = parse_geo_query(
        query.get("georel"), query.get("geometry"), query.get("coordinates"), query.get("geoproperty")
    )
    types = _types(query.get("type"))
    ids = tuple(check_id(id_) for id_ in query.get("id") or ())
    attributes = tuple(_names(query.get("attrs")) or ())
    where = parse_q(query["q"]) if query.get("q") else None
    pattern = query.get("idPattern")
    if pattern is not None:
        check_regular(pattern)
    if not (types or ids or attributes or where or place or pattern or query.get("local")):
        raise NgsiLdError("name at least one of type, id, idPattern, attrs, q or georel (clause 5.7.2.4)", "query")
    return Query(
        types=types,
        ids=ids,
        id_pattern=pattern,
        attributes=attributes,
        where=where,
        place=place,
        limit=limit,
        offset=query["offset"],
        count=count,
    )


def _types(text: str | None) -> tuple[str, ...]:
    """``A,B`` and ``A|B``: any of them. The rest of the type selection language (clause 4.17) comes later."""
    if not text:
        return ()
    if any(sign in text for sign in ";()"):
        raise NgsiLdError("type selection with ';' and parentheses is not there yet", "type", NOT_YET)
    return tuple(check_name(name, "type") for name in text.replace("|", ",").split(",") if name)


def _names(names: list[str] | None) -> list[str] | None:
    return None if not names else [check_name(name, "attrs") for name in names]


def _form(query: dict[str, Any]) -> tuple[str, set[str]]:
    """(representation, options). Raises Problem for an unknown option."""
    options = set(query.get("options") or ())
    unknown = options - _OPTIONS
    if unknown:
        known = ", ".join(sorted(_OPTIONS))
        raise Problem(400, "bad-parameter", f"options: {', '.join(sorted(unknown))} is not known; known: {known}.",
                      kind="InvalidRequest")  # fmt: skip
    form = query.get("format")
    if form in ("keyValues", "simplified") or options & {"keyValues", "simplified"}:
        return SIMPLIFIED, options
    if form == "concise" or "concise" in options:
        return CONCISE, options
    return NORMALIZED, options


def _accepted(call: Call) -> str:
    """The media type to answer with. Raises Problem 406 for GeoJSON and others that we do not have (yet)."""
    accept = call.headers.get("accept", "*/*") or "*/*"
    weights: dict[str, float] = {}
    for part in accept.split(",")[:16]:
        name, _, parameters = part.strip().partition(";")
        weight = 1.0
        for parameter in parameters.split(";"):
            key, _, value = parameter.strip().partition("=")
            if key == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        weights[name.strip().lower()] = weight
    best, found = "", 0.0
    for media_type in (JSON, JSON_LD):
        weight = weights.get(media_type, weights.get("application/*", weights.get("*/*", 0.0)))
        if weight > found:
            best, found = media_type, weight
    if not best:
        raise Problem(406, "not-acceptable", f"Accept {JSON} or {JSON_LD}.", kind="InvalidRequest")
    return best


def _links(media_type: str) -> tuple[tuple[str, str], ...]:
    return (("Link", CONTEXT_LINK),) if media_type == JSON else ()


def _page_links(call: Call, limit: int, offset: int, more: bool) -> list[tuple[str, str]]:
    """Link headers to the next and the previous page (clause 6.3.10)."""
    raw = call.scope.get("query_string", b"").decode("ascii", "replace")
    kept = [pair for pair in raw.split("&") if pair and pair.partition("=")[0] not in ("offset", "limit")]
    links = []
    for relation, place, there in (("next", offset + limit, more), ("prev", max(0, offset - limit), offset > 0)):
        if there and limit > 0:
            target = "&".join([*kept, urlencode({"limit": limit, "offset": place})])
            links.append(("Link", f'</ngsi-ld/v1/entities?{target}>; rel="{relation}"; type="{JSON}"'))
    return links


async def list_types(call: Call) -> Answer:
    """GET /ngsi-ld/v1/types"""
    media_type = _accepted(call)

    def ask(look: Look) -> list[str]:
        return [t for t in look.read.list_types() if look.may_see_type(t)]

    types = await call.run(question, call, ask)
    document: dict[str, Any] = {
        "id": f"urn:ngsi-ld:EntityTypeList:{call.caller.tenant}",
        "type": "EntityTypeList",
        "typeList": types,
    }
    if media_type == JSON_LD:
        document["@context"] = CORE_CONTEXT
    return Answer(document, 200, _links(media_type), media_type)


# ── writing ─────────────────────────────────────────────────────────────────


async def create_entity(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entities"""
    entity = parse_entity(_with_context(call, await call.json(Any, BODIES)))
    await call.done(call.state.entities.create(call.caller, entity))
    return Answer(None, 201, (("Location", f"/ngsi-ld/v1/entities/{quote(entity.id, safe=':')}"),))


async def upsert(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entityOperations/upsert: 201 with the created ids, 204 when all were there, 207 when some failed."""
    documents = await call.json(Any, BODIES)
    if not isinstance(documents, list) or not documents:
        raise NgsiLdError("must be an array of entities that is not empty")
    if len(documents) > BATCH_MAX:
        raise Problem(413, "too-large", f"A batch may have {BATCH_MAX} entities.", limit=BATCH_MAX)
    _, options = _form(call.query)
    good: list[ParsedEntity] = []
    errors: list[dict[str, Any]] = []
    for place, document in enumerate(documents):
        try:
            good.append(parse_entity(_with_context(call, document), f"[{place}]"))
        except NgsiLdError as error:
            id_ = document.get("id") if isinstance(document, dict) else None
            errors.append(_batch_error(id_ if isinstance(id_, str) else "", error.kind, 400, str(error)))
    written = await call.done(call.state.entities.upsert(call.caller, good, update="update" in options))
    for id_, problem in written.errors.items():
        kind = "Conflict" if isinstance(problem, EntityGoverned) else "BadRequestData"
        errors.append(_batch_error(id_, kind, 409 if kind == "Conflict" else 400, f"{problem}."))
    if errors:
        success = [*written.created, *written.updated]
        if not success and all(error["error"]["status"] == 400 for error in errors) and len(documents) == 1:
            first = errors[0]["error"]
            raise Problem(400, "bad-request-data", first["detail"], kind="BadRequestData")
        return Answer({"success": success, "errors": errors}, 207)
    if written.created:
        return Answer(written.created, 201)
    return Answer(None, 204)


def _batch_error(id_: str, kind: str, status: int, detail: str) -> dict[str, Any]:
    problem = {"type": f"{NGSILD_ERRORS}{kind}", "title": kind, "status": status, "detail": detail}
    return {"entityId": id_, "error": problem}


def _with_context(call: Call, document: Any) -> Any:
    """Clause 6.3.5: JSON-LD carries its @context, plain JSON none. The context is checked, not fetched."""
    is_ld = call.headers.get("content-type", "").partition(";")[0].strip().lower() == JSON_LD
    has = isinstance(document, dict) and "@context" in document
    if isinstance(document, dict) and is_ld != has:
        detail = f"{JSON_LD} needs an @context in the body" if is_ld else f"@context in the body is for {JSON_LD}"
        raise NgsiLdError(detail, "@context")
    if has:
        check_context(document["@context"])
    return document


async def delete_entity(call: Call) -> Answer:
    """DELETE /ngsi-ld/v1/entities/{id}"""
    await call.done(call.state.entities.delete(call.caller, check_id(call.path["id"])))
    return Answer(None, 204)


async def append_attributes(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entities/{id}/attrs"""
    id_ = check_id(call.path["id"])
    _, options = _form(call.query)
    document = _with_context(call, await call.json(Any, BODIES))
    attributes = parse_attributes(document)
    overwrite = "noOverwrite" not in options
    left = await call.done(call.state.entities.append(call.caller, id_, attributes, overwrite=overwrite))
    return _update_result(attributes, left, "is there already, and noOverwrite was asked for")


async def update_attributes(call: Call) -> Answer:
    """PATCH /ngsi-ld/v1/entities/{id}/attrs"""
    id_ = check_id(call.path["id"])
    document = _with_context(call, await call.json(Any, BODIES))
    attributes = parse_attributes(document)
    left = await call.done(call.state.entities.update(call.caller, id_, attributes))
    return _update_result(attributes, left, "is not there")


def _update_result(attributes: dict[str, Any], left: list[str], reason: str) -> Answer:
    """204, or 207 with what was left alone (clause 5.2.18)."""
    if not left:
        return Answer(None, 204)
    updated = [name for name in attributes if name not in left]
    return Answer({"updated": updated, "notUpdated": [{"attributeName": name, "reason": reason} for name in left]}, 207)


async def merge_entity(call: Call) -> Answer:
    """PATCH /ngsi-ld/v1/entities/{id}: 409 for a record; merging others comes with the complete NGSI-LD."""
    id_ = check_id(call.path["id"])

    def check(look: Look) -> None:
        entity = look.get_entity(id_)
        if look.hub.registry.is_record(entity.type):
            raise EntityGoverned(f"a {entity.type} changes only by actions: POST /api/records/{id_}/actions/{{action}}")

    await call.run(question, call, check)
    raise Problem(
        501, "not-yet", "Merging an entity is not there yet: PATCH its /attrs, or upsert it with options=update."
    )
