"""Daily aggregation against a sum in plain Python, whatever the order, batches and chunks of its input."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from io import StringIO
from itertools import pairwise
from operator import add
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.aggregation import DAILY_USAGE, EVENTS, daily_usage, daily_usage_of_few
from core.period import QUARTER_HOUR, days_of_quarter_hours, local_day, spans
from core.resource import Resource
from core.usage import UsageEvent
from tests.core.strategies import quantities, resources, usage_events

FIRST_DAY = date(2026, 11, 1)
A_DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Row = tuple[int, str, Decimal]
Record = tuple[date, str, Decimal, int]

rows = st.lists(st.tuples(st.integers(1, 9), resources.map(str), quantities), max_size=60)


def frame(events: Sequence[Row]) -> pl.DataFrame:
    return pl.DataFrame(list(events), schema=EVENTS, orient="row")


def frame_from_csv(events: Sequence[Row]) -> pl.DataFrame:
    """The frame as it comes from PostgreSQL's COPY."""
    text = "".join(f"{number},{resource},{quantity:f}\n" for number, resource, quantity in events)
    return pl.read_csv(StringIO(text), has_header=False, schema=EVENTS)


def chunked(events: Sequence[Row], cuts: Sequence[int]) -> pl.DataFrame:
    """The frame in chunks of memory that end where the cuts say; some may be empty."""
    edges = [0, *sorted(min(cut, len(events)) for cut in cuts), len(events)]
    pieces = [frame(events[start:end]) for start, end in pairwise(edges)]
    return pl.concat(pieces, rechunk=False)


def summed(
    events: Sequence[Row], first_day: date = FIRST_DAY
) -> dict[tuple[date, str], tuple[Fraction, int]]:
    """The oracle: fractions, one after the other."""
    sums: dict[tuple[date, str], tuple[Fraction, int]] = {}
    for number, resource, quantity in events:
        key = first_day + A_DAY * (number - 1), resource
        before, count = sums.get(key, (Fraction(0), 0))
        sums[key] = before + Fraction(quantity), count + 1
    return sums


def records(daily: pl.DataFrame) -> dict[tuple[date, str], tuple[Fraction, int]]:
    return {(day, resource): (Fraction(quantity), events) for day, resource, quantity, events in daily.rows()}


@given(rows)
def test_a_days_records_sum_to_its_events(events: list[Row]) -> None:
    daily = daily_usage(frame(events), first_day=FIRST_DAY)
    assert dict(daily.schema) == DAILY_USAGE
    assert records(daily) == summed(events)
    assert daily["events"].sum() == len(events)


@given(rows, st.randoms(use_true_random=False), st.lists(st.integers(0, 60), max_size=6))
def test_the_order_and_the_chunks_of_the_events_change_nothing(
    events: list[Row], random: Random, cuts: list[int]
) -> None:
    expected = daily_usage(frame(events), first_day=FIRST_DAY)
    shuffled = random.sample(events, len(events))
    assert daily_usage(chunked(shuffled, cuts), first_day=FIRST_DAY).equals(expected)
    assert daily_usage(chunked(events, range(len(events))), first_day=FIRST_DAY).equals(expected)
    if events:
        assert daily_usage(frame_from_csv(shuffled), first_day=FIRST_DAY).equals(expected)


@given(rows)
def test_row_by_row_the_sums_are_the_same(events: list[Row]) -> None:
    expected = daily_usage(frame(events), first_day=FIRST_DAY)
    assert daily_usage_of_few(events, first_day=FIRST_DAY) == expected.rows()


@given(rows)
def test_records_come_by_day_and_resource(events: list[Row]) -> None:
    keys = [(day, resource) for day, resource, _, _ in daily_usage(frame(events), first_day=FIRST_DAY).rows()]
    assert keys == sorted(set(keys))


def test_thousands_of_tenths_are_exactly_hundreds() -> None:
    assert reduce(add, [0.1] * 10_000) != 1_000  # what floats would make of it
    daily = daily_usage(frame([(1, "cpu", Decimal("0.1"))] * 10_000), first_day=FIRST_DAY)
    assert daily.rows() == [(FIRST_DAY, "cpu", Decimal(1_000), 10_000)]


