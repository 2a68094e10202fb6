"""Snapshots as the hub keeps them (ETSI GS CIM 009 clause 5.16): in the store, durable, the same for every process on it.

A snapshot is a head and parts of some entities each, written one after the other while it is prepared, so that no part occupies the one
writer for long. What it holds never changes afterwards. It is read through a `Look` like everything (`frozen`), with the eyes of who
reads: a snapshot gives nobody more than what it may see.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import Any

import msgspec
from msgspec.structs import replace

from madang.access.roles import ENTITY_WRITE
from madang.hub.frozen import Frozen
from madang.hub.http import Http, HttpFailed
from madang.hub.ports import Clock, Read, Store, Tx
from madang.model.caller import Caller
from madang.model.time import MINUTE, Instant
from madang.ngsild.errors import ALREADY_EXISTS, OPERATION_NOT_SUPPORTED, RESOURCE_NOT_FOUND, NgsiLdError
from madang.ngsild.query import Node
from madang.ngsild.snapshot import (
    FAILURE,
    PREPARING,
    Detail,
    Kept,
    lifetime_of,
    meets,
    merge_snapshot,
    render_snapshot_notification,
)

logger = logging.getLogger(__name__)

SNAPSHOTS_MAX = 200
"""At a time. More are refused: what people keep is not thrown away for somebody else's (clause 5.5.15 would allow it)."""
SNAPSHOTS_OF_ONE_MAX = 50
ENTITIES_MAX = 10_000
"""Entities in one snapshot: some 20 MB."""
INSTANCES_MAX = 200_000
"""Attribute instances of all evolutions in one snapshot."""
PART_ENTITIES = 200
PART_INSTANCES = 5_000
"""A part is some 500 kB: its write is as short as a batch of readings."""
PREPARE_MAX = 5 * MINUTE
"""A snapshot that is prepared longer was interrupted, by a stop of the server perhaps: it has failed."""
CACHE_BYTES = 64 * 1024 * 1024
"""Parts, as they are stored, of the snapshots that stay in memory after they were read."""
NOTIFY_S = 5.0
ANSWER_BYTES_MAX = 65_536
_HEAD, _PART = "snapshot", "snapshot-part"


