"""An account's open sessions, each begun by one login: listed, and ended."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from shell.queries import SQL
from shell.session import Session

LoginKey = tuple[datetime, UUID]


class LoginSession(msgspec.Struct, frozen=True):
    """What one login began."""

    id: UUID
    device: str
    address: str | None
    created_at: datetime
    last_used_at: datetime


async def page(
    session: Session, user_id: UUID, *, lifetime: timedelta, now: datetime, after: LoginKey | None, limit: int
) -> list[LoginSession]:
    """An account's sessions by age, after one; one more than `limit`, where there are more.

    One that was not used for the lifetime of a refresh token can't be continued, and is left out.
    """
    created_at, session_id = after or (None, None)
    rows = await session.connection.fetch(
        SQL["open_sessions"], user_id, now - lifetime, created_at, session_id, limit + 1
    )
    return [msgspec.convert(dict(row), LoginSession) for row in rows]


async def end(session: Session, user_id: UUID, session_id: UUID, now: datetime) -> bool:
    """End one of an account's sessions; False where it has none such that is open."""
    if await session.connection.fetchval(SQL["open_session"], session_id, user_id) is None:
        return False
    return await session.connection.fetchval(SQL["revoke_family"], session_id, now) is not None


async def end_all(session: Session, user_id: UUID, now: datetime) -> None:
    """End all of an account's sessions."""
    await session.connection.execute(SQL["end_other_sessions"], user_id, None, now)
