"""The worker's broker: a Redis stream, listened to until the worker stops, however often Redis goes away."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any
from uuid import UUID

import structlog
from redis.exceptions import RedisError
from taskiq import AckableMessage
from taskiq_redis import RedisStreamBroker

from jobs.closing import find_open_days
from jobs.context import WorkerContext
from jobs.erasure import find_due_erasures, find_expired_archives, mirror_ledger
from jobs.invoicing import find_unbilled_months
from jobs.portability import remove_expired_exports
from jobs.reminders import remind_of_cases
from jobs.retention import find_retention
from jobs.runner import run_job
from jobs.schedule import Finder
from jobs.sweep import forget_finished, sweep_jobs
from shell.announce import LONGEST_STREAM, RUN_JOB, STREAM
from shell.settings import Secret

AWAY_SECONDS = 1.0

log = structlog.get_logger()


class PatientBroker(RedisStreamBroker):
    """Waits for Redis where the library's broker would give up, and makes its consumer group anew."""

    async def startup(self) -> None:
        """Begin without Redis, too: listening makes the consumer group."""

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        """Messages, without end."""
        while True:
            try:
                await self._declare_consumer_group()
                async for message in super().listen():
                    yield message
            except (RedisError, OSError) as error:
                log.warning("redis.away", error=type(error).__name__)
                await asyncio.sleep(AWAY_SECONDS)


def worker_broker(redis_url: Secret, context: WorkerContext) -> PatientBroker:
    """A broker whose tasks run with this worker's context."""
    broker = PatientBroker(
        redis_url.value,
        queue_name=STREAM,
        consumer_name=context.worker,
        consumer_id="0",
        maxlen=LONGEST_STREAM,
        xread_count=10,
        idle_timeout=context.settings.job_lease_seconds * 2000,
        unacknowledged_lock_timeout=10,
        socket_connect_timeout=2,
        socket_timeout=10,  # a Redis that answers no more is as good as away; reading blocks for two seconds
        max_connection_pool_size=16,
    )

    async def run(job_id: str) -> None:
        with suppress(asyncio.CancelledError):  # the worker stops, and gives its jobs back
            await run_job(context, UUID(job_id))

    async def sweep() -> None:
        await sweep_jobs(context)

    async def open_days() -> None:
        await find_open_days(context)

    async def unbilled_months() -> None:
        await find_unbilled_months(context)

    async def expired_exports() -> None:
        await remove_expired_exports(context)

    async def forget() -> None:
        await forget_finished(context)

    async def due_erasures() -> None:
        await find_due_erasures(context)

    async def ledger() -> None:
        await mirror_ledger(context)

    async def expired_archives() -> None:
        await find_expired_archives(context)

    broker.register_task(run, task_name=RUN_JOB)
    broker.register_task(due_erasures, task_name=Finder.FIND_DUE_ERASURES)
    broker.register_task(ledger, task_name=Finder.MIRROR_LEDGER)
    broker.register_task(expired_archives, task_name=Finder.FIND_EXPIRED_ARCHIVES)
    broker.register_task(forget, task_name=Finder.FORGET_FINISHED)
    broker.register_task(expired_exports, task_name=Finder.REMOVE_EXPIRED_EXPORTS)
    broker.register_task(sweep, task_name=Finder.SWEEP_JOBS)
    broker.register_task(open_days, task_name=Finder.FIND_OPEN_DAYS)
    broker.register_task(unbilled_months, task_name=Finder.FIND_UNBILLED_MONTHS)
    broker.register_task(_bound(find_retention, context), task_name=Finder.FIND_RETENTION)
    broker.register_task(_bound(remind_of_cases, context), task_name=Finder.REMIND_OF_CASES)
    return broker


def _bound(
    find: Callable[[WorkerContext], Awaitable[None]], context: WorkerContext
) -> Callable[[], Coroutine[Any, Any, None]]:
    """A finder as a task without arguments."""

    async def found() -> None:
        await find(context)

    return found
