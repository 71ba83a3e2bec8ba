"""Announcing jobs: a hint on Redis, whose loss is no error."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from redis.asyncio import Redis
from structlog.testing import capture_logs
from taskiq.acks import AcknowledgeType

from shell.announce import RUN_JOB, STREAM, announce, announcer
from shell.settings import Secret
from tests.installation import Installation, elsewhere


async def test_a_job_is_announced_by_its_id_to_be_acknowledged_when_it_is_done(
    installation: Installation,
) -> None:
    redis_url = elsewhere(installation)
    broker, job_id = announcer(redis_url), uuid4()
    async with Redis.from_url(redis_url.value) as redis:
        await redis.flushdb()  # of what other tests have announced there
        await announce(broker, [job_id])
        await broker.shutdown()
        entries: Any = await redis.xrange(STREAM)
        await redis.flushdb()
    ((_, fields),) = entries
    message = msgspec.json.decode(fields[b"data"])
    assert (message["task_name"], message["args"]) == (RUN_JOB, [str(job_id)])
    assert message["labels"]["ack_type"] == AcknowledgeType.WHEN_EXECUTED.value


async def test_without_redis_a_job_waits_for_the_sweep(tmp_path: Path) -> None:
    broker = announcer(Secret(f"unix://{tmp_path}/redis.sock"))
    job_id = uuid4()
    with capture_logs() as logs:
        await announce(broker, [job_id, uuid4()])
    await broker.shutdown()
    (entry,) = logs
    assert (entry["event"], entry["job_id"]) == ("job.not_announced", str(job_id))
