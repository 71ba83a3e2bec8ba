"""The table of jobs: inserted in the transaction that needs them, taken by lease, finished once."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec

from core.errors import NotFound, PlatformError
from core.job import FORGETFUL, GiveUp, Job, JobKind, JobState, LeasedJob, after_failure
from shell.queries import SQL
from shell.session import Session
from shell.tracing import TRACEPARENT

MAX_ERROR_LENGTH = 500


async def enqueue(
    session: Session,
    kind: JobKind,
    *,
    dedupe_key: str,
    tenant_id: UUID | None = None,
    args: dict[str, Any] | None = None,
    request_id: str | None = None,
    not_before: datetime | None = None,
) -> Job:
    """Insert a job in this transaction; where the same work is queued or running already, gives that job.

    It is due at once unless `not_before` says when.
    """
    now = datetime.now(UTC)
    row = await session.connection.fetchrow(
        SQL["insert_job"],
        uuid4(), kind, tenant_id, dedupe_key, msgspec.json.encode(args or {}).decode(), request_id,
        now, not_before or now, TRACEPARENT.get(),
    )  # fmt: skip
    if row is None:
        row = await session.connection.fetchrow(SQL["open_job"], kind, dedupe_key)
    if row is None:  # it ended between the two statements: now there is room for a new one
        return await enqueue(
            session,
            kind,
            dedupe_key=dedupe_key,
            tenant_id=tenant_id,
            args=args,
            request_id=request_id,
            not_before=not_before,
        )
    return job_of(row)


async def queue_closings(session: Session) -> list[UUID]:
    """Queue the closing of days for each tenant that has sent usage since the last one was queued."""
    rows = await session.connection.fetch(SQL["queue_closings"], datetime.now(UTC))
    return [row["id"] for row in rows]


async def get(session: Session, job_id: UUID) -> Job:
    """The job with this id; raises NotFound."""
    row = await session.connection.fetchrow(SQL["job"], job_id)
    if row is None:
        raise NotFound(what="job")
    return job_of(row)


async def take(session: Session, job_id: UUID, *, worker: str, lease: timedelta) -> LeasedJob | None:
    """Lease a job that is due, or that another worker has let go; None where there is nothing to do."""
    now = datetime.now(UTC)
    row = await session.connection.fetchrow(SQL["take_job"], job_id, worker, now + lease, now)
    if row is None:
        return None
    return LeasedJob(**msgspec.structs.asdict(job_of(row)), traceparent=row["traceparent"])


async def renew(session: Session, job_id: UUID, *, worker: str, lease: timedelta) -> None:
    """Keep the lease a while longer."""
    await session.connection.execute(SQL["renew_lease"], job_id, worker, datetime.now(UTC) + lease)


async def report(session: Session, job_id: UUID, *, worker: str, step: str, progress: float) -> None:
    """Say which step runs and how far it is, from 0 to 1."""
    await session.connection.execute(SQL["report_progress"], job_id, worker, step, progress)


async def finish(session: Session, job_id: UUID, *, worker: str) -> None:
    """Mark the job as done."""
    await session.connection.execute(SQL["finish_job"], job_id, worker, datetime.now(UTC), FORGETFUL)


async def fail(session: Session, job: Job, error: Exception, *, worker: str) -> JobState:
    """Record a failed attempt: the job is tried again later, or given up.

    Only our own errors' messages are known to hold no data of a tenant; of others the class is kept.
    """
    now = datetime.now(UTC)
    following = after_failure(job.attempts, now, error)
    message = (str(error) if isinstance(error, PlatformError) else type(error).__name__)[:MAX_ERROR_LENGTH]
    if isinstance(following, GiveUp):
        await session.connection.execute(SQL["fail_job"], job.id, worker, message, now, FORGETFUL)
        return JobState.FAILED
    await session.connection.execute(SQL["retry_job"], job.id, worker, message, following.not_before)
    return JobState.QUEUED


async def give_back(session: Session, *, worker: str) -> list[UUID]:
    """Return all of a worker's leases, when it stops in good order; gives the jobs, which are due again."""
    return [row["id"] for row in await session.connection.fetch(SQL["give_back_jobs"], worker)]


async def hasten(session: Session, job_id: UUID) -> None:
    """Make a job due now that waits for a later instant."""
    await session.connection.execute(SQL["hasten_job"], job_id, datetime.now(UTC))


async def lease_holders(session: Session) -> list[str]:
    """The workers that hold leases."""
    rows = await session.connection.fetch(SQL["lease_holders"])
    return [row["leased_by"] for row in rows]


async def end_leases(session: Session, workers: list[str]) -> None:
    """Let the leases of workers that are gone run out now; their attempts count."""
    await session.connection.execute(SQL["end_leases"], workers, datetime.now(UTC))


async def forget_finished(session: Session, *, before: datetime) -> None:
    """Delete jobs that ended before an instant."""
    await session.connection.execute(SQL["forget_finished_jobs"], before)


async def due(session: Session, *, limit: int) -> list[UUID]:
    """Jobs that nobody works on and whose time has come, the oldest first."""
    rows = await session.connection.fetch(SQL["due_jobs"], datetime.now(UTC), limit)
    return [row["id"] for row in rows]


def job_of(row: asyncpg.Record) -> Job:
    """The job in a row."""
    return Job(
        id=row["id"],
        kind=JobKind(row["kind"]),
        tenant_id=row["tenant_id"],
        args=msgspec.json.decode(row["args"]),
        state=JobState(row["state"]),
        step=row["step"],
        progress=row["progress"],
        attempts=row["attempts"],
        error=row["error"],
        request_id=row["request_id"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )
