"""Whether a token's account still is what the token says: asked of the database, remembered for a while."""

import time
from collections import OrderedDict
from uuid import UUID

import msgspec

from core.errors import NotAuthenticated
from core.identity import Identity
from core.permission import Role
from core.tenant import PLATFORM_SLUG, STANDARD_TIER
from shell.account_session import account_session, tenant_in
from shell.database import Pool
from shell.queries import SQL

REMEMBERED_SECONDS = 20.0
"""A deactivated user, a changed role and an ended session are denied after this time in every process."""

REMEMBERED = 50_000


class Standing(msgspec.Struct, frozen=True):
    """What the database says of an account, its session, and its tenant."""

    role: Role | None
    is_current: bool
    has_second_factor: bool
    asked_at: float
    needs_second_factor: bool = False
    tier: str = STANDARD_TIER


class Standings:
    """Remembers for a while what the database says of accounts; forgets at once what is changed here."""

    def __init__(self, pool: Pool) -> None:
        """Know nobody yet."""
        self._pool = pool
        self._known: OrderedDict[tuple[UUID, UUID | None], Standing] = OrderedDict()

    async def require_current(self, identity: Identity) -> Standing:
        """How an account stands; raises NotAuthenticated where it, its role or its session has ended."""
        key = (identity.user_id, identity.session_id)
        standing = self._known.get(key)
        if standing is None or time.monotonic() - standing.asked_at > REMEMBERED_SECONDS:
            standing = await self._asked(identity)
            self._remember(key, standing)
        if not standing.is_current or standing.role is not identity.role:
            raise NotAuthenticated(reason="the session has ended, or the account has changed; log in again")
        return standing

    def forget(self, user_id: UUID) -> None:
        """Ask again about an account that was changed here."""
        for key in [key for key in self._known if key[0] == user_id]:
            del self._known[key]

    async def _asked(self, identity: Identity) -> Standing:
        async with account_session(
            self._pool, identity.tenant_slug or PLATFORM_SLUG, readonly=True
        ) as session:
            tenant = tenant_in(session)
            row = await session.connection.fetchrow(SQL["standing"], identity.user_id, identity.session_id)
        if row is None:
            return Standing(None, is_current=False, has_second_factor=False, asked_at=time.monotonic())
        return Standing(
            Role(row["role"]),
            is_current=row["is_current"],
            has_second_factor=row["has_second_factor"],
            asked_at=time.monotonic(),
            needs_second_factor=tenant is not None and tenant.require_second_factor,
            tier=STANDARD_TIER if tenant is None else tenant.tier,
        )

    def _remember(self, key: tuple[UUID, UUID | None], standing: Standing) -> None:
        self._known[key] = standing
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
