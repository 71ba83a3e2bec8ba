"""A job that takes its worker with it, again and again."""

from datetime import timedelta
from uuid import uuid4

from core.job import MAX_ATTEMPTS, JobKind, JobState
from jobs.runner import run_job
from shell import jobs
from shell.session import platform_session
from tests.installation import Installation


async def test_a_job_whose_workers_are_lost_every_time_is_given_up(installation: Installation) -> None:
    async with platform_session(installation.pool) as session:
        job = await jobs.enqueue(session, JobKind.CLOSE_DAYS, dedupe_key=str(uuid4()))
    for attempt in range(MAX_ATTEMPTS):
        async with platform_session(installation.pool) as session:
            taken = await jobs.take(
                session, job.id, worker=f"lost-{attempt}", lease=timedelta(milliseconds=-1)
            )
            assert taken is not None
    await run_job(installation.context, job.id)
    async with platform_session(installation.pool) as session:
        found = await jobs.get(session, job.id)
    assert found.state is JobState.FAILED
    assert found.error == "The worker was lost in each of 8 attempts."
