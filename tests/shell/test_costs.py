"""Reading costs: day by day, this month, and at its end."""

from datetime import UTC, date, datetime
from decimal import Decimal

from core.period import Month
from core.resource import Resource
from core.tenant import Tenant
from shell import costs
from shell.costs import CostKey
from shell.session import tenant_session
from tests.events import on, used
from tests.installation import Installation

JUNE = Month(2026, 6)
NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)


async def test_a_month_so_far_is_the_sum_of_its_days(installation: Installation, tenant: Tenant) -> None:
    days = [on(date(2026, 6, number), "1.1") for number in (1, 2, 3)]
    around = [on(date(2026, 5, 31), "100"), on(date(2026, 7, 1), "100")]
    await used(installation, tenant, [*days, *around, on(date(2026, 6, 4), "7", resource=Resource.NETWORK)])
    async with tenant_session(installation.pool, tenant_id=tenant.id, readonly=True) as session:
        current = await costs.of_month(session, JUNE)
    assert (current.month, current.up_to) == ("2026-06", date(2026, 6, 4))
    assert [(each.resource, each.unit, each.quantity, each.cost.amount) for each in current.resources] == [
        (Resource.CPU, "vCPU-hour", Decimal("3.3"), Decimal("0.066")),
        (Resource.NETWORK, "GB", Decimal(7), Decimal("0.007")),
    ]
    assert (current.total.amount, current.total.currency) == (Decimal("0.07"), "EUR")


async def test_a_month_without_usage_costs_nothing(installation: Installation, tenant: Tenant) -> None:
    async with tenant_session(installation.pool, tenant_id=tenant.id, readonly=True) as session:
        current = await costs.of_month(session, JUNE)
        projected = await costs.projected(session, JUNE, date(2026, 6, 15))
    assert (current.total.amount, current.resources, current.up_to) == (Decimal(0), [], None)
    assert (projected.so_far.amount, projected.projected.amount) == (Decimal(0), Decimal(0))


async def test_pages_hold_every_record_once_in_order(installation: Installation, tenant: Tenant) -> None:
    resources = (Resource.CPU, Resource.MEMORY, Resource.STORAGE)
    await used(
        installation,
        tenant,
        [on(date(2026, 6, day), "1", resource=resource) for day in range(1, 6) for resource in resources],
    )
    seen: list[CostKey] = []
    after: CostKey | None = None
    async with tenant_session(installation.pool, tenant_id=tenant.id, readonly=True) as session:
        while True:
            page = await costs.page(session, first=None, last=None, resource=None, after=after, limit=4)
            seen += [(record.day, record.resource.value) for record in page[:4]]
            if len(page) <= 4:
                break
            after = seen[-1]
    assert seen == [(date(2026, 6, day), resource.value) for day in range(1, 6) for resource in resources]


async def test_a_list_can_be_narrowed_to_days_and_a_resource(
    installation: Installation, tenant: Tenant
) -> None:
    both = (Resource.CPU, Resource.NETWORK)
    await used(
        installation,
        tenant,
        [on(date(2026, 6, day), "1", resource=resource) for day in range(1, 6) for resource in both],
    )
    async with tenant_session(installation.pool, tenant_id=tenant.id, readonly=True) as session:
        page = await costs.page(
            session, first=date(2026, 6, 2), last=date(2026, 6, 3), resource=Resource.CPU, after=None, limit=9
        )
    assert [(record.day.day, record.resource) for record in page] == [(2, Resource.CPU), (3, Resource.CPU)]
