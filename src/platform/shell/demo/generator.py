"""Plausible usage for a demonstration: three machines, hour by hour, with two planted anomalies."""

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from zoneinfo import ZoneInfo

import msgspec

from core.period import day_start, local_day
from core.resource import Resource
from core.usage import UsageEvent

DAYS = 60
SEED = 2014
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SATURDAY = 5
TUESDAY, THURSDAY = 1, 3
DECIMALS = 6
HOURLY_NOISE = 0.08
OUTAGE_FROM = 6


class Series(msgspec.Struct, frozen=True):
    """How one machine uses one resource.

    `level` is a weekday's average per hour, `swing` how far day and night part from it, `weekend` what is
    left on a Saturday or Sunday, `growth` the increase per day, `limit` what an hour cannot exceed, and
    `noise` how far a day strays from all that.
    """

    source: str
    resource: Resource
    level: float
    swing: float
    weekend: float
    growth: float = 0.0
    limit: float = math.inf
    noise: float = 0.02


SERIES = (
    Series("vm-1", Resource.CPU, level=4.2, swing=0.55, weekend=0.5, limit=16.0),
    Series("vm-1", Resource.MEMORY, level=38.0, swing=0.15, weekend=0.7, limit=64.0),
    Series("vm-1", Resource.STORAGE, level=18.0, swing=0.02, weekend=0.9, growth=0.001, noise=0.004),
    Series("vm-1", Resource.NETWORK, level=3.5, swing=0.6, weekend=0.5),
    Series("db-1", Resource.CPU, level=2.1, swing=0.4, weekend=0.55, limit=8.0),
    Series("db-1", Resource.MEMORY, level=24.0, swing=0.05, weekend=0.85, limit=32.0),
    Series("db-1", Resource.STORAGE, level=42.0, swing=0.0, weekend=0.92, growth=0.001, noise=0.004),
    Series("db-1", Resource.NETWORK, level=1.8, swing=0.5, weekend=0.6),
    Series("web-1", Resource.CPU, level=1.1, swing=0.6, weekend=0.6, limit=4.0),
    Series("web-1", Resource.MEMORY, level=6.0, swing=0.2, weekend=0.75, limit=16.0),
    Series("web-1", Resource.NETWORK, level=9.0, swing=0.6, weekend=0.6),
    Series("web-1", Resource.API_CALLS, level=4_200.0, swing=0.65, weekend=0.62),
)


class PlantedAnomaly(msgspec.Struct, frozen=True):
    """A day on which something went wrong with one machine, and what a person would say about it."""

    day: date
    source: str
    resource: Resource
    story: str


class LocalDay(msgspec.Struct, frozen=True):
    """A day, how many came before it, and its hours: when each begins, and which one local clocks show."""

    day: date
    age: int
    hours: tuple[tuple[datetime, int], ...]


class GeneratedUsage(msgspec.Struct, frozen=True):
    """Usage events in the order of time, and the anomalies among them."""

    events: list[UsageEvent]
    planted: tuple[PlantedAnomaly, ...]


def generate_usage(end: datetime, *, time_zone: str, seed: int = SEED, days: int = DAYS) -> GeneratedUsage:
    """Usage of at least so many days before the one that holds `end`, and of that day until `end`.

    It is always the same, and an event's id names its hour, so that usage generated twice counts once. Night
    and weekend are those of the time zone. The first day is a Saturday: to a rule that has only seen five
    working days, the first weekend would be an anomaly.
    """
    today = local_day(end, time_zone)
    first_day = _latest(SATURDAY, today - days * DAY)
    planted = planted_anomalies(today)
    events = [
        event
        for day in _local_days(first_day, today, time_zone)
        for series in SERIES
        for event in _events(series, day, planted, seed)
        if event.occurred_at <= end
    ]
    return GeneratedUsage(sorted(events, key=lambda event: event.occurred_at), planted)


def planted_anomalies(today: date) -> tuple[PlantedAnomaly, ...]:
    """What goes wrong in the weeks before a day: on weekdays, so that it stands out from the week before."""
    runaway = _latest(TUESDAY, today - 4 * DAY)
    outage = _latest(THURSDAY, today - 15 * DAY)
    return (
        PlantedAnomaly(outage, "web-1", Resource.API_CALLS, "web-1 cannot be reached from 06:00 on"),
        PlantedAnomaly(runaway, "vm-1", Resource.CPU, "a job on vm-1 runs away and takes every core"),
    )


def _latest(weekday: int, day: date) -> date:
    return day - timedelta(days=(day.weekday() - weekday) % 7)


def _local_days(first: date, last: date, time_zone: str) -> Iterator[LocalDay]:
    zone = ZoneInfo(time_zone)
    for age in range((last - first).days + 1):
        day = first + age * DAY
        start, end = day_start(day, time_zone), day_start(day + DAY, time_zone)
        hours = (start + number * HOUR for number in range(math.ceil((end - start) / HOUR)))
        yield LocalDay(day, age, tuple((hour, hour.astimezone(zone).hour) for hour in hours))


def _events(
    series: Series, day: LocalDay, planted: Iterable[PlantedAnomaly], seed: int
) -> Iterator[UsageEvent]:
    # Each day draws numbers of its own, so that an hour's quantity does not depend on when it is generated.
    random = Random(f"{seed} {series.source} {series.resource} {day.day}")  # noqa: S311 -- plausible data, no secret
    level = series.level * _of_the_day(series, day) * random.gauss(1.0, series.noise)
    is_wrong = any(_concerns(anomaly, series, day) for anomaly in planted)
    for start, hour in day.hours:
        quantity = level * _of_the_hour(series, hour) * random.gauss(1.0, HOURLY_NOISE)
        if is_wrong:
            quantity = _gone_wrong(series, hour, quantity, random)
        yield _event(series, start, min(max(quantity, 0.0), series.limit))


def _of_the_day(series: Series, day: LocalDay) -> float:
    """The week's rhythm and the growth since the first day."""
    weekly = series.weekend if day.day.weekday() >= SATURDAY else 1.0
    return weekly * (1.0 + series.growth * day.age)


def _of_the_hour(series: Series, hour: int) -> float:
    """The day's rhythm: least at three in the morning, most at three in the afternoon."""
    return 1.0 - series.swing * math.cos((hour - 3) / 24 * 2 * math.pi)


def _concerns(anomaly: PlantedAnomaly, series: Series, day: LocalDay) -> bool:
    wrong = (anomaly.day, anomaly.source, anomaly.resource)
    return wrong == (day.day, series.source, series.resource)


def _gone_wrong(series: Series, hour: int, quantity: float, random: Random) -> float:
    if series.resource is Resource.CPU:
        return series.limit * random.uniform(0.95, 0.99)
    return quantity * 0.01 if hour >= OUTAGE_FROM else quantity


def _event(series: Series, hour: datetime, quantity: float) -> UsageEvent:
    decimals = 0 if series.resource is Resource.API_CALLS else DECIMALS
    return UsageEvent(
        id=f"{series.resource} {hour.astimezone(UTC):%Y-%m-%dT%H:%MZ}",
        source=series.source,
        resource=series.resource,
        quantity=Decimal(f"{quantity:.{decimals}f}"),
        occurred_at=hour,
    )
