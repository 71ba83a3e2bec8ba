"""Closing a tenant's days: aggregation, prices and anomalies."""

from datetime import UTC, datetime
from uuid import UUID

from core.costing import CurrentCosts
from core.errors import TenantGone
from core.job import Job, JobKind
from core.period import month_of
from jobs.context import WorkerContext
from jobs.progress import Progress
from jobs.tenant import tenant_of
from shell import closing, costs, jobs
from shell.announce import announce
from shell.database import retried
from shell.measures import AGGREGATED, ANOMALIES, RESOURCE_USAGE
from shell.queries import SQL
from shell.session import closing_session, platform_session, reading


async def close_tenant_days(context: WorkerContext, job: Job, progress: Progress) -> None:
    """Aggregate, price and judge what is open for one tenant, in one transaction."""
    await progress("close", 0.0)
    await close(context, tenant_of(job))


async def close(context: WorkerContext, tenant_id: UUID) -> None:
    """Close a tenant's open days and count what was found."""
    closed, month_so_far = await retried(lambda: _closed(context, tenant_id))
    AGGREGATED.labels(str(tenant_id)).set_to_current_time()
    for resource in closed.new_anomalies:
        ANOMALIES.labels(str(tenant_id), resource).inc()
    for item in month_so_far.resources:
        RESOURCE_USAGE.labels(str(tenant_id), item.resource).set(float(item.quantity))


async def _closed(context: WorkerContext, tenant_id: UUID) -> tuple[closing.Closed, CurrentCosts]:
    now = datetime.now(UTC)
    async with closing_session(context.pool, tenant_id) as session:
        closed = await closing.close_days(session, now)
        session.commit_with_next()
        return closed, await costs.of_month(session, month_of(now, session.tenant.time_zone))


async def find_open_days(context: WorkerContext) -> None:
    """Queue a job for each tenant that has sent usage."""
    async with platform_session(context.pool) as session:
        queued = await jobs.queue_closings(session)
    await announce(context.announcer, queued)


async def find_missed_days(context: WorkerContext) -> None:
    """Queue a job for each tenant that has anything to close, usage or not.

    A day that is over may wait for its verdict though nothing new has come; a job may have failed for good.
    """
    now = datetime.now(UTC)
    async with platform_session(context.pool, readonly=True) as session:
        tenants = [row["id"] for row in await session.connection.fetch(SQL["tenants_to_close"])]
    for tenant_id in tenants:
        if await _has_open_days(context, tenant_id, now):
            async with platform_session(context.pool) as session:
                job = await jobs.enqueue(
                    session, JobKind.CLOSE_DAYS, dedupe_key=str(tenant_id), tenant_id=tenant_id
                )
            await announce(context.announcer, [job.id])


async def _has_open_days(context: WorkerContext, tenant_id: UUID, now: datetime) -> bool:
    try:
        return await reading(context.pool, tenant_id, lambda session: closing.has_open_days(session, now))
    except TenantGone:  # deleted since it was listed: the others must not wait for it
        return False
