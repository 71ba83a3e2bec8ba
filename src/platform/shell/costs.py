"""Reading what a tenant's usage costs."""

from datetime import date
from typing import Any

import asyncpg
import msgspec

from core.costing import CostRecord, CurrentCosts, Projection, ResourceCost, projection, total_so_far
from core.money import Money
from core.period import Month, local_day
from core.resource import RESOURCES, UNITS, Resource
from shell.queries import SQL
from shell.session import TenantSession

CostKey = tuple[date, str]


async def page(
    session: TenantSession,
    *,
    first: date | None,
    last: date | None,
    resource: Resource | None,
    after: CostKey | None,
    limit: int,
) -> list[CostRecord]:
    """Cost records by day and resource, after a key; one more than `limit`, where there are more."""
    rows = await session.connection.fetch(
        SQL["list_costs"], first, last, resource, *(after or (None, None)), limit + 1
    )
    return [_cost_record(dict(row)) for row in rows]


async def of_month(session: TenantSession, month: Month) -> CurrentCosts:
    """What a month has cost so far, by resource."""
    rows = await session.connection.fetch(SQL["month_costs"], month.first_day, month.last_day)
    currency = session.tenant.currency
    resources = [_resource_cost(row, currency) for row in rows]
    up_to = max((row["up_to"] for row in rows), default=None)
    return total_so_far(resources, month=month, currency=currency, up_to=up_to)


async def projected(session: TenantSession, month: Month, today: date) -> Projection:
    """What a month will have cost at its end."""
    rows = await session.connection.fetch(SQL["daily_amounts"], month.first_day, month.last_day)
    amounts = [(row["day"], row["amount"]) for row in rows]
    tenant = session.tenant
    founded = local_day(tenant.created_at, tenant.time_zone)
    since = min([founded, *(day for day, _ in amounts)])
    return projection(amounts, month=month, today=today, currency=tenant.currency, since=since)


def _cost_record(row: dict[str, Any]) -> CostRecord:
    row["cost"] = Money(row["amount"], row["currency"])
    return msgspec.convert(row, CostRecord)


def _resource_cost(row: asyncpg.Record, currency: str) -> ResourceCost:
    resource = RESOURCES[row["resource"]]
    return ResourceCost(resource, UNITS[resource], row["quantity"], Money(row["amount"], currency))
