"""Local days and months: which instants they begin and end at in a tenant's time zone."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import msgspec

QUARTER_HOUR = timedelta(minutes=15)
INSTANT = timedelta(microseconds=1)
"""The smallest step between instants, here and in PostgreSQL."""

TO_ITS_LAST_INSTANT = QUARTER_HOUR - INSTANT
"""From the first instant of a quarter hour."""


class Month(msgspec.Struct, frozen=True, order=True):
    """A calendar month, written 2026-11."""

    year: int
    month: int

    def __str__(self) -> str:
        """ISO 8601, as `parse_month` reads it."""
        return f"{self.year:04d}-{self.month:02d}"

    @property
    def first_day(self) -> date:
        """The first day of the month."""
        return date(self.year, self.month, 1)

    @property
    def last_day(self) -> date:
        """The last day of the month."""
        return self.following.first_day - timedelta(days=1)

    @property
    def following(self) -> "Month":
        """The month after this one."""
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def preceding(self) -> "Month":
        """The month before this one."""
        return month_of_day(self.first_day - timedelta(days=1))

    @property
    def days(self) -> int:
        """How many days the month has."""
        return self.last_day.day


def parse_month(text: str) -> Month:
    """The month written as YYYY-MM, of a year with neighbours (0002 to 9998); raises ValueError otherwise."""
    found = re.fullmatch(r"([0-9]{4})-(0[1-9]|1[0-2])", text)
    if not found or not MINYEAR < int(found[1]) < MAXYEAR:
        raise ValueError(f"{text!r} is not a month in the form YYYY-MM")
    return Month(int(found[1]), int(found[2]))


def month_of_day(day: date) -> Month:
    """The month that a day lies in."""
    return Month(day.year, day.month)


def is_time_zone(name: str) -> bool:
    """Whether a text names a time zone of the IANA database."""
    return name in _time_zones()


@cache
def _time_zones() -> frozenset[str]:
    """The names that ZoneInfo may be asked for; any other text would be looked up as a path.

    The database is part of the installation, like Unicode's; it is searched once, since that opens hundreds
    of files. `localtime` is whatever the machine has been set to, `Factory` a placeholder.
    """
    return frozenset(available_timezones() - {"localtime", "Factory"})


def local_day(instant: datetime, time_zone: str) -> date:
    """The local day that an instant lies in: the last one that has begun.

    That is the date on the clock, except where a clock is set back over midnight (in St. John's at 00:01
    until 2011): the new day has begun, and what the clock shows twice of the old one belongs to the new.
    """
    shown = instant.astimezone(ZoneInfo(time_zone)).date()
    following = shown + timedelta(days=1)
    return following if instant >= day_start(following, time_zone) else shown


def month_of(instant: datetime, time_zone: str) -> Month:
    """The calendar month of an instant in a time zone."""
    return month_of_day(local_day(instant, time_zone))


def day_start(day: date, time_zone: str) -> datetime:
    """The first instant of a local day, in UTC: days have 23, 24 or 25 hours, so each has its own."""
    return datetime.combine(day, time.min, ZoneInfo(time_zone)).astimezone(UTC)


def is_over(day: date, now: datetime, time_zone: str) -> bool:
    """Whether a local day is complete."""
    return day < local_day(now, time_zone)


def days_of_quarter_hours(quarter_hours: Iterable[datetime], time_zone: str) -> list[date]:
    """The local days that quarter hours lie in, in order; quarter hours may come more than once.

    Today's offsets are multiples of fifteen minutes, but some old ones were not (Kiritimati had -10:40 until
    1979): there, one quarter hour lies in two days.
    """
    found: list[date] = []
    starts, index = sorted(quarter_hours), 0
    while index < len(starts):
        for instant in (starts[index], starts[index] + TO_ITS_LAST_INSTANT):
            day = local_day(instant, time_zone)
            if not found or day > found[-1]:
                found.append(day)
        following = day_start(found[-1] + timedelta(days=1), time_zone)
        index = bisect_left(starts, following - TO_ITS_LAST_INSTANT, index + 1)  # the next to leave that day
    return found


class Span(msgspec.Struct, frozen=True):
    """Consecutive local days: the instants that they begin at, and the one that the last of them ends at."""

    first: date
    starts: tuple[datetime, ...]
    end: datetime


def spans(days: Sequence[date], time_zone: str) -> list[Span]:
    """Days grouped into runs of consecutive ones, so that each run is one range of instants."""
    found: list[Span] = []
    for run in _runs(sorted(set(days))):
        starts = tuple(day_start(day, time_zone) for day in run)
        found.append(Span(run[0], starts, day_start(run[-1] + timedelta(days=1), time_zone)))
    return found


def _runs(days: Iterable[date]) -> list[list[date]]:
    runs: list[list[date]] = []
    for day in days:
        if runs and day - runs[-1][-1] == timedelta(days=1):
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs
