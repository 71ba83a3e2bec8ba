"""`eu-platform doctor`: is everything there that the platform needs, and is it well."""

import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import click
import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.errors import PlatformError
from shell.commands.connect import command, data_option
from shell.keys import load_keys
from shell.migrations import PUBLIC
from shell.servers import any_servers, prepare_roles
from shell.settings import Settings, load_settings

LEAST_FREE_BYTES = 512 * 1024 * 1024
LEAST_PYTHON = (3, 11)


class Finding(msgspec.Struct, frozen=True):
    """What a check has found."""

    is_well: bool
    text: str


Check = Callable[[Settings], Awaitable[Finding]]


@click.command()
@data_option
@command
async def doctor(data: Path | None) -> None:
    """Check Python, disk, keys, database and Redis; exit code 1 where something is not well."""
    with any_servers(load_settings(os.environ, data=data)) as located:
        settings = await prepare_roles(located.settings)
        findings = [(name, await check(settings)) for name, check in CHECKS.items()]
    for name, finding in findings:
        click.echo(f"{'ok ' if finding.is_well else 'BAD'}  {name:<10} {finding.text}")
    if not all(finding.is_well for _, finding in findings):
        sys.exit(1)


async def _python(_: Settings) -> Finding:
    ZoneInfo("Europe/Berlin")
    return Finding(sys.version_info >= LEAST_PYTHON, sys.version.split()[0])


async def _disk(settings: Settings) -> Finding:
    free = shutil.disk_usage(settings.data).free
    return Finding(free > LEAST_FREE_BYTES, f"{free // 2**20:,} MiB free in {settings.data.resolve()}")


async def _keys(settings: Settings) -> Finding:
    try:
        keys = load_keys(settings, datetime.now(UTC))
    except PlatformError as error:
        return Finding(is_well=False, text=str(error))
    return Finding(is_well=True, text=f"signing with {keys.kid}")


async def _database(settings: Settings) -> Finding:
    if settings.database_url is None:
        return Finding(is_well=False, text="PLATFORM_DATABASE_URL is not set")
    try:
        connection = await asyncpg.connect(settings.database_url.value, timeout=5)
    except (asyncpg.PostgresError, OSError) as error:
        return Finding(is_well=False, text=f"does not answer: {type(error).__name__}")
    try:
        version = await connection.fetchval("SHOW server_version")
        known = await connection.fetchval("SELECT to_regclass('public.tenants') IS NOT NULL")
    finally:
        await connection.close()
    if not known:
        return Finding(is_well=False, text=f"PostgreSQL {version}, not migrated: run `eu-platform migrate`")
    return Finding(is_well=True, text=f"PostgreSQL {version}, {len(PUBLIC)} shared migrations known")


async def _redis(settings: Settings) -> Finding:
    if settings.redis_url is None:
        return Finding(is_well=False, text="PLATFORM_REDIS_URL is not set")
    try:
        async with Redis.from_url(settings.redis_url.value, socket_connect_timeout=5) as redis:
            info = await redis.info("server")
    except (RedisError, OSError) as error:
        return Finding(is_well=False, text=f"does not answer: {type(error).__name__}")
    return Finding(is_well=True, text=f"Redis {info['redis_version']}")


CHECKS: dict[str, Check] = {
    "python": _python,
    "disk": _disk,
    "keys": _keys,
    "database": _database,
    "redis": _redis,
}
