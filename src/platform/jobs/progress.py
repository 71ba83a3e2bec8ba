"""Reporting how far a job is, where API and command line can see it."""

from uuid import UUID

from jobs.context import WorkerContext
from shell import jobs as table
from shell.session import platform_session


class Progress:
    """Writes a job's step and share done, each in a transaction of its own."""

    def __init__(self, context: WorkerContext, job_id: UUID) -> None:
        """Report on this job."""
        self._context = context
        self._job_id = job_id

    async def __call__(self, step: str, share: float) -> None:
        """Say that a step runs, and which share of the whole is done, from 0 to 1."""
        async with platform_session(self._context.pool) as session:
            await table.report(session, self._job_id, worker=self._context.worker, step=step, progress=share)
