"""Subscriptions: create, query, retrieve, update, delete (ETSI GS CIM 009 clauses 5.8.1 to 5.8.5, 6.10, 6.11)."""

from typing import Any
from urllib.parse import quote

from madang.api.errors import Problem
from madang.api.handlers.ngsild.common import JSON, JSON_LD, PATCHES, accepted, document_of, page_links
from madang.api.handlers.ngsild.context_of import base_of, context_headers, context_of_link
from madang.api.route import Answer, Call
from madang.hub.contexts import address_of
from madang.hub.subscriptions import Definition, owns
from madang.ngsild.context import Context
from madang.ngsild.names import check_id
from madang.ngsild.render import with_context
from madang.ngsild.subscription_view import render_subscription

PATH = "/ngsi-ld/v1/subscriptions"
LIMIT_MAX = 1_000
_VERSIONS = frozenset(f"1.{minor}" for minor in range(10))
_SECRETS = ("receiverInfo", "notifierInfo")
"""Header values for the receiver, perhaps its token: shown to those who may change the subscription, nobody else."""


async def create_subscription(call: Call) -> Answer:
    """POST /ngsi-ld/v1/subscriptions"""
    document, context = await document_of(call)
    id_ = await call.hub.subscriptions.create(call.caller, document, context)
    return Answer(None, 201, (("Location", f"{PATH}/{quote(id_, safe=':')}"),))


async def get_subscription(call: Call) -> Answer:
    """GET /ngsi-ld/v1/subscriptions/{id}"""
    media_type = accepted(call)
    context = await context_of_link(call)
    id_ = check_id(call.path["id"])
    await refresh(call)
    definition = call.hub.subscriptions.get(call.caller, id_)
    document = _document(call, definition, context)
    applied = preference_applied(call.headers.get("prefer", ""))
    if media_type == JSON_LD:
        return Answer(with_context(document, context), 200, applied, media_type)
    return Answer(document, 200, (*await context_headers(call, context), *applied), media_type)


def preference_applied(prefer: str) -> tuple[tuple[str, str], ...]:
    """The answer's header to a preferred version of the standard (clauses 4.3.6.8, 6.3.6; RFC 7240). A subscription is the same in every
    version.

    >>> preference_applied('respond-async, NGSI-LD="1.6";q=1')
    (('Preference-Applied', 'ngsi-ld=1.6'),)
    """
    for preference in prefer.split(",")[:64]:
        name, _, value = preference.partition(";")[0].partition("=")
        version = value.strip().strip('"')
        if name.strip().lower() == "ngsi-ld" and version in _VERSIONS:
            return (("Preference-Applied", f"ngsi-ld={version}"),)
    return ()


async def query_subscriptions(call: Call) -> Answer:
    """GET /ngsi-ld/v1/subscriptions"""
    media_type = accepted(call)
    context = await context_of_link(call)
    limit, offset = call.query["limit"], call.query["offset"]
    await refresh(call)
    found = call.hub.subscriptions.list(call.caller)
    documents = [_document(call, definition, context) for definition in found[offset : offset + limit]]
    headers = page_links(call, limit, offset, offset + limit < len(found))
    if media_type == JSON_LD:
        # Links say the type of what they lead to: the same as this page's.
        headers = [(name, value.replace(f'type="{JSON}"', f'type="{JSON_LD}"')) for name, value in headers]
        documents = [with_context(document, context) for document in documents]
    else:
        headers += await context_headers(call, context)
    if call.query.get("count") or "count" in (call.query.get("options") or ()):
        headers.append(("NGSILD-Results-Count", str(len(found))))
    return Answer(documents, 200, tuple(headers), media_type)


async def update_subscription(call: Call) -> Answer:
    """PATCH /ngsi-ld/v1/subscriptions/{id}"""
    id_ = _named(call)
    fragment, context = await document_of(call, PATCHES)
    await refresh(call)
    await call.hub.subscriptions.update(call.caller, id_, fragment, context)
    return Answer(None, 204)


async def delete_subscription(call: Call) -> Answer:
    """DELETE /ngsi-ld/v1/subscriptions/{id}"""
    id_ = _named(call)
    await refresh(call)
    await call.hub.subscriptions.delete(call.caller, id_)
    return Answer(None, 204)


def _named(call: Call) -> str:
    """The id of the path. Raises NgsiLdError, and Problem 405 for none: the list itself is not changed or deleted (the official suite's
    029_01 and 032_01)."""
    id_ = call.path["id"]
    if not id_:
        method = call.route.method
        raise Problem(
            405,
            "method-not-allowed",
            f"{method} is not for all subscriptions; name one.",
            headers=(("Allow", "GET, POST"),),
        )
    return check_id(id_)


async def refresh(call: Call) -> None:
    """Answer from what other processes on the same store wrote, too."""
    await call.run(lambda: call.hub.subscriptions.refresh(leads=call.hub.leads()))


def _document(call: Call, definition: Definition, context: Context) -> dict[str, Any]:
    subscriptions = call.hub.subscriptions
    document = render_subscription(
        definition.subscription,
        subscriptions.delivered[definition.id].sent,
        context,
        call.hub.real_clock.now(),
        created_at=definition.kept.created_at,
        modified_at=definition.kept.modified_at,
        sys_attrs="sysAttrs" in (call.query.get("options") or ()),
        hidden=() if owns(call.caller, definition) else _SECRETS,
    )
    if "jsonldContext" in document:
        document["jsonldContext"] = address_of(document["jsonldContext"], base_of(call))
    return document
