"""Subscriptions to context source registrations: create, query, retrieve, update, delete (ETSI GS CIM 009 clauses 5.11.2 to
5.11.6)."""

from typing import Any
from urllib.parse import quote

from madang.access.roles import SOURCE_MANAGE
from madang.api.handlers.ngsild.common import BODIES, JSON_LD, accepted, document_of
from madang.api.handlers.ngsild.context_of import base_of, context_headers, context_of_link
from madang.api.handlers.ngsild.registrations import registration_links
from madang.api.route import Answer, Call
from madang.hub.registration_subscriptions import Kept
from madang.hub.remote_subscriptions import registered_as
from madang.ngsild.context import Context
from madang.ngsild.names import check_id
from madang.ngsild.registration_subscription import render_subscription

PATH = "/ngsi-ld/v1/csourceSubscriptions"


async def create_subscription(call: Call) -> Answer:
    """POST /ngsi-ld/v1/csourceSubscriptions"""
    document, context = await document_of(call, BODIES)
    id_ = await call.hub.registration_subscriptions.create(document, context)
    return Answer(None, 201, (("Location", f"{PATH}/{quote(id_, safe=':')}"),))


async def get_subscription(call: Call) -> Answer:
    """GET /ngsi-ld/v1/csourceSubscriptions/{id}"""
    media_type = accepted(call)
    context = await context_of_link(call)
    id_ = check_id(call.path["id"])
    shared = next((kept for kept in _behind_shared(call) if kept.document["id"] == id_), None)
    document = _shown(call, shared or call.hub.registration_subscriptions.get(id_), context)
    if media_type == JSON_LD:
        return Answer({**document, "@context": context.value}, 200, (), media_type)
    return Answer(document, 200, await context_headers(call, context), media_type)


async def query_subscriptions(call: Call) -> Answer:
    """GET /ngsi-ld/v1/csourceSubscriptions"""
    media_type = accepted(call)
    context = await context_of_link(call)
    limit, offset = call.query["limit"], call.query["offset"]
    found = [*call.hub.registration_subscriptions.list_all(), *_behind_shared(call)]
    documents = [_shown(call, kept, context) for kept in found[offset : offset + limit]]
    headers = registration_links(call, PATH, limit, offset, more=offset + limit < len(found))
    if call.query.get("count"):
        headers.append(("NGSILD-Results-Count", str(len(found))))
    if media_type == JSON_LD:
        documents = [{**document, "@context": context.value} for document in documents]
    else:
        headers += await context_headers(call, context)
    return Answer(documents, 200, tuple(headers), media_type)


async def update_subscription(call: Call) -> Answer:
    """PATCH /ngsi-ld/v1/csourceSubscriptions/{id}"""
    id_ = check_id(call.path["id"])
    fragment, context = await document_of(call, BODIES)
    await call.hub.registration_subscriptions.update(id_, fragment, context)
    return Answer(None, 204)


async def delete_subscription(call: Call) -> Answer:
    """DELETE /ngsi-ld/v1/csourceSubscriptions/{id}"""
    await call.hub.registration_subscriptions.delete(check_id(call.path["id"]))
    return Answer(None, 204)


def _behind_shared(call: Call) -> list[Kept]:
    """What stands behind subscriptions that other brokers have copies of (clause 5.8.1.4): each hears of registrations that newly match,
    and of those that do no longer. They come and go with their subscription."""
    deliveries = call.state.deliveries
    if deliveries is None:
        return []
    endpoint = {"endpoint": {"uri": base_of(call) + deliveries.remote.path, "accept": "application/json"}}
    return [
        Kept({**registered_as(definition), "notification": endpoint}, definition.kept.created_at)
        for definition in deliveries.remote.list_shared()
    ]


def _shown(call: Call, kept: Kept, context: Context) -> dict[str, Any]:
    """receiverInfo may hold the receiver's token: it is shown to those who manage sources."""
    hidden = () if call.caller.may(SOURCE_MANAGE) else ("receiverInfo",)
    return render_subscription(kept.document, kept.sent, context, call.hub.real_clock.now(), hidden)
