"""Accounts and refresh tokens: a tenant's in a tenant session, the platform's own in a platform session."""

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import msgspec

from core.errors import NotFound
from core.identity import Account
from core.membership import UserState
from core.permission import Role
from shell.queries import SQL
from shell.session import Session
from shell.tokens import RefreshToken


class Credentials(msgspec.Struct, frozen=True):
    """An account with the hash that its password is checked against; its repr shows neither."""

    account: Account
    password_hash: str

    def __repr__(self) -> str:
        """Only whose they are."""
        return f"Credentials(id={self.account.id})"


class UsedToken(msgspec.Struct, frozen=True):
    """Whose refresh token was used, and the family that the next one belongs to."""

    user_id: UUID
    family_id: UUID


class Client(msgspec.Struct, frozen=True):
    """What a session was begun with: the device as it names itself, and its address."""

    device: str
    address: str | None


async def credentials_of(session: Session, email: str) -> Credentials | None:
    """The account with this (normalised) e-mail address, if there is an active one."""
    row = await session.connection.fetchrow(SQL["user_by_email"], email)
    if row is None or row["state"] != UserState.ACTIVE:
        return None
    return Credentials(account_of(row), row["password_hash"])


async def get(session: Session, user_id: UUID) -> Account:
    """The account with this id; raises NotFound."""
    row = await session.connection.fetchrow(SQL["user_by_id"], user_id)
    if row is None:
        raise NotFound(what="user")
    return account_of(row)


def account_of(row: asyncpg.Record) -> Account:
    """The account in a row of users."""
    return Account(
        id=row["id"],
        email=row["email"],
        full_name=row["full_name"],
        role=Role(row["role"]),
        state=UserState(row["state"]),
        has_second_factor=row["totp_confirmed_at"] is not None,
    )


async def insert(session: Session, account: Account, password_hash: str) -> bool:
    """Add an account; False where its e-mail address is taken."""
    inserted = await session.connection.fetchval(
        SQL["insert_user"],
        account.id, account.email, account.full_name, password_hash, account.role, datetime.now(UTC),
    )  # fmt: skip
    return inserted is not None


async def is_still_current(session: Session, found: Credentials) -> bool:
    """Whether neither the password nor the account's state has changed since the credentials were read.

    It can't change any more until the session ends: a login either comes before a change of the password,
    which then ends it, or is refused.
    """
    found_id = await session.connection.fetchval(
        SQL["still_credentials"], found.account.id, found.password_hash
    )
    return found_id is not None


async def renew_password_hash(session: Session, user_id: UUID, password_hash: str) -> None:
    """Replace a hash that was made with outdated parameters."""
    await session.connection.execute(SQL["renew_password_hash"], user_id, password_hash)


async def begin_session(session: Session, user_id: UUID, client: Client) -> UUID:
    """Begin a session; its id is the family of its refresh tokens."""
    session_id = uuid4()
    await session.connection.execute(
        SQL["insert_session"], session_id, user_id, client.device, client.address, datetime.now(UTC)
    )
    return session_id


async def keep_refresh_token(
    session: Session, token: RefreshToken, user_id: UUID, *, session_id: UUID, session_life: timedelta
) -> None:
    """Keep the hash of a session's new token, and that the session was used; the token ends with its life."""
    now = datetime.now(UTC)
    await session.connection.execute(
        SQL["insert_refresh_token"],
        _hash(token.text),
        session_id,
        user_id,
        now,
        token.expires_at,
        session_life,
    )


async def use_refresh_token(session: Session, text: str) -> UsedToken | None:
    """Use a token up, in one atomic step; None where it is unknown, expired, revoked or used already."""
    row = await session.connection.fetchrow(SQL["use_refresh_token"], _hash(text), datetime.now(UTC))
    return None if row is None else UsedToken(row["user_id"], row["family_id"])


async def revoke_family_on_reuse(session: Session, text: str) -> UsedToken | None:
    """Revoke the family of a token that was used before; one that only expired is no theft.

    None, too, where the family had ended already: of several uses at once, one ends it.
    """
    row = await session.connection.fetchrow(SQL["refresh_token_family"], _hash(text))
    return await _revoke_family(session, row) if row is not None and row["was_used"] else None


async def revoke_family_of(session: Session, text: str) -> UsedToken | None:
    """Revoke a token with all that came from the same login; None where that is unknown or has ended."""
    row = await session.connection.fetchrow(SQL["refresh_token_family"], _hash(text))
    return None if row is None else await _revoke_family(session, row)


async def _revoke_family(session: Session, token: asyncpg.Record) -> UsedToken | None:
    ended = await session.connection.fetchval(SQL["revoke_family"], token["family_id"], datetime.now(UTC))
    return None if ended is None else UsedToken(token["user_id"], token["family_id"])


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
