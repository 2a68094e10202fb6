"""What the hub asks of a store and of a clock. `tests/stores/check_store.py` holds every store to it.

**Writes.** `Store.write(op)` hands a function to the single writer. Ops of many callers run one after the other inside one
transaction (group commit), each in its own savepoint: an op that raises is undone alone and its future carries the exception;
the others commit. A future is done only after the commit is durable. If the commit itself fails (disk full), every future of the group
fails and nothing happened. An op may be run again when the store had to undo the group because of others: it has no effect
beyond its `tx`, and gives its result back.

**Reads.** `Store.read()` gives a consistent snapshot of what is committed.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from madang.model.change import Change, Transition
from madang.model.entity import Attribute, Attributes, Entity, Reading
from madang.model.geometry import Box
from madang.model.record import Record
from madang.model.time import Instant
from madang.ngsild.query import Query
from madang.ngsild.temporal import Window
from madang.procedure.contract import Deadline

T = TypeVar("T")


class Clock(Protocol):
    """The only source of time. Live: the system's. Simulation, replay, tests: told."""

    def now(self) -> Instant: ...


class NotQuick(Exception):
    """The answer would take long: ask again where nobody waits behind."""


class StoreError(Exception):
    """The store could not do it; the text says what to do."""


class StoreFull(StoreError):
    """No room on the disk. Nothing was written, nothing is acknowledged; free some and it goes on by itself."""


class StoreLocked(StoreError):
    """Another process holds the data folder."""


class StoreClosed(StoreError):
    """The store was closed; the op did not run."""


class HistoryRow(Struct, frozen=True):
    """One observation."""

    attribute: str
    observed_at: Instant
    received_at: Instant
    value: Any
    seq: int


class Version(Struct, frozen=True):
    """One version of a record, with what made it."""

    record: Record
    transition: Transition
    at: Instant
    seq: int


class OutboxRow(Struct, frozen=True):
    """A message on its way out."""

    id: int
    record_id: str
    channel: str
    to: str
    reason: dict[str, Any]
    state: str
    """``due``, ``sent``, ``dead``."""
    attempts: int
    next_at: Instant
    idempotency_key: str
    error: str
    created_at: Instant


class QuarantineRow(Struct, frozen=True):
    """A payload that could not be understood."""

    id: int
    source: str
    received_at: Instant
    code: str
    detail: str
    topic: str
    payload: bytes


class NotificationRow(Struct, frozen=True):
    """A notification of a subscription that waits, or that could not be delivered."""

    no: int
    """Its place in the queue; 0: it gets the next one when it is put."""
    subscription: str
    state: str
    """``due`` or ``dead``."""
    first_seq: int
    last_seq: int
    """The changes that it tells of lie in this range of the log."""
    events: int
    """Changes that it tells of."""
    body: bytes
    """Its data as JSON; empty when it was not kept, and must be made again from the log."""
    created_at: Instant
    error: str = ""


class Body(Struct, frozen=True):
    """An entity unparsed: what a retrieve can answer with."""

    type: str
    attributes: str
    """The attributes as JSON text, by key."""
    is_plain: bool
    """One type, no scope, no attribute with several instances, nothing that expires: type and attributes are all there is."""


class BodyPage(Struct, frozen=True):
    """One page of a query's result, unparsed."""

    rows: list[tuple[str, Body]]
    """(id, body) of each entity."""
    total: int | None
    more: bool


class Extent(Struct, frozen=True):
    """Where and when the entities of a query are."""

    count: int
    placed: int
    """How many of them have a `location`."""
    box: Box | None
    """What encloses every `location`; None when none has one. Of shapes other than points it may be wider by a metre."""
    first_at: Instant | None
    """The smallest `Entity.observed_at`; None when there is no entity."""
    last_at: Instant | None


class AttributeUse(Struct, frozen=True):
    """How entities of a type use an attribute."""

    entity_type: str
    name: str
    kind: str
    """NGSI-LD attribute type: Property, Relationship, …"""
    count: int
    """Entities that have it so."""


class InstanceRow(Struct, frozen=True):
    """One attribute instance of an entity's evolution."""

    key: str
    """Of the attribute, see `madang.model.entity.instance_key`."""
    token: str
    """What the store knows it by: the same for as long as it exists."""
    at: Instant
    """The time property that was asked for."""
    attribute: Attribute | None
    """The instance as the API was given it; None for a device's reading, of which only `value` and `at` are kept."""
    value: Any
    observed_at: Instant
    created_at: Instant
    modified_at: Instant
    deleted_at: Instant | None = None


