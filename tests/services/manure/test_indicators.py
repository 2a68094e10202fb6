"""The sector's figures on cases counted by hand."""

from collections.abc import Sequence
from typing import Any

import pytest

from madang.model.entity import Entity, geo, point, prop, rel
from madang.model.record import Record
from madang.model.statistics import wilson_interval
from madang.model.time import DAY, HOUR, MINUTE, parse_instant, render_instant
from madang.services.contract import IndicatorRow
from madang.services.manure.indicators import (
    INDICATOR_PARAMETERS,
    ODOUR_CHANGE_ON,
    ODOUR_CONTROL_AREA,
    ODOUR_TREATED_AREA,
    confirmed_in_time,
    odour_complaints,
    precision_after_inspection,
    share_under_manifest,
)
from madang.services.manure.parameters import PARAMETERS

START = parse_instant("2026-11-01T00:00:00Z")
WINDOW = (START, START + 30 * DAY)
DEFAULTS = {p.name: p.default for p in (*PARAMETERS, *INDICATOR_PARAMETERS)}


class Data:
    """`IndicatorData` over lists."""

    def __init__(self, *things: Entity | Record) -> None:
        self.things = things

    def list_entities(self, type_: str) -> Sequence[Entity]:
        return [t for t in self.things if isinstance(t, Entity) and t.type == type_]

    def list_records(self, type_: str) -> Sequence[Record]:
        return [t for t in self.things if isinstance(t, Record) and t.type == type_]


def unloading(n: int, truck: str, at: int, amount: float, status: str = "confirmed") -> Entity:
    attributes = {
        "vehicle": rel(truck),
        "startedAt": prop(render_instant(at)),
        "amount": prop(amount, "KGM"),
        "status": prop(status),
    }
    return Entity(f"urn:u:{n}", "ManureUnloading", attributes, 0, 0, 0, 0)


def manifest(n: int, truck: str = "t", **times: int) -> Record:
    data: dict[str, Any] = {"vehicle": truck, **{k: render_instant(v) for k, v in times.items()}}
    return Record(f"urn:m:{n}", "ManureManifest", "X", 1, data, 0, 0)


def _values(rows: list[IndicatorRow]) -> list[tuple[str, float | None, int]]:
    return [(row.label.code.rsplit(".", 1)[-1], row.value, row.sample_size) for row in rows]


# --- under a manifest ---


def test_tonnes_under_a_manifest() -> None:
    noon = START + 12 * HOUR
    data = Data(
        manifest(1, "a", openedAt=noon, closedAt=noon + HOUR),
        manifest(2, "b", openedAt=noon),  # still open
        manifest(3, "c"),  # a draft opens nothing
        unloading(1, "a", noon + 30 * MINUTE, 3000),
        unloading(2, "a", noon + HOUR + 9 * MINUTE, 1000),  # within the grace of 10 min
        unloading(3, "a", noon + HOUR + 10 * MINUTE, 2000),  # after it
        unloading(4, "b", noon + 5 * DAY, 4000),
        unloading(5, "b", noon - 11 * MINUTE, 1000),
        unloading(6, "c", noon, 1000),
        unloading(7, "a", noon, 9000, status="withdrawn"),
        unloading(8, "a", START - 1, 9000),
        unloading(9, "a", START + 30 * DAY, 9000),
    )
    (row,) = share_under_manifest(data, WINDOW, DEFAULTS)
    assert (row.value, row.sample_size, row.unit) == (66.67, 6, "P1")  # 8 t of 12 t
    # trucks: a 4 of 6, b 4 of 5, c 0 of 1; residuals 0, .6667, -.6667; variance 3/2 * .8889 / 144 = .009259
    # n = min(Kish 144/62 = 2.323, (2/9) / .009259 = 24) = 2.323
    low, high = wilson_interval(2 / 3 * 144 / 62, 144 / 62)
    assert row.interval == (pytest.approx(100 * low, abs=0.01), pytest.approx(100 * high, abs=0.01))


def test_nothing_unloaded_is_refused() -> None:
    (row,) = share_under_manifest(Data(), WINDOW, DEFAULTS)
    assert (row.value, row.interval, row.sample_size) == (None, None, 0)
    assert row.reason is not None
    assert row.reason.code == "manure.indicator.no-unloadings"


# --- confirmed in time ---


def test_confirmed_in_time() -> None:
    week = 7 * DAY
    closed = START + DAY
    times = {"finishedAt": closed, "closedAt": closed}
    data = Data(
        manifest(1, **times, confirmedAt=closed + HOUR),
        manifest(2, **times, confirmedAt=closed + week),  # at the last moment
        manifest(3, **times, confirmedAt=closed + week + 1),  # late
        manifest(4, **times),  # never
        manifest(5, finishedAt=START + 25 * DAY, closedAt=START + 25 * DAY),  # due after the window
        manifest(
            6, finishedAt=START - 3 * DAY, closedAt=START - 3 * DAY, confirmedAt=START
        ),  # due inside, finished before
        manifest(7, closedAt=START + DAY),  # cancelled
    )
    rows = confirmed_in_time(data, WINDOW, DEFAULTS)
    assert _values(rows) == [("confirmed-in-time", 60.0, 5), ("confirmed-so-far", 60.0, 5)]
    low, high = wilson_interval(3, 5)
    assert rows[0].interval == (pytest.approx(100 * low, abs=0.01), pytest.approx(100 * high, abs=0.01))
    assert [r.value for r in confirmed_in_time(Data(), WINDOW, DEFAULTS)] == [None, None]


