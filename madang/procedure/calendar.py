"""Deadlines in days: calendar days and Korean working days, as instants.

Rules, all of the place's law and none of ours: the day of the event does not count (Korean Civil Act art. 157), a
period in days ends with its last day (art. 159), and a last day that is a Saturday or a public holiday moves to the
next working day (art. 161). A deadline "until before midnight of Wednesday" is the instant Thursday 00:00 local time,
exclusive.

Public holidays, substitutes included, come from the `holidays` library: data by year, no clock. Days announced at
short notice (an election brought forward, a bridging day) are in it only after an update; a city adds them with
`extra`.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import holidays

from madang.model.time import Instant, from_datetime, to_datetime

KOREA = ZoneInfo("Asia/Seoul")
DAYS_MAX = 3_660
"""Ten years: a longer deadline is a mistake in a table."""


class WorkCalendar:
    """Working days of one country: Monday to Friday without public holidays."""

    def __init__(self, country: str = "KR", zone: ZoneInfo = KOREA, extra: Iterable[date] = ()) -> None:
        """`extra`: further days off of this city. Raises ValueError for a country whose holidays nobody has listed."""
        self.zone = zone
        try:
            self._holidays = holidays.country_holidays(country)
        except NotImplementedError as error:  # so the library says that it has no such country
            raise ValueError(
                f"{country!r} is no country with known holidays: name it by ISO 3166-1, such as KR"
            ) from error
        self._extra = frozenset(extra)

    def is_working_day(self, day: date) -> bool:
        """True from Monday to Friday, unless the day is a public holiday.

        >>> KOREAN_CALENDAR.is_working_day(date(2025, 10, 9))  # Hangul Day
        False
        """
        return day.weekday() < 5 and day not in self._extra and day not in self._holidays

    def add_working_days(self, day: date, days: int) -> date:
        """The working day that is `days` working days after `day`; 0 gives `day` itself if it is one, else the next.

        Raises ValueError for a negative or absurd number.

        >>> KOREAN_CALENDAR.add_working_days(date(2025, 10, 2), 1)  # before seven days off around Chuseok and a weekend
        datetime.date(2025, 10, 10)
        """
        _check_days(days)
        result = day
        if days == 0:
            while not self.is_working_day(result):
                result += timedelta(days=1)
        for _ in range(days):
            result += timedelta(days=1)
            while not self.is_working_day(result):
                result += timedelta(days=1)
        return result

    def local_day(self, at: Instant) -> date:
        """The day that the calendar on the wall shows at the instant."""
        return to_datetime(at).astimezone(self.zone).date()

    def end_of_day(self, day: date) -> Instant:
        """The midnight that ends the day: the first instant that is too late."""
        following = day + timedelta(days=1)
        return from_datetime(datetime(following.year, following.month, following.day, tzinfo=self.zone))

    def due_working_days(self, at: Instant, days: int) -> Instant:
        """End of the `days`-th working day counted from the day after `at` (Monday 09:00 + 2 -> before midnight of
        Wednesday)."""
        _check_days(days)
        return self.end_of_day(self.add_working_days(self.local_day(at), days))

    def due_days(self, at: Instant, days: int, roll: bool = True) -> Instant:
        """End of the `days`-th calendar day counted from the day after `at`. With `roll` a last day that is no
        working day moves to the next one (art. 161)."""
        _check_days(days)
        last = self.local_day(at) + timedelta(days=days)
        return self.end_of_day(self.add_working_days(last, 0) if roll else last)


def _check_days(days: int) -> None:
    if not 0 <= days <= DAYS_MAX:
        raise ValueError(f"a deadline of {days} days; 0 to {DAYS_MAX} can be counted")


KOREAN_CALENDAR = WorkCalendar()
"""Public holidays of the Republic of Korea, Asia/Seoul."""
