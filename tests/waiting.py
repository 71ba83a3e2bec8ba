"""Waiting for what other tasks do: as short as possible, and never for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

PATIENCE = 20.0
LOOK_AGAIN = 0.01

Found = TypeVar("Found")


async def until(look: Callable[[], Awaitable[Found]]) -> Found:
    """What `look` gives as soon as it is true; fails after a while."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not (found := await look()):
        assert asyncio.get_running_loop().time() < deadline, f"not so within {PATIENCE} s"
        await asyncio.sleep(LOOK_AGAIN)
    return found
