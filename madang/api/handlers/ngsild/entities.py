"""Retrieving and querying entities (clauses 5.7.1, 5.7.2), and the types that there are (5.7.5)."""

from typing import Any
from urllib.parse import urlencode

import msgspec

from madang.access.policy import Subject, mask_of
from madang.api.dispatch import send_answer
from madang.api.errors import Problem
from madang.api.handlers.entities import question
from madang.api.handlers.ngsild.common import CONTEXT_LINK, JSON, JSON_LD, accepted, context_links, form_of, names_in
from madang.api.route import Answer, Call, Send
from madang.hub.queries.errors import NotFound
from madang.hub.queries.look import Look
from madang.model.entity import Entity
from madang.ngsild.errors import NOT_YET, NgsiLdError
from madang.ngsild.geo import parse_geo_query
from madang.ngsild.names import CORE_CONTEXT, check_id, check_name
from madang.ngsild.q import parse_q
from madang.ngsild.query import Query
from madang.ngsild.regular import check_regular
from madang.ngsild.render import render_entity

LIMIT_MAX = 1_000
"""Entities in one page (clause 5.5.9 leaves it to the broker)."""
_ANY = Subject("", "thing")


async def get_entity(call: Call, send: Send) -> None:
    """GET /ngsi-ld/v1/entities/{id}: the hot one; answered from the stored text without parsing it where that is allowed."""
    media_type = accepted(call)
    id_ = call.path["id"]
    query = call.query
    if not query and media_type == JSON:
        body = _stored_body(call, id_)
        if body is not None:
            await send_answer(send, Answer(body, 200, (("Link", CONTEXT_LINK),), JSON))
            return
    check_id(id_)
    form, options = form_of(query)
    attributes = names_in(query.get("attrs"))

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
    await send_answer(send, Answer(body, 200, context_links(media_type), media_type))


def _stored_body(call: Call, id_: str) -> bytes | None:
    """The normalised entity as JSON, spliced from its stored text; None when policy or a mask must look into it."""
    caller = call.caller
    if caller.party is not None or mask_of(caller, _ANY).names:
        return None
    with call.hub.store.read() as read:
        found = read.find_entity_body(id_)
    if found is None:
        raise NotFound(f"There is no {id_[:200]}.")
    if not found.is_plain:
        return None
    record_type = call.hub.registry.record_types.get(found.type)
    if record_type is not None and not caller.may(record_type.read_permission):
        return None
    head = msgspec.json.encode({"id": id_, "type": found.type})[:-1]
    rest = found.attributes.encode("utf-8")
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
    media_type = accepted(call)
    query = call.query
    form, options = form_of(query)
    count = bool(query.get("count")) or "count" in options
    limit = query["limit"]
    if limit == 0 and not count:
        raise Problem(400, "bad-parameter", "limit=0 is for counting: add count=true.", kind="BadRequestData")
    asked = _query(query, max(1, limit), count)
    names = names_in(query.get("attrs"))

    def ask(look: Look) -> tuple[bytes, int | None, bool]:
        page = look.query(asked)
        shown = page.entities[:limit]
        rendered = [
            _render(look, e, form, sys_attrs="sysAttrs" in options, names=names or None, context=media_type == JSON_LD)
            for e in shown
        ]
        return msgspec.json.encode(rendered), page.total, page.next_after is not None

    body, total, more = await call.run(question, call, ask)
    headers = list(context_links(media_type))
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
    attributes = tuple(names_in(query.get("attrs")) or ())
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
    media_type = accepted(call)

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
    return Answer(document, 200, context_links(media_type), media_type)
