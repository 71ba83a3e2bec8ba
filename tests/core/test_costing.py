from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.costing import (
    CostRecord,
    DailyUsage,
    Projection,
    ResourceCost,
    cost_records,
    projection,
    total_so_far,
)
from core.errors import PriceMissing
from core.money import Money
from core.period import Month
from core.pricing import Price, rate_card
from core.resource import UNITS, Resource
from tests.core.strategies import amounts, daily_usages, unit_prices

NOVEMBER = Month(2026, 11)
TODAY = date(2026, 11, 11)
A_DAY = timedelta(days=1)

DailyAmounts = list[tuple[date, Decimal]]


def euros(amount: str | Decimal) -> Money:
    return Money(Decimal(amount), "EUR")


def default(resource: Resource, unit_price: Decimal) -> Price:
    return Price(UUID(int=7), None, resource, unit_price, "EUR", date(2020, 1, 1))


def projected(daily_amounts: DailyAmounts, *, month: Month = NOVEMBER, today: date = TODAY) -> Projection:
    return projection(daily_amounts, month=month, today=today, currency="EUR")


def every_day(amount: str, *, until: date, month: Month = NOVEMBER) -> DailyAmounts:
    """The same amount on each day of a month before a day."""
    days = (until - month.first_day).days
    return [(month.first_day + A_DAY * number, Decimal(amount)) for number in range(days)]


# --- cost records ---------------------------------------------------------------------------------


def test_a_cost_record_keeps_the_price_that_made_it() -> None:
    usage = DailyUsage(date(2026, 11, 1), Resource.CPU, Decimal("1.25"))
    assert cost_records([usage], rate_card([default(Resource.CPU, Decimal("0.0200004"))])) == [
        CostRecord(
            day=usage.day,
            resource=Resource.CPU,
            quantity=usage.quantity,
            unit_price=Decimal("0.0200004"),
            price_id=UUID(int=7),
            cost=euros("0.025001"),  # 0.0250005, half-up
        )
    ]


def test_each_day_is_priced_by_the_version_of_its_own_day() -> None:
    change = date(2026, 11, 15)
    card = rate_card(
        [
            default(Resource.CPU, Decimal(1)),
            Price(UUID(int=8), None, Resource.CPU, Decimal(2), "EUR", change),
        ]
    )
    usage = [DailyUsage(change + A_DAY * offset, Resource.CPU, Decimal(10)) for offset in (-1, 0, 1)]
    records = cost_records(usage, card)
    assert [record.price_id.int for record in records] == [7, 8, 8]
    assert [record.cost for record in records] == [euros("10"), euros("20"), euros("20")]


def test_usage_without_a_price_is_not_free() -> None:
    card = rate_card([default(Resource.CPU, Decimal(1))])
    with pytest.raises(PriceMissing, match="network"):
        cost_records([DailyUsage(TODAY, Resource.NETWORK, Decimal(1))], card)


@given(st.lists(daily_usages, max_size=10), unit_prices)
def test_there_is_one_cost_record_for_each_days_usage_in_its_order(
    usage: list[DailyUsage], unit_price: Decimal
) -> None:
    records = cost_records(usage, rate_card(default(resource, unit_price) for resource in Resource))
    assert [(record.day, record.resource, record.quantity) for record in records] == [
        (item.day, item.resource, item.quantity) for item in usage
    ]
    for record in records:
        exact = Fraction(record.quantity) * Fraction(record.unit_price)
        assert abs(Fraction(record.cost.amount) - exact) <= Fraction(1, 2_000_000)


# --- the month so far -----------------------------------------------------------------------------


def resource_costs(*figures: Decimal) -> list[ResourceCost]:
    return [
        ResourceCost(resource, UNITS[resource], Decimal(1), euros(amount))
        for resource, amount in zip(Resource, figures, strict=False)
    ]


def test_the_month_so_far_is_rounded_once_and_its_resources_are_exact() -> None:
    resources = resource_costs(Decimal("0.004"), Decimal("0.004"), Decimal("0.004"))
    current = total_so_far(resources, month=NOVEMBER, currency="EUR", up_to=TODAY)
    assert current.total == euros("0.01")  # rounded one by one, nothing would be left
    assert current.resources == resources
    assert (current.month, current.up_to) == ("2026-11", TODAY)


