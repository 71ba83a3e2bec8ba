"""A worker inside the test process, on the real Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from taskiq.acks import AcknowledgeType
from taskiq.api import run_receiver_task

from jobs.broker import worker_broker
from jobs.context import WorkerContext
from shell.settings import Secret


@asynccontextmanager
async def working(redis_url: Secret, context: WorkerContext) -> AsyncIterator[None]:
    """A worker that runs what is announced, for as long as the body runs."""
    broker = worker_broker(redis_url, context)
    receiver = asyncio.create_task(
        run_receiver_task(broker, max_async_tasks=4, ack_time=AcknowledgeType.WHEN_EXECUTED)
    )
    try:
        yield
    finally:
        receiver.cancel()
        with suppress(asyncio.CancelledError):
            await receiver
        await broker.shutdown()
