"""Asking context sources: the requests of a distributed operation, and what comes of them (ETSI GS CIM 009 clauses 4.3.6, 5.12,
6.3.17, 6.3.18). `madang.ngsild.federation` says who is asked for what.

Every request carries this broker's alias in Via, so that a loop is seen; a registration's own time limit, pause after a
failure, headers, tenant and @context are kept to. What a source answers is data from outside: limited in size, checked like
any document, and left out with a warning when it is wrong.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct, field

from madang.hub.contexts import Contexts
from madang.hub.http import Http, HttpAnswer, HttpFailed, HttpTooLarge
from madang.hub.ports import Clock
from madang.hub.registrations import Registrations
from madang.hub.source_answers import json_of, problem_in, problem_of, stamps_in, stamps_of
from madang.model.entity import Entity
from madang.model.time import MILLISECOND, Instant
from madang.ngsild.context import Context
from madang.ngsild.discovery import Row, read_rows
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.federation import Fragment, Part, covers, link_of, parts_of, rename, rename_attribute
from madang.ngsild.parse import parse_entity
from madang.ngsild.registration import AUXILIARY, Registration, Selection

FORWARD_S = 5.0
"""For one request where the registration says nothing: somebody waits for the whole."""
ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""One answer: a page of 1,000 entities with 16 kB each."""
ENTITIES_MAX = 10_000
"""Entities of one answer."""
AT_ONCE_MAX = 64
"""Context sources that are asked for one request; further ones are left out with a warning."""
API = "/ngsi-ld/v1"
COPY = "urn:ngsi-ld:request"
"""Value of a contextSourceInfo pair: take the header of the request that triggered this one (clause 4.3.6.5)."""
_NOT_SENT = frozenset(
    {"ngsild-tenant", "via", "content-length", "content-type", "host", "connection", "transfer-encoding", "te", "upgrade",
     "link", "accept", "accept-encoding", "keep-alive", "trailer", "expect", "contenttype", "jsonldcontext"}
)  # fmt: skip
"""What contextSourceInfo cannot set: tenant and connection (clause 4.3.6.5), and what has a key of its own."""
_NOT_COPIED = frozenset({"authorization", "cookie", "proxy-authorization"})
"""Ours: a caller's own credentials are never handed to another server."""


class Trigger(Struct, frozen=True):
    """The request that is distributed."""

    headers: Mapping[str, str]
    context: Context


class Read(Struct, frozen=True):
    """What is read: one entity (`id`), or all that a query finds."""

    id: str | None = None
    ids: tuple[str, ...] = ()
    types: str | None = None
    """The type selection in the trigger's names; None: the types of the registration."""
    id_pattern: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    """Further URL parameters of a query: filters, limit."""
    sys_attrs: bool = False
    by_body: bool = False
    """The query came in a body: sources that take both get one too."""


class Found(Struct):
    """What the sources know, and NGSILD-Warning values (6.3.17)."""

    fragments: list[Fragment]
    warnings: list[str]
    total: int = 0
    """Matches that the sources count."""
    failed: set[str] = field(default_factory=set)
    """Registrations whose source did not answer, or not usably."""

    def warn(self, code: int, part: Part, text: str) -> None:
        """A source failed."""
        self.warnings.append(_warning(code, part, text))
        self.failed.add(part.registration.id)


class Discovered(Struct):
    """What sources say of types and attributes, and NGSILD-Warning values."""

    rows: list[Row]
    warnings: list[str]


class Failed(Struct, frozen=True):
    """An entity of a batch that a source did not take."""

    id: str
    status: int
    detail: str
    kind: str


class Outcome(Struct, frozen=True):
    """How a source took a change. `status` 0: no answer."""

    part: Part
    status: int
    detail: str = ""
    kind: str = ""
    """The standard's error type where the source named one."""
    failed: tuple["Failed", ...] = ()
    """Of a batch (207): the entities that failed."""

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300 and self.status != 207


