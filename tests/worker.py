"""A worker inside the test process, on the real Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jobs.broker import worker_broker
from jobs.context import WorkerContext
from jobs.listening import listening
from shell.settings import Secret


@asynccontextmanager
async def working(redis_url: Secret, context: WorkerContext) -> AsyncIterator[None]:
    """A worker that runs what is announced, for as long as the body runs."""
    broker = worker_broker(redis_url, context)
    try:
        async with listening(broker):
            yield
    finally:
        await broker.shutdown()
