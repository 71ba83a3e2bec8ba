"""Listening to the broker for as long as a body runs, and ending it for certain."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from taskiq import AsyncBroker
from taskiq.acks import AcknowledgeType
from taskiq.api import run_receiver_task
from taskiq.receiver import Receiver

AT_ONCE = 4
CANCEL_AGAIN_SECONDS = 1.0
"""Long enough for a connection to be closed in good order, which a second cancellation would interrupt."""
END_SECONDS = 1.0
"""How long a message that is worked on has to end when it is cancelled."""


@asynccontextmanager
async def listening(broker: AsyncBroker) -> AsyncIterator[asyncio.Task[None]]:
    """Run what is announced, several at once, while the body runs; gives the task that listens.

    What still runs at the end is cancelled and waited for: the library forgets it when it is cancelled
    itself, and it would go on to use a broker that is shut down.
    """
    underway: set[asyncio.Task[None]] = set()

    class Attentive(Receiver):
        async def callback(self, *arguments: Any, **options: Any) -> None:
            worked_on = asyncio.create_task(super().callback(*arguments, **options))
            underway.add(worked_on)
            worked_on.add_done_callback(underway.discard)
            await worked_on

    receiver = asyncio.create_task(
        run_receiver_task(broker, Attentive, max_async_tasks=AT_ONCE, ack_time=AcknowledgeType.WHEN_EXECUTED)
    )
    try:
        yield receiver
    finally:
        await _end(receiver)
        await _end_all(underway)


async def _end(receiver: asyncio.Task[None]) -> None:
    """Cancel until it has ended.

    Before Python 3.12, `asyncio.wait_for` loses a cancellation that arrives just when its future completes,
    and the Redis client waits by it: what was told to end would read on for ever.
    """
    receiver.cancel()
    while not receiver.done():
        await asyncio.wait({receiver}, timeout=CANCEL_AGAIN_SECONDS)
        for task in asyncio.all_tasks():
            if task.cancelling() and task is not receiver:
                task.cancel()
    with suppress(asyncio.CancelledError):
        await receiver


async def _end_all(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(set(tasks), timeout=END_SECONDS)
