"""The rule against labels: small cases, and the real series by a computation of its own."""

import csv
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.anomaly import Judgement
from core.evaluation import (
    Evaluation,
    LabelledWindow,
    Score,
    complete_daily_usage,
    evaluate,
    evaluate_series,
    total_score,
)
from core.resource import Resource
from core.usage import UsageEvent

AWS = Path(__file__).parents[2].parent / "shared" / "data" / "aws_cloudwatch"
A_DAY = timedelta(days=1)
MONDAY = date(2026, 11, 2)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(start: str, end: str) -> LabelledWindow:
    return LabelledWindow(at(start), at(end))


def verdict(day: date, z_score: float = 3.0) -> Judgement:
    return Judgement(day, Resource.CPU, Decimal(1), 0.0, 0.0, 0.0, z_score)


def measured(*instants: datetime, quantity: str = "1") -> list[UsageEvent]:
    return [
        UsageEvent(instant.isoformat(), "vm-1", Resource.CPU, Decimal(quantity), instant)
        for instant in instants
    ]


def hourly(first: str, last: str) -> list[UsageEvent]:
    hours = int((at(last) - at(first)) / timedelta(hours=1))
    return measured(*(at(first) + timedelta(hours=number) for number in range(hours + 1)))


# --- right and wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "hit"),
    [
        ("2026-11-02T09:00", "2026-11-02T10:00", True),
        ("2026-10-30T09:00", "2026-11-05T10:00", True),
        ("2026-11-01T09:00", "2026-11-02T00:00", True),
        ("2026-11-02T23:59", "2026-11-05T10:00", True),
        ("2026-11-01T09:00", "2026-11-01T23:59", False),
        ("2026-11-03T00:00", "2026-11-03T10:00", False),
    ],
)
def test_a_flagged_day_is_right_where_it_overlaps_a_window(start: str, end: str, hit: bool) -> None:
    label = window(start, end)
    judged = evaluate([verdict(MONDAY)], [label], time_zone="UTC")
    assert judged.true_positives == ((verdict(MONDAY),) if hit else ())
    assert judged.false_positives == (() if hit else (verdict(MONDAY),))
    assert (judged.found, judged.missed) == (((label,), ()) if hit else ((), (label,)))


def test_days_are_those_of_the_time_zone() -> None:
    label = window("2026-11-01T23:10", "2026-11-01T23:50")  # in Berlin, the first hour of Monday
    assert evaluate([verdict(MONDAY)], [label], time_zone="UTC").found == ()
    assert evaluate([verdict(MONDAY)], [label], time_zone="Europe/Berlin").found == (label,)


def test_one_day_may_find_two_windows_and_two_days_one() -> None:
    labels = [window("2026-11-02T01:00", "2026-11-02T02:00"), window("2026-11-02T20:00", "2026-11-03T02:00")]
    judgements = [verdict(MONDAY), verdict(MONDAY + A_DAY, -2.5), verdict(MONDAY + 2 * A_DAY, 2.49)]
    assert evaluate(judgements, labels, time_zone="UTC").score == Score(3, 2, 2, 2, 2, 2)


def test_precision_and_recall_are_shares_of_days_and_of_windows() -> None:
    score = Score(judged=20, labelled=5, flagged=4, true_positives=3, windows=3, found=1)
    assert (score.precision, score.recall, score.by_chance) == (0.75, 1 / 3, 0.25)
    assert total_score([score, score]) == Score(40, 10, 8, 6, 6, 2)


def test_without_flags_labels_or_days_there_is_no_share() -> None:
    nothing = evaluate_series([], [], time_zone="UTC").score
    assert nothing == total_score([]) == Score(0, 0, 0, 0, 0, 0)
    assert (nothing.precision, nothing.recall, nothing.by_chance) == (None, None, None)


minutes = st.integers(0, 14 * 24 * 60).map(lambda number: at("2026-11-01T00:00") + timedelta(minutes=number))
labels_ = st.lists(st.tuples(minutes, minutes).map(sorted), max_size=4)
verdicts = st.dictionaries(st.integers(0, 13), st.floats(-9, 9)).map(
    lambda found: [verdict(date(2026, 11, 1) + A_DAY * day, z) for day, z in found.items()]
)


@given(verdicts, labels_)
def test_every_flagged_day_and_every_window_is_counted_once(
    judgements: list[Judgement], labels: list[list[datetime]]
) -> None:
    windows = [LabelledWindow(start, end) for start, end in labels]
    judged = evaluate(judgements, windows, time_zone="UTC")
    flagged = {item.day for item in judgements if abs(item.z_score) >= 2.5}
    right = {day for day in flagged if any(start.date() <= day <= end.date() for start, end in labels)}
    assert {item.day for item in judged.true_positives} == right
    assert {item.day for item in judged.false_positives} == flagged - right
    assert sorted([*judged.found, *judged.missed]) == sorted(windows)
    assert judged.score.flagged == len(judged.true_positives) + len(judged.false_positives)
    assert (judged.score.true_positives, judged.score.found) == (len(right), len(judged.found))


# --- complete days ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "days"),
    [
        ("2026-11-02T00:00", "2026-11-04T23:00", [2, 3, 4]),
        ("2026-11-02T00:59", "2026-11-04T23:59", [2, 3, 4]),
        ("2026-11-02T01:01", "2026-11-04T23:01", [3, 4]),
        ("2026-11-02T00:30", "2026-11-04T22:30", [2, 3]),
        ("2026-11-02T12:00", "2026-11-03T12:00", []),
    ],
)
def test_days_that_a_series_covers_in_part_are_left_out(first: str, last: str, days: list[int]) -> None:
    found = complete_daily_usage(hourly(first, last), time_zone="UTC")
    assert [item.day.day for item in found] == days
    assert {item.quantity for item in found} <= {Decimal(24)}


