"""Invitations into a tenant: a single-use token, kept as a hash, that names the tenant it leads into."""

import hashlib
import secrets
from datetime import datetime
from uuid import UUID, uuid4

import asyncpg
import msgspec

from core.errors import EmailInUse, IdempotencyConflict, InvitationRefused, NotFound
from core.identity import Account
from core.membership import INVITATION_LIFETIME
from core.permission import Role
from shell import accounts
from shell.queries import SQL
from shell.session import TenantSession

PREFIX = "eui"

InvitationKey = tuple[datetime, UUID]


class Invitation(msgspec.Struct, frozen=True):
    """An invitation as its tenant's administrators see it."""

    id: UUID
    email: str
    role: Role
    invited_by: UUID
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    revoked_at: datetime | None


class NewInvitation(msgspec.Struct, frozen=True):
    """Whom to invite, to be what."""

    email: str
    role: Role


class Accepted(msgspec.Struct, frozen=True):
    """An invitation that was used up, and the account that it made."""

    invitation: Invitation
    account: Account


async def invite(
    session: TenantSession, new: NewInvitation, *, by: UUID, key: str | None, now: datetime
) -> tuple[Invitation, str | None]:
    """A new invitation and its token, which is shown this once: None where `key` has made it before.

    Raises EmailInUse, and IdempotencyConflict where the key made another invitation.
    """
    earlier = await _made_before(session, new, by=by, key=key)
    if earlier is not None:
        return earlier, None
    if await session.connection.fetchrow(SQL["user_by_email"], new.email) is not None:
        raise EmailInUse
    token = f"{PREFIX}_{session.tenant.slug}_{secrets.token_urlsafe(32)}"
    row = await session.connection.fetchrow(
        SQL["insert_invitation"],
        uuid4(), new.email, new.role, _hash(token), by, now, now + INVITATION_LIFETIME, key,
    )  # fmt: skip
    if row is not None:
        return _invitation_of(row), token
    made_meanwhile = await _made_before(session, new, by=by, key=key)
    if made_meanwhile is None:
        raise RuntimeError("an invitation is in the way and is not there")
    return made_meanwhile, None


async def page(session: TenantSession, *, after: InvitationKey | None, limit: int) -> list[Invitation]:
    """A tenant's invitations by age, after one; one more than `limit`, where there are more."""
    created_at, invitation_id = after or (None, None)
    rows = await session.connection.fetch(SQL["invitation_page"], created_at, invitation_id, limit + 1)
    return [_invitation_of(row) for row in rows]


async def lock(session: TenantSession, invitation_id: UUID) -> Invitation:
    """An invitation that was not accepted, locked until the transaction ends; raises NotFound."""
    row = await session.connection.fetchrow(SQL["lock_invitation"], invitation_id)
    if row is None or row["accepted_at"] is not None:
        raise NotFound(what="open invitation")
    return _invitation_of(row)


async def revoke(session: TenantSession, invitation_id: UUID, now: datetime) -> None:
    """End an invitation for good."""
    await session.connection.execute(SQL["revoke_invitation"], invitation_id, now)


async def opened_by(session: TenantSession, token: str, now: datetime) -> Invitation:
    """The invitation that a token opens; raises InvitationRefused."""
    return _opened(await session.connection.fetchrow(SQL["open_invitation"], _hash(token), now))


async def accept(
    session: TenantSession, token: str, *, full_name: str, password_hash: str, now: datetime
) -> Accepted:
    """Use a token up and make the account; raises InvitationRefused, EmailInUse: nothing is kept then."""
    invitation = _opened(await session.connection.fetchrow(SQL["accept_invitation"], _hash(token), now))
    account = Account(uuid4(), invitation.email, full_name, invitation.role)
    if not await accounts.insert(session, account, password_hash):
        raise EmailInUse
    return Accepted(invitation, account)


def slug_in_invitation(token: str) -> str:
    """The slug that an invitation's token names; an empty text where it has not the form of one."""
    prefix, _, rest = token.partition("_")
    return rest.partition("_")[0] if prefix == PREFIX else ""


async def _made_before(
    session: TenantSession, new: NewInvitation, *, by: UUID, key: str | None
) -> Invitation | None:
    if key is None:
        return None
    row = await session.connection.fetchrow(SQL["invitation_by_key"], by, key)
    if row is None:
        return None
    if (row["email"], row["role"]) != (new.email, new.role):
        raise IdempotencyConflict(key=key)
    return _invitation_of(row)


def _opened(row: asyncpg.Record | None) -> Invitation:
    if row is None:
        raise InvitationRefused
    return _invitation_of(row)


def _invitation_of(row: asyncpg.Record) -> Invitation:
    return msgspec.convert(dict(row), Invitation)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
