from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import PriceInThePast, PriceMissing
from core.pricing import (
    Price,
    cost,
    in_force,
    price_in_force,
    rate_card,
    require_future,
    unit_price_objection,
)
from core.resource import Resource
from tests.core.strategies import days, prices, quantities, resources, unit_prices

TENANT = UUID(int=1)
A_DAY = timedelta(days=1)
TODAY = date(2026, 11, 23)


def price(unit_price: str, effective_from: date, tenant_id: UUID | None = None) -> Price:
    return Price(UUID(int=0), tenant_id, Resource.CPU, Decimal(unit_price), "EUR", effective_from)


def in_force_on(day: date, *versions: Price) -> Decimal:
    return price_in_force(rate_card(versions), Resource.CPU, day).unit_price


# --- which price is in force ----------------------------------------------------------------------


def test_the_newest_price_that_has_taken_effect_counts() -> None:
    versions = [price("1", date(2026, 1, 1)), price("2", date(2026, 6, 1)), price("3", date(2027, 1, 1))]
    assert in_force_on(date(2026, 1, 1), *versions) == 1
    assert in_force_on(date(2026, 5, 31), *versions) == 1
    assert in_force_on(date(2026, 6, 1), *versions) == 2
    assert in_force_on(date(2026, 12, 31), *reversed(versions)) == 2


def test_a_tenants_own_price_counts_before_a_newer_default() -> None:
    versions = [price("1", date(2026, 1, 1), TENANT), price("2", date(2026, 6, 1))]
    assert in_force_on(date(2026, 12, 31), *versions) == 1
    assert in_force_on(date(2026, 12, 31), *reversed(versions)) == 1


def test_until_a_tenants_own_price_takes_effect_the_default_counts() -> None:
    versions = [price("2", date(2026, 1, 1)), price("1", date(2026, 6, 1), TENANT)]
    assert in_force_on(date(2026, 5, 31), *versions) == 2
    assert in_force_on(date(2026, 6, 1), *versions) == 1


def test_before_the_first_effective_date_there_is_no_price() -> None:
    with pytest.raises(PriceMissing, match="No price for cpu is in force on 2025-12-31"):
        in_force_on(date(2025, 12, 31), price("1", date(2026, 1, 1)), price("2", date(2026, 1, 1), TENANT))


def test_another_resources_price_is_none() -> None:
    card = rate_card([price("1", date(2026, 1, 1))])
    with pytest.raises(PriceMissing, match="network"):
        price_in_force(card, Resource.NETWORK, TODAY)


@given(st.lists(prices, max_size=12), resources, days)
def test_the_price_in_force_is_the_one_that_a_naive_search_finds(
    versions: list[Price], resource: Resource, day: date
) -> None:
    of_resource = [version for version in versions if version.resource is resource]
    possible = [version for version in of_resource if version.effective_from <= day]
    own = [version for version in possible if version.tenant_id is not None]
    card = rate_card(versions)
    if not possible:
        with pytest.raises(PriceMissing):
            price_in_force(card, resource, day)
        return
    found = price_in_force(card, resource, day)
    assert found in (own or possible)
    assert found.effective_from == max(version.effective_from for version in own or possible)


def test_the_prices_of_a_day_come_by_resource() -> None:
    versions = [
        Price(UUID(int=number), None, resource, Decimal(number), "EUR", date(2026, 1, 1))
        for number, resource in enumerate(reversed(Resource))
    ]
    own = price("9", date(2026, 2, 1), TENANT)
    assert [found.resource for found in in_force([*versions, own], TODAY)] == sorted(Resource)
    assert own in in_force([*versions, own], TODAY)


# --- what a quantity costs ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "unit_price", "amount"),
    [
        ("0", "0.02", "0.000000"),
        ("1.5", "0.02", "0.030000"),
        ("1", "0.0000005", "0.000001"),
        ("1", "0.00000049", "0.000000"),
        ("1", "0.0000025", "0.000003"),  # half-even would say 2
        ("3", "0.0000015", "0.000005"),
        ("0.000000000001", "0.02", "0.000000"),
        ("999999999999999.999999999999", "999999.999999999999", "999999999999999998999.999999"),
    ],
)
def test_a_cost_is_rounded_half_up_to_six_digits(quantity: str, unit_price: str, amount: str) -> None:
    assert str(cost(Decimal(quantity), Decimal(unit_price))) == amount


@given(quantities, unit_prices)
def test_a_cost_is_the_exact_product_but_for_half_of_its_last_digit(
    quantity: Decimal, unit_price: Decimal
) -> None:
    difference = Fraction(cost(quantity, unit_price)) - Fraction(quantity) * Fraction(unit_price)
    assert Fraction(-1, 2_000_000) < difference <= Fraction(1, 2_000_000)


# --- what an operator may set -----------------------------------------------------------------------


@given(unit_prices)
def test_a_price_below_a_million_of_twelve_decimals_can_be_set(unit_price: Decimal) -> None:
    assert unit_price_objection(unit_price) is None


@pytest.mark.parametrize(
    ("unit_price", "objection"),
    [
        ("0", None),
        ("-0", None),
        ("1E+5", None),
        ("999999.999999999999", None),
        ("-0.01", "must be a finite number, not negative"),
        ("NaN", "must be a finite number, not negative"),
        ("-NaN", "must be a finite number, not negative"),
        ("sNaN", "must be a finite number, not negative"),
        ("Infinity", "must be a finite number, not negative"),
        ("1000000", "must be below 10^6"),
        ("1E+6", "must be below 10^6"),
        ("1E+999999", "must be below 10^6"),
        ("9" * 1_000_000, "must be below 10^6"),
        ("0E+999999999999999999", "must be below 10^6"),  # PostgreSQL could not read it
        ("0.0000000000001", "must have at most 12 decimals"),
        ("1.0000000000000", "must have at most 12 decimals"),
        ("1E-999999999999999999", "must have at most 12 decimals"),
        ("0." + "1" * 1_000_000, "must have at most 12 decimals"),
    ],
)
def test_a_price_that_cannot_be_set_is_told_why(unit_price: str, objection: str | None) -> None:
    assert unit_price_objection(Decimal(unit_price)) == objection


def test_a_price_changes_no_day_that_has_begun() -> None:
    require_future(TODAY + A_DAY, TODAY)
    for day in (TODAY, TODAY - A_DAY):
        with pytest.raises(PriceInThePast, match=str(day)):
            require_future(day, TODAY)