def test_days_of_a_series_are_local_ones_of_23_and_25_hours() -> None:
    berlin = complete_daily_usage(hourly("2026-10-23T22:00", "2026-10-26T22:00"), time_zone="Europe/Berlin")
    assert [(item.day.day, int(item.quantity)) for item in berlin] == [(24, 24), (25, 25), (26, 24)]
    spring = complete_daily_usage(hourly("2026-03-27T23:00", "2026-03-29T21:00"), time_zone="Europe/Berlin")
    assert [(item.day.day, int(item.quantity)) for item in spring] == [(28, 24), (29, 23)]


def test_a_single_measurement_is_no_series() -> None:
    assert complete_daily_usage(measured(at("2026-11-02T12:00")), time_zone="UTC") == []


def test_partial_days_are_neither_judged_nor_history() -> None:
    events = hourly("2026-11-01T18:00", "2026-11-06T06:00")
    judged = evaluate_series(events, [], time_zone="UTC")
    assert judged.score == Score(judged=1, labelled=0, flagged=0, true_positives=0, windows=0, found=0)


# --- real series ------------------------------------------------------------------------------------

KNOWN: dict[str, tuple[list[str], list[str], int, int]] = {
    "ec2_cpu_utilization_24ae8d": (["2014-02-26"], [], 1, 2),
    "ec2_cpu_utilization_5f5533": (["2014-02-18", "2014-02-19", "2014-02-25"], ["2014-02-20"], 2, 2),
    "ec2_cpu_utilization_77c1ca": ([], [], 0, 1),
    "ec2_cpu_utilization_ac20cd": (["2014-04-15"], [], 1, 1),
    "ec2_disk_write_bytes_c0d644": (["2014-04-09"], ["2014-04-11"], 1, 3),
    "ec2_network_in_257a54": (["2014-04-15"], [], 1, 1),
    "elb_request_count_8c0756": (["2014-04-13"], ["2014-04-19"], 1, 2),
    "rds_cpu_utilization_cc0c53": (["2014-02-25", "2014-02-26"], [], 2, 2),
}
"""Days flagged rightly and wrongly, windows found, and windows."""

needs_series = pytest.mark.skipif(
    not AWS.is_dir(), reason="the AWS CloudWatch series are not beside this checkout"
)


def rows_of(name: str) -> list[tuple[str, str]]:
    with (AWS / f"{name}.csv").open(newline="") as file:
        return [(row["timestamp"], row["value"]) for row in csv.DictReader(file)]


def labels_of(name: str) -> list[tuple[str, str]]:
    labelled = json.loads((AWS / "anomaly_windows.json").read_text())
    return [(start, end) for start, end in labelled[f"{name}.csv"]]


def flagged_by_hand(rows: Sequence[tuple[str, str]]) -> list[str]:
    """The days that the designed rule flags, by whole numbers alone: 4 (n - 1) (x - m)² ≥ 25 Σ (v - m)²."""
    sums: dict[str, Fraction] = {}
    for time, value in rows:
        sums[time[:10]] = sums.get(time[:10], Fraction(0)) + Fraction(value)
    days = sorted(sums)
    if rows[0][0][11:] > "00:05:00":
        days = days[1:]
    if rows[-1][0][11:] < "23:55:00":
        days = days[:-1]
    flagged = []
    for position, day in enumerate(days):
        history = [sums[before] for before in days[max(0, position - 7) : position]]
        if len(history) < 3:
            continue
        mean = sum(history, Fraction(0)) / len(history)
        spread = sum((value - mean) ** 2 for value in history)
        if 4 * (len(history) - 1) * (sums[day] - mean) ** 2 >= 25 * spread:
            flagged.append(day)
    return flagged


def evaluated(name: str) -> Evaluation:
    events = [
        UsageEvent(time, name, Resource.CPU, Decimal(value).quantize(Decimal("1e-12")), at(time))
        for time, value in rows_of(name)
    ]
    windows = [window(start, end) for start, end in labels_of(name)]
    return evaluate_series(events, windows, time_zone="UTC")


@needs_series
@pytest.mark.parametrize("name", sorted(KNOWN))
def test_real_series_are_evaluated_as_by_hand(name: str) -> None:
    labels = labels_of(name)
    flagged = flagged_by_hand(rows_of(name))
    right = [day for day in flagged if any(start[:10] <= day <= end[:10] for start, end in labels)]
    found = [label for label in labels if any(label[0][:10] <= day <= label[1][:10] for day in flagged)]
    wrong = [day for day in flagged if day not in right]
    assert (right, wrong, len(found), len(labels)) == KNOWN[name]

    judged = evaluated(name)
    assert [str(item.day) for item in judged.true_positives] == right
    assert [str(item.day) for item in judged.false_positives] == wrong
    assert list(judged.found) == [window(start, end) for start, end in found]
    assert (judged.score.found, judged.score.windows) == (len(found), len(labels))


@needs_series
def test_the_rule_reaches_a_known_precision_and_recall_on_all_real_series() -> None:
    assert set(KNOWN) == {path.stem for path in AWS.glob("*.csv")}
    score = total_score(evaluated(name).score for name in KNOWN)
    assert (score.true_positives, score.flagged) == (10, 13)
    assert (score.found, score.windows) == (9, 14)
