"""Runs the detectors on the change log: a consumer with a cursor that commits with its own result.

`FlowHost` reads committed changes (from memory while it keeps up, from the log when it does not), advances the pure runner,
and commits what came
out: states, cursor, emitted observations and findings in one transaction. After a crash the same changes are read again from the
committed cursor, so a finding is neither missed nor doubled.

The host has no thread of its own: `run_once` does one round, so that evaluation and tests drive it step by step; `madang.hub.threads` runs
it for a server.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec

from madang.flow.contract import Detector
from madang.flow.memory_ref import MemoryRef
from madang.flow.runner import PARAMETER_TYPE, Output, Paused, Runner, Snapshot
from madang.hub.ports import Read, Store, StoreError, Tx
from madang.model.change import Change
from madang.model.entity import Reading
from madang.model.finding import Finding

logger = logging.getLogger(__name__)

CONSUMER = "flow"
"""Name of this consumer's cursor."""
PAUSED_KIND = "flow.paused"
"""Documents of paused keys."""
PENDING_MAX = 100_000
"""Committed changes that wait in memory; beyond it the rest is read from the log."""
ROUND_CHANGES_MAX = 2_000
"""Changes of one round: bounds how long the first waits for the commit."""
SNAPSHOT_EVERY_S = 0.5
"""States are committed this often while there is no output: a crash repeats at most this much work."""
OUTPUT_EVERY_S = 0.05
"""Under load, findings wait at most about this long for others to share their commit."""
LAG_MAX = 50_000
"""Changes that detectors may be behind before ingest slows its senders."""


class Overtaken(Exception):
    """The cursor is not where this process left it: another one has gone on. Nothing of the round was committed."""


FindingSink = Callable[[Tx, Finding, str, int], object]
"""(tx, finding, finding id, seq): opens or joins an incident inside the transaction."""


