"""From an ASGI request to a handler and back: the one place for log-in, permissions, parameters, errors and headers.

Every answer that is an error leaves through `_send_problem`, so there is one error shape whatever went wrong.
"""

import asyncio
import logging
import secrets
import time
from base64 import b64decode
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from madang.access.roles import INGEST, TENANT_MANAGE, in_tenant, permissions_of
from madang.api import errors
from madang.api.errors import Problem, problem_of
from madang.api.in_snapshot import SNAPSHOT_HEADER, look_into_snapshot
from madang.api.route import ANY, LOGGED_IN, MADE, PUBLIC, Answer, Call, Receive, Route, Scope, Send
from madang.api.router import Match, Router
from madang.api.state import ApiState
from madang.hub.contexts import tenant_of
from madang.hub.tenants import Tenant
from madang.hub.tokens import NotAuthenticated
from madang.hub.words import LANGUAGES
from madang.model.caller import Caller
from madang.model.tenant import DEFAULT_TENANT, check_tenant_name, is_tenant_name
from madang.ngsild.errors import NO_MULTI_TENANT_SUPPORT, NgsiLdError

logger = logging.getLogger(__name__)

COOKIE = "madang_session"
TENANT_HEADER = "ngsild-tenant"
PARAMETERS_MAX = 64
QUERY_LENGTH_MAX = 16_384
HEADERS_LENGTH_MAX = 65_536
ANONYMOUS = Caller(principal="anonymous", role="", permissions=frozenset())
FALLBACK_LANG = "en"
CSRF_HEADER = "x-requested-with"
CSRF_VALUE = "madang"

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
NO_STORE = (b"cache-control", b"no-store")


class _AsWritten(bytes):
    """A header's name that keeps its capitals on the wire: the HTTP server writes `name.lower()`."""

    def lower(self) -> bytes:
        return self


LOCATION = _AsWritten(b"Location")
"""Names of headers have no case (RFC 9110, 5.1), yet some clients look this one up by its usual spelling, the official NGSI-LD suite too
(033_11, 038_02)."""


