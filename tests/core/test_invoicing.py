from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.country import STANDARD_VAT
from core.errors import PeriodNotOver
from core.invoicing import InvoiceContent, Party, Unbilled, draft, invoice_number, require_month_over
from core.money import Money
from core.period import Month
from core.resource import UNITS, Resource
from tests.core.strategies import unbilled

NOVEMBER = Month(2026, 11)
SELLER = Party("Cloud GmbH", "DE", "DE999999999")
BUYER = Party("Acme SAS", "DE")

lists_of_unbilled = st.lists(unbilled(NOVEMBER), max_size=20)
buyers = st.builds(
    Party,
    st.just("Acme"),
    st.sampled_from([*sorted(STANDARD_VAT), "CH", "US"]),
    st.sampled_from([None, "XX12"]),
)


def euros(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


def item(
    amount: str, *, month: str = "2026-11", resource: Resource = Resource.CPU, unit_price: str = "0.02"
) -> Unbilled:
    return Unbilled(month, resource, Decimal(unit_price), Decimal(100), Decimal(amount))


def drafted(*items: Unbilled, buyer: Party = BUYER) -> InvoiceContent:
    return draft(items, month=NOVEMBER, currency="EUR", seller=SELLER, buyer=buyer)


# --- sums -------------------------------------------------------------------------------------------


@given(lists_of_unbilled, buyers)
def test_the_sum_of_the_lines_is_the_net_of_the_invoice(items: list[Unbilled], buyer: Party) -> None:
    invoice = drafted(*items, buyer=buyer)
    assert sum(Fraction(line.amount.amount) for line in invoice.lines) == Fraction(invoice.net.amount)
    assert Fraction(invoice.net.amount) + Fraction(invoice.vat.amount) == Fraction(invoice.total.amount)
    assert {amount.currency for amount in (invoice.net, invoice.vat, invoice.total)} == {"EUR"}


@given(lists_of_unbilled, buyers)
def test_every_amount_on_an_invoice_is_in_whole_cents(items: list[Unbilled], buyer: Party) -> None:
    invoice = drafted(*items, buyer=buyer)
    amounts = [*(line.amount for line in invoice.lines), invoice.net, invoice.vat, invoice.total]
    assert {amount.amount.as_tuple().exponent for amount in amounts} == {-2}


@given(lists_of_unbilled)
def test_each_line_is_rounded_once_and_by_half_a_cent_at_most(items: list[Unbilled]) -> None:
    invoice = drafted(*items)
    exact = sum(Fraction(found.amount) for found in items)
    assert abs(Fraction(invoice.net.amount) - exact) <= Fraction(len(items), 200)
    for line in invoice.lines:
        assert any(
            abs(Fraction(line.amount.amount) - Fraction(found.amount)) <= Fraction(1, 200) for found in items
        )


@given(lists_of_unbilled, st.randoms(use_true_random=False))
def test_the_order_of_what_is_unbilled_does_not_change_the_sums_or_the_order_of_lines(
    items: list[Unbilled], random: Random
) -> None:
    first, second = drafted(*items), drafted(*random.sample(items, len(items)))
    assert (first.net, first.vat, first.total) == (second.net, second.vat, second.total)
    assert [(line.description, line.unit_price) for line in first.lines] == [
        (line.description, line.unit_price) for line in second.lines
    ]


def test_lines_are_rounded_half_up_before_they_are_summed() -> None:
    invoice = drafted(
        item("0.005"), item("0.005", resource=Resource.MEMORY), item("0.004", resource=Resource.STORAGE)
    )
    assert [line.amount for line in invoice.lines] == [euros("0.01"), euros("0.01"), euros("0.00")]
    assert invoice.net == euros("0.02")


# --- lines ------------------------------------------------------------------------------------------


@given(lists_of_unbilled)
def test_lines_are_numbered_from_one_and_ordered_by_month_resource_and_price(items: list[Unbilled]) -> None:
    lines = drafted(*items).lines
    assert [line.position for line in lines] == list(range(1, len(items) + 1))
    is_late = ["late usage" in line.description for line in lines]
    assert is_late == sorted(is_late, reverse=True)
    for before, after in pairwise(lines):
        if ("late" in before.description) == ("late" in after.description):
            assert (before.resource, before.unit_price) <= (after.resource, after.unit_price)


def test_a_line_says_what_how_much_and_at_which_price() -> None:
    (line,) = drafted(item("2.004999", unit_price="0.02005")).lines
    assert line.description == "cpu (vCPU-hour)"
    assert (line.resource, line.unit, line.quantity) == (Resource.CPU, "vCPU-hour", Decimal(100))
    assert (line.unit_price, line.amount) == (Decimal("0.02005"), euros("2.00"))


def test_usage_of_an_earlier_month_stands_on_lines_that_say_so() -> None:
    lines = drafted(item("1"), item("2", month="2026-10"), item("3", month="2025-12")).lines
    assert [line.description for line in lines] == [
        "cpu (vCPU-hour), late usage of 2025-12",
        "cpu (vCPU-hour), late usage of 2026-10",
        "cpu (vCPU-hour)",
    ]


def test_a_price_that_changed_within_the_month_makes_two_lines() -> None:
    lines = drafted(item("2", unit_price="0.03"), item("1", unit_price="0.02")).lines
    assert [(line.unit_price, line.amount) for line in lines] == [
        (Decimal("0.02"), euros("1.00")),
        (Decimal("0.03"), euros("2.00")),
    ]


def test_every_resource_has_a_unit() -> None:
    assert UNITS.keys() == set(Resource)


# --- tax --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("buyer", "rule", "rate", "vat", "total"),
    [
        (Party("A", "DE", "DE123456789"), "domestic", "19", "19.01", "119.06"),
        (Party("B", "FR", "FR12345678901"), "reverse_charge", "0", "0.00", "100.05"),
        (Party("C", "GR", "EL123456789"), "reverse_charge", "0", "0.00", "100.05"),
        (Party("D", "FR"), "eu_consumer", "20", "20.01", "120.06"),
        (Party("E", "CH"), "outside_eu", "0", "0.00", "100.05"),
    ],
)
def test_tax_is_computed_on_the_net_by_the_rule_of_the_buyer(
    buyer: Party, rule: str, rate: str, vat: str, total: str
) -> None:
    invoice = drafted(item("100.05"), buyer=buyer)
    assert (invoice.vat_rule, invoice.vat_rate) == (rule, Decimal(rate))
    assert (invoice.vat, invoice.total) == (euros(vat), euros(total))
    assert bool(invoice.note) == (rule != "domestic")
    assert (invoice.seller, invoice.buyer) == (SELLER, buyer)


