"""Leading the worker to a known place by locks, and killing it there."""

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from shell.processes import API, SCHEDULER, WORKER
from tests.e2e.platform_process import Client, running_platform

Result = TypeVar("Result")

OF_TENANT = "tenant_id = (SELECT id FROM public.tenants WHERE slug = '{slug}')"
JOB = f"SELECT FROM public.jobs WHERE {OF_TENANT} AND state = 'RUNNING' FOR UPDATE"


@asynccontextmanager
async def killable_platform(data: Path, **settings: Any) -> AsyncIterator[Client]:
    """API, worker and scheduler with short leases, so that what a killed worker held is soon taken up."""
    async with running_platform(
        data, API, WORKER, SCHEDULER, job_lease_seconds=2, job_sweep_seconds=1, **settings
    ) as client:
        await client.ready()
        yield client


async def crash(
    client: Client, chains: Mapping[str, list[str]], begin: Sequence[Coroutine[Any, Any, Result]]
) -> list[Result]:
    """Lead the worker to the end of every chain at once, kill it there, and start another.

    The chains are named by the slugs of tenants. `begin` begins a job for each, and does not run before the
    first locks are held (coroutines wait for that, tasks would not); gives what it gives.
    """
    first = {slug: await client.platform.hold(named(chain[0], slug)) for slug, chain in chains.items()}
    begun = asyncio.gather(*begin)
    holds = await asyncio.gather(
        *(
            client.platform.lead_worker(first[slug], *(named(lock, slug) for lock in chain[1:]))
            for slug, chain in chains.items()
        )
    )
    client.platform.signal(WORKER, signal.SIGKILL)
    client.platform.stop(WORKER)
    client.platform.start(WORKER)
    for hold in holds:
        await hold.release()
    return await begun


def named(lock: str, slug: str) -> str:
    """The lock for one tenant."""
    return lock.format(slug=slug, schema="tenant_" + slug.replace("-", "_"))
