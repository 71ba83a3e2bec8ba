from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from core.period import (
    QUARTER_HOUR,
    Month,
    day_start,
    days_of_quarter_hours,
    is_over,
    is_time_zone,
    local_day,
    month_of,
    month_of_day,
    parse_month,
    spans,
)
from tests.core.strategies import ODD_ZONES, any_instants, months, time_zones, zones_and_instants

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
A_DAY = timedelta(days=1)

day_sets = st.lists(st.dates(date(2009, 12, 1), date(2012, 2, 1)), min_size=1, max_size=40)


def quarter_hour(instant: datetime) -> datetime:
    """The quarter hour that PostgreSQL's date_bin puts an instant in."""
    return instant - (instant - EPOCH) % QUARTER_HOUR


def hours(day: date, time_zone: str) -> float:
    """How long a local day is."""
    return (day_start(day + A_DAY, time_zone) - day_start(day, time_zone)) / timedelta(hours=1)


# --- days -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "time_zone", "length"),
    [
        (date(2026, 3, 28), "Europe/Berlin", 24),
        (date(2026, 3, 29), "Europe/Berlin", 23),
        (date(2026, 10, 25), "Europe/Berlin", 25),
        (date(2026, 10, 4), "Australia/Lord_Howe", 23.5),
        (date(2026, 4, 5), "Australia/Lord_Howe", 24.5),
        (date(2026, 3, 29), "Asia/Kathmandu", 24),
        (date(2026, 3, 29), "UTC", 24),
        (date(2018, 11, 4), "America/Sao_Paulo", 23),  # began at 01:00
        (date(2018, 2, 17), "America/Sao_Paulo", 25),  # its last hour came twice
        (date(2026, 11, 1), "America/Havana", 25),  # its first hour comes twice
        (date(2011, 12, 29), "Pacific/Apia", 24),
        (date(2011, 12, 30), "Pacific/Apia", 0),  # never was
        (date(2011, 12, 31), "Pacific/Apia", 24),
        (date(1993, 8, 21), "Pacific/Kwajalein", 0),
        (date(2010, 11, 7), "America/St_Johns", 25),
    ],
)
def test_a_local_day_is_as_long_as_its_clocks_make_it(day: date, time_zone: str, length: float) -> None:
    assert hours(day, time_zone) == length