class AggregateRow(Struct, frozen=True):
    """Figures of one attribute over one period. Those that were not asked for are None."""

    key: str
    number: int
    """Of the period, from 0."""
    count: int
    distinct: int | None = None
    sum: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    sumsq: float | None = None
    stddev: float | None = None
    """Of the population."""


class DueDeadline(Struct, frozen=True):
    record_id: str
    deadline: Deadline


class Page(Struct, frozen=True):
    """One page of a query's result."""

    entities: list[Entity]
    total: int | None
    """Number of matches when it was asked for."""
    next_after: str | None
    """Id to continue after; None at the end."""


class Read(Protocol):
    """A consistent snapshot."""

    def last_seq(self) -> int: ...

    def log_time(self) -> Instant:
        """`recorded_at` of the log's last row; 0 for an empty log."""
        ...

    def find_entity(self, id_: str, *, stamps: bool = False) -> Entity | None:
        """The entity as it is stored, also when it or some of it has expired (see `madang.model.entity.alive_at`). `stamps` loads
        when its attributes were created and modified."""
        ...

    def find_entity_body(self, id_: str) -> Body | None:
        """The entity unparsed: for answers that need not look into it."""
        ...

    def query(self, query: Query) -> Page: ...

    def query_bodies(self, query: Query) -> BodyPage:
        """The same page unparsed: for answers that need not look into it."""
        ...

    def query_ids(self, query: Query) -> list[str]:
        """The ids of the same page alone, for answers that are about which entities there are."""
        ...

    def measure(self, query: Query) -> Extent:
        """Where and when all matches are, whatever the query says of order and page."""
        ...

    def list_ids(self, type_: str) -> list[str]:
        """Ids of all entities of a type, in order."""
        ...

    def list_types(self) -> dict[str, int]:
        """Entity types by name with their number of entities; one with several types counts under each."""
        ...

    def list_attributes(self, types: Sequence[str] | None = None) -> list[AttributeUse]:
        """Attributes in use by entities of these types (None: all), by (type, name, kind). Cost: looks at every entity of them."""
        ...

    def list_expired(self, now: Instant, limit: int) -> list[str]:
        """Ids of entities of which something has expired at `now`, the longest expired first (clause 4.22)."""
        ...

    def find_record(self, id_: str) -> Record | None: ...

    def list_records_by(self, type_: str, name: str, value: str) -> list[Record]:
        """Records of the type whose declared `indexed` data name equals `value`, by id."""
        ...

    def list_records(self, type_: str, states: Sequence[str] | None = None) -> list[Record]: ...

    def list_versions(self, record_id: str) -> list[Version]:
        """All versions of a record, oldest first."""
        ...

    def history(
        self, entity_id: str, attributes: Sequence[str], from_at: Instant, to_at: Instant, limit: int
    ) -> list[HistoryRow]:
        """Observations with from_at <= observed_at < to_at, by (attribute, observed_at, seq); at most `limit` per attribute, the newest."""
        ...

    def list_evolving(self, entity_id: str) -> list[str]:
        """Keys of the attributes of which the entity's evolution has instances."""
        ...

    def list_instances(
        self, entity_id: str, keys: Sequence[str], window: Window, limit: int, *, newest: bool
    ) -> list[InstanceRow]:
        """Instances of the evolution in the window by (key, time), oldest first; at most `limit` of each key: the oldest, or the
        `newest`. Without those that were deleted through the temporal API or with an earlier entity of that id. An instance that
        lacks the window's time property is in no window."""
        ...

    def aggregate(
        self, entity_id: str, key: str, window: Window, methods: Sequence[str], origin: Instant | None, length: int
    ) -> list[AggregateRow] | None:
        """Figures of numeric instances by period of `length` microseconds from `origin` (None or 0: one period). None when the
        store cannot tell without looking at the instances: some are no numbers, or were changed."""
        ...

    def read_log(self, after_seq: int, limit: int) -> list[Change]:
        """Changes after `after_seq` in order."""
        ...

    def list_reference_versions(self, types: Sequence[str], at_seq: int) -> list[Entity]:
        """The version in force at `at_seq` of every reference entity of these types (deleted ones absent)."""
        ...

    def list_record_versions_at(self, types: Sequence[str], at_seq: int) -> list[Record]:
        """The version in force at `at_seq` of every record of these types."""
        ...

    def find_link(self, kind: str, key: str) -> str | None:
        """The id that `key` leads to, e.g. kind ``situation``: situation -> incident id."""
        ...

    def list_links(self, kind: str) -> list[tuple[str, str]]:
        """(key, id) of all links of a kind, by key."""
        ...

    def find_idempotent(self, key: str) -> bytes | None:
        """The kept answer to an idempotency key, or None."""
        ...

    def find_cursor(self, consumer: str) -> int:
        """How far a consumer of the log has come; 0 when it never began."""
        ...

    def list_cursors(self) -> list[tuple[str, int]]:
        """(consumer, how far it has come) of all that ever began."""
        ...

    def find_states(self, detector: str, keys: Sequence[str]) -> dict[str, bytes]: ...

    def list_wakes(self) -> list[tuple[Instant, str, str]]:
        """(wake_at, detector, key) of all sleeping states."""
        ...

    def list_due_deadlines(self, now: Instant, limit: int) -> list[DueDeadline]: ...

    def list_deadlines(self, record_id: str) -> list[Deadline]: ...

    def list_outbox(self, state: str, limit: int, due_before: Instant | None = None) -> list[OutboxRow]: ...

    def list_outbox_of(self, record_id: str) -> list[OutboxRow]: ...

    def list_quarantine(self, source: str | None, limit: int, before_id: int | None = None) -> list[QuarantineRow]: ...

    def find_document(self, kind: str, id_: str) -> bytes | None:
        """Settings and other small documents (sources, tokens, parameters)."""
        ...

    def list_documents(self, kind: str) -> list[tuple[str, bytes]]: ...

    def list_notifications(self, subscription: str, state: str, limit: int, after_no: int = 0) -> list[NotificationRow]:
        """Notifications of a subscription after `after_no`, in order."""
        ...

    def count_notifications(self) -> list[tuple[str, str, int, int]]:
        """(subscription, state, notifications, events) of all that are kept, by subscription and state."""
        ...


