"""Purging Redis of a tenant: its buckets, its people's failed attempts, and the announcements of its jobs."""

import re
from typing import cast

from redis.asyncio import Redis

from core.erasure import Identifiers
from core.tenant import Tenant
from shell.announce import STREAM
from shell.sealing import SecretKeys, keyed_digest
from shell.settings import Settings

AT_A_TIME = 1_000
Entries = list[tuple[bytes, dict[bytes, bytes]]]
ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


async def purge(settings: Settings, secret: SecretKeys, tenant: Tenant, identifiers: Identifiers) -> int:
    """Delete what Redis holds of a tenant; gives how many keys and announcements. Raises RedisError.

    Attempts are counted under digests of account and network; without the network, that of a pair cannot be
    computed, and it is forgotten by itself within 30 days.
    """
    if settings.redis_url is None:
        return 0
    accounts = {
        keyed_digest(secret.current, "throttling", f"{tenant.slug} {email}") for email in identifiers.emails
    }
    ends = {str(key_id) for key_id in identifiers.key_ids} | accounts
    async with Redis.from_url(settings.redis_url.value, socket_timeout=10, socket_connect_timeout=2) as redis:
        keys = await _delete_keys(redis, str(tenant.id).encode(), {end.encode() for end in ends})
        return keys + await _delete_announcements(redis, {str(job).encode() for job in identifiers.job_ids})


async def _delete_keys(redis: "Redis", tenant: bytes, ends: set[bytes]) -> int:
    deleted, cursor = 0, 0
    while True:
        cursor, keys = cast("tuple[int, list[bytes]]", await redis.scan(cursor, count=AT_A_TIME))
        found = [key for key in keys if tenant in key or key.rpartition(b":")[2] in ends]
        if found:
            deleted += await redis.unlink(*found)
        if cursor == 0:
            return deleted


async def _delete_announcements(redis: "Redis", job_ids: set[bytes]) -> int:
    deleted, start = 0, "-"
    while True:
        entries = cast("Entries", await redis.xrange(STREAM, min=start, count=AT_A_TIME))
        found = [name for name, fields in entries if job_ids & set(ID.findall(b" ".join(fields.values())))]
        if found:
            deleted += await redis.xdel(STREAM, *found)
        if len(entries) < AT_A_TIME:
            return deleted
        start = f"({entries[-1][0].decode()}"
