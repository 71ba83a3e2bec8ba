"""Retention: policies, marks, and deletion in small batches."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from core.legal_hold import LegalHold
from core.retention import (
    AgedTable,
    Mark,
    Plan,
    RetentionPolicy,
    audit_details_before,
    deactivated_before,
    plan,
    require_after,
)
from core.usage import MAX_BEHIND, UsageEvent
from shell import legal_holds
from shell.database import Pool
from shell.queries import SQL
from shell.session import (
    OwnersRole,
    Session,
    TenantSession,
    enter_tenant,
    owner_session,
    platform_session,
)

BATCH = 1_000
"""Rows of one transaction: its locks are gone within some milliseconds."""

_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)


class Due(msgspec.Struct, frozen=True):
    """What a run would do with a target, and to how many rows."""

    target: AgedTable
    hide_before: datetime | None
    hidden_rows: int
    delete_before: datetime | None
    deleted_rows: int


class DeactivatedPeople(msgspec.Struct, frozen=True):
    """People of a tenant whose accounts are deactivated since before an instant, and not held."""

    before: datetime
    ids: list[UUID]


class _AgedDetails(msgspec.Struct, frozen=True):
    chain: str
    before: datetime
    kept: list[str]


async def policy_of(session: Session, tenant_id: UUID) -> RetentionPolicy:
    """A tenant's policy, or the default one."""
    row = await session.connection.fetchrow(SQL["retention_policy"], tenant_id)
    return RetentionPolicy() if row is None else msgspec.convert(dict(row), RetentionPolicy)


async def set_policy(session: Session, tenant_id: UUID, policy: RetentionPolicy) -> None:
    """Replace a tenant's policy; what it hides by now is found at the next run."""
    await session.connection.execute(
        SQL["set_retention_policy"], tenant_id, *msgspec.structs.astuple(policy), datetime.now(UTC)
    )


async def horizon(session: TenantSession, target: AgedTable) -> datetime | None:
    """What is older than this is deleted for readers."""
    found: datetime | None = await session.connection.fetchval(SQL["retention_horizon"], target)
    return found


async def require_taken(session: TenantSession, events: Sequence[UsageEvent], now: datetime) -> None:
    """Refuse usage that retention has deleted or hidden; only what was back-filled can be so old.

    Raises BeforeHorizon. No mark is set until the session ends.
    """
    instants = [event.occurred_at for event in events]
    if min(instants, default=now) < now - MAX_BEHIND:
        await session.connection.execute(SQL["share_retention"], session.tenant.schema)
        require_after(await horizon(session, AgedTable.USAGE_EVENTS), instants)


async def preview(pool: Pool, tenant_id: UUID, now: datetime) -> list[Due]:
    """What a run would do by now, to how many rows; changes nothing."""
    async with platform_session(pool) as session:
        holds = await legal_holds.standing(session, tenant_id)
        policy = await policy_of(session, tenant_id)
        tenant_ = await enter_tenant(session, tenant_id)
        return [await _due(tenant_, policy, target, holds, now) for target in AgedTable]


async def mark(pool: Pool, tenant_id: UUID, target: AgedTable, now: datetime) -> Plan:
    """Hide from readers what is too old by now, and give what is to be deleted for good."""
    async with platform_session(pool) as session:
        holds = await legal_holds.standing(session, tenant_id)
        policy = await policy_of(session, tenant_id)
        tenant_ = await enter_tenant(session, tenant_id)
        await tenant_.connection.execute(SQL["lock_retention"], tenant_.tenant.schema)
        decided = await _plan(tenant_, policy, target, holds, now)
        await tenant_.connection.execute(SQL["withdraw_retention_marks"], target, list(decided.show_again))
        if decided.hide_before is not None:
            await tenant_.connection.execute(SQL["set_retention_mark"], target, decided.hide_before, now)
    return decided


async def delete_batch(pool: Pool, tenant_id: UUID, target: AgedTable, before: datetime) -> int:
    """Delete at most a batch for good, in one short transaction; 0 where none is left, or under a hold."""
    async with platform_session(pool) as session:
        holds = await legal_holds.standing(session, tenant_id)
        if _is_held(holds):
            return 0
        tenant_ = await enter_tenant(session, tenant_id)
        status = await tenant_.connection.execute(SQL[f"delete_{target}"], before, BATCH, _held_people(holds))
    return int(status.rpartition(" ")[2])


