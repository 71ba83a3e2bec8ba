"""Erasing a tenant, and destroying what the law has let go."""

from datetime import UTC, datetime
from uuid import UUID

from core.audit import SYSTEM
from core.erasure import STEPS
from core.job import Job, JobKind
from core.period import local_day
from jobs.context import WorkerContext
from jobs.progress import Progress
from jobs.tenant import tenant_of
from shell import deletion_ledger, erasures, jobs, legal_archive, tenants
from shell.announce import announce
from shell.erasing import Erasing, perform
from shell.keys import secret_keys
from shell.object_store import ObjectStore
from shell.session import Session, owner_session, platform_session


async def erase_tenant(context: WorkerContext, job: Job, progress: Progress) -> None:
    """Erase a tenant step by step, each committed and repeatable; raises ErasureCancelled."""
    erasing = await _begun(context, job)
    for number, step in enumerate(STEPS):
        await progress(step, number / len(STEPS))
        await perform(erasing, step)


async def _begun(context: WorkerContext, job: Job) -> Erasing:
    async with owner_session(context.owner_pool) as session:
        tenant = await tenants.lock(session, tenant_of(job))
        await erasures.begin(session, tenant.id, job.id)
    settings = context.settings
    return Erasing(settings, context.owner_pool, ObjectStore(settings), secret_keys(settings), tenant, job.id)


async def destroy_archive(context: WorkerContext, job: Job, _: Progress) -> None:
    """Destroy the legal archive of a tenant whose time is over; one that is gone stays gone."""
    async with owner_session(context.owner_pool) as session:
        await legal_archive.destroy(session, tenant_of(job), ObjectStore(context.settings), SYSTEM)


async def find_due_erasures(context: WorkerContext) -> None:
    """Queue a job for each erasure whose waiting period is over and that no job works on."""
    async with platform_session(context.pool) as session:
        queued = await erasures.queue_due(session, datetime.now(UTC))
    await announce(context.announcer, [job.id for job in queued])


async def find_expired_archives(context: WorkerContext) -> None:
    """Queue a job for each legal archive that the law lets go."""
    today = local_day(datetime.now(UTC), "UTC")
    async with platform_session(context.pool) as session:
        queued = [await _queue(session, each) for each in await legal_archive.expired(session, today)]
    await announce(context.announcer, [job.id for job in queued])


async def mirror_ledger(context: WorkerContext) -> None:
    """Copy the deletion ledger's new entries out of the database."""
    await deletion_ledger.mirror(context.pool, ObjectStore(context.settings))


async def _queue(session: Session, tenant_id: UUID) -> Job:
    return await jobs.enqueue(
        session, JobKind.DESTROY_ARCHIVE, dedupe_key=str(tenant_id), tenant_id=tenant_id
    )
