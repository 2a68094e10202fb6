"""Sources: who may send, how each is doing, and when one falls silent.

A source is a document of kind ``source`` (`madang.wire.source.Source`). Its decoder is compiled once and knows the devices
that the store knows.
"""

import threading
from collections import deque
from collections.abc import Callable

import msgspec
from msgspec import Struct

from madang.hub.ports import Clock, Read, Store, Tx
from madang.model.time import MINUTE, SECOND, Instant
from madang.wire.mapping import CompiledMapping
from madang.wire.source import Source, encode_source, secret_matches, with_secret

KIND = "source"
STATUS_KIND = "source.status"
SECRET_BYTES = 32
"""Random bytes of a source's secret: too many to guess, so that a plain hash is enough to keep."""
RATE_WINDOW = 5 * MINUTE


class SourceStatus(Struct):
    """Counters since the source was made, kept over restarts (to the last ten seconds or so)."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    last_message_at: Instant | None = None


class SourceNotFound(LookupError):
    """No source of that id."""


class _Live:
    """A source in use."""

    __slots__ = ("buckets", "compiled", "saved", "source", "status")

    def __init__(self, source: Source, compiled: CompiledMapping, status: SourceStatus) -> None:
        self.source = source
        self.compiled = compiled
        self.status = status
        self.saved = (status.accepted, status.duplicates, status.rejected)
        self.buckets: deque[tuple[int, int]] = deque(maxlen=64)
        """(ten-second bucket, messages)."""


class Sources:
    """See the module's docstring. Thread-safe where it says so; decoders are used by one thread at a time (ingest's lock)."""

    def __init__(self, store: Store, clock: Clock, random_hex: Callable[[int], str]) -> None:
        """`random_hex` is `secrets.token_hex`."""
        self._store = store
        self._clock = clock
        self._random_hex = random_hex
        self._lock = threading.Lock()
        self._live: dict[str, _Live] = {}
        self._cadences, self._floor = 0.0, 0
        with store.read() as read:
            for id_, body in read.list_documents(KIND):
                self._live[id_] = _compile(read, msgspec.json.decode(body, type=Source))

    def put(self, source: Source) -> str:
        """Create or change a source; gives its new secret when it had none. Blocks until it is durable.

        Raises ValueError when the source is faulty; the text says what to mend.
        """
        secret = ""
        known = self._live.get(source.id)
        if not source.secret_sha256 and known is not None:
            source = msgspec.structs.replace(source, secret_sha256=known.source.secret_sha256)
        if not source.secret_sha256:
            secret = self._random_hex(SECRET_BYTES)
            source = with_secret(source, secret)
        self._write(source, always=True)
        return secret

    def add(self, source: Source) -> str | None:
        """Create a source unless there is one with that id, also one that another process makes at this moment; gives its new secret (empty
        when it brought one), or None. Otherwise as `put`."""
        if source.id in self._live:
            return None
        secret = ""
        if not source.secret_sha256:
            secret = self._random_hex(SECRET_BYTES)
            source = with_secret(source, secret)
        return secret if self._write(source, always=False) else None

    def _write(self, source: Source, *, always: bool) -> bool:
        """Write it, or only when there is none; True when it was written."""
        with self._store.read() as read:
            live = _compile(read, source)
        body = encode_source(source)

        def op(tx: Tx) -> bool:
            if not always and tx.find_document(KIND, source.id) is not None:
                return False
            tx.put_document(KIND, source.id, body)
            return True

        if not self._store.write(op).result():
            self.reload()
            return False
        with self._lock:
            self._live[source.id] = live
        return True

    def new_secret(self, source_id: str) -> str:
        """Give a source another secret; the old one ends at once. Raises SourceNotFound."""
        secret = self._random_hex(SECRET_BYTES)
        self.put(with_secret(self.get(source_id), secret))
        return secret

    def reload(self) -> None:
        """Take in what other processes on the same store have changed."""
        with self._store.read() as read:
            for id_, body in read.list_documents(KIND):
                known = self._live.get(id_)
                if known is None or encode_source(known.source) != body:
                    live = _compile(read, msgspec.json.decode(body, type=Source))
                    with self._lock:
                        self._live[id_] = live

    def get(self, source_id: str) -> Source:
        """The source. Raises SourceNotFound."""
        return self.live(source_id).source

    def live(self, source_id: str) -> _Live:
        """The source in use: decoder and counters. Raises SourceNotFound."""
        live = self._live.get(source_id)
        if live is None:
            raise SourceNotFound(f"no source {source_id!r}; known: {', '.join(sorted(self._live)) or 'none'}")
        return live

    def list(self) -> list[Source]:
        """All sources, by id."""
        return [self._live[id_].source for id_ in sorted(self._live)]

    def authenticate(self, source_id: str, secret: str) -> Source | None:
        """The source when it is enabled and the secret is its own, else None. Any thread."""
        live = self._live.get(source_id)
        if live is None or not live.source.enabled or not secret_matches(live.source, secret):
            return None
        return live.source

    # --- how it is doing ---

    def count(self, source_id: str, accepted: int, duplicates: int, rejected: int, at: Instant) -> None:
        """Add to a source's counters, after the commit."""
        live = self._live.get(source_id)
        if live is None:
            return
        status = live.status
        status.accepted += accepted
        status.duplicates += duplicates
        status.rejected += rejected
        status.last_message_at = max(at, status.last_message_at or 0)
        bucket = at // (10 * SECOND)
        if live.buckets and live.buckets[-1][0] == bucket:
            live.buckets[-1] = (bucket, live.buckets[-1][1] + accepted + duplicates + rejected)
        else:
            live.buckets.append((bucket, accepted + duplicates + rejected))

    def status(self, source_id: str) -> SourceStatus:
        """Counters. Raises SourceNotFound."""
        return self.live(source_id).status

    def set_patience(self, cadences: float, floor_s: float) -> None:
        """A source is silent after so many of its cadences, and not before `floor_s`."""
        self._cadences, self._floor = cadences, int(floor_s * SECOND)

    def patience(self, source: Source) -> Instant:
        """How long a source may say nothing before it is silent."""
        return max(int(self._cadences * source.cadence_s * SECOND), self._floor)

    def state(self, source_id: str) -> str:
        """``ok``, ``silent``, ``never`` (no message yet) or ``disabled``."""
        live = self.live(source_id)
        if not live.source.enabled:
            return "disabled"
        last = live.status.last_message_at
        if last is None:
            return "never"
        return "silent" if self._clock.now() - last > self.patience(live.source) else "ok"

    def rate_per_min(self, source_id: str) -> float:
        """Messages a minute, over the last five."""
        now = self._clock.now()
        first = (now - RATE_WINDOW) // (10 * SECOND)
        total = sum(n for bucket, n in list(self.live(source_id).buckets) if bucket > first)
        return total / (RATE_WINDOW / MINUTE)

    def devices(self, source_id: str) -> int:
        """Number of devices that the source has announced."""
        return self.live(source_id).compiled.devices

    def save_in(self, tx: Tx) -> None:
        """Keep the counters that changed, and take in what other processes counted (called now and then by the ticker)."""
        for id_, live in list(self._live.items()):
            status = live.status
            kept = _kept(tx, id_)
            others = (
                kept.accepted - live.saved[0],
                kept.duplicates - live.saved[1],
                kept.rejected - live.saved[2],
            )
            changed = (status.accepted, status.duplicates, status.rejected) != live.saved
            if any(others):
                status.accepted += others[0]
                status.duplicates += others[1]
                status.rejected += others[2]
                status.last_message_at = max(status.last_message_at or 0, kept.last_message_at or 0) or None
            if changed:
                tx.put_document(STATUS_KIND, id_, msgspec.json.encode(status))
            live.saved = (status.accepted, status.duplicates, status.rejected)


def _compile(read: Read, source: Source) -> _Live:
    """The decoder with the devices that the store knows, and the kept counters."""
    before, after = source.mapping.id.split("{device}")
    devices = [
        id_[len(before) : len(id_) - len(after)]
        for id_ in read.list_ids(source.mapping.entity_type)
        if id_.startswith(before) and id_.endswith(after) and len(id_) > len(before) + len(after)
    ]
    return _Live(source, CompiledMapping(source, devices), _kept(read, source.id))


def _kept(read: Read, source_id: str) -> SourceStatus:
    """The counters as they were kept last."""
    kept = read.find_document(STATUS_KIND, source_id)
    return SourceStatus() if kept is None else msgspec.json.decode(kept, type=SourceStatus)