class Federation:
    """See the module's docstring. Used from one event loop."""

    def __init__(
        self, registrations: Registrations, contexts: Contexts, http: Http | None, clock: Clock, alias: str
    ) -> None:
        self._registrations = registrations
        self._contexts = contexts
        self._http = http
        self._clock = clock
        self.alias = alias
        self._paused: dict[str, Instant] = {}

    # ── who is asked ────────────────────────────────────────────────────────

    @property
    def is_idle(self) -> bool:
        """Nobody is registered: nothing is distributed."""
        return not self._registrations.list_active()

    def parts(self, asked: Selection, headers: Mapping[str, str]) -> list[Part]:
        """Who may know something of it, without those sources through which the request came: they have done their part, or are about to
        (6.3.18). That is known of registrations with a contextSourceAlias; others are found out when the request comes back."""
        found = parts_of(self._registrations.list_active(), asked)
        via = headers.get("via")
        if not via or not found:
            return found
        passed = _pseudonyms(via)
        return [part for part in found if part.takes_over or _alias(part) not in passed]

    def is_circular(self, part: Part, headers: Mapping[str, str]) -> bool:
        """Does the request go round when this source gets it, as far as that can be seen here?"""
        return self.is_loop(headers) or _alias(part) in _pseudonyms(headers.get("via", ""))

    def is_loop(self, headers: Mapping[str, str]) -> bool:
        """Did this request come through this broker before? (6.3.18)"""
        return self.alias in _pseudonyms(headers.get("via", ""))

    # ── reading ─────────────────────────────────────────────────────────────

    async def read(self, parts: Sequence[Part], trigger: Trigger, read: Read) -> Found:
        """Ask all at once; what goes wrong with one becomes a warning."""
        found = Found([], [])
        wanted: tuple[str, ...] = ("queryBatch", "queryEntity") if read.by_body else ("queryEntity", "queryBatch")
        if read.id is not None:
            wanted = ("retrieveEntity", *wanted)
        asked = [(part, operation) for part in parts if (operation := part.offers(wanted)) is not None]
        for part, _ in asked[AT_ONCE_MAX:]:
            found.warn(199, part, f"more than {AT_ONCE_MAX} sources match")
        await asyncio.gather(
            *(self._read_one(p, operation, trigger, read, found) for p, operation in asked[:AT_ONCE_MAX])
        )
        return found

    async def _read_one(self, part: Part, operation: str, trigger: Trigger, read: Read, found: Found) -> None:
        try:
            context = await self._context_for(part.registration, trigger.context)
            method, path, pairs, document = _read_request(part, operation, read, trigger.context, context)
            if read.sys_attrs:
                pairs = [*pairs, ("options", "sysAttrs")]
            answer = await self._ask(part.registration, method, path, pairs, document, trigger, context)
        except HttpFailed as error:
            code = 111 if isinstance(error, HttpTooLarge) else 199
            found.warn(code, part, str(error))
            return
        except NgsiLdError as error:
            found.warn(199, part, f"its @context cannot be used: {error.detail}")
            return
        if answer.status == 404:
            return
        if not 200 <= answer.status < 300:
            found.warn(299, part, f"it answers {answer.status}")
            return
        try:
            entities = await self._entities(answer, context)
        except NgsiLdError as error:
            found.warn(111, part, f"its answer is not used: {error}")
            return
        counted = answer.headers.get("ngsild-results-count", "")
        found.total += int(counted) if counted.isascii() and counted.isdigit() and len(counted) < 12 else len(entities)
        auxiliary = part.registration.mode == AUXILIARY
        for entity in entities:
            if covers(part, entity) and (read.id is None or entity.id == read.id):
                found.fragments.append(Fragment(narrowed(entity, part), auxiliary, part.registration.id))

    async def discover(
        self, parts: Sequence[Part], operations: Sequence[str], path: Callable[[Context], str], trigger: Trigger
    ) -> Discovered:
        """What sources that offer one of the operations, the first of them, say of types and attributes: only of those that they
        registered. `path`: in the names of an @context. What goes wrong with one becomes a warning."""
        found = Discovered([], [])
        asked = [(part, operation) for part in parts if (operation := part.offers(operations)) is not None]
        await asyncio.gather(
            *(
                self._discover_one(part, path, operation.endswith("Details"), trigger, found)
                for part, operation in asked[:AT_ONCE_MAX]
            )
        )
        return found

    async def _discover_one(
        self, part: Part, path: Callable[[Context], str], details: bool, trigger: Trigger, found: Discovered
    ) -> None:
        try:
            context = await self._context_for(part.registration, trigger.context)
            pairs = [("details", "true")] if details else []
            answer = await self._ask(part.registration, "GET", path(context), pairs, None, trigger, context)
            if answer.status == 404:
                return
            if not 200 <= answer.status < 300:
                found.warnings.append(_warning(299, part, f"it answers {answer.status}"))
                return
            rows = read_rows(json_of(answer), context.stored_name)
        except HttpFailed as error:
            found.warnings.append(_warning(199, part, str(error)))
            return
        except NgsiLdError as error:
            found.warnings.append(_warning(111, part, f"its answer is not used: {error}"))
            return
        types = {name for entity in part.entities for name in entity.types}
        if types:
            # An attribute of which it is said which types have it, and none of them is registered, is not the source's to tell of.
            said = {row.attribute for row in rows if row.attribute and row.entity_type}
            rows = [row for row in rows if not row.entity_type or row.entity_type in types]
            left = {row.attribute for row in rows if row.entity_type}
            rows = [row for row in rows if row.entity_type or row.attribute in left or row.attribute not in said]
        found.rows += [row for row in rows if not row.attribute or not part.names or row.attribute in part.names]

    async def evolutions(
        self, parts: Sequence[Part], id_: str | None, parameters: Sequence[tuple[str, str]], trigger: Trigger
    ) -> tuple[Found, list[tuple[Part, list[dict[str, Any]]]]]:
        """Temporal representations that sources tell, of one entity or as a query's first, in the trigger's names (5.7.3, 5.7.4). What
        goes wrong with one becomes a warning; so does an answer that is a part only."""
        found = Found([], [])
        told: list[tuple[Part, list[dict[str, Any]]]] = []
        path = "/temporal/entities" if id_ is None else f"/temporal/entities/{quote(id_, safe=':')}"

        async def one(part: Part) -> None:
            try:
                answer = await self._ask(part.registration, "GET", path, parameters, None, trigger, trigger.context)
            except HttpFailed as error:
                found.warn(111 if isinstance(error, HttpTooLarge) else 199, part, str(error))
                return
            if answer.status == 404:
                return
            if not 200 <= answer.status < 300:
                found.warn(299, part, f"it answers {answer.status}")
                return
            body = json_of(answer)
            documents = body if isinstance(body, list) else [body]
            if len(documents) > ENTITIES_MAX or not all(isinstance(document, dict) for document in documents):
                found.warn(111, part, "its answer is not used: it is none about evolutions")
                return
            if answer.status == 206:
                found.warn(199, part, "it tells a part of the time only: ask for a shorter one")
            counted = answer.headers.get("ngsild-results-count", "")
            found.total += (
                int(counted) if counted.isascii() and counted.isdigit() and len(counted) < 12 else len(documents)
            )
            told.append((part, documents))

        for part in parts[AT_ONCE_MAX:]:
            found.warn(199, part, f"more than {AT_ONCE_MAX} sources match")
        await asyncio.gather(*(one(part) for part in parts[:AT_ONCE_MAX]))
        order = [part.registration.id for part in parts]
        return found, sorted(told, key=lambda each: order.index(each[0].registration.id))

    async def _entities(self, answer: HttpAnswer, context: Context) -> list[Entity]:
        """The entities of an answer. Raises NgsiLdError."""
        try:
            body = msgspec.json.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise NgsiLdError("is not JSON") from None
        # Some sources answer a query for one entity with the entity itself.
        documents = body if isinstance(body, list) else [body]
        if len(documents) > ENTITIES_MAX:
            raise NgsiLdError(f"has more than {ENTITIES_MAX} entities")
        found = []
        for document in documents:
            own = document.get("@context") if isinstance(document, dict) else None
            used = context if own is None else self._contexts.find(own) or await self._contexts.resolve(own)
            parsed = parse_entity(document, "", used)
            created_at, modified_at = stamps_in(document)
            found.append(
                Entity(
                    parsed.id, parsed.type, parsed.attributes, created_at, modified_at, 0, 0, types=parsed.types,
                    scopes=parsed.scopes, expires_at=parsed.expires_at, stamps=stamps_of(document, used),
                )
            )  # fmt: skip
        return found

    # ── changing ────────────────────────────────────────────────────────────

    async def change(
        self,
        part: Part,
        method: str,
        path: str,
        parameters: Sequence[tuple[str, str]],
        document: Any,
        trigger: Trigger,
        attribute: str | None = None,
    ) -> Outcome:
        """Have a source make its part of a change. `document`: in the trigger's names, None for none; `attribute`: the stored name
        of the one attribute that it is about. Never raises."""
        try:
            context = await self._context_for(part.registration, trigger.context)
            if attribute is not None:
                path = f"{path}/{quote(context.shown_name(attribute), safe=':')}"
                document = rename_attribute(document, trigger.context, context)
            elif isinstance(document, list):
                document = [rename(d, trigger.context, context) if isinstance(d, dict) else d for d in document]
            elif isinstance(document, dict):
                document = rename(document, trigger.context, context)
            answer = await self._ask(part.registration, method, path, parameters, document, trigger, context)
        except HttpFailed as error:
            return Outcome(part, 0, str(error))
        except NgsiLdError as error:
            return Outcome(part, 0, f"its @context cannot be used: {error.detail}")
        detail, kind = problem_in(answer)
        return Outcome(part, answer.status, detail, kind, _failed_in(answer))

    async def tell(
        self, part: Part, method: str, path: str, make: Callable[[Context], Any] | None, own: Context
    ) -> Outcome:
        """Ask a source for something in the background, on nobody's request. `make`: the document in the names of an @context, `own`
        unless the source wants another. Never raises."""
        try:
            context = await self._context_for(part.registration, own)
            document = None if make is None else make(context)
            answer = await self._ask(
                part.registration, method, path, (), document, Trigger({}, own), context, is_about_entities=False
            )
        except HttpFailed as error:
            return Outcome(part, 0, str(error))
        except NgsiLdError as error:
            return Outcome(part, 0, f"its @context cannot be used: {error.detail}")
        return Outcome(part, answer.status, *problem_in(answer))

    # ── one request ─────────────────────────────────────────────────────────

    async def _context_for(self, registration: Registration, given: Context) -> Context:
        """The @context that the source wants (clause 4.3.6.6), or the trigger's."""
        wanted = _pair(registration, "jsonldContext")
        if wanted is None:
            return given
        return self._contexts.find(wanted) or await self._contexts.resolve(wanted)

    async def _ask(
        self,
        registration: Registration,
        method: str,
        path: str,
        parameters: Sequence[tuple[str, str]],
        document: Any,
        trigger: Trigger,
        context: Context,
        *,
        is_about_entities: bool = True,
    ) -> HttpAnswer:
        """Raises HttpFailed."""
        if self._http is None:
            raise HttpFailed("this server asks no others")
        management = registration.document.get("management", {})
        now = self._clock.now()
        if self._paused.get(registration.id, 0) > now:
            raise HttpFailed("it failed a moment ago and is left alone for a while")
        parameters = list(parameters)
        if is_about_entities and (registration.document.get("localOnly") or management.get("localOnly")):
            parameters.append(("local", "true"))
        url = f"{_base(registration.endpoint)}{path}"
        if parameters:
            url += "?" + urlencode(parameters, quote_via=quote, safe=":,/;|()*!~")
        headers, body = _headers_and_body(registration, document, trigger, context, self.alias)
        try:
            answer = await self._http.ask(
                method,
                url,
                headers,
                body,
                timeout_s=management["timeout"] / 1000 if "timeout" in management else FORWARD_S,
                bytes_max=ANSWER_BYTES_MAX,
            )
        except HttpFailed:
            self._registrations.count(registration.id, good=False)
            if "cooldown" in management:
                self._paused[registration.id] = now + int(management["cooldown"]) * MILLISECOND
            raise
        # Nothing found is an answer like another; a source that fails or refuses is not.
        self._registrations.count(registration.id, good=answer.status < 400 or answer.status == 404)
        return answer