@pytest.mark.parametrize(
    ("day", "time_zone", "start"),
    [
        (date(2026, 3, 29), "Europe/Berlin", datetime(2026, 3, 28, 23, tzinfo=UTC)),
        (date(2026, 7, 1), "Europe/Berlin", datetime(2026, 6, 30, 22, tzinfo=UTC)),
        (date(2026, 7, 1), "Asia/Kathmandu", datetime(2026, 6, 30, 18, 15, tzinfo=UTC)),
        (date(2026, 7, 1), "Pacific/Kiritimati", datetime(2026, 6, 30, 10, tzinfo=UTC)),
        (date(2026, 7, 1), "America/Los_Angeles", datetime(2026, 7, 1, 7, tzinfo=UTC)),
        (date(2018, 11, 4), "America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC)),
        (date(2026, 11, 1), "America/Havana", datetime(2026, 11, 1, 4, tzinfo=UTC)),  # the first of its two
        (date(2011, 12, 30), "Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
        (date(2011, 12, 31), "Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ],
)
def test_a_local_day_begins_at_its_first_midnight(day: date, time_zone: str, start: datetime) -> None:
    assert day_start(day, time_zone) == start
    assert day_start(day, time_zone).tzinfo is UTC


@pytest.mark.parametrize(
    ("instant", "time_zone", "day"),
    [
        (datetime(2026, 11, 22, 22, 59, 59, 999999, tzinfo=UTC), "Europe/Berlin", date(2026, 11, 22)),
        (datetime(2026, 11, 22, 23, tzinfo=UTC), "Europe/Berlin", date(2026, 11, 23)),
        (datetime(2026, 11, 22, 18, 14, tzinfo=UTC), "Asia/Kathmandu", date(2026, 11, 22)),
        (datetime(2026, 11, 22, 18, 15, tzinfo=UTC), "Asia/Kathmandu", date(2026, 11, 23)),
        (datetime(2011, 12, 30, 9, 59, tzinfo=UTC), "Pacific/Apia", date(2011, 12, 29)),
        (datetime(2011, 12, 30, 10, tzinfo=UTC), "Pacific/Apia", date(2011, 12, 31)),
        # In St. John's, 7 November 2010 began at 02:30 UTC; at 02:31 the clocks said 23:01 again.
        (datetime(2010, 11, 7, 2, 29, tzinfo=UTC), "America/St_Johns", date(2010, 11, 6)),
        (datetime(2010, 11, 7, 2, 30, tzinfo=UTC), "America/St_Johns", date(2010, 11, 7)),
        (datetime(2010, 11, 7, 3, 0, tzinfo=UTC), "America/St_Johns", date(2010, 11, 7)),
    ],
)
def test_an_instant_lies_in_the_last_local_day_that_has_begun(
    instant: datetime, time_zone: str, day: date
) -> None:
    assert local_day(instant, time_zone) == day


@given(zones_and_instants())
@example(("America/St_Johns", datetime(2010, 11, 7, 2, 45, tzinfo=UTC)))
@example(("Antarctica/Casey", datetime(2010, 3, 4, 15, 30, tzinfo=UTC)))
@example(("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)))
@example(("Africa/Monrovia", datetime(1972, 1, 7, 0, 44, 29, tzinfo=UTC)))
def test_every_instant_lies_between_the_start_of_its_day_and_that_of_the_next(
    case: tuple[str, datetime],
) -> None:
    zone, instant = case
    day = local_day(instant, zone)
    assert day_start(day, zone) <= instant < day_start(day + A_DAY, zone)


@given(zones_and_instants())
def test_nowadays_the_day_is_the_one_on_the_clock(case: tuple[str, datetime]) -> None:
    zone, instant = case
    nowadays = instant.replace(year=2024 + instant.year % 8, day=min(instant.day, 28))
    assert local_day(nowadays, zone) == nowadays.astimezone(ZoneInfo(zone)).date()


@given(time_zones, st.dates(date(1972, 1, 2), date(2100, 12, 31)))
def test_days_begin_one_after_the_other(zone: str, day: date) -> None:
    assert day_start(day, zone) <= day_start(day + A_DAY, zone)
    assert 0 <= hours(day, zone) <= 27


@given(zones_and_instants())
def test_today_is_not_over_and_yesterday_is(case: tuple[str, datetime]) -> None:
    zone, now = case
    today = local_day(now, zone)
    assert not is_over(today, now, zone)
    assert not is_over(today + A_DAY, now, zone)
    assert is_over(today - A_DAY, now, zone)


# --- quarter hours --------------------------------------------------------------------------------


@given(zones_and_instants())
@example(("America/St_Johns", datetime(2010, 11, 7, 2, 45, tzinfo=UTC)))
@example(("Pacific/Kiritimati", datetime(1975, 6, 1, 10, 39, 59, tzinfo=UTC)))
@example(("Pacific/Kiritimati", datetime(1975, 6, 1, 10, 40, tzinfo=UTC)))
@example(("Africa/Monrovia", datetime(1972, 1, 5, 0, 44, 30, tzinfo=UTC)))
def test_the_days_of_a_quarter_hour_hold_each_of_its_instants(case: tuple[str, datetime]) -> None:
    zone, instant = case
    assert local_day(instant, zone) in days_of_quarter_hours([quarter_hour(instant)], zone)


@given(zones_and_instants())
def test_the_days_of_a_quarter_hour_are_touched_by_it(case: tuple[str, datetime]) -> None:
    zone, instant = case
    start = quarter_hour(instant)
    for day in days_of_quarter_hours([start], zone):
        assert day_start(day, zone) < start + QUARTER_HOUR
        assert day_start(day + A_DAY, zone) > start


@given(st.lists(any_instants, max_size=20), st.sampled_from(ODD_ZONES))
def test_the_days_of_quarter_hours_come_once_and_in_order(instants: list[datetime], zone: str) -> None:
    found = days_of_quarter_hours([quarter_hour(instant) for instant in instants] * 2, zone)
    assert found == sorted(set(found))
    assert {local_day(instant, zone) for instant in instants} <= set(found)


def test_today_a_quarter_hour_lies_in_one_day_everywhere() -> None:
    starts = [datetime(2026, 6, 1, tzinfo=UTC) + QUARTER_HOUR * step for step in range(97)]
    for zone in ODD_ZONES:
        assert all(len(days_of_quarter_hours([start], zone)) == 1 for start in starts)


# --- spans ----------------------------------------------------------------------------------------


@given(day_sets, st.sampled_from(ODD_ZONES))
def test_spans_are_the_days_in_runs_without_gaps(chosen: list[date], zone: str) -> None:
    found = spans(chosen, zone)
    listed = [span.first + A_DAY * step for span in found for step in range(len(span.starts))]
    assert listed == sorted(set(chosen))
    for earlier, later in pairwise(found):
        assert earlier.first + A_DAY * len(earlier.starts) < later.first


@given(day_sets, st.sampled_from(ODD_ZONES))
def test_a_span_is_tiled_by_its_days_exactly(chosen: list[date], zone: str) -> None:
    for span in spans(chosen, zone):
        edges = [*span.starts, span.end]
        assert edges == sorted(edges)
        assert edges == [day_start(span.first + A_DAY * step, zone) for step in range(len(edges))]


@settings(max_examples=300)
@given(zones_and_instants(), st.integers(0, 3), st.integers(0, 3))
@example(("America/St_Johns", datetime(2010, 11, 7, 2, 45, tzinfo=UTC)), 1, 1)
@example(("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)), 2, 1)
def test_counting_the_starts_of_a_span_finds_the_day_of_an_instant(
    case: tuple[str, datetime], before: int, after: int
) -> None:
    zone, instant = case
    day = local_day(instant, zone)
    assume(day - A_DAY * before > date(1971, 12, 31))
    (span,) = spans([day + A_DAY * offset for offset in range(-before, after + 1)], zone)
    assert span.starts[0] <= instant < span.end
    # As PostgreSQL's width_bucket counts: 1 is the first day.
    assert span.first + A_DAY * (bisect_right(span.starts, instant) - 1) == day


def test_no_days_are_no_spans() -> None:
    assert spans([], "UTC") == []


# --- months ---------------------------------------------------------------------------------------


@given(months)
def test_a_month_is_read_as_it_is_written(month: Month) -> None:
    assert parse_month(str(month)) == month


@given(months)
def test_a_month_lies_between_the_one_before_and_the_one_after(month: Month) -> None:
    assert month.preceding < month < month.following
    assert month.following.preceding == month == month.preceding.following
    assert month.preceding.last_day + A_DAY == month.first_day
    assert month.last_day + A_DAY == month.following.first_day
    assert month.days == (month.following.first_day - month.first_day).days


@given(st.dates(date(1972, 1, 1), date(2100, 12, 31)))
def test_a_day_lies_in_its_month(day: date) -> None:
    month = month_of_day(day)
    assert month.first_day <= day <= month.last_day
    assert (month.year, month.month) == (day.year, day.month)


@pytest.mark.parametrize(
    ("month", "length"), [("2026-02", 28), ("2028-02", 29), ("2100-02", 28), ("2026-12", 31), ("2026-11", 30)]
)
def test_a_month_has_as_many_days_as_the_calendar_says(month: str, length: int) -> None:
    assert parse_month(month).days == length


@pytest.mark.parametrize("month", ["0002-01", "9998-12"])
def test_the_first_and_last_months_that_are_read_can_be_computed_with(month: str) -> None:
    found = parse_month(month)
    assert found.days == 31
    assert found.preceding < found < found.following
    assert found.preceding.days
    assert found.following.days


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026",
        "2026-1",
        "2026-13",
        "2026-00",
        "2026-11-01",
        "26-11",
        "0000-01",
        "0001-01",  # nothing comes before it
        "9999-12",  # nothing comes after it
        "12026-11",
        "-2026-11",
        " 2026-11",
        "2026-11\n",
        "2026-11\x00",
        "２０２６-11",  # noqa: RUF001 -- full-width digits
        "2026/11",
    ],
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a month"):
        parse_month(text)


def test_the_month_of_an_instant_is_the_local_one() -> None:
    instant = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)
    assert month_of(instant, "Europe/Berlin") == Month(2026, 11)
    assert month_of(instant, "UTC") == Month(2026, 10)
    assert month_of(datetime(2026, 1, 1, 2, tzinfo=UTC), "America/New_York") == Month(2025, 12)


# --- time zones -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "..",
        "/",
        "UTC\x00",
        "UTC\n",
        " UTC",
        "utc",
        "../../etc/passwd",
        "/etc/passwd",
        "/usr/share/zoneinfo/UTC",
        "Europe",
        "Europe/",
        "Europe/Berlin/",
        "Europe//Berlin",
        "Europe/../UTC",
        "europe/berlin",
        "posix/Europe/Berlin",
        "right/Europe/Berlin",
        "posixrules",
        "localtime",
        "Factory",
        "tzdata.zi",
        "zone.tab",
        "Mars/Olympus",
        "+01:00",
        "CET-1CEST",
        "\ud800",
        "x" * 1_000_000,
    ],
)
def test_no_path_or_unknown_name_is_a_time_zone(name: str) -> None:
    assert not is_time_zone(name)


@pytest.mark.parametrize("name", ["UTC", *ODD_ZONES, "America/Argentina/Buenos_Aires", "Europe/Kyiv", "CET"])
def test_a_name_of_the_database_is_a_time_zone(name: str) -> None:
    assert is_time_zone(name)


def test_every_time_zone_that_is_admitted_can_be_computed_with() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    admitted = [name for name in sorted(available_timezones()) if is_time_zone(name)]
    assert len(admitted) > 400
    assert {local_day(now, name).day for name in admitted} == {23, 24}
