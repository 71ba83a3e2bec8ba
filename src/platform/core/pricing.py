"""Prices: versions with an effective date, default and per tenant; the latest in force counts."""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec

from core.errors import PriceInThePast, PriceMissing
from core.money import EXACT, decimals, to_micros
from core.resource import Resource

UNIT_PRICE_DECIMALS = 12
UNIT_PRICE_DIGITS = 6
MAX_UNIT_PRICE_CHARACTERS = 30

UnitPrice = Annotated[
    Decimal,
    msgspec.Meta(
        description="Per unit of the resource; below 10^6, at most 12 decimals, never negative.",
        examples=["0.02"],
    ),
]


class Price(msgspec.Struct, frozen=True):
    """One version of a resource's price; `tenant_id` is None for the default that all tenants share."""

    id: UUID
    tenant_id: UUID | None
    resource: Resource
    unit_price: UnitPrice
    currency: str
    effective_from: date


class RateCard(msgspec.Struct, frozen=True):
    """The prices that may apply to one tenant, by resource, the ones that win first."""

    versions: dict[Resource, tuple[Price, ...]]


def rate_card(prices: Iterable[Price]) -> RateCard:
    """Order prices so that the first one in force wins: the tenant's own before the default, newest first."""
    versions: dict[Resource, list[Price]] = {}
    for price in prices:
        versions.setdefault(price.resource, []).append(price)
    for candidates in versions.values():
        candidates.sort(key=lambda price: (price.tenant_id is None, -price.effective_from.toordinal()))
    return RateCard({resource: tuple(candidates) for resource, candidates in versions.items()})


def price_in_force(card: RateCard, resource: Resource, day: date) -> Price:
    """The price of a resource on a day; raises PriceMissing where there is none."""
    for price in card.versions.get(resource, ()):
        if price.effective_from <= day:
            return price
    raise PriceMissing(resource=resource, day=day)


def cost(quantity: Decimal, unit_price: Decimal) -> Decimal:
    """What a quantity costs, to six digits, half-up."""
    return to_micros(EXACT.multiply(quantity, unit_price))


def unit_price_objection(unit_price: Decimal) -> str | None:
    """What is wrong with a price that an operator sets, or None."""
    if not unit_price.is_finite() or unit_price < 0:
        return "must be a finite number, not negative"
    if unit_price.adjusted() >= UNIT_PRICE_DIGITS:
        return f"must be below 10^{UNIT_PRICE_DIGITS}"
    if len(str(unit_price)) > MAX_UNIT_PRICE_CHARACTERS or decimals(unit_price) > UNIT_PRICE_DECIMALS:
        return f"must have at most {UNIT_PRICE_DECIMALS} decimals"
    return None


def require_future(effective_from: date, today: date) -> None:
    """Refuse a price that would change a day that is over: raises PriceInThePast."""
    if effective_from <= today:
        raise PriceInThePast(day=effective_from)


def in_force(prices: Sequence[Price], day: date) -> list[Price]:
    """The price of each resource on a day, by resource."""
    card = rate_card(prices)
    return [price_in_force(card, resource, day) for resource in sorted(card.versions)]