class Dispatcher:
    """An ASGI app for HTTP over a route table; `fallback` answers GET of paths that the table does not have (the console)."""

    def __init__(self, state: ApiState, routes: tuple[Route, ...], fallback: Route) -> None:
        self.state = state
        self.routes = routes
        self._router = Router(routes)
        self._fallback = fallback
        self._tenants: dict[str, tuple[Tenant, ApiState]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        sent: list[int] = []
        tenant = b""

        async def counted(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                sent.append(message["status"])
                if tenant:
                    # Clause 6.3.14: a tenant in the request "shall also be present in HTTP response", errors too.
                    message["headers"] = [*message["headers"], (b"ngsild-tenant", tenant)]
            if scope["method"] == "HEAD" and message["type"] == "http.response.body":
                message = {"type": "http.response.body", "body": b"", "more_body": message.get("more_body", False)}
            await send(message)

        route: Route | None = None
        lang = [FALLBACK_LANG]
        try:
            headers = _headers(scope)
            if TENANT_HEADER in headers and is_tenant_name(headers[TENANT_HEADER]):
                tenant = headers[TENANT_HEADER].encode()
            lang[0] = _language(headers.get("accept-language", ""))
            self._check_host(headers)
            match = self._router.find(_raw_path(scope))
            if match is not None and match.with_empty is not None and scope["method"] not in match.routes:
                match = match.with_empty if scope["method"] in match.with_empty.routes else match
            route = self._find_route(scope["method"], scope["path"], match)
            if route is None:
                await self._options(counted, match)
            elif route.tag == "ngsi-ld" and route.request is not None and "content-length" not in headers:
                # ETSI GS CIM 009 clause 6.3.4: "just a 411 HTTP status code (without any payload body)".
                await send_answer(counted, Answer(None, 411))
            else:
                await self._answer(route, scope, receive, counted, headers, match, lang)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge: the peer gets the one shape, the log the rest
            problem = self._problem(error, scope, lang[0])
            if problem.status == 401 and route is not None and route.basic_login:
                problem.headers += (("WWW-Authenticate", 'Basic realm="madang", charset="UTF-8"'),)
            if not sent:
                await _send_problem(counted, problem, ngsild=scope["path"].startswith("/ngsi-ld/"))
        finally:
            name = route.path if route is not None else "(none)"
            status = str(sent[0]) if sent else "(gone)"
            self.state.figures.requests.labels(scope["method"][:10], name, status).inc()
            if route is None or route.raw is None:
                self.state.figures.seconds.labels(name).observe(time.perf_counter() - started)

    def _problem(self, error: Exception, scope: Scope, lang: str) -> Problem:
        known = problem_of(error, self.state.hub.words, lang)
        if known is not None:
            return known
        id_ = secrets.token_hex(8)
        self.state.figures.errors.inc()
        logger.exception("request failed: %s %s (error %s)", scope["method"], scope["path"], id_)
        return Problem(
            500, "unexpected", f"Something failed here, not with you. The log has it as {id_}.", kind=None, error_id=id_
        )

    # ── finding the row ─────────────────────────────────────────────────────

    def _find_route(self, method: str, path: str, match: Match | None) -> Route | None:
        """The row; None for OPTIONS of a path that is there. Raises Problem 404, 405."""
        if match is None:
            if _is_api_path(path) or method not in ("GET", "HEAD"):
                raise Problem(404, "no-such-path", f"There is no {path[:200]}. /openapi.json lists what there is.")
            return self._fallback
        route = match.routes.get("GET" if method == "HEAD" else method)
        if route is not None and (method != "HEAD" or route.head):
            return route
        if method == "OPTIONS":
            return None
        allowed = _allowed(match)
        raise Problem(
            405, "method-not-allowed", f"{method[:20]} is not for this path; it takes {allowed}.",
            headers=(("Allow", allowed),),
        )  # fmt: skip

    async def _options(self, send: Send, match: Match | None) -> None:
        allowed = "" if match is None else _allowed(match)
        await send_answer(send, Answer(None, 204, (("Allow", allowed),)))

    def _check_host(self, headers: dict[str, str]) -> None:
        hosts = self.state.settings.hosts
        if hosts and _host_name(headers.get("host", "")) not in hosts:
            raise Problem(421, "wrong-host", "This server does not answer under that name.")

    # ── answering ───────────────────────────────────────────────────────────

    async def _answer(
        self, route: Route, scope: Scope, receive: Receive, send: Send, headers: dict[str, str], match: Match | None,
        lang: list[str],
    ) -> None:  # fmt: skip
        """Let the row's handler answer. `lang` holds the browser's language and gets the one that was asked for."""
        path = {} if match is None else match.path
        cookie = _cookie(headers.get("cookie", ""))
        caller = self._authenticate(route, scope, headers, cookie, path)
        self._authorise(route, caller)
        state = self.state
        query = parse_query(route, scope.get("query_string", b""))
        if route.tag != "ngsi-ld" and "lang" in query:
            lang[0] = query["lang"]
        # Last, because a write into a tenant that is not there makes it: what can be refused before is.
        if TENANT_HEADER in headers or caller.tenant != DEFAULT_TENANT or (route.permission == PUBLIC and path):
            state, caller = await self._in_tenant(route, caller, headers.get(TENANT_HEADER), path)
        call = Call(state, route, scope, receive, headers, path, query, caller, lang[0], cookie)
        if SNAPSHOT_HEADER in headers and route.tag == "ngsi-ld":
            send = await look_into_snapshot(call, send)
        if route.raw is not None:
            await route.raw(call, send)
            return
        assert route.handler is not None
        answer = await route.handler(call)
        await send_answer(send, answer)

    def _authenticate(
        self, route: Route, scope: Scope, headers: dict[str, str], cookie: str, path: dict[str, str]
    ) -> Caller:
        """Who asks. Raises NotAuthenticated, TooManyFailures, Problem."""
        if route.permission == PUBLIC:
            return ANONYMOUS
        authorization = headers.get("authorization", "")
        address = str(scope["client"][0]) if scope.get("client") else ""
        if route.source_login:
            caller = self._authenticate_source(authorization, path.get("id", ""))
            if caller is not None:
                return caller
        if authorization:
            scheme, _, secret = authorization.partition(" ")
            if route.basic_login and scheme.lower() == "basic":
                secret = _basic(secret)[1]
            elif scheme.lower() != "bearer":
                raise NotAuthenticated("send the header Authorization: Bearer <token>")
            return self.state.hub.tokens.authenticate(secret.strip(), address)
        if cookie:
            caller = self.state.hub.tokens.resume_session(cookie)
            if route.method not in ("GET", "HEAD") and not _is_own_page(headers):
                raise Problem(
                    403, "cross-site", f"Send the header X-Requested-With: {CSRF_VALUE} with a cookie's request."
                )
            return caller
        role = self.state.settings.anonymous_role
        if role:
            return Caller(principal=ANONYMOUS.principal, role=role, permissions=permissions_of(role))
        raise NotAuthenticated("log in: send Authorization: Bearer <token>, or open a session with POST /api/session")

    def _authenticate_source(self, authorization: str, source_id: str) -> Caller | None:
        """A source by its own secret: HTTP Basic ``source:secret``, or Bearer with the secret. None: not by that."""
        scheme, _, rest = authorization.partition(" ")
        secret = rest.strip()
        if scheme.lower() == "basic":
            name, secret = _basic(secret)
            if name != source_id:
                raise NotAuthenticated(f"log in as the source itself, {source_id}")
        elif scheme.lower() != "bearer" or secret.startswith("mdg_"):
            return None
        source = self.state.hub.ingest.authenticate_source(source_id, secret)
        if source is None:
            raise NotAuthenticated("no such source, or the secret is not its own")
        return Caller(principal=f"source:{source.id}", role="source", permissions=frozenset({INGEST}))

    async def _in_tenant(
        self, route: Route, caller: Caller, asked: str | None, path: dict[str, str]
    ) -> tuple[ApiState, Caller]:
        """What answers for the tenant that a request is about, and the caller at work there. `asked`: the header's value; an address
        that names the tenant itself comes before it. The one place that chooses (ETSI GS CIM 009 clauses 4.14, 5.5.10).

        Raises Problem 400, 403; NgsiLdError; StoreError."""
        name = path.get("tenant") or asked
        name = DEFAULT_TENANT if name is None else name
        if route.tag == "ogc":
            # Not every GIS can send a header of one's own: there the token alone leads to its tenant.
            name = caller.tenant if asked is None else asked
            if not is_tenant_name(name):
                raise Problem(400, "bad-tenant", "NGSILD-Tenant is not the name of a tenant.")
        elif route.tag != "ngsi-ld":
            if name != DEFAULT_TENANT:
                raise Problem(
                    400, "no-tenants-here",
                    "Only paths under /ngsi-ld/ and /ogc know tenants: leave the header NGSILD-Tenant out, this is the default tenant's.",
                )  # fmt: skip
        else:
            try:
                check_tenant_name(name)
            except ValueError as error:
                raise NgsiLdError(str(error), "NGSILD-Tenant") from None
            if asked is None and "id" in path and route.permission == PUBLIC and self.state.tenants is not None:
                named = tenant_of(path.get("id", ""))
                name = named if named is not None and await self.state.tenants.has(named) else name
        there = caller if caller is ANONYMOUS else in_tenant(caller, name)
        if there is None:
            own = "in the default tenant alone, without NGSILD-Tenant"
            if caller.tenant != DEFAULT_TENANT:
                own = f"under /ngsi-ld/ alone, with NGSILD-Tenant: {caller.tenant}"
            raise Problem(
                403, "other-tenant", f"Your token works {own}; an administrator's of the default tenant works in all."
            )
        if name == DEFAULT_TENANT:
            return self.state, there
        tenants = self.state.tenants
        if tenants is None:
            raise NgsiLdError("there is the default tenant alone here", "NGSILD-Tenant", NO_MULTI_TENANT_SUPPORT)
        if route.tenant == ANY and not await tenants.has(name):
            return self.state, there
        tenant = await tenants.get(name, make=route.tenant == MADE, refuse=_refusal(there, name))
        kept = self._tenants.get(name)
        if kept is None or kept[0] is not tenant:
            kept = self._tenants[name] = (tenant, self.state.of_tenant(tenant))
        return kept[1], there

    @staticmethod
    def _authorise(route: Route, caller: Caller) -> None:
        if route.permission in (PUBLIC, LOGGED_IN):
            return
        wanted = route.permission.split()
        if not any(caller.may(permission) for permission in wanted):
            needed = " or ".join(wanted)
            raise Problem(
                403, "forbidden", f"This needs the permission {needed}; your role {caller.role} does not hold it.",
                permission=needed,
            )  # fmt: skip


def _refusal(caller: Caller, tenant: str) -> Problem | None:
    """Why this caller makes no tenant; None: it may."""
    if caller.may(TENANT_MANAGE):
        return None
    return Problem(
        403, "forbidden",
        f"There is no tenant {tenant}, and making one needs the permission {TENANT_MANAGE}, which administrators hold; your role"
        f" {caller.role} does not. Let an administrator write into it first.",
        permission=TENANT_MANAGE,
    )  # fmt: skip


# ── reading the request ─────────────────────────────────────────────────────


def _headers(scope: Scope) -> dict[str, str]:
    """Header values by name in small letters; repeated ones joined by commas (RFC 9110 5.3), cookies by semicolons."""
    found: dict[str, str] = {}
    size = 0
    for name, value in scope["headers"]:
        size += len(name) + len(value)
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        if key in found:
            text = found[key] + ("; " if key == "cookie" else ", ") + text
        found[key] = text
    if size > HEADERS_LENGTH_MAX:
        raise Problem(431, "headers-too-large", "The headers are too large.")
    return found


def _raw_path(scope: Scope) -> bytes:
    raw = scope.get("raw_path")
    if isinstance(raw, bytes) and raw:
        return raw.split(b"?", 1)[0]
    return str(scope["path"]).encode("utf-8")


def _basic(text: str) -> tuple[str, str]:
    """(name, secret) of Basic credentials (RFC 7617). Raises NotAuthenticated."""
    try:
        name, _, secret = b64decode(text.strip(), validate=True).decode("utf-8").partition(":")
    except ValueError:
        raise NotAuthenticated("the Basic credentials are not base64 of name:secret in UTF-8") from None
    return name, secret


def _cookie(header: str) -> str:
    if COOKIE not in header:
        return ""
    try:
        cookies: SimpleCookie = SimpleCookie(header)
    except CookieError:
        return ""
    morsel = cookies.get(COOKIE)
    return "" if morsel is None else morsel.value


def _is_own_page(headers: dict[str, str]) -> bool:
    """A write with a cookie comes from our own page: it says so by a header that no foreign form can send, or its Origin is
    the host that it was sent to."""
    if headers.get(CSRF_HEADER, "").lower() == CSRF_VALUE:
        return True
    origin = headers.get("origin", "")
    host = headers.get("host", "")
    return bool(host) and origin.partition("://")[2] == host


def _language(header: str) -> str:
    """The first language of Accept-Language that we have, by weight."""
    best, weight = FALLBACK_LANG, 0.0
    for part in header.split(",")[:16]:
        tag, _, parameters = part.strip().partition(";")
        lang = tag.strip().lower().split("-", 1)[0]
        if lang not in LANGUAGES:
            continue
        q = 1.0
        name, _, value = parameters.strip().partition("=")
        if name == "q":
            try:
                q = float(value)
            except ValueError:
                q = 0.0
        if q > weight:
            best, weight = lang, q
    return best


def parse_query(route: Route, raw: bytes) -> dict[str, Any]:
    """The query's values by name, defaults filled in. Raises Problem 400 (unknown, twice, wrong), 501 (not yet)."""
    query: dict[str, Any] = {param.name: param.default for param in route.parameters if param.default is not None}
    if not raw:
        return query
    if len(raw) > QUERY_LENGTH_MAX:
        raise Problem(400, "query-too-long", f"The query is longer than {QUERY_LENGTH_MAX} bytes.")
    try:
        text = raw.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX)
    except UnicodeDecodeError:
        raise Problem(400, "bad-query", "The query is not UTF-8.") from None
    except ValueError:
        raise Problem(400, "bad-query", f"The query has more than {PARAMETERS_MAX} parameters.") from None
    declared = {param.name: param for param in route.parameters}
    given: set[str] = set()
    kind = "InvalidRequest" if route.tag == "ngsi-ld" else None
    for name, value in pairs:
        if route.tag == "console":
            continue  # What a screen shows stands in its address; the page reads it, the server does not.
        if name in given:
            raise Problem(
                400, "repeated-parameter", f"Parameter {name[:80]} is given twice.", kind=kind, parameter=name[:80]
            )
        given.add(name)
        param = declared.get(name)
        if param is not None:
            query[name] = param.parse(value)
        elif name == "lang" and route.tag != "ngsi-ld":
            if value not in LANGUAGES:
                raise Problem(
                    400, "bad-parameter", f"Parameter lang must be one of {', '.join(LANGUAGES)}.", parameter=name
                )
            query[name] = value
        elif route.free:
            query.setdefault(route.free, {})[name] = value
        elif name in route.not_yet:
            raise Problem(501, "not-yet", f"Parameter {name} belongs to the standard; Madang does not have it yet.")
        else:
            known = ", ".join([*declared, *(() if route.tag == "ngsi-ld" else ("lang",))]) or "none"
            raise Problem(400, "unknown-parameter", f"Parameter {name[:80]} is not known here; known: {known}.",
                          kind=kind, parameter=name[:80], known=list(declared))  # fmt: skip
    return query


def _is_api_path(path: str) -> bool:
    return path.startswith(("/api/", "/ngsi-ld/", "/ogc/")) or path in ("/api", "/ngsi-ld")


def _allowed(match: Match) -> str:
    methods = set(match.routes) | {"OPTIONS"}
    if "GET" in methods:
        methods.add("HEAD")
    return ", ".join(sorted(methods))


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()


# ── sending the answer ──────────────────────────────────────────────────────


async def send_answer(send: Send, answer: Answer) -> None:
    """Send a whole answer."""
    content = answer.content
    if content is None:
        body = b""
    elif isinstance(content, bytes):
        body = content
    else:
        body = msgspec.json.encode(content)
    headers = start_headers(answer.media_type if content is not None else "", answer.headers)
    if answer.status not in (204, 304):
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def start_headers(media_type: str, headers: tuple[tuple[str, str], ...] = ()) -> list[tuple[bytes, bytes]]:
    """The headers of any answer: what it says, what protects it, and that it is not to be kept unless it says so."""
    return list(_start_headers(media_type, headers))


@lru_cache(maxsize=256)
def _start_headers(media_type: str, headers: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    """Remembered: most answers have the same."""
    result = [
        (LOCATION if name == "Location" else name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in headers
    ]
    if media_type:
        result.append((b"content-type", media_type.encode("latin-1")))
    names = {name for name, _ in result}
    result += [header for header in SECURITY_HEADERS if header[0] not in names]
    if b"cache-control" not in names:
        result.append(NO_STORE)
    return result


async def _send_problem(send: Send, problem: Problem, *, ngsild: bool) -> None:
    body = problem.body(ngsild=ngsild)
    media_type = errors.NGSILD_MEDIA_TYPE if ngsild else errors.MEDIA_TYPE
    await send_answer(send, Answer(body, problem.status, problem.headers, media_type))
