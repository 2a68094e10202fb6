"""Which @context a request is in, and how an answer names it (ETSI GS CIM 009 clauses 6.3.5, 6.3.6).

A handler asks `context_of_link` (no body, or a body without an @context) or `context_of_body`; both give a compiled
`Context`, the core when the request names none. An answer says it by `context_headers` (application/json) or by
`Context.value` as the document's @context (application/ld+json).
"""

import re
from typing import Any

from madang.api.route import Call
from madang.hub.contexts import address_of
from madang.ngsild.context import CORE, Context
from madang.ngsild.core_context import CORE_CONTEXT
from madang.ngsild.errors import NgsiLdError

JSON_LD = "application/ld+json"
CONTEXT_RELATION = "http://www.w3.org/ns/json-ld#context"
LINKS_MAX = 64
_LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[^\s;,="]+\s*(?:=\s*(?:"[^"]*"|[^\s;,"]*))?)*)')
_RELATION = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]*))', re.IGNORECASE)


def context_link(header: str) -> str | None:
    """The address of the @context in a Link header (RFC 8288); None when it has none. Raises NgsiLdError for two.

    >>> context_link('<https://a.example/c>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"')
    'https://a.example/c'
    """
    found: list[str] = []
    for place, link in enumerate(_LINK.finditer(header)):
        if place >= LINKS_MAX:
            raise NgsiLdError(f"has more than {LINKS_MAX} links", "Link")
        relation = _RELATION.search(link[2])
        if relation is not None and CONTEXT_RELATION in (relation[1] or relation[2] or "").split():
            found.append(link[1].strip())
    if len(found) > 1:
        raise NgsiLdError("names more than one @context", "Link")
    return found[0] if found else None


async def context_of_link(call: Call) -> Context:
    """The @context of the Link header, or the core. Raises NgsiLdError: BadRequestData, LdContextNotAvailable."""
    header = call.headers.get("link")
    address = context_link(header) if header else None
    if address is None:
        return CORE
    contexts = call.hub.contexts
    return contexts.find(address) or await contexts.resolve(address)


async def context_of_body(call: Call, document: Any) -> Context:
    """The @context of a request with a body: application/ld+json carries it in the document and never in a Link header,
    application/json never in the document. A document that is no object (a batch) is left to its members. Raises
    NgsiLdError: BadRequestData, LdContextNotAvailable."""
    is_ld = call.headers.get("content-type", "").partition(";")[0].strip().lower() == JSON_LD
    has = isinstance(document, dict) and "@context" in document
    if is_ld and context_link(call.headers.get("link", "")) is not None:
        raise NgsiLdError(f"{JSON_LD} carries its @context in the body, so a Link header must not name one", "Link")
    if isinstance(document, dict) and is_ld != has:
        detail = f"{JSON_LD} needs an @context in the body" if is_ld else f"@context in the body is for {JSON_LD}"
        raise NgsiLdError(detail, "@context")
    if not has:
        return await context_of_link(call)
    contexts = call.hub.contexts
    return contexts.find(document["@context"]) or await contexts.resolve(document["@context"])


async def context_headers(call: Call, context: Context) -> tuple[tuple[str, str], ...]:
    """The Link header of an application/json answer. An @context of several members gets an address here for it."""
    address = CORE_CONTEXT
    if not context.is_core:
        address = address_of(await call.hub.contexts.keep(context.value), base_of(call))
    return (("Link", f'<{address}>; rel="{CONTEXT_RELATION}"; type="{JSON_LD}"'),)


def base_of(call: Call) -> str:
    """``scheme://host:port`` as the caller reached this server."""
    host = call.headers.get("host", "")
    if not host:
        server = call.scope.get("server") or ("127.0.0.1", 80)
        host = f"{server[0]}:{server[1]}"
    return f"{call.scope.get('scheme', 'http')}://{host}"