class Snapshots:
    """See the module's docstring. `clock` is the real one."""

    def __init__(self, store: Store, clock: Clock, http: Http | None, new_id: Callable[[], str]) -> None:
        self._store = store
        self._clock = clock
        self._http = http
        self._new_id = new_id
        self._used: dict[str, Instant] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._cache: OrderedDict[tuple[str, Instant], tuple[int, list[Frozen]]] = OrderedDict()
        self._lock = Lock()

    def new_id(self) -> str:
        """The id of a snapshot whose maker gives none."""
        return f"urn:ngsi-ld:Snapshot:{self._new_id()}"

    # ── reading ─────────────────────────────────────────────────────────────

    def get(self, read: Read, id_: str, caller: Caller) -> Kept:
        """The snapshot. Raises NgsiLdError (ResourceNotFound) also for one that has expired or is not for this caller: who acts for a party
        sees its own."""
        kept = _find(read, id_)
        now = self._clock.now()
        if kept is None or kept.expires_at <= now or (caller.party is not None and kept.owner != caller.principal):
            raise NgsiLdError(f"there is no snapshot {id_[:200]}, or it has expired", "", RESOURCE_NOT_FOUND)
        if kept.status == PREPARING and kept.created_at + PREPARE_MAX <= now:
            kept = replace(kept, status=FAILURE)
        return replace(kept, last_used_at=max(kept.last_used_at, self._used.get(id_, 0)))

    def frozen(self, read: Read, kept: Kept) -> list[Frozen]:
        """What the snapshot holds. Cost: the first time, decoding all of it; then it is in memory."""
        key = kept.id, kept.created_at
        with self._lock:
            known = self._cache.get(key)
            if known is not None:
                self._cache.move_to_end(key)
                return known[1]
        size, rows = 0, []
        for number in range(kept.parts):
            document = read.find_document(_PART, _part_id(kept.id, number))
            if document is not None:
                size += len(document)
                rows += msgspec.json.decode(document, type=list[Frozen])
        rows = _joined(rows)
        with self._lock:
            self._cache[key] = size, rows
            while len(self._cache) > 1 and sum(entry[0] for entry in self._cache.values()) > CACHE_BYTES:
                self._cache.popitem(last=False)
        return rows

    def touch(self, id_: str) -> None:
        """It was used now (lastUsedAt)."""
        self._used[id_] = self._clock.now()

    # ── writing ─────────────────────────────────────────────────────────────

    def create(self, caller: Caller, document: dict[str, Any]) -> "Future[Kept]":
        """Keep a snapshot that is still empty. Raises NgsiLdError: AlreadyExists, OperationNotSupported."""
        now = self._clock.now()
        made = Kept(document, caller.principal, now, now, now + lifetime_of(document), now)

        def op(tx: Tx) -> Kept:
            self.forget_expired_in(tx)
            if _find(tx, made.id) is not None:
                raise NgsiLdError(f"there is a snapshot {made.id} already", "id", ALREADY_EXISTS)
            every = _list_all(tx)
            own = sum(kept.owner == caller.principal for kept in every)
            if len(every) >= SNAPSHOTS_MAX or own >= SNAPSHOTS_OF_ONE_MAX:
                most = SNAPSHOTS_OF_ONE_MAX if own >= SNAPSHOTS_OF_ONE_MAX else SNAPSHOTS_MAX
                raise NgsiLdError(f"{most} snapshots are kept: delete some first", "", OPERATION_NOT_SUPPORTED)
            _put(tx, made)
            return made

        return self._store.write(op)

    def append(self, made: Kept, rows: Sequence[Frozen]) -> "Future[bool]":
        """Put some entities into a snapshot that is being prepared. False: it is gone."""
        body = msgspec.json.encode(rows)

        def op(tx: Tx) -> bool:
            kept = _same(tx, made)
            if kept is None or kept.status != PREPARING:
                return False
            tx.put_document(_PART, _part_id(kept.id, kept.parts), body)
            _put(tx, replace(kept, parts=kept.parts + 1, size=kept.size + len(rows)))
            return True

        return self._store.write(op)

    def copy_part(self, made: Kept, source: Kept, number: int) -> "Future[bool]":
        """Put a part of another snapshot into one that is being prepared. False: one of them is gone."""

        def op(tx: Tx) -> bool:
            kept, other = _same(tx, made), _same(tx, source)
            body = tx.find_document(_PART, _part_id(source.id, number))
            if kept is None or other is None or body is None:
                return False
            tx.put_document(_PART, _part_id(kept.id, kept.parts), body)
            _put(tx, replace(kept, parts=kept.parts + 1, size=other.size))
            return True

        return self._store.write(op)

    async def finish(self, made: Kept, status: str, queries: Sequence[Detail], temporal: Sequence[Detail]) -> None:
        """It is prepared, or cannot be: say so, and tell its endpoint (clause 5.16.6)."""
        now = self._clock.now()

        def op(tx: Tx) -> Kept | None:
            kept = _same(tx, made)
            if kept is None:
                return None
            done = replace(kept, status=status, modified_at=now, queries=tuple(queries), temporal=tuple(temporal))
            _put(tx, done)
            return done

        done = await asyncio.wrap_future(self._store.write(op))
        if done is not None:
            await self._notify(done)

    async def update(self, id_: str, caller: Caller, fragment: Any) -> Kept:
        """Change what may be changed of it (clause 5.16.4). Raises NgsiLdError."""
        now = self._clock.now()

        def op(tx: Tx) -> Kept:
            kept = self._get_to_change(tx, id_, caller)
            document = merge_snapshot(kept.document, fragment)
            changed = replace(kept, document=document, modified_at=now)
            if isinstance(fragment, dict) and "snapshotLifetime" in fragment:
                changed = replace(changed, expires_at=now + lifetime_of(document))
            _put(tx, changed)
            return changed

        changed = await asyncio.wrap_future(self._store.write(op))
        self.start(self._notify(changed))
        return changed

    def delete(self, id_: str, caller: Caller) -> "Future[None]":
        """Clause 5.16.5. Raises NgsiLdError (ResourceNotFound)."""
        return self._store.write(lambda tx: _forget(tx, self._get_to_change(tx, id_, caller)))

    def purge(self, caller: Caller, node: Node) -> "Future[int]":
        """Delete those that meet the condition and that the caller may delete (clause 5.16.7); gives their number."""

        def op(tx: Tx) -> int:
            chosen = [kept for kept in _list_all(tx) if _may_change(caller, kept) and meets(self._current(kept), node)]
            for kept in chosen:
                _forget(tx, kept)
            return len(chosen)

        return self._store.write(op)

    def forget_expired_in(self, tx: Tx) -> None:
        """Let go of what has expired. Called by the hub once a day; whoever makes a snapshot does it too."""
        now = self._clock.now()
        for kept in _list_all(tx):
            if kept.expires_at <= now:
                _forget(tx, kept)

    def save_in(self, tx: Tx) -> None:
        """Keep when snapshots were last used. Called by the writer."""
        used, self._used = self._used, {}
        for id_, at in used.items():
            kept = _find(tx, id_)
            if kept is not None:  # Another process may have deleted it.
                _put(tx, replace(kept, last_used_at=max(at, kept.last_used_at)))

    def _current(self, kept: Kept) -> Kept:
        return replace(kept, last_used_at=max(kept.last_used_at, self._used.get(kept.id, 0)))

    def _get_to_change(self, tx: Tx, id_: str, caller: Caller) -> Kept:
        kept = self.get(tx, id_, caller)
        if not _may_change(caller, kept):
            raise NgsiLdError(f"there is no snapshot {id_[:200]} of yours", "", RESOURCE_NOT_FOUND)
        return kept

    # ── beside the requests ─────────────────────────────────────────────────

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it in the event loop while the request is answered already."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait for what is under way: for tests."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _notify(self, kept: Kept) -> None:
        """Tell its endpoint, once. How it went is only logged: who wants to know for sure asks the snapshot."""
        endpoint = kept.document.get("endpoint")
        if endpoint is None or self._http is None:
            return
        id_ = f"urn:ngsi-ld:SnapshotNotification:{self._new_id()}"
        body = msgspec.json.encode(render_snapshot_notification(id_, kept, self._clock.now()))
        headers = {pair["key"]: pair["value"] for pair in kept.document.get("receiverInfo", ())}
        headers["Content-Type"] = "application/json"
        try:
            await self._http.ask("POST", endpoint, headers, body, timeout_s=NOTIFY_S, bytes_max=ANSWER_BYTES_MAX)
        except HttpFailed as error:
            logger.info("snapshot %s: its endpoint was not told: %s", kept.id, error)


