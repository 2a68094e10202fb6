"""A detector small enough to know its output by heart: it finds every third reading of a thing, and silence."""

from collections.abc import Iterable
from typing import Any

import msgspec

from madang.flow.contract import Emit, Lookup, Ref, Step
from madang.model.change import Change
from madang.model.entity import prop
from madang.model.finding import LOW, Finding, Reason
from madang.model.time import SECOND, Instant

SILENCE = 60 * SECOND


class CountState(msgspec.Struct):
    """What it keeps of a thing."""

    key: str
    count: int = 0
    last_at: Instant = 0


class Counting:
    """Every third reading is a finding `t.third`; 60 s of log time without one is `t.silent`. The value 13 makes it raise."""

    id = "t.counting"
    version = "1"
    inputs = frozenset({"Thing"})
    lookups: tuple[Lookup, ...] = ()

    def __init__(self, poison: int = 13) -> None:
        self.poison = poison

    def initial(self, key: str) -> CountState:
        return CountState(key)

    def keys(self, change: Change, ref: Ref) -> Iterable[str]:
        return (change.entity_id,)

    def step(self, state: CountState, change: Change, ref: Ref) -> Step:
        state.count += 1
        state.last_at = change.recorded_at
        if change.value("n") == self.poison:
            raise ValueError("unlucky number")
        findings, emits = (), ()
        if state.count % 3 == 0:
            findings = (finding("t.third", state.key, change.observed_at, state.count),)
            emits = (
                Emit(f"urn:Triple:{state.key}:{state.count}", "Triple", change.observed_at, {"n": prop(state.count)}),
            )
        return Step(state, findings, emits, change.recorded_at + SILENCE)

    def tick(self, state: CountState, now: Instant, ref: Ref) -> Step:
        return Step(state, (finding("t.silent", state.key, now, state.count),))

    def encode(self, state: CountState) -> bytes:
        return msgspec.json.encode(state)

    def decode(self, document: bytes) -> CountState:
        return msgspec.json.decode(document, type=CountState)


class Echo(Counting):
    """Consumes what Counting emits: one finding for every triple."""

    id = "t.echo"
    inputs = frozenset({"Triple"})

    def step(self, state: CountState, change: Change, ref: Ref) -> Step:
        state.count += 1
        return Step(state, (finding("t.echo", state.key, change.observed_at, change.value("n")),))


def finding(rule: str, subject: str, at: Instant, count: Any) -> Finding:
    """A finding with nothing but what the tests look at."""
    return Finding(rule, "1", f"{rule}:{subject}:{count}", subject, LOW, Reason(rule), at, at)