async def erase_audit_details(pool: Pool, owner_pool: Pool, tenant_id: UUID, now: datetime) -> int | None:
    """Erase details and addresses of audit entries that are too old by now; the chain still verifies.

    Gives of how many; None where the policy or a hold keeps them. In batches, for each of which holds are
    looked for again, and stand still while it is erased; may run twice.
    """
    count, since = 0, _EARLIEST
    while True:
        async with platform_session(pool) as session:  # open until the batch is: no hold is placed meanwhile
            due = await _aged_details(session, tenant_id, now)
            if due is None:
                return None
            async with owner_session(owner_pool, role=OwnersRole.ERASER) as eraser:
                batch = await eraser.connection.fetchrow(
                    SQL["erase_aged_details"], due.chain, due.before, due.kept, since, BATCH, now
                )
        if batch is None or not batch["erased"]:
            return count
        count, since = count + batch["erased"], batch["until"]


async def preview_audit_details(pool: Pool, tenant_id: UUID, now: datetime) -> int:
    """Of how many audit entries a run would erase details and addresses by now."""
    async with platform_session(pool) as session:
        due = await _aged_details(session, tenant_id, now)
    if due is None:
        return 0
    async with platform_session(pool, readonly=True) as session:
        query = SQL["count_aged_details"]
        return int(await session.connection.fetchval(query, due.chain, due.before, due.kept))


async def _aged_details(session: Session, tenant_id: UUID, now: datetime) -> _AgedDetails | None:
    """Which entries are too old by now, and whose stay; None where no entry loses anything."""
    holds = await legal_holds.standing(session, tenant_id)
    policy = await policy_of(session, tenant_id)
    before = audit_details_before(policy, now=now, is_held=_is_held(holds))
    if before is None:
        return None
    tenant_ = await enter_tenant(session, tenant_id)
    restricted = await tenant_.connection.fetch(SQL["restricted_people"])
    kept = [*_held_people(holds), *(row["id"] for row in restricted)]
    return _AgedDetails(tenant_.tenant.chain, before, [str(person) for person in kept])


async def deactivated_people(pool: Pool, tenant_id: UUID, now: datetime) -> DeactivatedPeople | None:
    """Who is deactivated for too long by now; None where the policy or a hold keeps everybody."""
    async with platform_session(pool) as session:
        holds = await legal_holds.standing(session, tenant_id)
        policy = await policy_of(session, tenant_id)
        before = deactivated_before(policy, now=now, is_held=_is_held(holds))
        if before is None:
            return None
        tenant_ = await enter_tenant(session, tenant_id)
        kept = _held_people(holds)
        rows = await tenant_.connection.fetch(SQL["people_deactivated_before"], before, kept)
    return DeactivatedPeople(before, [row["id"] for row in rows])


async def preview_deactivated_people(pool: Pool, tenant_id: UUID, now: datetime) -> int:
    """How many people a run would erase by now."""
    due = await deactivated_people(pool, tenant_id, now)
    return 0 if due is None else len(due.ids)


async def date_deactivations(session: TenantSession, now: datetime) -> None:
    """Count from now on for accounts of which nobody has said since when they are deactivated."""
    await session.connection.execute(SQL["date_deactivations"], now)


async def finish(session: TenantSession, target: AgedTable, before: datetime, now: datetime) -> None:
    """Note that everything below a mark is gone."""
    await session.connection.execute(SQL["finish_retention_mark"], target, before, now)


async def _due(
    session: TenantSession, policy: RetentionPolicy, target: AgedTable, holds: list[LegalHold], now: datetime
) -> Due:
    decided, kept = await _plan(session, policy, target, holds, now), _held_people(holds)

    async def count(before: datetime | None) -> int:
        if before is None:
            return 0
        return int(await session.connection.fetchval(SQL[f"count_{target}"], before, kept))

    hidden, deleted = await count(decided.hide_before), await count(decided.delete_before)
    return Due(target, decided.hide_before, hidden, decided.delete_before, deleted)


async def _plan(
    session: TenantSession, policy: RetentionPolicy, target: AgedTable, holds: list[LegalHold], now: datetime
) -> Plan:
    rows = await session.connection.fetch(SQL["retention_marks"], target)
    marks = [msgspec.convert(dict(row), Mark) for row in rows]
    zone = session.tenant.time_zone
    decided = plan(policy, target, marks, now=now, time_zone=zone, is_held=_is_held(holds))
    if (
        target is AgedTable.USAGE_EVENTS
        and decided.hide_before is not None
        and await session.connection.fetchval(SQL["has_batches_before"], decided.hide_before)
    ):  # what was back-filled is aggregated first
        return msgspec.structs.replace(decided, hide_before=None)
    return decided


def _is_held(holds: Collection[LegalHold]) -> bool:
    return any(hold.user_id is None for hold in holds)


def _held_people(holds: Collection[LegalHold]) -> list[UUID]:
    return [hold.user_id for hold in holds if hold.user_id is not None]
