"""The live feed: where moving things are now, and what the console must hear of, from the change log to many listeners.

The store calls `_on_commit` in its writer's thread, which only appends to a queue. An asyncio task takes what gathered every
`FLUSH_S`, keeps the latest position of every moving thing, and gives each listener one batch: its moves (the newest of each
thing) and its record transitions, with the log sequence up to which it is complete. A listener that resumes after a batch's
`seq` misses nothing.

Slow listeners are bounded: one whose queue is full loses it and is told to start over (`Reset`).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any

from msgspec import Struct

from madang.hub.ports import Clock, Store
from madang.hub.words import LABEL_ATTRIBUTES
from madang.model.change import CLOCK, DELETION, RECORD, Change
from madang.model.entity import Attributes, value_of
from madang.model.time import Instant, parse_instant
from madang.ngsild.query import Query

logger = logging.getLogger(__name__)

FLUSH_S = 0.25
"""Moves go out at most four times a second: eyes see no more, and a batch costs less than its parts."""
BATCHES_MAX = 40
"""Batches that wait for one listener: ten seconds of a stalled connection."""
LISTENERS_MAX = 1_000
RESUME_MAX = 20_000
"""Changes that a resuming listener is told afterwards; one further behind loads the page anew."""
THINGS_MAX = 200_000
"""Moving things kept in memory (some 200 bytes each). The moves of further ones are told and forgotten."""
PENDING_MAX = 200_000
"""Changes waiting for a flush; the flush falls so far behind only when the loop is blocked. Beyond it listeners start over."""


class Position(Struct, frozen=True):
    """Where a moving thing was last, and how it moved."""

    id: str
    type: str
    lon: float
    lat: float
    heading: float | None
    speed: float | None
    weight_kg: float | None
    active: bool | None
    """Ignition on; None: not known."""
    observed_at: Instant
    source: str
    seq: int


class RecordEvent(Struct, frozen=True):
    """A record went through an action."""

    seq: int
    id: str
    type: str
    state: str
    version: int


class Batch(Struct, frozen=True):
    """What happened after the batch before: complete up to `seq`."""

    seq: int
    moves: tuple[Position, ...]
    records: tuple[RecordEvent, ...]


class Reset(Struct, frozen=True):
    """The listener missed something: load everything anew, then go on after `seq`."""

    seq: int


Item = Batch | Reset


class TooManyListeners(Exception):
    """No room for another listener."""


class Listener:
    """One listener's queue. Belongs to the event loop."""

    def __init__(self, feed: "Feed") -> None:
        self._feed = feed
        self._items: deque[Item] = deque()
        self._ready = asyncio.Event()
        self.resets = 0

    def put(self, item: Item) -> None:
        """Give it a batch; when it has too many, it loses them and starts over."""
        if len(self._items) >= BATCHES_MAX:
            self._items.clear()
            item = Reset(item.seq)
            self.resets += 1
            self._feed.resets += 1
        self._items.append(item)
        self._ready.set()

    async def next(self, timeout_s: float) -> Item | None:
        """The next item; None when none came in time."""
        if not self._items:
            self._ready.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ready.wait(), timeout_s)
        return self._items.popleft() if self._items else None

    def close(self) -> None:
        self._feed.forget(self)


