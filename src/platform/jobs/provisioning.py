"""Provisioning a tenant: role, schema, tables, founder."""

from core.job import Job
from jobs.context import WorkerContext
from jobs.progress import Progress
from jobs.tenant import tenant_of
from shell import provisioning


async def provision_tenant(context: WorkerContext, job: Job, progress: Progress) -> None:
    """Make a tenant's role, schema and tables, each committed and repeatable, then open it."""
    tenant = await provisioning.begin(context.owner_pool, tenant_of(job))
    await provisioning.create_role(context.owner_pool, tenant)
    await progress("schema", 0.25)
    await provisioning.create_schema(context.owner_pool, tenant)
    await progress("tables", 0.5)
    await provisioning.create_tables(context.owner_pool, tenant)
    await progress("founder", 0.75)
    await provisioning.complete(context.owner_pool, tenant)
