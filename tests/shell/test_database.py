"""Connections: their settings, and trying again when the server asks for it."""

import asyncio

import asyncpg
import pytest

from core.tenant import Tenant
from shell.database import ATTEMPTS, open_pool, retried
from shell.session import tenant_session
from tests.installation import Installation


async def test_a_connection_has_a_name_and_time_limits(installation: Installation) -> None:
    assert installation.settings.database_url is not None
    url = installation.settings.database_url.value
    async with await open_pool(url, size=1, name="a name", statement_timeout_seconds=7) as pool:
        settings = [
            await pool.fetchval(f"SHOW {name}")
            for name in (
                "application_name",
                "statement_timeout",
                "idle_in_transaction_session_timeout",
                "jit",
            )
        ]
    assert settings == ["a name", "7s", "7s", "off"]


async def test_a_statement_that_takes_too_long_is_ended(installation: Installation) -> None:
    assert installation.settings.database_url is not None
    url = installation.settings.database_url.value
    async with await open_pool(url, size=1, name="tests", statement_timeout_seconds=1) as pool:
        with pytest.raises(asyncpg.QueryCanceledError):
            await pool.execute("SELECT pg_sleep(60)")


async def test_two_transactions_that_block_each_other_both_succeed_at_last(
    installation: Installation, tenant: Tenant
) -> None:
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        await session.connection.execute("INSERT INTO invoice_numbers VALUES (1, 0), (2, 0)")
    both_hold_one = asyncio.Barrier(2)
    attempts = 0

    async def add(first: int, second: int) -> None:
        nonlocal attempts
        attempts += 1
        is_first = attempts <= 2
        async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
            update = "UPDATE invoice_numbers SET last = last + 1 WHERE year = $1"
            await session.connection.execute(update, first)
            if is_first:
                await both_hold_one.wait()
            await session.connection.execute(update, second)

    await asyncio.gather(retried(lambda: add(1, 2)), retried(lambda: add(2, 1)))
    assert attempts == 3, "one of them was asked to try again"
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        assert await session.connection.fetchval("SELECT sum(last) FROM invoice_numbers") == 4


@pytest.mark.parametrize(
    "error",
    [asyncpg.DeadlockDetectedError(), asyncpg.SerializationError(), asyncpg.ConnectionDoesNotExistError()],
)
async def test_what_never_succeeds_is_tried_three_times(error: Exception) -> None:
    attempts = 0

    async def fail() -> None:
        nonlocal attempts
        attempts += 1
        raise error

    with pytest.raises(type(error)):
        await retried(fail)
    assert attempts == ATTEMPTS == 3


async def test_an_error_that_no_repetition_mends_is_not_repeated() -> None:
    attempts = 0

    async def fail() -> None:
        nonlocal attempts
        attempts += 1
        raise asyncpg.UniqueViolationError

    with pytest.raises(asyncpg.UniqueViolationError):
        await retried(fail)
    assert attempts == 1


async def test_a_statement_that_a_migration_has_made_stale_is_prepared_anew(
    installation: Installation, tenant: Tenant, other_tenant: Tenant
) -> None:
    assert installation.settings.database_url is not None
    async with await open_pool(installation.settings.database_url.value, size=1, name="tests") as pool:

        async def numbers(of: Tenant) -> list[object]:
            async with tenant_session(pool, tenant_id=of.id) as session:
                return [
                    row["last"] for row in await session.connection.fetch("SELECT * FROM invoice_numbers")
                ]

        assert await retried(lambda: numbers(tenant)) == []
        await installation.owner_pool.execute(
            f"ALTER TABLE {other_tenant.schema}.invoice_numbers ALTER COLUMN last TYPE bigint"
        )
        assert await retried(lambda: numbers(other_tenant)) == []
        assert await retried(lambda: numbers(tenant)) == []