# ── requests ────────────────────────────────────────────────────────────────


def _base(endpoint: str) -> str:
    """Where the API of a context source is: its endpoint, with the API's path unless that is in it."""
    bare = endpoint.rstrip("/")
    return bare if bare.endswith(API) else bare + API


def _read_request(
    part: Part, operation: str, read: Read, given: Context, context: Context
) -> tuple[str, str, list[tuple[str, str]], Any]:
    """(method, path, URL parameters, body) that asks a source for its part."""
    names = [context.shown_name(name) for name in part.names]
    if operation == "retrieveEntity" and read.id is not None:
        return "GET", f"/entities/{quote(read.id, safe=':')}", [("attrs", ",".join(names))] if names else [], None
    types = list(dict.fromkeys(name for entity in part.entities for name in entity.types))
    shown = (
        read.types if read.types is not None and context is given else ",".join(context.shown_name(t) for t in types)
    )
    own_ids = tuple(entity.id for entity in part.entities if entity.id is not None)
    ids = (read.id,) if read.id is not None else read.ids
    if part.entities and len(own_ids) == len(part.entities):
        ids = tuple(id_ for id_ in own_ids if not ids or id_ in ids)
    if operation == "queryBatch":
        return "POST", "/entityOperations/query", _paging(read), _query_body(read, shown, ids, names)
    parameters: list[tuple[str, str]] = []
    if shown:
        parameters.append(("type", shown))
    if ids:
        parameters.append(("id", ",".join(ids)))
    elif read.id_pattern is not None:
        parameters.append(("idPattern", read.id_pattern))
    if names:
        parameters.append(("attrs", ",".join(names)))
    return "GET", "/entities", [*parameters, *read.parameters], None


