"""The @contexts that this server knows, and what the value of an @context means (ETSI GS CIM 009 clauses 5.5.6, 5.5.7, 5.13).

Three kinds are kept in the store: **Hosted** (added over the API), **Cached** (fetched, because a document named its
address), **ImplicitlyCreated** (an @context of several members that needs one address, for a Link header). The core is
built in. How to use it in a handler:

    context = contexts.find(value) or await contexts.resolve(value)     # value: URL, array or object
    stored = context.stored_name("speed")
    ...
    address = await contexts.keep(value)                                # one address for a Link header: URL or local id

`find` answers at once when everything the value names is known; `resolve` fetches what is missing, once for all who
wait for it. A cached context stays until it is deleted or reloaded: published contexts change by getting a new address.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote, urljoin

import msgspec
import orjson
from msgspec import Struct
from msgspec.structs import replace

from madang.hub.http import Http, HttpFailed
from madang.hub.ports import Clock, Store, StoreError, Tx
from madang.model.tenant import is_tenant_name
from madang.model.time import SECOND, Instant
from madang.ngsild.context import CORE, Context, check_members, compile_context
from madang.ngsild.core_context import CORE_CONTEXT, CORE_TERMS, is_core_context
from madang.ngsild.errors import (
    INVALID_REQUEST,
    LD_CONTEXT_NOT_AVAILABLE,
    OPERATION_NOT_SUPPORTED,
    RESOURCE_NOT_FOUND,
    NgsiLdError,
)

HOSTED, CACHED, IMPLICIT = "Hosted", "Cached", "ImplicitlyCreated"
KINDS = (HOSTED, CACHED, IMPLICIT)
PATH = "/ngsi-ld/v1/jsonldContexts/"

CONTEXT_BYTES_MAX = 2 * 1024 * 1024
"""One document. schema.org's has 200 kB, all Smart Data Models in one 1.3 MB."""
FETCH_S = 5.0
"""For one document, redirects included: somebody's request is waiting."""
REDIRECTS_MAX = 4
"""Persistent names (w3id.org) need two."""
FETCHES_MAX = 16
"""Documents fetched for one request."""
DEPTH_MAX = 8
"""Contexts that name contexts; in use are two."""
CACHED_MAX = 1_000
"""The one that was not used for longest leaves."""
KEPT_MAX = 10_000
"""Hosted and implicitly created ones together; they leave only when somebody deletes them."""
COMPILED_MAX = 512
"""Compiled contexts in memory: some 100 kB each for a sector's context."""
RETRY_AFTER = 5 * SECOND
"""A failed address is not asked again sooner, so that requests do not pile up on a dead host."""
FAILURES_MAX = 1_000

_KIND = "context"
_URN = "urn:ngsi-ld:Context:"
_OWN = re.compile(r"https?://[^/]+" + re.escape(PATH) + r"([^/?#]+)\Z")


class Entry(Struct):
    """A kept @context. `hits` counts uses and servings."""

    id: str
    kind: str
    url: str
    """Where it was fetched; empty for what this server hosts."""
    value: Any
    """The value of its @context, addresses made absolute."""
    created_at: Instant
    used_at: Instant | None = None
    hits: int = 0
    saved_hits: int = 0
    """Of `hits` what the store had when it was looked at last: several processes count."""
    dirty: bool = False


class _Missing(Exception):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class _Compiled(Struct):
    context: Context
    entries: list[Entry]


