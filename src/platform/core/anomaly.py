"""Anomalies: a complete day that lies far from the seven days before it.

The z-score of a value x against a history with mean m and sample standard deviation s is (x - m) / s. The
history never holds the tested day: among n values, none can lie further than (n - 1) / sqrt(n) standard
deviations from their common mean, which is 2.27 for seven, so a window that holds the tested day could
never reach 2.5.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from statistics import fmean

import msgspec

from core.costing import DailyUsage
from core.resource import Resource

THRESHOLD = 2.5
WINDOW = timedelta(days=7)
LEAST_HISTORY = 3
HIGH_SEVERITY = 4.0

FLAT_TOLERANCE = 0.01
"""Where the history does not vary, one hundredth of its mean stands for the standard deviation."""

NEGLIGIBLE = 1e-9
"""A deviation this small beside the mean is a flat history written with rounding noise."""

Z_LIMIT = 1_000.0
"""A z-score is cut off here, so that it is finite also where the history is all zeros."""


class Severity(StrEnum):
    """How far out an anomaly lies."""

    MEDIUM = "medium"
    HIGH = "high"


class Judgement(msgspec.Struct, frozen=True):
    """How one complete day compares with its history."""

    day: date
    resource: Resource
    observed: Decimal
    expected: float
    expected_low: float
    expected_high: float
    z_score: float

    @property
    def is_anomaly(self) -> bool:
        """Whether the day lies at least 2.5 standard deviations from the mean of its history."""
        return abs(self.z_score) >= THRESHOLD

    @property
    def severity(self) -> Severity:
        """High from four standard deviations on."""
        return Severity.HIGH if abs(self.z_score) >= HIGH_SEVERITY else Severity.MEDIUM


def judge(tested: DailyUsage, history: Sequence[Decimal]) -> Judgement | None:
    """Compare a day's quantity with those of the preceding days; None with fewer than three of them."""
    if len(history) < LEAST_HISTORY:
        return None
    values = [float(value) for value in history]
    mean = fmean(values)
    deviation = _deviation(values, mean)
    return Judgement(
        day=tested.day,
        resource=tested.resource,
        observed=tested.quantity,
        expected=mean,
        expected_low=max(0.0, mean - THRESHOLD * deviation),
        expected_high=mean + THRESHOLD * deviation,
        z_score=_z_score(float(tested.quantity), mean, deviation),
    )


def _deviation(values: list[float], mean: float) -> float:
    # statistics.stdev works with fractions, twenty times slower, for digits that no float has.
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return deviation if deviation > NEGLIGIBLE * abs(mean) else FLAT_TOLERANCE * abs(mean)


def _z_score(value: float, mean: float, deviation: float) -> float:
    distance = value - mean
    if deviation == 0:  # all zeros: any use at all is infinitely unusual
        return math.copysign(Z_LIMIT, distance) if distance else 0.0
    return max(-Z_LIMIT, min(Z_LIMIT, distance / deviation))


def days_to_judge(changed: Iterable[date], today: date) -> list[date]:
    """The complete days whose verdict may differ after some days changed: those, and the seven after each."""
    affected = {day + timedelta(days=offset) for day in changed for offset in range(WINDOW.days + 1)}
    return sorted(day for day in affected if day < today)


def judge_days(days: Iterable[date], usage: Iterable[DailyUsage]) -> list[Judgement]:
    """Judge each resource on each of the days, from usage that reaches back seven days before the first."""
    by_day: defaultdict[date, dict[Resource, DailyUsage]] = defaultdict(dict)
    for item in usage:
        by_day[item.day][item.resource] = item
    judgements: list[Judgement] = []
    for day in sorted(by_day.keys() & set(days)):
        window = [by_day[known] for known in _preceding(day) if known in by_day]
        for resource, tested in sorted(by_day[day].items()):
            history = [known[resource].quantity for known in window if resource in known]
            judgement = judge(tested, history)
            if judgement is not None:
                judgements.append(judgement)
    return judgements


def _preceding(day: date) -> list[date]:
    return [day - timedelta(days=offset) for offset in range(1, WINDOW.days + 1)]
