"""The manure sector's part of the sample city: trucks, drivers, cheats, faults, and the truth.

Written without looking at the detectors: it models the field (the domain page, on-board weighing, receivers, mobile
networks, habits), with faults that no
detector was made for. Everything is a pure function of its arguments; randomness comes from generators that the caller seeds.

One room each: `sample_ground` the places, `sample_rates` how often things happen and why we think so, `sample_fleet`
trucks and drivers, `sample_motion` driving,
`sample_timeline` what physically happens, `sample_day` a working day, `sample_paper` manifests, `sample_scale`
sensors, `sample_terminal` messages,
`sample_truth` what is true.
"""

from collections.abc import Callable
from typing import Any

import orjson
from msgspec import Struct

from madang.model.entity import Reading, point, prop
from madang.model.time import SECOND, Instant, render_instant
from madang.services.manure.sample_day import DayNotes, plan_day
from madang.services.manure.sample_fleet import Truck, build_fleet, fleet_reference
from madang.services.manure.sample_ground import Disc, Ground, Rng, Spot
from madang.services.manure.sample_paper import Paper, Tap
from madang.services.manure.sample_rates import ENRICHED, NATURAL, STORY, Rates
from madang.services.manure.sample_scale import read_sensors
from madang.services.manure.sample_terminal import Message, build_messages
from madang.services.manure.sample_timeline import DISCHARGE, LOAD, ROAD_LOSS, Transfer
from madang.services.manure.sample_truth import D1, D2, D4, D8, Ignore, TruthEvent, Verdict, judge_day

__all__ = [
    "D1",
    "D2",
    "D4",
    "D8",
    "DISCHARGE",
    "ENRICHED",
    "LOAD",
    "NATURAL",
    "ROAD_LOSS",
    "STORY",
    "Disc",
    "Ground",
    "Ignore",
    "ManifestStep",
    "Message",
    "Rates",
    "Spot",
    "Transfer",
    "Truck",
    "TruckDay",
    "TruthEvent",
    "build_complaints",
    "build_fleet",
    "build_truck_day",
    "fleet_reference",
    "topic_of",
]

Streams = Callable[..., Rng]
"""`streams(name, *numbers)`: a fresh generator for this purpose, the same for the same arguments."""


class ManifestStep(Struct, frozen=True):
    """One tap on a manifest, ready to be sent."""

    at: Instant
    manifest_ref: str
    action: str
    arguments: dict[str, Any]
    actor_party: str
    """Entity id of the carrier, farm or plant that the typing person belongs to."""
    actor_role: str
    """``carrier``, ``farm`` or ``plant``."""
    on_behalf_of: str | None


class TruckDay(Struct, frozen=True):
    """All of one truck's day."""

    truck: Truck
    messages: list[Message]
    steps: list[ManifestStep]
    verdict: Verdict
    transfers: tuple[Transfer, ...]
    load_start_kg: float
    load_end_kg: float
    on_s: int
    """Seconds with the terminal on, by its messages."""


def topic_of(truck: Truck) -> str:
    """The MQTT topic of a truck's terminal."""
    return f"manure/{truck.code}/telemetry"


def day_notes(streams: Streams, truck: Truck, day: int) -> tuple[float, float]:
    """Dregs (kg) and fuel (kg) with which a truck begins a day: functions of the day, so that days can be built apart and still join."""
    rng = streams("notes", truck.number, day)
    return float(rng.uniform(0, 110)), float(rng.uniform(120, 290))


