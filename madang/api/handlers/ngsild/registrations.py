"""Context source registrations: create, query, retrieve, update, delete (ETSI GS CIM 009 clauses 5.9.2 to 5.9.4, 5.10)."""

import re
from typing import Any
from urllib.parse import quote, urlencode

from madang.access.roles import SOURCE_MANAGE
from madang.api.errors import Problem
from madang.api.handlers.ngsild.common import JSON, JSON_LD, accepted
from madang.api.handlers.ngsild.context_of import context_headers, context_of_body, context_of_link
from madang.api.route import Answer, Call
from madang.ngsild.context import Context
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.geo import parse_geo_query
from madang.ngsild.names import check_id
from madang.ngsild.q import parse_q
from madang.ngsild.query import Node
from madang.ngsild.registration import Registration, Search, Selection, render_registration
from madang.ngsild.regular import check_regular
from madang.ngsild.scope import parse_scope_q

PATH = "/ngsi-ld/v1/csourceRegistrations"
LIMIT_MAX = 1_000
_SECRETS = ("contextSourceInfo",)
"""Header values for the context source, perhaps its token: shown to those who manage sources, nobody else."""
_CONDITIONS = ("type", "attrs", "id", "idPattern", "q", "csf", "scopeQ", "georel")


async def create_registration(call: Call) -> Answer:
    """POST /ngsi-ld/v1/csourceRegistrations"""
    document = await call.json(Any, (JSON, JSON_LD))
    context = await context_of_body(call, document)
    id_ = await call.hub.registrations.create(document, context)
    return Answer(None, 201, (("Location", f"{PATH}/{quote(id_, safe=':')}"),))


async def get_registration(call: Call) -> Answer:
    """GET /ngsi-ld/v1/csourceRegistrations/{id}"""
    media_type = accepted(call)
    context = await context_of_link(call)
    registration = call.hub.registrations.get(check_id(call.path["id"]))
    document = _shown(call, registration, context)
    if media_type == JSON_LD:
        document["@context"] = context.value
        return Answer(document, 200, (), media_type)
    return Answer(document, 200, await context_headers(call, context), media_type)


async def query_registrations(call: Call) -> Answer:
    """GET /ngsi-ld/v1/csourceRegistrations"""
    media_type = accepted(call)
    context = await context_of_link(call)
    limit, offset = call.query["limit"], call.query["offset"]
    found = call.hub.registrations.search(search_of(call.query, context))
    page = found[offset : offset + limit]
    documents = [_shown(call, registration, context) for registration in page]
    headers = registration_links(call, PATH, limit, offset, more=offset + limit < len(found))
    if call.query.get("count") or "count" in (call.query.get("options") or ()):
        headers.append(("NGSILD-Results-Count", str(len(found))))
    if media_type == JSON_LD:
        documents = [{**document, "@context": context.value} for document in documents]
    else:
        headers += await context_headers(call, context)
    return Answer(documents, 200, tuple(headers), media_type)


async def update_registration(call: Call) -> Answer:
    """PATCH /ngsi-ld/v1/csourceRegistrations/{id}"""
    id_ = _id_in_path(call)
    fragment = await call.json(Any, (JSON, JSON_LD))
    context = await context_of_body(call, fragment)
    await call.hub.registrations.update(id_, fragment, context)
    return Answer(None, 204)


async def delete_registration(call: Call) -> Answer:
    """DELETE /ngsi-ld/v1/csourceRegistrations/{id}"""
    await call.hub.registrations.delete(_id_in_path(call))
    return Answer(None, 204)


def _id_in_path(call: Call) -> str:
    """The registration's id. Raises Problem 405 when the path ends before it: all registrations are not changed at once."""
    if not call.path["id"]:
        allowed = "GET, HEAD, OPTIONS, POST"
        raise Problem(
            405,
            "method-not-allowed",
            f"Name a registration: {PATH} itself takes {allowed}.",
            headers=(("Allow", allowed),),
        )
    return check_id(call.path["id"])


def search_of(query: dict[str, Any], context: Context) -> Search:
    """The conditions of a query for registrations. Raises NgsiLdError (BadRequestData)."""
    if not any(query.get(name) for name in _CONDITIONS):
        raise NgsiLdError(f"name at least one of {', '.join(_CONDITIONS)} (clause 5.10.2.4)", "query")
    if query.get("idPattern"):
        check_regular(query["idPattern"])
    filters: list[Node] = [parse_q(query[name], context) for name in ("q", "csf") if query.get(name)]
    if query.get("scopeQ"):
        filters.append(parse_scope_q(query["scopeQ"]))
    timerel = query.get("timerel")
    if timerel is not None:
        for name in ("timeAt", "endTimeAt") if timerel == "between" else ("timeAt",):
            if query.get(name) is None:
                raise NgsiLdError(f"is missing: timerel={timerel} needs it (clause 4.11)", name)
    elif query.get("timeAt") is not None:
        raise NgsiLdError("timeAt needs timerel beside it (clause 4.11)", "timerel")
    names = [name for name in re.split(r"[|,;()]+", query.get("type") or "") if name and name != "*"]
    return Search(
        selection=Selection(
            types=tuple(context.stored_name(name, "type") for name in names),
            ids=tuple(check_id(id_) for id_ in query.get("id") or ()),
            id_pattern=query.get("idPattern"),
            names=tuple(context.stored_name(name, "attrs") for name in query.get("attrs") or ()),
        ),
        filters=tuple(filters),
        place=parse_geo_query(
            query.get("georel"), query.get("geometry"), query.get("coordinates"), query.get("geoproperty") or None
        ),
        timerel=timerel,
        time_at=query.get("timeAt") or 0,
        end_at=query.get("endTimeAt") or 0,
        interval="observationInterval" if query["timeproperty"] == "observedAt" else "managementInterval",
    )


def _shown(call: Call, registration: Registration, context: Context) -> dict[str, Any]:
    return render_registration(
        registration,
        context,
        sys_attrs="sysAttrs" in (call.query.get("options") or ()),
        hidden=() if call.caller.may(SOURCE_MANAGE) else _SECRETS,
        usage=call.hub.registrations.usage_of(registration.id),
    )


def registration_links(call: Call, path: str, limit: int, offset: int, *, more: bool) -> list[tuple[str, str]]:
    """Link headers to the next and the previous page (clause 6.3.10)."""
    raw = call.scope.get("query_string", b"").decode("ascii", "replace")
    kept = [pair for pair in raw.split("&") if pair and pair.partition("=")[0] not in ("offset", "limit")]
    links = []
    for relation, place, there in (("next", offset + limit, more), ("prev", max(0, offset - limit), offset > 0)):
        if there:
            target = "&".join([*kept, urlencode({"limit": limit, "offset": place})])
            links.append(("Link", f'<{path}?{target}>; rel="{relation}"; type="{JSON_LD}"'))
    return links
