"""The baseline that the rules stand beside: a fixed weight drop between two messages, outside every permitted place. Not part
of the service."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from madang.flow.contract import Lookup, Ref, Step
from madang.model.change import Change
from madang.model.finding import HIGH, Finding, Reason
from madang.services.manure import model
from madang.services.manure.parameters import DISCHARGE_MIN_KG, PLACE_BUFFER_M


class State(Struct):
    """The truck's last weight."""

    vehicle: str
    weight: float | None = None


class BaselineDetector:
    """A drop of at least the least discharge from one message to the next, outside permitted places: what one would write first."""

    id = "baseline.manure"
    version = "1"
    inputs = frozenset({model.VEHICLE})
    lookups = tuple(Lookup(type_, place="location") for type_ in model.PERMITTED_TYPES)

    def initial(self, key: str) -> State:
        """No weight yet."""
        return State(key)

    def keys(self, change: Change, ref: Ref) -> Iterable[str]:
        """The truck."""
        return (change.entity_id,)

    def step(self, state: State, change: Change, ref: Ref) -> Step:
        """Compare with the message before."""
        weight = change.value("grossWeight")
        location = change.value("location")
        if weight is None or change.late:
            return Step(state)
        before, state.weight = state.weight, weight
        if before is None or location is None or before - weight < ref.parameter(DISCHARGE_MIN_KG):
            return Step(state)
        place = (location["coordinates"][0], location["coordinates"][1])
        if any(ref.near(type_, place, ref.parameter(PLACE_BUFFER_M)) for type_ in model.PERMITTED_TYPES):
            return Step(state)
        finding = Finding(
            rule="baseline.D1",
            rule_version="1",
            situation=f"baseline:{change.entity_id}:{change.observed_at}",
            subject=change.entity_id,
            severity=HIGH,
            reason=Reason("manure.D1.outside", {"dropped_kg": before - weight}),
            marked_at=change.observed_at,
            completed_at=change.observed_at,
            location=place,
        )
        return Step(state, (finding,))

    def tick(self, state: State, now: int, ref: Ref) -> Step:
        """It has no timers."""
        return Step(state)

    def encode(self, state: State) -> bytes:
        """JSON."""
        return msgspec.json.encode(state)

    def decode(self, document: bytes) -> State:
        """JSON."""
        return msgspec.json.decode(document, type=State)


BASELINE = BaselineDetector()
