"""Erasing what audit entries say of a person who was erased; the chain still verifies."""

from datetime import UTC, datetime
from uuid import UUID

from core.audit import PLATFORM_CHAIN
from core.job import Job
from jobs.context import WorkerContext
from jobs.progress import Progress
from jobs.tenant import tenant_of
from shell import tenants
from shell.audit import erase_details_of_person
from shell.session import platform_session


async def erase_persons_details(context: WorkerContext, job: Job, progress: Progress) -> None:
    """Take details, addresses and salts out of entries by or about the person, in both chains."""
    async with platform_session(context.pool, readonly=True) as session:
        tenant = await tenants.get(session, tenant_of(job))
    await progress("details", 0.0)
    await erase_details_of_person(
        context.owner_pool,
        UUID(job.args["user_id"]),
        chains=[tenant.chain, PLATFORM_CHAIN],
        now=datetime.now(UTC),
    )
