"""How well the rule for anomalies does on a series whose anomalies somebody has labelled.

The rule flags days, the labels are windows of time: a flagged day is a true positive when it overlaps a
window, and a window is found when a flagged day overlaps it. Precision is the share of flagged days that are
true positives, recall the share of windows that were found.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import median_low

import msgspec
import polars as pl

from core.aggregation import EVENTS, daily_usage
from core.anomaly import Judgement, judge_days
from core.costing import DailyUsage
from core.period import day_start, local_day
from core.resource import Resource
from core.usage import UsageEvent

DAY = timedelta(days=1)


class LabelledWindow(msgspec.Struct, frozen=True, order=True):
    """The instants between which a series was anomalous, both included."""

    start: datetime
    end: datetime


class Score(msgspec.Struct, frozen=True):
    """Counts that add up over series; `labelled` is how many of the judged days overlap a window."""

    judged: int
    labelled: int
    flagged: int
    true_positives: int
    windows: int
    found: int

    @property
    def precision(self) -> float | None:
        """The share of flagged days that overlap a window; None where no day was flagged."""
        return self.true_positives / self.flagged if self.flagged else None

    @property
    def recall(self) -> float | None:
        """The share of windows that a flagged day overlaps; None where there is no window."""
        return self.found / self.windows if self.windows else None

    @property
    def by_chance(self) -> float | None:
        """The precision of flagging judged days blindly; None where no day was judged."""
        return self.labelled / self.judged if self.judged else None


class Evaluation(msgspec.Struct, frozen=True):
    """What the rule said about one series, compared with its labels."""

    true_positives: tuple[Judgement, ...]
    false_positives: tuple[Judgement, ...]
    found: tuple[LabelledWindow, ...]
    missed: tuple[LabelledWindow, ...]
    score: Score


def total_score(scores: Iterable[Score]) -> Score:
    """All series taken together: every flagged day and every window counts the same."""
    counts = [msgspec.structs.astuple(score) for score in scores]
    return (
        Score(*(sum(column) for column in zip(*counts, strict=True))) if counts else Score(0, 0, 0, 0, 0, 0)
    )


def evaluate_series(
    events: Sequence[UsageEvent], windows: Iterable[LabelledWindow], *, time_zone: str
) -> Evaluation:
    """Judge the complete days of one series of regular measurements, and compare with its labels."""
    usage = complete_daily_usage(events, time_zone=time_zone)
    return evaluate(judge_days({item.day for item in usage}, usage), windows, time_zone=time_zone)


def evaluate(
    judgements: Sequence[Judgement], windows: Iterable[LabelledWindow], *, time_zone: str
) -> Evaluation:
    """Compare judgements with labels; a day without a judgement is neither right nor wrong."""
    labels = sorted(windows)
    flagged = [judgement for judgement in judgements if judgement.is_anomaly]
    hits = [item for item in flagged if _overlaps_any(item.day, labels, time_zone)]
    found = [window for window in labels if any(_overlaps(item.day, window, time_zone) for item in flagged)]
    return Evaluation(
        true_positives=tuple(hits),
        false_positives=tuple(item for item in flagged if item not in hits),
        found=tuple(found),
        missed=tuple(window for window in labels if window not in found),
        score=Score(
            judged=len(judgements),
            labelled=sum(_overlaps_any(item.day, labels, time_zone) for item in judgements),
            flagged=len(flagged),
            true_positives=len(hits),
            windows=len(labels),
            found=len(found),
        ),
    )


def complete_daily_usage(events: Sequence[UsageEvent], *, time_zone: str) -> list[DailyUsage]:
    """The daily sums of a series, without the first and last day where the series covers only a part of them.

    A day is covered from its start to its end when no more than one step of the series is missing at either
    end; the step is the median distance of two measurements.
    """
    instants = sorted({event.occurred_at for event in events})
    if len(instants) < 2:  # noqa: PLR2004 -- one instant has no distance to another
        return []
    step = median_low(later - earlier for earlier, later in pairwise(instants))
    covered = (instants[0] - step, instants[-1] + step)
    return [item for item in _daily_usage(events, time_zone) if _is_within(item.day, covered, time_zone)]


def _daily_usage(events: Sequence[UsageEvent], time_zone: str) -> list[DailyUsage]:
    first_day = local_day(min(event.occurred_at for event in events), time_zone)
    last_day = local_day(max(event.occurred_at for event in events), time_zone)
    days = range((last_day - first_day).days + 1)
    starts = [day_start(first_day + number * DAY, time_zone) for number in days]
    columns = {
        "day_number": [bisect_right(starts, event.occurred_at) for event in events],
        "resource": [event.resource.value for event in events],
        "quantity": [event.quantity for event in events],
    }
    daily = daily_usage(pl.DataFrame(columns, schema=EVENTS), first_day=first_day)
    return [DailyUsage(day, Resource(resource), quantity) for day, resource, quantity, _ in daily.rows()]


def _is_within(day: date, covered: tuple[datetime, datetime], time_zone: str) -> bool:
    start, end = covered
    return start <= day_start(day, time_zone) and day_start(day + DAY, time_zone) <= end


def _overlaps_any(day: date, windows: Iterable[LabelledWindow], time_zone: str) -> bool:
    return any(_overlaps(day, window, time_zone) for window in windows)


def _overlaps(day: date, window: LabelledWindow, time_zone: str) -> bool:
    return window.start < day_start(day + DAY, time_zone) and day_start(day, time_zone) <= window.end
