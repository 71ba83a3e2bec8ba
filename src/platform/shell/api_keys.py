"""API keys: kept as HMAC, found by it, remembered for a short time."""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import msgspec

from core.api_key import (
    RANDOM_BYTES,
    Scope,
    compose_key,
    is_from,
    is_well_formed,
    parse_networks,
    permissions_of,
)
from core.errors import NotAuthenticated, NotFound
from core.identity import Identity
from shell.database import Pool
from shell.queries import SQL
from shell.sealing import SecretKeys
from shell.session import Session, platform_session

REMEMBERED_SECONDS = 20.0
REMEMBERED = 10_000

REFUSED = "the API key is unknown, expired, revoked, or not for this address"

ApiKeyKey = tuple[datetime, UUID]


class ApiKey(msgspec.Struct, frozen=True):
    """An API key as its tenant may see it: `hint` is its beginning, enough to recognise it."""

    id: UUID
    tenant_id: UUID
    name: str
    hint: str
    scopes: list[Scope]
    networks: list[str]
    created_by: UUID
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewApiKey(msgspec.Struct, frozen=True):
    """A key to be made."""

    name: str
    scopes: list[Scope]
    networks: list[str]
    expires_at: datetime | None


class _Known(msgspec.Struct, frozen=True):
    tenant_id: UUID
    tenant_slug: str
    tier: str
    key: ApiKey
    asked_at: float


class ApiKeys:
    """Makes keys, and tells whom one speaks for."""

    def __init__(self, pool: Pool, keys: SecretKeys) -> None:
        """Know no key yet."""
        self._pool = pool
        self._secrets = keys.derived("API keys")
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    def __repr__(self) -> str:
        """No part of the secret."""
        return "ApiKeys(***)"

    async def make(
        self, session: Session, tenant_id: UUID, new: NewApiKey, *, by: UUID
    ) -> tuple[ApiKey, str]:
        """A new key and its text, which is shown this once."""
        text = compose_key(secrets.token_bytes(RANDOM_BYTES))
        row = await session.connection.fetchrow(
            SQL["insert_api_key"],
            uuid4(), tenant_id, new.name, self._digests(text)[0], text[:12], new.scopes, new.networks, by,
            datetime.now(UTC), new.expires_at,
        )  # fmt: skip
        if row is None:
            raise RuntimeError("a key was inserted and is not there")
        return key_of(row), text

    async def identify(self, text: str, *, address: str | None, now: datetime) -> Identity:
        """Whom a key speaks for; raises NotAuthenticated for a mistyped, unknown, expired or revoked one."""
        if not is_well_formed(text):
            raise NotAuthenticated(reason="the API key is mistyped")
        digests = self._digests(text)
        known = self._known.get(digests[0])
        if known is None or time.monotonic() - known.asked_at > REMEMBERED_SECONDS:
            known = await self._asked(digests, now)
        key = known.key
        expired = key.expires_at is not None and key.expires_at <= now
        if key.revoked_at is not None or expired or not is_from(address, parse_networks(key.networks)):
            raise NotAuthenticated(reason=REFUSED)
        return Identity(
            user_id=key.id,
            tenant_id=known.tenant_id,
            tenant_slug=known.tenant_slug,
            role=None,
            jti=str(key.id),
            permissions=permissions_of(key.scopes),
            tier=known.tier,
        )

    def forget(self, key_id: UUID) -> None:
        """Ask again about a key that was changed here."""
        for digest in [digest for digest, known in self._known.items() if known.key.id == key_id]:
            del self._known[digest]

    async def _asked(self, digests: list[bytes], now: datetime) -> _Known:
        """What the database knows of a key, which from now on was last used now.

        One that was kept by the previous secret key is kept by the current one from now on.
        """
        digest = digests[0]
        async with platform_session(self._pool) as session:
            row = await session.connection.fetchrow(SQL["use_api_key"], digests, now)
        if row is None:
            raise NotAuthenticated(reason=REFUSED)
        known = _Known(
            row["tenant_id"], row["tenant_slug"], row["tenant_tier"], key_of(row), time.monotonic()
        )
        self._known[digest] = known
        self._known.move_to_end(digest)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return known

    def _digests(self, text: str) -> list[bytes]:
        """What a key may be kept as, the current form first."""
        return [hmac.digest(secret, text.encode(), hashlib.sha256) for secret in self._secrets]


async def page(session: Session, tenant_id: UUID, *, after: ApiKeyKey | None, limit: int) -> list[ApiKey]:
    """A tenant's keys by age, after one; one more than `limit`, where there are more."""
    created_at, key_id = after or (None, None)
    rows = await session.connection.fetch(SQL["list_api_keys"], tenant_id, created_at, key_id, limit + 1)
    return [key_of(row) for row in rows]


async def get(session: Session, tenant_id: UUID, key_id: UUID) -> ApiKey:
    """A tenant's key; raises NotFound."""
    row = await session.connection.fetchrow(SQL["api_key_by_id"], key_id, tenant_id)
    if row is None:
        raise NotFound(what="API key")
    return key_of(row)


async def revoke(session: Session, tenant_id: UUID, key_id: UUID) -> ApiKey:
    """End a key for good; raises NotFound."""
    row = await session.connection.fetchrow(SQL["revoke_api_key"], key_id, tenant_id, datetime.now(UTC))
    if row is None:
        raise NotFound(what="API key")
    return key_of(row)


def key_of(row: asyncpg.Record) -> ApiKey:
    """The key in a row."""
    return msgspec.convert(dict(row), ApiKey)
