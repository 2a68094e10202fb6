"""The cleaning detector ``manure.events``: raw readings of a truck in, stops, loadings, unloadings and trips out.

Late and out-of-order data
--------------------------
The last `WINDOW_MAX` samples are kept in order of observation. Before them stands a story that is settled (`State.settled`); on top of them
the story up to now (`State.live`). A reading that belongs between two kept samples is put there and the live story is told again from the
settled one; what was told before and no longer holds is withdrawn, what changed is revised under the same id. A reading older than the
settled story is ignored here: history has it. So any reordering within the window ends with the same story.

Telling again costs about a millisecond; it is done once for a burst of late readings, `RETELL_AFTER` later.

Silence
-------
A truck that stops its engine sends no more. What is known is judged as it stands `SILENCE_AFTER` the last message, by timer, not with the
next trip.
"""

from collections.abc import Iterable
from copy import copy
from math import hypot, log

import msgspec
from msgspec import Struct, field

from madang.flow.contract import Emit, Lookup, Near, Ref, Step, check_format
from madang.model.change import READING, Change
from madang.model.entity import Attributes, Entity, geo, point, prop, rel, value_of
from madang.model.geometry import LonLat, Plane
from madang.model.time import MILLISECOND, MINUTE, SECOND, Instant, render_instant
from madang.services.manure import model, truck
from madang.services.manure.parameters import DISCHARGE_MIN_KG, PLACE_BUFFER_M
from madang.services.manure.truck import (
    CONFIRMED,
    LOADING,
    OPEN,
    STOP,
    TRIP,
    UNLOADING,
    WITHDRAWN,
    Fact,
    Sample,
    Spec,
    Truck,
)
from madang.services.manure.weighing import NOISE_SHARE

WINDOW_MAX = 56
"""Samples kept for late data: nine minutes at one every ten seconds. A late upload may be as long as it likes, as long as it is itself in
order and fewer newer samples than this came before it."""
WINDOW_CHUNK = 8
"""Samples settled at a time."""
TOLD_MAX = 10
RETELL_AFTER = 3 * SECOND
SILENCE_AFTER = 75 * SECOND
"""Longer than the 60 s after which the story itself calls it a silence, so that both judge the same."""
FUTURE_MAX = 10 * MINUTE
"""A reading that claims to come from later than this after its arrival has a wrong clock."""
HDOP_MAX = 8.0
"""Worse fixes may be off by more than 30 m, the buffer around places."""
NEAR_M = 300.0
"""How far to look for the place that an event belongs to, to say how far it was."""

_DS = 100 * MILLISECOND
_TYPES = {
    LOADING: model.MANURE_LOADING,
    UNLOADING: model.MANURE_UNLOADING,
    STOP: model.VEHICLE_STOP,
    TRIP: model.VEHICLE_TRIP,
}
_FORMAT = 3


class Told(Struct, array_like=True, frozen=True):
    """What was emitted last about one fact."""

    id: str
    kind: str
    t0: int
    t1: int
    status: str
    amount: float
    observed_at: Instant
    x: int = 0
    y: int = 0


class State(Struct, array_like=True, frozen=True):
    """One truck."""

    format: int
    vehicle: str
    lon: float = 0.0
    lat: float = 0.0
    """Origin of the plane: the first fix."""
    begun_at: Instant = 0
    """Times of samples count from here."""
    settled: Truck = field(default_factory=Truck)
    live: Truck = field(default_factory=Truck)
    window: list[Sample] = []
    told: list[Told] = []
    late: bool = False
    """The window holds samples that the live story has not heard."""
    heard_at: Instant = 0
    """Log time of the last reading."""
    wake_at: Instant | None = None
    spec: Spec = truck.DEFAULT_SPEC
    spec_seq: int = -1


