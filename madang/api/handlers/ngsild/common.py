"""What all NGSI-LD handlers share: media types, Link headers, representations, @context of a body."""

from typing import Any

from madang.api.errors import Problem
from madang.api.route import Call
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.names import CORE_CONTEXT, check_context, check_name
from madang.ngsild.render import CONCISE, NORMALIZED, SIMPLIFIED

JSON, JSON_LD = "application/json", "application/ld+json"
BODIES = (JSON, JSON_LD)
CONTEXT_LINK = f'<{CORE_CONTEXT}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
_OPTIONS = {"keyValues", "simplified", "concise", "normalized", "sysAttrs", "count", "update", "replace", "noOverwrite"}


def names_in(names: list[str] | None) -> list[str] | None:
    """Attribute names of a parameter, checked; None when there are none."""
    return None if not names else [check_name(name, "attrs") for name in names]


def form_of(query: dict[str, Any]) -> tuple[str, set[str]]:
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


def accepted(call: Call) -> str:
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


def context_links(media_type: str) -> tuple[tuple[str, str], ...]:
    """The Link header to the @context: plain JSON carries none in its body (clause 6.3.5)."""
    return (("Link", CONTEXT_LINK),) if media_type == JSON else ()


def with_context(call: Call, document: Any) -> Any:
    """Clause 6.3.5: JSON-LD carries its @context, plain JSON none. The context is checked, not fetched."""
    is_ld = call.headers.get("content-type", "").partition(";")[0].strip().lower() == JSON_LD
    has = isinstance(document, dict) and "@context" in document
    if isinstance(document, dict) and is_ld != has:
        detail = f"{JSON_LD} needs an @context in the body" if is_ld else f"@context in the body is for {JSON_LD}"
        raise NgsiLdError(detail, "@context")
    if has:
        check_context(document["@context"])
    return document
