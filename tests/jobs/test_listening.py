import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from taskiq import BrokerMessage, InMemoryBroker, TaskiqMessage
from taskiq.formatters.json_formatter import JSONFormatter

from jobs.listening import listening


class ForgetfulBroker(InMemoryBroker):
    """Loses its first cancellation, as `asyncio.wait_for` does where it arrives at a bad moment."""

    def __init__(self) -> None:
        super().__init__()
        self.is_listening = asyncio.Event()

    async def listen(self) -> AsyncGenerator[bytes, None]:
        self.is_listening.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()
        yield b"never"


async def test_listening_ends_although_a_cancellation_was_lost() -> None:
    broker = ForgetfulBroker()
    async with asyncio.timeout(30), listening(broker) as receiver:
        await broker.is_listening.wait()
    assert receiver.cancelled()


class OneMessage(InMemoryBroker):
    """Announces one task, and no more."""

    def __init__(self, announced: BrokerMessage) -> None:
        super().__init__()
        self.announced = announced

    async def listen(self) -> AsyncGenerator[bytes, None]:
        yield self.announced.message
        await asyncio.Event().wait()


async def test_what_is_worked_on_has_ended_when_listening_ends() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # as an acknowledgement does, which needs the broker
            ended.set()

    message = TaskiqMessage(task_id="1", task_name="work", labels={}, args=[], kwargs={})
    broker = OneMessage(JSONFormatter().dumps(message))
    broker.register_task(work, task_name="work")
    async with asyncio.timeout(30), listening(broker):
        await begun.wait()
    assert ended.is_set()
