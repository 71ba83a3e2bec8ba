"""Running a job: take it by lease, keep the lease while it runs, and record how it ended."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import structlog
from structlog.contextvars import bound_contextvars

from core.errors import WorkerLost
from core.job import MAX_ATTEMPTS, Job, JobKind, JobState
from jobs import closing, erasure, invoicing, password_reset, persons, portability, provisioning, retention
from jobs.context import WorkerContext
from jobs.progress import Progress
from shell import jobs as table
from shell.database import UNAVAILABLE
from shell.measures import JOB_SECONDS
from shell.session import platform_session
from shell.tracing import job_traced

log = structlog.get_logger()

Handler = Callable[[WorkerContext, Job, Progress], Awaitable[None]]

HANDLERS: dict[JobKind, Handler] = {
    JobKind.PROVISION_TENANT: provisioning.provision_tenant,
    JobKind.CLOSE_DAYS: closing.close_tenant_days,
    JobKind.INVOICE_MONTH: invoicing.invoice_tenant_month,
    JobKind.ERASE_TENANT: erasure.erase_tenant,
    JobKind.DESTROY_ARCHIVE: erasure.destroy_archive,
    JobKind.EXPORT_TENANT: portability.export_tenant,
    JobKind.RETAIN: retention.retain,
    JobKind.ERASE_PERSON: persons.erase_persons_details,
    JobKind.RESET_PASSWORD: password_reset.send_reset_mail,
}


async def run_job(context: WorkerContext, job_id: UUID) -> None:
    """Run a job unless it is done, not due, or in another worker's hands; a failed one runs again later."""
    async with platform_session(context.pool) as session:
        job = await table.take(session, job_id, worker=context.worker, lease=context.lease)
    if job is None:
        return
    if job.attempts > MAX_ATTEMPTS:  # it has taken its workers with it again and again
        async with platform_session(context.pool) as session:
            await table.fail(session, job, WorkerLost(attempts=job.attempts - 1), worker=context.worker)
        JOB_SECONDS.labels(job.kind, "failed").observe(0)
        return
    tenant = None if job.tenant_id is None else str(job.tenant_id)
    with (
        bound_contextvars(job_id=str(job.id), kind=job.kind, tenant_id=tenant, request_id=job.request_id),
        job_traced(context.tracing, job),
    ):
        async with _kept_lease(context, job):
            await _run(context, job)


async def _run(context: WorkerContext, job: Job) -> None:
    started = time.perf_counter()
    outcome = await _attempted(context, job)
    JOB_SECONDS.labels(job.kind, outcome).observe(time.perf_counter() - started)


async def _attempted(context: WorkerContext, job: Job) -> str:
    """Run the handler, and record how that ended."""
    try:
        await HANDLERS[job.kind](context, job, Progress(context, job.id))
    except Exception as error:  # whatever went wrong, the job must say so and be tried again
        async with platform_session(context.pool) as session:
            state = await table.fail(session, job, error, worker=context.worker)
        log.exception("job.failed", attempt=job.attempts, state=state)
        return "failed" if state is JobState.FAILED else "retried"
    else:
        async with platform_session(context.pool) as session:
            await table.finish(session, job.id, worker=context.worker)
        log.info("job.done", attempt=job.attempts)
        return "done"


@asynccontextmanager
async def _kept_lease(context: WorkerContext, job: Job) -> AsyncIterator[None]:
    """Renew the lease three times per term while the body runs."""
    renewal = asyncio.create_task(_renew(context, job))
    try:
        yield
    finally:
        renewal.cancel()


async def _renew(context: WorkerContext, job: Job) -> None:
    while True:
        await asyncio.sleep(context.lease.total_seconds() / 3)
        try:
            async with platform_session(context.pool) as session:
                await table.renew(session, job.id, worker=context.worker, lease=context.lease)
        except UNAVAILABLE as error:
            log.warning("job.lease_not_renewed", error=type(error).__name__)
