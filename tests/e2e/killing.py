"""Leading the worker to a known place by locks, and killing it there."""

import asyncio
import signal
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from shell.processes import WORKER
from tests.e2e.platform_process import Client

Result = TypeVar("Result")

OF_TENANT = "tenant_id = (SELECT id FROM public.tenants WHERE slug = '{slug}')"
JOB = f"SELECT FROM public.jobs WHERE {OF_TENANT} AND state = 'RUNNING' FOR UPDATE"


async def crash(client: Client, chains: Mapping[str, list[str]], begin: Awaitable[Result]) -> Result:
    """Lead the worker to the end of every chain at once, kill it there, and start another.

    The chains are named by the slugs of tenants, for each of whom `begin` begins a job; gives its result.
    """
    first = {slug: await client.platform.hold(named(chain[0], slug)) for slug, chain in chains.items()}
    begun = asyncio.ensure_future(begin)
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
