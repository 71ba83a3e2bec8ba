"""Anomalies against a computation of their own: fractions and Decimal's square root, without floats."""

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from fractions import Fraction
from math import isfinite
from pathlib import Path

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.aggregation import EVENTS, daily_usage
from core.anomaly import Judgement, Severity, days_to_judge, judge, judge_days
from core.costing import DailyUsage
from core.resource import Resource
from tests.core.strategies import daily_usages, decimals_below, quantities

A_DAY = timedelta(days=1)
DAY = date(2026, 11, 20)
TODAY = date(2026, 11, 23)
PRECISE = Context(prec=60)
AWS = Path(__file__).parents[2].parent / "shared" / "data" / "aws_cloudwatch"


def root(number: Fraction) -> Fraction:
    """The square root, to fifty digits."""
    quotient = PRECISE.divide(Decimal(number.numerator), Decimal(number.denominator))
    return Fraction(PRECISE.sqrt(quotient))


def naive_z(value: Fraction, history: Sequence[Fraction]) -> Fraction:
    """The designed rule as one reads it: sample deviation; a flat history counts as varying by 1 %."""
    mean = sum(history) / Fraction(len(history))
    deviation = root(sum((item - mean) ** 2 for item in history) / Fraction(len(history) - 1))
    if deviation <= mean / 10**9:
        deviation = mean / 100
    if deviation == 0:
        return Fraction(1_000 * ((value > 0) - (value < 0)))
    return max(Fraction(-1_000), min(Fraction(1_000), (value - mean) / deviation))


def usage(quantity: str | Decimal, day: date = DAY, resource: Resource = Resource.CPU) -> DailyUsage:
    return DailyUsage(day, resource, Decimal(quantity))


def week_before(quantities: Sequence[str], day: date = DAY) -> list[DailyUsage]:
    """Usage of the days before a day, the latest last."""
    return [
        usage(quantity, day - A_DAY * offset)
        for offset, quantity in zip(range(len(quantities), 0, -1), quantities, strict=True)
    ]


def judged(quantity: str, *history: str) -> Judgement:
    """The verdict on a quantity, given the ones before."""
    judgement = judge(usage(quantity), [Decimal(item) for item in history])
    assert judgement is not None
    return judgement


histories = st.lists(quantities, min_size=3, max_size=7)
everyday_histories = st.lists(decimals_below(10**6, places=6), min_size=3, max_size=7)


# --- the z-score ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "z", "is_anomaly", "severity"),
    [
        ("10", 0.0, False, Severity.MEDIUM),
        ("14.999999", 2.4999995, False, Severity.MEDIUM),
        ("15", 2.5, True, Severity.MEDIUM),
        ("5", -2.5, True, Severity.MEDIUM),
        ("5.000001", -2.4999995, False, Severity.MEDIUM),
        ("17.999998", 3.999999, True, Severity.MEDIUM),
        ("18", 4.0, True, Severity.HIGH),
        ("2", -4.0, True, Severity.HIGH),
        ("0", -5.0, True, Severity.HIGH),
        ("1000000", 1_000.0, True, Severity.HIGH),
    ],
)
def test_a_day_is_an_anomaly_from_two_and_a_half_deviations_on(
    quantity: str, z: float, is_anomaly: bool, severity: Severity
) -> None:
    judgement = judged(quantity, "8", "10", "12")  # mean 10, sample deviation 2
    assert judgement.z_score == pytest.approx(z, abs=1e-12)
    assert judgement.is_anomaly is is_anomaly
    assert judgement.severity is severity


def test_a_verdict_tells_what_was_expected() -> None:
    assert judged("15", "8", "10", "12") == Judgement(
        day=DAY,
        resource=Resource.CPU,
        observed=Decimal(15),
        expected=10.0,
        expected_low=5.0,
        expected_high=15.0,
        z_score=2.5,
    )


def test_nobody_expects_less_than_nothing() -> None:
    assert judged("5", "0", "5", "10").expected_low == 0.0


