"""Context source registrations: kept in the store and in memory, because every request is matched against all of them
(ETSI GS CIM 009 clauses 5.9, 5.10). `madang.ngsild.registration` says what one is about.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from madang.hub.ports import Clock, Store, StoreError, Tx
from madang.model.time import Instant
from madang.ngsild.context import Context
from madang.ngsild.errors import ALREADY_EXISTS, CONFLICT, OPERATION_NOT_SUPPORTED, RESOURCE_NOT_FOUND, NgsiLdError
from madang.ngsild.query import Query
from madang.ngsild.registration import (
    EXCLUSIVE,
    REDIRECT,
    Registration,
    Search,
    Usage,
    meets,
    merge_registration,
    overlaps,
    parse_registration,
    read_registration,
)

REGISTRATIONS_MAX = 10_000
"""Each request is matched against all: at some 2 µs each, 20 ms."""
_KIND = "registration"


class Kept(Struct, frozen=True):
    """A registration as it stands in the store."""

    document: dict[str, Any]
    created_at: Instant
    modified_at: Instant
    usage: Usage = Usage()


Listener = Callable[[Registration | None, Registration | None], None]
"""Hears of a registration as it was before and as it is now; None: it was not, it is no more."""


class Registrations:
    """See the module's docstring. Used from one event loop."""

    def __init__(self, store: Store, clock: Clock, new_id: Callable[[], str]) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._lock = asyncio.Lock()
        self._listeners: list[Listener] = []
        self._all: dict[str, Registration] = {}
        self._usage: dict[str, Usage] = {}
        self._dirty: set[str] = set()
        with store.read() as read:
            for id_, document in read.list_documents(_KIND):
                kept = msgspec.json.decode(document, type=Kept)
                self._all[id_] = read_registration(kept.document, kept.created_at, kept.modified_at)
                self._usage[id_] = kept.usage

    # ── reading ─────────────────────────────────────────────────────────────

    def get(self, id_: str) -> Registration:
        """Raises NgsiLdError (ResourceNotFound), also for one that has expired."""
        found = self._all.get(id_)
        if found is None or _expired(found, self._clock.now()):
            raise NgsiLdError(f"there is no registration {id_[:200]}", "", RESOURCE_NOT_FOUND)
        return found

    def list_active(self) -> list[Registration]:
        """All that have not expired, oldest first."""
        if not self._all:
            return []
        now = self._clock.now()
        return [registration for registration in self._all.values() if not _expired(registration, now)]

    def search(self, search: Search) -> list[Registration]:
        """Those that meet every condition, oldest first."""
        return [registration for registration in self.list_active() if meets(registration, search)]

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` after every change, from the event loop: it must return at once and never raise."""
        self._listeners.append(listener)

    def _tell(self, before: Registration | None, after: Registration | None) -> None:
        for listener in self._listeners:
            listener(before, after)

    # ── writing ─────────────────────────────────────────────────────────────

    async def create(self, document: Any, context: Context) -> str:
        """Keep a registration; gives its id. Raises NgsiLdError: BadRequestData, AlreadyExists, Conflict (clause 5.9.2)."""
        async with self._lock:
            self._forget_expired()
            now = self._clock.now()
            stored = parse_registration(
                document, context, now, f"urn:ngsi-ld:ContextSourceRegistration:{self._new_id()}"
            )
            if stored["id"] in self._all:
                raise NgsiLdError(f"there is a registration {stored['id']} already", "id", ALREADY_EXISTS)
            if len(self._all) >= REGISTRATIONS_MAX:
                raise NgsiLdError(f"{REGISTRATIONS_MAX} registrations are kept here", "", OPERATION_NOT_SUPPORTED)
            await self._put(read_registration(stored, now, now), new=True)
            return str(stored["id"])

    async def update(self, id_: str, fragment: Any, context: Context) -> None:
        """Change a registration (clause 5.9.3). Raises NgsiLdError: ResourceNotFound, BadRequestData, Conflict."""
        async with self._lock:
            known = self.get(id_)
            now = self._clock.now()
            await self._put(
                read_registration(merge_registration(known.document, fragment, context, now), known.created_at, now)
            )

    async def delete(self, id_: str) -> None:
        """Raises NgsiLdError (ResourceNotFound)."""
        async with self._lock:
            known = self.get(id_)
            # Out of memory first: `save_in` must not write what the store has just let go.
            del self._all[id_]
            try:
                await asyncio.wrap_future(self._store.write(lambda tx: tx.put_document(_KIND, id_, None)))
            except StoreError:
                self._all[id_] = known
                raise
            self._usage.pop(id_, None)
            self._tell(known, None)

    async def _put(self, registration: Registration, *, new: bool = False) -> None:
        others = [known for known in self.list_active() if known.id != registration.id]
        for known in others:
            if overlaps(registration, known):
                raise NgsiLdError(f"{known.id} holds an attribute of the same entity exclusively", "", CONFLICT)
        kept = self._kept(registration)

        def op(tx: Tx) -> None:
            if new and tx.find_document(_KIND, registration.id) is not None:
                raise NgsiLdError(f"there is a registration {registration.id} already", "id", ALREADY_EXISTS)
            _check_entities(tx, registration)
            tx.put_document(_KIND, registration.id, msgspec.json.encode(kept))

        await asyncio.wrap_future(self._store.write(op))
        before = self._all.get(registration.id)
        self._all[registration.id] = registration
        self._tell(before, registration)

    def _kept(self, registration: Registration) -> Kept:
        usage = self._usage.get(registration.id, Usage())
        return Kept(registration.document, registration.created_at, registration.modified_at, usage)

    # ── how it goes ─────────────────────────────────────────────────────────

    def usage_of(self, id_: str) -> Usage:
        """How a context source was asked so far."""
        return self._usage.get(id_, Usage())

    def count(self, id_: str, *, good: bool) -> None:
        """A context source was asked, and answered or not."""
        before, now = self.usage_of(id_), self._clock.now()
        self._usage[id_] = Usage(
            before.times_sent + 1,
            before.times_failed + (not good),
            now if good else before.last_success_at,
            before.last_failure_at if good else now,
        )
        self._dirty.add(id_)

    def save_in(self, tx: Tx) -> None:
        """Keep the counters of those that were asked since the last time. Called by the writer."""
        dirty, self._dirty = self._dirty, set()
        for id_ in dirty:
            document = tx.find_document(_KIND, id_)
            if document is not None:  # Another process may have deleted it.
                kept = msgspec.json.decode(document, type=Kept)
                tx.put_document(_KIND, id_, msgspec.json.encode(replace(kept, usage=self.usage_of(id_))))

    async def catch_up(self) -> None:
        """Take in what other processes on the same store have changed; their subscribers were told there."""

        def read_all() -> list[tuple[str, bytes]]:
            with self._store.read() as read:
                return read.list_documents(_KIND)

        async with self._lock:
            rows = await asyncio.to_thread(read_all)
            found: dict[str, Registration] = {}
            for id_, document in rows:
                kept = msgspec.json.decode(document, type=Kept)
                known = self._all.get(id_)
                if known is not None and (known.document, known.modified_at) == (kept.document, kept.modified_at):
                    found[id_] = known
                else:
                    found[id_] = read_registration(kept.document, kept.created_at, kept.modified_at)
                    self._usage.setdefault(id_, kept.usage)
            self._all = found

    def _forget_expired(self) -> None:
        """Let go of what has expired (clause 5.2.9: the registration ceases to exist)."""
        now = self._clock.now()
        for id_ in [r.id for r in self._all.values() if _expired(r, now)]:
            del self._all[id_]
            self._store.write(lambda tx, id_=id_: tx.put_document(_KIND, id_, None))  # type: ignore[misc]


def _expired(registration: Registration, now: Instant) -> bool:
    return registration.expires_at is not None and registration.expires_at <= now


def _check_entities(tx: Tx, registration: Registration) -> None:
    """Clause 5.9.2.4: what an exclusive or a redirect registration takes over must not be held here already."""
    if registration.mode not in (EXCLUSIVE, REDIRECT):
        return
    for item in registration.information:
        queries = [
            Query(types=e.types if e.id is None else (), ids=() if e.id is None else (e.id,), id_pattern=e.id_pattern)
            for e in item.entities
        ] or [Query()]
        for query in queries:
            page = tx.query(msgspec.structs.replace(query, attributes=item.names, limit=1))
            if page.entities:
                raise NgsiLdError(f"{page.entities[0].id} is held here already", "information", CONFLICT)
