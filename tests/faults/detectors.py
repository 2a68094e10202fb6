"""Two detectors whose output can be counted by hand: one emits a derived observation for each fall of the weight by a tonne or more,
the other makes a finding of every such observation. Together they go the whole way: log, emit, log again, finding, incident."""

import json
from collections.abc import Iterable
from typing import Any

from madang.flow.contract import Emit, Lookup, Ref, Step
from madang.model.change import READING, Change
from madang.model.entity import prop, rel
from madang.model.finding import HIGH, Finding, Reason
from madang.model.time import Instant, render_instant

FALL_KG = 1_000
FALL = "WeightFall"


class Falls:
    """Emits a WeightFall for every fall between two readings, in log order. Its state: the last weight, the number of falls."""

    id = "tests.falls"
    version = "1"
    inputs = frozenset({"Vehicle"})
    lookups: tuple[Lookup, ...] = ()

    def initial(self, key: str) -> tuple[str, float, int]:
        """No weight yet."""
        return key, 0.0, 0

    def keys(self, change: Change, ref: Ref) -> Iterable[str]:
        """One state per truck."""
        return (change.entity_id,) if change.kind == READING else ()

    def step(self, state: tuple[str, float, int], change: Change, ref: Ref) -> Step:
        """Compare with the last weight."""
        key, last, count = state
        weight = change.value("grossWeight")
        if weight is None or change.late:
            return Step(state)
        if last - weight < FALL_KG:
            return Step((key, weight, count))
        emit = Emit(
            f"urn:ngsi-ld:{FALL}:{key.rpartition(':')[2]}-{count + 1}",
            FALL,
            change.observed_at,
            {"vehicle": rel(key), "amount": prop(last - weight, "KGM"), "at": prop(render_instant(change.observed_at))},
        )
        return Step((key, weight, count + 1), emits=(emit,))

    def tick(self, state: Any, now: Instant, ref: Ref) -> Step:
        """Never asked."""
        return Step(state)

    def encode(self, state: Any) -> bytes:
        """JSON."""
        return json.dumps(state).encode()

    def decode(self, document: bytes) -> tuple[str, float, int]:
        """From JSON."""
        key, last, count = json.loads(document)
        return key, last, count


class FallFindings(Falls):
    """A finding for every WeightFall."""

    id = "tests.fall-findings"
    inputs = frozenset({FALL})

    def step(self, state: tuple[str, float, int], change: Change, ref: Ref) -> Step:
        """Each derived entity once."""
        if change.late:
            return Step(state)
        finding = Finding(
            rule="tests.F1",
            rule_version="1",
            situation=f"tests:{change.entity_id}",
            subject=str(change.value("vehicle")),
            severity=HIGH,
            reason=Reason("tests.fall", {"dropped_kg": change.value("amount")}),
            marked_at=change.observed_at,
            completed_at=change.observed_at,
        )
        return Step((state[0], 0.0, state[2] + 1), findings=(finding,))


DETECTORS = (Falls(), FallFindings())
