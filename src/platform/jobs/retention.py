"""Retention: what is too old is hidden from readers, and deleted for good after its grace."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

from core.audit import SYSTEM, AuditEntry
from core.errors import NotFound, UnderLegalHold
from core.job import Job, JobKind
from core.retention import AgedTable
from jobs.context import WorkerContext
from jobs.progress import Progress
from jobs.tenant import tenant_of
from shell import jobs, persons, retention
from shell.announce import announce
from shell.audit import append_entry
from shell.queries import SQL
from shell.session import platform_session, tenant_session

BETWEEN_RUNS = timedelta(hours=23)


async def retain(context: WorkerContext, job: Job, progress: Progress) -> None:
    """One run for one tenant: mark, delete in batches, and say in the audit log what was done."""
    tenant_id, now, done = tenant_of(job), datetime.now(UTC), dict[str, str]()
    for number, target in enumerate(AgedTable):
        await progress(target, number / len(AgedTable))
        done |= await _retained(context, tenant_id, target, now)
    erased = await retention.erase_audit_details(context.pool, context.owner_pool, tenant_id, now)
    if erased is not None:
        done["audit_details_erased"] = str(erased)
    gone = await _erase_deactivated(context, tenant_id, now)
    if gone is not None:
        done["people_erased"] = str(gone)
    async with tenant_session(context.pool, tenant_id=tenant_id) as session:
        entry = AuditEntry("retention.run", f"tenant:{tenant_id}", SYSTEM, details=done)
        await append_entry(session, entry)


async def _retained(
    context: WorkerContext, tenant_id: UUID, target: AgedTable, now: datetime
) -> dict[str, str]:
    """What an audit entry says of one target."""
    decided = await retention.mark(context.pool, tenant_id, target, now)
    done = {} if decided.hide_before is None else {f"{target}_hidden_before": decided.hide_before.isoformat()}
    if decided.delete_before is None:
        return done
    count = 0
    while deleted := await retention.delete_batch(context.pool, tenant_id, target, decided.delete_before):
        count += deleted
    async with tenant_session(context.pool, tenant_id=tenant_id) as session:
        await retention.finish(session, target, decided.delete_before, now)
    return done | {f"{target}_deleted": str(count)}


async def _erase_deactivated(context: WorkerContext, tenant_id: UUID, now: datetime) -> int | None:
    """Erase who is deactivated for too long, one by one; gives how many, None where the policy keeps them."""
    async with tenant_session(context.pool, tenant_id=tenant_id) as tenant_:
        await retention.date_deactivations(tenant_, now)
    due = await retention.deactivated_people(context.pool, tenant_id, now)
    if due is None:
        return None
    queued = list[Job]()
    for user_id in due.ids:
        with suppress(NotFound, UnderLegalHold):  # activated again, erased, or held meanwhile
            async with platform_session(context.pool) as session:
                queued.append(await persons.erase_deactivated(session, tenant_id, user_id, before=due.before))
    await announce(context.announcer, [job.id for job in queued])
    return len(queued)


async def find_retention(context: WorkerContext) -> None:
    """Queue a run for each tenant that had none for a day."""
    since = datetime.now(UTC) - BETWEEN_RUNS
    async with platform_session(context.pool) as session:
        rows = await session.connection.fetch(SQL["tenants_to_retain"], JobKind.RETAIN, since)
        queued = [
            await jobs.enqueue(session, JobKind.RETAIN, dedupe_key=str(row["id"]), tenant_id=row["id"])
            for row in rows
        ]
    await announce(context.announcer, [job.id for job in queued])
