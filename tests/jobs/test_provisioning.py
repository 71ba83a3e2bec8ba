"""The job that provisions a tenant."""

from uuid import uuid4

import pytest

from core.identity import Account
from core.job import JobKind, JobState
from core.permission import Role
from core.tenant import Tenant, TenantState
from jobs.context import WorkerContext
from jobs.provisioning import provision_tenant
from jobs.runner import run_job
from shell import accounts
from shell.session import tenant_session
from shell.tenants import Founder
from tests.installation import Installation, current, job_of, queued, register, rows
from tests.jobs.crash import Crash, Crashing

OWNER = Account(uuid4(), "ada@example.com", "Ada", Role.OWNER)


async def require_whole(installation: Installation, tenant: Tenant) -> None:
    assert (await current(installation, tenant)).state is TenantState.ACTIVE
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        assert await accounts.get(session, OWNER.id) == OWNER
    query = "SELECT action FROM audit_log WHERE subject = $1 ORDER BY occurred_at"
    audited = [row["action"] for row in await rows(installation, query, f"tenant:{tenant.id}")]
    assert audited == ["tenant.provision", "tenant.complete"]


async def test_the_job_opens_the_tenant(installation: Installation, context: WorkerContext) -> None:
    tenant = await register(installation, founder=Founder(OWNER, "phc"))
    job = await queued(installation, JobKind.PROVISION_TENANT, tenant)
    await run_job(context, job.id)
    done = await job_of(installation, job.id)
    assert (done.state, done.step, done.error) == (JobState.DONE, "founder", None)
    await require_whole(installation, tenant)


@pytest.mark.parametrize("step", ["schema", "tables", "founder"])
async def test_the_job_is_resumed_after_a_crash_at_any_step(
    installation: Installation, context: WorkerContext, step: str
) -> None:
    tenant = await register(installation, founder=Founder(OWNER, "phc"))
    job = await queued(installation, JobKind.PROVISION_TENANT, tenant)
    with pytest.raises(Crash):
        await provision_tenant(context, job, Crashing(context, step))
    assert (await current(installation, tenant)).state is TenantState.PROVISIONING
    await run_job(context, job.id)
    await require_whole(installation, tenant)


async def test_a_job_for_a_tenant_that_is_open_changes_nothing(
    installation: Installation, context: WorkerContext, tenant: Tenant
) -> None:
    job = await queued(installation, JobKind.PROVISION_TENANT, tenant)
    await run_job(context, job.id)
    assert (await job_of(installation, job.id)).state is JobState.DONE
    assert await current(installation, tenant) == tenant
