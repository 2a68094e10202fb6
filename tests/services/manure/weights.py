"""Trucks for tests: a small world of our own, made by hand, one second at a time, and everything that can go wrong with a scale.

What a real on-board scale does (the sector's domain page, and general knowledge of suspension and load-cell scales):
white noise of 1 to 2 % of gross, an offset while standing on a slope, swings while driving (braking, curves, hills), slow drift, rain that
gathers on the tarpaulin and runs off, a stuck value, missing values, spikes; terminals that lose their coverage and send later.
"""

import random
from math import cos, pi, sin
from typing import Any

from msgspec import Struct

from madang.flow.contract import Lookup
from madang.flow.memory_ref import MemoryRef
from madang.flow.runner import Output, Runner
from madang.model.change import CLOCK, READING, RECORD, Change, Transition
from madang.model.entity import Attributes, Entity, geo, point, prop, rel
from madang.model.geometry import Plane
from madang.model.record import Record
from madang.model.time import SECOND, Instant, parse_instant
from madang.services.manure.parameters import PARAMETERS

START = parse_instant("2026-11-23T00:00:00Z")
CENTRE = (126.50, 33.40)
PLANE = Plane(CENTRE)
VEHICLE = "urn:ngsi-ld:Vehicle:t1"


class Truth(Struct):
    """What happened."""

    kind: str
    t0: float
    t1: float
    kg: float
    x: float
    y: float
    place: str = ""
    moving: bool = False


class Reading(Struct):
    """One message: seconds since START, and when it arrives."""

    t: float
    arrives: float
    weight: float | None
    km_h: float | None
    x: float | None
    y: float | None
    ignition: bool
    pto: bool
    hdop: float = 0.9


class World:
    """One truck; time passes in `drive`, `park`, `pump`, `spread`, `off`."""

    def __init__(
        self,
        seed: int = 1,
        *,
        tare: float = 11_000.0,
        noise: float = 0.015,
        slope: float = 0.01,
        swing: float = 0.02,
        gps_m: float = 4.0,
        every: int = 10,
        resolution: int = 10,
    ) -> None:
        self.random = random.Random(seed)
        self.tare, self.noise, self.slope_sd, self.swing_sd = tare, noise, slope, swing
        self.gps_m, self.every, self.resolution = gps_m, every, resolution
        self.t = 0
        self.x = self.y = 0.0
        self.heading = 0.0
        self.load = 0.0
        self.rain = 0.0
        self.drift = 0.0
        self.slope = 0.0
        self.swing = 0.0
        self.speed = 0.0
        self.pto = False
        self.pto_works = True
        self.ignition = True
        self.scale_works = True
        self.gps_works = True
        self.power = True
        self.stuck: float | None = None
        self.hole_since: int | None = None
        self.hole_newest_first = False
        self.readings: list[Reading] = []
        self.truth: list[Truth] = []

    # --- what the driver does ---

    def drive(self, seconds: int, km_h: float = 45.0, turn: float = 0.3) -> "World":
        """Drive with curves, and slow down for a crossing now and then when it is long."""
        self.heading += self.random.uniform(-turn, turn)
        for i in range(seconds):
            target = km_h * (1 + 0.15 * sin(i / 37.0))
            self.speed += max(-6.0, min(4.0, target - self.speed))
            if i % 60 == 0:
                self.heading += self.random.uniform(-turn, turn)
            self._second()
        return self

    def crossing(self, wait: int = 30) -> "World":
        """Brake, wait, drive on."""
        while self.speed > 0:
            self.speed = max(0.0, self.speed - 7.0)
            self._second()
        self._arrive()
        return self.park(wait)

    def park(self, seconds: int) -> "World":
        """Stand with the engine on."""
        if self.speed > 0:
            while self.speed > 0:
                self.speed = max(0.0, self.speed - 7.0)
                self._second()
            self._arrive()
        for _ in range(seconds):
            self._second()
        return self

    def pump(self, kg: float, seconds: int, place: str = "", *, pto: bool | None = True, note: bool = True) -> "World":
        """Load (kg > 0) or unload (kg < 0) while standing, evenly over so many seconds."""
        self.park(0)
        t0 = self.t
        self.pto = bool(pto) and self.pto_works
        for _ in range(seconds):
            self.load += kg / seconds
            self._second()
        self.pto = False
        if note:
            self.truth.append(Truth("load" if kg > 0 else "unload", t0, self.t, abs(kg), self.x, self.y, place))
        return self

    def spread(self, kg: float, seconds: int, km_h: float = 6.0, lane_m: float = 120.0, place: str = "") -> "World":
        """Unload while moving up and down a field."""
        t0, x0, y0 = self.t, self.x, self.y
        self.pto = self.pto_works
        along = 0.0
        for _ in range(seconds):
            self.speed += max(-3.0, min(3.0, km_h + self.random.gauss(0, 0.4) - self.speed))
            self.load -= kg / seconds
            along += self.speed / 3.6
            if along > lane_m:
                along = 0.0
                self.heading += pi - 0.05
            self._second()
        self.pto = False
        self.truth.append(Truth("unload", t0, self.t, kg, (x0 + self.x) / 2, (y0 + self.y) / 2, place, True))
        return self

    def off(self, seconds: int) -> "World":
        """Engine off: one message at the end, silence, one message when it starts again."""
        self.park(0)
        self.ignition = False
        self._send()
        self.t += seconds
        self.ignition = True
        self._send()
        return self

    def jump(self, x: float, y: float) -> "World":
        """Be elsewhere (used with the power off)."""
        self.x, self.y = x, y
        return self

    # --- what the device does ---

    def hole_begins(self) -> "World":
        """Coverage is lost: readings are kept."""
        self.hole_since = len(self.readings)
        return self

    def hole_ends(self, *, newest_first: bool = False, after: int = 0) -> "World":
        """Coverage is back: kept readings arrive within seconds, `after` s later, in order or newest first."""
        assert self.hole_since is not None
        kept = self.readings[self.hole_since :]
        for i, reading in enumerate(reversed(kept) if newest_first else kept):
            reading.arrives = self.t + after + i * 0.05
        self.hole_since = None
        return self

    def measure(self) -> float:
        """One weight, as the scale says it."""
        gross = self.tare + self.load + self.rain
        share = self.random.gauss(0.0, self.noise)
        share += self.swing if self.speed > 3.0 else self.slope
        return gross * (1 + share) + self.drift

    def _arrive(self) -> None:
        self.slope = self.random.gauss(0.0, self.slope_sd)

    def _second(self) -> None:
        self.t += 1
        metres = self.speed / 3.6
        self.x += metres * sin(self.heading)
        self.y += metres * cos(self.heading)
        self.swing = 0.95 * self.swing + self.random.gauss(0.0, self.swing_sd * 0.31)
        if self.t % self.every == 0:
            self._send()

    def _send(self) -> None:
        if not self.power:
            return
        weight: float | None = None
        if self.scale_works:
            weight = self.stuck if self.stuck is not None else round(self.measure() / self.resolution) * self.resolution
        x: float | None = self.x + self.random.gauss(0, self.gps_m)
        y: float | None = self.y + self.random.gauss(0, self.gps_m)
        km_h: float | None = max(0.0, self.speed + self.random.gauss(0, 0.4))
        if not self.gps_works:
            x = y = km_h = None
        self.readings.append(Reading(self.t, self.t + 0.3, weight, km_h, x, y, self.ignition, self.pto))


