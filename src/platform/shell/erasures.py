"""Erasures of tenants: asked for, taken back, begun; one row for each tenant, whose steps are recorded."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec

from core.audit import Actor, AuditEntry
from core.erasure import (
    UNDER_WAY,
    Erasure,
    ErasureEvent,
    ErasureState,
    Identifiers,
    Step,
    StepDone,
    next_state,
)
from core.errors import ErasureCancelled, ErasureRefused, NotFound
from core.job import Job, JobKind
from core.tenant import Tenant, TenantEvent, TenantState
from core.tenant import next_state as next_tenant_state
from shell import jobs, legal_holds, tenants
from shell.audit import append_platform_entry
from shell.queries import SQL
from shell.sealing import Seal, SecretKeys
from shell.session import Session

PURPOSE = "identifiers of erased tenants"


async def request(session: Session, tenant: Tenant, actor: Actor, *, due: datetime) -> Job:
    """Ask for the erasure of a locked tenant: it is read-only from now on. Asked twice, gives the same job.

    One that never opened is closed at once: it has nothing to be read or taken back. Raises UnderLegalHold.
    """
    row = await session.connection.fetchrow(SQL["lock_erasure"], tenant.id)
    if row is not None and row["job_id"] is not None and row["state"] in UNDER_WAY:
        return await _job(session, tenant.id, row)
    await legal_holds.require_none(session, tenant.id)
    resumes_as = tenant.state
    if tenant.state in {TenantState.PENDING, TenantState.PROVISIONING}:
        due, resumes_as = min(due, datetime.now(UTC)), next_tenant_state(tenant.state, TenantEvent.DELETE)
        await tenants.set_state(session, tenant, resumes_as)
    elif tenant.state is not TenantState.DEPROVISIONING:
        next_tenant_state(tenant.state, TenantEvent.DELETE)  # refuses one that cannot go that way
        await tenants.set_state(session, tenant, TenantState.SUSPENDED)
    job = await _queue(session, tenant.id, due=due, request_id=actor.request_id)
    await session.connection.execute(
        SQL["request_erasure"], tenant.id, datetime.now(UTC), due, resumes_as, job.id
    )
    details = {"from": tenant.state.value, "due": due.isoformat(timespec="seconds")}
    await append_platform_entry(
        session, AuditEntry("tenant.erasure_requested", f"tenant:{tenant.id}", actor, details=details)
    )
    return job


async def cancel(session: Session, tenant: Tenant, actor: Actor) -> Erasure:
    """Take an erasure back while it waits, and give the locked tenant its state again.

    Raises NotFound, and ErasureRefused once it has begun.
    """
    row = await session.connection.fetchrow(SQL["lock_erasure"], tenant.id)
    if row is None:
        raise NotFound(what="erasure")
    state = next_state(ErasureState(row["state"]), ErasureEvent.CANCEL)
    await session.connection.execute(SQL["set_erasure_state"], tenant.id, state, datetime.now(UTC))
    await tenants.set_state(session, tenant, row["resumes_as"])
    if row["job_id"] is not None:
        await jobs.hasten(session, row["job_id"])  # it ends at once, since it finds nothing to do
    entry = AuditEntry(
        "tenant.erasure_cancelled", f"tenant:{tenant.id}", actor, details={"to": str(row["resumes_as"])}
    )
    await append_platform_entry(session, entry)
    return await get(session, tenant.id)


async def get(session: Session, tenant_id: UUID) -> Erasure:
    """The erasure of a tenant and the steps that were done; raises NotFound."""
    row = await session.connection.fetchrow(SQL["erasure"], tenant_id)
    if row is None:
        raise NotFound(what="erasure")
    steps = await steps_of(session, tenant_id)
    return Erasure(
        tenant_id=tenant_id,
        state=ErasureState(row["state"]),
        requested_at=row["requested_at"],
        due_at=row["due_at"],
        job_id=row["job_id"],
        steps=[steps[step] for step in Step if step in steps],
        ended_at=row["ended_at"],
    )


async def steps_of(session: Session, tenant_id: UUID) -> dict[Step, StepDone]:
    """The steps that were done."""
    rows = await session.connection.fetch(SQL["erasure_steps"], tenant_id)
    done = (
        StepDone(
            Step(row["step"]), row["finished_at"], msgspec.json.decode(row["facts"], type=dict[str, str])
        )
        for row in rows
    )
    return {each.step: each for each in done}


async def require_none_under_way(session: Session, tenant_id: UUID, event: TenantEvent) -> None:
    """Refuse what would let a tenant out of its erasure; raises ErasureRefused."""
    row = await session.connection.fetchrow(SQL["lock_erasure"], tenant_id)
    if row is not None and row["state"] in UNDER_WAY:
        raise ErasureRefused(state=row["state"], event=event)


async def begin(session: Session, tenant_id: UUID, job_id: UUID) -> None:
    """Let an erasure begin, or go on, by its own job.

    Raises NotFound, ErasureCancelled, ErasureRefused, and UnderLegalHold before anything was done.
    """
    row = await session.connection.fetchrow(SQL["lock_erasure"], tenant_id)
    if row is None:
        raise NotFound(what="erasure")
    if row["state"] == ErasureState.CANCELLED or row["job_id"] != job_id:
        raise ErasureCancelled
    if row["state"] == ErasureState.REQUESTED:
        await legal_holds.require_none(session, tenant_id)
    state = next_state(ErasureState(row["state"]), ErasureEvent.BEGIN)
    await session.connection.execute(SQL["set_erasure_state"], tenant_id, state, None)


async def is_done(session: Session, tenant_id: UUID, step: Step) -> bool:
    """Whether a step was done; nobody else does it until this transaction ends."""
    row = await session.connection.fetchrow(SQL["lock_erasure"], tenant_id)
    return row is None or row["state"] != ErasureState.RUNNING or step in await steps_of(session, tenant_id)


async def record(session: Session, tenant_id: UUID, step: Step, facts: Mapping[str, str]) -> None:
    """Record a step in the transaction that does it."""
    text = msgspec.json.encode(facts).decode()
    await session.connection.execute(SQL["record_erasure_step"], tenant_id, step, datetime.now(UTC), text)


async def restart(session: Session, tenant: Tenant, job_id: UUID) -> None:
    """Begin the erasure of a locked tenant anew, whatever became of an earlier one: it has come back."""
    now = datetime.now(UTC)
    await session.connection.execute(SQL["forget_erasure_steps"], tenant.id)
    await session.connection.execute(SQL["request_erasure"], tenant.id, now, now, tenant.state, job_id)
    await begin(session, tenant.id, job_id)


async def finish(session: Session, tenant_id: UUID) -> None:
    """Mark an erasure as done, and forget whom it was about."""
    row = await session.connection.fetchrow(SQL["lock_erasure"], tenant_id)
    if row is None:
        raise NotFound(what="erasure")
    state = next_state(ErasureState(row["state"]), ErasureEvent.FINISH)
    await session.connection.execute(SQL["end_erasure"], tenant_id, state, datetime.now(UTC))


async def queue_due(session: Session, now: datetime) -> list[Job]:
    """Queue the erasures whose time has come and that no job works on."""
    rows = await session.connection.fetch(SQL["due_erasures"], now)
    queued = []
    for row in rows:
        queued.append(await _queue(session, row["tenant_id"], due=now))
        await session.connection.execute(SQL["set_erasure_job"], row["tenant_id"], queued[-1].id)
    return queued


async def keep_identifiers(
    session: Session, tenant_id: UUID, identifiers: Identifiers, secret: SecretKeys
) -> None:
    """Keep, sealed, what the scan will look for when all of it should be gone."""
    sealed = Seal(secret, PURPOSE).seal(msgspec.msgpack.encode(identifiers), belongs_to=tenant_id.bytes)
    await session.connection.execute(SQL["keep_identifiers"], tenant_id, sealed)


async def identifiers_of(session: Session, tenant_id: UUID, secret: SecretKeys) -> Identifiers:
    """What was kept."""
    row = await session.connection.fetchrow(SQL["erasure"], tenant_id)
    if row is None or row["identifiers"] is None:
        return Identifiers()
    opened = Seal(secret, PURPOSE).open(row["identifiers"], belongs_to=tenant_id.bytes)
    return msgspec.msgpack.decode(opened, type=Identifiers)


async def _queue(session: Session, tenant_id: UUID, *, due: datetime, request_id: str | None = None) -> Job:
    return await jobs.enqueue(
        session,
        JobKind.ERASE_TENANT,
        dedupe_key=f"{tenant_id}:{due.isoformat()}",  # not that of a request that was taken back
        tenant_id=tenant_id,
        request_id=request_id,
        not_before=due,
    )


async def _job(session: Session, tenant_id: UUID, row: asyncpg.Record) -> Job:
    """The job of an erasure; where it was forgotten meanwhile, a new one."""
    try:
        return await jobs.get(session, row["job_id"])
    except NotFound:
        job = await _queue(session, tenant_id, due=row["due_at"])
        await session.connection.execute(SQL["set_erasure_job"], tenant_id, job.id)
        return job
