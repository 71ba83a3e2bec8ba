"""The worker's broker: a Redis stream, listened to until the worker stops, however often Redis goes away."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias
from uuid import UUID

import structlog
from redis.exceptions import RedisError
from taskiq import AckableMessage
from taskiq_redis import RedisStreamBroker

from jobs.closing import find_missed_days, find_open_days
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
from shell.measures import FINDER_RUN, FINDER_SECONDS
from shell.settings import Secret

AWAY_SECONDS = 1.0

log = structlog.get_logger()

Find: TypeAlias = Callable[[WorkerContext], Awaitable[None]]

FINDERS: dict[Finder, Find] = {
    Finder.FIND_DUE_ERASURES: find_due_erasures,
    Finder.MIRROR_LEDGER: mirror_ledger,
    Finder.FIND_EXPIRED_ARCHIVES: find_expired_archives,
    Finder.FORGET_FINISHED: forget_finished,
    Finder.REMOVE_EXPIRED_EXPORTS: remove_expired_exports,
    Finder.SWEEP_JOBS: sweep_jobs,
    Finder.FIND_OPEN_DAYS: find_open_days,
    Finder.FIND_MISSED_DAYS: find_missed_days,
    Finder.FIND_UNBILLED_MONTHS: find_unbilled_months,
    Finder.FIND_RETENTION: find_retention,
    Finder.REMIND_OF_CASES: remind_of_cases,
}


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

    broker.register_task(run, task_name=RUN_JOB)
    for finder, find in FINDERS.items():
        broker.register_task(_bound(finder, find, context), task_name=finder)
    return broker


def _bound(finder: Finder, find: Find, context: WorkerContext) -> Callable[[], Awaitable[None]]:
    async def task() -> None:
        started = time.perf_counter()
        try:
            await find(context)
        except Exception:
            FINDER_SECONDS.labels(finder, "failed").observe(time.perf_counter() - started)
            raise
        FINDER_SECONDS.labels(finder, "done").observe(time.perf_counter() - started)
        FINDER_RUN.labels(finder).set_to_current_time()

    return task
