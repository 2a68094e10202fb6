"""Subscriptions as they are kept: definitions, who made them, and how their notifications are doing (ETSI GS CIM 009 clause 5.8).

`madang.hub.matcher` reads the log and queues what is due, `madang.hub.deliveries` sends it. Each of the two owns one document per
subscription, so that neither waits for the other: `Due` and `Delivered`. What is due is delivered, waits, or is listed as failed:

    due + replayed == delivered + waiting + failed + discarded

A definition holds for changes after the log sequence at which it was written. It is in memory before its own commit is: no change that
comes after it can be read without it.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from threading import RLock
from typing import Any

import msgspec
import orjson
from msgspec import Struct

from madang.access.roles import SOURCE_MANAGE, SOURCE_READ, in_tenant, permissions_of
from madang.hub.contexts import Contexts, one_address
from madang.hub.ports import Clock, NotificationRow, Read, Store, StoreError, Tx
from madang.hub.tokens import Tokens
from madang.model.caller import Caller
from madang.model.time import Instant
from madang.ngsild.context import CORE, Context, compile_context
from madang.ngsild.errors import ALREADY_EXISTS, OPERATION_NOT_SUPPORTED, RESOURCE_NOT_FOUND, NgsiLdError
from madang.ngsild.query import And, Node, OfType, Or
from madang.ngsild.subscription import (
    Sent,
    Subscription,
    merge_subscription,
    parse_subscription,
    read_subscription,
)

SUBSCRIPTIONS_MAX = 10_000
"""Each holds some 10 kB in memory, and may have a connection of its own."""
DUE, DEAD = "due", "dead"
_KIND, _DUE, _DELIVERED, _CONTEXT = "subscription", "subscription.due", "subscription.delivered", "subscription.context"
_VERSION = "subscription.version"
"""A document that counts the writes of definitions: where several processes share a store, each sees by it that it must read them."""


class Creator(Struct, frozen=True):
    """Who made a subscription: it acts with what this principal may."""

    principal: str
    role: str
    party: str | None = None


class Kept(Struct, frozen=True):
    """A definition as it stands in the store."""

    document: dict[str, Any]
    creator: Creator
    created_at: Instant
    modified_at: Instant
    from_seq: int
    """It holds for changes after this place in the log."""
    q_context: str = ""
    """Key of the @context that its q is written in; empty: the core."""
    out_context: str = ""
    """Key of the @context of its notifications."""


class KeptContext(Struct, frozen=True):
    """An @context as a subscription needs it: with all that its addresses hold, so that nothing has to be fetched later."""

    value: Any
    members: list[dict[str, Any]]


class Definition(Struct, frozen=True):
    """A subscription and what is known of it."""

    subscription: Subscription
    kept: Kept

    @property
    def id(self) -> str:
        return self.subscription.id


class Due(Struct):
    """What the matcher found for a subscription."""

    events: int = 0
    """Changes that it was to be told of, since its creation."""
    notifications: int = 0
    throttled: int = 0
    """Changes that came too soon after another: by the subscription's own wish not due."""
    last_at: Instant | None = None
    """When the last notification was queued, in log time."""
    periodic_at: Instant | None = None
    """When the last periodic one was queued."""
    overflow: int = 0
    """Number of the failed row that gathers what found no room; 0: none."""


class Delivered(Struct):
    """What became of a subscription's notifications."""

    sent: Sent = msgspec.field(default_factory=Sent)
    events: int = 0
    notifications: int = 0
    replayed: int = 0
    """Events that became due once more, because people asked for it."""
    discarded: int = 0
    """Events of failed notifications that people let go of."""


class Counts(Struct):
    """Notifications and events that are kept, by state."""

    waiting: int = 0
    waiting_events: int = 0
    failed: int = 0
    failed_events: int = 0


class Index(Struct, frozen=True):
    """The active definitions by what may concern them."""

    by_id: dict[str, tuple[Definition, ...]]
    by_type: dict[str, tuple[Definition, ...]]
    rest: tuple[Definition, ...]
    periodic: tuple[Definition, ...]

    def candidates(self, id_: str, types: tuple[str, ...]) -> list[Definition]:
        """Definitions that may concern the entity; `Subscription.selects` says which do."""
        found = [*self.by_id.get(id_, ()), *self.rest]
        for type_ in types:
            found += self.by_type.get(type_, ())
        if len(types) > 1:
            found = list({id(d): d for d in found}.values())
        return found


