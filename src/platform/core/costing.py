"""Costs: daily usage times the price in force, summed and projected."""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec

from core.money import EXACT, Money, to_cents, total
from core.period import Month
from core.pricing import RateCard, cost, price_in_force
from core.resource import Resource


class DailyUsage(msgspec.Struct, frozen=True):
    """How much of a resource a tenant used on one local day."""

    day: date
    resource: Resource
    quantity: Decimal


class CostRecord(msgspec.Struct, frozen=True):
    """What a day's use of a resource costs (six digits), with the version of the price that made it so."""

    day: date
    resource: Resource
    quantity: Decimal
    unit_price: Decimal
    price_id: UUID
    cost: Money


class ResourceCost(msgspec.Struct, frozen=True):
    """The cost of one resource over a period, and the quantity that it is for."""

    resource: Resource
    unit: str
    quantity: Decimal
    cost: Money


class CurrentCosts(msgspec.Struct, frozen=True):
    """What a month has cost so far; the total is rounded to cents once, the resources are exact."""

    month: str
    total: Money
    resources: list[ResourceCost]
    up_to: date | None


class Projection(msgspec.Struct, frozen=True):
    """What a month will have cost at its end, at the average of its complete days."""

    month: str
    so_far: Money
    projected: Money
    complete_days: int
    days_in_month: int


def cost_records(usage: Iterable[DailyUsage], card: RateCard) -> list[CostRecord]:
    """Price each day's usage; raises PriceMissing."""
    return [_cost_record(item, card) for item in usage]


def _cost_record(item: DailyUsage, card: RateCard) -> CostRecord:
    price = price_in_force(card, item.resource, item.day)
    return CostRecord(
        day=item.day,
        resource=item.resource,
        quantity=item.quantity,
        unit_price=price.unit_price,
        price_id=price.id,
        cost=Money(cost(item.quantity, price.unit_price), price.currency),
    )


def total_so_far(
    resources: Sequence[ResourceCost], *, month: Month, currency: str, up_to: date | None
) -> CurrentCosts:
    """The month's cost from its resources' costs."""
    amount = to_cents(total(item.cost.amount for item in resources))
    return CurrentCosts(str(month), Money(amount, currency), list(resources), up_to)


def projection(
    daily_amounts: Iterable[tuple[date, Decimal]],
    *,
    month: Month,
    today: date,
    currency: str,
    since: date = date.min,
) -> Projection:
    """Project the month to its end, for a tenant that has been here since some day.

    The average of its complete days in this month stands for each day to come, and for today as long as today
    has cost less. Before the first complete day, what today has cost so far is all that is known.
    """
    amounts = list(daily_amounts)
    so_far = total(amount for _, amount in amounts)
    spent = total(amount for day, amount in amounts if day < today)
    complete_days = min(max((today - max(since, month.first_day)).days, 0), month.days)
    average = EXACT.divide(spent, Decimal(complete_days)) if complete_days else Decimal(0)
    of_today = max(average, EXACT.subtract(so_far, spent))
    days_to_come = (month.last_day - today).days
    projected = so_far
    if days_to_come >= 0:
        projected = total([spent, of_today, EXACT.multiply(average, Decimal(days_to_come))])
    return Projection(
        month=str(month),
        so_far=Money(to_cents(so_far), currency),
        projected=Money(to_cents(projected), currency),
        complete_days=complete_days,
        days_in_month=month.days,
    )
