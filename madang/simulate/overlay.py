"""Real vehicle tracks with a truck's weight laid over: for `madang replay`.

Input: the delivery-van tracks of `vans-goal` (amazon-science/goal-gps-ordered-activity-labels, CC BY 4.0): CSV files
`timestamp,x,y,groundtruth`, five seconds apart, x and y in metres on
a local plane of unknown origin, labelled Driving or OnFoot; one file or a zip of them.

Transform, stated: each track gets a vehicle of its own; its first fix is placed at a point of the sample town (a node
of the road net drawn by the track's number from the seed), its x and y
are kept as metres east and north of that point, and its times are moved so that track k begins at `start_at` + k ×
`apart_s`. Nothing is scaled or turned.

Weight, stated: the van is a tanker of 8.4 t with 6 t on board at the start. An *on-foot stop* is a run of OnFoot
labels of at least 60 s. A share of them, drawn from the seed, are unloadings: 600–3,000 kg leave
evenly from 10 s after the stop's begin, at 25 kg/s, at most what is on board. Readings: 1 % of gross white noise while
on foot, 2 % while driving, in steps of 20 kg. Speed and heading come from the positions alone; the receiver is the driver's,
so on foot the "truck" walks.

Truth: the stops by their labels; the unloadings by the overlay.
"""

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from msgspec import Struct

from madang.model.entity import Attributes, prop, rel
from madang.model.geometry import LonLat
from madang.model.time import SECOND, Instant, from_datetime, render_instant
from madang.simulate.city import Telemetry
from madang.simulate.town import Town

TARE_KG, LOAD_KG, PAYLOAD_KG = 8_400.0, 6_000.0, 8_000.0
STOP_MIN_S = 60.0
FLOW_KG_S, DELAY_S = 25.0, 10.0
NOISE_STANDING, NOISE_DRIVING, STEP_KG = 0.010, 0.020, 20
UNLOADING_SHARE = 0.35
OWNER = "urn:ngsi-ld:Organization:R01"
FORM = (
    '{"seq":%d,"t":"%s","lon":%.6f,"lat":%.6f,"spd":%.1f,"hdg":%.0f,"w":%d,"ws":%s,'
    '"ign":true,"pto":false,"hdop":0.9,"bat":27.5}'
)
FILES_MAX = 10_000
BYTES_MAX = 5_000_000
"""Of one track; the real ones have some 5 kB."""


class Sample(Struct, frozen=True):
    """One row of a track."""

    at: Instant
    x: float
    y: float
    on_foot: bool


class Track(Struct, frozen=True):
    """One file."""

    name: str
    samples: tuple[Sample, ...]


class Stop(Struct, frozen=True):
    """A stop by its labels."""

    vehicle: str
    started_at: Instant
    ended_at: Instant
    place: LonLat


class Unloading(Struct, frozen=True):
    """An unloading of the overlay."""

    vehicle: str
    started_at: Instant
    ended_at: Instant
    place: LonLat
    amount_kg: float


class Replay(Struct, frozen=True):
    """A replay: reference data, messages in the order of sending, truth."""

    reference: list[tuple[str, str, Attributes]]
    events: list[Telemetry]
    stops: list[Stop]
    unloadings: list[Unloading]
    rejected: list[tuple[str, str]]
    """(file, why) of files that were no tracks."""


class BadTrack(ValueError):
    """A file that is no track; the text says which line and why."""


def parse_track(name: str, text: str) -> Track:
    """Read one CSV. Raises BadTrack. Rows out of order are sorted; rows of the same time are kept once."""
    rows: dict[Instant, Sample] = {}
    reader = csv.DictReader(io.StringIO(text))
    if reader.fieldnames is None or not {"timestamp", "x", "y", "groundtruth"} <= set(reader.fieldnames):
        raise BadTrack(f"{name}: the first line must name timestamp, x, y, groundtruth")
    for row in reader:
        try:
            # Nine fraction digits, as published; a datetime takes six.
            moment = datetime.fromisoformat(row["timestamp"][:26] + "+00:00")
            x, y = float(row["x"]), float(row["y"])
        except (TypeError, ValueError) as error:
            raise BadTrack(f"{name}, line {reader.line_num}: {error}") from None
        if not (np.isfinite(x) and np.isfinite(y)) or abs(x) > 1e6 or abs(y) > 1e6:
            raise BadTrack(f"{name}, line {reader.line_num}: x and y must be metres")
        at = from_datetime(moment)
        rows.setdefault(at, Sample(at, x, y, row["groundtruth"] == "OnFoot"))
    if len(rows) < 2:
        raise BadTrack(f"{name}: fewer than two rows")
    return Track(name, tuple(rows[at] for at in sorted(rows)))


def load_tracks(paths: Sequence[Path], limit: int | None = None) -> tuple[list[Track], list[tuple[str, str]]]:
    """Read CSV files and zips of them: (tracks in order of name, (file, why) of what was not readable). Raises OSError."""
    tracks: list[Track] = []
    rejected: list[tuple[str, str]] = []
    for name, text in _texts(paths):
        if limit is not None and len(tracks) >= limit:
            break
        try:
            tracks.append(parse_track(name, text))
        except BadTrack as error:
            rejected.append((name, str(error)))
    return tracks, rejected