@given(quantities, histories)
def test_the_z_score_is_the_designed_one(quantity: Decimal, history: list[Decimal]) -> None:
    exact = [Fraction(item) for item in history]
    mean = sum(exact) / len(exact)
    spread = max(exact) - min(exact)
    assume(spread == 0 or spread > mean / 10**6)  # rounding noise is judged in a test of its own
    judgement = judge(usage(quantity), history)
    assert judgement is not None
    assert judgement.z_score == pytest.approx(float(naive_z(Fraction(quantity), exact)), rel=1e-6, abs=1e-6)


@given(decimals_below(10**6, places=6), everyday_histories)
def test_the_verdict_is_whether_the_day_lies_outside_the_expected_range(
    quantity: Decimal, history: list[Decimal]
) -> None:
    judgement = judge(usage(quantity), history)
    assert judgement is not None
    assume(abs(abs(judgement.z_score) - 2.5) > 1e-6)
    beyond = float(quantity) > judgement.expected_high
    below = float(quantity) < judgement.expected - (judgement.expected_high - judgement.expected)
    assert judgement.is_anomaly == (beyond or below)
    assert judgement.expected_low <= judgement.expected <= judgement.expected_high


@given(decimals_below(10**26, places=12), st.lists(decimals_below(10**26, places=12), min_size=3, max_size=7))
def test_every_figure_is_finite(quantity: Decimal, history: list[Decimal]) -> None:
    judgement = judge(usage(quantity), history)
    assert judgement is not None
    figures = (judgement.z_score, judgement.expected, judgement.expected_low, judgement.expected_high)
    assert all(isfinite(figure) for figure in figures)
    assert abs(judgement.z_score) <= 1_000


# --- a flat history ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "z"),
    [
        ("100", 0.0),
        ("101", 1.0),
        ("102.4", 2.4),
        ("102.5", 2.5),
        ("97.5", -2.5),
        ("0", -100.0),
        ("10000", 1_000.0),
    ],
)
def test_a_hundredth_of_a_flat_history_counts_as_its_deviation(quantity: str, z: float) -> None:
    judgement = judged(quantity, *["100"] * 7)
    assert judgement.z_score == pytest.approx(z, abs=1e-9)
    assert judgement.is_anomaly is (abs(z) >= 2.5)
    assert (judgement.expected_low, judgement.expected_high) == (97.5, 102.5)


def test_a_flat_history_written_with_rounding_noise_is_flat() -> None:
    assert judged("0.3", "0.1", "0.1", "0.100000000001").z_score == pytest.approx(200, rel=1e-6)
    assert not judged("1000000.000000000009", "1000000.000000000001", *["1000000"] * 6).is_anomaly


def test_where_nothing_was_ever_used_any_use_is_an_anomaly_and_none_is_not() -> None:
    assert judged("0", "0", "0", "0").z_score == 0.0
    assert not judged("0", "0", "0", "0").is_anomaly
    least = judged("0.000000000001", "0", "0", "0")
    assert least.z_score == 1_000.0
    assert least.is_anomaly
    assert least.severity is Severity.HIGH
    assert (least.expected, least.expected_low, least.expected_high) == (0.0, 0.0, 0.0)


# --- the history ------------------------------------------------------------------------------------


def test_fewer_than_three_days_before_are_no_history() -> None:
    assert judge(usage("1000"), []) is None
    assert judge(usage("1000"), [Decimal(1), Decimal(1)]) is None
    assert judge_days([DAY], [*week_before(["1", "1"]), usage("1000")]) == []
    assert len(judge_days([DAY], [*week_before(["1", "1", "1"]), usage("1000")])) == 1


def test_the_history_is_the_seven_days_before_and_no_day_earlier() -> None:
    (judgement,) = judge_days([DAY], [*week_before(["99999", *["10"] * 7]), usage("10")])
    assert judgement.expected == 10.0
    assert judgement.z_score == 0.0


def test_a_gap_in_the_history_is_left_out_not_filled() -> None:
    week = week_before(["8", "1", "10", "1", "1", "12", "1"])
    found = [item for item in week if item.quantity > 1]
    (judgement,) = judge_days([DAY], [*found, usage("15")])
    assert (judgement.expected, judgement.z_score) == (10.0, 2.5)


