import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from taskiq import InMemoryBroker

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
