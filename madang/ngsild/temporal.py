"""What a temporal request asks for: window, newest N, aggregation (clauses 4.11, 4.5.19, 5.2.21, 5.2.44). Pure.

`after` and `between` begin with timeAt, as the official suite has it (021_26); `before` and `between` end before their instant, so that
windows side by side share nothing.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct

from madang.model.time import DAY, INSTANT_MAX, LAST_EXPIRY, SECOND, Instant, from_datetime, parse_instant, to_datetime
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.parse import parse_time

AFTER, BEFORE, BETWEEN = "after", "before", "between"
OBSERVED_AT, CREATED_AT, MODIFIED_AT, DELETED_AT = "observedAt", "createdAt", "modifiedAt", "deletedAt"
ANY_TIME = "any"
"""Whatever instant an instance has: when it was observed, else when it was written. For requests without a temporal query."""
TIME_PROPERTIES = (OBSERVED_AT, CREATED_AT, MODIFIED_AT, DELETED_AT)
TOTAL_COUNT, DISTINCT_COUNT, SUM, AVG, MIN, MAX, STDDEV, SUMSQ = (
    "totalCount", "distinctCount", "sum", "avg", "min", "max", "stddev", "sumsq",
)  # fmt: skip
METHODS = (TOTAL_COUNT, DISTINCT_COUNT, SUM, AVG, MIN, MAX, STDDEV, SUMSQ)
LAST_N_MAX = 100_000
"""Instances of one attribute that are asked for at once."""
PERIODS_MAX = 10_000
"""Periods in one aggregated answer; more is a curve that nobody can read."""


class Window(Struct, frozen=True):
    """Which instances are meant: `start` <= their `property` < `end`, in microseconds."""

    property: str = OBSERVED_AT
    start: Instant = 0
    end: Instant = INSTANT_MAX


class Period(Struct, frozen=True):
    """The length of aggregation periods (ISO 8601): calendar months, and microseconds. Both 0: one period over everything."""

    months: int = 0
    length: int = 0


class TemporalAsk(Struct, frozen=True):
    """What a temporal request asks for."""

    window: Window = Window()
    relation: str | None = None
    time_at: Instant | None = None
    end_time_at: Instant | None = None
    last_n: int | None = None
    methods: tuple[str, ...] = ()
    period: Period = Period()


_DURATION = re.compile(
    r"P(?:(\d{1,4})Y)?(?:(\d{1,5})M)?(?:(\d{1,5})W)?(?:(\d{1,6})D)?"
    r"(T(?:(\d{1,7})H)?(?:(\d{1,8})M)?(?:(\d{1,9})(?:\.(\d{1,6}))?S)?)?\Z"
)


def parse_period(text: Any) -> Period:
    """An ISO 8601 duration (clause 4.5.19.1). Raises NgsiLdError.

    >>> parse_period("PT1H"), parse_period("P1Y2M")
    (Period(months=0, length=3600000000), Period(months=14, length=0))
    """
    found = _DURATION.match(text) if isinstance(text, str) else None
    if found is None or text == "P" or text.endswith("T"):
        raise NgsiLdError("must be an ISO 8601 duration such as PT1H, P1D or P1M", "aggrPeriodDuration")
    years, months, weeks, days = (int(found[i] or 0) for i in (1, 2, 3, 4))
    hours, minutes, seconds = (int(found[i] or 0) for i in (6, 7, 8))
    length = (weeks * 7 + days) * DAY + (hours * 3600 + minutes * 60 + seconds) * SECOND
    length += int((found[9] or "0").ljust(6, "0"))
    return Period(years * 12 + months, length)


def parse_temporal(values: dict[str, Any], *, aggregated: bool, required: bool) -> TemporalAsk:
    """The temporal part of a request, from URL parameters or `temporalQ` and `aggrParams`. `required`: a query needs a relation
    (clause 5.7.4.4). Raises NgsiLdError saying which member is wrong."""
    relation, name = values.get("timerel"), values.get("timeproperty", OBSERVED_AT)
    if name not in TIME_PROPERTIES:
        raise NgsiLdError(f"must be one of {', '.join(TIME_PROPERTIES)}", "timeproperty")
    time_at, end_at = _instant(values, "timeAt"), _instant(values, "endTimeAt")
    if relation is None:
        if required:
            raise NgsiLdError(f"is missing: say {AFTER}, {BEFORE} or {BETWEEN} (clause 5.7.4.4)", "timerel")
        if time_at is not None or end_at is not None:
            raise NgsiLdError("is missing beside timeAt", "timerel")
        window = Window(name if "timeproperty" in values else ANY_TIME)
    else:
        window = _window(name, relation, time_at, end_at)
    last_n = values.get("lastN")
    if last_n is not None and (
        isinstance(last_n, bool) or not isinstance(last_n, int) or not 1 <= last_n <= LAST_N_MAX
    ):
        raise NgsiLdError(f"must be a whole number from 1 to {LAST_N_MAX}", "lastN")
    methods = _methods(values.get("aggrMethods"))
    duration = values.get("aggrPeriodDuration")
    period = Period() if duration is None else parse_period(duration)
    if aggregated and not methods:
        raise NgsiLdError(f"is missing: name some of {', '.join(METHODS)}", "aggrMethods")
    return TemporalAsk(window, relation, time_at, end_at, last_n, methods, period)


def _instant(values: dict[str, Any], name: str) -> Instant | None:
    given = values.get(name)
    if given is None or (isinstance(given, int) and not isinstance(given, bool)):
        return given
    # A question may name any year to say "ever"; nothing that is kept is later than `INSTANT_MAX`.
    return min(parse_instant(parse_time(given, name, LAST_EXPIRY), LAST_EXPIRY), INSTANT_MAX)


def _window(name: str, relation: Any, time_at: Instant | None, end_at: Instant | None) -> Window:
    if relation not in (AFTER, BEFORE, BETWEEN):
        raise NgsiLdError(f"must be {AFTER}, {BEFORE} or {BETWEEN}", "timerel")
    if time_at is None:
        raise NgsiLdError("is missing", "timeAt")
    if relation == BETWEEN:
        if end_at is None:
            raise NgsiLdError("is missing (timerel is between)", "endTimeAt")
        if end_at <= time_at:
            raise NgsiLdError("must lie after timeAt", "endTimeAt")
        return Window(name, time_at, end_at)
    if end_at is not None:
        raise NgsiLdError("is for timerel=between", "endTimeAt")
    return Window(name, time_at, INSTANT_MAX) if relation == AFTER else Window(name, 0, time_at)


def _methods(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    items = given if isinstance(given, list) else [given]
    names = [n for item in items for n in (item.split(",") if isinstance(item, str) else [item])]
    for method in names:
        if method not in METHODS:
            raise NgsiLdError(f"{str(method)[:40]} is not known; known: {', '.join(METHODS)}", "aggrMethods")
    return tuple(dict.fromkeys(names))


def periods(period: Period, first: Instant, last: Instant) -> Iterator[tuple[Instant, Instant]]:
    """Periods [start, end) from `first` that reach over `last`; months keep the day, or the month's last day.

    >>> list(periods(Period(length=10), 5, 20))
    [(5, 15), (15, 25)]
    """
    start, number = first, 0
    while start <= last:
        number += 1
        end = first + period.length * number if not period.months else _months_on(first, period, number)
        yield start, end
        start = end


def _months_on(first: Instant, period: Period, number: int) -> Instant:
    moment = to_datetime(first)
    month = moment.year * 12 + moment.month - 1 + period.months * number
    for day in range(moment.day, 27, -1):
        try:
            moved: datetime = moment.replace(year=month // 12, month=month % 12 + 1, day=day)
            return from_datetime(moved) + period.length * number
        except ValueError:
            continue
    return from_datetime(moment.replace(year=month // 12, month=month % 12 + 1)) + period.length * number