def test_days_before_the_gap_are_no_history() -> None:
    long_ago = [usage("10", DAY - A_DAY * offset) for offset in range(8, 30)]
    assert judge_days([DAY], [*long_ago, *week_before(["10", "10"]), usage("99")]) == []


def test_resources_have_histories_of_their_own() -> None:
    cpu = [*week_before(["8", "10", "12"]), usage("15")]
    network = [
        DailyUsage(item.day, Resource.NETWORK, item.quantity * (1 if item.day == DAY else 100))
        for item in cpu
    ]
    memory = [DailyUsage(DAY, Resource.MEMORY, Decimal(1))]
    judgements = judge_days([DAY], [*cpu, *network, *memory])
    assert [(judgement.resource, judgement.expected) for judgement in judgements] == [
        (Resource.CPU, 10.0),
        (Resource.NETWORK, 1_000.0),
    ]


@given(st.lists(daily_usages, max_size=5), quantities, histories)
def test_the_history_never_holds_the_tested_day_or_one_after_it(
    noise: list[DailyUsage], quantity: Decimal, history: list[Decimal]
) -> None:
    before = week_before([str(item) for item in history])
    after = [usage(item.quantity, DAY + A_DAY * number) for number, item in enumerate(noise, start=1)]
    (alone,) = judge_days([DAY], [*before, usage("1")])
    (among,) = judge_days([DAY], [*before, usage(quantity), *after])
    assert (among.expected, among.expected_low, among.expected_high) == (
        alone.expected,
        alone.expected_low,
        alone.expected_high,
    )


series = st.dictionaries(st.integers(0, 25), decimals_below(1_000, places=3), max_size=26).map(
    lambda found: [usage(quantity, TODAY - A_DAY * offset) for offset, quantity in found.items()]
)


@given(series, st.integers(0, 25), decimals_below(1_000, places=3))
def test_a_change_alters_no_verdict_but_those_of_the_days_to_judge_anew(
    before: list[DailyUsage], offset: int, quantity: Decimal
) -> None:
    changed = TODAY - A_DAY * offset
    after = [item for item in before if item.day != changed] + [usage(quantity, changed)]
    every_day = [TODAY - A_DAY * number for number in range(1, 30)]
    old = {judgement.day: judgement for judgement in judge_days(every_day, before)}
    new = {judgement.day: judgement for judgement in judge_days(every_day, after)}
    altered = {day for day in old.keys() | new.keys() if old.get(day) != new.get(day)}
    assert altered <= set(days_to_judge([changed], TODAY))


@given(series, st.sets(st.integers(1, 25)))
def test_judging_some_days_gives_what_judging_all_gives_of_them(
    found: list[DailyUsage], offsets: set[int]
) -> None:
    chosen = {TODAY - A_DAY * offset for offset in offsets}
    every = judge_days([TODAY - A_DAY * number for number in range(1, 30)], found)
    assert judge_days(chosen, found) == [judgement for judgement in every if judgement.day in chosen]


# --- the days to judge --------------------------------------------------------------------------------


def test_a_changed_day_is_judged_with_the_seven_after_it() -> None:
    changed = date(2026, 11, 1)
    assert days_to_judge([changed], TODAY) == [changed + A_DAY * offset for offset in range(8)]


def test_a_partial_day_is_never_judged() -> None:
    yesterday = TODAY - A_DAY
    assert days_to_judge([TODAY], TODAY) == []
    assert days_to_judge([TODAY + A_DAY], TODAY) == []
    assert days_to_judge([yesterday], TODAY) == [yesterday]
    assert days_to_judge([], TODAY) == []


@given(st.lists(st.dates(date(2026, 10, 1), date(2026, 12, 31))))
def test_the_days_to_judge_are_over_come_once_and_in_order(changed: list[date]) -> None:
    found = days_to_judge(changed, TODAY)
    assert all(day < TODAY for day in found)
    assert found == sorted(set(found))
    assert {day for day in changed if day < TODAY} <= set(found)


# --- real series --------------------------------------------------------------------------------------

