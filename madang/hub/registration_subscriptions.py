"""Telling others of context source registrations (ETSI GS CIM 009 clause 5.11).

A subscriber hears once what matches when it subscribes or changes its subscription, then of every registration that newly
matches, is updated, or matches no longer; with a timeInterval, of all that match each time. A notification is tried
once; how it went stands in the subscription. Registrations change seldom, and each notification tells the whole.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from madang.hub.contexts import Contexts
from madang.hub.http import Http, HttpFailed
from madang.hub.ports import Clock, Store, StoreError, Tx
from madang.hub.registrations import Registrations
from madang.model.time import SECOND, Instant
from madang.ngsild.context import CORE, Context
from madang.ngsild.errors import ALREADY_EXISTS, OPERATION_NOT_SUPPORTED, RESOURCE_NOT_FOUND, NgsiLdError
from madang.ngsild.federation import link_of
from madang.ngsild.registration import Registration, Search, matching, meets, render_registration
from madang.ngsild.registration_subscription import (
    ACTIVE,
    NEWLY,
    UPDATED,
    Sent,
    merge_subscription,
    parse_subscription,
    relevant,
    render_notification,
    searches_of,
    status_of,
    trigger_of,
)

logger = logging.getLogger(__name__)

SUBSCRIPTIONS_MAX = 1_000
NOTIFY_S = 5.0
"""For one notification."""
ANSWER_BYTES_MAX = 65_536
"""Of the answer only the status counts."""
LOOK_S = 1.0
"""Between looks at whose interval is over."""
_KIND = "csourceSubscription"
_SECRETS = ("contextSourceInfo",)
"""Never told: header values for a context source."""


class Kept(Struct, frozen=True):
    """A subscription as it stands in the store."""

    document: dict[str, Any]
    created_at: Instant
    sent: Sent = Sent()


class RegistrationSubscriptions:
    """See the module's docstring. Used from one event loop."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        registrations: Registrations,
        contexts: Contexts,
        http: Http | None,
        new_id: Callable[[], str],
        leads: Callable[[], bool] = lambda: True,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """`leads`: is this the one of several processes on the store that keeps the intervals? `headers`: of every notification."""
        self._store = store
        self._clock = clock
        self._registrations = registrations
        self._contexts = contexts
        self._http = http
        self._new_id = new_id
        self._leads = leads
        self._headers = dict(headers)
        self._changes = 0
        """Counts the beginning and the end of every change made here."""
        self._all: dict[str, Kept] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        with store.read() as read:
            for id_, document in read.list_documents(_KIND):
                self._all[id_] = msgspec.json.decode(document, type=Kept)
        registrations.subscribe(self._on_change)

    # ── the API's operations ────────────────────────────────────────────────

    def get(self, id_: str) -> Kept:
        """Raises NgsiLdError (ResourceNotFound)."""
        found = self._all.get(id_)
        if found is None:
            raise NgsiLdError(f"there is no subscription {id_[:200]}", "", RESOURCE_NOT_FOUND)
        return found

    def list_all(self) -> list[Kept]:
        """All, oldest first."""
        return sorted(self._all.values(), key=lambda kept: kept.created_at)

    async def create(self, document: Any, context: Context) -> str:
        """Keep a subscription and tell what matches; gives its id. Raises NgsiLdError: BadRequestData, AlreadyExists."""
        now = self._clock.now()
        stored = parse_subscription(document, context, now, f"urn:ngsi-ld:Subscription:{self._new_id()}")
        if stored["id"] in self._all:
            raise NgsiLdError(f"there is a subscription {stored['id']} already", "id", ALREADY_EXISTS)
        if len(self._all) >= SUBSCRIPTIONS_MAX:
            raise NgsiLdError(f"{SUBSCRIPTIONS_MAX} subscriptions are kept here", "", OPERATION_NOT_SUPPORTED)
        await self._put(Kept(stored, now), new=True)
        self._start(self._tell_all(stored["id"]))
        return str(stored["id"])

    async def update(self, id_: str, fragment: Any, context: Context) -> None:
        """Change a subscription and tell what matches now. Raises NgsiLdError: ResourceNotFound, BadRequestData."""
        kept = self.get(id_)
        await self._put(replace(kept, document=merge_subscription(kept.document, fragment, context)))
        self._start(self._tell_all(id_))

    async def delete(self, id_: str) -> None:
        """Raises NgsiLdError (ResourceNotFound)."""
        self.get(id_)
        del self._all[id_]
        await self._write(lambda tx: tx.put_document(_KIND, id_, None))

    async def catch_up(self) -> None:
        """Take in what other processes on the same store have changed."""
        changes = self._changes

        def read_all() -> list[tuple[str, bytes]]:
            with self._store.read() as read:
                return read.list_documents(_KIND)

        rows = await asyncio.to_thread(read_all)
        if changes == self._changes:  # Else a change of our own is under way: next time.
            self._all = {id_: msgspec.json.decode(document, type=Kept) for id_, document in rows}

    async def _write(self, op: Callable[[Tx], object]) -> None:
        self._changes += 1
        try:
            await asyncio.wrap_future(self._store.write(op))
        finally:
            self._changes += 1

    async def _put(self, kept: Kept, *, new: bool = False) -> None:
        id_ = kept.document["id"]
        document = msgspec.json.encode(kept)

        def op(tx: Tx) -> None:
            if new and tx.find_document(_KIND, id_) is not None:
                raise NgsiLdError(f"there is a subscription {id_} already", "id", ALREADY_EXISTS)
            tx.put_document(_KIND, id_, document)

        await self._write(op)
        self._all[id_] = kept

    async def _count(self, id_: str, now: Instant, *, good: bool) -> None:
        """A notification was tried. The store adds, so that two under way, here or elsewhere, both count."""

        def counted(kept: Kept) -> Kept:
            sent = replace(
                kept.sent,
                times_sent=kept.sent.times_sent + 1,
                times_failed=kept.sent.times_failed + (not good),
                last_at=now,
                last_success_at=now if good else kept.sent.last_success_at,
                last_failure_at=kept.sent.last_failure_at if good else now,
            )
            return replace(kept, sent=sent)

        def op(tx: Tx) -> Kept | None:
            document = tx.find_document(_KIND, id_)
            if document is None:
                return None  # Deleted meanwhile.
            kept = counted(msgspec.json.decode(document, type=Kept))
            tx.put_document(_KIND, id_, msgspec.json.encode(kept))
            return kept

        here = self._all.get(id_)
        if here is not None:
            # At once: a receiver that asks right after it was told sees that it was.
            self._all[id_] = counted(here)
        self._changes += 1
        try:
            kept = await asyncio.wrap_future(self._store.write(op))
            known = self._all.get(id_)
            if kept is not None and known is not None:
                self._all[id_] = replace(known, sent=kept.sent)
        except StoreError as error:
            logger.warning("subscription %s: how its notification went was not kept: %s", id_, error)
        finally:
            self._changes += 1

    # ── telling ─────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Notify those with a timeInterval whenever it is over, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            if not self._leads():
                continue
            now = self._clock.now()
            for id_, kept in list(self._all.items()):
                interval = kept.document.get("timeInterval")
                if interval is not None and now - (kept.sent.last_at or kept.created_at) >= interval * SECOND:
                    self._start(self._tell_all(id_, UPDATED))

    async def settle(self) -> None:
        """Wait for the notifications that are under way: for tests and for the stop."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_change(self, before: Registration | None, after: Registration | None) -> None:
        for id_, kept in self._all.items():
            if "timeInterval" not in kept.document and status_of(kept.document, self._clock.now()) == ACTIVE:
                self._start(self._tell_change(id_, before, after))

    async def _tell_change(self, id_: str, before: Registration | None, after: Registration | None) -> None:
        kept = self._all.get(id_)
        if kept is None:
            return
        context = await self._context(kept)
        searches = searches_of(kept.document, context)
        reason = trigger_of(_any(before, searches), _any(after, searches))
        told = after if after is not None else before
        if reason is not None and told is not None:
            await self._notify(id_, kept, context, reason, [told], searches)

    async def _tell_all(self, id_: str, reason: str = NEWLY) -> None:
        kept = self._all.get(id_)
        if kept is None or status_of(kept.document, self._clock.now()) != ACTIVE:
            return
        context = await self._context(kept)
        searches = searches_of(kept.document, context)
        found = [r for r in self._registrations.list_active() if _any(r, searches)]
        if found or reason == UPDATED:
            await self._notify(id_, kept, context, reason, found, searches)

    async def _context(self, kept: Kept) -> Context:
        """What the subscription was written in; the core when that can be had no more."""
        value = kept.document.get("@context")
        try:
            return self._contexts.find(value) or await self._contexts.resolve(value)
        except NgsiLdError as error:
            logger.warning("subscription %s: its @context cannot be had: %s", kept.document["id"], error)
            return CORE

    async def _notify(
        self,
        id_: str,
        kept: Kept,
        context: Context,
        reason: str,
        registrations: Iterable[Registration],
        searches: list[Search],
    ) -> None:
        data = []
        for registration in registrations:
            document = render_registration(registration, context, hidden=_SECRETS)
            parts = {part for search in searches for part in matching(registration, search.selection)}
            places = {place for place, part in enumerate(registration.information) if part in parts}
            data.append(relevant(document, places))
        now = self._clock.now()
        body = render_notification(f"urn:ngsi-ld:Notification:{self._new_id()}", id_, reason, data, now)
        good = await self._send(kept.document["notification"]["endpoint"], context, body)
        await self._count(id_, now, good=good)

    async def _send(self, endpoint: dict[str, Any], context: Context, body: dict[str, Any]) -> bool:
        if self._http is None:
            return False
        own = {name.lower() for name in self._headers}
        given = {pair["key"]: pair["value"] for pair in endpoint.get("receiverInfo", ())}
        headers = {name: value for name, value in given.items() if name.lower() not in own} | self._headers
        link = link_of(context)
        in_body = endpoint.get("accept") == "application/ld+json" or (link is None and not context.is_core)
        headers["Content-Type"] = "application/ld+json" if in_body else "application/json"
        if in_body:
            body = {**body, "@context": context.value}
        elif link is not None:
            headers["Link"] = f'<{link}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
        content = msgspec.json.encode(body)
        try:
            answer = await self._http.ask(
                "POST", endpoint["uri"], headers, content, timeout_s=NOTIFY_S, bytes_max=ANSWER_BYTES_MAX
            )
        except HttpFailed as error:
            logger.info("notification of registrations failed: %s", error)
            return False
        return 200 <= answer.status < 300


def _any(registration: Registration | None, searches: Iterable[Search]) -> bool:
    return registration is not None and any(meets(registration, search) for search in searches)