class Contexts:
    """See the module's docstring. Used from one event loop; `save_in` from the writer."""

    def __init__(self, store: Store, clock: Clock, http: Http | None, new_id: Callable[[], str]) -> None:
        """`http` None: nothing is fetched. `new_id`: a text that nobody can guess, for the address of a hosted context."""
        self._store = store
        self._clock = clock
        self._http = http
        self._new_id = new_id
        self._entries: dict[str, Entry] = {}
        self._by_url: dict[str, Entry] = {}
        self._implicit: dict[bytes, str] = {}
        self._compiled: OrderedDict[Any, _Compiled] = OrderedDict()
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._failed: dict[str, tuple[Instant, NgsiLdError]] = {}
        self._changes = 0
        """Counts the beginning and the end of every change made here."""
        self._core = Entry(_urn("core"), CACHED, CORE_CONTEXT, CORE_TERMS, clock.now())
        with store.read() as read:
            for _, document in read.list_documents(_KIND):
                self._take(_entry(document))

    # ── meaning ─────────────────────────────────────────────────────────────

    def find(self, value: Any) -> Context | None:
        """The compiled context when nothing has to be fetched for it, else None. `value` None: the core. Raises NgsiLdError
        (BadRequestData) for a value that is no @context or holds a wrong definition."""
        if value is None:
            return CORE
        key: Any = value if isinstance(value, str) else _canonical(value)
        known = self._compiled.get(key)
        if known is None:
            try:
                known = self._compile(value)
            except _Missing:
                return None
            self._compiled[key] = known
            if len(self._compiled) > COMPILED_MAX:
                self._compiled.popitem(last=False)
        else:
            self._compiled.move_to_end(key)
        if known.entries:
            now = self._clock.now()
            for entry in known.entries:
                entry.hits += 1
                entry.used_at, entry.dirty = now, True
        return known.context

    async def resolve(self, value: Any) -> Context:
        """The compiled context; what is missing is fetched. Raises NgsiLdError: LdContextNotAvailable (not reachable, not
        allowed, no good answer), BadRequestData (what came is no @context)."""
        for _ in range(FETCHES_MAX + 1):
            context = self.find(value)
            if context is not None:
                return context
            try:
                self._compile(value)
            except _Missing as missing:
                await self._load(missing.url)
        raise NgsiLdError(f"needs more than {FETCHES_MAX} documents", "@context")

    def _compile(self, value: Any) -> _Compiled:
        entries: list[Entry] = []
        members = list(self._members(value, (), entries))
        return _Compiled(compile_context(members, value), entries)

    def _members(self, value: Any, above: tuple[str, ...], entries: list[Entry]) -> Iterator[dict[str, Any]]:
        """The objects of an @context in order, addresses replaced by what they hold. Raises _Missing."""
        for member in check_members(value):
            if isinstance(member, dict):
                yield member
            elif not is_core_context(member):
                if member in above:
                    raise NgsiLdError(f"{member[:200]} includes itself", "@context")
                if len(above) >= DEPTH_MAX:
                    raise NgsiLdError(f"contexts are nested deeper than {DEPTH_MAX}", "@context")
                entry = self._find(member)
                if entry is None:
                    raise _Missing(member)
                if not any(entry is known for known in entries):
                    entries.append(entry)
                yield from self._members(entry.value, (*above, member), entries)

    def members(self, value: Any) -> list[dict[str, Any]]:
        """The objects that an @context is made of, addresses replaced by what they hold: what `compile_context` takes. For a value that
        `find` or `resolve` gave a context for."""
        return list(self._members(value, (), []))

    def _find(self, address: str) -> Entry | None:
        """An entry by its id, its own address (whatever the host: ids cannot be guessed), or where it was fetched."""
        found = self._by_url.get(address) or self._entries.get(address)
        if found is None:
            own = _OWN.match(address)
            if own is not None:
                found = self._entries.get(unquote(own[1]))
        return found

    # ── fetching ────────────────────────────────────────────────────────────

    async def _load(self, url: str) -> None:
        """Fetch a context and keep it; those who ask meanwhile wait for the same."""
        task = self._loading.get(url)
        if task is None:
            task = self._loading[url] = asyncio.create_task(self._fetch_and_keep(url))
            task.add_done_callback(lambda _: self._loading.pop(url, None))
        await asyncio.shield(task)

    async def _fetch_and_keep(self, url: str) -> None:
        now = self._clock.now()
        failed = self._failed.get(url)
        if failed is not None:
            if failed[0] > now:
                raise failed[1]
            del self._failed[url]
        try:
            value = await self._fetch(url)
        except NgsiLdError as error:
            if len(self._failed) >= FAILURES_MAX:
                self._failed.clear()
            self._failed[url] = (self._clock.now() + RETRY_AFTER, error)
            raise
        await self._put(Entry(_urn(self._new_id()), CACHED, url, value, self._clock.now()))
        cached = [entry for entry in self._entries.values() if entry.kind == CACHED]
        if len(cached) > CACHED_MAX:
            await self._drop(min(cached, key=lambda entry: entry.used_at or entry.created_at))

    async def _fetch(self, url: str) -> Any:
        """The value of @context of a remote document, its addresses absolute. Raises NgsiLdError."""
        if self._http is None:
            raise _unavailable(f"{url[:200]} is not known here, and this server fetches no @context")
        try:
            answer = await self._http.ask(
                "GET",
                url,
                {"Accept": "application/ld+json, application/json;q=0.9"},
                timeout_s=FETCH_S,
                bytes_max=CONTEXT_BYTES_MAX,
                redirects_max=REDIRECTS_MAX,
            )
        except HttpFailed as error:
            raise _unavailable(f"{url[:200]} was not fetched: {error}") from None
        if answer.status != 200:
            raise _unavailable(f"{url[:200]} was not fetched: it answers {answer.status}")
        return parse_document(answer.body, url)

    # ── the API's operations (5.13) ─────────────────────────────────────────

    async def add(self, document: Any) -> str:
        """Host an @context; gives its local id. Raises NgsiLdError: InvalidRequest (no @context), BadRequestData."""
        if not isinstance(document, dict) or "@context" not in document:
            raise NgsiLdError("a document with the member @context is needed", "@context", INVALID_REQUEST)
        value = document["@context"]
        if all(isinstance(member, dict) for member in check_members(value)):
            compile_context(check_members(value))
        return await self._create(HOSTED, value)

    async def keep(self, value: Any) -> str:
        """One address for an @context: the URL that it is, or the id of the one that is created for it (`address_of` makes the
        URL of it). The same value gets the same id."""
        address = one_address(value)
        if address is not None:
            return address
        key = _canonical(value)
        known = self._implicit.get(key)
        return known if known is not None else await self._create(IMPLICIT, value)

    async def _create(self, kind: str, value: Any) -> str:
        if sum(1 for entry in self._entries.values() if entry.kind != CACHED) >= KEPT_MAX:
            raise NgsiLdError(f"{KEPT_MAX} contexts are kept here: delete some first", "", OPERATION_NOT_SUPPORTED)
        entry = Entry(_urn(self._new_id()), kind, "", value, self._clock.now())
        await self._put(entry)
        return entry.id

    def list(self, kind: str | None = None) -> list[Entry]:
        """Entries of a kind, or all, oldest first; the core is a cached one."""
        found = [entry for entry in self._entries.values() if kind in (None, entry.kind)]
        core = [self._core] if kind in (None, CACHED) else []
        return core + sorted(found, key=lambda entry: (entry.created_at, entry.id))

    def get(self, name: str) -> Entry:
        """An entry by local id, or by the address that it was fetched from. Raises NgsiLdError (ResourceNotFound)."""
        if is_core_context(name):
            return self._core
        entry = self._find(name)
        if entry is None:
            raise NgsiLdError(f"there is no @context {name[:200]}", "", RESOURCE_NOT_FOUND)
        return entry

    def serve(self, name: str) -> Entry:
        """A copy of the entry as it stands; being served counts as a use of it. Raises as `get`."""
        entry = self.get(name)
        copy = replace(entry)
        if entry is not self._core:
            entry.hits += 1
            entry.used_at, entry.dirty = self._clock.now(), True
        return copy

    async def delete(self, name: str) -> None:
        """Raises NgsiLdError: ResourceNotFound; BadRequestData for the core."""
        if is_core_context(name):
            raise NgsiLdError("the core @context is built in and stays")
        await self._drop(self.get(name))

    async def reload(self, name: str) -> None:
        """Fetch a cached context again. Raises NgsiLdError: BadRequestData when it is not one; LdContextNotAvailable when
        there is nothing good to fetch: the one that is there stays (5.13.5.4)."""
        entry = self._core if is_core_context(name) else self._find(name)
        if entry is None or entry.kind != CACHED:
            raise NgsiLdError(f"only a cached @context can be fetched again, and {name[:200]} is none")
        try:
            value = await self._fetch(entry.url)
        except NgsiLdError as error:
            raise _unavailable(error.detail) from None
        if entry is self._core:
            if value != CORE_TERMS:
                raise _unavailable(
                    "what is published differs from the core @context of v1.9, which is built in and stays"
                )
            return
        await self._put(replace(entry, value=value, created_at=self._clock.now()))

    # ── keeping ─────────────────────────────────────────────────────────────

    def _take(self, entry: Entry) -> None:
        self._entries[entry.id] = entry
        if entry.url:
            self._by_url[entry.url] = entry
        if entry.kind == IMPLICIT:
            self._implicit[_canonical(entry.value)] = entry.id
        self._compiled.clear()

    async def _put(self, entry: Entry) -> None:
        document = msgspec.json.encode(entry)
        self._changes += 1
        await asyncio.wrap_future(self._store.write(lambda tx: tx.put_document(_KIND, entry.id, document)))
        self._take(entry)
        self._changes += 1

    def _forget(self, entry: Entry) -> None:
        self._entries.pop(entry.id, None)
        if self._by_url.get(entry.url) is entry:
            del self._by_url[entry.url]
        if entry.kind == IMPLICIT:
            self._implicit.pop(_canonical(entry.value), None)
        self._compiled.clear()

    async def _drop(self, entry: Entry) -> None:
        # Out of memory first: `save_in` must not write what the store has just let go.
        self._forget(entry)
        self._changes += 1
        try:
            await asyncio.wrap_future(self._store.write(lambda tx: tx.put_document(_KIND, entry.id, None)))
        except StoreError:
            self._take(entry)
            raise
        finally:
            self._changes += 1

    def save_in(self, tx: Tx) -> None:
        """Add to the counters in the store what was used here since the last time. Called by the writer."""
        for entry in list(self._entries.values()):
            if not entry.dirty:
                continue
            document = tx.find_document(_KIND, entry.id)
            if document is not None:  # Another process may have deleted it.
                entry.dirty = False
                kept = msgspec.json.decode(document, type=Entry)
                hits = kept.hits + entry.hits - entry.saved_hits
                used_at = max(kept.used_at or 0, entry.used_at or 0) or None
                tx.put_document(_KIND, entry.id, msgspec.json.encode(replace(kept, hits=hits, used_at=used_at)))
                entry.hits = entry.saved_hits = hits

    async def catch_up(self) -> None:
        """Take in what other processes on the same store have changed."""
        changes = self._changes

        def read_all() -> list[tuple[str, bytes]]:
            with self._store.read() as read:
                return read.list_documents(_KIND)

        rows = await asyncio.to_thread(read_all)
        if changes != self._changes or self._loading:
            return  # A change of our own is under way: next time.
        found = {id_: _entry(document) for id_, document in rows}
        for id_ in self._entries.keys() - found.keys():
            self._forget(self._entries[id_])
        for id_, entry in found.items():
            known = self._entries.get(id_)
            if known is None or (known.value, known.created_at) != (entry.value, entry.created_at):
                self._take(entry)
            else:
                known.hits += entry.hits - known.saved_hits
                known.saved_hits = entry.hits


