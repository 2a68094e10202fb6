"""Ingest: payloads become readings, state, history and log in one durable commit; then they are acknowledged.

Decoding happens in the thread that submits (one at a time), storing in the store's writer. Nothing is acknowledged that is
not stored, and what cannot be understood is stored too: in quarantine, raw, with its reason.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from hashlib import blake2b

from madang.hub.messages import ACCEPTED, DUPLICATE, REJECTED, Message, Outcome
from madang.hub.ports import Clock, Store, Tx
from madang.hub.sources import SourceNotFound, Sources
from madang.model.entity import Decoded
from madang.wire.source import Source

IN_FLIGHT_MAX = 20_000
"""Messages handed to the store and not yet durable. Beyond it the hub accepts no more until the store has caught up."""
QUARANTINE_PAYLOAD_MAX = 64 * 1024
"""Bytes of a payload that quarantine keeps; a longer one is cut, and its reason says so."""

_ACCEPTED = Outcome(ACCEPTED)
_DUPLICATE = Outcome(DUPLICATE)


class Overloaded(Exception):
    """Consumers of the log lag, or the store cannot keep up: send again in a moment. Nothing was taken."""


class Ingest:
    """See the module's docstring; implements `madang.hub.messages.IngestPort`. `lag` gives how far detectors are behind."""

    def __init__(self, store: Store, clock: Clock, sources: Sources, lag: Callable[[], int], lag_max: int) -> None:
        self._store = store
        self._clock = clock
        self._sources = sources
        self._lag = lag
        self._lag_max = lag_max
        self._decode_lock = threading.Lock()
        self._count_lock = threading.Lock()
        self._in_flight = 0
        self.messages = 0
        self.readings = 0

    def authenticate_source(self, source_id: str, secret: str) -> Source | None:
        """See `IngestPort`."""
        return self._sources.authenticate(source_id, secret)

    def find_source(self, source_id: str) -> Source | None:
        """See `IngestPort`."""
        try:
            return self._sources.get(source_id)
        except SourceNotFound:
            return None

    def accepting(self) -> bool:
        """See `IngestPort`."""
        return self._in_flight < IN_FLIGHT_MAX and self._lag() < self._lag_max

    def in_flight(self) -> int:
        """Messages submitted and not yet durable."""
        return self._in_flight

    def submit(self, source_id: str, messages: Sequence[Message]) -> "Future[list[Outcome]]":
        """See `IngestPort`. Raises SourceNotFound for an unknown source (the caller's mistake: it authenticates first)."""
        live = self._sources.live(source_id)
        decode = live.compiled.decode
        with self._decode_lock:
            decoded = [decode(m.topic, m.payload, m.received_at) for m in messages]
        count = len(messages)
        with self._count_lock:
            self._in_flight += count
        stored = [0]
        try:
            future = self._store.write(lambda tx: self._store_in(tx, source_id, messages, decoded, stored), bulk=True)
        except BaseException:
            with self._count_lock:
                self._in_flight -= count
            raise
        future.add_done_callback(lambda done: self._settled(source_id, count, stored, done))
        return future

    def _settled(self, source_id: str, count: int, stored: list[int], future: "Future[list[Outcome]]") -> None:
        with self._count_lock:
            self._in_flight -= count
        if future.cancelled() or future.exception() is not None:
            return
        self.messages += count
        self.readings += stored[0]
        statuses = [outcome.status for outcome in future.result()]
        self._sources.count(
            source_id,
            statuses.count(ACCEPTED),
            statuses.count(DUPLICATE),
            statuses.count(REJECTED),
            self._clock.now(),
        )

    def _store_in(
        self, tx: Tx, source_id: str, messages: Sequence[Message], decoded: Sequence[Decoded], stored: list[int]
    ) -> list[Outcome]:
        """The op: remember identities, append what is new, quarantine what was not understood. `stored[0]`: number of readings,
        set and not added to, because an op may run again."""
        stored[0] = 0
        keys: list[bytes] = []
        per_message: list[tuple[bytes | None, ...]] = []
        for message, one in zip(messages, decoded, strict=True):
            mine: tuple[bytes | None, ...] = one.keys
            if message.idempotency_key is not None:
                mine = tuple(
                    key or _key_of_request(source_id, message.idempotency_key, n) for n, key in enumerate(mine)
                )
            per_message.append(mine)
            keys.extend(key for key in mine if key is not None)
        fresh = iter(tx.remember_messages(keys)) if keys else iter(())
        outcomes: list[Outcome] = []
        append = tx.append_reading
        for message, one, mine in zip(messages, decoded, per_message, strict=True):
            new = 0
            for reading, key in zip(one.readings, mine, strict=True):
                if key is None or next(fresh):
                    append(reading, source_id, message.received_at)
                    new += 1
            stored[0] += new
            if one.rejects and not (one.readings and not new):
                # A repeat of a message that was stored is not quarantined again.
                self._quarantine(tx, source_id, message, one)
            if not one.rejects:
                outcomes.append(_ACCEPTED if new else _DUPLICATE)
            else:
                first = one.rejects[0]
                status = ACCEPTED if new else (DUPLICATE if one.readings else REJECTED)
                outcomes.append(Outcome(status, first.code, first.detail))
        return outcomes

    def _quarantine(self, tx: Tx, source_id: str, message: Message, decoded: Decoded) -> None:
        first = decoded.rejects[0]
        detail = "; ".join(reject.detail for reject in decoded.rejects)
        payload = message.payload
        if len(payload) > QUARANTINE_PAYLOAD_MAX:
            detail = f"[{len(payload):,} bytes, the first {QUARANTINE_PAYLOAD_MAX:,} are kept] {detail}"
            payload = payload[:QUARANTINE_PAYLOAD_MAX]
        tx.put_quarantine(source_id, message.received_at, first.code, detail[:4_000], message.topic, payload)

    # --- quarantine ---

    def replay(self, row_id: int) -> "Future[Outcome]":
        """Decode a quarantined payload with the mapping as it is now. Understood: it is stored and leaves quarantine, in one commit.

        Raises LookupError when the row is not there. The outcome says what became of it.
        """
        with self._store.read() as read:
            rows = read.list_quarantine(None, 1, row_id + 1)
        if not rows or rows[0].id != row_id:
            raise LookupError(f"no quarantined payload {row_id}")
        row = rows[0]
        compiled = self._sources.live(row.source).compiled
        with self._decode_lock:
            decoded = compiled.decode(row.topic, row.payload, row.received_at)
        message = Message(row.payload, row.topic, row.received_at)

        def op(tx: Tx) -> Outcome:
            clean = Decoded(decoded.readings, (), decoded.keys)
            if not decoded.readings:
                first = decoded.rejects[0]
                return Outcome(REJECTED, first.code, first.detail)
            (outcome,) = self._store_in(tx, row.source, [message], [clean], [0])
            if not decoded.rejects:
                tx.delete_quarantine(row_id)
                return outcome
            return Outcome(outcome.status, decoded.rejects[0].code, decoded.rejects[0].detail)

        return self._store.write(op)


def _key_of_request(source_id: str, idempotency_key: str, index: int) -> bytes:
    """Identity of a reading that has none of its own, from the sender's name for the request."""
    text = f"r\0{source_id}\0{idempotency_key}\0{index}".encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=16).digest()
