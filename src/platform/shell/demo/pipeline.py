"""What a demonstration asks of the worker: close a tenant's days and invoice its months, now."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from core.errors import PlatformError
from core.job import Job, JobKind, JobState
from core.period import Month
from shell import jobs
from shell.announce import announce, announcer
from shell.commands.connect import Connected
from shell.session import platform_session

PATIENCE_SECONDS: Final = 60.0
LOOK_AGAIN_SECONDS: Final = 0.02


class JobNotDone(PlatformError):
    """The job {kind} was not done within {seconds:.0f} seconds: {error}."""

    fields = ("kind", "seconds", "error")


async def close_days(platform: Connected, tenant_id: UUID) -> None:
    """Aggregate, price and judge all that a tenant has used; raises JobNotDone."""
    await _run(platform, JobKind.CLOSE_DAYS, tenant_id, dedupe_key=str(tenant_id), args={})


async def invoice_months(platform: Connected, tenant_id: UUID, months: Iterable[Month]) -> None:
    """Invoice months that are over, one after the other; raises JobNotDone."""
    for month in months:
        await _run(
            platform,
            JobKind.INVOICE_MONTH,
            tenant_id,
            dedupe_key=f"{tenant_id}:{month}",
            args={"month": str(month)},
        )


async def _run(
    platform: Connected, kind: JobKind, tenant_id: UUID, *, dedupe_key: str, args: dict[str, Any]
) -> None:
    async with platform_session(platform.pool) as session:
        job = await jobs.enqueue(session, kind, dedupe_key=dedupe_key, tenant_id=tenant_id, args=args)
    await _announce(platform, job)
    await _finished(platform, job)


async def _announce(platform: Connected, job: Job) -> None:
    if platform.settings.redis_url is None:
        return
    broker = announcer(platform.settings.redis_url)
    await announce(broker, [job.id])
    await broker.shutdown()


async def _finished(platform: Connected, job: Job) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while job.state is not JobState.DONE:
        if job.state is JobState.FAILED or time.monotonic() > deadline:
            raise JobNotDone(kind=job.kind, seconds=PATIENCE_SECONDS, error=job.error or "it still runs")
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
        async with platform_session(platform.pool, readonly=True) as session:
            job = await jobs.get(session, job.id)
