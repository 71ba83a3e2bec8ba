"""Appending audit entries in the transaction that they speak of, and erasing what they say of people."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec

from core.audit import PLATFORM_CHAIN, AuditEntry
from core.tenant import Tenant
from shell.database import Pool
from shell.queries import SQL
from shell.session import OwnersRole, Session, TenantSession, owner_session

ERASED_AT_A_TIME = 1_000


async def append_entry(session: TenantSession, entry: AuditEntry) -> UUID:
    """Append to the tenant's own chain; the database admits no other from a tenant session. Gives its id."""
    return await _append(session, session.tenant.chain, entry)


async def append_tenants_entry(session: Session, tenant: Tenant, entry: AuditEntry) -> UUID:
    """Append to a tenant's chain what a platform session did for it; gives the entry's id."""
    return await _append(session, tenant.chain, entry)


async def append_platform_entry(session: Session, entry: AuditEntry) -> UUID:
    """Append to the platform's chain; gives the entry's id."""
    return await _append(session, PLATFORM_CHAIN, entry)


async def erase_details_of_chain(owner_pool: Pool, chain: str, now: datetime) -> int:
    """Erase details, addresses and salts of a whole chain, which still verifies; gives how many had some.

    May be interrupted and run again. What is appended meanwhile may be missed.
    """
    return await _erase(owner_pool, chain, None, now)


async def erase_details_of_person(
    owner_pool: Pool, person_id: UUID, *, chains: Sequence[str], now: datetime
) -> int:
    """Erase the same of entries by, about or naming the person with this id (Art. 17); gives how many."""
    return sum([await _erase(owner_pool, chain, person_id, now) for chain in chains])


async def _append(session: Session, chain: str, entry: AuditEntry) -> UUID:
    entry_id = uuid4()
    await session.connection.execute(
        SQL["append_audit_entry"],
        entry_id,
        chain,
        datetime.now(UTC),
        entry.actor.kind,
        entry.actor.id,
        entry.action,
        entry.subject,
        entry.outcome,
        entry.actor.request_id,
        entry.actor.address,
        msgspec.json.encode(entry.details, order="sorted").decode(),
    )
    return entry_id


async def _erase(owner_pool: Pool, chain: str, person_id: UUID | None, now: datetime) -> int:
    """First what has no place yet: an entry that gets one meanwhile is found among the others."""
    person = None if person_id is None else str(person_id)
    async with owner_session(owner_pool, role=OwnersRole.ERASER) as session:
        erased = await session.connection.execute(SQL["erase_unsequenced_details"], chain, person, now)
        size = await session.connection.fetchval(SQL["audit_chain_size"], chain) or 0
    count = _affected(erased)
    for start in range(0, size, ERASED_AT_A_TIME):
        async with owner_session(owner_pool, role=OwnersRole.ERASER) as session:
            erased = await session.connection.execute(
                SQL["erase_sequenced_details"], chain, person, now, start, start + ERASED_AT_A_TIME
            )
        count += _affected(erased)
    return count


def _affected(status: str) -> int:
    return int(status.rpartition(" ")[2])