class Feed:
    """See the module's docstring. `start` and `listen` are called on the event loop; `positions` from any thread."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        moving_types: Iterable[str],
        forget_label: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`forget_label` is told of every entity that may be called otherwise now."""
        self._forget_label = forget_label
        self._store = store
        self.clock = clock
        self._moving = frozenset(moving_types)
        self._pending: deque[Change] = deque()
        self._overflowed = False
        self._positions: dict[str, Position] = {}
        self._listeners: set[Listener] = set()
        self._lock = Lock()
        self._seq = 0
        self._floor = 0
        """Of what happened up to here, not every type's changes were seen."""
        self._task: asyncio.Task[None] | None = None
        self._starting: asyncio.Future[None] | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._type_seq: dict[str, int] = {}
        self.resets = 0
        self.batches = 0

    # ── life ────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Begin: from what the store holds, then from its commits."""
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._start())
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        self._unsubscribe = self._store.subscribe(self._on_commit)
        await asyncio.get_running_loop().run_in_executor(None, self._load)
        self._task = asyncio.create_task(self._run(), name="madang-feed")

    def close(self) -> None:
        """Hear no more of the store. Any thread, also after the event loop has ended."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    async def stop(self) -> None:
        """End; listeners get nothing more."""
        self.close()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def _load(self) -> None:
        with self._store.read() as read:
            seq = read.last_seq()
            for type_ in self._moving:
                for entity in read.query(Query(types=(type_,), limit=THINGS_MAX)).entities:
                    position = position_of(
                        entity.id, type_, entity.attributes, entity.observed_at, "", entity.seq, None
                    )
                    if position is not None and len(self._positions) < THINGS_MAX:
                        self._positions.setdefault(entity.id, position)
        self._seq = max(self._seq, seq)

    # ── writer's thread ─────────────────────────────────────────────────────

    def _on_commit(self, changes: Sequence[Change]) -> None:
        """Never raises, returns at once."""
        if len(self._pending) > PENDING_MAX:
            self._pending.clear()
            self._overflowed = True
        self._pending.extend(changes)

    # ── event loop ──────────────────────────────────────────────────────────

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                self.flush()
            except Exception:
                # The feed must live as long as the server: what it lost is told by a reset, the error by the log.
                logger.exception("the live feed lost a batch")
                self._tell(Reset(self._store.last_seq()))

    def flush(self) -> None:
        """Take what gathered and tell every listener."""
        if self._overflowed:
            self._overflowed = False
            self._pending.clear()
            with self._lock:
                self._positions = {}
            self._load()
            self._floor = self._seq
            self._tell(Reset(self._seq))
            return
        moves: dict[str, Position] = {}
        records: list[RecordEvent] = []
        seq = self._seq
        while self._pending:
            change = self._pending.popleft()
            if change.seq <= self._seq:
                continue
            seq = change.seq
            self._take(change, moves, records)
        if seq == self._seq:
            return
        self._seq = seq
        self.batches += 1
        self._tell(Batch(seq, tuple(moves.values()), tuple(records)))

    def _take(self, change: Change, moves: dict[str, Position], records: list[RecordEvent]) -> None:
        if change.kind == CLOCK:
            return
        self._type_seq[change.entity_type] = change.seq
        if change.kind == DELETION or any(name in change.attributes for name in LABEL_ATTRIBUTES):
            self._forget_label(change.entity_id)
        if change.kind == RECORD:
            event = record_event_of(change)
            if event is not None:
                records.append(event)
        elif change.entity_type in self._moving:
            if change.kind == DELETION:
                with self._lock:
                    self._positions.pop(change.entity_id, None)
                moves.pop(change.entity_id, None)
                return
            known = self._positions.get(change.entity_id)
            if change.late and known is not None:
                return
            position = position_of(
                change.entity_id,
                change.entity_type,
                change.attributes,
                change.observed_at,
                change.source,
                change.seq,
                known,
            )
            if position is not None:
                if known is not None or len(self._positions) < THINGS_MAX:
                    with self._lock:
                        self._positions[change.entity_id] = position
                moves[change.entity_id] = position

    def _tell(self, item: Item) -> None:
        for listener in tuple(self._listeners):
            listener.put(item)

    @property
    def is_running(self) -> bool:
        """False before `start` and after `stop`: sequences below are then not kept up."""
        return self._task is not None

    # ── questions ───────────────────────────────────────────────────────────

    @property
    def seq(self) -> int:
        """Up to where batches went out."""
        return self._seq

    def positions(self) -> tuple[int, list[Position]]:
        """(log sequence, all moving things)."""
        with self._lock:
            return self._seq, list(self._positions.values())

    def type_seq(self, type_: str) -> int:
        """Sequence of the last change of a type since the start; 0: none. For caches."""
        return max(self._floor, self._type_seq.get(type_, 0))

    def listen(self) -> Listener:
        """A queue of everything from now on. Close it. Raises TooManyListeners."""
        if len(self._listeners) >= LISTENERS_MAX:
            raise TooManyListeners(f"{LISTENERS_MAX} streams are open; close one")
        listener = Listener(self)
        self._listeners.add(listener)
        return listener

    def forget(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def read_since(self, after_seq: int) -> Item:
        """What happened after `after_seq` up to the last commit, as one item: a Reset when that is too much or not known.
        Reads the store; call it off the event loop. A change may stand both here and in a later batch: compare its seq."""
        last = self._store.last_seq()
        if after_seq > last or after_seq < 0 or last - after_seq > RESUME_MAX:
            return Reset(last)
        moves: dict[str, Position] = {}
        records: list[RecordEvent] = []
        with self._store.read() as read:
            changes = read.read_log(after_seq, RESUME_MAX + 1)
        for change in changes:
            last = max(last, change.seq)
            if change.kind == RECORD:
                event = record_event_of(change)
                if event is not None:
                    records.append(event)
            elif change.entity_type in self._moving and not change.late and change.kind != DELETION:
                position = position_of(
                    change.entity_id, change.entity_type, change.attributes, change.observed_at, change.source,
                    change.seq, moves.get(change.entity_id) or self._positions.get(change.entity_id),
                )  # fmt: skip
                if position is not None:
                    moves[change.entity_id] = position
        return Batch(last, tuple(moves.values()), tuple(records))


def record_event_of(change: Change) -> RecordEvent | None:
    """A record's change as an event."""
    transition = change.transition
    if transition is None:
        return None
    return RecordEvent(change.seq, change.entity_id, change.entity_type, transition.to_state, transition.version)


def position_of(
    id_: str, type_: str, attributes: Attributes, observed_at: Instant, source: str, seq: int, known: Position | None
) -> Position | None:
    """The position that attributes give; what they leave out stays as `known`. None without a place."""
    geometry = value_of(attributes.get("location"))
    lon = known.lon if known is not None else None
    lat = known.lat if known is not None else None
    if isinstance(geometry, dict) and geometry.get("type") == "Point":
        lon, lat = geometry["coordinates"][:2]
    if lon is None or lat is None:
        return None
    return Position(
        id=id_,
        type=type_,
        lon=lon,
        lat=lat,
        heading=_number(attributes, "heading", None if known is None else known.heading),
        speed=_number(attributes, "speed", None if known is None else known.speed),
        weight_kg=_number(attributes, "grossWeight", None if known is None else known.weight_kg),
        active=_truth(attributes, "ignition", None if known is None else known.active),
        observed_at=_observed(attributes.get("location"), observed_at),
        source=source or ("" if known is None else known.source),
        seq=seq,
    )


def _observed(location: Any, otherwise: Instant) -> Instant:
    text = location.get("observedAt") if isinstance(location, dict) else None
    if isinstance(text, str):
        with suppress(ValueError):
            return parse_instant(text)
    return otherwise


def _number(attributes: Attributes, name: str, otherwise: float | None) -> float | None:
    value = value_of(attributes.get(name))
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def _truth(attributes: Attributes, name: str, otherwise: bool | None) -> bool | None:
    value = value_of(attributes.get(name))
    return value if isinstance(value, bool) else otherwise
