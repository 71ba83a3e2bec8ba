"""Announcing jobs on Redis: a hint to the workers, never the truth, so its loss loses nothing."""

from collections.abc import Iterable
from uuid import UUID

import structlog
from redis.exceptions import RedisError
from taskiq import AsyncBroker
from taskiq.acks import AcknowledgeType
from taskiq.exceptions import SendTaskError
from taskiq.kicker import AsyncKicker
from taskiq_redis import RedisStreamBroker

from shell.settings import Secret

RUN_JOB = "run_job"
"""The name of the one task that runs any job by its id."""

STREAM = "platform:jobs"
LONGEST_STREAM = 100_000

log = structlog.get_logger()


def announcer(redis_url: Secret) -> RedisStreamBroker:
    """A broker that only announces: short time limits, since the sweep will announce again."""
    return RedisStreamBroker(
        redis_url.value,
        queue_name=STREAM,
        maxlen=LONGEST_STREAM,
        socket_timeout=1,
        socket_connect_timeout=1,
        max_connection_pool_size=8,
    )


async def announce(broker: AsyncBroker, job_ids: Iterable[UUID]) -> None:
    """Tell the workers of committed jobs; where Redis is away, the sweep tells them later."""
    labels = {"ack_type": AcknowledgeType.WHEN_EXECUTED.value}
    for job_id in job_ids:
        try:
            kicker: AsyncKicker[[str], None] = AsyncKicker(RUN_JOB, broker, labels)
            await kicker.kiq(str(job_id))
        except (RedisError, SendTaskError, OSError) as error:
            log.warning("job.not_announced", job_id=str(job_id), error=type(error).__name__)
            return
