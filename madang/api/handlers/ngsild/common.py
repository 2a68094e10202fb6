"""What all NGSI-LD handlers share: media types, options, representations, batches, pages."""

from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from madang.api.errors import Problem, problem_of
from madang.api.handlers.ngsild.context_of import context_of_body, context_of_link
from madang.api.route import Call
from madang.ngsild.context import CORE, Context
from madang.ngsild.errors import INVALID_REQUEST, NgsiLdError
from madang.ngsild.language import parse_languages
from madang.ngsild.names import CORE_CONTEXT, check_id
from madang.ngsild.project import Projection, parse_projection
from madang.ngsild.query import Node
from madang.ngsild.render import CONCISE, FLAT, INLINE, NORMALIZED, SIMPLIFIED, View
from madang.ngsild.types import parse_types
from madang.ngsild.versions import CURRENT, Version, preferred_version

JSON, JSON_LD, GEO_JSON = "application/json", "application/ld+json", "application/geo+json"
MERGE_PATCH = "application/merge-patch+json"
BODIES = (JSON, JSON_LD)
PATCHES = (JSON, JSON_LD, MERGE_PATCH)
CONTEXT_LINK = f'<{CORE_CONTEXT}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
JOIN_LEVEL_MAX = 8
"""Links that are followed one after the other; each level may multiply the answer."""
_OPTIONS = {"keyValues", "simplified", "concise", "normalized", "sysAttrs", "count", "update", "replace", "noOverwrite"}
_FORMS = {
    "keyValues": SIMPLIFIED,
    "simplified": SIMPLIFIED,
    "concise": CONCISE,
    "normalized": NORMALIZED,
}
_MEMBERS = frozenset({"id", "type", "scope", "createdAt", "modifiedAt", "expiresAt", "deletedAt"})
"""Members of an entity that a projection may name beside attributes."""


# ── what is asked for ───────────────────────────────────────────────────────


def accepted(call: Call, offered: tuple[str, ...] = (JSON, JSON_LD)) -> str:
    """The media type to answer with: the best by weight, the first of `offered` among equals (clause 6.3.4, RFC 9110 12.5.1).
    Raises Problem 406."""
    accept = call.headers.get("accept", "*/*") or "*/*"
    if accept in ("*/*", offered[0]):
        return offered[0]
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
                    weight = 1.0
        weights[name.strip().lower()] = weight
    best, found = "", 0.0
    for media_type in offered:
        # The most specific range decides, so that a weight of zero is not undone by a wildcard.
        weight = weights.get(media_type, weights.get("application/*", weights.get("*/*", 0.0)))
        if weight > found:
            best, found = media_type, weight
    if not best:
        raise Problem(406, "not-acceptable", f"Accept {' or '.join(offered)}.", kind=INVALID_REQUEST)
    return best


def form_of(query: dict[str, Any]) -> tuple[str, set[str]]:
    """(representation, options). Raises Problem for an unknown option."""
    options = set(query.get("options") or ())
    unknown = options - _OPTIONS
    if unknown:
        known = ", ".join(sorted(_OPTIONS))
        raise Problem(400, "bad-parameter", f"options: {', '.join(sorted(unknown))} is not known; known: {known}.",
                      kind=INVALID_REQUEST)  # fmt: skip
    form = query.get("format")
    if form is not None:
        if form not in _FORMS:
            raise Problem(400, "bad-parameter", f"format must be one of {', '.join(_FORMS)}.", kind=INVALID_REQUEST)
        return _FORMS[form], options
    for name, found in _FORMS.items():
        if name in options:
            return found, options
    return NORMALIZED, options


def type_selection(query: dict[str, Any], context: Context) -> Node | None:
    """The condition of the `type` parameter (clause 4.17); None: any type."""
    text = query.get("type")
    return parse_types(text, lambda name: context.stored_name(name, "type")) if text else None


def projection(query: dict[str, Any], name: str, context: Context) -> Projection | None:
    """The projection of `pick` or `omit`."""
    text = query.get(name)
    if text is None:
        return None

    def stored(member: str) -> str:
        return member if member in _MEMBERS else context.stored_name(member, name)

    return parse_projection(text, stored, name)


def names_in(names: list[str] | None, context: Context = CORE) -> list[str] | None:
    """Attribute names of a parameter as they are stored; None when there are none."""
    return None if not names else [context.stored_name(name, "attrs") for name in names]


