"""The sweep: announce again what is due, stalled or lost, since Redis may have forgotten it."""

from jobs.context import WorkerContext
from shell import jobs
from shell.announce import announce
from shell.session import platform_session

AT_A_TIME = 500


async def sweep_jobs(context: WorkerContext) -> None:
    """Announce every job that nobody works on and whose time has come."""
    async with platform_session(context.pool, readonly=True) as session:
        due = await jobs.due(session, limit=AT_A_TIME)
    await announce(context.announcer, due)
