"""Addresses in answers. They are absolute: not every client resolves others."""

from urllib.parse import quote, urlencode

from madang.api.route import Call
from madang.ogc.documents import GEO_JSON, JSON, SCHEMA, Link


def base_of(call: Call) -> str:
    """Where this API is for others: what the operator says (--public-url), else where the caller found us: scheme and host of its
    request, behind a proxy those that the proxy tells."""
    public = call.state.settings.public_url
    if public:
        return f"{public.rstrip('/')}/ogc"
    scheme = str(call.scope.get("scheme") or "http")
    host = call.headers.get("host") or "localhost"
    return f"{scheme}://{host}/ogc"


def segment(text: str) -> str:
    """A text as one segment of a path."""
    return quote(text, safe=":")


def collection_address(call: Call, type_: str) -> str:
    """The address of a collection."""
    return f"{base_of(call)}/collections/{segment(type_)}"


def collection_links(call: Call, type_: str, title: str) -> list[Link]:
    """Links of a collection: itself, its features, their columns."""
    address = collection_address(call, type_)
    return [
        Link(address, "self", JSON, title),
        Link(f"{address}/items", "items", GEO_JSON, title),
        Link(f"{address}/schema", "describedby", SCHEMA, "Columns"),
    ]


def page_links(call: Call, type_: str, after: str | None) -> list[Link]:
    """Links of a page of features; `after`: the last id of it when there are more."""
    address = f"{collection_address(call, type_)}/items"
    raw = call.scope.get("query_string", b"").decode("ascii", "replace")
    links = [
        Link(f"{address}?{raw}" if raw else address, "self", GEO_JSON),
        Link(collection_address(call, type_), "collection", JSON),
    ]
    if after is not None:
        query = call.query
        pairs = {
            name: query[name]
            for name in ("limit", "bbox", "bbox-crs", "crs", "f", "lang")
            if query.get(name) is not None
        }
        pairs |= query.get("properties", {})
        if "datetime" in query:
            pairs["datetime"] = query["datetime"]
        pairs["after"] = after
        links.append(Link(f"{address}?{urlencode(pairs, quote_via=quote, safe=':,/.')}", "next", GEO_JSON))
    return links
