"""Real tracks with a weight laid over. The small track is written by hand; the large ones are read where they are present."""

from pathlib import Path

import orjson
import pytest

from madang.model.time import SECOND, parse_instant
from madang.simulate.overlay import LOAD_KG, TARE_KG, BadTrack, build_replay, load_tracks, parse_track
from madang.simulate.town import Town

START = parse_instant("2026-11-23T00:00:00Z")
PUBLISHED = Path("../shared/data/vans-goal/trajectories.zip")
HEAD = "timestamp,x,y,groundtruth\n"


def rows(*legs: tuple[int, float, str]) -> str:
    """Rows five seconds apart: (number, metres east per row, label) for each leg."""
    out, x, t = [], 0.0, 0
    for count, step, label in legs:
        for _ in range(count):
            out.append(f"1964-01-12 00:{t // 60:02d}:{t % 60:02d}.000000000,{x},{0.0},{label}")
            x += step
            t += 5
    return HEAD + "\n".join(out) + "\n"


def test_1_labels_become_stops_and_times_are_moved(town: Town) -> None:
    track = parse_track("a.csv", rows((6, 50.0, "Driving"), (30, 0.5, "OnFoot"), (6, 50.0, "Driving")))
    replay = build_replay(town, [track], seed=1, start_at=START)
    assert [(s.started_at, s.ended_at) for s in replay.stops] == [(START + 30 * SECOND, START + 175 * SECOND)]
    first = orjson.loads(replay.events[0].payload)
    assert first["t"] == "2026-11-23T00:00:00Z"
    assert first["spd"] == pytest.approx(36.0)  # 50 m in 5 s
    assert first["hdg"] == 90
    assert len(replay.events) == 42


def test_2_a_short_walk_is_no_stop(town: Town) -> None:
    track = parse_track("a.csv", rows((6, 50.0, "Driving"), (12, 0.5, "OnFoot"), (6, 50.0, "Driving")))
    assert build_replay(town, [track], seed=1, start_at=START).stops == []  # 55 s


def test_2b_the_label_does_not_show_in_what_is_sent(town: Town) -> None:
    text = rows((6, 50.0, "Driving"), (30, 7.0, "OnFoot"), (6, 50.0, "Driving"))
    walked, driven = (
        build_replay(town, [parse_track("a.csv", t)], seed=1, start_at=START).events
        for t in (text, text.replace("OnFoot", "Driving"))
    )
    sent = [
        [(m["spd"], m["hdg"], m["lon"], m["lat"]) for e in events if (m := orjson.loads(e.payload))]
        for events in (walked, driven)
    ]
    assert sent[0] == sent[1]
    assert sent[0][20][0] == pytest.approx(5.04, abs=0.05)  # 7 m in 5 s


def test_3_distances_are_kept(town: Town) -> None:
    track = parse_track("a.csv", rows((2, 100.0, "Driving")))
    a, b = (orjson.loads(e.payload) for e in build_replay(town, [track], seed=1, start_at=START).events)
    assert town.plane.distance_m((a["lon"], a["lat"]), (b["lon"], b["lat"])) == pytest.approx(100.0, abs=0.2)


def test_4_what_was_unloaded_is_missing_from_the_scale(town: Town) -> None:
    track = parse_track("a.csv", rows((6, 50.0, "Driving"), (60, 0.1, "OnFoot"), (30, 20.0, "Driving")))
    replay = next(r for r in (build_replay(town, [track], seed=s, start_at=START) for s in range(20)) if r.unloadings)
    (one,) = replay.unloadings
    assert one.started_at == START + 40 * SECOND
    assert one.ended_at - one.started_at == pytest.approx(one.amount_kg / 25 * SECOND, abs=1)
    weights = [orjson.loads(e.payload)["w"] for e in replay.events]
    after = sum(weights[-30:]) / 30
    # 2 % white noise on about 13 t, mean of 30: 3 standard errors are 145 kg.
    assert TARE_KG + LOAD_KG - after == pytest.approx(one.amount_kg, abs=150)


def test_5_no_more_leaves_than_was_on_board(town: Town) -> None:
    track = parse_track("a.csv", rows(*[leg for _ in range(11) for leg in ((3, 50.0, "Driving"), (60, 0.1, "OnFoot"))]))
    for seed in range(10):
        assert (
            sum(u.amount_kg for u in build_replay(town, [track], seed=seed, start_at=START).unloadings) <= LOAD_KG + 0.1
        )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b\n1,2\n",
        HEAD,
        HEAD + "yesterday,1,2,Driving\n" * 2,
        rows((3, 1.0, "Driving")).replace("0.0,Driving", "nan,Driving"),
        HEAD + "1964-01-12 00:00:00,5\n",
    ],
)
def test_6_what_is_no_track_says_why(text: str) -> None:
    with pytest.raises(BadTrack, match=r"a\.csv"):
        parse_track("a.csv", text)


def test_7_files_that_are_no_tracks_are_listed(tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text(rows((5, 1.0, "Driving")))
    (tmp_path / "bad.csv").write_text("hello")
    tracks, rejected = load_tracks([tmp_path / "bad.csv", tmp_path / "good.csv"])
    assert [t.name for t in tracks] == ["good.csv"]
    assert [name for name, _ in rejected] == ["bad.csv"]


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published tracks are not here")
def test_8_the_published_tracks(town: Town) -> None:
    tracks, rejected = load_tracks([PUBLISHED])
    assert (len(tracks), rejected) == (805, [])
    replay = build_replay(town, tracks[:60], seed=1, start_at=START)
    # 57,960 rows labelled in the whole set, counted line by line from the files: 25,352 Driving, 32,608 OnFoot.
    assert sum(len(t.samples) for t in tracks) == 57_960
    assert sum(s.on_foot for t in tracks for s in t.samples) == 32_608
    assert len(replay.unloadings) <= len(replay.stops)
    assert [e.at for e in replay.events] == sorted(e.at for e in replay.events)
