"""A tenant's people: listed, changed, deactivated. Who may change whom is decided on locked rows."""

from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec

from core.errors import NotAuthenticated, NotFound
from core.identity import Account
from core.membership import (
    UserState,
    require_may_give,
    require_owner_remains,
    require_unrestricted,
    roles_beyond,
)
from core.permission import Role
from shell import accounts, login_sessions
from shell.queries import SQL
from shell.session import TenantSession

UserKey = tuple[datetime, UUID]

CHANGED = "the account has changed; log in again"


class User(Account, frozen=True, kw_only=True):
    """An account, as its tenant's administrators see it."""

    created_at: datetime


class Changer(msgspec.Struct, frozen=True):
    """Who changes an account; `role` is what the token says, and is looked up again for the tenant's own."""

    id: UUID
    role: Role


class UserChange(msgspec.Struct, frozen=True):
    """What an account is to become; None leaves as it is."""

    role: Role | None = None
    full_name: str | None = None
    state: UserState | None = None


class Changed(msgspec.Struct, frozen=True):
    """An account before and after a change."""

    before: User
    after: User


async def page(session: TenantSession, *, after: UserKey | None, limit: int) -> list[User]:
    """A tenant's people by age, after one; one more than `limit`, where there are more."""
    created_at, user_id = after or (None, None)
    rows = await session.connection.fetch(SQL["user_page"], created_at, user_id, limit + 1)
    return [user_of(row) for row in rows]


async def get(session: TenantSession, user_id: UUID) -> User:
    """One of a tenant's people; raises NotFound."""
    row = await session.connection.fetchrow(SQL["user_in_list"], user_id)
    if row is None:
        raise NotFound(what="user")
    return user_of(row)


async def change(session: TenantSession, user_id: UUID, wanted: UserChange, *, by: Changer) -> Changed:
    """Change an account; one that is deactivated loses its sessions, and whoever loses rank his invitations.

    Raises NotFound, RoleTooHigh, LastOwner, ProcessingRestricted.
    """
    known = await locked(session, user_id, by)
    before = known[user_id]
    require_unrestricted(before.state)
    after = _changed(before, wanted)
    _require_allowed(before, after, current_role(by, known), list(known.values()))
    if after != before:
        await _write(session, before, after)
    return Changed(before, after)


async def end_sessions(session: TenantSession, user_id: UUID, *, by: Changer) -> None:
    """End all sessions of an account, which stays active. Raises NotFound, RoleTooHigh."""
    known = await locked(session, user_id, by)
    require_may_give(current_role(by, known), known[user_id].role)
    await login_sessions.end_all(session, user_id, datetime.now(UTC))


async def locked(session: TenantSession, user_id: UUID, by: Changer) -> dict[UUID, User]:
    """An account, and all who matter to what is done with it, until the session ends; raises NotFound."""
    rows = await session.connection.fetch(SQL["lock_to_decide"], user_id, by.id)
    known = {user.id: user for user in map(user_of, rows)}
    if user_id not in known:
        raise NotFound(what="user")
    return known


async def require_unchanged(session: TenantSession, by: Changer) -> None:
    """Refuse who is no longer what his token says, and hold his role until the session ends.

    Raises NotAuthenticated. An operator has no row in the tenant.
    """
    row = await session.connection.fetchrow(SQL["hold_role"], by.id)
    if row is not None and (row["state"] != UserState.ACTIVE or row["role"] != by.role):
        raise NotAuthenticated(reason=CHANGED)


def user_of(row: asyncpg.Record) -> User:
    """The account in a row of users."""
    account = msgspec.structs.asdict(accounts.account_of(row))
    return User(**account, created_at=row["created_at"])


def _changed(before: User, wanted: UserChange) -> User:
    values = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
    return msgspec.structs.replace(before, **values)


def current_role(by: Changer, known: dict[UUID, User]) -> Role:
    """What the changer is by now: somebody may have taken his role away while he waited for the lock."""
    if by.id not in known:
        return by.role
    if known[by.id].state is not UserState.ACTIVE or known[by.id].role is not by.role:
        raise NotAuthenticated(reason=CHANGED)
    return by.role


def _require_allowed(before: User, after: User, role: Role, known: list[User]) -> None:
    require_may_give(role, before.role)
    require_may_give(role, after.role)
    if before.state is UserState.ACTIVE:
        others = [user for user in known if _is_owner(user) and user.id != before.id]
        becomes = after.role if after.state is UserState.ACTIVE else None
        require_owner_remains(before.role, becomes=becomes, other_owners=len(others))


def _is_owner(user: User) -> bool:
    return user.role is Role.OWNER and user.state is UserState.ACTIVE


async def _write(session: TenantSession, before: User, after: User) -> None:
    now, connection = datetime.now(UTC), session.connection
    await connection.execute(SQL["update_user"], after.id, after.role, after.full_name, after.state, now)
    is_active = after.state is UserState.ACTIVE
    if not is_active:
        await connection.execute(SQL["end_other_sessions"], after.id, None, now)
    if (before.role, before.state) != (after.role, after.state):
        beyond = roles_beyond(after.role if is_active else None)
        await connection.execute(SQL["revoke_invitations_by"], after.id, now, beyond)