class Subscriptions:
    """See the module's docstring. Definitions are written on the event loop, read from any thread."""

    def __init__(self, store: Store, clock: Clock, contexts: Contexts, new_id: Callable[[], str]) -> None:
        self._store = store
        self._clock = clock
        self._contexts = contexts
        self._new_id = new_id
        self._lock = RLock()
        self._all: dict[str, Definition] = {}
        self._compiled: dict[str, Context] = {"": CORE}
        self._index: Index | None = None
        self._version = 0
        self.due: defaultdict[str, Due] = defaultdict(Due)
        """The matcher's; others read."""
        self.delivered: defaultdict[str, Delivered] = defaultdict(Delivered)
        """The deliveries'; others read."""
        self.listeners: list[Callable[[str], None]] = []
        """Called on the event loop with the id of a subscription that was made, changed or deleted."""
        with store.read() as read:
            self._load(read)

    def _load(self, read: Read) -> None:
        for key, document in read.list_documents(_CONTEXT):
            kept = msgspec.json.decode(document, type=KeptContext)
            self._compiled[key] = compile_context(kept.members, kept.value)
        for id_, document in read.list_documents(_KIND):
            self._all[id_] = self._define(msgspec.json.decode(document, type=Kept))
        self._version = self._stored_version(read)
        self.load_figures(read)

    @staticmethod
    def _stored_version(read: Read) -> int:
        return int(read.find_document(_VERSION, "") or 0)

    def load_figures(self, read: Read) -> None:
        """Take what is due and delivered from the store: for a process that did not keep them itself."""
        self.due.update((i, msgspec.json.decode(d, type=Due)) for i, d in read.list_documents(_DUE))
        self.delivered.update((i, msgspec.json.decode(d, type=Delivered)) for i, d in read.list_documents(_DELIVERED))

    def _define(self, kept: Kept) -> Definition:
        subscription = read_subscription(
            kept.document, self._compiled[kept.q_context], self._compiled[kept.out_context]
        )
        return Definition(subscription, kept)

    def sync(self, read: Read) -> list[str]:
        """Take over definitions that another process wrote; gives the ids of what is other than before. Any thread."""
        with self._lock:
            version = self._stored_version(read)
            if version <= self._version:
                return []
            for key, document in read.list_documents(_CONTEXT):
                if key not in self._compiled:
                    kept = msgspec.json.decode(document, type=KeptContext)
                    self._compiled[key] = compile_context(kept.members, kept.value)
            found = {
                id_: self._define(msgspec.json.decode(document, type=Kept))
                for id_, document in read.list_documents(_KIND)
            }
            changed = [
                id_
                for id_ in found.keys() | self._all.keys()
                if id_ not in found or id_ not in self._all or found[id_].kept != self._all[id_].kept
            ]
            self._all, self._index, self._version = found, None, version
            for id_ in changed:
                if id_ not in found:
                    self.due.pop(id_, None)
                    self.delivered.pop(id_, None)
            return changed

    def refresh(self, *, leads: bool) -> None:
        """See what other processes wrote before answering somebody. Blocks for a read of the store."""
        with self._store.read() as read:
            self.sync(read)
            if not leads:
                self.load_figures(read)

    # ── reading ─────────────────────────────────────────────────────────────

    def find(self, id_: str) -> Definition | None:
        """The definition, whoever's it is; None when there is none."""
        return self._all.get(id_)

    def get(self, caller: Caller, id_: str, *, to_change: bool = False) -> Definition:
        """Raises NgsiLdError (ResourceNotFound), also for one that is not the caller's to see, or to change."""
        found = self._all.get(id_)
        if found is None or not (owns(caller, found) if to_change else sees_subscription(caller, found)):
            raise NgsiLdError(f"there is no subscription {id_[:200]}", "", RESOURCE_NOT_FOUND)
        return found

    def list(self, caller: Caller) -> list[Definition]:
        """Those that the caller sees, oldest first."""
        found = [definition for definition in self._all.values() if sees_subscription(caller, definition)]
        return sorted(found, key=lambda definition: (definition.kept.created_at, definition.id))

    def ids(self) -> tuple[str, ...]:
        """Of all, whoever's they are."""
        return tuple(self._all)

    def q_context_of(self, definition: Definition) -> Context:
        """The @context that its conditions are written in."""
        return self._compiled[definition.kept.q_context]

    def index(self) -> Index:
        """The definitions by what concerns them, for the matcher."""
        with self._lock:
            if self._index is None:
                self._index = build_index(self._all.values())
            return self._index

    # ── writing ─────────────────────────────────────────────────────────────

    async def create(self, caller: Caller, document: Any, context: Context) -> str:
        """Keep a subscription; gives its id. Raises NgsiLdError: BadRequestData, AlreadyExists, LdContextNotAvailable (5.8.1)."""
        now = self._clock.now()
        stored = parse_subscription(document, context, now, f"urn:ngsi-ld:Subscription:{self._new_id()}")
        id_ = str(stored["id"])
        if id_ in self._all:
            raise NgsiLdError(f"there is a subscription {id_[:200]} already", "id", ALREADY_EXISTS)
        out = await self._out_context(stored, context)
        if "jsonldContext" not in stored and not context.is_core and one_address(context.value) is None:
            # Notifications name their @context by one address (5.2.12), so this one becomes ImplicitlyCreated (5.13.1).
            stored["jsonldContext"] = await self._contexts.keep(context.value)
        creator = Creator(caller.principal, caller.role, caller.party)

        def op(tx: Tx) -> None:
            if id_ in self._all:
                raise NgsiLdError(f"there is a subscription {id_[:200]} already", "id", ALREADY_EXISTS)
            if len(self._all) >= SUBSCRIPTIONS_MAX:
                raise NgsiLdError(f"{SUBSCRIPTIONS_MAX} subscriptions are kept here", "", OPERATION_NOT_SUPPORTED)
            keys = self._put_contexts(tx, context, out)
            self._put(tx, Kept(stored, creator, now, now, tx.last_seq(), *keys))

        await self._write(id_, op)
        return id_

    async def update(self, caller: Caller, id_: str, fragment: Any, context: Context) -> None:
        """Change a subscription (clause 5.8.2). Raises NgsiLdError: ResourceNotFound, BadRequestData."""
        known = self.get(caller, id_, to_change=True)
        now = self._clock.now()
        stored = merge_subscription(known.kept.document, fragment, context, now)
        has_own = "jsonldContext" in fragment
        out = await self._out_context(stored, context) if has_own else None

        def op(tx: Tx) -> None:
            kept = self.get(caller, id_, to_change=True).kept
            q_key, out_key = self._put_contexts(tx, context, out or CORE)
            if "q" not in fragment:
                q_key = kept.q_context
            # From here on the new definition holds; what a paused one missed stays missed.
            self._put(
                tx,
                Kept(
                    stored, kept.creator, kept.created_at, now, tx.last_seq(), q_key,
                    kept.out_context if out is None else out_key,
                ),
            )  # fmt: skip

        await self._write(id_, op)

    async def delete(self, caller: Caller, id_: str) -> None:
        """Delete a subscription and all that waits for it. Raises NgsiLdError (ResourceNotFound)."""

        def op(tx: Tx) -> None:
            self.get(caller, id_, to_change=True)
            for kind in (_KIND, _DUE, _DELIVERED):
                tx.put_document(kind, id_, None)
            for state in (DUE, DEAD):
                while rows := tx.list_notifications(id_, state, 1_000):
                    tx.delete_notifications([row.no for row in rows])
            with self._lock:
                self._all.pop(id_, None)
                self._index = None
                self._count_write(tx)

        await self._write(id_, op)
        self.due.pop(id_, None)
        self.delivered.pop(id_, None)

    async def _write(self, id_: str, op: Callable[[Tx], None]) -> None:
        before = self._all.get(id_)
        try:
            await asyncio.wrap_future(self._store.write(op))
        except StoreError:
            with self._lock:
                if before is None:
                    self._all.pop(id_, None)
                else:
                    self._all[id_] = before
                self._index = None
                self._version -= 1  # What the store holds counts; the next look takes it over.
            raise
        for listener in self.listeners:
            listener(id_)

    def _put(self, tx: Tx, kept: Kept) -> None:
        definition = self._define(kept)
        tx.put_document(_KIND, definition.id, msgspec.json.encode(kept))
        with self._lock:
            self._all[definition.id] = definition
            self._index = None
            self._count_write(tx)

    def _count_write(self, tx: Tx) -> None:
        self._version = self._stored_version(tx) + 1
        tx.put_document(_VERSION, "", str(self._version).encode())

    async def _out_context(self, stored: dict[str, Any], context: Context) -> Context:
        address = stored.get("jsonldContext")
        if address is None:
            return context
        return self._contexts.find(address) or await self._contexts.resolve(address)

    def _put_contexts(self, tx: Tx, *contexts: Context) -> tuple[str, ...]:
        """Keys of these @contexts; those that no subscription had yet are kept."""
        keys = []
        for context in contexts:
            value = context.value
            if isinstance(value, list) and len(value) == 1:
                value = value[0]
            key = "" if value is None else hashlib.sha256(orjson.dumps(value)).hexdigest()
            keys.append(key)
            if key in self._compiled:
                continue
            kept = KeptContext(value, self._contexts.members(value))
            tx.put_document(_CONTEXT, key, msgspec.json.encode(kept))
            self._compiled[key] = compile_context(kept.members, value)
        return tuple(keys)

    # ── how they are doing ──────────────────────────────────────────────────

    def put_due_in(self, tx: Tx, id_: str, due: Due) -> None:
        """Keep what the matcher found, unless the subscription is gone."""
        if id_ in self._all:
            tx.put_document(_DUE, id_, msgspec.json.encode(due))

    def put_delivered_in(self, tx: Tx, id_: str, delivered: Delivered) -> None:
        """Keep what was delivered, unless the subscription is gone."""
        if id_ in self._all:
            tx.put_document(_DELIVERED, id_, msgspec.json.encode(delivered))

    def counts(self, read: Read) -> dict[str, Counts]:
        """What waits and what failed, by subscription."""
        found: defaultdict[str, Counts] = defaultdict(Counts)
        for id_, state, notifications, events in read.count_notifications():
            counts = found[id_]
            if state == DUE:
                counts.waiting, counts.waiting_events = notifications, events
            else:
                counts.failed, counts.failed_events = notifications, events
        return found


