"""Subscriptions at other brokers (ETSI GS CIM 009 clauses 5.8.1.4, 5.8.2.4, 5.8.5.4, 5.8.6).

A subscription that is not `localOnly` is told of what context sources know, too: every registration that matches and takes
subscriptions gets a reduced copy (`madang.ngsild.remote_subscription`) that tells this broker, and what it tells goes the
way of all notifications (`Matcher.hand_in`). A copy has an id of its own that nobody can guess: whoever knows it may tell.

What should be there follows from the subscriptions and the registrations; `Copy` documents say what is. `sync` brings the two together:
when either changes, and for those that failed every `RETRY_S`. A copy that was changed is ended and made anew.

A subscriber that acts for a party gets no copies: whom a remote entity names cannot be checked (docs/adr/0028).
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from madang.hub.federation import Outcome, narrowed
from madang.hub.hub import Hub
from madang.hub.matcher import hidden_names
from madang.hub.ports import StoreError
from madang.hub.queries.look import Look
from madang.hub.subscriptions import Definition, acting_caller
from madang.model.entity import Entity
from madang.model.tenant import DEFAULT_TENANT
from madang.model.time import DAY, SECOND, Instant
from madang.ngsild.context import CORE, Context
from madang.ngsild.federation import Fragment, Part, covers, merge_fragments
from madang.ngsild.match import in_place, matches
from madang.ngsild.notification import tell_entity
from madang.ngsild.q import parse_q
from madang.ngsild.registration import Registration, read_registration
from madang.ngsild.remote_subscription import DELETE, part_for, reduced_copy
from madang.ngsild.subscription import EXPIRED
from madang.ngsild.veil import veil

logger = logging.getLogger(__name__)

PATH = "/ngsi-ld/ex/remote-notify"
"""Where other brokers tell. The standard leaves the place to the broker."""
RETRY_S = 60.0
"""Between attempts at what failed."""
REST: Instant = 50 * SECOND
"""Shorter than `RETRY_S`, so that each round asks once."""
GIVE_UP = DAY
"""A copy that cannot be ended for so long is let go of; what it still tells is refused."""
_KIND = "subscription.remote"


class Copy(Struct, frozen=True):
    """A subscription's copy at another broker."""

    id: str
    local: str
    registration: str
    document: dict[str, Any]
    """The registration when the copy was made: who gets the copy is also who ends it."""
    made_at: Instant
    is_there: bool = False
    """The other broker took it."""
    ended_at: Instant = 0
    """Since when it should be there no longer; 0: it should."""


