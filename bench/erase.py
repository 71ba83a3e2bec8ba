"""`erase`: erase a tenant with a million usage rows, from the moment at which the waiting period is over.

The product runs the job as a worker does: it freezes the tenant, archives, deletes, drops, purges
Redis, audits, scans and signs. Nothing is left out but the waiting. There is no baseline: the target is a
number of seconds.
"""

import time
from datetime import UTC, datetime

from bench.close import EVENTS
from bench.figures import Figure, alone
from bench.stage import Stage, administrator, provisioned, stage
from core.audit import SYSTEM
from core.job import JobState
from core.tenant import Tenant, TenantState
from jobs.context import WorkerContext
from jobs.runner import run_job
from shell import erasures, jobs
from shell import tenants as registry
from shell.announce import announcer
from shell.session import platform_session

SECONDS_AT_MOST = 5.0
START, END = "2026-10-01T00:00:00Z", "2026-10-02T00:00:00Z"


async def erase(*, quick: bool) -> list[Figure]:
    """The seconds that an erasure takes."""
    events, rounds = (100_000, 2) if quick else (1_000_000, 3)
    async with stage() as here:
        assert here.settings.redis_url is not None
        broker = announcer(here.settings.redis_url)
        context = WorkerContext(here.settings, here.pool, here.owner_pool, broker, "bench")
        found = []
        for tenant in await provisioned(here, [f"erase-{number}" for number in range(rounds)]):
            await _fill(here, tenant, events)
            found.append(await _erased(here, context, tenant))
        await broker.shutdown()
    return [alone(f"erase, 1 x {events:,}", "s", found, value_at_most=SECONDS_AT_MOST)]


async def _fill(here: Stage, tenant: Tenant, events: int) -> None:
    async with administrator(here) as connection:
        await connection.execute(EVENTS.format(schema=tenant.schema, start=START, end=END, events=events))
        # The stage's owners have the ids of their tenants, which stay: the scan would find them.
        await connection.execute(f"DELETE FROM {tenant.schema}.sessions")
        await connection.execute(f"UPDATE {tenant.schema}.users SET id = gen_random_uuid()")
        await connection.execute("CHECKPOINT")


async def _erased(here: Stage, context: WorkerContext, tenant: Tenant) -> float:
    async with platform_session(here.pool) as session:
        locked = await registry.lock(session, tenant.id)
        job = await erasures.request(session, locked, SYSTEM, due=datetime.now(UTC))
    started = time.perf_counter()
    await run_job(context, job.id)
    seconds = time.perf_counter() - started
    async with platform_session(here.pool, readonly=True) as session:
        assert (await jobs.get(session, job.id)).state is JobState.DONE
        assert (await registry.get(session, tenant.id)).state is TenantState.DELETED
    return seconds