class EventsDetector:
    """See the module's docstring. About 20 µs a reading; the state is some 3 KB."""

    id = "manure.events"
    version = "3"
    inputs = frozenset({model.VEHICLE})
    lookups = (
        Lookup(model.VEHICLE_REGISTRATION),
        *(Lookup(type_, place="location") for type_ in model.PLACE_TYPES),
    )

    def initial(self, key: str) -> State:
        return State(_FORMAT, key)

    def keys(self, change: Change, ref: Ref) -> Iterable[str]:
        return (change.entity_id,) if change.kind == READING else ()

    def step(self, state: State, change: Change, ref: Ref) -> Step:
        attributes = change.attributes
        if change.observed_at > change.recorded_at + FUTURE_MAX:
            return Step(state, wake_at=state.wake_at)
        if "grossWeight" not in attributes and "location" not in attributes:
            return Step(state, wake_at=state.wake_at)
        now = change.recorded_at
        if not state.begun_at:
            state = _begin(state, change)
        sample = _read(state, change)
        registration = ref.find(model.VEHICLE_REGISTRATION, _registration_id(state.vehicle))
        spec, spec_seq = state.spec, state.spec_seq
        if registration is not None and registration.seq != spec_seq:
            spec, spec_seq = read_spec(registration, ref.parameter(DISCHARGE_MIN_KG)), registration.seq
        window = state.window
        settled, live, late, wake_at = state.settled, state.live, state.late, state.wake_at
        if window and sample.t <= window[-1].t:
            position = _position(window, sample.t)
            if sample.t <= settled.t or (position and window[position - 1].t == sample.t):
                return Step(state, wake_at=wake_at)
            window = [*window[:position], sample, *window[position:]]
            late, wake_at = True, _sooner(wake_at, now + RETELL_AFTER)
        else:
            window = [*window, sample]
            if not late:
                live = copy(live)
                live.feed(sample, spec)
        if len(window) > WINDOW_MAX:
            # While late samples wait, a burst may be longer than the chunk: settle whatever is too much.
            cut = max(WINDOW_CHUNK, len(window) - WINDOW_MAX)
            settled = copy(settled)
            for old in window[:cut]:
                settled.feed(old, spec)
            window = window[cut:]
        told = state.told
        emits: tuple[Emit, ...] = ()
        if not late:
            if live.facts is not state.live.facts:
                told, emits = self._tell(state, live, settled, told, ref)
            if wake_at is None and live.slow and (live.active is not None or live.spot):
                wake_at = now + SILENCE_AFTER
        moved = State(
            _FORMAT,
            state.vehicle,
            state.lon,
            state.lat,
            state.begun_at,
            settled,
            live,
            window,
            told,
            late,
            now,
            wake_at,
            spec,
            spec_seq,
        )
        return Step(moved, emits=emits, wake_at=wake_at)

    def tick(self, state: State, now: Instant, ref: Ref) -> Step:
        live, late = state.live, state.late
        if late:
            live = copy(state.settled)
            for sample in state.window:
                live.feed(sample, state.spec)
        silent = now - state.heard_at >= SILENCE_AFTER
        shown = live
        if silent:
            shown = copy(live)
            shown.settle(state.spec)
        told, emits = self._tell(state, shown, state.settled, state.told, ref)
        wake_at = None
        if not silent and live.slow and (live.active is not None or live.spot):
            wake_at = state.heard_at + SILENCE_AFTER
        moved = msgspec.structs.replace(state, live=live, late=False, told=told, wake_at=wake_at)
        return Step(moved, emits=emits, wake_at=wake_at)

    def encode(self, state: State) -> bytes:
        return msgspec.json.encode(state)

    def decode(self, document: bytes) -> State:
        check_format(document, _FORMAT, self.id)
        return msgspec.json.decode(document, type=State)

    # --- telling ---

    def _tell(
        self, state: State, live: Truck, settled: Truck, told: list[Told], ref: Ref
    ) -> tuple[list[Told], tuple[Emit, ...]]:
        """Emit what is new or changed, withdraw what is told and gone."""
        emits: list[Emit] = []
        matched: list[bool] = [False] * len(told)
        result = list(told)
        newest = state.begun_at + live.t * _DS
        for fact in live.facts:
            index = _match(told, matched, fact)
            if index < 0:
                if fact.doubted or not fact.placed:
                    continue  # it may come back, or nobody knows yet where it is
                if fact.status == WITHDRAWN or fact.t1 <= settled.t - 60 * truck.SECOND:
                    continue  # nobody ever heard of it, or it was told and is forgotten
                entry = Told(
                    _name(state, fact), fact.kind, fact.t0, fact.t1, fact.status, fact.amount, newest, fact.x, fact.y
                )
                result.append(entry)
            else:
                matched[index] = True
                before = told[index]
                if not _differs(before, fact):
                    continue
                entry = Told(
                    before.id,
                    fact.kind,
                    fact.t0,
                    fact.t1,
                    fact.status,
                    fact.amount,
                    max(newest, before.observed_at + MILLISECOND),
                    fact.x,
                    fact.y,
                )
                result[index] = entry
            emits.append(self._emit(state, entry, fact, ref))
        oldest = live.facts[0].t0 if live.facts else 0
        for index, entry in enumerate(told):
            gone = not matched[index] and entry.status != WITHDRAWN and entry.t0 >= oldest and entry.t1 > settled.t
            if gone:
                at = max(newest, entry.observed_at + MILLISECOND)
                result[index] = msgspec.structs.replace(entry, status=WITHDRAWN, observed_at=at)
                emits.append(
                    Emit(entry.id, _TYPES[entry.kind], at, {"status": prop(WITHDRAWN), "vehicle": rel(state.vehicle)})
                )
        return result[-TOLD_MAX:], tuple(emits)

    def _emit(self, state: State, entry: Told, fact: Fact, ref: Ref) -> Emit:
        plane = Plane((state.lon, state.lat))
        place = _lon_lat(plane, fact.x, fact.y)
        attributes: Attributes = {
            "vehicle": rel(state.vehicle),
            "startedAt": prop(render_instant(_instant(state, fact.t0))),
            "endedAt": prop(render_instant(_instant(state, fact.t1))),
            "location": point(*place),
            "status": prop(fact.status),
        }
        line = [list(_lon_lat(plane, *pair)) for pair in zip(fact.track[::2], fact.track[1::2], strict=True)]
        if fact.kind == TRIP:
            attributes["distance"] = prop(round(fact.distance / truck.METRE), "MTR")
            attributes["loadedAmount"] = prop(round(fact.loaded), "KGM")
            attributes["unloadedAmount"] = prop(round(fact.unloaded), "KGM")
            if len(line) > 1:
                attributes["path"] = geo({"type": "LineString", "coordinates": line})
            return Emit(entry.id, model.VEHICLE_TRIP, entry.observed_at, attributes)
        nearest = find_place(ref, place)
        if nearest is not None:
            attributes["placeDistance"] = prop(round(nearest.distance_m, 1), "MTR")
            if nearest.distance_m <= ref.parameter(PLACE_BUFFER_M):
                attributes["place"] = rel(nearest.entity.id)
        if fact.kind != STOP:
            sign = 1.0 if fact.kind == LOADING else -1.0
            attributes["amount"] = prop(round(fact.amount), "KGM")
            attributes["amountError"] = prop(round(min(fact.var**0.5, 99_999.0)), "KGM")
            attributes["weightBefore"] = prop(round(fact.before), "KGM")
            attributes["weightAfter"] = prop(round(fact.after or fact.before + sign * fact.amount), "KGM")
            if fact.begun_by - fact.t0 > truck.SILENCE:
                attributes["startedBefore"] = prop(render_instant(_instant(state, fact.begun_by)))
            attributes["moving"] = prop(fact.moving)
            attributes["unseen"] = prop(fact.gap)
            if len(line) > 1:
                attributes["track"] = geo({"type": "LineString", "coordinates": line})
        return Emit(entry.id, _TYPES[fact.kind], entry.observed_at, attributes)