def _entry(document: bytes) -> Entry:
    entry = msgspec.json.decode(document, type=Entry)
    entry.saved_hits, entry.dirty = entry.hits, False
    return entry


def one_address(value: Any) -> str | None:
    """The address that says all of an @context, the core aside, which every @context holds (clause 5.5.7); None: it has none, and
    `Contexts.keep` makes one."""
    members = check_members(value)
    members = [member for member in members if not (isinstance(member, str) and is_core_context(member))] or members[:1]
    return members[0] if len(members) == 1 and isinstance(members[0], str) else None


def address_of(entry_id: str, base: str) -> str:
    """The address of a context that this server hosts. `base`: ``http://host:port`` as the caller reached us; a URL stays
    what it is."""
    return entry_id if entry_id.startswith(("http://", "https://")) else f"{base}{PATH}{entry_id}"


def parse_document(body: bytes, url: str) -> Any:
    """The value of @context of a fetched document, relative addresses resolved against its own. Raises NgsiLdError
    (BadRequestData)."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NgsiLdError(f"{url[:200]} does not hold JSON", "@context") from None
    if not isinstance(document, dict) or "@context" not in document:
        raise NgsiLdError(f"{url[:200]} holds no @context", "@context")
    value = document["@context"]
    members = value if isinstance(value, list) else [value]
    members = [urljoin(url, member) if isinstance(member, str) else member for member in members]
    check_members(members, f"{url[:200]} @context")
    return members if isinstance(value, list) else members[0]


def _canonical(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise NgsiLdError(f"is not JSON: {error}", "@context") from None


def _urn(text: str) -> str:
    return f"{_URN}{text}"


def tenant_of(entry_id: str) -> str | None:
    """The tenant that the local id of an @context names (`Hub` makes them so); None for the default one's.

    >>> tenant_of("urn:ngsi-ld:Context:jeju.0f1e")
    'jeju'
    """
    tenant, dot, _ = entry_id.removeprefix(_URN).partition(".")
    return tenant if dot and entry_id.startswith(_URN) and is_tenant_name(tenant) else None


def _unavailable(detail: str) -> NgsiLdError:
    return NgsiLdError(detail, "@context", LD_CONTEXT_NOT_AVAILABLE)
