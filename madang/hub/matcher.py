"""Reads the change log once for all subscriptions and queues what is due (ETSI GS CIM 009 clause 5.8.6).

What is due follows from the log alone: each change is judged on the entity as it left it, not as it is by now. The notifications of a
round, what is known of the subscriptions and the cursor commit together, so after a kill the same changes are read again and nothing
is queued twice or not at all. Sending is `madang.hub.deliveries`.

The entity is seen through the eyes of who made the subscription: policy and masks apply as to a query.

No thread of its own: `run_once` does one round; `start` runs it for a server.
"""

import logging
import threading
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from madang.hub.hub import Hub
from madang.hub.notification_rows import Event, notifications_of, put_overflow_in
from madang.hub.past import Past
from madang.hub.ports import NotificationRow, Read, StoreError, Tx
from madang.hub.queries.look import Look
from madang.hub.subscriptions import DUE, Definition, Due, acting_caller
from madang.model.change import CLOCK, DELETION, Change
from madang.model.entity import Entity
from madang.model.time import Instant
from madang.ngsild.notification import (
    Happened,
    after_of,
    happened,
    is_due,
    is_throttled,
    next_periodic,
    tell,
    tell_entity,
)
from madang.ngsild.query import And, Compare, Node, Or, Query
from madang.ngsild.subscription import ACTIVE, Selector, Subscription
from madang.ngsild.veil import veil

logger = logging.getLogger(__name__)

CONSUMER = "notify"
"""Name of the cursor."""
ROUND_CHANGES_MAX = 1_000
"""Changes of one round: bounds how long the first waits for the commit."""
PENDING_MAX = 50_000
"""Committed changes that wait in memory; beyond it the rest is read from the log."""
QUEUE_MAX = 10_000
"""Notifications that wait for one subscription, some 10 MB: at one a second, a receiver's night. What is due beyond it is listed as failed
with its range of the log, and can be replayed."""
ENTITIES_MAX = 50_000
"""Entities kept in memory as the matcher last saw them (some 3 kB each)."""
TYPES_MAX = 200_000
PERIODIC_MAX = 1_000
"""Entities in a periodic notification."""
CURSOR_EVERY_S = 1.0
"""The cursor is committed this often while nothing is due: a crash repeats at most this much reading."""
ROUND_S = 0.02
"""Pause between rounds under load, so that changes share a commit."""
IDLE_S = 0.25
CALLERS_EVERY_S = 5.0
"""How long a subscription may act for a token that was revoked."""
STORE_RETRY_S = 1.0

Told = Callable[[str, Sequence[NotificationRow]], None]
"""(subscription, its new notifications): called after the commit, in the matcher's thread."""


class HandedIn(Struct):
    """What a subscription is told of that is in no change here: another broker told it."""

    id: str
    events: Sequence[tuple[str, list[Any]]]
    """(entity, members of `data`)"""
    done: "Future[None]"
    """Done when it is committed."""


class Overtaken(Exception):
    """The cursor is not where this process left it: another one has gone on. Nothing of the round was committed."""


class Replayed(Struct, frozen=True):
    """What came of a replay."""

    events: int
    to_seq: int
    """It looked at the log up to here."""
    is_complete: bool
    """False: the queue was full; go on from the next sequence when it has room."""


