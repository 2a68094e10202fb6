"""Figures of livestock-manure transport, each with its interval, its sample size and its method in words.

Every figure is over a window [start, end). A figure that cannot be known is refused with the reason: no unloading, no
deadline, no comparison. The effect of a measure on odour is claimed only against an area where the measure was not taken.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from shapely.geometry import Point, shape

from madang.model.entity import Entity, value_of
from madang.model.finding import Reason
from madang.model.record import Record
from madang.model.statistics import (
    Interval,
    poisson_interval,
    ratio_of_ratios_interval,
    weighted_share_interval,
    wilson_interval,
)
from madang.model.time import DAY, HOUR, MINUTE, Instant, parse_instant
from madang.services.contract import Indicator, IndicatorData, IndicatorRow, Parameter
from madang.services.manure.manifest import MANIFEST
from madang.services.manure.model import ADMINISTRATIVE_AREA, MANURE_UNLOADING, ODOUR_COMPLAINT
from madang.services.manure.parameters import CONFIRM_WITHIN_H, MANIFEST_GRACE_MIN

INCIDENT = "Incident"
RULES = ("manure.D1", "manure.D2", "manure.D4", "manure.D8")
INSPECTED = ("real", "false", "device-fault")
"""Causes that say whether the rule was right; a test says nothing about it."""
ODOUR_CHANGE_ON = "manure.odour_change_on"
ODOUR_TREATED_AREA = "manure.odour_treated_area"
ODOUR_CONTROL_AREA = "manure.odour_control_area"
_PERCENT = "P1"

INDICATOR_PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        ODOUR_CHANGE_ON,
        "",
        {"ko": "악취 저감 시행 시각 (RFC 3339)", "en": "When the odour measure was taken (RFC 3339)"},
        "ours: set by the city that took a measure; empty: none",
    ),
    Parameter(
        ODOUR_TREATED_AREA,
        "",
        {"ko": "시행 지역 (행정구역 식별자)", "en": "Area where it was taken (id of an administrative area)"},
        "ours; empty: none",
    ),
    Parameter(
        ODOUR_CONTROL_AREA,
        "",
        {"ko": "비교 지역 (행정구역 식별자)", "en": "Comparison area (id of an administrative area)"},
        "ours; empty: none",
    ),
)

Window = tuple[Instant, Instant]
_Params = Mapping[str, Any]


def _in(at: Any, window: Window) -> bool:
    """True for RFC 3339 text inside the window; a text that a person mistyped is in no window."""
    try:
        return isinstance(at, str) and window[0] <= parse_instant(at) < window[1]
    except ValueError:
        return False


def _percent(interval: Interval) -> Interval:
    return round(interval[0] * 100, 2), round(interval[1] * 100, 2)


def _share_row(label: Reason, hits: int, total: int, empty: str) -> IndicatorRow:
    """A proportion in percent with Wilson's interval; refused with the reason `empty` when there is nothing to divide by."""
    if total == 0:
        return IndicatorRow(label, None, _PERCENT, 0, reason=Reason(empty))
    interval = _percent(wilson_interval(hits, total))
    return IndicatorRow(label, round(100 * hits / total, 2), _PERCENT, total, interval)


# --- tonnes under a manifest -----------------------------------------------------------------------------------------


def share_under_manifest(data: IndicatorData, window: Window, params: _Params) -> list[IndicatorRow]:
    """Tonnes unloaded while the truck had an open manifest, in all tonnes unloaded, in percent."""
    grace = round(float(params[MANIFEST_GRACE_MIN]) * MINUTE)
    open_times = _open_times(data.list_records(MANIFEST), grace)
    trucks: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    count = 0
    for unloading in data.list_entities(MANURE_UNLOADING):
        started = value_of(unloading.attributes.get("startedAt"))
        amount = value_of(unloading.attributes.get("amount"))
        if value_of(unloading.attributes.get("status")) == "withdrawn" or not _in(started, window) or not amount:
            continue
        truck, at = str(value_of(unloading.attributes.get("vehicle"))), parse_instant(started)
        count += 1
        trucks[truck][1] += amount
        if any(begin <= at < end for begin, end in open_times.get(truck, ())):
            trucks[truck][0] += amount
    label = Reason("manure.indicator.under-manifest")
    found = weighted_share_interval((part, whole) for part, whole in trucks.values())
    if found is None:
        return [IndicatorRow(label, None, _PERCENT, 0, reason=Reason("manure.indicator.no-unloadings"))]
    return [IndicatorRow(label, round(100 * found[0], 2), _PERCENT, count, _percent(found[1]))]


