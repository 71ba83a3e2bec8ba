"""Changing and resetting passwords; reset tokens are kept as hashes."""

import hashlib
import secrets
from datetime import datetime
from uuid import UUID

import msgspec

from core.identity import Account
from core.job import Job, JobKind
from core.password_reset import LIFETIME, TOKEN_PREFIX, ResetRequest
from shell import accounts, jobs
from shell.accounts import Credentials
from shell.queries import SQL
from shell.sealing import keyed_digest
from shell.session import Session
from shell.settings import Secret


class PasswordResets:
    """Queues what people ask for, without looking whether there is such an account."""

    def __init__(self, secret_key: Secret) -> None:
        """Name requests by a digest, so that what remains of a job does not tell whose it was."""
        self._secret_key = secret_key

    async def ask(self, session: Session, asked: ResetRequest, *, request_id: str | None) -> Job:
        """Queue a request; the same one, asked again while it waits, is queued once."""
        return await jobs.enqueue(
            session,
            JobKind.RESET_PASSWORD,
            dedupe_key=keyed_digest(self._secret_key, "password reset", f"{asked.tenant} {asked.email}"),
            args=msgspec.to_builtins(asked),
            request_id=request_id,
        )


async def begin(session: Session, account: Account, *, slug: str, now: datetime) -> str:
    """A token with which the password can be set once, in place of any earlier one."""
    token = f"{TOKEN_PREFIX}_{slug}_{secrets.token_urlsafe(32)}"
    await session.connection.execute(
        SQL["insert_password_reset"], _hash(token), account.id, now, now + LIFETIME
    )
    return token


async def account_for(session: Session, token: str, *, now: datetime) -> Account | None:
    """Whose password a token can set; None for an unknown, used or expired one."""
    user_id = await session.connection.fetchval(SQL["password_reset"], _hash(token), now)
    return None if user_id is None else await accounts.get(session, user_id)


async def reset(session: Session, token: str, user_id: UUID, password_hash: str, *, now: datetime) -> bool:
    """Use a token up and set the password; False where it can't be used: then nothing must be committed."""
    # The account's row comes first, here as in `change`, so that the two never wait for each other.
    await session.connection.execute(SQL["set_password"], user_id, password_hash)
    used = await session.connection.fetchval(SQL["use_password_reset"], _hash(token), now)
    if used != user_id:
        return False
    await session.connection.execute(SQL["end_other_sessions"], user_id, None, now)
    return True


async def change(
    session: Session, found: Credentials, password_hash: str, *, session_id: UUID | None, now: datetime
) -> bool:
    """Set the password and end all sessions but one; False where it was changed meanwhile."""
    if not await accounts.is_still_current(session, found):
        return False
    await session.connection.execute(SQL["set_password"], found.account.id, password_hash)
    await session.connection.execute(SQL["void_password_resets"], found.account.id)
    await session.connection.execute(SQL["end_other_sessions"], found.account.id, session_id, now)
    return True


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