def parts_of(rows: Sequence[Frozen]) -> list[list[Frozen]]:
    """Entities in parts that are short to write. A long evolution is cut; `Snapshots.frozen` joins it again."""
    parts: list[list[Frozen]] = [[]]
    room = PART_INSTANCES
    for row in rows:
        instances = row.instances or []
        pieces = [instances[at : at + PART_INSTANCES] for at in range(0, len(instances), PART_INSTANCES)] or [instances]
        for piece in pieces:
            if len(parts[-1]) >= PART_ENTITIES or len(piece) > room:
                parts.append([])
                room = PART_INSTANCES
            parts[-1].append(row if row.instances is None else replace(row, instances=piece))
            room -= len(piece)
    return [part for part in parts if part]


def _joined(rows: Sequence[Frozen]) -> list[Frozen]:
    found: dict[str, Frozen] = {}
    for row in rows:
        known = found.get(row.entity.id)
        if known is not None and known.instances is not None and row.instances is not None:
            row = replace(known, instances=known.instances + row.instances)
        found[row.entity.id] = row
    return list(found.values())


def _may_change(caller: Caller, kept: Kept) -> bool:
    return kept.owner == caller.principal or (caller.party is None and caller.may(ENTITY_WRITE))


def _find(read: Read, id_: str) -> Kept | None:
    document = read.find_document(_HEAD, id_)
    return None if document is None else msgspec.json.decode(document, type=Kept)


def _same(read: Read, made: Kept) -> Kept | None:
    """The snapshot as it is now; None when it is gone, also when another one has its id now."""
    kept = _find(read, made.id)
    return kept if kept is not None and kept.created_at == made.created_at else None


def _list_all(read: Read) -> list[Kept]:
    return [msgspec.json.decode(document, type=Kept) for _, document in read.list_documents(_HEAD)]


def _put(tx: Tx, kept: Kept) -> None:
    tx.put_document(_HEAD, kept.id, msgspec.json.encode(kept))


def _part_id(id_: str, number: int) -> str:
    return f"{id_}/{number:05}"


def _forget(tx: Tx, kept: Kept) -> None:
    for number in range(kept.parts):
        tx.put_document(_PART, _part_id(kept.id, number), None)
    tx.put_document(_HEAD, kept.id, None)
