"""The sweep: announce again what is due, stalled or lost, since Redis may have forgotten it."""

from datetime import UTC, datetime, timedelta

from jobs.context import WorkerContext
from shell import jobs
from shell.announce import announce
from shell.queries import SQL
from shell.session import platform_session

AT_A_TIME = 500
JOBS_KEPT = timedelta(days=7)
KEYS_KEPT = timedelta(days=2)


async def sweep_jobs(context: WorkerContext) -> None:
    """Announce every job that nobody works on and whose time has come."""
    async with platform_session(context.pool, readonly=True) as session:
        due = await jobs.due(session, limit=AT_A_TIME)
    await announce(context.announcer, due)


async def forget_finished(context: WorkerContext) -> None:
    """Delete jobs that ended a week ago, and idempotency keys that nobody will repeat any more."""
    now = datetime.now(UTC)
    async with platform_session(context.pool) as session:
        await jobs.forget_finished(session, before=now - JOBS_KEPT)
        await session.connection.execute(SQL["forget_idempotency_keys"], now - KEYS_KEPT)