def find_place(ref: Ref, place: LonLat) -> Near | None:
    """The registered place nearest to a point, within `NEAR_M`."""
    best: Near | None = None
    for type_ in model.PLACE_TYPES:
        for near in ref.near(type_, place, NEAR_M)[:1]:
            if best is None or near.distance_m < best.distance_m:
                best = near
    return best


def read_spec(registration: Entity, amount_min: float) -> Spec:
    """What the registration says about the truck's scale. Absent values: what any tanker has."""
    tare = value_of(registration.attributes.get("tareWeight"))
    payload = value_of(registration.attributes.get("maxPayload"))
    noise = value_of(registration.attributes.get("weightNoise"))
    known = float(tare) if isinstance(tare, int | float) and tare > 0 else 0.0
    tare = known or 4_000.0
    payload = float(payload) if isinstance(payload, int | float) and payload > 0 else 36_000.0
    noise = float(noise) if isinstance(noise, int | float) and 0 < noise < 0.2 else NOISE_SHARE
    # Half of an empty truck is a broken scale; so is half as much again as it may carry.
    return Spec(0.5 * tare, tare + 1.6 * payload, noise, float(amount_min), known)


def _registration_id(vehicle: str) -> str:
    return f"urn:ngsi-ld:{model.VEHICLE_REGISTRATION}:{vehicle.rpartition(':')[2]}"