def _open_times(manifests: Sequence[Record], grace: Instant) -> dict[str, list[Window]]:
    """When each truck had an open manifest, grace included; one that is still open has no end."""
    times: dict[str, list[Window]] = defaultdict(list)
    for manifest in manifests:
        opened, closed = manifest.data.get("openedAt"), manifest.data.get("closedAt")
        if opened:
            end = parse_instant(closed) + grace if closed else 1 << 62
            times[manifest.data["vehicle"]].append((parse_instant(opened) - grace, end))
    return times


# --- confirmed in time -----------------------------------------------------------------------------------------------


def confirmed_in_time(data: IndicatorData, window: Window, params: _Params) -> list[IndicatorRow]:
    """Of the manifests that came due in the window, those confirmed by then; and of those finished in it, those confirmed so far."""
    within = round(float(params[CONFIRM_WITHIN_H]) * HOUR)
    due_hits = due_total = hits = total = 0
    for manifest in data.list_records(MANIFEST):
        finished, confirmed = manifest.data.get("finishedAt"), manifest.data.get("confirmedAt")
        closed = manifest.data.get("closedAt")
        if not finished or not closed:
            continue
        due = parse_instant(closed) + within
        confirmed_at = parse_instant(confirmed) if confirmed else None
        if window[0] <= due < window[1]:
            due_total += 1
            due_hits += confirmed_at is not None and confirmed_at <= due
        if _in(closed, window):
            total += 1
            hits += confirmed_at is not None and confirmed_at < window[1]
    none_due = "manure.indicator.no-manifests-due"
    return [
        _share_row(Reason("manure.indicator.confirmed-in-time"), due_hits, due_total, none_due),
        _share_row(Reason("manure.indicator.confirmed-so-far"), hits, total, "manure.indicator.no-manifests-finished"),
    ]


# --- odour complaints ------------------------------------------------------------------------------------------------


def odour_complaints(data: IndicatorData, window: Window, params: _Params) -> list[IndicatorRow]:
    """Complaints a day, and the effect of the city's measure on them where it can be compared."""
    complaints = [c for c in data.list_entities(ODOUR_COMPLAINT) if _in(_observed(c), window)]
    days = (window[1] - window[0]) / DAY
    low, high = poisson_interval(len(complaints))
    rate = IndicatorRow(
        Reason("manure.indicator.complaints"),
        round(len(complaints) / days, 3),
        "C62",
        len(complaints),
        (round(low / days, 3), round(high / days, 3)),
    )
    return [rate, _effect(data, complaints, window, params)]


def _effect(data: IndicatorData, complaints: list[Entity], window: Window, params: _Params) -> IndicatorRow:
    label = Reason("manure.indicator.complaints-ratio")

    def refuse(code: str) -> IndicatorRow:
        return IndicatorRow(label, None, "C62", len(complaints), reason=Reason(f"manure.indicator.{code}"))

    change_on = params.get(ODOUR_CHANGE_ON)
    if not change_on:
        return refuse("no-change-date")
    if not _in(change_on, window):
        return refuse("change-outside")
    areas = {area.id: area for area in data.list_entities(ADMINISTRATIVE_AREA)}
    treated, control = areas.get(params.get(ODOUR_TREATED_AREA, "")), areas.get(params.get(ODOUR_CONTROL_AREA, ""))
    if treated is None or control is None or treated.id == control.id:
        return refuse("no-comparison-area")
    change_at = parse_instant(change_on)
    treated_before, treated_after = _before_after(complaints, treated, change_at)
    control_before, control_after = _before_after(complaints, control, change_at)
    found = ratio_of_ratios_interval(treated_before, treated_after, control_before, control_after)
    if found is None:
        return refuse("too-few-complaints")
    ratio, low, high = (round(x, 3) for x in found)
    size = treated_before + treated_after + control_before + control_after
    return IndicatorRow(label, ratio, "C62", size, (low, high))


