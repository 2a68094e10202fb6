"""Real GPS noise: 804 tracks of delivery vans (six minutes at 5 s, labelled), re-dated to one morning and laid on our plane as
they are (metres); a truck's weight is laid over by `weights.World.measure` without any change of load.

The labels tell Driving from on foot. The receiver is the driver's, not the van's: a stop here is where
the *driver* stays within 25 m."""

import csv
import io
import zipfile
from itertools import pairwise
from math import hypot
from pathlib import Path

import pytest

from madang.model.time import parse_instant
from madang.services.manure.detect_events import EventsDetector
from tests.services.manure.weights import Reading, World, last_versions, make_change, make_ref, make_registration, run

TRACKS = Path("../shared/data/vans-goal/trajectories.zip")
DETECTOR = EventsDetector()
pytestmark = pytest.mark.skipif(not TRACKS.exists(), reason="the public data folder is not here")

Row = tuple[float, float, float, bool]


def read_tracks(every: int) -> list[list[Row]]:
    """(seconds, x, y, driving) of every so-many-th track."""
    tracks: list[list[Row]] = []
    with zipfile.ZipFile(TRACKS) as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".csv"))
        for name in names[::every]:
            rows: list[Row] = []
            first = None
            for row in csv.DictReader(io.StringIO(archive.read(name).decode())):
                at = parse_instant(row["timestamp"].replace("1964", "2026").replace(" ", "T")[:26] + "Z") / 1e6
                first = at if first is None else first
                rows.append((at - first, float(row["x"]), float(row["y"]), row["groundtruth"] == "Driving"))
            tracks.append(rows)
    return tracks


def watch(rows: list[Row], seed: int, change_at: float | None = None) -> list[tuple[str, float, float, float]]:
    world = World(seed)
    world.load = 9_000
    readings = []
    last = rows[0]
    for row in rows:
        t, x, y, _ = row
        # A truck swings while it moves, whatever the label says: slower than 2 m/s it stands or the driver walks.
        world.speed = 3.6 * hypot(x - last[1], y - last[2]) / max(1.0, t - last[0])
        world.speed = world.speed if world.speed > 7.2 else 0.0
        last = row
        if change_at is not None and t >= change_at:
            world.load = max(4_000.0, world.load - 250)
        world.swing = 0.77 * world.swing + world.random.gauss(0, 0.0128)  # as `World`, at 5 s
        readings.append(Reading(t, t + 0.2, round(world.measure()), None, x, y, True, False))
    ref = make_ref([DETECTOR], [make_registration(world)])
    outputs = run([DETECTOR], [make_change(r) for r in readings], ref, until=rows[-1][0] + 300)
    return [(s.type, s.t0, s.t1, s.value("amount")) for s in last_versions(outputs)]


def test_hardly_a_weight_event_comes_from_real_tracks_alone() -> None:
    """Every track begins cold, with no level known, and lasts six minutes: at most one of 201 may mislead."""
    found = [
        e
        for i, rows in enumerate(read_tracks(4))
        for e in watch(rows, i)
        if e[0] in ("ManureLoading", "ManureUnloading")
    ]
    assert len(found) <= 1


def test_stops_lie_where_nobody_drives() -> None:
    stopped = driving_while_stopped = tracks = 0.0
    for i, rows in enumerate(read_tracks(2)):
        stops = [e for e in watch(rows, i) if e[0] == "VehicleStop"]
        tracks += bool(stops)
        for (t, _, _, driving), (t_next, *_) in pairwise(rows):
            if any(s[1] <= t < s[2] for s in stops):
                stopped += t_next - t
                driving_while_stopped += (t_next - t) * driving
    print(f"stops in {tracks:.0f} tracks, {stopped:.0f} s, of which labelled Driving {driving_while_stopped:.0f} s")
    assert stopped > 600
    assert driving_while_stopped / stopped < 0.1


def test_an_overlaid_unloading_is_found_on_foot() -> None:
    """Five tonnes at 50 kg/s, begun in the middle of the longest time on foot: found in at least nine of ten."""
    hits = cases = 0
    for i, rows in enumerate(read_tracks(8)):
        spans: list[tuple[float, float]] = []
        for t, _, _, driving in rows:
            if driving:
                spans.append((t, t))
            elif spans:
                spans[-1] = (spans[-1][0], t)
            else:
                spans.append((t, t))
        begin, end = max(spans, key=lambda s: s[1] - s[0])
        if end - begin < 180 or begin < 60:
            continue
        cases += 1
        found = watch(rows, i, change_at=begin + 30)
        hits += any(e[0] == "ManureUnloading" and e[1] <= begin + 160 and e[2] >= begin + 30 for e in found)
    assert cases >= 5
    assert hits >= 0.9 * cases