class Matcher:
    """See the module's docstring."""

    def __init__(
        self,
        hub: Hub,
        told: Told,
        changed: Callable[[Sequence[str]], None] = lambda _: None,
        *,
        perf: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`changed` hears which subscriptions another process wrote, and, after this one took over, of all that wait; called in the
        matcher's thread."""
        self._changed = changed
        self._standing_by = False
        self._hub = hub
        self._store = hub.store
        self._told = told
        self._perf = perf
        self._wake = threading.Condition()
        self._pending: deque[Sequence[Change]] = deque()
        self._pending_count = 0
        self._handed_in: deque[HandedIn] = deque()
        self._behind = True
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._mirror: OrderedDict[str, Entity] = OrderedDict()
        self._types: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._looks: dict[str, Look | None] = {}
        self._looks_at = 0.0
        self._callers: dict[str, Any] = {}
        self.past = Past()
        self.waiting: defaultdict[str, int] = defaultdict(int)
        """Notifications that wait, by subscription; deliveries take them away."""
        self._waiting_lock = threading.Lock()
        with self._store.read() as read:
            first = read.find_cursor(CONSUMER) == 0
            self.seq = read.find_cursor(CONSUMER)
            for id_, state, notifications, _ in read.count_notifications():
                if state == DUE:
                    self.waiting[id_] = notifications
            if first:
                # Before the first subscription nothing can be due.
                self.seq = min([d.kept.from_seq for d in hub.subscriptions._all.values()], default=read.last_seq())
        self._committed_seq = self.seq
        self._committed_at = perf()
        self.matched = 0
        self._end = self._store.subscribe(self._on_commit)

    # ── life ────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Run in a thread of its own until `stop`."""
        self._thread = threading.Thread(target=self._run, name="madang-notify", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and keep the cursor. May be called twice."""
        self._stopping = True
        with self._wake:
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout=30)
            self._thread = None
        self._end()

    def _run(self) -> None:
        while not self._stopping:
            try:
                if not self._hub.leads():
                    self._stand_by()
                    time.sleep(IDLE_S)
                    continue
                if self._standing_by:
                    self._take_over()
                if self.run_once() == 0:
                    with self._wake:
                        idle = not self._pending and not self._behind and not self._handed_in
                        if idle and not self._stopping:
                            self._wake.wait(IDLE_S)
                elif not self._behind:
                    time.sleep(ROUND_S)
            except Overtaken as error:
                logger.warning("%s", error)
                self._stand_by()
            except StoreError as error:
                logger.error("notifications wait for the store: %s", error)
                time.sleep(STORE_RETRY_S)
            except Exception:
                # One change must not end the notifications of all; it is read again, so it is not lost.
                logger.exception("a round of the notifications failed and is tried again")
                self._forget()
                time.sleep(STORE_RETRY_S)

    def _stand_by(self) -> None:
        """Another process matches and sends."""
        self._standing_by = True
        self._forget()

    def _take_over(self) -> None:
        """Go on from what is committed."""
        with self._store.read() as read:
            self._hub.subscriptions.sync(read)
            self._hub.subscriptions.load_figures(read)
            self.seq = self._committed_seq = read.find_cursor(CONSUMER)
            with self._waiting_lock:
                self.waiting.clear()
                for id_, state, notifications, _ in read.count_notifications():
                    if state == DUE:
                        self.waiting[id_] = notifications
        self._standing_by = False
        self._changed(tuple(self.waiting))

    def _on_commit(self, changes: Sequence[Change]) -> None:
        with self._wake:
            if not self._behind:
                if self._pending_count + len(changes) > PENDING_MAX:
                    self._behind = True
                    self._pending.clear()
                    self._pending_count = 0
                else:
                    self._pending.append(changes)
                    self._pending_count += len(changes)
            self._wake.notify()

    def _forget(self) -> None:
        """Read again from the committed place."""
        with self._wake:
            self._behind = True
            self._pending.clear()
            self._pending_count = 0
        self.seq = self._committed_seq
        self._mirror.clear()

    def _next_changes(self) -> list[Change]:
        with self._wake:
            if not self._behind:
                found: list[Change] = []
                while self._pending and len(found) < ROUND_CHANGES_MAX:
                    changes = self._pending.popleft()
                    self._pending_count -= len(changes)
                    found += [change for change in changes if change.seq > self.seq]
                return found
        with self._store.read() as read:
            found = read.read_log(self.seq, ROUND_CHANGES_MAX)
        if len(found) < ROUND_CHANGES_MAX:
            with self._wake:
                # What was committed since is announced from here on; nothing may have been committed between the snapshot and this line.
                if self._store.last_seq() <= (found[-1].seq if found else self.seq):
                    self._behind = False
        return found

    def hand_in(self, id_: str, events: Sequence[tuple[str, list[Any]]]) -> "Future[None]":
        """Have the subscription told of this, (entity, members of `data`) each, with the next round. The future is done when it is
        committed; it raises StoreError when it is not, also where another process queues. Any thread."""
        handed = HandedIn(id_, events, Future())
        if not self._hub.leads():
            handed.done.set_exception(StoreError("another process queues notifications"))
            return handed.done
        with self._wake:
            self._handed_in.append(handed)
            self._wake.notify()
        return handed.done

    def _take_handed_in(self, events: dict[str, list[Event]], dues: dict[str, Due]) -> list[HandedIn]:
        with self._wake:
            taken = list(self._handed_in)
            self._handed_in.clear()
        now = self._hub.clock.now()
        for handed in taken:
            definition = self._hub.subscriptions.find(handed.id)
            if definition is None:
                continue
            for entity_id, data in handed.events:
                due = self._due_of(handed.id, dues)
                if is_throttled(due.last_at, now, definition.subscription.throttling):
                    due.throttled += 1
                    continue
                due.last_at = now
                events.setdefault(handed.id, []).append(Event(entity_id, self.seq, data))
        return taken

    def lag(self) -> int:
        """Changes committed and not yet looked at."""
        return max(0, self._store.last_seq() - self.seq)

    def delivered(self, id_: str, count: int) -> None:
        """So many notifications of the subscription wait no longer. Any thread."""
        with self._waiting_lock:
            self.waiting[id_] -= count
            if self.waiting[id_] <= 0:
                del self.waiting[id_]

    # ── one round ───────────────────────────────────────────────────────────

    def run_once(self) -> int:
        """Look at what is there and queue what is due; gives the number of changes. Raises StoreError when the commit fails: nothing is
        lost, call it again later."""
        changes = self._next_changes()
        if changes:
            # The snapshot holds these changes, so it holds every definition that was written before them.
            with self._store.read() as read:
                written = self._hub.subscriptions.sync(read)
            if written:
                self._changed(written)
        index = self._hub.subscriptions.index()
        now = self._hub.clock.now()
        periodic = [d for d in index.periodic if self._is_periodic_due(d, now)]
        if not changes and not periodic and not self._handed_in:
            if self.seq > self._committed_seq and self._perf() - self._committed_at >= CURSOR_EVERY_S:
                self._commit({}, {})
            return 0
        events: dict[str, list[Event]] = {}
        dues: dict[str, Due] = {}
        if index.by_id or index.by_type or index.rest or periodic:
            with self._store.read() as read:
                self._looks = {}
                for change in changes:
                    if change.kind != CLOCK:
                        self._match(read, change, events, dues)
                for definition in periodic:
                    self._tell_periodic(read, definition, now, events, dues)
        if changes:
            self.seq = changes[-1].seq
        handed = self._take_handed_in(events, dues)
        try:
            if events or dues or self._perf() - self._committed_at >= CURSOR_EVERY_S:
                self._commit(events, dues)
        except Exception as error:
            self._forget()
            for one in handed:
                one.done.set_exception(error if isinstance(error, StoreError) else StoreError("it was not queued"))
            raise
        for one in handed:
            one.done.set_result(None)
        return len(changes) + len(handed)

    def _due_of(self, id_: str, dues: dict[str, Due]) -> Due:
        """A copy to change: the truth changes only with the commit."""
        if id_ not in dues:
            dues[id_] = replace(self._hub.subscriptions.due[id_])
        return dues[id_]

    def _match(self, read: Read, change: Change, events: dict[str, list[Event]], dues: dict[str, Due]) -> None:
        index = self._hub.subscriptions.index()
        types = self._types_of(read, change)
        candidates = [
            definition
            for definition in index.candidates(change.entity_id, types)
            if definition.kept.from_seq < change.seq and definition.subscription.selects(change.entity_id, types)
        ]
        if not candidates:
            self._mirror.pop(change.entity_id, None)
            return
        what = self._happened(read, change, types)
        for definition in candidates:
            subscription = definition.subscription
            try:
                look = self._look(read, definition)
                data = None if look is None else told_of(look, definition.subscription, what)
            except Exception:
                # A mistake of ours in one subscription must neither stop the others nor hide: it is due and listed as failed.
                logger.exception("subscription %s cannot be told of change %d", definition.id, change.seq)
                data = []
            if data is None:
                continue
            due = self._due_of(definition.id, dues)
            if is_throttled(due.last_at, change.recorded_at, subscription.throttling):
                due.throttled += 1
                continue
            due.last_at = change.recorded_at
            events.setdefault(definition.id, []).append(Event(change.entity_id, change.seq, data))

    def _is_periodic_due(self, definition: Definition, now: Instant) -> bool:
        subscription = definition.subscription
        if subscription.status_at(now) != ACTIVE:
            return False
        last = self._hub.subscriptions.due[definition.id].periodic_at or definition.kept.created_at
        return next_periodic(last, subscription.interval) <= now

    def _tell_periodic(
        self, read: Read, definition: Definition, now: Instant, events: dict[str, list[Event]], dues: dict[str, Due]
    ) -> None:
        """All subscribed entities as they are (clause 5.8.6)."""
        due = self._due_of(definition.id, dues)
        due.periodic_at = due.last_at = now
        look = self._look(read, definition)
        if look is None:
            return
        subscription = definition.subscription
        query = replace(query_of(subscription), limit=PERIODIC_MAX, stamps=subscription.view.sys_attrs)
        for entity in look.query(query).entities:
            data = tell_entity(subscription, entity, hidden_names(look, entity), look.find_entity)
            if data:
                events.setdefault(definition.id, []).append(Event(entity.id, entity.seq, data))

    # ── what an entity was ──────────────────────────────────────────────────

    def _types_of(self, read: Read, change: Change) -> tuple[str, ...]:
        """All types of the entity. They change only by writes over the API."""
        known = self._types.get(change.entity_id)
        if known is None or (change.before is not None and change.kind != DELETION) or known[0] != change.entity_type:
            entity = read.find_entity(change.entity_id)
            known = (change.entity_type,) if entity is None else entity.all_types
            self._types[change.entity_id] = known
            if len(self._types) > TYPES_MAX:
                self._types.popitem(last=False)
        if change.kind == DELETION:
            self._types.pop(change.entity_id, None)
        return known

    def _happened(self, read: Read, change: Change, types: tuple[str, ...]) -> Happened:
        id_ = change.entity_id
        known = self._mirror.get(id_)
        if change.kind == DELETION:
            self._mirror.pop(id_, None)
            before = change.before or {}
            entity = (
                known if known is not None and known.seq == change.previous else self.past.entity_at(read, change)[0]
            )
            entity = replace(entity, attributes=before, types=types if len(types) > 1 else ())
            return happened(change, entity, before)
        if known is not None and known.seq == change.previous and change.before is None and change.transition is None:
            before = known.attributes
            entity = replace(
                known, attributes=after_of(change, before), seq=change.seq, modified_at=change.recorded_at,
                observed_at=max(known.observed_at, change.observed_at),
            )  # fmt: skip
        else:
            entity, before = self.past.entity_at(read, change)
        self._mirror[id_] = entity
        self._mirror.move_to_end(id_)
        if len(self._mirror) > ENTITIES_MAX:
            self._mirror.popitem(last=False)
        return happened(change, entity, before)

    # ── whose eyes ──────────────────────────────────────────────────────────

    def _look(self, read: Read, definition: Definition) -> Look | None:
        """A look with what the subscription's maker may see now; None when its token is no more."""
        creator = definition.kept.creator
        key = f"{creator.principal}|{creator.role}|{creator.party}"
        if key not in self._looks:
            if self._perf() - self._looks_at >= CALLERS_EVERY_S:
                self._callers.clear()
                self._looks_at = self._perf()
            if key not in self._callers:
                self._callers[key] = acting_caller(self._hub.tokens, creator, self._hub.tenant)
            caller = self._callers[key]
            self._looks[key] = None if caller is None else Look(self._hub, caller, "en", read)
        return self._looks[key]

    # ── queueing ────────────────────────────────────────────────────────────

    def _commit(self, events: dict[str, list[Event]], dues: dict[str, Due]) -> None:
        now = self._hub.clock.now()
        rows: dict[str, list[NotificationRow]] = {}
        full: dict[str, list[Event]] = {}
        for id_, found in events.items():
            definition = self._hub.subscriptions.find(id_)
            if definition is None:
                continue
            due = self._due_of(id_, dues)
            due.events += len(found)
            made = notifications_of(definition.subscription, found, now)
            room = max(0, QUEUE_MAX - self.waiting.get(id_, 0))
            rows[id_] = made[:room]
            lost = sum(row.events for row in made[room:])
            if lost:
                full[id_] = found[-lost:]
            due.notifications += len(made)
        seq, was = self.seq, self._committed_seq

        def op(tx: Tx) -> dict[str, list[NotificationRow]]:
            found = tx.find_cursor(CONSUMER)
            if found and found != was:
                raise Overtaken(f"notifications were at {was} and are at {found}: another process queues them")
            kept: dict[str, list[NotificationRow]] = {}
            for id_, made in rows.items():
                if self._hub.subscriptions.find(id_) is not None:
                    kept[id_] = [replace(row, no=tx.put_notification(row)) for row in made]
            for id_, lost in full.items():
                due = dues[id_]
                due.overflow = put_overflow_in(tx, id_, due.overflow, lost, now)
            for id_, due in dues.items():
                self._hub.subscriptions.put_due_in(tx, id_, due)
            tx.put_cursor(CONSUMER, seq)
            return kept

        kept = self._store.write(op).result()
        self._committed_seq, self._committed_at = seq, self._perf()
        for id_, due in dues.items():
            if self._hub.subscriptions.find(id_) is not None:
                self._hub.subscriptions.due[id_] = due
        for id_, made in kept.items():
            self.matched += sum(row.events for row in made)
            waiting = [row for row in made if row.state == DUE]
            if waiting:
                self.add_waiting(id_, len(waiting))
                self._told(id_, waiting)

    def replay(self, definition: Definition, from_seq: int, to_seq: int | None = None) -> Replayed:
        """Queue once more what the log's changes from `from_seq` to `to_seq` (to the end) are to the subscription, as it is now and
        without throttling; new notifications, after those that wait. Stops when the queue is full. Blocks; any thread."""
        id_ = definition.id
        caller = acting_caller(self._hub.tokens, definition.kept.creator, self._hub.tenant)
        past = Past()
        seq, end = from_seq - 1, self.seq if to_seq is None else min(to_seq, self.seq)
        queued = 0
        while caller is not None and seq < end and self.waiting.get(id_, 0) < QUEUE_MAX:
            with self._store.read() as read:
                changes = [c for c in read.read_log(seq, ROUND_CHANGES_MAX) if c.seq <= end]
                look = Look(self._hub, caller, "en", read)
                events = []
                for change in changes:
                    if change.kind == CLOCK:
                        continue
                    entity, before = past.entity_at(read, change)
                    data = told_of(look, definition.subscription, happened(change, entity, before))
                    if data is not None:
                        events.append(Event(change.entity_id, change.seq, data))
            made = notifications_of(definition.subscription, events, self._hub.clock.now())

            def op(tx: Tx, made: Sequence[NotificationRow] = made) -> list[NotificationRow]:
                if self._hub.subscriptions.find(id_) is None:
                    return []
                return [replace(row, no=tx.put_notification(row)) for row in made]

            rows = self._store.write(op).result()
            if rows:
                self.add_waiting(id_, len(rows))
                self._told(id_, rows)
                queued += sum(row.events for row in rows)
            seq = changes[-1].seq if changes else end
        return Replayed(queued, max(seq, from_seq - 1), seq >= end)

    def add_waiting(self, id_: str, count: int) -> None:
        """So many more notifications of the subscription wait. Any thread."""
        with self._waiting_lock:
            self.waiting[id_] += count

    def settle(self, rounds_max: int = 10_000) -> None:
        """Run until the log holds nothing new: for tests."""
        for _ in range(rounds_max):
            if self.run_once() == 0 and self.lag() == 0:
                return
        raise RuntimeError("the log grows faster than it is read")


def told_of(look: Look, subscription: Subscription, what: Happened) -> list[Any] | None:
    """Members of `data`; None when the subscription is not concerned, or its maker, whose look it is, may not see it."""
    if look.hidden and subscription.q is not None and not subscription.is_linked:
        subscription = replace(subscription, q=veil(subscription.q, look.hidden))
    if not is_due(subscription, what, look_at_q=not subscription.is_linked) or not look.sees(what.entity):
        return None
    if subscription.is_linked and not what.is_deleted:
        page = look.query(Query(ids=(what.entity.id,), where=subscription.q, limit=1))
        if not page.entities:
            return None
    sys_attrs = subscription.view.sys_attrs
    if sys_attrs and not what.is_deleted:
        stamped = look.read.find_entity(what.entity.id, stamps=True)
        if stamped is not None:
            what = replace(what, entity=replace(what.entity, stamps=stamped.stamps, created_at=stamped.created_at))
    hidden = hidden_names(look, what.entity)
    return tell(subscription, what, hidden, lambda id_: look.find_entity(id_, stamps=sys_attrs)) or None


def hidden_names(look: Look, entity: Entity) -> frozenset[str]:
    """Attributes that policy hides of a visible entity."""
    return frozenset().union(*(look.mask(type_).names for type_ in entity.all_types))


def query_of(subscription: Subscription) -> Query:
    """The entities of a subscription as a query, for periodic notifications."""
    items: list[Node] = []
    if subscription.selectors:
        nodes = [_selector_node(selector) for selector in subscription.selectors]
        if all(node is not None for node in nodes):
            items.append(Or(tuple(node for node in nodes if node is not None)))
    items += [node for node in (subscription.q, subscription.scope_q) if node is not None]
    where = None if not items else items[0] if len(items) == 1 else And(tuple(items))
    return Query(where=where, place=subscription.place)


def _selector_node(selector: Selector) -> Node | None:
    items: list[Node] = [] if selector.types is None else [selector.types]
    if selector.ids:
        items.append(Compare("id", "==", sorted(selector.ids)))
    if selector.pattern is not None:
        items.append(Compare("id", "~=", selector.pattern.pattern))
    return None if not items else items[0] if len(items) == 1 else And(tuple(items))
