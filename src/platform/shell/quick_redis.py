"""Redis for what must not wait for it: scripts that answer within moments, or are not asked for a while."""

import time
from collections.abc import Sequence
from pathlib import Path

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from shell.settings import Secret

LONGEST_ANSWER_SECONDS = 0.25
AWAY_SECONDS = 2.0
"""For how long Redis is not asked again after it did not answer."""

CONNECTIONS = 8
FOLDER = Path(__file__).parent / "lua"

log = structlog.get_logger()


class QuickRedis:
    """Runs Lua scripts; gives None while Redis is away, almost always without waiting to find out."""

    def __init__(self, url: Secret) -> None:
        """Connect at the first use."""
        pool = BlockingConnectionPool.from_url(
            url.value,
            max_connections=CONNECTIONS,
            timeout=LONGEST_ANSWER_SECONDS,
            socket_timeout=LONGEST_ANSWER_SECONDS,
            socket_connect_timeout=LONGEST_ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis: Redis = Redis.from_pool(pool)
        self._scripts: dict[str, AsyncScript] = {}
        self._away_until = 0.0

    async def run(self, name: str, keys: Sequence[str], arguments: Sequence[str | float]) -> list[str] | None:
        """What the script `lua/<name>.lua` gives, as texts; None while Redis is away."""
        if time.monotonic() < self._away_until:
            return None
        try:
            answer = await self._script(name)(keys=list(keys), args=list(arguments))
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            log.warning("redis.away", error=type(error).__name__)
            return None
        return [part.decode() if isinstance(part, bytes) else str(part) for part in answer]

    async def close(self) -> None:
        """Hang up."""
        await self._redis.aclose()

    def _script(self, name: str) -> AsyncScript:
        if name not in self._scripts:
            self._scripts[name] = self._redis.register_script((FOLDER / f"{name}.lua").read_text())
        return self._scripts[name]
