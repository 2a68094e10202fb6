"""What a row of the route table is, and what a handler is given."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from madang.api.errors import Problem
from madang.api.state import BODY_SECONDS_MAX, ApiState
from madang.hub.hub import Hub
from madang.hub.queries import Look, Past, looking
from madang.model.caller import Caller
from madang.model.time import parse_instant

T = TypeVar("T")
Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

BODY_BYTES_MAX = 8 * 1024 * 1024
"""Largest request body: a batch of 1,000 readings has some 300 kB, a city's parcels as GeoJSON some 5 MB."""
TEXT_PARAMETER_MAX = 4_096
LIST_PARAMETER_MAX = 1_000


class Param(Struct, frozen=True):
    """A query parameter."""

    name: str
    kind: str = "text"
    """``text``, ``integer``, ``number``, ``boolean``, ``instant``, ``list`` (texts apart by commas)."""
    description: str = ""
    choices: tuple[str, ...] = ()
    default: Any = None
    minimum: int | None = None
    maximum: int | None = None
    capped: bool = False
    """A larger number is no mistake and stands for the maximum."""

    def parse(self, text: str) -> Any:
        """The value. Raises Problem 400."""
        if len(text) > (TEXT_PARAMETER_MAX if self.kind != "list" else TEXT_PARAMETER_MAX * 8):
            raise self.wrong("is too long")
        match self.kind:
            case "integer":
                return self._integer(text)
            case "number":
                return self._number(text)
            case "boolean":
                if text not in ("true", "false"):
                    raise self.wrong("must be true or false")
                return text == "true"
            case "instant":
                try:
                    return parse_instant(text)
                except (ValueError, OverflowError) as error:
                    raise self.wrong(str(error)) from None
            case "list":
                items = [item for item in text.split(",") if item]
                if len(items) > LIST_PARAMETER_MAX:
                    raise self.wrong(f"has more than {LIST_PARAMETER_MAX} members")
                for item in items:
                    self._check_choice(item)
                return items
        self._check_choice(text)
        return text

    def _integer(self, text: str) -> int:
        if not text.isascii() or not text.lstrip("-").isdigit() or len(text) > 18:
            raise self.wrong("must be a whole number")
        number = int(text)
        if self.capped and self.maximum is not None:
            number = min(number, self.maximum)
        return int(self._check_range(number))

    def _number(self, text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            raise self.wrong("must be a number") from None
        if number != number or number in (float("inf"), float("-inf")):
            raise self.wrong("must be a finite number")
        return self._check_range(number)

    def _check_range(self, number: float) -> float:
        if (self.minimum is not None and number < self.minimum) or (self.maximum is not None and number > self.maximum):
            raise self.wrong(f"must lie between {self.minimum} and {self.maximum}")
        return number

    def _check_choice(self, text: str) -> None:
        if self.choices and text not in self.choices:
            raise self.wrong(f"must be one of {', '.join(self.choices)}")

    def wrong(self, detail: str) -> Problem:
        return Problem(400, "bad-parameter", f"Parameter {self.name}: {detail}.", parameter=self.name)


class Answer(Struct):
    """What a handler gives back. `content`: bytes as they are; None for no body; anything else becomes JSON."""

    content: Any = None
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    media_type: str = "application/json"


Handler = Callable[["Call"], Awaitable[Answer]]
RawHandler = Callable[["Call", Send], Awaitable[None]]

PUBLIC, LOGGED_IN = "", "*"
"""`permission` of routes that anybody may ask, and of those that any logged-in caller may."""


KNOWN, MADE, ANY = "known", "made", "any"
"""The tenant that a request names must exist; is made when it does not exist (clause 5.5.10); need not exist."""


class Route(Struct, frozen=True):
    """A row of the table: everything that is generated, checked or documented about a path."""

    method: str
    path: str
    """Segments in braces are parameters: ``/api/entities/{id}``; a suffix may follow: ``/api/tables/{type}.csv``."""
    permission: str
    """`PUBLIC`, `LOGGED_IN`, or the name of a permission; several apart by a blank: any of them."""
    summary: str
    handler: Handler | None = None
    raw: RawHandler | None = None
    """Sends its answer itself: streams and what must be fast."""
    data_class: str = "internal"
    parameters: tuple[Param, ...] = ()
    free: str = ""
    """Under this name the handler finds all parameters that are not declared, {name: text}: names of properties, which the table
    cannot know. Empty: they are refused."""
    not_yet: tuple[str, ...] = ()
    """Query parameters that the standard has and we do not have yet: 501."""
    request: Any = None
    """Type of the JSON body; None: no body."""
    response: Any = None
    """Type of the JSON answer; None: see `response_media`."""
    response_media: str = "application/json"
    status: int = 200
    source_login: bool = False
    """Authenticates itself, as a source (HTTP Basic or Bearer)."""
    basic_login: bool = False
    """Takes a token as the password of HTTP Basic too, for programs that know no other way. Never where something is written: browsers
    send such credentials by themselves."""
    tag: str = ""
    tenant: str = KNOWN
    """Of NGSI-LD rows: `KNOWN`, `MADE` or `ANY`. The others are the default tenant's."""
    in_snapshot: bool = False
    """May be asked of a snapshot, by the header NGSILD-Snapshot."""
    head: bool = True
    """A GET may be asked with HEAD; not so a stream without end."""

    @property
    def is_open(self) -> bool:
        return self.permission == PUBLIC


class Call:
    """One request on its way through a handler."""

    __slots__ = (
        "_body", "caller", "cookie", "headers", "lang", "past", "path", "query", "receive", "route", "scope", "state",
    )  # fmt: skip

    def __init__(
        self,
        state: ApiState,
        route: Route,
        scope: Scope,
        receive: Receive,
        headers: dict[str, str],
        path: dict[str, str],
        query: dict[str, Any],
        caller: Caller,
        lang: str,
        cookie: str,
    ) -> None:
        self.state = state
        self.route = route
        self.scope = scope
        self.receive = receive
        self.headers = headers
        self.path = path
        self.query = query
        self.caller = caller
        self.lang = lang
        self.cookie = cookie
        """Value of the session cookie; empty when there is none."""
        self.past: Past | None = None
        """The snapshot that is read instead of what is now (see `madang.api.in_snapshot`)."""
        self._body: bytes | None = None

    @property
    def hub(self) -> Hub:
        return self.state.hub

    @property
    def has_tenant(self) -> bool:
        """False on a route for `ANY` tenant when the caller's is not there: `hub` is the default tenant's then, whose data the answer must
        not show."""
        return self.caller.tenant == self.hub.tenant

    @property
    def address(self) -> str:
        """The peer's network address, for limits; empty when unknown."""
        client = self.scope.get("client")
        return str(client[0]) if client else ""

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Run what may take long off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.state.executor, function, *args)

    async def ask(self, question: Callable[..., T], *args: Any) -> T:
        """Put a question of `madang.hub.queries` (its first argument is a Look) off the event loop."""

        def asked() -> T:
            with self.looking() as look:
                return question(look, *args)

        return await self.run(asked)

    def looking(self, *, quick: bool = False) -> AbstractContextManager[Look]:
        """A look with the caller's eyes at what the request is about: what is now, or a snapshot."""
        return looking(self.hub, self.caller, self.lang, self.past, quick=quick)

    async def done(self, future: "Future[T]") -> T:
        """Wait for a write to be durable."""
        return await self.state.arrivals.wait(future)

    async def body(self) -> bytes:
        """The request's body. Raises Problem: too large, too slow, compressed, or gone."""
        if self._body is not None:
            return self._body
        if self.headers.get("content-encoding", "identity") != "identity":
            raise Problem(415, "content-encoding", "Send the body uncompressed.")
        declared = self.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared) > BODY_BYTES_MAX:
            raise too_large()
        chunks: list[bytes] = []
        size = 0
        try:
            with self.state.body_patience:
                while True:
                    message = await self.receive()
                    if message["type"] != "http.request":
                        raise Problem(400, "disconnected", "The connection was closed before the body was there.")
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    if size > BODY_BYTES_MAX:
                        raise too_large()
                    chunks.append(chunk)
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise Problem(408, "too-slow", f"The body did not arrive within {BODY_SECONDS_MAX:.0f} s.") from None
        self._body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return self._body

    async def json(self, type_: Any = Any, media_types: tuple[str, ...] = ("application/json",)) -> Any:
        """The body as a value of `type_`. Raises Problem: other media type, not JSON, not of the type."""
        content_type = self.headers.get("content-type", "")
        # A body without a type may be looked at to tell what it is (RFC 9110, 8.3; the official NGSI-LD suite's 039_05). Not for POST:
        # that a page elsewhere can make a browser send, without asking us first.
        if content_type or self.route.method == "POST" or self.route.tag != "ngsi-ld":
            check_media_type(content_type, media_types)
        body = await self.body()
        if not body:
            raise Problem(400, "no-body", "The request needs a JSON body.", kind=_invalid(self.route))
        try:
            return msgspec.json.decode(body, type=type_)
        except msgspec.ValidationError as error:
            raise Problem(400, "bad-body", f"{error}.") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Problem(400, "bad-json", f"The body is not JSON: {error}.", kind=_invalid(self.route)) from None
        except RecursionError:
            raise Problem(400, "bad-json", "The body is nested too deeply.", kind=_invalid(self.route)) from None


def _invalid(route: Route) -> str | None:
    return "InvalidRequest" if route.path.startswith("/ngsi-ld/") else None


def too_large() -> Problem:
    """The answer to a body over the limit."""
    return Problem(413, "too-large", f"A body may have {BODY_BYTES_MAX} bytes; send it in parts.", limit=BODY_BYTES_MAX)


def check_media_type(content_type: str, allowed: tuple[str, ...]) -> None:
    """Raises Problem 415 unless the media type is one of `allowed`, in UTF-8."""
    media_type, _, parameters = content_type.partition(";")
    if media_type.strip().lower() not in allowed:
        shown = media_type.strip()[:80] or "nothing"
        raise Problem(415, "media-type", f"Content-Type is {shown}; send {' or '.join(allowed)}.")
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "charset" and value.strip('" ').lower() not in ("utf-8", "utf8"):
            raise Problem(415, "charset", "Send the body in UTF-8.")
