"""Deadlines in days. Holidays were taken from the official calendars of 2025 and 2026 (Korea Astronomy and Space
Science Institute's almanac): Chuseok 2025 with its substitute on 8 October; Lunar New Year 2026 on 16 to 18
February."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.model.time import parse_instant, render_instant
from madang.procedure.calendar import KOREAN_CALENDAR, WorkCalendar

DAYS = st.dates(date(2020, 1, 1), date(2035, 12, 31))


@pytest.mark.parametrize(
    ("day", "working"),
    [
        (date(2025, 10, 2), True),
        (date(2025, 10, 3), False),  # National Foundation Day
        (date(2025, 10, 8), False),  # substitute of Chuseok
        (date(2025, 10, 9), False),  # Hangul Day
        (date(2025, 10, 10), True),
        (date(2026, 2, 13), True),
        (date(2026, 2, 16), False),
        (date(2026, 2, 18), False),
        (date(2026, 2, 19), True),
        (date(2026, 3, 2), False),  # substitute of 1 March, a Sunday
        (date(2026, 11, 21), False),  # a Saturday
        (date(2026, 12, 25), False),
    ],
)
def test_working_days_of_korea(day: date, working: bool) -> None:
    assert KOREAN_CALENDAR.is_working_day(day) is working


@pytest.mark.parametrize(
    ("at", "days", "due"),
    [
        # Monday 09:00 in Seoul + 2 -> before midnight of Wednesday (the example of UK waste tracking's FAQ)
        ("2026-11-23T00:00:00Z", 2, "2026-11-25T15:00:00Z"),
        # Monday 00:30 in Seoul is still Sunday in UTC: the wall calendar in Seoul counts
        ("2026-11-22T15:30:00Z", 2, "2026-11-25T15:00:00Z"),
        # Friday -> Monday, Tuesday
        ("2026-11-27T05:00:00Z", 2, "2026-12-01T15:00:00Z"),
        # over Chuseok 2025: Thursday 2 October + 1 -> Friday 10 October
        ("2025-10-02T05:00:00Z", 1, "2025-10-10T15:00:00Z"),
    ],
)
def test_working_day_deadlines(at: str, days: int, due: str) -> None:
    assert render_instant(KOREAN_CALENDAR.due_working_days(parse_instant(at), days)) == due


@pytest.mark.parametrize(
    ("at", "days", "due"),
    [
        ("2026-11-23T00:00:00Z", 15, "2026-12-08T15:00:00Z"),  # Tuesday 8 December
        ("2026-11-21T00:00:00Z", 7, "2026-11-30T15:00:00Z"),  # Saturday 28 -> Monday 30
        ("2025-09-26T00:00:00Z", 7, "2025-10-10T15:00:00Z"),  # 3 October -> after Chuseok
    ],
)
def test_calendar_day_deadlines_roll_over_days_off(at: str, days: int, due: str) -> None:
    assert render_instant(KOREAN_CALENDAR.due_days(parse_instant(at), days)) == due


def test_a_country_without_known_holidays_is_refused() -> None:
    with pytest.raises(ValueError, match="'XX' is no country with known holidays"):
        WorkCalendar("XX")


def test_without_rolling_the_last_day_stays() -> None:
    at = parse_instant("2026-11-21T00:00:00Z")
    assert render_instant(KOREAN_CALENDAR.due_days(at, 7, roll=False)) == "2026-11-28T15:00:00Z"


def test_a_city_adds_its_own_days_off() -> None:
    assert not WorkCalendar(extra=(date(2026, 11, 23),)).is_working_day(date(2026, 11, 23))


@pytest.mark.parametrize("days", [-1, 100_000])
def test_absurd_numbers_are_refused(days: int) -> None:
    with pytest.raises(ValueError, match="can be counted"):
        KOREAN_CALENDAR.add_working_days(date(2026, 1, 1), days)


@given(DAYS, st.integers(0, 60))
def test_the_result_is_a_working_day_and_exactly_n_lie_between(day: date, n: int) -> None:
    result = KOREAN_CALENDAR.add_working_days(day, n)
    assert KOREAN_CALENDAR.is_working_day(result)
    between = sum(KOREAN_CALENDAR.is_working_day(day + timedelta(days=i)) for i in range(1, (result - day).days + 1))
    assert between == n or (n == 0 and between == (result > day))


@given(DAYS, st.integers(1, 30), st.integers(0, 30))
def test_steps_add_up(day: date, first: int, second: int) -> None:
    once = KOREAN_CALENDAR.add_working_days(day, first + second)
    twice = KOREAN_CALENDAR.add_working_days(KOREAN_CALENDAR.add_working_days(day, first), second)
    assert once == twice


@given(st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31, 23, 59)), st.integers(0, 40))  # noqa: DTZ001 - naive bounds
def test_a_deadline_is_never_before_its_cause_and_ends_at_local_midnight(moment: object, days: int) -> None:
    at = parse_instant(moment.strftime("%Y-%m-%dT%H:%M:%SZ"))  # type: ignore[attr-defined]
    for due in (KOREAN_CALENDAR.due_days(at, days), KOREAN_CALENDAR.due_working_days(at, days)):
        assert due > at
        assert render_instant(due).endswith("T15:00:00Z")