FACTORS = {  # as the README beside the series says
    "ec2_cpu_utilization": (Resource.CPU, Fraction(4 * 5, 60 * 100)),
    "rds_cpu_utilization": (Resource.CPU, Fraction(4 * 5, 60 * 100)),
    "ec2_network_in": (Resource.NETWORK, Fraction(1, 10**9)),
    "ec2_disk_write_bytes": (Resource.STORAGE, Fraction(5, 10**9 * 1_440)),
    "elb_request_count": (Resource.API_CALLS, Fraction(1)),
}

ANOMALIES = {  # by naive_z; the last day of a recording is often a partial one, which it cannot know
    "ec2_cpu_utilization_24ae8d": {"2014-02-26", "2014-02-28"},
    "ec2_cpu_utilization_5f5533": {"2014-02-25", "2014-02-28"},
    "ec2_cpu_utilization_77c1ca": {"2014-04-09"},
    "ec2_cpu_utilization_ac20cd": {"2014-04-15"},
    "ec2_disk_write_bytes_c0d644": {"2014-04-09", "2014-04-11"},
    "ec2_network_in_257a54": {"2014-04-15", "2014-04-24"},
    "elb_request_count_8c0756": {"2014-04-13", "2014-04-19", "2014-04-24"},
    "rds_cpu_utilization_cc0c53": {"2014-02-25", "2014-02-26"},
}


def read_series(name: str) -> tuple[Resource, list[tuple[date, Decimal]]]:
    """A series' resource, and each row's day and quantity, of at most twelve decimals."""
    resource, factor = FACTORS[name.rpartition("_")[0]]
    with (AWS / f"{name}.csv").open(newline="") as file:
        rows = [(row["timestamp"], Fraction(row["value"]) * factor) for row in csv.DictReader(file)]
    return resource, [
        (datetime.fromisoformat(time).date(), Decimal(round(quantity * 10**12)).scaleb(-12, PRECISE))
        for time, quantity in rows
    ]


def naive_days(rows: Sequence[tuple[date, Decimal]]) -> dict[date, Fraction]:
    sums: dict[date, Fraction] = {}
    for day, quantity in rows:
        sums[day] = sums.get(day, Fraction(0)) + Fraction(quantity)
    return sums


def naive_verdicts(sums: Mapping[date, Fraction]) -> dict[date, Fraction]:
    """The z-score of each day that has at least three of the seven days before it."""
    found: dict[date, Fraction] = {}
    for day, value in sums.items():
        history = [sums[day - A_DAY * offset] for offset in range(1, 8) if day - A_DAY * offset in sums]
        if len(history) >= 3:
            found[day] = naive_z(value, history)
    return found


@pytest.mark.skipif(not AWS.is_dir(), reason="the AWS CloudWatch series are not beside this checkout")
@pytest.mark.parametrize("name", sorted(ANOMALIES))
def test_real_series_are_summed_and_judged_as_by_hand(name: str) -> None:
    resource, rows = read_series(name)
    first_day = min(day for day, _ in rows)
    events = pl.DataFrame(
        [((day - first_day).days + 1, resource, quantity) for day, quantity in rows],
        schema=EVENTS,
        orient="row",
    )
    daily = [
        DailyUsage(day, Resource(found), quantity)
        for day, found, quantity, _ in daily_usage(events, first_day=first_day).rows()
    ]
    assert {item.day: Fraction(item.quantity) for item in daily} == naive_days(rows)

    judgements = judge_days([item.day for item in daily], daily)
    expected = naive_verdicts(naive_days(rows))
    assert [judgement.day for judgement in judgements] == sorted(expected)
    for judgement in judgements:
        assert judgement.z_score == pytest.approx(float(expected[judgement.day]), rel=1e-9, abs=1e-9)
    anomalous = {str(judgement.day) for judgement in judgements if judgement.is_anomaly}
    assert anomalous == {str(day) for day, z in expected.items() if abs(z) >= Fraction(5, 2)}
    assert anomalous == ANOMALIES[name]


@pytest.mark.skipif(not AWS.is_dir(), reason="the AWS CloudWatch series are not beside this checkout")
def test_every_real_series_has_a_known_answer() -> None:
    assert set(ANOMALIES) == {path.stem for path in AWS.glob("*.csv")}
    assert set(ANOMALIES) == {
        Path(name).stem for name in json.loads((AWS / "anomaly_windows.json").read_text())
    }
