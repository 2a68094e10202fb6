"""Entity maps as the hub keeps them (ETSI GS CIM 009 clauses 5.5.9.3, 5.14): in the store, so that every process on it knows them and
a walk goes on after a restart. A map is its maker's: for anybody else it is not there.

A map is a head, and parts of `PART_ENTRIES` entries that keep their number for life, so that a page reads one part and taking entries
away writes one part anew. Docs: docs/adr (entity maps).
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from madang.hub.ports import Clock, Read, Store, Tx
from madang.model.time import Instant
from madang.ngsild.entity_map import LIFETIME_MAX, Entry
from madang.ngsild.errors import RESOURCE_NOT_FOUND, NgsiLdError

ENTRIES_MAX = 100_000
"""Entities of one map: some 7 MB. A query that finds more is asked to be narrower."""
MAPS_MAX = 100
"""Maps that one caller has at a time; the one that would expire first leaves for a new one."""
ALL_ENTRIES_MAX = 500_000
"""Entries of all maps of one caller together."""
PART_ENTRIES = 1_000
_HEAD, _PART = "entity-map", "entity-map-part"


class Part(Struct, frozen=True, array_like=True):
    """Some entries, in order."""

    number: int
    size: int


class EntityMap(Struct, frozen=True):
    """The head of a map."""

    id: str
    owner: str
    """The principal who made it."""
    created_at: Instant
    expires_at: Instant
    order: str
    """How its entries are ordered, as the request that made it said; empty: by id."""
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


class EntityMaps:
    """See the module's docstring. `clock` is the real one."""

    def __init__(self, store: Store, clock: Clock, new_id: Callable[[], str]) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id

    # ── reading ─────────────────────────────────────────────────────────────

    def find(self, read: Read, id_: str, owner: str) -> EntityMap | None:
        """The map; None when there is none, it has expired, or it is somebody else's."""
        document = read.find_document(_HEAD, id_)
        if document is None:
            return None
        found = msgspec.json.decode(document, type=EntityMap)
        return found if found.owner == owner and found.expires_at > self._clock.now() else None

    def get(self, read: Read, id_: str, owner: str) -> EntityMap:
        """The map. Raises NgsiLdError (ResourceNotFound)."""
        found = self.find(read, id_, owner)
        if found is None:
            raise NgsiLdError(f"there is no entity map {id_[:200]}, or it has expired", "", RESOURCE_NOT_FOUND)
        return found

    def entries(self, read: Read, known: EntityMap, start: int, count: int) -> list[tuple[int, Entry]]:
        """Entries `start` to `start + count` of those that are left, each with the number of its part. `known` must come from the same
        snapshot."""
        found: list[tuple[int, Entry]] = []
        for part in known.parts:
            if start >= part.size:
                start -= part.size
                continue
            for entry in _part(read, known.id, part.number)[start : start + count - len(found)]:
                found.append((part.number, entry))
            start = 0
            if len(found) >= count:
                break
        return found

    # ── writing ─────────────────────────────────────────────────────────────

    def create(self, owner: str, entries: Sequence[Entry], lifetime: Instant, order: str = "") -> "Future[EntityMap]":
        """Keep a map of at most `ENTRIES_MAX` entries for `lifetime` microseconds or less."""
        id_ = f"urn:ngsi-ld:EntityMap:{self._new_id()}"
        now = self._clock.now()
        chunks = [entries[at : at + PART_ENTRIES] for at in range(0, len(entries), PART_ENTRIES)]
        parts = tuple(Part(number, len(chunk)) for number, chunk in enumerate(chunks))
        made = EntityMap(id_, owner, now, now + min(lifetime, LIFETIME_MAX), order, parts)
        bodies = [msgspec.json.encode(chunk) for chunk in chunks]
        head = msgspec.json.encode(made)

        def op(tx: Tx) -> EntityMap:
            self._make_room(tx, owner, len(entries), now)
            for part, body in zip(parts, bodies, strict=True):
                tx.put_document(_PART, _part_id(id_, part.number), body)
            tx.put_document(_HEAD, id_, head)
            return made

        return self._store.write(op)

    def update(self, id_: str, owner: str, expires_at: Instant | None) -> "Future[None]":
        """Let it expire at another time, at the latest `LIFETIME_MAX` from now (clause 5.14.2). Raises NgsiLdError."""
        latest = self._clock.now() + LIFETIME_MAX

        def op(tx: Tx) -> None:
            known = self.get(tx, id_, owner)
            if expires_at is not None:
                tx.put_document(_HEAD, id_, msgspec.json.encode(replace(known, expires_at=min(expires_at, latest))))

        return self._store.write(op)

    def delete(self, id_: str, owner: str) -> "Future[None]":
        """Clause 5.14.3. Raises NgsiLdError (ResourceNotFound)."""

        def op(tx: Tx) -> None:
            _forget(tx, self.get(tx, id_, owner))

        return self._store.write(op)

    def prune(self, id_: str, owner: str, gone: Mapping[int, AbstractSet[str]]) -> "Future[None]":
        """Take entries away: ids by the number of their part (clause 5.5.9.3). A map that is gone meanwhile is left."""

        def op(tx: Tx) -> None:
            known = self.find(tx, id_, owner)
            if known is None:
                return
            parts = []
            for part in known.parts:
                if part.number in gone:
                    left = [entry for entry in _part(tx, id_, part.number) if entry.id not in gone[part.number]]
                    part = Part(part.number, len(left))
                    tx.put_document(_PART, _part_id(id_, part.number), msgspec.json.encode(left) if left else None)
                if part.size:
                    parts.append(part)
            tx.put_document(_HEAD, id_, msgspec.json.encode(replace(known, parts=tuple(parts))))

        return self._store.write(op)

    def forget_expired_in(self, tx: Tx) -> None:
        """Let go of what has expired. Called by the hub once a day; whoever makes a map does it too."""
        now = self._clock.now()
        for known in _list_heads(tx):
            if known.expires_at <= now:
                _forget(tx, known)

    def _make_room(self, tx: Tx, owner: str, entries: int, now: Instant) -> None:
        own = []
        for known in _list_heads(tx):
            if known.expires_at <= now:
                _forget(tx, known)
            elif known.owner == owner:
                own.append(known)
        own.sort(key=lambda known: known.expires_at)
        total = entries + sum(known.size for known in own)
        while own and (len(own) >= MAPS_MAX or total > ALL_ENTRIES_MAX):
            oldest = own.pop(0)
            total -= oldest.size
            _forget(tx, oldest)


def _list_heads(read: Read) -> list[EntityMap]:
    return [msgspec.json.decode(document, type=EntityMap) for _, document in read.list_documents(_HEAD)]


def _part(read: Read, id_: str, number: int) -> list[Entry]:
    document = read.find_document(_PART, _part_id(id_, number))
    return [] if document is None else msgspec.json.decode(document, type=list[Entry])


def _part_id(id_: str, number: int) -> str:
    return f"{id_}/{number:03}"


def _forget(tx: Tx, known: EntityMap) -> None:
    for part in known.parts:
        tx.put_document(_PART, _part_id(known.id, part.number), None)
    tx.put_document(_HEAD, known.id, None)