class Tx(Read, Protocol):
    """What an op may do. It sees what earlier ops of the same group did."""

    @property
    def now(self) -> Instant:
        """Log time of this op: the clock's, but never before the log's last row."""
        ...

    def remember_messages(self, keys: Sequence[bytes]) -> list[bool]:
        """Remember message identities; per key, True when it is new and False when it was known (a duplicate), also of an
        earlier one in `keys`."""
        ...

    def forget_messages(self, before_day: str) -> int:
        """Forget identities remembered before the day (YYYYMMDD); gives their number."""
        ...

    def append_reading(self, reading: Reading, source: str, received_at: Instant) -> Change:
        """State, history and log of one reading. Attribute values older than what the state has go to history alone and the
        change is `late`."""
        ...

    def put_entity(
        self,
        id_: str,
        type_: str,
        attributes: Attributes,
        source: str,
        *,
        reference: bool,
        replace: bool,
        remove: Sequence[str] = (),
        types: Sequence[str] | None = None,
        scopes: Sequence[str] | None = None,
        expires_at: Instant | None = None,
    ) -> Change:
        """Create or change an entity by API or import, observed now. `reference` keeps the whole version; `replace` drops
        whatever is not given.

        attributes: instances to write, by key; `remove`: keys to take away, those that are absent are passed over.
        type_: the first type; `types`: all of them, the first one first, when there are more. None: further types stay while
        `type_` does. `scopes`: None leaves them as they are, empty takes them away. `expires_at`: None leaves it as it is, `NEVER`
        takes it away. The change names what was taken away in `removed`."""
        ...

    def delete_entity(self, id_: str, source: str) -> Change | None:
        """Delete it. Its history stays, and its evolution (`list_instances`) begins anew when the id is used again."""
        ...

    def put_instances(
        self,
        id_: str,
        type_: str,
        instances: Sequence[tuple[str, Attribute]],
        source: str,
        *,
        reference: bool,
        types: Sequence[str] | None = None,
        scopes: Sequence[str] | None = None,
        expires_at: Instant | None = None,
    ) -> Change:
        """Add instances to the evolution. The newest of each attribute becomes its state unless that is newer; an NGSI-LD Null
        never does."""
        ...

    def edit_instance(self, id_: str, key: str, token: str, attribute: Attribute | None, source: str) -> bool:
        """Change an instance of the evolution, or take it away (None); False when there is none. The history keeps what was."""
        ...

    def cut_evolution(self, id_: str, keys: Sequence[str] | None) -> None:
        """Take the evolution of these attributes away up to now (None: all). The history keeps what was."""
        ...

    def is_evolution_only(self, id_: str) -> bool:
        """Was the entity made, and never changed but by `put_instances`?"""
        ...

    def put_record(
        self, record: Record, transition: Transition, attributes: Attributes, links: dict[str, str]
    ) -> Change:
        """Write a record's next version. `attributes` is its NGSI-LD form; `links` its indexed data (name -> value)."""
        ...

    def append_clock_mark(self) -> Change: ...

    def put_link(self, kind: str, key: str, id_: str) -> None: ...

    def put_idempotent(self, key: str, answer: bytes) -> None: ...

    def put_cursor(self, consumer: str, seq: int) -> None: ...

    def put_states(self, rows: Sequence[tuple[str, str, bytes | None, Instant | None]]) -> None:
        """(detector, key, document, wake_at); document None forgets the key."""
        ...

    def put_finding(self, id_: str, seq: int, document: bytes) -> bool:
        """Keep a finding under its identity; False when it was there already."""
        ...

    def set_deadline(self, record_id: str, deadline: Deadline) -> None: ...

    def cancel_deadlines(self, record_id: str, names: Sequence[str] | None) -> None:
        """None cancels all of the record."""
        ...

    def put_outbox(
        self, record_id: str, channel: str, to: str, reason: dict[str, Any], idempotency_key: str
    ) -> None: ...

    def mark_outbox(self, id_: int, state: str, next_at: Instant, error: str, attempts: int | None = None) -> None:
        """How an attempt went. `attempts`: the new count; None adds one."""
        ...

    def put_quarantine(
        self, source: str, received_at: Instant, code: str, detail: str, topic: str, payload: bytes
    ) -> None: ...

    def delete_quarantine(self, id_: int) -> None: ...

    def trim_log(self, below_seq: int, limit: int) -> int:
        """Let go of the log's changes below `below_seq`, at most `limit` of them, the oldest; the newest change always stays. Gives
        how many went. State, history and versions are not touched."""
        ...

    def trim_quarantine(self, rows_max: int) -> int:
        """Let go of the oldest payloads beyond `rows_max`; gives their number."""
        ...

    def put_document(self, kind: str, id_: str, document: bytes | None) -> None:
        """None deletes it."""
        ...

    def put_notification(self, row: NotificationRow) -> int:
        """Add a notification (`no` 0) or write it anew; gives its number. Numbers only rise."""
        ...

    def delete_notifications(self, nos: Sequence[int]) -> None: ...

    def next_number(self, name: str) -> int:
        """1, 2, 3 … per name."""
        ...