def test_tax_is_rounded_once_not_line_by_line() -> None:
    lines = [item("0.02", resource=resource) for resource in Resource]
    assert drafted(*lines).vat == euros("0.02")  # 19 % of 0.10 is 0.019; line by line 0.0038 would be nothing


def test_an_invoice_of_nothing_is_zero() -> None:
    invoice = drafted()
    assert (invoice.net, invoice.vat, invoice.total) == (euros("0.00"), euros("0.00"), euros("0.00"))
    assert invoice.lines == []
    assert str(invoice.total.amount) == "0.00"


# --- when, and under which number -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time_zone", "over_at"),
    [
        ("UTC", datetime(2026, 12, 1, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 11, 30, 23, tzinfo=UTC)),
        ("Asia/Kathmandu", datetime(2026, 11, 30, 18, 15, tzinfo=UTC)),
        ("America/Los_Angeles", datetime(2026, 12, 1, 8, tzinfo=UTC)),
    ],
)
def test_a_month_is_invoiced_once_it_is_over_where_the_tenant_is(time_zone: str, over_at: datetime) -> None:
    require_month_over(NOVEMBER, over_at, time_zone)
    require_month_over(NOVEMBER, over_at + timedelta(days=400), time_zone)
    for early in (timedelta(microseconds=1), timedelta(days=20), timedelta(days=400)):
        with pytest.raises(PeriodNotOver, match="2026-11"):
            require_month_over(NOVEMBER, over_at - early, time_zone)


def test_a_number_names_the_tenant_the_year_and_the_place_in_it() -> None:
    assert invoice_number("acme-cloud", year=2026, sequence=1) == "ACME-CLOUD-2026-00001"
    assert invoice_number("acme", year=2026, sequence=123_456) == "ACME-2026-123456"


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_no_two_invoices_of_a_year_share_a_number(one: int, other: int) -> None:
    numbers = [invoice_number("acme", year=2026, sequence=sequence) for sequence in (one, other)]
    assert (numbers[0] == numbers[1]) == (one == other)