class FlowHost:
    """See the module's docstring. `lookups` types and parameters are kept as of the runner's place in the log."""

    def __init__(
        self,
        store: Store,
        detectors: Sequence[Detector[Any]],
        parameters: dict[str, Any],
        on_finding: FindingSink,
        *,
        perf: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._store = store
        self._detectors = tuple(detectors)
        self._parameters = parameters
        self._on_finding = on_finding
        self._perf = perf
        self._wake = threading.Condition()
        self._pending: deque[Sequence[Change]] = deque()
        self._pending_count = 0
        self._behind = True
        """True: read from the log, because memory does not hold everything after the runner's place."""
        self._last_commit = perf()
        self._standing_by = False
        self._round: ExitStack | None = None
        self._snapshot: Read | None = None
        """What states of this round are read from."""
        self._cursor = 0
        """The committed cursor, as far as this process knows."""
        self.runner = self._restore()
        self.findings = 0
        self.emits = 0
        self._end = store.subscribe(self._on_commit)

    # --- starting ---

    def _restore(self) -> Runner:
        with self._store.read() as read:
            seq = self._cursor = read.find_cursor(CONSUMER)
            ref = self.build_ref(read, seq)
            paused = [msgspec.json.decode(body, type=Paused) for _, body in read.list_documents(PAUSED_KIND)]
            wakes = read.list_wakes()
        return Runner(self._detectors, ref, self._load_states, seq=seq, wakes=wakes, paused=paused)

    def build_ref(self, read: Read, seq: int) -> MemoryRef:
        """The look-ups of all detectors as of a place in the log."""
        lookups = [lookup for detector in self._detectors for lookup in detector.lookups]
        ref = MemoryRef(lookups, dict(self._parameters))
        types = sorted({lookup.type for lookup in lookups} | {PARAMETER_TYPE})
        for entity in read.list_reference_versions(types, seq):
            if entity.type == PARAMETER_TYPE:
                ref.set_parameter(entity.id.rpartition(":")[2], entity.attributes["value"]["value"])
            else:
                ref.put_entity(entity)
        for record in read.list_record_versions_at(types, seq):
            ref.put_record(record)
        return ref

    # --- one of several processes ---

    def stand_by(self) -> None:
        """Another process runs the detectors: only know how far they are. Called again and again while it is so."""
        with self._wake:
            self._behind = True
            self._pending.clear()
            self._pending_count = 0
        self._standing_by = True
        with self._store.read() as read:
            self._cursor = read.find_cursor(CONSUMER)

    def take_over(self) -> None:
        """This process runs the detectors from now on, from what is committed."""
        if not self._standing_by:
            return
        self.runner = self._restore()
        self._committed_seq = -1
        self._standing_by = False

    def _load_states(self, detector: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Stored states; within a round all from one snapshot, which holds what earlier rounds committed."""
        if self._round is not None:
            if self._snapshot is None:
                self._snapshot = self._round.enter_context(self._store.read())
            return self._snapshot.find_states(detector, keys)
        with self._store.read() as read:
            return read.find_states(detector, keys)

    # --- following the log ---

    def _on_commit(self, changes: Sequence[Change]) -> None:
        """Called by the store's writer: keep the changes, or note that the log must be read."""
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

    def _next_changes(self) -> Sequence[Change]:
        """The next changes after the runner's place, in order; empty when it is at the end."""
        with self._wake:
            behind = self._behind
            if not behind:
                if not self._pending:
                    return ()
                changes = self._pending.popleft()
                self._pending_count -= len(changes)
                if changes[-1].seq <= self.runner.seq:
                    return ()
                if changes[0].seq <= self.runner.seq:
                    changes = [c for c in changes if c.seq > self.runner.seq]
                return changes
        with self._store.read() as read:
            found = read.read_log(self.runner.seq, ROUND_CHANGES_MAX)
        if len(found) < ROUND_CHANGES_MAX:
            with self._wake:
                # Caught up with what the snapshot held. Commits since then are announced again from here on; the ones between the snapshot
                # and this line are read once more from the log: `behind` ends only when nothing was committed meanwhile.
                newest = found[-1].seq if found else self.runner.seq
                if self._store.last_seq() <= newest:
                    self._behind = False
        return found

    def wait(self, timeout_s: float) -> None:
        """Sleep until something was committed, or the time is over."""
        with self._wake:
            if not self._pending and not self._behind:
                self._wake.wait(timeout_s)

    def lag(self) -> int:
        """Changes committed and not yet processed."""
        return max(0, self._store.last_seq() - (self._cursor if self._standing_by else self.runner.seq))

    # --- one round ---

    def run_once(self, *, flush: bool = False) -> int:
        """Process what is there, commit when there is something to tell, when it is time, or when `flush`; gives the number of changes.

        Raises StoreError when the commit fails: nothing is lost, call it again later.
        """
        started = self._perf()
        count = 0
        runner = self.runner
        with self._one_snapshot():
            while count < ROUND_CHANGES_MAX:
                changes = self._next_changes()
                if not changes:
                    break
                for change in changes:
                    runner.advance(change)
                count += len(changes)
                if runner.has_outputs() and self._perf() - started > OUTPUT_EVERY_S:
                    break
        due = self._perf() - self._last_commit >= SNAPSHOT_EVERY_S
        if runner.has_outputs() or flush or (due and self._uncommitted()):
            self._commit()
        return count

    @contextmanager
    def _one_snapshot(self) -> Iterator[None]:
        """Within it all states are read from one snapshot, which is opened when the first is asked for: opening one for each key cost
        more than the detectors' steps."""
        with ExitStack() as stack:
            self._round = stack
            try:
                yield
            finally:
                self._round = self._snapshot = None

    def _uncommitted(self) -> bool:
        return self.runner.seq > self._committed_seq

    _committed_seq = -1

    def _commit(self) -> None:
        snapshot = self.runner.take()
        if snapshot.seq <= self._committed_seq and not snapshot.outputs and not snapshot.states:
            return
        future: Future[int] = self._store.write(lambda tx: self._write(tx, snapshot))
        self.findings += future.result()
        self.emits += sum(1 for output in snapshot.outputs if output.emit is not None)
        self.runner.committed(snapshot)
        self._committed_seq = self._cursor = snapshot.seq
        self._last_commit = self._perf()
        _say_restarted(snapshot)
        for pause in snapshot.paused:
            logger.error(
                "detector %s paused key %s from seq %d: %s", pause.detector, pause.key, pause.from_seq, pause.error
            )

    def _check_cursor(self, tx: Tx) -> None:
        found = tx.find_cursor(CONSUMER)
        if found != self._cursor:
            raise Overtaken(f"detectors were at {self._cursor} and are at {found}: another process runs them")

    def _write(self, tx: Tx, snapshot: Snapshot) -> int:
        """Commit a round; gives how many findings are new."""
        self._check_cursor(tx)
        tx.put_states(snapshot.states)
        tx.put_cursor(CONSUMER, snapshot.seq)
        for pause in snapshot.paused:
            tx.put_document(PAUSED_KIND, f"{pause.detector}/{pause.key}", msgspec.json.encode(pause))
        return sum([self._write_output(tx, output) for output in snapshot.outputs])

    def _write_output(self, tx: Tx, output: Output) -> bool:
        """True when it brings a finding that was not there."""
        if output.emit is not None:
            emit = output.emit
            reading = Reading(emit.entity_id, emit.entity_type, emit.observed_at, emit.attributes)
            tx.append_reading(reading, f"detector:{output.detector}", tx.now)
        if output.finding is not None and tx.put_finding(output.id, output.seq, msgspec.json.encode(output.finding)):
            self._on_finding(tx, output.finding, output.id, output.seq)
            return True
        return False

    def settle(self, rounds_max: int = 10_000) -> None:
        """Run until the log holds nothing new and everything is committed: emitted observations are changes too. For
        evaluation, replay and tests."""
        for _ in range(rounds_max):
            if self.run_once() == 0 and self.lag() == 0:
                self.run_once(flush=True)
                if self.lag() == 0:
                    return
        raise RuntimeError("detectors emit without end: one consumes what it emits itself")

    # --- paused keys ---

    def resume(self, detector_id: str, key: str) -> Paused | None:
        """Replay a paused key's log range with the detector as it is now. Gives None when it runs again, else the new reason.

        Call it from the thread that calls `run_once` (a restart does it for every paused key)."""
        pause = next((p for p in self.runner.list_paused() if p.detector == detector_id and p.key == key), None)
        detector = next((d for d in self._detectors if d.id == detector_id), None)
        if pause is None or detector is None:
            raise LookupError(f"no paused key {key!r} of detector {detector_id!r}")
        with self._store.read() as read:
            ref = self.build_ref(read, pause.from_seq - 1)
        single = Runner([OneKey(detector, key)], ref, self._load_states, seq=pause.from_seq - 1)
        while single.seq < self.runner.seq:
            with self._store.read() as read:
                changes = read.read_log(single.seq, ROUND_CHANGES_MAX)
            if not changes:
                break
            for change in changes:
                if change.seq <= self.runner.seq:
                    single.advance(change)
                else:
                    single.seq = self.runner.seq
                    break
        again = single.list_paused()
        if again:
            return again[0]
        snapshot = single.take()

        def write(tx: Tx) -> None:
            self._check_cursor(tx)
            tx.put_states(snapshot.states)
            tx.put_document(PAUSED_KIND, f"{detector_id}/{key}", None)
            for output in snapshot.outputs:
                self._write_output(tx, output)

        self._store.write(write).result()
        _say_restarted(snapshot)
        self.runner.unpause(detector_id, key, snapshot.states)
        return None

    def resume_all(self) -> list[Paused]:
        """Try every paused key again; gives those that stay paused."""
        return [again for p in self.runner.list_paused() if (again := self.resume(p.detector, p.key)) is not None]

    def close(self) -> None:
        """Commit what is processed and stop listening."""
        self._end()
        if self._standing_by:
            return
        try:
            self._commit()
        except (StoreError, Overtaken) as error:
            logger.warning(
                "detector states were not committed at the stop (%s): the log is read again at the start", error
            )

    def figures(self) -> dict[str, float]:
        """For metrics."""
        return {
            **self.runner.figures(),
            "lag": float(self.lag()),
            "findings": float(self.findings),
            "emits": float(self.emits),
        }


def _say_restarted(snapshot: Snapshot) -> None:
    for one in snapshot.restarted:
        logger.warning("detector %s starts key %s anew: %s", one.detector, one.key, one.reason)


class OneKey:
    """A detector that sees one key alone: for the replay of a paused key."""

    def __init__(self, detector: Detector[Any], key: str) -> None:
        self._detector = detector
        self._key = key

    def __getattr__(self, name: str) -> Any:
        return getattr(self._detector, name)

    def keys(self, change: Change, ref: Any) -> list[str]:
        """The key, when the change concerns it."""
        return [key for key in self._detector.keys(change, ref) if key == self._key]
