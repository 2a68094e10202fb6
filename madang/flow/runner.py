"""The keyed runner: it owns keys, timers, order, limits and snapshots; a detector owns none of them.

Pure: it is handed changes in log order and a function that loads stored states; it gathers outputs until the hub has committed them
together with the states that changed and the log position (`take` then `committed`). A crash in between loses nothing: the same changes are
processed again from the committed states.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from madang.flow.contract import Detector, Emit, OlderFormat, Step
from madang.flow.memory_ref import MemoryRef
from madang.model.change import DELETION, RECORD, REFERENCE, Change
from madang.model.entity import Entity
from madang.model.finding import Finding
from madang.model.time import Instant

STATES_MAX = 50_000
"""States of one detector kept in memory (some 3 KB each). Those used longest ago are let go after they were committed, and loaded again
when their key moves: a flood of new keys costs time, not memory."""
EMITS_PER_STEP_MAX = 64
"""A detector that emits more at once is broken; its key is paused."""
PARAMETER_TYPE = "Parameter"
"""Entity type of the limits that the city may set: reference entities ``urn:ngsi-ld:Parameter:<name>`` with a `value`."""

StateLoader = Callable[[str, Sequence[str]], dict[str, bytes]]
"""(detector id, keys) -> documents of those that are stored."""


class Output(Struct, frozen=True):
    """One thing that a detector gave. (detector, key, seq, ordinal) is its identity."""

    detector: str
    key: str
    seq: int
    """Sequence of the change, or of the row whose log time woke the key."""
    ordinal: int
    finding: Finding | None = None
    emit: Emit | None = None

    @property
    def id(self) -> str:
        """The identity as text."""
        return f"{self.detector}/{self.key}/{self.seq}/{self.ordinal}"


class Paused(Struct, frozen=True):
    """A key whose detector raised: it stands still and its log range is kept for replay; the other keys go on."""

    detector: str
    key: str
    from_seq: int
    """Its state is as of the change before this one; replay begins here."""
    error: str


class Restarted(Struct, frozen=True):
    """A key whose stored state was of an older format: it went on from its first state."""

    detector: str
    key: str
    reason: str


class Snapshot(Struct, frozen=True):
    """What the hub commits in one transaction."""

    seq: int
    """Log position: everything up to and including it is in `states` and `outputs`."""
    states: list[tuple[str, str, bytes | None, Instant | None]]
    """(detector, key, document, wake_at) of the states that changed since the last commit; document None: forgotten."""
    outputs: list[Output]
    paused: list[Paused]
    """Keys newly paused since the last commit."""
    restarted: list[Restarted] = []
    """Keys started anew since the last commit."""


class _Lane:
    """One detector with its states."""

    __slots__ = ("detector", "dirty", "paused", "states", "wakes")

    def __init__(self, detector: Detector[Any]) -> None:
        self.detector = detector
        self.states: OrderedDict[str, Any] = OrderedDict()
        self.dirty: dict[str, None] = {}
        self.wakes: dict[str, Instant] = {}
        self.paused: dict[str, Paused] = {}


class Runner:
    """Runs detectors over changes. Not thread-safe: one thread owns it.

    Order of calls: construct with the look-ups and wakes as of `seq`; `advance` every later change once, in order; from time
    to time `take` a
    snapshot, commit it, and say `committed`. When the commit fails, call nothing: the next `take` holds the same and more.
    """

    def __init__(
        self,
        detectors: Sequence[Detector[Any]],
        ref: MemoryRef,
        load_states: StateLoader,
        *,
        seq: int = 0,
        wakes: Sequence[tuple[Instant, str, str]] = (),
        paused: Sequence[Paused] = (),
    ) -> None:
        self.seq = seq
        self.ref = ref
        self._load_states = load_states
        self._lanes = {d.id: _Lane(d) for d in detectors}
        if len(self._lanes) != len(detectors):
            raise ValueError("two detectors have the same id")
        self._by_input: dict[str, list[_Lane]] = {}
        for lane in self._lanes.values():
            for type_ in sorted(lane.detector.inputs):
                self._by_input.setdefault(type_, []).append(lane)
        self._heap: list[tuple[Instant, str, str]] = []
        for wake_at, detector, key in wakes:
            lane_or_none = self._lanes.get(detector)
            if lane_or_none is not None:
                lane_or_none.wakes[key] = wake_at
                self._heap.append((wake_at, detector, key))
        heapq.heapify(self._heap)
        for pause in paused:
            if pause.detector in self._lanes:
                self._lanes[pause.detector].paused[pause.key] = pause
        self._outputs: list[Output] = []
        self._new_paused: list[Paused] = []
        self._restarted: list[Restarted] = []
        self._committed_seq = seq
        self.steps = 0
        """Steps and ticks so far."""

    # --- running ---

    def advance(self, change: Change) -> None:
        """Process the next change: first the timers that its log time reached, then the change itself."""
        self.seq = change.seq
        heap = self._heap
        if heap and heap[0][0] <= change.recorded_at:
            self._fire(change.recorded_at, change.seq)
        kind = change.kind
        if kind in (REFERENCE, RECORD, DELETION):
            self._update_ref(change)
        lanes = self._by_input.get(change.entity_type)
        if lanes is None or kind == DELETION:
            return
        for lane in lanes:
            try:
                keys = lane.detector.keys(change, self.ref)
            except Exception as error:  # noqa: BLE001 - a detector's mistake must not stop the others: its entity's key is paused
                self._pause(lane, change.entity_id, change.seq, error)
                continue
            for key in keys:
                if key in lane.paused:
                    continue
                try:
                    step = lane.detector.step(self._state(lane, key), change, self.ref)
                    self._apply(lane, key, step, change.seq)
                except Exception as error:  # noqa: BLE001 - as above, the other keys go on
                    self._pause(lane, key, change.seq, error)

    def _fire(self, now: Instant, seq: int) -> None:
        heap = self._heap
        while heap and heap[0][0] <= now:
            wake_at, detector, key = heapq.heappop(heap)
            lane = self._lanes[detector]
            if lane.wakes.get(key) != wake_at or key in lane.paused:
                continue  # it was set anew or cancelled since
            del lane.wakes[key]
            try:
                step = lane.detector.tick(self._state(lane, key), now, self.ref)
                self._apply(lane, key, step, seq)
            except Exception as error:  # noqa: BLE001 - as in advance, the other keys go on
                self._pause(lane, key, seq, error)

    def _state(self, lane: _Lane, key: str) -> Any:
        state = lane.states.get(key)
        if state is not None:
            lane.states.move_to_end(key)
            return state
        stored = self._load_states(lane.detector.id, (key,)).get(key) if key not in lane.dirty else None
        if stored is None:
            return lane.detector.initial(key)
        try:
            return lane.detector.decode(stored)
        except OlderFormat as error:
            self._restarted.append(Restarted(lane.detector.id, key, str(error)))
            return lane.detector.initial(key)

    def _apply(self, lane: _Lane, key: str, step: Step, seq: int) -> None:
        if len(step.emits) + len(step.findings) > EMITS_PER_STEP_MAX:
            raise ValueError(
                f"{len(step.emits) + len(step.findings)} outputs in one step (at most {EMITS_PER_STEP_MAX})"
            )
        self.steps += 1
        lane.dirty[key] = None
        if step.state is None:
            lane.states.pop(key, None)
        else:
            lane.states[key] = step.state
        if step.wake_at is None or step.state is None:
            lane.wakes.pop(key, None)
        elif lane.wakes.get(key) != step.wake_at:
            lane.wakes[key] = step.wake_at
            heapq.heappush(self._heap, (step.wake_at, lane.detector.id, key))
        ordinal = 0
        for emit in step.emits:
            self._outputs.append(Output(lane.detector.id, key, seq, ordinal, emit=emit))
            ordinal += 1
        for finding in step.findings:
            self._outputs.append(Output(lane.detector.id, key, seq, ordinal, finding=finding))
            ordinal += 1

    def _pause(self, lane: _Lane, key: str, seq: int, error: Exception) -> None:
        # The state may be half changed: go back to the committed one, and keep the log from there on.
        pause = Paused(
            lane.detector.id, key, min(seq, self._committed_seq + 1), f"{type(error).__name__}: {error}"[:500]
        )
        lane.paused[key] = pause
        lane.wakes.pop(key, None)
        lane.states.pop(key, None)
        lane.dirty.pop(key, None)
        self._new_paused.append(pause)

    def _update_ref(self, change: Change) -> None:
        if change.kind == DELETION:
            self.ref.delete(change.entity_id)
        elif change.kind == RECORD:
            if change.record is not None:
                self.ref.put_record(change.record)
        elif change.entity_type == PARAMETER_TYPE:
            self.ref.set_parameter(change.entity_id.rpartition(":")[2], change.value("value"))
        else:
            at = change.recorded_at
            self.ref.put_entity(
                Entity(change.entity_id, change.entity_type, change.attributes, at, at, change.observed_at, change.seq)
            )

    # --- committing ---

    def next_wake(self) -> Instant | None:
        """The earliest log time that some key waits for (it may have been cancelled since: firing it then does nothing)."""
        return self._heap[0][0] if self._heap else None

    def has_outputs(self) -> bool:
        """Is there something that others wait for?"""
        return bool(self._outputs)

    def take(self) -> Snapshot:
        """Everything since the last `committed`, as values that stay as they are."""
        states: list[tuple[str, str, bytes | None, Instant | None]] = []
        for lane in self._lanes.values():
            encode = lane.detector.encode
            for key in lane.dirty:
                state = lane.states.get(key)
                document = None if state is None else encode(state)
                states.append((lane.detector.id, key, document, lane.wakes.get(key)))
        return Snapshot(self.seq, states, list(self._outputs), list(self._new_paused), list(self._restarted))

    def committed(self, snapshot: Snapshot) -> None:
        """The snapshot is durable. Call it before the next `advance`."""
        self._committed_seq = snapshot.seq
        del self._outputs[: len(snapshot.outputs)]
        del self._new_paused[: len(snapshot.paused)]
        del self._restarted[: len(snapshot.restarted)]
        for lane in self._lanes.values():
            lane.dirty.clear()
            while len(lane.states) > STATES_MAX:
                lane.states.popitem(last=False)

    def list_paused(self) -> list[Paused]:
        """Keys that stand still."""
        return [pause for lane in self._lanes.values() for pause in lane.paused.values()]

    def unpause(self, detector: str, key: str, states: Sequence[tuple[str, str, bytes | None, Instant | None]]) -> None:
        """A paused key was replayed and its state committed: go on from it."""
        lane = self._lanes[detector]
        lane.paused.pop(key, None)
        lane.states.pop(key, None)
        lane.dirty.pop(key, None)
        for _, _, _, wake_at in states:
            if wake_at is not None:
                lane.wakes[key] = wake_at
                heapq.heappush(self._heap, (wake_at, detector, key))

    def figures(self) -> dict[str, float]:
        """For metrics."""
        return {
            "steps": float(self.steps),
            "keys_in_memory": float(sum(len(lane.states) for lane in self._lanes.values())),
            "paused": float(sum(len(lane.paused) for lane in self._lanes.values())),
            "sleeping": float(sum(len(lane.wakes) for lane in self._lanes.values())),
        }