def _before_after(complaints: list[Entity], area: Entity, change_at: Instant) -> tuple[int, int]:
    boundary = shape(value_of(area.attributes["location"]))
    before = after = 0
    for complaint in complaints:
        place = value_of(complaint.attributes.get("location"))
        if not place or not boundary.covers(Point(place["coordinates"])):
            continue
        if parse_instant(_observed(complaint)) < change_at:
            before += 1
        else:
            after += 1
    return before, after


def _observed(complaint: Entity) -> Any:
    return value_of(complaint.attributes.get("dateObserved"))


# --- precision after inspection --------------------------------------------------------------------------------------


def precision_after_inspection(data: IndicatorData, window: Window, params: _Params) -> list[IndicatorRow]:
    """Of the incidents of the window that people have resolved with a verdict on the facts, those that were real, by rule."""
    verdicts: list[tuple[set[str], bool]] = []
    for incident in data.list_records(INCIDENT):
        rules = set(incident.data.get("rules", ())) & set(RULES)
        judged = incident.state in ("RESOLVED", "REVIEWED") and incident.data.get("cause") in INSPECTED
        if rules and judged and _in(incident.data.get("openedAt"), window):
            verdicts.append((rules, incident.data["cause"] == "real"))
    none = "manure.indicator.no-inspections"
    rows = [_share_row(Reason("manure.indicator.precision"), sum(r for _, r in verdicts), len(verdicts), none)]
    for rule in RULES:
        of_rule = [real for rules, real in verdicts if rule in rules]
        if of_rule:
            label = Reason("manure.indicator.precision-of", {"rule": rule.removeprefix("manure.")})
            rows.append(_share_row(label, sum(of_rule), len(of_rule), none))
    return rows


INDICATORS: tuple[Indicator, ...] = (
    Indicator(
        "manure.under_manifest",
        {"ko": "전자인계서로 운반한 비율", "en": "Share moved under a manifest"},
        _PERCENT,
        {
            "ko": "기간 안의 하역(중량계로 판정, 철회된 것 제외) 가운데 전자인계서가 열려 있던 동안의 하역량 비율입니다. "
            "같은 차량의 하역은 서로 독립이 아니므로 차량을 표본 단위로 하여 유효 표본 수로 구한 95% 윌슨 구간입니다.",
            "en": "Unloaded mass (by weight sensor, withdrawn ones left out) during open manifests, in all unloaded mass. "
            "95 % Wilson interval with an effective sample size whose units are trucks, because one truck's unloadings are alike.",
        },
        share_under_manifest,
    ),
    Indicator(
        "manure.confirmed_in_time",
        {"ko": "기한 내 확인율", "en": "Confirmed in time"},
        _PERCENT,
        {
            "ko": "확인 기한이 기간 안에 끝난 전자인계서 가운데 기한까지 양쪽이 확인한 비율과, 기간 안에 종료된 것 가운데 지금까지 "
            "확인된 비율입니다. 95% 윌슨 구간.",
            "en": "Of manifests whose time to confirm ended in the period, the share that both sides had confirmed by then; and of "
            "those finished in the period, the share confirmed so far. 95 % Wilson intervals.",
        },
        confirmed_in_time,
    ),
    Indicator(
        "manure.odour_complaints",
        {"ko": "악취 민원", "en": "Odour complaints"},
        "C62",
        {
            "ko": "하루 민원 수(정확 포아송 구간)와, 시행 지역의 시행 전후 비율을 비교 지역의 전후 비율로 나눈 값(로그 척도 델타법 95% "
            "구간)입니다. 1보다 작으면 줄어든 것입니다. 시행일이나 비교 지역이 없으면 효과를 말하지 않습니다.",
            "en": "Complaints a day (exact Poisson interval), and after ÷ before in the treated area divided by after ÷ before in the "
            "comparison area (95 % interval on the log scale, delta method); below 1 they fell. Refused without date or comparison.",
        },
        odour_complaints,
    ),
    Indicator(
        "manure.precision_after_inspection",
        {"ko": "현장 확인 뒤 탐지 정확도", "en": "Precision after inspection"},
        _PERCENT,
        {
            "ko": "기간 안에 접수되어 종결된 사건 가운데 원인이 사실인 비율입니다. 장치 고장은 오탐으로 세고 시험은 뺍니다. 95% 윌슨 구간.",
            "en": "Of incidents opened in the period and resolved, the share whose cause was real. Device faults count as false, "
            "tests are left out. 95 % Wilson interval.",
        },
        precision_after_inspection,
    ),
)