@given(st.lists(amounts, max_size=5))
def test_the_month_so_far_is_what_its_resources_cost_to_half_a_cent(figures: list[Decimal]) -> None:
    current = total_so_far(resource_costs(*figures), month=NOVEMBER, currency="EUR", up_to=None)
    assert abs(Fraction(current.total.amount) - sum(map(Fraction, figures))) <= Fraction(1, 200)


def test_a_month_without_usage_has_cost_nothing() -> None:
    current = total_so_far([], month=NOVEMBER, currency="EUR", up_to=None)
    assert current.total == euros("0.00")
    assert str(current.total.amount) == "0.00"


# --- the projection -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of_today", "expected"),
    [
        ("0", "60.00"),  # ten complete days at 2.00: thirty days
        ("0.50", "60.00"),  # today may still become an average day
        ("2.00", "60.00"),
        ("5.00", "63.00"),  # 20 + 5 + 19 × 2
    ],
)
def test_each_day_to_come_costs_the_average_of_the_complete_days(of_today: str, expected: str) -> None:
    daily = [*every_day("2.00", until=TODAY), (TODAY, Decimal(of_today))]
    assert projected(daily) == Projection(
        month="2026-11",
        so_far=euros(Decimal("20.00") + Decimal(of_today)),
        projected=euros(expected),
        complete_days=10,
        days_in_month=30,
    )


def test_a_complete_day_without_usage_counts_in_the_average() -> None:
    assert projected([(date(2026, 11, 3), Decimal(10))]).projected == euros("30.00")


def test_an_average_is_not_rounded_before_the_end() -> None:
    three_days = [(date(2026, 11, 1), Decimal("0.10"))]
    assert projected(three_days, today=date(2026, 11, 4)).projected == euros("1.00")  # not 30 × 0.03


def test_before_the_first_complete_day_the_projection_is_what_today_has_cost() -> None:
    first = date(2026, 11, 1)
    found = projected([(first, Decimal("1.23"))], today=first)
    assert (found.so_far, found.projected, found.complete_days) == (euros("1.23"), euros("1.23"), 0)


def test_on_the_last_day_only_today_is_projected() -> None:
    last = date(2026, 11, 30)
    daily = every_day("1.00", until=last)
    assert projected(daily, today=last).projected == euros("30.00")
    assert projected([*daily, (last, Decimal(7))], today=last).projected == euros("36.00")


def test_a_month_that_has_not_begun_or_had_no_usage_costs_nothing() -> None:
    assert projected([], today=date(2026, 10, 15)) == Projection("2026-11", euros("0"), euros("0"), 0, 30)
    assert projected([]).projected == euros("0")


daily_amounts = st.dictionaries(st.dates(date(2026, 11, 1), date(2026, 11, 30)), amounts).map(
    lambda found: list(found.items())
)
todays = st.dates(date(2026, 10, 20), date(2026, 12, 10))


@given(daily_amounts, todays)
def test_a_projection_is_never_below_what_has_been_spent(daily: DailyAmounts, today: date) -> None:
    # One day may be ahead of today: events are taken five minutes early.
    found = projected([(day, amount) for day, amount in daily if day <= today + A_DAY], today=today)
    assert found.projected.amount >= found.so_far.amount
    assert 0 <= found.complete_days <= found.days_in_month == 30


@given(daily_amounts, st.integers(0, 400))
def test_the_projection_of_a_finished_month_is_what_it_cost(daily: DailyAmounts, days_since: int) -> None:
    found = projected(daily, today=date(2026, 12, 1) + A_DAY * days_since)
    assert found.projected == found.so_far
    assert found.complete_days == 30
    assert abs(Fraction(found.so_far.amount) - sum(Fraction(amount) for _, amount in daily)) <= Fraction(
        1, 200
    )


@given(amounts, st.integers(2, 30))
def test_a_month_of_equal_days_is_projected_to_as_many_as_it_has(amount: Decimal, day: int) -> None:
    today = date(2026, 11, day)
    found = projected(every_day(str(amount), until=today), today=today)
    assert abs(Fraction(found.projected.amount) - 30 * Fraction(amount)) <= Fraction(1, 200)


def test_the_days_before_a_tenant_was_founded_do_not_lower_its_average() -> None:
    ten_a_day = [(date(2026, 11, day), Decimal(10)) for day in (21, 22)]
    found = projection(
        ten_a_day, month=Month(2026, 11), today=date(2026, 11, 23), currency="EUR", since=date(2026, 11, 21)
    )
    assert found.complete_days == 2
    assert found.projected.amount == Decimal("100.00")