def _begin(state: State, change: Change) -> State:
    place = _coordinates(change)
    lon, lat = place if place is not None else (0.0, 0.0)
    if place is None:
        return state
    return msgspec.structs.replace(state, lon=lon, lat=lat, begun_at=change.observed_at // _DS * _DS - _DS)


def _coordinates(change: Change) -> LonLat | None:
    value = change.value("location")
    if not isinstance(value, dict):
        return None
    pair = value.get("coordinates")
    if value.get("type") != "Point" or not isinstance(pair, list | tuple) or len(pair) < 2:
        return None
    return float(pair[0]), float(pair[1])


def _read(state: State, change: Change) -> Sample:
    attributes = change.attributes
    weight, speed = change.value("grossWeight"), change.value("speed")
    x = y = None
    place = _coordinates(change)
    if place is not None:
        hdop = change.value("hdop") if "hdop" in attributes else None
        if not isinstance(hdop, int | float) or hdop <= HDOP_MAX:
            px, py = Plane((state.lon, state.lat)).to_xy(place)
            x, y = round(px * truck.METRE), round(py * truck.METRE)
    flags = 0
    ignition = change.value("ignition")
    if ignition is not None:
        flags = truck.IGNITION_ON if ignition else truck.IGNITION_OFF
    if change.value("ptoEngaged"):
        flags |= truck.PTO_ON
    return Sample(
        (change.observed_at - state.begun_at) // _DS,
        round(weight) if isinstance(weight, int | float) else None,
        round(speed * 10) if isinstance(speed, int | float) else None,
        x,
        y,
        flags,
    )


def _position(window: list[Sample], t: int) -> int:
    """Where a late sample belongs; late ones are seldom very late, so look from the end."""
    position = len(window)
    while position and window[position - 1].t >= t:
        position -= 1
    return position if position == len(window) or window[position].t != t else position + 1


def _match(told: list[Told], matched: list[bool], fact: Fact) -> int:
    """The told entry of this fact: same kind and overlapping in time, give or take a minute."""
    slack = 60 * truck.SECOND
    for index in range(len(told) - 1, -1, -1):
        entry = told[index]
        if (
            entry.kind == fact.kind
            and not matched[index]
            and entry.t0 <= fact.t1 + slack
            and fact.t0 <= entry.t1 + slack
        ):
            return index
    return -1


def _differs(told: Told, fact: Fact) -> bool:
    """Is it worth telling again?"""
    if told.status != fact.status:
        return True
    if fact.kind != TRIP and hypot(fact.x - told.x, fact.y - told.y) > truck.SPOT_RADIUS:
        return True  # what was kept during a silence says that it was elsewhere
    if fact.kind == STOP:
        return fact.status == CONFIRMED and told.t1 != fact.t1
    if fact.status == OPEN:
        # Growing by a third each time tells ten tonnes in a dozen revisions.
        return log(max(fact.amount, 1.0) / max(told.amount, 1.0)) > 0.3
    if fact.status == CONFIRMED:
        return (
            abs(fact.amount - told.amount) > max(40.0, 0.02 * fact.amount) or abs(fact.t1 - told.t1) > 60 * truck.SECOND
        )
    return False


def _instant(state: State, t: int) -> Instant:
    return state.begun_at + t * _DS


def _name(state: State, fact: Fact) -> str:
    """The truck and the minute in which it began: what happened, not when it was noticed."""
    minute = render_instant(_instant(state, fact.t0) // MINUTE * MINUTE)
    return f"urn:ngsi-ld:{_TYPES[fact.kind]}:{state.vehicle.rpartition(':')[2]}-{minute[:16].replace('-', '').replace(':', '')}Z"


def _lon_lat(plane: Plane, x: int, y: int) -> LonLat:
    lon, lat = plane.to_lon_lat(x / truck.METRE, y / truck.METRE)
    return round(lon, 6), round(lat, 6)


def _sooner(wake_at: Instant | None, at: Instant) -> Instant:
    return at if wake_at is None else min(wake_at, at)