def build_truck_day(
    ground: Ground,
    truck: Truck,
    streams: Streams,
    day: int,
    day_start: Instant,
    weekday: int,
    rates: Rates,
    forced: str | None = None,
) -> TruckDay | None:
    """One truck's day; None when it does not work.

    `day` counts from the sample's first day, `day_start` is local midnight, `weekday` 0 is Monday. `forced`: a kind of
    cheat that the driver commits at
    dusk of this day.
    """
    rng = streams("day", truck.number, day)
    idle = rng.random() >= rates.sunday_share if weekday == 6 else rng.random() < rates.off_day
    if idle and forced is None:
        return None
    (load_start, fuel_start), (load_end, fuel_end) = day_notes(streams, truck, day), day_notes(streams, truck, day + 1)
    planned = plan_day(
        ground,
        truck,
        rng,
        rates,
        DayNotes(load_start, load_end, fuel_start, fuel_end),
        f"{truck.code}-{day:03d}",
        forced,
    )
    readings = read_sensors(
        ground, truck, planned.truth, _rain(streams, day, rates), streams("sensors", truck.number, day), rates
    )
    messages = build_messages(ground, truck, readings, day_start, streams("terminal", truck.number, day), rates)
    verdict = judge_day(ground, truck, planned.truth.transfers, planned.papers, day_start)
    return TruckDay(
        truck,
        messages,
        [_step(paper, tap, day_start) for paper in planned.papers for tap in paper.taps],
        verdict,
        tuple(planned.truth.transfers),
        load_start,
        float(planned.truth.load[-1]),
        10 * len(messages),
    )


def _rain(streams: Streams, day: int, rates: Rates) -> tuple[float, float] | None:
    rng = streams("rain", day)
    if rng.random() >= rates.rain_day:
        return None
    begin = float(rng.uniform(3, 18)) * 3_600
    return begin, begin + float(rng.uniform(1, 7)) * 3_600


_TIMES = frozenset({"at", "plannedAt"})


def _step(paper: Paper, tap: Tap, day_start: Instant) -> ManifestStep:
    def instant(seconds: float) -> Instant:
        return day_start + int(seconds) * SECOND

    arguments = {
        key: render_instant(instant(value)) if key in _TIMES else value for key, value in tap.arguments.items()
    }
    return ManifestStep(
        day_start + round(tap.at * 1_000) * 1_000,
        paper.ref,
        tap.action,
        arguments,
        tap.party,
        tap.role,
        tap.on_behalf_of,
    )


def build_complaints(
    ground: Ground, streams: Streams, day: int, day_start: Instant, discharges: list[Transfer]
) -> list[tuple[Instant, Reading]]:
    """Odour complaints of a day: a few around farms, and some after spreading (one in nine discharges outdoors draws
    one within half a day; ours)."""
    rng = streams("complaints", day)
    spots = [
        (float(rng.uniform(7, 23)) * 3_600, farm.gate)
        for farm in (ground.farms[int(k)] for k in rng.integers(len(ground.farms), size=int(rng.poisson(3.0))))
    ]
    for one in discharges:
        if one.kind == DISCHARGE and one.spot.kind != "ManureTreatmentPlant" and rng.random() < 1 / 9:
            spots.append((one.ended + float(rng.uniform(0.3, 10)) * 3_600, (one.x, one.y)))
    found = []
    for number, (seconds, (x, y)) in enumerate(sorted(spots)):
        at = day_start + int(seconds) * SECOND
        lon, lat = ground.plane.to_lon_lat(x + float(rng.normal(0, 350)), y + float(rng.normal(0, 350)))
        attributes = {
            "location": point(round(float(lon), 6), round(float(lat), 6)),
            "dateObserved": prop(render_instant(at)),
            "severity": prop(str(rng.choice(["low", "medium", "high"], p=(0.5, 0.35, 0.15)))),
        }
        found.append(
            (
                at + int(rng.uniform(60, 900)) * SECOND,
                Reading(f"urn:ngsi-ld:OdourComplaint:{day:03d}-{number + 1:03d}", "OdourComplaint", at, attributes),
            )
        )
    return found


def read_payload(payload: bytes) -> dict[str, Any]:
    """A valid payload as a dict: for tests and tools."""
    document: dict[str, Any] = orjson.loads(payload)
    return document