class RemoteSubscriptions:
    """See the module's docstring. Used from one event loop."""

    def __init__(self, hub: Hub, new_id: Callable[[], str] = lambda: secrets.token_hex(16)) -> None:
        """`new_id`: a text that nobody can guess."""
        self._store = store = hub.store
        self._clock = hub.real_clock
        self._subscriptions = hub.subscriptions
        self._registrations = hub.registrations
        self._federation = hub.federation
        self._new_id = new_id
        self._leads = hub.leads
        self.path = path_in(hub.tenant)
        """Where other brokers tell of this tenant's."""
        self._base_url: Callable[[], str] | None = None
        self._lock = asyncio.Lock()
        self._resting: dict[str, Instant] = {}
        """Until when a registration's broker, which did not answer, is left alone: one that is gone must not hold up the others."""
        self._tasks: set[asyncio.Task[None]] = set()
        with store.read() as read:
            found = [msgspec.json.decode(document, type=Copy) for _, document in read.list_documents(_KIND)]
        self._copies = {copy.id: copy for copy in found}

    # ── life ────────────────────────────────────────────────────────────────

    def begin(self, base_url: Callable[[], str]) -> None:
        """From now on copies are made; `base_url`: how other brokers reach this one. From the event loop, once."""
        self._base_url = base_url
        self._subscriptions.listeners.append(lambda id_: self._start(self.sync(id_)))
        self._registrations.subscribe(lambda before, after: self._start(self._sync_for(before, after)))

    async def run(self) -> None:
        """Try again what failed, and end what has expired, until cancelled."""
        if self._leads():
            await self.sync_all()
        while True:
            await asyncio.sleep(RETRY_S)
            if self._leads():
                await self._sync_each({copy.local for copy in self._copies.values()})

    async def stop(self) -> None:
        """Let go of what is under way: what is missing then is made, or ended, after the next start."""
        for task in self._tasks:
            task.cancel()
        await self.settle()

    async def settle(self) -> None:
        """Wait for what is under way: for tests."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Any) -> None:
        if self._copies or not self._federation.is_idle:
            task = asyncio.get_running_loop().create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            work.close()

    # ── what there is ───────────────────────────────────────────────────────

    def list_shared(self) -> list[Definition]:
        """Subscriptions of which a copy should be elsewhere, by id."""
        ids = {copy.local for copy in self._copies.values() if not copy.ended_at}
        found = (self._subscriptions.find(id_) for id_ in sorted(ids))
        return [definition for definition in found if definition is not None]

    def find(self, id_: str) -> tuple[Definition, Part] | None:
        """The subscription that this is a copy of, and what its broker may tell; None: nobody knows it, or it has ended."""
        copy = self._copies.get(id_)
        if copy is None:
            # Another process on the store may have made it.
            with self._store.read() as read:
                document = read.find_document(_KIND, id_)
            copy = None if document is None else msgspec.json.decode(document, type=Copy)
        definition = None if copy is None or copy.ended_at else self._subscriptions.find(copy.local)
        if copy is None or definition is None:
            return None
        part = part_for(definition.subscription.document, read_registration(copy.document))
        return None if part is None else (definition, part)

    # ── making and ending ───────────────────────────────────────────────────

    async def sync_all(self) -> None:
        """`sync` of all subscriptions."""
        ids = {copy.local for copy in self._copies.values()}
        if not self._federation.is_idle:
            ids |= set(self._subscriptions.ids())
        await self._sync_each(ids)

    async def _sync_for(self, before: Registration | None, after: Registration | None) -> None:
        """`sync` of those that a change of a registration may concern."""
        changed = after or before
        if changed is not None:
            self._resting.pop(changed.id, None)  # Its address may be another now.
        ids = {c.local for c in self._copies.values() if changed is not None and c.registration == changed.id}
        if after is not None:
            for id_ in self._subscriptions.ids():
                definition = self._subscriptions.find(id_)
                if definition is not None and part_for(definition.subscription.document, after) is not None:
                    ids.add(id_)
                await asyncio.sleep(0)  # Of thousands: other requests go on meanwhile.
        await self._sync_each(ids)

    async def _sync_each(self, ids: Iterable[str]) -> None:
        for id_ in sorted(ids):
            await self.sync(id_)
            await asyncio.sleep(0)

    async def sync(self, id_: str) -> None:
        """Make the copies of a subscription that are missing, and end those that should not be there."""
        if self._base_url is None:
            return
        async with self._lock:
            try:
                await self._sync(id_)
            except StoreError as error:
                logger.warning("copies of subscription %s wait for the store: %s", id_, error)

    async def _sync(self, id_: str) -> None:
        definition = self._subscriptions.find(id_)
        wanted = {} if definition is None else self._wanted(definition)
        known = {c.registration: c for c in self._copies.values() if c.local == id_ and not c.ended_at}
        for name, copy in known.items():
            part = wanted.get(name)
            changed = max(
                0 if definition is None else definition.kept.modified_at,
                0 if part is None else part.registration.modified_at,
            )
            if part is None or copy.made_at < changed:
                await self._put(replace(copy, ended_at=self._clock.now()))
        for name, part in wanted.items():
            current = self._copies.get(known[name].id) if name in known else None
            if current is None or current.ended_at:
                registration = part.registration
                current = Copy(
                    f"urn:ngsi-ld:Subscription:{self._new_id()}", id_, name, registration.document, self._clock.now()
                )
                # Kept before it is sent: the other broker may tell at once.
                await self._put(current)
            if not current.is_there and definition is not None:
                await self._make(current, definition, part)
        for copy in [c for c in self._copies.values() if c.local == id_ and c.ended_at]:
            await self._end(copy)

    def _wanted(self, definition: Definition) -> dict[str, Part]:
        """By registration: what its broker is asked to tell."""
        stored = definition.subscription.document
        if stored.get("localOnly") or definition.kept.creator.party is not None:
            return {}
        if definition.subscription.status_at(self._clock.now()) == EXPIRED:
            return {}
        sources = self._registrations.list_active()
        if "csf" in stored:
            # The context source filter is about the registrations themselves (clauses 4.9, 5.2.12).
            condition = parse_q(stored["csf"], self._subscriptions.q_context_of(definition))
            sources = [registration for registration in sources if matches(registration.as_entity, condition)]
        parts = (part_for(stored, registration) for registration in sources)
        return {part.registration.id: part for part in parts if part is not None}

    async def _make(self, copy: Copy, definition: Definition, part: Part) -> None:
        stored = definition.subscription.document
        own = self._subscriptions.q_context_of(definition)
        assert self._base_url is not None
        uri = self._base_url().rstrip("/") + self.path

        def make(context: Context) -> dict[str, Any]:
            # A condition is a text in the subscription's names; in others it would mean something else.
            whole = context is own and not stored.get("splitEntities")
            return reduced_copy(stored, part, copy.id, uri, context, whole=whole)

        outcome = await self._tell(part, "POST", "/subscriptions", make, own)
        if outcome.is_good:
            await self._put(replace(copy, is_there=True))
        else:
            logger.info("registration %s took no copy of subscription %s: %s", copy.registration, copy.local,
                        outcome.detail or outcome.status)  # fmt: skip

    async def _end(self, copy: Copy) -> None:
        registration = read_registration(copy.document)
        gone = not copy.is_there or DELETE not in registration.operations
        if not gone:
            part = Part(registration, ())
            outcome = await self._tell(part, "DELETE", f"/subscriptions/{copy.id}", None, CORE)
            gone = outcome.is_good or outcome.status == 404 or self._clock.now() - copy.ended_at > GIVE_UP
        if gone:
            self._copies.pop(copy.id, None)
            await asyncio.wrap_future(self._store.write(lambda tx: tx.put_document(_KIND, copy.id, None)))

    async def _tell(
        self, part: Part, method: str, path: str, make: Callable[[Context], Any] | None, own: Context
    ) -> Outcome:
        name, now = part.registration.id, self._clock.now()
        if self._resting.get(name, 0) > now:
            return Outcome(part, 0, "it did not answer a moment ago")
        outcome = await self._federation.tell(part, method, path, make, own)
        self._resting.pop(name, None)
        if outcome.status == 0:
            self._resting[name] = now + REST
        return outcome

    async def _put(self, copy: Copy) -> None:
        document = msgspec.json.encode(copy)
        await asyncio.wrap_future(self._store.write(lambda tx: tx.put_document(_KIND, copy.id, document)))
        self._copies[copy.id] = copy


# ── what comes in ───────────────────────────────────────────────────────────


def told_by(hub: Hub, definition: Definition, part: Part, entities: Sequence[Entity]) -> list[tuple[str, list[Any]]]:
    """(entity, members of `data`) of what another broker told, as the subscriber is told of it (clause 5.8.6): only what the
    registration covers and the subscription selects, with `splitEntities` merged with what is here, then judged. Reads the store."""
    subscription = definition.subscription
    caller = acting_caller(hub.tokens, definition.kept.creator, hub.tenant)
    found: list[tuple[str, list[Any]]] = []
    if caller is None:
        return found
    with hub.store.read() as read:
        look = Look(hub, caller, "en", read)
        for entity in entities:
            if not covers(part, entity) or not subscription.selects(entity.id, entity.all_types):
                continue
            fragment = Fragment(narrowed(entity, part), False, part.registration.id)
            here = look.find_entity(entity.id) if subscription.document.get("splitEntities") else None
            merged = merge_fragments(here, (fragment,))
            if merged is None or not look.sees(merged):
                continue
            if not subscription.is_linked and not matches(merged, veil(subscription.q, look.hidden)):
                continue
            if not matches(merged, subscription.scope_q) or not in_place(merged, subscription.place):
                continue
            data = tell_entity(subscription, merged, hidden_names(look, merged), look.find_entity)
            if data:
                found.append((entity.id, data))
    return found


def path_in(tenant: str) -> str:
    """Where other brokers tell of a tenant's subscriptions. The address says it and no header: a notification's NGSILD-Tenant is the
    tenant that the copy is in at the other broker (clause 6.3.14)."""
    return PATH if tenant == DEFAULT_TENANT else f"{PATH}/{tenant}"


def registered_as(definition: Definition) -> dict[str, Any]:
    """The subscription to registrations that stands behind a shared subscription (clause 5.8.1.4), stored form."""
    stored = definition.subscription.document
    kept: dict[str, Any] = {name: stored[name] for name in ("entities", "watchedAttributes") if name in stored}
    return {"id": f"{definition.id}:registrations", "type": "Subscription", **kept}
