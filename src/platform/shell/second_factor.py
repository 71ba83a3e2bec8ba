"""Second factors of accounts (TOTP, RFC 6238): secrets are kept sealed, recovery codes as hashes."""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime
from uuid import UUID

import msgspec
from pyotp.totp import TOTP

from core.errors import SecondFactorExists
from core.identity import Account
from core.second_factor import (
    RECOVERY_BYTES,
    RECOVERY_CODE,
    RECOVERY_CODES,
    TOTP_CODE,
    Showing,
    normalised_code,
    readable_code,
    steps_around,
)
from shell.queries import SQL
from shell.sealing import Seal, SecretKeys
from shell.session import Session

PURPOSE = "second factor"

SECRET_BYTES = 20
"""As long as the digest of HMAC-SHA-1, which authenticator apps use (RFC 4226, 4)."""


class Enrolment(msgspec.Struct, frozen=True):
    """What an authenticator app needs; shown once, and without effect until a code confirms it."""

    secret: str
    otpauth_uri: str

    def __repr__(self) -> str:
        """Not the secret."""
        return "Enrolment(***)"


class SecondFactors:
    """Enrols accounts, and checks and uses up the codes that they show."""

    def __init__(self, keys: SecretKeys, issuer: str) -> None:
        """Seal with a key of its own; the issuer is what authenticator apps show."""
        self._seal = Seal(keys, PURPOSE)
        self._issuer = issuer

    async def enrol(self, session: Session, account: Account) -> Enrolment:
        """A new secret, in place of one that was never confirmed; raises SecondFactorExists."""
        secret = secrets.token_bytes(SECRET_BYTES)
        sealed = self._seal.seal(secret, belongs_to=account.id.bytes)
        enrolled = await session.connection.fetchval(SQL["enrol_second_factor"], account.id, sealed)
        if enrolled is None:
            raise SecondFactorExists
        text = base64.b32encode(secret).decode()
        uri = TOTP(text, name=account.email, issuer=self._issuer).provisioning_uri()
        return Enrolment(text, uri)

    async def confirm(self, session: Session, user_id: UUID, code: str, *, now: datetime) -> list[str] | None:
        """Put the factor in force, and give its recovery codes; None for a wrong code.

        Raises SecondFactorExists where one is in force already.
        """
        row = await session.connection.fetchrow(SQL["second_factor"], user_id)
        if row is not None and row["totp_confirmed_at"] is not None:
            raise SecondFactorExists
        if row is None or row["totp_secret"] is None:
            return None
        step = self._step_of(user_id, row["totp_secret"], code, now)
        if step is None:
            return None
        confirmed = await session.connection.fetchval(
            SQL["confirm_second_factor"], user_id, row["totp_secret"], step, now
        )
        return None if confirmed is None else await _new_recovery_codes(session, user_id)

    async def show(self, session: Session, user_id: UUID, code: str | None, *, now: datetime) -> Showing:
        """Check a code of either kind and use it up; nothing is needed of an account without a factor."""
        row = await session.connection.fetchrow(SQL["second_factor"], user_id)
        if row is None or row["totp_confirmed_at"] is None:
            return Showing.NOT_NEEDED
        if code is None:
            return Showing.MISSING
        if RECOVERY_CODE.fullmatch(normalised_code(code)):
            used = await session.connection.fetchval(
                SQL["use_recovery_code"], user_id, _hash(normalised_code(code)), now
            )
            return Showing.WRONG if used is None else Showing.RECOVERY_CODE
        step = self._step_of(user_id, row["totp_secret"], code, now)
        if step is None:
            return Showing.WRONG
        used = await session.connection.fetchval(SQL["use_totp_step"], user_id, row["totp_secret"], step)
        return Showing.WRONG if used is None else Showing.CODE

    def _step_of(self, user_id: UUID, sealed: bytes, code: str, now: datetime) -> int | None:
        """The time step that a code belongs to; every step is compared, so that the time tells nothing."""
        shown = normalised_code(code)
        if not TOTP_CODE.fullmatch(shown):
            return None
        totp = TOTP(base64.b32encode(self._seal.open(sealed, belongs_to=user_id.bytes)).decode())
        steps = [step for step in steps_around(now) if hmac.compare_digest(totp.generate_otp(step), shown)]
        return max(steps, default=None)


async def disable(session: Session, user_id: UUID) -> None:
    """Forget the factor, and its recovery codes."""
    await session.connection.execute(SQL["disable_second_factor"], user_id)


async def mark_stepped_up(session: Session, session_id: UUID, now: datetime) -> None:
    """Remember that a session has shown a second factor; its next tokens say so."""
    await session.connection.execute(SQL["mark_session_stepped_up"], session_id, now)


async def stepped_up_at(session: Session, session_id: UUID) -> datetime | None:
    """When a session last showed a second factor."""
    found: datetime | None = await session.connection.fetchval(SQL["session_second_factor_at"], session_id)
    return found


async def end_other_sessions(session: Session, user_id: UUID, *, but: UUID | None, now: datetime) -> None:
    """End the sessions of an account, all but one."""
    await session.connection.execute(SQL["end_other_sessions"], user_id, but, now)


async def _new_recovery_codes(session: Session, user_id: UUID) -> list[str]:
    codes = [base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode() for _ in range(RECOVERY_CODES)]
    hashes = [_hash(code) for code in codes]
    await session.connection.execute(SQL["insert_recovery_codes"], user_id, hashes)
    return [readable_code(code) for code in codes]


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
