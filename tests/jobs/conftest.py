from collections.abc import AsyncIterator

import msgspec
import pytest_asyncio

from jobs.context import WorkerContext
from shell.announce import announcer
from tests.installation import Installation, elsewhere


@pytest_asyncio.fixture
async def context(installation: Installation) -> AsyncIterator[WorkerContext]:
    """The context of a worker whose announcements nobody hears."""
    broker = announcer(elsewhere(installation))
    yield msgspec.structs.replace(installation.context, announcer=broker, worker="w1")
    await broker.shutdown()


@pytest_asyncio.fixture
async def own_context(own_installation: Installation) -> AsyncIterator[WorkerContext]:
    """The same on a platform of the test's own."""
    broker = announcer(elsewhere(own_installation))
    yield msgspec.structs.replace(own_installation.context, announcer=broker, worker="w1")
    await broker.shutdown()