@pytest.mark.parametrize("make", [frame, frame_from_csv])
def test_the_largest_quantities_sum_to_their_last_digit(
    make: Callable[[Sequence[Row]], pl.DataFrame],
) -> None:
    largest, smallest = Decimal("999999999999999.999999999999"), Decimal("0.000000000001")
    daily = daily_usage(
        make([(1, "network", largest)] * 20_000 + [(1, "network", smallest)]), first_day=FIRST_DAY
    )
    assert daily["quantity"].to_list() == [Decimal("19999999999999999999.999999980001")]


def test_nothing_is_made_of_nothing() -> None:
    daily = daily_usage(pl.DataFrame(schema=EVENTS), first_day=FIRST_DAY)
    assert daily.is_empty()
    assert dict(daily.schema) == DAILY_USAGE


def test_zeros_are_a_record_too() -> None:
    assert daily_usage(frame([(3, "cpu", Decimal(0))]), first_day=FIRST_DAY).rows() == [
        (date(2026, 11, 3), "cpu", Decimal(0), 1)
    ]


# --- batches that arrive one after the other --------------------------------------------------------


class Ledger:
    """What the shell keeps between batches: the events, and the records of the days aggregated so far."""

    def __init__(self, time_zone: str) -> None:
        self.time_zone = time_zone
        self.events: list[UsageEvent] = []
        self.records: dict[date, list[Record]] = {}

    def take(self, batch: Sequence[UsageEvent]) -> None:
        """Store a batch and aggregate anew the days that it touches, and no others."""
        self.events += batch
        touched = {event.occurred_at - (event.occurred_at - EPOCH) % QUARTER_HOUR for event in batch}
        for span in spans(days_of_quarter_hours(touched, self.time_zone), self.time_zone):
            number = {
                event: bisect_right(span.starts, event.occurred_at)
                for event in self._between(span.starts[0], span.end)
            }
            found = frame([(number[event], event.resource, event.quantity) for event in number])
            days = {span.first + A_DAY * step: list[Record]() for step in range(len(span.starts))}
            for record in daily_usage(found, first_day=span.first).rows():
                days[record[0]].append(record)
            self.records |= days

    def _between(self, start: datetime, end: datetime) -> list[UsageEvent]:
        return [event for event in self.events if start <= event.occurred_at < end]


events_of_two_weeks = st.lists(
    usage_events(first=datetime(2026, 10, 18, tzinfo=UTC), last=datetime(2026, 11, 1, tzinfo=UTC)),
    max_size=25,
    unique_by=lambda event: event.id,
)
zones_with_a_change = st.sampled_from(["Europe/Berlin", "America/Havana", "Asia/Kathmandu", "UTC"])


@settings(max_examples=60)
@given(
    events_of_two_weeks,
    zones_with_a_change,
    st.lists(st.integers(0, 25), max_size=5),
    st.randoms(use_true_random=False),
)
def test_aggregating_in_any_batch_order_gives_the_same_records(
    events: list[UsageEvent], time_zone: str, cuts: list[int], random: Random
) -> None:
    at_once, in_batches = Ledger(time_zone), Ledger(time_zone)
    at_once.take(events)
    shuffled = random.sample(events, len(events))
    edges = [0, *sorted(cuts), len(events)]
    batches = [shuffled[start:end] for start, end in pairwise(edges)]
    for batch in batches:
        in_batches.take(batch)
    assert in_batches.records == at_once.records
    in_batches.take([])
    for event in events[:2]:  # days aggregated twice
        in_batches.events.remove(event)
        in_batches.take([event])
    assert in_batches.records == at_once.records


@settings(max_examples=60)
@given(events_of_two_weeks, zones_with_a_change)
def test_every_event_is_counted_on_its_local_day_and_on_no_other(
    events: list[UsageEvent], time_zone: str
) -> None:
    ledger = Ledger(time_zone)
    ledger.take(events)
    expected: dict[tuple[date, Resource], Fraction] = defaultdict(Fraction)
    for event in events:
        expected[local_day(event.occurred_at, time_zone), event.resource] += Fraction(event.quantity)
    found = {
        (day, Resource(resource)): Fraction(quantity)
        for day_records in ledger.records.values()
        for day, resource, quantity, _ in day_records
    }
    assert found == expected
