from decimal import Context, Decimal, localcontext
from fractions import Fraction
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import Money, decimals, to_cents, to_micros, total
from tests.core.strategies import amounts, quantities


@pytest.mark.parametrize(
    ("amount", "cents"),
    [
        ("0", "0.00"),
        ("0.004999", "0.00"),
        ("0.005", "0.01"),
        ("0.015", "0.02"),
        ("0.025", "0.03"),  # half-even would say 0.02
        ("2.675", "2.68"),  # as floats, 2.67
        ("1.005", "1.01"),  # as floats, 1.00
        ("12.344999999999", "12.34"),
        ("-0.005", "-0.01"),
        ("999999999999999999999999.995", "1000000000000000000000000.00"),
    ],
)
def test_cents_are_rounded_half_up(amount: str, cents: str) -> None:
    assert str(to_cents(Decimal(amount))) == cents


@pytest.mark.parametrize(
    ("amount", "micros"),
    [
        ("0.0000004", "0.000000"),
        ("0.0000005", "0.000001"),
        ("0.0000025", "0.000003"),
        ("1E+3", "1000.000000"),
        ("123456789012345678901234567890.0000005", "123456789012345678901234567890.000001"),
    ],
)
def test_cost_records_keep_six_digits_rounded_half_up(amount: str, micros: str) -> None:
    assert str(to_micros(Decimal(amount))) == micros


@given(amounts)
def test_a_cent_is_never_further_than_half_a_cent_away(amount: Decimal) -> None:
    assert abs(Fraction(to_cents(amount)) - Fraction(amount)) <= Fraction(1, 200)
    assert to_cents(to_cents(amount)) == to_cents(amount)


@given(st.lists(quantities, max_size=50), st.randoms(use_true_random=False))
def test_a_total_is_exact_in_any_order(numbers: list[Decimal], random: Random) -> None:
    assert Fraction(total(numbers)) == sum(map(Fraction, numbers))
    shuffled = list(numbers)
    random.shuffle(shuffled)
    assert total(shuffled) == total(numbers)


def test_the_total_of_nothing_is_zero() -> None:
    assert total([]) == 0


def test_sums_and_rounding_do_not_depend_on_the_threads_own_precision() -> None:
    with localcontext(Context(prec=5)):
        assert total([Decimal("123456789.01"), Decimal("0.02")]) == Decimal("123456789.03")
        assert to_cents(Decimal("123456789.015")) == Decimal("123456789.02")


@pytest.mark.parametrize(
    ("number", "digits"),
    [("0", 0), ("1", 0), ("1E+3", 0), ("1.50", 2), ("1E-12", 12), ("0E-3", 3), ("-0.1", 1)],
)
def test_decimals_counts_the_digits_after_the_point(number: str, digits: int) -> None:
    assert decimals(Decimal(number)) == digits


def test_money_is_a_string_in_json() -> None:
    money = Money(Decimal("12.30"), "EUR")
    assert msgspec.json.encode(money) == b'{"amount":"12.30","currency":"EUR"}'
    assert msgspec.json.decode(msgspec.json.encode(money), type=Money) == money