# --- places, records, changes ---


def square(x: float, y: float, side_m: float = 80.0) -> dict[str, Any]:
    """A GeoJSON square around a place in metres."""
    half = side_m / 2
    corners = [(-half, -half), (half, -half), (half, half), (-half, half), (-half, -half)]
    return {"type": "Polygon", "coordinates": [[list(PLANE.to_lon_lat(x + dx, y + dy)) for dx, dy in corners]]}


def make_place(id_: str, type_: str, x: float, y: float, side_m: float = 80.0, **more: str) -> Entity:
    attributes: Attributes = {"name": prop(id_), "location": geo(square(x, y, side_m))}
    attributes.update({name: prop(value) for name, value in more.items()})
    return Entity(id_, type_, attributes, 0, 0, 0, 1)


def make_registration(world: World, vehicle: str = VEHICLE, noise: float | None = None) -> Entity:
    attributes: Attributes = {
        "vehicle": rel(vehicle),
        "vehiclePlateIdentifier": prop("12가3456"),
        "tareWeight": prop(world.tare, "KGM"),
        "maxPayload": prop(13_000, "KGM"),
        "weightNoise": prop(world.noise if noise is None else noise, "C62"),
    }
    code = vehicle.rpartition(":")[2]
    return Entity(f"urn:ngsi-ld:VehicleRegistration:{code}", "VehicleRegistration", attributes, 0, 0, 0, 1)


def make_ref(detectors: Any, entities: list[Entity]) -> MemoryRef:
    lookups: list[Lookup] = [lookup for detector in detectors for lookup in detector.lookups]
    ref = MemoryRef(lookups, {p.name: p.default for p in PARAMETERS})
    for entity in entities:
        ref.put_entity(entity)
    return ref