class Store(Protocol):
    """The one place where things are kept."""

    failure: str
    """Why the last commit failed; empty when it did not."""

    def write(self, op: Callable[[Tx], T], *, bulk: bool = False, ids: Sequence[str] = ()) -> Future[T]:
        """Queue an op for the writer. A `bulk` op promises to use nothing but `remember_messages`, `append_reading`, `find_entity`,
        `put_entity` and `put_quarantine`: it needs no savepoint, which is what makes ingest fast. `ids`: entities
        that it will look at, as far as they are known: they may be read for several ops at once. Raises StoreClosed after `close`."""
        ...

    def read(self, *, quick: bool = False) -> AbstractContextManager[Read]:
        """A snapshot. With `quick` its questions raise NotQuick when they would take longer than about a millisecond: for the event loop,
        where waking a thread costs more than most answers do. A store that cannot tell raises it at once."""
        ...

    def find_entity_body(self, id_: str) -> Body | None:
        """`Read.find_entity_body` alone, without the cost of a snapshot."""
        ...

    def subscribe(self, listener: Callable[[Sequence[Change]], None]) -> Callable[[], None]:
        """Call `listener` with the changes of every commit, in order, from the writer's thread: it must return at once and
        never raise. Gives back a function that ends it."""
        ...

    def subscribe_documents(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with a kind of documents that another process has changed; with ``""`` when any may have been (the way to the
        database was broken meanwhile). From a thread of the store's: it must return at once and never raise. Gives back a function
        that ends it. Never called where only one process can open the store."""
        ...

    def last_seq(self) -> int:
        """Sequence of the last committed change."""
        ...

    def leads(self, role: str) -> bool:
        """Is this process the one that does what only one may do at a time (`role`: ``hub``: detectors, timers, outbox)? Takes the
        role when nobody has it. Cheap: call it often. Always True where only one process can open the store."""
        ...

    def stats(self) -> dict[str, float]:
        """Figures for metrics: commits, ops, bytes, queue length …"""
        ...

    def set_durable(self, durable: bool) -> None:
        """Whether a commit waits for the disk. Off is for filling in data that can be made again; blocks until it holds."""
        ...

    def close(self) -> None:
        """Finish what is queued, checkpoint, let go of the folder."""
        ...


class TenantStores(Protocol):
    """A store of its own for each tenant but the default one. Blocks; any thread."""

    is_shared: bool
    """Other processes may make tenants too."""

    def list_names(self) -> list[str]:
        """Tenants that there are, sorted. Raises StoreError."""
        ...

    def open(self, name: str) -> Store:
        """The tenant's store; made when there is none. Raises StoreError with what to do."""
        ...