def view_of(query: dict[str, Any], context: Context, form: str, options: set[str]) -> View:
    """How entities are shown, from the parameters of a request. Raises NgsiLdError."""
    pick, omit = projection(query, "pick", context), projection(query, "omit", context)
    names = names_in(query.get("attrs"), context)
    if names is not None and (pick is not None or omit is not None):
        raise NgsiLdError("attrs is the old way of pick and omit: use one of the ways (clause 6.3.17)", "attrs")
    if pick is not None and omit is not None:
        for name in pick.names.keys() & omit.names.keys():
            if omit.names[name] is None:
                raise NgsiLdError("is in pick and in omit", name)
    join = query.get("join")
    if join is not None and join not in (INLINE, FLAT, "@none"):
        raise NgsiLdError(f"must be {INLINE}, {FLAT} or @none", "join")
    level = query.get("joinLevel")
    if level is not None and join in (None, "@none"):
        raise NgsiLdError("needs join=inline or join=flat beside it", "joinLevel")
    if level is not None and not 1 <= level <= JOIN_LEVEL_MAX:
        raise NgsiLdError(f"must lie between 1 and {JOIN_LEVEL_MAX}", "joinLevel")
    followed = 0 if join in (None, "@none") else level or 1
    for name, projected in (("pick", pick), ("omit", omit)):
        if projected is not None and projected.depth > followed:
            raise NgsiLdError(f"looks {projected.depth} links deep: join and joinLevel say {followed}", name)
    datasets = query.get("datasetId")
    return View(
        form,
        context,
        "sysAttrs" in options,
        None if names is None else frozenset(names),
        frozenset(),
        pick,
        omit,
        None if not datasets else frozenset(_dataset(d) for d in datasets),
        parse_languages(query["lang"]) if query.get("lang") else None,
        None if join == "@none" else join,
        level or 1,
        frozenset(check_id(i, "containedBy") for i in query.get("containedBy") or ()),
    )


def _dataset(text: str) -> str:
    return text if text == "@none" else check_id(text, "datasetId")


def version_of(call: Call) -> Version | None:
    """The older version of the standard that the reader asks for (clause 4.3.6.8); None: the current one."""
    version = preferred_version(call.headers.get("prefer", ""))
    return None if version is None or version >= CURRENT else version


def version_headers(call: Call) -> tuple[tuple[str, str], ...]:
    """The header that tells which version the answer is for, when one was asked for (RFC 7240)."""
    version = preferred_version(call.headers.get("prefer", ""))
    return () if version is None else (("Preference-Applied", f"ngsi-ld={version[0]}.{version[1]}"),)


# ── bodies ──────────────────────────────────────────────────────────────────


async def document_of(call: Call, media_types: tuple[str, ...] = BODIES) -> tuple[Any, Context]:
    """(JSON body, the @context it is in)."""
    document = await call.json(Any, media_types)
    return document, await context_of_body(call, document)


async def members_of(call: Call, documents: list[Any]) -> list[tuple[Any, Context | Exception]]:
    """The members of a batch, each with its @context or with why it has none. In application/ld+json each carries its own."""
    if call.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON_LD:
        shared = await context_of_link(call)
        wrong = NgsiLdError(f"@context in the body is for {JSON_LD}", "@context")
        return [(d, wrong if isinstance(d, dict) and "@context" in d else shared) for d in documents]
    found: list[tuple[Any, Context | Exception]] = []
    for document in documents:
        try:
            found.append((document, await context_of_body(call, document)))
        except NgsiLdError as error:
            found.append((document, error))
    return found


def problem_details(call: Call, error: Exception) -> dict[str, Any]:
    """An error as a member of a batch's answer (clause 5.2.17)."""
    problem = problem_of(error, call.hub.words, call.lang)
    if problem is None:
        raise error
    return problem.document(ngsild=True)


def batch_error(call: Call, id_: str, error: Exception) -> dict[str, Any]:
    """An entity of a batch that failed, and why (clause 5.2.17)."""
    return {"entityId": id_, "error": problem_details(call, error)}


# ── pages ───────────────────────────────────────────────────────────────────


def page_links(
    call: Call, limit: int, offset: int, more: bool, next_offset: int | None = None
) -> list[tuple[str, str]]:
    """Link headers to the next and the previous page (clause 6.3.10). `next_offset`: where the next one begins; None: a page on."""
    raw = call.scope.get("query_string", b"").decode("ascii", "replace")
    path = str(call.scope["path"]).rstrip("/")
    links = []
    following = offset + limit if next_offset is None else next_offset
    for relation, place, there in (("next", following, more), ("prev", max(0, offset - limit), offset > 0)):
        if there and limit > 0:
            links.append(("Link", f'<{path}?{_page_query(raw, limit, place)}>; rel="{relation}"; type="{JSON}"'))
    return links


@lru_cache(maxsize=256)
def _page_query(raw: str, limit: int, offset: int) -> str:
    """The query of a request for another page of it. Remembered: screens ask the same again and again."""
    kept = [pair for pair in parse_qsl(raw, keep_blank_values=True) if pair[0] not in ("offset", "limit")]
    pairs = sorted([*kept, ("limit", str(limit)), ("offset", str(offset))])
    return urlencode(pairs, quote_via=quote, safe=":*,/()!~")