# --- odour ---

TREATED, CONTROL = "urn:ngsi-ld:AdministrativeArea:1", "urn:ngsi-ld:AdministrativeArea:2"
CHANGE = START + 15 * DAY


def _area(id_: str, west: float) -> Entity:
    ring = [[west, 0], [west + 1, 0], [west + 1, 1], [west, 1], [west, 0]]
    return Entity(id_, "AdministrativeArea", {"location": geo({"type": "Polygon", "coordinates": [ring]})}, 0, 0, 0, 0)


def _complaints(count: int, lon: float, at: int) -> list[Entity]:
    attributes = {"location": point(lon, 0.5), "dateObserved": prop(render_instant(at))}
    return [Entity(f"urn:c:{lon}:{at}:{n}", "OdourComplaint", attributes, 0, 0, 0, 0) for n in range(count)]


def _odour(counts: tuple[int, int, int, int], **changes: Any) -> list[IndicatorRow]:
    before, after = CHANGE - 1, CHANGE
    things = [
        _area(TREATED, 0.0),
        _area(CONTROL, 10.0),
        *_complaints(counts[0], 0.5, before),
        *_complaints(counts[1], 0.5, after),
        *_complaints(counts[2], 10.5, before),
        *_complaints(counts[3], 10.5, after),
        *_complaints(5, 50.0, after),  # somewhere else
    ]
    wanted = {
        ODOUR_CHANGE_ON: render_instant(CHANGE),
        ODOUR_TREATED_AREA: TREATED,
        ODOUR_CONTROL_AREA: CONTROL,
    }
    return odour_complaints(Data(*things), WINDOW, DEFAULTS | wanted | changes)


def test_an_effect_is_claimed_against_a_comparison_area() -> None:
    rate, effect = _odour((100, 50, 100, 90))
    assert (rate.value, rate.sample_size) == (11.5, 345)
    assert effect.value == 0.556
    assert effect.interval == (pytest.approx(0.357, abs=1e-3), pytest.approx(0.865, abs=1e-3))
    assert effect.sample_size == 340


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({ODOUR_CHANGE_ON: ""}, "no-change-date"),
        ({ODOUR_CHANGE_ON: "2020-01-01T00:00:00Z"}, "change-outside"),
        ({ODOUR_CHANGE_ON: "some day"}, "change-outside"),
        ({ODOUR_CONTROL_AREA: ""}, "no-comparison-area"),
        ({ODOUR_CONTROL_AREA: TREATED}, "no-comparison-area"),
        ({ODOUR_TREATED_AREA: "urn:none"}, "no-comparison-area"),
    ],
)
def test_no_effect_is_claimed_without_a_comparison(changes: dict[str, str], code: str) -> None:
    effect = _odour((9, 9, 9, 9), **changes)[1]
    assert (effect.value, effect.interval) == (None, None)
    assert effect.reason is not None
    assert effect.reason.code == f"manure.indicator.{code}"


def test_four_counts_are_needed() -> None:
    effect = _odour((9, 0, 9, 9))[1]
    assert effect.reason is not None
    assert effect.reason.code == "manure.indicator.too-few-complaints"


# --- precision ---


def incident(n: int, rules: list[str], cause: str | None, state: str = "RESOLVED", at: int = START) -> Record:
    data = {"rules": rules, "cause": cause, "openedAt": render_instant(at)}
    return Record(f"urn:i:{n}", "Incident", state, 1, data, 0, 0)


def test_precision_counts_what_was_inspected() -> None:
    data = Data(
        incident(1, ["manure.D1", "manure.D4"], "real"),
        incident(2, ["manure.D1"], "false", "REVIEWED"),
        incident(3, ["manure.D4"], "device-fault"),
        incident(4, ["manure.D1"], "test"),  # says nothing
        incident(5, ["manure.D1"], None, "OPEN"),
        incident(6, ["water.W1"], "real"),  # another sector
        incident(7, ["manure.D1"], "real", at=START - 1),
    )
    rows = precision_after_inspection(data, WINDOW, DEFAULTS)
    assert _values(rows) == [("precision", 33.33, 3), ("precision-of", 50.0, 2), ("precision-of", 50.0, 2)]
    assert [row.label.params for row in rows] == [{}, {"rule": "D1"}, {"rule": "D4"}]
    (refused,) = precision_after_inspection(Data(), WINDOW, DEFAULTS)
    assert refused.value is None
