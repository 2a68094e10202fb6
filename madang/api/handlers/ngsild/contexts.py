"""NGSI-LD @contexts kept here: add, list, serve, delete and reload (ETSI GS CIM 009 clauses 5.13.2 to 5.13.5)."""

from typing import Any
from urllib.parse import quote

from madang.api.handlers.ngsild.context_of import base_of
from madang.api.route import Answer, Call
from madang.hub.contexts import CACHED, PATH, Entry, address_of
from madang.model.time import render_instant
from madang.ngsild.core_context import is_core_context
from madang.ngsild.errors import OPERATION_NOT_SUPPORTED, NgsiLdError


async def add_context(call: Call) -> Answer:
    """POST /ngsi-ld/v1/jsonldContexts"""
    document = await call.json(Any, ("application/json", "application/ld+json"))
    id_ = await call.hub.contexts.add(document)
    return Answer(None, 201, (("Location", f"{PATH}{id_}"),))


async def list_contexts(call: Call) -> Answer:
    """GET /ngsi-ld/v1/jsonldContexts; in a tenant that is not there, what every tenant has: the core"""
    entries = call.hub.contexts.list(call.query.get("kind"))
    if not call.has_tenant:
        entries = [entry for entry in entries if is_core_context(entry.url)]
    base = base_of(call)
    if call.query.get("details"):
        return Answer([_details(entry, base) for entry in entries])
    return Answer([entry.url or address_of(entry.id, base) for entry in entries])


async def serve_context(call: Call) -> Answer:
    """GET /ngsi-ld/v1/jsonldContexts/{id}: the document, or with details=true what is known of it. A cached one is published
    elsewhere: its content is not served again (5.13.4)."""
    name = call.path["id"]
    entry = call.hub.contexts.serve(name)
    if call.query.get("details"):
        return Answer(_details(entry, base_of(call)))
    if entry.kind == CACHED and not is_core_context(entry.url):
        raise NgsiLdError(f"it is published at {entry.url[:400]}: fetch it there", "", OPERATION_NOT_SUPPORTED)
    return Answer({"@context": entry.value})


async def delete_context(call: Call) -> Answer:
    """DELETE /ngsi-ld/v1/jsonldContexts/{id}, with reload=true: fetch it again instead."""
    name = call.path["id"]
    if call.query.get("reload"):
        await call.hub.contexts.reload(name)
    else:
        await call.hub.contexts.delete(name)
    return Answer(None, 204)


def _details(entry: Entry, base: str) -> dict[str, Any]:
    details: dict[str, Any] = {
        "URL": entry.url or address_of(quote(entry.id, safe=":"), base),
        "localId": entry.id,
        "kind": entry.kind,
        "createdAt": render_instant(entry.created_at),
        "numberOfHits": entry.hits,
    }
    if entry.used_at is not None:
        details["lastUsage"] = render_instant(entry.used_at)
    return details
