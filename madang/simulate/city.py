"""The sample city: a town, its sectors' samples, one stream of events in the order of sending, and the truth.

Everything is a pure function of (seed, start): the same arguments give the same bytes. Days are local days of
Asia/Seoul (UTC+9, no summer time).
"""

import heapq
from collections.abc import Iterator
from zlib import crc32

import numpy as np
from msgspec import Struct

from madang.model.entity import Attributes, Reading
from madang.model.time import DAY, HOUR, Instant, to_datetime
from madang.services.manure import sample
from madang.services.manure.sample import Ignore, ManifestStep, Rates, TruckDay, TruthEvent
from madang.simulate.city_ground import ground_of
from madang.simulate.town import Town, build_town, reference

UTC_OFFSET = 9 * HOUR
TRUCKS_MAX = 500


class Telemetry(Struct, frozen=True):
    """One MQTT PUBLISH of a terminal."""

    at: Instant
    """When it is sent."""
    device: str
    topic: str
    payload: bytes
    dup: bool = False
    """Sent before, not acknowledged."""


class ManifestAction(Struct, frozen=True):
    """Somebody acts on a manifest. `manifest_ref` is the sample's own key: `create` makes the record, whoever sends it
    keeps ref → record id."""

    at: Instant
    manifest_ref: str
    action: str
    arguments: dict[str, object]
    actor_party: str
    actor_role: str
    on_behalf_of: str | None


class Complaint(Struct, frozen=True):
    """A citizen's odour complaint, as a reading."""

    at: Instant
    reading: Reading


SampleEvent = Telemetry | ManifestAction | Complaint


class Truth(Struct, frozen=True):
    """What is true, for the days that were generated."""

    events: tuple[TruthEvent, ...]
    ignores: tuple[Ignore, ...]
    truck_days: int
    """Days on which a truck worked, summed over trucks."""


class SampleCity:
    """See the module's docstring.

    `start_at`: the first event is not before the local midnight that begins this instant's day. `enriched`: cheats
    often enough for at least 200 true events in
    five days. `rates` overrides both. `trucks`: at most 500. `town`: an already built one of the same seed (saves two seconds).
    `forced`: (truck number, day)
    → a kind of cheat that this driver commits at dusk.
    """

    def __init__(
        self,
        seed: int,
        start_at: Instant,
        enriched: bool = False,
        trucks: int = 40,
        town: Town | None = None,
        *,
        rates: Rates | None = None,
        forced: dict[tuple[int, int], str] | None = None,
    ) -> None:
        if not 1 <= trucks <= TRUCKS_MAX:
            raise ValueError(f"trucks must be 1 to {TRUCKS_MAX}, not {trucks}")
        self.seed = seed
        self.start_at = start_at
        self.rates = rates or (sample.ENRICHED if enriched else sample.NATURAL)
        self.town = town or build_town(seed)
        self.ground = ground_of(self.town)
        self.first_midnight: Instant = (start_at + UTC_OFFSET) // DAY * DAY - UTC_OFFSET
        self.trucks = sample.build_fleet(self.ground, self._rng("fleet"), self.rates, trucks)
        self._forced = forced or {}
        self._last_day: tuple[int, list[TruckDay]] | None = None
        self._truth: dict[int, tuple[list[TruthEvent], list[Ignore], int]] = {}

    def _rng(self, name: str, *numbers: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, crc32(name.encode()), *numbers])

    def reference(self) -> list[tuple[str, str, Attributes]]:
        """The town's and the fleet's entities: (id, type, normalised attributes)."""
        return reference(self.town) + sample.fleet_reference(self.trucks)

    def build_day(self, day: int) -> list[TruckDay]:
        """All trucks' day number `day` (0 is the first), those that worked. Keeps its truth."""
        if self._last_day is not None and self._last_day[0] == day:
            return self._last_day[1]
        midnight = self.first_midnight + day * DAY
        weekday = to_datetime(midnight + UTC_OFFSET).weekday()
        built = (
            sample.build_truck_day(
                self.ground, truck, self._rng, day, midnight, weekday, self.rates, self._forced.get((truck.number, day))
            )
            for truck in self.trucks
        )
        days = [one for one in built if one is not None]
        self._truth[day] = (
            [e for d in days for e in d.verdict.events],
            [i for d in days for i in d.verdict.ignores],
            len(days),
        )
        self._last_day = (day, days)
        return days

    def day_events(self, day: int) -> list[SampleEvent]:
        """All events that begin in a day, in the order of sending; some are sent days later."""
        days = self.build_day(day)
        events: list[SampleEvent] = []
        for one in days:
            code, topic = one.truck.code, sample.topic_of(one.truck)
            events += [Telemetry(at, code, topic, payload, dup) for at, payload, dup in one.messages]
            events += [_action(step) for step in one.steps]
        discharges = [t for d in days for t in d.transfers]
        midnight = self.first_midnight + day * DAY
        events += [
            Complaint(at, reading)
            for at, reading in sample.build_complaints(self.ground, self._rng, day, midnight, discharges)
        ]
        events.sort(key=_at)
        return events

    def events(self, from_at: Instant, to_at: Instant) -> Iterator[SampleEvent]:
        """Events with from_at <= at < to_at in the order of sending. Builds every day from the first on, one at a time
        (about 150,000 events each with 40
        trucks)."""
        waiting: list[tuple[Instant, int, SampleEvent]] = []
        number = 0
        day = 0
        while self.first_midnight + day * DAY < to_at or waiting:
            midnight = self.first_midnight + day * DAY
            if waiting and midnight >= to_at:
                break
            fresh = self.day_events(day)
            following = midnight + DAY
            # What is sent after this day's end waits; what waited is merged in.
            today: list[SampleEvent] = []
            while waiting and waiting[0][0] < following:
                today.append(heapq.heappop(waiting)[2])
            for event in fresh:
                if event.at < following:
                    today.append(event)
                else:
                    number += 1
                    heapq.heappush(waiting, (event.at, number, event))
            today.sort(key=_at)
            for event in today:
                if event.at >= to_at:
                    return
                if event.at >= from_at:
                    yield event
            day += 1

    def truth(self) -> tuple[TruthEvent, ...]:
        """What breaks a rule in the days built so far, by time."""
        return tuple(
            sorted(
                (e for part in self._truth.values() for e in part[0]), key=lambda e: (e.started_at, e.subject, e.rule)
            )
        )

    def ignore(self) -> tuple[Ignore, ...]:
        """What is too close to call in the days built so far."""
        return tuple(i for day in sorted(self._truth) for i in self._truth[day][1])

    def truck_days(self) -> int:
        """Days on which a truck worked, summed over trucks, in the days built so far."""
        return sum(part[2] for part in self._truth.values())


def _action(step: ManifestStep) -> ManifestAction:
    return ManifestAction(
        step.at, step.manifest_ref, step.action, step.arguments, step.actor_party, step.actor_role, step.on_behalf_of
    )


def _at(event: SampleEvent) -> Instant:
    return event.at