def _texts(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    for path in paths:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                members = sorted(
                    (i for i in archive.infolist() if i.filename.endswith(".csv")), key=lambda i: i.filename
                )
                for member in members[:FILES_MAX]:
                    text = "" if member.file_size > BYTES_MAX else archive.read(member).decode("utf-8", "replace")
                    yield Path(member.filename).name, text
        else:
            yield path.name, path.read_text("utf-8", "replace")


def build_replay(
    town: Town,
    tracks: Sequence[Track],
    rejected: Sequence[tuple[str, str]] = (),
    *,
    seed: int,
    start_at: Instant,
    apart_s: float = 20.0,
) -> Replay:
    """Lay the weight over the tracks. A pure function of its arguments. Terminals are called ``VAN0001`` …"""
    reference: list[tuple[str, str, Attributes]] = [
        (OWNER, "Organization", {"name": prop("재생 차량"), "alternateName": prop("Replayed vehicles")})
    ]
    events: list[Telemetry] = []
    stops: list[Stop] = []
    unloadings: list[Unloading] = []
    for k, track in enumerate(tracks):
        rng = np.random.default_rng([seed, 7_003, k])
        code = f"VAN{k + 1:04d}"
        vehicle = f"urn:ngsi-ld:Vehicle:{code}"
        reference += _registration(code, vehicle)
        node = town.graph.nodes[int(rng.integers(len(town.graph.nodes)))]
        first = track.samples[0]
        begin = start_at + round(k * apart_s * SECOND)
        samples = [
            Sample(begin + s.at - first.at, float(node[0]) + s.x - first.x, float(node[1]) + s.y - first.y, s.on_foot)
            for s in track.samples
        ]
        own_stops = [_stop(town, vehicle, run) for run in _runs(samples)]
        stops += own_stops
        own = _unload(own_stops, rng)
        unloadings += own
        events += _messages(town, code, samples, own, rng)
    events.sort(key=lambda e: (e.at, e.device))
    return Replay(reference, events, stops, unloadings, list(rejected))


def _registration(code: str, vehicle: str) -> list[tuple[str, str, Attributes]]:
    plate, owner = prop(code), rel(OWNER)
    return [
        (vehicle, "Vehicle", {"vehiclePlateIdentifier": plate, "owner": owner}),
        (
            f"urn:ngsi-ld:VehicleRegistration:{code}",
            "VehicleRegistration",
            {
                "vehicle": rel(vehicle),
                "vehiclePlateIdentifier": plate,
                "owner": owner,
                "tareWeight": prop(TARE_KG, "KGM"),
                "maxPayload": prop(PAYLOAD_KG, "KGM"),
                "weightNoise": prop(NOISE_STANDING),
            },
        ),
    ]


def _runs(samples: Sequence[Sample]) -> list[Sequence[Sample]]:
    """Maximal runs of OnFoot of at least STOP_MIN_S."""
    runs: list[Sequence[Sample]] = []
    start: int | None = None
    for i, s in enumerate(samples):
        if s.on_foot and start is None:
            start = i
        if start is not None and (not s.on_foot or i == len(samples) - 1):
            end = i if not s.on_foot else i + 1
            if samples[end - 1].at - samples[start].at >= STOP_MIN_S * SECOND:
                runs.append(samples[start:end])
            start = None
    return runs


def _stop(town: Town, vehicle: str, run: Sequence[Sample]) -> Stop:
    middle = (float(np.median([s.x for s in run])), float(np.median([s.y for s in run])))
    return Stop(vehicle, run[0].at, run[-1].at, town.lon_lat(middle))


def _unload(stops: Sequence[Stop], rng: np.random.Generator) -> list[Unloading]:
    left = LOAD_KG
    found: list[Unloading] = []
    for stop in stops:
        wanted = float(rng.uniform(600, 3_000))
        room = ((stop.ended_at - stop.started_at) / SECOND - DELAY_S) * FLOW_KG_S
        amount = round(min(wanted, room, left), 1)
        if rng.random() < UNLOADING_SHARE and amount >= 400:
            begin = stop.started_at + round(DELAY_S * SECOND)
            found.append(Unloading(stop.vehicle, begin, begin + round(amount / FLOW_KG_S * SECOND), stop.place, amount))
            left -= amount
    return found


def _messages(
    town: Town, code: str, samples: Sequence[Sample], unloadings: Sequence[Unloading], rng: np.random.Generator
) -> Iterator[Telemetry]:
    topic = f"manure/{code}/telemetry"
    for n, s in enumerate(samples):
        before, after = samples[max(0, n - 1)], samples[min(len(samples) - 1, n + 1)]
        seconds = max(0.001, (after.at - before.at) / SECOND)
        dx, dy = after.x - before.x, after.y - before.y
        # From the positions alone, on foot too: the label must not leak into what the detector is given.
        speed = min(180.0, float(np.hypot(dx, dy)) / seconds * 3.6)
        gone = sum(
            u.amount_kg * min(1.0, max(0.0, (s.at - u.started_at) / max(1, u.ended_at - u.started_at)))
            for u in unloadings
        )
        gross = (TARE_KG + LOAD_KG - gone) * (1 + float(rng.normal(0, NOISE_STANDING if s.on_foot else NOISE_DRIVING)))
        lon, lat = town.lon_lat((s.x, s.y))
        heading = float(np.degrees(np.arctan2(dx, dy))) % 360
        flag = "true" if s.on_foot else "false"
        shown = render_instant(s.at // 1_000 * 1_000)
        weight = round(gross / STEP_KG) * STEP_KG
        text = FORM % (n + 1, shown, lon, lat, speed, heading, weight, flag)
        yield Telemetry(s.at + int(rng.uniform(0.4, 1.5) * SECOND), code, topic, text.encode())