def attributes_of(reading: Reading) -> Attributes:
    attributes: Attributes = {
        "ignition": prop(reading.ignition),
        "ptoEngaged": prop(reading.pto),
        "hdop": prop(reading.hdop),
    }
    if reading.weight is not None:
        attributes["grossWeight"] = prop(reading.weight, "KGM")
    if reading.km_h is not None:
        attributes["speed"] = prop(round(reading.km_h, 1), "KMH")
    if reading.x is not None and reading.y is not None:
        attributes["location"] = point(*PLANE.to_lon_lat(reading.x, reading.y))
    return attributes


def instant(t: float) -> Instant:
    return START + round(t * SECOND)


def make_change(reading: Reading, vehicle: str = VEHICLE) -> Change:
    """The change of a reading, without a place in the log yet."""
    return Change(
        0, READING, instant(reading.arrives), instant(reading.t), vehicle, "Vehicle", attributes_of(reading), "test"
    )


def make_manifest(
    t: float, action: str, state: str, version: int, data: dict[str, Any], id_: str = "urn:ngsi-ld:ManureManifest:M-1"
) -> Change:
    """The change of a manifest's action."""
    transition = Transition(action, None, state, version, "test", None, {})
    record = Record(id_, "ManureManifest", state, version, data, instant(t), instant(t))
    attributes = {name: prop(value) for name, value in data.items()}
    at = instant(t)
    return Change(0, RECORD, at, at, id_, "ManureManifest", attributes, "test", False, transition, record)


def run(
    detectors: Any, changes: list[Change], ref: MemoryRef, *, until: float | None = None
) -> list[tuple[Change, Output]]:
    """Run detectors as the hub does: changes in order of arrival, emits put back into the log. Clock marks every 5 s while
    nothing else comes. Gives every output with the change at whose place in the log it came."""
    runner = Runner(detectors, ref, lambda detector, keys: {})
    changes = sorted(changes, key=lambda change: change.recorded_at)
    end = instant(until) if until is not None else changes[-1].recorded_at
    outputs: list[tuple[Change, Output]] = []
    seq = 0
    queue: list[Change] = []
    now = changes[0].recorded_at
    position = 0
    while True:
        if queue:
            change = queue.pop(0)
        else:
            due = changes[position].recorded_at if position < len(changes) else end + 1
            wake = runner.next_wake()
            if wake is not None and wake < due and wake <= end:
                change = Change(0, CLOCK, max(now, wake), max(now, wake))
            elif position < len(changes):
                change = changes[position]
                position += 1
            else:
                break
        seq += 1
        now = max(now, change.recorded_at)
        change = Change(
            seq,
            change.kind,
            now,
            change.observed_at,
            change.entity_id,
            change.entity_type,
            change.attributes,
            change.source,
            change.late,
            change.transition,
            change.record,
        )
        runner.advance(change)
        if runner.has_outputs() or runner._new_paused:
            snapshot = runner.take()
            runner.committed(snapshot)
            assert not snapshot.paused, snapshot.paused
            for output in snapshot.outputs:
                outputs.append((change, output))
                if output.emit is not None:
                    e = output.emit
                    queue.append(
                        Change(
                            0,
                            READING,
                            now,
                            e.observed_at,
                            e.entity_id,
                            e.entity_type,
                            e.attributes,
                            f"detector:{output.detector}",
                        )
                    )
        elif seq % 64 == 0:
            runner.committed(runner.take())
    return outputs


class Seen(Struct):
    """The last version of a derived entity."""

    id: str
    type: str
    attributes: Attributes
    first_at: Instant
    revisions: int = 1

    def value(self, name: str) -> Any:
        attribute = self.attributes.get(name, {})
        return attribute.get("value", attribute.get("object"))

    @property
    def t0(self) -> float:
        return (parse_instant(self.value("startedAt")) - START) / SECOND

    @property
    def t1(self) -> float:
        return (parse_instant(self.value("endedAt")) - START) / SECOND


def last_versions(outputs: list[tuple[Change, Output]], *, withdrawn: bool = False) -> list[Seen]:
    """Derived entities as they are in the end, in order of appearance."""
    seen: dict[str, Seen] = {}
    for change, output in outputs:
        emit = output.emit
        if emit is None:
            continue
        if emit.entity_id in seen:
            known = seen[emit.entity_id]
            known.attributes = {**known.attributes, **emit.attributes}
            known.revisions += 1
        else:
            seen[emit.entity_id] = Seen(emit.entity_id, emit.entity_type, emit.attributes, change.recorded_at)
    return [s for s in seen.values() if withdrawn or s.value("status") != "withdrawn"]
