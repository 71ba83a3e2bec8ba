"""The job that closes a tenant's days, and the finder that queues it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from core.errors import NotFound
from core.job import JobKind, JobState
from core.period import local_day
from core.resource import Resource
from core.tenant import Tenant, TenantState
from jobs.closing import close_tenant_days, find_missed_days, find_open_days
from jobs.context import WorkerContext
from jobs.runner import run_job
from shell import jobs
from shell.session import platform_session, recording_session, tenant_session
from tests.events import on, store, usage
from tests.installation import Installation, found, job_of, put_into, queued, rows
from tests.jobs.crash import Crash, Crashing

TODAY = local_day(datetime.now(UTC), "Europe/Berlin")


async def open_jobs(installation: Installation, tenant: Tenant) -> list[UUID]:
    query = "SELECT id FROM jobs WHERE tenant_id = $1 AND kind = 'close_days' AND state = 'QUEUED'"
    return [UUID(str(row["id"])) for row in await rows(installation, query, tenant.id)]


async def test_the_job_closes_what_is_open_and_counts_what_it_found(
    installation: Installation, context: WorkerContext, tenant: Tenant
) -> None:
    quantities = ("10", "11", "9", "10", "12", "8", "10", "99")
    days = [TODAY - timedelta(days=offset) for offset in range(len(quantities), 0, -1)]
    await store(installation, tenant, *(on(day, each) for day, each in zip(days, quantities, strict=True)))
    job = await queued(installation, JobKind.CLOSE_DAYS, tenant)
    await run_job(context, job.id)
    assert (await job_of(installation, job.id)).state is JobState.DONE
    labels = {"tenant_id": str(tenant.id), "resource": "cpu"}
    assert len(await rows(installation, f"SELECT FROM {tenant.schema}.cost_records")) == 8
    assert REGISTRY.get_sample_value("cost_anomalies_total", labels) == 1
    again = await queued(installation, JobKind.CLOSE_DAYS, tenant)
    await run_job(context, again.id)
    assert REGISTRY.get_sample_value("cost_anomalies_total", labels) == 1, "only new ones are counted"


async def test_the_usage_of_the_running_month_is_measured(
    installation: Installation, context: WorkerContext, tenant: Tenant
) -> None:
    await store(installation, tenant, on(TODAY, "2.5"), on(TODAY, "7", resource=Resource.NETWORK))
    await run_job(context, (await queued(installation, JobKind.CLOSE_DAYS, tenant)).id)
    measured = {
        resource: REGISTRY.get_sample_value(
            "tenant_resource_usage", {"tenant_id": str(tenant.id), "resource": resource}
        )
        for resource in ("cpu", "network")
    }
    assert measured == {"cpu": 2.5, "network": 7}


async def test_a_crash_before_the_closing_loses_nothing(
    installation: Installation, context: WorkerContext, tenant: Tenant
) -> None:
    await store(installation, tenant, usage("one"))
    job = await queued(installation, JobKind.CLOSE_DAYS, tenant)
    with pytest.raises(Crash):
        await close_tenant_days(context, job, Crashing(context, "close"))
    await run_job(context, job.id)
    assert len(await rows(installation, f"SELECT FROM {tenant.schema}.cost_records")) == 1


async def test_the_finder_queues_one_job_for_each_tenant_with_open_days(
    own_installation: Installation, own_context: WorkerContext
) -> None:
    used, idle, suspended = [await found(own_installation) for _ in range(3)]
    for tenant in (used, suspended):
        await store(own_installation, tenant, usage("one"))
    await put_into(own_installation, suspended, TenantState.SUSPENDED)
    for _ in range(2):
        await find_open_days(own_context)
    counts = [len(await open_jobs(own_installation, tenant)) for tenant in (used, idle, suspended)]
    assert counts == [1, 0, 1]


async def test_the_finder_queues_nothing_for_what_was_closed(
    own_installation: Installation, own_context: WorkerContext
) -> None:
    tenant = await found(own_installation)
    await store(own_installation, tenant, usage("one"))
    await find_open_days(own_context)
    (job,) = await open_jobs(own_installation, tenant)
    await run_job(own_context, job)
    for find in (find_open_days, find_missed_days):
        await find(own_context)
        assert await open_jobs(own_installation, tenant) == []


async def test_usage_that_comes_while_a_job_runs_is_found_when_it_has_ended(
    own_installation: Installation, own_context: WorkerContext
) -> None:
    tenant = await found(own_installation)
    await store(own_installation, tenant, usage("one"))
    await find_open_days(own_context)
    (running,) = await open_jobs(own_installation, tenant)
    async with platform_session(own_installation.pool) as session:
        assert await jobs.take(session, running, worker="elsewhere", lease=timedelta(minutes=1))
    await store(own_installation, tenant, usage("two"))
    await find_open_days(own_context)
    assert await open_jobs(own_installation, tenant) == []
    async with platform_session(own_installation.pool) as session:
        await jobs.finish(session, running, worker="elsewhere")
    await find_open_days(own_context)
    assert len(await open_jobs(own_installation, tenant)) == 1


async def test_usage_that_was_rolled_back_is_not_looked_for(
    own_installation: Installation, own_context: WorkerContext
) -> None:
    tenant = await found(own_installation)
    with pytest.raises(NotFound):
        async with recording_session(own_installation.pool, tenant_id=tenant.id):
            raise NotFound(what="test")
    await find_open_days(own_context)
    assert await open_jobs(own_installation, tenant) == []


async def test_a_day_is_judged_when_it_is_over_though_nothing_new_has_come(
    own_installation: Installation, own_context: WorkerContext
) -> None:
    tenant = await found(own_installation)
    await store(own_installation, tenant, on(TODAY - timedelta(days=1), "1"))
    await find_open_days(own_context)
    (job,) = await open_jobs(own_installation, tenant)
    await run_job(own_context, job)
    async with tenant_session(own_installation.pool, tenant_id=tenant.id) as session:
        await session.connection.execute("UPDATE daily_usage SET judged = false")  # as the day before left it
    await find_missed_days(own_context)
    assert len(await open_jobs(own_installation, tenant)) == 1
