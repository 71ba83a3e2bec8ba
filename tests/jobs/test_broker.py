"""The worker's broker: messages are acknowledged when their job has ended, and none is lost to a bad one."""

from typing import Any
from uuid import uuid4

import msgspec
from redis.asyncio import Redis
from taskiq.acks import AcknowledgeType
from taskiq.kicker import AsyncKicker

from core.job import JobKind
from core.tenant import Tenant
from shell.announce import RUN_JOB, STREAM, announce, announcer
from tests.installation import Installation, elsewhere, is_done, queued
from tests.waiting import until
from tests.worker import working

GROUP = "taskiq"


async def test_an_announced_job_is_run_and_its_message_acknowledged(
    installation: Installation, tenant: Tenant
) -> None:
    redis_url = elsewhere(installation)
    broker = announcer(redis_url)
    jobs = [await queued(installation, JobKind.CLOSE_DAYS, tenant) for _ in range(3)]
    await announce(broker, [job.id for job in jobs])  # before any worker has made the consumer group
    async with (
        Redis.from_url(redis_url.value) as redis,
        working(redis_url, msgspec.structs.replace(installation.context, worker="w2")),
    ):

        async def all_done() -> bool:
            return all([await is_done(installation, job.id) for job in jobs])

        async def nothing_pending() -> bool:
            pending: dict[str, Any] = await redis.xpending(STREAM, GROUP)
            return not pending["pending"]

        await until(all_done)
        await until(nothing_pending)
        await redis.flushdb()
    await broker.shutdown()


async def test_a_message_that_makes_no_sense_stops_nothing(
    installation: Installation, tenant: Tenant
) -> None:
    redis_url = elsewhere(installation)
    broker = announcer(redis_url)
    job = await queued(installation, JobKind.CLOSE_DAYS, tenant)
    async with (
        Redis.from_url(redis_url.value) as redis,
        working(redis_url, msgspec.structs.replace(installation.context, worker="w3")),
    ):
        await redis.xadd(STREAM, {"data": b"no message"})
        labels = {"ack_type": AcknowledgeType.WHEN_EXECUTED.value}
        unknown: AsyncKicker[[str], None] = AsyncKicker("no_such_task", broker, labels)
        await unknown.kiq("x")
        no_id: AsyncKicker[[str], None] = AsyncKicker(RUN_JOB, broker, labels)
        await no_id.kiq("no id")
        await announce(broker, [uuid4(), job.id])
        await until(lambda: is_done(installation, job.id))
        await redis.flushdb()
    await broker.shutdown()
