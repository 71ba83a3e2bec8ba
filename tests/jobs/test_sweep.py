"""The sweep: Redis may forget everything, the table of jobs forgets nothing."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from redis.asyncio import Redis

from core.job import JobKind, JobState
from core.tenant import Tenant
from jobs.context import WorkerContext
from jobs.sweep import forget_finished, sweep_jobs
from shell import jobs
from shell.announce import STREAM, announcer
from shell.session import platform_session
from tests.installation import Installation, administrator, elsewhere, found, job_of, queued, rows


async def announced(installation: Installation) -> tuple[list[UUID], int]:
    """Which jobs a sweep announces, and the state that Redis is left in."""
    redis_url = elsewhere(installation)
    async with Redis.from_url(redis_url.value) as redis:
        await redis.flushdb()
        broker = announcer(redis_url)
        await sweep_jobs(msgspec.structs.replace(installation.context, announcer=broker))
        await broker.shutdown()
        entries: list[Any] = await redis.xrange(STREAM) or []
        await redis.flushdb()
    messages = [msgspec.json.decode(fields[b"data"]) for _, fields in entries]
    return [UUID(message["args"][0]) for message in messages], len(entries)


async def taken(installation: Installation, tenant: Tenant, lease: timedelta) -> UUID:
    job = await queued(installation, JobKind.CLOSE_DAYS, tenant)
    async with platform_session(installation.pool) as session:
        assert await jobs.take(session, job.id, worker="w1", lease=lease)
    return job.id


async def test_what_is_due_stalled_or_lost_is_announced_again(own_installation: Installation) -> None:
    tenant = await found(own_installation)
    lost = await queued(own_installation, JobKind.CLOSE_DAYS, tenant)
    stalled = await taken(own_installation, tenant, timedelta(seconds=-1))
    await taken(own_installation, tenant, timedelta(minutes=1))
    async with administrator(own_installation.admin_url) as admin:
        later = await queued(own_installation, JobKind.CLOSE_DAYS, tenant)
        await admin.execute("UPDATE jobs SET not_before = now() + interval '1 h' WHERE id = $1", later.id)
    found_ids, _ = await announced(own_installation)
    assert found_ids == [lost.id, stalled]
    again, _ = await announced(own_installation)
    assert again == found_ids, "for as long as nobody takes them"


async def test_without_anything_due_nothing_is_announced(own_installation: Installation) -> None:
    assert await announced(own_installation) == ([], 0)


async def test_jobs_and_keys_are_forgotten_some_time_after_their_end(
    own_installation: Installation, own_context: WorkerContext
) -> None:
    tenant = await found(own_installation)
    done = [await taken(own_installation, tenant, timedelta(minutes=1)) for _ in range(2)]
    waiting = await queued(own_installation, JobKind.CLOSE_DAYS, tenant)
    async with platform_session(own_installation.pool) as session:
        for job_id in done:
            await jobs.finish(session, job_id, worker="w1")
    async with administrator(own_installation.admin_url) as admin:
        await admin.execute("UPDATE jobs SET finished_at = now() - interval '8 days' WHERE id = $1", done[0])
        await admin.execute("UPDATE jobs SET created_at = now() - interval '99 days'")
        await admin.execute(
            "INSERT INTO idempotency_keys VALUES ('c', 'old', '', NULL, now() - interval '3 days'), "
            "('c', 'new', '', NULL, now())"
        )
    await forget_finished(own_context)
    kept = {row["id"] for row in await rows(own_installation, "SELECT id FROM jobs")}
    assert kept == {done[1], waiting.id}
    assert await rows(own_installation, "SELECT key FROM idempotency_keys") == [{"key": "new"}]
    assert (await job_of(own_installation, waiting.id)).state is JobState.QUEUED