def _paging(read: Read) -> list[tuple[str, str]]:
    return [(name, value) for name, value in read.parameters if name in ("limit", "offset", "count")]


def _query_body(read: Read, types: str, ids: Iterable[str], names: list[str]) -> dict[str, Any]:
    """A Query (clause 5.2.23)."""
    selector = {"type": types} if types else {}
    entities = [{**selector, "id": id_} for id_ in ids] or [selector]
    if read.id_pattern is not None and entities == [selector]:
        entities = [{**selector, "idPattern": read.id_pattern}]
    body: dict[str, Any] = {"type": "Query"}
    if any(entities):
        body["entities"] = entities
    if names:
        body["attrs"] = names
    given = dict(read.parameters)
    for name in ("q", "scopeQ"):
        if name in given:
            body[name] = given[name]
    if "georel" in given:
        geo: dict[str, Any] = {name: given[name] for name in ("georel", "geometry", "geoproperty") if name in given}
        body["geoQ"] = {**geo, "coordinates": msgspec.json.decode(given.get("coordinates", "[]"))}
    return body


def _headers_and_body(
    registration: Registration, document: Any, trigger: Trigger, context: Context, alias: str
) -> tuple[dict[str, str], bytes]:
    headers: dict[str, str] = {"Accept": _pair(registration, "accept") or "application/json"}
    for pair in registration.document.get("contextSourceInfo", ()):
        key, value = pair["key"], pair["value"]
        if key.lower() in _NOT_SENT:
            continue
        if value == COPY:
            if key.lower() in _NOT_COPIED or key.lower() not in trigger.headers:
                continue
            value = trigger.headers[key.lower()]
        if value.isascii() and key.replace("-", "").replace("_", "").isalnum():
            headers[key] = value
    tenant = registration.document.get("tenant")
    if tenant is not None:
        headers["NGSILD-Tenant"] = tenant
    via = trigger.headers.get("via", "")
    headers["Via"] = f"{via}, 1.1 {alias}" if via else f"1.1 {alias}"
    link = link_of(context)
    if document is None:
        if link is not None:
            headers["Link"] = _link(link)
        return headers, b""
    # An @context that has no address of its own travels in the body.
    in_body = _pair(registration, "contentType") == "application/ld+json" or (link is None and not context.is_core)
    headers["Content-Type"] = "application/ld+json" if in_body else "application/json"
    if not in_body and link is not None:
        headers["Link"] = _link(link)
    documents = document if isinstance(document, list) else [document]
    prepared = [_with_context(d, context.value if in_body else None) for d in documents]
    return headers, msgspec.json.encode(prepared if isinstance(document, list) else prepared[0])