def owns(caller: Caller, definition: Definition) -> bool:
    """May the caller change it: who made it, and who manages sources."""
    return caller.principal == definition.kept.creator.principal or caller.may(SOURCE_MANAGE)


def sees_subscription(caller: Caller, definition: Definition) -> bool:
    """May the caller see it: its own, and city staff who look after sources see all."""
    return owns(caller, definition) or (caller.party is None and caller.may(SOURCE_READ))


def acting_caller(tokens: Tokens, creator: Creator, tenant: str) -> Caller | None:
    """Who a subscription of this tenant acts as: its creator with what the creator may now; None when the creator's token is no more,
    or is of another tenant now."""
    kind, _, name = creator.principal.partition(":")
    if kind == "token" and name:
        caller = tokens.find_caller(name)
        return None if caller is None else in_tenant(caller, tenant)
    if creator.role == "system":
        return None
    return Caller(creator.principal, creator.role, permissions_of(creator.role), tenant, party=creator.party)


def build_index(definitions: Iterable[Definition]) -> Index:
    """Sort definitions by what may concern them. Paused ones are in it: they may be active at the time of a change that is read late."""
    by_id: defaultdict[str, dict[str, Definition]] = defaultdict(dict)
    by_type: defaultdict[str, dict[str, Definition]] = defaultdict(dict)
    rest, periodic = [], []
    for definition in definitions:
        subscription = definition.subscription
        if subscription.interval:
            periodic.append(definition)
            continue
        places: list[tuple[defaultdict[str, dict[str, Definition]], str]] = []
        for selector in subscription.selectors:
            if selector.ids:
                places += [(by_id, id_) for id_ in selector.ids]
                continue
            names = _type_names(selector.types)
            if not names:
                places = []
                break
            places += [(by_type, name) for name in names]
        # One that stands by id and by type would be found twice.
        if not places or len({id(where) for where, _ in places}) > 1:
            rest.append(definition)
            continue
        for where, name in places:
            where[name][definition.id] = definition
    return Index(
        {name: tuple(found.values()) for name, found in by_id.items()},
        {name: tuple(found.values()) for name, found in by_type.items()},
        tuple(rest),
        tuple(periodic),
    )


def _type_names(node: Node | None) -> set[str]:
    """Types of which an entity that meets the selection has at least one; empty: nobody can tell."""
    match node:
        case OfType(name):
            return {name}
        case Or(items):
            found = [_type_names(item) for item in items]
            return set().union(*found) if all(found) else set()
        case And(items):
            return next((names for names in map(_type_names, items) if names), set())
    return set()


def overflow_row(
    id_: str, row: NotificationRow | None, first: int, last: int, events: int, now: Instant
) -> NotificationRow:
    """The failed row that gathers what found no room, grown by these changes. Its body is not kept: a replay makes it again."""
    error = "the queue of this subscription is full: replay this part of the log when the receiver keeps up again"
    if row is None:
        return NotificationRow(0, id_, DEAD, first, last, events, b"", now, error)
    return msgspec.structs.replace(row, last_seq=last, events=row.events + events)
