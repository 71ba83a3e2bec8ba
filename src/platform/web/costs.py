"""Costs: day by day, this month so far, and at its end."""

from datetime import UTC, date, datetime
from typing import Annotated
from uuid import UUID

from litestar import Router
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from core.costing import CostRecord, CurrentCosts, Projection
from core.cursor import decode_cursor
from core.period import local_day, month_of
from core.permission import Permission
from core.resource import Resource
from shell import costs
from shell.session import TenantSession, reading
from web.guards import may
from web.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from web.problems import TENANT_PROBLEMS, problems
from web.routes import get
from web.services import Services


@get(
    "/costs",
    operation_id="listCosts",
    summary="List cost records",
    guards=[may(Permission.BILLING_READ)],
    responses=problems(*TENANT_PROBLEMS, 422),
)
async def list_costs(
    tenant_id: FromPath[UUID],
    services: NamedDependency[Services],
    first: Annotated[date | None, QueryParameter(name="from", description="The first day.")] = None,
    last: Annotated[date | None, QueryParameter(name="to", description="The last day.")] = None,
    resource: Annotated[Resource | None, QueryParameter(description="Only this resource.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[CostRecord]:
    """What each day's use of each resource costs, with the version of the price that made it so."""
    after = decode_cursor(cursor, tuple[date, str]) if cursor else None
    found = await reading(
        services.pool,
        tenant_id,
        lambda session: costs.page(
            session, first=first, last=last, resource=resource, after=after, limit=limit
        ),
    )
    return page_of(found, limit, lambda record: (record.day, record.resource))


@get(
    "/costs/current",
    operation_id="getCurrentCosts",
    summary="Cost of this month so far",
    guards=[may(Permission.BILLING_READ)],
    responses=problems(*TENANT_PROBLEMS),
)
async def current_costs(tenant_id: FromPath[UUID], services: NamedDependency[Services]) -> CurrentCosts:
    """What this month has cost so far, by resource, as far as usage has been aggregated."""
    now = datetime.now(UTC)
    return await reading(
        services.pool,
        tenant_id,
        lambda session: costs.of_month(session, month_of(now, session.tenant.time_zone)),
    )


@get(
    "/costs/projection",
    operation_id="getProjectedCosts",
    summary="Cost of this month at its end",
    guards=[may(Permission.BILLING_READ)],
    responses=problems(*TENANT_PROBLEMS),
)
async def projected_costs(tenant_id: FromPath[UUID], services: NamedDependency[Services]) -> Projection:
    """What this month will have cost at its end, at the average of its complete days."""
    now = datetime.now(UTC)

    async def projected(session: TenantSession) -> Projection:
        zone = session.tenant.time_zone
        return await costs.projected(session, month_of(now, zone), local_day(now, zone))

    return await reading(services.pool, tenant_id, projected)


costs_router = Router("/", route_handlers=[list_costs, current_costs, projected_costs], tags=["Costs"])