def _with_context(document: Any, value: Any) -> Any:
    if not isinstance(document, dict):
        return document
    bare = {key: member for key, member in document.items() if key != "@context"}
    return bare if value is None else {**bare, "@context": value}


def _link(address: str) -> str:
    return f'<{address}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'


def _pair(registration: Registration, key: str) -> str | None:
    pairs = registration.document.get("contextSourceInfo", ())
    return next((pair["value"] for pair in pairs if pair["key"] == key), None)


def _alias(part: Part) -> str | None:
    alias = part.registration.document.get("contextSourceAlias")
    return alias if isinstance(alias, str) else None


def _pseudonyms(via: str) -> set[str]:
    """Who received a message, of a Via header (RFC 9110 7.6.3): ``1.1 name (comment), …``."""
    return {words[1] for item in via.split(",") if len(words := item.split()) > 1}


# ── answers ─────────────────────────────────────────────────────────────────


def narrowed(entity: Entity, part: Part) -> Entity:
    """The entity with only the attributes that the registration covers."""
    if not part.names:
        return entity
    kept = {key: a for key, a in entity.attributes.items() if key.partition(" ")[0] in part.names}
    return msgspec.structs.replace(entity, attributes=kept)


def _failed_in(answer: HttpAnswer) -> tuple[Failed, ...]:
    """The entities that a BatchOperationResult (5.2.16) says have failed."""
    body = json_of(answer) if answer.status == 207 else None
    errors = body.get("errors") if isinstance(body, dict) else None
    found = []
    for error in errors if isinstance(errors, list) else []:
        problem = error.get("error") if isinstance(error, dict) else None
        if isinstance(problem, dict) and isinstance(error.get("entityId"), str):
            status = problem.get("status")
            known = status if isinstance(status, int) and 400 <= status < 600 else 500
            found.append(Failed(error["entityId"], known, *problem_of(problem)))
    return tuple(found)


def _warning(code: int, part: Part, text: str) -> str:
    """A value of NGSILD-Warning: code, who is meant, what happened."""
    host = urlsplit(part.registration.endpoint).netloc or part.registration.endpoint
    said = "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in f"{part.registration.id}: {text}")
    return f'{code} {host} "{said[:300]}"'
