"""Legal holds: placed, listed and lifted; asked before anything is erased for good."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import msgspec

from core.errors import NotFound
from core.legal_hold import LegalHold, require_no_hold, require_standing
from shell.queries import SQL
from shell.session import Session

HoldKey = tuple[datetime, UUID]


async def require_none(session: Session, tenant_id: UUID, user_id: UUID | None = None) -> None:
    """Refuse to erase a person, or a whole tenant, under a hold; none is placed until the session ends.

    In a platform session or an owner's; one that goes on as a tenant asks before it enters. Raises
    UnderLegalHold.
    """
    require_no_hold(await standing(session, tenant_id), user_id)


async def standing(session: Session, tenant_id: UUID) -> list[LegalHold]:
    """A tenant's holds that stand, the oldest first; no other is placed until the session ends."""
    await session.connection.execute(SQL["hold_still"], tenant_id)
    return [hold_of(row) for row in await session.connection.fetch(SQL["standing_holds"], tenant_id)]


async def place(
    session: Session, tenant_id: UUID, *, user_id: UUID | None, reason: str, by: UUID
) -> LegalHold:
    """Place a hold; the tenant's row must be locked, so that no erasure under way misses it."""
    row = await session.connection.fetchrow(
        SQL["insert_hold"], uuid4(), tenant_id, user_id, reason, by, datetime.now(UTC)
    )
    return _found(row)


async def lift(session: Session, tenant_id: UUID, hold_id: UUID, *, reason: str, by: UUID) -> LegalHold:
    """End a hold; raises NotFound, LegalHoldLifted."""
    row = await session.connection.fetchrow(
        SQL["lift_hold"], hold_id, tenant_id, by, datetime.now(UTC), reason
    )
    if row is None:
        require_standing(await get(session, tenant_id, hold_id))
    return _found(row)


async def get(session: Session, tenant_id: UUID, hold_id: UUID) -> LegalHold:
    """A tenant's hold; raises NotFound."""
    return _found(await session.connection.fetchrow(SQL["legal_hold"], hold_id, tenant_id))


async def page(session: Session, tenant_id: UUID, *, after: HoldKey | None, limit: int) -> list[LegalHold]:
    """A tenant's holds by age, lifted ones included; one more than `limit`, where there are more."""
    placed_at, hold_id = after or (None, None)
    rows = await session.connection.fetch(SQL["hold_page"], tenant_id, placed_at, hold_id, limit + 1)
    return [hold_of(row) for row in rows]


def hold_of(row: asyncpg.Record) -> LegalHold:
    """The hold in a row."""
    return msgspec.convert(dict(row), LegalHold)


def _found(row: asyncpg.Record | None) -> LegalHold:
    if row is None:
        raise NotFound(what="legal hold")
    return hold_of(row)
