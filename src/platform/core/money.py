"""Money and rounding: decimals from end to end, rounded in two places and nowhere else."""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import reduce

import msgspec

EXACT = Context(prec=60)
"""Wide enough for any quantity times any price: products are exact until they are rounded here."""

CENT = Decimal("0.01")
MICRO = Decimal("0.000001")


class Money(msgspec.Struct, frozen=True):
    """An amount of a currency (ISO 4217); in JSON a string, since floats lose cents."""

    amount: Decimal
    currency: str


def to_cents(amount: Decimal) -> Decimal:
    """Rounded half-up to cents: how an invoice line is rounded, once."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP, context=EXACT)


def to_micros(amount: Decimal) -> Decimal:
    """Rounded half-up to six digits: how a cost record is kept."""
    return amount.quantize(MICRO, rounding=ROUND_HALF_UP, context=EXACT)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum."""
    return reduce(EXACT.add, amounts, Decimal(0))


def decimals(number: Decimal) -> int:
    """How many digits a finite decimal has after the point, trailing zeros included."""
    exponent = number.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
